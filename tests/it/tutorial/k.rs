//! K: the website canary on Istio 1.0.

use std::collections::BTreeMap;

use meshsim::diagnostic::Code;
use meshsim::record::RunReport;

use crate::support::interval;
use crate::support::lab::{Lab, text_of};
use crate::support::run::{Story, one_pod_each, scenario, story};
use crate::support::tally::Ask;

const START: &[&str] = &["website.yaml", "gateway.yaml", "in-mesh-client.yaml"];

const VISITOR: &str = "
clients:
  - name: visitor
    from: istio-ingressgateway
    request: {url: \"http://www.example.com/\"}
    traffic: {rate: 100/s, requests: 1000}
";

pub(super) fn lab(files: &[&str]) -> Lab {
    Lab::of("1.0", "website-canary", &[START, files].concat())
}

pub(super) fn website(files: &[&str], rest: &str) -> Story {
    let mesh: String = START.iter().chain(files).map(|file| format!("  - mesh/{file}\n")).collect();
    story("website-canary", &format!("istio: \"1.0\"\nseed: 1\nreadyMade: [website]\nmesh:\n{mesh}{rest}"))
}

fn tour() -> &'static RunReport {
    scenario("website-canary/scenario.yaml")
}

fn alone() -> &'static RunReport {
    scenario("website-canary/dr-alone.scenario.yaml")
}

fn both_sides() -> &'static RunReport {
    scenario("website-canary/in-mesh.scenario.yaml")
}

/// How many of a client's pages in a phase were blue, of 1000 answers with status 200.
#[track_caller]
fn blue(report: &RunReport, phase: &str, client: &str) -> u64 {
    let pages = report.pages().phase(phase).client(client);
    pages.clone().all(1000, 200);
    pages.label("blue").count()
}

#[test]
fn k03_the_namespace_injects_and_a_pod_may_opt_out() {
    assert!(lab(&[]).workload("web-v1").proxied);
    let out = text_of("website-canary/mesh/website.yaml").replace(
        "        version: website-version-1\n    spec:",
        "        version: website-version-1\n      annotations: {sidecar.istio.io/inject: \"false\"}\n    spec:",
    );
    assert!(!Lab::texts("1.0", &[&out]).workload("web-v1").proxied);
    let by_hand = text_of("website-canary/mesh/website.yaml").replace("istio-injection: enabled", "istio-injection: disabled");
    assert!(!Lab::texts("1.0", &[&by_hand]).workload("web-v1").proxied);
}

#[test]
fn k04_ordinary_requests_never_reach_the_canary() {
    for phase in ["version-1-only", "pinned", "canary-deployed", "header-too-early", "header"] {
        assert_eq!(blue(tour(), phase, "visitor"), 0, "{phase}");
    }
}

#[test]
fn k05_version_1_has_four_endpoints() {
    assert_eq!(lab(&[]).cluster("istio-ingressgateway", 80, "", "website").endpoints().count(), 4);
    let labels = lab(&[]).workload("web-v1").labels.clone();
    assert_eq!(labels, [("app".to_owned(), "website".to_owned()), ("version".to_owned(), "website-version-1".to_owned())]);
}

#[test]
fn k06_the_service_selects_by_app_alone() {
    let lab = lab(&["steps/3-canary.yaml"]);
    assert_eq!(lab.cluster("istio-ingressgateway", 80, "", "website").endpoints().count(), 5);
}

#[test]
fn k08_left_over_rules_for_the_same_host_are_reported() {
    let mesh_rule = text_of("website-canary/mesh/steps/pin-version-1-in-mesh.yaml");
    let second = mesh_rule.replace("name: website-virtual-service", "name: left-over");
    let start = [text_of("website-canary/mesh/website.yaml"), text_of("website-canary/mesh/gateway.yaml")];
    let lab = Lab::texts("1.0", &[&start[0], &start[1], &mesh_rule, &second]);
    assert!(!lab.found(Code::ConflictingHost).is_empty(), "two rules for one host in the mesh");
    let wildcard =
        text_of("website-canary/mesh/steps/2-pin-version-1.yaml").replace("name: website-virtual-service", "name: left-over");
    let lab = Lab::texts("1.0", &[&start[0], &start[1], &wildcard]);
    assert!(!lab.found(Code::CompetingCatchAll).is_empty(), "two rules for `*` at one gateway");
}

#[test]
fn k09_default_to_version_1_and_a_header_for_version_2() {
    assert_eq!(blue(tour(), "header", "visitor"), 0);
    assert_eq!(blue(tour(), "header", "tester"), 1000);
}

