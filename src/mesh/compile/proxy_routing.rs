//! Listeners and route tables of one proxy.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use indexmap::IndexMap;
use rustc_hash::FxHashMap;

use super::clusters::{BLACK_HOLE, PASSTHROUGH};
use super::context::selects;
use super::gateway_listeners::{self, GatewayScope};
use super::gateway_routes;
use super::gateway_servers::{GatewayService, Merged};
use super::l4_routes::L4Scope;
use super::model::Model;
use super::protocol;
use super::routes::{self, ClusterNames, HashLookup, RouteScope, SeenService, UnknownHosts};
use super::shared_routes::SharedRoutes;
use super::sidecar_listeners::{OwnPort, SidecarListeners};
use super::sidecar_routes::{self, EgressScope, HostOwners};
use super::visibility::{EgressListener, ProxyView};
use super::{hash_policies, names};
use crate::diagnostic::{Code, Diagnostic};
use crate::mesh::proxy::Listener;
use crate::mesh::registry::{Service, TargetPort};
use crate::mesh::route::{ClusterRef, HashPolicy, RouteTable, VirtualHost};
use crate::mesh::{ProxyKind, RouteTableId};

/// What a proxy listens on and how it routes.
#[derive(Debug, Clone)]
pub(super) struct Routing {
    pub(super) listeners: Arc<[Listener]>,
    pub(super) route_tables: Arc<[RouteTable]>,
    pub(super) fallback: Option<ClusterRef>,
    pub(super) dns: Arc<[(String, String)]>,
}

/// Makes routing, and makes it only once for all sidecars that get the same.
pub(super) struct RoutingBuilder<'m> {
    /// Keys of labels on which the rules for a client depend; `None` if any label may matter.
    label_keys: Option<BTreeSet<&'m str>>,
    clusters: &'m ClusterNames,
    shared: SharedRoutes,
    known: FxHashMap<(usize, Vec<(String, String)>), Routing>,
}

impl<'m> RoutingBuilder<'m> {
    pub(super) fn new(model: &'m Model<'_>, clusters: &'m ClusterNames) -> Self {
        let mut keys = BTreeSet::new();
        for vs in model.virtual_services.all() {
            let http = vs.http.iter().flat_map(|rule| &rule.spec.matches).map(|block| &block.source_labels);
            let tls = vs.tls.iter().flat_map(|rule| &rule.matches).map(|block| &block.source_labels);
            let tcp = vs.tcp.iter().flat_map(|rule| &rule.matches).map(|block| &block.source_labels);
            keys.extend(http.chain(tls).chain(tcp).flat_map(|labels| labels.iter().map(|(key, _)| key)));
        }
        RoutingBuilder {
            // A DestinationRule for some clients decides what their routes hash.
            label_keys: (!model.selects_clients()).then_some(keys),
            clusters,
            shared: SharedRoutes::default(),
            known: FxHashMap::default(),
        }
    }

    /// The routing of a proxy.
    pub(super) fn routing(&mut self, view: &ProxyView<'_>, diagnostics: &mut Vec<Diagnostic>) -> Routing {
        if view.spec.kind == ProxyKind::Gateway {
            return gateway(view, self.clusters, diagnostics);
        }
        let matters = |key: &str| self.label_keys.as_ref().is_none_or(|keys| keys.contains(key));
        let labels = view.spec.labels.iter().filter(|(key, _)| matters(key)).cloned().collect();
        // Views live as long as the model, so that their addresses tell them apart.
        let key = (Arc::as_ptr(&view.scope).addr(), labels);
        let (clusters, shared) = (self.clusters, &self.shared);
        self.known.entry(key).or_insert_with(|| sidecar(view, clusters, shared, diagnostics)).clone()
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

    fn finish(self) -> Arc<[RouteTable]> {
        self.made.into_values().collect()
    }
}

/// What a sidecar's egress listeners let through, one scope for each.
fn egress_scopes<'s>(
    view: &'s ProxyView<'_>,
    owners: &'s [HostOwners],
    service_hash: &'s dyn Fn(&str, u16) -> Option<HashPolicy>,
    shared: &'s SharedRoutes,
) -> Vec<EgressScope<'s>> {
    let listeners = view.scope.listeners.iter().zip(owners);
    listeners
        .map(|(listener, owners)| EgressScope {
            services: &listener.services,
            virtual_services: &listener.virtual_services,
            owners,
            registry: &view.model.registry,
            service_hash,
            cluster_domain: &view.model.cx.options.cluster_domain,
            shared,
        })
        .collect()
}

