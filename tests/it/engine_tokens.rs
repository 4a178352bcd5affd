//! Tokens that clients send: who reads them, and what comes of it.

use crate::engine_phases::MESH;
use crate::stage_play::Play;
use meshsim::mesh::{CompileOptions, compile};
use meshsim::record::RunReport;
use meshsim::resource::decode;
use meshsim::source::Sources;
use meshsim::yaml::{Limits, parse};

/// A token of `i` about `me`, with other fields.
fn token(more: &str) -> String {
    format!("token: {{issuer: i, subject: me{more}}}")
}

/// Objects of `security.istio.io`: kind, name and spec.
fn security(objects: &[(&str, &str, &str)]) -> String {
    let object = |(kind, name, spec): &(&str, &str, &str)| {
        format!("---\napiVersion: security.istio.io/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n")
    };
    objects.iter().map(object).collect()
}

/// One request of `front` to `back`, with a field of its own, under `apps` and these objects.
fn run(apps: &str, request: &str, objects: &str) -> RunReport {
    let scenario = format!(
        "mesh: [mesh.yaml]\napps: [{apps}]\nclients:\n- name: c\n  from: front\n  request:\n    url: http://back/\n    {request}\n  traffic: {{requests: 1}}\n"
    );
    Play::of(&scenario, &[("mesh.yaml", &format!("{MESH}{objects}"))]).run()
}

/// The statuses that clients saw, with how often.
fn statuses(report: &RunReport) -> Vec<(u16, u64)> {
    let outcomes = report.clients.iter().flat_map(|group| &group.outcomes);
    let mut seen: Vec<(u16, u64)> =
        outcomes.map(|outcome| (outcome.status, outcome.latency.buckets.iter().map(|(_, count)| *count).sum())).collect();
    seen.sort_unstable();
    seen
}

const READS: (&str, &str, &str) =
    ("RequestAuthentication", "back", "{selector: {matchLabels: {app: back}}, jwtRules: [{issuer: i, audiences: [web]}]}");
const WANTS: (&str, &str, &str) = (
    "AuthorizationPolicy",
    "back",
    "{selector: {matchLabels: {app: back}}, rules: [{from: [{source: {requestPrincipals: [i/me]}}], when: [{key: 'request.auth.claims[groups]', values: [g]}]}]}",
);

#[test]
fn a_bad_token_is_turned_away_and_a_good_one_says_who_asks() {
    let web = ", audiences: [web, app]";
    for (request, checked, wanted) in [
        (String::new(), 200, 403),
        ("token: invalid".to_owned(), 401, 401),
        (token(web), 200, 403),
        (token(&format!("{web}, claims: {{groups: [f, g]}}")), 200, 200),
        (token(&format!("{web}, claims: {{groups: g}}, param: access_token")), 200, 200),
        (token(&format!("{web}, claims: {{groups: g}}, header: x-jwt")), 200, 403),
        (token(""), 403, 403),
        (token(&format!("{web}, state: forged")), 401, 401),
        (token(&format!("{web}, state: expired")), 401, 401),
        (token(&format!("{web}, state: notYetValid")), 401, 401),
    ] {
        assert_eq!(statuses(&run("", &request, &security(&[READS]))), [(checked, 1)], "{request}");
        assert_eq!(statuses(&run("", &request, &security(&[READS, WANTS]))), [(wanted, 1)], "{request}");
    }
}

#[test]
fn a_client_of_grpc_is_told_by_other_means_than_the_status() {
    for request in ["token: invalid", ""] {
        let report = run("", &format!("headers: {{content-type: application/grpc}}\n    {request}"), &security(&[READS, WANTS]));
        assert_eq!(statuses(&report), [(200, 1)], "{request}");
        assert_eq!(report.edges.iter().map(|edge| edge.arrived).sum::<u64>(), 0, "{request}");
    }
}

/// `back` calls `front`, which wants to know who asks.
#[test]
fn what_reading_a_token_does_to_its_request_is_what_the_application_sees() {
    let apps = "{workloads: [back*], handlers: [{calls: [{call: {url: 'http://front/', forward: [authorization, x-sub, x-claims], onFailure: {statusOfCallOr: 500}}}]}]}";
    let at_front = ("RequestAuthentication", "front", "{selector: {matchLabels: {app: front}}, jwtRules: [{issuer: i}]}");
    let asks = |spec: &'static str| [at_front, ("AuthorizationPolicy", "front", spec)];
    let principal = "{selector: {matchLabels: {app: front}}, rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}";
    let header = "{selector: {matchLabels: {app: front}}, rules: [{when: [{key: 'request.headers[x-sub]', values: [me]}]}]}";
    let claims = "{selector: {matchLabels: {app: front}}, rules: [{when: [{key: 'request.headers[x-claims]', values: ['*']}]}]}";
    for (at_back, policy, expected) in [
        (None, principal, 200),
        (Some(""), principal, 403),
        (Some(", forwardOriginalToken: true"), principal, 200),
        (Some(""), header, 403),
        (Some(", outputClaimToHeaders: [{header: X-Sub, claim: sub}]"), header, 200),
        (Some(", outputPayloadToHeader: x-claims"), claims, 200),
    ] {
        let mut objects = security(&asks(policy));
        if let Some(more) = at_back {
            let spec = format!("{{selector: {{matchLabels: {{app: back}}}}, jwtRules: [{{issuer: i{more}}}]}}");
            objects += &security(&[("RequestAuthentication", "back", &spec)]);
        }
        assert_eq!(statuses(&run(apps, &token(""), &objects)), [(expected, 1)], "{at_back:?} {policy}");
    }
}

