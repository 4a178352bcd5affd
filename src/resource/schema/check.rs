//! Holds a value against its schema.

use std::fmt::Write as _;

use super::definition::{self, Definitions, Field, Rule, Schema, SchemaId, Shape};
use crate::diagnostic::{Code, Diagnostic, Fix};
use crate::source::{Span, Spanned};
use crate::time::Duration;
use crate::yaml::{Cx, Node, Value};

/// Reports everything in an object's `spec` that the schema of its kind refuses. Returns whether
/// there is such a schema.
pub(in crate::resource) fn check(kind: &str, group: &str, object: &Node, cx: &mut Cx<'_>) -> bool {
    let Some((definitions, schema)) = definition::of(kind, group) else { return false };
    match object.get("spec").filter(|spec| !spec.is_null()) {
        Some(spec) => {
            let mut check = Check { definitions, path: "spec".to_owned(), cx };
            check.value(spec, schema.spec);
        }
        None if schema.spec_required => cx.missing(object.span, "spec"),
        None => {}
    }
    true
}

struct Check<'c, 'd> {
    definitions: &'static Definitions,
    path: String,
    cx: &'c mut Cx<'d>,
}

impl Check<'_, '_> {
    /// Checks a value that is there.
    fn value(&mut self, node: &Node, id: SchemaId) {
        let definitions = self.definitions;
        let schema = definitions.get(id);
        if !self.has_shape(node, schema) {
            return;
        }
        for rule in &schema.rules {
            self.rule(rule, node);
        }
        match (&schema.shape, &node.value) {
            (Shape::Object { fields, open }, Value::Map(entries)) => self.fields(fields, *open, entries, node.span),
            (Shape::Map(value), Value::Map(entries)) => {
                // The server drops what is null, as it does with fields.
                for (key, entry) in entries.iter().filter(|(_, entry)| !entry.is_null()) {
                    self.below(format_args!(".{}", key.value), |check| check.value(entry, *value));
                }
            }
            (Shape::List(item), Value::Seq(items)) => {
                for (index, entry) in items.iter().enumerate() {
                    self.below(format_args!("[{index}]"), |check| match entry.value {
                        Value::Null if definitions.get(*item).nullable => {}
                        Value::Null => check.violation(entry.span, "is an empty item of the list"),
                        _ => check.value(entry, *item),
                    });
                }
            }
            _ => {}
        }
    }

    fn fields(&mut self, fields: &'static [Field], open: bool, entries: &[(Spanned<String>, Node)], place: Span) {
        for field in fields {
            let value = entries.iter().find(|(key, _)| key.value == field.name).map(|(_, value)| value);
            match value.filter(|value| !value.is_null()) {
                Some(value) => self.below(format_args!(".{}", field.name), |check| check.value(value, field.schema)),
                None if field.required => {
                    self.below(format_args!(".{}", field.name), |check| check.violation(place, "is required"));
                }
                None => {}
            }
        }
        if open {
            return;
        }
        for (key, _) in entries {
            if !fields.iter().any(|field| field.name == key.value) {
                self.unknown_field(key, fields);
            }
        }
    }

    fn below(&mut self, step: std::fmt::Arguments<'_>, check: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        let _ = self.path.write_fmt(step);
        check(self);
        self.path.truncate(length);
    }

