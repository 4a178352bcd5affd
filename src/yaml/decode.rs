//! From a tree of nodes to typed records, reporting every mistake instead of the first.
//!
//! Records are declared with [`record!`](crate::record!) and closed sets of words with
//! [`choice!`](crate::choice!); both give a [`Decode`] whose findings name the path of the field, and
//! a JSON Schema made from the same declaration. A wrong value leaves its field at the default and
//! the rest of the record is still read.

use std::borrow::Cow;

use serde_json::{Map as Json, Value as JsonValue, json};

use super::node::{Node, Value};
use crate::diagnostic::{Code, Diagnostic, Edit, Fix, ObjectRef};
use crate::source::{Span, Spanned};
use crate::time::Duration;

/// What decoding needs besides the node: where it is and where findings go.
#[derive(Debug)]
pub struct Cx<'a> {
    /// Where findings go.
    pub diagnostics: &'a mut Vec<Diagnostic>,
    /// The object being read, if known.
    pub object: Option<ObjectRef>,
    /// Whether a schema says which fields there are. A field that a record does not have is then one
    /// that this program does not read, or the schema has complained already.
    pub schema_is_known: bool,
    path: Vec<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    Field(Cow<'static, str>),
    Index(usize),
}

impl<'a> Cx<'a> {
    /// At the root of a document.
    pub fn new(diagnostics: &'a mut Vec<Diagnostic>) -> Self {
        Cx { diagnostics, object: None, schema_is_known: false, path: Vec::new() }
    }

    /// Reads below a field.
    pub fn field<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.within(Step::Field(Cow::Owned(name.to_owned())), read)
    }

    /// Reads below a field of a record, whose name is known to the program.
    pub fn known_field<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.within(Step::Field(Cow::Borrowed(name)), read)
    }

    /// Reads below an index of a list.
    pub fn index<T>(&mut self, index: usize, read: impl FnOnce(&mut Self) -> T) -> T {
        self.within(Step::Index(index), read)
    }

    fn within<T>(&mut self, step: Step, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step);
        let result = read(self);
        self.path.pop();
        result
    }

    /// The path of the value being read, such as `spec.http[0].route`.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Index(index) => path.push_str(&format!("[{index}]")),
                Step::Field(name) => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(name);
                }
            }
        }
        path
    }

    /// Reports a finding about the value being read.
    pub fn report(&mut self, diagnostic: Diagnostic) {
        let diagnostic = match (&diagnostic.object, &self.object) {
            (None, Some(object)) => diagnostic.about(object.clone()),
            _ => diagnostic,
        };
        self.diagnostics.push(diagnostic);
    }

    /// Reports that the value being read should have been something else.
    pub fn wrong_type(&mut self, node: &Node, wanted: &str) {
        let path = self.path();
        let mut diagnostic =
            Diagnostic::new(Code::WrongType, format!("`{path}` must be {wanted}, not {}", node.describe())).at(node.span);
        if wanted == "a string" && matches!(node.value, Value::Bool(..) | Value::Int(..) | Value::Float(..)) {
            diagnostic = diagnostic.help("quote the value");
        }
        self.report(with_type_fix(diagnostic, node, wanted));
    }

    /// Reports a value that has the right type and a wrong content.
    pub fn invalid(&mut self, span: Span, why: impl std::fmt::Display) {
        let path = self.path();
        self.report(Diagnostic::new(Code::InvalidValue, format!("`{path}`: {why}")).at(span));
    }

    /// Reports a word that is none of those that exist.
    pub fn misspelt(&mut self, node: &Node, why: impl std::fmt::Display, words: &[&str]) {
        let path = self.path();
        let finding = Diagnostic::new(Code::InvalidValue, format!("`{path}`: {why}")).at(node.span);
        self.report(with_word_fix(finding, node, words));
    }

    /// Reports a required field that is absent from the mapping at `span`.
    pub fn missing(&mut self, span: Span, name: &str) {
        let path = self.field(name, |cx| cx.path());
        self.report(Diagnostic::new(Code::MissingField, format!("`{path}` is required")).at(span));
    }

    /// Reports a key that the record does not have, with the nearest one that it has.
    pub fn unknown_field(&mut self, key: &Spanned<String>, known: &[&str]) {
        if self.schema_is_known {
            return self.not_modelled(key);
        }
        let path = self.field(&key.value, |cx| cx.path());
        let mut diagnostic = Diagnostic::new(Code::UnknownField, format!("unknown field `{path}`")).at(key.span);
        if let Some(near) = nearest(&key.value, known.iter().copied()) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?")).fix(Fix::spelling(key.span, &key.value, near, false));
        }
        self.report(diagnostic);
    }

    /// Reports a field that the mesh honours and this program does not.
    pub fn not_modelled(&mut self, key: &Spanned<String>) {
        let path = self.field(&key.value, |cx| cx.path());
        self.report(Diagnostic::new(Code::NotModelled, format!("`{path}` is not modelled")).at(key.span));
    }
}

