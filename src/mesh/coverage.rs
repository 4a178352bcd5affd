//! Whether one match takes every request that another one could take. The answer "no" may mean
//! "unknown": regular expressions are compared as texts, or by the text they begin with.

use crate::resource::networking::{HttpMatchRequest, StringMatch};
use crate::source::Spanned;
use crate::yaml::Map;

/// Whether every request that meets `inner`, at every proxy that has it, meets `outer` too.
#[must_use]
pub fn covers(outer: &HttpMatchRequest, inner: &HttpMatchRequest) -> bool {
    covers_proxies(outer, inner)
        && path(outer, inner)
        && optional(outer.scheme.as_ref(), inner.scheme.as_ref())
        && optional(outer.method.as_ref(), inner.method.as_ref())
        && optional(outer.authority.as_ref(), inner.authority.as_ref())
        && values(&outer.headers, &inner.headers)
        && values(&outer.query_params, &inner.query_params)
        && absences(&outer.without_headers, &inner.without_headers)
}

/// The conditions that are met when a proxy is configured: port, gateways, labels and namespace.
fn covers_proxies(outer: &HttpMatchRequest, inner: &HttpMatchRequest) -> bool {
    let text = |value: &Option<Spanned<String>>| value.as_ref().map(|own| own.value.clone()).filter(|own| !own.is_empty());
    let port = outer.port.is_none_or(|own| own.value == 0 || inner.port.is_some_and(|other| other.value == own.value));
    let listed = |list: &[Spanned<String>], name: &str| list.iter().any(|own| own.value == name);
    let gateways = match (outer.gateways.is_empty(), inner.gateways.is_empty()) {
        (true, true) => true,
        // A match for gateways skips the conditions on its clients.
        (true, false) => outer.source_labels.is_empty() && outer.source_namespace.is_none(),
        (false, true) => false,
        (false, false) => inner.gateways.iter().all(|own| listed(&outer.gateways, &own.value)),
    };
    let labels =
        outer.source_labels.iter().all(|(key, value)| inner.source_labels.get(key).is_some_and(|own| own.value == value.value));
    let namespace = text(&outer.source_namespace).is_none_or(|own| text(&inner.source_namespace) == Some(own));
    port && gateways && (labels && namespace || !outer.gateways.is_empty())
}

fn path(outer: &HttpMatchRequest, inner: &HttpMatchRequest) -> bool {
    let Some(wide) = outer.uri.as_ref() else { return true };
    if matches!(Test::of(wide), Test::Prefix("" | "/") | Test::Regex(".*")) {
        return true;
    }
    let Some(narrow) = &inner.uri else { return false };
    let folds = |block: &HttpMatchRequest| block.ignore_uri_case == Some(true);
    match (folds(outer), folds(inner)) {
        (true, _) => Test::of(&lower(wide)).covers(Test::of(&lower(narrow))),
        (false, true) => false,
        (false, false) => Test::of(wide).covers(Test::of(narrow)),
    }
}

