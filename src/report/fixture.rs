//! Results of runs written by hand, for the tests of the renderers.

use crate::record::{
    Change, ClientGroup, EdgeGroup, ExpectationVerdict, FirstFailure, Interval, Latency, OutcomeTally, PhaseSpan, RunReport,
    Segment, SegmentKind, Split, SplitLeg, SplitPoint, Waterfall,
};
use crate::source::{Sources, Span};
use crate::time::{Duration, Instant};

/// Seconds since the beginning.
pub(super) fn at(secs: u64) -> Instant {
    Instant::from_nanos(secs * 1_000_000_000)
}

fn phase(name: &str, note: &str, begins: u64, ends: u64) -> PhaseSpan {
    PhaseSpan { name: name.to_owned(), note: note.to_owned(), begins: at(begins), ends: at(ends) }
}

/// A distribution of these milliseconds and counts, in ascending order.
pub(super) fn latency(times: &[(u64, u64)]) -> Latency {
    let buckets: Vec<(Duration, u64)> = times.iter().map(|(ms, n)| (Duration::from_millis(*ms), *n)).collect();
    Latency {
        count: times.iter().map(|(_, n)| n).sum(),
        sum_ns: times.iter().map(|(ms, n)| u128::from(*ms) * u128::from(*n) * 1_000_000).sum(),
        min: buckets.first().map_or(Duration::ZERO, |b| b.0),
        max: buckets.last().map_or(Duration::ZERO, |b| b.0),
        buckets,
    }
}

fn outcome(status: u16, flags: &str, labels: &[&str], times: &[(u64, u64)]) -> OutcomeTally {
    let latency = latency(times);
    let labels = labels.iter().map(|l| (*l).to_owned()).collect();
    OutcomeTally { status, flags: flags.to_owned(), labels, count: latency.count, latency }
}

fn seen(phase: usize, client: &str, user: &str, outcomes: Vec<OutcomeTally>) -> ClientGroup {
    let outcomes = outcomes.into_iter().filter(|o| o.count > 0).collect();
    ClientGroup { phase, client: client.to_owned(), user: user.to_owned(), outcomes }
}

#[derive(Clone, Copy)]
struct Between(&'static str, &'static str, &'static str, &'static str);

fn calls(phase: usize, user: &str, between: Between, outcomes: Vec<OutcomeTally>) -> EdgeGroup {
    let Between(source, service, workload, version) = between;
    let outcomes: Vec<OutcomeTally> = outcomes.into_iter().filter(|o| o.count > 0).collect();
    EdgeGroup {
        phase,
        client: "browser".to_owned(),
        user: user.to_owned(),
        source: source.to_owned(),
        service: service.to_owned(),
        workload: workload.to_owned(),
        version: version.to_owned(),
        arrived: outcomes.iter().map(|o| o.count).sum(),
        outcomes,
    }
}

fn verdict(name: &str, met: bool, expected: &str, observed: &str, span: Span) -> ExpectationVerdict {
    ExpectationVerdict { name: name.to_owned(), met, expected: expected.to_owned(), observed: observed.to_owned(), span }
}

/// The sources that [`cascade`] and [`canary`] point into.
pub(super) fn sources() -> (Sources, Span) {
    let mut sources = Sources::new();
    let file = sources.add("scenario.yaml", "name: bookinfo\nexpect:\n  - name: nobody else notices\n");
    (sources, Span { file, start: 27, end: 30 })
}

const PAGE: Between =
    Between("istio-ingressgateway.istio-system", "productpage.default.svc.cluster.local", "productpage-v1.default", "v1");
const DETAILS: Between = Between("productpage-v1.default", "details.default.svc.cluster.local", "details-v1.default", "v1");
const REVIEWS_1: Between = Between("productpage-v1.default", "reviews.default.svc.cluster.local", "reviews-v1.default", "v1");
const REVIEWS_2: Between = Between("productpage-v1.default", "reviews.default.svc.cluster.local", "reviews-v2.default", "v2");
const REVIEWS_3: Between = Between("productpage-v1.default", "reviews.default.svc.cluster.local", "reviews-v3.default", "v3");
const RATINGS_2: Between = Between("reviews-v2.default", "ratings.default.svc.cluster.local", "ratings-v1.default", "v1");

