//! Whose tokens a proxy reads: the `jwtRules` of RequestAuthentications.

use crate::mesh::authorization::Issuer;
use crate::mesh::compile::context::Item;
use crate::resource::security::RequestAuthentication;
use crate::yaml::{Node, Value};

/// The issuers of a policy. Rules without issuer are no part of the mesh.
pub(super) fn issuers(item: &Item<'_, RequestAuthentication>) -> Vec<Issuer> {
    let issuer = |rule: &Node| {
        let name = rule.get("issuer").and_then(Node::as_str)?.to_owned();
        let audiences = match rule.get("audiences").map(|node| &node.value) {
            Some(Value::Seq(all)) => all.iter().filter_map(Node::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        Some(Issuer { name, audiences, origin: item.origin(rule.span) })
    };
    item.spec.jwt_rules.iter().filter_map(issuer).collect()
}
