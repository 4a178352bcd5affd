//! Telemetries (`ValidateTelemetry`): what of tracing is possible.

use super::review::Review;
use crate::resource::kubernetes::MetadataOnly;
use crate::yaml::{Node, Value};

pub(super) fn check(spec: &MetadataOnly, review: &mut Review<'_>) {
    let Some(spec) = &spec.spec else { return };
    let tracing = items(spec.get("tracing"));
    if let [_, second, ..] = tracing {
        review.warn(second.span, "only one entry of `tracing` is used");
    }
    for entry in tracing {
        if let [_, second, ..] = items(entry.get("providers")) {
            review.warn(second.span, "only one tracing provider is used");
        }
        check_sampling(entry, review);
    }
    for section in ["tracing", "metrics", "accessLogging"] {
        for provider in items(spec.get(section)).iter().flat_map(|entry| items(entry.get("providers"))) {
            let name = provider.get("name").and_then(Node::text).unwrap_or_default();
            review.require(!name.is_empty(), provider.span, "a provider needs a name");
        }
    }
}

fn check_sampling(entry: &Node, review: &mut Review<'_>) {
    let Some(node) = entry.get("randomSamplingPercentage") else { return };
    let value = match &node.value {
        Value::Int(value, _) => *value as f64,
        Value::Float(value, _) => *value,
        _ => return,
    };
    review.require((0.0..=100.0).contains(&value), node.span, "a percentage lies between 0 and 100");
}

fn items(node: Option<&Node>) -> &[Node] {
    node.map_or(&[], Node::items)
}