/// Two phases of the timeout cascade: before and during the delay.
pub(super) fn cascade() -> RunReport {
    let (_, span) = sources();
    RunReport {
        scenario: "bookinfo-timeout-cascade".to_owned(),
        description: "Ratings are 7 s late for jason. His reviews would wait 10 s for them, so all should be well. His page \
                      comes after 6 s, with status 200 and without reviews."
            .to_owned(),
        istio: "1.29".to_owned(),
        seed: 1,
        ended_at: at(220),
        interrupted: false,
        requests: 1_000,
        unfinished: 0,
        events: 23_450,
        phases: vec![
            phase("jason-v2", "jason sees reviews v2, with black stars from ratings", 0, 70),
            phase("delay-7s", "ratings are 7 s late for jason; reviews v2 would wait 10 s", 70, 220),
        ],
        changes: vec![
            Change { at: at(0), what: "apply VirtualService default/reviews".to_owned() },
            Change { at: at(70), what: "apply VirtualService default/ratings".to_owned() },
        ],
        windows: Vec::new(),
        clients: vec![
            seen(0, "browser", "jason", vec![outcome(200, "", &["black"], &[(0, 50)])]),
            seen(0, "browser", "others", vec![outcome(200, "", &["none"], &[(0, 450)])]),
            seen(1, "browser", "jason", vec![outcome(200, "", &["reviews-unavailable"], &[(6_000, 50)])]),
            seen(1, "browser", "others", vec![outcome(200, "", &["none"], &[(0, 450)])]),
        ],
        edges: vec![
            calls(0, "jason", PAGE, vec![outcome(200, "", &["black"], &[(0, 50)])]),
            calls(0, "jason", DETAILS, vec![outcome(200, "", &[], &[(0, 50)])]),
            calls(0, "jason", REVIEWS_2, vec![outcome(200, "", &["black"], &[(0, 50)])]),
            calls(0, "jason", RATINGS_2, vec![outcome(200, "", &[], &[(0, 50)])]),
            calls(0, "others", PAGE, vec![outcome(200, "", &["none"], &[(0, 450)])]),
            calls(0, "others", DETAILS, vec![outcome(200, "", &[], &[(0, 450)])]),
            calls(0, "others", REVIEWS_1, vec![outcome(200, "", &["none"], &[(0, 450)])]),
            calls(1, "jason", PAGE, vec![outcome(200, "", &["reviews-unavailable"], &[(6_000, 50)])]),
            calls(1, "jason", DETAILS, vec![outcome(200, "", &[], &[(0, 50)])]),
            calls(1, "jason", REVIEWS_2, vec![outcome(0, "DC", &[], &[(3_000, 100)])]),
            calls(1, "jason", RATINGS_2, vec![outcome(200, "DI", &[], &[(7_000, 100)])]),
            calls(1, "others", PAGE, vec![outcome(200, "", &["none"], &[(0, 450)])]),
            calls(1, "others", DETAILS, vec![outcome(200, "", &[], &[(0, 450)])]),
            calls(1, "others", REVIEWS_1, vec![outcome(200, "", &["none"], &[(0, 450)])]),
        ],
        splits: vec![Split {
            source: "productpage-v1.default".to_owned(),
            service: "reviews.default.svc.cluster.local".to_owned(),
            legs: vec![SplitLeg { version: "v1".to_owned() }, SplitLeg { version: "v2".to_owned() }],
            points: vec![point(0, 0, 70, None, Some([0.9, 0.1]), [450, 50]), point(1, 70, 220, None, None, [450, 100])],
        }],
        failures: vec![FirstFailure {
            at: at(73),
            phase: 1,
            source: "productpage-v1.default".to_owned(),
            service: "reviews.default.svc.cluster.local".to_owned(),
            status: 0,
            flags: "DC".to_owned(),
            details: "downstream_remote_disconnect".to_owned(),
            count: 100,
            origin: span,
            explain: [
                "-f",
                "mesh/all v1.yaml",
                "--from",
                "productpage-v1",
                "http://reviews:9080/reviews/0",
                "-H",
                "end-user: jason",
            ]
            .map(str::to_owned)
            .to_vec(),
        }],
        expectations: vec![
            verdict("jason sees black stars", true, "status 200, labels black, 50 requests", "the same", span),
            verdict("jason's page comes after 6 s", true, "each after 6.000 s", "6.000 s", span),
            verdict("nobody else notices", false, "each after 10 ms", "0 s to 0 s", span),
        ],
        waterfall: Some(cascade_waterfall()),
    }
}

