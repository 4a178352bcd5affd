//! One rule and one of its match blocks become one route.

use super::headers::Operations;
use super::{RouteScope, cors, destinations, faults, matches, redirects, retries};
use crate::mesh::Origin;
use crate::mesh::compile::virtual_service::{HttpRule, Semantics, VirtualService};
use crate::mesh::route::{Action, Forward, PathRewrite, PathTest, Route, RouteMatch};
use crate::resource::networking::{HttpMatchRequest, HttpRewrite, HttpRoute};
use crate::time::Duration;

/// The routes of a VirtualService for one proxy, port and gateway, in order. Blocks whose static
/// conditions fail are left out; nothing follows a rule without blocks or a catch-all.
pub(in crate::mesh::compile) fn routes(vs: &VirtualService, scope: &RouteScope<'_>) -> Vec<Route> {
    let mut routes = Vec::new();
    for rule in &vs.http {
        if rule.spec.matches.is_empty() {
            routes.push(route(rule, None, vs.semantics, scope));
            return routes;
        }
        for block in rule.spec.matches.iter().filter(|block| matches::applies(block, scope)) {
            let route = route(rule, Some(block), vs.semantics, scope);
            let ends = matches::is_catch_all(&route.matcher);
            routes.push(route);
            if ends {
                return routes;
            }
        }
    }
    routes
}

fn route(rule: &HttpRule, block: Option<&HttpMatchRequest>, semantics: Semantics, scope: &RouteScope<'_>) -> Route {
    let spec = &rule.spec;
    let span = block.map_or(spec.span, |block| block.span);
    let origin = Origin { object: Some(rule.object), span };
    let matcher = matches::translate(block, semantics, span);
    let mut operations = Operations::of(spec.headers.as_ref());
    let action = action(spec, &matcher, semantics, &mut operations, scope, Origin { span: spec.span, ..origin });
    Route {
        name: name(spec, block),
        matcher,
        action,
        fault: spec
            .fault
            .as_ref()
            .and_then(|fault| faults::translate(fault, Origin { span: fault.span, ..origin }, scope.profile)),
        cors: spec.cors_policy.as_ref().map(cors::translate),
        request_headers: operations.request,
        response_headers: operations.response,
        origin,
    }
}

fn name(spec: &HttpRoute, block: Option<&HttpMatchRequest>) -> String {
    let rule = spec.name.as_ref().map_or("", |name| name.value.as_str());
    match block.and_then(|block| block.name.as_ref()).filter(|name| !name.is_empty()) {
        Some(block) => format!("{rule}.{}", block.value),
        None => rule.to_owned(),
    }
}

fn action(
    spec: &HttpRoute,
    matcher: &RouteMatch,
    semantics: Semantics,
    operations: &mut Operations,
    scope: &RouteScope<'_>,
    origin: Origin,
) -> Action {
    if let Some(redirect) = &spec.redirect {
        return Action::Redirect(Box::new(redirects::redirect(redirect, scope, semantics)));
    }
    if let Some(response) = &spec.direct_response {
        return Action::Direct(redirects::direct(response));
    }
    // The rule's own authority precedes the one among the header operations.
    let rewritten = spec.rewrite.as_ref().and_then(|rewrite| rewrite.authority.as_ref()).filter(|a| !a.is_empty());
    if let Some(authority) = rewritten {
        operations.authority = Some(authority.value.clone());
    }
    let target = destinations::target(spec, operations, scope, origin);
    Action::Forward(Box::new(Forward {
        timeout: spec.timeout.as_ref().map_or(Duration::ZERO, |timeout| timeout.value),
        retries: retries::translate(spec.retries.as_ref(), scope.mesh_retries, target.keeps_host, scope.profile),
        mirrors: destinations::mirrors(spec, scope, origin),
        hash: target.hash,
        path_rewrite: spec.rewrite.as_ref().and_then(|rewrite| path_rewrite(rewrite, matcher, semantics)),
        authority_rewrite: operations.authority.take(),
        cluster_not_found_status: if semantics.is_gateway_api() { 500 } else { 503 },
        legs: target.legs,
    }))
}

fn path_rewrite(rewrite: &HttpRewrite, matcher: &RouteMatch, semantics: Semantics) -> Option<PathRewrite> {
    if let Some(regex) = &rewrite.uri_regex_rewrite {
        let text = |field: &Option<crate::source::Spanned<String>>| field.as_ref().map_or("", |f| f.value.as_str()).to_owned();
        return Some(PathRewrite::Regex { pattern: matches::pattern(&text(&regex.pattern)), substitution: text(&regex.rewrite) });
    }
    let uri = rewrite.uri.as_ref().filter(|uri| !uri.is_empty())?;
    if semantics.is_gateway_api() && uri.value == "/" {
        let prefix = match &matcher.path.test {
            PathTest::SegmentPrefix(prefix) => prefix.as_str(),
            _ => "",
        };
        let (pattern, substitution) = redirects::prefix_removal(prefix);
        return Some(PathRewrite::Regex { pattern, substitution });
    }
    Some(PathRewrite::Prefix(uri.value.clone()))
}
