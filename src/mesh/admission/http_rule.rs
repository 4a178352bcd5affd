//! One HTTP rule of a VirtualService (`validateHTTPRoute`).

use super::names;
use super::review::Review;
use super::virtual_service::{destination, gateways, weights};
use crate::mesh::pattern::Pattern;
use crate::mesh::status::{GRPC_STATUSES, is_named_http_status};
use crate::resource::networking::{
    CorsPolicy, FaultAbort, FaultDelay, HeaderOperations, Headers, HttpDirectResponse, HttpFaultInjection, HttpMatchRequest,
    HttpRedirect, HttpRetry, HttpRewrite, HttpRoute, Percent, StringMatch,
};
use crate::source::{Span, Spanned};

/// Where a rule stands.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// In a VirtualService without hosts.
    pub(super) delegate: bool,
    /// In one that applies to sidecars.
    pub(super) mesh: bool,
}

pub(super) fn check(rule: &HttpRoute, place: Place, review: &mut Review<'_>) {
    actions(rule, place, review);
    for block in &rule.matches {
        match_block(block, place, review);
    }
    if let Some(headers) = &rule.headers {
        header_operations(headers, review);
    }
    authority_once(rule, review);
    if let Some(policy) = &rule.cors_policy {
        cors(policy, review);
    }
    if let Some(injection) = &rule.fault {
        fault(injection, review);
    }
    mirrors(rule, review);
    if let Some(target) = &rule.redirect {
        redirect(target, rule, review);
    }
    if let Some(answer) = &rule.direct_response {
        direct_response(answer, review);
    }
    if let Some(policy) = &rule.retries {
        retries(policy, review);
    }
    if let Some(change) = &rule.rewrite {
        rewrite(change, review);
    }
    for leg in &rule.route {
        destination(leg.destination.as_ref(), leg.span, review);
        if let Some(headers) = &leg.headers {
            header_operations(headers, review);
        }
    }
    let all: Vec<(i64, Span)> =
        rule.route.iter().map(|leg| leg.weight.as_ref().map_or((0, leg.span), |w| (w.value, w.span))).collect();
    weights(&all, review);
    review.whole_milliseconds(rule.timeout.as_ref(), "a timeout");
}

/// Which actions exclude each other (`validateHTTPRouteConflict`).
fn actions(rule: &HttpRoute, place: Place, review: &mut Review<'_>) {
    let span = rule.span;
    if rule.delegate.is_some() {
        if place.delegate {
            review.reject(span, "a delegate may not delegate");
        }
        review.require(rule.redirect.is_none(), span, "`delegate` excludes `redirect`");
        review.require(rule.route.is_empty(), span, "`delegate` excludes `route`");
        return;
    }
    let others = [("route", !rule.route.is_empty()), ("fault", rule.fault.is_some()), ("rewrite", rule.rewrite.is_some())];
    let exclusive = match (&rule.redirect, &rule.direct_response) {
        (Some(_), _) => "redirect",
        (None, Some(_)) => "directResponse",
        (None, None) => {
            review.require(!rule.route.is_empty(), span, "a rule needs one of `route`, `redirect` and `directResponse`");
            ""
        }
    };
    for (other, present) in others {
        if present && !exclusive.is_empty() {
            review.reject(span, format!("`{exclusive}` excludes `{other}`"));
        }
    }
    if rule.redirect.is_some() && rule.direct_response.is_some() {
        review.reject(span, "`redirect` excludes `directResponse`");
    }
    if rule.mirror.is_some() && !rule.mirrors.is_empty() {
        review.reject(span, "`mirror` excludes `mirrors`");
    }
}

