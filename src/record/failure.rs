//! The first occurrence of each kind of failure.

use rustc_hash::FxHashMap;

use super::directory::Directory;
use super::observation::{CalledId, FlagSet, GroupId, HopId, Outcome, PartyId};
use super::report::FirstFailure;
use crate::time::Instant;

/// What makes two failures the same kind.
type Kind = (PartyId, CalledId, u16, FlagSet);

#[derive(Debug, Clone)]
struct First {
    at: Instant,
    group: GroupId,
    hop: HopId,
    details: &'static str,
    count: u64,
}

/// Failures by kind.
#[derive(Debug, Clone, Default)]
pub(super) struct Failures {
    firsts: FxHashMap<Kind, First>,
}

/// Whether a call failed: no answer, or an error status.
const fn failed(outcome: Outcome) -> bool {
    outcome.status == 0 || outcome.status >= 400
}

impl Failures {
    pub(super) fn record(
        &mut self,
        at: Instant,
        (group, source, hop, service): (GroupId, PartyId, HopId, CalledId),
        outcome: Outcome,
        details: &'static str,
    ) {
        if !failed(outcome) {
            return;
        }
        let first = self.firsts.entry((source, service, outcome.status, outcome.flags));
        first.or_insert(First { at, group, hop, details, count: 0 }).count += 1;
    }

    /// By time, then by who called what.
    pub(super) fn report(&self, directory: &Directory) -> Vec<FirstFailure> {
        let mut all: Vec<(&Kind, &First)> = self.firsts.iter().collect();
        all.sort_unstable_by_key(|(kind, first)| (first.at, **kind));
        let describe = |((source, service, status, flags), first): (&Kind, &First)| FirstFailure {
            at: first.at,
            phase: directory.group(first.group).phase,
            source: directory.party(*source).to_owned(),
            service: directory.services[service.index()].clone(),
            status: *status,
            flags: flags.codes(),
            details: first.details.to_owned(),
            count: first.count,
            origin: directory.hops[first.hop.index()].origin,
            explain: directory.hops[first.hop.index()].explain.clone(),
        };
        all.into_iter().map(describe).collect()
    }
}
