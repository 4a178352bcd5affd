//! Listeners and route tables of one proxy.

use indexmap::IndexMap;

use super::context::selects;
use super::gateway_listeners::{self, GatewayScope};
use super::gateway_routes;
use super::gateway_servers::{GatewayService, Merged};
use super::l4_routes::L4Scope;
use super::protocol;
use super::routes::{self, ClusterNames, RouteScope, SeenService, UnknownHosts};
use super::sidecar_listeners::{OwnPort, SidecarListeners};
use super::sidecar_routes::{self, EgressScope, HostOwners};
use super::visibility::{EgressListener, ProxyView};
use super::{hash_policies, names};
use crate::diagnostic::Diagnostic;
use crate::mesh::proxy::Listener;
use crate::mesh::registry::{Service, TargetPort};
use crate::mesh::route::{ClusterRef, RouteTable, VirtualHost};
use crate::mesh::{ProxyKind, RouteTableId};

/// The cluster that leads to the address that was dialled.
pub(super) const PASSTHROUGH_CLUSTER: &str = "PassthroughCluster";

/// The cluster without endpoints.
pub(super) const BLACK_HOLE_CLUSTER: &str = "BlackHoleCluster";

/// What a proxy listens on and how it routes.
#[derive(Debug, Default)]
pub(super) struct Routing {
    pub(super) listeners: Vec<Listener>,
    /// Listeners that the proxy refuses to load.
    pub(super) rejected_listeners: Vec<Listener>,
    pub(super) route_tables: Vec<RouteTable>,
    pub(super) fallback: Option<ClusterRef>,
    pub(super) dns: Vec<(String, String)>,
}

/// Routes one proxy. `clusters` are the names of its clusters, in order.
pub(super) fn routing(view: &ProxyView<'_>, clusters: &ClusterNames, diagnostics: &mut Vec<Diagnostic>) -> Routing {
    match view.spec.kind {
        ProxyKind::Sidecar => sidecar(view, clusters),
        ProxyKind::Gateway => gateway(view, clusters, diagnostics),
    }
}

/// Route tables by name, made when a listener first asks for them.
struct Tables<'t> {
    made: IndexMap<String, RouteTable>,
    make: &'t dyn Fn(&str) -> RouteTable,
}

impl<'t> Tables<'t> {
    fn new(make: &'t dyn Fn(&str) -> RouteTable) -> Self {
        Tables { made: IndexMap::new(), make }
    }

    fn id(&mut self, name: &str) -> RouteTableId {
        if let Some(index) = self.made.get_index_of(name) {
            return RouteTableId::new(index);
        }
        let (index, _) = self.made.insert_full(name.to_owned(), (self.make)(name));
        RouteTableId::new(index)
    }

    fn finish(self) -> Vec<RouteTable> {
        self.made.into_values().collect()
    }
}

