//! AuthorizationPolicies (`ValidateAuthorizationPolicy`).

use super::names;
use super::policies::targets;
use super::review::Review;
use crate::resource::security::{AuthorizationPolicy, AuthorizationRule, AuthorizationSource, Condition, Operation};
use crate::source::{Span, Spanned};
use crate::yaml::Node;

type Texts = [Spanned<String>];

pub(super) fn check(spec: &AuthorizationPolicy, review: &mut Review<'_>) {
    if let Some(selector) = &spec.selector {
        names::selector(&selector.match_labels, selector.span, review);
    }
    targets(spec.selector.is_some(), spec.target_ref.as_ref(), &spec.target_refs, review);
    let action = spec.action.as_ref().map_or("ALLOW", |a| a.value.as_str());
    if matches!(action, "DENY" | "CUSTOM") && spec.rules.is_empty() {
        review.reject(
            spec.span,
            format!("{action} without rules never applies; add an empty rule `{{}}` to apply it to every request"),
        );
    }
    let provider = spec.provider.as_ref().and_then(|p| p.get("name")).and_then(Node::as_str).unwrap_or("");
    if action == "CUSTOM" && provider.is_empty() {
        review.reject(spec.span, "CUSTOM needs a provider");
    }
    if action != "CUSTOM" && spec.provider.is_some() {
        review.reject(spec.span, format!("a provider is for CUSTOM, not for {action}"));
    }
    for rule in &spec.rules {
        check_rule(rule, action, review);
    }
}

fn check_rule(rule: &AuthorizationRule, action: &str, review: &mut Review<'_>) {
    for from in &rule.from {
        match &from.source {
            Some(source) => check_source(source, action, review),
            None => review.reject(from.span, "a `from` needs a source"),
        }
    }
    for to in &rule.to {
        match &to.operation {
            Some(operation) => check_operation(operation, review),
            None => review.reject(to.span, "a `to` needs an operation"),
        }
    }
    for condition in &rule.when {
        check_condition(condition, action, review);
    }
    if action == "DENY" {
        warn_about_tcp(rule, review);
    }
}

