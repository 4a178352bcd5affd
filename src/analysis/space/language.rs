//! Sets of texts that conditions ask for.

use crate::mesh::pattern::Pattern;

/// A set of texts.
#[derive(Debug, Clone)]
pub(super) enum Language {
    /// One text.
    Exact { text: String, ignore_case: bool },
    /// Texts that begin with this one.
    Prefix { text: String, ignore_case: bool },
    /// Paths that are this one or lie below it.
    Segment { text: String, ignore_case: bool },
    /// Texts all of which match.
    Regex(Pattern),
    /// Authorities whose host a domain of a route table stands for.
    Host { domain: String, ignores_port: bool },
}

impl Language {
    /// What tells languages apart.
    pub(super) fn key(&self) -> String {
        let folded = |ignore_case: &bool| if *ignore_case { "i" } else { "" };
        match self {
            Language::Exact { text, ignore_case } => format!("={} {text}", folded(ignore_case)),
            Language::Prefix { text, ignore_case } => format!("^{} {text}", folded(ignore_case)),
            Language::Segment { text, ignore_case } => format!("/{} {text}", folded(ignore_case)),
            Language::Regex(pattern) => format!("~ {}", pattern.source()),
            Language::Host { domain, ignores_port } => format!("@{} {domain}", u8::from(*ignores_port)),
        }
    }

    /// Whether a text is one of them.
    pub(super) fn contains(&self, value: &str) -> bool {
        match self {
            Language::Exact { text, ignore_case: true } => value.eq_ignore_ascii_case(text),
            Language::Exact { text, ignore_case: false } => value == text,
            Language::Prefix { text, ignore_case } => begins(value, text, *ignore_case),
            Language::Segment { text, ignore_case } => {
                begins(value, text, *ignore_case) && matches!(value.as_bytes().get(text.len()), None | Some(b'/'))
            }
            Language::Regex(pattern) => pattern.matches(value),
            Language::Host { domain, ignores_port } => host_contains(domain, *ignores_port, value),
        }
    }

    /// The only text, if there is just one.
    pub(super) fn only(&self) -> Option<&str> {
        match self {
            Language::Exact { text, ignore_case: false } => Some(text),
            _ => None,
        }
    }

    /// Whether every text is one of them, as far as that can be seen at once.
    pub(super) fn is_everything(&self) -> bool {
        match self {
            Language::Prefix { text, .. } => text.is_empty(),
            Language::Host { domain, .. } => domain == "*",
            _ => false,
        }
    }

    /// Texts that are likely to be among them, the plainest first.
    pub(super) fn samples(&self) -> Vec<String> {
        let with = |text: &str, ends: &[&str]| ends.iter().map(|end| format!("{text}{end}")).collect();
        match self {
            Language::Exact { text, .. } => vec![text.clone()],
            Language::Prefix { text, .. } => with(text, &["", "a", "/a", "b", "/b"]),
            Language::Segment { text, .. } => with(text, &["", "/", "/a", "/b"]),
            Language::Regex(_) => Vec::new(),
            Language::Host { domain, .. } => match (domain.strip_prefix('*'), domain.strip_suffix('*')) {
                (Some(""), _) => vec!["a.test".to_owned(), "b.test".to_owned()],
                (Some(suffix), _) => vec![format!("a{suffix}"), format!("b{suffix}")],
                (None, Some(prefix)) => with(prefix, &["a", "b"]),
                (None, None) => vec![domain.clone()],
            },
        }
    }

    /// The texts as a regular expression that is anchored at both ends.
    pub(super) fn syntax(&self) -> String {
        match self {
            Language::Exact { text, ignore_case } => format!(r"\A{}\z", verbatim(text, *ignore_case)),
            Language::Prefix { text, ignore_case } => format!(r"\A{}(?s:.*)\z", verbatim(text, *ignore_case)),
            Language::Segment { text, ignore_case } => format!(r"\A{}(?:/(?s:.*))?\z", verbatim(text, *ignore_case)),
            Language::Regex(pattern) => pattern.anchored_syntax().to_owned(),
            Language::Host { domain, ignores_port } => host_syntax(domain, *ignores_port),
        }
    }
}

