//! What all proxies share: the objects, the registry and the indexed policies.

use super::context::{Context, texts};
use super::destination_rule::DestinationRules;
use super::endpoints::Endpoints;
use super::gateway_api;
use super::gateway_servers::{self, Gateway};
use super::peer_authentication::PeerAuthentications;
use super::registry::Registry;
use super::registry_findings;
use super::rule_names;
use super::server_tls;
use super::virtual_service::VirtualServices;
use crate::diagnostic::Diagnostic;

/// The input of the passes that run for each proxy.
#[derive(Debug)]
pub(in crate::mesh) struct Model<'a> {
    /// Objects and mesh configuration.
    pub(in crate::mesh) cx: Context<'a>,
    /// Services, workloads and pods.
    pub(in crate::mesh) registry: Registry,
    /// Endpoints of every service port.
    pub(in crate::mesh) endpoints: Endpoints,
    /// What servers take.
    pub(in crate::mesh) servers: PeerAuthentications<'a>,
    /// VirtualServices and the routes of the Gateway API.
    pub(in crate::mesh) virtual_services: VirtualServices,
    /// Gateways, Istio's and the Gateway API's, oldest first.
    pub(in crate::mesh) gateways: Vec<Gateway>,
    /// DestinationRules.
    pub(in crate::mesh) destination_rules: DestinationRules<'a>,
}

impl Model<'_> {
    /// Whether a DestinationRule is for some clients only, so that any label of a client may matter.
    pub(in crate::mesh) fn selects_clients(&self) -> bool {
        self.cx.destination_rules.iter().any(|item| item.spec.workload_selector.is_some())
    }
}

impl<'a> Model<'a> {
    /// Runs the passes that do not depend on a proxy.
    pub(in crate::mesh) fn new(cx: Context<'a>, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let mut registry = Registry::new(&cx, diagnostics);
        let destination_rules = DestinationRules::new(&cx, diagnostics);
        let endpoints = Endpoints::new(&cx, &registry);
        let servers = PeerAuthentications::new(&cx);
        server_tls::settle(&cx, &servers, &registry.services, &mut registry.workloads);
        let export_to = texts(&cx.mesh_config.default_virtual_service_export_to);
        let converted = gateway_api::convert(&cx, diagnostics);
        let mut rules = rule_names::virtual_services(&cx);
        rules.extend(converted.virtual_services);
        let virtual_services = VirtualServices::new(rules, &export_to);
        let mut gateways = gateway_servers::istio_gateways(&cx);
        gateways.extend(converted.gateways);
        gateways.sort_by(|a, b| (&a.created, &a.name, &a.namespace).cmp(&(&b.created, &b.name, &b.namespace)));
        let model = Model { registry, endpoints, servers, virtual_services, gateways, destination_rules, cx };
        diagnostics.extend(registry_findings::findings(&model));
        model
    }
}
