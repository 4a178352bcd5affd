//! Relations that the notation has no word for: CEL expressions of the resource definitions, each as
//! one function with a name.

use std::net::IpAddr;
use std::sync::LazyLock;

use regex::Regex;

use crate::source::Span;
use crate::time::Duration;
use crate::yaml::{Node, Value};

/// Where a relation reports what is wrong.
pub(super) type Report<'a> = dyn FnMut(Span, &str) + 'a;

/// Something that must hold for a value.
pub(super) type Relation = fn(&Node, &mut Report<'_>);

/// The relation with this name.
pub(super) fn named(name: &str) -> Option<Relation> {
    RELATIONS.iter().find(|(known, _)| *known == name).map(|(_, relation)| *relation)
}

const RELATIONS: &[(&str, Relation)] = &[
    ("address-or-network", address_or_network),
    ("annotation-keys", annotation_keys),
    ("certificate-authorities", certificate_authorities),
    ("environment", environment),
    ("external-authorization", external_authorization),
    ("filter-body", filter_body),
    ("filters-once", filters_once),
    ("fraction", fraction),
    ("gateway-address", gateway_address),
    ("gateway-addresses", gateway_addresses),
    ("grpc-method", grpc_method),
    ("http-url", http_url),
    ("label-keys", label_keys),
    ("listeners", listeners),
    ("matches-in-all", matches_in_all),
    ("module-url", module_url),
    ("no-wildcard", no_wildcard),
    ("not-a-star", not_a_star),
    ("one-extension", one_extension),
    ("parent-refs", parent_refs),
    ("path", path),
    ("path-modifier", path_modifier),
    ("port-keys", port_keys),
    ("port-level-needs-selector", port_level_needs_selector),
    ("port-names", port_names),
    ("prefix-rewrite-needs-prefix", prefix_rewrite_needs_prefix),
    ("redirect-without-backends", redirect_without_backends),
    ("resolution", resolution),
    ("rule-names", rule_names),
    ("service-accounts-alone", service_accounts_alone),
    ("service-needs-port", service_needs_port),
    ("session-persistence", session_persistence),
    ("sni-hostnames", sni_hostnames),
    ("star-stands-alone", star_stands_alone),
    ("subject-alt-name", subject_alt_name),
    ("tag-override", tag_override),
    ("target-refs", target_refs),
    ("terminate-needs-certificates", terminate_needs_certificates),
    ("timeouts", timeouts),
    ("unique-listeners", unique_listeners),
    ("unix-socket", unix_socket),
    ("unix-socket-ports", unix_socket_ports),
    ("waypoint-context", waypoint_context),
];

fn text<'n>(node: &'n Node, field: &str) -> Option<&'n str> {
    node.get(field).and_then(Node::as_str)
}

/// The text of a field that counts as absent when it is empty.
fn filled<'n>(node: &'n Node, field: &str) -> Option<&'n str> {
    text(node, field).filter(|text| !text.is_empty())
}

fn items<'n>(node: &'n Node, field: &str) -> &'n [Node] {
    list(node.get(field))
}

fn list(node: Option<&Node>) -> &[Node] {
    node.map_or(&[], Node::items)
}

fn has(node: &Node, field: &str) -> bool {
    node.get(field).is_some_and(|n| !n.is_null())
}

fn place(node: &Node, field: &str) -> Span {
    node.get(field).map_or(node.span, |n| n.span)
}

/// Declares a regular expression that is compiled once.
macro_rules! pattern {
    ($name:ident, $pattern:literal) => {
        // A constant; the tests use every one.
        static $name: LazyLock<Regex> = LazyLock::new(|| Regex::new($pattern).expect("a constant pattern compiles"));
    };
}

