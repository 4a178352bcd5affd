//! What one proxy sees: services, VirtualServices and the DestinationRule of each service, after
//! `exportTo` and Sidecars (Istio: `SidecarScope`).

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::context::{Item, labels, selects};
use super::destination_rule::{self, Rule};
use super::model::Model;
use super::protocol;
use super::virtual_service::{MESH_GATEWAY, VirtualService};
use crate::mesh::registry::{Protocol, Service};
use crate::mesh::{ObjectId, ProxyKind, ProxySpec, ServiceId, host};
use crate::resource::networking::{Destination, OutboundTrafficPolicy, Sidecar, SidecarEgress};

/// A service as a proxy sees it: its ports may be fewer than the registry's (a Sidecar imports one
/// port) or more (ServiceEntries for one host are merged).
#[derive(Debug, Clone)]
pub(in crate::mesh) struct VisibleService<'a> {
    /// The service in the registry.
    pub(in crate::mesh) id: ServiceId,
    service: Cow<'a, Service>,
}

impl Deref for VisibleService<'_> {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.service
    }
}

/// An egress listener of a Sidecar with what it imports; without a Sidecar there is one that imports
/// everything.
#[derive(Debug)]
pub(in crate::mesh) struct EgressListener<'a> {
    /// How it is written; `None` where no Sidecar says anything about egress.
    pub(in crate::mesh) spec: Option<&'a SidecarEgress>,
    /// The port it is for; `None` is every port no other listener is for.
    pub(in crate::mesh) port: Option<u16>,
    /// The only port that services are imported with.
    only_port: Option<u16>,
    /// Services it imports, in order of precedence.
    pub(in crate::mesh) services: Vec<VisibleService<'a>>,
    /// VirtualServices it imports, in order of precedence.
    pub(in crate::mesh) virtual_services: Vec<&'a VirtualService>,
}

/// What the proxies of one namespace (and one Sidecar) have in common.
#[derive(Debug)]
pub(in crate::mesh) struct Scope<'a> {
    /// The Sidecar that applies.
    pub(in crate::mesh) sidecar: Option<Item<'a, Sidecar>>,
    /// Egress listeners in the order they are written; a gateway has one.
    pub(in crate::mesh) listeners: Vec<EgressListener<'a>>,
    /// Services that clusters are made for: those that listeners import, and the destinations of
    /// the VirtualServices that they import. One for each host.
    pub(in crate::mesh) services: Vec<VisibleService<'a>>,
    by_host: FxHashMap<String, usize>,
    rules: Vec<Vec<Arc<Rule<'a>>>>,
}

/// What one proxy sees.
#[derive(Debug, Clone)]
pub(in crate::mesh) struct ProxyView<'a> {
    /// What all proxies share.
    pub(in crate::mesh) model: &'a Model<'a>,
    /// The proxy.
    pub(in crate::mesh) spec: &'a ProxySpec,
    /// What it shares with other proxies of its namespace.
    pub(in crate::mesh) scope: Arc<Scope<'a>>,
}

impl<'a> ProxyView<'a> {
    /// The service of a host, if the proxy may be routed to it.
    pub(in crate::mesh) fn service(&self, host: &str) -> Option<&VisibleService<'a>> {
        self.scope.by_host.get(host).map(|index| &self.scope.services[*index])
    }

    /// The DestinationRule that applies to the service of a host.
    pub(in crate::mesh) fn destination_rule(&self, host: &str) -> Option<&Arc<Rule<'a>>> {
        let index = *self.scope.by_host.get(host)?;
        destination_rule::for_client(&self.scope.rules[index], self.spec)
    }

    /// What happens to unknown destinations: the Sidecar's policy, else the mesh's.
    pub(in crate::mesh) fn outbound_traffic_policy(&self) -> Option<&'a OutboundTrafficPolicy> {
        let own = self.scope.sidecar.and_then(|item| item.spec.outbound_traffic_policy.as_ref());
        own.or(self.model.cx.mesh_config.outbound_traffic_policy.as_ref())
    }

    /// Whether unknown destinations are blocked.
    pub(in crate::mesh) fn is_registry_only(&self) -> bool {
        match self.outbound_traffic_policy().and_then(|policy| policy.mode.as_ref()) {
            Some(mode) => mode.value == "REGISTRY_ONLY",
            None => self.outbound_traffic_policy().is_some() || self.model.cx.options.profile.registry_only_by_default,
        }
    }
}

