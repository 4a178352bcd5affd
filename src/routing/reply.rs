//! Answers: those that the proxy makes itself, and what it does to those of upstreams (Envoy:
//! `Http::Utility::prepareLocalReply`, `RouteEntryImplBase::finalizeResponseHeaders`).

use std::cell::OnceCell;

use super::cors::answer_headers;
use super::decision::{Course, Decision};
use super::forwarded::{Forwarded, forwarded};
use super::headers::{Facts, Headers, Message, command};
use super::path::BadPath;
use super::received::Received;
use super::redirect::{has_location, location, tls_location};
use crate::mesh::cluster::Balancer;
use crate::mesh::route::{AbortStatus, Action, HashPolicy, HeaderOps, Redirect, Route};
use crate::mesh::{Profile, Proxy};

/// An answer as the client gets it. Headers that say when and by whom (`date`, `server`) are left
/// out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Reply {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: Headers,
    /// Body; empty for HEAD.
    pub body: Vec<u8>,
}

/// The context that answers are finished in.
#[derive(Debug, Clone, Copy)]
pub struct Answering<'a> {
    /// The proxy.
    pub proxy: &'a Proxy,
    /// The behaviour of the release.
    pub profile: &'a Profile,
    /// The request.
    pub received: &'a Received<'a>,
    /// What was decided about it.
    pub decision: &'a Decision,
}

/// The answer to a request that is refused before routing. To something that is no request, the
/// connection's codec gives it, whatever the headers.
#[must_use]
pub(super) fn malformed(why: BadPath) -> Reply {
    match why {
        BadPath::NotNormalisable => Reply { status: 400, ..Reply::default() },
        BadPath::NotATarget => Reply {
            status: 400,
            headers: Headers(vec![("content-type".to_owned(), "text/plain".to_owned())]),
            body: b"Bad Request".to_vec(),
        },
    }
}

/// A local answer without a route: its body and status as the client understands them.
#[must_use]
pub(super) fn local(received: &Received<'_>, status: u16, body: &[u8]) -> Reply {
    let reply = Reply { status, headers: Headers::default(), body: body.to_vec() };
    let mut reply = in_the_clients_terms(received, reply, None);
    if received.is_head() {
        reply.body.clear();
    }
    reply
}

/// gRPC clients get status 200 and are told by `grpc-status`, which follows from the HTTP status
/// unless given; others get a content type.
fn in_the_clients_terms(received: &Received<'_>, mut reply: Reply, grpc_status: Option<u8>) -> Reply {
    if received.is_grpc() {
        let status = grpc_status.unwrap_or(grpc_of_http(reply.status));
        reply.status = 200;
        reply.headers.set("content-type", "application/grpc");
        reply.headers.set("grpc-status", status.to_string());
        if !reply.body.is_empty() && !received.is_head() {
            reply.headers.set("grpc-message", percent_encoded(&reply.body));
        }
        reply.body.clear();
    } else if reply.body.is_empty() {
        reply.headers.remove("content-type");
    } else if reply.headers.first("content-type").is_none() {
        reply.headers.set("content-type", "text/plain");
    }
    reply
}