/// The match in lower case; regular expressions stay.
fn lower(value: &StringMatch) -> StringMatch {
    let fold = |text: &Option<Spanned<String>>| text.as_ref().map(|own| Spanned::new(own.value.to_lowercase(), own.span));
    StringMatch { exact: fold(&value.exact), prefix: fold(&value.prefix), ..value.clone() }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test<'a> {
    /// Whatever there is.
    Present,
    Exact(&'a str),
    Prefix(&'a str),
    Regex(&'a str),
}

impl<'a> Test<'a> {
    fn of(value: &'a StringMatch) -> Self {
        match (&value.exact, &value.prefix, &value.regex) {
            (Some(text), _, _) => Test::Exact(&text.value),
            (None, Some(text), _) => Test::Prefix(&text.value),
            (None, None, Some(text)) => Test::Regex(&text.value),
            (None, None, None) => Test::Present,
        }
    }

    fn covers(self, inner: Test<'_>) -> bool {
        match (self, inner) {
            (Test::Present, _) | (Test::Regex(".*"), Test::Exact(_) | Test::Prefix(_) | Test::Regex(_)) => true,
            (Test::Exact(a), Test::Exact(b)) | (Test::Regex(a), Test::Regex(b)) => a == b,
            (Test::Prefix(a), Test::Exact(b) | Test::Prefix(b)) => b.starts_with(a),
            (Test::Prefix(a), Test::Regex(b)) => beginning(b).starts_with(a),
            _ => false,
        }
    }
}

/// The text that every value of a regular expression begins with, as far as it can be read off.
fn beginning(pattern: &str) -> &str {
    let meta = |c: char| "\\.+*?()|[]{}^$".contains(c);
    if pattern.contains('|') {
        return "";
    }
    let Some(end) = pattern.find(meta) else { return pattern };
    let literal = &pattern[..end];
    // A quantifier takes the character before it away.
    match pattern[end..].chars().next() {
        Some('*' | '?' | '{') => literal.char_indices().next_back().map_or("", |(last, _)| &literal[..last]),
        _ => literal,
    }
}

fn optional(outer: Option<&StringMatch>, inner: Option<&StringMatch>) -> bool {
    match (outer, inner) {
        (None, _) => true,
        (Some(outer), Some(inner)) => Test::of(outer).covers(Test::of(inner)),
        (Some(_), None) => false,
    }
}

fn test(value: &Option<StringMatch>) -> Test<'_> {
    value.as_ref().map_or(Test::Present, Test::of)
}

fn values(outer: &Map<Option<StringMatch>>, inner: &Map<Option<StringMatch>>) -> bool {
    outer.iter().all(|(name, wide)| inner.get(name).is_some_and(|narrow| test(wide).covers(test(narrow))))
}

/// What must not be there for `outer` must not be there for `inner` either.
fn absences(outer: &Map<Option<StringMatch>>, inner: &Map<Option<StringMatch>>) -> bool {
    outer.iter().all(|(name, wide)| inner.get(name).is_some_and(|narrow| test(narrow).covers(test(wide))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Sources;
    use crate::yaml::{Cx, Decode, Limits, parse};

    fn block(yaml: &str) -> HttpMatchRequest {
        let mut sources = Sources::new();
        let file = sources.add("test.yaml", yaml);
        let (documents, findings) = parse(&sources, file, Limits::default());
        assert!(findings.is_empty(), "{findings:?}");
        let mut diagnostics = Vec::new();
        let block = HttpMatchRequest::decode(&documents[0].root, &mut Cx::new(&mut diagnostics));
        block.expect("the test's match is a mapping")
    }

    #[test]
    fn a_match_covers_another_only_if_each_of_its_conditions_follows() {
        for (outer, inner, expected) in [
            ("{uri: {prefix: /}}", "{headers: {x: {exact: a}}}", true),
            ("{uri: {prefix: /api}}", "{uri: {prefix: /api/v2}, headers: {x: {exact: a}}}", true),
            ("{uri: {prefix: /api}}", "{uri: {exact: /api/v2}}", true),
            ("{uri: {prefix: /api}}", "{uri: {regex: /api/.*}}", true),
            ("{uri: {prefix: /api/v1}}", "{uri: {regex: /api/v1?}}", false),
            ("{uri: {prefix: /api}}", "{uri: {regex: /api/a|/b}}", false),
            ("{uri: {prefix: /api}}", "{uri: {prefix: /ap}}", false),
            ("{uri: {prefix: /api}, method: {exact: GET}}", "{uri: {prefix: /api/x}}", false),
            (
                "{uri: {prefix: /r}, headers: {t: {exact: northwind}}}",
                "{uri: {prefix: /r/d}, headers: {t: {exact: north}}}",
                false,
            ),
            ("{headers: {t: {prefix: n}}}", "{headers: {t: {exact: north}}, uri: {exact: /a}}", true),
            ("{headers: {t: {}}}", "{headers: {t: {regex: a.*}}}", true),
            ("{uri: {prefix: /Api}, ignoreUriCase: true}", "{uri: {prefix: /api/x}}", true),
            ("{uri: {prefix: /api}}", "{uri: {prefix: /api/x}, ignoreUriCase: true}", false),
            ("{withoutHeaders: {x: {exact: a}}}", "{uri: {exact: /a}}", false),
            ("{withoutHeaders: {x: {exact: a}}}", "{withoutHeaders: {x: {}}}", true),
            ("{port: 80}", "{port: 80, uri: {exact: /a}}", true),
            ("{port: 80}", "{uri: {exact: /a}}", false),
            ("{gateways: [mesh]}", "{uri: {exact: /a}}", false),
            ("{sourceLabels: {app: a}}", "{sourceLabels: {app: a, v: b}}", true),
            ("{sourceLabels: {app: a}}", "{gateways: [edge]}", false),
        ] {
            assert_eq!(covers(&block(outer), &block(inner)), expected, "{outer} over {inner}");
        }
    }
}
