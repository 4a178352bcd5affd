//! Logged requests decided again, added up.

use indexmap::IndexMap;
use rustc_hash::FxHashMap;

use super::entry::LogEntry;
use crate::change::{Change, Delta};
use crate::mesh::cluster::Cluster;
use crate::mesh::{Mesh, ProxyId, RouteTableId};
use crate::routing::explanation::{CheckSubject, explain_table};
use crate::routing::{Received, Request, Treatment, Verdict, proxy_and_table_for, select_received, table_for};
use crate::source::Span;

/// What one configuration does with a logged request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// What is done; `None` if no proxy has a virtual host for it.
    pub treatment: Treatment,
    /// The rule, if somebody wrote it.
    pub place: Span,
    /// Clusters that it may go to.
    pub clusters: Vec<String>,
    /// Whether the proxy itself answers with an error, whatever chance decides.
    pub fails: bool,
    /// A header that the log does not have and that a condition looked at.
    pub unseen: Option<String>,
}

/// Requests that a change moves in the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// How many.
    pub count: u64,
    /// The line of the first one, from 1.
    pub line: usize,
    /// The first one.
    pub example: Request,
    /// What is done before.
    pub before: Replayed,
    /// What is done after.
    pub after: Replayed,
}

/// A log sent through one or two configurations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Replay {
    /// Requests that were decided.
    pub requests: u64,
    /// Lines that were written where requests arrived, which rules of clients do not concern.
    pub inbound: u64,
    /// Of the lines that name a cluster: how many went where the first configuration sends them.
    pub agreed: u64,
    /// How many lines name a cluster.
    pub named: u64,
    /// The first that went elsewhere: its line, the logged cluster, and where it would go.
    pub disagreement: Option<(usize, String, Vec<String>)>,
    /// Requests whose answer may depend on a header that the log does not have, by header.
    pub unseen: IndexMap<String, u64>,
    /// Destinations and answers of the first configuration, with their counts.
    pub destinations: IndexMap<String, u64>,
    /// What the second configuration moves.
    pub moved: Vec<Moved>,
    /// Requests that the last configuration answers with an error of the proxy itself and the first
    /// does not; without a second configuration, all that the first answers so.
    pub failing: u64,
}

/// Replays entries with their line numbers. `from` is the proxy that wrote the log; without one, the
/// proxy that knows the authority best.
#[must_use]
pub fn replay(entries: &[(usize, LogEntry)], base: &Mesh, head: Option<&Mesh>, from: Option<&str>) -> Replay {
    let mut result = Replay::default();
    let mut known: FxHashMap<&LogEntry, (Replayed, Option<Replayed>)> = FxHashMap::default();
    let mut at: FxHashMap<(Treatment, Treatment, Span, Span), usize> = FxHashMap::default();
    for (line, entry) in entries {
        if entry.is_inbound() {
            result.inbound += 1;
            continue;
        }
        result.requests += 1;
        let (before, after) =
            known.entry(entry).or_insert_with(|| (decided(base, entry, from), head.map(|head| decided(head, entry, from))));
        if let Some(name) = &before.unseen {
            *result.unseen.entry(name.clone()).or_default() += 1;
        }
        let words = before.treatment.0.iter().filter(|(facet, _)| matches!(facet, crate::routing::Facet::Destinations));
        let what = words.map(|(_, text)| text.clone()).next();
        let what = what.or_else(|| before.treatment.get(crate::routing::Facet::Answer).map(str::to_owned));
        *result.destinations.entry(what.unwrap_or_default()).or_default() += 1;
        if let Some(cluster) = &entry.cluster {
            result.named += 1;
            if before.clusters.contains(cluster) {
                result.agreed += 1;
            } else if result.disagreement.is_none() {
                result.disagreement = Some((*line, cluster.clone(), before.clusters.clone()));
            }
        }
        let Some(after) = after else {
            result.failing += u64::from(before.fails);
            continue;
        };
        result.failing += u64::from(after.fails && !before.fails);
        if before.treatment == after.treatment {
            continue;
        }
        let key = (before.treatment.clone(), after.treatment.clone(), before.place, after.place);
        let index = *at.entry(key).or_insert_with(|| {
            let (before, after) = (before.clone(), after.clone());
            result.moved.push(Moved { count: 0, line: *line, example: entry.request(), before, after });
            result.moved.len() - 1
        });
        result.moved[index].count += 1;
    }
    result.moved.sort_by_key(|moved| (std::cmp::Reverse(moved.count), moved.line));
    result.destinations.sort_by(|one, count, other, more| more.cmp(count).then_with(|| one.cmp(other)));
    result
}

