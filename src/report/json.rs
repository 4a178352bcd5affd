//! The result of a run for programs: one JSON object with a versioned schema.
//!
//! Counts and nanoseconds are integers, shares are decimals between 0 and 1, every field is always
//! there. A change that readers could notice makes a new version of [`RUN_SCHEMA`]; new fields do not.

mod findings;
mod wire;

use serde_json::Value;

use crate::record::{self, RunReport, SegmentKind, Verdict};
use crate::source::{Sources, Span};
use crate::time::Instant;
pub use findings::{FINDINGS_SCHEMA, FindingsTally, findings_json, findings_json_lines, findings_schema};
use wire::{Wire, document, wire};

/// The name and version of the schema, found in the field `schema` of every result.
pub const RUN_SCHEMA: &str = "meshsim.run/1";

wire! {
    /// The result of one run.
    struct Run {
        /// Name and version of this schema.
        schema as "schema": String,
        /// Name of the scenario.
        scenario as "scenario": String,
        /// What the scenario shows.
        description as "description": String,
        /// The release of Istio whose behaviour applied.
        istio as "istio": String,
        /// Seed.
        seed as "seed": u64,
        /// Virtual time at the end.
        ended_at as "endedAtNs": u64,
        /// Whether the run was interrupted, or cut short because it would not have ended; then everything here is partial.
        interrupted as "interrupted": bool,
        /// Requests that clients sent, warm-up excluded.
        requests as "requests": u64,
        /// Requests without an answer when the run ended.
        unfinished as "unfinished": u64,
        /// Events that were simulated.
        events as "events": u64,
        /// Phases in order.
        phases as "phases": Vec<Phase>,
        /// What the timeline changed, in order.
        changes as "changes": Vec<Change>,
        /// What clients saw, by phase, client and class of users.
        clients as "clients": Vec<Client>,
        /// Calls between services, by phase, client, class of users, source, service and workload.
        edges as "edges": Vec<Edge>,
        /// How traffic was split over versions: planned, exact and observed.
        splits as "splits": Vec<Split>,
        /// The first occurrence of each kind of failure.
        failures as "failures": Vec<Failure>,
        /// Failures that changes of the configuration opened and closed.
        windows as "windows": Vec<Window>,
        /// What became of the expectations.
        expectations as "expectations": Vec<Expectation>,
        /// One request in detail.
        waterfall as "waterfall": Option<Waterfall>,
    }

    /// A phase of the timeline.
    struct Phase {
        /// Name; empty if the scenario has no phases.
        name as "name": String,
        /// What happens in it.
        note as "note": String,
        /// Beginning.
        begins as "beginsNs": u64,
        /// End.
        ends as "endsNs": u64,
    }

    /// A change of the timeline.
    struct Change {
        /// When.
        at as "atNs": u64,
        /// What, such as `apply VirtualService default/reviews`.
        what as "what": String,
    }

    /// What one class of users of one client saw in one phase.
    struct Client {
        /// Index into `phases`.
        phase as "phase": u64,
        /// Client.
        client as "client": String,
        /// Class of users; empty if the client has none.
        user as "user": String,
        /// Answers by outcome.
        outcomes as "outcomes": Vec<Outcome>,
    }

    /// Calls of one kind.
    struct Edge {
        /// Index into `phases`.
        phase as "phase": u64,
        /// The client whose requests led to the calls.
        client as "client": String,
        /// The class of users.
        user as "user": String,
        /// Who called: `workload.namespace`, or a client.
        source as "source": String,
        /// Host of the service that was called.
        service as "service": String,
        /// Workload that was reached as `workload.namespace`; empty if none was.
        workload as "workload": String,
        /// Its label `version`; empty if it has none.
        version as "version": String,
        /// Requests that arrived there.
        arrived as "arrived": u64,
        /// Answers as the caller's proxy saw them.
        outcomes as "outcomes": Vec<Outcome>,
    }

    /// Answers with one outcome.
    struct Outcome {
        /// Status; 0 if the caller went away first or the connection failed.
        status as "status": u64,
        /// Envoy's response flags.
        flags as "flags": Vec<String>,
        /// Labels that applications put on the answer.
        labels as "labels": Vec<String>,
        /// How many.
        count as "count": u64,
        /// How long they took.
        latency as "latency": Latency,
    }

    /// A distribution of times.
    struct Latency {
        /// Shortest.
        min as "minNs": u64,
        /// Mean, rounded down.
        mean as "meanNs": u64,
        /// Median.
        p50 as "p50Ns": u64,
        /// 90th percentile.
        p90 as "p90Ns": u64,
        /// 99th percentile.
        p99 as "p99Ns": u64,
        /// Longest.
        max as "maxNs": u64,
        /// Times in ascending order and how many requests took them: exact while there are few, else
        /// the upper ends of buckets with at most 1 % error.
        buckets as "buckets": Vec<Bucket>,
    }

    /// Requests that took the same time.
    struct Bucket {
        /// Time.
        at as "ns": u64,
        /// How many.
        count as "count": u64,
    }

    /// How the calls of one source to one service were split.
    struct Split {
        /// Who called.
        source as "source": String,
        /// Host of the service.
        service as "service": String,
        /// Versions, in the order of the route or mesh.
        versions as "versions": Vec<String>,
        /// Shares over time.
        points as "points": Vec<Point>,
    }

    /// Shares of one stretch of time, one value for each version.
    struct Point {
        /// Beginning.
        begins as "beginsNs": u64,
        /// End.
        ends as "endsNs": u64,
        /// Index into `phases`.
        phase as "phase": u64,
        /// Shares as written in the route that most requests took, if it is weighted.
        planned as "planned": Option<Vec<f64>>,
        /// Shares to be expected from the configuration and the mix of users.
        exact as "exact": Option<Vec<f64>>,
        /// Requests that arrived.
        hits as "hits": Vec<u64>,
        /// Their shares; null if nothing arrived.
        observed as "observed": Option<Vec<f64>>,
        /// 95 % Wilson intervals around the observed shares.
        intervals as "intervals": Vec<Interval>,
    }

    /// An interval of shares.
    struct Interval {
        /// Lower end.
        low as "low": f64,
        /// Upper end.
        high as "high": f64,
    }

    /// The first occurrence of one kind of failure.
    struct Failure {
        /// When.
        at as "atNs": u64,
        /// Index into `phases`.
        phase as "phase": u64,
        /// Who called.
        source as "source": String,
        /// Service that was called.
        service as "service": String,
        /// Status; 0 for none.
        status as "status": u64,
        /// Envoy's response flags.
        flags as "flags": Vec<String>,
        /// Envoy's response-code details, such as `cluster_not_found`.
        details as "details": String,
        /// How often in all.
        count as "count": u64,
        /// The rule that decided, if any.
        origin as "origin": Option<Location>,
        /// Arguments of `meshsim route` that explain it, without the mesh.
        explain as "explain": Vec<String>,
    }

    /// A stretch in which calls failed because routes, clusters and endpoints did not fit together.
    struct Window {
        /// The first failure.
        begins as "beginsNs": u64,
        /// The last one.
        ends as "endsNs": u64,
        /// Who called.
        source as "source": String,
        /// Service that was called.
        service as "service": String,
        /// Status.
        status as "status": u64,
        /// Envoy's response flags, `NR`, `NC` or `UH` among them.
        flags as "flags": Vec<String>,
        /// How often.
        count as "count": u64,
        /// The rule that decided, if any.
        origin as "origin": Option<Location>,
        /// The changes after which it began; empty if it was so from the start.
        opened_by as "openedBy": Vec<String>,
        /// The changes after which it was over; empty if it was not when the run ended.
        closed_by as "closedBy": Vec<String>,
    }

    /// A place in a file.
    struct Location {
        /// File as it was named on the command line or in the scenario.
        file as "file": String,
        /// Line, from 1.
        line as "line": u64,
        /// Column in characters, from 1.
        column as "column": u64,
    }

    /// What became of an expectation.
    struct Expectation {
        /// What it says.
        name as "name": String,
        /// `passed`, `failed`, or `skipped` if the run was interrupted.
        verdict as "verdict": String,
        /// What was expected, in words.
        expected as "expected": String,
        /// What was observed, in words.
        observed as "observed": String,
        /// Where it is written.
        location as "location": Option<Location>,
    }

    /// One request in detail.
    struct Waterfall {
        /// Which request, in words.
        title as "title": String,
        /// When it was sent.
        begins as "beginsNs": u64,
        /// When its answer came.
        ends as "endsNs": u64,
        /// Stretches of time, callers before callees.
        segments as "segments": Vec<Segment>,
    }

    /// A stretch of time of one party.
    struct Segment {
        /// Depth; 0 is the client.
        depth as "depth": u64,
        /// Who, such as `productpage-v1 → reviews`.
        who as "who": String,
        /// `call`, `work`, `faultDelay`, `backOff`, `queue` or `timeout`.
        kind as "kind": String,
        /// Beginning.
        begins as "beginsNs": u64,
        /// End.
        ends as "endsNs": u64,
        /// Status and flags at the end; empty if it is not a call.
        result as "result": String,
        /// Whether the caller had left before it ended.
        orphaned as "orphaned": bool,
    }
}

