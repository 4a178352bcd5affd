//! R: Bookinfo's request routing, faults and shifting on Istio 1.0, and the 7 s cascade.

use std::collections::BTreeMap;

use meshsim::mesh::cluster::Balancer;
use meshsim::mesh::profile::Profile;
use meshsim::mesh::route::{Action, FaultDelay, PerMillion};
use meshsim::record::RunReport;
use meshsim::time::Duration;

use super::b::{ALL_V1, READER, START, bookinfo, lab, stars, tour};
use crate::support::interval;
use crate::support::lab::Lab;
use crate::support::run::scenario;
use crate::support::tally::Ask;

pub(super) const JASON_V2: &[&str] =
    &["bookinfo.yaml", "gateway.yaml", "steps/destination-rule-all.yaml", "steps/all-v1.yaml", "steps/reviews-jason-v2.yaml"];

fn faults() -> &'static RunReport {
    scenario("bookinfo/faults.scenario.yaml")
}

pub(super) fn states() -> &'static RunReport {
    scenario("bookinfo-timeout-cascade/states.scenario.yaml")
}

/// The same reader, logged in.
fn logged_in(user: &str) -> String {
    READER.replace("productpage\"}", &format!("productpage\", cookies: {{session: \"{user}\"}}}}"))
}

#[test]
fn r01_the_scenario_runs_on_istio_1_0() {
    assert_eq!(tour().istio, "1.0");
    let profile = Profile::of_version(&tour().istio).unwrap();
    assert_eq!((profile.default_retries.attempts, profile.whole_percentages), (0, true));
    assert!(!profile.reviews_catches_ratings_timeout);
}

#[test]
fn r02_the_label_of_the_namespace_gives_every_pod_a_sidecar() {
    assert!(lab(START).mesh.workloads.iter().all(|w| w.proxied));
}

#[test]
fn r03_four_services_and_one_pod_of_each_version() {
    let lab = lab(START);
    let pods: BTreeMap<_, _> =
        lab.mesh.workloads.iter().filter(|w| w.namespace == "default").map(|w| (w.name.as_str(), w.pods.len())).collect();
    let expected = ["details-v1", "productpage-v1", "ratings-v1", "reviews-v1", "reviews-v2", "reviews-v3"].map(|name| (name, 1));
    assert_eq!(pods, BTreeMap::from(expected));
    assert_eq!(lab.mesh.services.iter().filter(|s| s.namespace == "default").count(), 4);
}

#[test]
fn r04_the_gateway_is_there() {
    let lab = lab(START);
    assert!(lab.names().contains(&"Gateway/bookinfo-gateway".to_owned()));
    assert!(lab.mesh.proxy_named("istio-ingressgateway").is_some());
}

#[test]
fn r06_without_rules_versions_appear_in_turn() {
    for label in ["none", "black", "red"] {
        assert_eq!(tour().pages().phase("no-rules").label(label).count(), 1000);
    }
}

#[test]
fn r07_round_robin_was_the_default_then_and_is_not_today() {
    let files = START;
    let balancer = |istio: &str| Lab::of(istio, "bookinfo", files).cluster("productpage-v1", 9080, "", "reviews").balancer;
    assert_eq!(balancer("1.0"), Balancer::RoundRobin);
    assert_eq!(balancer("latest"), Balancer::LeastRequest);
    let today = bookinfo(START, READER).istio("latest").run();
    for label in ["none", "black", "red"] {
        let count = today.pages().label(label).count();
        assert!(interval::of(33, 1000).contains(&count), "{label}: {count}");
    }
}

