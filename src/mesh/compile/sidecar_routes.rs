//! The virtual hosts of a sidecar's port: which VirtualService owns which host, and under which
//! names a host answers (Istio: `BuildSidecarOutboundVirtualHosts`).

use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};

use super::registry::Registry;
use super::routes::{RouteScope, SeenService};
use super::shared_routes::SharedRoutes;
use super::virtual_service::VirtualService;
use super::visibility::VisibleService;
use crate::mesh::registry::{Protocol, Resolution, Service, ServicePort};
use crate::mesh::route::{HashPolicy, Route, VirtualHost};
use crate::mesh::{Origin, host};

/// The port on which hosts that are no service are served.
const PORT_OF_UNKNOWN_HOSTS: u16 = 80;

/// What a sidecar sees through one of its egress listeners.
#[derive(Clone, Copy)]
pub(super) struct EgressScope<'a> {
    /// Services.
    pub(super) services: &'a [VisibleService<'a>],
    /// VirtualServices in order of precedence.
    pub(super) virtual_services: &'a [&'a VirtualService],
    /// Which VirtualService a service belongs to.
    pub(super) owners: &'a HostOwners,
    /// The registry, for aliases.
    pub(super) registry: &'a Registry,
    /// The hash policy of a service's port when no rule leads to it.
    pub(super) service_hash: &'a dyn Fn(&str, u16) -> Option<HashPolicy>,
    /// The cluster's domain.
    pub(super) cluster_domain: &'a str,
    /// Routes that other sidecars have too.
    pub(super) shared: &'a SharedRoutes,
}

/// For every service the VirtualService whose host covers it most specifically: its exact host, else
/// the longest wildcard, the oldest of equals (Istio: `computeWildcardHostVirtualServiceIndex`).
#[derive(Debug, Clone, Default)]
pub(super) struct HostOwners {
    /// Positions among the VirtualServices by host, the oldest first.
    by_name: FxHashMap<String, Vec<usize>>,
    /// The same of wildcards, the most specific first.
    wildcards: Vec<(String, usize)>,
}

impl HostOwners {
    pub(super) fn new(virtual_services: &[&VirtualService]) -> Self {
        let mut owners = HostOwners::default();
        for (index, vs) in virtual_services.iter().enumerate() {
            for name in &vs.hosts {
                if host::is_wildcard(name) {
                    owners.wildcards.push((name.value.clone(), index));
                } else {
                    owners.by_name.entry(name.value.clone()).or_default().push(index);
                }
            }
        }
        // Stable: of equal wildcards the oldest stays first.
        owners.wildcards.sort_by(|a, b| host::specific_first(&a.0, &b.0));
        owners
    }

    /// The position of the owner of a host.
    fn of(&self, name: &str) -> Option<usize> {
        let exact = self.by_name.get(name).and_then(|all| all.first()).copied();
        let covers = || self.wildcards.iter().find(|(wildcard, _)| host::is_subset_of(name, wildcard));
        exact.or_else(|| covers().map(|(_, index)| *index))
    }
}

/// The services of a port by host.
type Services<'a> = IndexMap<&'a str, &'a Service, FxBuildHasher>;

/// The VirtualServices that may have something to say about a port, with their positions.
fn candidates<'a>(port: u16, services: &Services<'_>, egress: EgressScope<'a>) -> Vec<(usize, &'a VirtualService)> {
    let all = egress.virtual_services.iter().copied().enumerate();
    if port == PORT_OF_UNKNOWN_HOSTS {
        return all.collect();
    }
    let wildcards: Vec<&str> = services.keys().copied().filter(|host| host::is_wildcard(host)).collect();
    if !wildcards.is_empty() {
        let is_covered = |name: &str| wildcards.iter().any(|service| host::matches(name, service));
        return all.filter(|(_, vs)| vs.hosts.iter().any(|name| is_covered(name) || names_a_service(name, services))).collect();
    }
    let exact = services.keys().filter_map(|host| egress.owners.by_name.get(*host)).flatten();
    let wild = egress.owners.wildcards.iter().filter(|(name, _)| names_a_service(name, services)).map(|(_, index)| index);
    let positions: BTreeSet<usize> = exact.chain(wild).copied().collect();
    positions.into_iter().map(|index| (index, egress.virtual_services[index])).collect()
}

