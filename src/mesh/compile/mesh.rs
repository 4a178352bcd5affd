//! The whole compilation: which passes run in which order, and what comes out.

use super::clusters::ClusterBuilder;
use super::context::Context;
use super::gateway_claims;
use super::inbound::InboundBuilder;
use super::model::Model;
use super::proxy_routing::RoutingBuilder;
use super::rate_limits::EnvoyFilters;
use super::references;
use super::routes::ClusterNames;
use super::visibility::{ProxyView, Scopes};
use crate::diagnostic::{Diagnostic, ObjectRef};
use crate::mesh::admission;
use crate::mesh::ids::{PodId, ProxyId, WorkloadId};
use crate::mesh::inbound::Inbound;
use crate::mesh::profile::Profile;
use crate::mesh::proxy::{Proxy, ProxySpec};
use crate::mesh::registry::{Pod, Service, Workload};
use crate::resource::Objects;

/// A compiled mesh. Never changes; a timeline of applies is a sequence of meshes.
#[derive(Debug, Clone, PartialEq)]
pub struct Mesh {
    /// The behaviour of the release it was compiled for.
    pub profile: Profile,
    /// The objects it was made from, for naming them.
    pub objects: Vec<ObjectRef>,
    /// The registry, sorted by host.
    pub services: Vec<Service>,
    /// Workloads, sorted by namespace and name.
    pub workloads: Vec<Workload>,
    /// Pods of all workloads.
    pub pods: Vec<Pod>,
    /// The pods behind the endpoints that were described beside the objects, in their order.
    pub described: Vec<Vec<PodId>>,
    /// Trust domains that count as the mesh's own, the one that its certificates name first.
    pub trust_domains: Vec<String>,
    /// Configured proxies: one per workload with a sidecar and one per gateway.
    pub proxies: Vec<Proxy>,
}

/// What compiling needs besides the objects.
#[derive(Debug, Clone, PartialEq)]
pub struct CompileOptions {
    /// The release.
    pub profile: Profile,
    /// The cluster's domain.
    pub cluster_domain: String,
    /// Which proxies are configured.
    pub proxies: ProxySelection,
    /// Endpoints that are described beside the objects instead of coming from workloads.
    pub endpoints: Vec<DescribedEndpoints>,
    /// Pods that are there and not ready, by namespace and name.
    pub unready: Vec<(String, String)>,
}

impl Default for CompileOptions {
    fn default() -> Self {
        CompileOptions {
            profile: Profile::latest(),
            cluster_domain: "cluster.local".to_owned(),
            proxies: ProxySelection::Workloads,
            endpoints: Vec::new(),
            unready: Vec::new(),
        }
    }
}

/// Which proxies are configured.
#[derive(Debug, Clone, PartialEq)]
pub enum ProxySelection {
    /// One for each workload of the input that has a sidecar, and one for each gateway workload;
    /// where Gateways select a workload that is not in the input, the built-in one.
    Workloads,
    /// These.
    Described(Vec<ProxySpec>),
}

/// Endpoints described beside the objects: some pods of one service.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribedEndpoints {
    /// Host of the service, or `name.namespace`.
    pub service: String,
    /// Labels of the pods.
    pub labels: Vec<(String, String)>,
    /// How many.
    pub count: u32,
    /// Target port.
    pub port: u16,
    /// `region/zone/subzone`, empty if unknown.
    pub locality: String,
    /// Whether they are ready.
    pub ready: bool,
    /// Their addresses, if they matter.
    pub ips: Vec<String>,
}

/// Compiles objects into a mesh.
#[must_use]
pub fn compile(objects: &Objects, options: &CompileOptions) -> (Mesh, Vec<Diagnostic>) {
    // What the webhook refuses is no part of the mesh.
    let (objects, mut diagnostics) = admission::admit(objects, &options.profile);
    let model = Model::new(Context::new(&objects, options), &mut diagnostics);
    references::check(&model, &mut diagnostics);
    gateway_claims::check(&model, &mut diagnostics);
    let specs = model.registry.proxies(&options.proxies);
    let mut scopes = Scopes::new(&model);
    let names = ClusterNames::default();
    let mut clusters = ClusterBuilder::new(&model, &names);
    let mut routing = RoutingBuilder::new(&model, &names);
    let mut inbound = InboundBuilder::new(&model);
    let filters = EnvoyFilters::new(&model.cx, &mut diagnostics);
    let mut proxies = Vec::new();
    for (spec, workload) in &specs {
        let view = scopes.view(spec);
        let inbound = inbound.inbound(&view, *workload);
        let limits = filters.of(spec, &inbound.authorization);
        proxies.push(Proxy { inbound, limits, ..proxy(&view, *workload, &mut clusters, &mut routing, &mut diagnostics) });
    }
    let trust_domains = model.cx.trust_domains();
    let Model { registry, .. } = model;
    let mesh = Mesh {
        profile: options.profile.clone(),
        objects: objects.items.iter().map(crate::resource::Object::reference).collect(),
        services: registry.services,
        described: registry.described.iter().map(|id| registry.workloads[id.index()].pods.clone()).collect(),
        workloads: registry.workloads,
        pods: registry.pods,
        trust_domains,
        proxies,
    };
    (mesh, diagnostics)
}

fn proxy<'a>(
    view: &ProxyView<'a>,
    workload: Option<WorkloadId>,
    clusters: &mut ClusterBuilder<'a>,
    routing: &mut RoutingBuilder<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Proxy {
    let clusters = clusters.clusters(view);
    let routing = routing.routing(view, diagnostics);
    Proxy {
        spec: view.spec.clone(),
        workload,
        listeners: routing.listeners,
        route_tables: routing.route_tables,
        clusters,
        fallback: routing.fallback,
        dns: routing.dns,
        inbound: Inbound::default(),
        limits: None,
    }
}

impl Mesh {
    /// The identity of a service account, as certificates name it.
    #[must_use]
    pub fn identity(&self, namespace: &str, service_account: &str) -> String {
        let domain = self.trust_domains.first().map_or("cluster.local", String::as_str);
        let account = if service_account.is_empty() { "default" } else { service_account };
        format!("spiffe://{domain}/ns/{namespace}/sa/{account}")
    }

    /// The proxy of a workload.
    #[must_use]
    pub fn proxy_of(&self, workload: WorkloadId) -> Option<ProxyId> {
        self.proxies.iter().position(|p| p.workload == Some(workload)).map(ProxyId::new)
    }

    /// The proxy that a user means by `name`: a proxy's name with or without namespace, or a
    /// workload's name.
    #[must_use]
    pub fn proxy_named(&self, name: &str) -> Option<ProxyId> {
        let matches =
            |p: &Proxy| p.spec.name == name || p.spec.name.strip_suffix(&format!(".{}", p.spec.namespace)) == Some(name);
        self.proxies.iter().position(matches).map(ProxyId::new)
    }
}
