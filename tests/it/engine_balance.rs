//! Balancers at work in runs: one client's proxy in front of a service whose pods can be told apart.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::stage_play::Play;
use meshsim::record::RunReport;

/// A service `back` with one pod in each of these places, each a workload of its own, and a client
/// `front` in place `r1/z1`.
fn mesh(places: &[&str], policy: &str) -> String {
    let mut text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {istio-injection: enabled}}\n".to_owned();
    for service in ["front", "back"] {
        write!(
            text,
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {service}}}\nspec: {{selector: {{app: {service}}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}\n"
        )
        .unwrap();
    }
    text.push_str(&deployment("front", "front", "r1/z1"));
    for (number, place) in places.iter().enumerate() {
        text.push_str(&deployment(&format!("back-{number}"), "back", place));
    }
    write!(
        text,
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: back}}\nspec: {{host: back, trafficPolicy: {policy}}}\n"
    )
    .unwrap();
    text
}

fn deployment(name: &str, app: &str, place: &str) -> String {
    let (region, zone) = place.split_once('/').unwrap();
    format!(
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  selector: {{matchLabels: {{app: {app}, pod: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {app}, pod: {name}, topology.kubernetes.io/region: {region}, topology.kubernetes.io/zone: {zone}}}}}\n    spec: {{containers: [{{name: {app}, image: {app}, ports: [{{containerPort: 8080}}]}}]}}\n"
    )
}

fn run(mesh: &str, rule: &str, scenario: &str) -> RunReport {
    let scenario = format!("istio: latest\nmesh: [mesh.yaml, rule.yaml]\n{scenario}");
    Play::of(&scenario, &[("mesh.yaml", mesh), ("rule.yaml", rule)]).run()
}

fn traffic(requests: u32) -> String {
    format!(
        "clients:\n- {{name: c, from: front, request: {{url: \"http://back/\"}}, traffic: {{rate: 100/s, requests: {requests}}}}}\n"
    )
}

/// Requests that arrived at each pod of `back`, of one class of users and phase.
fn arrived(report: &RunReport, user: &str, phase: usize) -> Vec<u64> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let edges = report.edges.iter().filter(|edge| edge.user == user && edge.phase == phase);
    for edge in edges.filter(|edge| edge.workload.starts_with("back-")) {
        *counts.entry(&edge.workload).or_default() += edge.arrived;
    }
    (0..8).map(|pod| counts.get(format!("back-{pod}.default").as_str()).copied().unwrap_or(0)).collect()
}

const HERE: [&str; 4] = ["r1/z1"; 4];

#[test]
fn a_user_keeps_a_pod_and_requests_without_a_key_meet_all() {
    let users = "clients:\n- name: c\n  from: front\n  request: {url: \"http://back/\"}\n  traffic: {rate: 1000/s, requests: 2000}\n  users:\n  - {name: nobody, inTurn: 10}\n";
    let names: Vec<String> = (0..16).map(|number| format!("user-{number}")).collect();
    let users = names.iter().fold(users.to_owned(), |mut text, name| {
        writeln!(text, "  - {{name: {name}, inTurn: 1, headers: {{x-user: {name}}}}}").unwrap();
        text
    });
    for algorithm in ["", ", maglev: {tableSize: 1009}"] {
        let policy = format!("{{loadBalancer: {{consistentHash: {{httpHeaderName: x-user{algorithm}}}}}}}");
        let report = run(&mesh(&HERE, &policy), "", &users);
        let pods: Vec<usize> = names
            .iter()
            .map(|name| {
                let counts = arrived(&report, name, 0);
                assert_eq!(counts.iter().filter(|count| **count > 0).count(), 1, "{name}: {counts:?}");
                counts.iter().position(|count| *count > 0).unwrap()
            })
            .collect();
        assert!((0..4).filter(|pod| pods.contains(pod)).count() >= 3, "{pods:?}");
        assert!(arrived(&report, "nobody", 0)[..4].iter().all(|count| *count > 120));
    }
}

#[test]
fn the_request_as_it_is_forwarded_is_hashed() {
    let policy = "{loadBalancer: {consistentHash: {httpHeaderName: x-user}}}";
    let rule = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: back}\nspec:\n  hosts: [back]\n  http:\n  - headers: {request: {set: {x-user: all}}}\n    route: [{destination: {host: back}}]\n";
    let counts = arrived(&run(&mesh(&HERE, policy), rule, &traffic(100)), "", 0);
    assert!(counts.contains(&100), "{counts:?}");
}

#[test]
fn a_source_address_is_that_of_the_callers_pod() {
    let policy = "{loadBalancer: {consistentHash: {useSourceIp: true}}}";
    let counts = arrived(&run(&mesh(&HERE, policy), "", &traffic(100)), "", 0);
    assert!(counts.contains(&100), "{counts:?}");
}

