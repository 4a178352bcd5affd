//! Relations between fields that no table can say: CEL expressions of the resource definitions,
//! each as one function.

use super::rules::Report;
use crate::time::Duration;
use crate::yaml::{Node, Value};

fn text<'n>(node: &'n Node, field: &str) -> Option<&'n str> {
    node.get(field).and_then(Node::as_str)
}

fn items<'n>(node: &'n Node, field: &str) -> &'n [Node] {
    match node.get(field).map(|n| &n.value) {
        Some(Value::Seq(items)) => items,
        _ => &[],
    }
}

fn has(node: &Node, field: &str) -> bool {
    node.get(field).is_some_and(|n| !n.is_null())
}

/// Labels of `type.istio.io` selectors: no wildcards in keys and values.
pub(super) fn no_wildcard_labels(node: &Node, report: &mut Report<'_>) {
    for (key, _) in node.entries().unwrap_or_default() {
        if key.value.is_empty() || key.value.contains('*') {
            report(key.span, "the key of a label may not be empty or hold a wildcard");
        }
    }
    no_wildcard_values(node, report);
}

/// Labels of `networking.istio.io` selectors: no wildcards in values.
pub(super) fn no_wildcard_values(node: &Node, report: &mut Report<'_>) {
    for (_, value) in node.entries().unwrap_or_default() {
        match value.as_str() {
            Some(text) if text.contains('*') => report(value.span, "the value of a label may not hold a wildcard"),
            Some(text) if text.chars().count() > 63 => report(value.span, "the value of a label has at most 63 characters"),
            _ => {}
        }
    }
}

pub(super) fn service_entry(node: &Node, report: &mut Report<'_>) {
    let endpoints = items(node, "endpoints");
    let place = node.get("endpoints").map_or(node.span, |n| n.span);
    if has(node, "workloadSelector") && !endpoints.is_empty() {
        report(place, "only one of `workloadSelector` and `endpoints` may be set");
    }
    let resolution = text(node, "resolution").unwrap_or("NONE");
    if resolution == "NONE" && !endpoints.is_empty() {
        report(place, "resolution NONE takes no endpoints");
    }
    if resolution == "DNS_ROUND_ROBIN" && endpoints.len() > 1 {
        report(place, "resolution DNS_ROUND_ROBIN takes at most one endpoint");
    }
    if !matches!(resolution, "NONE" | "STATIC") {
        for address in items(node, "addresses").iter().filter(|a| a.as_str().is_some_and(|a| a.contains('/'))) {
            report(address.span, "networks are allowed with resolution NONE and STATIC only");
        }
    }
}

pub(super) fn workload_entry(node: &Node, report: &mut Report<'_>) {
    if !has(node, "address") && !has(node, "network") {
        report(node.span, "an address is required");
    }
    let Some(path) = text(node, "address").and_then(|a| a.strip_prefix("unix://")) else { return };
    if !path.starts_with('/') && !path.starts_with('@') {
        report(node.span, "a unix socket needs an absolute path or an abstract name");
    }
    if path.ends_with('/') {
        report(node.span, "a unix socket may not be a directory");
    }
    if has(node, "ports") {
        report(node.span, "a unix socket takes no ports");
    }
}

pub(super) fn port_level_needs_selector(node: &Node, report: &mut Report<'_>) {
    let selected =
        node.get("selector").and_then(|s| s.get("matchLabels")).and_then(Node::entries).is_some_and(|labels| !labels.is_empty());
    if let (Some(ports), false) = (node.get("portLevelMtls"), selected) {
        report(ports.span, "`portLevelMtls` requires a selector with labels");
    }
}

pub(super) fn port_keys(node: &Node, report: &mut Report<'_>) {
    for (key, _) in node.entries().unwrap_or_default() {
        if !key.value.parse::<u32>().is_ok_and(|port| (1..=65535).contains(&port)) {
            report(key.span, "a port must be between 1 and 65535");
        }
    }
}

pub(super) fn selector_or_targets(node: &Node, report: &mut Report<'_>) {
    let given = ["selector", "targetRef", "targetRefs"].iter().filter(|f| has(node, f)).count();
    if given > 1 {
        report(node.span, "only one of `selector`, `targetRef` and `targetRefs` may be set");
    }
}

