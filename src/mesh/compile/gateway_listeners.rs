//! The listeners of a gateway: clear HTTP, HTTPS that is opened, TLS that is opened or handed on, and
//! bytes (Istio: `buildGatewayListeners`).

use indexmap::IndexMap;
use rustc_hash::FxHashMap;

use super::gateway_hosts;
use super::gateway_servers::{Bound, GatewayService, Merged, MergedServers, ServerTlsMode};
use super::l4_routes::{self, L4Scope};
use super::virtual_service::{Semantics, VirtualService, VirtualServices};
use crate::mesh::proxy::{ChainTarget, FilterChain, Listener, TcpLegs};
use crate::mesh::registry::{Protocol, Service};
use crate::mesh::{Origin, RouteTableId, host};

/// Application protocols of Istio's mutual TLS.
const ISTIO_PROTOCOLS: [&str; 5] = ["istio-peer-exchange", "istio", "istio-http/1.0", "istio-http/1.1", "istio-h2"];

/// What the listeners of a gateway are made from.
#[derive(Clone, Copy)]
pub(super) struct GatewayScope<'a> {
    /// Rules.
    pub(super) virtual_services: &'a VirtualServices,
    /// Services that the gateway sees.
    pub(super) services: &'a [super::visibility::VisibleService<'a>],
    /// Services that lead to the gateway.
    pub(super) own_services: &'a [GatewayService],
    /// The subsets of a host.
    pub(super) subsets: &'a dyn Fn(&str) -> Vec<String>,
    /// For rules; gateway and port are filled in here.
    pub(super) l4: L4Scope<'a>,
}

/// The address that stands for all of them.
const EVERYWHERE: &str = "0.0.0.0";

/// Server names of `tls` rules that are taken, by port and then name, with the address.
type TakenNames = FxHashMap<u16, FxHashMap<String, String>>;

/// The listeners, one for each port that clients dial, and the ones that the proxy would not load.
pub(super) fn listeners(
    merged: &Merged<'_>,
    scope: GatewayScope<'_>,
    route_table: &mut dyn FnMut(&str) -> RouteTableId,
) -> (Vec<Listener>, Vec<Listener>) {
    let mut by_bind: IndexMap<(u16, String), (Vec<FilterChain>, Origin)> = IndexMap::new();
    let mut taken = TakenNames::default();
    for group in &merged.groups {
        let chains = chains(group, scope, &mut taken, route_table);
        let origin = group.servers.first().map(|bound| bound.server.origin).unwrap_or_default();
        let bind = if group.bind.is_empty() { EVERYWHERE } else { &group.bind };
        by_bind.entry((group.port, bind.to_owned())).or_insert((Vec::new(), origin)).0.extend(chains);
    }
    let mut listeners = Vec::new();
    for ((port, bind), (chains, origin)) in by_bind {
        if chains.is_empty() {
            continue;
        }
        for dialled in dialled_ports(port, scope.own_services) {
            let address = (bind != EVERYWHERE).then(|| bind.clone());
            let name = format!("{bind}_{port}");
            listeners.push(Listener { name, address, port: dialled, chains: chains.clone(), origin });
        }
    }
    listeners.sort_by(|a, b| (a.port, &a.address).cmp(&(b.port, &b.address)));
    listeners.into_iter().partition(|listener| !super::sidecar_listeners::has_equal_matches(listener))
}

/// The ports of the gateway's services that lead to a port of the proxy; the port itself if none
/// does.
fn dialled_ports(port: u16, services: &[GatewayService]) -> Vec<u16> {
    let mut dialled: Vec<u16> = Vec::new();
    for (number, target) in services.iter().flat_map(|service| &service.ports) {
        if *target == port && !dialled.contains(number) {
            dialled.push(*number);
        }
    }
    if dialled.is_empty() {
        dialled.push(port);
    }
    dialled
}

fn chains(
    group: &MergedServers<'_>,
    scope: GatewayScope<'_>,
    taken: &mut TakenNames,
    route_table: &mut dyn FnMut(&str) -> RouteTableId,
) -> Vec<FilterChain> {
    if group.protocol.is_http() {
        let Some(first) = group.servers.first() else { return Vec::new() };
        let target = ChainTarget::Http(route_table(&first.route_table));
        return vec![chain(first, Vec::new(), target)];
    }
    group.servers.iter().flat_map(|bound| server_chains(bound, group.port, scope, taken, route_table)).collect()
}

fn chain(bound: &Bound<'_>, server_names: Vec<String>, target: ChainTarget) -> FilterChain {
    FilterChain {
        name: bound.gateway.reference.clone(),
        matcher: l4_routes::chain_match(&server_names, &[]),
        terminates: bound.server.terminates(),
        target,
        origin: bound.server.origin,
    }
}

