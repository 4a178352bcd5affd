//! When a route applies (Envoy: `RouteMatch`).

use serde_json::{Map, Value, json};

use super::wire::put;
use crate::mesh::pattern::Pattern;
use crate::mesh::route::{Condition, PathTest, RouteMatch, Subject, Test};

/// The filter that leaves the claims of a request's token behind.
const TOKEN_FILTER: &str = "envoy.filters.http.jwt_authn";

/// The conditions of a route.
pub(super) fn route_match(matcher: &RouteMatch) -> Value {
    let mut fields = Map::new();
    let path = &matcher.path;
    match &path.test {
        PathTest::Exact(text) => fields.insert("path".to_owned(), text.as_str().into()),
        PathTest::Prefix(text) => fields.insert("prefix".to_owned(), text.as_str().into()),
        PathTest::SegmentPrefix(text) => fields.insert("path_separated_prefix".to_owned(), text.as_str().into()),
        PathTest::Regex(pattern) => fields.insert("safe_regex".to_owned(), regex(pattern)),
    };
    if path.ignore_case {
        fields.insert("case_sensitive".to_owned(), false.into());
    }
    let (mut headers, mut query, mut claims) = (Vec::new(), Vec::new(), Vec::new());
    for condition in &matcher.conditions {
        match &condition.subject {
            Subject::Header(name) => headers.push(header(name, condition)),
            Subject::Query(name) => query.push(parameter(name, condition)),
            Subject::Claim(path) => claims.push(claim(path, condition)),
        }
    }
    put(&mut fields, "headers", headers);
    put(&mut fields, "query_parameters", query);
    put(&mut fields, "dynamic_metadata", claims);
    fields.into()
}

/// A regular expression.
pub(super) fn regex(pattern: &Pattern) -> Value {
    json!({"regex": pattern.source()})
}

/// A test on text; nothing if presence is all that is asked.
pub(super) fn string_match(test: &Test) -> Option<Value> {
    Some(match test {
        Test::Present => return None,
        Test::Exact(text) => json!({"exact": text}),
        Test::Prefix(text) => json!({"prefix": text}),
        Test::Regex(pattern) => json!({"safe_regex": regex(pattern)}),
    })
}

fn header(name: &str, condition: &Condition) -> Value {
    let mut fields = Map::new();
    put(&mut fields, "name", name);
    match string_match(&condition.test) {
        Some(test) => put(&mut fields, "string_match", test),
        None => put(&mut fields, "present_match", true),
    }
    put(&mut fields, "invert_match", condition.invert);
    put(&mut fields, "treat_missing_header_as_empty", condition.missing_as_empty);
    fields.into()
}

fn parameter(name: &str, condition: &Condition) -> Value {
    match string_match(&condition.test) {
        Some(test) => json!({"name": name, "string_match": test}),
        None => json!({"name": name, "present_match": true}),
    }
}

/// A claim may be a text or a list of them.
fn claim(path: &[String], condition: &Condition) -> Value {
    let value = match string_match(&condition.test) {
        Some(test) => json!({"or_match": {"value_matchers": [
            {"string_match": test},
            {"list_match": {"one_of": {"string_match": test}}},
        ]}}),
        None => json!({"present_match": true}),
    };
    let keys: Vec<Value> =
        std::iter::once("payload").chain(path.iter().map(String::as_str)).map(|key| json!({"key": key})).collect();
    let mut fields = Map::new();
    put(&mut fields, "filter", TOKEN_FILTER);
    put(&mut fields, "path", keys);
    put(&mut fields, "value", value);
    put(&mut fields, "invert", condition.invert);
    fields.into()
}