#[test]
fn r08_both_sets_of_destination_rules_route_alike() {
    let (plain, mutual) =
        (lab(ALL_V1), lab(&["bookinfo.yaml", "gateway.yaml", "steps/destination-rule-all-mtls.yaml", "steps/all-v1.yaml"]));
    for service in ["details", "reviews", "ratings"] {
        let url = format!("http://{service}:9080/");
        assert_eq!(plain.get("productpage-v1", &url, &[]), mutual.get("productpage-v1", &url, &[]));
    }
    let report = scenario("bookinfo/mtls.scenario.yaml");
    report.pages().phase("plaintext").label("none").all(1000, 200);
    report.pages().phase("both-told").label("none").all(1000, 200);
}

#[test]
fn r08d_plaintext_clients_of_strict_servers_get_503() {
    scenario("bookinfo/mtls.scenario.yaml").pages().phase("strict-servers").all(1000, 503);
}

#[test]
fn r09_a_change_acts_when_it_has_reached_the_proxy() {
    let rest = "
propagation: 2s
clients:
  - name: reader
    from: istio-ingressgateway
    request: {url: \"http://bookinfo.example.com/productpage\"}
    users:
      - {name: just-before, inTurn: 1}
      - {name: just-after, inTurn: 1}
    traffic: {rate: 1000/s, start: 2999ms, requests: 2}
timeline:
  - {at: 1s, apply: [mesh/steps/reviews-v3.yaml]}
";
    let report = bookinfo(ALL_V1, rest).run();
    assert_eq!(stars(&report, "just-before"), "none");
    assert_eq!(stars(&report, "just-after"), "red");
}

#[test]
fn r10_four_routes_lead_to_v1() {
    let lab = lab(ALL_V1);
    for service in ["productpage", "reviews", "ratings", "details"] {
        assert!(lab.names().contains(&format!("VirtualService/{service}")));
        assert_eq!(lab.get("productpage-v1", &format!("http://{service}:9080/"), &[]).subset(), "v1", "{service}");
    }
}

#[test]
fn r11_proxies_may_switch_at_different_times() {
    // All proxies but one have the new rules when the delay is over; the rest follow within its spread.
    let rest = "
propagation: {uniform: [0s, 10s]}
clients:
  - name: reader
    from: istio-ingressgateway
    request: {url: \"http://bookinfo.example.com/productpage\"}
    traffic: {rate: 100/s, duration: 15s}
timeline:
  - {at: 1s, apply: [mesh/steps/destination-rule-all.yaml, mesh/steps/all-v1.yaml, mesh/steps/ratings-wrong.yaml]}
";
    let wrong = "
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: ratings}
spec:
  hosts: [ratings]
  http: [{fault: {abort: {percent: 100, httpStatus: 500}}, route: [{destination: {host: ratings, subset: v1}}]}]
";
    let counts: Vec<(u64, u64)> = (1..=20)
        .map(|seed| {
            let report = bookinfo(START, rest).file("mesh/steps/ratings-wrong.yaml", wrong).with_seed(seed).run();
            let from = |source: &str| report.calls().from(source).to("ratings").flags("FI").count();
            report.pages().all(1500, 200);
            (from("reviews-v2"), from("reviews-v3"))
        })
        .collect();
    assert!(counts.iter().any(|(two, three)| two != three), "the two sidecars learn of it at different times: {counts:?}");
}

#[test]
fn r12_v1_shows_no_stars_because_it_asks_nobody() {
    let phase = || tour().calls().phase("all-v1");
    tour().pages().phase("all-v1").label("none").all(3000, 200);
    assert_eq!(phase().to("ratings").count(), 0);
    assert_eq!(phase().to("reviews").versions(), BTreeMap::from([("v1", 3000)]));
}

#[test]
fn r13_jason_goes_to_v2() {
    assert_eq!(tour().calls().phase("jason-v2").user("jason").to("reviews").versions(), BTreeMap::from([("v2", 1000)]));
    assert_eq!(tour().calls().phase("jason-v2").user("others").to("reviews").versions(), BTreeMap::from([("v1", 2000)]));
}

#[test]
fn r14_only_the_exact_name_counts() {
    let lab = lab(JASON_V2);
    for (user, subset) in [("jason", "v2"), ("Jason", "v1"), ("jason2", "v1"), ("xjason", "v1"), ("", "v1")] {
        let end = lab.get("productpage-v1", "http://reviews:9080/reviews/0", &[("end-user", user)]);
        assert_eq!(end.subset(), subset, "{user:?}");
    }
    assert_eq!(lab.get("productpage-v1", "http://reviews:9080/reviews/0", &[]).subset(), "v1", "not logged in");
}

#[test]
fn r15_jason_sees_black_stars() {
    tour().pages().phase("jason-v2").user("jason").label("black").all(1000, 200);
}

#[test]
fn r16_any_name_may_log_in_and_only_jason_is_jason() {
    for (user, label) in [("jason", "black"), ("Jason", "none"), ("alice", "none")] {
        bookinfo(JASON_V2, &logged_in(user)).run().pages().label(label).all(1000, 200);
    }
}

#[test]
fn r17_a_header_picks_specific_traffic_for_v2() {
    tour().pages().phase("all-v1").user("jason").label("none").all(1000, 200);
    tour().pages().phase("jason-v2").user("jason").label("black").all(1000, 200);
    tour().pages().phase("jason-v2").user("others").label("none").all(2000, 200);
}

#[test]
fn r17d_a_header_that_a_client_sends_to_the_gateway_has_no_effect() {
    let rest = READER.replace("productpage\"}", "productpage\", headers: {end-user: jason}}");
    bookinfo(JASON_V2, &rest).run().pages().label("none").all(1000, 200);
}

#[test]
fn r18_v2_would_wait_10_s_and_the_page_fails_all_the_same() {
    let alone = "
clients:
  - name: reviews-client
    from: productpage-v1
    request: {url: \"http://reviews:9080/reviews/0\", headers: {end-user: jason}}
    traffic: {rate: 1/s, requests: 10}
";
    let report = bookinfo(&[JASON_V2, &["steps/ratings-delay.yaml"]].concat(), alone).run();
    report.pages().label("black").all(10, 200);
    report.pages().took(Duration::from_secs(7));
    faults().pages().phase("delay").user("jason").label("reviews-unavailable").all(100, 200);
}

#[test]
fn r19_the_delay_is_7_s_for_jason_only() {
    let lab = lab(&[JASON_V2, &["steps/ratings-delay.yaml"]].concat());
    let proxy = lab.proxy("reviews-v2");
    let routes = proxy
        .route_tables
        .iter()
        .flat_map(|table| &table.virtual_hosts)
        .find(|host| host.name.starts_with("ratings."))
        .map(|host| &host.routes)
        .unwrap();
    let delays: Vec<_> = routes.iter().map(|route| route.fault.as_ref().and_then(|fault| fault.delay)).collect();
    let seven = FaultDelay { fixed: Duration::from_secs(7), share: PerMillion::ALL };
    assert_eq!(delays, [Some(seven), None]);
    assert!(routes.iter().all(|route| matches!(route.action, Action::Forward(_))));
}

#[test]
fn r20_jasons_page_comes_after_6_s_with_status_200_and_without_reviews() {
    let page = || faults().pages().phase("delay").user("jason");
    page().label("reviews-unavailable").all(100, 200);
    page().took(Duration::from_secs(6));
    assert_eq!(page().label("details-unavailable").count(), 0, "details are fine");
}

#[test]
fn r21_the_cause_is_3_s_for_each_attempt() {
    let table = scenario("bookinfo-timeout-cascade/decision-table.scenario.yaml");
    table.pages().phase("v2-4s").label("reviews-unavailable").all(10, 200);
    table.pages().phase("v2-4s").took(Duration::from_secs(6));
    table.pages().phase("v2-2.9s").label("black").all(10, 200);
    table.pages().phase("v2-2.9s").took(Duration::from_millis(2900));
}

#[test]
fn r22_nobody_else_notices() {
    let others = || states().pages().phase("S3").client("others");
    others().label("none").all(1000, 200);
    others().took(Duration::ZERO);
}

#[test]
fn r23_the_abort_replaces_the_delay() {
    let lab = lab(&[JASON_V2, &["steps/ratings-delay.yaml", "steps/ratings-abort.yaml"]].concat());
    let proxy = lab.proxy("reviews-v2");
    let host = proxy.route_tables.iter().flat_map(|t| &t.virtual_hosts).find(|h| h.name.starts_with("ratings.")).unwrap();
    let fault = host.routes[0].fault.as_ref().unwrap();
    assert!(fault.delay.is_none() && fault.abort.is_some());
}

#[test]
fn r24_an_abort_costs_jason_the_ratings_only_and_at_once() {
    let page = || faults().pages().phase("abort").user("jason");
    page().label("ratings-unavailable").all(100, 200);
    page().took(Duration::ZERO);
    assert!(!page().labels().contains("black"));
}

#[test]
fn r25_weights_and_conditions_go_together() {
    let both = "
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
    - match: [{headers: {end-user: {exact: jason}}}]
      route: [{destination: {host: reviews, subset: v2}}]
    - route:
        - {destination: {host: reviews, subset: v1}, weight: 50}
        - {destination: {host: reviews, subset: v3}, weight: 50}
";
    bookinfo(ALL_V1, &logged_in("jason")).with_mesh("both.yaml", both).run().pages().label("black").all(1000, 200);
    let red = bookinfo(ALL_V1, READER).with_mesh("both.yaml", both).run().pages().label("red").count();
    assert!(interval::of(50, 1000).contains(&red), "{red}");
}

#[test]
fn r26_everything_on_v1_again_takes_back_rules_and_faults() {
    let phase = || states().pages().phase("S5");
    phase().label("none").all(2000, 200);
    phase().took(Duration::ZERO);
}

#[test]
fn r27_weights_of_50_and_50_are_valid() {
    let lab = lab(&[ALL_V1, &["steps/reviews-50-v3.yaml"]].concat());
    assert!(lab.found(meshsim::diagnostic::Code::RejectedObject).is_empty(), "{:?}", lab.findings);
}

#[test]
fn r28_half_of_the_pages_have_red_stars_jasons_too() {
    for client in ["jason", "others"] {
        let phase = || states().pages().phase("S6").client(client);
        let red = phase().label("red").count();
        assert!(interval::of(50, 1000).contains(&red), "{client}: {red}");
        assert_eq!(phase().label("none").count(), 1000 - red);
        assert_eq!(phase().label("black").count(), 0);
    }
}

#[test]
fn r29_scaling_a_version_does_not_move_the_split() {
    let users: String = (0..100).map(|n| format!("      - {{name: \"{n}\", inTurn: 1}}\n")).collect();
    let rest = READER.replace("    traffic", &format!("    users:\n{users}    traffic")).replace("1000", "100");
    let pages = |one: u32, three: u32| -> Vec<String> {
        let scale = format!(
            "timeline:\n  - {{at: 0s, scale: [{{workload: reviews-v1, replicas: {one}}}, {{workload: reviews-v3, replicas: {three}}}]}}\n"
        );
        let report = bookinfo(&[ALL_V1, &["steps/reviews-50-v3.yaml"]].concat(), &format!("{rest}{scale}")).run();
        (0..100).map(|n| stars(&report, &n.to_string()).to_owned()).collect()
    };
    let as_deployed = pages(1, 1);
    assert!(as_deployed.contains(&"red".to_owned()) && as_deployed.contains(&"none".to_owned()));
    assert_eq!(as_deployed, pages(1, 10));
    assert_eq!(as_deployed, pages(10, 1));
}

#[test]
fn r30_v3_for_everybody_is_red_for_everybody() {
    states().pages().phase("S7").label("red").all(2000, 200);
}