    /// Whether a value is of the right type. What another type does not decode into is refused by
    /// everybody; a quoted number is refused by the schema only.
    fn has_shape(&mut self, node: &Node, schema: &Schema) -> bool {
        let wanted = match (&schema.shape, &node.value) {
            (Shape::Any, _)
            | (Shape::Object { .. } | Shape::Map(_), Value::Map(_))
            | (Shape::List(_), Value::Seq(_))
            | (Shape::Text, Value::Str(_))
            | (Shape::Bool, Value::Bool(..))
            | (Shape::Number, Value::Int(..) | Value::Float(..))
            | (Shape::WholeOrText, Value::Int(..) | Value::Str(_)) => return true,
            (Shape::Whole(low, high), Value::Int(value, _)) => {
                let fits = (low..=high).contains(&value);
                if !fits {
                    self.undecodable(node.span, format_args!("{value} is outside {low}..{high}"));
                }
                return fits;
            }
            (Shape::Whole(low, high), Value::Float(value, _)) if value.fract() == 0.0 => {
                let fits = (*low as f64..=*high as f64).contains(value);
                if !fits {
                    self.undecodable(node.span, format_args!("{value} is outside {low}..{high}"));
                }
                return fits;
            }
            (Shape::Duration, Value::Str(text)) => {
                match Duration::parse_go(text) {
                    Ok(time) if time < Duration::from_millis(1) => {
                        self.violation(node.span, "must be at least 1ms; leave the field out to switch it off");
                    }
                    Ok(_) => {}
                    Err(error) => self.undecodable(node.span, format_args!("`{text}`: {error}")),
                }
                return true;
            }
            (Shape::Bytes, Value::Str(text)) => {
                if text.is_empty() || !is_base64(text) {
                    self.undecodable(node.span, "is not base64");
                }
                return true;
            }
            (Shape::Whole(..) | Shape::Number, Value::Str(text)) if text.parse::<f64>().is_ok() => {
                let message = format!("`{}` must be a number, not {}", self.path, node.describe());
                let finding = Diagnostic::new(Code::SchemaRule, message).at(node.span).help("remove the quotes");
                self.cx.report(crate::yaml::with_type_fix(finding, node, "a number"));
                return false;
            }
            (Shape::Object { .. } | Shape::Map(_), _) => "a mapping",
            (Shape::List(_), _) => "a list",
            (Shape::Text, _) => "a string",
            (Shape::Duration, _) => "a duration such as `500ms` or `2s`",
            (Shape::Bytes, _) => "a string of base64",
            (Shape::Bool, _) => "a boolean",
            (Shape::Whole(..), _) => "a whole number",
            (Shape::Number, _) => "a number",
            (Shape::WholeOrText, _) => "a whole number or a string",
        };
        // Numbers stand for the words of an enumeration where protocol buffers are decoded.
        let is_enumeration = schema.rules.iter().any(|rule| matches!(rule, Rule::Words(_)));
        if is_enumeration && matches!(node.value, Value::Int(..)) {
            self.violation(node.span, format_args!("must be a string, not {}", node.describe()));
        } else {
            self.wrong_type(node, wanted);
        }
        false
    }

    fn rule(&mut self, rule: &Rule, node: &Node) {
        match (rule, &node.value) {
            (Rule::Words(words), Value::Str(word)) if !words.contains(&word.as_str()) => {
                let hint = crate::yaml::nearest(word, words.iter().copied())
                    .map_or_else(|| format!("use one of {}", words.join(", ")), |near| format!("did you mean `{near}`?"));
                let message = format!("`{}` `{word}` is not a known value; {hint}", self.path);
                let finding = Diagnostic::new(Code::InvalidValue, message).at(node.span);
                self.cx.report(crate::yaml::with_word_fix(finding, node, words));
            }
            (Rule::Words(words), Value::Int(value, _)) if !words.contains(&value.to_string().as_str()) => {
                self.undecodable(node.span, format_args!("{value} is not a known value; use one of {}", words.join(", ")));
            }
            (Rule::In(low, high), Value::Int(..) | Value::Float(..)) => {
                let value = match node.value {
                    Value::Int(value, _) => value as f64,
                    Value::Float(value, _) => value,
                    _ => return,
                };
                if !(*low..=*high).contains(&value) {
                    self.violation(node.span, format_args!("must be {}, not {value}", range(*low, *high)));
                }
            }
            (Rule::Items(low, high), Value::Seq(_) | Value::Map(_)) => {
                let count = match &node.value {
                    Value::Seq(items) => items.len(),
                    Value::Map(entries) => entries.iter().filter(|(_, value)| !value.is_null()).count(),
                    _ => return,
                };
                if count < *low || count > *high {
                    self.violation(node.span, format_args!("must have {} entries, not {count}", count_range(*low, *high)));
                }
            }
            (Rule::Length(low, high), Value::Str(text)) => {
                let count = text.chars().count();
                if count < *low || count > *high {
                    self.violation(node.span, format_args!("must have {} characters, not {count}", count_range(*low, *high)));
                }
            }
            (Rule::Pattern(regex, name), Value::Str(text)) if !regex.is_match(text) => {
                let wanted = match *name {
                    "" => format!("does not match {regex}"),
                    name => format!("is no {}", name.replace('-', " ")),
                };
                self.violation(node.span, format_args!("`{text}` {wanted}"));
            }
            (Rule::AtMostOne(fields), Value::Map(_)) => {
                let has = |field: &&&str| node.get(field).is_some_and(|value| !value.is_null());
                let present: Vec<String> = fields.iter().filter(has).map(|field| format!("`{field}`")).collect();
                if present.len() > 1 {
                    self.violation(node.span, format_args!("may have only one of {}", present.join(" and ")));
                }
            }
            (Rule::Set, Value::Seq(items)) => {
                for (index, item) in items.iter().enumerate() {
                    if items[..index].iter().any(|earlier| earlier.value == item.value) {
                        self.violation(item.span, "items must be unique");
                    }
                }
            }
            (Rule::Unique(fields), Value::Seq(items)) => self.unique(items, fields),
            (Rule::Holds(relation), _) => {
                let mut broken = Vec::new();
                relation(node, &mut |span, why| broken.push((span, why.to_owned())));
                for (span, why) in broken {
                    self.violation(span, why);
                }
            }
            _ => {}
        }
    }

