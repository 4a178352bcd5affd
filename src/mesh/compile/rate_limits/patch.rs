//! One patch of an EnvoyFilter.

use super::protobuf::{Unread, at, field, items, local_limit, note_others, rate_limits, status, text, truth, typed};
use crate::mesh::ids::Origin;
use crate::mesh::rate_limit::{ChainPlace, GlobalLimit, Limit, LimitFilter, RouteChoice, RouteKind, RouteLimits, Traffic};
use crate::yaml::Node;

/// What a patch does.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Patch {
    /// It adds a filter, beside the filter of this name if that is there.
    Filter(LimitFilter, Option<String>),
    /// It says something for virtual hosts or routes.
    Routes(RouteLimits),
    /// It adds a cluster for the rate limit service: its name, and the host and port it is for.
    Cluster(String, String),
}

const HTTP_CONNECTION_MANAGERS: &[&str] = &["envoy.filters.network.http_connection_manager", "envoy.http_connection_manager"];
const LOCAL: &str = "envoy.filters.http.local_ratelimit";
const GLOBAL: &str = "envoy.filters.http.ratelimit";

/// Reads a patch; `None`, with what was not understood, if it is about something else.
pub(super) fn read(patch: &Node, origin: Origin, unread: &mut Unread) -> Option<Patch> {
    let apply_to = text(patch, "applyTo")?;
    let change = field(patch, "patch")?;
    let operation = text(change, "operation")?;
    let value = field(change, "value")?;
    let condition = field(patch, "match");
    if let Some(condition) = condition {
        note_others(condition, &["context", "listener", "routeConfiguration", "cluster"], unread);
    }
    let traffic = match condition.and_then(|condition| text(condition, "context")).unwrap_or("ANY") {
        "SIDECAR_INBOUND" => Some(Traffic::Inbound),
        "SIDECAR_OUTBOUND" => Some(Traffic::Outbound),
        "GATEWAY" => Some(Traffic::Gateway),
        "ANY" => None,
        _ => return None,
    };
    match apply_to {
        "HTTP_FILTER" => {
            let listener = condition.and_then(|condition| field(condition, "listener"));
            let (place, beside) = place(operation, listener, unread)?;
            let port = listener.and_then(|listener| text(listener, "portNumber")).and_then(|port| port.parse().ok());
            let limit = limit(value, unread)?;
            Some(Patch::Filter(LimitFilter { traffic, port, place, limit, origin }, beside))
        }
        "VIRTUAL_HOST" | "HTTP_ROUTE" if operation == "MERGE" => {
            let table = condition.and_then(|condition| field(condition, "routeConfiguration"));
            Some(Patch::Routes(routes(apply_to == "HTTP_ROUTE", traffic, table, value, origin, unread)?))
        }
        "CLUSTER" if operation == "ADD" => cluster(value),
        _ => None,
    }
}

/// Where a filter goes: the place, and the filter that must be there for it to go anywhere.
fn place(operation: &str, listener: Option<&Node>, unread: &mut Unread) -> Option<(ChainPlace, Option<String>)> {
    let mut beside = None;
    if let Some(listener) = listener {
        note_others(listener, &["portNumber", "filterChain"], unread);
        if let Some(chain) = field(listener, "filterChain") {
            note_others(chain, &["filter"], unread);
            if let Some(filter) = field(chain, "filter") {
                let name = text(filter, "name").unwrap_or_default();
                if !HTTP_CONNECTION_MANAGERS.contains(&name) {
                    return None;
                }
                beside = at(filter, &["subFilter", "name"]).and_then(Node::text);
            }
        }
    }
    let place = match (operation, beside) {
        ("INSERT_FIRST", _) | ("INSERT_BEFORE", None) => return Some((ChainPlace::First, None)),
        ("INSERT_BEFORE", Some("envoy.filters.http.router" | "envoy.router")) => ChainPlace::Last,
        ("INSERT_BEFORE", Some("envoy.filters.http.jwt_authn")) => ChainPlace::First,
        ("INSERT_BEFORE", Some("istio.metadata_exchange")) | ("INSERT_AFTER", Some("istio.metadata_exchange")) => {
            ChainPlace::First
        }
        ("INSERT_AFTER", Some("envoy.filters.http.jwt_authn")) | ("INSERT_BEFORE", Some("envoy.filters.http.rbac")) => {
            ChainPlace::AfterTokens
        }
        ("INSERT_AFTER", Some("envoy.filters.http.rbac")) | ("INSERT_BEFORE", Some("envoy.filters.http.fault")) => {
            ChainPlace::AfterPolicies
        }
        ("INSERT_BEFORE" | "INSERT_AFTER", Some("envoy.filters.http.grpc_stats" | "istio.alpn")) => ChainPlace::AfterPolicies,
        ("INSERT_AFTER", Some("envoy.filters.http.fault"))
        | ("INSERT_BEFORE" | "INSERT_AFTER", Some("envoy.filters.http.cors" | "istio.stats")) => ChainPlace::Last,
        _ => return None,
    };
    Some((place, beside.map(str::to_owned)))
}