fn sources(source: &AuthorizationSource) -> [(&'static str, &Texts); 14] {
    [
        ("principals", &source.principals),
        ("notPrincipals", &source.not_principals),
        ("requestPrincipals", &source.request_principals),
        ("notRequestPrincipals", &source.not_request_principals),
        ("namespaces", &source.namespaces),
        ("notNamespaces", &source.not_namespaces),
        ("serviceAccounts", &source.service_accounts),
        ("notServiceAccounts", &source.not_service_accounts),
        ("ipBlocks", &source.ip_blocks),
        ("notIpBlocks", &source.not_ip_blocks),
        ("remoteIpBlocks", &source.remote_ip_blocks),
        ("notRemoteIpBlocks", &source.not_remote_ip_blocks),
        ("trustDomains", &source.trust_domains),
        ("notTrustDomains", &source.not_trust_domains),
    ]
}

/// Fields of a source that an external authorizer cannot be asked about.
const NOT_FOR_CUSTOM: &[&str] =
    &["principals", "notPrincipals", "requestPrincipals", "notRequestPrincipals", "namespaces", "notNamespaces"];

fn check_source(source: &AuthorizationSource, action: &str, review: &mut Review<'_>) {
    let fields = sources(source);
    if fields.iter().all(|(_, list)| list.is_empty()) {
        review.reject(source.span, "a source needs at least one field");
    }
    for (name, list) in fields {
        not_empty(list, review);
        if action == "CUSTOM" && NOT_FOR_CUSTOM.contains(&name) && !list.is_empty() {
            review.reject(list[0].span, format!("`{name}` is not supported with CUSTOM"));
        }
        if name.to_ascii_lowercase().ends_with("ipblocks") {
            networks(list, review);
        }
        if name.to_ascii_lowercase().ends_with("serviceaccounts") {
            service_accounts(list, review);
        }
    }
    let beside = |accounts: &Texts, others: [&Texts; 2]| !accounts.is_empty() && others.iter().any(|o| !o.is_empty());
    if beside(&source.service_accounts, [&source.principals, &source.namespaces])
        || beside(&source.not_service_accounts, [&source.not_principals, &source.not_namespaces])
    {
        review.reject(source.span, "service accounts cannot stand beside principals or namespaces in one source");
    }
}

fn not_empty(list: &Texts, review: &mut Review<'_>) {
    for value in list.iter().filter(|v| v.is_empty()) {
        review.reject(value.span, "a value may not be empty");
    }
}

fn networks(list: &Texts, review: &mut Review<'_>) {
    for block in list.iter().filter(|b| !names::is_network(b)) {
        review.reject(block.span, format!("`{}` is neither an address nor a network", block.value));
    }
}

fn service_accounts(list: &Texts, review: &mut Review<'_>) {
    for account in list {
        let parts: Vec<&str> = account.split('/').collect();
        let valid = matches!(parts.len(), 1 | 2) && !account.contains('*') && parts.iter().all(|p| !p.is_empty());
        review.require(valid, account.span, format!("`{}` is not `name` or `namespace/name`", account.value));
    }
}

fn check_operation(operation: &Operation, review: &mut Review<'_>) {
    let lists: [&Texts; 8] = [
        &operation.hosts,
        &operation.not_hosts,
        &operation.ports,
        &operation.not_ports,
        &operation.methods,
        &operation.not_methods,
        &operation.paths,
        &operation.not_paths,
    ];
    if lists.iter().all(|list| list.is_empty()) {
        review.reject(operation.span, "an operation needs at least one field");
    }
    for list in lists {
        not_empty(list, review);
    }
    for port in operation.ports.iter().chain(&operation.not_ports).filter(|p| !is_port(p)) {
        review.reject(port.span, format!("`{}` is not a port", port.value));
    }
    for path in operation.paths.iter().chain(&operation.not_paths) {
        if let Some(why) = wrong_path_template(path) {
            review.reject(path.span, why);
        }
    }
}

fn is_port(text: &str) -> bool {
    text.parse::<u32>().is_ok_and(|port| port <= 65535)
}

/// Why a path with `{*}` or `{**}` is no template; `None` for plain paths and good templates.
fn wrong_path_template(path: &str) -> Option<String> {
    if !path.contains("{*}") && !path.contains("{**}") {
        return None;
    }
    let mut rest_seen = false;
    for segment in path.split('/').skip(1) {
        match segment {
            "{**}" if rest_seen => return Some("`{**}` stands at most once in a path".to_owned()),
            "{*}" if rest_seen => return Some("`{**}` is the last wildcard of a path".to_owned()),
            "{**}" => rest_seen = true,
            "{*}" => {}
            text if text.contains(['*', '{', '}']) => return Some(format!("`{text}` mixes text and wildcard in one segment")),
            _ => {}
        }
    }
    (!path.starts_with('/')).then(|| "a path template begins with `/`".to_owned())
}

/// Keys of conditions, and what their values are.
fn check_condition(condition: &Condition, action: &str, review: &mut Review<'_>) {
    let Some(key) = condition.key.as_ref().filter(|k| !k.is_empty()) else {
        review.reject(condition.span, "a condition needs a key");
        return;
    };
    if condition.values.is_empty() && condition.not_values.is_empty() {
        review.reject(condition.span, "a condition needs `values` or `notValues`");
    }
    let values = || condition.values.iter().chain(&condition.not_values);
    let bracketed =
        |prefix: &str| key.strip_prefix(prefix).is_some_and(|k| k.starts_with('[') && k.ends_with(']') && k.len() > 2);
    match key.value.as_str() {
        "source.ip" | "remote.ip" | "destination.ip" => {
            networks(&condition.values, review);
            networks(&condition.not_values, review);
        }
        "destination.port" => {
            for value in values().filter(|v| !is_port(v)) {
                review.reject(value.span, format!("`{}` is not a port", value.value));
            }
        }
        "source.serviceAccount" => {
            service_accounts(&condition.values, review);
            service_accounts(&condition.not_values, review);
        }
        "source.namespace"
        | "source.principal"
        | "source.trustDomain"
        | "request.auth.principal"
        | "request.auth.audiences"
        | "request.auth.presenter"
        | "connection.sni" => {}
        _ if bracketed("request.headers") || bracketed("request.auth.claims") => {}
        word if word.starts_with("experimental.envoy.filters.") => {}
        word => review.reject(key.span, format!("`{word}` is not the key of a condition")),
    }
    let about_identity = matches!(key.value.as_str(), "source.namespace" | "source.principal") || key.starts_with("request.auth");
    if action == "CUSTOM" && about_identity {
        review.reject(key.span, format!("`{}` is not supported with CUSTOM", key.value));
    }
}

/// On a TCP port a DENY rule keeps only what TCP has, so a rule made of HTTP attributes alone denies
/// everything there.
fn warn_about_tcp(rule: &AuthorizationRule, review: &mut Review<'_>) {
    let ports_given =
        rule.to.iter().filter_map(|to| to.operation.as_ref()).any(|o| !o.ports.is_empty() || !o.not_ports.is_empty());
    if ports_given {
        return;
    }
    let by_operation = rule.to.iter().filter_map(|to| to.operation.as_ref()).find_map(|o| {
        let lists = [&o.hosts, &o.not_hosts, &o.methods, &o.not_methods, &o.paths, &o.not_paths];
        lists.iter().find_map(|list| list.first()).map(|first| first.span)
    });
    let by_source = rule.from.iter().filter_map(|from| from.source.as_ref()).find_map(|s| {
        let lists = [&s.request_principals, &s.not_request_principals];
        lists.iter().find_map(|list| list.first()).map(|first| first.span)
    });
    let by_condition = rule.when.iter().find_map(|c| c.key.as_ref().filter(|k| k.starts_with("request.")).map(|k| k.span));
    let place: Option<Span> = by_operation.or(by_source).or(by_condition);
    if let Some(span) = place {
        review.warn(span, "on TCP ports this DENY rule loses its HTTP conditions and denies everything; add `ports`");
    }
}