pub(super) fn service_accounts_alone(node: &Node, report: &mut Report<'_>) {
    for (accounts, others) in
        [("serviceAccounts", ["principals", "namespaces"]), ("notServiceAccounts", ["notPrincipals", "notNamespaces"])]
    {
        if has(node, accounts) && others.iter().any(|other| has(node, other)) {
            report(node.span, "service accounts cannot stand beside principals or namespaces in one source");
        }
    }
}

pub(super) fn same_namespace(node: &Node, report: &mut Report<'_>) {
    if let Some(namespace) = text(node, "namespace").filter(|n| !n.is_empty()) {
        report(
            node.get("namespace").map_or(node.span, |n| n.span),
            &format!("a target in another namespace (`{namespace}`) is not supported"),
        );
    }
}

pub(super) fn one_key_source(node: &Node, report: &mut Report<'_>) {
    let given = ["jwksUri", "jwks_uri", "jwks"].iter().filter(|f| has(node, f)).count();
    if given > 1 {
        report(node.span, "only one of `jwks` and `jwksUri` may be set");
    }
}

pub(super) fn listener_tls(node: &Node, report: &mut Report<'_>) {
    let (protocol, tls) = (text(node, "protocol").unwrap_or(""), node.get("tls").filter(|n| !n.is_null()));
    let mode = tls.and_then(|t| text(t, "mode")).unwrap_or("Terminate");
    match (protocol, tls) {
        ("HTTP" | "TCP" | "UDP", Some(tls)) => report(tls.span, "HTTP, TCP and UDP listeners take no tls"),
        ("TLS", None) => report(node.span, "a TLS listener needs tls"),
        ("HTTPS", Some(tls)) if mode != "Terminate" => report(tls.span, "an HTTPS listener takes mode Terminate only"),
        ("UDP" | "TCP", _) if has(node, "hostname") => report(node.span, "TCP and UDP listeners take no hostname"),
        _ => {}
    }
    if let Some(tls) = tls {
        let options = tls.get("options").and_then(Node::entries).is_some_and(|o| !o.is_empty());
        if mode == "Terminate" && items(tls, "certificateRefs").is_empty() && !options {
            report(tls.span, "mode Terminate needs `certificateRefs` or `options`");
        }
    }
}

/// The field that carries the body of a filter of each type.
const FILTER_BODIES: &[(&str, &str)] = &[
    ("RequestHeaderModifier", "requestHeaderModifier"),
    ("ResponseHeaderModifier", "responseHeaderModifier"),
    ("RequestMirror", "requestMirror"),
    ("RequestRedirect", "requestRedirect"),
    ("URLRewrite", "urlRewrite"),
    ("ExtensionRef", "extensionRef"),
    ("CORS", "cors"),
    ("ExternalAuth", "externalAuth"),
];

pub(super) fn filter_body(node: &Node, report: &mut Report<'_>) {
    let Some(kind) = text(node, "type") else { return };
    for (of, field) in FILTER_BODIES {
        match (*of == kind, has(node, field)) {
            (true, false) => report(node.span, &format!("a filter of type {kind} needs `{field}`")),
            (false, true) => report(node.span, &format!("`{field}` does not belong to a filter of type {kind}")),
            _ => {}
        }
    }
}

pub(super) fn filters_once(node: &Node, report: &mut Report<'_>) {
    let Value::Seq(filters) = &node.value else { return };
    let count = |kind: &str| filters.iter().filter(|f| text(f, "type") == Some(kind)).count();
    for kind in ["RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite", "CORS"] {
        if count(kind) > 1 {
            report(node.span, &format!("{kind} may not be repeated"));
        }
    }
    if count("RequestRedirect") > 0 && count("URLRewrite") > 0 {
        report(node.span, "RequestRedirect and URLRewrite exclude each other");
    }
}

pub(super) fn redirect_code(node: &Node, report: &mut Report<'_>) {
    if let Value::Int(code, _) = node.value
        && !matches!(code, 301 | 302 | 303 | 307 | 308)
    {
        report(node.span, "use one of 301, 302, 303, 307, 308");
    }
}

