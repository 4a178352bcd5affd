//! Operations on headers.

use serde_json::{Map, Value, json};

use super::wire::put;
use crate::mesh::route::HeaderOps;

/// Adds the operations on request and response headers to a route or to one of its destinations.
pub(super) fn put_operations(fields: &mut Map<String, Value>, request: &HeaderOps, response: &HeaderOps) {
    put(fields, "request_headers_to_add", options(request));
    put(fields, "request_headers_to_remove", request.remove.clone());
    put(fields, "response_headers_to_add", options(response));
    put(fields, "response_headers_to_remove", response.remove.clone());
}

fn options(operations: &HeaderOps) -> Vec<Value> {
    let option = |action: &'static str| move |(name, value): &(String, String)| json!({"header": {"key": name, "value": value}, "append_action": action});
    let sets = operations.set.iter().map(option("OVERWRITE_IF_EXISTS_OR_ADD"));
    sets.chain(operations.add.iter().map(option("APPEND_IF_EXISTS_OR_ADD"))).collect()
}