fn server_chains(
    bound: &Bound<'_>,
    port: u16,
    scope: GatewayScope<'_>,
    taken: &mut TakenNames,
    route_table: &mut dyn FnMut(&str) -> RouteTableId,
) -> Vec<FilterChain> {
    let server = bound.server;
    let names = gateway_hosts::server_names(&server.hosts);
    if server.terminates_https() {
        return vec![chain(bound, names, ChainTarget::Http(route_table(&bound.route_table)))];
    }
    let l4 = L4Scope { gateway: &bound.gateway.reference, port: server.port, ..scope.l4 };
    let scope = GatewayScope { l4, ..scope };
    match server.tls.map(|tls| tls.mode) {
        Some(ServerTlsMode::AutoPassthrough) => auto_passthrough(&names, scope),
        Some(ServerTlsMode::Passthrough) => passthrough(bound, port, scope, taken),
        Some(ServerTlsMode::Terminate(_)) => byte_chain(bound, names, scope).into_iter().collect(),
        None => byte_chain(bound, Vec::new(), scope).into_iter().collect(),
    }
}

/// The VirtualServices of a server's Gateway that have a host in common with the server.
fn rules<'a>(bound: &Bound<'_>, scope: GatewayScope<'a>) -> Vec<&'a VirtualService> {
    let mut rules = scope.virtual_services.for_gateway(scope.l4.client_namespace, &bound.gateway.reference);
    rules.retain(|vs| {
        let ours = bound.server.hosts.iter().filter_map(|entry| match entry.split_once('/') {
            Some((owner, name)) => (owner == vs.namespace).then_some(name),
            None => Some(entry.as_str()),
        });
        let ours: Vec<&str> = ours.collect();
        vs.hosts.iter().any(|theirs| ours.iter().any(|own| host::matches(own, theirs)))
    });
    rules
}

/// Bytes, in clear or opened, go where the first `tcp` rule that fits says.
fn byte_chain(bound: &Bound<'_>, names: Vec<String>, scope: GatewayScope<'_>) -> Option<FilterChain> {
    let legs = rules(bound, scope).into_iter().find_map(|vs| byte_legs(vs, &scope.l4))?;
    Some(chain(bound, names, ChainTarget::Tcp(legs)))
}

fn byte_legs(vs: &VirtualService, l4: &L4Scope<'_>) -> Option<TcpLegs> {
    let fits = |rule: &&crate::resource::networking::TcpRoute| {
        rule.matches.is_empty() || rule.matches.iter().any(|block| l4_routes::tcp_fits_gateway(block, l4))
    };
    if let Some(rule) = vs.tcp.iter().filter(fits).find(|rule| !rule.route.is_empty()) {
        return l4_routes::legs(&rule.route, l4);
    }
    // A TLSRoute whose TLS ends here has `tls` rules only.
    let mut by_tls = vs.tls.iter().filter(|_| vs.semantics == Semantics::TlsRoute);
    let rule = by_tls.find(|rule| rule.matches.iter().any(|block| l4_routes::tls_fits_gateway(block, l4)))?;
    l4_routes::legs(&rule.route, l4)
}

/// TLS that is handed on goes by server name. A name that an older rule has on the port keeps its
/// whole block out.
fn passthrough(bound: &Bound<'_>, port: u16, scope: GatewayScope<'_>, taken: &mut TakenNames) -> Vec<FilterChain> {
    let mut chains = Vec::new();
    for vs in rules(bound, scope) {
        for rule in vs.tls.iter().filter(|rule| !rule.route.is_empty()) {
            for block in rule.matches.iter().filter(|block| l4_routes::tls_fits_gateway(block, &scope.l4)) {
                let names: Vec<String> = block.sni_hosts.iter().map(|name| name.value.clone()).collect();
                let known = taken.entry(port).or_default();
                if names.iter().any(|name| known.get(name).is_some_and(|bind| *bind == bound.server.bind)) {
                    continue;
                }
                known.extend(names.iter().map(|name| (name.clone(), bound.server.bind.clone())));
                let Some(legs) = l4_routes::legs(&rule.route, &scope.l4) else { continue };
                let made = chain(bound, names, ChainTarget::Tcp(legs));
                chains.push(FilterChain { origin: Origin { span: block.span, ..vs.origin }, ..made });
            }
        }
    }
    chains
}

