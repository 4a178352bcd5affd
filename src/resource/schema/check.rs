//! The interpreter of the rule tables.

use std::fmt::Write as _;

use super::rules::{KINDS, Rule};
use crate::diagnostic::Code;
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::time::Duration;
use crate::yaml::{Cx, Node, Value};

/// Reports every rule of the kind's schema that `spec` breaks.
pub(in crate::resource) fn check(kind: &str, group: &str, spec: &Node, cx: &mut Cx<'_>) {
    let Some((_, _, rows)) = KINDS.iter().find(|(k, g, _)| *k == kind && *g == group) else { return };
    for (pattern, rules) in *rows {
        for word in pattern.split(' ') {
            let mut steps = Vec::new();
            parse(word, &mut steps);
            visit(spec, &steps, &mut String::from("spec"), &mut |node, path| {
                for rule in *rules {
                    apply(*rule, node, path, cx);
                }
            });
        }
    }
}

enum Step<'a> {
    Field(&'a str),
    Items,
    Values,
}

fn parse<'a>(pattern: &'a str, steps: &mut Vec<Step<'a>>) {
    for part in pattern.split('.').filter(|part| !part.is_empty()) {
        let (name, items) = part.strip_suffix("[]").map_or((part, false), |name| (name, true));
        steps.push(if name == "*" { Step::Values } else { Step::Field(name) });
        if items {
            steps.push(Step::Items);
        }
    }
}

