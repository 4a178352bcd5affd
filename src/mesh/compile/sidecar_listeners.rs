//! The outbound listeners of a sidecar: one per HTTP port on every address, one per address for
//! bytes and for ports of unknown protocol (Istio: `buildSidecarOutboundListener`).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use indexmap::IndexMap;
use rustc_hash::FxHashSet;

use super::l4_routes::{self, L4Port, L4Scope};
use super::routes;
use super::sidecar_routes::EgressScope;
use crate::mesh::proxy::{ChainMatch, ChainTarget, FilterChain, Listener};
use crate::mesh::registry::{Protocol, Resolution, Service, ServicePort};
use crate::mesh::route::ClusterRef;
use crate::mesh::{Origin, RouteTableId, host};
use crate::source::Span;

/// Application protocols that say "HTTP in clear".
const HTTP_PROTOCOLS: [&str; 3] = ["http/1.0", "http/1.1", "h2c"];

/// Protocols in which the server speaks first, so that bytes must never be waited for: they share
/// their address with no other protocol.
const SERVER_FIRST: [Protocol; 2] = [Protocol::Mongo, Protocol::MySql];

/// Whether a port carries HTTP, bytes, or something that must be found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Bytes,
    Sniffed,
}

fn kind(protocol: Protocol) -> Option<Kind> {
    match protocol {
        Protocol::Udp => None,
        Protocol::Sniffed => Some(Kind::Sniffed),
        protocol if protocol.is_http() => Some(Kind::Http),
        _ => Some(Kind::Bytes),
    }
}

/// A listener in the making.
struct Draft {
    kind: Kind,
    /// The protocol; [`Protocol::Sniffed`] once several share the listener.
    protocol: Protocol,
    chains: Vec<FilterChain>,
    /// Whether a Sidecar's egress listener of its own keeps others out.
    locked: bool,
    origin: Origin,
}

impl Draft {
    /// Whether a service's port cannot join the listener, or need not because it is served already.
    fn keeps_out(&self, protocol: Protocol, kind: Kind) -> bool {
        let served = matches!((self.kind, kind), (Kind::Sniffed, Kind::Sniffed | Kind::Http) | (Kind::Http, Kind::Http));
        let speaks_first = SERVER_FIRST.contains(&protocol) || SERVER_FIRST.contains(&self.protocol);
        self.locked || served || (speaks_first && protocol != self.protocol)
    }

    /// The chains, of which the last one that asks for nothing takes what no other takes.
    fn into_chains(self, fallback: &ClusterRef) -> Vec<FilterChain> {
        let (mut defaults, mut chains): (Vec<_>, Vec<_>) =
            self.chains.into_iter().partition(|chain| chain.matcher == ChainMatch::default());
        chains.push(defaults.pop().unwrap_or_else(|| fallback_chain(fallback)));
        chains
    }
}

/// A listener of an egress entry that names a port: what it listens on.
#[derive(Debug, Clone)]
pub(super) struct OwnPort {
    pub(super) number: u16,
    pub(super) protocol: Protocol,
}

/// The listeners of a sidecar. `route_table` gives the id of a table by name: a port, or
/// `host:port` for a service that is told by its address.
pub(super) struct SidecarListeners<'a> {
    /// Where bytes go that no chain takes.
    pub(super) fallback: ClusterRef,
    /// Pod addresses of a service's port, for services without an address of their own.
    pub(super) pod_addresses: &'a dyn Fn(&str, u16) -> Vec<String>,
    drafts: IndexMap<(Option<String>, u16), Draft>,
}

/// One port of one service as an egress listener serves it.
struct Entry<'s> {
    service: &'s Service,
    number: u16,
    protocol: Protocol,
    /// An address that the Sidecar binds to.
    bind: Option<&'s str>,
}

impl<'a> SidecarListeners<'a> {
    pub(super) fn new(fallback: ClusterRef, pod_addresses: &'a dyn Fn(&str, u16) -> Vec<String>) -> Self {
        SidecarListeners { fallback, pod_addresses, drafts: IndexMap::new() }
    }

    /// Adds the services of an egress listener. `own_port` and `bind` are what the Sidecar says.
    pub(super) fn add(
        &mut self,
        egress: EgressScope<'_>,
        own_port: Option<&OwnPort>,
        bind: Option<&str>,
        l4: &L4Scope<'_>,
        route_table: &mut dyn FnMut(&str) -> RouteTableId,
    ) {
        if own_port.is_none() {
            self.drafts.values_mut().for_each(|draft| draft.locked = true);
        }
        for service in egress.services.iter().filter(|service| service.resolution != Resolution::Alias) {
            let service: &Service = service;
            let own;
            let ports = match own_port {
                Some(OwnPort { number, protocol }) => {
                    own = [(*number, *protocol)];
                    own.to_vec()
                }
                None => service.ports.iter().map(|port: &ServicePort| (port.port, port.protocol)).collect(),
            };
            for (number, protocol) in ports {
                self.add_port(&Entry { service, number, protocol, bind }, egress, l4, route_table);
            }
        }
    }

