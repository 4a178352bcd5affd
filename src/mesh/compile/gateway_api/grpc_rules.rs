//! Rules of GRPCRoutes: services and methods are paths.

use super::back_ends::{Referrer, Refused};
use super::conversion::Conversion;
use super::listeners::text;
use super::{filters, http_rules};
use crate::mesh::compile::context::Item;
use crate::resource::gateway_api::{GrpcMethodMatch, GrpcRouteMatch, GrpcRouteRule, GrpcRouteSpec};
use crate::resource::networking::{HttpMatchRequest, HttpRoute, StringMatch};
use crate::source::Spanned;

/// The rules of a route, one for each match.
pub(super) fn rules(
    item: &Item<'_, GrpcRouteSpec>,
    is_mesh: bool,
    conversion: Conversion<'_>,
) -> Result<Vec<HttpRoute>, Refused> {
    let referrer = Referrer { kind: "GRPCRoute", namespace: &item.object.namespace, is_mesh };
    let mut made = Vec::new();
    for (position, rule) in item.spec.rules.iter().enumerate() {
        let base = rule_without_match(item, rule, position, referrer, conversion)?;
        if rule.matches.is_empty() {
            made.push(base.clone());
        }
        made.extend(rule.matches.iter().map(|block| HttpRoute { matches: vec![self::block(block)], ..base.clone() }));
    }
    Ok(made)
}

fn rule_without_match(
    item: &Item<'_, GrpcRouteSpec>,
    rule: &GrpcRouteRule,
    position: usize,
    referrer: Referrer<'_>,
    conversion: Conversion<'_>,
) -> Result<HttpRoute, Refused> {
    let name = http_rules::name(rule.name.as_ref(), &item.object.namespace, &item.object.name, position, rule.span);
    let mut made = HttpRoute { name: Some(name), span: rule.span, ..HttpRoute::default() };
    filters::apply(&mut made, &rule.filters, referrer, conversion)?;
    http_rules::forward(&mut made, &rule.backend_refs, referrer, conversion)?;
    Ok(made)
}

fn block(block: &GrpcRouteMatch) -> HttpMatchRequest {
    HttpMatchRequest {
        uri: block.method.as_ref().and_then(path),
        headers: http_rules::values(&block.headers),
        span: block.span,
        ..HttpMatchRequest::default()
    }
}

/// `/service/method`, with what is absent left open.
fn path(method: &GrpcMethodMatch) -> Option<StringMatch> {
    let is_regex = text(method.kind.as_ref()) == "RegularExpression";
    let field = |field: &Option<Spanned<String>>| field.as_ref().map(|f| f.value.clone()).filter(|f| !f.is_empty());
    let made = |text: String| Some(Spanned::new(text, method.span));
    let empty = StringMatch { span: method.span, ..StringMatch::default() };
    match (field(&method.service), field(&method.method), is_regex) {
        (None, None, _) => None,
        (Some(service), None, false) => Some(StringMatch { prefix: made(format!("/{service}/")), ..empty }),
        (Some(service), None, true) => Some(StringMatch { regex: made(format!("/{service}/.+")), ..empty }),
        (None, Some(name), _) => Some(StringMatch { regex: made(format!("/[^/]+/{name}")), ..empty }),
        (Some(service), Some(name), false) => Some(StringMatch { exact: made(format!("/{service}/{name}")), ..empty }),
        (Some(service), Some(name), true) => Some(StringMatch { regex: made(format!("/{service}/{name}")), ..empty }),
    }
}
