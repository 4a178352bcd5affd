//! Laws of sets of requests, on routes and requests that are made up.

use proptest::prelude::*;

use super::{Reach, Reaches, Space, ways};
use crate::mesh::{CompileOptions, Mesh, ProxyId, ProxyKind, ProxySelection, ProxySpec, RouteTableId, compile};
use crate::resource::decode;
use crate::routing::{Request, Scheme, Verdict, select};
use crate::source::Sources;
use crate::yaml::{Limits, parse};

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}
---
";

fn mesh(rules: &str) -> Mesh {
    let mut sources = Sources::new();
    let text = format!(
        "{SERVICE}apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: app}}\nspec: {{hosts: [app], http: [{rules}]}}\n"
    );
    let file = sources.add("mesh.yaml", text);
    let (objects, _) = decode(&parse(&sources, file, Limits::default()).0, "default");
    let spec = ProxySpec {
        name: "client".to_owned(),
        kind: ProxyKind::Sidecar,
        namespace: "default".to_owned(),
        labels: Vec::new(),
        locality: String::new(),
        service_account: String::new(),
    };
    compile(&objects, &CompileOptions { proxies: ProxySelection::Described(vec![spec]), ..CompileOptions::default() }).0
}

/// The virtual host of the service in the client's table for port 80.
fn app(mesh: &Mesh) -> (RouteTableId, usize) {
    let tables = &mesh.proxies[0].route_tables;
    let table = tables.iter().position(|table| table.name == "80").expect("the service has port 80");
    let host = tables[table].virtual_hosts.iter().position(|host| host.name.starts_with("app.")).expect("the service has a host");
    (RouteTableId::new(table), host)
}

fn reach(rules: &str) -> Vec<String> {
    let mesh = mesh(rules);
    let proxy = &mesh.proxies[ProxyId::new(0).index()];
    let (table, host) = app(&mesh);
    let mut space = Space::new();
    let reaches = Reaches::new(&mut space, proxy, &ways(proxy), table, host);
    let count = proxy.route_tables[table.index()].virtual_hosts[host].routes.len();
    let answer = |reach: Reach| match reach {
        Reach::Live(witness) => {
            let headers: Vec<String> = witness.request.headers.iter().map(|(k, v)| format!(" {k}={v}")).collect();
            format!("{} {}{}{}", witness.request.method, witness.request.authority, witness.request.path, headers.concat())
        }
        Reach::Shadowed(by) => format!("dead {by:?}"),
        Reach::Impossible => "impossible".to_owned(),
        Reach::Cut => "cut".to_owned(),
        Reach::Undecided(why) => format!("undecided: {why}"),
    };
    (0..count).map(|route| answer(reaches.of(&mut space, route))).collect()
}

fn rule(block: &str) -> String {
    format!("{{match: [{block}], directResponse: {{status: 200}}}}")
}