pattern!(PORT_NAME, "^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$");
pattern!(
    QUALIFIED_KEY,
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$"
);
pattern!(DNS_NAME, r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$");
pattern!(GRPC_SERVICE, r"^(?i)\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*$");
pattern!(GRPC_METHOD, "^[A-Za-z_][A-Za-z_0-9]*$");
pattern!(PATH, r"^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$");

fn is_dns_name_or_wildcard(host: &str) -> bool {
    DNS_NAME.is_match(host.strip_prefix("*.").unwrap_or(host))
}

fn no_wildcard(node: &Node, report: &mut Report<'_>) {
    if node.as_str().is_some_and(|text| text.contains('*')) {
        report(node.span, "may not hold a wildcard");
    }
}

fn not_a_star(node: &Node, report: &mut Report<'_>) {
    if node.as_str() == Some("*") {
        report(node.span, "may not be `*`");
    }
}

fn label_keys(node: &Node, report: &mut Report<'_>) {
    for (key, _) in node.entries().unwrap_or_default() {
        if key.value.is_empty() || key.value.contains('*') {
            report(key.span, "may not have a key that is empty or holds a wildcard");
        }
    }
}

fn annotation_keys(node: &Node, report: &mut Report<'_>) {
    for (key, _) in node.entries().unwrap_or_default() {
        let prefix = key.value.split('/').next().unwrap_or_default();
        if !QUALIFIED_KEY.is_match(&key.value) || prefix.chars().count() >= 253 {
            report(key.span, &format!("`{}` is no key, optionally with a DNS name and `/` before it", key.value));
        }
    }
}

fn port_names(node: &Node, report: &mut Report<'_>) {
    for (key, _) in node.entries().unwrap_or_default() {
        if key.value.chars().count() >= 63 || !PORT_NAME.is_match(&key.value) {
            report(key.span, &format!("`{}` is not the name of a port", key.value));
        }
    }
}

fn resolution(node: &Node, report: &mut Report<'_>) {
    let resolution = text(node, "resolution").unwrap_or("NONE");
    if resolution == "NONE" && has(node, "endpoints") {
        report(place(node, "endpoints"), "with resolution NONE takes no endpoints");
    }
    if resolution == "DNS_ROUND_ROBIN" && items(node, "endpoints").len() > 1 {
        report(place(node, "endpoints"), "with resolution DNS_ROUND_ROBIN takes at most one endpoint");
    }
    if !matches!(resolution, "NONE" | "STATIC") {
        for address in items(node, "addresses").iter().filter(|a| a.as_str().is_some_and(|a| a.contains('/'))) {
            report(address.span, "takes networks with resolution NONE and STATIC only");
        }
    }
}

fn address_or_network(node: &Node, report: &mut Report<'_>) {
    if !has(node, "address") && !has(node, "network") {
        report(node.span, "needs an address");
    }
}

fn unix_socket_ports(node: &Node, report: &mut Report<'_>) {
    if text(node, "address").is_some_and(|address| address.starts_with("unix://")) && has(node, "ports") {
        report(place(node, "ports"), "is a unix socket and takes no ports");
    }
}

fn unix_socket(node: &Node, report: &mut Report<'_>) {
    let Some(path) = node.as_str().and_then(|address| address.strip_prefix("unix://")) else { return };
    if !path.starts_with(['/', '@']) {
        report(node.span, "needs an absolute path or an abstract name");
    } else if path.ends_with('/') {
        report(node.span, "may not be a directory");
    }
}

fn port_level_needs_selector(node: &Node, report: &mut Report<'_>) {
    let labels = node.get("selector").and_then(|s| s.get("matchLabels")).and_then(Node::entries).unwrap_or_default();
    let selected = labels.iter().any(|(_, value)| !value.is_null());
    if has(node, "portLevelMtls") && !selected {
        report(place(node, "portLevelMtls"), "requires a selector with labels");
    }
}

fn port_keys(node: &Node, report: &mut Report<'_>) {
    for (key, _) in node.entries().unwrap_or_default() {
        if !key.value.parse::<u32>().is_ok_and(|port| (1..=65535).contains(&port)) {
            report(key.span, "a port must be between 1 and 65535");
        }
    }
}

/// No source may name service accounts and also principals or namespaces.
fn service_accounts_alone(node: &Node, report: &mut Report<'_>) {
    let any = |fields: &[&str]| fields.iter().any(|field| has(node, field));
    if any(&["serviceAccounts", "notServiceAccounts"]) && any(&["principals", "notPrincipals", "namespaces", "notNamespaces"]) {
        report(node.span, "cannot have service accounts beside principals or namespaces");
    }
}

fn environment(node: &Node, report: &mut Report<'_>) {
    if text(node, "valueFrom") == Some("HOST") && has(node, "value") {
        report(place(node, "value"), "takes its value from the host and may have none of its own");
    }
}

fn one_extension(node: &Node, report: &mut Report<'_>) {
    if has(node, "wasm") == has(node, "lua") {
        report(node.span, "needs one of `wasm` and `lua`");
    }
}

fn http_url(node: &Node, report: &mut Report<'_>) {
    let is_http = |url: &str| {
        let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        matches!(scheme.as_deref(), Some("http" | "https")) && is_url(url)
    };
    if node.as_str().is_some_and(|url| !is_http(url)) {
        report(node.span, "must be a URL of http or https");
    }
}

fn module_url(node: &Node, report: &mut Report<'_>) {
    let Some(url) = node.as_str() else { return };
    let known = match url.split_once("://") {
        Some((scheme, _)) => matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https" | "file" | "oci"),
        None => true,
    };
    if !known || !is_url(url) {
        report(node.span, "must be a URL of http, https, oci or file");
    }
}

/// Whether nothing in the text keeps it from being a URL; a missing scheme does not.
fn is_url(url: &str) -> bool {
    let (host, path) = url
        .split_once("://")
        .map_or(url, |(_, rest)| rest)
        .split_at_checked(0)
        .map_or(("", url), |(_, rest)| rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash)));
    let escapes =
        |text: &str| text.split('%').skip(1).all(|rest| rest.len() >= 2 && rest.chars().take(2).all(|c| c.is_ascii_hexdigit()));
    !url.chars().any(|c| c.is_ascii_control())
        && !host.contains([' ', '<', '>', '"', '\\', '^', '`', '{', '|', '}'])
        && escapes(path)
}

