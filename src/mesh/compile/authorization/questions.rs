//! The questions that values of fields ask (Istio: `authz/model/generator.go`). A value that is no
//! network or port asks nothing; admission has refused it.

use crate::mesh::authorization::{Test, Text};
use crate::mesh::network::Network;
use crate::mesh::pattern::Pattern;

/// Scheme of identities in certificates; policies write them without.
const SCHEME: &str = "spiffe://";

/// A principal, in all trust domains that count as the mesh's own.
pub(super) fn principal(value: &str, trust_domains: &[String]) -> Vec<Test> {
    in_trust_domains(value, trust_domains).iter().map(|value| Test::Identity(principal_text(value))).collect()
}

fn principal_text(value: &str) -> Text {
    match Text::of(value) {
        Text::NotEmpty => Text::NotEmpty,
        Text::Exact(exact) => Text::Exact(format!("{SCHEME}{exact}")),
        Text::Prefix(prefix) => Text::Prefix(format!("{SCHEME}{prefix}")),
        Text::Suffix(suffix) => pattern(&format!("{SCHEME}.*{}", quoted(&suffix))),
        Text::Matches(pattern) => Text::Matches(pattern),
    }
}

/// A principal of the mesh's trust domain, of an alias or of `cluster.local` stands for all of them
/// (Istio: `trustdomain.Bundle`).
fn in_trust_domains(value: &str, trust_domains: &[String]) -> Vec<String> {
    let parts: Vec<&str> = value.split('/').collect();
    let [domain, rest @ ..] = parts.as_slice() else { return vec![value.to_owned()] };
    let is_own = || *domain == "cluster.local" || trust_domains.iter().any(|own| Text::of(own).matches(domain));
    if rest.len() != 4 || *domain == "*" || !is_own() {
        return vec![value.to_owned()];
    }
    let mut all: Vec<String> = Vec::new();
    for own in trust_domains {
        let is_covered = domain.strip_prefix('*').is_some_and(|suffix| own.ends_with(suffix));
        let migrated = if is_covered { value.to_owned() } else { format!("{own}/{}", rest.join("/")) };
        if !all.contains(&migrated) {
            all.push(migrated);
        }
    }
    all
}

/// A namespace, with wildcards anywhere.
pub(super) fn namespace(value: &str) -> Vec<Test> {
    vec![Test::Identity(pattern(&format!(".*/ns/{}/.*", value.split('*').map(quoted).collect::<Vec<_>>().join(".*"))))]
}

/// A trust domain, with at most one wildcard. The mesh's own stands for its aliases too.
pub(super) fn trust_domain(value: &str, trust_domains: &[String]) -> Vec<Test> {
    let text = |value: &str| match value.split_once('*') {
        Some((before, after)) => pattern(&format!("{SCHEME}{}[^/]*{}/.*", quoted(before), quoted(after))),
        None => Text::Prefix(format!("{SCHEME}{value}/")),
    };
    match value {
        "*" => vec![Test::Identity(Text::Prefix(SCHEME.to_owned()))],
        _ if trust_domains.iter().any(|own| own == value) => trust_domains.iter().map(|own| Test::Identity(text(own))).collect(),
        _ => vec![Test::Identity(text(value))],
    }
}

/// A service account, `name` or `namespace/name`; without namespace it is the policy's.
pub(super) fn service_account(value: &str, policy_namespace: &str) -> Vec<Test> {
    let (namespace, account) = value.split_once('/').unwrap_or((policy_namespace, value));
    let regex = format!("{SCHEME}.+/ns/{}/(.+/|)sa/{}(/.+)?", quoted(namespace), quoted(account));
    vec![Test::Identity(pattern(&regex))]
}

pub(super) fn peer_address(value: &str) -> Vec<Test> {
    Network::parse(value).map(Test::PeerAddress).into_iter().collect()
}

pub(super) fn remote_address(value: &str) -> Vec<Test> {
    Network::parse(value).map(Test::RemoteAddress).into_iter().collect()
}

pub(super) fn destination_address(value: &str) -> Vec<Test> {
    Network::parse(value).map(Test::DestinationAddress).into_iter().collect()
}

pub(super) fn destination_port(value: &str) -> Vec<Test> {
    value.parse().map(Test::DestinationPort).into_iter().collect()
}

