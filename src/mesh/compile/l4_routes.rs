//! `tcp` and `tls` rules: which clusters bytes go to, and the filter chains that tell connections
//! apart (Istio: `core/tls.go`, `core/networkfilter.go`).

use rustc_hash::FxHashSet;

use super::routes::{self, ClusterNames, SeenService};
use super::virtual_service::VirtualService;
use crate::mesh::Origin;
use crate::mesh::proxy::{ChainMatch, ChainTarget, FilterChain, TcpLegs};
use crate::resource::networking::{Destination, L4MatchAttributes, RouteDestination, TlsMatchAttributes};
use crate::source::{Span, Spanned};
use crate::yaml::Map;

/// The surroundings of a rule for connections.
#[derive(Clone, Copy)]
pub(super) struct L4Scope<'a> {
    /// Labels of the proxy.
    pub(super) client_labels: &'a [(String, String)],
    /// Namespace of the proxy.
    pub(super) client_namespace: &'a str,
    /// `mesh`, or `namespace/name` of the gateway.
    pub(super) gateway: &'a str,
    /// Port of the listener.
    pub(super) port: u16,
    /// The services that a destination without port is looked up among.
    pub(super) service: &'a dyn Fn(&str) -> Option<SeenService>,
    /// The clusters of the mesh.
    pub(super) clusters: &'a ClusterNames,
}

/// What `tcp` and `tls` match blocks have in common.
struct Conditions<'a> {
    port: Option<&'a Spanned<i64>>,
    gateways: &'a [Spanned<String>],
    source_labels: &'a Map<Spanned<String>>,
    source_namespace: Option<&'a Spanned<String>>,
}

impl<'a> From<&'a L4MatchAttributes> for Conditions<'a> {
    fn from(block: &'a L4MatchAttributes) -> Self {
        Conditions {
            port: block.port.as_ref(),
            gateways: &block.gateways,
            source_labels: &block.source_labels,
            source_namespace: block.source_namespace.as_ref(),
        }
    }
}

impl<'a> From<&'a TlsMatchAttributes> for Conditions<'a> {
    fn from(block: &'a TlsMatchAttributes) -> Self {
        Conditions {
            port: block.port.as_ref(),
            gateways: &block.gateways,
            source_labels: &block.source_labels,
            source_namespace: block.source_namespace.as_ref(),
        }
    }
}

impl Conditions<'_> {
    /// Whether port and gateway fit; a gateway asks for no more.
    pub(super) fn fit_gateway(&self, scope: &L4Scope<'_>) -> bool {
        let port = self.port.is_none_or(|port| port.value == 0 || port.value == i64::from(scope.port));
        port && (self.gateways.is_empty() || self.gateways.iter().any(|gateway| gateway.value == scope.gateway))
    }

    /// Whether the client fits as well: unlike in `http`, gateways do not settle that.
    fn fit(&self, scope: &L4Scope<'_>) -> bool {
        let has = |key: &str, value: &str| scope.client_labels.iter().any(|(k, v)| k == key && v == value);
        self.fit_gateway(scope)
            && self.source_labels.iter().all(|(key, value)| has(key, value))
            && self.source_namespace.is_none_or(|ns| ns.is_empty() || ns.value == scope.client_namespace)
    }
}

/// Whether a block of a `tcp` rule fits a gateway's server.
pub(super) fn tcp_fits_gateway(block: &L4MatchAttributes, scope: &L4Scope<'_>) -> bool {
    Conditions::from(block).fit_gateway(scope)
}

/// Whether a block of a `tls` rule fits a gateway's server.
pub(super) fn tls_fits_gateway(block: &TlsMatchAttributes, scope: &L4Scope<'_>) -> bool {
    Conditions::from(block).fit_gateway(scope)
}

/// The clusters of a rule; `None` if none has a share.
pub(super) fn legs(route: &[RouteDestination], scope: &L4Scope<'_>) -> Option<TcpLegs> {
    let cluster = |destination: &Destination| {
        let host = destination.host.as_ref().map_or("", |host| host.value.as_str());
        scope.clusters.named(routes::destination_cluster(destination, (scope.service)(host), scope.port))
    };
    if let [only] = route {
        return Some(TcpLegs { legs: vec![(cluster(only.destination.as_ref()?), 100, only.span)] });
    }
    let weight = |leg: &RouteDestination| leg.weight.as_ref().and_then(|w| u32::try_from(w.value).ok()).unwrap_or(0);
    let chosen = route.iter().filter(|leg| weight(leg) > 0);
    let legs: Vec<_> = chosen.filter_map(|leg| Some((cluster(leg.destination.as_ref()?), weight(leg), leg.span))).collect();
    (!legs.is_empty()).then_some(TcpLegs { legs })
}