#[test]
fn each_route_is_live_by_a_plain_request_or_dead_by_the_fewest_routes() {
    let host = "GET app.default.svc.cluster.local";
    for (blocks, last) in [
        (vec!["{uri: {prefix: /api}}", "{uri: {exact: /api/v2}}"], "dead [0]".to_owned()),
        (vec!["{uri: {regex: '/api/.*'}}", "{uri: {prefix: /api/v1/}}"], "dead [0]".to_owned()),
        (vec!["{uri: {exact: /a}}", "{uri: {regex: /a}}"], "dead [0]".to_owned()),
        (vec!["{uri: {regex: '/.*'}}", "{uri: {prefix: /}}"], "dead [0]".to_owned()),
        (
            vec!["{uri: {prefix: /api}, method: {exact: GET}}", "{uri: {prefix: /api}}"],
            "POST app.default.svc.cluster.local/api".to_owned(),
        ),
        (vec!["{headers: {x: {exact: jason}}}", "{headers: {x: {exact: j}}}"], format!("{host}/ x=j")),
        (vec!["{uri: {prefix: /Api}, ignoreUriCase: true}", "{uri: {prefix: /api/x}}"], "dead [0]".to_owned()),
        (vec!["{headers: {x: {}}}", "{withoutHeaders: {x: {}}}", "{uri: {exact: /a}}"], "dead [0, 1]".to_owned()),
        (
            vec![
                "{headers: {x: {exact: a}}}",
                "{headers: {y: {exact: a}}}",
                "{withoutHeaders: {x: {exact: a}}, headers: {y: {exact: a}}}",
            ],
            "dead [1]".to_owned(),
        ),
        (vec!["{headers: {x: {exact: a}}, withoutHeaders: {x: {exact: a}}}"], "impossible".to_owned()),
        (vec!["{withoutHeaders: {x: {regex: '.*'}}}"], "impossible".to_owned()),
        (vec!["{headers: {x: {exact: a}}}", "{headers: {x: {prefix: a}}}"], format!("{host}/ x=aa")),
        (vec!["{scheme: {exact: http}}", "{scheme: {exact: https}}", "{uri: {exact: /x}}"], "dead [0, 1]".to_owned()),
        (vec!["{scheme: {exact: http}}", "{scheme: {exact: https}}"], format!("{host}/ x-forwarded-proto=https")),
        (vec!["{queryParams: {q: {exact: a}}}", "{queryParams: {q: {regex: 'a|b'}}}"], format!("{host}/?q=b")),
        (vec!["{authority: {exact: other.test}}"], "impossible".to_owned()),
        (vec!["{authority: {exact: app}}", "{authority: {prefix: app}}"], "GET app.default.svc.cluster.local/".to_owned()),
        (vec!["{uri: {exact: '/a/../b'}}"], "impossible".to_owned()),
        (vec!["{uri: {exact: /a}}", "{uri: {exact: /b}}", "{uri: {regex: '/[ab]'}}"], "dead [0, 1]".to_owned()),
        (vec!["{headers: {cookie: {regex: '^(.*?;)?(user=jason)(;.*)?$'}}}"], format!("{host}/ cookie=user=jason")),
        (vec!["{headers: {accept: {exact: a}, Accept: {exact: b}}}"], "impossible".to_owned()),
    ] {
        let rules: Vec<String> = blocks.iter().map(|block| rule(block)).collect();
        assert_eq!(reach(&rules.join(", ")).last(), Some(&last), "{blocks:?}");
    }
}

#[test]
fn a_route_behind_two_lines_of_one_header_needs_both() {
    let found = reach(&rule("{headers: {x: {exact: a}, X: {exact: b}}}"));
    assert_eq!(found, ["GET app.default.svc.cluster.local/ x=b x=a"]);
}

fn string_match(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    (prop_oneof!["exact", "prefix", "regex"], proptest::sample::select(texts)).prop_map(|(kind, text)| match kind.as_str() {
        "regex" => format!("{{regex: '{text}.*|/b'}}"),
        kind => format!("{{{kind}: '{text}'}}"),
    })
}

/// A match block of few words, so that blocks meet often.
fn block() -> impl Strategy<Value = String> {
    let paths = &["/", "/a", "/A", "/a/b", "/ab", "/b"];
    let texts = &["a", "ab", "b", ""];
    let path = proptest::option::of((string_match(paths), any::<bool>()));
    let header = proptest::option::of(prop_oneof![Just("{}".to_owned()), string_match(texts)]);
    let (without, query) = (
        proptest::option::of(prop_oneof![Just("{}".to_owned()), string_match(texts)]),
        proptest::option::of(string_match(texts)),
    );
    let method = proptest::option::of(prop_oneof![Just("GET"), Just("PUT")]);
    let authority = proptest::option::of(prop_oneof![Just("{exact: app}"), Just("{prefix: app.d}"), Just("{regex: '.*:80'}")]);
    (path, header, without, query, method, authority).prop_map(|(path, header, without, query, method, authority)| {
        let mut parts = Vec::new();
        parts.extend(path.map(|(test, fold)| format!("uri: {test}, ignoreUriCase: {fold}")));
        parts.extend(header.map(|test| format!("headers: {{x: {test}}}")));
        parts.extend(without.map(|test| format!("withoutHeaders: {{x: {test}}}")));
        parts.extend(query.map(|test| format!("queryParams: {{q: {test}}}")));
        parts.extend(method.map(|method| format!("method: {{exact: {method}}}")));
        parts.extend(authority.map(|test| format!("authority: {test}")));
        format!("{{{}}}", parts.join(", "))
    })
}

