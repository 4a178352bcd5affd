//! Counts of everything that a report shows, in memory that does not grow with the number of
//! requests.

use super::cells::Cells;
use super::directory::Directory;
use super::failure::Failures;
use super::histogram::Distribution;
use super::observation::{CalledId, GroupId, HopId, Observation, Outcome, PartyId, ReachedId, Recorder, RequestId};
use super::report::{ClientGroup, EdgeGroup, OutcomeTally, RunReport};
use super::split::Splits;
use super::windows::Windows;
use crate::time::{Duration, Instant};

/// Answers by outcome. There are few kinds, so a list with the latest in front is fastest.
#[derive(Debug, Clone, Default)]
struct Outcomes(Vec<(Outcome, Distribution)>);

impl Outcomes {
    fn record(&mut self, outcome: Outcome, took: Duration) {
        let index = match self.0.iter().position(|(known, _)| *known == outcome) {
            Some(index) => index,
            None => {
                self.0.push((outcome, Distribution::default()));
                self.0.len() - 1
            }
        };
        self.0.swap(0, index);
        self.0[0].1.record(took);
    }

    fn report(&self, directory: &Directory) -> Vec<(Outcome, OutcomeTally)> {
        let tally = |(outcome, times): &(Outcome, Distribution)| {
            let latency = times.latency();
            let tally = OutcomeTally {
                status: outcome.status,
                flags: outcome.flags.codes(),
                labels: directory.words(outcome.labels),
                count: latency.count,
                latency,
            };
            (*outcome, tally)
        };
        self.0.iter().map(tally).collect()
    }
}

/// Most frequent first; ties by status, flags and labels.
fn in_order(mut tallies: Vec<(Outcome, OutcomeTally)>) -> Vec<OutcomeTally> {
    tallies.sort_by(|(_, a), (_, b)| {
        b.count.cmp(&a.count).then_with(|| (a.status, &a.flags, &a.labels).cmp(&(b.status, &b.flags, &b.labels)))
    });
    tallies.into_iter().map(|(_, tally)| tally).collect()
}

fn merged(mut into: Vec<(Outcome, OutcomeTally)>, from: Vec<(Outcome, OutcomeTally)>) -> Vec<(Outcome, OutcomeTally)> {
    for (outcome, tally) in from {
        match into.iter_mut().find(|(known, _)| *known == outcome) {
            Some((_, known)) => {
                known.count += tally.count;
                known.latency = known.latency.merged(&tally.latency);
            }
            None => into.push((outcome, tally)),
        }
    }
    into
}

/// Calls of one class of users from one caller through one way to one workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct EdgeKey {
    group: GroupId,
    source: PartyId,
    service: CalledId,
    workload: ReachedId,
}

impl EdgeKey {
    fn hint(self) -> u32 {
        self.workload.0.wrapping_mul(5) ^ self.source.0
    }
}

#[derive(Debug, Clone, Default)]
struct Edge {
    arrived: u64,
    outcomes: Outcomes,
}

/// The recorder that makes a [`RunReport`].
#[derive(Debug, Clone, Default)]
pub struct Tally {
    requests: u64,
    by_group: Vec<(u64, Outcomes)>,
    edges: Cells<EdgeKey, Edge>,
    splits: Splits,
    failures: Failures,
    windows: Windows,
    slowest: Option<(Duration, RequestId)>,
}

impl Tally {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The request that took longest; the earlier of two that took equally long.
    #[must_use]
    pub fn slowest(&self) -> Option<RequestId> {
        self.slowest.map(|(_, request)| request)
    }

    fn group(&mut self, group: GroupId) -> &mut (u64, Outcomes) {
        if self.by_group.len() <= group.index() {
            self.by_group.resize_with(group.index() + 1, Default::default);
        }
        &mut self.by_group[group.index()]
    }