fn match_block(block: &HttpMatchRequest, place: Place, review: &mut Review<'_>) {
    for (name, value) in &block.headers.0 {
        header_name_in_match(name, place, review);
        match value {
            // The API server drops what is null.
            None => {}
            Some(value) => string_match(value, Empty::Refused, review),
        }
    }
    for (name, value) in &block.without_headers.0 {
        header_name_in_match(name, place, review);
        // `*` is no RE2; the proxy is given a presence match for it.
        if let Some(value) = value.as_ref().filter(|v| v.regex.as_ref().is_none_or(|r| r.value != "*")) {
            string_match(value, Empty::Refused, review);
        }
    }
    if let Some(uri) = &block.uri {
        string_match(uri, Empty::Allowed, review);
    }
    for value in [&block.scheme, &block.method, &block.authority].into_iter().flatten() {
        string_match(value, Empty::Refused, review);
    }
    for value in block.query_params.0.iter().filter_map(|(_, value)| value.as_ref()) {
        string_match(value, Empty::Refused, review);
    }
    if let Some(port) = block.port.as_ref().filter(|p| !(0..=65535).contains(&p.value)) {
        review.reject(port.span, format!("a port lies between 1 and 65535, not at {}", port.value));
    }
    names::labels(&block.source_labels, review);
    review.without_warnings(|review| gateways(&block.gateways, review));
    if let Some(namespace) = block.source_namespace.as_ref().filter(|n| !n.is_empty() && !names::is_label(n)) {
        review.reject(namespace.span, format!("`{}` is not a namespace", namespace.value));
    }
}

fn header_name_in_match(name: &Spanned<String>, place: Place, review: &mut Review<'_>) {
    if is_claim(&name.value) {
        review.require(
            !place.mesh,
            name.span,
            "claims can be matched at gateways only, and this VirtualService applies to `mesh`",
        );
    } else if !is_token(name.value.strip_prefix(':').map_or(&name.value, |rest| if PSEUDO.contains(&rest) { "x" } else { "" })) {
        review.reject(name.span, format!("`{}` is not the name of a header", name.value));
    }
}

const PSEUDO: &[&str] = &["method", "scheme", "authority", "path", "status"];

/// Whether the name asks for a claim: `@request.auth.claims.NAME` or `@request.auth.claims[NAME]`.
fn is_claim(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let Some(path) = name.strip_prefix("@request.auth.claims") else { return false };
    match path.strip_prefix('.') {
        Some(rest) => !rest.is_empty(),
        None => path.starts_with('[') && path.ends_with(']') && path.len() > 2,
    }
}

/// A token of HTTP as istiod's expression has it, which lets a comma through.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+,-.^_`|~".contains(c))
}

/// Whether an empty prefix is allowed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Empty {
    Allowed,
    Refused,
}

fn string_match(value: &StringMatch, empty: Empty, review: &mut Review<'_>) {
    if let Some(prefix) = value.prefix.as_ref().filter(|p| p.is_empty() && empty == Empty::Refused) {
        review.reject(prefix.span, "an empty prefix matches everything; write `{}` to ask for presence");
    }
    if let Some(text) = &value.regex {
        regex(text, review);
    }
}

fn regex(text: &Spanned<String>, review: &mut Review<'_>) {
    if text.is_empty() {
        review.reject(text.span, "a regular expression may not be empty");
    } else if text.len() > 1024 {
        review.reject(text.span, format!("a regular expression has at most 1024 bytes, not {}", text.len()));
    } else if let Err(why) = Pattern::new(text) {
        review.reject(text.span, format!("not a regular expression in RE2 syntax: {why}"));
    }
}

fn header_operations(headers: &Headers, review: &mut Review<'_>) {
    if let Some(operations) = &headers.request {
        operations_on(operations, true, review);
    }
    if let Some(operations) = &headers.response {
        operations_on(operations, false, review);
    }
}

fn operations_on(operations: &HeaderOperations, request: bool, review: &mut Review<'_>) {
    for (name, value) in operations.set.0.iter().chain(&operations.add.0) {
        if !(request && is_authority(&name.value)) {
            header_name_in_operation(name, review);
        }
        if value.chars().any(|c| c.is_ascii_control() && c != '\t') {
            review.reject(value.span, "the value holds control characters");
        } else if !has_finished_commands(value) {
            review.reject(value.span, "the value has an unfinished `%COMMAND%`; write `%%` for a percent sign");
        }
    }
    for name in &operations.remove {
        header_name_in_operation(name, review);
    }
}