impl Answering<'_> {
    /// The answer that the proxy gives itself; `None` if the request is forwarded.
    #[must_use]
    pub fn own_reply(&self) -> Option<Reply> {
        Some(match self.decision.course {
            Course::Forward(_) => return None,
            Course::Malformed(why @ BadPath::NotATarget) => malformed(why),
            Course::Malformed(BadPath::NotNormalisable) => self.local(400, b"", None),
            Course::NoRoute => self.local(404, b"", None),
            Course::NoCluster(status) => self.local(status, b"", None),
            Course::NoEndpoint(_) => self.local(503, b"no healthy upstream", None),
            Course::Abort(AbortStatus::Http(status)) => self.local(status, ABORTED, None),
            Course::Abort(AbortStatus::Grpc(status)) => self.local(200, ABORTED, Some(status)),
            Course::RequireTls => self.redirect(301, tls_location(self.received)),
            Course::Preflight => self.preflight(),
            Course::Redirect | Course::Direct => match self.route().map(|route| (&route.action, &route.matcher)) {
                Some((Action::Redirect(redirect), matcher)) => {
                    self.redirect(redirect.status, location(redirect, matcher, self.received))
                }
                // Where the status is one of redirects, the request is sent to where it already is.
                Some((Action::Direct(direct), matcher)) if has_location(direct.status) => {
                    let location = location(&Redirect::default(), matcher, self.received);
                    self.local_with(located(location), direct.status, &direct.body, None)
                }
                Some((Action::Direct(direct), _)) => self.local(direct.status, &direct.body, None),
                Some((Action::Forward(_), _)) | None => return None,
            },
        })
    }

    /// An answer of the proxy itself: also one for a forwarded request that failed (`503`,
    /// `upstream connect error …`). gRPC clients get status 200 and are told by `grpc-status`, which
    /// follows from the HTTP status unless given.
    #[must_use]
    pub fn local(&self, status: u16, body: &[u8], grpc_status: Option<u8>) -> Reply {
        self.local_with(Headers::default(), status, body, grpc_status)
    }

    fn local_with(&self, headers: Headers, status: u16, body: &[u8], grpc_status: Option<u8>) -> Reply {
        let mut reply = Reply { status, headers, body: body.to_vec() };
        // Nobody has noted a status yet.
        self.apply_route(&mut reply, "0");
        reply = in_the_clients_terms(self.received, reply, grpc_status);
        self.add_cors(&mut reply);
        self.without_forbidden_body(reply)
    }

    fn redirect(&self, status: u16, location: String) -> Reply {
        let headers = if has_location(status) { located(location) } else { Headers::default() };
        self.local_with(headers, status, b"", None)
    }

    /// An answered preflight: the route's header operations do not apply.
    fn preflight(&self) -> Reply {
        let mut reply = Reply { status: 200, ..Reply::default() };
        self.add_cors(&mut reply);
        reply
    }

    /// The client's view of an upstream's answer.
    #[must_use]
    pub fn finish(&self, mut upstream: Reply) -> Reply {
        let status = upstream.status.to_string();
        self.set_hash_cookies(&mut upstream);
        self.apply_route(&mut upstream, &status);
        self.add_cors(&mut upstream);
        self.without_forbidden_body(upstream)
    }

    /// Answers to HEAD have no body, nor have those of some statuses.
    fn without_forbidden_body(&self, mut reply: Reply) -> Reply {
        if self.received.is_head() || matches!(reply.status, 100..200 | 204 | 304) {
            reply.body.clear();
        }
        reply
    }

    fn route(&self) -> Option<&Route> {
        self.decision.selection.route(self.proxy)
    }

    /// The destination's operations come first, then the route's. `noted` is the status that the proxy
    /// has noted of the request so far.
    fn apply_route(&self, reply: &mut Reply, noted: &str) {
        let Some(route) = self.route() else { return };
        let is_refused = matches!(self.decision.course, Course::Malformed(_));
        if is_refused && !matches!(route.action, Action::Forward(_)) {
            return;
        }
        let leg = self.decision.leg(self.proxy);
        // A cluster that does not exist has no name to give.
        let cluster =
            leg.filter(|leg| self.proxy.clusters.get(leg.cluster.id).is_some()).map_or("", |leg| leg.cluster.name.as_str());
        let facts = ReplyFacts { answering: self, route, cluster, status: reply.status, noted, sent: OnceCell::new() };
        let mut apply = |ops: &HeaderOps| reply.headers.apply(Message::Answer, ops, &facts);
        if let Some(leg) = leg {
            apply(&leg.response_headers);
        }
        apply(&route.response_headers);
    }

    /// The fault filter stands before the CORS filter: an aborted request never reaches the latter, and
    /// one that is refused before routing reaches none.
    fn add_cors(&self, reply: &mut Reply) {
        if matches!(self.decision.course, Course::Abort(_) | Course::Malformed(_)) {
            return;
        }
        let Some(policy) = self.route().and_then(|route| route.cors.as_ref()) else { return };
        for (name, value) in answer_headers(policy, self.decision.selection.cors, self.received) {
            reply.headers.set(&name, value);
        }
    }

    /// Cookies that the hash policy asks for and the client did not send. They are made when a
    /// balancer that hashes picks an endpoint; their value is written `*`.
    fn set_hash_cookies(&self, reply: &mut Reply) {
        let Course::Forward(cluster) = self.decision.course else { return };
        if !matches!(self.proxy.clusters[cluster].balancer, Balancer::RingHash { .. } | Balancer::Maglev { .. }) {
            return;
        }
        for policy in self.decision.forward(self.proxy).map_or(&[][..], |forward| &forward.hash) {
            if let HashPolicy::Cookie { name, path, ttl: Some(ttl), attributes } = policy
                && self.received.request.cookie(name).is_none_or(str::is_empty)
            {
                let seconds = ttl.nanos() / 1_000_000_000;
                reply.headers.0.push(("set-cookie".to_owned(), set_cookie(name, path, seconds, attributes)));
            }
        }
    }
}

