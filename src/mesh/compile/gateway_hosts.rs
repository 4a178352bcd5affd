//! Hosts of gateway servers: `namespace/host` entries and what they have in common with the hosts of
//! a VirtualService.

use crate::mesh::host;

/// Server hosts with their namespaces resolved: `./host` belongs to the gateway's namespace,
/// `*/host` to everyone (Istio: `sanitizeServerHostNamespace`).
pub(super) fn sanitize(hosts: impl IntoIterator<Item = String>, gateway_namespace: &str) -> Vec<String> {
    let mut sanitized = Vec::new();
    for entry in hosts {
        match entry.split_once('/') {
            Some((".", name)) => sanitized.push(format!("{gateway_namespace}/{name}")),
            Some(("*", "*")) => return vec!["*".to_owned()],
            Some(("*", name)) => sanitized.push(name.to_owned()),
            _ => sanitized.push(entry),
        }
    }
    sanitized
}

/// The entries that are for a namespace, without it.
pub(super) fn for_namespace<'h>(hosts: &'h [String], namespace: &str) -> Vec<&'h str> {
    let visible = hosts.iter().filter_map(|entry| match entry.split_once('/') {
        Some((owner, name)) => (owner == namespace || owner == "*").then_some(name),
        None => Some(entry.as_str()),
    });
    visible.collect()
}

/// The more specific host of each overlapping pair.
pub(super) fn intersection(server: &[&str], rule: &[&str]) -> Vec<String> {
    let mut common: Vec<String> = Vec::new();
    for ours in server {
        for theirs in rule {
            let narrower = match (host::is_subset_of(ours, theirs), host::is_subset_of(theirs, ours)) {
                (true, _) => ours,
                (false, true) => theirs,
                (false, false) => continue,
            };
            if !common.iter().any(|known| known == narrower) {
                common.push((*narrower).to_owned());
            }
        }
    }
    common
}

/// Server hosts as server names for SNI: without namespaces, each once.
pub(super) fn server_names(hosts: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for entry in hosts {
        let name = entry.split_once('/').map_or(entry.as_str(), |(_, name)| name);
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_of_server_hosts_are_resolved() {
        let own = |list: &[&str]| list.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            sanitize(own(&["./a.test", "*/b.test", "c/d.test", "e.test"]), "gw"),
            ["gw/a.test", "b.test", "c/d.test", "e.test"]
        );
        assert_eq!(sanitize(own(&["a.test", "*/*"]), "gw"), ["*"]);
        assert_eq!(for_namespace(&own(&["a/x.test", "b/y.test", "z.test"]), "a"), ["x.test", "z.test"]);
        assert_eq!(server_names(&own(&["a/x.test", "x.test"])), ["x.test"]);
    }

    #[test]
    fn the_more_specific_host_of_a_pair_is_common() {
        for (server, rule, common) in [
            (vec!["*.shop.test"], vec!["www.shop.test", "other.test"], vec!["www.shop.test"]),
            (vec!["www.shop.test"], vec!["*"], vec!["www.shop.test"]),
            (vec!["*"], vec!["*"], vec!["*"]),
            (vec!["a.test", "*.test"], vec!["a.test"], vec!["a.test"]),
        ] {
            assert_eq!(intersection(&server, &rule), common);
        }
    }
}