fn sidecar(view: &ProxyView<'_>, clusters: &ClusterNames) -> Routing {
    let model = view.model;
    let cx = &model.cx;
    let hash = |host: &str, subset: &str, port| hash_policies::of_destination(view, host, subset, port);
    let service_hash = |host: &str, port| hash_policies::of_service(view, host, port);
    // Replaced for every port by what is seen there.
    let nothing = |_: &str| None;
    let scope = RouteScope { service: &nothing, hash: &hash, ..route_scope(view, clusters, &hash, &nothing) };
    let owners: Vec<HostOwners> =
        view.scope.listeners.iter().map(|listener| HostOwners::new(&listener.virtual_services)).collect();
    let egress = |index: usize, listener: &'_ EgressListener<'_>| {
        let _ = listener;
        let listener = &view.scope.listeners[index];
        EgressScope {
            services: &listener.services,
            virtual_services: &listener.virtual_services,
            owners: &owners[index],
            registry: &model.registry,
            service_hash: &service_hash,
            cluster_domain: &cx.options.cluster_domain,
        }
    };
    let unknown = unknown_destinations(view);
    let of_port = |port: u16| -> Vec<VirtualHost> {
        let position = view.scope.listeners.iter().position(|listener| listener.port.is_none_or(|own| own == port));
        position.map_or_else(Vec::new, |index| {
            sidecar_routes::virtual_hosts(port, egress(index, &view.scope.listeners[index]), &scope)
        })
    };
    let make = |name: &str| -> RouteTable {
        let virtual_hosts = match name.rsplit_once(':') {
            Some((host, port)) => sidecar_routes::sniffed_virtual_hosts(&of_port(port.parse().unwrap_or(0)), host),
            None => {
                let mut all = of_port(name.parse().unwrap_or(0));
                all.push(routes::catch_all_virtual_host(unknown, &scope));
                all
            }
        };
        RouteTable { name: name.to_owned(), virtual_hosts, ignore_port_in_host_matching: true }
    };
    let mut tables = Tables::new(&make);
    let seen = |host: &str| seen_service(view, host);
    let l4 = l4_scope(view, clusters, &seen);
    let fallback = clusters.named(match unknown {
        UnknownHosts::Forward(cluster) => cluster.to_owned(),
        UnknownHosts::Block => BLACK_HOLE_CLUSTER.to_owned(),
    });
    let pods = |host: &str, port: u16| pod_addresses(view, host, port);
    let mut listeners = SidecarListeners::new(fallback.clone(), &pods);
    for (index, listener) in view.scope.listeners.iter().enumerate() {
        let word = listener.spec.and_then(|spec| spec.port.as_ref()).and_then(|port| port.protocol.as_ref());
        let own_port = listener.port.map(|number| OwnPort {
            number,
            protocol: protocol::of_word(word.map_or("", |word| word.value.as_str()), &cx.options.profile),
        });
        let bind = listener.spec.and_then(|spec| spec.bind.as_ref()).map(|bind| bind.value.as_str());
        listeners
            .add(egress(index, listener), own_port.as_ref(), bind.filter(|b| !b.is_empty()), &l4, &mut |name| tables.id(name));
    }
    let (listeners, rejected_listeners) = listeners.finish();
    Routing {
        listeners,
        rejected_listeners,
        route_tables: tables.finish(),
        fallback: Some(fallback),
        dns: names::addresses(&model.registry, &view.spec.namespace, &cx.options.cluster_domain),
    }
}

/// Where a sidecar sends what it has no route for.
fn unknown_destinations<'a>(view: &ProxyView<'a>) -> UnknownHosts<'a> {
    if view.is_registry_only() {
        return UnknownHosts::Block;
    }
    UnknownHosts::Forward(PASSTHROUGH_CLUSTER)
}

fn route_scope<'s>(
    view: &'s ProxyView<'_>,
    clusters: &'s ClusterNames,
    hash: &'s dyn Fn(&str, &str, Option<u16>) -> Option<crate::mesh::route::HashPolicy>,
    service: &'s dyn Fn(&str) -> Option<SeenService>,
) -> RouteScope<'s> {
    let cx = &view.model.cx;
    RouteScope {
        profile: &cx.options.profile,
        mesh_retries: cx.mesh_config.default_http_retry_policy.as_ref(),
        client_labels: &view.spec.labels,
        client_namespace: &view.spec.namespace,
        gateway: super::virtual_service::MESH_GATEWAY,
        port: 0,
        tls: false,
        service,
        hash,
        clusters,
    }
}

fn l4_scope<'s>(
    view: &'s ProxyView<'_>,
    clusters: &'s ClusterNames,
    service: &'s dyn Fn(&str) -> Option<SeenService>,
) -> L4Scope<'s> {
    L4Scope {
        client_labels: &view.spec.labels,
        client_namespace: &view.spec.namespace,
        gateway: super::virtual_service::MESH_GATEWAY,
        port: 0,
        service,
        clusters,
    }
}