/// Whether a host is a service or covers one.
fn names_a_service(name: &str, services: &Services<'_>) -> bool {
    services.contains_key(name) || (host::is_wildcard(name) && services.keys().any(|service| host::matches(name, service)))
}

/// Routes with the hosts they are for: services, and names that are no service.
struct Claim<'a> {
    services: Vec<&'a Service>,
    unknown_hosts: Vec<&'a str>,
    routes: Arc<[Route]>,
    origin: Origin,
}

/// The virtual hosts of a port, sorted by name, without the one for unknown hosts.
pub(super) fn virtual_hosts(port: u16, egress: EgressScope<'_>, scope: &RouteScope<'_>) -> Vec<VirtualHost> {
    let services: Services<'_> = egress
        .services
        .iter()
        .filter(|service| tcp_port(service, port).is_some())
        .map(|service| (service.host.as_str(), &**service))
        .collect();
    let seen = |name: &str| match services.get(name) {
        Some(_) => Some(SeenService { only_port: Some(port), alias_of: None }),
        None => alias(egress.registry, name, Some(port)),
    };
    let scope = RouteScope { service: &seen, port, ..*scope };
    let mut claims: Vec<Claim<'_>> = candidates(port, &services, egress)
        .into_iter()
        .filter_map(|(index, vs)| claim(index, vs, &services, port, egress, &scope))
        .collect();
    let claimed: FxHashSet<&str> = claims.iter().flat_map(|claim| &claim.services).map(|service| service.host.as_str()).collect();
    let left = services.values().filter(|service| !claimed.contains(service.host.as_str()));
    let defaults = left.filter_map(|service| default_claim(service, port, egress, &scope));
    claims.extend(defaults.collect::<Vec<_>>());
    Names::new(&claims).name(&claims, port, egress, &scope)
}

/// The alias of a name as a destination sees it; with a port only if it has that port.
pub(super) fn alias(registry: &Registry, name: &str, port: Option<u16>) -> Option<SeenService> {
    let service = registry.of_host(name).iter().map(|id| registry.service(*id)).find(|s| s.alias_of.is_some())?;
    if port.is_some_and(|port| tcp_port(service, port).is_none()) {
        return None;
    }
    let only_port = match service.ports.as_slice() {
        [only] => Some(only.port),
        _ => port,
    };
    Some(SeenService { only_port, alias_of: service.alias_of.clone() })
}

/// The port with this number, unless it is UDP.
pub(super) fn tcp_port(service: &Service, number: u16) -> Option<&ServicePort> {
    service.ports.iter().find(|port| port.port == number && port.protocol != Protocol::Udp)
}

pub(super) fn speaks_http(service: &Service, number: u16) -> bool {
    tcp_port(service, number).is_some_and(|port| port.protocol.is_http() || port.protocol == Protocol::Sniffed)
}

/// What a VirtualService claims on a port; nothing if it has no route for this client and port.
fn claim<'a>(
    index: usize,
    vs: &'a VirtualService,
    services: &Services<'a>,
    port: u16,
    egress: EgressScope<'a>,
    scope: &RouteScope<'_>,
) -> Option<Claim<'a>> {
    let routes = egress.shared.of_rules(vs, scope);
    if routes.is_empty() {
        return None;
    }
    let (mut covered, unknown_hosts) = hosts(index, vs, services, egress.owners);
    if vs.semantics.is_gateway_api() {
        // A route counts in the namespace of its service and in its own.
        covered.retain(|service| service.namespace == vs.namespace || scope.client_namespace == vs.namespace);
        if covered.is_empty() {
            return None;
        }
    }
    covered.retain(|service| speaks_http(service, port));
    if covered.is_empty() && port != PORT_OF_UNKNOWN_HOSTS {
        return None;
    }
    Some(Claim { services: covered, unknown_hosts, routes, origin: vs.origin })
}