/// The server name spells the cluster; only Istio's mutual TLS is let through.
fn auto_passthrough(hosts: &[String], scope: GatewayScope<'_>) -> Vec<FilterChain> {
    let mut chains = Vec::new();
    let is_served = |service: &Service| hosts.iter().any(|own| host::is_subset_of(&service.host, own));
    for service in scope.services.iter().filter(|service| !service.external && is_served(service)) {
        for port in service.ports.iter().filter(|port| port.protocol != Protocol::Udp) {
            for subset in std::iter::once(String::new()).chain((scope.subsets)(&service.host)) {
                let name = format!("outbound_.{}_.{subset}_.{}", port.port, service.host);
                let legs = l4_routes::lone_leg(name.clone(), scope.l4.clusters, service.origin.span);
                let mut matcher = l4_routes::chain_match(&[name], &[]);
                matcher.application_protocols = ISTIO_PROTOCOLS.iter().map(|p| (*p).to_owned()).collect();
                chains.push(l4_routes::tcp_chain(matcher, legs, service.origin));
            }
        }
    }
    chains
}

#[cfg(test)]
mod tests {
    use super::super::testing::{chains, described, proxy};
    use crate::mesh::{Mesh, ProxyKind};

    /// The mesh of Gateways written as `name: servers`, and more objects.
    fn mesh(gateways: &[(&str, &str)], more: &str) -> Mesh {
        let object = |(name, servers): &(&str, &str)| {
            format!(
                "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: {name}, namespace: edge}}\nspec: {{selector: {{istio: ingress}}, servers: [{servers}]}}\n"
            )
        };
        let yaml = format!("{}{more}", gateways.iter().map(object).collect::<String>());
        described(&yaml, vec![proxy(ProxyKind::Gateway, "ingress", "edge", "istio=ingress")], Vec::new())
    }

    fn server(protocol: &str, name: &str, host: &str, tls: &str) -> String {
        let tls = if tls.is_empty() { String::new() } else { format!(", tls: {{{tls}}}") };
        format!("{{port: {{number: 443, name: {name}, protocol: {protocol}}}, hosts: [{host}]{tls}}}")
    }

    const SIMPLE: &str = "mode: SIMPLE, credentialName: c";

    #[test]
    fn servers_on_one_port_must_go_together() {
        let http = server("HTTP", "http", "a.test", "");
        let https = server("HTTPS", "https", "a.test", SIMPLE);
        let again = server("HTTPS", "other", "a.test", SIMPLE);
        let beside = server("HTTPS", "beside", "b.test", SIMPLE);
        let tcp = server("TCP", "tcp", "a.test", "");
        let https_table = "table https.443.https.a.edge";
        for (first, second, expected) in [
            (&http, &http, vec!["|| -> table http.443".to_owned()]),
            // HTTPS after HTTP is left out, HTTP after HTTPS stays.
            (&http, &https, vec!["|| -> table http.443".to_owned()]),
            (&https, &http, vec![format!("a.test|| -> {https_table}"), "|| -> table http.443".to_owned()]),
            (&https, &again, vec![format!("a.test|| -> {https_table}")]),
            (&https, &beside, vec![format!("a.test|| -> {https_table}"), "b.test|| -> table https.443.beside.b.edge".to_owned()]),
            (&http, &tcp, vec!["|| -> table http.443".to_owned()]),
        ] {
            let mesh = mesh(&[("a", first), ("b", second)], "");
            assert_eq!(chains(&mesh.proxies[0], "0.0.0.0_443"), expected, "{first} {second}");
        }
    }

    #[test]
    fn tls_that_is_handed_on_needs_a_tls_rule_and_opened_tls_a_tcp_rule() {
        let rule = "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: r, namespace: edge}\nspec: {gateways: [a], hosts: [a.test], tls: [{match: [{sniHosts: [a.test]}], route: [{destination: {host: t.test, port: {number: 1}}}]}], tcp: [{route: [{destination: {host: b.test, port: {number: 2}}}]}]}\n";
        let passed = server("TLS", "tls", "a.test", "mode: PASSTHROUGH");
        let opened = server("TLS", "tls", "a.test", SIMPLE);
        for (server, expected) in [(&passed, "a.test|| -> outbound|1||t.test"), (&opened, "a.test|| -> outbound|2||b.test")] {
            assert_eq!(chains(&mesh(&[("a", server)], rule).proxies[0], "0.0.0.0_443"), [expected]);
            assert!(mesh(&[("a", server)], "").proxies[0].listeners.is_empty());
        }
    }

    #[test]
    fn clients_dial_the_ports_of_the_gateways_services() {
        let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: ingress, namespace: edge}\nspec: {selector: {istio: ingress}, ports: [{name: a, port: 443, targetPort: 8443}, {name: b, port: 444, targetPort: 8443}]}\n";
        let mesh = mesh(&[("a", &server("HTTP", "http", "a.test", ""))], service);
        let dialled: Vec<u16> = mesh.proxies[0].listeners.iter().map(|listener| listener.port).collect();
        assert_eq!(dialled, [443, 444]);
    }
}
