//! A: the voting app on Istio 1.1.

use std::collections::{BTreeMap, BTreeSet};

use meshsim::analysis::{TlsCheckRow, tls_check};
use meshsim::mesh::cluster::{TlsMode, UpstreamTls};
use meshsim::mesh::profile::{DefaultBalancer, Profile};
use meshsim::mesh::registry::Protocol;
use meshsim::record::RunReport;
use meshsim::resource::Body;
use meshsim::scenario::voting::results_text;
use meshsim::time::Duration;

use crate::support::interval;
use crate::support::lab::{End, Lab, text_of};
use crate::support::run::{Story, one_pod_each, scenario, story};
use crate::support::tally::Ask;

const START: &[&str] = &["namespace.yaml", "workloads-1.0.yaml", "gateway.yaml"];
const TWO_ANALYTICS: &[&str] = &["namespace.yaml", "workloads-1.0.yaml", "gateway.yaml", "steps/1-analytics-1.1.yaml"];
const LOCKED: &[&str] =
    &["namespace.yaml", "workloads-1.0.yaml", "gateway.yaml", "steps/1-analytics-1.1.yaml", "steps/2-lock-down.yaml"];
const CANARY: &[&str] = &[
    "namespace.yaml",
    "workloads-1.0.yaml",
    "gateway.yaml",
    "steps/1-analytics-1.1.yaml",
    "steps/2-lock-down.yaml",
    "steps/3-feature-flag.yaml",
    "steps/4-workloads-2.0.yaml",
];
const FINAL: &[&str] = &[
    "namespace.yaml",
    "workloads-1.0.yaml",
    "gateway.yaml",
    "steps/1-analytics-1.1.yaml",
    "steps/2-lock-down.yaml",
    "steps/3-feature-flag.yaml",
    "steps/4-workloads-2.0.yaml",
    "steps/5-everyone-2.0.yaml",
    "steps/6-routes-2.0-only.yaml",
    "steps/7-subsets-2.0-only.yaml",
];

/// Somebody in the namespace whose labels no rule knows.
const STRANGER: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: stranger, namespace: voting}
spec:
  selector: {matchLabels: {app: stranger}}
  template:
    metadata: {labels: {app: stranger}}
    spec: {containers: [{name: curl, image: curlimages/curl}]}
";

const VISITOR: &str = "
clients:
  - name: visitor
    from: istio-ingressgateway
    request: {url: \"http://voting.example.com/\"}
    traffic: {rate: 100/s, requests: 1000}
";

pub(super) fn lab(files: &[&str]) -> Lab {
    Lab::of("1.1", "aks-voting-app", files)
}

pub(super) fn voting(files: &[&str], rest: &str) -> Story {
    let mesh: String = files.iter().map(|file| format!("  - mesh/{file}\n")).collect();
    let head = format!("istio: \"1.1\"\nseed: 1\nnamespace: voting\nreadyMade: [voting]\nmesh:\n{mesh}");
    story("aks-voting-app", &format!("{head}{rest}"))
}

fn tour() -> &'static RunReport {
    scenario("aks-voting-app/scenario.yaml")
}

fn one_by_one() -> &'static RunReport {
    scenario("aks-voting-app/one-by-one.scenario.yaml")
}

/// The versions that the requests of a client reached in a phase, by service.
fn reached<'r>(report: &'r RunReport, phase: &str, client: &str) -> BTreeMap<&'static str, BTreeSet<&'r str>> {
    let services = ["voting-app", "voting-analytics", "voting-storage"];
    let versions = |service| {
        let calls = report.edges.iter().filter(|edge| {
            report.phases[edge.phase].name == phase
                && edge.client == client
                && edge.arrived > 0
                && edge.service.split('.').next() == Some(service)
        });
        calls.map(|edge| edge.version.as_str()).collect()
    };
    services.into_iter().map(|service| (service, versions(service))).collect()
}

/// As many classes of users as requests, one request each, so that a report keeps the order.
fn numbered_users(count: usize) -> String {
    let users: String = (0..count).map(|n| format!("      - {{name: \"{n}\", inTurn: 1}}\n")).collect();
    format!(
        "clients:\n  - name: visitor\n    from: istio-ingressgateway\n    request: {{url: \"http://voting.example.com/\"}}\n    users:\n{users}    traffic: {{rate: 10/s, requests: {count}}}\n"
    )
}

/// The version of a service that each numbered user reached.
fn sequence(report: &RunReport, service: &str, count: usize) -> Vec<String> {
    let version = |user: usize| {
        let calls = report.calls().user(&user.to_string()).to(service);
        let versions: Vec<_> = calls.versions().into_keys().map(str::to_owned).collect();
        assert_eq!(versions.len(), 1, "request {user} reaches one version of {service}");
        versions[0].clone()
    };
    (0..count).map(version).collect()
}

#[test]
fn a01_the_scenario_runs_on_istio_1_1() {
    assert_eq!(tour().istio, "1.1");
    let profile = Profile::of_version(&tour().istio).unwrap();
    assert_eq!(profile.default_balancer, DefaultBalancer::RoundRobin);
    assert_eq!((profile.default_retries.attempts, profile.retry_codes), (2, &[503][..]));
    assert_eq!((profile.unknown_cluster_flag, profile.auto_mtls, profile.weights_sum_to_100), ("NR", false, true));
}

#[test]
fn a02_the_app_has_three_services_and_two_options() {
    let lab = lab(START);
    let mut services: Vec<_> = lab.mesh.services.iter().filter(|s| s.namespace == "voting").map(|s| s.name.as_str()).collect();
    services.sort_unstable();
    assert_eq!(services, ["voting-analytics", "voting-app", "voting-storage"]);
    let text = results_text("1.0", 2, 4);
    let keys: Vec<_> = text.split(" | ").map(|part| part.split_once(':').unwrap().0).collect();
    assert_eq!(keys, ["Cats", "Dogs"]);
}

