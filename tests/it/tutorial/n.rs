//! N: nginx by traffic ratio on Istio 1.1.

use std::collections::BTreeMap;

use meshsim::diagnostic::{Code, Severity};
use meshsim::mesh::registry::Protocol;
use meshsim::record::RunReport;
use meshsim::resource::Body;
use meshsim::time::{Duration, Instant};

use crate::support::interval;
use crate::support::lab::{Lab, text_of};
use crate::support::run::{Story, scenario, story};
use crate::support::tally::Ask;

const START: &[&str] = &["namespace.yaml", "nginx-v1.yaml", "sleep.yaml"];
const SPLIT: &[&str] = &["namespace.yaml", "nginx-v1.yaml", "sleep.yaml", "steps/1-nginx-v2.yaml", "steps/2-weights-70-30.yaml"];

const LOOP: &str = "
clients:
  - name: loop
    from: sleep
    request: {url: \"http://nginx.demo:8080/\", method: HEAD}
    traffic: {closedLoop: {users: 1, think: 1s}, requests: 1000}
";

fn lab(files: &[&str]) -> Lab {
    Lab::of("1.1", "nginx-gray-release", files)
}

fn nginx(files: &[&str], rest: &str) -> Story {
    let mesh: String = files.iter().map(|file| format!("  - mesh/{file}\n")).collect();
    let head = format!("istio: \"1.1\"\nseed: 1\nnamespace: demo\nreadyMade: [nginx]\nmesh:\n{mesh}");
    story("nginx-gray-release", &format!("{head}{rest}"))
}

pub(super) fn tour() -> &'static RunReport {
    scenario("nginx-gray-release/scenario.yaml")
}

/// Requests of a phase that reached version 2, of 1000 with status 200.
#[track_caller]
pub(super) fn version_2(phase: &str) -> u64 {
    tour().pages().phase(phase).all(1000, 200);
    tour().calls().phase(phase).to("nginx").version("v2").arrived()
}

#[test]
fn n02_without_the_label_weights_do_not_act() {
    let bare = text_of("nginx-gray-release/mesh/namespace.yaml").replace("istio-injection: enabled", "istio-injection: disabled");
    let lab = Lab::texts(
        "1.1",
        &[&bare, &text_of("nginx-gray-release/mesh/nginx-v1.yaml"), &text_of("nginx-gray-release/mesh/sleep.yaml")],
    );
    assert!(lab.mesh.workloads.iter().all(|w| !w.proxied));
    let only_v1 = text_of("nginx-gray-release/mesh/steps/2-weights-70-30.yaml")
        .replace("weight: 70", "weight: 100")
        .replace("weight: 30", "weight: 0");
    let report = nginx(SPLIT, LOOP).file("mesh/namespace.yaml", &bare).file("mesh/steps/2-weights-70-30.yaml", &only_v1).run();
    report.pages().all(1000, 200);
    let v2 = report.calls().version("v2").arrived();
    assert!(interval::of(50, 1000).contains(&v2), "two pods of four: {v2}");
}

#[test]
fn n03_a_version_is_a_deployment_a_service_and_two_rules() {
    assert_eq!(
        lab(&["nginx-v1.yaml"]).names(),
        ["Deployment/nginx-v1", "Service/nginx", "DestinationRule/nginx", "VirtualService/nginx"]
    );
}

fn image(lab: &Lab, name: &str) -> String {
    let image = lab.objects.items.iter().find_map(|object| match &object.body {
        Body::Deployment(spec) if object.name == name => spec.template.spec.containers[0].image.clone(),
        _ => None,
    });
    image.unwrap().value
}

#[test]
fn n04_version_1_is_nginx_1_14() {
    assert_eq!(image(&lab(START), "nginx-v1"), "nginx:1.14");
    assert!(tour().pages().phase("v1").labels().contains("nginx-1.14"));
}

#[test]
fn n05_the_service_has_a_cluster_ip() {
    let lab = lab(START);
    let service = lab.mesh.services.iter().find(|s| s.name == "nginx").unwrap();
    assert!(!service.addresses.is_empty());
    assert_eq!(service.alias_of, None);
    let alias = text_of("nginx-gray-release/mesh/nginx-v1.yaml")
        .replace("type: ClusterIP", "type: ExternalName\n  externalName: nginx.example.com");
    let lab = Lab::texts("1.1", &[&alias, &text_of("nginx-gray-release/mesh/namespace.yaml")]);
    let service = lab.mesh.services.iter().find(|s| s.name == "nginx").unwrap();
    assert_eq!(service.alias_of.as_deref(), Some("nginx.example.com"));
    assert!(lab.mesh.services.iter().all(|s| s.addresses.is_empty()), "the mesh does not balance over its pods");
}

