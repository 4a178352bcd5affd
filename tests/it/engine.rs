//! The engine against the tutorial systems and the laws it must keep.

use crate::stage_play::Play;
use meshsim::record::{RunReport, SegmentKind};
use meshsim::time::{Duration, Instant};

fn cascade() -> RunReport {
    Play::read("bookinfo-timeout-cascade/scenario.yaml").run()
}

/// Times of one class of users in one phase, with how many pages took them.
fn times(report: &RunReport, phase: &str, user: &str) -> Vec<(Duration, u64)> {
    let phase = report.phases.iter().position(|span| span.name == phase).unwrap();
    let group = report.clients.iter().find(|group| group.phase == phase && group.user == user).unwrap();
    group.outcomes.iter().flat_map(|outcome| outcome.latency.buckets.clone()).collect()
}

#[test]
fn jasons_page_takes_six_seconds_and_everybody_elses_none() {
    let report = cascade();
    assert_eq!(times(&report, "delay-7s", "jason"), [(Duration::from_secs(6), 50)]);
    assert_eq!(times(&report, "delay-7s", "others"), [(Duration::ZERO, 450)]);
}

#[test]
fn the_waterfall_shows_who_waited_and_what_went_on_after_the_answer() {
    let waterfall = cascade().waterfall.unwrap();
    let at = |seconds| waterfall.begins + Duration::from_secs(seconds);
    assert_eq!(waterfall.ends, at(6));
    let of = |kind: SegmentKind| -> Vec<(Instant, Instant)> {
        waterfall.segments.iter().filter(|s| s.kind == kind).map(|s| (s.begins, s.ends)).collect()
    };
    assert_eq!(of(SegmentKind::Timeout), [(at(3), at(3)), (at(6), at(6))]);
    assert_eq!(of(SegmentKind::FaultDelay), [(at(0), at(7)), (at(3), at(10))]);
    let orphans = waterfall.segments.iter().filter(|s| s.orphaned).map(|s| (s.who.as_str(), s.ends));
    assert_eq!(orphans.collect::<Vec<_>>(), [("reviews-v2", at(7)), ("reviews-v2", at(10))]);
}
