//! What `meshsim diff` says is so: a change that sampling finds is never missed, what is called equal is
//! equal, and every witness tells both sides apart.
//!
//! `MESHSIM_DIFF_LAW=500x2000 cargo test --test it change_laws` tries 500 meshes with 2000 requests each.

use meshsim::change::{Delta, compare};
use meshsim::draw::KeyStream;
use meshsim::draw::Purpose;
use meshsim::mesh::{CompileOptions, DescribedEndpoints, Mesh, ProxyId, ProxyKind, ProxySelection, ProxySpec, compile};
use meshsim::resource::{Objects, decode};
use meshsim::routing::server::{CallerTls, Content, ServerCall, serve};
use meshsim::routing::{Conn, Dial, Request, Scheme, Treatment, listen, outcomes, select};
use meshsim::source::Sources;
use meshsim::suite::mutants;
use meshsim::yaml::{Limits, parse};

const AROUND: &str = "
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {selector: {app: app}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: app}
spec: {host: app, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}, {name: v0, labels: {version: v0}}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec: {selector: {istio: edge}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*.test']}]}
---
";

fn objects(documents: &str) -> Objects {
    let mut sources = Sources::new();
    let file = sources.add("mesh.yaml", format!("{AROUND}{documents}"));
    let (documents, findings) = parse(&sources, file, Limits::default());
    assert_eq!(findings, []);
    decode(&documents, "default").0
}

fn with_rules(rules: &str) -> Objects {
    objects(&format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: app}}\nspec: {{hosts: [app, shop.test], gateways: [mesh, edge], http: {rules}}}\n"
    ))
}

fn options() -> CompileOptions {
    let proxy = |name: &str, kind| ProxySpec {
        name: name.to_owned(),
        kind,
        namespace: "default".to_owned(),
        labels: vec![("istio".to_owned(), name.to_owned())],
        locality: String::new(),
        service_account: String::new(),
    };
    let pods = |version: &str| DescribedEndpoints {
        service: "app.default".to_owned(),
        labels: vec![("app".to_owned(), "app".to_owned()), ("version".to_owned(), version.to_owned())],
        count: 1,
        port: 8080,
        locality: String::new(),
        ready: true,
        ips: Vec::new(),
    };
    CompileOptions {
        proxies: ProxySelection::Described(vec![proxy("client", ProxyKind::Sidecar), proxy("edge", ProxyKind::Gateway)]),
        endpoints: vec![pods("v1"), pods("v2")],
        ..CompileOptions::default()
    }
}

fn mesh(objects: &Objects) -> Mesh {
    compile(objects, &options()).0
}

/// Choices that are told, not drawn in turn: the `n`-th of one mesh is always the same.
struct Choices {
    draw: meshsim::draw::Draw,
    next: u64,
}

