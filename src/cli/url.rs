//! URLs as curl takes them.

use meshsim::routing::{ClientTls, Inside, Opening, Scheme};

/// Where a URL points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// What is spoken.
    protocol: Protocol,
    /// Host without port.
    pub(crate) host: String,
    /// Port.
    pub(crate) port: u16,
    /// Whether the port was written.
    explicit_port: bool,
    /// Path with query; a fragment is dropped, as clients do.
    pub(crate) path: String,
}

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http,
    Https,
    /// Bytes inside of TLS.
    Tls,
    /// Bytes.
    Tcp,
}

const PROTOCOLS: &[(&str, Protocol, Option<u16>)] = &[
    ("http", Protocol::Http, Some(80)),
    ("https", Protocol::Https, Some(443)),
    ("tls", Protocol::Tls, Some(443)),
    ("tcp", Protocol::Tcp, None),
];

impl Target {
    /// Reads a URL; without a scheme it is `http`.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let known = PROTOCOLS.iter().find(|(name, ..)| name.eq_ignore_ascii_case(scheme));
        let (_, protocol, default_port) =
            *known.ok_or_else(|| format!("`{url}`: the scheme must be http, https, tls or tcp, not `{scheme}`"))?;
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let (host, port) = split_port(authority);
        if host.is_empty() {
            return Err(format!("`{url}`: the host is missing"));
        }
        if !host.starts_with('[') && host.contains(':') {
            return Err(format!("`{url}`: write an IPv6 address in brackets, such as `http://[::1]:9080/`"));
        }
        if let Some(odd) = host.chars().find(|c| c.is_whitespace() || c.is_control()) {
            return Err(format!("`{url}`: no host holds {odd:?}; a method is an argument of its own"));
        }
        let number = |port: &str| port.parse::<u16>().ok().filter(|port| *port > 0);
        let written = port.map(|port| number(port).ok_or_else(|| format!("`{url}`: `{port}` is no port"))).transpose()?;
        let port = written.or(default_port).ok_or_else(|| format!("`{url}`: {scheme} needs a port"))?;
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Target {
            protocol,
            host: host.to_owned(),
            port,
            explicit_port: written.is_some_and(|port| Some(port) != default_port),
            path: format!("{slash}{path}"),
        })
    }

    /// The Host header that a client sends: with the port unless it is the scheme's default.
    pub(crate) fn authority(&self) -> String {
        if self.explicit_port { format!("{}:{}", self.host, self.port) } else { self.host.clone() }
    }

    /// How the request reaches the proxy.
    pub(crate) fn scheme(&self) -> Scheme {
        if self.protocol == Protocol::Https { Scheme::Https } else { Scheme::Http }
    }

    /// What the client says first.
    pub(crate) fn opening(&self, server_name: Option<&str>, certificate: bool) -> Opening {
        let tls = |alpn: &[&str], inside| {
            Opening::Tls(ClientTls {
                server_name: Some(server_name.unwrap_or(&self.host).to_owned()),
                alpn: alpn.iter().map(|protocol| (*protocol).to_owned()).collect(),
                certificate,
                at_most_1_2: false,
                inside,
            })
        };
        match self.protocol {
            Protocol::Http => Opening::Clear(Inside::Http),
            Protocol::Tcp => Opening::Clear(Inside::Bytes),
            Protocol::Https => tls(&["h2", "http/1.1"], Inside::Http),
            Protocol::Tls => tls(&[], Inside::Bytes),
        }
    }
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rfind(':') {
        Some(colon) if !authority[colon..].contains(']') => (&authority[..colon], Some(&authority[colon + 1..])),
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_as_curl_reads_them() {
        for (url, authority, port, path) in [
            ("http://reviews:9080/reviews/0", "reviews:9080", 9080, "/reviews/0"),
            ("reviews", "reviews", 80, "/"),
            ("reviews:80?x=1", "reviews", 80, "/?x=1"),
            ("HTTPS://user:pw@a.test/x#frag", "a.test", 443, "/x"),
            ("http://[::1]:8080/", "[::1]:8080", 8080, "/"),
            ("tcp://db:5432", "db:5432", 5432, "/"),
            ("tls://a.test", "a.test", 443, "/"),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!((target.authority().as_str(), target.port, target.path.as_str()), (authority, port, path), "{url}");
        }
    }

    #[test]
    fn what_is_no_url_is_named() {
        for (url, part) in [
            ("ftp://a", "scheme"),
            ("http:///x", "host"),
            ("a:port", "no port"),
            ("a:99999", "no port"),
            ("a:0", "no port"),
            ("tcp://a", "needs"),
            ("::1", "brackets"),
            ("http://fe80::1:9080/", "brackets"),
            ("POST a:9080/", "argument of its own"),
        ] {
            assert!(Target::parse(url).unwrap_err().contains(part), "{url}");
        }
    }
}
