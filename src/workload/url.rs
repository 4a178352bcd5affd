//! The addresses that scenarios write: `http://host[:port][/path]`, `https://…` and
//! `tcp://host:port`.

/// A parsed address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Url {
    /// What is spoken.
    pub kind: UrlKind,
    /// Host and port as written: the Host header.
    pub authority: String,
    /// Port that is dialled: as written, or the scheme's.
    pub port: u16,
    /// Path with query; `/` if none is written, empty for TCP.
    pub path: String,
}

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UrlKind {
    /// HTTP in clear.
    Http,
    /// HTTP inside TLS.
    Https,
    /// Bytes.
    Tcp,
}

/// Why a text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// No known scheme.
    #[error("write `http://host:port/path`, or `tcp://host:port` for a connection without HTTP")]
    Scheme,
    /// No host.
    #[error("there is no host")]
    Host,
    /// The port is no number from 1 to 65535, or TCP has none.
    #[error("the port must be a number from 1 to 65535")]
    Port,
    /// TCP with a path.
    #[error("a `tcp://` address has no path")]
    Path,
}

impl Url {
    /// Reads an address.
    ///
    /// # Errors
    /// The text has another shape.
    pub fn parse(text: &str) -> Result<Url, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let (kind, default_port) = match scheme {
            "http" => (UrlKind::Http, Some(80)),
            "https" => (UrlKind::Https, Some(443)),
            "tcp" => (UrlKind::Tcp, None),
            _ => return Err(UrlError::Scheme),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':') {
            // A colon inside of brackets belongs to an IPv6 address.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (authority, None),
        };
        if host.is_empty() {
            return Err(UrlError::Host);
        }
        let port = match port {
            Some(digits) => digits.parse().ok().filter(|port| *port > 0),
            None => default_port,
        };
        let path = match (kind, path.chars().next()) {
            (UrlKind::Tcp, None) => String::new(),
            (UrlKind::Tcp, Some(_)) => return Err(UrlError::Path),
            (_, Some('/')) => path.to_owned(),
            (_, _) => format!("/{path}"),
        };
        Ok(Url { kind, authority: authority.to_owned(), port: port.ok_or(UrlError::Port)?, path })
    }

    /// The host without port and without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = match self.authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => host,
            _ => &self.authority,
        };
        host.trim_start_matches('[').trim_end_matches(']')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_its_authority_as_written_and_knows_the_port_to_dial() {
        for (text, authority, port, path, host) in [
            ("http://reviews:9080/reviews/0", "reviews:9080", 9080, "/reviews/0", "reviews"),
            ("http://shop.example.com", "shop.example.com", 80, "/", "shop.example.com"),
            ("https://a?q=1", "a", 443, "/?q=1", "a"),
            ("http://[::1]:81/x", "[::1]:81", 81, "/x", "::1"),
            ("http://[::1]", "[::1]", 80, "/", "::1"),
            ("tcp://redis:6379", "redis:6379", 6379, "", "redis"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.authority.as_str(), url.port, url.path.as_str(), url.host()), (authority, port, path, host));
        }
    }

    #[test]
    fn other_texts_are_refused_with_advice() {
        for (text, error) in [
            ("reviews:9080", UrlError::Scheme),
            ("ftp://x", UrlError::Scheme),
            ("http://", UrlError::Host),
            ("http://:80/", UrlError::Host),
            ("http://a:0", UrlError::Port),
            ("http://a:http", UrlError::Port),
            ("tcp://redis", UrlError::Port),
            ("tcp://redis:6379/x", UrlError::Path),
        ] {
            assert_eq!(Url::parse(text), Err(error), "{text}");
        }
    }
}