#[test]
fn k10_the_gateway_takes_any_host() {
    let lab = lab(&[]);
    for host in ["www.example.com", "10.0.0.1", "website"] {
        assert_eq!(lab.get("istio-ingressgateway", &format!("http://{host}/"), &[]).status, 0, "{host}");
    }
}

#[test]
fn k11_every_path_and_method_leads_to_the_website() {
    let lab = lab(&[]);
    for (method, path) in [("GET", "/"), ("POST", "/any/path?x=1"), ("DELETE", "/index.html")] {
        let end = lab.send("istio-ingressgateway", method, &format!("http://www.example.com{path}"), &[]);
        assert_eq!(end.cluster, "outbound|80||website.default.svc.cluster.local", "{method} {path}");
    }
}

#[test]
fn k13_one_version_gets_everything_in_equal_turns() {
    assert_eq!(blue(tour(), "version-1-only", "visitor"), 0);
    let pods = one_pod_each(&text_of("website-canary/mesh/website.yaml"));
    let report = website(&[], VISITOR).file("mesh/website.yaml", &pods).run();
    let turns: Vec<u64> = report.calls().from("visitor").workloads().into_values().collect();
    assert_eq!(turns, [250; 4]);
}

#[test]
fn k14_version_1_is_green_and_version_2_is_blue() {
    assert_eq!(tour().pages().phase("version-1-only").labels().into_iter().collect::<Vec<_>>(), ["green"]);
    assert_eq!(tour().pages().phase("header").client("tester").labels().into_iter().collect::<Vec<_>>(), ["blue"]);
}

#[test]
fn k15_a_request_passes_the_ingress_gateway_and_a_website_pod() {
    let report = website(&[], &VISITOR.replace("requests: 1000", "requests: 1")).run();
    let edges: Vec<_> = report.edges.iter().map(|e| (e.source.as_str(), e.service.as_str(), e.workload.as_str())).collect();
    assert_eq!(edges, [("visitor", "website.default.svc.cluster.local", "web-v1.default")]);
    let end = lab(&[]).get("istio-ingressgateway", "http://www.example.com/", &[]);
    assert_eq!(end.cluster, "outbound|80||website.default.svc.cluster.local");
}

#[test]
fn k16_two_rules_for_one_host_are_reported() {
    let rule = text_of("website-canary/mesh/steps/pin-version-1-in-mesh.yaml");
    let second = rule.replace("name: website-virtual-service", "name: another");
    let lab = Lab::texts(
        "1.0",
        &[&text_of("website-canary/mesh/website.yaml"), &text_of("website-canary/mesh/gateway.yaml"), &rule, &second],
    );
    assert_eq!(lab.found(Code::ConflictingHost).len(), 2, "each of the two is named");
}

#[test]
fn k17_a_destination_is_a_service_name_in_the_rules_namespace() {
    let end = lab(&["steps/1-subset-version-1.yaml", "steps/2-pin-version-1.yaml"]).get("istio-ingressgateway", "http://x/", &[]);
    assert_eq!(end.cluster, "outbound|80|version-1|website.default.svc.cluster.local");
}

#[test]
fn k18_a_subset_is_the_service_and_its_labels_and_may_balance_in_its_own_way() {
    let rule = text_of("website-canary/mesh/steps/5-subsets-both.yaml")
        .replace("  host: website\n", "  host: website\n  trafficPolicy: {loadBalancer: {simple: RANDOM}}\n");
    let rule = rule.replace(
        "      labels: {version: website-version-2}\n",
        "      labels: {version: website-version-2}\n      trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}\n",
    );
    let texts: Vec<String> =
        START.iter().chain(&["steps/3-canary.yaml"]).map(|f| text_of(&format!("website-canary/mesh/{f}"))).collect();
    let mut texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let foreign = text_of("website-canary/mesh/steps/3-canary.yaml")
        .replace("app: website", "app: other")
        .replace("name: web-v2", "name: other");
    texts.extend([rule.as_str(), foreign.as_str()]);
    let lab = Lab::texts("1.0", &texts);
    let subset = |name| lab.cluster("istio-ingressgateway", 80, name, "website");
    assert_eq!((subset("version-1").endpoints().count(), subset("version-2").endpoints().count()), (4, 1));
    use meshsim::mesh::cluster::Balancer;
    assert_eq!((subset("version-1").balancer, subset("version-2").balancer), (Balancer::Random, Balancer::RoundRobin));
}

#[test]
fn k19_a_route_keeps_to_a_version_only_if_it_names_the_subset() {
    assert_eq!(blue(alone(), "canary-deployed", "visitor"), 200);
    assert_eq!(blue(alone(), "pinned", "visitor"), 0);
}

