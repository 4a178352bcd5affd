//! Pieces that protobuf's JSON writes everywhere.

use serde_json::{Map, Value, json};

use crate::mesh::route::PerMillion;
use crate::time::Duration;

/// A duration: seconds with 0, 3, 6 or 9 digits.
pub(super) fn seconds(duration: Duration) -> Value {
    duration.to_string().into()
}

/// A share in parts of a million.
pub(super) fn percentage(share: PerMillion) -> Value {
    json!({"numerator": share.0, "denominator": "MILLION"})
}

/// A number that reads back as it was written: whole ones without a fraction.
pub(super) fn number(value: f64) -> Value {
    let whole = value as i64;
    if whole as f64 == value { whole.into() } else { value.into() }
}

/// A message behind its type (`google.protobuf.Any`).
pub(super) fn any(message: &str, fields: Value) -> Value {
    let mut typed = Map::new();
    typed.insert("@type".to_owned(), format!("type.googleapis.com/{message}").into());
    if let Value::Object(fields) = fields {
        typed.extend(fields);
    }
    typed.into()
}

/// An extension by name with its configuration.
pub(super) fn extension(name: &str, message: &str, fields: Value) -> Value {
    json!({"name": name, "typed_config": any(message, fields)})
}

/// A TCP address.
pub(super) fn socket_address(address: &str, port: u16) -> Value {
    json!({"socket_address": {"address": address, "port_value": port}})
}

/// Adds a field unless it is empty: null, false, "", [] or {}. Protobuf leaves those out.
pub(super) fn put(fields: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    let value = value.into();
    let is_empty = match &value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    };
    if !is_empty {
        fields.insert(name.to_owned(), value);
    }
}