#[test]
fn a03_each_phase_moves_user_traffic_to_the_planned_versions() {
    let plan = |app, analytics, storage| {
        BTreeMap::from([
            ("voting-app", BTreeSet::from([app])),
            ("voting-analytics", BTreeSet::from([analytics])),
            ("voting-storage", BTreeSet::from([storage])),
        ])
    };
    assert_eq!(reached(tour(), "1.0", "visitor"), plan("1.0", "1.0", "1.0"));
    assert_eq!(reached(tour(), "locked-down", "visitor"), plan("1.0", "1.1", "1.0"));
    assert_eq!(reached(tour(), "canary", "visitor"), plan("1.0", "1.1", "1.0"));
    assert_eq!(reached(tour(), "canary", "tester"), plan("2.0", "2.0", "2.0"));
    assert_eq!(reached(tour(), "everyone-2.0", "visitor"), plan("2.0", "2.0", "2.0"));
    assert_eq!(reached(tour(), "everyone-2.0", "tester"), plan("2.0", "2.0", "2.0"));
}

#[test]
fn a05_every_object_is_in_the_namespace_and_short_names_resolve_there() {
    let lab = lab(CANARY);
    for object in lab.objects.items.iter().filter(|o| o.body.kind() != "Namespace") {
        assert_eq!(object.namespace, "voting", "{}", object.reference());
    }
    let end = lab.get("voting-app-1-0", "http://voting-analytics:8080/analytics", &[]);
    assert!(end.cluster.ends_with("|voting-analytics.voting.svc.cluster.local"), "{end:?}");
}