#[test]
fn k20_rules_of_the_gateway_do_not_hold_inside_the_mesh() {
    assert_eq!(blue(tour(), "canary-deployed", "in-mesh"), 200);
    assert_eq!(blue(tour(), "canary-deployed", "visitor"), 0);
}

#[test]
fn k21_a_wildcard_host_with_mesh_is_refused_and_the_named_host_costs_the_other_names() {
    let printed = lab(&["steps/1-subset-version-1.yaml", "steps/refused-wildcard-in-mesh.yaml"]);
    let refused = printed.found(Code::RejectedObject);
    assert_eq!(refused.len(), 1, "{:?}", printed.findings);
    assert!(refused[0].message.contains("`*`"), "{}", refused[0].message);
    assert_eq!(blue(both_sides(), "gateway-and-mesh", "in-mesh"), 0);
    assert_eq!(blue(both_sides(), "gateway-only", "in-mesh"), 200);
    let visitors = both_sides().pages().phase("gateway-and-mesh").client("visitor");
    assert_eq!(visitors.statuses(), BTreeMap::from([(200, 500), (404, 500)]));
    // Measured: a gateway serves a short host under its full name only.
    let files = ["steps/1-subset-version-1.yaml", "steps/pin-version-1-in-mesh.yaml"];
    let at_gateway = |host: &str| lab(&files).get("istio-ingressgateway", &format!("http://{host}/"), &[]).status;
    assert_eq!(
        (at_gateway("website.default.svc.cluster.local"), at_gateway("website"), at_gateway("www.example.com")),
        (0, 404, 404)
    );
}

#[test]
fn k22_mesh_is_a_reserved_word_and_unknown_gateways_are_reported() {
    let named_mesh = text_of("website-canary/mesh/gateway.yaml").replace("name: website-gateway", "name: mesh");
    let lab = Lab::texts("1.0", &[&text_of("website-canary/mesh/website.yaml"), &named_mesh]);
    assert!(!lab.found(Code::ReservedName).is_empty(), "{:?}", lab.findings);
    assert!(!lab.found(Code::UndefinedGateway).is_empty(), "the rule names website-gateway, which is gone");
}

#[test]
fn k23_an_added_pod_takes_its_turn() {
    assert_eq!(blue(alone(), "canary-deployed", "visitor"), 200);
    let random = "
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: {name: website}
spec: {host: website, trafficPolicy: {loadBalancer: {simple: RANDOM}}}
";
    let report = website(&["steps/3-canary.yaml"], VISITOR).with_mesh("random.yaml", random).run();
    assert!(interval::of(20, 1000).contains(&report.pages().label("blue").count()));
}

#[test]
fn k24_a_pod_without_a_version_is_behind_the_service_and_in_no_subset() {
    let bare = text_of("website-canary/mesh/steps/3-canary.yaml")
        .replace("        version: website-version-2\n", "")
        .replace(", version: website-version-2", "");
    let texts: Vec<String> =
        START.iter().chain(&["steps/5-subsets-both.yaml"]).map(|f| text_of(&format!("website-canary/mesh/{f}"))).collect();
    let mut texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    texts.push(&bare);
    let lab = Lab::texts("1.0", &texts);
    let pods = |subset| lab.cluster("istio-ingressgateway", 80, subset, "website").endpoints().count();
    assert_eq!((pods(""), pods("version-1"), pods("version-2")), (5, 4, 0));
}

#[test]
fn k25_subsets_before_the_canary_keep_ordinary_requests_off_it() {
    assert_eq!(blue(tour(), "pinned", "visitor"), 0);
    assert_eq!(blue(tour(), "canary-deployed", "visitor"), 0);
}

#[test]
fn k26_a_destination_rule_alone_selects_nothing() {
    let before = lab(&[]).get("istio-ingressgateway", "http://www.example.com/", &[]);
    let after = lab(&["steps/1-subset-version-1.yaml"]).get("istio-ingressgateway", "http://www.example.com/", &[]);
    assert_eq!(before, after);
    assert_eq!(blue(alone(), "before", "visitor"), 0);
}

#[test]
fn k27_the_canary_is_the_fifth_endpoint() {
    let lab = lab(&["steps/3-canary.yaml", "steps/5-subsets-both.yaml"]);
    let pods = |subset| lab.cluster("istio-ingressgateway", 80, subset, "website").endpoints().count();
    assert_eq!((pods(""), pods("version-2")), (5, 1));
}

#[test]
fn k28_a_subset_that_no_route_names_does_not_count() {
    assert_eq!(blue(alone(), "canary-deployed", "visitor"), 200);
}