fn located(location: String) -> Headers {
    Headers(vec![("location".to_owned(), location)])
}

const ABORTED: &[u8] = b"fault filter abort";

/// Envoy: `Grpc::Utility::httpToGrpcStatus`.
const fn grpc_of_http(status: u16) -> u8 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

/// Envoy: `Http::Utility::PercentEncoding::encode`.
fn percent_encoded(body: &[u8]) -> String {
    body.iter().fold(String::with_capacity(body.len()), |mut out, byte| {
        match byte {
            b' '..=b'~' if *byte != b'%' => out.push(char::from(*byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

/// Envoy: `Http::Utility::makeSetCookieValue`.
fn set_cookie(name: &str, path: &str, max_age_seconds: u64, attributes: &[(String, String)]) -> String {
    let mut cookie = format!("{name}=\"*\"");
    if max_age_seconds > 0 {
        cookie.push_str(&format!("; Max-Age={max_age_seconds}"));
    }
    if !path.is_empty() {
        cookie.push_str(&format!("; Path={path}"));
    }
    for (key, value) in attributes {
        let equals = if value.is_empty() { "" } else { "=" };
        cookie.push_str(&format!("; {key}{equals}{value}"));
    }
    cookie.push_str("; HttpOnly");
    cookie
}

/// What header values of an answer can ask for.
struct ReplyFacts<'a> {
    answering: &'a Answering<'a>,
    route: &'a Route,
    cluster: &'a str,
    status: u16,
    noted: &'a str,
    /// The request as the upstream saw it; worked out when it is asked for.
    sent: OnceCell<Option<Forwarded>>,
}

impl ReplyFacts<'_> {
    /// A request that was forwarded stays as it left, its headers and its path included.
    fn sent(&self) -> Option<&Forwarded> {
        let Answering { proxy, received, decision, .. } = self.answering;
        let is_sent = matches!(decision.course, Course::Forward(_));
        self.sent.get_or_init(|| is_sent.then(|| forwarded(proxy, received, decision)).flatten()).as_ref()
    }
}

impl Facts for ReplyFacts<'_> {
    fn request_header(&self, name: &str, _: &Headers) -> Option<String> {
        let received = self.answering.received;
        if let Some(sent) = self.sent() {
            return match name {
                ":path" => Some(sent.path.clone()),
                ":authority" | "host" => Some(sent.authority.clone()),
                ":method" => Some(sent.method.clone()),
                ":scheme" => Some(received.scheme.to_owned()),
                name => sent.headers.first(name).map(str::to_owned),
            };
        }
        match name {
            ":path" => Some(received.path.to_string()),
            ":authority" | "host" => Some(received.authority.to_owned()),
            ":method" => Some(received.request.method.clone()),
            ":scheme" => Some(received.scheme.to_owned()),
            name => received.request.header(name).map(str::to_owned),
        }
    }

    fn response_header(&self, name: &str, current: &Headers) -> Option<String> {
        if name == ":status" { Some(self.status.to_string()) } else { current.first(name).map(str::to_owned) }
    }

    fn command(&self, name: &str) -> Option<String> {
        let decision = self.answering.decision;
        match name {
            "RESPONSE_CODE" => Some(self.noted.to_owned()),
            "RESPONSE_FLAGS" => Some(decision.flags(self.answering.profile).to_string()),
            "RESPONSE_CODE_DETAILS" => Some(decision.details().to_owned()),
            name => command(name, self.route, self.cluster),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::Mesh;
    use crate::routing::testing::{client, dial, mesh_with_rules, request};
    use crate::routing::{Chances, Request, decide, stub_answer};

    /// Status, headers in alphabetical order and body of the answer to a request.
    fn answer(mesh: &Mesh, request: &Request) -> (u16, String, String) {
        let proxy = &mesh.proxies[client(mesh).index()];
        let decision = decide(mesh, client(mesh), &dial(), request, Chances { stream: 0, delay: 0, abort: 0 }).unwrap();
        let received = Received::new(proxy.spec.kind, request).unwrap();
        let answering = Answering { proxy, profile: &mesh.profile, received: &received, decision: &decision };
        let reply = answering.own_reply().unwrap_or_else(|| answering.finish(stub_answer()));
        let mut headers: Vec<String> = reply.headers.0.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        headers.sort();
        (reply.status, headers.join(" | "), String::from_utf8(reply.body).unwrap())
    }

    const ABORT: &str = "fault: {abort: {httpStatus: 503, percentage: {value: 100}}}";
    const TO: &str = "route: [{destination: {host: app}}]";
    const NOWHERE: &str = "route: [{destination: {host: app, subset: v9}}]";
    const HTML: &str = "headers: {response: {set: {content-type: text/html}}}";

    #[test]
    fn bodies_of_the_proxys_own_answers_are_plain_text_unless_said_otherwise() {
        for (rule, method, status, headers, body) in [
            (format!("{ABORT}, {TO}"), "GET", 503, "content-type: text/plain", "fault filter abort"),
            (format!("{ABORT}, {TO}"), "HEAD", 503, "content-type: text/plain", ""),
            (format!("{ABORT}, {HTML}, {TO}"), "GET", 503, "content-type: text/html", "fault filter abort"),
            (
                format!("{ABORT}, headers: {{response: {{remove: [content-type]}}}}, {TO}"),
                "GET",
                503,
                "content-type: text/plain",
                "fault filter abort",
            ),
            (format!("{HTML}, {NOWHERE}"), "GET", 503, "", ""),
            (
                "route: [{destination: {host: app, subset: v0}}]".to_owned(),
                "GET",
                503,
                "content-type: text/plain",
                "no healthy upstream",
            ),
            (format!("{HTML}, directResponse: {{status: 200}}"), "GET", 200, "", ""),
            ("directResponse: {status: 418, body: {string: tea}}".to_owned(), "GET", 418, "content-type: text/plain", "tea"),
            ("redirect: {uri: /x}".to_owned(), "GET", 301, "location: http://app/x", ""),
            ("headers: {response: {set: {location: /y}}}, redirect: {uri: /x}".to_owned(), "GET", 301, "location: /y", ""),
        ] {
            let mesh = mesh_with_rules(&format!("[{{{rule}}}]"));
            assert_eq!(answer(&mesh, &request(method, "/", &[])), (status, headers.to_owned(), body.to_owned()), "{rule}");
        }
    }

    #[test]
    fn grpc_clients_are_told_by_grpc_status() {
        for (rule, method, headers) in [
            (
                format!("{ABORT}, {TO}"),
                "POST",
                "content-type: application/grpc | grpc-message: fault filter abort | grpc-status: 14",
            ),
            (format!("{ABORT}, {TO}"), "HEAD", "content-type: application/grpc | grpc-status: 14"),
            (NOWHERE.to_owned(), "POST", "content-type: application/grpc | grpc-status: 14"),
            (
                "directResponse: {status: 404, body: {string: 5 %}}".to_owned(),
                "POST",
                "content-type: application/grpc | grpc-message: 5 %25 | grpc-status: 12",
            ),
            (
                "redirect: {uri: /x}".to_owned(),
                "POST",
                "content-type: application/grpc | grpc-status: 2 | location: http://app/x",
            ),
            (
                "match: [{uri: {exact: /none}}], redirect: {uri: /x}".to_owned(),
                "POST",
                "content-type: application/grpc | grpc-status: 12",
            ),
        ] {
            let mesh = mesh_with_rules(&format!("[{{{rule}}}]"));
            for kind in ["application/grpc", "application/grpc+proto"] {
                let (status, got, body) = answer(&mesh, &request(method, "/", &[("content-type", kind)]));
                assert_eq!((status, got.as_str(), body.as_str()), (200, headers, ""), "{rule}");
            }
        }
        let mesh = mesh_with_rules(&format!("[{{{ABORT}, {TO}}}]"));
        assert_eq!(answer(&mesh, &request("POST", "/", &[("content-type", "application/grpc-web")])).0, 503);
    }

    #[test]
    fn cors_headers_reach_every_answer_but_an_abort() {
        let policy = |extra: &str| {
            format!(
                "corsPolicy: {{allowOrigins: [{{exact: https://a.test}}], allowMethods: [GET, POST], exposeHeaders: [x-e], maxAge: 60s, allowCredentials: true{extra}}}"
            )
        };
        let (own, foreign) = (("origin", "https://a.test"), ("origin", "https://b.test"));
        let preflight = ("access-control-request-method", "GET");
        let allowed = "access-control-allow-credentials: true | access-control-allow-origin: https://a.test | access-control-expose-headers: x-e";
        for (rule, method, headers, status, expected) in [
            (format!("{}, {TO}", policy("")), "GET", vec![own], 200, format!("{allowed} | x-powered-by: stub")),
            (format!("{}, {TO}", policy("")), "GET", vec![foreign], 200, "x-powered-by: stub".to_owned()),
            (format!("{}, {NOWHERE}", policy("")), "GET", vec![own], 503, allowed.to_owned()),
            (format!("{}, {ABORT}, {TO}", policy("")), "GET", vec![own], 503, "content-type: text/plain".to_owned()),
            (
                format!("{}, headers: {{response: {{set: {{x-r: r}}}}}}, {TO}", policy("")),
                "OPTIONS",
                vec![own, preflight],
                200,
                "access-control-allow-credentials: true | access-control-allow-methods: GET,POST | access-control-allow-origin: https://a.test | access-control-expose-headers: x-e | access-control-max-age: 60".to_owned(),
            ),
            (format!("{}, {TO}", policy("")), "OPTIONS", vec![foreign, preflight], 200, "x-powered-by: stub".to_owned()),
            (
                format!("{}, {TO}", policy(", unmatchedPreflights: IGNORE")),
                "OPTIONS",
                vec![foreign, preflight],
                200,
                "access-control-allow-credentials: true | access-control-allow-methods: GET,POST | access-control-max-age: 60".to_owned(),
            ),
            (format!("{}, redirect: {{uri: /x}}", policy("")), "GET", vec![own], 301, "location: http://app/x".to_owned()),
        ] {
            let mesh = mesh_with_rules(&format!("[{{{rule}}}]"));
            let (got_status, got, _) = answer(&mesh, &request(method, "/", &headers));
            assert_eq!((got_status, got), (status, expected), "{rule} {headers:?}");
        }
    }

    #[test]
    fn cookies_are_written_as_the_proxy_writes_them() {
        for (path, age, attributes, cookie) in [
            ("", 60, vec![], "sid=\"*\"; Max-Age=60; HttpOnly"),
            ("/p", 0, vec![], "sid=\"*\"; Path=/p; HttpOnly"),
            (
                "/p",
                1,
                vec![("SameSite", "Strict"), ("Secure", "")],
                "sid=\"*\"; Max-Age=1; Path=/p; SameSite=Strict; Secure; HttpOnly",
            ),
        ] {
            let attributes: Vec<_> = attributes.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
            assert_eq!(set_cookie("sid", path, age, &attributes), cookie);
        }
    }
}
