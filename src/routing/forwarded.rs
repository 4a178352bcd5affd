//! The request that an upstream sees.

use super::decision::Decision;
use super::headers::{Facts, Headers, Message};
use super::received::Received;
use super::rewrite::rewritten;
use crate::mesh::Proxy;
use crate::mesh::route::{Forward, Route};

/// A request as it leaves the proxy. Headers that are mere bookkeeping between proxies
/// (`x-request-id`, `x-forwarded-for` and so on) are not added.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Forwarded {
    /// Method.
    pub method: String,
    /// Path with query.
    pub path: String,
    /// Authority.
    pub authority: String,
    /// Headers.
    pub headers: Headers,
}

/// Headers that end at the proxy: those of one connection, and those by which a trusted client
/// would steer the proxy (Envoy: `ConnectionManagerUtility::cleanInternalHeaders`).
const STRIPPED: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
    "x-envoy-force-trace",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-internal",
    "x-envoy-ip-tags",
    "x-envoy-max-retries",
    "x-envoy-original-url",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
    "x-envoy-upstream-rq-timeout-ms",
    "x-forwarded-client-cert",
];

/// The request as the chosen destination sees it; `None` if the route does not forward.
///
/// The destination's operations come first, then the route's, then the rewrites; values in headers
/// see path and authority from before the rewrites that follow them.
#[must_use]
pub fn forwarded(proxy: &Proxy, received: &Received<'_>, decision: &Decision) -> Option<Forwarded> {
    forwarded_with(proxy, received, decision, taken_over(received))
}

/// The same for a request that comes to the routes with these headers.
#[must_use]
pub fn forwarded_with(proxy: &Proxy, received: &Received<'_>, decision: &Decision, headers: Headers) -> Option<Forwarded> {
    let (route, forward) = (decision.selection.route(proxy)?, decision.forward(proxy)?);
    let leg = decision.leg(proxy)?;
    let mut out = Forwarded {
        method: received.request.method.clone(),
        path: received.path.to_string(),
        authority: received.authority.to_owned(),
        headers,
    };
    let cluster = leg.cluster.name.as_str();
    out.apply(&leg.request_headers, received, route, cluster);
    if let Some(authority) = &leg.authority_rewrite {
        out.authority.clone_from(authority);
    }
    out.apply(&route.request_headers, received, route, cluster);
    out.rewrite(route, forward, received);
    Some(out)
}

fn taken_over(received: &Received<'_>) -> Headers {
    let mut headers = Headers::arrived(&received.request.headers);
    headers.0.retain(|(name, value)| match name.as_str() {
        "host" => false,
        "te" => value.split(',').any(|part| part.trim() == "trailers"),
        name => STRIPPED.binary_search(&name).is_err(),
    });
    headers
}

impl Forwarded {
    fn apply(&mut self, ops: &crate::mesh::route::HeaderOps, received: &Received<'_>, route: &Route, cluster: &str) {
        let facts = RequestFacts { path: &self.path, authority: &self.authority, received, route, cluster };
        let mut headers = std::mem::take(&mut self.headers);
        headers.apply(Message::Request, ops, &facts);
        self.headers = headers;
    }

    fn rewrite(&mut self, route: &Route, forward: &Forward, received: &Received<'_>) {
        if let Some(authority) = &forward.authority_rewrite {
            let before = std::mem::replace(&mut self.authority, authority.clone());
            self.headers.set("x-envoy-original-host", before);
        }
        if let Some(rewrite) = &forward.path_rewrite {
            let before = std::mem::replace(&mut self.path, rewritten(rewrite, &route.matcher, received));
            self.headers.set("x-envoy-original-path", before);
        }
    }

    /// The authority that a mirror sees: with `-shadow` before the port in releases that add it.
    #[must_use]
    pub fn mirror_authority(&self, shadow_suffix: bool) -> String {
        mirror_authority(&self.authority, shadow_suffix)
    }
}

/// The authority that a mirror of a request to `authority` sees.
#[must_use]
pub fn mirror_authority(authority: &str, shadow_suffix: bool) -> String {
    if !shadow_suffix {
        return authority.to_owned();
    }
    let host = super::host::without_port(authority);
    format!("{host}-shadow{}", &authority[host.len()..])
}

