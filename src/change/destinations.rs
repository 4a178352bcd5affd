//! Clusters whose policy or endpoints differ.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::delta::{Delta, DestinationChange, FacetChange};
use super::likeness::{Pair, same_clusters, same_endpoints};
use crate::mesh::cluster::{Cluster, Limits, TlsMode, UpstreamTls};
use crate::mesh::clusters::Clusters;
use crate::text;

/// Compares the clusters that both sides of each pair have. Most are shared by many proxies, one by one
/// and all together.
pub(super) fn compare(pairs: &[Pair<'_>], delta: &mut Delta) {
    let mut known: FxHashMap<(usize, usize), Vec<usize>> = FxHashMap::default();
    let mut found = Changes::default();
    for pair in pairs {
        let key = (Arc::as_ptr(&pair.base.clusters).addr(), Arc::as_ptr(&pair.head.clusters).addr());
        for at in known.entry(key).or_insert_with(|| found.between(&pair.base.clusters, &pair.head.clusters)) {
            found.all[*at].proxies.push(pair.head.spec.name.clone());
        }
    }
    found.all.retain(|change| !change.facets.is_empty());
    delta.add(Delta { destinations: found.all, ..Delta::default() });
    delta.destinations.sort_by(|one, other| one.cluster.cmp(&other.cluster));
}

/// Changes of clusters, each once.
#[derive(Default)]
struct Changes {
    all: Vec<DestinationChange>,
    /// Positions by the two clusters; `None` if they are the same.
    known: FxHashMap<(usize, usize), Option<usize>>,
}

impl Changes {
    /// Positions of the changes between two lists of clusters.
    fn between(&mut self, base: &Clusters, head: &Clusters) -> Vec<usize> {
        let mut own = Vec::new();
        let (mut one, mut other) = (base.iter().peekable(), head.iter().peekable());
        while let (Some(base), Some(head)) = (one.peek(), other.peek()) {
            match base.name.cmp(&head.name) {
                Ordering::Less => drop(one.next()),
                Ordering::Greater => drop(other.next()),
                Ordering::Equal => {
                    own.extend(self.of(base, head));
                    one.next();
                    other.next();
                }
            }
        }
        own
    }

    fn of(&mut self, base: &Arc<Cluster>, head: &Arc<Cluster>) -> Option<usize> {
        let key = (Arc::as_ptr(base).addr(), Arc::as_ptr(head).addr());
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let at = (!same_clusters(base, head)).then(|| {
            self.all.push(change(base, head));
            self.all.len() - 1
        });
        self.known.insert(key, at);
        at
    }
}

fn change(base: &Cluster, head: &Cluster) -> DestinationChange {
    let (before, after) = (facets(base), facets(head));
    let mut all: Vec<FacetChange> = Vec::new();
    for (facet, own) in &before {
        let other = after.get(facet);
        if own != other.unwrap_or(&None) {
            all.push(FacetChange { facet, before: own.clone(), after: other.cloned().flatten() });
        }
    }
    if !same_endpoints(base, head) {
        let (before, after) = (endpoints(base, head), endpoints(head, base));
        all.push(FacetChange { facet: "endpoints", before: Some(before), after: Some(after) });
    }
    DestinationChange {
        proxies: Vec::new(),
        cluster: base.name.clone(),
        facets: all,
        before: base.origin.span,
        after: head.origin.span,
    }
}

/// How many endpoints there are, and which the other side does not have.
fn endpoints(own: &Cluster, other: &Cluster) -> String {
    const SHOWN: usize = 3;
    let all: Vec<String> = own
        .endpoints()
        .map(|endpoint| {
            let state = if endpoint.healthy { "" } else { " (not ready)" };
            format!("{}{state}", endpoint.address)
        })
        .collect();
    let theirs: Vec<&str> = other.endpoints().map(|endpoint| endpoint.address.as_str()).collect();
    let only: Vec<&String> = all.iter().filter(|address| !theirs.contains(&address.as_str())).collect();
    let listed: Vec<&str> = only.iter().take(SHOWN).map(|address| address.as_str()).collect();
    let more = if only.len() > SHOWN { format!(" and {} more", only.len() - SHOWN) } else { String::new() };
    match only.len() {
        0 => all.len().to_string(),
        _ => format!("{}, with {}{more}", all.len(), listed.join(", ")),
    }
}

fn facets(cluster: &Cluster) -> BTreeMap<&'static str, Option<String>> {
    let limit = |own: u32| if own == u32::MAX { "none".to_owned() } else { own.to_string() };
    let Limits { connections_max, pending_max, requests_max, retries_max } = cluster.limits;
    let limits = format!(
        "connections {}, pending {}, requests {}, retries {}",
        limit(connections_max),
        limit(pending_max),
        limit(requests_max),
        limit(retries_max)
    );
    BTreeMap::from([
        ("discovery", Some(format!("{:?}", cluster.discovery))),
        ("balancer", Some(format!("{:?}", cluster.balancer))),
        ("connect timeout", Some(text::duration(cluster.connect_timeout))),
        ("limits", Some(limits)),
        ("outlier detection", cluster.outlier.map(|outlier| format!("{outlier:?}"))),
        ("TLS", Some(tls(&cluster.tls))),
        ("connections", Some(format!("{:?}", cluster.connection))),
        ("panic threshold", cluster.panic_threshold_percent.map(|percent| format!("{percent} %"))),
        ("localities", Some(if cluster.locality_weighted { "weighted" } else { "not weighted" }.to_owned())),
        ("slow start", cluster.warm_up.map(|own| format!("{own:?}"))),
        ("retry budget", cluster.retry_budget.map(|own| format!("{own:?}"))),
    ])
}

fn tls(own: &UpstreamTls) -> String {
    match own {
        UpstreamTls::Plaintext => "none".to_owned(),
        UpstreamTls::Auto { .. } => "mutual with endpoints that have a sidecar".to_owned(),
        UpstreamTls::Always { mode, sni, .. } => {
            let mode = match mode {
                TlsMode::Simple => "simple",
                TlsMode::Mutual => "mutual",
                TlsMode::IstioMutual => "Istio's mutual",
            };
            format!("{mode}{}", sni.as_ref().map(|name| format!(" for {name}")).unwrap_or_default())
        }
    }
}
