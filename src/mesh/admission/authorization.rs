//! AuthorizationPolicies (`ValidateAuthorizationPolicy`).

use super::names;
use super::policies::targets;
use super::review::Review;
use crate::resource::security::{AuthorizationPolicy, AuthorizationRule, AuthorizationSource, Condition, Operation};
use crate::source::Spanned;
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

/// Fields of a source that an external authorizer can be asked about; the others cannot.
const FOR_CUSTOM: &[&str] = &["ipBlocks", "notIpBlocks", "remoteIpBlocks", "notRemoteIpBlocks"];

fn check_source(source: &AuthorizationSource, action: &str, review: &mut Review<'_>) {
    let fields = sources(source);
    if fields.iter().all(|(_, list)| list.is_empty()) {
        review.reject(source.span, "a source needs at least one field");
    }
    for (name, list) in fields {
        not_empty(list, review);
        if action == "CUSTOM" && !FOR_CUSTOM.contains(&name) && !list.is_empty() {
            review.reject(list[0].span, format!("`{name}` is not supported with CUSTOM"));
        }
        if name.to_ascii_lowercase().ends_with("ipblocks") {
            networks(list, review);
        }
        if name.to_ascii_lowercase().ends_with("serviceaccounts") {
            service_accounts(list, review);
        }
        if name.to_ascii_lowercase().ends_with("trustdomains") {
            trust_domains(list, review);
        }
    }
    let any = |lists: [&Texts; 4]| lists.iter().any(|list| !list.is_empty());
    if any([&source.service_accounts, &source.not_service_accounts, &[], &[]])
        && any([&source.principals, &source.not_principals, &source.namespaces, &source.not_namespaces])
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

/// Trust domains, which may be prefixes or suffixes.
fn trust_domains(list: &Texts, review: &mut Review<'_>) {
    for domain in list {
        one_wildcard(domain, review);
        review.require(!domain.contains('/'), domain.span, format!("`{}` is more than a trust domain", domain.value));
    }
}

/// `*` stands at most once, at the beginning or the end.
fn one_wildcard(value: &Spanned<String>, review: &mut Review<'_>) {
    let fits = match value.matches('*').count() {
        0 => true,
        1 => value.starts_with('*') || value.ends_with('*'),
        _ => false,
    };
    review.require(fits, value.span, format!("the wildcard of `{}` must be one, at the beginning or the end", value.value));
}

/// The most service accounts of one list.
const SERVICE_ACCOUNTS_MAX: usize = 16;

/// The longest service account, namespace included.
const SERVICE_ACCOUNT_MAX: usize = 320;

fn service_accounts(list: &Texts, review: &mut Review<'_>) {
    if let Some(first) = list.first().filter(|_| list.len() > SERVICE_ACCOUNTS_MAX) {
        review.reject(first.span, format!("at most {SERVICE_ACCOUNTS_MAX} service accounts are possible"));
    }
    for account in list {
        let parts: Vec<&str> = account.split('/').collect();
        let valid = matches!(parts.len(), 1 | 2)
            && !account.contains('*')
            && parts.iter().all(|p| !p.is_empty())
            && account.len() <= SERVICE_ACCOUNT_MAX;
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

/// Why a path is no template; `None` for plain paths and good templates. A brace belongs to a
/// template anywhere.
fn wrong_path_template(path: &str) -> Option<String> {
    let template = path.contains("{*}") || path.contains("{**}");
    let mut rest_seen = false;
    for segment in path.trim_matches('/').split('/') {
        match segment {
            "{*}" | "{**}" if rest_seen => return Some("`{**}` is the last wildcard of a path".to_owned()),
            "{**}" => rest_seen = true,
            "{*}" => {}
            text if text.contains(['{', '}']) => return Some(format!("`{text}` mixes text and wildcard in one segment")),
            text if template && !is_literal(text) => {
                return Some(format!("`{text}` is no segment of a path template"));
            }
            _ => {}
        }
    }
    None
}

fn is_literal(segment: &str) -> bool {
    !segment.is_empty() && segment.chars().all(|c| c.is_ascii_alphanumeric() || "-._~%!$&'()+,;:@=".contains(c))
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
    for value in values().filter(|value| value.is_empty()) {
        review.reject(value.span, "a value may not be empty");
    }
    let bracketed = || key.find('[').is_some_and(|open| open > 0 && key.ends_with(']') && open + 2 < key.len());
    match key.value.as_str() {
        word if MAPS.iter().any(|map| word.starts_with(map)) => {
            review.require(bracketed(), key.span, format!("`{word}` needs a name in brackets"));
        }
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
        "source.trustDomain" => values().for_each(|value| one_wildcard(value, review)),
        "source.namespace"
        | "source.principal"
        | "request.auth.principal"
        | "request.auth.audiences"
        | "request.auth.presenter"
        | "connection.sni" => {}
        word => review.reject(key.span, format!("`{word}` is not the key of a condition")),
    }
    let about_identity =
        matches!(key.value.as_str(), "source.namespace" | "source.principal" | "source.serviceAccount" | "source.trustDomain")
            || key.starts_with("request.auth.");
    if action == "CUSTOM" && about_identity {
        review.reject(key.span, format!("`{}` is not supported with CUSTOM", key.value));
    }
}

/// Attributes with a name in brackets.
const MAPS: &[&str] = &["request.headers", "request.auth.claims", "experimental.envoy.filters."];

/// On a TCP port a DENY rule keeps only what TCP has, so a rule made of HTTP attributes alone denies
/// everything there. istiod looks at operations, and at sources where there are none.
fn warn_about_tcp(rule: &AuthorizationRule, review: &mut Review<'_>) {
    let operations: Vec<&Operation> = rule.to.iter().filter_map(|to| to.operation.as_ref()).collect();
    let sources: Vec<&AuthorizationSource> = rule.from.iter().filter_map(|from| from.source.as_ref()).collect();
    let has_ports = |o: &&Operation| !o.ports.is_empty() || !o.not_ports.is_empty();
    let known_to_tcp = |s: &&AuthorizationSource| {
        let lists = self::sources(s);
        let http_only = ["requestPrincipals", "notRequestPrincipals", "trustDomains", "notTrustDomains"];
        lists.iter().any(|(name, list)| !list.is_empty() && !http_only.contains(name))
    };
    let place = match (operations.first(), sources.first()) {
        (Some(operation), _) => (!operations.iter().any(has_ports)).then_some(operation.span),
        (None, Some(source)) => (!sources.iter().any(known_to_tcp)).then_some(source.span),
        (None, None) => None,
    };
    if let Some(span) = place {
        review.warn(span, "on TCP ports this DENY rule loses its HTTP conditions and denies everything; add `ports`");
    }
}
