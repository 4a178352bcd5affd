//! The result of a run as plain data. Renderers turn it into text, JSON and charts; nothing here
//! formats anything. Lists are in a defined order: by phase, then by the order in the scenario or
//! mesh, never by hash.

use crate::source::Span;
use crate::time::{Duration, Instant};

/// The result of one run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunReport {
    /// Name of the scenario.
    pub scenario: String,
    /// What it shows.
    pub description: String,
    /// The release whose behaviour applied.
    pub istio: String,
    /// Seed.
    pub seed: u64,
    /// Virtual time at the end.
    pub ended_at: Instant,
    /// Whether the run was interrupted, or cut short because it would not have ended; then everything here is partial.
    pub interrupted: bool,
    /// Requests that clients sent, warm-up excluded.
    pub requests: u64,
    /// Requests that had no answer when the run ended.
    pub unfinished: u64,
    /// Events the engine handled.
    pub events: u64,
    /// Phases in order; one without name if the scenario has none.
    pub phases: Vec<PhaseSpan>,
    /// What the timeline changed, in order.
    pub changes: Vec<Change>,
    /// What clients saw, by phase, client and class of users.
    pub clients: Vec<ClientGroup>,
    /// Calls between services, by phase, client, class, source, service and workload reached.
    pub edges: Vec<EdgeGroup>,
    /// Weighted destinations and versions of services: planned, exact and observed.
    pub splits: Vec<Split>,
    /// First occurrence of each kind of failure.
    pub failures: Vec<FirstFailure>,
    /// Failures that changes of the configuration opened and closed.
    pub windows: Vec<Window>,
    /// What became of the expectations.
    pub expectations: Vec<ExpectationVerdict>,
    /// One request in detail.
    pub waterfall: Option<Waterfall>,
}

/// A phase.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PhaseSpan {
    /// Name; empty if the scenario has no phases.
    pub name: String,
    /// What happens in it.
    pub note: String,
    /// Beginning.
    pub begins: Instant,
    /// End.
    pub ends: Instant,
}

/// A change of the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub at: Instant,
    /// What, such as `apply VirtualService default/reviews`.
    pub what: String,
}

/// What one class of users of one client saw in one phase.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ClientGroup {
    /// Index into [`RunReport::phases`].
    pub phase: usize,
    /// Client.
    pub client: String,
    /// Class of users; empty if the client has none.
    pub user: String,
    /// Answers by outcome, most frequent first, ties by status, flags and labels.
    pub outcomes: Vec<OutcomeTally>,
}

/// Calls of one kind.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EdgeGroup {
    /// Index into [`RunReport::phases`].
    pub phase: usize,
    /// The client whose request led to the calls.
    pub client: String,
    /// The class of users.
    pub user: String,
    /// Who called: `workload.namespace`, or the client's name for its own requests at its proxy.
    pub source: String,
    /// Host of the service that was called, as in the registry; the authority if it is unknown.
    pub service: String,
    /// Workload that was reached as `workload.namespace`; empty if none was.
    pub workload: String,
    /// Its label `version`; empty if none.
    pub version: String,
    /// Requests that arrived there; differs from the sum of outcomes by retries and abandoned calls.
    pub arrived: u64,
    /// Answers as the caller's proxy saw them, by outcome.
    pub outcomes: Vec<OutcomeTally>,
}

/// Answers with one outcome.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OutcomeTally {
    /// Status; 0 if the caller went away first or the connection failed without an answer.
    pub status: u16,
    /// Response flags, comma-joined as Envoy prints them; empty for none.
    pub flags: String,
    /// Labels of the answer, in the order in which the scenario first names them.
    pub labels: Vec<String>,
    /// How many.
    pub count: u64,
    /// How long they took.
    pub latency: Latency,
}