/// What header values of a request can ask for.
struct RequestFacts<'a> {
    path: &'a str,
    authority: &'a str,
    received: &'a Received<'a>,
    route: &'a Route,
    cluster: &'a str,
}

impl Facts for RequestFacts<'_> {
    fn request_header(&self, name: &str, current: &Headers) -> Option<String> {
        match name {
            ":path" => Some(self.path.to_owned()),
            ":authority" | "host" => Some(self.authority.to_owned()),
            ":method" => Some(self.received.request.method.clone()),
            ":scheme" => Some(self.received.scheme.to_owned()),
            name => current.first(name).map(str::to_owned),
        }
    }

    fn response_header(&self, _: &str, _: &Headers) -> Option<String> {
        None
    }

    fn command(&self, name: &str) -> Option<String> {
        match name {
            // There is no answer yet.
            "RESPONSE_CODE" => Some("0".to_owned()),
            "RESPONSE_CODE_DETAILS" | "RESPONSE_FLAGS" | "UPSTREAM_HOST" => Some(String::new()),
            name => super::headers::command(name, self.route, self.cluster),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::testing::{client, dial, mesh_with_rules, request};
    use crate::routing::{Chances, decide};

    fn seen(rule: &str, path: &str, headers: &[(&str, &str)]) -> (String, String, String) {
        let mesh = mesh_with_rules(&format!("[{{{rule}}}]"));
        let proxy = &mesh.proxies[client(&mesh).index()];
        let request = request("GET", path, headers);
        let decision = decide(&mesh, client(&mesh), &dial(), &request, Chances { stream: 0, delay: 0, abort: 0 }).unwrap();
        let received = Received::new(proxy.spec.kind, &request).unwrap();
        let seen = forwarded(proxy, &received, &decision).unwrap();
        let headers: Vec<String> = seen.headers.0.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        (seen.path, seen.authority, headers.join(" | "))
    }

    #[test]
    fn destinations_come_before_routes_and_rewrites_come_last() {
        let two = "route: [{destination: {host: app}, weight: 100, headers: {request: {set: {:authority: leg.test, x-o: leg}, add: {x-l: '%REQ(:authority)%'}}}}, {destination: {host: app, subset: v1}, weight: 0}]";
        let one = "route: [{destination: {host: app}, headers: {request: {set: {x-o: leg}}}}]";
        let ops = "headers: {request: {set: {x-o: route}, add: {x-r: '%REQ(:authority)%%REQ(:path)%'}}}";
        for (rule, expected) in [
            (
                format!("{ops}, rewrite: {{uri: /new, authority: route.test}}, {two}"),
                (
                    "/newa?b",
                    "route.test",
                    "x-l: app | x-o: route | x-r: leg.test/a?b | x-envoy-original-host: leg.test | x-envoy-original-path: /a?b",
                ),
            ),
            (format!("{ops}, {two}"), ("/a?b", "leg.test", "x-l: app | x-o: route | x-r: leg.test/a?b")),
            (format!("{ops}, {one}"), ("/a?b", "app", "x-o: leg | x-r: app/a?b")),
        ] {
            let (path, authority, headers) = seen(&rule, "/a?b", &[]);
            assert_eq!((path.as_str(), authority.as_str(), headers.as_str()), expected, "{rule}");
        }
    }

    #[test]
    fn headers_of_the_connection_end_here() {
        let headers = [
            ("te", "trailers"),
            ("connection", "close"),
            ("x-envoy-max-retries", "9"),
            ("x-a", "1"),
            ("accept", "a"),
            ("accept", "b"),
        ];
        let (_, _, seen) = seen("route: [{destination: {host: app}}]", "/", &headers);
        assert_eq!(seen, "te: trailers | x-a: 1 | accept: a,b");
        assert!(STRIPPED.is_sorted());
    }

    #[test]
    fn a_mirrors_suffix_stands_before_the_port() {
        let request = Forwarded {
            method: String::new(),
            path: String::new(),
            authority: "svc.ns:8080".to_owned(),
            headers: Headers::default(),
        };
        assert_eq!(request.mirror_authority(true), "svc.ns-shadow:8080");
        assert_eq!(request.mirror_authority(false), "svc.ns:8080");
    }
}
