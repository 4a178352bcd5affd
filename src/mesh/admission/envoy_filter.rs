//! EnvoyFilters (`ValidateEnvoyFilter`), as far as they can be judged without Envoy's own types.

use super::names;
use super::review::Review;
use crate::mesh::pattern::Pattern;
use crate::resource::kubernetes::MetadataOnly;
use crate::yaml::{Map, Node, Value};

/// Which match goes with which `applyTo`; other kinds of patches take any.
const MATCHES: &[(&str, &[&str])] = &[
    ("listener", &["LISTENER", "FILTER_CHAIN", "NETWORK_FILTER", "HTTP_FILTER"]),
    ("routeConfiguration", &["ROUTE_CONFIGURATION", "VIRTUAL_HOST", "HTTP_ROUTE"]),
    ("cluster", &["CLUSTER"]),
];

/// The longest expression for versions of a proxy that istiod compiles.
const VERSION_MAX: usize = 1024;

/// The network filter that HTTP filters belong to.
const HTTP_CONNECTION_MANAGERS: &[&str] = &["envoy.filters.network.http_connection_manager", "envoy.http_connection_manager"];

/// Names of filters that Envoy has given up, which begin without `envoy.filters.`.
const RENAMED_FILTERS: &[&str] = &[
    "envoy.buffer",
    "envoy.cors",
    "envoy.csrf",
    "envoy.ext_authz",
    "envoy.fault",
    "envoy.grpc_http1_bridge",
    "envoy.grpc_json_transcoder",
    "envoy.grpc_web",
    "envoy.gzip",
    "envoy.health_check",
    "envoy.http_connection_manager",
    "envoy.http_dynamo_filter",
    "envoy.ip_tagging",
    "envoy.listener.http_inspector",
    "envoy.listener.original_dst",
    "envoy.listener.original_src",
    "envoy.listener.proxy_protocol",
    "envoy.listener.tls_inspector",
    "envoy.lua",
    "envoy.mongo_proxy",
    "envoy.rate_limit",
    "envoy.ratelimit",
    "envoy.redis_proxy",
    "envoy.router",
    "envoy.squash",
    "envoy.tcp_proxy",
    "envoy.client_ssl_auth",
];

pub(super) fn check(spec: &MetadataOnly, review: &mut Review<'_>) {
    review.warn(review.object.span, "an EnvoyFilter depends on internals of the proxy and may break with any release");
    let Some(spec) = &spec.spec else { return };
    if let Some(selector) = spec.get("workloadSelector").filter(|selector| !selector.is_null()) {
        let labels = selector.get("labels").and_then(Node::entries).unwrap_or_default();
        let labels = labels
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), crate::source::Spanned::new(value.as_str()?.to_owned(), value.span))));
        names::selector(&Map(labels.collect()), selector.span, review);
    }
    let Some(Value::Seq(patches)) = spec.get("configPatches").map(|n| &n.value) else { return };
    for patch in patches {
        check_patch(patch, review);
    }
}

fn text(node: Option<&Node>) -> &str {
    node.and_then(Node::as_str).unwrap_or("")
}

fn part<'n>(node: Option<&'n Node>, field: &str) -> Option<&'n Node> {
    node?.get(field).filter(|part| !part.is_null())
}

fn check_patch(patch: &Node, review: &mut Review<'_>) {
    let condition = part(Some(patch), "match");
    if text(part(condition, "context")) == "WAYPOINT" {
        return;
    }
    let apply_to = text(patch.get("applyTo"));
    if matches!(apply_to, "" | "INVALID") {
        return review.reject(patch.span, "a patch needs `applyTo`");
    }
    let Some(change) = part(Some(patch), "patch") else {
        return review.reject(patch.span, "`patch` is missing");
    };
    let operation = text(change.get("operation"));
    if matches!(operation, "" | "INVALID") {
        return review.reject(change.span, "a patch needs an operation");
    }
    if operation != "REMOVE" && part(Some(change), "value").is_none() {
        return review.reject(change.span, "a patch that does not remove needs a value");
    }
    if let Some(value) = change.get("value") {
        check_types(value, review);
    }
    let Some(condition) = condition else { return };
    check_version(condition, review);
    let given: Vec<_> = ["listener", "routeConfiguration", "cluster"]
        .into_iter()
        .filter(|field| part(Some(condition), field).is_some())
        .collect();
    let wanted = MATCHES.iter().find(|(_, kinds)| kinds.contains(&apply_to)).map(|(field, _)| *field);
    if let (Some(wanted), Some(field)) = (wanted, given.first())
        && !given.contains(&wanted)
    {
        review.reject(condition.span, format!("a match of `{field}` does not go with applyTo {apply_to}"));
    } else if wanted == Some("listener") {
        check_filter(condition, apply_to, review);
    }
}

/// A `typed_config` says of which type it is.
fn check_types(value: &Node, review: &mut Review<'_>) {
    match &value.value {
        Value::Map(entries) => {
            for (key, entry) in entries {
                let typed = matches!(key.value.as_str(), "typed_config" | "typedConfig");
                if typed && entry.entries().is_some() && text(entry.get("@type")).is_empty() {
                    review.reject(entry.span, format!("`{}` needs `@type`", key.value));
                }
                check_types(entry, review);
            }
        }
        Value::Seq(items) => items.iter().for_each(|item| check_types(item, review)),
        _ => {}
    }
}

fn check_version(condition: &Node, review: &mut Review<'_>) {
    let Some(version) = part(part(Some(condition), "proxy"), "proxyVersion") else { return };
    let pattern = text(Some(version));
    if pattern.len() > VERSION_MAX {
        review.warn(version.span, format!("a `proxyVersion` of more than {VERSION_MAX} bytes is ignored"));
    } else if let Err(why) = Pattern::new(pattern) {
        review.reject(version.span, format!("not a regular expression in RE2 syntax: {why}"));
    }
}

fn check_filter(condition: &Node, apply_to: &str, review: &mut Review<'_>) {
    let Some(filter) = part(part(part(Some(condition), "listener"), "filterChain"), "filter") else { return };
    if matches!(apply_to, "LISTENER" | "FILTER_CHAIN") {
        review.warn(filter.span, format!("a match of filters has no effect with applyTo {apply_to}"));
    }
    let name = text(filter.get("name"));
    if name.is_empty() {
        return review.reject(filter.span, "a match of filters needs a name");
    }
    let inner = part(Some(filter), "subFilter");
    if let Some(inner) = inner {
        if apply_to != "HTTP_FILTER" {
            return review.reject(inner.span, "`subFilter` goes with applyTo HTTP_FILTER only");
        }
        if !HTTP_CONNECTION_MANAGERS.contains(&name) {
            return review.reject(inner.span, format!("`subFilter` belongs to {}", HTTP_CONNECTION_MANAGERS[0]));
        }
        if text(inner.get("name")).is_empty() {
            return review.reject(inner.span, "a match of filters needs a name");
        }
    }
    for old in [name, text(part(inner, "name"))].into_iter().filter(|name| RENAMED_FILTERS.contains(name)) {
        review.warn(filter.span, format!("`{old}` is an old name of a filter"));
    }
}
