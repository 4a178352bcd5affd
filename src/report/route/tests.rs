//! The look of explanations, as examples.

use super::*;
use crate::mesh::{CompileOptions, DescribedEndpoints, ProxyKind, ProxySelection, ProxySpec, compile};
use crate::resource::decode;
use crate::routing::{Inside, Opening, Scheme};
use crate::yaml::{Limits, parse};

const MESH: &str = "\
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec:
  host: reviews
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews]
  http:
  - name: admin
    match:
    - uri: {prefix: /admin}
      headers: {end-user: {exact: jason}}
    directResponse: {status: 403, body: {string: \"no\"}}
  - name: beta
    match:
    - headers: {cookie: {regex: \".*beta.*\"}}
    - queryParams: {beta: {exact: \"1\"}}
    redirect: {authority: beta.shop.example}
  - name: main
    fault:
      delay: {fixedDelay: 2s, percentage: {value: 10}}
      abort: {httpStatus: 503, percentage: {value: 0.1}}
    headers: {request: {set: {x-env: prod}, remove: [x-debug]}}
    rewrite: {uri: /v1/}
    timeout: 5s
    retries: {attempts: 3, perTryTimeout: 1s, retryOn: \"5xx,409\"}
    mirror: {host: reviews, subset: v1}
    mirrorPercentage: {value: 50}
    route:
    - {destination: {host: reviews, subset: v1}, weight: 70}
    - {destination: {host: reviews, subset: v2}, weight: 20}
    - {destination: {host: reviews, subset: v3}, weight: 10}
";

struct Stage {
    sources: Sources,
    mesh: Mesh,
    proxy: ProxyId,
}

fn stage() -> Stage {
    stage_of(MESH)
}

fn stage_of(text: &str) -> Stage {
    let mut sources = Sources::new();
    let file = sources.add("shop.yaml", text);
    let (objects, _) = decode(&parse(&sources, file, Limits::default()).0, "shop");
    let client = ProxySpec {
        name: "page.shop".to_owned(),
        kind: ProxyKind::Sidecar,
        namespace: "shop".to_owned(),
        labels: Vec::new(),
        locality: String::new(),
        service_account: String::new(),
    };
    let pods = DescribedEndpoints {
        service: "reviews.shop".to_owned(),
        labels: vec![("app".to_owned(), "reviews".to_owned()), ("version".to_owned(), "v1".to_owned())],
        count: 2,
        port: 9080,
        locality: String::new(),
        ready: true,
        ips: vec!["10.0.0.1".to_owned(), "10.0.0.2".to_owned()],
    };
    let options =
        CompileOptions { proxies: ProxySelection::Described(vec![client]), endpoints: vec![pods], ..CompileOptions::default() };
    let mesh = compile(&objects, &options).0;
    let proxy = mesh.proxy_named("page").expect("the options describe it");
    Stage { sources, mesh, proxy }
}

fn request(path: &str, headers: &[(&str, &str)]) -> Request {
    Request {
        method: "GET".to_owned(),
        scheme: Scheme::Http,
        authority: "reviews:9080".to_owned(),
        path: path.to_owned(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    }
}

fn tree(request: &Request, dial: &Dial, outcomes: ShownOutcomes) -> String {
    let Stage { sources, mesh, proxy } = stage();
    let question = RouteQuestion {
        sources: &sources,
        mesh: &mesh,
        proxy,
        dial,
        request,
        outcomes,
        caller: &Caller::default(),
        server: false,
    };
    route(&question, Style { width: 100, ..Style::PLAIN })
}

#[test]
fn a_forwarded_request_shows_failed_conditions_destinations_and_outcomes() {
    insta::assert_snapshot!(tree(&request("/reviews/../0?x=1", &[("cookie", "a=b")]), &Dial::http(9080), ShownOutcomes::All));
}

#[test]
fn a_direct_answer_stops_the_search() {
    insta::assert_snapshot!(tree(&request("/admin", &[("end-user", "jason")]), &Dial::http(9080), ShownOutcomes::None));
}

#[test]
fn bytes_to_an_http_port_are_not_routed() {
    let dial = Dial { opening: Opening::Clear(Inside::Bytes), ..Dial::http(9080) };
    insta::assert_snapshot!(tree(&request("/", &[]), &dial, ShownOutcomes::None));
}

#[test]
fn the_same_as_json() {
    let Stage { sources, mesh, proxy } = stage();
    let (request, dial) = (request("/reviews?beta=1", &[]), Dial::http(9080));
    let outcomes = ShownOutcomes::One(Chances { stream: 0, delay: 0, abort: 0 });
    let question = RouteQuestion {
        sources: &sources,
        mesh: &mesh,
        proxy,
        dial: &dial,
        request: &request,
        outcomes,
        caller: &Caller::default(),
        server: false,
    };
    insta::assert_snapshot!(route_json(&question));
}

#[test]
fn a_request_with_a_key_shows_the_endpoint_that_it_keeps_to() {
    let service = MESH.split("---").next().unwrap();
    for (hashed, headers, expected) in [
        ("httpHeaderName: x-user", &[("x-user", "ann")][..], "0b41beba40346ebe is at 10.0.0.1:9080 (reviews-v1-0-0)"),
        ("httpHeaderName: x-user", &[], "the request has nothing to hash: any endpoint, by chance"),
        ("useSourceIp: true", &[], "the client's address decides"),
        ("httpCookie: {name: sid, ttl: 60s}", &[], "the client's connection decides"),
    ] {
        let rule = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: reviews, namespace: shop}\nspec: {host: reviews, trafficPolicy: {loadBalancer: {consistentHash: {KEY}}}}\n";
        let Stage { sources, mesh, proxy } = stage_of(&format!("{service}---\n{}", rule.replace("KEY", hashed)));
        let (request, dial) = (request("/", headers), Dial::http(9080));
        let question = RouteQuestion {
            sources: &sources,
            mesh: &mesh,
            proxy,
            dial: &dial,
            request: &request,
            outcomes: ShownOutcomes::None,
            caller: &Caller::default(),
            server: false,
        };
        let shown = route(&question, Style { width: 200, ..Style::PLAIN });
        assert!(shown.contains(expected), "{hashed} {headers:?}: {shown}");
    }
}

/// Two workloads with sidecars, and policies of the called one.
const GUARDED: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec: {selector: {app: orders}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders, namespace: shop}
spec: {selector: {matchLabels: {app: orders}}, template: {metadata: {labels: {app: orders}}, spec: {containers: [{name: c}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: page, namespace: shop}
spec:
  selector: {matchLabels: {app: page}}
  template: {metadata: {labels: {app: page}}, spec: {serviceAccountName: page, containers: [{name: c}]}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: orders, namespace: shop}
spec: {selector: {matchLabels: {app: orders}}, mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-debug, namespace: shop}
spec:
  action: DENY
  rules:
  - to: [{operation: {paths: [\"/debug*\"]}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: readers, namespace: shop}
spec:
  selector: {matchLabels: {app: orders}}
  rules:
  - from: [{source: {serviceAccounts: [page]}}]
    to: [{operation: {methods: [GET]}}]
  - from: [{source: {principals: [cluster.local/ns/shop/sa/admin]}}]
";

fn guarded(caller: &Caller, path: &str, server: bool) -> String {
    let mut sources = Sources::new();
    let file = sources.add("shop.yaml", GUARDED);
    let (objects, _) = decode(&parse(&sources, file, Limits::default()).0, "shop");
    let mesh = compile(&objects, &CompileOptions::default()).0;
    let proxy = mesh.proxy_named("page").expect("it has a sidecar");
    let request = Request { method: "POST".to_owned(), authority: "orders".to_owned(), ..request(path, &[]) };
    let (dial, outcomes) = (Dial::http(80), ShownOutcomes::None);
    let question =
        RouteQuestion { sources: &sources, mesh: &mesh, proxy, dial: &dial, request: &request, outcomes, caller, server };
    route(&question, Style { width: 100, ..Style::PLAIN })
}

#[test]
fn the_servers_side_names_the_policies_and_what_failed() {
    use crate::routing::server::Certificate;
    let admin =
        Caller { certificate: Certificate::Of("spiffe://cluster.local/ns/shop/sa/admin".to_owned()), ..Caller::default() };
    let clear = Caller { certificate: Certificate::None, ..Caller::default() };
    insta::assert_snapshot!(
        [
            guarded(&Caller::default(), "/", true),
            guarded(&admin, "/", true),
            guarded(&admin, "/debug", true),
            guarded(&clear, "/", true)
        ]
        .join("\n")
    );
    insta::assert_snapshot!(guarded(&Caller::default(), "/", false));
}
