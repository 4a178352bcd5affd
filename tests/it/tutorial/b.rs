//! B: Bookinfo and the beginning of its canary.

use std::collections::BTreeMap;

use meshsim::diagnostic::Code;
use meshsim::mesh::registry::Protocol;
use meshsim::record::RunReport;

use crate::support::interval;
use crate::support::lab::{Lab, text_of};
use crate::support::run::{Story, scenario, story};
use crate::support::tally::Ask;

pub(super) const START: &[&str] = &["bookinfo.yaml", "gateway.yaml"];
pub(super) const ALL_V1: &[&str] = &["bookinfo.yaml", "gateway.yaml", "steps/destination-rule-all.yaml", "steps/all-v1.yaml"];

pub(super) const READER: &str = "
clients:
  - name: reader
    from: istio-ingressgateway
    request: {url: \"http://bookinfo.example.com/productpage\"}
    traffic: {rate: 100/s, requests: 1000}
";

pub(super) fn lab(files: &[&str]) -> Lab {
    Lab::of("1.0", "bookinfo", files)
}

pub(super) fn bookinfo(files: &[&str], rest: &str) -> Story {
    let mesh: String = files.iter().map(|file| format!("  - mesh/{file}\n")).collect();
    story("bookinfo", &format!("istio: \"1.0\"\nseed: 1\nreadyMade: [bookinfo]\nmesh:\n{mesh}{rest}"))
}

pub(super) fn tour() -> &'static RunReport {
    scenario("bookinfo/scenario.yaml")
}

#[test]
fn b01_every_pod_has_a_sidecar() {
    let lab = lab(START);
    for workload in lab.mesh.workloads.iter().filter(|w| w.namespace == "default") {
        assert!(workload.proxied, "{}", workload.name);
        assert!(lab.mesh.proxy_named(&workload.name).is_some(), "{}", workload.name);
    }
}

#[test]
fn b03_manual_and_automatic_injection_give_the_same_proxies() {
    let automatic = lab(START);
    let by_hand = text_of("bookinfo/mesh/bookinfo.yaml")
        .replace("istio-injection: enabled", "istio-injection: disabled")
        .replace("      containers:\n", "      containers:\n        - {name: istio-proxy, image: docker.io/istio/proxyv2}\n");
    let by_hand = Lab::texts("1.0", &[&by_hand, &text_of("bookinfo/mesh/gateway.yaml")]);
    let names = |lab: &Lab| lab.mesh.proxies.iter().map(|p| p.spec.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&automatic), names(&by_hand));
}

#[test]
fn b04_four_services_and_six_pods() {
    let lab = lab(START);
    let mut services: Vec<_> = lab.mesh.services.iter().filter(|s| s.namespace == "default").map(|s| s.name.as_str()).collect();
    services.sort_unstable();
    assert_eq!(services, ["details", "productpage", "ratings", "reviews"]);
    assert_eq!(lab.mesh.workloads.iter().filter(|w| w.namespace == "default").map(|w| w.pods.len()).sum::<usize>(), 6);
}

#[test]
fn b05_the_gateway_opens_port_80_for_every_host_and_five_kinds_of_paths() {
    let lab = lab(START);
    for path in ["/productpage", "/static/style.css", "/login", "/logout", "/api/v1/products/0/reviews"] {
        let end = lab.get("istio-ingressgateway", &format!("http://any.example.com{path}"), &[]);
        assert_eq!(end.cluster, "outbound|9080||productpage.default.svc.cluster.local", "{path}");
    }
}

#[test]
fn b06_each_service_has_port_9080_named_http() {
    let lab = lab(START);
    for service in lab.mesh.services.iter().filter(|s| s.namespace == "default") {
        let ports: Vec<_> = service.ports.iter().map(|p| (p.port, p.name.as_str(), p.protocol)).collect();
        assert_eq!(ports, [(9080, "http", Protocol::Http)], "{}", service.host);
    }
}

#[test]
fn b07_one_pod_of_each_version() {
    let lab = lab(START);
    for name in ["details-v1", "productpage-v1", "ratings-v1", "reviews-v1", "reviews-v2", "reviews-v3"] {
        assert_eq!(lab.workload(name).pods.len(), 1, "{name}");
    }
}

