//! Redirects and direct responses.

use super::RouteScope;
use super::matches::pattern;
use crate::mesh::compile::virtual_service::Semantics;
use crate::mesh::route::{DirectResponse, Redirect, RedirectPath};
use crate::resource::networking::{HttpDirectResponse, HttpRedirect};

/// Marks the redirect path of a converted Gateway API route as a replacement of the prefix.
pub(in crate::mesh::compile) const PREFIX_MARK: &str = "%PREFIX()%";

pub(super) fn redirect(redirect: &HttpRedirect, scope: &RouteScope<'_>, semantics: Semantics) -> Redirect {
    let text = |field: &Option<crate::source::Spanned<String>>| {
        field.as_ref().map(|value| value.value.clone()).filter(|value| !value.is_empty())
    };
    let scheme = text(&redirect.scheme);
    Redirect {
        status: redirect.redirect_code.as_ref().map_or(301, |code| match code.value {
            0 => 301,
            code => u16::try_from(code).unwrap_or(301),
        }),
        path: path(text(&redirect.uri), text(&redirect.prefix_rewrite), semantics),
        host: text(&redirect.authority),
        port: port(redirect, scheme.as_deref(), scope),
        scheme,
    }
}

fn path(uri: Option<String>, prefix_rewrite: Option<String>, semantics: Semantics) -> Option<RedirectPath> {
    let Some(uri) = uri else { return prefix_rewrite.map(RedirectPath::Prefix) };
    match uri.strip_prefix(PREFIX_MARK) {
        Some(prefix) if semantics.is_gateway_api() => Some(RedirectPath::Prefix(prefix.to_owned())),
        _ => Some(RedirectPath::Full(uri)),
    }
}

/// The port that is put into `Location`: none where it is the scheme's own. "From the request" is
/// the port of the server, because routes are made per port.
fn port(redirect: &HttpRedirect, scheme: Option<&str>, scope: &RouteScope<'_>) -> Option<u16> {
    let from_request = redirect.derive_port.as_ref().is_some_and(|derive| derive.value == "FROM_REQUEST_PORT");
    let port = match &redirect.port {
        Some(port) => u16::try_from(port.value).ok()?,
        None if from_request => scope.port,
        None => return None,
    };
    let scheme = scheme.unwrap_or(if scope.tls { "https" } else { "http" });
    let is_default = matches!((port, scheme), (80, "http") | (443, "https"));
    (port != 0 && !is_default).then_some(port)
}

pub(super) fn direct(response: &HttpDirectResponse) -> DirectResponse {
    let body = response.body.as_ref();
    let text = body.and_then(|body| body.string.as_ref()).map(|text| text.value.clone().into_bytes());
    let bytes = || body.and_then(|body| body.bytes.as_ref()).map(|bytes| decode_base64(bytes));
    DirectResponse {
        status: response.status.as_ref().and_then(|status| u16::try_from(status.value).ok()).unwrap_or(0),
        body: text.or_else(bytes).unwrap_or_default(),
    }
}

/// Decodes a `bytes` field as protobuf's JSON mapping does: both alphabets, padding optional.
fn decode_base64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    let standard: String = text
        .chars()
        .map(|c| {
            if c == '-' {
                '+'
            } else if c == '_' {
                '/'
            } else {
                c
            }
        })
        .collect();
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&base64::alphabet::STANDARD, config).decode(standard).unwrap_or_default()
}

/// The rewrite that removes a segment prefix: what is left keeps one leading slash.
pub(super) fn prefix_removal(prefix: &str) -> (crate::mesh::pattern::Pattern, String) {
    (pattern(&format!("^{}(/?)(.*)", quoted(prefix))), r"/\2".to_owned())
}

/// A text as a pattern that matches it (Go's `regexp.QuoteMeta`).
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::compile::routes::ClusterNames;
    use crate::source::Spanned;

    fn text(value: &str) -> Option<Spanned<String>> {
        Some(Spanned::made_up(value.to_owned()))
    }

    fn redirected(written: &HttpRedirect, tls: bool, semantics: Semantics) -> Redirect {
        let clusters = ClusterNames::default();
        let profile = crate::mesh::Profile::latest();
        let scope = RouteScope {
            profile: &profile,
            mesh_retries: None,
            client_labels: &[],
            client_namespace: "",
            gateway: "mesh",
            port: 8080,
            tls,
            service: &|_| None,
            hash: &|_, _, _| None,
            clusters: &clusters,
        };
        redirect(written, &scope, semantics)
    }

    #[test]
    fn a_port_is_named_unless_it_is_the_schemes_own() {
        let number = |port: i64| HttpRedirect { port: Some(Spanned::made_up(port)), ..HttpRedirect::default() };
        let derived = |word: &str| HttpRedirect { derive_port: text(word), ..HttpRedirect::default() };
        for (written, tls, port) in [
            (number(80), false, None),
            (number(80), true, Some(80)),
            (number(443), true, None),
            (HttpRedirect { scheme: text("https"), ..number(443) }, false, None),
            (derived("FROM_REQUEST_PORT"), false, Some(8080)),
            (derived("FROM_PROTOCOL_DEFAULT"), false, None),
            (HttpRedirect::default(), false, None),
        ] {
            assert_eq!(redirected(&written, tls, Semantics::Istio).port, port, "{written:?} {tls}");
        }
    }

    #[test]
    fn the_prefix_mark_means_something_in_the_gateway_api_only() {
        let written = HttpRedirect { uri: text("%PREFIX()%/new"), ..HttpRedirect::default() };
        let path = |semantics| redirected(&written, false, semantics).path.unwrap();
        assert_eq!(path(Semantics::GatewayApi), RedirectPath::Prefix("/new".to_owned()));
        assert_eq!(path(Semantics::Istio), RedirectPath::Full("%PREFIX()%/new".to_owned()));
    }

    #[test]
    fn bytes_are_base64_in_either_alphabet() {
        for (written, bytes) in [("aGk=", b"hi".as_slice()), ("aGk", b"hi"), ("_-8", b"\xff\xef"), ("/+8=", b"\xff\xef")] {
            assert_eq!(decode_base64(written), bytes, "{written}");
        }
    }
}
