//! What a route does (Envoy: `RouteAction`, `RedirectAction`, `DirectResponseAction`).

use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::headers::put_operations;
use super::route_match::regex;
use super::wire::{percentage, put, seconds};
use crate::mesh::pattern::Pattern;
use crate::mesh::route::{
    Action, DirectResponse, Forward, HashPolicy, Leg, Mirror, PathRewrite, Redirect, RedirectPath, RetryPolicy,
};

/// Puts the action of a route into its fields, under the name that says which it is.
pub(super) fn put_action(fields: &mut Map<String, Value>, action: &Action) {
    match action {
        Action::Forward(forward) => put(fields, "route", forwarding(forward)),
        Action::Redirect(redirect) => put(fields, "redirect", redirection(redirect)),
        Action::Direct(direct) => put(fields, "direct_response", direct_response(direct)),
    }
}

fn forwarding(forward: &Forward) -> Value {
    let mut fields = Map::new();
    match forward.legs.all() {
        // Operations of a lone destination are part of the route's, so nothing needs a list of one.
        [lone] if lone.authority_rewrite.is_none() && lone.request_headers.is_empty() && lone.response_headers.is_empty() => {
            put(&mut fields, "cluster", lone.cluster.name.as_str());
        }
        legs => {
            let legs: Vec<Value> = legs.iter().map(weighted_cluster).collect();
            put(&mut fields, "weighted_clusters", json!({"clusters": legs}));
        }
    }
    let not_found = if forward.cluster_not_found_status == 500 { "INTERNAL_SERVER_ERROR" } else { "SERVICE_UNAVAILABLE" };
    put(&mut fields, "cluster_not_found_response_code", not_found);
    match &forward.path_rewrite {
        Some(PathRewrite::Prefix(prefix)) => put(&mut fields, "prefix_rewrite", prefix.as_str()),
        Some(PathRewrite::Regex { pattern, substitution }) => {
            put(&mut fields, "regex_rewrite", regex_rewrite(pattern, substitution));
        }
        None => {}
    }
    if let Some(authority) = &forward.authority_rewrite {
        put(&mut fields, "host_rewrite_literal", authority.as_str());
        put(&mut fields, "append_x_forwarded_host", true);
    }
    put(&mut fields, "timeout", seconds(forward.timeout));
    put(&mut fields, "retry_policy", forward.retries.as_ref().map_or(Value::Null, retry_policy));
    put(&mut fields, "hash_policy", forward.hash.iter().map(hash_policy).collect::<Vec<_>>());
    put(&mut fields, "request_mirror_policies", forward.mirrors.iter().map(mirror).collect::<Vec<_>>());
    fields.into()
}

fn weighted_cluster(leg: &Leg) -> Value {
    let mut fields = Map::new();
    put(&mut fields, "name", leg.cluster.name.as_str());
    put(&mut fields, "weight", leg.weight);
    put_operations(&mut fields, &leg.request_headers, &leg.response_headers);
    put(&mut fields, "host_rewrite_literal", leg.authority_rewrite.clone());
    fields.into()
}

fn regex_rewrite(pattern: &Pattern, substitution: &str) -> Value {
    json!({"pattern": regex(pattern), "substitution": substitution})
}

fn retry_policy(policy: &RetryPolicy) -> Value {
    let mut fields = Map::new();
    put(&mut fields, "retry_on", policy.on.as_str());
    put(&mut fields, "num_retries", policy.attempts);
    if let Some(timeout) = policy.per_try_timeout {
        put(&mut fields, "per_try_timeout", seconds(timeout));
    }
    put(&mut fields, "retriable_status_codes", policy.codes.clone());
    if policy.avoids_tried_hosts {
        let message = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate";
        let predicate = super::wire::extension("envoy.retry_host_predicates.previous_hosts", message, json!({}));
        put(&mut fields, "retry_host_predicate", vec![predicate]);
        put(&mut fields, "host_selection_retry_max_attempts", policy.host_picks_max);
    }
    if policy.retry_remote_localities {
        let message = "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig";
        let priority =
            super::wire::extension("envoy.retry_priorities.previous_priorities", message, json!({"update_frequency": 2}));
        put(&mut fields, "retry_priority", priority);
    }
    if let Some(base) = policy.back_off_base {
        put(&mut fields, "retry_back_off", json!({"base_interval": seconds(base)}));
    }
    fields.into()
}

/// What a balancer hashes.
#[must_use]
pub fn hash_policy(policy: &HashPolicy) -> Value {
    match policy {
        HashPolicy::Header(name) => json!({"header": {"header_name": name}}),
        HashPolicy::SourceIp => json!({"connection_properties": {"source_ip": true}}),
        HashPolicy::Nothing => json!({"connection_properties": {}}),
        HashPolicy::Query(name) => json!({"query_parameter": {"name": name}}),
        HashPolicy::Cookie { name, path, ttl, attributes } => {
            let mut cookie = Map::new();
            put(&mut cookie, "name", name.as_str());
            put(&mut cookie, "ttl", ttl.map_or(Value::Null, seconds));
            put(&mut cookie, "path", path.as_str());
            let attributes = attributes.iter().map(|(name, value)| {
                let mut attribute = Map::new();
                put(&mut attribute, "name", name.as_str());
                put(&mut attribute, "value", value.as_str());
                attribute
            });
            put(&mut cookie, "attributes", attributes.collect::<Vec<_>>());
            json!({ "cookie": cookie })
        }
    }
}

fn mirror(mirror: &Mirror) -> Value {
    json!({
        "cluster": mirror.cluster.name,
        "runtime_fraction": {"default_value": percentage(mirror.share)},
        "disable_shadow_host_suffix_append": true,
    })
}

fn redirection(redirect: &Redirect) -> Value {
    let mut fields = Map::new();
    put(&mut fields, "host_redirect", redirect.host.clone());
    put(&mut fields, "scheme_redirect", redirect.scheme.clone());
    if let Some(port) = redirect.port {
        put(&mut fields, "port_redirect", port);
    }
    match &redirect.path {
        Some(RedirectPath::Full(path)) => put(&mut fields, "path_redirect", path.as_str()),
        Some(RedirectPath::Prefix(prefix)) => put(&mut fields, "prefix_rewrite", prefix.as_str()),
        Some(RedirectPath::Regex { pattern, substitution }) => {
            put(&mut fields, "regex_rewrite", regex_rewrite(pattern, substitution));
        }
        None => {}
    }
    let code = match redirect.status {
        302 => "FOUND",
        303 => "SEE_OTHER",
        307 => "TEMPORARY_REDIRECT",
        308 => "PERMANENT_REDIRECT",
        _ => "MOVED_PERMANENTLY",
    };
    put(&mut fields, "response_code", code);
    fields.into()
}

fn direct_response(direct: &DirectResponse) -> Value {
    if direct.body.is_empty() {
        return json!({"status": direct.status});
    }
    let body = match std::str::from_utf8(&direct.body) {
        Ok(text) => json!({"inline_string": text}),
        Err(_) => json!({"inline_bytes": base64::engine::general_purpose::STANDARD.encode(&direct.body)}),
    };
    json!({"status": direct.status, "body": body})
}