/// How many logged requests each class of changed requests concerns.
#[must_use]
pub fn observed(entries: &[(usize, LogEntry)], base: &Mesh, head: &Mesh, from: Option<&str>, delta: &Delta) -> Vec<u64> {
    let mut counts = vec![0; delta.changes.len()];
    let mut known: FxHashMap<&LogEntry, Option<usize>> = FxHashMap::default();
    for (_, entry) in entries.iter().filter(|(_, entry)| !entry.is_inbound()) {
        let at = *known.entry(entry).or_insert_with(|| {
            let (before, after) = (decided(base, entry, from), decided(head, entry, from));
            let sides = (&before.treatment, &after.treatment);
            let place = |change: &Change| (change.before.place, change.after.place) == (before.place, after.place);
            let like = |change: &Change| (&change.before.treatment, &change.after.treatment) == sides;
            let exact = delta.changes.iter().position(|change| like(change) && place(change));
            exact.or_else(|| delta.changes.iter().position(like))
        });
        if let Some(at) = at {
            counts[at] += 1;
        }
    }
    counts
}

fn place_of(mesh: &Mesh, entry: &LogEntry, from: Option<&str>) -> Option<(ProxyId, RouteTableId)> {
    match from {
        Some(from) => {
            let proxy = mesh.proxy_named(from)?;
            Some((proxy, table_for(&mesh.proxies[proxy.index()], &entry.authority, entry.port)?))
        }
        None => proxy_and_table_for(mesh, &entry.authority, entry.port),
    }
}

fn decided(mesh: &Mesh, entry: &LogEntry, from: Option<&str>) -> Replayed {
    let nowhere = |treatment| Replayed { treatment, place: Span::NOWHERE, clusters: Vec::new(), fails: true, unseen: None };
    let Some((proxy, table)) = place_of(mesh, entry, from) else { return nowhere(Treatment::without_route(Verdict::NoHost)) };
    let proxy = &mesh.proxies[proxy.index()];
    let request = entry.request();
    let received = match Received::new(proxy.spec.kind, &request) {
        Ok(received) => received,
        Err(why) => return nowhere(Treatment::without_route(Verdict::Malformed(why))),
    };
    let selection = select_received(proxy, table, &received);
    let route = selection.route(proxy);
    let legs = selection.forward(proxy).map_or(&[][..], |forward| forward.legs.all());
    let works = |leg: &crate::mesh::route::Leg| proxy.clusters.get(leg.cluster.id).is_some_and(Cluster::has_somewhere_to_go);
    let fails = match (selection.verdict, selection.forward(proxy)) {
        (Verdict::RequireTls { .. }, _) => false,
        (Verdict::Route { .. }, Some(_)) => !legs.iter().any(works),
        (Verdict::Route { .. }, None) => false,
        _ => true,
    };
    Replayed {
        treatment: Treatment::of(proxy, selection),
        place: route.map_or(Span::NOWHERE, |route| route.origin.span),
        clusters: legs.iter().map(|leg| leg.cluster.name.clone()).collect(),
        fails,
        unseen: unseen(&explain_table(proxy, table, &received), &request),
    }
}

/// The first header that a condition looked at and the log does not have.
fn unseen(explanation: &crate::routing::explanation::HttpExplanation<'_>, request: &Request) -> Option<String> {
    let checks = explanation.trials.iter().flat_map(|trial| &trial.checks);
    checks.into_iter().find_map(|check| match &check.subject {
        CheckSubject::Header(name) if !name.starts_with(':') && name != "host" && request.header(name).is_none() => {
            Some(name.clone())
        }
        _ => None,
    })
}