/// The scopes of a mesh, made when the first proxy needs them.
#[derive(Debug)]
pub(in crate::mesh) struct Scopes<'a> {
    model: &'a Model<'a>,
    known: FxHashMap<(ProxyKind, String, Option<ObjectId>), Arc<Scope<'a>>>,
}

impl<'a> Scopes<'a> {
    pub(in crate::mesh) fn new(model: &'a Model<'a>) -> Self {
        Scopes { model, known: FxHashMap::default() }
    }

    /// The view of a proxy.
    pub(in crate::mesh) fn view(&mut self, spec: &'a ProxySpec) -> ProxyView<'a> {
        let model = self.model;
        let sidecar = sidecar_for(model, spec);
        let key = (spec.kind, spec.namespace.clone(), sidecar.map(|item| item.id));
        let scope = self.known.entry(key).or_insert_with(|| {
            Arc::new(match spec.kind {
                ProxyKind::Gateway => Scope::of_gateways(model, &spec.namespace),
                ProxyKind::Sidecar => Scope::of_sidecars(model, &spec.namespace, sidecar),
            })
        });
        ProxyView { model, spec, scope: Arc::clone(scope) }
    }
}

/// The Sidecar of a proxy: the oldest of its namespace that selects it, else the oldest of its
/// namespace without a selector, else the one of the root namespace without a selector.
fn sidecar_for<'a>(model: &'a Model<'a>, spec: &ProxySpec) -> Option<Item<'a, Sidecar>> {
    if spec.kind == ProxyKind::Gateway {
        return None;
    }
    let all = &model.cx.sidecars;
    let own = |item: &&Item<'a, Sidecar>| item.object.namespace == spec.namespace;
    let selecting = all.iter().filter(own).find(|item| {
        item.spec.workload_selector.as_ref().is_some_and(|selector| selects(&labels(&selector.labels), &spec.labels))
    });
    let has_none = |item: &&Item<'a, Sidecar>| item.spec.workload_selector.is_none();
    let of_namespace = || all.iter().filter(own).find(has_none);
    let of_root = || all.iter().filter(|item| item.object.namespace == model.cx.root_namespace()).find(has_none);
    selecting.or_else(of_namespace).or_else(of_root).copied()
}

/// The hosts that an egress listener imports from one namespace, or from all (`*`).
type Hosts<'a> = FxHashMap<&'a str, Vec<&'a str>>;

/// What an egress listener imports, and which services it leaves out all the same.
#[derive(Debug, Default)]
struct Imports<'a> {
    hosts: Hosts<'a>,
    excluded: Hosts<'a>,
}

impl<'a> Scope<'a> {
    fn of_gateways(model: &'a Model<'a>, namespace: &str) -> Self {
        let mut services = Services::default();
        let visible = exported_to(model, namespace);
        visible.into_iter().for_each(|service| services.add(service));
        let listener = EgressListener {
            spec: None,
            port: None,
            only_port: None,
            services: services.list.clone(),
            virtual_services: model.virtual_services.for_gateway(namespace, MESH_GATEWAY),
        };
        services.into_scope(model, namespace, None, vec![listener])
    }

    fn of_sidecars(model: &'a Model<'a>, namespace: &str, sidecar: Option<Item<'a, Sidecar>>) -> Self {
        let egress: Vec<Option<&SidecarEgress>> = match sidecar {
            Some(item) if !item.spec.egress.is_empty() => item.spec.egress.iter().map(Some).collect(),
            _ => vec![None],
        };
        let listeners: Vec<_> = egress.into_iter().map(|spec| egress_listener(model, namespace, spec)).collect();
        let mut services = Services::default();
        for listener in &listeners {
            listener.services.iter().for_each(|service| services.add(service.clone()));
            for vs in &listener.virtual_services {
                for (host, ports) in destinations(vs, namespace) {
                    if let Some(service) = route_target(model, namespace, listener, &host, &ports) {
                        services.add(service);
                    }
                }
            }
        }
        services.into_scope(model, namespace, sidecar, listeners)
    }
}