    /// Writes what was counted into a report that already has its phases and changes.
    pub fn fill(&self, directory: &Directory, report: &mut RunReport) {
        report.requests = self.requests;
        report.clients = self.client_groups(directory);
        report.edges = self.edge_groups(directory);
        report.failures = self.failures.report(directory);
        report.windows = self.windows.report(directory, &report.changes, report.ended_at);
        let sent: Vec<u64> = self.by_group.iter().map(|(sent, _)| *sent).collect();
        report.splits = self.splits.report(directory, &sent, &report.phases);
    }

    fn client_groups(&self, directory: &Directory) -> Vec<ClientGroup> {
        let groups = directory.groups.iter().zip(&self.by_group);
        let sending = groups.filter(|(_, (sent, _))| *sent > 0);
        let describe = |(group, (_, outcomes)): (&super::Group, &(u64, Outcomes))| ClientGroup {
            phase: group.phase,
            client: group.client.clone(),
            user: group.user.clone(),
            outcomes: in_order(outcomes.report(directory)),
        };
        sending.map(describe).collect()
    }

    fn edge_groups(&self, directory: &Directory) -> Vec<EdgeGroup> {
        let mut edges: Vec<(&EdgeKey, &Edge)> = self.edges.iter().collect();
        // Groups are numbered by phase, client and class.
        edges.sort_unstable_by_key(|(key, _)| **key);
        let describe = |(key, edge): (&EdgeKey, &Edge)| {
            let group = directory.group(key.group);
            let reached = directory.workloads.get(key.workload.index());
            EdgeGroup {
                phase: group.phase,
                client: group.client.clone(),
                user: group.user.clone(),
                source: directory.party(key.source).to_owned(),
                service: directory.services[key.service.index()].clone(),
                workload: reached.map(|w| w.name.clone()).unwrap_or_default(),
                version: reached.map(|w| w.label.clone()).unwrap_or_default(),
                arrived: edge.arrived,
                outcomes: in_order(merged(Vec::new(), edge.outcomes.report(directory))),
            }
        };
        edges.into_iter().map(describe).collect()
    }

    fn arrived(&mut self, at: Instant, group: GroupId, (source, hop): (PartyId, HopId), to: (CalledId, ReachedId)) {
        let key = EdgeKey { group, source, service: to.0, workload: to.1 };
        self.edges.at(key, key.hint()).arrived += 1;
        self.splits.arrived(at, (group, source, hop), to.1);
    }
}

impl Recorder for Tally {
    const DETAIL: bool = false;

    fn observe(&mut self, at: Instant, what: &Observation) {
        if !what.request().counted {
            return;
        }
        match *what {
            Observation::RequestSent { request } => {
                self.requests += 1;
                self.group(request.group).0 += 1;
            }
            Observation::RequestEnded { request, outcome, began } => {
                let took = at.since(began);
                self.group(request.group).1.record(outcome, took);
                if self.slowest.is_none_or(|(longest, _)| took > longest) {
                    self.slowest = Some((took, request));
                }
            }
            Observation::CallSent { request, source, hop, mirror: false, .. } => {
                self.splits.sent(at, (request.group, source, hop));
            }
            Observation::Arrived { request, source, hop, service, workload, .. } => {
                self.arrived(at, request.group, (source, hop), (service, workload));
            }
            Observation::CallEnded { request, source, hop, service, workload, outcome, details, began, .. } => {
                let key = EdgeKey { group: request.group, source, service, workload };
                self.edges.at(key, key.hint()).outcomes.record(outcome, at.since(began));
                self.failures.record(at, (request.group, source, hop, service), outcome, details);
                self.windows.record(at, (source, hop, service), outcome);
            }
            Observation::CallSent { mirror: true, .. }
            | Observation::Queued { .. }
            | Observation::WorkBegan { .. }
            | Observation::VisitEnded { .. }
            | Observation::TurnedAway { .. }
            | Observation::Tried { .. }
            | Observation::Picked { .. }
            | Observation::Connected { .. }
            | Observation::Reached { .. }
            | Observation::Informed { .. }
            | Observation::Answered { .. }
            | Observation::Held { .. }
            | Observation::BackedOff { .. }
            | Observation::TimedOut { .. } => {}
        }
    }
}