/// A distribution of times.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Latency {
    /// How many.
    pub count: u64,
    /// Sum in nanoseconds.
    pub sum_ns: u128,
    /// Shortest.
    pub min: Duration,
    /// Longest.
    pub max: Duration,
    /// Times and counts in ascending order: exact while there are few distinct times, else the upper
    /// ends of buckets with at most 1 % error.
    pub buckets: Vec<(Duration, u64)>,
}

impl Latency {
    /// The smallest time that at least this share (in percent) of the values do not exceed.
    #[must_use]
    pub fn percentile(&self, percent: u32) -> Duration {
        let rank = (u128::from(self.count) * u128::from(percent)).div_ceil(100).max(1);
        let mut seen = 0_u128;
        for (time, count) in &self.buckets {
            seen += u128::from(*count);
            if seen >= rank {
                return *time;
            }
        }
        self.max
    }

    /// The values of both.
    #[must_use]
    pub fn merged(&self, other: &Latency) -> Latency {
        if self.count == 0 {
            return other.clone();
        }
        if other.count == 0 {
            return self.clone();
        }
        let mut buckets: Vec<(Duration, u64)> = self.buckets.iter().chain(&other.buckets).copied().collect();
        buckets.sort_unstable();
        buckets.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        Latency {
            count: self.count + other.count,
            sum_ns: self.sum_ns + other.sum_ns,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            buckets,
        }
    }
}

/// How the traffic of one client or service to another service is split.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// Who calls: `workload.namespace` or a client.
    pub source: String,
    /// Host of the service.
    pub service: String,
    /// Legs in the order of the route, or versions in the order of the mesh.
    pub legs: Vec<SplitLeg>,
    /// Shares over time.
    pub points: Vec<SplitPoint>,
}

/// One leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitLeg {
    /// Version, or workload where there is no version.
    pub version: String,
}

/// Shares of one stretch of time, one value for each leg.
#[derive(Debug, Clone, PartialEq)]
pub struct SplitPoint {
    /// Beginning.
    pub begins: Instant,
    /// End.
    pub ends: Instant,
    /// Index into [`RunReport::phases`].
    pub phase: usize,
    /// Shares as written in the route that most requests took, if it is weighted or pins one subset.
    pub planned: Option<Vec<f64>>,
    /// Expected shares, computed from the configuration and the mix of users.
    pub exact: Option<Vec<f64>>,
    /// Requests that arrived, by leg.
    pub observed: Vec<u64>,
    /// The 95 % interval (Wilson) around each observed share.
    pub intervals: Vec<Interval>,
}

/// An interval of shares.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Interval {
    /// Lower end, 0 to 1.
    pub low: f64,
    /// Upper end, 0 to 1.
    pub high: f64,
}

impl Interval {
    /// The 95 % Wilson interval around an observed share; everything is possible after no trial.
    #[must_use]
    pub fn wilson95(hits: u64, trials: u64) -> Interval {
        /// The 97.5th percentile of the normal distribution.
        const Z: f64 = 1.959_963_984_540_054;
        if trials == 0 {
            return Interval { low: 0.0, high: 1.0 };
        }
        let n = trials as f64;
        let share = hits as f64 / n;
        let scale = 1.0 + Z * Z / n;
        let centre = (share + Z * Z / (2.0 * n)) / scale;
        let half = Z / scale * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
        Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) }
    }
}

/// The first occurrence of one kind of failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstFailure {
    /// When.
    pub at: Instant,
    /// Index into [`RunReport::phases`].
    pub phase: usize,
    /// Who called: `workload.namespace` or a client.
    pub source: String,
    /// Service that was called.
    pub service: String,
    /// Status; 0 for none.
    pub status: u16,
    /// Response flags.
    pub flags: String,
    /// Response-code details, such as `cluster_not_found`.
    pub details: String,
    /// How often in all.
    pub count: u64,
    /// The rule that decided, if any.
    pub origin: Span,
    /// Arguments of `meshsim route` that explain it. The engine knows no files; who does puts their
    /// `-f` in front.
    pub explain: Vec<String>,
}

