//! The algebra of host names, some of which are wildcards (Istio: `pkg/config/host`).
//!
//! A wildcard begins with `*`; what follows is a suffix. `*.foo.com` covers `a.b.foo.com` and not
//! `foo.com`. Hosts are lower-case by the time they come here.

use std::cmp::Ordering;

/// Whether a host is a wildcard.
#[must_use]
pub fn is_wildcard(host: &str) -> bool {
    host.starts_with('*')
}

/// Whether two hosts have a name in common; either side may be a wildcard.
#[must_use]
pub fn matches(a: &str, b: &str) -> bool {
    match (a.strip_prefix('*'), b.strip_prefix('*')) {
        (Some(a), Some(b)) => a.ends_with(b) || b.ends_with(a),
        (Some(suffix), None) => b.ends_with(suffix),
        (None, Some(suffix)) => a.ends_with(suffix),
        (None, None) => a == b,
    }
}

/// Whether every name of `inner` is one of `outer`.
#[must_use]
pub fn is_subset_of(inner: &str, outer: &str) -> bool {
    match (inner.strip_prefix('*'), outer.strip_prefix('*')) {
        (Some(inner), Some(outer)) => inner.ends_with(outer),
        (Some(_), None) => false,
        (None, Some(outer)) => inner.ends_with(outer),
        (None, None) => inner == outer,
    }
}

/// Orders hosts from specific to general: names before wildcards, longer before shorter, then
/// alphabetically.
#[must_use]
pub fn specific_first(a: &str, b: &str) -> Ordering {
    (is_wildcard(a).cmp(&is_wildcard(b))).then(b.len().cmp(&a.len())).then_with(|| a.cmp(b))
}

/// The wildcards that cover a host, the most specific first: for `a.b.c` these are `*.b.c`, `*.c`
/// and `*`. A wildcard covers itself.
pub fn wildcards_over(host: &str) -> impl Iterator<Item = String> {
    let own = is_wildcard(host).then(|| host.to_owned());
    let dots = host.char_indices().filter(|(index, c)| *c == '.' && *index > 0).map(|(index, _)| index);
    let outer: Vec<String> = dots.map(|dot| format!("*{}", &host[dot..])).filter(|outer| outer != host).collect();
    let all = (host != "*").then(|| "*".to_owned());
    own.into_iter().chain(outer).chain(all)
}

/// Completes a short name with the namespace of the object that holds it: a name without a dot
/// that is neither `*` nor an address (Istio: `ResolveShortnameToFQDN`).
#[must_use]
pub fn resolve_short_name(name: &str, namespace: &str, cluster_domain: &str) -> String {
    let name = name.to_lowercase();
    if name.is_empty() || is_wildcard(&name) || name.contains('.') || name.contains(':') {
        return name;
    }
    format!("{name}.{namespace}.svc.{cluster_domain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_covers_what_ends_with_its_suffix() {
        for (a, b, common, subset) in [
            ("foo.com", "foo.com", true, true),
            ("*.foo.com", "foo.com", false, false),
            ("foo.com", "*.foo.com", false, false),
            ("a.b.foo.com", "*.foo.com", true, true),
            ("*.foo.com", "a.foo.com", true, false),
            ("*.a.foo.com", "*.foo.com", true, true),
            ("*.foo.com", "*.a.foo.com", true, false),
            ("*.foo.com", "*.bar.com", false, false),
            ("*", "x", true, false),
            ("x", "*", true, true),
            ("*", "*", true, true),
        ] {
            assert_eq!(matches(a, b), common, "{a} and {b}");
            assert_eq!(matches(b, a), common, "{b} and {a}");
            assert_eq!(is_subset_of(a, b), subset, "{a} in {b}");
        }
    }

    #[test]
    fn names_precede_wildcards_and_longer_precede_shorter() {
        let mut hosts = ["*", "*.com", "b.com", "*.foo.com", "a.com", "longer.com"];
        hosts.sort_by(|a, b| specific_first(a, b));
        assert_eq!(hosts, ["longer.com", "a.com", "b.com", "*.foo.com", "*.com", "*"]);
    }

    #[test]
    fn wildcards_over_a_host_come_most_specific_first() {
        let over = |host| wildcards_over(host).collect::<Vec<_>>();
        assert_eq!(over("a.b.c"), ["*.b.c", "*.c", "*"]);
        assert_eq!(over("*.b.c"), ["*.b.c", "*.c", "*"]);
        assert_eq!(over("a"), ["*"]);
        assert_eq!(over("*"), ["*"]);
    }

    #[test]
    fn only_names_without_a_dot_are_completed() {
        for (name, full) in [
            ("reviews", "reviews.prod.svc.cluster.local"),
            ("Reviews", "reviews.prod.svc.cluster.local"),
            ("reviews.other", "reviews.other"),
            ("10.0.0.1", "10.0.0.1"),
            ("fd00::1", "fd00::1"),
            ("*", "*"),
        ] {
            assert_eq!(resolve_short_name(name, "prod", "cluster.local"), full);
        }
    }
}