#[test]
fn n06_the_name_of_the_port_makes_it_http() {
    for (name, protocol) in [
        ("http", Protocol::Http),
        ("http-web", Protocol::Http),
        ("http2", Protocol::Http2),
        ("grpc-x", Protocol::Grpc),
        ("tcp", Protocol::Tcp),
        ("foo", Protocol::Tcp),
        ("httpx", Protocol::Tcp),
        ("", Protocol::Tcp),
    ] {
        let port = if name.is_empty() { "{port: 8080".to_owned() } else { format!("{{name: {name}, port: 8080") };
        let text = text_of("nginx-gray-release/mesh/nginx-v1.yaml").replace("{name: http, port: 8080", &port);
        let lab = Lab::texts("1.1", &[&text, &text_of("nginx-gray-release/mesh/namespace.yaml")]);
        let service = lab.mesh.services.iter().find(|s| s.name == "nginx").unwrap();
        assert_eq!(service.ports[0].protocol, protocol, "{name:?}");
    }
    let tcp = text_of("nginx-gray-release/mesh/nginx-v1.yaml").replace("{name: http, port: 8080", "{name: foo, port: 8080");
    let report = nginx(SPLIT, &LOOP.replace("1000", "400")).file("mesh/nginx-v1.yaml", &tcp).run();
    assert_eq!(report.calls().version("v2").arrived(), 200, "two pods of four in turn: the weights do not act on bytes");
}

#[test]
fn n09_the_client_is_one_pod_with_one_proxy_and_an_account_that_exists() {
    let lab = lab(START);
    assert_eq!((lab.workload("sleep").pods.len(), lab.workload("sleep").proxied), (1, true));
    assert_eq!(lab.workload("sleep").service_account, "sleep");
    assert!(lab.names().contains(&"ServiceAccount/sleep".to_owned()));
}

#[test]
fn n11_the_loop_sends_a_head_each_second_and_ends_after_1000_s() {
    let report = nginx(START, LOOP).run();
    report.pages().all(1000, 200);
    report.pages().took(Duration::ZERO);
    assert_eq!(report.requests, 1000);
    let starts_last = Duration::from_secs(999);
    assert!(
        report.ended_at >= Instant::ZERO + starts_last && report.ended_at <= Instant::ZERO + Duration::from_secs(1000),
        "{:?}",
        report.ended_at
    );
    for phase in &tour().phases {
        assert_eq!(phase.ends, phase.begins + Duration::from_secs(1000), "{}", phase.name);
    }
    let end = lab(START).send("sleep", "HEAD", "http://nginx.demo:8080/", &[]);
    assert_eq!(end.subset(), "v1");
}

#[test]
fn n12_all_1000_requests_succeed() {
    assert_eq!(version_2("v1"), 0);
}

#[test]
fn n13_the_graph_has_one_edge_to_version_1_at_one_request_a_second() {
    let edges: Vec<_> = tour().edges.iter().filter(|e| tour().phases[e.phase].name == "v1").collect();
    assert_eq!(edges.len(), 1);
    assert_eq!((edges[0].service.as_str(), edges[0].version.as_str()), ("nginx.demo.svc.cluster.local", "v1"));
    let phase = &tour().phases[0];
    assert_eq!(edges[0].arrived, phase.ends.since(phase.begins).nanos() / 1_000_000_000);
}

#[test]
fn n14_version_2_is_nginx_1_15() {
    let lab = lab(SPLIT);
    assert_eq!(image(&lab, "nginx-v2"), "nginx:1.15");
    assert_eq!(lab.pods(lab.cluster("sleep", 8080, "v2", "nginx")).len(), 2);
    assert!(tour().pages().phase("v2-100").labels().contains("nginx-1.15"));
}

#[test]
fn n15_the_weights_are_70_and_30() {
    let lab = lab(SPLIT);
    let weights: Vec<i64> = lab
        .objects
        .items
        .iter()
        .filter_map(|object| match &object.body {
            Body::VirtualService(rule) => Some(rule),
            _ => None,
        })
        .flat_map(|rule| rule.http[0].route.iter().map(|leg| leg.weight.as_ref().unwrap().value))
        .collect();
    assert_eq!(weights, [70, 30]);
    assert!(lab.findings.iter().all(|f| f.severity < Severity::Error), "{:?}", lab.findings);
    let sum_90 = text_of("nginx-gray-release/mesh/steps/2-weights-70-30.yaml").replace("weight: 70", "weight: 60");
    let texts: Vec<String> = SPLIT.iter().map(|f| text_of(&format!("nginx-gray-release/mesh/{f}"))).collect();
    let mut texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    texts.push(&sum_90);
    assert_eq!(Lab::texts("1.1", &texts).found(Code::RejectedObject).len(), 1, "weights had to add up to 100");
    assert!(Lab::texts("latest", &texts).found(Code::RejectedObject).is_empty(), "they need not any more");
}

#[test]
fn n16_the_loop_finds_version_2_three_times_in_ten() {
    assert!(interval::of(30, 1000).contains(&version_2("v2-30")));
}

#[test]
fn n17_the_graph_shows_the_ratio() {
    let split = tour().splits.iter().find(|split| split.service == "nginx.demo.svc.cluster.local").unwrap();
    let versions: Vec<_> = split.legs.iter().map(|leg| leg.version.as_str()).collect();
    assert_eq!(versions, ["v1", "v2"]);
    let points: Vec<_> = split.points.iter().filter(|p| tour().phases[p.phase].name == "v2-30").collect();
    for point in &points {
        assert_eq!(point.planned.as_deref(), Some(&[0.7, 0.3][..]));
    }
    let observed: u64 = points.iter().map(|p| p.observed[1]).sum();
    assert_eq!(observed, version_2("v2-30"));
}

