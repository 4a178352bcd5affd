//! The search for the virtual host of a request (Envoy: `RouteMatcher::findVirtualHost`).

use std::borrow::Cow;

use crate::mesh::route::RouteTable;

/// How a domain matched the host, most specific first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DomainKind {
    /// The whole name.
    Exact,
    /// `*.suffix` or `*-suffix`.
    Suffix,
    /// `prefix.*`.
    Prefix,
    /// `*`.
    Any,
}

/// The virtual host of a request and the domain by which it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundHost<'m> {
    /// Index in the route table.
    pub index: usize,
    /// The domain that matched.
    pub domain: &'m str,
    /// How it matched.
    pub kind: DomainKind,
}

/// The authority without its port: whatever follows the last `:` that is no part of an IPv6 address.
#[must_use]
pub fn without_port(authority: &str) -> &str {
    match authority.rfind(':') {
        Some(colon) if !authority[colon..].contains(']') => &authority[..colon],
        _ => authority,
    }
}

/// The virtual host for an authority: exact, longest suffix, longest prefix, `*`. Letter case does
/// not matter; the port does only where the table says so.
#[must_use]
pub fn find_host<'m>(table: &'m RouteTable, authority: &str) -> Option<FoundHost<'m>> {
    let host = if table.ignore_port_in_host_matching { without_port(authority) } else { authority };
    let host = lower_case(host);
    if let Some((index, domain)) = table.with_domain(&host) {
        return Some(FoundHost { index, domain, kind: DomainKind::Exact });
    }
    let mut best: Option<((DomainKind, std::cmp::Reverse<usize>), FoundHost<'m>)> = None;
    for (index, domain) in table.wildcards() {
        let Some(kind) = matches(domain, &host) else { continue };
        let rank = (kind, std::cmp::Reverse(domain.len()));
        if best.as_ref().is_none_or(|(so_far, _)| rank < *so_far) {
            best = Some((rank, FoundHost { index, domain, kind }));
        }
    }
    best.map(|(_, found)| found)
}

fn lower_case(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|b| b.is_ascii_uppercase()) { Cow::Owned(text.to_ascii_lowercase()) } else { Cow::Borrowed(text) }
}

/// How a domain with a wildcard matches `host`, both lower-case. A wildcard stands for at least one
/// character.
fn matches(domain: &str, host: &str) -> Option<DomainKind> {
    if domain == "*" {
        return Some(DomainKind::Any);
    }
    if let Some(suffix) = domain.strip_prefix('*') {
        return (host.len() > suffix.len() && host.ends_with(suffix)).then_some(DomainKind::Suffix);
    }
    let prefix = domain.strip_suffix('*')?;
    (host.len() > prefix.len() && host.starts_with(prefix)).then_some(DomainKind::Prefix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::Origin;
    use crate::mesh::route::VirtualHost;

    fn table(hosts: &[&[&str]], ignore_port: bool) -> RouteTable {
        let virtual_hosts = hosts
            .iter()
            .map(|domains| VirtualHost {
                name: domains[0].to_owned(),
                domains: domains.iter().map(|d| (*d).to_owned()).collect(),
                routes: std::sync::Arc::default(),
                require_tls: false,
                origin: Origin::default(),
            })
            .collect();
        RouteTable::new("t".to_owned(), virtual_hosts, ignore_port)
    }

    #[test]
    fn the_most_specific_domain_is_taken_whatever_the_order() {
        let table =
            table(&[&["*"], &["foo.*"], &["*.bar.com"], &["*.x.bar.com", "*-y.bar.com"], &["foo.x.bar.com"], &["foo.b*"]], true);
        for (authority, domain) in [
            ("foo.x.bar.com", "foo.x.bar.com"),
            ("FOO.X.bar.com:8080", "foo.x.bar.com"),
            ("a.x.bar.com", "*.x.bar.com"),
            ("foo.y.bar.com", "*.bar.com"),
            ("a-y.bar.com", "*-y.bar.com"),
            (".bar.com", "*"),
            ("bar.com", "*"),
            ("foo.other", "foo.*"),
            ("foo.borough", "foo.b*"),
            ("foo.", "*"),
            ("foo.x.bar.com.", "foo.*"),
            ("foo.x.bar.com:", "foo.x.bar.com"),
            ("foo.x.bar.com:abc", "foo.x.bar.com"),
            ("", "*"),
        ] {
            assert_eq!(find_host(&table, authority).unwrap().domain, domain, "{authority}");
        }
    }

    #[test]
    fn the_port_counts_where_the_table_says_so() {
        let table = table(&[&["foo.com"], &["foo.com:81"]], false);
        assert_eq!(find_host(&table, "foo.com:81").unwrap().index, 1);
        assert_eq!(find_host(&table, "foo.com:80"), None);
    }

    #[test]
    fn brackets_protect_the_colons_of_an_ipv6_address() {
        for (authority, host) in [("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("a:80", "a"), ("a", "a"), ("a:b:c", "a:b")] {
            assert_eq!(without_port(authority), host);
        }
    }
}
