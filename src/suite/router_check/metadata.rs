//! What filters have noted about a request, and conditions on it (Envoy: `MetadataMatcher`).

use super::matchers::{Refusal, StringMatcher};
use crate::routing::matching::test_holds;
use crate::source::Spanned;
use crate::yaml::{Node, Value};

crate::record! {
    /// Something noted, as a test says it.
    pub struct DynamicMetadata {
        /// Whose it is.
        pub metadata_namespace: Spanned<String> = "metadata_namespace",
        /// Its fields.
        pub value: Option<Node> = "value",
        /// Whether it is merged into what is there already; else the first stays.
        pub allow_overwrite: Option<bool> = "allow_overwrite",
    }
    not_modelled "typed_value";

    /// A condition on what is noted.
    pub struct MetadataMatcher {
        /// Whose it is.
        pub filter: Spanned<String> = "filter",
        /// The way to the value.
        pub path: Vec<PathSegment> = "path",
        /// What it must be.
        pub value: ValueMatcher = "value",
        /// Whether the answer is turned round.
        pub invert: Option<bool> = "invert",
    }

    /// A step on the way to a value.
    pub struct PathSegment {
        /// A field.
        pub key: Spanned<String> = "key",
    }

    /// What a value must be.
    pub struct ValueMatcher {
        /// Null.
        pub null_match: Option<Node> = "null_match",
        /// A number.
        pub double_match: Option<DoubleMatcher> = "double_match",
        /// A string.
        pub string_match: Option<StringMatcher> = "string_match",
        /// A boolean.
        pub bool_match: Option<bool> = "bool_match",
        /// Anything.
        pub present_match: Option<bool> = "present_match",
        /// A list with such an element.
        pub list_match: Option<ListMatcher> = "list_match",
        /// One of several.
        pub or_match: Option<Node> = "or_match",
    }

    /// A number.
    pub struct DoubleMatcher {
        /// From, and below.
        pub range: Option<DoubleRange> = "range",
        /// This one.
        pub exact: Option<f64> = "exact",
    }

    /// Numbers.
    pub struct DoubleRange {
        /// The first.
        pub start: Option<f64> = "start",
        /// What all are below.
        pub end: Option<f64> = "end",
    }

    /// A list.
    pub struct ListMatcher {
        /// What one element must be.
        pub one_of: Option<Node> = "one_of",
    }
}

/// What is noted about a request: fields by namespace.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Noted(Vec<(String, Node)>);

impl Noted {
    /// Notes things in the order in which they are written.
    pub(super) fn new(all: &[DynamicMetadata]) -> Self {
        let mut noted = Noted::default();
        for one in all {
            let value = one.value.clone().unwrap_or(Node { span: one.span, value: Value::Map(Vec::new()) });
            match noted.0.iter_mut().find(|(namespace, _)| *namespace == one.metadata_namespace.value) {
                Some((_, known)) if one.allow_overwrite == Some(true) => merge(known, value),
                Some(_) => {}
                None => noted.0.push((one.metadata_namespace.value.clone(), value)),
            }
        }
        noted
    }

    /// Whether a condition holds.
    pub(super) fn meets(&self, matcher: &MetadataMatcher) -> Result<bool, Refusal> {
        let fields = self.0.iter().find(|(namespace, _)| *namespace == matcher.filter.value).map(|(_, fields)| fields);
        let value = fields.and_then(|fields| at(fields, &matcher.path));
        Ok(is(value, &matcher.value)? != matcher.invert.unwrap_or(false))
    }
}

fn at<'n>(fields: &'n Node, path: &[PathSegment]) -> Option<&'n Node> {
    path.iter().try_fold(fields, |node, segment| node.get(&segment.key.value))
}

/// Fields of mappings are merged, lists are joined, anything else is replaced.
fn merge(known: &mut Node, new: Node) {
    match (&mut known.value, new.value) {
        (Value::Map(known), Value::Map(new)) => {
            for (key, value) in new {
                match known.iter_mut().find(|(own, _)| own.value == key.value) {
                    Some((_, own)) => merge(own, value),
                    None => known.push((key, value)),
                }
            }
        }
        (Value::Seq(known), Value::Seq(new)) => known.extend(new),
        (known, new) => *known = new,
    }
}

