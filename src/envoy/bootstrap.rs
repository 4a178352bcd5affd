//! The static configuration of one proxy.

use serde_json::{Value, json};

use super::placement::Placement;
use super::wire::{any, socket_address};
use super::{cluster, fallback_listener, listener, tls};
use crate::mesh::{Proxy, ProxyKind};

/// Where Envoy is asked about itself, as in Istio's proxies.
const ADMIN_PORT: u16 = 15_000;

/// What the agent beside a proxy listens on.
const SECRETS_SOCKET: &str = "./var/run/secrets/workload-spiffe-uds/socket";

/// Everything that a proxy needs to start (Envoy: `Bootstrap`).
#[must_use]
pub fn bootstrap(proxy: &Proxy, placement: &Placement) -> Value {
    let own = proxy.listeners.iter().map(|one| listener(proxy, one, placement));
    let listeners: Vec<Value> = fallback_listener(proxy, placement).into_iter().chain(own).collect();
    let mut clusters: Vec<Value> = proxy.clusters.iter().map(|one| cluster(one, placement)).collect();
    let terminates_tls = proxy.listeners.iter().flat_map(|l| &l.chains).any(|chain| chain.terminates.is_some());
    if terminates_tls || !placement.is_loopback() {
        clusters.push(secrets());
    }
    let address = match placement {
        Placement::Mesh => "127.0.0.1".to_owned(),
        Placement::Loopback(loopback) => loopback.first().to_string(),
    };
    let kind = match proxy.spec.kind {
        ProxyKind::Sidecar => "sidecar",
        ProxyKind::Gateway => "router",
    };
    json!({
        "node": {"id": format!("{kind}~{}", proxy.spec.name), "cluster": proxy.spec.name},
        "admin": {"address": socket_address(&address, ADMIN_PORT)},
        "static_resources": {"listeners": listeners, "clusters": clusters},
    })
}

/// The cluster that certificates come from.
fn secrets() -> Value {
    const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let http2 = any(HTTP_OPTIONS, json!({"explicit_http_config": {"http2_protocol_options": {}}}));
    let endpoint = json!({"endpoint": {"address": {"pipe": {"path": SECRETS_SOCKET}}}});
    json!({
        "name": tls::SECRETS,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {HTTP_OPTIONS: http2},
        "load_assignment": {"cluster_name": tls::SECRETS, "endpoints": [{"lb_endpoints": [endpoint]}]},
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::envoy::Loopback;
    use crate::mesh::{CompileOptions, Mesh, compile};
    use crate::resource::decode;
    use crate::source::Sources;
    use crate::yaml::{Limits, parse};

    const MESH: &str = "
apiVersion: v1
kind: Service
metadata: {name: page}
spec: {clusterIP: 10.1.2.3, selector: {app: page}, ports: [{name: http, port: 80, targetPort: 8080}, {name: tcp, port: 9000}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: page}
spec: {replicas: 2, selector: {matchLabels: {app: page}}, template: {metadata: {labels: {app: page}}, spec: {containers: [{name: page, image: page}]}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: page}
spec:
  host: page
  trafficPolicy:
    loadBalancer: {consistentHash: {httpCookie: {name: sid, path: /, ttl: 60s}}}
    connectionPool: {tcp: {maxConnections: 7, connectTimeout: 250ms}, http: {maxRequestsPerConnection: 3}}
    outlierDetection: {consecutive5xxErrors: 3, interval: 5s}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: page}
spec:
  hosts: [page]
  http:
  - name: jump
    match: [{uri: {prefix: /old}, withoutHeaders: {x-new: {exact: '1'}}, queryParams: {q: {regex: '[0-9]+'}}}]
    redirect: {uri: /new, redirectCode: 308}
  - name: rest
    headers: {request: {set: {x-a: a}, remove: [x-b]}, response: {add: {x-c: c}}}
    fault: {delay: {fixedDelay: 1s, percentage: {value: 0.1}}}
    corsPolicy: {allowOrigins: [{exact: https://a.test}], allowMethods: [GET], maxAge: 60s}
    rewrite: {uri: /v2, authority: page.test}
    timeout: 1500ms
    retries: {attempts: 3, perTryTimeout: 500ms, retryOn: '5xx,409'}
    mirror: {host: page}
    mirrorPercentage: {value: 50}
    route: [{destination: {host: page, port: {number: 80}}}]
";

    fn mesh() -> Mesh {
        let mut sources = Sources::new();
        let file = sources.add("mesh.yaml", MESH);
        let (documents, findings) = parse(&sources, file, Limits::default());
        assert_eq!(findings, []);
        let (objects, findings) = decode(&documents, "default");
        assert_eq!(findings, []);
        compile(&objects, &CompileOptions::default()).0
    }

    /// Reviewed by eye against the field descriptions of Envoy's API; the referee loads more of them
    /// into a real one.
    #[test]
    fn a_small_mesh_as_a_bootstrap() {
        let mesh = mesh();
        let loopback = Loopback::new(&mesh.proxies[0], Ipv4Addr::LOCALHOST, 15_999);
        for (name, placement) in [("mesh", Placement::Mesh), ("loopback", Placement::Loopback(loopback))] {
            insta::assert_snapshot!(name, format!("{:#}", bootstrap(&mesh.proxies[0], &placement)));
        }
    }

    #[test]
    fn a_mesh_on_the_loopback_interface_leaves_it_nowhere() {
        let mesh = mesh();
        let loopback = Loopback::new(&mesh.proxies[0], Ipv4Addr::new(127, 3, 0, 1), 15_999);
        assert_eq!(loopback.address("10.1.2.3"), Some(Ipv4Addr::new(127, 3, 0, 2)));
        let text = bootstrap(&mesh.proxies[0], &Placement::Loopback(loopback)).to_string();
        let addresses: Vec<&str> = text.split("\"address\":\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(addresses.len() > 5 && addresses.iter().all(|address| address.starts_with("127.3.0.")), "{addresses:?}");
    }
}
