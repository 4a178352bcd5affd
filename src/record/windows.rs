//! Stretches in which requests failed because routes, clusters and endpoints did not fit together
//! (flags `NR`, `NC`, `UH`), and the changes that opened and closed them.
//!
//! What decides is the configuration that the caller's proxy had, not the time: a proxy that learns
//! late fails late, and the change is still the one to blame.

use indexmap::IndexMap;
use rustc_hash::FxHashMap;

use super::directory::Directory;
use super::observation::{CalledId, FlagSet, HopId, Outcome, PartyId};
use super::report::{Change, Window};
use crate::routing::Flag;
use crate::time::Instant;

/// What makes failures belong together.
type Kind = (PartyId, CalledId, u16, FlagSet);

#[derive(Debug, Clone, Copy)]
struct Seen {
    first: Instant,
    last: Instant,
    count: u64,
    hop: HopId,
}

/// Failures of configuration, by kind and way.
#[derive(Debug, Clone, Default)]
pub(super) struct Windows {
    seen: FxHashMap<(Kind, HopId), Seen>,
}

const BY_CONFIGURATION: [Flag; 3] = [Flag::NoRoute, Flag::NoCluster, Flag::NoHealthyUpstream];

impl Windows {
    pub(super) fn record(&mut self, at: Instant, (source, hop, service): (PartyId, HopId, CalledId), outcome: Outcome) {
        if !BY_CONFIGURATION.iter().any(|flag| outcome.flags.has(*flag)) {
            return;
        }
        let kind = (source, service, outcome.status, outcome.flags);
        let seen = self.seen.entry((kind, hop)).or_insert(Seen { first: at, last: at, count: 0, hop });
        seen.last = at;
        seen.count += 1;
    }

    /// By beginning. What was so from the start and never changed is a failure and no window.
    pub(super) fn report(&self, directory: &Directory, changes: &[Change], ended_at: Instant) -> Vec<Window> {
        let mut instants: Vec<Instant> = changes.iter().map(|change| change.at).collect();
        instants.dedup();
        let mut kinds: Vec<(&(Kind, HopId), &Seen)> = self.seen.iter().collect();
        kinds.sort_unstable_by_key(|((kind, hop), _)| (*kind, directory.hops[hop.index()].configured, *hop));
        let mut by_kind: IndexMap<Kind, Vec<(Instant, Seen)>> = IndexMap::new();
        for ((kind, hop), seen) in kinds {
            by_kind.entry(*kind).or_default().push((directory.hops[hop.index()].configured, *seen));
        }
        let mut windows = Vec::new();
        for (kind, seen) in by_kind {
            for stretch in stretches(&seen, &instants) {
                windows.extend(window(kind, stretch, directory, changes, ended_at));
            }
        }
        windows.sort_by_key(|window| window.begins);
        windows
    }
}

/// Failures under configurations that followed each other.
fn stretches<'a>(seen: &'a [(Instant, Seen)], instants: &[Instant]) -> Vec<&'a [(Instant, Seen)]> {
    let follows = |a: Instant, b: Instant| a == b || instants.iter().find(|instant| **instant > a) == Some(&b);
    seen.chunk_by(|(before, _), (after, _)| follows(*before, *after)).collect()
}

fn window(
    (source, service, status, flags): Kind,
    stretch: &[(Instant, Seen)],
    directory: &Directory,
    changes: &[Change],
    ended_at: Instant,
) -> Option<Window> {
    let ((opened, first), (closing, last)) = (stretch.first()?, stretch.last()?);
    let at = |instant: Instant| -> Vec<String> {
        changes.iter().filter(|change| change.at == instant).map(|change| change.what.clone()).collect()
    };
    let next = changes.iter().map(|change| change.at).find(|instant| instant > closing && *instant <= ended_at);
    let (opened_by, closed_by) = (at(*opened), next.map(at).unwrap_or_default());
    if opened_by.is_empty() && closed_by.is_empty() {
        return None;
    }
    Some(Window {
        begins: stretch.iter().map(|(_, seen)| seen.first).min().unwrap_or(first.first),
        ends: stretch.iter().map(|(_, seen)| seen.last).max().unwrap_or(last.last),
        source: directory.party(source).to_owned(),
        service: directory.services[service.index()].clone(),
        status,
        flags: flags.codes(),
        count: stretch.iter().map(|(_, seen)| seen.count).sum(),
        origin: directory.hops[first.hop.index()].origin,
        opened_by,
        closed_by,
    })
}