fn waypoint_context(node: &Node, report: &mut Report<'_>) {
    if (text(node, "context") == Some("WAYPOINT")) != has(node, "waypoint") {
        report(node.span, "has context WAYPOINT if and only if it has `waypoint`");
    }
}

fn tag_override(node: &Node, report: &mut Report<'_>) {
    match text(node, "operation") {
        Some("UPSERT") if filled(node, "value").is_none() => report(node.span, "needs a value to set"),
        Some("REMOVE") if has(node, "value") => report(node.span, "removes the tag and takes no value"),
        _ => {}
    }
}

/// What identifies a reference besides its section and port; absent parts have these defaults.
fn target<'n>(node: &'n Node, group: &'n str, kind: &'n str) -> [Option<&'n str>; 4] {
    [text(node, "group").or(Some(group)), text(node, "kind").or(Some(kind)), text(node, "name"), filled(node, "namespace")]
}

fn parent_refs(node: &Node, report: &mut Report<'_>) {
    references(node, ("gateway.networking.k8s.io", "Gateway"), report);
}

fn target_refs(node: &Node, report: &mut Report<'_>) {
    references(node, ("", ""), report);
}

/// References to one object all name a section, or a port, or none of them does; and no two are the
/// same.
fn references(node: &Node, (group, kind): (&str, &str), report: &mut Report<'_>) {
    let port = |node: &Node| match node.get("port").map(|n| &n.value) {
        Some(Value::Int(port, _)) if *port != 0 => Some(*port),
        _ => None,
    };
    let all = list(Some(node));
    for (index, later) in all.iter().enumerate() {
        for earlier in all[..index].iter().filter(|earlier| target(earlier, group, kind) == target(later, group, kind)) {
            let (sections, ports) = ([earlier, later].map(|n| filled(n, "sectionName")), [earlier, later].map(port));
            if sections[0].is_some() != sections[1].is_some() || ports[0].is_some() != ports[1].is_some() {
                report(later.span, "refers to one object with a section or port and without");
            } else if sections[0] == sections[1] && ports[0] == ports[1] {
                report(later.span, "refers twice to the same");
            }
        }
    }
}

fn certificate_authorities(node: &Node, report: &mut Report<'_>) {
    let given = [!items(node, "caCertificateRefs").is_empty(), filled(node, "wellKnownCACertificates").is_some()];
    if given[0] == given[1] {
        report(node.span, "needs one of `caCertificateRefs` and `wellKnownCACertificates`");
    }
}

fn subject_alt_name(node: &Node, report: &mut Report<'_>) {
    for (kind, field) in [("Hostname", "hostname"), ("URI", "uri")] {
        if (text(node, "type") == Some(kind)) != filled(node, field).is_some() {
            report(node.span, &format!("has type {kind} if and only if it has `{field}`"));
        }
    }
}

fn gateway_address(node: &Node, report: &mut Report<'_>) {
    let Some(value) = text(node, "value") else { return };
    let fits = match text(node, "type").unwrap_or("IPAddress") {
        "IPAddress" => value.parse::<IpAddr>().is_ok(),
        "Hostname" => is_dns_name_or_wildcard(value),
        _ => true,
    };
    if !fits {
        report(place(node, "value"), &format!("`{value}` is no address of its type"));
    }
}

fn gateway_addresses(node: &Node, report: &mut Report<'_>) {
    let all = list(Some(node));
    let key = |node| (text(node, "type").unwrap_or("IPAddress"), text(node, "value"));
    for (index, address) in all.iter().enumerate() {
        let told_apart = key(address).1.is_some() && matches!(key(address).0, "IPAddress" | "Hostname");
        if told_apart && all[..index].iter().any(|earlier| key(earlier) == key(address)) {
            report(address.span, "stands twice");
        }
    }
}

