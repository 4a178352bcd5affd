//! Each phase of a call, by itself: one client's proxy in front of one service.

use crate::stage_play::Play;
use meshsim::record::RunReport;
use meshsim::time::Duration;

/// A client workload `front`, and a service `back` with two versions of one pod each.
pub(crate) const MESH: &str = r"
apiVersion: v1
kind: Namespace
metadata: {name: default, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: back}
spec: {selector: {app: back}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: front}
spec: {selector: {app: front}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: front}
spec:
  selector: {matchLabels: {app: front}}
  template:
    metadata: {labels: {app: front, version: v1}}
    spec: {containers: [{name: front, image: front, ports: [{containerPort: 8080}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: back-v1}
spec:
  selector: {matchLabels: {app: back, version: v1}}
  template:
    metadata: {labels: {app: back, version: v1}}
    spec: {containers: [{name: back, image: back, ports: [{containerPort: 8080}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: back-v2}
spec:
  selector: {matchLabels: {app: back, version: v2}}
  template:
    metadata: {labels: {app: back, version: v2}}
    spec: {containers: [{name: back, image: back, ports: [{containerPort: 8080}]}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: back}
spec:
  host: back
  trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}, {name: v3, labels: {version: v3}}]
";

/// The one rule of a VirtualService for `back`.
pub(crate) fn rule(rule: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: back}}\nspec:\n  hosts: [back]\n  http:\n  - {rule}\n"
    )
}

/// A run of `scenario` on [`MESH`] and the rule `applied` under `rule.yaml`.
fn run_with(scenario: &str, applied: &str) -> RunReport {
    let scenario = format!("istio: latest\nmesh: [mesh.yaml, rule.yaml]\n{scenario}");
    let applied = if applied.is_empty() { String::new() } else { rule(applied) };
    Play::of(&scenario, &[("mesh.yaml", MESH), ("rule.yaml", &applied)]).run()
}

const ONE: &str = r#"
clients:
- {name: c, from: front, request: {url: "http://back/"}, traffic: {requests: 1}}
"#;

/// What a client saw: status, flags, time and how often.
fn seen(report: &RunReport) -> Vec<(u16, String, Duration, u64)> {
    let outcomes = report.clients.iter().flat_map(|group| &group.outcomes);
    let mut seen: Vec<_> =
        outcomes.flat_map(|o| o.latency.buckets.iter().map(|(took, count)| (o.status, o.flags.clone(), *took, *count))).collect();
    seen.sort();
    seen
}

fn arrived(report: &RunReport, workload: &str) -> u64 {
    let name = format!("{workload}.default");
    report.edges.iter().filter(|edge| edge.workload == name).map(|edge| edge.arrived).sum()
}

fn one(status: u16, flags: &str, millis: u64) -> Vec<(u16, String, Duration, u64)> {
    vec![(status, flags.to_owned(), Duration::from_millis(millis), 1)]
}

/// Name, applications, route, then status, flags, milliseconds and tries.
type Case<'a> = (&'a str, &'a str, String, u16, &'a str, Option<u64>, u64);

#[test]
fn the_router_ends_a_request_as_envoy_does() {
    let slow = "apps: [{workloads: [back*], handlers: [{serviceTime: 10s}]}]";
    let failing = "apps: [{workloads: [back*], handlers: [{reply: [{status: 503}]}]}]";
    let to = "route: [{destination: {host: back, subset: v1}}]";
    let cases: &[Case<'_>] = &[
        ("an answer", "", to.to_owned(), 200, "", Some(0), 1),
        ("route timeout", slow, format!("{to}\n    timeout: 3s"), 504, "UT", Some(3_000), 1),
        (
            "a try that times out is not retried by the default conditions",
            slow,
            format!("{to}\n    retries: {{attempts: 2, perTryTimeout: 1s}}"),
            504,
            "UT",
            Some(1_000),
            1,
        ),
        (
            "a try that times out is a reset",
            slow,
            format!("{to}\n    retries: {{attempts: 2, perTryTimeout: 1s, retryOn: reset}}"),
            504,
            "URX,UT",
            None,
            3,
        ),
        (
            "the route timeout wins a tie with the try's",
            slow,
            format!("{to}\n    timeout: 3s\n    retries: {{attempts: 1, perTryTimeout: 3s, retryOn: reset}}"),
            504,
            "UT",
            Some(3_000),
            1,
        ),
        (
            "the route timeout spans all tries",
            slow,
            format!("{to}\n    timeout: 1500ms\n    retries: {{attempts: 5, perTryTimeout: 1s, retryOn: reset}}"),
            504,
            "UT",
            Some(1_500),
            2,
        ),
        ("retries used up", failing, format!("{to}\n    retries: {{attempts: 2, retryOn: 5xx}}"), 503, "URX", None, 3),
        ("not retriable", failing, format!("{to}\n    retries: {{attempts: 2, retryOn: retriable-4xx}}"), 503, "", Some(0), 1),
        ("default retries do not cover 503", failing, to.to_owned(), 503, "", Some(0), 1),
        ("a subset without pods", "", "route: [{destination: {host: back, subset: v3}}]".into(), 503, "UH", Some(0), 0),
        ("an undefined subset", "", "route: [{destination: {host: back, subset: v9}}]".into(), 503, "NC", Some(0), 0),
        ("no route", "", format!("match: [{{uri: {{prefix: /x}}}}]\n    {to}"), 404, "NR", Some(0), 0),
        (
            "an abort is not retried",
            "",
            format!(
                "fault: {{abort: {{percentage: {{value: 100}}, httpStatus: 503}}}}\n    {to}\n    retries: {{attempts: 2, retryOn: 5xx}}"
            ),
            503,
            "FI",
            Some(0),
            0,
        ),
        (
            "a delay comes before an abort",
            "",
            format!(
                "fault: {{delay: {{percentage: {{value: 100}}, fixedDelay: 2s}}, abort: {{percentage: {{value: 100}}, httpStatus: 418}}}}\n    {to}"
            ),
            418,
            "DI,FI",
            Some(2_000),
            0,
        ),
        (
            "a delay is not counted by the route timeout",
            slow,
            format!("fault: {{delay: {{percentage: {{value: 100}}, fixedDelay: 2s}}}}\n    {to}\n    timeout: 3s"),
            504,
            "DI,UT",
            Some(5_000),
            1,
        ),
        ("a direct response", "", "directResponse: {status: 418}".into(), 418, "", Some(0), 0),
    ];
    for (name, apps, rule, status, flags, millis, tries) in cases {
        let report = run_with(&format!("{ONE}{apps}\n"), rule);
        let seen = seen(&report);
        assert_eq!((seen[0].0, seen[0].1.as_str(), seen.len()), (*status, *flags, 1), "{name}: {seen:?}");
        assert_eq!(arrived(&report, "back-v1"), *tries, "{name}");
        match millis {
            Some(millis) => assert_eq!(seen[0].2, Duration::from_millis(*millis), "{name}"),
            // Retries wait for a random time below 25 ms and 50 ms.
            None => assert!(seen[0].2 < Duration::from_millis(3_075), "{name}: {seen:?}"),
        }
    }
}

#[test]
fn policies_are_enforced_at_the_called_pod() {
    let policy = |spec: &str| {
        format!("---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p}}\nspec: {spec}\n")
    };
    let to_back = "selector: {matchLabels: {app: back}}";
    let applied = rule("route: [{destination: {host: back}}]");
    for (spec, status, arrived_at) in [
        (format!("{{{to_back}, action: DENY, rules: [{{}}]}}"), 403, 0),
        (format!("{{{to_back}, action: DENY, rules: [{{to: [{{operation: {{paths: [/other]}}}}]}}]}}"), 200, 1),
        (format!("{{{to_back}, rules: [{{from: [{{source: {{serviceAccounts: [default]}}}}]}}]}}"), 200, 1),
        (format!("{{{to_back}, rules: [{{from: [{{source: {{serviceAccounts: [other]}}}}]}}]}}"), 403, 0),
        (format!("{{{to_back}, action: DENY, rules: [{{from: [{{source: {{notPrincipals: ['*']}}}}]}}]}}"), 200, 1),
        (format!("{{{to_back}, action: AUDIT, rules: [{{}}]}}"), 200, 1),
        ("{selector: {matchLabels: {app: front}}, action: DENY, rules: [{}]}".to_owned(), 200, 1),
    ] {
        let mesh = format!("{MESH}{}", policy(&spec));
        let scenario = format!("istio: latest\nmesh: [mesh.yaml, rule.yaml]\n{ONE}");
        let report = Play::of(&scenario, &[("mesh.yaml", &mesh), ("rule.yaml", &applied)]).run();
        let seen = seen(&report);
        assert_eq!((seen[0].0, seen[0].1.as_str(), seen.len()), (status, "", 1), "{spec}: {seen:?}");
        assert_eq!(arrived(&report, "back-v1") + arrived(&report, "back-v2"), arrived_at, "{spec}");
    }
}

#[test]
fn an_undefined_subset_has_the_flag_of_its_time() {
    for (version, flag) in [("1.1", "NR"), ("latest", "NC")] {
        let scenario = format!("istio: \"{version}\"\nmesh: [mesh.yaml, rule.yaml]\n{ONE}");
        let rule = rule("route: [{destination: {host: back, subset: v9}}]")
            .replace("networking.istio.io/v1\n", "networking.istio.io/v1alpha3\n");
        let mesh = MESH.replace("networking.istio.io/v1\n", "networking.istio.io/v1alpha3\n");
        let report = Play::of(&scenario, &[("mesh.yaml", &mesh), ("rule.yaml", &rule)]).run();
        assert_eq!(seen(&report), one(503, flag, 0));
    }
}

#[test]
fn an_answer_exactly_at_the_callers_deadline_is_too_late() {
    for (work, expected) in [("2999ms", one(200, "", 2_999)), ("3s", one(0, "DC", 3_000))] {
        let scenario = format!(
            "apps: [{{workloads: [back*], handlers: [{{serviceTime: {work}}}]}}]\nclients:\n- {{name: c, from: front, request: {{url: \"http://back/\"}}, traffic: {{requests: 1}}, timeout: 3s}}\n"
        );
        assert_eq!(seen(&run_with(&scenario, "")), expected);
    }
}

#[test]
fn requests_wait_for_a_slot_in_the_order_they_came_and_find_a_full_queue_closed() {
    let scenario = r#"
apps: [{workloads: [back*], concurrency: 1, queue: 1, handlers: [{serviceTime: 1s}]}]
clients:
- {name: c, from: front, request: {url: "http://back/"}, traffic: {requests: 4}}
"#;
    let report = run_with(scenario, "route: [{destination: {host: back, subset: v1}}]");
    let at = Duration::from_secs;
    let expected = [(200, String::new(), at(1), 1), (200, String::new(), at(2), 1), (503, String::new(), at(0), 2)];
    assert_eq!(seen(&report), expected);
}

#[test]
fn round_robin_alternates_and_a_random_mix_does_not() {
    let scenario = r#"
clients:
- {name: c, from: front, request: {url: "http://back/"}, traffic: {rate: 100/s, requests: 1000}}
"#;
    let report = run_with(scenario, "");
    assert_eq!((arrived(&report, "back-v1"), arrived(&report, "back-v2")), (500, 500));
}

#[test]
fn weights_are_drawn_for_each_request_and_a_fault_moves_no_other_draw() {
    let scenario = r#"
clients:
- {name: c, from: front, request: {url: "http://back/"}, traffic: {rate: 100/s, requests: 1000}}
"#;
    let legs =
        "route: [{destination: {host: back, subset: v1}, weight: 80}, {destination: {host: back, subset: v2}, weight: 20}]";
    let plain = run_with(scenario, legs);
    let v2 = arrived(&plain, "back-v2");
    assert!((141..=264).contains(&v2), "{v2}");
    let delayed = run_with(scenario, &format!("fault: {{delay: {{percentage: {{value: 50}}, fixedDelay: 1s}}}}\n    {legs}"));
    assert_eq!(arrived(&delayed, "back-v2"), v2);
    let split = plain.splits.iter().find(|split| split.source == "c").unwrap();
    assert_eq!(split.points[0].planned.as_deref(), Some(&[0.8, 0.2][..]));
    assert_eq!(split.points[0].exact.as_deref(), Some(&[0.8, 0.2][..]));
    let observed: u64 = split.points.iter().map(|point| point.observed[1]).sum();
    assert_eq!(observed, v2);
}

#[test]
fn a_workload_without_a_proxy_ignores_every_rule() {
    let mesh = MESH.replace(", labels: {istio-injection: enabled}", "");
    let scenario = format!("istio: latest\nmesh: [mesh.yaml, rule.yaml]\n{ONE}");
    let rule =
        rule("fault: {abort: {percentage: {value: 100}, httpStatus: 503}}\n    route: [{destination: {host: back, subset: v9}}]");
    let report = Play::of(&scenario, &[("mesh.yaml", &mesh), ("rule.yaml", &rule)]).run();
    assert_eq!(seen(&report), one(200, "", 0));
}

/// `front` calls `back` with a timeout of 1 s; `back` works for 2 s and then calls `front` at `/leaf`.
fn orphaned_work(cancel: &str) -> RunReport {
    let scenario = format!(
        r#"
cancelPropagation: {cancel}
apps:
- workloads: [front]
  handlers:
  - {{path: /leaf}}
  - calls: [{{call: {{url: "http://back/", timeout: 1s}}}}]
- workloads: [back*]
  handlers: [{{serviceTime: 2s, calls: [{{call: {{url: "http://front/leaf"}}}}]}}]
clients:
- {{name: c, from: front, request: {{url: "http://front/"}}, traffic: {{requests: 1}}}}
"#
    );
    run_with(&scenario, "")
}

#[test]
fn work_whose_caller_has_gone_goes_on_unless_cancellation_reaches_it() {
    for (cancel, calls_of_orphans, flag) in [("none", 1, ""), ("proxy", 1, "DC"), ("full", 0, "DC")] {
        let report = orphaned_work(cancel);
        assert_eq!(seen(&report), one(200, "", 1_000), "{cancel}");
        let leaf = report.edges.iter().filter(|edge| edge.source.starts_with("back")).map(|edge| edge.arrived);
        assert_eq!(leaf.sum::<u64>(), calls_of_orphans, "{cancel}");
        let ends: Vec<&str> = report
            .edges
            .iter()
            .filter(|edge| edge.source == "front.default")
            .flat_map(|edge| edge.outcomes.iter().map(|outcome| outcome.flags.as_str()))
            .collect();
        assert_eq!(ends, [flag], "{cancel}");
    }
}

#[test]
fn steps_follow_one_another_and_parallel_calls_end_with_the_last() {
    let scenario = r#"
apps:
- workloads: [front]
  handlers:
  - calls:
    - {call: {url: "http://back/a"}, times: 3}
    - parallel: [{url: "http://back/a"}, {url: "http://back/b"}]
- workloads: [back*]
  handlers: [{path: /a, serviceTime: 1s, reply: [{labels: [a]}]}, {path: /b, serviceTime: 5s, reply: [{labels: [b]}]}]
clients:
- {name: c, from: front, request: {url: "http://front/"}, traffic: {requests: 1}}
"#;
    let report = run_with(scenario, "");
    assert_eq!(seen(&report), one(200, "", 8_000));
    assert_eq!(report.clients[0].outcomes[0].labels, ["a", "b"]);
}

#[test]
fn each_proxy_follows_a_push_after_its_own_delay_and_requests_keep_their_route() {
    let scenario = r#"
propagation: 2s
apps: [{workloads: [back*], handlers: [{serviceTime: 500ms}]}]
clients:
- {name: c, from: front, request: {url: "http://back/"}, traffic: {rate: 10/s, duration: 10s}}
timeline:
- {at: 5s, patch: [{object: VirtualService/back, set: {"spec.http[0].route[0].destination.subset": v2}}]}
"#;
    let report = run_with(scenario, "route: [{destination: {host: back, subset: v1}}]");
    // Sent at 0 to 6.9 s, and from 7 s on.
    assert_eq!((arrived(&report, "back-v1"), arrived(&report, "back-v2")), (70, 30));
}

#[test]
fn a_pod_that_is_gone_refuses_until_proxies_know() {
    let scenario = r#"
propagation: 2s
clients:
- {name: c, from: front, request: {url: "http://back/"}, traffic: {rate: 10/s, duration: 10s}}
timeline:
- {at: 5s, scale: [{workload: back-v1, replicas: 0}]}
"#;
    let report = run_with(scenario, "route: [{destination: {host: back, subset: v1}}]\n    retries: {attempts: 0}");
    let by_flag = |flags: &str| -> u64 { seen(&report).iter().filter(|s| s.1 == flags).map(|s| s.3).sum() };
    assert_eq!((by_flag(""), by_flag("UF"), by_flag("UH")), (50, 20, 30));
}

#[test]
fn a_closed_loop_waits_for_the_answer_and_thinks() {
    let scenario = r#"
apps: [{workloads: [back*], handlers: [{serviceTime: 1s}]}]
clients:
- {name: c, from: front, request: {url: "http://back/"}, traffic: {closedLoop: {users: 2, think: 3s}, duration: 10s}}
"#;
    let report = run_with(scenario, "");
    // Both users send at 0, 4 and 8 s.
    assert_eq!(report.requests, 6);
    assert_eq!(report.ended_at.nanos(), 12_000_000_000);
}

#[test]
fn mirrors_are_copies_that_nobody_waits_for() {
    let scenario = format!("apps: [{{workloads: [back-v2], handlers: [{{serviceTime: 9s, reply: [{{status: 500}}]}}]}}]\n{ONE}");
    let report = run_with(
        &scenario,
        "route: [{destination: {host: back, subset: v1}}]\n    mirror: {host: back, subset: v2}\n    mirrorPercentage: {value: 100}",
    );
    assert_eq!(seen(&report), one(200, "", 0));
    assert_eq!((arrived(&report, "back-v1"), arrived(&report, "back-v2")), (1, 1));
}

/// `front` calls `store`, whose port 70 leads to an open port of `back-v1` and 71 to a closed one.
fn call_to_store(url: &str) -> RunReport {
    let store = r"
---
apiVersion: v1
kind: Service
metadata: {name: store}
spec:
  selector: {app: back, version: v1}
  ports: [{name: tcp, port: 70, targetPort: 8080}, {name: tcp-shut, port: 71, targetPort: 6379}, {name: http, port: 72, targetPort: 6379}]
";
    let scenario = format!(
        r#"
istio: latest
mesh: [mesh.yaml]
apps: [{{workloads: [front], handlers: [{{calls: [{{call: {{url: "{url}", onFailure: {{statusOfCallOr: 599}}}}}}]}}]}}]
clients: [{{name: c, from: front, request: {{url: "http://front/"}}, traffic: {{requests: 1}}}}]
"#
    );
    Play::of(&scenario, &[("mesh.yaml", &format!("{MESH}{store}"))]).run()
}

#[test]
fn a_port_that_nobody_listens_on_is_no_answer_to_bytes_and_503_to_http() {
    for (url, status) in [("tcp://store:70", 200), ("tcp://store:71", 599), ("http://store:72/", 503)] {
        assert_eq!(seen(&call_to_store(url))[0].0, status, "{url}");
    }
}

#[test]
fn no_requests_make_an_empty_report() {
    let scenario = "clients:\n- {name: c, from: front, request: {url: \"http://back/\"}, traffic: {requests: 0}}\n";
    let report = run_with(scenario, "");
    assert_eq!((report.requests, report.events, report.clients.len()), (0, 0, 0));
    assert!(report.waterfall.is_none());
}

#[test]
fn requests_of_the_warm_up_are_sent_and_not_counted() {
    let scenario = "clients:\n- {name: c, from: front, request: {url: \"http://back/\"}, traffic: {rate: 10/s, duration: 10s}, warmUp: 4s}\n";
    let report = run_with(scenario, "");
    assert_eq!(report.requests, 60);
    assert_eq!(arrived(&report, "back-v1") + arrived(&report, "back-v2"), 60);
}