fn header_name_in_operation(name: &Spanned<String>, review: &mut Review<'_>) {
    if name.is_empty() {
        review.reject(name.span, "the name of a header may not be empty");
    } else if name.starts_with(':') || name.eq_ignore_ascii_case("host") {
        review.reject(name.span, format!("`{}` cannot be changed by header operations", name.value));
    }
}

fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority")
}

/// Where in a header value of Envoy's the reader stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Text,
    Name,
    Arguments,
    ListItem,
    Argument,
    ListSeparator,
    AfterList,
    AfterArguments,
}

/// Whether every `%` of a header value is doubled or encloses a command, `%NAME%`, `%NAME(argument)%`
/// or `%NAME(["a", "b"])%`. What the name says is not looked at.
fn has_finished_commands(value: &str) -> bool {
    let mut inside = Inside::Text;
    let mut bytes = value.bytes().peekable();
    while let Some(byte) = bytes.next() {
        inside = match (inside, byte) {
            (Inside::Text, b'%') => match bytes.peek() {
                Some(b'%') => {
                    bytes.next();
                    Inside::Text
                }
                Some(_) => Inside::Name,
                None => return false,
            },
            (Inside::Name | Inside::AfterArguments, b'%') => Inside::Text,
            (Inside::Name, b'(') => Inside::Arguments,
            (Inside::Arguments, b'[') | (Inside::ListSeparator, b',') => Inside::ListItem,
            (Inside::ListItem, b'"') => Inside::Argument,
            (Inside::Argument, b'\\') => {
                if bytes.next().is_none() {
                    return false;
                }
                Inside::Argument
            }
            (Inside::Argument | Inside::AfterList, b')') => Inside::AfterArguments,
            (Inside::Argument, b'"') => Inside::ListSeparator,
            (Inside::ListSeparator, b']') => Inside::AfterList,
            (Inside::Text | Inside::Name | Inside::Argument, _) | (_, b' ') => inside,
            (Inside::Arguments, _) => Inside::Argument,
            _ => return false,
        };
    }
    inside == Inside::Text
}

/// The authority may be set at one place only (`validateAuthorityRewrite`).
fn authority_once(rule: &HttpRoute, review: &mut Review<'_>) {
    let operations = rule.headers.as_ref().and_then(|h| h.request.as_ref());
    let by_header =
        operations.map_or(0, |o| o.set.0.iter().chain(&o.add.0).filter(|(name, _)| is_authority(&name.value)).count());
    let by_rewrite = rule.rewrite.as_ref().and_then(|r| r.authority.as_ref()).is_some_and(|a| !a.is_empty());
    if by_header + usize::from(by_rewrite) > 1 {
        review.reject(rule.span, "the authority is set more than once among `rewrite` and `headers.request`");
    }
}

const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "*"];

fn cors(policy: &CorsPolicy, review: &mut Review<'_>) {
    for method in policy.allow_methods.iter().filter(|m| !METHODS.contains(&m.value.as_str())) {
        review.reject(method.span, format!("`{}` is not a method that CORS knows", method.value));
    }
    for name in policy.allow_headers.iter().chain(&policy.expose_headers) {
        let valid = name.value == "*" || is_token(&name.value);
        review.require(valid, name.span, format!("`{}` is not the name of a header", name.value));
    }
    for origin in &policy.allow_origins {
        string_match(origin, Empty::Refused, review);
        let empty_exact = origin.exact.as_ref().is_some_and(|e| e.is_empty());
        if empty_exact || (origin.exact.is_none() && origin.prefix.is_none() && origin.regex.is_none()) {
            review.reject(origin.span, "an origin may not be empty");
        }
    }
    review.whole_milliseconds(policy.max_age.as_ref(), "`maxAge`");
    if let Some(age) = policy.max_age.as_ref().filter(|a| a.nanos() % 1_000_000_000 != 0) {
        review.reject(age.span, "`maxAge` must be a whole number of seconds");
    }
}

fn fault(injection: &HttpFaultInjection, review: &mut Review<'_>) {
    if injection.delay.is_none() && injection.abort.is_none() {
        review.reject(injection.span, "a fault needs an abort or a delay");
    }
    if let Some(delay) = &injection.delay {
        fault_delay(delay, review);
    }
    if let Some(abort) = &injection.abort {
        fault_abort(abort, review);
    }
}

