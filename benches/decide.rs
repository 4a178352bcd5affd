//! What one routing decision costs: host, ordered match, weighted destination, fault draws.
//!
//! `bare` is the yardstick: the same work on bare structs, as little as the work can be. Compare ratios,
//! not nanoseconds: times depend on the machine and its neighbours.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use meshsim::draw::{Draw, KeyStream, Purpose};
use meshsim::mesh::{CompileOptions, Mesh, ProxyId, ProxyKind, ProxySelection, ProxySpec, compile};
use meshsim::resource::decode;
use meshsim::routing::{Chances, Conn, Dial, Request, Scheme, decide, listen, outcomes, select};
use meshsim::source::Sources;
use meshsim::yaml::{Limits, parse};
use rustc_hash::FxHashMap;

/// Requests that take turns, so that no single one is learnt by heart.
const REQUESTS: usize = 4096;

/// A service with `rules` rules: prefixes, a header condition on every third; two destinations and
/// both kinds of fault.
fn mesh(rules: usize) -> (Mesh, ProxyId) {
    let mut text = String::from(
        "apiVersion: v1\nkind: Service\nmetadata: {name: app}\nspec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}\n---\n\
         apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: app}\nspec:\n  hosts: [app]\n  http:\n",
    );
    for rule in 0..rules {
        let header = if rule % 3 == 0 { ", headers: {x-user: {exact: jason}}" } else { "" };
        text.push_str(&format!(
            "  - match: [{{uri: {{prefix: /api/v1/resource-{rule}/}}{header}}}]\n    fault: {{delay: {{fixedDelay: 1s, percentage: {{value: 5}}}}, abort: {{httpStatus: 503, percentage: {{value: 1}}}}}}\n    route: [{{destination: {{host: app}}, weight: 80}}, {{destination: {{host: app, subset: v2}}, weight: 20}}]\n"
        ));
    }
    let mut sources = Sources::new();
    let file = sources.add("mesh.yaml", text);
    let (objects, _) = decode(&parse(&sources, file, Limits::default()).0, "default");
    let client = ProxySpec {
        name: "client".to_owned(),
        kind: ProxyKind::Sidecar,
        namespace: "default".to_owned(),
        labels: Vec::new(),
        locality: String::new(),
        service_account: String::new(),
    };
    let options = CompileOptions { proxies: ProxySelection::Described(vec![client]), ..CompileOptions::default() };
    let mesh = compile(&objects, &options).0;
    let proxy = mesh.proxy_named("client").expect("the options describe it");
    (mesh, proxy)
}

fn requests(rules: usize) -> Vec<Request> {
    let request = |index: usize| Request {
        method: "GET".to_owned(),
        scheme: Scheme::Http,
        authority: "app.default.svc.cluster.local".to_owned(),
        path: format!("/api/v1/resource-{}/item-{index}", (index * 7919) % rules),
        headers: vec![("user-agent".to_owned(), "bench".to_owned()), ("x-user".to_owned(), "jason".to_owned())],
    };
    (0..REQUESTS).map(request).collect()
}

/// The least that the same decision can be.
struct Bare {
    hosts: FxHashMap<String, Vec<BareRule>>,
}

struct BareRule {
    prefix: String,
    header: Option<(String, String)>,
}

impl Bare {
    fn new(rules: usize) -> Self {
        let rule = |index: usize| BareRule {
            prefix: format!("/api/v1/resource-{index}/"),
            header: index.is_multiple_of(3).then(|| ("x-user".to_owned(), "jason".to_owned())),
        };
        let host = "app.default.svc.cluster.local".to_owned();
        Bare { hosts: std::iter::once((host, (0..rules).map(rule).collect())).collect() }
    }

    fn decide(&self, request: &Request, draw: Draw) -> (usize, bool, bool, bool) {
        let rules = &self.hosts[request.authority.as_str()];
        let has = |name: &str, value: &str| request.headers.iter().any(|(key, is)| key == name && is == value);
        let matches = |rule: &BareRule| {
            request.path.starts_with(rule.prefix.as_str()) && rule.header.as_ref().is_none_or(|(name, value)| has(name, value))
        };
        let rule = rules.iter().position(matches).unwrap_or(rules.len());
        let leg = draw.value(Purpose::Stream) % 100 < 80;
        let delay = draw.value(Purpose::FaultDelay) % 1_000_000 < 50_000;
        let abort = draw.value(Purpose::FaultAbort) % 1_000_000 < 10_000;
        (rule, leg, delay, abort)
    }
}

fn decisions(c: &mut Criterion) {
    let mut group = c.benchmark_group("decide");
    for rules in [2, 10, 50, 500] {
        let (mesh, proxy) = mesh(rules);
        let requests = requests(rules);
        let bare = Bare::new(rules);
        let dial = Dial::http(80);
        let configured = &mesh.proxies[proxy.index()];
        let Conn::Http(http) = listen(configured, &dial, &requests[0].authority) else { panic!("the port is HTTP") };
        let selections: Vec<_> = requests.iter().map(|request| select(configured, http.table, request)).collect();
        let mut keys = KeyStream::new(7, 0);
        let mut turn = 0_usize;
        let mut next = move || {
            turn = (turn + 1) % REQUESTS;
            (turn, keys.draw(turn as u64))
        };
        group.bench_function(BenchmarkId::new("bare", rules), |b| {
            b.iter(|| {
                let (index, draw) = next();
                black_box(bare.decide(&requests[index], draw))
            });
        });
        group.bench_function(BenchmarkId::new("select and draw", rules), |b| {
            b.iter(|| {
                let (index, draw) = next();
                black_box(select(configured, http.table, &requests[index]).draw(configured, Chances::of(draw)))
            });
        });
        group.bench_function(BenchmarkId::new("draw, selection remembered", rules), |b| {
            b.iter(|| {
                let (index, draw) = next();
                black_box(selections[index].draw(configured, Chances::of(draw)))
            });
        });
        group.bench_function(BenchmarkId::new("decide", rules), |b| {
            b.iter(|| {
                let (index, draw) = next();
                black_box(decide(&mesh, proxy, &dial, &requests[index], Chances::of(draw)))
            });
        });
    }
    group.finish();
}

fn enumeration(c: &mut Criterion) {
    let (mesh, proxy) = mesh(10);
    let requests = requests(10);
    let dial = Dial::http(80);
    let mut turn = 0_usize;
    c.bench_function("outcomes", |b| {
        b.iter(|| {
            turn = (turn + 1) % REQUESTS;
            black_box(outcomes(&mesh, proxy, &dial, &requests[turn]))
        });
    });
}

criterion_group!(benches, decisions, enumeration);
criterion_main!(benches);