/// The services that a VirtualService's hosts cover, and its hosts that cover none.
fn hosts<'a>(
    index: usize,
    vs: &'a VirtualService,
    services: &Services<'a>,
    owners: &HostOwners,
) -> (Vec<&'a Service>, Vec<&'a str>) {
    let (wildcards, names): (Vec<&str>, Vec<&str>) =
        vs.hosts.iter().map(|host| host.value.as_str()).partition(|name| host::is_wildcard(name));
    let mut covered = Vec::new();
    let mut unknown = Vec::new();
    for name in names {
        match services.get(name) {
            Some(service) => covered.push(*service),
            None => unknown.push(name),
        }
    }
    for wildcard in wildcards {
        let mut found = false;
        if !vs.semantics.is_gateway_api() {
            for service in services.values().filter(|service| host::matches(&service.host, wildcard)) {
                found = true;
                if owners.of(&service.host) == Some(index) {
                    covered.push(service);
                }
            }
        }
        if !found {
            unknown.push(wildcard);
        }
    }
    (covered, unknown)
}

fn default_claim<'a>(service: &&'a Service, port: u16, egress: EgressScope<'a>, scope: &RouteScope<'_>) -> Option<Claim<'a>> {
    if service.resolution == Resolution::Alias || !speaks_http(service, port) {
        return None;
    }
    let routes = egress.shared.of_service(service, (egress.service_hash)(&service.host, port), scope);
    Some(Claim { services: vec![service], unknown_hosts: Vec::new(), routes, origin: service.origin })
}

/// Hands out names of virtual hosts and their domains; whoever comes first keeps them.
struct Names {
    /// Names of virtual hosts that are taken.
    virtual_hosts: FxHashSet<String>,
    /// Domains that are taken.
    domains: FxHashSet<String>,
    /// Hosts of services, which no other service's short form may take.
    known: FxHashSet<String>,
}