/// The finding with the quotes that a scalar lacks, or has too many, where a string, a boolean or a
/// number is wanted.
pub(crate) fn with_type_fix(finding: Diagnostic, node: &Node, wanted: &str) -> Diagnostic {
    let span = node.span;
    match (&node.value, wanted) {
        (Value::Bool(_, old) | Value::Int(_, old) | Value::Float(_, old), "a string") => {
            finding.fix(Fix::safe("quote the value", [Edit::Quote { span, old: old.clone() }]))
        }
        (Value::Str(old), "a boolean") if matches!(old.as_str(), "true" | "false") => {
            finding.fix(Fix::safe("remove the quotes", [Edit::Unquote { span, old: old.clone() }]))
        }
        (Value::Str(old), "a whole number" | "a number") if is_plain_number(old) => {
            finding.fix(Fix::safe("remove the quotes", [Edit::Unquote { span, old: old.clone() }]))
        }
        _ => finding,
    }
}

/// The finding with the word that was meant, if one is near enough.
pub(crate) fn with_word_fix(finding: Diagnostic, node: &Node, words: &[&str]) -> Diagnostic {
    let written = node.as_str().unwrap_or_default();
    match nearest(written, words.iter().copied()) {
        Some(near) => finding.fix(Fix::spelling(node.span, written, near, true)),
        None => finding,
    }
}

/// Whether a text without quotes is a number in every dialect of YAML; one with leading zeros is octal
/// in some.
fn is_plain_number(text: &str) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    !text.is_empty() && text.len() < 16 && digits && (text == "0" || !text.starts_with('0'))
}

/// The candidate nearest to `word`, if any is near enough to be a slip of the pen.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(&word.to_lowercase(), &c.to_lowercase()), c))
        .filter(|(distance, c)| *distance <= (c.len().max(word.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}

/// Something that can be read from a node.
pub trait Decode: Sized {
    /// Reads the value. `None` means that a finding says why not.
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self>;

    /// The value of an absent field, or `None` if the field is required.
    fn absent() -> Option<Self> {
        None
    }

    /// The JSON Schema of the value; records put themselves under `definitions` and give a reference.
    fn schema(definitions: &mut Json<String, JsonValue>) -> JsonValue;
}

impl<T: Decode> Decode for Option<T> {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if node.is_null() { Some(None) } else { T::decode(node, cx).map(Some) }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn schema(definitions: &mut Json<String, JsonValue>) -> JsonValue {
        T::schema(definitions)
    }
}

impl<T: Decode> Decode for Box<T> {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        T::decode(node, cx).map(Box::new)
    }

    fn absent() -> Option<Self> {
        T::absent().map(Box::new)
    }

    fn schema(definitions: &mut Json<String, JsonValue>) -> JsonValue {
        T::schema(definitions)
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &node.value {
            Value::Null => Some(Vec::new()),
            Value::Seq(items) => {
                Some(items.iter().enumerate().filter_map(|(i, item)| cx.index(i, |cx| T::decode(item, cx))).collect())
            }
            _ => {
                cx.wrong_type(node, "a list");
                None
            }
        }
    }

    fn absent() -> Option<Self> {
        Some(Vec::new())
    }

    fn schema(definitions: &mut Json<String, JsonValue>) -> JsonValue {
        json!({"type": "array", "items": T::schema(definitions)})
    }
}

impl<T: Decode> Decode for Spanned<T> {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        T::decode(node, cx).map(|value| Spanned::new(value, node.span))
    }

    fn absent() -> Option<Self> {
        T::absent().map(Spanned::made_up)
    }

    fn schema(definitions: &mut Json<String, JsonValue>) -> JsonValue {
        T::schema(definitions)
    }
}

/// A mapping with free keys, in the order it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Map<T>(pub Vec<(Spanned<String>, T)>);

impl<T> Default for Map<T> {
    fn default() -> Self {
        Map(Vec::new())
    }
}

impl<T> Map<T> {
    /// The value under `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&T> {
        self.0.iter().find(|(k, _)| k.value == key).map(|(_, v)| v)
    }

    /// Keys and values in the order they were written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(k, v)| (k.value.as_str(), v))
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Decode> Decode for Map<T> {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &node.value {
            Value::Null => Some(Map::default()),
            Value::Map(entries) => Some(Map(entries
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), cx.field(&key.value, |cx| T::decode(value, cx))?)))
                .collect())),
            _ => {
                cx.wrong_type(node, "a mapping");
                None
            }
        }
    }

    fn absent() -> Option<Self> {
        Some(Map::default())
    }

    fn schema(definitions: &mut Json<String, JsonValue>) -> JsonValue {
        json!({"type": "object", "additionalProperties": T::schema(definitions)})
    }
}

