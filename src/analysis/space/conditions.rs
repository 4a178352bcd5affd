//! From compiled conditions to conjunctions.

use super::cell::{Ask, Conjunction, Literal};
use super::dimension::Dimension;
use super::language::Language;
use super::sets::Space;
use crate::mesh::ProxyKind;
use crate::mesh::route::{Condition, PathMatch, PathTest, RouteMatch, RouteTable, Subject, Test};
use crate::routing::Scheme;
use crate::routing::matching::test_holds;

/// How requests come in, which settles some conditions for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arrival {
    /// A sidecar believes `x-forwarded-proto`, a gateway does not.
    pub kind: ProxyKind,
    /// Whether TLS ends at the proxy.
    pub secure: bool,
}

impl Arrival {
    /// The scheme of the connection.
    #[must_use]
    pub const fn scheme(self) -> Scheme {
        if self.secure { Scheme::Https } else { Scheme::Http }
    }

    pub(super) fn scheme_name(self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }
}

/// A condition in a space.
enum Meaning {
    Always,
    Never,
    Asks(Vec<Literal>),
}

impl Space {
    /// The requests that a route takes if nothing takes them before.
    pub fn route(&mut self, arrival: Arrival, matcher: &RouteMatch) -> Conjunction {
        let mut all = Conjunction::everything();
        for condition in &matcher.conditions {
            match self.condition(arrival, condition) {
                Meaning::Always => {}
                Meaning::Never => return Conjunction::nothing(),
                Meaning::Asks(literals) => all.literals.extend(literals),
            }
        }
        all.literals.extend(self.path(&matcher.path));
        all
    }

    /// The requests for which one of a table's virtual hosts is chosen by one of its domains: those
    /// of the domain without those of more specific ones.
    pub fn domain(&mut self, table: &RouteTable, virtual_host: usize, domain: &str) -> Conjunction {
        let ignores_port = table.ignore_port_in_host_matching;
        let mut language = |domain: &str| self.language(Language::Host { domain: domain.to_owned(), ignores_port });
        let mut asks = vec![Ask::Some(language(domain))];
        if domain.contains('*') {
            let others = table.virtual_hosts.iter().flat_map(|host| &host.domains);
            asks.extend(others.filter(|other| outranks(other, domain)).map(|other| Ask::None(language(other))));
        } else if table.with_domain(domain).is_some_and(|(first, _)| first != virtual_host) {
            return Conjunction::nothing();
        }
        let literals = asks.into_iter().map(|ask| self.literal(Dimension::Authority, ask)).collect();
        Conjunction { literals, never: false }
    }

    /// The requests for which a table has no virtual host.
    pub fn no_domain(&mut self, table: &RouteTable) -> Conjunction {
        let ignores_port = table.ignore_port_in_host_matching;
        let mut all = Conjunction::everything();
        for domain in table.virtual_hosts.iter().flat_map(|host| &host.domains) {
            let language = self.language(Language::Host { domain: domain.clone(), ignores_port });
            all.literals.push(self.literal(Dimension::Authority, Ask::None(language)));
        }
        all.literals.sort_unstable();
        all.literals.dedup();
        all
    }

    /// The requests that a virtual host does not answer with a redirect to HTTPS.
    pub fn secure(&mut self, arrival: Arrival) -> Conjunction {
        let https = |scheme: &str| scheme == "https";
        match self.scheme(arrival, &https) {
            Meaning::Always => Conjunction::everything(),
            Meaning::Never => Conjunction::nothing(),
            Meaning::Asks(literals) => Conjunction { literals, never: false },
        }
    }

    fn path(&mut self, path: &PathMatch) -> Option<Literal> {
        let ignore_case = path.ignore_case;
        let language = match &path.test {
            // Every path begins with a slash.
            PathTest::Prefix(text) if text.is_empty() || text == "/" => return None,
            PathTest::Exact(text) => Language::Exact { text: text.clone(), ignore_case },
            PathTest::Prefix(text) => Language::Prefix { text: text.clone(), ignore_case },
            PathTest::SegmentPrefix(text) => Language::Segment { text: text.clone(), ignore_case },
            PathTest::Regex(pattern) => Language::Regex(pattern.clone()),
        };
        let language = self.language(language);
        Some(self.literal(Dimension::Path, Ask::Some(language)))
    }