impl Choices {
    fn below(&mut self, bound: usize) -> usize {
        self.next += 1;
        usize::try_from(self.draw.nth(Purpose::Stream, self.next) % bound as u64).expect("it is below a length")
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

/// Rules that overlap, shadow and contradict each other, as those in the wild do.
fn rules(choices: &mut Choices) -> String {
    let count = 1 + choices.below(5);
    let all: Vec<String> = (0..count).map(|_| rule(choices)).collect();
    format!("[{}]", all.join(", "))
}

fn rule(choices: &mut Choices) -> String {
    let blocks: Vec<String> = (0..choices.below(3)).map(|_| block(choices)).collect();
    let blocks = if blocks.is_empty() { String::new() } else { format!("match: [{}], ", blocks.join(", ")) };
    let more = choices.of(&[
        "",
        "",
        "timeout: 3s, ",
        "retries: {attempts: 3, perTryTimeout: 1s}, ",
        "rewrite: {uri: /new}, ",
        "rewrite: {uri: /new/}, ",
        "rewrite: {uri: /}, ",
        "rewrite: {uriRegexRewrite: {match: '/.*', rewrite: /new}}, ",
        "fault: {abort: {httpStatus: 418, percentage: {value: 50}}}, ",
        "headers: {request: {set: {x-a: b}}}, ",
        "mirror: {host: app, subset: v2}, ",
    ]);
    let action = choices.of(&[
        "route: [{destination: {host: app, subset: v1}}]",
        "route: [{destination: {host: app, subset: v2}}]",
        "route: [{destination: {host: app, subset: v0}}]",
        "route: [{destination: {host: app, subset: v1}, weight: 80}, {destination: {host: app, subset: v2}, weight: 20}]",
        "redirect: {uri: /elsewhere}",
        "redirect: {uri: '%PREFIX()%/elsewhere'}",
    ]);
    let more = if action.starts_with("redirect") { "" } else { more };
    format!("{{{blocks}{more}{action}}}")
}

fn block(choices: &mut Choices) -> String {
    let mut parts = Vec::new();
    if choices.below(4) > 0 {
        parts.push(format!(
            "uri: {}",
            choices.of(&[
                "{prefix: /}",
                "{prefix: /a}",
                "{prefix: /a/}",
                "{exact: /a}",
                "{exact: /a/b}",
                "{regex: '/a(/.*)?'}",
                "{regex: '/[ab]/[0-9]+'}"
            ])
        ));
    }
    if choices.below(3) == 0 {
        parts.push(format!("method: {}", choices.of(&["{exact: GET}", "{regex: 'GET|POST'}", "{prefix: P}"])));
    }
    if choices.below(3) == 0 {
        parts.push(format!(
            "headers: {}",
            choices.of(&["{x-user: {exact: jo}}", "{x-user: {regex: 'j.*'}}", "{x-user: {}}", "{x-b: {prefix: c}}"])
        ));
    }
    if choices.below(5) == 0 {
        parts.push(format!("withoutHeaders: {}", choices.of(&["{x-user: {}}", "{x-user: {exact: jo}}"])));
    }
    if choices.below(5) == 0 {
        parts.push(format!("queryParams: {}", choices.of(&["{v: {exact: '1'}}", "{v: {}}"])));
    }
    if choices.below(8) == 0 {
        parts.push("authority: {exact: app}".to_owned());
    }
    if parts.is_empty() {
        parts.push("uri: {prefix: /}".to_owned());
    }
    format!("{{{}}}", parts.join(", "))
}

fn request(choices: &mut Choices, authority: &str) -> Request {
    let path = choices.of(&["/", "/a", "/a/", "/ab", "/a/b", "/a/bc", "/a/7", "/b/7", "/a-changed", "/a/b-changed", "/c"]);
    let query = choices.of(&["", "", "?v=1", "?v=2", "?v=1-changed"]);
    let mut headers = Vec::new();
    for (name, values) in [("x-user", &["jo", "jim", "ann", "", "jo-changed"][..]), ("x-b", &["c", "cd", "d"][..])] {
        if choices.below(2) == 0 {
            headers.push((name.to_owned(), choices.of(values).to_owned()));
        }
    }
    Request {
        method: choices.of(&["GET", "POST", "PUT", "GET-changed"]).to_owned(),
        scheme: Scheme::Http,
        authority: authority.to_owned(),
        path: format!("{path}{query}"),
        headers,
    }
}

/// A sampled request that comes out differently.
fn sampled_change(choices: &mut Choices, base: &Mesh, head: &Mesh, count: usize) -> Option<Request> {
    (0..count).find_map(|index| {
        let (proxy, authority) = [("client", "app"), ("edge", "shop.test")][index % 2];
        let proxy = base.proxy_named(proxy).expect("both meshes have it");
        let request = request(choices, authority);
        let of = |mesh: &Mesh| outcomes(mesh, proxy, &Dial::http(80), &request);
        (of(base) != of(head)).then_some(request)
    })
}

/// Every witness is treated as the change says.
fn assert_witnesses(base: &Mesh, head: &Mesh, delta: &Delta) {
    for change in &delta.changes {
        for name in &change.proxies {
            let treatment = |mesh: &Mesh| {
                let proxy: ProxyId = mesh.proxy_named(name).expect("both meshes have it");
                let proxy = &mesh.proxies[proxy.index()];
                match listen(proxy, &change.witness.dial, &change.witness.request.authority) {
                    Conn::Http(http) => Treatment::of(proxy, select(proxy, http.table, &change.witness.request)),
                    other => panic!("the witness is taken as {other:?}"),
                }
            };
            assert_eq!((treatment(base), treatment(head)), (change.before.treatment.clone(), change.after.treatment.clone()));
            assert_ne!(change.before.treatment, change.after.treatment);
        }
    }
}

#[test]
fn a_change_that_sampling_finds_is_told_with_a_witness() {
    let law = std::env::var("MESHSIM_DIFF_LAW").unwrap_or_else(|_| "40x150".to_owned());
    let (meshes, requests) = law.split_once('x').expect("MESHSIM_DIFF_LAW is MESHESxREQUESTS");
    let (meshes, requests): (u64, usize) = (meshes.parse().expect("a number"), requests.parse().expect("a number"));
    let (mut found, mut equal, mut undecided) = (0, 0, 0);
    let mut stream = KeyStream::new(7, 0);
    for number in 0..meshes {
        let mut choices = Choices { draw: stream.draw(number), next: 0 };
        let rules = rules(&mut choices);
        let before = with_rules(&rules);
        let base = mesh(&before);
        let all = mutants(&before);
        let mutant = &all[choices.below(all.len())];
        let head = mesh(&mutant.applied(&before));
        let delta = compare(&base, &head);
        assert_witnesses(&base, &head, &delta);
        if let Some(request) = sampled_change(&mut choices, &base, &head, requests) {
            found += 1;
            assert!(!delta.changes.is_empty(), "missed: {request:?}\n{}\nin {rules}\n{delta:?}", mutant.what);
        } else if delta.is_nothing() {
            equal += 1;
        }
        undecided += u64::from(!delta.undecided.is_empty());
    }
    assert!(found > 0 && equal > 0, "{found} found, {equal} equal of {meshes}");
    assert!(undecided * 20 <= meshes, "{undecided} of {meshes} are not decided");
}

/// Policies as those in the wild are: some for a method, some for a path, some for a caller.
fn policies(choices: &mut Choices) -> String {
    let count = 1 + choices.below(3);
    (0..count).map(|at| policy(choices, at)).collect::<Vec<_>>().join("---\n")
}

fn policy(choices: &mut Choices, at: usize) -> String {
    let rules: Vec<String> = (0..choices.below(3)).map(|_| policy_rule(choices)).collect();
    let action = choices.of(&["ALLOW", "ALLOW", "DENY"]);
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p{at}}}\nspec: {{action: {action}, rules: [{}]}}\n",
        rules.join(", ")
    )
}

