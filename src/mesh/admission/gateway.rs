//! Gateways of `networking.istio.io` (`ValidateGateway`).

use super::names;
use super::review::Review;
use crate::resource::networking::{IstioGateway, Server, ServerTlsSettings};
use crate::source::{Span, Spanned};

/// What Istio makes of a protocol's name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// HTTP, HTTP2, GRPC and so on.
    Http,
    /// HTTPS and TLS.
    Tls,
    /// TCP and the protocols told by name.
    Tcp,
    /// UDP.
    Udp,
    /// Not a known name.
    Unknown,
}

/// The family of a protocol's name, in any case (`protocol.Parse`).
pub(super) fn family(protocol: &str) -> Family {
    match protocol.to_ascii_lowercase().as_str() {
        "http" | "http2" | "grpc" | "grpc-web" | "http_proxy" | "hbone" => Family::Http,
        "https" | "tls" => Family::Tls,
        "tcp" | "mongo" | "redis" | "mysql" => Family::Tcp,
        "udp" => Family::Udp,
        _ => Family::Unknown,
    }
}

pub(super) fn check(spec: &IstioGateway, review: &mut Review<'_>) {
    if !names::is_label(&review.object.name) {
        let span = review.object.meta.name.as_ref().map_or(spec.span, |n| n.span);
        review.reject(span, "the name of a Gateway is one DNS label, without dots");
    }
    review.require(!spec.servers.is_empty(), spec.span, "a Gateway needs at least one server");
    let name = |s: &Server| s.port.as_ref().map(|p| p.name.as_ref().map(|n| n.value.clone()).unwrap_or_default());
    for (index, server) in spec.servers.iter().enumerate() {
        check_server(server, review);
        let Some(own) = name(server) else { continue };
        if spec.servers[..index].iter().any(|earlier| name(earlier).as_ref() == Some(&own)) {
            review.reject(server.span, format!("the port name `{own}` stands twice"));
        }
        let protocol = server.port.as_ref().and_then(|p| p.protocol.as_ref()).map_or("", |p| p.value.as_str());
        if let Some(settings) = &server.tls
            && family(protocol) != Family::Http
            && settings.https_redirect.as_ref().is_some_and(|r| r.value)
        {
            review.warn(settings.span, "`httpsRedirect` is for plain HTTP servers");
        }
    }
}

fn check_server(server: &Server, review: &mut Review<'_>) {
    review.require(!server.hosts.is_empty(), server.span, "a server needs at least one host");
    for host in &server.hosts {
        namespaced_host(host, true, review);
    }
    let bind = server.bind.as_ref().map_or("", |b| b.value.as_str());
    let number = port(server, bind, review);
    match bind.strip_prefix("unix://") {
        Some(path) => {
            review.require(names::is_socket_path(path), server.span, "a unix socket needs an absolute path or an abstract name");
            review.require(number == 0, server.span, "a unix socket goes with port 0");
        }
        None if bind.is_empty() => {}
        None => review.require(names::is_address(bind), server.span, format!("`{bind}` is not an address to bind to")),
    }
    if let Some(settings) = &server.tls {
        tls(settings, review);
    }
    tls_fits_protocol(server, review);
}

fn port(server: &Server, bind: &str, review: &mut Review<'_>) -> i64 {
    let Some(port) = &server.port else {
        review.reject(server.span, "a server needs a port");
        return 0;
    };
    let protocol = port.protocol.as_ref().map_or("", |p| p.value.as_str());
    review.require(family(protocol) != Family::Unknown, port.span, format!("`{protocol}` is not a protocol of a server"));
    let number = port.number.as_ref().map_or(0, |n| n.value);
    if number > 0 || !bind.starts_with("unix://") {
        review.require((1..=65535).contains(&number), port.span, format!("a port lies between 1 and 65535, not at {number}"));
    }
    review.require(port.name.as_ref().is_some_and(|n| !n.is_empty()), port.span, "a port needs a name");
    if let Some(target) = port.target_port.as_ref().filter(|t| t.value > 0) {
        review.reject(target.span, "`targetPort` has no meaning at a Gateway");
    }
    number
}

fn tls_fits_protocol(server: &Server, review: &mut Review<'_>) {
    let protocol = server.port.as_ref().and_then(|p| p.protocol.as_ref()).map_or("", |p| p.value.as_str());
    match (family(protocol), &server.tls) {
        (Family::Tls, None) => review.reject(server.span, format!("a server for {protocol} needs tls settings")),
        (Family::Http, Some(settings)) if !passes_through(settings) || has_files(settings) => {
            review.reject(settings.span, "a plain HTTP server may have no tls settings but `httpsRedirect`");
        }
        (Family::Tcp | Family::Udp, Some(settings)) => {
            review.reject(settings.span, format!("a server for {protocol} may have no tls settings"));
        }
        _ => {}
    }
}

fn passes_through(settings: &ServerTlsSettings) -> bool {
    matches!(mode(settings), "PASSTHROUGH" | "AUTO_PASSTHROUGH")
}

fn given(text: &Option<Spanned<String>>) -> bool {
    text.as_ref().is_some_and(|text| !text.is_empty())
}

fn has_files(settings: &ServerTlsSettings) -> bool {
    [&settings.server_certificate, &settings.private_key, &settings.ca_certificates].iter().any(|file| given(file))
}

