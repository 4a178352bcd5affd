//! Whose tokens a proxy reads: the `jwtRules` of RequestAuthentications.

use crate::mesh::authorization::Issuer;
use crate::mesh::compile::context::Item;
use crate::resource::security::RequestAuthentication;
use crate::yaml::{Node, Value};

/// The issuers of a policy. Rules without issuer are no part of the mesh.
pub(super) fn issuers(item: &Item<'_, RequestAuthentication>) -> Vec<Issuer> {
    let issuer = |rule: &Node| {
        Some(Issuer {
            name: text(rule, "issuer")?,
            audiences: texts(rule, "audiences"),
            from_headers: pairs(rule, "fromHeaders", ["name", "prefix"]),
            from_params: texts(rule, "fromParams"),
            from_cookies: texts(rule, "fromCookies"),
            forward: matches!(rule.get("forwardOriginalToken").map(|node| &node.value), Some(Value::Bool(true, _))),
            payload_header: text(rule, "outputPayloadToHeader").map(|name| name.to_ascii_lowercase()),
            claim_headers: pairs(rule, "outputClaimToHeaders", ["header", "claim"]),
            space_delimited: texts(rule, "spaceDelimitedClaims"),
            origin: item.origin(rule.span),
        })
    };
    item.spec.jwt_rules.iter().filter_map(issuer).collect()
}

fn text(rule: &Node, field: &str) -> Option<String> {
    rule.get(field).and_then(Node::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn items<'n>(rule: &'n Node, field: &str) -> &'n [Node] {
    rule.get(field).map_or(&[], Node::items)
}

fn texts(rule: &Node, field: &str) -> Vec<String> {
    items(rule, field).iter().filter_map(Node::as_str).map(str::to_owned).collect()
}

/// Entries by two of their fields: the name of a header, and something that may be left out.
fn pairs(rule: &Node, field: &str, [header, other]: [&str; 2]) -> Vec<(String, String)> {
    let pair = |entry: &Node| Some((text(entry, header)?.to_ascii_lowercase(), text(entry, other).unwrap_or_default()));
    items(rule, field).iter().filter_map(pair).collect()
}