/// Services by host, merged as they are added.
#[derive(Debug, Default)]
struct Services<'a> {
    list: Vec<VisibleService<'a>>,
    by_host: FxHashMap<String, usize>,
}

impl<'a> Services<'a> {
    /// Adds a service (Istio: `appendSidecarServices`). The first of a host stays, unless a
    /// Kubernetes Service takes the place of a ServiceEntry; mergeable ones give it their ports.
    fn add(&mut self, service: VisibleService<'a>) {
        let Some(index) = self.by_host.get(&service.host).copied() else {
            self.by_host.insert(service.host.clone(), self.list.len());
            self.list.push(service);
            return;
        };
        let existing = &mut self.list[index];
        match (existing.kubernetes, service.kubernetes) {
            (true, false) => {}
            (false, true) => *existing = service,
            _ if existing.ports == service.ports || !may_merge(existing, &service) => {}
            _ => {
                for port in &service.ports {
                    if existing.port(port.port).is_none() {
                        existing.service.to_mut().ports.push(port.clone());
                    }
                }
            }
        }
    }

    fn into_scope(
        self,
        model: &'a Model<'a>,
        namespace: &str,
        sidecar: Option<Item<'a, Sidecar>>,
        listeners: Vec<EgressListener<'a>>,
    ) -> Scope<'a> {
        let candidates =
            |service: &VisibleService<'_>| model.destination_rules.candidates(namespace, &service.host, &service.namespace);
        let rules = self.list.iter().map(candidates).collect();
        Scope { sidecar, listeners, services: self.list, by_host: self.by_host, rules }
    }
}

fn may_merge(a: &Service, b: &Service) -> bool {
    let key = |s: &Service| (s.namespace.clone(), s.resolution, s.selector.clone(), s.export_to.clone());
    key(a) == key(b)
}

/// Whether a service is visible in a namespace.
fn is_visible(service: &Service, namespace: &str) -> bool {
    audience(service, namespace).is_some()
}

/// Where a service stands in a namespace's order: private ones first, then those exported to it by
/// name, then public ones. `None` if it is invisible there.
fn audience(service: &Service, namespace: &str) -> Option<u8> {
    let names = |target: &str| service.export_to.iter().any(|t| t == target);
    let own = service.namespace == namespace;
    match () {
        () if names("*") => Some(2),
        () if names("~") => None,
        () if own && (names(".") || names(namespace)) => Some(0),
        () if !own && names(namespace) => Some(1),
        () => None,
    }
}

/// The services that a namespace sees, in order of precedence (Istio:
/// `servicesExportedToNamespace`). ExternalName services are names of others, not services.
fn exported_to<'a>(model: &'a Model<'a>, namespace: &str) -> Vec<VisibleService<'a>> {
    let registry = &model.registry;
    let mut visible: Vec<(u8, ServiceId)> =
        registry.by_age().iter().filter_map(|id| Some((audience(registry.service(*id), namespace)?, *id))).collect();
    // Stable: services stay ordered by age within their audience.
    visible.sort_by_key(|(audience, _)| *audience);
    visible.into_iter().map(|(_, id)| VisibleService { id, service: Cow::Borrowed(registry.service(id)) }).collect()
}