/// The result of a run as one JSON object over several lines.
#[must_use]
pub fn run_json(report: &RunReport, sources: &Sources) -> String {
    let run = run(report, sources);
    let mut text = serde_json::to_string_pretty(&run).expect("structs of numbers, strings and lists are valid JSON");
    text.push('\n');
    text
}

/// The JSON Schema of [`run_json`]'s output.
#[must_use]
pub fn result_schema() -> Value {
    document::<Run>("Result of `meshsim run`", "Run", RUN_SCHEMA)
}

fn run(report: &RunReport, sources: &Sources) -> Run {
    Run {
        schema: RUN_SCHEMA.to_owned(),
        scenario: report.scenario.clone(),
        description: report.description.clone(),
        istio: report.istio.clone(),
        seed: report.seed,
        ended_at: report.ended_at.nanos(),
        interrupted: report.interrupted,
        requests: report.requests,
        unfinished: report.unfinished,
        events: report.events,
        phases: report.phases.iter().map(phase).collect(),
        changes: report.changes.iter().map(|change| Change { at: change.at.nanos(), what: change.what.clone() }).collect(),
        clients: report.clients.iter().map(client).collect(),
        edges: report.edges.iter().map(edge).collect(),
        splits: report.splits.iter().map(split).collect(),
        failures: report.failures.iter().map(|failure| first_failure(failure, sources)).collect(),
        windows: report.windows.iter().map(|found| window(found, sources)).collect(),
        expectations: report.expectations.iter().map(|e| expectation(report, e, sources)).collect(),
        waterfall: report.waterfall.as_ref().map(waterfall),
    }
}

