//! What requests differ in, and which values a client can send there.

use crate::routing::matching::is_joined;
use crate::routing::normalise;

/// Something that a condition looks at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// The authority, as it was sent.
    Authority,
    /// The path without its query, normalised.
    Path,
    /// The method.
    Method,
    /// `x-forwarded-proto` as a sidecar sees it, which decides the scheme too.
    ForwardedProto,
    /// A header by lower-case name.
    Header(String),
    /// The first value of a query parameter.
    Query(String),
    /// A claim of a token, its path joined by dots. No request here has one.
    Claim(String),
    /// A condition that is only known to be the same wherever it is written the same.
    Opaque(String),
}

/// How many values a request can have in a dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Arity {
    /// Exactly one.
    One,
    /// One at most.
    Optional,
    /// Any number, each compared for itself.
    Many,
}

/// The values of a dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Domain {
    Authority,
    Path,
    Method,
    Header,
    Query,
}

impl Dimension {
    pub(super) fn arity(&self) -> Arity {
        match self {
            Dimension::Authority | Dimension::Path | Dimension::Method | Dimension::ForwardedProto => Arity::One,
            Dimension::Query(_) => Arity::Optional,
            Dimension::Header(name) if is_joined(name) => Arity::Optional,
            Dimension::Header(_) | Dimension::Claim(_) | Dimension::Opaque(_) => Arity::Many,
        }
    }

    pub(super) fn domain(&self) -> Domain {
        match self {
            Dimension::Authority => Domain::Authority,
            Dimension::Path => Domain::Path,
            Dimension::Method => Domain::Method,
            Dimension::Query(_) => Domain::Query,
            Dimension::ForwardedProto | Dimension::Header(_) | Dimension::Claim(_) | Dimension::Opaque(_) => Domain::Header,
        }
    }

    /// Whether a request of this program can have a value there.
    pub(super) fn can_be_sent(&self) -> bool {
        !matches!(self, Dimension::Claim(_) | Dimension::Opaque(_))
    }
}

/// Characters of a path segment after normalisation.
const SEGMENT: &str = r"[!$%&'()*+,\-.0-9:;=@A-Z\[\]_a-z~]";
/// The same without the dot.
const SEGMENT_START: &str = r"[!$%&'()*+,\-0-9:;=@A-Z\[\]_a-z~]";

impl Domain {
    #[cfg(test)]
    pub(super) const ALL: [Domain; 5] = [Domain::Authority, Domain::Path, Domain::Method, Domain::Header, Domain::Query];

    /// Everything that can arrive, and a little more where the exact set has no simple form. What is
    /// outside of it no client can send: blanks and line breaks in a path, dot segments after
    /// normalisation, an authority that is no host with a port.
    pub(super) fn syntax(self) -> String {
        match self {
            Domain::Authority => r"\A(?:[!$%&'()*+,\-.0-9;=A-Z_a-z~]+|\[[0-9A-Fa-f.\x3A]+\])(?:\x3A[0-9]*)?\z".to_owned(),
            Domain::Path => {
                format!(r"\A(?:/(?:{SEGMENT_START}{SEGMENT}*|\.{SEGMENT_START}{SEGMENT}*|\.\.{SEGMENT}+)?)+\z")
            }
            Domain::Method => r"\A[!#$%&'*+\-.0-9A-Z\^_`a-z|~]+\z".to_owned(),
            Domain::Header => r"\A(?:[^\x00-\x20\x7F]|[^\x00-\x20\x7F][^\x00-\x08\x0A-\x1F\x7F]*[^\x00-\x20\x7F])?\z".to_owned(),
            Domain::Query => r"\A[!-%'-~&&[^#]]*\z".to_owned(),
        }
    }

    /// Whether a client can send something that arrives as this value.
    pub(super) fn admits(self, value: &str) -> bool {
        let all = |allowed: fn(u8) -> bool| value.bytes().all(allowed);
        match self {
            Domain::Authority => is_authority(value),
            Domain::Path => value.starts_with('/') && !value.contains('?') && normalise(value).is_ok_and(|same| same == value),
            Domain::Method => !value.is_empty() && all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)),
            Domain::Header => {
                value.trim_matches([' ', '\t']) == value && value.chars().all(|c| c == '\t' || (c >= ' ' && c != '\u{7f}'))
            }
            Domain::Query => all(|b| b > b' ' && b < 0x7f && b != b'&' && b != b'#'),
        }
    }

    /// The values that are tried before others.
    pub(super) fn favourites(self) -> &'static [&'static str] {
        match self {
            Domain::Authority => &[],
            Domain::Path => &["/", "/a", "/b"],
            Domain::Method => &["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"],
            Domain::Header | Domain::Query => &["a", "b", "1", ""],
        }
    }
}

fn is_authority(value: &str) -> bool {
    let host = crate::routing::without_port(value);
    let port = value[host.len()..].strip_prefix(':').unwrap_or_default();
    let named = |b: u8| b.is_ascii_alphanumeric() || b"!$%&'()*+,-.;=_~".contains(&b);
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_host = match address {
        Some(address) => !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b'.' || b == b':'),
        None => !host.is_empty() && host.bytes().all(named),
    };
    is_host && port.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;

    #[test]
    fn what_can_be_sent_lies_in_the_domain() {
        let values = [
            "",
            "/",
            "/a",
            "a",
            "GET",
            "/a b",
            "/..",
            "/a/../b",
            "/a/.",
            "/..x",
            "/.a",
            "/a//b",
            "/%2F",
            "a.test",
            "a.test:80",
            "[::1]:80",
            "a:b:c",
            "a:b",
            " a",
            "a b",
            "ä",
            "x=y",
            "x&y",
            "x#y",
            "/a?b",
            "[",
            "a@b",
            "\t",
            "/a;b=c",
            "/{a}",
        ];
        for domain in Domain::ALL {
            let syntax = Regex::new(&domain.syntax()).unwrap();
            for value in values {
                assert!(!domain.admits(value) || syntax.is_match(value), "{domain:?} {value}");
            }
        }
    }

    #[test]
    fn what_no_client_can_send_is_outside_of_the_domain() {
        for (domain, value) in [
            (Domain::Path, "/a/../b"),
            (Domain::Path, "/.."),
            (Domain::Path, "/."),
            (Domain::Path, "a"),
            (Domain::Path, "/a b"),
            (Domain::Path, "/a?b"),
            (Domain::Authority, ""),
            (Domain::Authority, "a:b"),
            (Domain::Method, "GET IT"),
            (Domain::Header, " a"),
            (Domain::Header, "a\nb"),
            (Domain::Query, "a&b"),
            (Domain::Query, "a b"),
        ] {
            assert!(!Regex::new(&domain.syntax()).unwrap().is_match(value), "{domain:?} {value}");
            assert!(!domain.admits(value), "{domain:?} {value}");
        }
    }
}
