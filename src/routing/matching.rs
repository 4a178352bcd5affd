//! Whether a route's conditions hold for a request (Envoy: `RouteEntryImplBase::matchRoute`).

use std::borrow::Cow;

use super::received::Received;
use crate::mesh::route::{Condition, PathMatch, PathTest, RouteMatch, Subject, Test};

/// Headers whose repeated lines the proxy joins with commas as they arrive (Envoy: inline headers).
/// All others are matched line by line.
const JOINED: &[&str] = &[
    "accept",
    "accept-encoding",
    "access-control-request-headers",
    "access-control-request-method",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-type",
    "expect",
    "grpc-accept-encoding",
    "grpc-timeout",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "origin",
    "pragma",
    "proxy-connection",
    "proxy-status",
    "referer",
    "te",
    "upgrade",
    "user-agent",
    "via",
    "x-client-trace-id",
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-external-address",
    "x-envoy-is-timeout-retry",
    "x-envoy-original-host",
    "x-envoy-original-path",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-request-id",
];

/// Whether repeated lines of a header are one line to the proxy.
#[must_use]
pub fn is_joined(name: &str) -> bool {
    JOINED.binary_search(&name).is_ok()
}

/// Whether all conditions of a route hold.
#[must_use]
pub fn holds(matcher: &RouteMatch, received: &Received<'_>) -> bool {
    path_holds(&matcher.path, received.bare_path()) && matcher.conditions.iter().all(|c| condition_holds(c, received))
}

/// Whether the condition on the path holds; the query takes no part.
#[must_use]
pub fn path_holds(path: &PathMatch, bare_path: &str) -> bool {
    match &path.test {
        PathTest::Exact(wanted) if path.ignore_case => bare_path.eq_ignore_ascii_case(wanted),
        PathTest::Exact(wanted) => bare_path == wanted,
        PathTest::Prefix(prefix) => starts_with(bare_path, prefix, path.ignore_case),
        PathTest::SegmentPrefix(prefix) => {
            starts_with(bare_path, prefix, path.ignore_case)
                && matches!(bare_path.as_bytes().get(prefix.len()), None | Some(b'/'))
        }
        PathTest::Regex(pattern) => pattern.matches(bare_path),
    }
}

/// Whether a condition on something other than the path holds.
#[must_use]
pub fn condition_holds(condition: &Condition, received: &Received<'_>) -> bool {
    match &condition.subject {
        Subject::Header(name) => header_holds(condition, name, received),
        Subject::Query(name) => {
            received.query_parameter(name).is_some_and(|value| test_holds(&condition.test, value)) != condition.invert
        }
        // No token is part of a request here, so no claim is ever there.
        Subject::Claim(_) => condition.invert,
    }
}

/// A header condition. An absent header satisfies neither a test on the value nor its inversion,
/// unless it counts as empty; of several lines any may match, and under inversion none may.
fn header_holds(condition: &Condition, name: &str, received: &Received<'_>) -> bool {
    let mut absent = true;
    let mut hit = false;
    each_value(name, received, |value| {
        absent = false;
        hit |= test_holds(&condition.test, value);
    });
    match (&condition.test, absent) {
        (_, false) => hit != condition.invert,
        (Test::Present, true) => condition.missing_as_empty || condition.invert,
        (_, true) if condition.missing_as_empty => test_holds(&condition.test, "") != condition.invert,
        (_, true) => false,
    }
}

/// Hands over each value of a header that conditions compare.
fn each_value(name: &str, received: &Received<'_>, mut see: impl FnMut(&str)) {
    if let Some(value) = pseudo_header(name, received) {
        return see(value);
    }
    let mut lines = received.request.lines(name);
    if !is_joined(name) {
        return lines.for_each(see);
    }
    let Some(first) = lines.next() else { return };
    match lines.next() {
        None => see(first),
        Some(second) => see(&[first, second].into_iter().chain(lines).fold(String::new(), |mut joined, line| {
            join(&mut joined, line);
            joined
        })),
    }
}

/// Appends a line to the one line of a header; empty ones leave no comma behind.
pub(super) fn join(joined: &mut String, line: &str) {
    if !joined.is_empty() && !line.is_empty() {
        joined.push(',');
    }
    joined.push_str(line);
}

fn pseudo_header<'a>(name: &str, received: &'a Received<'_>) -> Option<&'a str> {
    match name {
        ":method" => Some(&received.request.method),
        ":authority" | "host" => Some(received.authority),
        ":scheme" => Some(received.scheme),
        ":path" => Some(&received.path),
        "x-forwarded-proto" => Some(&received.forwarded_proto),
        _ => None,
    }
}

/// What a condition looked at, for explanations: all values, or `None` if there is none.
#[must_use]
pub fn seen_value<'a>(subject: &Subject, received: &'a Received<'_>) -> Option<Cow<'a, str>> {
    match subject {
        Subject::Query(name) => received.query_parameter(name).map(Cow::Borrowed),
        Subject::Claim(_) => None,
        Subject::Header(name) => {
            let mut values = Vec::new();
            each_value(name, received, |value| values.push(value.to_owned()));
            (!values.is_empty()).then(|| Cow::Owned(values.join(", ")))
        }
    }
}

/// Whether a value passes a test.
#[must_use]
pub fn test_holds(test: &Test, value: &str) -> bool {
    match test {
        Test::Present => true,
        Test::Exact(wanted) => value == wanted,
        Test::Prefix(prefix) => value.starts_with(prefix.as_str()),
        Test::Regex(pattern) => pattern.matches(value),
    }
}

fn starts_with(text: &str, prefix: &str, ignore_case: bool) -> bool {
    if !ignore_case {
        return text.starts_with(prefix);
    }
    text.as_bytes().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}
