//! A request after the connection manager has taken it in: what routes match against and what is
//! forwarded.

use std::borrow::Cow;

use serde_json::{Map, Value as Json};

use super::authentication::Authenticated;
use super::matching::join;
use super::path::{BadPath, normalise, split_query};
use super::request::{Request, Scheme};
use crate::mesh::ProxyKind;

/// A request as routes see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received<'r> {
    /// As it was sent.
    pub request: &'r Request,
    /// `:path`, normalised, with its query.
    pub path: Cow<'r, str>,
    /// `:authority`: the Host header, or the host of an absolute request target.
    pub authority: &'r str,
    /// `:scheme`, lower-case.
    pub scheme: &'static str,
    /// `x-forwarded-proto`, as the router sees it.
    pub forwarded_proto: Cow<'r, str>,
    /// The claims of its token, where somebody has read one.
    pub claims: Option<&'r Map<String, Json>>,
}

impl<'r> Received<'r> {
    /// Takes a request in. A sidecar believes the client's `x-forwarded-proto`, a gateway does not
    /// (Envoy: `use_remote_address`).
    ///
    /// # Errors
    /// The request is answered 400 before any route is looked at.
    pub fn new(kind: ProxyKind, request: &'r Request) -> Result<Self, BadPath> {
        let received = Received::as_sent(kind, request);
        Ok(Received { path: normalise(split_target(request).1)?, ..received })
    }

    /// Takes a request in whose tokens were read.
    ///
    /// # Errors
    /// As [`Received::new`].
    pub fn authenticated(kind: ProxyKind, seen: &'r Authenticated<'_>) -> Result<Self, BadPath> {
        Ok(Received { claims: seen.claims.as_ref(), ..Received::new(kind, &seen.request)? })
    }

    /// A request whose path nobody has normalised.
    #[must_use]
    pub fn as_sent(kind: ProxyKind, request: &'r Request) -> Self {
        let (authority, target) = split_target(request);
        let connection = match request.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let claimed = claimed_proto(request).filter(|_| kind == ProxyKind::Sidecar);
        let scheme = match claimed.as_deref() {
            Some(proto) if proto.eq_ignore_ascii_case("https") => "https",
            Some(proto) if proto.eq_ignore_ascii_case("http") => "http",
            _ => connection,
        };
        let forwarded_proto = claimed.unwrap_or(Cow::Borrowed(connection));
        Received { request, path: Cow::Borrowed(target), authority, scheme, forwarded_proto, claims: None }
    }

    /// The path without its query.
    #[must_use]
    pub fn bare_path(&self) -> &str {
        split_query(&self.path).0
    }

    /// The query with its `?`, or nothing.
    #[must_use]
    pub fn query(&self) -> &str {
        split_query(&self.path).1
    }

    /// The first value of a query parameter, as written.
    #[must_use]
    pub fn query_parameter(&self, name: &str) -> Option<&str> {
        let pairs = self.query().strip_prefix('?')?;
        pairs
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// Whether it is a gRPC request (Envoy: `Grpc::Common::isGrpcRequestHeaders`).
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        self.request
            .header("content-type")
            .and_then(|kind| kind.strip_prefix("application/grpc"))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
    }

    /// Whether the answer's body is left out.
    #[must_use]
    pub fn is_head(&self) -> bool {
        self.request.method == "HEAD"
    }
}

/// What the client says about how it reached the proxy; several lines are one.
fn claimed_proto(request: &Request) -> Option<Cow<'_, str>> {
    let mut lines = request.lines("x-forwarded-proto");
    let first = lines.next()?;
    Some(lines.fold(Cow::Borrowed(first), |mut joined, line| {
        join(joined.to_mut(), line);
        joined
    }))
}

/// Authority and path: an absolute request target names both.
fn split_target(request: &Request) -> (&str, &str) {
    let absolute = request.path.strip_prefix("http://").or_else(|| request.path.strip_prefix("https://"));
    let Some(rest) = absolute else { return (&request.authority, &request.path) };
    match rest.find(['/', '?']) {
        Some(end) if rest.as_bytes()[end] == b'/' => rest.split_at(end),
        Some(_) | None => (rest, "/"),
    }
}