fn egress_listener<'a>(model: &'a Model<'a>, namespace: &str, spec: Option<&'a SidecarEgress>) -> EgressListener<'a> {
    let port = spec.and_then(|s| s.port.as_ref());
    let number = port.and_then(|p| p.number.as_ref()).and_then(|n| u16::try_from(n.value).ok());
    let word = port.and_then(|p| p.protocol.as_ref()).map_or("", |p| p.value.as_str());
    // A proxy for explicit HTTP proxying serves all ports.
    let is_http_proxy = protocol::of_word(word, &model.cx.options.profile) == Protocol::HttpProxy;
    let only_port = number.filter(|number| *number != 0 && !is_http_proxy);

    let imports = imports(spec, namespace);
    let mut services = Vec::new();
    for service in exported_to(model, namespace) {
        let names = |hosts: &[&str]| imports_service(hosts, &service.host);
        if listed(&imports.hosts, &service.namespace, names) && !listed(&imports.excluded, &service.namespace, names) {
            services.extend(trim(service, only_port));
        }
    }
    let services = one_namespace_per_host(services, namespace);
    let virtual_services = model.virtual_services.for_gateway(namespace, MESH_GATEWAY);
    let is_imported = |vs: &&VirtualService| {
        vs.hosts.iter().any(|own| {
            let names = |hosts: &[&str]| imports_virtual_service(hosts, &own.value, vs.semantics.is_gateway_api());
            let leaves_out = |hosts: &[&str]| imports_service(hosts, &own.value);
            listed(&imports.hosts, &vs.namespace, names) && !listed(&imports.excluded, &vs.namespace, leaves_out)
        })
    };
    let virtual_services = virtual_services.into_iter().filter(is_imported).collect();
    EgressListener { spec, port: number, only_port, services, virtual_services }
}

fn imports<'a>(spec: Option<&'a SidecarEgress>, own_namespace: &'a str) -> Imports<'a> {
    let mut imports = Imports::default();
    let Some(spec) = spec else {
        imports.hosts.insert("*", vec!["*"]);
        return imports;
    };
    for (namespace, host) in spec.hosts.iter().filter_map(|text| text.value.split_once('/')) {
        let (namespace, hosts) = match namespace.strip_prefix('~') {
            Some("") => ("*", &mut imports.excluded),
            Some(namespace) => (namespace, &mut imports.excluded),
            None => (namespace, &mut imports.hosts),
        };
        let namespace = if namespace == "." { own_namespace } else { namespace };
        hosts.entry(namespace).or_default().push(host);
    }
    imports
}

fn listed(hosts: &Hosts<'_>, namespace: &str, mut fits: impl FnMut(&[&str]) -> bool) -> bool {
    [namespace, "*"].iter().any(|key| hosts.get(key).is_some_and(|hosts| fits(hosts)))
}

fn imports_service(hosts: &[&str], service: &str) -> bool {
    hosts.iter().any(|host| host::is_subset_of(service, host))
}

fn imports_virtual_service(hosts: &[&str], own: &str, is_gateway_api: bool) -> bool {
    hosts.iter().any(|host| if is_gateway_api { host::is_subset_of(own, host) } else { host::matches(own, host) })
}

/// The service with one port only, if it has that port.
fn trim(mut service: VisibleService<'_>, only_port: Option<u16>) -> Option<VisibleService<'_>> {
    let Some(number) = only_port else { return Some(service) };
    service.port(number)?;
    if service.ports.len() > 1 {
        service.service.to_mut().ports.retain(|port| port.port == number);
    }
    Some(service)
}

/// Where several namespaces have services for one host, all but one namespace are dropped: the
/// client's own stays, else one with a Kubernetes Service, else the first.
fn one_namespace_per_host<'a>(services: Vec<VisibleService<'a>>, own: &str) -> Vec<VisibleService<'a>> {
    let mut chosen: FxHashMap<&str, &VisibleService<'_>> = FxHashMap::default();
    for service in &services {
        let best = chosen.entry(&service.host).or_insert(service);
        let is_better = service.namespace == own || (!best.kubernetes && service.kubernetes && best.namespace != own);
        if is_better {
            *best = service;
        }
    }
    let chosen: FxHashSet<(String, String)> =
        chosen.values().map(|service| (service.host.clone(), service.namespace.clone())).collect();
    services.into_iter().filter(|s| chosen.contains(&(s.host.clone(), s.namespace.clone()))).collect()
}