/// A service with all its ports, as gateways and rules for connections look it up.
fn seen_service(view: &ProxyView<'_>, host: &str) -> Option<SeenService> {
    let Some(service) = view.service(host) else { return sidecar_routes::alias(&view.model.registry, host, None) };
    let only_port = match service.ports.as_slice() {
        [only] => Some(only.port),
        _ => None,
    };
    Some(SeenService { only_port, alias_of: service.alias_of.clone() })
}

/// The addresses of a service's pods that are ready, for services without an address of their own.
fn pod_addresses(view: &ProxyView<'_>, host: &str, port: u16) -> Vec<String> {
    let Some(service) = view.service(host) else { return Vec::new() };
    let Some(port) = service.port(port) else { return Vec::new() };
    let mut addresses: Vec<String> = Vec::new();
    for endpoint in view.model.endpoints.of_port(&view.model.registry, service, &port.name).filter(|e| e.ready) {
        if !addresses.contains(&endpoint.address) {
            addresses.push(endpoint.address.clone());
        }
    }
    addresses
}

fn gateway(view: &ProxyView<'_>, clusters: &ClusterNames, diagnostics: &mut Vec<Diagnostic>) -> Routing {
    let model = view.model;
    let own_services = gateway_services(view);
    let merged = Merged::new(&model.gateways, &view.spec.labels, &own_services, diagnostics);
    let hash = |host: &str, subset: &str, port| hash_policies::of_destination(view, host, subset, port);
    let seen = |host: &str| seen_service(view, host);
    let scope = route_scope(view, clusters, &hash, &seen);
    let make = |name: &str| -> RouteTable {
        let servers = merged.route_tables.iter().find(|(known, _)| known == name).map(|(_, servers)| servers.as_slice());
        gateway_routes::route_table(name, servers.unwrap_or_default(), &model.virtual_services, &scope)
    };
    let mut tables = Tables::new(&make);
    let subsets = |host: &str| {
        let rule = view.destination_rule(host);
        rule.map_or_else(Vec::new, |rule| {
            rule.subsets.iter().map(|part| super::destination_rule::subset_name(part.value).to_owned()).collect()
        })
    };
    let gateway_scope = GatewayScope {
        virtual_services: &model.virtual_services,
        services: &view.scope.services,
        own_services: &own_services,
        subsets: &subsets,
        l4: l4_scope(view, clusters, &seen),
    };
    let (listeners, rejected_listeners) = gateway_listeners::listeners(&merged, gateway_scope, &mut |name| tables.id(name));
    Routing { listeners, rejected_listeners, route_tables: tables.finish(), fallback: None, dns: Vec::new() }
}

/// The services that lead to a gateway: those of its namespace that select it.
fn gateway_services(view: &ProxyView<'_>) -> Vec<GatewayService> {
    let registry = &view.model.registry;
    let leads_here = |service: &&Service| {
        service.namespace == view.spec.namespace && !service.selector.is_empty() && selects(&service.selector, &view.spec.labels)
    };
    registry.services.iter().filter(leads_here).map(|service| gateway_service(view, service)).collect()
}

fn gateway_service(view: &ProxyView<'_>, service: &Service) -> GatewayService {
    let registry = &view.model.registry;
    let named = |name: &str| {
        let workloads = registry.in_namespace(&view.spec.namespace).iter().map(|id| registry.workload(*id));
        let own = workloads.filter(|workload| selects(&service.selector, &workload.labels));
        own.flat_map(|workload| &workload.ports).find(|(known, _)| known == name).map(|(_, number)| *number)
    };
    let ports = service.ports.iter().map(|port| {
        let target = match &port.target {
            TargetPort::Number(number) => *number,
            TargetPort::Name(name) => named(name).unwrap_or(port.port),
        };
        (port.port, target)
    });
    GatewayService { host: service.host.clone(), namespace: service.namespace.clone(), ports: ports.collect() }
}
