//! The whole engine against the least that such a simulation can be.
//!
//! The workload is Bookinfo with four services: productpage calls details, then reviews (versions
//! 50/30/20), and versions 2 and 3 call ratings. 1000 requests per second arrive by chance; servers
//! work for exponential times and hold a slot meanwhile; each way takes 50 to 70 µs; callers wait
//! 30, 5, 15 and 4 ms and try three times; 1 % of the calls to reviews are aborted, 5 % of those to
//! ratings are held for 20 ms.
//!
//! The yardstick below does that and nothing else: one loop, one heap, numbers instead of names, no
//! routes, no proxies, no observations, seven histograms. Rounds take turns, CPU time of the thread
//! is compared, and the ratio is what counts: wall time on a shared machine says little.

#![allow(clippy::disallowed_types, reason = "a benchmark measures real time")]

use std::time::Instant as Wall;

use hdrhistogram::Histogram;
use meshsim::record::Tally;
use meshsim::scenario;
use meshsim::sim::{Control, Plan, run};
use meshsim::source::Sources;
use meshsim::staging::{Files, StagingInput, stage};
use meshsim::yaml::{Limits, parse};

const REQUESTS: u64 = 200_000;
const ROUNDS: usize = 7;

fn main() {
    // `cargo test --benches` only asks whether it runs.
    let (requests, rounds) = if std::env::args().any(|arg| arg == "--bench") { (REQUESTS, ROUNDS) } else { (2_000, 1) };
    let plan = plan(requests);
    let mut ratios = Vec::new();
    for round in 0..=rounds {
        let (bare_ns, bare) = cpu_ns(|| Bare::new(requests).run());
        let (full_ns, full) = cpu_ns(|| {
            let mut tally = Tally::new();
            let outcome = run(&plan, &Control::new(), &mut tally);
            let mut report = meshsim::record::RunReport::default();
            tally.fill(&outcome.directory, &mut report);
            let latency = report.clients.iter().flat_map(|group| &group.outcomes).map(|outcome| &outcome.latency);
            let (sum, count) = latency.fold((0, 0), |(sum, count), latency| (sum + latency.sum_ns, count + latency.count));
            (outcome.events, sum as f64 / f64::from(u32::try_from(count).unwrap_or(1)))
        });
        // The first round warms up.
        if round == 0 && rounds > 1 {
            continue;
        }
        let each = |ns: u64| ns as f64 / requests as f64;
        let ratio = full_ns as f64 / bare_ns as f64;
        println!(
            "bare {:.0} ns/request (mean {:.1} µs, {:.1} events) | engine {:.0} ns/request (mean {:.1} µs, {:.1} events) | ratio {ratio:.2}",
            each(bare_ns),
            bare.1 / 1e3,
            bare.0 as f64 / requests as f64,
            each(full_ns),
            full.1 / 1e3,
            full.0 as f64 / requests as f64,
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("BI4: engine/bare median {:.2} [{:.2}-{:.2}]", ratios[ratios.len() / 2], ratios[0], ratios[ratios.len() - 1]);
}

/// CPU time of this thread, where the system tells; wall time elsewhere.
fn cpu_ns<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let on_cpu = || -> Option<u64> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    let (before, wall) = (on_cpu(), Wall::now());
    let result = work();
    let elapsed = u64::try_from(wall.elapsed().as_nanos()).unwrap_or(u64::MAX);
    match (before, on_cpu()) {
        (Some(before), Some(after)) if after > before => (after - before, result),
        _ => (elapsed, result),
    }
}

// ---- the engine ----

fn plan(requests: u64) -> Plan {
    let mut sources = Sources::new();
    let mut read = |name: &str, text: String| {
        let file = sources.add(name, text);
        parse(&sources, file, Limits::default()).0
    };
    let scenario = read("scenario.yaml", SCENARIO.replace("REQUESTS", &requests.to_string()));
    let scenario = scenario::decode(&scenario[0]).0.expect("the scenario above is valid");
    let files: Files = [("mesh.yaml".to_owned(), read("mesh.yaml", mesh()))].into_iter().collect();
    let input = StagingInput { scenario: &scenario, files: &files, extra: &[] };
    let (staged, _) = stage(&input, &mut sources);
    Plan::resolve(&staged.plan_input(&scenario)).0
}

const SCENARIO: &str = r#"
istio: "1.1"
seed: 7
mesh: [mesh.yaml]
hopLatency: {uniform: [50us, 70us]}
apps:
- workloads: [productpage-v1]
  concurrency: 64
  handlers:
  - serviceTime: {exponential: 200us}
    calls:
    - {call: {url: "http://details:9080/", timeout: 5ms, attempts: 3}}
    - {call: {url: "http://reviews:9080/", timeout: 15ms, attempts: 3}}
- {workloads: [details-v1], concurrency: 1, handlers: [{serviceTime: {exponential: 100us}}]}
- {workloads: [reviews-v1], concurrency: 64, handlers: [{serviceTime: {exponential: 200us}}]}
- workloads: [reviews-v2, reviews-v3]
  concurrency: 64
  handlers:
  - serviceTime: {exponential: 200us}
    calls: [{call: {url: "http://ratings:9080/", timeout: 4ms, attempts: 3}}]
- {workloads: [ratings-v1], concurrency: 1, handlers: [{serviceTime: {exponential: 200us}}]}
clients:
- name: load
  from: load-v1
  request: {url: "http://productpage:9080/"}
  traffic: {rate: 1000/s, arrivals: poisson, requests: REQUESTS}
  timeout: 30ms
"#;

fn mesh() -> String {
    let mut mesh = "apiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {istio-injection: enabled}}\n".to_owned();
    let services = [
        ("load", &["v1"][..]),
        ("productpage", &["v1"]),
        ("details", &["v1"]),
        ("reviews", &["v1", "v2", "v3"]),
        ("ratings", &["v1"]),
    ];
    for (app, versions) in services {
        mesh += &format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {app}}}\nspec: {{selector: {{app: {app}}}, ports: [{{name: http, port: 9080}}]}}\n"
        );
        for version in versions {
            mesh += &format!(
                "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {app}-{version}}}\nspec:\n  selector: {{matchLabels: {{app: {app}, version: {version}}}}}\n  template:\n    metadata: {{labels: {{app: {app}, version: {version}}}}}\n    spec: {{containers: [{{name: app, image: app, ports: [{{containerPort: 9080}}]}}]}}\n"
            );
        }
    }
    mesh + RULES
}