/// The hosts and ports that a VirtualService's rules lead to, for clients of a namespace. No port
/// means all of them.
fn destinations(vs: &VirtualService, namespace: &str) -> Vec<(String, Vec<u16>)> {
    let mut found: Vec<(String, Vec<u16>)> = Vec::new();
    let mut add = |destination: &Destination| {
        let Some(host) = &destination.host else { return };
        let number = destination.port.as_ref().and_then(|port| port.number.as_ref());
        let port = number.and_then(|n| u16::try_from(n.value).ok()).unwrap_or(0);
        match found.iter_mut().find(|(known, _)| *known == host.value) {
            Some((_, ports)) => ports.push(port),
            None => found.push((host.value.clone(), vec![port])),
        }
    };
    for rule in vs.http.iter().map(|rule| &rule.spec) {
        // Blocks that name no namespace do not count once another block names one.
        let mut named =
            rule.matches.iter().filter_map(|m| m.source_namespace.as_ref()).filter(|ns| !ns.value.is_empty()).peekable();
        if named.peek().is_some() && !named.any(|ns| ns.value == namespace) {
            continue;
        }
        rule.route.iter().filter_map(|r| r.destination.as_ref()).for_each(&mut add);
        rule.mirror.iter().for_each(&mut add);
        rule.mirrors.iter().filter_map(|m| m.destination.as_ref()).for_each(&mut add);
    }
    vs.tls.iter().flat_map(|rule| &rule.route).filter_map(|r| r.destination.as_ref()).for_each(&mut add);
    vs.tcp.iter().flat_map(|rule| &rule.route).filter_map(|r| r.destination.as_ref()).for_each(&mut add);
    found
}

/// The service that a route leads to, although no listener imports it: the client's namespace's,
/// else that of the first namespace in alphabetical order.
fn route_target<'a>(
    model: &'a Model<'a>,
    namespace: &str,
    listener: &EgressListener<'_>,
    host: &str,
    ports: &[u16],
) -> Option<VisibleService<'a>> {
    let registry = &model.registry;
    let all = registry.of_host(host);
    let own = all.iter().find(|id| registry.service(**id).namespace == namespace);
    let visible = all.iter().filter(|id| is_visible(registry.service(**id), namespace));
    // `of_host` has the service that counts first within each namespace.
    let first = || visible.min_by_key(|id| registry.service(**id).namespace.as_str());
    let id = *own.or_else(first)?;
    let mut service = VisibleService { id, service: Cow::Borrowed(registry.service(id)) };
    if listener.only_port.is_some() {
        return trim(service, listener.only_port);
    }
    if ports.is_empty() || ports.contains(&0) || service.ports.iter().all(|port| ports.contains(&port.port)) {
        return Some(service);
    }
    service.service.to_mut().ports.retain(|port| ports.contains(&port.port));
    (!service.ports.is_empty()).then_some(service)
}

#[cfg(test)]
mod tests {
    use crate::mesh::ProxyKind;
    use crate::mesh::compile::testing::{described, proxy};