const GATEWAY: &str = r#"
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge}
spec:
  hosts: ['*']
  gateways: [edge]
  http:
  - match: [{headers: {'@request.auth.claims.groups': {exact: g}}}]
    route: [{destination: {host: back, subset: v1}}]
  - match: [{headers: {x-sub: {exact: me}}}]
    route: [{destination: {host: back, subset: v2}}]
  - directResponse: {status: 418}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: edge, namespace: istio-system}
spec:
  selector: {matchLabels: {istio: ingressgateway}}
  jwtRules: [{issuer: i, outputClaimToHeaders: [{header: x-sub, claim: sub}]}]
"#;

#[test]
fn a_gateway_routes_by_what_a_token_says() {
    for (request, status, arrived) in [
        (String::new(), 418, None),
        ("token: invalid".to_owned(), 401, None),
        (token(", claims: {groups: [f, g]}"), 200, Some("back-v1.default")),
        (token(", claims: {groups: [f]}"), 200, Some("back-v2.default")),
        ("token: {issuer: i, subject: you}".to_owned(), 418, None),
        ("headers: {x-sub: me}".to_owned(), 418, None),
    ] {
        let scenario = format!(
            "mesh: [mesh.yaml]\nclients:\n- name: c\n  from: istio-ingressgateway\n  request:\n    url: http://any/\n    {request}\n  traffic: {{requests: 1}}\n"
        );
        let report = Play::of(&scenario, &[("mesh.yaml", &format!("{MESH}{GATEWAY}"))]).run();
        assert_eq!(statuses(&report), [(status, 1)], "{request}");
        let reached: Vec<&str> = report.edges.iter().filter(|edge| edge.arrived > 0).map(|edge| edge.workload.as_str()).collect();
        assert_eq!(reached, arrived.as_slice(), "{request}");
    }
}

#[test]
fn pods_of_one_workload_have_addresses_of_their_own() {
    let two =
        MESH.replace("metadata: {name: front}\nspec:\n  selector", "metadata: {name: front}\nspec:\n  replicas: 2\n  selector");
    let mut sources = Sources::new();
    let file = sources.add("mesh.yaml", two.as_str());
    let (documents, _) = parse(&sources, file, Limits::default());
    let (mesh, _) = compile(&decode(&documents, "default").0, &CompileOptions::default());
    let pod = mesh.pods.iter().find(|pod| pod.name == "front-1").expect("the second pod of front");
    let spec = format!("{{action: DENY, rules: [{{from: [{{source: {{ipBlocks: ['{}']}}}}]}}]}}", pod.ip);
    let scenario =
        "mesh: [mesh.yaml]\nclients:\n- {name: c, from: front, request: {url: 'http://back/'}, traffic: {requests: 200}}\n";
    let objects = security(&[("AuthorizationPolicy", "p", &spec)]);
    let report = Play::of(scenario, &[("mesh.yaml", &format!("{two}{objects}"))]).run();
    let seen = statuses(&report);
    let &[(200, let_in), (403, denied)] = seen.as_slice() else { panic!("{seen:?}") };
    assert!(let_in > 60 && denied > 60, "{seen:?}");
}

#[test]
fn behind_a_gateway_the_client_is_told_by_x_forwarded_for() {
    for (block, status) in [("192.0.2.0/24", 403), ("198.51.100.0/24", 200)] {
        let spec = format!("{{action: DENY, rules: [{{from: [{{source: {{remoteIpBlocks: ['{block}']}}}}]}}]}}");
        let objects = security(&[("AuthorizationPolicy", "p", &spec)]);
        let route = GATEWAY
            .split("apiVersion: security")
            .next()
            .unwrap()
            .replace("directResponse: {status: 418}", "route: [{destination: {host: back}}]");
        let scenario = "mesh: [mesh.yaml]\nclients:\n- {name: c, from: istio-ingressgateway, request: {url: 'http://any/'}, traffic: {requests: 1}}\n";
        let report =
            Play::of(scenario, &[("mesh.yaml", &format!("{MESH}{}{objects}", route.trim_end().trim_end_matches("---")))]).run();
        assert_eq!(statuses(&report), [(status, 1)], "{block}");
    }
}
