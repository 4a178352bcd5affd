//! Made-up cases: a mesh of a few services, its configuration, and requests.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::rules::{gateway_api_rule, rule};
use crate::words::{HEADERS, METHODS, ODD_SEGMENTS, ORIGINS, SEGMENTS, VALUES, always, any_of, list, maybe, object, one, word};

/// A case as its record, without what was measured.
pub(crate) fn case() -> BoxedStrategy<Json> {
    let parts = (virtual_services(), destination_rule(), gateway(), routes(), counts(), requests());
    parts
        .prop_map(|(virtual_services, rule, gateway, routes, (v1, v2), requests)| {
            let mut objects = services();
            objects.push(rule);
            objects.extend(gateway);
            objects.extend(virtual_services.into_iter().enumerate().map(|(index, spec)| named("VirtualService", index, spec)));
            objects.extend(routes.into_iter().enumerate().map(|(index, spec)| named("HTTPRoute", index, spec)));
            record(&objects, v1, v2, requests)
        })
        .boxed()
}

fn record(objects: &[Json], v1: u64, v2: u64, requests: Vec<Json>) -> Json {
    let config: Vec<String> = objects.iter().map(|object| serde_yaml::to_string(object).expect("JSON is YAML")).collect();
    let pods = |service: &str, version: &str, count: u64| {
        let app = service.split('.').next().unwrap_or_default();
        json!({"service": service, "labels": {"app": app, "version": version}, "count": count, "port": 8080})
    };
    let endpoints: Vec<Json> =
        [pods("app.shop", "v1", v1), pods("app.shop", "v2", v2), pods("web.shop", "v1", 1), pods("pay.bank", "v1", 1)]
            .into_iter()
            .filter(|pods| pods["count"] != 0)
            .collect();
    let numbered = requests.into_iter().enumerate().map(|(index, mut request)| {
        request["id"] = format!("r{index}").into();
        request
    });
    json!({
        "name": "made-up",
        "rule": "Made up by the referee: the answers are a real Envoy's.",
        "config": config.join("---\n"),
        "endpoints": endpoints,
        "proxies": {
            "client": {"kind": "sidecar", "namespace": "shop", "labels": {"app": "client"}},
            "teller": {"kind": "sidecar", "namespace": "bank", "labels": {"app": "teller"}},
            "edge": {"kind": "gateway", "namespace": "istio-system", "labels": {"istio": "edge"}},
        },
        "requests": numbered.collect::<Vec<_>>(),
    })
}

fn services() -> Vec<Json> {
    let service = |name: &str, namespace: &str, ports: Json| {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
            "spec": {"selector": {"app": name}, "ports": ports},
        })
    };
    let http = |port: u16| json!({"name": format!("http-{port}"), "port": port, "targetPort": 8080});
    let edge = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "edge", "namespace": "istio-system"},
        "spec": {"selector": {"istio": "edge"}, "ports": [http(80)]},
    });
    let external = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": {"name": "ext", "namespace": "shop"},
        "spec": {
            "hosts": ["ext.test"], "location": "MESH_EXTERNAL", "resolution": "STATIC",
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}], "endpoints": [{"address": "192.0.2.7"}],
        },
    });
    vec![
        service("app", "shop", json!([http(80), http(8080)])),
        service("web", "shop", json!([http(80)])),
        service("pay", "bank", json!([http(80)])),
        edge,
        external,
    ]
}

fn named(kind: &str, index: usize, spec: Json) -> Json {
    let version = if kind == "HTTPRoute" { "gateway.networking.k8s.io/v1" } else { "networking.istio.io/v1" };
    let (prefix, day) = (kind.to_lowercase(), index + 1);
    let metadata = json!({
        "name": format!("{prefix}-{index}"), "namespace": "shop", "creationTimestamp": format!("2026-01-0{day}T00:00:00Z"),
    });
    json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec})
}

/// Rules are named by their place, so that a log line tells them apart.
fn virtual_services() -> BoxedStrategy<Vec<Json>> {
    let hosts = one(vec![
        json!(["app"]),
        json!(["app", "web"]),
        json!(["app.shop.svc.cluster.local", "other.test"]),
        json!(["pay.bank.svc.cluster.local"]),
        json!(["shop.example.com"]),
        json!(["*.example.com"]),
        json!(["*.example.com", "app"]),
        json!(["ext.test"]),
        json!(["*"]),
    ]);
    let gateways = one(vec![json!(["mesh"]), json!(["edge"]), json!(["edge", "mesh"])]);
    let spec = object(vec![("hosts", always(hosts)), ("gateways", maybe(50, gateways)), ("http", always(list(rule(), 1..5)))]);
    let numbered = |mut spec: Json| {
        for (index, rule) in spec["http"].as_array_mut().into_iter().flatten().enumerate() {
            rule["name"] = format!("rule-{index}").into();
        }
        spec
    };
    prop::collection::vec(spec.prop_map(numbered), 1..4).boxed()
}

