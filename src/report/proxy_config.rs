//! What a proxy is configured with, in the tables of `istioctl proxy-config`.

use super::columns::columns;
use crate::mesh::cluster::{Cluster, Discovery};
use crate::mesh::proxy::{ChainMatch, ChainTarget, FilterChain, Listener};
use crate::mesh::route::{PathTest, Route, RouteMatch, VirtualHost};
use crate::mesh::{Mesh, Origin, Proxy};

/// The listeners of a proxy, a row for each filter chain.
#[must_use]
pub fn listeners(proxy: &Proxy) -> String {
    let row = |listener: &Listener, chain: &FilterChain| {
        let address = listener.address.clone().unwrap_or_else(|| "0.0.0.0".to_owned());
        [address, listener.port.to_string(), chain_match(&chain.matcher), target(proxy, chain)]
    };
    let mut sorted: Vec<&Listener> = proxy.listeners.iter().collect();
    sorted.sort_by(|a, b| (a.port, &a.address).cmp(&(b.port, &b.address)));
    let rows = sorted.into_iter().flat_map(|listener| listener.chains.iter().map(move |chain| row(listener, chain)));
    columns(["ADDRESSES", "PORT", "MATCH", "DESTINATION"], rows)
}

fn chain_match(matcher: &ChainMatch) -> String {
    let parts = [
        ("Addr: ", matcher.destination_subnets.join(",")),
        ("SNI: ", matcher.server_names.join(",")),
        ("Trans: ", matcher.transport_protocol.clone()),
        ("App: ", matcher.application_protocols.join(",")),
    ];
    let named: Vec<String> =
        parts.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}{value}")).collect();
    if named.is_empty() { "ALL".to_owned() } else { named.join("; ") }
}

fn target(proxy: &Proxy, chain: &FilterChain) -> String {
    match &chain.target {
        ChainTarget::Http(table) => format!("Route: {}", proxy.route_tables[table.index()].name),
        ChainTarget::Tcp(tcp) => match tcp.legs.as_slice() {
            [(lone, _, _)] if lone.name.contains('|') => format!("Cluster: {}", lone.name),
            [(lone, _, _)] => lone.name.clone(),
            several => {
                let weighted: Vec<String> = several.iter().map(|(c, weight, _)| format!("{} ({weight})", c.name)).collect();
                format!("Clusters: {}", weighted.join(", "))
            }
        },
    }
}

/// The routes of a proxy, a row for each.
#[must_use]
pub fn routes(mesh: &Mesh, proxy: &Proxy) -> String {
    let mut rows = Vec::new();
    for table in proxy.route_tables.iter() {
        for host in &table.virtual_hosts {
            let row = |matched: String, source: String| [table.name.clone(), host.name.clone(), domains(host), matched, source];
            if host.routes.is_empty() {
                rows.push(row("/*".to_owned(), "404".to_owned()));
            }
            let source = |route: &Route| object(mesh, route.origin, &["VirtualService", "HTTPRoute", "GRPCRoute"]);
            rows.extend(host.routes.iter().map(|route| row(path_match(&route.matcher), source(route))));
        }
    }
    columns(["NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"], rows.into_iter())
}

/// The first two domains, and how many there are besides.
fn domains(host: &VirtualHost) -> String {
    const SHOWN: usize = 2;
    let shown = host.domains.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match host.domains.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} + {more} more..."),
    }
}

/// The path; whether there are further conditions is said by a plus sign.
fn path_match(matcher: &RouteMatch) -> String {
    let path = match &matcher.path.test {
        PathTest::Exact(text) => text.clone(),
        PathTest::Prefix(text) => format!("{text}*"),
        PathTest::SegmentPrefix(text) => format!("PathPrefix:{text}"),
        PathTest::Regex(pattern) => format!("regex {}", pattern.source()),
    };
    match matcher.conditions.len() {
        0 => path,
        1 => format!("{path} + 1 condition"),
        more => format!("{path} + {more} conditions"),
    }
}

/// The object that something comes from, if it is of one of these kinds.
fn object(mesh: &Mesh, origin: Origin, kinds: &[&str]) -> String {
    let object = origin.object.map(|id| &mesh.objects[id.index()]).filter(|object| kinds.contains(&object.kind.as_str()));
    object.map(|object| format!("{}.{}", object.name, object.namespace)).unwrap_or_default()
}

/// The clusters of a proxy.
#[must_use]
pub fn clusters(mesh: &Mesh, proxy: &Proxy) -> String {
    let dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let rows = proxy.clusters.iter().map(|cluster| {
        let mut parts = cluster.name.splitn(4, '|');
        let (direction, port, subset, host) = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(direction), Some(port), Some(subset), Some(host)) => (direction, port, subset, host),
            _ => ("", "", "", cluster.name.as_str()),
        };
        let rule = object(mesh, cluster.origin, &["DestinationRule"]);
        [host.to_owned(), dash(port), dash(subset), dash(direction), discovery(cluster.discovery).to_owned(), rule]
    });
    columns(["SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"], rows)
}

const fn discovery(discovery: Discovery) -> &'static str {
    match discovery {
        Discovery::Eds => "EDS",
        Discovery::OriginalDst => "ORIGINAL_DST",
        Discovery::StrictDns => "STRICT_DNS",
        Discovery::LogicalDns => "LOGICAL_DNS",
        Discovery::Static => "STATIC",
        Discovery::DynamicDns => "DYNAMIC_DNS",
    }
}

/// The endpoints of a proxy, a row for each cluster that they are in. Where the client dials addresses
/// itself, the proxy has none.
#[must_use]
pub fn endpoints(proxy: &Proxy) -> String {
    let knows = |cluster: &&std::sync::Arc<Cluster>| cluster.discovery != Discovery::OriginalDst;
    let mut rows = Vec::new();
    for cluster in proxy.clusters.iter().filter(knows) {
        rows.extend(cluster.endpoints().map(|endpoint| {
            let status = if endpoint.healthy { "HEALTHY" } else { "UNHEALTHY" };
            [endpoint.address.clone(), status.to_owned(), "OK".to_owned(), cluster.name.clone()]
        }));
    }
    columns(["ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"], rows.into_iter())
}