fn point(
    phase: usize,
    begins: u64,
    ends: u64,
    planned: Option<[f64; 2]>,
    exact: Option<[f64; 2]>,
    observed: [u64; 2],
) -> SplitPoint {
    SplitPoint {
        begins: at(begins),
        ends: at(ends),
        phase,
        planned: planned.map(|p| p.to_vec()),
        exact: exact.map(|p| p.to_vec()),
        intervals: observed.iter().map(|n| Interval::wilson95(*n, observed.iter().sum())).collect(),
        observed: observed.to_vec(),
    }
}

fn cascade_waterfall() -> Waterfall {
    let segment = |depth, who: &str, kind, begins: u64, ends: u64, result: &str, orphaned| Segment {
        depth,
        who: who.to_owned(),
        kind,
        begins: at(150 + begins),
        ends: at(150 + ends),
        result: result.to_owned(),
        orphaned,
    };
    let mut segments = vec![
        segment(0, "browser → productpage", SegmentKind::Call, 0, 6, "200", false),
        segment(1, "productpage-v1", SegmentKind::Work, 0, 6, "200", false),
        segment(2, "productpage-v1 → details", SegmentKind::Call, 0, 0, "200", false),
        segment(3, "details-v1", SegmentKind::Work, 0, 0, "200", false),
    ];
    for begins in [0, 3] {
        segments.extend([
            segment(2, "productpage-v1 → reviews", SegmentKind::Call, begins, begins + 3, "0 DC", false),
            segment(3, "reviews-v2", SegmentKind::Work, begins, begins + 7, "200", true),
            segment(4, "reviews-v2 → ratings", SegmentKind::Call, begins, begins + 7, "200 DI", true),
            segment(5, "reviews-v2 → ratings", SegmentKind::FaultDelay, begins, begins + 7, "", true),
            segment(5, "ratings-v1", SegmentKind::Work, begins + 7, begins + 7, "200", true),
            segment(3, "productpage-v1 → reviews", SegmentKind::Timeout, begins + 3, begins + 3, "caller's timeout", false),
        ]);
    }
    Waterfall { title: "browser request 46, user jason".to_owned(), begins: at(150), ends: at(156), segments }
}

/// A canary rollout in steps of one minute with a share for each, 600 requests a minute.
pub(super) fn rollout(steps: &[u64]) -> RunReport {
    const PER_POINT: u64 = 100;
    let mut report = RunReport {
        scenario: "canary".to_owned(),
        description: "Version 3 of reviews takes over in steps.".to_owned(),
        istio: "latest".to_owned(),
        seed: 42,
        ended_at: at(60 * steps.len() as u64),
        ..RunReport::default()
    };
    let mut points = Vec::new();
    for (i, percent) in steps.iter().enumerate() {
        let begins = 60 * i as u64;
        report.phases.push(phase(&format!("step-{percent}"), "", begins, begins + 60));
        report.changes.push(Change { at: at(begins), what: "apply VirtualService default/reviews".to_owned() });
        let mut totals = [0, 0];
        for n in 0..6 {
            // A wobble that looks like chance and is none: the tests must not depend on a generator.
            let wobble = [0, 3, -4, 1, 5, -2][(n as usize + i) % 6];
            let canary =
                if *percent == 0 || *percent == 100 { *percent } else { percent.saturating_add_signed(wobble).min(PER_POINT) };
            let observed = [PER_POINT - canary, canary];
            let planned = Some([1.0 - *percent as f64 / 100.0, *percent as f64 / 100.0]);
            points.push(point(i, begins + n * 10, begins + n * 10 + 10, planned, planned, observed));
            totals = [totals[0] + observed[0], totals[1] + observed[1]];
        }
        let slow = [(12, totals[1] / 2), (14, totals[1] - totals[1] / 2)];
        report.clients.push(seen(
            i,
            "browser",
            "",
            vec![
                outcome(200, "", &["none"], &[(11, totals[0] / 2), (12, totals[0] - totals[0] / 2)]),
                outcome(200, "", &["red"], &slow),
            ],
        ));
        report.edges.push(calls(i, "", REVIEWS_1, vec![outcome(200, "", &[], &[(8, totals[0])])]));
        report.edges.push(calls(i, "", REVIEWS_3, vec![outcome(200, "", &[], &[(9, totals[1])])]));
        report.requests += totals[0] + totals[1];
    }
    report.splits.push(Split {
        source: "productpage-v1.default".to_owned(),
        service: "reviews.default.svc.cluster.local".to_owned(),
        legs: vec![SplitLeg { version: "v1".to_owned() }, SplitLeg { version: "v3".to_owned() }],
        points,
    });
    report
}