fn listeners(node: &Node, report: &mut Report<'_>) {
    for listener in list(Some(node)) {
        let (protocol, tls) = (text(listener, "protocol").unwrap_or(""), listener.get("tls").filter(|n| !n.is_null()));
        let mode = tls.and_then(|t| filled(t, "mode")).unwrap_or("Terminate");
        match (protocol, tls) {
            ("HTTP" | "TCP" | "UDP", Some(tls)) => report(tls.span, "for HTTP, TCP and UDP take no tls"),
            ("TLS", None) => report(listener.span, "for TLS need `tls`"),
            ("HTTPS", Some(tls)) if mode != "Terminate" => report(tls.span, "for HTTPS take mode Terminate only"),
            _ => {}
        }
        if matches!(protocol, "UDP" | "TCP") && filled(listener, "hostname").is_some() {
            report(place(listener, "hostname"), "for TCP and UDP take no hostname");
        }
    }
}

fn unique_listeners(node: &Node, report: &mut Report<'_>) {
    let key = |node: &Node| ["port", "protocol", "hostname"].map(|field| node.get(field).map(|n| n.value.clone()));
    let all = list(Some(node));
    for (index, listener) in all.iter().enumerate().filter(|(_, listener)| has(listener, "port")) {
        if all[..index].iter().any(|earlier| key(earlier) == key(listener)) {
            report(listener.span, "must differ in port, protocol or hostname");
        }
    }
}