fn phase(phase: &record::PhaseSpan) -> Phase {
    Phase { name: phase.name.clone(), note: phase.note.clone(), begins: phase.begins.nanos(), ends: phase.ends.nanos() }
}

fn client(group: &record::ClientGroup) -> Client {
    Client {
        phase: group.phase as u64,
        client: group.client.clone(),
        user: group.user.clone(),
        outcomes: group.outcomes.iter().map(outcome).collect(),
    }
}

fn edge(group: &record::EdgeGroup) -> Edge {
    Edge {
        phase: group.phase as u64,
        client: group.client.clone(),
        user: group.user.clone(),
        source: group.source.clone(),
        service: group.service.clone(),
        workload: group.workload.clone(),
        version: group.version.clone(),
        arrived: group.arrived,
        outcomes: group.outcomes.iter().map(outcome).collect(),
    }
}

fn outcome(outcome: &record::OutcomeTally) -> Outcome {
    Outcome {
        status: outcome.status.into(),
        flags: flags(&outcome.flags),
        labels: outcome.labels.clone(),
        count: outcome.count,
        latency: latency(&outcome.latency),
    }
}

fn flags(joined: &str) -> Vec<String> {
    joined.split(',').filter(|flag| !flag.is_empty()).map(str::to_owned).collect()
}

fn latency(latency: &record::Latency) -> Latency {
    let mean = latency.sum_ns.checked_div(latency.count.into()).unwrap_or(0);
    Latency {
        min: latency.min.nanos(),
        mean: u64::try_from(mean).unwrap_or(u64::MAX),
        p50: latency.percentile(50).nanos(),
        p90: latency.percentile(90).nanos(),
        p99: latency.percentile(99).nanos(),
        max: latency.max.nanos(),
        buckets: latency.buckets.iter().map(|(time, count)| Bucket { at: time.nanos(), count: *count }).collect(),
    }
}