    fn service(name: &str, namespace: &str, more: &str) -> String {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}{more}}}\n\
             spec: {{ports: [{{name: http, port: 80}}, {{name: http-alt, port: 81}}]}}\n"
        )
    }

    fn entry(name: &str, namespace: &str, more: &str) -> String {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  \
             hosts: [ext.test]\n{more}"
        )
    }

    fn sidecar(namespace: &str, more: &str) -> String {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: s, namespace: {namespace}}}\nspec:\n{more}"
        )
    }

    /// The clusters of a client in namespace `a`, without those that every proxy has.
    fn seen(yaml: &str, kind: ProxyKind) -> Vec<String> {
        let mesh = described(yaml, vec![proxy(kind, "client", "a", "app=client")], Vec::new());
        let names = mesh.proxies[0].clusters.iter().map(|c| c.name.replace("outbound|", "").replace(".svc.cluster.local", ""));
        names.filter(|name| name.contains('|')).collect()
    }

    #[test]
    fn services_are_seen_where_they_are_exported_to() {
        let annotation = |to: &str| format!(", annotations: {{networking.istio.io/exportTo: '{to}'}}");
        for (to, sees) in [("*", true), ("a", true), ("b,a", true), (".", false), ("~", false), ("c", false)] {
            assert_eq!(!seen(&service("web", "b", &annotation(to)), ProxyKind::Sidecar).is_empty(), sees, "{to}");
        }
        assert_eq!(seen(&service("web", "a", &annotation(".")), ProxyKind::Sidecar).len(), 2);
        assert_eq!(seen(&service("web", "a", &annotation("~")), ProxyKind::Sidecar).len(), 0);
    }

    #[test]
    fn a_sidecar_imports_hosts_ports_and_the_targets_of_routes() {
        let services = service("web", "a", "") + &service("db", "b", "") + &service("mail", "b", "");
        let route = "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: a}
spec:
  hosts: [web]
  http: [{route: [{destination: {host: db.b.svc.cluster.local, port: {number: 81}}}]}]
";
        let with = |more: &str| format!("{services}{}", sidecar("a", more));
        for (yaml, clusters) in [
            (services.clone(), vec!["80||db.b", "80||mail.b", "80||web.a", "81||db.b", "81||mail.b", "81||web.a"]),
            (with("  egress: [{hosts: ['./*']}]\n"), vec!["80||web.a", "81||web.a"]),
            (with("  egress: [{hosts: ['*/db.b.svc.cluster.local']}]\n"), vec!["80||db.b", "81||db.b"]),
            (with("  egress: [{hosts: ['~/*']}]\n"), vec![]),
            (
                with("  egress: [{port: {number: 81, protocol: HTTP, name: x}, hosts: ['b/*']}, {hosts: ['a/*']}]\n"),
                vec!["80||web.a", "81||db.b", "81||mail.b", "81||web.a"],
            ),
            (with("  egress: [{hosts: ['./*']}]\n") + route, vec!["80||web.a", "81||db.b", "81||web.a"]),
            // Of another namespace, and for other pods.
            (
                format!("{services}{}", sidecar("b", "  egress: [{hosts: ['~/*']}]\n")),
                vec!["80||db.b", "80||mail.b", "80||web.a", "81||db.b", "81||mail.b", "81||web.a"],
            ),
            (
                with("  workloadSelector: {labels: {app: x}}\n  egress: [{hosts: ['~/*']}]\n"),
                vec!["80||db.b", "80||mail.b", "80||web.a", "81||db.b", "81||mail.b", "81||web.a"],
            ),
        ] {
            assert_eq!(seen(&yaml, ProxyKind::Sidecar), clusters, "{yaml}");
        }
        assert_eq!(seen(&with("  egress: [{hosts: ['~/*']}]\n"), ProxyKind::Gateway).len(), 6);
        let root = format!("{services}{}", sidecar("istio-system", "  egress: [{hosts: ['./*']}]\n"));
        assert_eq!(seen(&root, ProxyKind::Sidecar), ["80||web.a", "81||web.a"]);
    }

    #[test]
    fn of_one_host_in_several_namespaces_the_clients_own_counts() {
        let port = |number: u16| format!("  ports: [{{number: {number}, name: http, protocol: HTTP}}]\n");
        let b = entry("x", "b", &port(1001));
        let c = entry("x", "c", &port(1002));
        let a = entry("x", "a", &port(1003));
        assert_eq!(seen(&format!("{c}{b}"), ProxyKind::Sidecar), ["1001||ext.test"]);
        assert_eq!(seen(&format!("{c}{b}{a}"), ProxyKind::Sidecar), ["1003||ext.test"]);
        assert_eq!(seen(&format!("{c}{b}{a}"), ProxyKind::Gateway), ["1003||ext.test"]);
    }

    #[test]
    fn service_entries_of_one_namespace_for_one_host_share_their_ports() {
        let first = entry("x", "b", "  ports: [{number: 80, name: http, protocol: HTTP}]\n");
        let second = entry("y", "b", "  ports: [{number: 443, name: tls, protocol: TLS}]\n");
        assert_eq!(seen(&format!("{first}{second}"), ProxyKind::Sidecar), ["443||ext.test", "80||ext.test"]);
        let other = entry("y", "b", "  resolution: DNS\n  ports: [{number: 443, name: tls, protocol: TLS}]\n");
        assert_eq!(seen(&format!("{first}{other}"), ProxyKind::Sidecar), ["80||ext.test"]);
    }
}