fn limit(value: &Node, unread: &mut Unread) -> Option<Limit> {
    let name = text(value, "name")?;
    let (kind, config) = typed(field(value, "typed_config")?)?;
    match (name, kind) {
        (LOCAL, "LocalRateLimit") => Some(Limit::Local(local_limit(config, unread))),
        (GLOBAL, "RateLimit") => Some(Limit::Global(global_limit(config, unread)?)),
        _ => None,
    }
}

/// Fields of a global limit that say nothing about which requests pass.
const OF_NO_CONSEQUENCE: &[&str] = &["@type", "timeout", "enable_x_ratelimit_headers", "stat_prefix"];

fn global_limit(config: &Node, unread: &mut Unread) -> Option<GlobalLimit> {
    let known =
        ["domain", "failure_mode_deny", "rate_limit_service", "rate_limited_as_resource_exhausted", "rate_limited_status"];
    note_others(config, &[&known[..], OF_NO_CONSEQUENCE].concat(), unread);
    let cluster = at(config, &["rate_limit_service", "grpc_service", "envoy_grpc", "cluster_name"])?;
    let exhausted = truth(config, "rate_limited_as_resource_exhausted") == Some(true);
    Some(GlobalLimit {
        domain: text(config, "domain")?.to_owned(),
        denies_on_failure: truth(config, "failure_mode_deny") == Some(true),
        cluster: cluster.text()?.to_owned(),
        service: None,
        status: at(config, &["rate_limited_status", "code"]).map_or(429, |code| status(code, unread)),
        grpc_status: if exhausted { 8 } else { 14 },
    })
}

fn routes(
    is_for_routes: bool,
    traffic: Option<Traffic>,
    table: Option<&Node>,
    value: &Node,
    origin: Origin,
    unread: &mut Unread,
) -> Option<RouteLimits> {
    let host = table.and_then(|table| field(table, "vhost"));
    if let Some(table) = table {
        note_others(table, &["portNumber", "name", "vhost"], unread);
    }
    let named = |node: Option<&Node>| node.and_then(|node| text(node, "name")).filter(|name| !name.is_empty()).map(str::to_owned);
    let route = host.and_then(|host| field(host, "route"));
    let action = match route.and_then(|route| text(route, "action")) {
        Some("ROUTE") => Some(RouteKind::Route),
        Some("REDIRECT") => Some(RouteKind::Redirect),
        Some("DIRECT_RESPONSE") => Some(RouteKind::DirectResponse),
        _ => None,
    };
    // What is merged into a route is below `route`, except for the configuration of filters.
    let of_router = if is_for_routes { field(value, "route") } else { Some(value) };
    let known: &[&str] =
        if is_for_routes { &["route", "typed_per_filter_config"] } else { &["rate_limits", "typed_per_filter_config"] };
    note_others(value, known, unread);
    if let Some(of_router) = of_router.filter(|_| is_for_routes) {
        note_others(of_router, &["rate_limits"], unread);
    }
    let mut local = None;
    if let Some(configs) = field(value, "typed_per_filter_config") {
        note_others(configs, &[LOCAL], unread);
        local = configs.get(LOCAL).and_then(typed).map(|(_, config)| local_limit(config, unread));
    }
    let actions = rate_limits(of_router.and_then(|of_router| field(of_router, "rate_limits")), unread);
    if local.is_none() && actions.is_empty() {
        return None;
    }
    Some(RouteLimits {
        traffic,
        port: table.and_then(|table| text(table, "portNumber")).and_then(|port| port.parse().ok()),
        table: named(table),
        virtual_host: named(host),
        routes: is_for_routes.then(|| RouteChoice { name: named(route), action }),
        local,
        actions,
        origin,
    })
}

/// A cluster that stands for one host and port.
fn cluster(value: &Node) -> Option<Patch> {
    let name = text(value, "name")?;
    let groups = items(at(value, &["load_assignment", "endpoints"]));
    let endpoint = items(groups.first().and_then(|group| field(group, "lb_endpoints"))).first()?;
    let address = at(endpoint, &["endpoint", "address", "socket_address"])?;
    let target = format!("outbound|{}||{}", text(address, "port_value")?, text(address, "address")?);
    Some(Patch::Cluster(name.to_owned(), target))
}