fn split(split: &record::Split) -> Split {
    Split {
        source: split.source.clone(),
        service: split.service.clone(),
        versions: split.legs.iter().map(|leg| leg.version.clone()).collect(),
        points: split.points.iter().map(point).collect(),
    }
}

fn point(point: &record::SplitPoint) -> Point {
    let total: u64 = point.observed.iter().sum();
    let rounded_all = |shares: &Vec<f64>| shares.iter().copied().map(rounded).collect();
    Point {
        begins: point.begins.nanos(),
        ends: point.ends.nanos(),
        phase: point.phase as u64,
        planned: point.planned.as_ref().map(rounded_all),
        exact: point.exact.as_ref().map(rounded_all),
        hits: point.observed.clone(),
        observed: (total > 0).then(|| point.observed.iter().map(|hits| rounded(*hits as f64 / total as f64)).collect()),
        intervals: point.intervals.iter().map(|i| Interval { low: rounded(i.low), high: rounded(i.high) }).collect(),
    }
}

/// Six decimals: no share of fewer than a million requests has more to say.
fn rounded(share: f64) -> f64 {
    (share * 1e6).round() / 1e6
}

fn first_failure(failure: &record::FirstFailure, sources: &Sources) -> Failure {
    Failure {
        at: failure.at.nanos(),
        phase: failure.phase as u64,
        source: failure.source.clone(),
        service: failure.service.clone(),
        status: failure.status.into(),
        flags: flags(&failure.flags),
        details: failure.details.clone(),
        count: failure.count,
        origin: location(failure.origin, sources),
        explain: failure.explain.clone(),
    }
}

fn window(window: &record::Window, sources: &Sources) -> Window {
    Window {
        begins: window.begins.nanos(),
        ends: window.ends.nanos(),
        source: window.source.clone(),
        service: window.service.clone(),
        status: window.status.into(),
        flags: flags(&window.flags),
        count: window.count,
        origin: location(window.origin, sources),
        opened_by: window.opened_by.clone(),
        closed_by: window.closed_by.clone(),
    }
}

fn location(span: Span, sources: &Sources) -> Option<Location> {
    let place = sources.locate(span)?;
    Some(Location { file: place.file.to_owned(), line: place.position.line.into(), column: place.position.column.into() })
}

fn expectation(report: &RunReport, expectation: &record::ExpectationVerdict, sources: &Sources) -> Expectation {
    let verdict = match report.verdict(expectation) {
        Verdict::Passed => "passed",
        Verdict::Failed => "failed",
        Verdict::Skipped => "skipped",
    };
    Expectation {
        name: expectation.name.clone(),
        verdict: verdict.to_owned(),
        expected: expectation.expected.clone(),
        observed: expectation.observed.clone(),
        location: location(expectation.span, sources),
    }
}

fn waterfall(waterfall: &record::Waterfall) -> Waterfall {
    Waterfall {
        title: waterfall.title.clone(),
        begins: waterfall.begins.nanos(),
        ends: waterfall.ends.nanos(),
        segments: waterfall.segments.iter().map(segment).collect(),
    }
}