fn sidecar(view: &ProxyView<'_>, clusters: &ClusterNames, shared: &SharedRoutes, diagnostics: &mut Vec<Diagnostic>) -> Routing {
    let model = view.model;
    let hash = |host: &str, subset: &str, port| hash_policies::of_destination(view, host, subset, port);
    let service_hash = |host: &str, port| hash_policies::of_service(view, host, port);
    let seen = |host: &str| seen_service(view, host);
    // Services are looked up anew for every port, among those that have it.
    let scope = route_scope(view, clusters, &hash, &seen);
    let owners: Vec<HostOwners> =
        view.scope.listeners.iter().map(|listener| HostOwners::new(&listener.virtual_services)).collect();
    let egress = egress_scopes(view, &owners, &service_hash, shared);
    let unknown = unknown_destinations(view);

    let by_port: RefCell<FxHashMap<u16, Rc<Vec<VirtualHost>>>> = RefCell::default();
    let virtual_hosts = |port: u16| -> Rc<Vec<VirtualHost>> {
        if let Some(known) = by_port.borrow().get(&port) {
            return Rc::clone(known);
        }
        let responsible = view.scope.listeners.iter().position(|listener| listener.port.is_none_or(|own| own == port));
        let made = responsible.map_or_else(Vec::new, |index| sidecar_routes::virtual_hosts(port, egress[index], &scope));
        let made = Rc::new(made);
        by_port.borrow_mut().insert(port, Rc::clone(&made));
        made
    };
    let make = |name: &str| -> RouteTable {
        let virtual_hosts = match name.rsplit_once(':') {
            Some((host, port)) => sidecar_routes::sniffed_virtual_hosts(&virtual_hosts(port.parse().unwrap_or(0)), host),
            None => {
                let mut all = virtual_hosts(name.parse().unwrap_or(0)).to_vec();
                all.push(routes::catch_all_virtual_host(&unknown, &scope));
                all
            }
        };
        RouteTable::new(name.to_owned(), virtual_hosts, true)
    };
    let mut tables = Tables::new(&make);

    let l4 = l4_scope(view, clusters, &seen);
    let fallback = clusters.named(match &unknown {
        UnknownHosts::Forward(cluster) => cluster.clone(),
        UnknownHosts::Block => BLACK_HOLE.to_owned(),
    });
    let pods = |host: &str, port: u16| pod_addresses(view, host, port);
    let mut listeners = SidecarListeners::new(fallback.clone(), &pods);
    for (listener, egress) in view.scope.listeners.iter().zip(&egress) {
        let bind = listener.spec.and_then(|spec| spec.bind.as_ref()).map(|bind| bind.value.as_str());
        let own_port = own_port(view, listener);
        listeners.add(*egress, own_port.as_ref(), bind.filter(|bind| !bind.is_empty()), &l4, &mut |name| tables.id(name));
    }
    let (listeners, refused) = listeners.finish();
    report_refused(&refused, diagnostics);
    Routing {
        listeners: listeners.into(),
        route_tables: tables.finish(),
        fallback: Some(fallback),
        dns: names::addresses(&model.registry, &view.spec.namespace, &model.cx.options.cluster_domain).into(),
    }
}

/// The port that an egress listener of a Sidecar names.
fn own_port(view: &ProxyView<'_>, listener: &EgressListener<'_>) -> Option<OwnPort> {
    let word = listener.spec.and_then(|spec| spec.port.as_ref()).and_then(|port| port.protocol.as_ref());
    let protocol = protocol::of_word(word.map_or("", |word| word.value.as_str()), &view.model.cx.options.profile);
    listener.port.map(|number| OwnPort { number, protocol })
}

/// Where a sidecar sends what it has no route for.
fn unknown_destinations(view: &ProxyView<'_>) -> UnknownHosts {
    if view.is_registry_only() {
        return UnknownHosts::Block;
    }
    let own = view.scope.sidecar.and_then(|item| item.spec.outbound_traffic_policy.as_ref());
    let proxy = own.and_then(|policy| policy.egress_proxy.as_ref());
    UnknownHosts::Forward(proxy.map_or_else(|| PASSTHROUGH.to_owned(), |proxy| routes::destination_cluster(proxy, None, 0)))
}

/// Listeners that Envoy does not load because two of their filter chains are the same.
fn report_refused(listeners: &[Listener], diagnostics: &mut Vec<Diagnostic>) {
    for listener in listeners {
        let finding = Diagnostic::new(
            Code::RefusedListener,
            format!("the proxy refuses listener `{}`: two of its filter chains match the same connections", listener.name),
        )
        .at(listener.origin.span)
        .effect("connections to this address and port are treated as if nothing were configured for them");
        if !diagnostics.contains(&finding) {
            diagnostics.push(finding);
        }
    }
}

fn route_scope<'s>(
    view: &'s ProxyView<'_>,
    clusters: &'s ClusterNames,
    hash: HashLookup<'s>,
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
    let (listeners, refused) = gateway_listeners::listeners(&merged, gateway_scope, &mut |name| tables.id(name));
    report_refused(&refused, diagnostics);
    Routing { listeners: listeners.into(), route_tables: tables.finish(), fallback: None, dns: Arc::default() }
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
