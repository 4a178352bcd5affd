//! EnvoyFilters (`ValidateEnvoyFilter`), as far as they can be judged without Envoy's own types.

use super::review::Review;
use crate::resource::kubernetes::MetadataOnly;
use crate::yaml::{Node, Value};

/// Which match goes with which `applyTo`.
const MATCHES: &[(&str, &[&str])] = &[
    ("listener", &["LISTENER", "FILTER_CHAIN", "NETWORK_FILTER", "HTTP_FILTER", "LISTENER_FILTER"]),
    ("routeConfiguration", &["ROUTE_CONFIGURATION", "VIRTUAL_HOST", "HTTP_ROUTE"]),
    ("cluster", &["CLUSTER"]),
];

pub(super) fn check(spec: &MetadataOnly, review: &mut Review<'_>) {
    review.warn(review.object.span, "an EnvoyFilter depends on internals of the proxy and may break with any release");
    let Some(Value::Seq(patches)) = spec.spec.as_ref().and_then(|s| s.get("configPatches")).map(|n| &n.value) else { return };
    for patch in patches {
        check_patch(patch, review);
    }
}

fn check_patch(patch: &Node, review: &mut Review<'_>) {
    let text = |node: Option<&Node>| node.and_then(Node::as_str).unwrap_or("").to_owned();
    let apply_to = text(patch.get("applyTo"));
    review.require(!apply_to.is_empty() && apply_to != "INVALID", patch.span, "a patch needs `applyTo`");
    let Some(change) = patch.get("patch") else {
        review.reject(patch.span, "`patch` is missing");
        return;
    };
    let operation = text(change.get("operation"));
    review.require(!operation.is_empty() && operation != "INVALID", change.span, "a patch needs an operation");
    if operation != "REMOVE" && change.get("value").is_none() {
        review.reject(change.span, "a patch that does not remove needs a value");
    }
    let Some(condition) = patch.get("match") else { return };
    let given: Vec<_> = MATCHES.iter().filter(|(field, _)| condition.get(field).is_some()).collect();
    if let Some((field, _)) = given.first().filter(|_| !given.iter().any(|(_, kinds)| kinds.contains(&apply_to.as_str()))) {
        review.reject(condition.span, format!("a match of `{field}` does not go with applyTo {apply_to}"));
    }
}