const RULES: &str = r"
---
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: {name: reviews}
spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}, {name: v3, labels: {version: v3}}]}
---
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - fault: {abort: {percentage: {value: 1}, httpStatus: 500}}
    route:
    - {destination: {host: reviews, subset: v1}, weight: 50}
    - {destination: {host: reviews, subset: v2}, weight: 30}
    - {destination: {host: reviews, subset: v3}, weight: 20}
---
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: ratings}
spec:
  hosts: [ratings]
  http:
  - fault: {delay: {percentage: {value: 5}, fixedDelay: 20ms}}
    route: [{destination: {host: ratings}}]
";

// ---- the yardstick ----

const NONE: u32 = u32::MAX;

/// Services: the page, details, the three versions of reviews, ratings.
const WORK_NS: [u64; 6] = [200_000, 100_000, 200_000, 200_000, 200_000, 200_000];
const SLOTS: [u32; 6] = [64, 1, 64, 64, 64, 1];
const RATINGS: usize = 5;

/// Timeouts of calls to the page, details, reviews and ratings.
const TIMEOUT_NS: [u64; 4] = [30_000_000, 5_000_000, 15_000_000, 4_000_000];
const ATTEMPTS: [u8; 4] = [1, 3, 3, 3];

#[derive(Clone, Copy)]
struct Frame {
    draw: u64,
    began: u64,
    /// The call whose work makes this one.
    parent: u32,
    /// What is called: 0 to 3.
    edge: u8,
    attempt: u8,
    /// Who serves it.
    server: u8,
    /// Calls it has made.
    step: u8,
    /// Whether the caller still waits.
    awaited: bool,
    generation: u16,
}

struct Server {
    busy: u32,
    waiting: std::collections::VecDeque<u32>,
}

