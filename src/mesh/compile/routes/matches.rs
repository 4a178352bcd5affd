//! Match blocks: the conditions that a proxy checks per request, and the ones that are settled when
//! it is configured.

use super::RouteScope;
use crate::mesh::compile::virtual_service::Semantics;
use crate::mesh::pattern::Pattern;
use crate::mesh::route::{Condition, PathMatch, PathTest, RouteMatch, Subject, Test};
use crate::resource::networking::{HttpMatchRequest, StringMatch};
use crate::source::Span;

/// A pattern that matches nothing: what is left of one that does not compile, in an object that
/// validation should have kept out.
const NEVER: &str = r"[^\s\S]";

/// Whether a block's static conditions hold for the proxy. Gateways that apply settle the source
/// conditions too.
pub(super) fn applies(block: &HttpMatchRequest, scope: &RouteScope<'_>) -> bool {
    if block.port.as_ref().is_some_and(|port| port.value != 0 && port.value != i64::from(scope.port)) {
        return false;
    }
    if !block.gateways.is_empty() {
        return block.gateways.iter().any(|gateway| gateway.value == scope.gateway);
    }
    let has = |key: &str, value: &str| scope.client_labels.iter().any(|(k, v)| k == key && v == value);
    block.source_labels.iter().all(|(key, value)| has(key, value))
        && block.source_namespace.as_ref().is_none_or(|ns| ns.is_empty() || ns.value == scope.client_namespace)
}

/// The conditions of a block; of no block, those of every request.
pub(super) fn translate(block: Option<&HttpMatchRequest>, semantics: Semantics, span: Span) -> RouteMatch {
    let everything = PathMatch { test: PathTest::Prefix("/".to_owned()), ignore_case: false, span };
    let Some(block) = block else { return RouteMatch { path: everything, conditions: Vec::new() } };
    let path = block.uri.as_ref().and_then(|uri| path(uri, semantics)).map_or(everything, |(test, span)| PathMatch {
        test,
        ignore_case: block.ignore_uri_case.unwrap_or(false),
        span,
    });
    RouteMatch { path, conditions: conditions(block) }
}

/// The conditions of a match block that a proxy checks for each request; its static ones (port,
/// gateways, labels and namespace of the client) are settled before.
#[must_use]
pub fn conditions_of(block: &HttpMatchRequest) -> RouteMatch {
    translate(Some(block), Semantics::Istio, block.span)
}

fn path(uri: &StringMatch, semantics: Semantics) -> Option<(PathTest, Span)> {
    if let Some(exact) = &uri.exact {
        return Some((PathTest::Exact(exact.value.clone()), exact.span));
    }
    if let Some(prefix) = &uri.prefix {
        let test = if semantics.is_gateway_api() && prefix.value != "/" {
            PathTest::SegmentPrefix(prefix.strip_suffix('/').unwrap_or(prefix).to_owned())
        } else {
            PathTest::Prefix(prefix.value.clone())
        };
        return Some((test, prefix.span));
    }
    let regex = uri.regex.as_ref()?;
    Some((PathTest::Regex(pattern(regex)), regex.span))
}

fn conditions(block: &HttpMatchRequest) -> Vec<Condition> {
    let mut headers: Vec<(&str, Condition)> = Vec::new();
    let mut claims = Vec::new();
    for (map, without) in [(&block.headers, false), (&block.without_headers, true)] {
        for (key, value) in &map.0 {
            let mut condition = condition(subject(key), value.as_ref(), key.span);
            condition.invert = without;
            if matches!(condition.subject, Subject::Claim(_)) {
                claims.push(condition);
            } else {
                condition.missing_as_empty = without && condition.test != Test::Present;
                headers.push((key, condition));
            }
        }
    }
    headers.sort_by_key(|(name, _)| *name);
    let pseudo = [(":method", &block.method), (":authority", &block.authority), (":scheme", &block.scheme)];
    let pseudo = pseudo.into_iter().filter_map(|(name, value)| {
        let value = value.as_ref()?;
        Some(condition(Subject::Header(name.to_owned()), Some(value), value.span))
    });
    let query =
        block.query_params.0.iter().map(|(key, value)| condition(Subject::Query(key.value.clone()), value.as_ref(), key.span));
    headers.into_iter().map(|(_, condition)| condition).chain(pseudo).chain(query).chain(claims).collect()
}

fn condition(subject: Subject, value: Option<&StringMatch>, span: Span) -> Condition {
    Condition { subject, test: value.map_or(Test::Present, test), invert: false, missing_as_empty: false, span }
}

/// The test of a value; an empty match and the regex `*` ask for presence.
fn test(value: &StringMatch) -> Test {
    if let Some(exact) = &value.exact {
        return Test::Exact(exact.value.clone());
    }
    if let Some(prefix) = &value.prefix {
        return Test::Prefix(prefix.value.clone());
    }
    match &value.regex {
        Some(regex) if regex.value != "*" => Test::Regex(pattern(regex)),
        _ => Test::Present,
    }
}

/// The tests of a list of origins, which know no presence.
pub(super) fn origin_tests(values: &[StringMatch]) -> Vec<Test> {
    values.iter().map(test).filter(|test| *test != Test::Present).collect()
}

pub(super) fn pattern(text: &str) -> Pattern {
    let compiled = Pattern::new(text).or_else(|_| Pattern::new(NEVER));
    compiled.expect("the pattern that matches nothing compiles")
}

