//! Whether a route's conditions hold for a request (Envoy: `RouteEntryImplBase::matchRoute`).

use std::borrow::Cow;

use super::received::Received;
use super::token;
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
        Subject::Claim(keys) => {
            let value = received.claims.and_then(|claims| token::claim(claims, keys));
            value.is_some_and(|value| token::claim_texts(value).any(|text| test_holds(&condition.test, text))) != condition.invert
        }
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
    settled(condition, absent, hit)
}

/// Whether a condition holds for the lines of a header.
#[must_use]
pub fn values_hold<'v>(condition: &Condition, lines: impl IntoIterator<Item = &'v str>) -> bool {
    let mut absent = true;
    let mut hit = false;
    for line in lines {
        absent = false;
        hit |= test_holds(&condition.test, line);
    }
    settled(condition, absent, hit)
}

fn settled(condition: &Condition, absent: bool, hit: bool) -> bool {
    match (&condition.test, absent) {
        (_, false) => hit != condition.invert,
        (Test::Present, true) => condition.missing_as_empty || condition.invert,
        (_, true) if condition.missing_as_empty => test_holds(&condition.test, "") != condition.invert,
        (_, true) => false,
    }
}

/// Hands over each value of a header that conditions compare.
pub(super) fn each_value(name: &str, received: &Received<'_>, mut see: impl FnMut(&str)) {
    if let Some(value) = pseudo_header(name, received) {
        return see(value);
    }
    let mut lines = received.request.lines(name);
    let Some(first) = lines.next() else { return };
    let Some(second) = lines.next() else { return see(first) };
    let all = [first, second].into_iter().chain(lines);
    if !is_joined(name) {
        return all.for_each(see);
    }
    see(&all.fold(String::new(), |mut joined, line| {
        join(&mut joined, line);
        joined
    }));
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
        Subject::Claim(keys) => {
            let value = token::claim(received.claims?, keys)?;
            Some(Cow::Owned(value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::ProxyKind;
    use crate::mesh::pattern::Pattern;
    use crate::routing::testing::request;
    use crate::source::Span;

    fn regex(source: &str) -> Pattern {
        Pattern::new(source).unwrap()
    }

    #[test]
    fn paths_are_compared_without_their_query() {
        let exact = |text: &str| PathTest::Exact(text.to_owned());
        let prefix = |text: &str| PathTest::Prefix(text.to_owned());
        let below = |text: &str| PathTest::SegmentPrefix(text.to_owned());
        for (test, ignore_case, path, holds) in [
            (exact("/foo"), false, "/foo?x=1", true),
            (exact("/foo"), false, "/foo/", false),
            (exact("/foo"), true, "/FOO", true),
            (prefix("/foo"), false, "/foobar", true),
            (prefix("/foo"), false, "/Foo", false),
            (prefix("/foo"), true, "/FoObar", true),
            (prefix("/foo/"), false, "/foo", false),
            (prefix("foo"), false, "/foo", false),
            (prefix(""), false, "/foo", true),
            (below("/foo"), false, "/foo", true),
            (below("/foo"), false, "/foo/bar?x", true),
            (below("/foo"), false, "/foobar", false),
            (below("/foo"), false, "/foo;v=1", false),
            (PathTest::Regex(regex("/v[0-9]+/.*")), false, "/v1/x", true),
            (PathTest::Regex(regex("/v[0-9]+")), false, "/v1/x", false),
            (PathTest::Regex(regex("/v1")), true, "/V1", false),
            (PathTest::Regex(regex(".*x=1.*")), false, "/foo?x=1", false),
        ] {
            let request = request("GET", path, &[]);
            let received = Received::new(ProxyKind::Sidecar, &request).unwrap();
            let condition = PathMatch { test, ignore_case, span: Span::NOWHERE };
            assert_eq!(path_holds(&condition, received.bare_path()), holds, "{condition:?} {path}");
        }
    }

    #[test]
    fn headers_are_compared_line_by_line_and_absence_is_no_value() {
        let value = |test: Test| Condition {
            subject: Subject::Header("x-a".to_owned()),
            test,
            invert: false,
            missing_as_empty: false,
            span: Span::NOWHERE,
        };
        let exact = |text: &str| value(Test::Exact(text.to_owned()));
        let without = |test: Test| Condition { invert: true, missing_as_empty: test != Test::Present, ..value(test) };
        let (v, w, both) = (vec![("x-a", "v")], vec![("x-a", "w")], vec![("x-a", "v"), ("x-a", "w")]);
        let empty = vec![("x-a", "")];
        let any = |invert| if invert { without(Test::Regex(regex(".*"))) } else { value(Test::Regex(regex(".*"))) };
        for (condition, headers, holds) in [
            (exact("v"), &v, true),
            (exact("V"), &v, false),
            (exact("v"), &both, true),
            (exact("v,w"), &both, false),
            (exact(""), &vec![], false),
            (exact(""), &empty, true),
            (value(Test::Prefix("v".to_owned())), &both, true),
            (any(false), &vec![], false),
            (any(false), &empty, true),
            (value(Test::Present), &empty, true),
            (value(Test::Present), &vec![], false),
            (without(Test::Present), &vec![], true),
            (without(Test::Present), &empty, false),
            (without(Test::Exact("v".to_owned())), &vec![], true),
            (without(Test::Exact("v".to_owned())), &w, true),
            (without(Test::Exact("v".to_owned())), &both, false),
            (without(Test::Exact(String::new())), &vec![], false),
            (any(true), &vec![], false),
            (without(Test::Regex(regex(".+"))), &vec![], true),
        ] {
            let request = request("GET", "/", headers);
            let received = Received::new(ProxyKind::Sidecar, &request).unwrap();
            assert_eq!(condition_holds(&condition, &received), holds, "{condition:?} {headers:?}");
        }
    }

    #[test]
    fn some_headers_have_one_line_only() {
        let condition = |name: &str, text: &str| Condition {
            subject: Subject::Header(name.to_owned()),
            test: Test::Exact(text.to_owned()),
            invert: false,
            missing_as_empty: false,
            span: Span::NOWHERE,
        };
        let request = request("GET", "/", &[("accept", "a"), ("accept", "b"), ("cookie", "a=1"), ("cookie", "b=2")]);
        let received = Received::new(ProxyKind::Sidecar, &request).unwrap();
        for (name, text, holds) in
            [("accept", "a,b", true), ("accept", "a", false), ("cookie", "a=1", true), ("cookie", "b=2", true)]
        {
            assert_eq!(condition_holds(&condition(name, text), &received), holds, "{name} {text}");
        }
        assert!(JOINED.is_sorted());
    }

    #[test]
    fn the_first_value_of_a_query_parameter_counts_undecoded() {
        let condition = |test: Test| Condition {
            subject: Subject::Query("q".to_owned()),
            test,
            invert: false,
            missing_as_empty: false,
            span: Span::NOWHERE,
        };
        let exact = |text: &str| condition(Test::Exact(text.to_owned()));
        for (condition, path, holds) in [
            (exact("v"), "/?q=v", true),
            (exact("v"), "/?q=w&q=v", false),
            (exact("v"), "/?q=%76", false),
            (exact("v"), "/?Q=v", false),
            (exact("v;b=1"), "/?q=v;b=1", true),
            (exact(""), "/?q", true),
            (exact(""), "/?q=", true),
            (condition(Test::Present), "/?a&q", true),
            (condition(Test::Present), "/", false),
        ] {
            let request = request("GET", path, &[]);
            let received = Received::new(ProxyKind::Sidecar, &request).unwrap();
            assert_eq!(condition_holds(&condition, &received), holds, "{condition:?} {path}");
        }
    }

    #[test]
    fn a_sidecar_believes_the_forwarded_scheme_and_a_gateway_does_not() {
        let request = request("GET", "/", &[("x-forwarded-proto", "HTTPS")]);
        assert_eq!(Received::new(ProxyKind::Sidecar, &request).unwrap().scheme, "https");
        assert_eq!(Received::new(ProxyKind::Gateway, &request).unwrap().scheme, "http");
    }
}