struct Bare {
    now: u64,
    sequence: u64,
    heap: Vec<u128>,
    frames: Vec<Frame>,
    free: Vec<u32>,
    servers: Vec<Server>,
    times: Vec<Histogram<u64>>,
    sum: u64,
    answered: u64,
    events: u64,
    sent: u64,
    requests: u64,
}

fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

fn exponential(value: u64, mean: u64) -> u64 {
    let uniform = ((value >> 11) as f64 + 0.5) * (1.0 / (1_u64 << 53) as f64);
    (-uniform.ln() * mean as f64) as u64
}

// Kinds of events: 3 bits; a frame: 21 bits; its generation: 16 bits.
const ARRIVAL: u64 = 0;
const DELIVERY: u64 = 1;
const DONE: u64 = 2;
const ANSWER: u64 = 3;
const TIMEOUT: u64 = 4;
const AFRESH: u64 = 5;

impl Bare {
    fn new(requests: u64) -> Self {
        Bare {
            now: 0,
            sequence: 0,
            heap: Vec::new(),
            frames: Vec::new(),
            free: Vec::new(),
            servers: (0..6).map(|_| Server { busy: 0, waiting: std::collections::VecDeque::new() }).collect(),
            times: (0..7).map(|_| Histogram::new_with_bounds(1_000, 60_000_000_000, 3).expect("valid bounds")).collect(),
            sum: 0,
            answered: 0,
            events: 0,
            sent: 0,
            requests,
        }
    }

    fn run(mut self) -> (u64, f64) {
        self.next_arrival();
        while let Some(key) = self.pop() {
            self.now = (key >> 64) as u64;
            self.events += 1;
            let (kind, frame, generation) = ((key >> 37) as u64 & 7, (key >> 16) as u32 & 0x1f_ffff, key as u16);
            match kind {
                ARRIVAL => {
                    self.next_arrival();
                    self.call(mix(self.sent), NONE, 0, 0);
                }
                DELIVERY => self.delivery(frame),
                DONE => self.go_on(frame),
                ANSWER => self.answer(frame),
                TIMEOUT if self.frames[frame as usize].generation == generation => self.timeout(frame),
                AFRESH if self.frames[frame as usize].generation == generation => self.failed(frame),
                _ => {}
            }
        }
        (self.events, self.sum as f64 / self.answered as f64)
    }

    fn next_arrival(&mut self) {
        if self.sent < self.requests {
            self.sent += 1;
            let gap = exponential(mix(self.sent ^ 0x5555_0000_0000), 1_000_000);
            self.push(self.now + gap, ARRIVAL, 0, 0);
        }
    }

    fn call(&mut self, draw: u64, parent: u32, edge: u8, attempt: u8) {
        let server = match edge {
            2 => match mix(draw ^ 1) % 100 {
                0..50 => 2,
                50..80 => 3,
                _ => 4,
            },
            3 => RATINGS as u8,
            other => other,
        };
        let fresh = Frame { draw, began: self.now, parent, edge, attempt, server, step: 0, awaited: true, generation: 0 };
        let frame = match self.free.pop() {
            Some(frame) => {
                let generation = self.frames[frame as usize].generation;
                self.frames[frame as usize] = Frame { generation, ..fresh };
                frame
            }
            None => {
                self.frames.push(fresh);
                (self.frames.len() - 1) as u32
            }
        };
        let generation = self.frames[frame as usize].generation;
        if edge == 2 && mix(draw ^ 2) % 1_000_000 < 10_000 {
            self.push(self.now, AFRESH, frame, generation);
            return;
        }
        let held = if edge == 3 && mix(draw ^ 3) % 1_000_000 < 50_000 { 20_000_000 } else { 0 };
        self.push(self.now + TIMEOUT_NS[edge as usize], TIMEOUT, frame, generation);
        self.push(self.now + held + 50_000 + mix(draw ^ 4) % 20_001, DELIVERY, frame, 0);
    }

    fn delivery(&mut self, frame: u32) {
        let Frame { server, awaited, began, .. } = self.frames[frame as usize];
        // A held call whose caller has gone is dropped.
        if !awaited && self.now - began >= 20_000_000 {
            self.release(frame);
            return;
        }
        let place = &mut self.servers[server as usize];
        if place.busy < SLOTS[server as usize] {
            place.busy += 1;
            self.work(frame);
        } else {
            place.waiting.push_back(frame);
        }
    }

