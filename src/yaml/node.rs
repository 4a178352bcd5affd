//! The tree of one document: values with the places they were written at.

use crate::source::{Span, Spanned};

/// A value of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it stands. An alias has the place of the alias, not of the anchor.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// The kinds of values, typed as kubectl types them (YAML 1.1 booleans and octal numbers included).
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing at all.
    Null,
    /// A boolean; the text tells `yes` from `true`.
    Bool(bool, String),
    /// A whole number that fits into 64 signed bits, and how it was written.
    Int(i64, String),
    /// Any other number, and how it was written.
    Float(f64, String),
    /// A string: quoted, or plain and not one of the above.
    Str(String),
    /// A sequence.
    Seq(Vec<Node>),
    /// A mapping in the order it was written, merge keys applied, of duplicate keys the last.
    Map(Vec<(Spanned<String>, Node)>),
}

impl Node {
    /// The value under `key`, if this is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries()?.iter().find(|(k, _)| k.value == key).map(|(_, v)| v)
    }

    /// The entries, if this is a mapping.
    #[must_use]
    pub fn entries(&self) -> Option<&[(Spanned<String>, Node)]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value as JSON, which is what the API server sees.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value, _) => (*value).into(),
            Value::Int(value, _) => (*value).into(),
            Value::Float(value, _) => (*value).into(),
            Value::Str(text) => text.as_str().into(),
            Value::Seq(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(entries) => {
                let entries = entries.iter().map(|(key, value)| (key.value.clone(), value.to_json()));
                serde_json::Value::Object(entries.collect())
            }
        }
    }

    /// The items of a list; none if this is no list.
    #[must_use]
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::Seq(items) => items,
            _ => &[],
        }
    }

    /// The string, if this is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// A scalar as it was written: the string, or the text of a number or boolean.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Str(text) | Value::Bool(_, text) | Value::Int(_, text) | Value::Float(_, text) => Some(text),
            Value::Null | Value::Seq(_) | Value::Map(_) => None,
        }
    }

    /// Whether this is `null` or nothing.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// What kind of value this is, in words for findings: "the number `5`".
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(_, text) => format!("the boolean `{text}`"),
            Value::Int(_, text) | Value::Float(_, text) => format!("the number `{text}`"),
            Value::Str(text) if text.chars().count() > 40 => "a string".to_owned(),
            Value::Str(text) => format!("the string `{text}`"),
            Value::Seq(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }
}