fn policy_rule(choices: &mut Choices) -> String {
    let operation = choices.of(&[
        "",
        "to: [{operation: {methods: [GET]}}], ",
        "to: [{operation: {methods: [GET, 'P*'], notPaths: [/a/b]}}], ",
        "to: [{operation: {paths: [/a, '/a/*']}}], ",
        "to: [{operation: {paths: ['*/b']}}, {operation: {paths: ['/a/{*}/b']}}], ",
        "to: [{operation: {hosts: [app, '*.test']}}], ",
        "to: [{operation: {ports: ['8080']}}], ",
    ]);
    let source = choices.of(&[
        "",
        "from: [{source: {namespaces: [shop]}}], ",
        "from: [{source: {principals: ['cluster.local/ns/shop/sa/*']}}], ",
        "from: [{source: {notPrincipals: ['*']}}], ",
        "from: [{source: {ipBlocks: [10.0.0.0/8]}}], ",
    ]);
    let when = choices.of(&[
        "",
        "",
        "when: [{key: 'request.headers[x-user]', values: [jo, 'j*']}]",
        "when: [{key: 'request.headers[x-user]', values: [jo]}, {key: 'request.headers[x-user]', values: [ann]}]",
        "when: [{key: 'request.headers[x-user]', notValues: [jo]}]",
    ]);
    format!("{{{operation}{source}{when}}}")
}