fn begins(value: &str, prefix: &str, ignore_case: bool) -> bool {
    let start = value.as_bytes().get(..prefix.len());
    start
        .is_some_and(|start| if ignore_case { start.eq_ignore_ascii_case(prefix.as_bytes()) } else { start == prefix.as_bytes() })
}

/// A text as a pattern for itself.
fn escape(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("\\x{{{:X}}}", u32::from(c)) }).collect()
}

/// The same as a group. Case is folded in ASCII, as the proxy does it.
fn verbatim(text: &str, ignore_case: bool) -> String {
    let flags = match (ignore_case, text.is_ascii()) {
        (true, true) => "i-u",
        (true, false) => "i",
        (false, _) => "",
    };
    format!("(?{flags}:{})", escape(text))
}

/// Whether a domain stands for the host of an authority, as the proxy compares them.
fn host_contains(domain: &str, ignores_port: bool, authority: &str) -> bool {
    let host = if ignores_port { crate::routing::without_port(authority) } else { authority };
    let host = host.to_ascii_lowercase();
    match (domain.strip_prefix('*'), domain.strip_suffix('*')) {
        (Some(""), _) => true,
        (Some(suffix), _) => host.len() > suffix.len() && host.ends_with(suffix),
        (None, Some(prefix)) => host.len() > prefix.len() && host.starts_with(prefix),
        (None, None) => host == domain,
    }
}

/// The same among authorities that are a host and perhaps a port.
fn host_syntax(domain: &str, ignores_port: bool) -> String {
    if domain == "*" {
        return r"\A(?s:.*)\z".to_owned();
    }
    // Printable characters; without a colon and brackets where what follows a colon is a port.
    let (rest, port) = if ignores_port { (r"[!-9;-Z\\^-~]+", r"(?:\x3A[0-9]*)?") } else { (r"[!-~]+", "") };
    let host = match (domain.strip_prefix('*'), domain.strip_suffix('*')) {
        (Some(suffix), _) => format!("{rest}{}", escape(suffix)),
        (None, Some(prefix)) => format!("{}{rest}", escape(prefix)),
        (None, None) => escape(domain),
    };
    format!(r"\A(?i-u:{host}){port}\z")
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    #[test]
    fn a_language_and_its_expression_say_the_same() {
        let text = |text: &str| text.to_owned();
        let languages = [
            Language::Exact { text: text("/a.b"), ignore_case: false },
            Language::Exact { text: text("/Ask"), ignore_case: true },
            Language::Exact { text: text("ä"), ignore_case: true },
            Language::Prefix { text: text("/a"), ignore_case: false },
            Language::Prefix { text: text("/A"), ignore_case: true },
            Language::Prefix { text: text(""), ignore_case: false },
            Language::Segment { text: text("/a"), ignore_case: false },
            Language::Segment { text: text("/A"), ignore_case: true },
            Language::Regex(Pattern::new("/a|/b.*").unwrap()),
            Language::Host { domain: text("*"), ignores_port: true },
            Language::Host { domain: text("a.test"), ignores_port: true },
            Language::Host { domain: text("a.test"), ignores_port: false },
            Language::Host { domain: text("*.test"), ignores_port: true },
            Language::Host { domain: text("*.test"), ignores_port: false },
            Language::Host { domain: text("a.*"), ignores_port: true },
        ];
        let values = [
            "",
            "/",
            "/a",
            "/A",
            "/a/b",
            "/ab",
            "/a.b",
            "/aXb",
            "/ask",
            "/as\u{212a}",
            "ä",
            "a.test",
            "A.Test:80",
            ".test",
            "b.a.test",
            "a.test:",
            "a.test:x",
            "[::1]",
            "test",
            "b",
        ];
        for language in languages {
            let syntax = Regex::new(&language.syntax()).unwrap();
            for value in values {
                // Only authorities that are a host and a port are told apart by an expression.
                if matches!(language, Language::Host { .. }) && (value.ends_with(":x") || value.starts_with('[')) {
                    continue;
                }
                assert_eq!(language.contains(value), syntax.is_match(value), "{language:?} {value}");
            }
            for sample in language.samples().iter().filter(|sample| sample.is_ascii()) {
                assert!(language.contains(sample), "{language:?} {sample}");
            }
        }
    }
}