/// One cluster.
pub(super) fn lone_leg(cluster: String, clusters: &ClusterNames, span: Span) -> TcpLegs {
    TcpLegs { legs: vec![(clusters.named(cluster), 100, span)] }
}

/// A chain that hands bytes on.
pub(super) fn tcp_chain(matcher: ChainMatch, legs: TcpLegs, origin: Origin) -> FilterChain {
    FilterChain { name: String::new(), matcher, terminates: None, target: ChainTarget::Tcp(legs), origin }
}

/// A match on server names and networks. The name `*` asks for nothing.
pub(super) fn chain_match(server_names: &[String], destination_subnets: &[String]) -> ChainMatch {
    let server_names = if server_names.iter().any(|name| name == "*") { Vec::new() } else { server_names.to_vec() };
    ChainMatch {
        server_names: server_names.iter().map(|name| name.to_ascii_lowercase()).collect(),
        destination_subnets: destination_subnets.to_vec(),
        ..ChainMatch::default()
    }
}

/// A port of a service for which a sidecar makes chains.
pub(super) struct L4Port<'a> {
    /// Where connections go without a rule.
    pub(super) default_cluster: String,
    /// Networks of the service, where it has them instead of an address.
    pub(super) subnets: Vec<String>,
    /// Server names that select the service where its address does not.
    pub(super) default_server_names: Vec<String>,
    /// VirtualServices for its host, in order of precedence.
    pub(super) virtual_services: Vec<&'a VirtualService>,
    /// The service.
    pub(super) origin: Origin,
}

/// The chains of a port that carries TLS (Istio: `buildSidecarOutboundTLSFilterChainOpts`).
pub(super) fn tls_chains(port: L4Port<'_>, scope: &L4Scope<'_>) -> Vec<FilterChain> {
    let mut subnets = port.subnets;
    let mut seen: FxHashSet<(Vec<&str>, Vec<&str>)> = FxHashSet::default();
    let mut chains = Vec::new();
    for vs in &port.virtual_services {
        for rule in &vs.tls {
            for block in rule.matches.iter().filter(|block| Conditions::from(*block).fit(scope)) {
                // Once a block names networks, they stay for the blocks after it.
                if !block.destination_subnets.is_empty() {
                    subnets = block.destination_subnets.iter().map(|subnet| subnet.value.clone()).collect();
                }
                let words = |list: &'_ [Spanned<String>]| list.iter().map(|word| word.value.clone()).collect::<Vec<_>>();
                let key = (
                    block.sni_hosts.iter().map(|name| name.value.as_str()).collect(),
                    block.destination_subnets.iter().map(|subnet| subnet.value.as_str()).collect(),
                );
                let Some(legs) = legs(&rule.route, scope) else { continue };
                if seen.insert(key) {
                    let matcher = chain_match(&words(&block.sni_hosts), &subnets);
                    chains.push(tcp_chain(matcher, legs, Origin { span: block.span, ..vs.origin }));
                }
            }
        }
    }
    if chains.is_empty() {
        let legs = lone_leg(port.default_cluster, scope.clusters, port.origin.span);
        chains.push(tcp_chain(chain_match(&port.default_server_names, &subnets), legs, port.origin));
    }
    chains
}

/// The chains of a port that carries other bytes (Istio: `buildSidecarOutboundTCPFilterChainOpts`).
/// The first rule that fits without naming networks ends the search.
pub(super) fn tcp_chains(port: L4Port<'_>, scope: &L4Scope<'_>) -> Vec<FilterChain> {
    let mut chains = Vec::new();
    let mut has_default = false;
    for vs in &port.virtual_services {
        for rule in &vs.tcp {
            let fitting: Vec<_> = rule.matches.iter().filter(|block| Conditions::from(*block).fit(scope)).collect();
            let Some(legs) = legs(&rule.route, scope) else { continue };
            let origin = |span| Origin { span, ..vs.origin };
            if rule.matches.is_empty() {
                chains.push(tcp_chain(chain_match(&[], &port.subnets), legs, origin(rule.span)));
                return chains;
            }
            if let Some(open) = fitting.iter().find(|block| block.destination_subnets.is_empty()) {
                chains.push(tcp_chain(chain_match(&[], &port.subnets), legs, origin(open.span)));
                return chains;
            }
            let mut subnets: Vec<String> =
                fitting.iter().flat_map(|block| &block.destination_subnets).map(|subnet| subnet.value.clone()).collect();
            if !subnets.is_empty() {
                chains.push(tcp_chain(chain_match(&[], &subnets), legs, origin(rule.span)));
                let mut own = port.subnets.clone();
                subnets.sort();
                own.sort();
                has_default |= subnets == own;
            }
        }
    }
    if !has_default {
        let legs = lone_leg(port.default_cluster, scope.clusters, port.origin.span);
        chains.push(tcp_chain(chain_match(&[], &port.subnets), legs, port.origin));
    }
    chains
}