#[test]
fn b10_the_page_is_200_and_other_paths_are_404_at_the_gateway() {
    let rest = "
clients:
  - name: reader
    from: istio-ingressgateway
    requests:
      - {url: \"http://bookinfo.example.com/productpage\"}
      - {url: \"http://bookinfo.example.com/\"}
      - {url: \"http://bookinfo.example.com/index.html\"}
      - {url: \"http://bookinfo.example.com/health\"}
      - {url: \"http://bookinfo.example.com/details/0\"}
    traffic: {rate: 10/s, requests: 50}
";
    let report = bookinfo(START, rest).run();
    assert_eq!(report.pages().statuses(), BTreeMap::from([(200, 10), (404, 40)]));
    assert_eq!(report.pages().status(404).flags("NR").count(), 40);
}

#[test]
fn b11_three_page_loads_in_a_row_show_three_versions() {
    let users: String = (0..30).map(|n| format!("      - {{name: \"{n}\", inTurn: 1}}\n")).collect();
    let rest = READER.replace("    traffic", &format!("    users:\n{users}    traffic")).replace("1000", "30");
    let report = bookinfo(START, &rest).run();
    let stars: Vec<&str> = (0..30).map(|n| stars(&report, &n.to_string())).collect();
    for window in stars.windows(3) {
        let mut window = window.to_vec();
        window.sort_unstable();
        assert_eq!(window, ["black", "none", "red"]);
    }
    for label in ["none", "black", "red"] {
        assert_eq!(tour().pages().phase("no-rules").label(label).count(), 1000);
    }
    let random = "
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: {name: reviews}
spec: {host: reviews, trafficPolicy: {loadBalancer: {simple: RANDOM}}}
";
    let report = bookinfo(START, READER).with_mesh("random.yaml", random).run();
    for label in ["none", "black", "red"] {
        let count = report.pages().label(label).count();
        assert!(interval::of(33, 1000).contains(&count), "{label}: {count}");
    }
}

/// The only label of a user's pages.
pub(super) fn stars<'r>(report: &'r RunReport, user: &str) -> &'r str {
    let known = ["none", "black", "red", "ratings-unavailable", "reviews-unavailable"];
    let labels: Vec<&str> = known.into_iter().filter(|label| report.pages().user(user).label(label).count() > 0).collect();
    assert_eq!(labels.len(), 1, "user {user}: {labels:?}");
    known.into_iter().find(|label| *label == labels[0]).unwrap()
}

#[test]
fn b12_two_pages_in_three_have_stars() {
    let phase = || tour().pages().phase("no-rules");
    assert_eq!(phase().label("black").count() + phase().label("red").count(), 2000);
    assert_eq!(phase().count(), 3000);
}

#[test]
fn b13_creating_what_exists_is_a_finding_and_applying_it_is_an_update() {
    let twice = format!("{}---\n{}", text_of("bookinfo/mesh/steps/all-v1.yaml"), text_of("bookinfo/mesh/steps/reviews-v3.yaml"));
    let in_one_stream = Lab::texts("1.0", &[&twice]);
    assert_eq!(in_one_stream.found(Code::DuplicateObject).len(), 1);
    let applied = lab(&[ALL_V1, &["steps/reviews-v3.yaml"]].concat());
    assert!(applied.found(Code::DuplicateObject).is_empty());
    assert_eq!(applied.get("productpage-v1", "http://reviews:9080/reviews/0", &[]).subset(), "v3");
}

#[test]
fn b14_everything_on_v1_has_no_stars_and_asks_nobody_for_ratings() {
    let report = bookinfo(ALL_V1, READER).run();
    report.pages().label("none").all(1000, 200);
    assert_eq!(report.calls().to("reviews").versions(), BTreeMap::from([("v1", 1000)]));
    assert_eq!(report.calls().to("ratings").count(), 0);
}

#[test]
fn b14d_routes_before_their_subsets_show_a_page_with_two_errors() {
    let report = scenario("bookinfo/wrong-order.scenario.yaml");
    let early = || report.pages().phase("routes-only");
    early().all(500, 200);
    assert_eq!(early().label("details-unavailable").count(), 500);
    assert_eq!(early().label("reviews-unavailable").count(), 500);
    let calls = report.calls().phase("routes-only").from("productpage-v1");
    calls.clone().to("details").flags("NR").all(500, 503);
    calls.to("reviews").flags("NR").all(1000, 503);
    report.pages().phase("routes-and-subsets").label("none").all(500, 200);
}