fn subject(name: &str) -> Subject {
    claim(name).map_or_else(|| Subject::Header(name.to_ascii_lowercase()), Subject::Claim)
}

/// The claim that a key such as `@request.auth.claims.group` or `@request.auth.claims[group][id]`
/// names.
fn claim(name: &str) -> Option<Vec<String>> {
    const PREFIX: &str = "@request.auth.claims";
    let rest = name.get(PREFIX.len()..).filter(|_| name[..PREFIX.len()].eq_ignore_ascii_case(PREFIX))?;
    if let Some(dotted) = rest.strip_prefix('.') {
        return (!dotted.is_empty()).then(|| dotted.split('.').map(str::to_owned).collect());
    }
    let inner = rest.strip_prefix('[')?.strip_suffix(']')?;
    (!inner.is_empty()).then(|| inner.split("][").map(str::to_owned).collect())
}

/// Whether a block, apart from its static conditions, takes every request.
pub(in crate::mesh::compile) fn takes_everything(block: &HttpMatchRequest) -> bool {
    is_catch_all(&translate(Some(block), Semantics::Istio, block.span))
}

/// Whether no request gets past a route with these conditions.
pub(in crate::mesh::compile) fn is_catch_all(matcher: &RouteMatch) -> bool {
    let path = match &matcher.path.test {
        PathTest::Prefix(prefix) | PathTest::SegmentPrefix(prefix) => prefix == "/",
        PathTest::Regex(pattern) => pattern.source() == ".*",
        PathTest::Exact(_) => false,
    };
    path && matcher.conditions.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Option<crate::source::Spanned<String>> {
        Some(crate::source::Spanned::made_up(value.to_owned()))
    }

    fn exact(value: &str) -> Option<StringMatch> {
        Some(StringMatch { exact: text(value), ..StringMatch::default() })
    }

    fn prefix(value: &str) -> Option<StringMatch> {
        Some(StringMatch { prefix: text(value), ..StringMatch::default() })
    }

    fn regex(value: &str) -> Option<StringMatch> {
        Some(StringMatch { regex: text(value), ..StringMatch::default() })
    }

    fn headers(pairs: &[(&str, Option<StringMatch>)]) -> crate::yaml::Map<Option<StringMatch>> {
        let key = |name: &str| crate::source::Spanned::made_up(name.to_owned());
        crate::yaml::Map(pairs.iter().map(|(name, value)| (key(name), value.clone())).collect())
    }

    #[test]
    fn only_open_paths_without_conditions_take_everything() {
        let uri = |uri| HttpMatchRequest { uri, ..HttpMatchRequest::default() };
        for (block, everything) in [
            (uri(None), true),
            (uri(Some(StringMatch::default())), true),
            (uri(prefix("/")), true),
            (uri(regex(".*")), true),
            (uri(regex("/.*")), false),
            (uri(prefix("")), false),
            (uri(exact("/")), false),
            (HttpMatchRequest { method: exact("GET"), ..uri(None) }, false),
            (HttpMatchRequest { query_params: headers(&[("q", None)]), ..uri(None) }, false),
        ] {
            assert_eq!(takes_everything(&block), everything, "{block:?}");
        }
    }

    #[test]
    fn presence_is_asked_for_by_nothing_and_by_a_lone_star() {
        let block = HttpMatchRequest {
            headers: headers(&[("X-B", regex("*")), ("x-a", None)]),
            without_headers: headers(&[("x-c", Some(StringMatch::default())), ("x-d", exact(""))]),
            ..HttpMatchRequest::default()
        };
        let made = translate(Some(&block), Semantics::Istio, Span::NOWHERE).conditions;
        let seen: Vec<_> = made.iter().map(|c| (c.subject.clone(), c.test.clone(), c.invert, c.missing_as_empty)).collect();
        let header = |name: &str| Subject::Header(name.to_owned());
        assert_eq!(
            seen,
            [
                (header("x-b"), Test::Present, false, false),
                (header("x-a"), Test::Present, false, false),
                (header("x-c"), Test::Present, true, false),
                (header("x-d"), Test::Exact(String::new()), true, true),
            ]
        );
    }

    #[test]
    fn prefixes_end_at_segments_in_the_gateway_api_only() {
        for (semantics, written, made) in [
            (Semantics::Istio, "/a/", PathTest::Prefix("/a/".to_owned())),
            (Semantics::GatewayApi, "/a/", PathTest::SegmentPrefix("/a".to_owned())),
            (Semantics::GatewayApi, "/", PathTest::Prefix("/".to_owned())),
        ] {
            let block = HttpMatchRequest { uri: prefix(written), ..HttpMatchRequest::default() };
            assert_eq!(translate(Some(&block), semantics, Span::NOWHERE).path.test, made);
        }
    }

    #[test]
    fn claims_are_named_with_dots_or_brackets() {
        for (key, path) in [
            ("@request.auth.claims.group", Some(vec!["group"])),
            ("@Request.Auth.Claims.a.b", Some(vec!["a", "b"])),
            ("@request.auth.claims[a.b][c]", Some(vec!["a.b", "c"])),
            ("@request.auth.claims", None),
            ("@request.auth.claims.", None),
            ("x-header", None),
        ] {
            let path = path.map(|path| path.into_iter().map(str::to_owned).collect());
            assert_eq!(claim(key), path, "{key}");
        }
    }
}
