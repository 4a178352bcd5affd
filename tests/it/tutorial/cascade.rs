//! The 7 s cascade beyond what the tutorial states: every user in every state, every delay, both
//! eras of the samples, faults that strike some calls only, and the fixes.

use meshsim::time::Duration;

use super::b::bookinfo;
use super::r::{JASON_V2, states};
use crate::support::interval;
use crate::support::run::scenario;
use crate::support::tally::Ask;

#[test]
fn the_timeline_of_one_late_page_is_that_of_the_tutorial() {
    let report = scenario("bookinfo-timeout-cascade/scenario.yaml");
    let waterfall = report.waterfall.as_ref().expect("the scenario asks for one");
    assert_eq!(waterfall.ends.since(waterfall.begins).nanos(), 6_000_000_000);
    let since = |at: meshsim::time::Instant| at.since(waterfall.begins).millis();
    let delays: Vec<_> = waterfall
        .segments
        .iter()
        .filter(|segment| segment.kind == meshsim::record::SegmentKind::FaultDelay)
        .map(|segment| (since(segment.begins), since(segment.ends)))
        .collect();
    assert_eq!(delays, [(0, 7000), (3000, 10_000)], "both calls to ratings are held for 7 s, and nobody waits for them");
    let timeouts: Vec<_> = waterfall
        .segments
        .iter()
        .filter(|segment| segment.kind == meshsim::record::SegmentKind::Timeout)
        .map(|segment| since(segment.begins))
        .collect();
    assert_eq!(timeouts, [3000, 6000]);
}

#[test]
fn every_delay_gives_the_page_of_the_decision_table() {
    let table = scenario("bookinfo-timeout-cascade/decision-table.scenario.yaml");
    let old = scenario("bookinfo-timeout-cascade/decision-table-before-1.3.scenario.yaml");
    let ms = |phase: &str| {
        let seconds = phase.split_once('-').unwrap().1.strip_suffix('s').unwrap();
        (seconds.parse::<f64>().unwrap() * 1000.0).round() as u64
    };
    for phase in &table.phases {
        let delay = ms(&phase.name);
        let (time, label) = match &phase.name[..2] {
            "v1" => (0, "none"),
            "v2" if delay < 3000 => (delay, "black"),
            "v2" => (6000, "reviews-unavailable"),
            _ if delay < 2500 => (delay, "red"),
            _ => (2500, "ratings-unavailable"),
        };
        let page = || table.pages().phase(&phase.name);
        page().label(label).all(10, 200);
        page().took(Duration::from_millis(time));
        let attempts = if label == "reviews-unavailable" { 20 } else { 10 };
        assert_eq!(table.calls().phase(&phase.name).from("productpage-v1").to("reviews").count(), attempts);
    }
    for phase in &old.phases {
        let delay = ms(&phase.name);
        let (time, label) = if delay < 2500 { (delay, "red") } else { (5000, "reviews-unavailable") };
        let page = || old.pages().phase(&phase.name);
        page().label(label).all(10, 200);
        page().took(Duration::from_millis(time));
    }
}

#[test]
fn before_1_3_the_fix_made_the_page_5_s_late_without_reviews() {
    let report = scenario("bookinfo-timeout-cascade/before-1.3.scenario.yaml");
    let page = || report.pages().phase("delay-7s").user("jason");
    page().label("reviews-unavailable").all(50, 200);
    page().took(Duration::from_secs(5));
    report.calls().phase("delay-7s").user("jason").from("productpage-v1").to("reviews").all(100, 500);
}

#[test]
fn partial_faults_are_drawn_anew_for_each_attempt() {
    let report = scenario("bookinfo-timeout-cascade/partial-faults.scenario.yaml");
    let page = |phase| report.pages().phase(phase);
    let times = page("half-late").times_ms();
    let count = |ms: u64| times.get(&ms).copied().unwrap_or(0);
    assert_eq!(times.keys().copied().collect::<Vec<_>>(), [0, 3000, 6000]);
    assert!(interval::of(50, 1000).contains(&count(0)), "{times:?}");
    assert!(interval::of(25, 1000).contains(&count(3000)), "{times:?}");
    assert!(interval::of(25, 1000).contains(&count(6000)), "{times:?}");
    assert_eq!(page("half-late").label("reviews-unavailable").count(), count(6000));
    let tenth = page("tenth-late").label("reviews-unavailable").count();
    assert!(interval::five_deviations(10_000, 1000).contains(&tenth), "{tenth}");
    let aborted = page("third-aborted").label("ratings-unavailable").count();
    assert!(interval::of(30, 1000).contains(&aborted), "{aborted}");
    page("third-aborted").took(Duration::ZERO);
    let both = page("half-late-fifth-aborted");
    let late_and_aborted = both.clone().label("ratings-unavailable");
    assert!(interval::of(20, 1000).contains(&late_and_aborted.count()));
    let late = late_and_aborted.times_ms().get(&2000).copied().unwrap_or(0);
    assert!(interval::of(10, 1000).contains(&late), "half of the aborted calls are late: {late}");
    let v3 = page("half-late-v3");
    assert_eq!(v3.clone().label("reviews-unavailable").count(), 0);
    let times = v3.times_ms();
    assert_eq!(times.keys().copied().collect::<Vec<_>>(), [0, 2500]);
    assert!(interval::of(50, 1000).contains(&times[&0]));
}