#[test]
fn a06_the_label_of_the_namespace_injects_sidecars_and_without_it_no_rule_acts() {
    assert!(lab(START).mesh.workloads.iter().filter(|w| w.namespace == "voting").all(|w| w.proxied));
    let bare = text_of("aks-voting-app/mesh/namespace.yaml").replace("istio-injection: enabled", "istio-injection: disabled");
    let rest = "
clients:
  - name: in-mesh
    from: voting-app-1-0
    request: {url: \"http://voting-analytics:8080/analytics\"}
    traffic: {rate: 100/s, requests: 1000}
";
    let files = &LOCKED[..4];
    let injected = voting(LOCKED, rest).run();
    assert_eq!(injected.calls().from("in-mesh").versions(), BTreeMap::from([("1.1", 1000)]));
    let outside = voting(&[files, &["steps/2-lock-down.yaml"]].concat(), rest).file("mesh/namespace.yaml", &bare);
    let lab = Lab::texts("1.1", &[&bare, &text_of("aks-voting-app/mesh/workloads-1.0.yaml")]);
    assert!(lab.mesh.workloads.iter().all(|w| !w.proxied), "no label, no sidecar");
    let versions = outside.run();
    let versions = versions.calls().from("in-mesh").versions().into_keys().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(versions, ["1.0", "1.1"], "the rule that pins 1.1 does not act without a sidecar");
}

#[test]
fn a07_the_first_file_makes_six_objects_in_order() {
    assert_eq!(
        lab(&["workloads-1.0.yaml"]).names(),
        [
            "Deployment/voting-storage-1-0",
            "Service/voting-storage",
            "Deployment/voting-analytics-1-0",
            "Service/voting-analytics",
            "Deployment/voting-app-1-0",
            "Service/voting-app",
        ]
    );
}

#[test]
fn a08_ports_are_named_pods_are_labelled_and_an_unnamed_port_is_tcp() {
    let lab = lab(CANARY);
    for service in lab.mesh.services.iter().filter(|s| s.namespace == "voting") {
        assert!(service.ports.iter().all(|port| !port.name.is_empty()), "{}", service.host);
    }
    for workload in lab.mesh.workloads.iter().filter(|w| w.namespace == "voting") {
        let keys: Vec<_> = workload.labels.iter().map(|(key, _)| key.as_str()).collect();
        assert!(keys.contains(&"app") && keys.contains(&"version"), "{}", workload.name);
    }
    let unnamed = text_of("aks-voting-app/mesh/workloads-1.0.yaml").replace("{name: http, port: 8080}", "{port: 8080}");
    let lab = Lab::texts(
        "1.1",
        &[&unnamed, &text_of("aks-voting-app/mesh/namespace.yaml"), &text_of("aks-voting-app/mesh/steps/2-lock-down.yaml")],
    );
    let analytics = lab.mesh.services.iter().find(|s| s.name == "voting-analytics").unwrap();
    assert_eq!(analytics.ports[0].protocol, Protocol::Tcp);
    let clusters = lab.dial("voting-app-1-0", "voting-analytics:8080");
    assert_eq!(clusters, ["outbound|8080||voting-analytics.voting.svc.cluster.local"], "the HTTP rule does not act on bytes");
}

#[test]
fn a09_five_pods_three_one_and_one() {
    let lab = lab(START);
    let pods = |port, service| lab.cluster("istio-ingressgateway", port, "", service).endpoints().count();
    assert_eq!((pods(8080, "voting-app"), pods(8080, "voting-analytics"), pods(6379, "voting-storage")), (3, 1, 1));
}

#[test]
fn a10_a_pod_holds_the_app_and_a_sidecar() {
    let lab = lab(START);
    assert!(lab.workload("voting-app-1-0").proxied);
    let image = lab.objects.items.iter().find_map(|object| match &object.body {
        Body::Deployment(spec) if object.name == "voting-app-1-0" => spec.template.spec.containers[0].image.clone(),
        _ => None,
    });
    assert_eq!(image.unwrap().value, "mcr.microsoft.com/aks/samples/voting/app:1.0");
}

#[test]
fn a11_nothing_gets_in_before_gateway_and_route() {
    let (route, gateway) =
        text_of("aks-voting-app/mesh/gateway.yaml").split_once("---\n").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let rest = "
clients:
  - name: visitor
    from: istio-ingressgateway
    request: {url: \"http://voting.example.com/\"}
    traffic: {rate: 10/s, duration: 1s}
timeline:
  - {phase: nothing, for: 1s}
  - {phase: gateway, apply: [mesh/only-gateway.yaml], for: 1s}
  - {phase: both, apply: [mesh/only-route.yaml], for: 1s}
";
    let report = voting(&START[..2], rest).file("mesh/only-gateway.yaml", &gateway).file("mesh/only-route.yaml", &route).run();
    report.pages().phase("nothing").all(10, 0);
    report.pages().phase("gateway").all(10, 404);
    report.pages().phase("gateway").flags("NR").all(10, 404);
    report.pages().phase("both").all(10, 200);
}

#[test]
fn a12_the_gateway_object_binds_to_the_built_in_ingress_gateway() {
    let lab = lab(START);
    let proxy = lab.proxy("istio-ingressgateway");
    assert_eq!(proxy.spec.namespace, "istio-system");
    assert!(proxy.spec.labels.contains(&("istio".to_owned(), "ingressgateway".to_owned())));
}

#[test]
fn a13_three_hundred_requests_reach_each_app_pod_a_hundred_times() {
    let end = lab(START).get("istio-ingressgateway", "http://any.example.com/", &[]);
    assert_eq!((end.subset(), end.cluster.as_str()), ("", "outbound|8080||voting-app.voting.svc.cluster.local"));
    let pods = one_pod_each(&text_of("aks-voting-app/mesh/workloads-1.0.yaml"));
    let visitors = VISITOR.replace("requests: 1000", "requests: 300");
    let report = voting(START, &visitors).file("mesh/workloads-1.0.yaml", &pods).run();
    report.pages().all(300, 200);
    let pods = report.calls().from("visitor").workloads().into_values().collect::<Vec<_>>();
    assert_eq!(pods, [100, 100, 100]);
}

#[test]
fn a14_any_host_header_will_do() {
    let lab = lab(START);
    for host in ["20.188.211.19", "voting.example.com", "localhost:80"] {
        let end = lab.get("istio-ingressgateway", &format!("http://{host}/"), &[]);
        assert_eq!(end.cluster, "outbound|8080||voting-app.voting.svc.cluster.local", "{host}");
    }
}

#[test]
fn a15_the_page_shows_app_1_0_on_redis() {
    let labels = tour().pages().phase("1.0").client("visitor").labels();
    assert!(labels.contains("app-1.0") && labels.contains("store=redis"), "{labels:?}");
    assert!(!labels.contains("store=mysql"));
}

#[test]
fn a16_analytics_1_0_get_no_traffic_but_stay_behind_the_service_and_are_not_blocked() {
    assert_eq!(tour().calls().phase("locked-down").to("voting-analytics").version("1.0").arrived(), 0);
    let lab = lab(LOCKED);
    let pods = lab.pods(lab.cluster("voting-app-1-0", 8080, "", "voting-analytics"));
    assert_eq!(pods.len(), 2, "{pods:?}");
    assert_eq!(
        lab.dial("voting-analytics-1-0", "voting-storage:6379"),
        ["outbound|6379||voting-storage.voting.svc.cluster.local"],
        "a source without a rule of its own falls to the default route"
    );
}

#[test]
fn a17_analytics_1_1_join_the_service() {
    let before = lab(START);
    let after = lab(TWO_ANALYTICS);
    let pods = |lab: &Lab| lab.cluster("voting-app-1-0", 8080, "", "voting-analytics").endpoints().count();
    assert_eq!((pods(&before), pods(&after)), (1, 2));
}

#[test]
fn a18_each_app_pod_alternates_between_the_two_analytics() {
    let pods = one_pod_each(&text_of("aks-voting-app/mesh/workloads-1.0.yaml"));
    let report = voting(TWO_ANALYTICS, &numbered_users(24)).file("mesh/workloads-1.0.yaml", &pods).run();
    let versions = sequence(&report, "voting-analytics", 24);
    for i in 0..21 {
        assert_ne!(versions[i], versions[i + 3], "request {i} and the next one at the same app pod");
    }
    let six_thousand = VISITOR.replace("requests: 1000", "requests: 6000");
    let report = voting(TWO_ANALYTICS, &six_thousand).run();
    assert_eq!(report.calls().to("voting-analytics").versions(), BTreeMap::from([("1.0", 3000), ("1.1", 3000)]));
    let random = voting(TWO_ANALYTICS, VISITOR).with_mesh("random.yaml", RANDOM).run();
    let (low, high) = (*interval::of(50, 1000).start(), *interval::of(50, 1000).end());
    let one = random.calls().to("voting-analytics").version("1.0").arrived();
    assert!((low..=high).contains(&one), "{one}");
}

const RANDOM: &str = "
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: {name: random-app, namespace: voting}
spec: {host: voting-app, trafficPolicy: {loadBalancer: {simple: RANDOM}}}
---
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: {name: random-analytics, namespace: voting}
spec: {host: voting-analytics, trafficPolicy: {loadBalancer: {simple: RANDOM}}}
";

#[test]
fn a19_five_requests_show_two_or_three_of_each_and_chance_may_print_the_order_of_the_tutorial() {
    assert_eq!(results_text("1.0", 2, 4), "Cats: 2 | Dogs: 4");
    assert_eq!(results_text("1.1", 2, 4), "Cats: 2/6 (33%) | Dogs: 4/6 (67%)");
    for (cats, dogs, text) in [
        (10, 5, "Cats: 10/15 (67%) | Dogs: 5/15 (33%)"),
        (1, 7, "Cats: 1/8 (13%) | Dogs: 7/8 (88%)"),
        (3, 5, "Cats: 3/8 (38%) | Dogs: 5/8 (63%)"),
        (0, 0, "Cats: 0/0 (0%) | Dogs: 0/0 (0%)"),
        (0, 3, "Cats: 0/3 (0%) | Dogs: 3/3 (100%)"),
    ] {
        assert_eq!(results_text("2.0", cats, dogs), text);
    }
    let in_turn = voting(TWO_ANALYTICS, &numbered_users(5)).run();
    let versions = sequence(&in_turn, "voting-analytics", 5);
    assert!((2..=3).contains(&versions.iter().filter(|v| *v == "1.0").count()), "{versions:?}");
    let printed = ["1.0", "1.0", "1.1", "1.0", "1.1"];
    assert_ne!(versions, printed, "out of reach when the gateway and the apps take turns");
    let by_chance = voting(TWO_ANALYTICS, &numbered_users(5)).with_mesh("random.yaml", RANDOM);
    let found = (1..=10_000).find(|seed| sequence(&by_chance.with_seed(*seed).run(), "voting-analytics", 5) == printed);
    assert!(found.is_some(), "one seed in 32 prints it");
}

#[test]
fn a21_the_lock_down_pins_analytics_and_storage() {
    let lab = lab(LOCKED);
    assert_eq!(lab.get("voting-app-1-0", "http://voting-analytics:8080/analytics", &[]).subset(), "v1-1");
    assert_eq!(lab.get("istio-ingressgateway", "http://any.example.com/", &[]).subset(), "v1-0");
    for source in ["voting-app-1-0", "voting-analytics-1-1"] {
        assert_eq!(lab.dial(source, "voting-storage:6379"), ["outbound|6379|v1-0|voting-storage.voting.svc.cluster.local"]);
    }
}

#[test]
fn a22_strict_servers_reject_clients_without_a_sidecar_and_sidecars_that_were_not_told() {
    for (port, service) in [(8080, "voting-app"), (8080, "voting-analytics"), (6379, "voting-storage")] {
        let lab = lab(LOCKED);
        let rows = tls_check(&lab.objects, &lab.mesh, lab.proxy_id("istio-ingressgateway"));
        let row = rows.iter().find(|r| r.host.starts_with(service) && r.port == port).unwrap();
        assert_eq!(row.server, "mTLS", "{service}");
    }
    let bare = STRANGER
        .replace("labels: {app: stranger}}", "labels: {app: stranger}, annotations: {sidecar.istio.io/inject: \"false\"}}");
    let client = "
clients:
  - name: outsider
    from: stranger
    request: {url: \"http://voting-app:8080/\"}
    traffic: {rate: 10/s, requests: 10}
";
    voting(LOCKED, client).with_mesh("stranger.yaml", &bare).run().pages().all(10, 0);
    one_by_one().pages().phase("policy-alone").all(500, 503);
}

#[test]
fn a23_every_destination_rule_makes_its_clients_speak_mutual_tls() {
    let lab = lab(LOCKED);
    for (port, service) in [(8080, "voting-app"), (8080, "voting-analytics"), (6379, "voting-storage")] {
        for proxy in ["istio-ingressgateway", "voting-app-1-0", "voting-analytics-1-1"] {
            let tls = &lab.cluster(proxy, port, "", service).tls;
            assert!(matches!(tls, UpstreamTls::Always { mode: TlsMode::IstioMutual, .. }), "{proxy} to {service}: {tls:?}");
        }
    }
}

#[test]
fn a24_the_lock_down_updates_one_rule_and_creates_six_objects() {
    let names = lab(&["steps/2-lock-down.yaml"]).names();
    assert_eq!(
        names,
        [
            "VirtualService/voting-app",
            "Policy/default",
            "DestinationRule/voting-app",
            "DestinationRule/voting-analytics",
            "VirtualService/voting-analytics",
            "DestinationRule/voting-storage",
            "VirtualService/voting-storage",
        ]
    );
    let before = lab(TWO_ANALYTICS).names();
    assert_eq!(names.iter().filter(|name| before.contains(name)).collect::<Vec<_>>(), ["VirtualService/voting-app"]);
}

#[test]
fn a25_only_analytics_1_1_are_used() {
    let phase = || tour().calls().phase("locked-down").client("visitor").to("voting-analytics");
    assert_eq!(phase().versions(), BTreeMap::from([("1.1", 1000)]));
    tour().pages().phase("locked-down").client("visitor").all(1000, 200);
    assert!(tour().pages().phase("locked-down").labels().contains("analytics-1.1"));
    assert_eq!(results_text("1.1", 2, 4), "Cats: 2/6 (33%) | Dogs: 4/6 (67%)");
}

fn row(rows: &[TlsCheckRow], service: &str, port: u16) -> TlsCheckRow {
    rows.iter().find(|r| r.host == format!("{service}.voting.svc.cluster.local") && r.port == port).unwrap().clone()
}

#[test]
fn a26_the_tls_check_compares_both_sides_of_each_port() {
    let lab = lab(&[&LOCKED[..4], &["steps/2b-policy-alone.yaml"]].concat());
    let rows = tls_check(&lab.objects, &lab.mesh, lab.proxy_id("voting-app-1-0"));
    let row = row(&rows, "voting-analytics", 8080);
    assert_eq!((row.status, row.server, row.client), ("CONFLICT", "mTLS", "HTTP"));
    assert_eq!((row.policy.as_str(), row.rule.as_str()), ("default/voting", "-"));
    let plain = self::lab(START);
    let rows = tls_check(&plain.objects, &plain.mesh, plain.proxy_id("voting-app-1-0"));
    let row = self::row(&rows, "voting-analytics", 8080);
    assert_eq!((row.status, row.server, row.client, row.policy.as_str()), ("OK", "HTTP", "HTTP", "-"));
    let printed = meshsim::report::tls_check(&rows);
    let head = printed.lines().next().unwrap().split("     ").map(str::trim).filter(|word| !word.is_empty()).collect::<Vec<_>>();
    assert_eq!(head, ["HOST:PORT", "STATUS", "SERVER", "CLIENT", "AUTHN POLICY", "DESTINATION RULE"]);
}

/// The pods that the tutorial asks about, and the service it asks for: one row for each pod.
fn eight_rows() -> Vec<TlsCheckRow> {
    let lab = lab(LOCKED);
    let questions = [
        ("istio-ingressgateway", "voting-app", 8080),
        ("voting-app-1-0", "voting-analytics", 8080),
        ("voting-app-1-0", "voting-storage", 6379),
        ("voting-analytics-1-1", "voting-storage", 6379),
    ];
    let mut rows = Vec::new();
    for (source, service, port) in questions {
        let all = tls_check(&lab.objects, &lab.mesh, lab.proxy_id(source));
        let pods = lab.mesh.workloads.iter().find(|w| w.name == source).map_or(1, |w| w.pods.len());
        rows.extend(std::iter::repeat_n(row(&all, service, port), pods));
    }
    rows
}

#[test]
fn a27_four_questions_give_eight_rows() {
    assert_eq!(eight_rows().len(), 8);
}

#[test]
fn a28_all_eight_rows_are_ok_and_the_service_form_prints_the_lowest_port_only() {
    for row in eight_rows() {
        assert_eq!((row.status, row.server, row.client, row.policy.as_str()), ("OK", "mTLS", "mTLS", "default/voting"));
        let name = row.host.split('.').next().unwrap();
        assert_eq!(row.rule, format!("{name}/voting"));
        assert_eq!(row.port, if name == "voting-storage" { 6379 } else { 8080 });
    }
    let lab = lab(CANARY);
    let rows = tls_check(&lab.objects, &lab.mesh, lab.proxy_id("voting-app-1-0"));
    let first = rows.iter().find(|r| r.host == "voting-storage.voting.svc.cluster.local").unwrap();
    assert_eq!(first.port, 3306);
}

#[test]
fn a29_version_2_0_uses_mysql_and_1_x_redis() {
    let lab = lab(CANARY);
    for (source, port, subset) in [
        ("voting-app-1-0", 6379, "v1-0"),
        ("voting-analytics-1-1", 6379, "v1-0"),
        ("voting-app-2-0", 3306, "v2-0"),
        ("voting-analytics-2-0", 3306, "v2-0"),
    ] {
        let cluster = format!("outbound|{port}|{subset}|voting-storage.voting.svc.cluster.local");
        assert_eq!(lab.dial(source, &format!("voting-storage:{port}")), [cluster], "{source}");
    }
    let tester = tour().calls().phase("canary").client("tester");
    assert_eq!(tester.to("voting-storage").versions().into_keys().collect::<Vec<_>>(), ["2.0"]);
}

#[test]
fn a30_the_flag_is_set_and_cleared_by_a_redirect_with_a_cookie() {
    let rest = "
clients:
  - name: setter
    from: istio-ingressgateway
    request: {url: \"http://voting.example.com/featureflag/set\", method: POST}
    traffic: {rate: 10/s, requests: 10}
  - name: clearer
    from: istio-ingressgateway
    request: {url: \"http://voting.example.com/featureflag/clear\", method: POST}
    traffic: {rate: 10/s, requests: 10}
";
    let report = voting(LOCKED, rest).run();
    report.pages().client("setter").all(10, 302);
    report.pages().client("setter").label("featureflag=on").all(10, 302);
    report.pages().client("clearer").all(10, 302);
    report.pages().client("clearer").label("featureflag=").all(10, 302);
    assert_eq!(version_for_cookie(&lab(CANARY), Some("featureflag=")), "v1-0", "an empty value does not count");
}

#[test]
fn a31_the_two_generations_never_mix() {
    let canary = || tour().calls().phase("canary");
    for (source, service, version) in [
        ("voting-app-2-0", "voting-analytics", "1.0"),
        ("voting-app-2-0", "voting-analytics", "1.1"),
        ("voting-app-1-0", "voting-analytics", "2.0"),
        ("voting-app-1-0", "voting-storage", "2.0"),
        ("voting-app-2-0", "voting-storage", "1.0"),
        ("voting-analytics-1-1", "voting-storage", "2.0"),
        ("voting-analytics-2-0", "voting-storage", "1.0"),
    ] {
        assert!(canary().from(source).count() > 0, "{source} calls somebody");
        assert_eq!(canary().from(source).to(service).version(version).arrived(), 0, "{source} to {service} {version}");
    }
}

fn version_for_cookie(lab: &Lab, cookie: Option<&str>) -> String {
    let headers: Vec<_> = cookie.map(|value| ("cookie", value.trim())).into_iter().collect();
    lab.get("istio-ingressgateway", "http://voting.example.com/", &headers).subset().to_owned()
}

/// Cookie headers and whether they open the door to 2.0.
pub(super) const COOKIES: &[(Option<&str>, bool)] = &[
    (None, false),
    (Some(""), false),
    (Some("featureflag=on"), true),
    (Some("featureflag=on; a=b"), true),
    (Some("featureflag=on;"), true),
    (Some("a=b; featureflag=on"), true),
    (Some("a=b;featureflag=on"), true),
    (Some("a=b; featureflag=on; c=d"), true),
    (Some("x; featureflag=off; featureflag=on"), true),
    (Some("featureflag=off"), false),
    (Some("featureflag="), false),
    (Some("featureflag=ON"), false),
    (Some("Featureflag=on"), false),
    (Some("featureflag=on2"), false),
    (Some("xfeatureflag=on"), false),
    (Some("a=b; xfeatureflag=on"), false),
    (Some("a=featureflag=on"), false),
    (Some("a=b;  featureflag=on"), false),
    (Some("featureflag=on ; a=b"), false),
    (Some("a=b, featureflag=on"), false),
];

#[test]
fn a32_only_the_exact_cookie_leads_to_2_0() {
    let lab = lab(CANARY);
    for (cookie, open) in COOKIES {
        assert_eq!(version_for_cookie(&lab, *cookie), if *open { "v2-0" } else { "v1-0" }, "{cookie:?}");
    }
    let old = text_of("aks-voting-app/mesh/steps/3-feature-flag.yaml").replace("(.*?; ?)?", "(.*?;)?");
    let mut texts: Vec<String> = CANARY.iter().map(|file| text_of(&format!("aks-voting-app/mesh/{file}"))).collect();
    texts.push(old);
    let before_the_fix = Lab::texts("1.1", &texts.iter().map(String::as_str).collect::<Vec<_>>());
    for (cookie, open) in COOKIES {
        let blank_before_flag = cookie.is_some_and(|c| c.contains("; featureflag=on"));
        let version = if *open && !blank_before_flag { "v2-0" } else { "v1-0" };
        assert_eq!(version_for_cookie(&before_the_fix, *cookie), version, "{cookie:?}");
    }
}

#[test]
fn a33_routes_before_pods_disturb_nobody_without_the_flag() {
    let visitors = || tour().pages().phase("flag-without-pods").client("visitor");
    visitors().all(1000, 200);
    visitors().label("app-1.0").all(1000, 200);
}

#[test]
fn a33d_users_with_the_flag_get_503_until_a_pod_is_ready() {
    tour().pages().phase("flag-without-pods").client("tester").flags("UH").all(1000, 503);
    tour().pages().phase("canary").client("tester").all(1000, 200);
}

#[test]
fn a34_storage_gains_a_port_and_selects_both_storage_pods() {
    let lab = lab(CANARY);
    let storage = lab.mesh.services.iter().find(|s| s.name == "voting-storage").unwrap();
    let ports: Vec<_> = storage.ports.iter().map(|p| (p.port, p.name.as_str())).collect();
    assert_eq!(ports, [(6379, "redis"), (3306, "mysql")]);
    let pods = lab.pods(lab.cluster("voting-app-2-0", 3306, "", "voting-storage"));
    assert_eq!(pods.len(), 2, "{pods:?}");
    let names = Lab::of("1.1", "aks-voting-app", &["steps/4-workloads-2.0.yaml"]);
    assert_eq!(
        names
            .names()
            .iter()
            .filter(|n| n.starts_with("Deployment/") || n.starts_with("Service/") || n.starts_with("Secret/"))
            .count(),
        5
    );
}

#[test]
fn a35_eleven_pods_run() {
    let lab = lab(CANARY);
    let pods = |name: &str| lab.workload(name).pods.len();
    let counts: Vec<_> = [
        "voting-app-1-0",
        "voting-analytics-1-0",
        "voting-analytics-1-1",
        "voting-storage-1-0",
        "voting-app-2-0",
        "voting-analytics-2-0",
        "voting-storage-2-0",
    ]
    .into_iter()
    .map(pods)
    .collect();
    assert_eq!(counts, [3, 1, 1, 1, 3, 1, 1]);
    assert_eq!(counts.iter().sum::<usize>(), 11);
}

#[test]
fn a36_a_session_switches_by_cookie() {
    let rest = "
clients:
  - name: session
    from: istio-ingressgateway
    request: {url: \"http://voting.example.com/\"}
    users:
      - {name: before, inTurn: 1}
      - {name: set, cookies: {featureflag: \"on\"}, inTurn: 1}
      - {name: cleared, cookies: {featureflag: \"\"}, inTurn: 1}
    traffic: {rate: 10/s, requests: 30}
";
    let report = voting(CANARY, rest).run();
    for (user, app, store) in [("before", "app-1.0", "redis"), ("set", "app-2.0", "mysql"), ("cleared", "app-1.0", "redis")] {
        let labels = report.pages().user(user).labels();
        assert!(labels.contains(app) && labels.contains(format!("store={store}").as_str()), "{user}: {labels:?}");
    }
}

#[test]
fn a37_votes_are_counted_apart() {
    let rest = "
clients:
  - name: visitor
    from: istio-ingressgateway
    request: {url: \"http://voting.example.com/\", method: POST}
    traffic: {rate: 10/s, requests: 6}
  - name: tester
    from: istio-ingressgateway
    request: {url: \"http://voting.example.com/\", method: POST, cookies: {featureflag: \"on\"}}
    traffic: {rate: 10/s, requests: 5}
";
    let report = voting(CANARY, rest).run();
    report.pages().label("voted").all(11, 302);
    let stored = |version| report.calls().to("voting-storage").version(version).arrived();
    assert_eq!((stored("1.0"), stored("2.0")), (6, 5));
    assert_eq!(report.calls().client("tester").to("voting-storage").version("1.0").arrived(), 0);
    assert_eq!(results_text("1.1", 2, stored("1.0") - 2), "Cats: 2/6 (33%) | Dogs: 4/6 (67%)");
    assert_eq!(results_text("2.0", 0, 0), "Cats: 0/0 (0%) | Dogs: 0/0 (0%)");
}

#[test]
fn a38_everybody_gets_2_0_whatever_the_cookie() {
    let app = || tour().calls().phase("everyone-2.0").to("voting-app");
    assert_eq!(app().versions(), BTreeMap::from([("2.0", 2000)]));
    tour().pages().phase("everyone-2.0").all(2000, 200);
}

#[test]
fn a39_at_the_end_nothing_names_an_old_version() {
    let lab = lab(FINAL);
    for object in &lab.objects.items {
        match &object.body {
            Body::DestinationRule(rule) => {
                let subsets: Vec<_> = rule.subsets.iter().map(|s| s.name.as_ref().unwrap().value.as_str()).collect();
                assert_eq!(subsets, ["v2-0"], "{}", object.name);
            }
            Body::VirtualService(rule) => {
                let http = rule.http.iter().flat_map(|r| &r.route).filter_map(|r| r.destination.as_ref());
                let tcp = rule.tcp.iter().flat_map(|r| &r.route).filter_map(|r| r.destination.as_ref());
                for destination in http.chain(tcp) {
                    assert_eq!(destination.subset.as_ref().unwrap().value, "v2-0", "{}", object.name);
                }
            }
            _ => {}
        }
    }
    for phase in ["routes-cleared", "subsets-cleared"] {
        tour().pages().phase(phase).all(2000, 200);
    }
}

#[test]
fn a39d_subsets_that_go_before_their_routes_cost_503() {
    let early = scenario("aks-voting-app/subsets-first.scenario.yaml");
    early.pages().phase("subsets-dropped").client("visitor").flags("NR").all(500, 503);
    early.pages().phase("routes-moved").client("visitor").all(500, 200);
    // In the order of the tutorial the users are on 2.0 already when the subsets go.
    let rest = "
clients:
  - name: visitor
    from: istio-ingressgateway
    request: {url: \"http://voting.example.com/\"}
    traffic: {rate: 100/s, duration: 5s}
timeline:
  - {phase: everyone, apply: [mesh/steps/5-everyone-2.0.yaml], for: 5s}
  - {phase: subsets, apply: [mesh/steps/7-subsets-2.0-only.yaml], for: 5s}
  - {phase: routes, apply: [mesh/steps/6-routes-2.0-only.yaml], for: 5s}
";
    voting(CANARY, rest).run().pages().all(1500, 200);
}

#[test]
fn a40_the_old_pods_can_go_without_a_failure() {
    let last = || tour().calls().phase("subsets-cleared");
    for workload in ["voting-app-1-0", "voting-analytics-1-0", "voting-analytics-1-1", "voting-storage-1-0"] {
        assert_eq!(last().workload(workload).arrived(), 0, "{workload}");
    }
    tour().pages().phase("old-pods-deleted").client("visitor").all(1000, 200);
}

#[test]
fn a41_deleting_the_namespace_closes_the_gateway() {
    let rest = "
clients:
  - name: visitor
    from: istio-ingressgateway
    request: {url: \"http://voting.example.com/\"}
    traffic: {rate: 10/s, duration: 1s}
timeline:
  - {phase: before, for: 1s}
  - {phase: route-deleted, delete: [VirtualService/voting-app], for: 1s}
  - {phase: namespace-deleted, delete: [Namespace/voting], for: 1s}
";
    let report = voting(START, rest).run();
    report.pages().phase("before").all(10, 200);
    report.pages().phase("route-deleted").flags("NR").all(10, 404);
    report.pages().phase("namespace-deleted").all(10, 0);
}

#[test]
fn a43d_a_route_that_arrives_before_its_subset_costs_503_and_one_push_costs_nothing() {
    one_by_one().pages().phase("before").all(500, 200);
    one_by_one().pages().phase("route-alone").flags("NR").all(500, 503);
    one_by_one().pages().phase("everything").all(500, 200);
    let end = Lab::of("latest", "aks-voting-app", &[START, &["steps/2a-route-alone.yaml"]].concat());
    let end = end.get("istio-ingressgateway", "http://any.example.com/", &[]);
    assert_eq!((end.status, end.flags.as_str()), (503, "NC"));
}

#[test]
fn a44d_strict_servers_before_informed_clients_cost_503_unless_mutual_tls_is_automatic() {
    one_by_one().pages().phase("undone").all(500, 200);
    one_by_one().pages().phase("policy-alone").all(500, 503);
    let strict = "
apiVersion: security.istio.io/v1beta1
kind: PeerAuthentication
metadata: {name: default, namespace: voting}
spec: {mtls: {mode: STRICT}}
";
    let rest = VISITOR.to_owned() + "timeline:\n  - {at: 5s, apply: [mesh/strict.yaml]}\n";
    voting(TWO_ANALYTICS, &rest).istio("latest").file("mesh/strict.yaml", strict).run().pages().all(1000, 200);
}

#[test]
fn a45d_a_caller_without_a_rule_of_its_own_gets_the_default_route_and_a_rule_that_misses_gives_404() {
    let texts: Vec<String> = LOCKED.iter().map(|file| text_of(&format!("aks-voting-app/mesh/{file}"))).collect();
    let mut texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    texts.push(STRANGER);
    let lab = Lab::texts("1.1", &texts);
    let end = lab.get("stranger", "http://voting-analytics:8080/analytics", &[]);
    assert_eq!((end.subset(), end.status), ("", 0));
    assert_eq!(lab.pods(lab.cluster("stranger", 8080, "", "voting-analytics")).len(), 2);
    let narrow = text_of("aks-voting-app/mesh/steps/2-lock-down.yaml")
        .replace("- sourceLabels: {app: voting-app, version: \"1.0\"}\n      route:\n        - destination:\n            host: voting-analytics", "- sourceLabels: {app: voting-app, version: \"1.0\"}\n          uri: {prefix: /other}\n      route:\n        - destination:\n            host: voting-analytics");
    texts.push(&narrow);
    let lab = Lab::texts("1.1", &texts);
    let end = lab.get("voting-app-1-0", "http://voting-analytics:8080/analytics", &[]);
    assert_eq!((end.status, end.flags.as_str()), (404, "NR"));
}

/// The tutorial's rules for storage alone, without mutual TLS.
fn storage_rules() -> String {
    let text = text_of("aks-voting-app/mesh/steps/2-lock-down.yaml");
    let (_, rules) = text.rsplit_once("---\n").unwrap();
    rules.to_owned()
}

/// Subsets of storage that do not ask for mutual TLS.
const STORAGE_SUBSETS: &str = "
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: {name: voting-storage, namespace: voting}
spec:
  host: voting-storage
  subsets:
    - {name: v1-0, labels: {version: \"1.0\"}}
    - {name: v2-0, labels: {version: \"2.0\"}}
";

#[test]
fn a46d_a_tcp_caller_without_a_rule_gets_every_pod_of_the_dialled_port() {
    let lab = lab(&[LOCKED, &["steps/4-workloads-2.0.yaml"]].concat());
    assert_eq!(lab.dial("voting-app-2-0", "voting-storage:3306"), ["outbound|3306||voting-storage.voting.svc.cluster.local"]);
    let rest = "
clients:
  - name: voter
    from: istio-ingressgateway
    request: {url: \"http://voting.example.com/\", method: POST}
    traffic: {rate: 10/s, requests: 102}
timeline:
  - {at: 0s, delete: [Deployment/voting-app-1-0]}
";
    let files = [START, &["steps/4-workloads-2.0.yaml"]].concat();
    let story = voting(&files, rest).with_mesh("rules.yaml", &storage_rules()).with_mesh("subsets.yaml", STORAGE_SUBSETS);
    let report = story.run();
    assert_eq!(report.pages().statuses(), BTreeMap::from([(302, 51), (500, 51)]), "Redis does not listen on 3306");
    assert_eq!(report.calls().from("voting-app-2-0").version("2.0").arrived(), 51);
}

#[test]
fn a47d_a_tcp_rule_without_a_port_condition_sets_its_own_port() {
    let lab = lab(CANARY);
    assert_eq!(lab.dial("voting-app-1-0", "voting-storage:3306"), ["outbound|6379|v1-0|voting-storage.voting.svc.cluster.local"]);
}

#[test]
fn a48d_an_open_connection_stays_where_it_is() {
    let rule = |subset: &str, port: u16| {
        format!(
            "
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {{name: voting-storage, namespace: voting}}
spec:
  hosts: [voting-storage]
  tcp: [{{route: [{{destination: {{host: voting-storage, subset: {subset}, port: {{number: {port}}}}}}}]}}]
"
        )
    };
    let rest = "
apps:
  - workloads: [voting-storage-1-0, voting-storage-2-0]
    handlers: [{serviceTime: 10s}]
clients:
  - name: voter
    from: istio-ingressgateway
    request: {url: \"http://voting.example.com/\", method: POST}
    traffic: {rate: 1/s, requests: 5}
timeline:
  - {at: 0s, delete: [Deployment/voting-app-2-0]}
  - {at: 3500ms, apply: [mesh/moved.yaml]}
";
    let files = [START, &["steps/4-workloads-2.0.yaml"]].concat();
    let report = voting(&files, rest)
        .with_mesh("subsets.yaml", STORAGE_SUBSETS)
        .with_mesh("before.yaml", &rule("v1-0", 6379))
        .file("mesh/moved.yaml", &rule("v2-0", 3306))
        .run();
    report.pages().all(5, 302);
    report.pages().took(Duration::from_secs(10));
    assert_eq!(report.calls().to("voting-storage").versions(), BTreeMap::from([("1.0", 4), ("2.0", 1)]));
}

#[test]
fn a49d_cookies_do_not_reach_analytics() {
    let by_cookie = "
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: voting-analytics, namespace: voting}
spec:
  hosts: [voting-analytics]
  http:
    - match: [{headers: {cookie: {regex: \".*featureflag=on.*\"}}}]
      route: [{destination: {host: voting-analytics, subset: v1-0}}]
    - route: [{destination: {host: voting-analytics, subset: v1-1}}]
";
    let rest = VISITOR.replace("com/\"}", "com/\", cookies: {featureflag: \"on\"}}");
    let report = voting(LOCKED, &rest).with_mesh("by-cookie.yaml", by_cookie).run();
    assert_eq!(report.calls().to("voting-analytics").versions(), BTreeMap::from([("1.1", 1000)]));
}

#[test]
fn a50d_the_app_waits_for_ever_and_shows_an_empty_result_after_an_error() {
    let hang = "
apps:
  - workloads: [voting-analytics-1-0]
    handlers: [{serviceTime: 3600s}]
clients:
  - name: visitor
    from: istio-ingressgateway
    request: {url: \"http://voting.example.com/\"}
    traffic: {rate: 10/s, requests: 10}
";
    let report = voting(START, hang).run();
    report.pages().all(10, 200);
    report.pages().took(Duration::from_secs(3600));
    let limit = "
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: voting-analytics, namespace: voting}
spec:
  hosts: [voting-analytics]
  http: [{timeout: 2s, route: [{destination: {host: voting-analytics}}]}]
";
    let report = voting(START, hang).with_mesh("limit.yaml", limit).run();
    report.pages().label("results-empty").all(10, 200);
    report.pages().took(Duration::from_secs(2));
    report.calls().from("voting-app-1-0").flags("UT").all(10, 504);
    let end =
        End { status: 0, flags: String::new(), cluster: "outbound|8080||voting-analytics.voting.svc.cluster.local".to_owned() };
    assert_eq!(lab(START).get("voting-app-1-0", "http://voting-analytics:8080/analytics", &[]), end);
}