fn mode(settings: &ServerTlsSettings) -> &str {
    settings.mode.as_ref().map_or("PASSTHROUGH", |m| m.value.as_str())
}

/// The cipher suites that Istio lets through (`security.IsValidCipherSuite`).
const CIPHERS: &[&str] = &[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-SHA",
    "AES256-SHA",
    "DES-CBC3-SHA",
    "ALL",
];

/// Whether Istio passes a cipher suite on: known ones, and whatever begins like an operator.
fn is_cipher(suite: &str) -> bool {
    CIPHERS.contains(&suite) || !suite.starts_with(char::is_alphanumeric)
}

/// TLS settings of a server or of an ingress listener (`validateTLSOptions`).
pub(super) fn tls(settings: &ServerTlsSettings, review: &mut Review<'_>) {
    for (index, cipher) in settings.cipher_suites.iter().enumerate() {
        if !is_cipher(&cipher.value) {
            review.warn(cipher.span, format!("`{}` is not a cipher suite that Istio knows; it is ignored", cipher.value));
        } else if settings.cipher_suites[..index].iter().any(|earlier| earlier.value == cipher.value) {
            review.warn(cipher.span, format!("the cipher suite `{}` stands twice", cipher.value));
        }
    }
    let minimum = settings.min_protocol_version.as_ref().map_or("", |v| v.value.as_str());
    if matches!(minimum, "TLSV1_0" | "TLSV1_1") && settings.cipher_suites.is_empty() {
        review.warn(settings.span, "a minimum version below TLS 1.2 needs cipher suites that such clients have");
    }
    certificates(settings, review);
}

fn certificates(settings: &ServerTlsSettings, review: &mut Review<'_>) {
    let span: Span = settings.span;
    let credential = given(&settings.credential_name) || !settings.credential_names.is_empty();
    let several = !settings.tls_certificates.is_empty();
    if mode(settings) == "ISTIO_MUTUAL" {
        let own = has_files(settings) || credential || several;
        review.require(!own, span, "mode ISTIO_MUTUAL brings its own certificates");
        return;
    }
    if passes_through(settings) && (has_files(settings) || credential || several || given(&settings.ca_crl)) {
        review.warn(span, "certificates have no effect where TLS passes through");
    }
    let sources = [
        given(&settings.server_certificate) && given(&settings.private_key),
        given(&settings.credential_name),
        !settings.credential_names.is_empty(),
        several,
    ];
    if sources.iter().filter(|source| **source).count() > 1 {
        review.reject(span, "the server's certificate has more than one source");
    }
    let terminates = matches!(mode(settings), "SIMPLE" | "MUTUAL" | "OPTIONAL_MUTUAL");
    if terminates && credential {
        return;
    }
    if terminates {
        if mode(settings) != "SIMPLE" {
            review.require(given(&settings.ca_certificates), span, "a mutual mode needs `caCertificates`");
        }
        let complete = match several {
            true => settings.tls_certificates.iter().all(|c| given(&c.server_certificate) && given(&c.private_key)),
            false => given(&settings.server_certificate) && given(&settings.private_key),
        };
        review.require(complete, span, "the server needs `serverCertificate` and `privateKey`, or `credentialName`");
    }
    if given(&settings.ca_crl) {
        review.require(!given(&settings.credential_name), span, "with `credentialName` the `caCrl` belongs into the secret");
        review.require(mode(settings) != "SIMPLE", span, "`caCrl` has no meaning with mode SIMPLE");
    }
}

/// `namespace/host` or `host`, as Gateways (`host` alone allowed) and Sidecars (namespace required)
/// write it (`validateNamespaceSlashWildcardHostname`).
pub(super) fn namespaced_host(entry: &Spanned<String>, at_gateway: bool, review: &mut Review<'_>) {
    let text = entry.value.as_str();
    let (namespace, host) = match text.split_once('/') {
        Some((namespace, host)) => (Some(namespace), host),
        None => (None, text),
    };
    match namespace {
        None if at_gateway => {}
        None => review.reject(entry.span, format!("`{text}` is not `namespace/host`")),
        Some(namespace) => {
            // A Sidecar leaves out what has a tilde, alone for every namespace.
            let (label, excludes) = match namespace.strip_prefix('~').filter(|_| !at_gateway) {
                Some(label) => (label, true),
                None => (namespace, false),
            };
            let valid = matches!(label, "." | "*") || (excludes && label.is_empty()) || names::is_label(label);
            review.require(valid, entry.span, format!("`{namespace}` is neither `.`, `*` nor a namespace"));
        }
    }
    if let Some(why) = wrong_dotted_host(host, at_gateway) {
        review.reject(entry.span, why);
    }
}

/// `*`, or a name with a dot that may begin with `*.`; at gateways also an address with a dot.
fn wrong_dotted_host(host: &str, at_gateway: bool) -> Option<String> {
    if host == "*" {
        return None;
    }
    if !host.contains('.') {
        return Some(format!("`{host}` is a short name; write the full domain name"));
    }
    if host.contains('*') && !host.starts_with("*.") {
        return Some(format!("`{host}` has a wildcard that is not a whole label"));
    }
    names::wrong_wildcard_domain(host).filter(|_| !(at_gateway && names::is_address(host)))
}