#[test]
fn bytes_are_hashed_by_the_source_address_alone() {
    let scenario =
        "clients:\n- {name: c, from: front, request: {url: \"tcp://back:80\"}, traffic: {rate: 100/s, requests: 200}}\n";
    for (key, is_one) in [("useSourceIp: true", true), ("httpHeaderName: x-user", false)] {
        let policy = format!("{{loadBalancer: {{consistentHash: {{{key}}}}}}}");
        let mesh = mesh(&HERE, &policy).replace("name: http", "name: tcp");
        let counts = arrived(&run(&mesh, "", scenario), "", 0);
        assert_eq!(counts.contains(&200), is_one, "{key}: {counts:?}");
    }
}

#[test]
fn distributed_traffic_keeps_to_the_weights_of_localities() {
    let policy = "{loadBalancer: {simple: ROUND_ROBIN, localityLbSetting: {enabled: true, distribute: [{from: r1/*, to: {\"r1/*\": 75, \"r2/*\": 25}}]}}, outlierDetection: {consecutive5xxErrors: 5}}";
    let places = ["r1/z1", "r2/z1", "r2/z1", "r3/z1"];
    let counts = arrived(&run(&mesh(&places, policy), "", &traffic(400)), "", 0);
    let near = |count: u64, expected: u64| count.abs_diff(expected) <= 1;
    assert!(near(counts[0], 300) && near(counts[1], 50) && near(counts[2], 50) && counts[3] == 0, "{counts:?}");
}

#[test]
fn retries_go_elsewhere_after_two_tries_if_they_may() {
    let policy = "{loadBalancer: {simple: ROUND_ROBIN}, outlierDetection: {consecutive5xxErrors: 0}}";
    let failing = "apps: [{workloads: [back-0], handlers: [{reply: [{status: 503}]}]}]\n";
    for (remote, expected) in [(true, [200, 100]), (false, [300, 0])] {
        let rule = format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: back}}\nspec:\n  hosts: [back]\n  http:\n  - retries: {{attempts: 2, retryOn: 5xx, retryRemoteLocalities: {remote}}}\n    route: [{{destination: {{host: back}}}}]\n"
        );
        let report = run(&mesh(&["r1/z1", "r2/z1"], policy), &rule, &format!("{failing}{}", traffic(100)));
        assert_eq!(arrived(&report, "", 0)[..2], expected);
    }
}

#[test]
fn a_new_pod_gets_nothing_before_it_is_ready() {
    let scenario = "apps: [{workloads: [back-2], startup: 30s, handlers: [{}]}]\nclients:\n- {name: c, from: front, request: {url: \"http://back/\"}, traffic: {rate: 10/s, duration: 100s}}\ntimeline:\n- {phase: two, for: 20s}\n- {phase: starting, apply: [third.yaml], for: 30s}\n- {phase: three, for: 40s}\n";
    let scenario = format!("istio: latest\nmesh: [mesh.yaml]\n{scenario}");
    let mesh = mesh(&HERE[..2], "{loadBalancer: {simple: ROUND_ROBIN}}");
    let third = deployment("back-2", "back", "r1/z1");
    let report = Play::of(&scenario, &[("mesh.yaml", &mesh), ("third.yaml", &third)]).run();
    let of_third: Vec<u64> = (0..3).map(|phase| arrived(&report, "", phase)[2]).collect();
    assert_eq!(of_third[..2], [0, 0]);
    assert!(of_third[2].abs_diff(133) <= 1, "{of_third:?}");
    assert!(report.changes.iter().any(|change| change.what == "back-2-0 is ready"), "{:?}", report.changes);
}

#[test]
fn a_new_pod_is_warmed_up() {
    let policy = "{loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 100s}}}";
    let scenario = "clients:\n- {name: c, from: front, request: {url: \"http://back/\"}, traffic: {rate: 100/s, duration: 1000s}}\ntimeline:\n- {phase: two, for: 400s}\n- {phase: new, apply: [third.yaml], for: 20s}\n- {phase: half, for: 60s}\n- {phase: warm, for: 200s}\n";
    let scenario = format!("istio: latest\nmesh: [mesh.yaml]\n{scenario}");
    let mesh = mesh(&HERE[..2], policy);
    let third = deployment("back-2", "back", "r1/z1");
    let report = Play::of(&scenario, &[("mesh.yaml", &mesh), ("third.yaml", &third)]).run();
    let share = |phase| {
        let counts = arrived(&report, "", phase);
        counts[2] * 1_000 / counts.iter().sum::<u64>()
    };
    let (new, half, warm) = (share(1), share(2), share(3));
    assert!((40..75).contains(&new), "{new} of 1000 in the first 20 s");
    assert!((180..240).contains(&half), "{half} of 1000 between 20 and 80 s");
    assert!((320..=334).contains(&warm), "{warm} of 1000 after that");
}