fn call(choices: &mut Choices) -> ServerCall {
    let headers = ["jo", "jim", "ann"][..].iter().map(|user| vec![("x-user".to_owned(), (*user).to_owned())]);
    let line = |user: &str| ("x-user".to_owned(), user.to_owned());
    let headers: Vec<Vec<(String, String)>> = headers.chain([Vec::new(), vec![line("ann"), line("jo")]]).collect();
    let request = Request {
        method: choices.of(&["GET", "POST", "PUT", "DELETE"]).to_owned(),
        scheme: Scheme::Http,
        authority: choices.of(&["app", "shop.test", "other", "APP"]).to_owned(),
        path: choices.of(&["/", "/a", "/a/", "/a/b", "/a/c/b", "/x/b", "/ab"]).to_owned(),
        headers: headers[choices.below(headers.len())].clone(),
    };
    let identity = choices.of(&["spiffe://cluster.local/ns/shop/sa/a", "spiffe://cluster.local/ns/ops/sa/shop", ""]);
    ServerCall {
        port: [8080, 80, 9000][choices.below(3)],
        address: "10.1.1.1".parse().expect("an address"),
        peer: choices.of(&["10.9.9.9", "192.0.2.1"]).parse().expect("an address"),
        tls: match identity {
            "" => CallerTls::None,
            identity => CallerTls::Mutual { identity: identity.to_owned(), trusted: true, server_name: String::new() },
        },
        content: if choices.below(5) == 0 { Content::Bytes } else { Content::Http(request) },
    }
}

#[test]
fn a_call_that_sampling_finds_to_end_differently_is_never_called_equal() {
    let law = std::env::var("MESHSIM_DIFF_LAW").unwrap_or_else(|_| "40x150".to_owned());
    let (meshes, calls) = law.split_once('x').expect("MESHSIM_DIFF_LAW is MESHESxREQUESTS");
    let (meshes, calls): (u64, usize) = (meshes.parse().expect("a number"), calls.parse().expect("a number"));
    let (mut found, mut equal) = (0, 0);
    let mut stream = KeyStream::new(11, 0);
    for number in 0..meshes {
        let mut choices = Choices { draw: stream.draw(number), next: 0 };
        let before = policies(&mut choices);
        let after = if choices.below(3) == 0 { before.replace("name: p", "name: q") } else { policies(&mut choices) };
        let (base, head) = (mesh(&objects(&before)), mesh(&objects(&after)));
        let delta = compare(&base, &head);
        let end = |mesh: &Mesh, call: &ServerCall| {
            let proxy = mesh.proxy_named("client").expect("both meshes have it");
            serve(&mesh.proxies[proxy.index()], call).end
        };
        let sampled = (0..calls).map(|_| call(&mut choices)).find(|call| end(&base, call) != end(&head, call));
        if let Some(call) = sampled {
            found += 1;
            let told = delta.servers.iter().any(|change| !change.calls.is_empty());
            assert!(told, "missed: {call:?}\n{before}\n{after}\n{:?}", delta.servers);
        } else if delta.is_nothing() {
            equal += 1;
        }
    }
    assert!(found > 0 && equal > 0, "{found} found, {equal} equal of {meshes}");
}

