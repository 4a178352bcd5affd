//! PeerAuthentications and RequestAuthentications.

use super::names;
use super::review::Review;
use crate::resource::security::{PeerAuthentication, PolicyTargetRef, RequestAuthentication};

pub(super) fn check_peer_authentication(spec: &PeerAuthentication, review: &mut Review<'_>) {
    let labels = spec.selector.as_ref().map(|s| &s.match_labels);
    if let Some(selector) = &spec.selector {
        names::selector(&selector.match_labels, selector.span, review);
    }
    let Some(ports) = &spec.port_level_mtls else { return };
    if ports.is_empty() {
        review.reject(spec.span, "`portLevelMtls` may not be empty");
    }
    if labels.is_none_or(crate::yaml::Map::is_empty) {
        review.reject(spec.span, "`portLevelMtls` needs a selector with labels");
    }
    for (port, _) in &ports.0 {
        let valid = port.parse::<u32>().is_ok_and(|p| (1..=65535).contains(&p));
        review.require(valid, port.span, format!("a port lies between 1 and 65535, not at {}", port.value));
    }
}

pub(super) fn check_request_authentication(spec: &RequestAuthentication, review: &mut Review<'_>) {
    if let Some(selector) = &spec.selector {
        names::selector(&selector.match_labels, selector.span, review);
    }
    targets(spec.selector.is_some(), spec.target_ref.as_ref(), &spec.target_refs, review);
    for rule in &spec.jwt_rules {
        let issuer = rule.get("issuer").and_then(crate::yaml::Node::as_str).unwrap_or("");
        review.require(!issuer.is_empty(), rule.span, "a JWT rule needs an issuer");
        let both = rule.get("jwks").is_some() && rule.get("jwksUri").is_some();
        review.require(!both, rule.span, "`jwks` excludes `jwksUri`");
    }
}

/// The kinds a policy can be attached to, with their group.
const TARGETS: &[(&str, &str)] = &[
    ("gateway.networking.k8s.io", "Gateway"),
    ("gateway.networking.k8s.io", "GatewayClass"),
    ("", "Service"),
    ("core", "Service"),
    ("networking.istio.io", "ServiceEntry"),
];

/// What a policy is attached to (`validatePolicyTargetReferences`).
pub(super) fn targets(selector: bool, single: Option<&PolicyTargetRef>, several: &[PolicyTargetRef], review: &mut Review<'_>) {
    for target in single.into_iter().chain(several) {
        let text = |t: &Option<crate::source::Spanned<String>>| t.as_ref().map(|t| t.value.clone()).unwrap_or_default();
        review.require(!selector, target.span, "a policy has a selector or targets, not both");
        review.require(!text(&target.name).is_empty(), target.span, "a target needs a name");
        review.require(text(&target.namespace).is_empty(), target.span, "a target lies in the policy's own namespace");
        let (group, kind) = (text(&target.group), text(&target.kind));
        let known = TARGETS.iter().any(|(g, k)| *g == group && *k == kind);
        review.require(known, target.span, format!("a policy cannot be attached to a {kind} of group `{group}`"));
    }
}