pub(super) fn server_name(value: &str) -> Vec<Test> {
    vec![Test::ServerName(Text::of(value))]
}

pub(super) fn host(value: &str) -> Vec<Test> {
    match value {
        "*" => vec![Test::HeaderPresent(":authority".to_owned())],
        _ => vec![Test::Host(Text::of(value))],
    }
}

pub(super) fn method(value: &str) -> Vec<Test> {
    header(":method", value)
}

fn header(name: &str, value: &str) -> Vec<Test> {
    match value {
        "*" => vec![Test::HeaderPresent(name.to_owned())],
        _ => vec![Test::Header(name.to_owned(), Text::of(value))],
    }
}

/// A path or a template of one: `{*}` is one segment, `{**}` any number of them (Envoy:
/// `uri_template`).
pub(super) fn path(value: &str) -> Vec<Test> {
    const LITERALS: &str = "a-zA-Z0-9-._~%!$&'()+,;:@=";
    if !value.contains("{*}") && !value.contains("{**}") {
        return vec![Test::Path(Text::of(value))];
    }
    let one = format!("[{LITERALS}]+");
    let any = format!("[{LITERALS}/]*");
    let segment = |segment: &str| match segment {
        "{*}" | "*" => one.clone(),
        "{**}" | "**" => any.clone(),
        text => quoted(text),
    };
    vec![Test::Path(pattern(&value.split('/').map(segment).collect::<Vec<_>>().join("/")))]
}

/// `issuer/subject`, with a wildcard at one end; the issuer may hold slashes itself.
pub(super) fn request_principal(value: &str) -> Vec<Test> {
    let (issuer, subject) = match value.rsplit_once('/') {
        Some((issuer, subject)) => (issuer, Some(subject)),
        None => (value, None),
    };
    let exact = |text: &str| Text::Exact(text.to_owned());
    let (issuer, subject) = match (value.strip_prefix('*'), value.strip_suffix('*'), subject) {
        (Some(""), _, _) => (Text::NotEmpty, Text::NotEmpty),
        (Some(_), _, Some(subject)) => (Text::of(issuer), exact(subject)),
        (Some(suffix), _, None) => (Text::NotEmpty, Text::Suffix(suffix.to_owned())),
        (None, Some(_), Some(subject)) => (exact(issuer), Text::of(subject)),
        (None, Some(prefix), None) => (Text::Prefix(prefix.to_owned()), Text::NotEmpty),
        (None, None, subject) => (exact(issuer), exact(subject.unwrap_or(""))),
    };
    vec![Test::RequestPrincipal(issuer, subject)]
}

pub(super) fn claim(keys: &[String], value: &str) -> Vec<Test> {
    vec![Test::Claim(keys.to_vec(), Text::of(value))]
}

/// A key of `when` that names something in brackets.
pub(super) enum Keyed {
    /// `request.headers[name]`.
    Header(String),
    /// `request.auth.claims[name]`, or `[outer][inner]`.
    Claim(Vec<String>),
}

impl Keyed {
    /// Reads a key.
    pub(super) fn of(key: &str) -> Option<Self> {
        let bracketed = |prefix: &str| key.strip_prefix(prefix)?.strip_prefix('[')?.strip_suffix(']');
        if let Some(name) = bracketed("request.headers") {
            return Some(Keyed::Header(name.to_ascii_lowercase()));
        }
        let names = bracketed("request.auth.claims")?;
        let keys: Vec<String> = names.split("][").map(str::to_owned).collect();
        // Brackets that do not nest are part of a single name.
        let nested = keys.iter().all(|key| !key.contains(['[', ']']));
        Some(Keyed::Claim(if nested { keys } else { vec![names.to_owned()] }))
    }

    /// What a value asks.
    pub(super) fn test(&self, value: &str) -> Vec<Test> {
        match self {
            Keyed::Header(name) => header(name, value),
            Keyed::Claim(keys) => claim(keys, value),
        }
    }
}

/// A pattern that is made here. One that is too big for the proxy matches nothing.
fn pattern(regex: &str) -> Text {
    Pattern::new(regex).map_or_else(|_| Text::Exact(regex.to_owned()), Text::Matches)
}

