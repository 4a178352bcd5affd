//! Answers: those that the proxy makes itself, and what it does to those of upstreams (Envoy:
//! `Http::Utility::prepareLocalReply`, `RouteEntryImplBase::finalizeResponseHeaders`).

use super::cors::answer_headers;
use super::decision::{Course, Decision};
use super::headers::{Facts, Headers, Message, command};
use super::path::BadPath;
use super::received::Received;
use super::redirect::{has_location, location, tls_location};
use crate::mesh::cluster::Balancer;
use crate::mesh::route::{AbortStatus, Action, HashPolicy, HeaderOps, Route};
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

/// The answer to a request that is refused before routing.
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

impl Answering<'_> {
    /// The answer that the proxy gives itself; `None` if the request is forwarded.
    #[must_use]
    pub fn own_reply(&self) -> Option<Reply> {
        Some(match self.decision.course {
            Course::Forward(_) => return None,
            Course::Malformed(why) => malformed(why),
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
        self.apply_route(&mut reply, "0");
        let head = self.received.is_head();
        if self.received.is_grpc() {
            reply.status = 200;
            reply.headers.set("content-type", "application/grpc");
            reply.headers.set("grpc-status", grpc_status.unwrap_or(grpc_of_http(status)).to_string());
            if !body.is_empty() && !head {
                reply.headers.set("grpc-message", percent_encoded(body));
            }
            reply.body.clear();
        } else if body.is_empty() {
            reply.headers.remove("content-type");
        } else if reply.headers.first("content-type").is_none() {
            reply.headers.set("content-type", "text/plain");
        }
        self.add_cors(&mut reply);
        self.without_body_for_head(reply)
    }

    fn redirect(&self, status: u16, location: String) -> Reply {
        let headers = if has_location(status) { vec![("location".to_owned(), location)] } else { Vec::new() };
        self.local_with(Headers(headers), status, b"", None)
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
        self.without_body_for_head(upstream)
    }

    fn without_body_for_head(&self, mut reply: Reply) -> Reply {
        if self.received.is_head() {
            reply.body.clear();
        }
        reply
    }

    fn route(&self) -> Option<&Route> {
        self.decision.selection.route(self.proxy)
    }

    /// The destination's operations come first, then the route's.
    fn apply_route(&self, reply: &mut Reply, status: &str) {
        let Some(route) = self.route() else { return };
        let leg = self.decision.leg(self.proxy);
        let cluster = leg.map_or("", |leg| leg.cluster.name.as_str());
        let facts = ReplyFacts { answering: self, route, cluster, status };
        let mut apply = |ops: &HeaderOps| reply.headers.apply(Message::Answer, ops, &facts);
        if let Some(leg) = leg {
            apply(&leg.response_headers);
        }
        apply(&route.response_headers);
    }

    /// The fault filter stands before the CORS filter: an aborted request never reaches the latter.
    fn add_cors(&self, reply: &mut Reply) {
        if matches!(self.decision.course, Course::Abort(_)) {
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
        if !matches!(self.proxy.clusters[cluster.index()].balancer, Balancer::RingHash { .. } | Balancer::Maglev { .. }) {
            return;
        }
        for policy in self.decision.forward(self.proxy).map_or(&[][..], |forward| &forward.hash) {
            if let HashPolicy::Cookie { name, path, ttl: Some(ttl), attributes } = policy
                && !has_cookie(self.received, name)
            {
                let seconds = ttl.nanos() / 1_000_000_000;
                reply.headers.0.push(("set-cookie".to_owned(), set_cookie(name, path, seconds, attributes)));
            }
        }
    }
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

/// Whether the client sent a cookie with a value.
fn has_cookie(received: &Received<'_>, name: &str) -> bool {
    let mut cookies = received.request.lines("cookie").flat_map(|line| line.split(';'));
    cookies.any(|pair| pair.trim().split_once('=').is_some_and(|(key, value)| key == name && !value.trim_matches('"').is_empty()))
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
    status: &'a str,
}

impl Facts for ReplyFacts<'_> {
    fn request_header(&self, name: &str, _: &Headers) -> Option<String> {
        let received = self.answering.received;
        match name {
            ":path" => Some(received.path.to_string()),
            ":authority" | "host" => Some(received.authority.to_owned()),
            ":method" => Some(received.request.method.clone()),
            ":scheme" => Some(received.scheme.to_owned()),
            name => received.request.header(name).map(str::to_owned),
        }
    }

    fn response_header(&self, name: &str, current: &Headers) -> Option<String> {
        if name == ":status" { Some(self.status.to_owned()) } else { current.first(name).map(str::to_owned) }
    }

    fn command(&self, name: &str) -> Option<String> {
        let decision = self.answering.decision;
        match name {
            "RESPONSE_CODE" => Some(self.status.to_owned()),
            "RESPONSE_FLAGS" => Some(decision.flags(self.answering.profile).to_string()),
            "RESPONSE_CODE_DETAILS" => Some(decision.details().to_owned()),
            name => command(name, self.route, self.cluster),
        }
    }
}