fn fault_delay(delay: &FaultDelay, review: &mut Review<'_>) {
    percentage(delay.percentage.as_ref(), review);
    if let Some(time) = &delay.exponential_delay {
        review.reject(time.span, "`exponentialDelay` is not supported");
    }
    review.whole_milliseconds(delay.fixed_delay.as_ref(), "`fixedDelay`");
}

fn fault_abort(abort: &FaultAbort, review: &mut Review<'_>) {
    percentage(abort.percentage.as_ref(), review);
    if let Some(status) = abort.http_status.as_ref().filter(|s| !(200..=600).contains(&s.value)) {
        review.reject(status.span, format!("the status of an abort lies between 200 and 599, not at {}", status.value));
    }
    if let Some(status) = abort.grpc_status.as_ref().filter(|s| !GRPC_STATUSES.contains(&s.value.as_str())) {
        review.reject(status.span, format!("`{}` is not the name of a gRPC status", status.value));
    }
    if let Some(percent) = abort.percent.as_ref().filter(|_| !review.profile.whole_percentages) {
        review.unknown_field(
            percent.span,
            "`fault.abort.percent` is no longer a field, so the abort never fires; use `percentage.value`",
        );
    }
    if let Some(error) = &abort.http2_error {
        review.reject(error.span, "`http2Error` is not supported");
    }
}

fn percentage(percent: Option<&Percent>, review: &mut Review<'_>) {
    let Some(value) = percent.and_then(|p| p.value.as_ref()) else { return };
    if !(0.0..=100.0).contains(&value.value) || (value.value > 0.0 && value.value < 0.0001) {
        review.reject(value.span, format!("a percentage is 0, or lies between 0.0001 and 100, not at {}", value.value));
    }
}

fn mirrors(rule: &HttpRoute, review: &mut Review<'_>) {
    if let Some(mirror) = &rule.mirror {
        destination(Some(mirror), mirror.span, review);
    }
    for mirror in &rule.mirrors {
        destination(mirror.destination.as_ref(), mirror.span, review);
        mirror_percentage(mirror.percentage.as_ref(), review);
    }
    if let Some(percent) = rule.mirror_percent.as_ref().or(rule.mirror_percent_camel.as_ref()) {
        review.require(percent.value <= 100, percent.span, format!("a percentage is at most 100, not {}", percent.value));
        review.warn(percent.span, "`mirror_percent` is deprecated; use `mirrorPercentage`");
    }
    mirror_percentage(rule.mirror_percentage.as_ref(), review);
}

fn mirror_percentage(percent: Option<&Percent>, review: &mut Review<'_>) {
    if let Some(value) = percent.and_then(|p| p.value.as_ref()).filter(|v| !(0.0..=100.0).contains(&v.value)) {
        review.reject(value.span, format!("a percentage lies between 0 and 100, not at {}", value.value));
    }
}

fn filled(text: Option<&Spanned<String>>) -> Option<&Spanned<String>> {
    text.filter(|t| !t.is_empty())
}

fn redirect(target: &HttpRedirect, rule: &HttpRoute, review: &mut Review<'_>) {
    let texts = [&target.uri, &target.prefix_rewrite, &target.authority, &target.scheme];
    if texts.iter().all(|t| filled(t.as_ref()).is_none()) && target.port.is_none() && target.derive_port.is_none() {
        review.reject(target.span, "a redirect must change something: uri, prefixRewrite, authority, scheme or port");
    }
    if let Some(rewrite) = filled(target.prefix_rewrite.as_ref()) {
        review.require(filled(target.uri.as_ref()).is_none(), rewrite.span, "`prefixRewrite` excludes `uri`");
        for uri in rule.matches.iter().filter_map(|block| block.uri.as_ref()) {
            if uri.prefix.is_none() {
                review.reject(uri.span, "`prefixRewrite` needs every uri of the rule to be a prefix");
            }
        }
    }
    if let Some(code) = target.redirect_code.as_ref().filter(|c| c.value != 0 && !(300..=399).contains(&c.value)) {
        review.reject(code.span, format!("the status of a redirect lies between 300 and 399, not at {}", code.value));
    }
    if let Some(scheme) = filled(target.scheme.as_ref()).filter(|s| !matches!(s.value.as_str(), "http" | "https")) {
        review.reject(scheme.span, format!("`{}` is neither `http` nor `https`", scheme.value));
    }
    if let Some(port) = target.port.as_ref().filter(|p| !(0..=65535).contains(&p.value)) {
        review.reject(port.span, format!("a port lies between 1 and 65535, not at {}", port.value));
    }
}

