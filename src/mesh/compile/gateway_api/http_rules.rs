//! Rules of HTTPRoutes: each match becomes a rule of its own.

use super::back_ends::{self, Referrer, Refused};
use super::conversion::Conversion;
use super::filters;
use super::listeners::text;
use crate::mesh::compile::context::Item;
use crate::resource::gateway_api::{
    BackendRef, HttpRouteMatch, HttpRouteRule, HttpRouteSpec, NamedMatch, RouteRetry, RouteTimeouts,
};
use crate::resource::networking::{
    HttpDirectResponse, HttpMatchRequest, HttpRetry, HttpRoute, HttpRouteDestination, StringMatch,
};
use crate::source::{Span, Spanned};
use crate::yaml::Map;

/// What retries are for, besides the statuses that a rule lists.
const RETRY_ON: &str = "connect-failure,refused-stream,unavailable,cancelled";

/// The rules of a route, one for each match.
pub(super) fn rules(
    item: &Item<'_, HttpRouteSpec>,
    is_mesh: bool,
    conversion: Conversion<'_>,
) -> Result<Vec<HttpRoute>, Refused> {
    let referrer = Referrer { kind: "HTTPRoute", namespace: &item.object.namespace, is_mesh };
    let mut made = Vec::new();
    for (position, rule) in item.spec.rules.iter().enumerate() {
        let name = name(rule.name.as_ref(), &item.object.namespace, &item.object.name, position, rule.span);
        // The API server fills in one match for an absent list.
        let default = [HttpRouteMatch { span: rule.span, ..HttpRouteMatch::default() }];
        let matches = rule.matches.as_deref().unwrap_or(&default);
        if matches.is_empty() {
            made.push(rule_without_match(rule, name.clone(), referrer, conversion)?);
        }
        for block in matches {
            let mut converted = rule_without_match(rule, name.clone(), referrer, conversion)?;
            converted.matches = vec![self::block(block)];
            made.push(converted);
        }
    }
    Ok(made)
}

/// The name of a rule, or one made from the route's and the rule's position.
pub(super) fn name(own: Option<&Spanned<String>>, namespace: &str, route: &str, position: usize, span: Span) -> Spanned<String> {
    own.cloned().unwrap_or_else(|| Spanned::new(format!("{namespace}.{route}.{position}"), span))
}

fn rule_without_match(
    rule: &HttpRouteRule,
    name: Spanned<String>,
    referrer: Referrer<'_>,
    conversion: Conversion<'_>,
) -> Result<HttpRoute, Refused> {
    let mut made = HttpRoute { name: Some(name), span: rule.span, ..HttpRoute::default() };
    filters::apply(&mut made, &rule.filters, referrer, conversion)?;
    made.retries = rule.retry.as_ref().map(retries);
    if let Some(timeouts) = &rule.timeouts {
        apply_timeouts(&mut made, timeouts);
    }
    forward(&mut made, &rule.backend_refs, referrer, conversion)?;
    Ok(made)
}

/// Forwards to back ends; without any that has a share, and without a redirect, the answer is 500.
pub(super) fn forward(
    rule: &mut HttpRoute,
    back_end_refs: &[BackendRef],
    referrer: Referrer<'_>,
    conversion: Conversion<'_>,
) -> Result<(), Refused> {
    let total: i64 = back_end_refs.iter().map(back_ends::weight).sum();
    if total == 0 && rule.redirect.is_none() {
        let status = Some(Spanned::new(500, rule.span));
        rule.direct_response = Some(HttpDirectResponse { status, span: rule.span, ..HttpDirectResponse::default() });
        return Ok(());
    }
    for back_end in back_end_refs.iter().filter(|back_end| back_ends::weight(back_end) != 0) {
        rule.route.push(HttpRouteDestination {
            destination: Some(back_ends::destination(back_end, referrer, conversion)?),
            weight: Some(Spanned::new(back_ends::weight(back_end), back_end.span)),
            headers: filters::back_end_headers(back_end)?,
            span: back_end.span,
        });
    }
    Ok(())
}

fn retries(retry: &RouteRetry) -> HttpRetry {
    let attempts = retry.attempts.unwrap_or(Spanned::new(2, retry.span));
    let mut on = RETRY_ON.to_owned();
    for code in &retry.codes {
        on.push(',');
        on.push_str(&code.value.to_string());
    }
    HttpRetry {
        attempts: Some(attempts),
        retry_on: (attempts.value != 0).then(|| Spanned::new(on, retry.span)),
        backoff: retry.backoff,
        span: retry.span,
        ..HttpRetry::default()
    }
}

/// A back end's timeout is the one of each try if there are retries, else it takes the place of the
/// request's. Zero is unset.
fn apply_timeouts(rule: &mut HttpRoute, timeouts: &RouteTimeouts) {
    let set = |timeout: Option<Spanned<crate::time::Duration>>| timeout.filter(|timeout| !timeout.is_zero());
    rule.timeout = set(timeouts.request);
    if let Some(of_try) = set(timeouts.backend_request) {
        match &mut rule.retries {
            Some(retries) => retries.per_try_timeout = Some(of_try),
            None => rule.timeout = Some(of_try),
        }
    }
}

fn block(block: &HttpRouteMatch) -> HttpMatchRequest {
    let exact = |text: &Spanned<String>| StringMatch { exact: Some(text.clone()), span: text.span, ..StringMatch::default() };
    HttpMatchRequest {
        uri: Some(path(block)),
        method: block.method.as_ref().map(exact),
        headers: values(&block.headers),
        query_params: values(&block.query_params),
        span: block.span,
        ..HttpMatchRequest::default()
    }
}

/// The path of a match: prefix `/` if absent. A prefix loses its trailing slash.
fn path(block: &HttpRouteMatch) -> StringMatch {
    let path = block.path.as_ref();
    let span = path.map_or(block.span, |path| path.span);
    let value = path.and_then(|path| path.value.clone()).unwrap_or_else(|| Spanned::new("/".to_owned(), span));
    match path.map_or("", |path| text(path.kind.as_ref())) {
        "Exact" => StringMatch { exact: Some(value), span, ..StringMatch::default() },
        "RegularExpression" => StringMatch { regex: Some(value), span, ..StringMatch::default() },
        _ => {
            let trimmed = value.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(&value).to_owned();
            StringMatch { prefix: Some(Spanned::new(trimmed, value.span)), span, ..StringMatch::default() }
        }
    }
}

/// Matches by name; of several for one name the last counts.
pub(super) fn values(matches: &[NamedMatch]) -> Map<Option<StringMatch>> {
    let mut entries: Vec<(Spanned<String>, Option<StringMatch>)> = Vec::new();
    for entry in matches {
        let name = entry.name.clone().unwrap_or_default();
        let value = Some(entry.value.clone().unwrap_or_default());
        let made = match text(entry.kind.as_ref()) {
            "RegularExpression" => StringMatch { regex: value, span: entry.span, ..StringMatch::default() },
            _ => StringMatch { exact: value, span: entry.span, ..StringMatch::default() },
        };
        match entries.iter_mut().find(|(known, _)| known.value == name.value) {
            Some((_, value)) => *value = Some(made),
            None => entries.push((name, Some(made))),
        }
    }
    Map(entries)
}