#[test]
fn fixes_in_the_mesh_do_not_help_and_fixes_in_the_applications_do() {
    let mesh = scenario("bookinfo-timeout-cascade/timeouts-in-the-mesh.scenario.yaml");
    for (phase, ms) in [("F6", 6000), ("F7", 1000), ("F8", 6000), ("F8-2.9s", 5800)] {
        let page = || mesh.pages().phase(phase);
        page().label("reviews-unavailable").all(100, 200);
        page().took(Duration::from_millis(ms));
    }
    mesh.calls().phase("F7").from("productpage-v1").to("reviews").flags("UT").all(200, 504);
    let patient = scenario("bookinfo-timeout-cascade/patient-productpage.scenario.yaml");
    patient.pages().label("black").all(100, 200);
    patient.pages().took(Duration::from_secs(7));
    let impatient = scenario("bookinfo-timeout-cascade/impatient-reviews.scenario.yaml");
    impatient.pages().label("ratings-unavailable").all(100, 200);
    impatient.pages().took(Duration::from_millis(2500));
}

#[test]
fn states_of_the_tutorial_hold_for_jason_and_for_others() {
    let seconds = Duration::from_secs;
    for (state, client, label, time) in [
        ("S1", "jason", "none", seconds(0)),
        ("S1", "others", "none", seconds(0)),
        ("S2", "jason", "black", seconds(0)),
        ("S2", "others", "none", seconds(0)),
        ("S3", "jason", "reviews-unavailable", seconds(6)),
        ("S3", "others", "none", seconds(0)),
        ("S4", "jason", "ratings-unavailable", seconds(0)),
        ("S4", "others", "none", seconds(0)),
        ("S7", "jason", "red", seconds(0)),
        ("F1", "jason", "ratings-unavailable", Duration::from_millis(2500)),
        ("F1", "others", "red", seconds(0)),
        ("F2", "jason", "red", seconds(2)),
        ("F3", "jason", "black", seconds(2)),
    ] {
        let page = || states().pages().phase(state).client(client);
        page().label(label).all(1000, 200);
        page().took(time);
    }
    for label in ["none", "black", "red"] {
        assert!((666..=667).contains(&states().pages().phase("S0").label(label).count()), "{label}");
    }
    for (state, client, hits) in [
        ("S1", "jason", 0),
        ("S2", "jason", 1000),
        ("S2", "others", 0),
        ("S3", "jason", 2000),
        ("S3", "others", 0),
        ("S4", "jason", 0),
        ("S7", "others", 1000),
        ("F1", "jason", 0),
        ("F1", "others", 1000),
        ("F2", "jason", 1000),
    ] {
        assert_eq!(states().calls().phase(state).client(client).to("ratings").arrived(), hits, "{state} {client}");
    }
}

#[test]
fn api_routes_tell_the_status_that_the_page_hides() {
    let rest = "
clients:
  - name: reviews
    from: istio-ingressgateway
    request: {url: \"http://bookinfo.example.com/api/v1/products/0/reviews\", cookies: {session: jason}}
    traffic: {rate: 1/s, requests: 10}
  - name: ratings
    from: istio-ingressgateway
    request: {url: \"http://bookinfo.example.com/api/v1/products/0/ratings\", cookies: {session: jason}}
    traffic: {rate: 1/s, requests: 10}
  - name: product
    from: istio-ingressgateway
    request: {url: \"http://bookinfo.example.com/api/v1/products/0\", cookies: {session: jason}}
    traffic: {rate: 1/s, requests: 10}
";
    let late = bookinfo(&[JASON_V2, &["steps/ratings-delay.yaml"]].concat(), rest).run();
    for (client, status, time) in [("reviews", 500, 6), ("ratings", 500, 3), ("product", 200, 0)] {
        late.pages().client(client).all(10, status);
        late.pages().client(client).took(Duration::from_secs(time));
    }
    let aborted = bookinfo(&[JASON_V2, &["steps/ratings-abort.yaml"]].concat(), rest).run();
    aborted.pages().client("ratings").all(10, 500);
    aborted.pages().client("reviews").label("ratings-unavailable").all(10, 200);
    aborted.pages().took(Duration::ZERO);
}

#[test]
fn scenarios_meet_their_own_expectations() {
    for path in crate::support::run::all_scenarios() {
        let report = scenario(&path);
        assert!(!report.expectations.is_empty(), "{path} expects nothing");
        let missed: Vec<_> = report.expectations.iter().filter(|verdict| !verdict.met).collect();
        assert!(missed.is_empty(), "{path}: {missed:#?}");
        assert_eq!(report.unfinished, 0, "{path}");
    }
}