impl Names {
    fn new(claims: &[Claim<'_>]) -> Self {
        let known = claims.iter().flat_map(|claim| &claim.services).map(|service| service.host.clone()).collect();
        Names { virtual_hosts: FxHashSet::default(), domains: FxHashSet::default(), known }
    }

    fn name(mut self, claims: &[Claim<'_>], port: u16, egress: EgressScope<'_>, scope: &RouteScope<'_>) -> Vec<VirtualHost> {
        let mut made = Vec::new();
        for claim in claims {
            for unknown in &claim.unknown_hosts {
                let domains = vec![(host_domain(unknown), false)];
                made.extend(self.virtual_host(unknown, domains, port, claim));
            }
            for service in &claim.services {
                let domains = service_domains(service, egress, scope);
                made.extend(self.virtual_host(&service.host, domains, port, claim));
            }
        }
        made.sort_by(|a, b| a.name.cmp(&b.name));
        made
    }

    fn virtual_host(&mut self, host: &str, domains: Vec<(String, bool)>, port: u16, claim: &Claim<'_>) -> Option<VirtualHost> {
        let name = format!("{}:{port}", host_domain(host));
        if !self.virtual_hosts.insert(name.clone()) {
            return None;
        }
        let free = domains.into_iter().filter(|(domain, is_short)| !(*is_short && self.known.contains(domain)));
        let free: Vec<String> = free.map(|(domain, _)| domain.to_lowercase()).collect();
        let domains: Vec<String> = free.into_iter().filter(|domain| self.domains.insert(domain.clone())).collect();
        (!domains.is_empty()).then(|| VirtualHost {
            name,
            domains,
            routes: Arc::clone(&claim.routes),
            require_tls: false,
            origin: claim.origin,
        })
    }
}

/// A host as a domain: IPv6 addresses stand in brackets.
fn host_domain(host: &str) -> String {
    if host.parse::<std::net::Ipv6Addr>().is_ok() { format!("[{host}]") } else { host.to_owned() }
}

/// The domains of a service, and whether each is a short form of its host.
fn service_domains(service: &Service, egress: EgressScope<'_>, scope: &RouteScope<'_>) -> Vec<(String, bool)> {
    let aliases = egress.registry.aliases_of(&service.host).iter().map(|id| &egress.registry.service(*id).host);
    let mut domains = Vec::new();
    for name in std::iter::once(&service.host).chain(aliases) {
        domains.push((host_domain(name), false));
        if !name.ends_with('.') && host_domain(name) == *name && name.parse::<std::net::IpAddr>().is_err() {
            domains.push((format!("{name}."), false));
        }
        let short = short_forms(name, scope.client_namespace, egress.cluster_domain);
        domains.extend(short.into_iter().map(|form| (form, true)));
    }
    if service.is_headless() {
        // The names of single pods.
        let pods: Vec<_> = domains.iter().map(|(domain, _)| (format!("*.{domain}"), false)).collect();
        domains.extend(pods);
    }
    domains.extend(service.addresses.iter().filter(|a| *a != "0.0.0.0").map(|address| (host_domain(address), false)));
    domains
}

/// The short forms of a Kubernetes service's host that a client of `namespace` may use.
fn short_forms(name: &str, namespace: &str, cluster_domain: &str) -> Vec<String> {
    let Some(base) = name.strip_suffix(&format!(".svc.{cluster_domain}")) else { return Vec::new() };
    let Some((short, owner)) = base.split_once('.') else { return Vec::new() };
    let own = (owner == namespace).then(|| short.to_owned());
    own.into_iter().chain([format!("{base}.svc"), base.to_owned()]).collect()
}

/// The virtual host of a sniffed service's own address, where the Host header does not matter. An
/// alias or a claim by another VirtualService may leave none.
pub(super) fn sniffed_virtual_hosts(all: &[VirtualHost], host: &str) -> Vec<VirtualHost> {
    let mut own: Vec<VirtualHost> =
        all.iter().filter(|candidate| candidate.domains.iter().any(|domain| domain == host)).cloned().collect();
    if let [only] = own.as_mut_slice() {
        only.domains = vec!["*".to_owned()];
    }
    own
}

#[cfg(test)]
mod tests {
    use super::super::testing::{described, pods, proxy, virtual_hosts};
    use crate::mesh::{Mesh, ProxyKind};

    const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {clusterIP: 10.0.0.1, selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: ratings, namespace: shop}
spec: {clusterIP: 10.0.0.2, selector: {app: ratings}, ports: [{name: http, port: 9080}, {name: http-web, port: 80}]}
";

    /// The mesh of the services above with VirtualServices in namespace `shop`, written as
    /// `name: spec`, seen by a client with labels.
    fn mesh(rules: &[(&str, &str)], labels: &str) -> Mesh {
        let object = |(name, spec): &(&str, &str)| {
            format!(
                "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n"
            )
        };
        let yaml = format!("{SERVICES}{}", rules.iter().map(object).collect::<String>());
        described(
            &yaml,
            vec![proxy(ProxyKind::Sidecar, "client", "shop", labels)],
            vec![pods("reviews.shop", "app=reviews", 1, 9080)],
        )
    }

    const REVIEWS: &str = "reviews.shop.svc.cluster.local:9080";

    fn reviews(mesh: &Mesh) -> String {
        let hosts = virtual_hosts(&mesh.proxies[0], "9080");
        hosts.into_iter().find_map(|host| host.strip_prefix(&format!("{REVIEWS}: ")).map(str::to_owned)).unwrap()
    }

    fn to(subset: &str) -> String {
        format!("outbound|9080|{subset}|reviews.shop.svc.cluster.local")
    }

    #[test]
    fn the_first_virtual_service_with_a_route_owns_a_host_whole() {
        let plain = |subset: &str| {
            format!("{{hosts: [reviews], http: [{{route: [{{destination: {{host: reviews, subset: {subset}}}}}]}}]}}")
        };
        let for_app = |app: &str, subset: &str| {
            format!(
                "{{hosts: [reviews], http: [{{match: [{{sourceLabels: {{app: {app}}}}}], route: [{{destination: {{host: reviews, subset: {subset}}}}}]}}]}}"
            )
        };
        let wildcard = "{hosts: ['*.shop.svc.cluster.local'], http: [{route: [{destination: {host: reviews, subset: wild}}]}]}";
        let (one, two, other) = (plain("one"), plain("two"), for_app("other", "three"));
        for (rules, expected) in [
            (vec![("a", one.as_str()), ("b", &two)], to("one")),
            (vec![("a", &other), ("b", &two)], to("two")),
            (vec![("a", &other)], to("")),
            (vec![("a", wildcard)], to("wild")),
            (vec![("a", wildcard), ("b", &two)], to("two")),
            // An exact host without a route left does not fall back to the wildcard.
            (vec![("a", wildcard), ("b", &other)], to("")),
        ] {
            assert_eq!(reviews(&mesh(&rules, "app=client")), expected, "{rules:?}");
        }
    }

    #[test]
    fn hosts_that_are_no_service_are_served_on_port_80_and_beside_services() {
        let alone = "{hosts: [ext.test], http: [{directResponse: {status: 418}}]}";
        let beside = "{hosts: [ext.test, reviews], http: [{directResponse: {status: 418}}]}";
        let listed = |mesh: &Mesh, table| virtual_hosts(&mesh.proxies[0], table).iter().any(|host| host.starts_with("ext.test:"));
        for (spec, on_80, on_9080) in [(alone, true, false), (beside, true, true)] {
            let mesh = mesh(&[("a", spec)], "");
            assert_eq!((listed(&mesh, "80"), listed(&mesh, "9080")), (on_80, on_9080), "{spec}");
        }
    }

    #[test]
    fn a_service_answers_to_every_form_of_its_name_that_the_client_may_use() {
        let domains = |namespace: &str| -> Vec<String> {
            let mesh = described(SERVICES, vec![proxy(ProxyKind::Sidecar, "client", namespace, "")], Vec::new());
            let table = mesh.proxies[0].route_tables.iter().find(|table| table.name == "9080").unwrap();
            table.virtual_hosts.iter().find(|host| host.name == REVIEWS).unwrap().domains.clone()
        };
        let full = ["reviews.shop.svc.cluster.local", "reviews.shop.svc.cluster.local."];
        let short = ["reviews.shop.svc", "reviews.shop", "10.0.0.1"];
        assert_eq!(domains("other"), [full.as_slice(), &short].concat());
        assert_eq!(domains("shop"), [full.as_slice(), &["reviews"], &short].concat());
    }

    #[test]
    fn unknown_hosts_are_forwarded_or_blocked() {
        let sidecar = "---\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s, namespace: shop}\nspec: {egress: [{hosts: ['*/*']}], outboundTrafficPolicy: {mode: REGISTRY_ONLY}}\n";
        for (more, last, fallback) in
            [("", "allow_any: PassthroughCluster", "PassthroughCluster"), (sidecar, "block_all: direct 502", "BlackHoleCluster")]
        {
            let mesh = described(&format!("{SERVICES}{more}"), vec![proxy(ProxyKind::Sidecar, "c", "shop", "")], Vec::new());
            assert_eq!(virtual_hosts(&mesh.proxies[0], "9080").last().unwrap(), last);
            assert_eq!(mesh.proxies[0].fallback.as_ref().unwrap().name, fallback);
        }
    }

    #[test]
    fn a_destination_without_port_takes_the_dialled_one() {
        let spec = "{hosts: [ratings], http: [{route: [{destination: {host: reviews}}]}]}";
        let mesh = mesh(&[("a", spec)], "");
        let on = |table| virtual_hosts(&mesh.proxies[0], table)[0].clone();
        assert_eq!(on("80"), "ratings.shop.svc.cluster.local:80: outbound|80||reviews.shop.svc.cluster.local");
        assert_eq!(on("9080"), "ratings.shop.svc.cluster.local:9080: outbound|9080||reviews.shop.svc.cluster.local");
    }
}