pub(super) fn path_modifier(node: &Node, report: &mut Report<'_>) {
    let kind = text(node, "type").unwrap_or("");
    for (of, field) in [("ReplaceFullPath", "replaceFullPath"), ("ReplacePrefixMatch", "replacePrefixMatch")] {
        match (of == kind, has(node, field)) {
            (true, false) => report(node.span, &format!("type {kind} needs `{field}`")),
            (false, true) => report(node.span, &format!("`{field}` does not belong to type {kind}")),
            _ => {}
        }
    }
}

pub(super) fn fraction(node: &Node, report: &mut Report<'_>) {
    let number = |field: &str, absent: i64| match node.get(field).map(|n| &n.value) {
        Some(Value::Int(n, _)) => *n,
        _ => absent,
    };
    let (numerator, denominator) = (number("numerator", 0), number("denominator", 100));
    if numerator < 0 || denominator < 1 || numerator > denominator {
        report(node.span, "a fraction lies between 0 and 1");
    }
}

pub(super) fn service_needs_port(node: &Node, report: &mut Report<'_>) {
    let service = text(node, "group").unwrap_or("").is_empty() && text(node, "kind").unwrap_or("Service") == "Service";
    if service && !has(node, "port") {
        report(node.span, "a Service as back end needs a port");
    }
}

pub(super) fn rule_names(node: &Node, report: &mut Report<'_>) {
    let Value::Seq(rules) = &node.value else { return };
    for (index, rule) in rules.iter().enumerate() {
        let name = text(rule, "name");
        if name.is_some() && rules[..index].iter().any(|earlier| text(earlier, "name") == name) {
            report(rule.span, "rule names must be unique within the route");
        }
    }
}

fn filters<'n>(rule: &'n Node, kind: &'n str) -> impl Iterator<Item = &'n Node> {
    items(rule, "filters").iter().filter(move |f| text(f, "type") == Some(kind))
}

pub(super) fn redirect_without_backends(node: &Node, report: &mut Report<'_>) {
    if filters(node, "RequestRedirect").next().is_some() && !items(node, "backendRefs").is_empty() {
        report(node.span, "RequestRedirect excludes `backendRefs`");
    }
}

pub(super) fn prefix_rewrite_needs_prefix(node: &Node, report: &mut Report<'_>) {
    let replaces = |filter: &Node, field: &str| {
        filter.get(field).and_then(|f| f.get("path")).is_some_and(|p| text(p, "type") == Some("ReplacePrefixMatch"))
    };
    let used = filters(node, "URLRewrite").any(|f| replaces(f, "urlRewrite"))
        || filters(node, "RequestRedirect").any(|f| replaces(f, "requestRedirect"));
    if !used {
        return;
    }
    let kind = |m: &Node| m.get("path").and_then(|p| text(p, "type")).unwrap_or("PathPrefix").to_owned();
    let fits = match items(node, "matches") {
        [] => true,
        [only] => kind(only) == "PathPrefix",
        _ => false,
    };
    if !fits {
        report(node.span, "ReplacePrefixMatch needs exactly one match, of type PathPrefix");
    }
}

pub(super) fn timeouts(node: &Node, report: &mut Report<'_>) {
    let Some(timeouts) = node.get("timeouts") else { return };
    let time = |field: &str| text(timeouts, field).and_then(|t| Duration::parse_go(t).ok());
    if let (Some(request), Some(backend)) = (time("request"), time("backendRequest"))
        && !request.is_zero()
        && backend > request
    {
        report(timeouts.span, "`backendRequest` may not be longer than `request`");
    }
}

pub(super) fn path(node: &Node, report: &mut Report<'_>) {
    let kind = text(node, "type").unwrap_or("PathPrefix");
    let value = text(node, "value").unwrap_or("/");
    if kind == "RegularExpression" {
        return;
    }
    if !value.starts_with('/') {
        report(node.span, "a path begins with `/`");
    }
    for part in ["//", "/./", "/../", "%2f", "%2F", "#"] {
        if value.contains(part) {
            report(node.span, &format!("a path may not hold `{part}`"));
        }
    }
    for end in ["/..", "/."] {
        if value.ends_with(end) {
            report(node.span, &format!("a path may not end with `{end}`"));
        }
    }
}

pub(super) fn grpc_method(node: &Node, report: &mut Report<'_>) {
    if !has(node, "service") && !has(node, "method") {
        report(node.span, "one of `service` and `method` is required");
    }
}
