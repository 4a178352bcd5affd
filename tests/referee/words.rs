//! The words that meshes and requests are made of: few enough that they meet.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value as Json, json};

/// A part of an object that may be absent.
pub(crate) type Part = BoxedStrategy<Option<Json>>;

/// Present so many times in a hundred.
pub(crate) fn maybe(percent: u32, part: impl Strategy<Value = Json> + 'static) -> Part {
    match percent {
        0 => Just(None).boxed(),
        1..100 => prop::option::weighted(f64::from(percent) / 100.0, part).boxed(),
        _ => always(part),
    }
}

/// Always present.
pub(crate) fn always(part: impl Strategy<Value = Json> + 'static) -> Part {
    part.prop_map(Some).boxed()
}

/// An object of these parts.
pub(crate) fn object(parts: Vec<(&'static str, Part)>) -> BoxedStrategy<Json> {
    let (names, parts): (Vec<&str>, Vec<Part>) = parts.into_iter().unzip();
    let together = move |values: Vec<Option<Json>>| {
        let fields = names.iter().zip(values).filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
        Json::Object(fields.collect::<Map<_, _>>())
    };
    parts.prop_map(together).boxed()
}

/// One of several kinds.
pub(crate) fn any_of(kinds: Vec<(u32, BoxedStrategy<Json>)>) -> BoxedStrategy<Json> {
    prop::strategy::Union::new_weighted(kinds).boxed()
}

/// One of these texts.
pub(crate) fn word(words: &'static [&'static str]) -> BoxedStrategy<Json> {
    select(words).prop_map(Json::from).boxed()
}

/// One of these values.
pub(crate) fn one(values: Vec<Json>) -> BoxedStrategy<Json> {
    select(values).boxed()
}

/// A list of so many.
pub(crate) fn list(item: BoxedStrategy<Json>, count: std::ops::Range<usize>) -> BoxedStrategy<Json> {
    prop::collection::vec(item, count).prop_map(Json::from).boxed()
}

/// A mapping of some of these names.
pub(crate) fn mapping(
    names: &'static [&'static str],
    value: BoxedStrategy<Json>,
    count: std::ops::Range<usize>,
) -> BoxedStrategy<Json> {
    prop::collection::btree_map(select(names), value, count)
        .prop_map(|map| Json::Object(map.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()))
        .boxed()
}

/// What paths of rules are made of.
pub(crate) const SEGMENTS: &[&str] = &["a", "b", "ab", "a.b", "A", "v1", "x;p=1"];
/// What else paths of requests are made of.
pub(crate) const ODD_SEGMENTS: &[&str] =
    &["", ".", "..", "..;x", "%61", "%2F", "%2f", "%2e%2e", "%7E", "\\", "%zz", "a%20b", "*", "\"<", "a|b", "%25"];
pub(crate) const HEADERS: &[&str] = &["x-a", "x-b", "end-user", "accept", "cookie", "user-agent", "x-forwarded-proto", "via"];
pub(crate) const VALUES: &[&str] = &["1", "2", "v1", "a,b", "ab", "https", "a=1; b=2", "1 2"];
pub(crate) const PARAMETERS: &[&str] = &["q", "r", "Q"];
pub(crate) const METHODS: &[&str] = &["GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "TRACE"];
pub(crate) const ORIGINS: &[&str] = &["https://a.test", "https://b.test", "http://a.test:8080", "null"];

/// A path as rules write it.
pub(crate) fn rule_path() -> BoxedStrategy<Json> {
    let slash = any::<bool>().prop_map(|slash| if slash { "/" } else { "" });
    (prop::collection::vec(select(SEGMENTS), 0..3), slash)
        .prop_map(
            |(segments, slash)| if segments.is_empty() { json!("/") } else { json!(format!("/{}{slash}", segments.join("/"))) },
        )
        .boxed()
}

/// A condition on a text.
pub(crate) fn text_match(words: &'static [&'static str], patterns: &'static [&'static str]) -> BoxedStrategy<Json> {
    any_of(vec![
        (3, word(words).prop_map(|text| json!({"exact": text})).boxed()),
        (2, word(words).prop_map(|text| json!({"prefix": text})).boxed()),
        (2, word(patterns).prop_map(|text| json!({"regex": text})).boxed()),
    ])
}

/// A share of requests; mostly all or none, which is quick to judge.
pub(crate) fn percentage() -> BoxedStrategy<Json> {
    any_of(vec![
        (6, Just(json!({"value": 100})).boxed()),
        (1, Just(json!({"value": 0})).boxed()),
        (1, Just(json!({})).boxed()),
        (2, one(vec![json!({"value": 50}), json!({"value": 37.5})])),
    ])
}