fn visit(node: &Node, steps: &[Step<'_>], path: &mut String, found: &mut dyn FnMut(&Node, &str)) {
    let Some((step, rest)) = steps.split_first() else {
        found(node, path);
        return;
    };
    let length = path.len();
    match (step, &node.value) {
        (Step::Field(name), _) => {
            if let Some(child) = node.get(name).filter(|child| !child.is_null()) {
                let _ = write!(path, ".{name}");
                visit(child, rest, path, found);
            }
        }
        (Step::Items, Value::Seq(items)) => {
            for (index, item) in items.iter().enumerate() {
                let _ = write!(path, "[{index}]");
                visit(item, rest, path, found);
                path.truncate(length);
            }
        }
        (Step::Values, Value::Map(entries)) => {
            for (key, value) in entries {
                let _ = write!(path, ".{}", key.value);
                visit(value, rest, path, found);
                path.truncate(length);
            }
        }
        _ => {}
    }
    path.truncate(length);
}

fn apply(rule: Rule, node: &Node, path: &str, cx: &mut Cx<'_>) {
    match rule {
        Rule::Required(fields) => {
            for field in fields.split(' ') {
                if node.entries().is_some() && node.get(field).is_none_or(Node::is_null) {
                    violation(cx, node.span, format_args!("`{path}.{field}` is required"));
                }
            }
        }
        Rule::AtMostOne(fields) => {
            let present: Vec<&str> = fields.split(' ').filter(|field| node.get(field).is_some_and(|n| !n.is_null())).collect();
            if present.len() > 1 {
                violation(cx, node.span, format_args!("`{path}` may have only one of {}", list(&present)));
            }
        }
        Rule::Word(words) => {
            if let Some(word) = node.as_str().filter(|word| !words.split(' ').any(|w| w == *word)) {
                let hint = crate::yaml::nearest(word, words.split(' '))
                    .map_or_else(|| format!("use one of {}", words.replace(' ', ", ")), |near| format!("did you mean `{near}`?"));
                undecodable(cx, node.span, format_args!("`{path}`: `{word}` is not a known value; {hint}"));
            }
        }
        Rule::Base64 => {
            if node.as_str().is_some_and(|text| !is_base64(text)) {
                undecodable(cx, node.span, format_args!("`{path}` is not base64"));
            }
        }
        Rule::Range(low, high) => number(node, |n| {
            if !(low..=high).contains(&n) {
                violation(cx, node.span, format_args!("`{path}` must be between {low} and {high}, not {n}"));
            }
        }),
        Rule::Fits(low, high) => number(node, |n| {
            if !(low..=high).contains(&n) {
                undecodable(cx, node.span, format_args!("`{path}` does not fit: {n} is outside {low}..{high}"));
            }
        }),
        Rule::AtLeastOneMs => {
            if let Some(Ok(time)) = node.as_str().map(Duration::parse_go)
                && time < Duration::from_millis(1)
            {
                violation(cx, node.span, format_args!("`{path}` must be at least 1ms; leave the field out to switch it off"));
            }
        }
        Rule::GatewayDuration => {
            if let Some(text) = node.as_str().filter(|text| !is_gateway_duration(text)) {
                violation(
                    cx,
                    node.span,
                    format_args!(
                        "`{path}`: `{text}` is no Gateway API duration: whole numbers of h, m, s or ms, without sign or fraction"
                    ),
                );
            }
        }
        Rule::Items(low, high) => {
            let count = match &node.value {
                Value::Seq(items) => items.len(),
                Value::Map(entries) => entries.len(),
                _ => return,
            };
            if count < low || count > high {
                violation(cx, node.span, format_args!("`{path}` must have between {low} and {high} entries, not {count}"));
            }
        }
        Rule::Length(low, high) => {
            if let Some(text) = node.as_str().filter(|text| text.chars().count() < low || text.chars().count() > high) {
                let count = text.chars().count();
                violation(cx, node.span, format_args!("`{path}` must have between {low} and {high} characters, not {count}"));
            }
        }
        Rule::Pattern(pattern, what) => {
            let regex = regex::Regex::new(pattern).expect("the patterns of the table compile; a test compiles them all");
            if let Some(text) = node.as_str().filter(|text| !regex.is_match(text)) {
                violation(cx, node.span, format_args!("`{path}`: `{text}` is not {what}"));
            }
        }
        Rule::Unique(fields, what) => {
            if let Value::Seq(items) = &node.value {
                duplicates(items, fields, |item| violation(cx, item.span, format_args!("`{path}`: {what} must be unique")));
            }
        }
        Rule::Holds(relation) => relation(node, &mut |span, why| violation(cx, span, format_args!("`{path}`: {why}"))),
    }
}

fn number(node: &Node, then: impl FnOnce(i64)) {
    if let Value::Int(value, _) = node.value {
        then(value);
    }
}

fn duplicates(items: &[Node], fields: &str, mut report: impl FnMut(&Node)) {
    let key = |item: &Node| -> Vec<Option<Value>> { fields.split(' ').map(|f| item.get(f).map(|n| n.value.clone())).collect() };
    for (index, item) in items.iter().enumerate() {
        if items[..index].iter().any(|earlier| key(earlier) == key(item)) {
            report(item);
        }
    }
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let alphabet = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
    text.len().is_multiple_of(4) && text.len() - body.len() <= 2 && body.chars().all(alphabet)
}

fn is_gateway_duration(text: &str) -> bool {
    let mut rest = text;
    let mut groups = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = ["ms", "h", "m", "s"].into_iter().find(|unit| rest[digits..].starts_with(unit));
        let (Some(unit), 1..=5) = (unit, digits) else { return false };
        rest = &rest[digits + unit.len()..];
        groups += 1;
    }
    (1..=4).contains(&groups)
}

/// `a`, `b` and `c`, each in backticks.
fn list(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" and ")
}

fn violation(cx: &mut Cx<'_>, span: Span, message: std::fmt::Arguments<'_>) {
    cx.report(Diagnostic::new(Code::SchemaRule, message.to_string()).at(span));
}

fn undecodable(cx: &mut Cx<'_>, span: Span, message: std::fmt::Arguments<'_>) {
    cx.report(Diagnostic::new(Code::InvalidValue, message.to_string()).at(span));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateway_durations_are_whole_numbers_of_four_units() {
        for (text, good) in [
            ("1s", true),
            ("1h2m3s4ms", true),
            ("0s", true),
            ("1.5s", false),
            ("10us", false),
            ("-1s", false),
            ("", false),
            ("1", false),
            ("123456s", false),
        ] {
            assert_eq!(is_gateway_duration(text), good, "{text}");
        }
    }

    #[test]
    fn every_pattern_of_the_tables_compiles() {
        for (_, _, rows) in KINDS {
            for (_, rules) in *rows {
                for rule in *rules {
                    if let Rule::Pattern(pattern, _) = rule {
                        assert!(regex::Regex::new(pattern).is_ok(), "{pattern}");
                    }
                }
            }
        }
    }
}