/// Whether a value is what it must be. A value that is not there is nothing but absent.
fn is(value: Option<&Node>, matcher: &ValueMatcher) -> Result<bool, Refusal> {
    if let Some(list) = matcher.list_match.as_ref().map(|list| list.span).or(matcher.or_match.as_ref().map(|or| or.span)) {
        return Err(Refusal::not_modelled("a condition on lists or alternatives in metadata", list));
    }
    let Some(value) = value else {
        return Ok(matcher.present_match == Some(false));
    };
    if let Some(wanted) = &matcher.string_match {
        let test = wanted.test()?;
        return Ok(value.as_str().is_some_and(|text| test_holds(&test, text)));
    }
    let number = match value.value {
        // Numbers of a structure are floating-point, whole ones too.
        Value::Int(number, _) => Some(number as f64),
        Value::Float(number, _) => Some(number),
        _ => None,
    };
    if let Some(wanted) = &matcher.double_match {
        let in_range =
            |range: &DoubleRange, number: f64| range.start.unwrap_or(0.0) <= number && number < range.end.unwrap_or(0.0);
        return Ok(number.is_some_and(|number| match (&wanted.range, wanted.exact) {
            (Some(range), _) => in_range(range, number),
            (None, exact) => exact.unwrap_or(0.0).total_cmp(&number).is_eq(),
        }));
    }
    if let Some(wanted) = matcher.bool_match {
        return Ok(matches!(value.value, Value::Bool(own, _) if own == wanted));
    }
    if matcher.null_match.is_some() {
        return Ok(value.is_null());
    }
    Ok(matcher.present_match.unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Sources;
    use crate::yaml::{Cx, Decode, Limits, parse_each};

    fn read<T: Decode>(text: &str) -> T {
        let mut sources = Sources::default();
        let file = sources.add("metadata".to_owned(), text.to_owned());
        let (mut root, mut findings) = (None, Vec::new());
        parse_each(&sources, file, Limits::default(), |document| root = Some(document.root));
        let read = T::decode(&root.unwrap(), &mut Cx::new(&mut findings));
        assert!(findings.is_empty(), "{findings:?}");
        read.unwrap()
    }

    #[test]
    fn values_are_compared_by_their_kind() {
        let noted = Noted::new(&read::<Vec<DynamicMetadata>>(
            "[{metadata_namespace: a, value: {s: text, count: 3, b: true, x: null, deep: {s: other}}},
              {metadata_namespace: a, value: {s: ignored}},
              {metadata_namespace: a, value: {deep: {t: merged}}, allow_overwrite: true}]",
        ));
        for (matcher, holds) in [
            ("{filter: a, path: [{key: s}], value: {string_match: {exact: text}}}", true),
            ("{filter: a, path: [{key: s}], value: {string_match: {prefix: tex}}, invert: true}", false),
            ("{filter: a, path: [{key: count}], value: {string_match: {exact: '3'}}}", false),
            ("{filter: a, path: [{key: count}], value: {double_match: {exact: 3}}}", true),
            ("{filter: a, path: [{key: count}], value: {double_match: {range: {start: 1, end: 3}}}}", false),
            ("{filter: a, path: [{key: b}], value: {bool_match: true}}", true),
            ("{filter: a, path: [{key: x}], value: {null_match: {}}}", true),
            ("{filter: a, path: [{key: deep}, {key: s}], value: {string_match: {exact: other}}}", true),
            ("{filter: a, path: [{key: deep}, {key: t}], value: {present_match: true}}", true),
            ("{filter: a, path: [{key: none}], value: {present_match: true}}", false),
            ("{filter: b, path: [{key: s}], value: {string_match: {exact: text}}, invert: true}", true),
        ] {
            assert_eq!(noted.meets(&read(matcher)), Ok(holds), "{matcher}");
        }
        assert!(noted.meets(&read("{filter: a, path: [{key: s}], value: {or_match: {}}}")).is_err());
    }
}
