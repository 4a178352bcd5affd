//! Laws of connection pools, timeouts and retries, on servers whose actions are made up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use meshsim::mesh::{CompileOptions, DescribedEndpoints, Mesh, PodId, ProxyKind, ProxySelection, ProxySpec, compile};
use meshsim::record::{CallId, Observation, Recorder, RequestId};
use meshsim::resource::decode;
use meshsim::routing::{Request, Scheme};
use meshsim::scenario::Scenario;
use meshsim::sim::{Control, Ending, Phase, Plan, PlanInput, Stage, Whereabouts, run};
use meshsim::source::Sources;
use meshsim::time::{Duration, Instant};
use meshsim::workload::{Action, Behaviour, Course, ListedRequest, Sequence};
use meshsim::yaml::{Limits, parse};
use proptest::prelude::*;

/// A made-up case: limits, a route, and what two servers do with ten requests.
#[derive(Debug, Clone)]
struct Case {
    connections: u32,
    pending: u32,
    requests: u32,
    timeout_ms: u64,
    per_try_ms: u64,
    attempts: u32,
    scripts: [Vec<(Course, u64)>; 2],
    sent: Vec<(u64, Option<u64>, u64)>,
    seed: u64,
}

impl Case {
    fn config(&self) -> String {
        format!(
            "apiVersion: v1
kind: Service
metadata: {{name: back, namespace: default}}
spec: {{selector: {{app: back}}, ports: [{{name: http, port: 80}}]}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: back, namespace: default}}
spec:
  host: back
  trafficPolicy:
    connectionPool:
      tcp: {{maxConnections: {}, connectTimeout: 40ms}}
      http: {{http1MaxPendingRequests: {}, http2MaxRequests: {}}}
    outlierDetection: {{consecutive5xxErrors: 3, interval: 50ms, baseEjectionTime: 60ms, maxEjectionPercent: 100}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: back, namespace: default}}
spec:
  hosts: [back]
  http:
  - timeout: {}ms
    retries: {{attempts: {}{}}}
    route: [{{destination: {{host: back}}}}]
",
            self.connections,
            self.pending,
            self.requests,
            self.timeout_ms,
            self.attempts,
            if self.attempts == 0 { String::new() } else { format!(", perTryTimeout: {}ms, retryOn: 5xx", self.per_try_ms) },
        )
    }

    fn plan(&self) -> Plan {
        let mut sources = Sources::new();
        let file = sources.add("case.yaml", self.config());
        let (objects, _) = decode(&parse(&sources, file, Limits::default()).0, "default");
        let client = ProxySpec {
            name: "client".to_owned(),
            kind: ProxyKind::Sidecar,
            namespace: "default".to_owned(),
            labels: Vec::new(),
            locality: String::new(),
            service_account: String::new(),
        };
        let back = DescribedEndpoints {
            service: "back.default".to_owned(),
            labels: vec![("app".to_owned(), "back".to_owned())],
            count: 2,
            port: 80,
            locality: String::new(),
            ready: true,
            ips: Vec::new(),
        };
        let options = CompileOptions {
            proxies: ProxySelection::Described(vec![client]),
            endpoints: vec![back],
            ..CompileOptions::default()
        };
        let mesh: Mesh = compile(&objects, &options).0;
        let pods: Vec<PodId> = mesh.described.concat();
        let stages = [Stage { at: Instant::ZERO, mesh: Arc::new(mesh) }];
        let scenario = Scenario::default();
        let input = PlanInput { scenario: &scenario, apps: &[], stages: &stages, phases: &[Phase::default()], changes: &[] };
        let behaviours = pods.into_iter().zip(&self.scripts).map(|(pod, script)| {
            let action = |(course, delay): &(Course, u64)| Action {
                course: *course,
                delay: Duration::from_millis(*delay),
                status: if delay % 3 == 0 { 503 } else { 200 },
                ..Action::default()
            };
            let sequence = Sequence { script: script.iter().map(action).collect(), then: Action::default() };
            (Whereabouts::Pod(pod), Behaviour { otherwise: sequence, ..Behaviour::default() })
        });
        Plan::resolve(&input).0.with_requests(&self.listed()).with_behaviours(behaviours).with_seed(self.seed)
    }

    fn listed(&self) -> Vec<ListedRequest> {
        let request = Request {
            method: "GET".to_owned(),
            scheme: Scheme::Http,
            authority: "back".to_owned(),
            path: "/".to_owned(),
            headers: Vec::new(),
        };
        let listed = |(number, (at, abort, body)): (usize, &(u64, Option<u64>, u64))| ListedRequest {
            at: Instant::ZERO + Duration::from_millis(*at),
            from: "client".to_owned(),
            name: "r".to_owned(),
            number: number as u64 + 1,
            port: 80,
            request: request.clone(),
            body_bytes: 1,
            body_after: Duration::from_millis(*body),
            abort_after: abort.map(Duration::from_millis),
            connection: None,
        };
        self.sent.iter().enumerate().map(listed).collect()
    }
}

