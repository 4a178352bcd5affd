//! The `Location` of redirects (Envoy: `Http::Utility::newUri`).

use super::received::Received;
use super::rewrite::{replace_prefix, with_query};
use crate::mesh::route::{Redirect, RedirectPath, RouteMatch};

/// The location that a redirecting route names.
#[must_use]
pub fn location(redirect: &Redirect, matcher: &RouteMatch, received: &Received<'_>) -> String {
    let scheme = redirect.scheme.as_deref().unwrap_or(received.scheme);
    let host = match &redirect.host {
        Some(host) => host.as_str(),
        None => client_host(redirect, scheme, received),
    };
    let port = redirect.port.map(|port| format!(":{port}")).unwrap_or_default();
    let path = match &redirect.path {
        None => received.path.to_string(),
        Some(RedirectPath::Full(path)) if path.contains('?') => path.clone(),
        Some(RedirectPath::Full(path)) => with_query(path, received),
        Some(RedirectPath::Prefix(prefix)) => with_query(&replace_prefix(matcher, prefix, received.bare_path()), received),
        Some(RedirectPath::Regex { pattern, substitution }) => {
            with_query(&pattern.replace_all(received.bare_path(), substitution), received)
        }
    };
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("{scheme}://{host}{port}{slash}{path}")
}

/// The location of a virtual host that wants TLS: the Host as sent, its port included.
#[must_use]
pub(super) fn tls_location(received: &Received<'_>) -> String {
    format!("https://{}{}", received.authority, received.path)
}

/// The client's host. Its port goes if the redirect names one, or if the scheme changes and it is
/// the old scheme's default; the old scheme is what `x-forwarded-proto` says.
fn client_host<'a>(redirect: &Redirect, scheme: &str, received: &Received<'a>) -> &'a str {
    let authority = received.authority;
    let Some(colon) = port_start(authority) else { return authority };
    let old_default = match received.forwarded_proto.to_ascii_lowercase().as_str() {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let changes_scheme = scheme != received.forwarded_proto;
    if redirect.port.is_some() || (changes_scheme && &authority[colon..] == old_default) {
        &authority[..colon]
    } else {
        authority
    }
}

fn port_start(authority: &str) -> Option<usize> {
    if authority.starts_with('[') { authority.rfind("]:").map(|end| end + 1) } else { authority.rfind(':') }
}

/// Whether a status has a location at all (Envoy: 201 and 3xx).
#[must_use]
pub(super) const fn has_location(status: u16) -> bool {
    status == 201 || status / 100 == 3
}