fn destination_rule() -> BoxedStrategy<Json> {
    let subset = |name: &str| json!({"name": name, "labels": {"version": name}});
    let balancer = one(vec![
        json!({"simple": "ROUND_ROBIN"}),
        json!({"simple": "LEAST_REQUEST"}),
        json!({"simple": "RANDOM"}),
        json!({"consistentHash": {"httpHeaderName": "x-a"}}),
        json!({"consistentHash": {"httpCookie": {"name": "sid", "path": "/a", "ttl": "60s"}}}),
        json!({"consistentHash": {"httpCookie": {"name": "sid", "ttl": "0s", "attributes": [{"name": "SameSite", "value": "Strict"}]}}}),
        json!({"consistentHash": {"useSourceIp": true, "maglev": {"tableSize": 101}}}),
    ]);
    let policy = object(vec![
        ("loadBalancer", maybe(60, balancer)),
        (
            "connectionPool",
            maybe(30, one(vec![json!({"http": {"maxRequestsPerConnection": 1}}), json!({"tcp": {"maxConnections": 3}})])),
        ),
        ("outlierDetection", maybe(20, Just(json!({"consecutive5xxErrors": 50})))),
    ]);
    object(vec![("trafficPolicy", maybe(60, policy))])
        .prop_map(move |mut spec| {
            spec["host"] = "app".into();
            spec["subsets"] = json!([subset("v1"), subset("v2"), subset("v3")]);
            let metadata = json!({"name": "app", "namespace": "shop"});
            json!({"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": metadata, "spec": spec})
        })
        .boxed()
}

/// Gateways of both APIs on the one gateway workload.
fn gateway() -> BoxedStrategy<Vec<Json>> {
    let hosts = one(vec![json!(["*"]), json!(["*.example.com", "app"]), json!(["shop.example.com"])]);
    let istio = (hosts, prop::bool::weighted(0.1)).prop_map(|(hosts, redirects)| {
        let mut server = json!({"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": hosts});
        if redirects {
            server["tls"] = json!({"httpsRedirect": true});
        }
        json!({
            "apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": "edge", "namespace": "shop"},
            "spec": {"selector": {"istio": "edge"}, "servers": [server]},
        })
    });
    istio.prop_map(|gateway| vec![gateway]).boxed()
}

fn routes() -> BoxedStrategy<Vec<Json>> {
    let parent = word(&["app", "web"]).prop_map(|name| json!([{"group": "", "kind": "Service", "name": name, "port": 80}]));
    let spec = object(vec![("parentRefs", always(parent)), ("rules", always(list(gateway_api_rule(), 1..4)))]);
    prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(spec, 1..2)].boxed()
}

fn counts() -> impl Strategy<Value = (u64, u64)> {
    (1_u64..3, 0_u64..2)
}

fn requests() -> BoxedStrategy<Vec<Json>> {
    let segment = prop_oneof![3 => prop::sample::select(SEGMENTS), 1 => prop::sample::select(ODD_SEGMENTS)];
    let query = word(&["", "", "?", "?q=1", "?q=v&r=1", "?q=%76", "?Q=1&q=1&q=v", "?x=%2e%2e/../b", "?q"]);
    let path =
        (prop::collection::vec(segment, 0..4), query, prop::bool::weighted(0.03)).prop_map(|(segments, query, fragment)| {
            let fragment = if fragment { "#f" } else { "" };
            json!(format!("/{}{}{fragment}", segments.join("/"), query.as_str().unwrap_or_default()))
        });
    let inside = word(&[
        "app",
        "app",
        "app",
        "app.shop",
        "app.shop.svc.cluster.local",
        "APP",
        "app:80",
        "web",
        "pay.bank",
        "other.test",
        "ext.test",
        "a.example.com",
        "unknown.test",
        "app.shop.svc.cluster.local.",
    ]);
    let outside = word(&[
        "shop.example.com",
        "a.example.com",
        "a.b.example.com:80",
        "app",
        "other.test",
        "example.com",
        "SHOP.example.com:8080",
    ]);
    let value = any_of(vec![(4, word(VALUES)), (1, word(&["", "V1"]))]);
    let pair = (word(HEADERS), value).prop_map(|(name, value)| json!([name, value]));
    let cross = (word(ORIGINS), any::<bool>()).prop_map(|(origin, preflight)| {
        let mut pairs = vec![json!(["origin", origin])];
        if preflight {
            pairs.push(json!(["access-control-request-method", "GET"]));
        }
        pairs
    });
    let grpc = Just(vec![json!(["content-type", "application/grpc"])]);
    let extra = prop_oneof![6 => Just(Vec::new()), 2 => cross, 1 => grpc];
    let headers = (prop::collection::vec(pair, 0..4), extra).prop_map(|(mut pairs, extra)| {
        pairs.extend(extra);
        Json::from(pairs)
    });
    let method = any_of(vec![(5, Just(json!("GET")).boxed()), (4, word(METHODS))]);
    let from = |from: &'static str, ports: Vec<Json>, authority: BoxedStrategy<Json>| {
        object(vec![
            ("from", always(Just(json!(from)))),
            ("port", always(one(ports))),
            ("method", always(method.clone())),
            ("path", always(path.clone())),
            ("authority", always(authority)),
            ("headers", always(headers.clone())),
        ])
    };
    let request = any_of(vec![
        (5, from("client", vec![json!(80), json!(80), json!(8080)], inside.clone())),
        (1, from("teller", vec![json!(80)], inside)),
        (3, from("edge", vec![json!(80)], outside)),
    ]);
    prop::collection::vec(request, 16..24).boxed()
}