fn sent() -> impl Strategy<Value = Request> {
    let path = prop_oneof![Just("/"), Just("/a"), Just("/A"), Just("/a/b"), Just("/abc"), Just("/b"), Just("/c")];
    let value = || prop_oneof![Just("a"), Just("ab"), Just("b"), Just(""), Just("c")];
    let authority = prop_oneof![Just("app"), Just("app:80"), Just("app.default"), Just("APP.default")];
    let lines = proptest::collection::vec(value(), 0..3);
    (path, proptest::option::of(value()), prop_oneof![Just("GET"), Just("PUT"), Just("POST")], authority, lines).prop_map(
        |(path, query, method, authority, lines)| Request {
            method: method.to_owned(),
            scheme: Scheme::Http,
            authority: authority.to_owned(),
            path: query.map_or_else(|| path.to_owned(), |query| format!("{path}?q={query}")),
            headers: lines.into_iter().map(|line| ("x".to_owned(), line.to_owned())).collect(),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_request_hits_what_is_proven_dead(
        blocks in proptest::collection::vec(block(), 1..6), requests in proptest::collection::vec(sent(), 100)
    ) {
        let rules: Vec<String> = blocks.iter().map(|block| rule(block)).collect();
        let mesh = mesh(&rules.join(", "));
        let proxy = &mesh.proxies[0];
        let (table, host) = app(&mesh);
        let (ways, mut space) = (ways(proxy), Space::new());
        let reaches = Reaches::new(&mut space, proxy, &ways, table, host);
        let count = proxy.route_tables[table.index()].virtual_hosts[host].routes.len();
        let answers: Vec<Reach> = (0..count).map(|route| reaches.of(&mut space, route)).collect();
        for answer in &answers {
            prop_assert!(!matches!(answer, Reach::Undecided(_) | Reach::Cut), "{answer:?} {rules:?}");
        }
        for request in &requests {
            if let Verdict::Route { host: own, route } = select(proxy, table, request).verdict && own as usize == host {
                prop_assert!(matches!(answers[route as usize], Reach::Live(_)), "{request:?} {:?} {rules:?}", answers[route as usize]);
            }
        }
    }

    #[test]
    fn what_is_left_over_and_what_is_in_common_are_the_whole(blocks in proptest::collection::vec(block(), 2)) {
        let mesh = mesh(&format!("{}, {}", rule(&blocks[0]), rule(&blocks[1])));
        let proxy = &mesh.proxies[0];
        let (table, host) = app(&mesh);
        let routes = &proxy.route_tables[table.index()].virtual_hosts[host].routes;
        if let [first, second] = &routes[..] {
            let mut space = Space::new();
            let arrival = ways(proxy)[0].arrival;
            let (a, b) = (space.route(arrival, &first.matcher), space.route(arrival, &second.matcher));
            if let Some(cell) = space.cell_of(&[&a]).filter(|cell| space.is_empty(cell) == Some(false)) {
                for left in space.subtract(&cell, &b) {
                    prop_assert!(space.intersect(&left, &b).is_none_or(|common| space.is_empty(&common) != Some(false)));
                    prop_assert_ne!(space.is_empty(&left), Some(true));
                }
            }
        }
    }
}