#[test]
fn k29_editing_a_rule_replaces_it() {
    let lab = lab(&["steps/1-subset-version-1.yaml", "steps/2-pin-version-1.yaml"]);
    assert_eq!(lab.names().iter().filter(|name| name.starts_with("VirtualService/")).count(), 1);
    assert_eq!(lab.get("istio-ingressgateway", "http://x/", &[]).subset(), "version-1");
}

#[test]
fn k30_a_pinned_site_still_loads() {
    assert_eq!(blue(tour(), "pinned", "visitor"), 0);
}

#[test]
fn k31_the_running_canary_gets_nothing_from_the_gateway() {
    let lab = lab(&["steps/1-subset-version-1.yaml", "steps/2-pin-version-1.yaml", "steps/3-canary.yaml"]);
    assert_eq!(lab.cluster("istio-ingressgateway", 80, "", "website").endpoints().count(), 5);
    assert_eq!(tour().calls().phase("canary-deployed").from("visitor").version("website-version-2").arrived(), 0);
}

#[test]
fn k32_refreshing_does_not_find_the_canary() {
    assert_eq!(blue(tour(), "canary-deployed", "visitor"), 0);
    assert_eq!(blue(tour(), "canary-deployed", "tester"), 0, "the header means nothing yet");
}

/// Values of the header `qa` and whether they lead to the canary.
pub(super) const QA: &[(&str, &str, bool)] = &[
    ("qa", "canary-test", true),
    ("QA", "canary-test", true),
    ("Qa", "canary-test", true),
    ("qa", "  canary-test ", true),
    ("qa", "Canary-test", false),
    ("qa", "canary-test2", false),
    ("qa", "xcanary-test", false),
    ("qa", "canary test", false),
    ("qa", "", false),
    ("qa", "canary-test,foo", false),
    ("other", "canary-test", false),
];

#[test]
fn k33_the_header_must_have_exactly_this_value() {
    let users: String = QA
        .iter()
        .enumerate()
        .map(|(n, (name, value, _))| format!("      - {{name: \"{n}\", headers: {{{name}: \"{value}\"}}, inTurn: 1}}\n"))
        .collect();
    let rest =
        VISITOR.replace("    traffic", &format!("    users:\n{users}    traffic")).replace("requests: 1000", "requests: 110");
    let files = ["steps/3-canary.yaml", "steps/5-subsets-both.yaml", "steps/4-qa-header.yaml"];
    let report = website(&files, &rest).run();
    for (n, (name, value, canary)) in QA.iter().enumerate() {
        let color = if *canary { "blue" } else { "green" };
        report.pages().user(&n.to_string()).label(color).all(10, 200);
        assert_eq!(report.pages().user(&n.to_string()).count(), 10, "{name}: {value:?}");
    }
    // Measured: a header on two lines is compared line by line, and never in its joined form.
    let two_lines = lab(&files).get("istio-ingressgateway", "http://x/", &[("qa", "foo"), ("qa", "canary-test")]);
    assert_eq!(two_lines.subset(), "version-2");
}

#[test]
fn k34_a_rule_before_its_subset_costs_its_users_503() {
    let phase = || tour().pages().phase("header-too-early");
    phase().client("tester").flags("NR").all(1000, 503);
    assert_eq!(blue(tour(), "header-too-early", "visitor"), 0);
    let lab = lab(&["steps/1-subset-version-1.yaml", "steps/3-canary.yaml", "steps/4-qa-header.yaml"]);
    let found = lab.found(Code::UndefinedSubset);
    assert!(found.iter().any(|finding| finding.message.contains("version-2")), "{:?}", lab.findings);
}

#[test]
fn k35_with_the_subset_testers_see_blue_and_others_green() {
    assert_eq!(blue(tour(), "header", "tester"), 1000);
    assert_eq!(blue(tour(), "header", "visitor"), 0);
}

#[test]
fn k36_the_header_counts_for_each_request_by_itself() {
    let rest = VISITOR.replace(
        "    traffic",
        "    users:\n      - {name: with, headers: {qa: canary-test}, inTurn: 1}\n      - {name: without, inTurn: 1}\n    traffic",
    );
    let report = website(&["steps/3-canary.yaml", "steps/5-subsets-both.yaml", "steps/4-qa-header.yaml"], &rest).run();
    report.pages().user("with").label("blue").all(500, 200);
    report.pages().user("without").label("green").all(500, 200);
}

