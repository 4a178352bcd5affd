//! How the traffic between a caller and a service divides among versions over time: as the route is
//! written, as it must come out on average, and as it came out.

use std::collections::BTreeMap;

use super::cells::Cells;
use super::directory::Directory;
use super::observation::{CalledId, GroupId, HopId, PartyId, ReachedId};
use super::report::{Interval, PhaseSpan, Split, SplitLeg, SplitPoint};
use crate::time::{Duration, Instant};

/// More buckets than this are merged in pairs.
const BUCKETS_MAX: u64 = 128;

/// The finest stretch of time that is told apart.
const FIRST_WIDTH: Duration = Duration::from_millis(1);

/// Counts over time. Time ascends, so only the last bucket ever changes.
#[derive(Debug, Clone, Default)]
struct Series(Vec<(u64, u64)>);

impl Series {
    fn add(&mut self, bucket: u64) {
        match self.0.last_mut() {
            Some((last, count)) if *last == bucket => *count += 1,
            _ => self.0.push((bucket, 1)),
        }
    }

    fn halve(&mut self) {
        for (bucket, _) in &mut self.0 {
            *bucket /= 2;
        }
        self.0.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
    }
}

/// Calls of one class of users from one caller through one way.
type Way = (GroupId, PartyId, HopId);

/// Calls and arrivals over time.
#[derive(Debug, Clone)]
pub(super) struct Splits {
    width: Duration,
    /// The bucket of the latest instant, and where it ends.
    latest: (u64, Instant),
    sent: Cells<Way, Series>,
    arrived: Cells<(Way, ReachedId), Series>,
}

impl Default for Splits {
    fn default() -> Self {
        Splits { width: FIRST_WIDTH, latest: (0, Instant::ZERO), sent: Cells::default(), arrived: Cells::default() }
    }
}

impl Splits {
    pub(super) fn sent(&mut self, at: Instant, way: Way) {
        let bucket = self.bucket(at);
        self.sent.at(way, way.2.0).add(bucket);
    }

    pub(super) fn arrived(&mut self, at: Instant, way: Way, workload: ReachedId) {
        let bucket = self.bucket(at);
        self.arrived.at((way, workload), way.2.0.wrapping_mul(5) ^ workload.0).add(bucket);
    }

    /// The bucket of an instant. Instants ascend.
    fn bucket(&mut self, at: Instant) -> u64 {
        if at < self.latest.1 {
            return self.latest.0;
        }
        while at.nanos() / self.width.nanos() >= BUCKETS_MAX {
            self.width = self.width.times(2);
            self.sent.values_mut().chain(self.arrived.values_mut()).for_each(Series::halve);
        }
        let bucket = at.nanos() / self.width.nanos();
        self.latest = (bucket, Instant::ZERO + self.width.times(bucket + 1));
        bucket
    }

    /// The splits that have at least two legs, by caller and service. `requests` are those of each
    /// group.
    pub(super) fn report(&self, directory: &Directory, requests: &[u64], phases: &[PhaseSpan]) -> Vec<Split> {
        let rates = Rates { directory, requests };
        self.by_edge(directory).into_iter().filter_map(|(edge, counts)| counts.report(edge, self.width, phases, &rates)).collect()
    }

    fn by_edge(&self, directory: &Directory) -> BTreeMap<(PartyId, CalledId), Counts> {
        let mut edges: BTreeMap<(PartyId, CalledId), Counts> = BTreeMap::new();
        for (way @ (group, source, hop), series) in self.sent.iter() {
            let counts = edges.entry((*source, directory.hops[hop.index()].service)).or_default();
            let phase = directory.group(*group).phase;
            for (bucket, count) in &series.0 {
                *counts.point(phase, *bucket).sent.entry((way.0, *hop)).or_default() += count;
            }
        }
        for (((group, source, hop), workload), series) in self.arrived.iter() {
            let counts = edges.entry((*source, directory.hops[hop.index()].service)).or_default();
            let phase = directory.group(*group).phase;
            let Some(reached) = directory.workloads.get(workload.index()) else { continue };
            for (bucket, count) in &series.0 {
                *counts.point(phase, *bucket).arrived.entry(reached.version).or_default() += count;
            }
        }
        edges
    }
}

/// Everything counted between one caller and one service.
#[derive(Debug, Default)]
struct Counts {
    points: BTreeMap<(usize, u64), Point>,
}

/// One stretch of time in one phase.
#[derive(Debug, Default)]
struct Point {
    sent: BTreeMap<(GroupId, HopId), u64>,
    arrived: BTreeMap<usize, u64>,
}

/// How often the classes of users ask, as planned.
struct Rates<'a> {
    directory: &'a Directory,
    requests: &'a [u64],
}

