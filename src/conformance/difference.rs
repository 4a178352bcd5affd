//! The first field in which two records disagree.

use std::fmt;

use serde_json::Value as Json;

/// A disagreement.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Path of the field, such as `outcomes[0].upstream.path`.
    pub field: String,
    /// What was measured; `None` if the field should be absent.
    pub expected: Option<Json>,
    /// What this program says.
    pub got: Option<Json>,
}

impl Difference {
    /// A difference in one field.
    #[must_use]
    pub fn new(field: impl Into<String>, expected: Option<&Json>, got: Option<&Json>) -> Self {
        Difference { field: field.into(), expected: expected.cloned(), got: got.cloned() }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: &Option<Json>| value.as_ref().map_or_else(|| "(absent)".to_owned(), Json::to_string);
        write!(f, "{}: expected {}, got {}", self.field, show(&self.expected), show(&self.got))
    }
}

/// The first difference between two values, in the order of the expected one's fields.
#[must_use]
pub fn first(field: &str, expected: &Json, got: &Json) -> Option<Difference> {
    match (expected, got) {
        (Json::Object(wanted), Json::Object(have)) => {
            let name = |key: &str| if field.is_empty() { key.to_owned() } else { format!("{field}.{key}") };
            let wrong = wanted.iter().find_map(|(key, value)| match have.get(key) {
                Some(got) => first(&name(key), value, got),
                None => Some(Difference::new(name(key), Some(value), None)),
            });
            let extra = || have.iter().find(|(key, _)| !wanted.contains_key(*key));
            wrong.or_else(|| extra().map(|(key, value)| Difference::new(name(key), None, Some(value))))
        }
        (Json::Array(wanted), Json::Array(have)) => {
            let longest = wanted.len().max(have.len());
            (0..longest).find_map(|index| {
                let name = format!("{field}[{index}]");
                match (wanted.get(index), have.get(index)) {
                    (Some(wanted), Some(have)) => first(&name, wanted, have),
                    (wanted, have) => Some(Difference::new(name, wanted, have)),
                }
            })
        }
        (Json::Number(wanted), Json::Number(have)) if wanted.as_f64() == have.as_f64() => None,
        _ if expected == got => None,
        _ => Some(Difference::new(field, Some(expected), Some(got))),
    }
}

/// How many fields two records share; the more, the likelier one was meant to be the other.
fn likeness(left: &Json, right: &Json) -> usize {
    match (left, right) {
        (Json::Object(left), Json::Object(right)) => {
            left.iter().filter_map(|(key, value)| Some(likeness(value, right.get(key)?))).sum()
        }
        _ => usize::from(first("", left, right).is_none()),
    }
}

/// The first difference between two lists that are compared as sets. `may_lack` says which of ours
/// need not have been seen.
#[must_use]
pub fn first_in_sets(field: &str, expected: &[Json], got: &[Json], may_lack: impl Fn(usize) -> bool) -> Option<Difference> {
    let same = |left: &Json, right: &Json| first("", left, right).is_none();
    let unexplained = |ours: &&Json| !expected.iter().any(|wanted| same(wanted, ours));
    for (index, wanted) in expected.iter().enumerate() {
        if got.iter().any(|ours| same(wanted, ours)) {
            continue;
        }
        let name = format!("{field}[{index}]");
        let nearest = got.iter().filter(unexplained).max_by_key(|ours| likeness(wanted, ours));
        return match nearest {
            Some(nearest) => first(&name, wanted, nearest),
            None => Some(Difference::new(name, Some(wanted), None)),
        };
    }
    let extra = got.iter().enumerate().find(|(index, ours)| unexplained(ours) && !may_lack(*index));
    extra.map(|(_, ours)| Difference::new(format!("{field}[]"), None, Some(ours)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_differing_field_is_named() {
        for (expected, got, difference) in [
            (json!({"a": 1, "b": [1, 2]}), json!({"b": [1, 2], "a": 1}), None),
            (json!({"a": 1}), json!({"a": 1.0}), None),
            (json!({"a": {"b": [1, 2]}}), json!({"a": {"b": [1, 3]}}), Some("a.b[1]: expected 2, got 3")),
            (json!({"a": 1}), json!({}), Some("a: expected 1, got (absent)")),
            (json!({}), json!({"a": "x"}), Some("a: expected (absent), got \"x\"")),
            (json!([1]), json!([1, 2]), Some("[1]: expected (absent), got 2")),
        ] {
            assert_eq!(first("", &expected, &got).map(|d| d.to_string()).as_deref(), difference);
        }
    }

    #[test]
    fn sets_are_compared_in_any_order() {
        let (one, two, other) = (json!({"s": 1, "t": 1}), json!({"s": 2, "t": 1}), json!({"s": 2, "t": 9}));
        let compare = |expected: &[Json], got: &[Json]| first_in_sets("o", expected, got, |_| false).map(|d| d.to_string());
        assert_eq!(compare(&[one.clone(), two.clone()], &[two.clone(), one.clone()]), None);
        assert_eq!(compare(&[one.clone(), two.clone()], &[one.clone(), other]).as_deref(), Some("o[1].t: expected 1, got 9"));
        let only = [one.clone()];
        assert_eq!(compare(&only, &[one.clone(), two.clone()]).unwrap().split(':').next(), Some("o[]"));
        assert_eq!(first_in_sets("o", &only, &[one, two], |index| index == 1), None);
    }
}