#[test]
fn k37_a_broken_canary_hurts_testers_only() {
    let rest = "
apps:
  - workloads: [web-v2]
    handlers: [{reply: [{status: 500}]}]
clients:
  - name: visitor
    from: istio-ingressgateway
    request: {url: \"http://www.example.com/\"}
    traffic: {rate: 100/s, requests: 1000}
  - name: tester
    from: istio-ingressgateway
    request: {url: \"http://www.example.com/\", headers: {qa: canary-test}}
    traffic: {rate: 100/s, requests: 1000}
";
    let report = website(&["steps/3-canary.yaml", "steps/5-subsets-both.yaml", "steps/4-qa-header.yaml"], rest).run();
    report.pages().client("visitor").all(1000, 200);
    report.pages().client("tester").all(1000, 500);
}

#[test]
fn k38_any_header_that_clients_send_will_do() {
    let by_country =
        text_of("website-canary/mesh/steps/4-qa-header.yaml").replace("qa: {exact: canary-test}", "country: {exact: NO}");
    let rest = VISITOR.replace("    traffic", "    users:\n      - {name: norway, headers: {country: \"NO\"}, inTurn: 1}\n      - {name: sweden, headers: {country: SE}, inTurn: 1}\n    traffic");
    let story = website(&["steps/3-canary.yaml", "steps/5-subsets-both.yaml"], &rest).with_mesh("by-country.yaml", &by_country);
    let report = story.run();
    report.pages().user("norway").label("blue").all(500, 200);
    report.pages().user("sweden").label("green").all(500, 200);
}

const WEIGHTED: &[&str] = &["steps/3-canary.yaml", "steps/5-subsets-both.yaml", "steps/6-weights-20-80.yaml"];

#[test]
fn k39_a_fifth_goes_to_version_2_in_whichever_order_the_weights_are_written() {
    assert!(interval::of(20, 1000).contains(&blue(tour(), "weights", "visitor")));
    let many = VISITOR.replace("requests: 1000", "requests: 10000");
    let blue = |story: Story| story.run().pages().label("blue").count();
    assert!(interval::of(20, 10_000).contains(&blue(website(WEIGHTED, &many))));
    let turned = "
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: website-virtual-service}
spec:
  hosts: [\"*\"]
  gateways: [website-gateway]
  http:
    - route:
        - {destination: {host: website, subset: version-1}, weight: 80}
        - {destination: {host: website, subset: version-2}, weight: 20}
";
    assert!(interval::of(20, 10_000).contains(&blue(website(WEIGHTED, &many).with_mesh("turned.yaml", turned))));
}

#[test]
fn k40_the_share_is_the_weight() {
    for (weight, range) in [(0, 0..=0), (10, interval::of(10, 1000)), (50, interval::of(50, 1000)), (100, 1000..=1000)] {
        let rule = text_of("website-canary/mesh/steps/6-weights-20-80.yaml")
            .replace("weight: 20", &format!("weight: {weight}"))
            .replace("weight: 80", &format!("weight: {}", 100 - weight));
        let blue = website(WEIGHTED, VISITOR).with_mesh("rule.yaml", &rule).run().pages().label("blue").count();
        assert!(range.contains(&blue), "{weight} %: {blue}");
    }
}

#[test]
fn k41d_weights_ignore_the_testers_header() {
    assert!(interval::of(20, 1000).contains(&blue(tour(), "weights", "tester")));
}

#[test]
fn k42d_weights_ignore_the_number_of_pods() {
    let users: String = (0..100).map(|n| format!("      - {{name: \"{n}\", inTurn: 1}}\n")).collect();
    let rest =
        VISITOR.replace("    traffic", &format!("    users:\n{users}    traffic")).replace("requests: 1000", "requests: 100");
    let colors = |one: u32, two: u32| -> Vec<bool> {
        let scaled = format!(
            "{rest}timeline:\n  - {{at: 0s, scale: [{{workload: web-v1, replicas: {one}}}, {{workload: web-v2, replicas: {two}}}]}}\n"
        );
        let report = website(WEIGHTED, &scaled).run();
        (0..100).map(|n| report.pages().user(&n.to_string()).label("blue").count() == 1).collect()
    };
    let as_deployed = colors(4, 1);
    assert_eq!(as_deployed, colors(1, 4));
    assert_eq!(as_deployed, colors(10, 10));
    let pods = one_pod_each(&text_of("website-canary/mesh/website.yaml"));
    let report = website(WEIGHTED, VISITOR).file("mesh/website.yaml", &pods).run();
    let green = report.calls().from("visitor").version("website-version-1");
    let total = green.arrived();
    for (pod, hits) in green.workloads() {
        assert!(hits == total / 4 || hits == total.div_ceil(4), "{pod}: {hits} of {total}");
    }
}
