//! Cross-origin requests (Envoy: the CORS filter).

use super::matching::{join, test_holds};
use super::received::Received;
use crate::mesh::route::{Cors, Test};

/// What a request is to a route's CORS policy. Depends on the request's shape only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CorsRole {
    /// There is no policy, no origin, or a foreign one: nothing happens.
    #[default]
    None,
    /// From an allowed origin: the answer gets CORS headers.
    Allowed,
    /// A preflight from an allowed origin: answered by the proxy.
    Preflight,
    /// A preflight from a foreign origin which the proxy answers without naming the origin
    /// (`unmatchedPreflights: IGNORE`).
    ForeignPreflight,
}

/// What a request is to a policy.
#[must_use]
pub fn role(policy: Option<&Cors>, received: &Received<'_>) -> CorsRole {
    let Some(policy) = policy else { return CorsRole::None };
    let origin = joined_lines(received, "origin");
    if origin.is_empty() {
        return CorsRole::None;
    }
    let preflight = received.request.method == "OPTIONS" && !joined_lines(received, "access-control-request-method").is_empty();
    match (origin_allowed(policy, &origin), preflight) {
        (true, true) => CorsRole::Preflight,
        (true, false) => CorsRole::Allowed,
        (false, true) if !policy.forward_unmatched_preflights => CorsRole::ForeignPreflight,
        (false, _) => CorsRole::None,
    }
}

/// The one value that repeated lines of a header are to the proxy.
fn joined_lines(received: &Received<'_>, name: &str) -> String {
    let mut joined = String::new();
    received.request.lines(name).for_each(|line| join(&mut joined, line));
    joined
}

/// A test that holds for `*` allows every origin.
fn origin_allowed(policy: &Cors, origin: &str) -> bool {
    let allows = |test: &Test| test_holds(test, "*") || test_holds(test, origin);
    policy.allow_origins.iter().any(allows)
}

/// The headers that the policy puts on an answer. The requested method is never checked.
#[must_use]
pub fn answer_headers(policy: &Cors, role: CorsRole, received: &Received<'_>) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    let mut put = |name: &str, value: &str| {
        if !value.is_empty() {
            headers.push((name.to_owned(), value.to_owned()));
        }
    };
    let (named, preflight) = match role {
        CorsRole::None => return headers,
        CorsRole::Allowed => (true, false),
        CorsRole::Preflight => (true, true),
        CorsRole::ForeignPreflight => (false, true),
    };
    if named {
        put("access-control-allow-origin", &joined_lines(received, "origin"));
    }
    put("access-control-allow-credentials", if policy.allow_credentials { "true" } else { "" });
    if preflight {
        put("access-control-allow-methods", &policy.allow_methods);
        put("access-control-allow-headers", &policy.allow_headers);
        put("access-control-max-age", &policy.max_age);
    }
    if named {
        put("access-control-expose-headers", &policy.expose_headers);
    }
    headers
}