    fn unique(&mut self, items: &[Node], fields: &[&str]) {
        let key = |item: &Node| fields.iter().map(|field| item.get(field).map(|n| n.value.clone())).collect::<Vec<_>>();
        for (index, item) in items.iter().enumerate().filter(|(_, item)| !item.is_null()) {
            if items[..index].iter().any(|earlier| !earlier.is_null() && key(earlier) == key(item)) {
                self.violation(item.span, format_args!("the {} of items must be unique", fields.join(" and ")));
            }
        }
    }

    fn report(&mut self, code: Code, span: Span, what: impl std::fmt::Display) {
        let message = format!("`{}` {what}", self.path);
        self.cx.report(Diagnostic::new(code, message).at(span));
    }

    fn violation(&mut self, span: Span, why: impl std::fmt::Display) {
        self.report(Code::SchemaRule, span, why);
    }

    fn undecodable(&mut self, span: Span, why: impl std::fmt::Display) {
        self.report(Code::InvalidValue, span, why);
    }

    fn wrong_type(&mut self, node: &Node, wanted: &str) {
        let message = format!("`{}` must be {wanted}, not {}", self.path, node.describe());
        let finding = Diagnostic::new(Code::WrongType, message).at(node.span);
        let is_scalar = matches!(node.value, Value::Bool(..) | Value::Int(..) | Value::Float(..));
        let finding = if wanted == "a string" && is_scalar { finding.help("quote the value") } else { finding };
        self.cx.report(crate::yaml::with_type_fix(finding, node, wanted));
    }

    fn unknown_field(&mut self, key: &Spanned<String>, fields: &[Field]) {
        let message = format!("unknown field `{}.{}`", self.path, key.value);
        let finding = Diagnostic::new(Code::UnknownField, message).at(key.span);
        self.cx.report(match crate::yaml::nearest(&key.value, fields.iter().map(|field| field.name)) {
            Some(near) => finding.help(format!("did you mean `{near}`?")).fix(Fix::spelling(key.span, &key.value, near, false)),
            None => finding,
        });
    }
}

fn range(low: f64, high: f64) -> String {
    match (low.is_finite(), high.is_finite()) {
        (true, true) => format!("between {low} and {high}"),
        (true, false) => format!("at least {low}"),
        _ => format!("at most {high}"),
    }
}

fn count_range(low: usize, high: usize) -> String {
    match (low, high) {
        (0, high) => format!("at most {high}"),
        (low, usize::MAX) => format!("at least {low}"),
        (low, high) => format!("between {low} and {high}"),
    }
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let alphabet = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
    text.len().is_multiple_of(4) && text.len() - body.len() <= 2 && body.chars().all(alphabet)
}
