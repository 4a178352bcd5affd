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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::ProxyKind;
    use crate::mesh::route::{PathMatch, PathTest};
    use crate::routing::testing::request;
    use crate::source::Span;

    fn redirect() -> Redirect {
        Redirect { status: 301, path: None, host: None, port: None, scheme: None }
    }

    #[test]
    fn locations_keep_what_the_redirect_does_not_name() {
        let scheme = |name: &str| Redirect { scheme: Some(name.to_owned()), ..redirect() };
        let port = |port| Redirect { port: Some(port), ..redirect() };
        let host = |name: &str| Redirect { host: Some(name.to_owned()), ..redirect() };
        let path = |path: RedirectPath| Redirect { path: Some(path), ..redirect() };
        let full = |text: &str| path(RedirectPath::Full(text.to_owned()));
        for (redirect, authority, location) in [
            (full("/new"), "svc:8080", "http://svc:8080/new?q=1"),
            (full("/new"), "svc:80", "http://svc:80/new?q=1"),
            (full("/new?a=b"), "svc", "http://svc/new?a=b"),
            (full("n"), "svc", "http://svc/n?q=1"),
            (path(RedirectPath::Prefix("/x".to_owned())), "svc", "http://svc/x/rest?q=1"),
            (host("new.test:9443"), "svc:8080", "http://new.test:9443/old/rest?q=1"),
            (port(80), "svc:8080", "http://svc:80/old/rest?q=1"),
            (port(8080), "[::1]:90", "http://[::1]:8080/old/rest?q=1"),
            (scheme("https"), "svc:80", "https://svc/old/rest?q=1"),
            (scheme("https"), "svc:8080", "https://svc:8080/old/rest?q=1"),
            (scheme("https"), "svc:443", "https://svc:443/old/rest?q=1"),
            (scheme("http"), "svc:80", "http://svc:80/old/rest?q=1"),
        ] {
            let mut request = request("GET", "/old/rest?q=1", &[]);
            request.authority = authority.to_owned();
            let received = Received::new(ProxyKind::Sidecar, &request).unwrap();
            let path = PathMatch { test: PathTest::Prefix("/old".to_owned()), ignore_case: false, span: Span::NOWHERE };
            let matcher = RouteMatch { path, conditions: Vec::new() };
            assert_eq!(super::location(&redirect, &matcher, &received), location, "{redirect:?} {authority}");
        }
    }

    #[test]
    fn a_virtual_host_that_wants_tls_keeps_the_port() {
        let mut request = request("GET", "/a?b", &[]);
        request.authority = "a.test:80".to_owned();
        assert_eq!(tls_location(&Received::new(ProxyKind::Gateway, &request).unwrap()), "https://a.test:80/a?b");
    }
}