#[test]
fn what_changes_nothing_is_proven_equal() {
    let to = |subset: &str, weight: u32| format!("{{destination: {{host: app, subset: {subset}}}, weight: {weight}}}");
    let v1 = format!("route: [{}]", to("v1", 1));
    let v2 = format!("route: [{}]", to("v2", 1));
    for (base, head) in [
        // Names.
        (format!("[{{name: a, {v1}}}]"), format!("[{{name: b, {v1}}}]")),
        // Rules that no request meets both of.
        (
            format!("[{{match: [{{uri: {{exact: /a}}}}], {v1}}}, {{match: [{{uri: {{prefix: /b}}}}], {v2}}}]"),
            format!("[{{match: [{{uri: {{prefix: /b}}}}], {v2}}}, {{match: [{{uri: {{exact: /a}}}}], {v1}}}]"),
        ),
        // One rule written as two, and weights in other numbers.
        (
            format!("[{{match: [{{uri: {{regex: '/(a|b)'}}}}], {v1}}}, {{{v2}}}]"),
            format!("[{{match: [{{uri: {{exact: /b}}}}], {v1}}}, {{match: [{{uri: {{exact: /a}}}}], {v1}}}, {{{v2}}}]"),
        ),
        (
            format!("[{{route: [{}, {}]}}]", to("v1", 1), to("v2", 3)),
            format!("[{{route: [{}, {}]}}]", to("v2", 75), to("v1", 25)),
        ),
        // A rule that nothing reaches.
        (
            format!("[{{match: [{{uri: {{prefix: /a}}}}], {v1}}}, {{{v2}}}]"),
            format!("[{{match: [{{uri: {{prefix: /a}}}}], {v1}}}, {{match: [{{uri: {{regex: '/a/.*'}}}}], {v2}}}, {{{v2}}}]"),
        ),
        // What falls through to the same end.
        (
            format!(
                "[{{match: [{{headers: {{x: {{exact: a}}}}}}], {v1}}}, {{match: [{{withoutHeaders: {{x: {{exact: a}}}}}}], {v2}}}]"
            ),
            format!(
                "[{{match: [{{headers: {{x: {{exact: a}}}}}}], {v1}}}, {{match: [{{headers: {{x: {{}}}}}}], {v2}}}, {{{v2}}}]"
            ),
        ),
    ] {
        let delta = compare(&mesh(&with_rules(&base)), &mesh(&with_rules(&head)));
        let told: Vec<_> = delta.changes.iter().map(|change| (&change.witness, &change.facets)).collect();
        assert!(delta.is_nothing(), "{base}\n{head}\n{told:?} {:?}", delta.undecided);
    }
}

#[test]
fn destinations_and_listeners_are_compared_too() {
    let base = mesh(&with_rules("[{route: [{destination: {host: app, subset: v1}}]}]"));
    let policy = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: app}\nspec: {host: app, trafficPolicy: {connectionPool: {tcp: {maxConnections: 7}}}, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}, {name: v0, labels: {version: v0}}]}\n";
    let rules = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: app}\nspec: {hosts: [app, shop.test], gateways: [mesh, edge], http: [{route: [{destination: {host: app, subset: v1}}]}]}\n";
    let head = mesh(&objects(&format!("{rules}---\n{policy}")));
    let delta = compare(&base, &head);
    assert!(delta.changes.is_empty(), "{:?}", delta.changes);
    let changed: Vec<&str> = delta.destinations.iter().flat_map(|change| &change.facets).map(|facet| facet.facet).collect();
    assert!(!changed.is_empty() && changed.iter().all(|facet| *facet == "limits"), "{changed:?}");
    let service =
        "apiVersion: v1\nkind: Service\nmetadata: {name: db}\nspec: {ports: [{name: tcp, port: 5432}], clusterIP: 10.1.2.3}\n";
    let head = mesh(&objects(&format!("{rules}---\n{service}")));
    let delta = compare(&base, &head);
    assert!(!delta.connections.is_empty() && delta.changes.is_empty(), "{delta:?}");
}