/// A text as a pattern for itself.
fn quoted(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len() + 8), |mut out, letter| {
        if "\\.+*?()|[]{}^$".contains(letter) {
            out.push('\\');
        }
        out.push(letter);
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity_holds(tests: &[Test], identity: &str) -> bool {
        tests.iter().any(|test| matches!(test, Test::Identity(text) if text.matches(identity)))
    }

    #[test]
    fn identities_are_compared_as_a_whole() {
        let own = ["cluster.local".to_owned()];
        let of = |value: &str| principal(value, &own);
        for (tests, identity, holds) in [
            (of("cluster.local/ns/a/sa/b"), "spiffe://cluster.local/ns/a/sa/b", true),
            (of("cluster.local/ns/a/sa/b"), "spiffe://cluster.local/ns/a/sa/bb", false),
            (of("cluster.local/ns/a/*"), "spiffe://cluster.local/ns/a/sa/b", true),
            (of("*/sa/b"), "spiffe://other/ns/a/sa/b", true),
            (of("*.local/ns/a/sa/b"), "spiffe://clusterxlocal/ns/a/sa/b", false),
            (of("spiffe://cluster.local/ns/a/sa/b"), "spiffe://cluster.local/ns/a/sa/b", false),
            (namespace("a.c"), "spiffe://cluster.local/ns/abc/sa/x", false),
            (namespace("a*c"), "spiffe://cluster.local/ns/abc/sa/x", true),
            (namespace("a"), "spiffe://cluster.local/ns/ab/sa/x", false),
            (service_account("b", "a"), "spiffe://cluster.local/ns/a/sa/b", true),
            (service_account("c/b", "a"), "spiffe://cluster.local/ns/a/sa/b", false),
            (service_account("a/b", "x"), "spiffe://cluster.local/ns/a/sa/b-2", false),
            (trust_domain("cluster.local", &own), "spiffe://cluster.local/ns/a/sa/b", true),
            (trust_domain("cluster.local", &own), "spiffe://cluster.local.evil/ns/a/sa/b", false),
            (trust_domain("*.local", &own), "spiffe://cluster.local/ns/a/sa/b", true),
        ] {
            assert_eq!(identity_holds(&tests, identity), holds, "{tests:?} {identity}");
        }
    }

    #[test]
    fn principals_of_the_own_trust_domain_follow_its_aliases() {
        let domains = ["new-td".to_owned(), "old-td".to_owned()];
        for (value, expected) in [
            ("old-td/ns/a/sa/b", &["new-td/ns/a/sa/b", "old-td/ns/a/sa/b"][..]),
            ("cluster.local/ns/a/sa/b", &["new-td/ns/a/sa/b", "old-td/ns/a/sa/b"]),
            ("*-td/ns/a/sa/b", &["*-td/ns/a/sa/b"]),
            ("foreign/ns/a/sa/b", &["foreign/ns/a/sa/b"]),
            ("*/ns/a/sa/b", &["*/ns/a/sa/b"]),
            ("old-td/ns/a/*", &["old-td/ns/a/*"]),
        ] {
            assert_eq!(in_trust_domains(value, &domains), expected, "{value}");
        }
    }

    #[test]
    fn templates_stand_for_segments() {
        for (template, text, holds) in [
            ("/a/{*}", "/a/b", true),
            ("/a/{*}", "/a/", false),
            ("/a/{*}", "/a/b/c", false),
            ("/a/{**}", "/a/b/c", true),
            ("/a/{**}", "/a/", true),
            ("/a/{**}", "/a", false),
            ("/a/{**}/z", "/a/b/c/z", true),
            ("/{*}.x/b", "/y.x/b", false),
            ("/a.b/{*}", "/axb/c", false),
            ("/a/{*}", "/a/b*c", false),
        ] {
            let holding = path(template).iter().any(|test| matches!(test, Test::Path(own) if own.matches(text)));
            assert_eq!(holding, holds, "{template} {text}");
        }
    }

    #[test]
    fn claims_may_lie_in_claims() {
        for (key, keys) in [
            ("request.auth.claims[iss]", &["iss"][..]),
            ("request.auth.claims[a][b]", &["a", "b"]),
            ("request.auth.claims[a[b]c]", &["a[b]c"]),
        ] {
            assert!(matches!(Keyed::of(key), Some(Keyed::Claim(own)) if own == keys), "{key}");
        }
        assert!(Keyed::of("request.auth.claims").is_none() && Keyed::of("request.headers[x").is_none());
    }
}