/// A stretch in which calls failed because routes, clusters and endpoints did not fit together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The first failure.
    pub begins: Instant,
    /// The last one.
    pub ends: Instant,
    /// Who called: `workload.namespace` or a client.
    pub source: String,
    /// Service that was called.
    pub service: String,
    /// Status.
    pub status: u16,
    /// Response flags, `NR`, `NC` or `UH` among them.
    pub flags: String,
    /// How often.
    pub count: u64,
    /// The rule that decided, if any.
    pub origin: Span,
    /// The changes after which it began, as in [`Change::what`]; empty if it was so from the start.
    pub opened_by: Vec<String>,
    /// The changes after which it was over; empty if it was not when the run ended.
    pub closed_by: Vec<String>,
}

/// What became of an expectation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectationVerdict {
    /// What it says.
    pub name: String,
    /// Whether it held.
    pub met: bool,
    /// What was expected, in words.
    pub expected: String,
    /// What was observed, in words.
    pub observed: String,
    /// Where it is written.
    pub span: Span,
}

impl RunReport {
    /// What became of an expectation. Part of a run proves nothing, so nothing is judged then.
    #[must_use]
    pub fn verdict(&self, expectation: &ExpectationVerdict) -> Verdict {
        match (self.interrupted, expectation.met) {
            (true, _) => Verdict::Skipped,
            (_, true) => Verdict::Passed,
            (_, false) => Verdict::Failed,
        }
    }

    /// How many expectations passed, failed and were skipped.
    #[must_use]
    pub fn verdicts(&self) -> VerdictCounts {
        let mut counts = VerdictCounts::default();
        for expectation in &self.expectations {
            match self.verdict(expectation) {
                Verdict::Passed => counts.passed += 1,
                Verdict::Failed => counts.failed += 1,
                Verdict::Skipped => counts.skipped += 1,
            }
        }
        counts
    }
}

/// What became of an expectation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It held.
    Passed,
    /// It did not.
    Failed,
    /// The run was interrupted, so nobody knows.
    Skipped,
}

/// Numbers of expectations by verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VerdictCounts {
    /// Held.
    pub passed: u64,
    /// Did not hold.
    pub failed: u64,
    /// Not judged.
    pub skipped: u64,
}

/// One request in detail: who waited for whom.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Waterfall {
    /// Which request, in words.
    pub title: String,
    /// When it was sent.
    pub begins: Instant,
    /// When its answer came.
    pub ends: Instant,
    /// Segments, callers before callees, each list of siblings by time.
    pub segments: Vec<Segment>,
}

/// A stretch of time of one party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Depth; 0 is the client.
    pub depth: u32,
    /// Who, such as `productpage-v1 → reviews`.
    pub who: String,
    /// What it is.
    pub kind: SegmentKind,
    /// Beginning.
    pub begins: Instant,
    /// End; may lie after the end of the request (work that nobody waits for).
    pub ends: Instant,
    /// Status and flags at the end, in words; empty if it is not a call.
    pub result: String,
    /// Whether the caller had left before it ended.
    pub orphaned: bool,
}

/// What a segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentKind {
    /// A call, from sending to its answer or end.
    Call,
    /// An application working.
    Work,
    /// A fault delay.
    FaultDelay,
    /// A retry's back-off.
    BackOff,
    /// Waiting for a slot.
    Queue,
    /// The moment a timeout fired; `begins` equals `ends`.
    Timeout,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_intervals_are_the_textbook_ones() {
        for (hits, trials, low, high) in [
            (74_811, 100_000, 0.7454, 0.7508),
            (0, 100, 0.0, 0.0370),
            (100, 100, 0.9630, 1.0),
            (1, 2, 0.0945, 0.9055),
            (0, 0, 0.0, 1.0),
        ] {
            let interval = Interval::wilson95(hits, trials);
            assert!((interval.low - low).abs() < 5e-5 && (interval.high - high).abs() < 5e-5, "{hits}/{trials}: {interval:?}");
        }
    }
}