    fn work(&mut self, frame: u32) {
        let Frame { draw, server, .. } = self.frames[frame as usize];
        let time = exponential(mix(draw ^ 5), WORK_NS[server as usize]);
        self.push(self.now + time, DONE, frame, 0);
    }

    fn go_on(&mut self, frame: u32) {
        let Frame { draw, server, step, .. } = self.frames[frame as usize];
        let next = match (server, step) {
            (0, 0) => Some(1),
            (0, 1) => Some(2),
            (3 | 4, 0) => Some(3),
            _ => None,
        };
        if let Some(edge) = next {
            self.frames[frame as usize].step += 1;
            self.call(mix(draw ^ (u64::from(edge) << 8)), frame, edge, 0);
            return;
        }
        match self.servers[server as usize].waiting.pop_front() {
            Some(waiting) => self.work(waiting),
            None => self.servers[server as usize].busy -= 1,
        }
        if self.frames[frame as usize].awaited {
            self.push(self.now + 50_000 + mix(draw ^ 6) % 20_001, ANSWER, frame, 0);
        } else {
            self.release(frame);
        }
    }

    fn answer(&mut self, frame: u32) {
        let Frame { began, parent, server, edge, awaited, .. } = self.frames[frame as usize];
        self.release(frame);
        if awaited {
            let took = self.now - began;
            self.times[server as usize].saturating_record(took);
            if edge == 0 {
                self.ended(took);
            } else {
                self.go_on(parent);
            }
        }
    }

    fn timeout(&mut self, frame: u32) {
        let Frame { awaited, .. } = self.frames[frame as usize];
        if awaited {
            // The server goes on; its frame is given back when it is done.
            self.frames[frame as usize].awaited = false;
            self.again(frame);
        }
    }

    fn failed(&mut self, frame: u32) {
        let copy = self.frames[frame as usize];
        self.release(frame);
        self.again_of(copy);
    }

    fn again(&mut self, frame: u32) {
        self.again_of(self.frames[frame as usize]);
    }

    fn again_of(&mut self, Frame { draw, began, parent, edge, attempt, .. }: Frame) {
        if attempt + 1 < ATTEMPTS[edge as usize] {
            self.call(mix(draw ^ 7), parent, edge, attempt + 1);
        } else if edge == 0 {
            self.ended(self.now - began);
        } else {
            self.go_on(parent);
        }
    }

    fn ended(&mut self, took: u64) {
        self.times[6].saturating_record(took);
        self.sum += took;
        self.answered += 1;
    }

    fn release(&mut self, frame: u32) {
        let generation = &mut self.frames[frame as usize].generation;
        *generation = generation.wrapping_add(1);
        self.free.push(frame);
    }

    fn push(&mut self, at: u64, kind: u64, frame: u32, generation: u16) {
        self.sequence += 1;
        let low = (self.sequence & 0xff_ffff) << 40 | kind << 37 | u64::from(frame) << 16 | u64::from(generation);
        let key = u128::from(at) << 64 | u128::from(low);
        let mut hole = self.heap.len();
        self.heap.push(key);
        while hole > 0 {
            let parent = (hole - 1) / 4;
            if self.heap[parent] <= key {
                break;
            }
            self.heap[hole] = self.heap[parent];
            hole = parent;
        }
        self.heap[hole] = key;
    }

    fn pop(&mut self) -> Option<u128> {
        let last = self.heap.pop()?;
        let Some(&least) = self.heap.first() else { return Some(last) };
        let count = self.heap.len();
        let mut hole = 0;
        loop {
            let first = hole * 4 + 1;
            if first >= count {
                break;
            }
            let mut child = first;
            for other in first + 1..(first + 4).min(count) {
                if self.heap[other] < self.heap[child] {
                    child = other;
                }
            }
            if self.heap[child] >= last {
                break;
            }
            self.heap[hole] = self.heap[child];
            hole = child;
        }
        self.heap[hole] = last;
        Some(least)
    }
}
