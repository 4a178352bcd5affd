//! Structs that are written as JSON and know their JSON Schema.
//!
//! The schema is made from the same declaration as the struct and its documentation, so that the
//! two cannot disagree.

use serde_json::{Map, Value, json};

/// Something that has a JSON Schema.
pub(super) trait Wire {
    /// Its schema; the schemas of structs are added to the definitions and referred to.
    fn schema(definitions: &mut Map<String, Value>) -> Value;
}

impl Wire for u64 {
    fn schema(_: &mut Map<String, Value>) -> Value {
        json!({"type": "integer", "minimum": 0})
    }
}

impl Wire for f64 {
    fn schema(_: &mut Map<String, Value>) -> Value {
        json!({"type": "number"})
    }
}

impl Wire for bool {
    fn schema(_: &mut Map<String, Value>) -> Value {
        json!({"type": "boolean"})
    }
}

impl Wire for String {
    fn schema(_: &mut Map<String, Value>) -> Value {
        json!({"type": "string"})
    }
}

impl<T: Wire> Wire for Option<T> {
    fn schema(definitions: &mut Map<String, Value>) -> Value {
        json!({"anyOf": [T::schema(definitions), {"type": "null"}]})
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn schema(definitions: &mut Map<String, Value>) -> Value {
        json!({"type": "array", "items": T::schema(definitions)})
    }
}

/// The schema of a whole document, whose field `schema` holds its name and version.
pub(super) fn document<T: Wire>(title: &str, root: &str, version: &str) -> Value {
    let mut definitions = Map::new();
    let reference = T::schema(&mut definitions);
    definitions[root]["properties"]["schema"]["const"] = version.into();
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": title,
        "allOf": [reference],
        "definitions": definitions,
    })
}

/// Declares structs whose every field is always there.
macro_rules! wire {
    ($($(#[doc = $about:literal])* struct $name:ident { $($(#[doc = $doc:literal])* $field:ident as $key:literal : $type:ty,)* })*) => {$(
        $(#[doc = $about])*
        #[derive(Debug, serde::Serialize)]
        pub(super) struct $name {
            $($(#[doc = $doc])* #[serde(rename = $key)] pub(super) $field: $type,)*
        }

        impl Wire for $name {
            fn schema(definitions: &mut serde_json::Map<String, serde_json::Value>) -> serde_json::Value {
                let mut properties = serde_json::Map::new();
                $(
                    let mut property = <$type as Wire>::schema(definitions);
                    let description = concat!($($doc),*).trim();
                    // A reference may not have neighbours in older drafts.
                    if property.get("$ref").is_some() {
                        property = serde_json::json!({"allOf": [property]});
                    }
                    property["description"] = description.into();
                    properties.insert($key.to_owned(), property);
                )*
                definitions.insert(stringify!($name).to_owned(), serde_json::json!({
                    "type": "object",
                    "description": concat!($($about),*).trim(),
                    "properties": properties,
                    "required": [$($key),*],
                }));
                serde_json::json!({"$ref": concat!("#/definitions/", stringify!($name))})
            }
        }
    )*};
}

pub(super) use wire;