impl Decode for String {
    /// An unquoted number or boolean is reported and then taken as it was written, so that what
    /// refers to it still finds it.
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if node.as_str().is_none() {
            cx.wrong_type(node, "a string");
        }
        // An empty item of a list is an empty string to istiod, once the schema has complained.
        let empty = (cx.schema_is_known && node.is_null()).then(String::new);
        node.text().map(str::to_owned).or(empty)
    }

    fn schema(_: &mut Json<String, JsonValue>) -> JsonValue {
        json!({"type": "string"})
    }
}

impl Decode for bool {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if let Value::Bool(value, _) = node.value {
            return Some(value);
        }
        cx.wrong_type(node, "a boolean");
        None
    }

    fn schema(_: &mut Json<String, JsonValue>) -> JsonValue {
        json!({"type": "boolean"})
    }
}

macro_rules! decode_integer {
    ($($type:ty),*) => {$(
        impl Decode for $type {
            fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
                let value = match &node.value {
                    Value::Int(value, _) => *value,
                    // A schema says what it thinks of these; they are numbers all the same.
                    Value::Float(value, _) if cx.schema_is_known && value.fract() == 0.0 => *value as i64,
                    Value::Str(text) if cx.schema_is_known && text.parse::<i64>().is_ok() => text.parse().unwrap_or_default(),
                    _ => {
                        cx.wrong_type(node, "a whole number");
                        return None;
                    }
                };
                let fitting = <$type>::try_from(value).ok();
                if fitting.is_none() {
                    cx.invalid(node.span, format_args!("{value} is outside {}..{}", <$type>::MIN, <$type>::MAX));
                }
                fitting
            }

            fn schema(_: &mut Json<String, JsonValue>) -> JsonValue {
                json!({"type": "integer", "minimum": <$type>::MIN, "maximum": <$type>::MAX})
            }
        }
    )*};
}
decode_integer!(i32, u32, u16, i64, u64);

impl Decode for f64 {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match node.value {
            Value::Int(value, _) => Some(value as f64),
            Value::Float(value, _) if value.is_finite() => Some(value),
            _ => {
                cx.wrong_type(node, "a number");
                None
            }
        }
    }

    fn schema(_: &mut Json<String, JsonValue>) -> JsonValue {
        json!({"type": "number"})
    }
}

impl Decode for Duration {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Value::Str(text) = &node.value else {
            cx.wrong_type(node, "a duration such as `500ms` or `2s`");
            return None;
        };
        match Duration::parse_go(text) {
            Ok(duration) => Some(duration),
            Err(error) => {
                cx.invalid(node.span, format_args!("`{text}`: {error}"));
                None
            }
        }
    }

    fn schema(_: &mut Json<String, JsonValue>) -> JsonValue {
        json!({"type": "string", "pattern": "^[-+]?([0-9]*\\.?[0-9]*(ns|us|µs|ms|s|m|h))+$|^0$", "examples": ["500ms", "2s", "1h30m"]})
    }
}

impl Decode for Node {
    fn decode(node: &Node, _: &mut Cx<'_>) -> Option<Self> {
        Some(node.clone())
    }

    fn schema(_: &mut Json<String, JsonValue>) -> JsonValue {
        json!(true)
    }
}