fn direct_response(answer: &HttpDirectResponse, review: &mut Review<'_>) {
    let status = answer.status.as_ref().map_or(0, |s| s.value);
    if !(200..=600).contains(&status) {
        let place = answer.status.as_ref().map_or(answer.span, |s| s.span);
        review.reject(place, format!("the status of a direct response lies between 200 and 599, not at {status}"));
    }
    let length = answer.body.as_ref().map_or(0, |body| {
        let encoded = body.bytes.as_ref().map_or(0, |b| b.len() * 3 / 4);
        encoded.max(body.string.as_ref().map_or(0, |s| s.len()))
    });
    if length > 1 << 20 {
        review.reject(answer.span, "the body of a direct response has at most 1 MB");
    } else if length > 100 << 10 {
        review.warn(answer.span, "the body of a direct response is larger than 100 KB");
    }
}

const RETRY_POLICIES: &[&str] = &[
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "envoy-ratelimited",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

/// A retry policy (`ValidateHTTPRetry`).
pub(super) fn retries(policy: &HttpRetry, review: &mut Review<'_>) {
    let attempts = policy.attempts.as_ref().map_or(0, |a| a.value);
    review.require(attempts >= 0, policy.span, "`attempts` may not be negative");
    let retry_on = filled(policy.retry_on.as_ref());
    if attempts == 0 && (policy.per_try_timeout.is_some() || retry_on.is_some() || policy.retry_remote_localities.is_some()) {
        review.reject(policy.span, "with 0 attempts there may be no `perTryTimeout`, `retryOn` or `retryRemoteLocalities`");
    }
    review.whole_milliseconds(policy.per_try_timeout.as_ref(), "`perTryTimeout`");
    review.whole_milliseconds(policy.backoff.as_ref(), "`backoff`");
    let Some(retry_on) = retry_on else { return };
    for word in retry_on.split(',') {
        let known = RETRY_POLICIES.contains(&word) || word.parse().is_ok_and(is_named_http_status);
        review.require(known, retry_on.span, format!("`{word}` is neither a retry condition nor a named status"));
    }
}

fn rewrite(change: &HttpRewrite, review: &mut Review<'_>) {
    let uri = filled(change.uri.as_ref());
    if uri.is_none() && change.uri_regex_rewrite.is_none() && filled(change.authority.as_ref()).is_none() {
        review.reject(change.span, "a rewrite must change something: uri, uriRegexRewrite or authority");
    }
    if uri.is_some() && change.uri_regex_rewrite.is_some() {
        review.reject(change.span, "`uri` excludes `uriRegexRewrite`");
    }
    let Some(by_regex) = &change.uri_regex_rewrite else { return };
    match filled(by_regex.pattern.as_ref()) {
        Some(pattern) => regex(pattern, review),
        None => review.reject(by_regex.span, "`uriRegexRewrite` needs `match`"),
    }
    review.require(filled(by_regex.rewrite.as_ref()).is_some(), by_regex.span, "`uriRegexRewrite` needs `rewrite`");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_signs_are_doubled_or_enclose_a_command() {
        for (value, good) in [
            ("plain", true),
            ("100%%", true),
            ("%DOWNSTREAM_REMOTE_ADDRESS%", true),
            ("%REQ(x-user)%-%PROTOCOL%", true),
            ("%REQ(x):10%", false),
            ("50%", false),
            ("% x%", true),
            ("%DYNAMIC_METADATA([\"a\", \"b\"])%", true),
            ("%DYNAMIC_METADATA([\"a\" \"b\"])%", false),
            ("%REQ(x)", false),
            ("%REQ(x", false),
        ] {
            assert_eq!(has_finished_commands(value), good, "{value}");
        }
    }
}
