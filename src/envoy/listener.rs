//! Listeners and filter chains.

use serde_json::{Map, Value, json};

use super::placement::Placement;
use super::wire::{extension, put, socket_address};
use super::{connection_manager, tls};
use crate::mesh::proxy::{ChainMatch, ChainTarget, FilterChain, Listener, TcpLegs};
use crate::mesh::route::ClusterRef;
use crate::mesh::{Proxy, ProxyKind};
use crate::source::Span;

/// Where the kernel redirects a sidecar's outgoing connections to.
const REDIRECTED_PORT: u16 = 15_001;

/// A listener of a proxy.
#[must_use]
pub fn listener(proxy: &Proxy, listener: &Listener, placement: &Placement) -> Value {
    let (address, port) = placement.listener(listener.address.as_deref(), listener.port);
    let (default, chains): (Vec<_>, Vec<_>) =
        listener.chains.iter().partition(|chain| chain.matcher == ChainMatch::default() && listener.chains.len() > 1);
    let chain = |chain: &FilterChain| filter_chain(proxy, listener, chain, placement);
    let mut fields = Map::new();
    put(&mut fields, "name", listener.name.as_str());
    put(&mut fields, "address", socket_address(&address, port));
    put(&mut fields, "additional_addresses", additional_addresses(listener, placement));
    put(&mut fields, "filter_chains", chains.into_iter().map(chain).collect::<Vec<_>>());
    put(&mut fields, "default_filter_chain", default.first().map_or(Value::Null, |default| chain(default)));
    put(&mut fields, "listener_filters", inspectors(listener));
    fields.insert("listener_filters_timeout".to_owned(), "0s".into());
    if !placement.is_loopback() && proxy.spec.kind == ProxyKind::Sidecar {
        fields.insert("bind_to_port".to_owned(), false.into());
    }
    fields.insert("traffic_direction".to_owned(), "OUTBOUND".into());
    fields.into()
}

/// On the loopback interface, the addresses that filter chains ask for.
fn additional_addresses(listener: &Listener, placement: &Placement) -> Vec<Value> {
    if !placement.is_loopback() || listener.address.is_some() {
        return Vec::new();
    }
    let mut subnets: Vec<&String> = listener.chains.iter().flat_map(|chain| &chain.matcher.destination_subnets).collect();
    subnets.sort();
    subnets.dedup();
    let place = |subnet: &String| {
        let (_, port) = placement.listener(None, listener.port);
        json!({"address": socket_address(&placement.subnet(subnet).0, port)})
    };
    subnets.into_iter().map(place).collect()
}

/// What looks at the first bytes before a filter chain is chosen: only what one of the chains asks
/// for.
fn inspectors(listener: &Listener) -> Vec<Value> {
    let asks = |question: fn(&ChainMatch) -> bool| listener.chains.iter().any(|chain| question(&chain.matcher));
    let mut inspectors = Vec::new();
    if asks(|m| !m.server_names.is_empty() || !m.transport_protocol.is_empty()) {
        let message = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector";
        inspectors.push(extension("envoy.filters.listener.tls_inspector", message, json!({})));
    }
    if asks(|m| m.application_protocols.iter().any(|protocol| protocol == "http/1.1" || protocol == "h2c")) {
        let message = "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector";
        inspectors.push(extension("envoy.filters.listener.http_inspector", message, json!({})));
    }
    inspectors
}

fn filter_chain(proxy: &Proxy, listener: &Listener, chain: &FilterChain, placement: &Placement) -> Value {
    let mut fields = Map::new();
    put(&mut fields, "name", chain.name.as_str());
    put(&mut fields, "filter_chain_match", chain_match(&chain.matcher, placement));
    let filter = match &chain.target {
        ChainTarget::Http(table) => {
            let table = &proxy.route_tables[table.index()];
            connection_manager::http(table, proxy.spec.kind, &stat_prefix(proxy, listener))
        }
        ChainTarget::Tcp(legs) => connection_manager::tcp(legs),
    };
    put(&mut fields, "filters", vec![filter]);
    if let Some(mode) = chain.terminates {
        put(&mut fields, "transport_socket", tls::downstream(mode, matches!(chain.target, ChainTarget::Http(_))));
    }
    fields.into()
}

fn stat_prefix(proxy: &Proxy, listener: &Listener) -> String {
    match proxy.spec.kind {
        ProxyKind::Sidecar => format!("outbound_{}", listener.name),
        ProxyKind::Gateway => format!("gateway_{}", listener.name),
    }
}

fn chain_match(matcher: &ChainMatch, placement: &Placement) -> Value {
    let mut fields = Map::new();
    let ranges = matcher.destination_subnets.iter().map(|subnet| {
        let (base, length) = placement.subnet(subnet);
        json!({"address_prefix": base, "prefix_len": length})
    });
    put(&mut fields, "prefix_ranges", ranges.collect::<Vec<_>>());
    put(&mut fields, "server_names", matcher.server_names.clone());
    put(&mut fields, "transport_protocol", matcher.transport_protocol.as_str());
    put(&mut fields, "application_protocols", matcher.application_protocols.clone());
    fields.into()
}

/// The listener that takes a sidecar's redirected connections and hands them to the others; what no
/// other takes goes to the fallback. Only in the mesh: on the loopback interface nothing is redirected.
#[must_use]
pub fn fallback_listener(proxy: &Proxy, placement: &Placement) -> Option<Value> {
    let fallback: &ClusterRef = proxy.fallback.as_ref().filter(|_| !placement.is_loopback())?;
    let legs = TcpLegs { legs: vec![(fallback.clone(), 100, Span::NOWHERE)] };
    Some(json!({
        "name": "virtualOutbound",
        "address": socket_address("0.0.0.0", REDIRECTED_PORT),
        "use_original_dst": true,
        "filter_chains": [{"name": "virtualOutbound-catchall-tcp", "filters": [connection_manager::tcp(&legs)]}],
        "traffic_direction": "OUTBOUND",
    }))
}