/// Counts what must hold.
#[derive(Debug, Default, PartialEq)]
struct Ledger {
    ends: BTreeMap<u64, Vec<(u16, u64)>>,
    active: BTreeSet<u32>,
    active_max: usize,
}

impl Ledger {
    fn over(&mut self, call: CallId) {
        self.active.remove(&call.0);
    }

    fn end(&mut self, request: RequestId, status: u16, took: Duration) {
        self.ends.entry(request.number).or_default().push((status, took.millis()));
    }
}

impl Recorder for Ledger {
    const DETAIL: bool = true;

    fn observe(&mut self, at: Instant, what: &Observation) {
        match *what {
            Observation::Reached { call, .. } if call != CallId::NONE => {
                self.active.insert(call.0);
                self.active_max = self.active_max.max(self.active.len());
            }
            Observation::BackedOff { call, .. } => self.over(call),
            Observation::CallEnded { call, request, outcome, began, .. } => {
                self.over(call);
                self.end(request, outcome.status, at.since(began));
            }
            _ => {}
        }
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let course = prop_oneof![
        4 => Just(Course::Answers),
        1 => Just(Course::AnswersAndCloses),
        1 => (1_u64..60).prop_map(|pause| Course::Stalls(Duration::from_millis(pause))),
        1 => Just(Course::BreaksOff(Duration::from_millis(30))),
        1 => Just(Course::HangsUp),
        1 => Just(Course::Babbles),
        1 => Just(Course::Refuses),
        1 => Just(Course::Ignores),
    ];
    let script = prop::collection::vec((course, 0_u64..60), 0..8);
    let request = (0_u64..150, prop::option::weighted(0.2, 1_u64..80), prop_oneof![3 => Just(0_u64), 1 => 1_u64..40]);
    let limits = (1_u32..4, 1_u32..4, 1_u32..4);
    let route = (20_u64..120, 10_u64..130, 0_u32..4);
    (limits, route, [script.clone(), script], prop::collection::vec(request, 1..14), any::<u64>()).prop_map(
        |((connections, pending, requests), (timeout_ms, per_try_ms, attempts), scripts, mut sent, seed)| {
            sent.sort_unstable();
            Case { connections, pending, requests, timeout_ms, per_try_ms, attempts, scripts, sent, seed }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn each_request_ends_once_within_its_deadline_and_no_limit_is_exceeded(case in cases()) {
        let plan = case.plan();
        let (mut ledger, mut again) = (Ledger::default(), Ledger::default());
        let outcome = run(&plan, &Control::new(), &mut ledger);
        prop_assert_eq!(outcome.ending, Ending::Done);
        prop_assert_eq!(outcome.unfinished, 0);
        prop_assert_eq!(ledger.ends.len(), case.sent.len());
        for (number, ends) in &ledger.ends {
            let (_, abort, body) = case.sent[*number as usize - 1];
            prop_assert_eq!(ends.len(), 1, "request {} ends {} times", number, ends.len());
            let deadline = abort.unwrap_or(u64::MAX).min(body + case.timeout_ms);
            prop_assert!(ends[0].1 <= deadline, "request {} takes {} ms of {}", number, ends[0].1, deadline);
        }
        prop_assert!(ledger.active_max <= case.requests as usize, "{} are active", ledger.active_max);
        let _ = run(&plan, &Control::new(), &mut again);
        prop_assert_eq!(ledger, again);
    }
}
