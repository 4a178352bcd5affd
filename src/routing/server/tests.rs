//! Examples: policies of one workload `web` in namespace `shop` with an HTTP port 80 (`http`), a TCP
//! port 90 (`tcp`) and a port 100 without a protocol (`x`), and calls to it.

use std::net::IpAddr;

use serde_json::json;

use super::*;
use crate::mesh::{CompileOptions, Mesh, ProxyKind, ProxySelection, ProxySpec, compile};
use crate::resource::decode;
use crate::routing::token::Token;
use crate::routing::{Request, Scheme};
use crate::source::Sources;
use crate::yaml::{Limits, parse};

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80}, {name: tcp, port: 90}, {name: x, port: 100}]}
";

fn policy(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n"
    )
}

fn object(kind: &str, name: &str, spec: &str) -> String {
    format!("---\napiVersion: security.istio.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n")
}

fn mesh(yaml: &str) -> Mesh {
    let mut sources = Sources::new();
    let file = sources.add("mesh.yaml", format!("{SERVICE}{yaml}"));
    let (documents, findings) = parse(&sources, file, Limits::default());
    assert_eq!(findings, []);
    let proxy = |name: &str, kind, labels: &[(&str, &str)]| ProxySpec {
        name: name.to_owned(),
        kind,
        namespace: "shop".to_owned(),
        labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        locality: String::new(),
        service_account: String::new(),
    };
    let proxies = vec![
        proxy("web", ProxyKind::Sidecar, &[("app", "web")]),
        proxy("edge", ProxyKind::Gateway, &[("gateway.networking.k8s.io/gateway-name", "edge")]),
    ];
    let options = CompileOptions { proxies: ProxySelection::Described(proxies), ..CompileOptions::default() };
    compile(&decode(&documents, "default").0, &options).0
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn get(path: &str, headers: &[(&str, &str)]) -> Request {
    Request {
        method: "GET".to_owned(),
        scheme: Scheme::Http,
        authority: "web.shop".to_owned(),
        path: path.to_owned(),
        headers: headers.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    }
}

fn sidecar(account: &str) -> CallerTls {
    let identity = format!("spiffe://cluster.local/ns/shop/sa/{account}");
    CallerTls::Mutual { identity, trusted: true, server_name: "outbound_.80_._.web.shop.svc.cluster.local".to_owned() }
}

fn call(port: u16, tls: CallerTls, content: Content) -> ServerCall {
    ServerCall { port, address: address("10.0.0.9"), peer: address("10.0.0.1"), tls, content }
}

/// Whether the call arrives, or the details.
fn end(mesh: &Mesh, call: &ServerCall) -> String {
    let served = serve(&mesh.proxies[0], call);
    if served.arrives() { format!("{:?}", served.end) } else { served.answer().details }
}

fn denied_by(rule: &str) -> String {
    format!("rbac_access_denied_matched_policy[{rule}]")
}

#[test]
fn filter_chains_are_found_by_transport_and_protocol() {
    let peer = |mode: &str| object("PeerAuthentication", "default", &format!("{{mtls: {{mode: {mode}}}}}"));
    let http = || Content::Http(get("/", &[]));
    let own = || CallerTls::Own { server_name: String::new() };
    let foreign =
        || CallerTls::Mutual { identity: "spiffe://other/ns/a/sa/b".to_owned(), trusted: false, server_name: String::new() };
    let (arrives, bytes, raw) = ("Http(\"/\")", "Bytes { raw_tls: false }", "Bytes { raw_tls: true }");
    let (no_chain, not_http, untrusted) = ("filter_chain_not_found", "http1.codec_error", "");
    for (mode, port, tls, content, expected) in [
        ("PERMISSIVE", 80, CallerTls::None, http(), arrives),
        ("PERMISSIVE", 80, sidecar("a"), http(), arrives),
        ("PERMISSIVE", 80, own(), http(), no_chain),
        ("PERMISSIVE", 80, foreign(), http(), untrusted),
        ("PERMISSIVE", 80, CallerTls::None, Content::Bytes, not_http),
        ("PERMISSIVE", 90, CallerTls::None, http(), bytes),
        ("PERMISSIVE", 90, sidecar("a"), Content::Bytes, bytes),
        ("PERMISSIVE", 90, own(), http(), raw),
        ("PERMISSIVE", 100, CallerTls::None, http(), arrives),
        ("PERMISSIVE", 100, CallerTls::None, Content::Bytes, bytes),
        ("PERMISSIVE", 100, sidecar("a"), Content::Bytes, bytes),
        ("PERMISSIVE", 7, sidecar("a"), http(), arrives),
        ("PERMISSIVE", 7, own(), http(), raw),
        ("STRICT", 80, CallerTls::None, http(), no_chain),
        ("STRICT", 80, sidecar("a"), http(), arrives),
        ("STRICT", 80, own(), http(), untrusted),
        ("STRICT", 90, CallerTls::None, Content::Bytes, no_chain),
        ("STRICT", 100, sidecar("a"), Content::Bytes, bytes),
        ("STRICT", 7, CallerTls::None, http(), no_chain),
        ("DISABLE", 80, sidecar("a"), http(), not_http),
        ("DISABLE", 90, sidecar("a"), Content::Bytes, raw),
        ("DISABLE", 100, sidecar("a"), http(), raw),
        ("DISABLE", 7, CallerTls::None, http(), arrives),
    ] {
        let call = call(port, tls, content);
        assert_eq!(end(&mesh(&peer(mode)), &call), expected, "{mode} {call:?}");
    }
}

#[test]
fn without_http_rules_that_allow_are_dropped_and_others_widen() {
    let [n0, n1] = ["ns[shop]-policy[p]-rule[0]", "ns[shop]-policy[p]-rule[1]"];
    for (spec, bytes) in [
        ("{action: DENY, rules: [{to: [{operation: {methods: [DELETE]}}]}]}", denied_by(n0)),
        ("{action: DENY, rules: [{to: [{operation: {methods: [DELETE], ports: ['80']}}]}]}", String::new()),
        ("{action: DENY, rules: [{when: [{key: 'request.headers[x]', values: [a]}]}]}", denied_by(n0)),
        ("{rules: [{to: [{operation: {methods: [GET]}}]}]}", denied_by("none")),
        ("{rules: [{to: [{operation: {methods: [GET]}}, {operation: {ports: ['90']}}]}]}", denied_by("none")),
        ("{rules: [{to: [{operation: {methods: [GET]}}]}, {from: [{source: {namespaces: [shop]}}]}]}", String::new()),
        ("{rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}", denied_by("none")),
        ("{action: DENY, rules: [{to: [{operation: {ports: ['1']}}]}, {from: [{source: {notNamespaces: [a]}}]}]}", denied_by(n1)),
    ] {
        let mesh = mesh(&policy("p", spec));
        let expected = if bytes.is_empty() { "Bytes { raw_tls: false }".to_owned() } else { bytes };
        assert_eq!(end(&mesh, &call(90, sidecar("a"), Content::Bytes)), expected, "{spec}");
    }
}

#[test]
fn the_first_rule_in_the_order_of_bytes_is_named() {
    let rules: Vec<String> =
        (0..11).map(|n| format!("{{to: [{{operation: {{paths: ['/{}*']}}}}]}}", if n < 2 { "no" } else { "" })).collect();
    let mesh = mesh(&policy("p", &format!("{{action: DENY, rules: [{}]}}", rules.join(","))));
    let call = call(80, CallerTls::None, Content::Http(get("/x", &[])));
    assert_eq!(end(&mesh, &call), denied_by("ns[shop]-policy[p]-rule[10]"));
}

#[test]
fn conditions_ask_what_they_name() {
    let denies = |when: &str| policy("p", &format!("{{action: DENY, rules: [{{when: [{when}]}}]}}"));
    let headers = [("x-a", "1"), ("x-a", "2"), ("x-forwarded-for", "1.2.3.4, 5.6.7.8"), ("accept", "a"), ("accept", "b")];
    let plain = call(80, CallerTls::None, Content::Http(get("/x?y", &headers)));
    let by_sidecar = ServerCall { tls: sidecar("a"), ..plain.clone() };
    for (when, plaintext, mutual) in [
        ("{key: 'request.headers[x-a]', values: ['2']}", true, true),
        ("{key: 'request.headers[X-A]', values: ['1,2']}", false, false),
        ("{key: 'request.headers[x-a]', notValues: ['2']}", false, false),
        ("{key: 'request.headers[accept]', values: ['a,b']}", true, true),
        ("{key: 'request.headers[x-none]', notValues: ['*']}", true, true),
        ("{key: 'request.headers[:path]', values: ['/x?y']}", true, true),
        ("{key: 'request.headers[host]', values: ['WEB.shop']}", false, false),
        ("{key: source.ip, values: ['10.0.0.0/24']}", true, true),
        ("{key: remote.ip, values: ['5.6.7.8']}", true, true),
        ("{key: destination.ip, notValues: ['10.0.0.9']}", false, false),
        ("{key: destination.port, values: ['80']}", true, true),
        ("{key: connection.sni, values: ['*.shop.svc.cluster.local']}", false, true),
        ("{key: source.principal, values: ['*']}", false, true),
        ("{key: source.principal, notValues: ['*']}", true, false),
        ("{key: source.namespace, values: [shop]}", false, true),
        ("{key: source.serviceAccount, values: [a]}", false, true),
        ("{key: source.trustDomain, values: [cluster.local]}", false, true),
        ("{key: 'experimental.envoy.filters.a.b[c]', values: [d]}", false, false),
        ("{key: 'request.auth.claims[a]', values: ['*']}", false, false),
        ("{key: 'request.auth.claims[a]', notValues: ['*']}", true, true),
    ] {
        let mesh = mesh(&denies(when));
        for (call, denied) in [(&plain, plaintext), (&by_sidecar, mutual)] {
            assert_eq!(end(&mesh, call).starts_with("rbac"), denied, "{when} {:?}", call.tls);
        }
    }
}

#[test]
fn tokens_are_read_where_their_issuer_is_known() {
    let issuer = object("RequestAuthentication", "jwt", "{jwtRules: [{issuer: 'https://i/a', audiences: [web]}]}");
    let only = |source: &str| policy("p", &format!("{{rules: [{{from: [{{source: {source}}}]}}]}}"));
    let claims = |claims: serde_json::Value| Token { claims: claims.as_object().unwrap().clone(), ..Token::default() };
    let good = claims(json!({"iss": "https://i/a", "sub": "me", "aud": ["web"], "groups": ["x", "y"], "deep": {"er": "z"}}));
    let when = |key: &str, value: &str| policy("p", &format!("{{rules: [{{when: [{{key: '{key}', values: ['{value}']}}]}}]}}"));
    let (arrives, none) = ("Http(\"/\")".to_owned(), denied_by("none"));
    for (yaml, token, expected) in [
        (issuer.clone(), None, &arrives),
        (issuer.clone(), Some(good.clone()), &arrives),
        (issuer.clone(), Some(claims(json!({"iss": "x"}))), &"jwt_authn_access_denied{Jwt_issuer_is_not_configured}".to_owned()),
        (
            issuer.clone(),
            Some(claims(json!({"iss": "https://i/a", "aud": "other"}))),
            &"jwt_authn_access_denied{Audiences_in_Jwt_are_not_allowed}".to_owned(),
        ),
        (issuer.clone() + &only("{requestPrincipals: ['*']}"), None, &none),
        (issuer.clone() + &only("{requestPrincipals: ['*']}"), Some(good.clone()), &arrives),
        (only("{requestPrincipals: ['*']}"), Some(good.clone()), &none),
        (issuer.clone() + &only("{requestPrincipals: ['https://i/a/me']}"), Some(good.clone()), &arrives),
        (issuer.clone() + &only("{requestPrincipals: ['https://i/a/m*']}"), Some(good.clone()), &arrives),
        (issuer.clone() + &only("{requestPrincipals: ['*/me']}"), Some(good.clone()), &arrives),
        (issuer.clone() + &only("{requestPrincipals: ['https://i/*']}"), Some(good.clone()), &none),
        (issuer.clone() + &only("{notRequestPrincipals: ['*']}"), None, &arrives),
        (issuer.clone() + &when("request.auth.claims[groups]", "y"), Some(good.clone()), &arrives),
        (issuer.clone() + &when("request.auth.claims[deep][er]", "z"), Some(good.clone()), &arrives),
        (issuer.clone() + &when("request.auth.audiences", "web"), Some(good.clone()), &arrives),
        (issuer.clone() + &when("request.auth.presenter", "web"), Some(good), &none),
    ] {
        let bearer = token.map(|token| format!("Bearer {}", token.text()));
        let headers: Vec<(&str, &str)> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
        let call = call(80, CallerTls::None, Content::Http(get("/", &headers)));
        assert_eq!(end(&mesh(&yaml), &call), *expected, "{yaml}");
    }
}

#[test]
fn where_the_external_authorizer_is_unknown_its_rules_deny() {
    let custom = policy("c", "{action: CUSTOM, provider: {name: opa}, rules: [{to: [{operation: {paths: [/x]}}]}]}");
    let config = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n    extensionProviders:\n    - {name: opa, envoyExtAuthzHttp: {service: web.shop.svc.cluster.local, port: 80}}\n";
    let to = |port: u16, path: &str| call(port, CallerTls::None, Content::Http(get(path, &[])));
    let bad = denied_by("istio-ext-authz-opa-ns[shop]-policy[c]-rule[0]-deny-due-to-bad-CUSTOM-action");
    for (yaml, call, expected) in [
        (custom.clone(), to(80, "/x"), &bad),
        (custom.clone(), to(80, "/y"), &"Http(\"/y\")".to_owned()),
        (custom.clone(), to(90, "/y"), &bad),
        (format!("{config}{custom}"), to(80, "/x"), &"Http(\"/x\")".to_owned()),
        (format!("{config}{custom}"), to(90, "/x"), &"Bytes { raw_tls: false }".to_owned()),
    ] {
        assert_eq!(end(&mesh(&yaml), &call), *expected, "{yaml}");
    }
}

#[test]
fn target_refs_are_for_gateways() {
    let deny = |more: &str| policy("p", &format!("{{{more}action: DENY, rules: [{{}}]}}"));
    let gateway = "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}], ";
    for (yaml, at_gateway, at_sidecar) in [
        (deny(""), true, true),
        (deny(gateway), true, false),
        (deny(&gateway.replace("edge", "other")), false, false),
        (deny("targetRefs: [{group: '', kind: Service, name: web}], "), false, false),
        (deny("selector: {matchLabels: {app: web}}, "), false, true),
    ] {
        let mesh = mesh(&yaml);
        let call = call(80, CallerTls::None, Content::Http(get("/", &[])));
        let ends = [admitted(&mesh.proxies[1], &call, true), serve(&mesh.proxies[0], &call)].map(|served| !served.arrives());
        assert_eq!(ends, [at_gateway, at_sidecar], "{yaml}");
    }
}

#[test]
fn a_rule_that_does_not_match_says_why() {
    let mesh = mesh(&policy(
        "p",
        "{rules: [{from: [{source: {principals: [a]}}, {source: {namespaces: [shop], notPrincipals: ['*/sa/b']}}], to: [{operation: {methods: [POST], paths: [/x]}}]}]}",
    ));
    let proxy = &mesh.proxies[0];
    let rule = &proxy.inbound.authorization.http[0].enforced.as_ref().unwrap().rules[0];
    let post = |path: &str| Content::Http(Request { method: "POST".to_owned(), ..get(path, &[]) });
    for (content, tls, expected) in [
        (Content::Http(get("/y", &[])), sidecar("a"), Some(("methods", "GET"))),
        (post("/y"), sidecar("a"), Some(("paths", "/y"))),
        (post("/x"), sidecar("b"), Some(("notPrincipals", "spiffe://cluster.local/ns/shop/sa/b"))),
        (post("/x"), CallerTls::None, Some(("namespaces", "no identity"))),
        (post("/x"), sidecar("a"), None),
    ] {
        let call = call(80, tls, content);
        let failure = failure(proxy, &call, true, true, rule);
        let seen = failure.as_ref().map(|failure| (failure.field.as_str(), failure.saw.as_str()));
        assert_eq!(seen, expected, "{call:?}");
    }
}
