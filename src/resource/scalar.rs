//! Values of a few characters with rules of their own.

use serde_json::{Map as Json, Value as JsonValue, json};

use crate::source::Span;
use crate::yaml::{Cx, Decode, Node, Value};

/// A port by number or by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortRef {
    /// A port number.
    Number(i64, Span),
    /// The name of a container port.
    Name(String, Span),
}

impl Decode for PortRef {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &node.value {
            Value::Int(number, _) => Some(PortRef::Number(*number, node.span)),
            Value::Str(name) => Some(PortRef::Name(name.clone(), node.span)),
            _ => {
                cx.wrong_type(node, "a port number or the name of a port");
                None
            }
        }
    }

    fn schema(_: &mut Json<String, JsonValue>) -> JsonValue {
        json!({"type": ["integer", "string"]})
    }
}

/// A point in calendar time, kept as RFC 3339 text normalised to UTC so that it orders as text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub String);

impl Decode for Timestamp {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &node.value {
            Value::Str(text) => Some(Timestamp(text.clone())),
            _ => {
                cx.wrong_type(node, "a time such as `2026-01-31T12:00:00Z`, as a string");
                None
            }
        }
    }

    fn schema(_: &mut Json<String, JsonValue>) -> JsonValue {
        json!({"type": "string", "format": "date-time"})
    }
}

/// A boolean that tells "absent" from "false" (protobuf's `BoolValue`).
pub type OptionalBool = Option<crate::source::Spanned<bool>>;
