//! Filters of rules and back ends.

use super::back_ends::{self, Referrer, Refused};
use super::conversion::Conversion;
use super::listeners::text;
use crate::diagnostic::{Code, Diagnostic};
use crate::mesh::compile::routes::PREFIX_MARK;
use crate::resource::gateway_api::{
    BackendRef, CorsFilter, HeaderModifier, HeaderValue, RequestMirror, RequestRedirect, RouteFilter, UrlRewrite,
};
use crate::resource::networking::{
    CorsPolicy, HeaderOperations, Headers, HttpMirrorPolicy, HttpRedirect, HttpRewrite, HttpRoute, Percent, RegexRewrite,
    StringMatch,
};
use crate::source::{Span, Spanned};
use crate::time::Duration;
use crate::yaml::Map;

/// Applies the filters of a rule.
pub(super) fn apply(
    rule: &mut HttpRoute,
    filters: &[RouteFilter],
    referrer: Referrer<'_>,
    conversion: Conversion<'_>,
) -> Result<(), Refused> {
    for filter in filters {
        match text(filter.kind.as_ref()) {
            "RequestHeaderModifier" => request_headers(&mut rule.headers, filter),
            "ResponseHeaderModifier" => response_headers(&mut rule.headers, filter),
            "RequestRedirect" => rule.redirect = filter.request_redirect.as_ref().map(redirect),
            "RequestMirror" => {
                if let Some(mirror) = &filter.request_mirror {
                    rule.mirrors.extend(self::mirror(mirror, referrer, conversion)?);
                }
            }
            "URLRewrite" => rule.rewrite = filter.url_rewrite.as_ref().and_then(rewrite),
            "CORS" => rule.cors_policy = filter.cors.as_ref().map(cors),
            other => return Err(unsupported(other, filter.span)),
        }
    }
    Ok(())
}

/// The header operations of a back end, which has no other filters.
pub(super) fn back_end_headers(back_end: &BackendRef) -> Result<Option<Headers>, Refused> {
    let mut headers = None;
    for filter in &back_end.filters {
        match text(filter.kind.as_ref()) {
            "RequestHeaderModifier" => request_headers(&mut headers, filter),
            "ResponseHeaderModifier" => response_headers(&mut headers, filter),
            other => return Err(unsupported(other, filter.span)),
        }
    }
    Ok(headers)
}

fn unsupported(kind: &str, span: Span) -> Refused {
    let message = format!("filter `{kind}` is not supported here");
    Refused::from(Diagnostic::new(Code::InvalidBackEnd, message).at(span).effect("the whole route is left out"))
}

fn request_headers(headers: &mut Option<Headers>, filter: &RouteFilter) {
    if let Some(modifier) = &filter.request_header_modifier {
        headers.get_or_insert_default().request = Some(operations(modifier));
    }
}

fn response_headers(headers: &mut Option<Headers>, filter: &RouteFilter) {
    if let Some(modifier) = &filter.response_header_modifier {
        headers.get_or_insert_default().response = Some(operations(modifier));
    }
}

fn operations(modifier: &HeaderModifier) -> HeaderOperations {
    HeaderOperations {
        set: first_of_each(&modifier.set),
        add: first_of_each(&modifier.add),
        remove: modifier.remove.clone(),
        span: modifier.span,
    }
}

/// Of several entries for one header the first counts.
fn first_of_each(values: &[HeaderValue]) -> Map<Spanned<String>> {
    let mut entries: Vec<(Spanned<String>, Spanned<String>)> = Vec::new();
    for entry in values {
        let name = text(entry.name.as_ref()).to_ascii_lowercase();
        if entries.iter().all(|(known, _)| known.value != name) {
            let value = entry.value.clone().unwrap_or_default();
            entries.push((Spanned::new(name, entry.span), value));
        }
    }
    Map(entries)
}