    fn add_port(
        &mut self,
        entry: &Entry<'_>,
        egress: EgressScope<'_>,
        l4: &L4Scope<'_>,
        route_table: &mut dyn FnMut(&str) -> RouteTableId,
    ) {
        let Some(kind) = kind(entry.protocol) else { return };
        let service = entry.service;
        let told_by_pod = kind != Kind::Http
            && entry.bind.is_none()
            && service.resolution == Resolution::Passthrough
            && service.addresses.iter().all(|address| address == "0.0.0.0");
        if told_by_pod {
            let pods = (self.pod_addresses)(&service.host, entry.number);
            if !pods.is_empty() || service.kubernetes || !service.selector.is_empty() {
                for pod in pods.iter().filter(|pod| pod.parse::<IpAddr>().is_ok()) {
                    self.add_at(entry, kind, Some(pod.clone()), None, egress, l4, route_table);
                }
                return;
            }
        }
        if let Some(bind) = entry.bind {
            let address = (bind != "0.0.0.0").then(|| bind.to_owned());
            self.add_at(entry, kind, address, None, egress, l4, route_table);
        } else if kind == Kind::Http || service.addresses.is_empty() {
            self.add_at(entry, kind, None, None, egress, l4, route_table);
        } else {
            for address in &service.addresses {
                match single_address(address) {
                    Some(single) => {
                        let single = (single != "0.0.0.0").then(|| single.to_owned());
                        self.add_at(entry, kind, single, None, egress, l4, route_table);
                    }
                    None => self.add_at(entry, kind, None, Some(address), egress, l4, route_table),
                }
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one call per address of one port, all of it context")]
    fn add_at(
        &mut self,
        entry: &Entry<'_>,
        kind: Kind,
        address: Option<String>,
        subnet: Option<&String>,
        egress: EgressScope<'_>,
        l4: &L4Scope<'_>,
        route_table: &mut dyn FnMut(&str) -> RouteTableId,
    ) {
        let key = (address, entry.number);
        if self.drafts.get(&key).is_some_and(|existing| existing.keeps_out(entry.protocol, kind)) {
            return;
        }
        let bytes = || byte_chains(entry, key.0.as_deref(), subnet, egress, l4);
        let mut http = |sniffed: bool| {
            let by_address = sniffed && key.0.is_some();
            let name = if by_address { format!("{}:{}", entry.service.host, entry.number) } else { entry.number.to_string() };
            http_chain(route_table(&name), sniffed || key.0.is_none(), entry.service.origin)
        };
        let chains = match kind {
            Kind::Http => vec![http(false)],
            Kind::Bytes => bytes(),
            Kind::Sniffed => {
                let mut chains = bytes();
                chains.push(http(true));
                chains
            }
        };
        // An HTTP listener on every address tells HTTP from the rest.
        let made = if kind == Kind::Http && key.0.is_none() { Kind::Sniffed } else { kind };
        match self.drafts.get_mut(&key) {
            Some(draft) if !(draft.kind == Kind::Http && kind == Kind::Sniffed) => {
                for chain in chains {
                    if !draft.chains.iter().any(|known| same_connections(&known.matcher, &chain.matcher)) {
                        draft.chains.push(chain);
                    }
                }
                if draft.kind != kind {
                    (draft.kind, draft.protocol) = (Kind::Sniffed, Protocol::Sniffed);
                }
            }
            _ => {
                let protocol = if made == kind { entry.protocol } else { Protocol::Sniffed };
                let draft = Draft { kind: made, protocol, chains, locked: false, origin: entry.service.origin };
                self.drafts.insert(key, draft);
            }
        }
    }

    /// The listeners, sorted by port and address, and the ones that the proxy would not load.
    pub(super) fn finish(self) -> (Vec<Listener>, Vec<Listener>) {
        let fallback = self.fallback;
        let mut listeners: Vec<Listener> = self
            .drafts
            .into_iter()
            .map(|((address, port), draft)| Listener {
                name: format!("{}_{port}", address.as_deref().unwrap_or("0.0.0.0")),
                address,
                port,
                origin: draft.origin,
                chains: draft.into_chains(&fallback),
            })
            .collect();
        listeners.sort_by(|a, b| (a.port, &a.address).cmp(&(b.port, &b.address)));
        listeners.into_iter().partition(|listener| !has_equal_matches(listener))
    }
}

/// A network of one address is that address; `None` for larger ones.
fn single_address(address: &str) -> Option<&str> {
    match address.split_once('/') {
        None => Some(address),
        Some((base, bits)) => {
            let full = if base.contains(':') { "128" } else { "32" };
            (bits == full).then_some(base)
        }
    }
}

fn http_chain(table: RouteTableId, beside_bytes: bool, origin: Origin) -> FilterChain {
    let matcher = if beside_bytes {
        ChainMatch {
            transport_protocol: "raw_buffer".to_owned(),
            application_protocols: HTTP_PROTOCOLS.iter().map(|protocol| (*protocol).to_owned()).collect(),
            ..ChainMatch::default()
        }
    } else {
        ChainMatch::default()
    };
    FilterChain { name: String::new(), matcher, terminates: None, target: ChainTarget::Http(table), origin }
}

fn byte_chains(
    entry: &Entry<'_>,
    address: Option<&str>,
    subnet: Option<&String>,
    egress: EgressScope<'_>,
    l4: &L4Scope<'_>,
) -> Vec<FilterChain> {
    let service = entry.service;
    let carries_tls = matches!(entry.protocol, Protocol::Https | Protocol::Tls);
    let port = match service.ports.as_slice() {
        [only] => only.port,
        _ => entry.number,
    };
    let shares_address = subnet.is_some() || address.is_none();
    let matching = egress.virtual_services.iter().copied();
    let port = L4Port {
        default_cluster: routes::cluster_name(port, "", &service.host),
        subnets: subnet.into_iter().cloned().collect(),
        default_server_names: if carries_tls && shares_address { vec![service.host.clone()] } else { Vec::new() },
        virtual_services: matching.filter(|vs| vs.hosts.iter().any(|own| host::matches(own, &service.host))).collect(),
        origin: service.origin,
    };
    let scope = L4Scope { port: entry.number, ..*l4 };
    if carries_tls { l4_routes::tls_chains(port, &scope) } else { l4_routes::tcp_chains(port, &scope) }
}

fn fallback_chain(cluster: &ClusterRef) -> FilterChain {
    let legs = crate::mesh::proxy::TcpLegs { legs: vec![(cluster.clone(), 100, Span::NOWHERE)] };
    FilterChain { name: cluster.name.clone(), ..l4_routes::tcp_chain(ChainMatch::default(), legs, Origin::default()) }
}

/// A network in one spelling: addresses masked, single addresses with their full length.
fn network(text: &str) -> String {
    let (base, bits) = text.split_once('/').map_or((text, None), |(base, bits)| (base, bits.parse::<u32>().ok()));
    match base.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => {
            let bits = bits.unwrap_or(32).min(32);
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            format!("{}/{bits}", Ipv4Addr::from_bits(address.to_bits() & mask))
        }
        Ok(IpAddr::V6(address)) => {
            let bits = bits.unwrap_or(128).min(128);
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            format!("{}/{bits}", Ipv6Addr::from_bits(address.to_bits() & mask))
        }
        Err(_) => text.to_owned(),
    }
}

/// Whether two chains ask for the same, in whatever order (Istio: `conflictsWith`).
fn same_connections(a: &ChainMatch, b: &ChainMatch) -> bool {
    let networks = |matcher: &ChainMatch| matcher.destination_subnets.iter().map(|text| network(text)).collect::<BTreeSet<_>>();
    let names = |matcher: &ChainMatch| matcher.server_names.iter().cloned().collect::<BTreeSet<_>>();
    a.transport_protocol == b.transport_protocol
        && a.application_protocols == b.application_protocols
        && names(a) == names(b)
        && networks(a) == networks(b)
}

/// Whether two chains of a listener take the very same connections, for which Envoy refuses to load
/// the listener.
pub(super) fn has_equal_matches(listener: &Listener) -> bool {
    let mut seen = FxHashSet::default();
    let or_any = |list: Vec<String>| if list.is_empty() { vec![String::new()] } else { list };
    for chain in &listener.chains {
        let matcher = &chain.matcher;
        let networks = or_any(matcher.destination_subnets.iter().map(|text| network(text)).collect());
        for network in networks {
            for name in or_any(matcher.server_names.clone()) {
                for application in or_any(matcher.application_protocols.clone()) {
                    let key = (network.clone(), name.clone(), matcher.transport_protocol.clone(), application);
                    if !seen.insert(key) {
                        return true;
                    }
                }
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::testing::{chains, described, proxy};
    use crate::mesh::{Mesh, ProxyKind};

    fn mesh(yaml: &str, labels: &str) -> Mesh {
        described(yaml, vec![proxy(ProxyKind::Sidecar, "client", "shop", labels)], Vec::new())
    }

    const HTTP: &str = "http/1.0,http/1.1,h2c";

    #[test]
    fn http_ports_are_shared_and_sniffed_ports_belong_to_an_address() {
        let yaml = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}, {name: unknown, port: 81}, {name: tcp-db, port: 82}, {name: https, port: 83}]}
";
        let mesh = mesh(yaml, "");
        let client = &mesh.proxies[0];
        let to = |port| format!("outbound|{port}||web.shop.svc.cluster.local");
        assert_eq!(chains(client, "0.0.0.0_80"), [format!("||{HTTP} -> table 80"), "|| -> PassthroughCluster".to_owned()]);
        let sniffed = [format!("||{HTTP} -> table web.shop.svc.cluster.local:81"), format!("|| -> {}", to(81))];
        assert_eq!(chains(client, "10.0.0.1_81"), sniffed);
        assert_eq!(chains(client, "10.0.0.1_82"), [format!("|| -> {}", to(82))]);
        assert_eq!(chains(client, "10.0.0.1_83"), [format!("|| -> {}", to(83))]);
    }

    #[test]
    fn tcp_rules_are_for_the_clients_they_name_and_others_keep_the_default() {
        let yaml = "
apiVersion: v1
kind: Service
metadata: {name: storage, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: tcp, port: 6379}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: storage, namespace: shop}
spec:
  hosts: [storage]
  tcp:
  - match: [{sourceLabels: {version: v2}}]
    route: [{destination: {host: storage, subset: v2}}]
  - match: [{port: 6379, sourceLabels: {version: v1}}]
    route: [{destination: {host: storage, subset: a}, weight: 1}, {destination: {host: storage, subset: b}, weight: 3}]
";
        let to = |subset| format!("outbound|6379|{subset}|storage.shop.svc.cluster.local");
        for (labels, target) in
            [("version=v2", to("v2")), ("version=v1", format!("1*{}+3*{}", to("a"), to("b"))), ("version=v3", to(""))]
        {
            assert_eq!(chains(&mesh(yaml, labels).proxies[0], "10.0.0.1_6379"), [format!("|| -> {target}")], "{labels}");
        }
    }

    #[test]
    fn hosts_without_address_are_told_by_server_name() {
        let entry = |name: &str| {
            format!(
                "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{hosts: [{name}.test], resolution: DNS, ports: [{{number: 443, name: tls, protocol: TLS}}]}}\n"
            )
        };
        let rule = "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: r, namespace: shop}\nspec: {hosts: [a.test], tls: [{match: [{sniHosts: [a.test]}], route: [{destination: {host: b.test}}]}]}\n";
        let mesh = mesh(&format!("{}{}{rule}", entry("a"), entry("b")), "");
        let expected = ["a.test|| -> outbound|443||b.test", "b.test|| -> outbound|443||b.test", "|| -> PassthroughCluster"];
        assert_eq!(chains(&mesh.proxies[0], "0.0.0.0_443"), expected);
    }

    #[test]
    fn networks_are_compared_by_what_they_hold() {
        for (written, same) in
            [("10.1.2.3", "10.1.2.3/32"), ("10.1.2.3/8", "10.0.0.0/8"), ("0.0.0.0/0", "0.0.0.0/0"), ("fd00::1/16", "fd00::/16")]
        {
            assert_eq!(super::network(written), same);
        }
    }

    #[test]
    fn mysql_shares_its_address_with_nothing_else() {
        let entry = |name: &str, protocol: &str| {
            format!(
                "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{hosts: [{name}.test], resolution: DNS, ports: [{{number: 3306, name: p, protocol: {protocol}}}]}}\n"
            )
        };
        for (second, chains_made) in [("HTTP", 1), ("TCP", 1), ("MYSQL", 1)] {
            let mesh = mesh(&format!("{}{}", entry("a", "MYSQL"), entry("b", second)), "");
            assert_eq!(chains(&mesh.proxies[0], "0.0.0.0_3306").len(), chains_made, "{second}");
        }
        let mesh = mesh(&format!("{}{}", entry("a", "TCP"), entry("b", "HTTP")), "");
        assert_eq!(chains(&mesh.proxies[0], "0.0.0.0_3306").len(), 2);
    }

    #[test]
    fn a_listener_with_two_equal_chains_is_not_loaded() {
        let yaml = "
apiVersion: v1
kind: Service
metadata: {name: a, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: tls, port: 443}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: r, namespace: shop}
spec:
  hosts: [a.shop.svc.cluster.local, x.test, y.test]
  tls:
  - {match: [{sniHosts: [x.test]}], route: [{destination: {host: a}}]}
  - {match: [{sniHosts: [x.test, y.test]}], route: [{destination: {host: a}}]}
";
        assert!(mesh(yaml, "").proxies[0].listeners.is_empty());
    }
}
