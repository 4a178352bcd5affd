//! Laws that every run keeps, on scenarios made up at random.

use crate::engine_phases::{MESH, rule};
use crate::stage_play::Play;
use meshsim::record::RunReport;
use meshsim::sim::{Control, simulate};
use meshsim::time::Duration;
use proptest::prelude::*;

/// A made-up system: `front` calls `back`, which has two versions.
#[derive(Debug, Clone)]
struct System {
    traffic: &'static str,
    cancel: &'static str,
    work_ms: u64,
    concurrency: u32,
    app_timeout_ms: u64,
    attempts: u32,
    deadline_ms: u64,
    delay_percent: u32,
    abort_percent: u32,
    route_timeout_ms: u64,
    per_try_ms: u64,
    workers: u32,
    seed: u64,
}

impl System {
    fn run(&self) -> RunReport {
        let scenario = format!(
            r#"
istio: latest
seed: {seed}
mesh: [mesh.yaml, rule.yaml]
cancelPropagation: {cancel}
proxyWorkers: {workers}
hopLatency: {{uniform: [1ms, 2ms]}}
apps:
- workloads: [front]
  handlers: [{{calls: [{{call: {{url: "http://back/", timeout: {app_timeout}ms, attempts: {attempts}, onFailure: {{labels: [sad]}}}}}}]}}]
- workloads: [back*]
  concurrency: {concurrency}
  queue: 3
  handlers: [{{serviceTime: {{exponential: {work}ms}}, reply: [{{share: "10%", status: 503}}, {{labels: [fine]}}]}}]
clients:
- name: c
  from: front
  request: {{url: "http://front/"}}
  users: [{{name: a, weight: 1}}, {{name: b, weight: 3}}]
  timeout: {deadline}ms
  traffic: {traffic}
"#,
            seed = self.seed,
            cancel = self.cancel,
            workers = self.workers,
            app_timeout = self.app_timeout_ms,
            attempts = self.attempts,
            concurrency = self.concurrency,
            work = self.work_ms,
            deadline = self.deadline_ms,
            traffic = self.traffic,
        );
        let rule = rule(&format!(
            "fault: {{delay: {{percentage: {{value: {}}}, fixedDelay: 7ms}}, abort: {{percentage: {{value: {}}}, httpStatus: 500}}}}\n    route: [{{destination: {{host: back}}}}]\n    timeout: {}ms\n    retries: {{attempts: 2, perTryTimeout: {}ms, retryOn: \"5xx\"}}",
            self.delay_percent, self.abort_percent, self.route_timeout_ms, self.per_try_ms,
        ));
        Play::of(&scenario, &[("mesh.yaml", MESH), ("rule.yaml", &rule)]).run()
    }
}

fn systems() -> impl Strategy<Value = System> {
    let traffic = prop_oneof![
        Just("{rate: 500/s, arrivals: poisson, requests: 200}"),
        Just("{rate: 300/s, arrivals: uniform, duration: 1s}"),
        Just("{requests: 150}"),
        Just("{closedLoop: {users: 7, think: {exponential: 3ms}}, requests: 150}"),
    ];
    let cancel = prop_oneof![Just("none"), Just("proxy"), Just("full")];
    let times = (1_u64..30, 1_u32..4, 1_u64..40, 1_u32..4, 1_u64..60);
    let rules = (0_u32..101, 0_u32..101, 1_u64..50, 1_u64..30, 1_u32..4, any::<u32>());
    (traffic, cancel, times, rules).prop_map(|(traffic, cancel, times, rules)| System {
        traffic,
        cancel,
        work_ms: times.0,
        concurrency: times.1,
        app_timeout_ms: times.2,
        attempts: times.3,
        deadline_ms: times.4,
        delay_percent: rules.0,
        abort_percent: rules.1,
        route_timeout_ms: rules.2,
        per_try_ms: rules.3,
        workers: rules.4,
        seed: u64::from(rules.5),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn each_request_ends_once_before_its_deadline_and_runs_repeat(system in systems()) {
        let report = system.run();
        let outcomes = report.clients.iter().flat_map(|group| &group.outcomes);
        let ended: u64 = outcomes.clone().map(|outcome| outcome.count).sum();
        prop_assert_eq!(ended, report.requests);
        prop_assert_eq!(report.unfinished, 0);
        let deadline = Duration::from_millis(system.deadline_ms);
        prop_assert!(outcomes.clone().all(|outcome| outcome.latency.max <= deadline));
        // A call of `front` ends when its own timeout fires or before, unless its proxy goes on.
        if system.cancel != "none" {
            let patience = Duration::from_millis(system.app_timeout_ms);
            let calls = report.edges.iter().filter(|edge| edge.source == "front.default" && edge.service.starts_with("back"));
            prop_assert!(calls.flat_map(|edge| &edge.outcomes).all(|outcome| outcome.latency.max <= patience));
        }
        prop_assert_eq!(system.run(), report);
    }
}

#[test]
fn a_run_that_is_stopped_reports_what_it_has() {
    let mut play = Play::read("bookinfo-timeout-cascade/scenario.yaml");
    let (plan, _) = play.plan();
    let control = Control::new();
    control.stop();
    let (report, _) = simulate(&plan, &control);
    assert!(report.interrupted && report.waterfall.is_none());
    assert_eq!(report.requests, 0);
}

/// What a mistake of the scenario ends a run with.
fn finding(apps: &str, traffic: &str) -> String {
    let scenario = format!(
        "istio: latest\nmesh: [mesh.yaml]\n{apps}\nclients:\n- {{name: c, from: front, request: {{url: \"http://back/\"}}, traffic: {traffic}}}\n"
    );
    let mut play = Play::of(&scenario, &[("mesh.yaml", MESH)]);
    let (plan, _) = play.plan();
    let (_, findings) = simulate(&plan, &Control::new());
    findings.into_iter().map(|finding| finding.message).collect()
}

#[test]
fn what_would_never_end_is_ended_and_said() {
    let circle = "apps: [{workloads: [back*], handlers: [{calls: [{call: {url: \"http://back/\"}}]}]}]";
    assert_eq!(finding(circle, "{requests: 1}"), "applications call one another without end");
    let closed = "{closedLoop: {users: 1, think: 0s}, duration: 1s}";
    assert_eq!(finding("", closed), "a closed loop sends requests without end while the clock stands still");
}