/// Joins the lines of a doc comment into one description.
#[must_use]
pub fn description(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Declares a record: a struct whose fields are read from a mapping.
///
/// ```ignore
/// record! {
///     /// A port of a Service.
///     pub struct ServicePort {
///         /// The port's name.
///         pub name: Option<Spanned<String>> = "name",
///     }
///     irrelevant "nodePort";      // valid keys that do not concern traffic: silently accepted
///     not_modelled "sessionTicketKeys"; // valid keys that would matter: a finding says so
///     may_be_absent "Ports are optional."; // absent is the same as empty
/// }
/// ```
///
/// The struct also gets a field `span`. A field whose type has an [`Decode::absent`] value is
/// optional; any other is required, and its absence is a finding.
#[macro_export]
macro_rules! record {
    ($(
        $(#[doc = $doc:literal])* pub struct $name:ident {
            $($(#[doc = $field_doc:literal])* pub $field:ident: $type:ty = $key:literal,)*
        }
        $(irrelevant $irrelevant:literal;)?
        $(not_modelled $not_modelled:literal;)?
        $(may_be_absent $why:literal;)?
    )*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name {
            /// Where the record stands.
            pub span: $crate::source::Span,
            $($(#[doc = $field_doc])* pub $field: $type,)*
        }

        impl $crate::yaml::Decode for $name {
            fn decode(node: &$crate::yaml::Node, cx: &mut $crate::yaml::Cx<'_>) -> Option<Self> {
                #[allow(dead_code)]
                const KEYS: &[&str] = &[$($key),*];
                let mut record = $name { span: node.span, ..$name::default() };
                let entries = match &node.value {
                    $crate::yaml::Value::Map(entries) => entries.as_slice(),
                    $crate::yaml::Value::Null => &[],
                    _ => {
                        cx.wrong_type(node, "a mapping");
                        return None;
                    }
                };
                $(
                    match entries.iter().find(|(key, _)| key.value == $key) {
                        Some((_, value)) => {
                            if let Some(value) = cx.known_field($key, |cx| <$type as $crate::yaml::Decode>::decode(value, cx)) {
                                record.$field = value;
                            }
                        }
                        None => match <$type as $crate::yaml::Decode>::absent() {
                            Some(value) => record.$field = value,
                            None => cx.missing(node.span, $key),
                        },
                    }
                )*
                for (key, _) in entries {
                    let word = key.value.as_str();
                    $(if $not_modelled.split_whitespace().any(|known| known == word) {
                        cx.not_modelled(key);
                        continue;
                    })?
                    $(if $irrelevant.split_whitespace().any(|known| known == word) { continue; })?
                    if !KEYS.contains(&word) {
                        #[allow(unused_mut)]
                        let mut known = KEYS.to_vec();
                        $(known.extend($not_modelled.split_whitespace());)?
                        $(known.extend($irrelevant.split_whitespace());)?
                        cx.unknown_field(key, &known);
                    }
                }
                Some(record)
            }

            $(#[doc = $why]
            fn absent() -> Option<Self> {
                Some(Self::default())
            })?

            fn schema(definitions: &mut serde_json::Map<String, serde_json::Value>) -> serde_json::Value {
                if !definitions.contains_key(stringify!($name)) {
                    definitions.insert(stringify!($name).to_owned(), serde_json::Value::Null);
                    #[allow(unused_mut)]
                    let mut properties = serde_json::Map::new();
                    #[allow(unused_mut)]
                    let mut required: Vec<&str> = Vec::new();
                    $({
                        let mut schema = <$type as $crate::yaml::Decode>::schema(definitions);
                        let text = $crate::yaml::description(&[$($field_doc),*]);
                        if let Some(object) = schema.as_object_mut() {
                            if object.contains_key("$ref") {
                                schema = serde_json::json!({"allOf": [schema], "description": text});
                            } else {
                                object.insert("description".to_owned(), text.into());
                            }
                        }
                        properties.insert($key.to_owned(), schema);
                        if <$type as $crate::yaml::Decode>::absent().is_none() {
                            required.push($key);
                        }
                    })*
                    definitions.insert(stringify!($name).to_owned(), serde_json::json!({
                        "type": "object",
                        "description": $crate::yaml::description(&[$($doc),*]),
                        "properties": properties,
                        "required": required,
                        "additionalProperties": false,
                    }));
                }
                serde_json::json!({"$ref": concat!("#/definitions/", stringify!($name))})
            }
        }
    )*};
}

/// Declares a closed set of words: an enum that is read from a string.
#[macro_export]
macro_rules! choice {
    ($(
        $(#[doc = $doc:literal])* pub enum $name:ident {
            $($(#[doc = $variant_doc:literal])* $variant:ident = $word:literal,)*
        }
    )*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[doc = $variant_doc])* $variant,)*
        }

        impl $name {
            /// The word it is written as.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $($name::$variant => $word,)* }
            }
        }

        impl $crate::yaml::Decode for $name {
            fn decode(node: &$crate::yaml::Node, cx: &mut $crate::yaml::Cx<'_>) -> Option<Self> {
                match node.as_str() {
                    $(Some($word) => Some($name::$variant),)*
                    Some(other) => {
                        const WORDS: &[&str] = &[$($word),*];
                        let hint = $crate::yaml::nearest(other, WORDS.iter().copied())
                            .map_or_else(|| format!("use one of {}", WORDS.join(", ")), |near| format!("did you mean `{near}`?"));
                        cx.misspelt(node, format_args!("`{other}` is not a known value; {hint}"), WORDS);
                        None
                    }
                    None => {
                        cx.wrong_type(node, "a string");
                        None
                    }
                }
            }

            fn schema(_: &mut serde_json::Map<String, serde_json::Value>) -> serde_json::Value {
                serde_json::json!({"type": "string", "enum": [$($word),*]})
            }
        }
    )*};
}