#[test]
fn n18_weights_change_in_place() {
    assert_eq!(lab(&["steps/2-weights-70-30.yaml"]).names(), lab(&["steps/3-weights-20-80.yaml"]).names());
    let rest = LOOP.to_owned() + "propagation: 2s\ntimeline:\n  - {at: 500s, apply: [mesh/steps/4-all-v2.yaml]}\n";
    let files = ["namespace.yaml", "nginx-v1.yaml", "sleep.yaml", "steps/1-nginx-v2.yaml"];
    let report = nginx(&files, &rest).run();
    assert_eq!(report.calls().version("v1").arrived(), 502, "500 before the change, and two while it is on its way");
}

#[test]
fn n19_the_loop_finds_version_2_eight_times_in_ten() {
    assert!(interval::of(80, 1000).contains(&version_2("v2-80")));
}

#[test]
fn n20_version_2_takes_over() {
    assert_eq!(version_2("v2-100"), 1000);
}

#[test]
fn n21_version_1_is_idle_though_it_runs() {
    assert_eq!(tour().calls().phase("v2-100").version("v1").arrived(), 0);
    let lab = lab(&[SPLIT, &["steps/4-all-v2.yaml"]].concat());
    assert_eq!(lab.pods(lab.cluster("sleep", 8080, "v1", "nginx")).len(), 2);
}

#[test]
fn n22_version_1_can_be_deleted() {
    assert_eq!(version_2("v2-only"), 1000);
}

#[test]
fn n22d_deleting_a_version_that_has_weight_costs_its_share() {
    let early = scenario("nginx-gray-release/too-early.scenario.yaml");
    early.pages().phase("both").all(1000, 200);
    let pages = early.pages().phase("v1-deleted");
    let failed = pages.clone().status(503).count();
    assert!(interval::of(70, 1000).contains(&failed), "{failed}");
    assert_eq!(pages.flags("UH").count(), failed);
}

#[test]
fn n23_version_3_goes_the_same_way() {
    let v3 =
        |text: &str| text.replace("nginx-v2", "nginx-v3").replace("version: v2", "version: v3").replace("name: v2", "name: v3");
    let pods = v3(&text_of("nginx-gray-release/mesh/steps/1-nginx-v2.yaml"))
        .replace("name: v1", "name: v2")
        .replace("{version: v1}", "{version: v2}");
    let turn = |text: &str| text.replace("subset: v2", "subset: v3").replace("subset: v1", "subset: v2");
    let (third, all) = (
        turn(&text_of("nginx-gray-release/mesh/steps/2-weights-70-30.yaml")),
        turn(&text_of("nginx-gray-release/mesh/steps/4-all-v2.yaml")),
    );
    let rest =
        LOOP.to_owned() + "timeline:\n  - {phase: third, for: 1000s}\n  - {phase: all, apply: [mesh/all.yaml], for: 1000s}\n";
    let app = "apps:\n  - workloads: [nginx-v3]\n    handlers: [{}]\n";
    let files = ["namespace.yaml", "nginx-v1.yaml", "sleep.yaml", "steps/1-nginx-v2.yaml"];
    let report = nginx(&files, &format!("{rest}{app}"))
        .with_mesh("v3.yaml", &pods)
        .with_mesh("third.yaml", &third)
        .file("mesh/all.yaml", &all)
        .run();
    report.pages().all(2000, 200);
    let hits = |phase: &str| report.calls().phase(phase).version("v3").arrived();
    assert!(interval::of(30, 1000).contains(&hits("third")), "{}", hits("third"));
    assert_eq!(hits("all"), 1000);
    assert_eq!(report.calls().version("v1").arrived(), 0);
}

#[test]
fn n24d_one_stream_sees_every_phase_and_no_failure() {
    tour().pages().all(5000, 200);
    assert_eq!(version_2("v1"), 0);
    assert!(interval::of(30, 1000).contains(&version_2("v2-30")));
    assert!(interval::of(80, 1000).contains(&version_2("v2-80")));
    assert_eq!(version_2("v2-100"), 1000);
}

#[test]
fn n25d_every_form_of_the_host_selects_the_same_rule() {
    let lab = lab(START);
    let mut ends = BTreeMap::new();
    for name in ["nginx", "nginx.demo", "nginx.demo.svc", "nginx.demo.svc.cluster.local"] {
        let end = lab.get("sleep", &format!("http://{name}:8080/"), &[]);
        assert_eq!(end.subset(), "v1", "{name}");
        ends.insert(name, end);
        // The Host header without the port, on a connection to the port.
        assert_eq!(lab.get_on("sleep", 8080, &format!("http://{name}/"), &[]).subset(), "v1", "{name}");
    }
    assert_eq!(ends.len(), 4);
}