    fn condition(&mut self, arrival: Arrival, condition: &Condition) -> Meaning {
        let name = match &condition.subject {
            Subject::Header(name) => name.as_str(),
            Subject::Query(name) => return self.query(name, condition),
            Subject::Claim(path) => {
                let claim = Dimension::Claim(path.join("."));
                return self.asks(claim, condition);
            }
        };
        match name {
            ":method" => self.asks(Dimension::Method, condition),
            ":authority" | "host" => self.asks(Dimension::Authority, condition),
            ":path" => self.opaque(condition),
            ":scheme" => {
                let holds = |scheme: &str| test_holds(&condition.test, scheme) != condition.invert;
                self.scheme(arrival, &holds)
            }
            "x-forwarded-proto" if arrival.kind == ProxyKind::Gateway => {
                settled(test_holds(&condition.test, arrival.scheme_name()) != condition.invert)
            }
            "x-forwarded-proto" => self.asks(Dimension::ForwardedProto, condition),
            name => self.asks(Dimension::Header(name.to_owned()), condition),
        }
    }

    /// A condition on the scheme: at a sidecar what the client claims, if that is a scheme at all.
    fn scheme(&mut self, arrival: Arrival, holds: &dyn Fn(&str) -> bool) -> Meaning {
        let (own, other) = if arrival.secure { ("https", "http") } else { ("http", "https") };
        match (holds(own), holds(other)) {
            (true, true) => Meaning::Always,
            (false, false) => Meaning::Never,
            (own, _) if arrival.kind == ProxyKind::Gateway => settled(own),
            (own, _) => {
                let claimed = self.language(Language::Exact { text: other.to_owned(), ignore_case: true });
                let ask = if own { Ask::None(claimed) } else { Ask::Some(claimed) };
                Meaning::Asks(vec![self.literal(Dimension::ForwardedProto, ask)])
            }
        }
    }

    /// A parameter whose name cannot stand in a query is never there.
    fn query(&mut self, name: &str, condition: &Condition) -> Meaning {
        let can_be_sent = name.bytes().all(|b| b > b' ' && b < 0x7f && !matches!(b, b'&' | b'=' | b'#'));
        if can_be_sent { self.asks(Dimension::Query(name.to_owned()), condition) } else { settled(condition.invert) }
    }

    /// A condition on values, of which there may be none or several. Mirrors what
    /// [`condition_holds`](crate::routing::matching::condition_holds) does with them.
    fn asks(&mut self, dimension: Dimension, condition: &Condition) -> Meaning {
        let is_header = !matches!(dimension, Dimension::Query(_) | Dimension::Claim(_));
        let missing_as_empty = is_header && condition.missing_as_empty;
        let Some(language) = self.test(&condition.test) else {
            let ask = if condition.invert { Ask::Absent } else { Ask::Present };
            let always = missing_as_empty && !condition.invert;
            return if always { Meaning::Always } else { Meaning::Asks(vec![self.literal(dimension, ask)]) };
        };
        let empty_passes = test_holds(&condition.test, "");
        let asks = match condition.invert {
            false if missing_as_empty && empty_passes => return self.opaque(condition),
            false => vec![Ask::Some(language)],
            // An absent parameter passes; an absent header only as an empty one that passes.
            true if !is_header || (missing_as_empty && !empty_passes) => vec![Ask::None(language)],
            true => vec![Ask::None(language), Ask::Present],
        };
        Meaning::Asks(asks.into_iter().map(|ask| self.literal(dimension.clone(), ask)).collect())
    }

    fn test(&mut self, test: &Test) -> Option<super::cell::LanguageId> {
        let language = match test {
            Test::Present => return None,
            Test::Exact(text) => Language::Exact { text: text.clone(), ignore_case: false },
            Test::Prefix(text) => Language::Prefix { text: text.clone(), ignore_case: false },
            Test::Regex(pattern) => Language::Regex(pattern.clone()),
        };
        Some(self.language(language))
    }

    /// A condition of which only this is known: where it is written the same, it holds for the same
    /// requests.
    fn opaque(&mut self, condition: &Condition) -> Meaning {
        let Condition { subject, test, invert, missing_as_empty, .. } = condition;
        let name = format!("{subject:?} {test:?} {invert} {missing_as_empty}");
        Meaning::Asks(vec![self.literal(Dimension::Opaque(name), Ask::Present)])
    }
}

fn settled(holds: bool) -> Meaning {
    if holds { Meaning::Always } else { Meaning::Never }
}

/// Whether the search for a virtual host prefers `other` to `domain`, a wildcard, where both match.
fn outranks(other: &str, domain: &str) -> bool {
    let rank = |domain: &str| match domain {
        "*" => (3, 0),
        _ if domain.starts_with('*') => (1, usize::MAX - domain.len()),
        _ if domain.ends_with('*') => (2, usize::MAX - domain.len()),
        _ => (0, 0),
    };
    rank(other) < rank(domain)
}