fn terminate_needs_certificates(node: &Node, report: &mut Report<'_>) {
    let options = node.get("options").and_then(Node::entries).is_some_and(|options| !options.is_empty());
    if text(node, "mode").unwrap_or("Terminate") == "Terminate" && items(node, "certificateRefs").is_empty() && !options {
        report(node.span, "with mode Terminate needs `certificateRefs` or `options`");
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

fn filter_body(node: &Node, report: &mut Report<'_>) {
    let Some(kind) = text(node, "type") else { return };
    for (of, field) in FILTER_BODIES {
        match (*of == kind, has(node, field)) {
            (true, false) => report(node.span, &format!("a filter of type {kind} needs `{field}`")),
            (false, true) => report(node.span, &format!("`{field}` does not belong to a filter of type {kind}")),
            _ => {}
        }
    }
}

fn filters_once(node: &Node, report: &mut Report<'_>) {
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

fn path_modifier(node: &Node, report: &mut Report<'_>) {
    let kind = text(node, "type").unwrap_or("");
    for (of, field) in [("ReplaceFullPath", "replaceFullPath"), ("ReplacePrefixMatch", "replacePrefixMatch")] {
        match (of == kind, has(node, field)) {
            (true, false) => report(node.span, &format!("type {kind} needs `{field}`")),
            (false, true) => report(node.span, &format!("`{field}` does not belong to type {kind}")),
            _ => {}
        }
    }
}

fn fraction(node: &Node, report: &mut Report<'_>) {
    let number = |field: &str, absent: i64| match node.get(field).map(|n| &n.value) {
        Some(Value::Int(n, _)) => *n,
        _ => absent,
    };
    let (numerator, denominator) = (number("numerator", 0), number("denominator", 100));
    if numerator < 0 || denominator < 1 || numerator > denominator {
        report(node.span, "a fraction lies between 0 and 1");
    }
}

fn service_needs_port(node: &Node, report: &mut Report<'_>) {
    let service = text(node, "group").unwrap_or("").is_empty() && text(node, "kind").unwrap_or("Service") == "Service";
    if service && !has(node, "port") {
        report(node.span, "a Service as back end needs a port");
    }
}

fn star_stands_alone(node: &Node, report: &mut Report<'_>) {
    let all = list(Some(node));
    if all.len() > 1 && all.iter().any(|item| item.as_str() == Some("*")) {
        report(node.span, "may not hold `*` beside others");
    }
}

fn external_authorization(node: &Node, report: &mut Report<'_>) {
    for (protocol, field) in [("GRPC", "grpc"), ("HTTP", "http")] {
        if (text(node, "protocol") == Some(protocol)) != has(node, field) {
            report(node.span, &format!("has protocol {protocol} if and only if it has `{field}`"));
        }
    }
}

fn session_persistence(node: &Node, report: &mut Report<'_>) {
    let Some(cookie) = node.get("cookieConfig").filter(|cookie| !cookie.is_null()) else { return };
    if text(node, "type").unwrap_or("Cookie") != "Cookie" {
        report(cookie.span, "has `cookieConfig` with type Cookie only");
    }
    if text(cookie, "lifetimeType") == Some("Permanent") && !has(node, "absoluteTimeout") {
        report(cookie.span, "needs `absoluteTimeout` when the cookie is permanent");
    }
}

fn matches_in_all(node: &Node, report: &mut Report<'_>) {
    const MATCHES_MAX: usize = 128;
    let count: usize = list(Some(node)).iter().map(|rule| items(rule, "matches").len()).sum();
    if count > MATCHES_MAX {
        report(node.span, &format!("may have at most {MATCHES_MAX} matches in all, not {count}"));
    }
}

fn rule_names(node: &Node, report: &mut Report<'_>) {
    let Value::Seq(rules) = &node.value else { return };
    for (index, rule) in rules.iter().enumerate() {
        let name = text(rule, "name");
        if name.is_some() && rules[..index].iter().any(|earlier| text(earlier, "name") == name) {
            report(rule.span, "rule names must be unique within the route");
        }
    }
}

fn redirect_without_backends(node: &Node, report: &mut Report<'_>) {
    let redirects = items(node, "filters").iter().any(|filter| has(filter, "requestRedirect"));
    if redirects && !items(node, "backendRefs").is_empty() {
        report(node.span, "with RequestRedirect takes no `backendRefs`");
    }
}

/// A replaced prefix needs to be the one of the only match.
fn prefix_rewrite_needs_prefix(node: &Node, report: &mut Report<'_>) {
    let count = |holder: &Node, field: &str| {
        let replaces = |filter: &&Node| {
            let path = filter.get(field).and_then(|f| f.get("path"));
            path.is_some_and(|p| text(p, "type") == Some("ReplacePrefixMatch") && has(p, "replacePrefixMatch"))
        };
        items(holder, "filters").iter().filter(replaces).count()
    };
    let used = ["urlRewrite", "requestRedirect"].iter().any(|field| {
        let backends = items(node, "backendRefs").iter().filter(|backend| count(backend, field) == 1).count();
        count(node, field) == 1 || backends == 1
    });
    let kind = |m: &Node| m.get("path").and_then(|p| text(p, "type")).unwrap_or("PathPrefix").to_owned();
    let fits = match node.get("matches").filter(|matches| !matches.is_null()) {
        None => true,
        matches => matches!(list(matches), [only] if kind(only) == "PathPrefix"),
    };
    if used && !fits {
        report(node.span, "with ReplacePrefixMatch needs exactly one match, of type PathPrefix");
    }
}

fn timeouts(node: &Node, report: &mut Report<'_>) {
    let time = |field: &str| text(node, field).and_then(|t| Duration::parse_go(t).ok());
    if let (Some(request), Some(backend)) = (time("request"), time("backendRequest"))
        && !request.is_zero()
        && backend > request
    {
        report(node.span, "`backendRequest` may not be longer than `request`");
    }
}

fn path(node: &Node, report: &mut Report<'_>) {
    let kind = text(node, "type").unwrap_or("PathPrefix");
    let value = text(node, "value").unwrap_or("/");
    if kind == "RegularExpression" {
        return;
    }
    if !value.starts_with('/') {
        report(node.span, "must begin with `/`");
    }
    for part in ["//", "/./", "/../", "%2f", "%2F", "#"] {
        if value.contains(part) {
            report(node.span, &format!("may not hold `{part}`"));
        }
    }
    if value.starts_with('/') && !PATH.is_match(value) {
        report(node.span, "holds characters that a path must escape");
    }
    for end in ["/..", "/."] {
        if value.ends_with(end) {
            report(node.span, &format!("may not end with `{end}`"));
        }
    }
}

fn grpc_method(node: &Node, report: &mut Report<'_>) {
    let (service, method) = (text(node, "service"), text(node, "method"));
    if !has(node, "service") && !has(node, "method") {
        report(node.span, "needs one of `service` and `method`");
    }
    if text(node, "type").unwrap_or("Exact") == "Exact" {
        if service.is_some_and(|service| !GRPC_SERVICE.is_match(service)) {
            report(place(node, "service"), "has a service that is no name of gRPC");
        }
        if method.is_some_and(|method| !GRPC_METHOD.is_match(method)) {
            report(place(node, "method"), "has a method that is no name of gRPC");
        }
    }
}

fn sni_hostnames(node: &Node, report: &mut Report<'_>) {
    for host in list(Some(node)) {
        let Some(name) = host.as_str() else { continue };
        if name.parse::<IpAddr>().is_ok() || !is_dns_name_or_wildcard(name) {
            report(host.span, &format!("`{name}` is no DNS name, optionally with `*.` before it"));
        }
    }
}