/// A redirect; without a port it names the listener's, unless a scheme is given.
fn redirect(filter: &RequestRedirect) -> HttpRedirect {
    let derive = if filter.scheme.is_some() { "FROM_PROTOCOL_DEFAULT" } else { "FROM_REQUEST_PORT" };
    let path = filter.path.as_ref();
    let uri = path.and_then(|path| match text(path.kind.as_ref()) {
        "ReplaceFullPath" => path.replace_full_path.clone(),
        "ReplacePrefixMatch" => {
            path.replace_prefix_match.as_ref().map(|prefix| Spanned::new(format!("{PREFIX_MARK}{}", prefix.value), prefix.span))
        }
        _ => None,
    });
    HttpRedirect {
        uri,
        authority: filter.hostname.clone(),
        port: filter.port,
        derive_port: filter.port.is_none().then(|| Spanned::new(derive.to_owned(), filter.span)),
        scheme: filter.scheme.clone(),
        // The API server fills in 302.
        redirect_code: Some(filter.status_code.unwrap_or(Spanned::new(302, filter.span))),
        span: filter.span,
        ..HttpRedirect::default()
    }
}

fn rewrite(filter: &UrlRewrite) -> Option<HttpRewrite> {
    let path = filter.path.as_ref();
    let kind = path.map_or("", |path| text(path.kind.as_ref()));
    let prefix = path.and_then(|path| path.replace_prefix_match.as_ref()).filter(|_| kind == "ReplacePrefixMatch");
    let full = path.and_then(|path| path.replace_full_path.as_ref()).filter(|_| kind == "ReplaceFullPath");
    let uri = prefix.map(|prefix| {
        let trimmed = prefix.strip_suffix('/').unwrap_or(prefix);
        Spanned::new(if trimmed.is_empty() { "/" } else { trimmed }.to_owned(), prefix.span)
    });
    let regex = full.map(|full| RegexRewrite {
        pattern: Some(Spanned::new("/.*".to_owned(), full.span)),
        rewrite: Some(full.clone()),
        span: full.span,
    });
    let is_empty = uri.is_none() && regex.is_none() && filter.hostname.is_none();
    (!is_empty).then(|| HttpRewrite { uri, uri_regex_rewrite: regex, authority: filter.hostname.clone(), span: filter.span })
}

/// A mirror. One to a back end that does not exist or may not be used is left out of an HTTPRoute, and
/// keeps a GRPCRoute out.
fn mirror(
    filter: &RequestMirror,
    referrer: Referrer<'_>,
    conversion: Conversion<'_>,
) -> Result<Option<HttpMirrorPolicy>, Refused> {
    let Some(back_end) = &filter.backend_ref else { return Ok(None) };
    let destination = back_ends::destination(back_end, referrer, conversion)?;
    if !back_ends::exists(&destination, conversion) {
        if referrer.kind == "GRPCRoute" {
            let message = "a mirror of a GRPCRoute needs a back end that exists and may be used";
            return Err(Refused::from(Diagnostic::new(Code::InvalidBackEnd, message).at(back_end.span)));
        }
        return Ok(None);
    }
    let percentage = match (&filter.fraction, &filter.percent) {
        (Some(fraction), _) => {
            let number = |field: &Option<Spanned<i64>>, otherwise: i64| field.map_or(otherwise, |f| f.value) as f64;
            Some(100.0 * number(&fraction.numerator, 0) / number(&fraction.denominator, 100))
        }
        (None, Some(percent)) => Some(percent.value as f64),
        (None, None) => None,
    };
    let percentage = percentage.map(|value| Percent { value: Some(Spanned::new(value, filter.span)), span: filter.span });
    Ok(Some(HttpMirrorPolicy { destination: Some(destination), percentage, span: filter.span }))
}

fn cors(filter: &CorsFilter) -> CorsPolicy {
    let origin =
        |origin: &Spanned<String>| StringMatch { exact: Some(origin.clone()), span: origin.span, ..StringMatch::default() };
    let seconds = filter.max_age.map_or(5, |age| age.value);
    CorsPolicy {
        allow_origins: filter.allow_origins.iter().map(origin).collect(),
        allow_methods: filter.allow_methods.clone(),
        allow_headers: filter.allow_headers.clone(),
        expose_headers: filter.expose_headers.clone(),
        max_age: u64::try_from(seconds).ok().filter(|s| *s > 0).map(|s| Spanned::new(Duration::from_secs(s), filter.span)),
        allow_credentials: (filter.allow_credentials == Some(true)).then(|| Spanned::new(true, filter.span)),
        unmatched_preflights: Some(Spanned::new("IGNORE".to_owned(), filter.span)),
        span: filter.span,
        ..CorsPolicy::default()
    }
}