impl Rates<'_> {
    /// Requests that a class would have sent had chance not played a part.
    fn planned(&self, id: GroupId) -> f64 {
        let group = self.directory.group(id);
        let of_client: u64 = self
            .directory
            .groups
            .iter()
            .zip(self.requests)
            .filter(|(other, _)| other.phase == group.phase && other.client == group.client)
            .map(|(_, sent)| sent)
            .sum();
        of_client as f64 * group.share
    }

    fn sent(&self, id: GroupId) -> f64 {
        self.requests.get(id.index()).copied().unwrap_or(0).max(1) as f64
    }
}

impl Counts {
    fn point(&mut self, phase: usize, bucket: u64) -> &mut Point {
        self.points.entry((phase, bucket)).or_default()
    }

    fn report(
        &self,
        (source, service): (PartyId, CalledId),
        width: Duration,
        phases: &[PhaseSpan],
        rates: &Rates<'_>,
    ) -> Option<Split> {
        let directory = rates.directory;
        let versions = self.versions(directory);
        if versions.len() < 2 {
            return None;
        }
        let calls = self.calls_by_group();
        let point = |((phase, bucket), point): (&(usize, u64), &Point)| {
            let span = phases.get(*phase);
            let begins = Instant::ZERO + width.times(*bucket);
            let begins = span.map_or(begins, |span| begins.max(span.begins));
            let ends = Instant::ZERO + width.times(bucket + 1);
            let ends = span.map_or(ends, |span| ends.min(span.ends.max(begins)));
            let observed: Vec<u64> = versions.iter().map(|v| point.arrived.get(v).copied().unwrap_or(0)).collect();
            let total = observed.iter().sum();
            SplitPoint {
                begins,
                ends,
                phase: *phase,
                planned: point.planned(directory, &versions),
                exact: point.exact(&versions, rates, &calls),
                intervals: observed.iter().map(|hits| Interval::wilson95(*hits, total)).collect(),
                observed,
            }
        };
        Some(Split {
            source: directory.party(source).to_owned(),
            service: directory.services[service.index()].clone(),
            legs: versions.iter().map(|v| SplitLeg { version: directory.versions[*v].clone() }).collect(),
            points: self.points.iter().map(point).collect(),
        })
    }

    fn calls_by_group(&self) -> BTreeMap<GroupId, u64> {
        let mut calls = BTreeMap::new();
        for ((group, _), count) in self.points.values().flat_map(|point| &point.sent) {
            *calls.entry(*group).or_default() += count;
        }
        calls
    }

    /// All versions that were planned, possible or reached, in the order of the mesh.
    fn versions(&self, directory: &Directory) -> Vec<usize> {
        let mut versions: Vec<usize> = Vec::new();
        for point in self.points.values() {
            versions.extend(point.arrived.keys());
            for (_, hop) in point.sent.keys() {
                let hop = &directory.hops[hop.index()];
                versions.extend(hop.expected.iter().chain(hop.planned.iter().flatten()).map(|(version, _)| *version));
            }
        }
        versions.sort_unstable();
        versions.dedup();
        versions
    }
}

fn shares(of: &[(usize, f64)], versions: &[usize]) -> Vec<f64> {
    versions.iter().map(|version| of.iter().filter(|(v, _)| v == version).map(|(_, share)| share).sum()).collect()
}

impl Point {
    /// As the route that most calls took is written.
    fn planned(&self, directory: &Directory, versions: &[usize]) -> Option<Vec<f64>> {
        // Ties go to the first.
        let mut most: Option<(&HopId, u64)> = None;
        for ((_, hop), count) in &self.sent {
            if most.is_none_or(|(_, highest)| *count > highest) {
                most = Some((hop, *count));
            }
        }
        let planned = directory.hops[most?.0.index()].planned.as_ref()?;
        Some(shares(planned, versions))
    }

    /// What the configuration gives on average: each class of users with its planned share of the
    /// requests and its calls per request, and its calls divided among the routes they take.
    fn exact(&self, versions: &[usize], rates: &Rates<'_>, calls: &BTreeMap<GroupId, u64>) -> Option<Vec<f64>> {
        let mut here: BTreeMap<GroupId, u64> = BTreeMap::new();
        for ((group, _), count) in &self.sent {
            *here.entry(*group).or_default() += count;
        }
        let mut sums = vec![0.0; versions.len()];
        for ((group, hop), count) in &self.sent {
            let per_request = calls[group] as f64 / rates.sent(*group);
            let weight = rates.planned(*group) * per_request * *count as f64 / here[group] as f64;
            let expected = shares(&rates.directory.hops[hop.index()].expected, versions);
            sums.iter_mut().zip(expected).for_each(|(sum, share)| *sum += weight * share);
        }
        let total: f64 = sums.iter().sum();
        (total > 0.0).then(|| sums.into_iter().map(|sum| sum / total).collect())
    }
}