fn segment(segment: &record::Segment) -> Segment {
    let kind = match segment.kind {
        SegmentKind::Call => "call",
        SegmentKind::Work => "work",
        SegmentKind::FaultDelay => "faultDelay",
        SegmentKind::BackOff => "backOff",
        SegmentKind::Queue => "queue",
        SegmentKind::Timeout => "timeout",
    };
    let ns = |at: Instant| at.nanos();
    Segment {
        depth: segment.depth.into(),
        who: segment.who.clone(),
        kind: kind.to_owned(),
        begins: ns(segment.begins),
        ends: ns(segment.ends),
        result: segment.result.clone(),
        orphaned: segment.orphaned,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::report::fixture;

    /// What a value does not keep of a schema, in the words of the schema. Knows what
    /// [`result_schema`] uses and nothing else.
    fn violations(value: &Value, schema: &Value, root: &Value, at: &str, out: &mut Vec<String>) {
        let Some(rules) = schema.as_object() else { return };
        for (rule, wanted) in rules {
            match rule.as_str() {
                "$ref" => {
                    let target = root.pointer(&wanted.as_str().unwrap()[1..]).expect("references lead somewhere");
                    violations(value, target, root, at, out);
                }
                "allOf" => wanted.as_array().unwrap().iter().for_each(|schema| violations(value, schema, root, at, out)),
                "anyOf" => {
                    let fits = |schema: &Value| {
                        let mut trouble = Vec::new();
                        violations(value, schema, root, at, &mut trouble);
                        trouble.is_empty()
                    };
                    if !wanted.as_array().unwrap().iter().any(fits) {
                        out.push(format!("{at}: fits nothing of anyOf"));
                    }
                }
                "type" => {
                    let fits = match wanted.as_str().unwrap() {
                        "object" => value.is_object(),
                        "array" => value.is_array(),
                        "string" => value.is_string(),
                        "boolean" => value.is_boolean(),
                        "integer" => value.is_u64() || value.is_i64(),
                        "number" => value.is_number(),
                        "null" => value.is_null(),
                        other => panic!("unknown type {other}"),
                    };
                    if !fits {
                        out.push(format!("{at}: not of type {wanted}"));
                    }
                }
                "minimum" if value.as_i64().is_some_and(|n| n < wanted.as_i64().unwrap()) => {
                    out.push(format!("{at}: below {wanted}"))
                }
                "const" if value != wanted => out.push(format!("{at}: not {wanted}")),
                "items" => {
                    for (i, item) in value.as_array().into_iter().flatten().enumerate() {
                        violations(item, wanted, root, &format!("{at}/{i}"), out);
                    }
                }
                "required" => {
                    for key in wanted.as_array().unwrap().iter().filter(|key| value.get(key.as_str().unwrap()).is_none()) {
                        out.push(format!("{at}: lacks {key}"));
                    }
                }
                "properties" => {
                    for (key, item) in value.as_object().into_iter().flatten() {
                        match wanted.get(key) {
                            Some(schema) => violations(item, schema, root, &format!("{at}/{key}"), out),
                            None => out.push(format!("{at}: {key} is not in the schema")),
                        }
                    }
                }
                "$schema" | "title" | "description" | "definitions" | "minimum" | "const" => {}
                other => panic!("the test does not know the rule {other}"),
            }
        }
    }

    fn check(value: &Value) -> Vec<String> {
        let schema = result_schema();
        let mut out = Vec::new();
        violations(value, &schema, &schema, "", &mut out);
        out
    }

    #[test]
    fn results_keep_their_schema() {
        let (sources, _) = fixture::sources();
        for report in [fixture::cascade(), fixture::rollout(&[0, 50]), RunReport::default()] {
            let value: Value = serde_json::from_str(&run_json(&report, &sources)).unwrap();
            assert_eq!(check(&value), Vec::<String>::new());
        }
    }

    #[test]
    fn the_check_itself_notices_what_is_wrong() {
        let (sources, _) = fixture::sources();
        let good: Value = serde_json::from_str(&run_json(&fixture::cascade(), &sources)).unwrap();
        for (pointer, wrong) in [
            ("/schema", json!("meshsim.run/2")),
            ("/seed", json!(-1)),
            ("/phases/0/name", json!(1)),
            ("/splits/0/points/0/hits/0", json!("1")),
            ("/waterfall", json!([])),
            ("/changes/0", json!({"atNs": 1, "what": "", "more": 1})),
            ("/changes/1", json!({"atNs": 1})),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).expect("the path leads somewhere") = wrong;
            assert_eq!(check(&bad).len(), 1, "{pointer}: {:?}", check(&bad));
        }
    }

    #[test]
    fn the_cascade_as_json() {
        let (sources, _) = fixture::sources();
        let mut report = fixture::cascade();
        // One of each kind is enough to read.
        report.edges.truncate(1);
        report.clients.truncate(1);
        insta::assert_snapshot!(run_json(&report, &sources));
    }

    #[test]
    fn the_schema_is_documented() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&result_schema()).unwrap());
    }
}
