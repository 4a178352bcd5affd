//! `meshsim export` from the outside: tables as `istioctl proxy-config` prints them, and a bootstrap.

use std::fs;

use snapbox::cmd::{Command, OutputAssert, cargo_bin};
use snapbox::str;
use tempfile::TempDir;

const MESH: &str = "\
apiVersion: v1
kind: Service
metadata: {name: page}
spec: {clusterIP: 10.1.2.3, selector: {app: page}, ports: [{name: http, port: 80, targetPort: 8080}, {name: tcp, port: 9000}]}
---
apiVersion: v1
kind: Pod
metadata: {name: page-1, labels: {app: page, version: v1}}
spec: {containers: [{name: page, image: page}]}
status: {podIP: 10.9.0.1}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: page}
spec: {host: page, subsets: [{name: v1, labels: {version: v1}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: page}
spec:
  hosts: [page]
  http:
  - {match: [{uri: {prefix: /a}, headers: {x-a: {exact: '1'}}}], route: [{destination: {host: page, subset: v1}}]}
  - {route: [{destination: {host: page}}]}
";

fn export(args: &[&str]) -> OutputAssert {
    let directory = TempDir::new().expect("a temporary directory can be made");
    fs::write(directory.path().join("mesh.yaml"), MESH).expect("a file can be written");
    Command::new(cargo_bin!("meshsim"))
        .current_dir(directory.path())
        .args([&["export", args[0], "-f", "mesh.yaml"], &args[1..]].concat())
        .assert()
}

#[test]
fn tables_are_those_of_istioctl() {
    let proxy = ["--proxy", "page-1"];
    let table = |what| export(&[&[what], &proxy[..]].concat()).code(0);
    table("listeners").stdout_eq(str![[r#"
ADDRESSES     PORT     MATCH                                             DESTINATION
0.0.0.0       80       Trans: raw_buffer; App: http/1.0,http/1.1,h2c     Route: 80
0.0.0.0       80       ALL                                               PassthroughCluster
10.1.2.3      9000     ALL                                               Cluster: outbound|9000||page.default.svc.cluster.local

"#]]);
    table("routes").stdout_eq(str![[r#"
NAME     VHOST NAME                            DOMAINS                                                                         MATCH                 VIRTUAL SERVICE
80       page.default.svc.cluster.local:80     page.default.svc.cluster.local, page.default.svc.cluster.local. + 4 more...     /a* + 1 condition     page.default
80       page.default.svc.cluster.local:80     page.default.svc.cluster.local, page.default.svc.cluster.local. + 4 more...     /*                    page.default
80       allow_any                             *                                                                               /*

"#]]);
    table("clusters").stdout_eq(str![[r#"
SERVICE FQDN                       PORT     SUBSET     DIRECTION     TYPE             DESTINATION RULE
BlackHoleCluster                   -        -          -             STATIC
PassthroughCluster                 -        -          -             ORIGINAL_DST
page.default.svc.cluster.local     80       v1         outbound      EDS              page.default
page.default.svc.cluster.local     80       -          outbound      EDS              page.default
page.default.svc.cluster.local     9000     v1         outbound      EDS              page.default
page.default.svc.cluster.local     9000     -          outbound      EDS              page.default

"#]]);
    table("endpoints").stdout_eq(str![[r#"
ENDPOINT          STATUS      OUTLIER CHECK     CLUSTER
10.9.0.1:8080     HEALTHY     OK                outbound|80|v1|page.default.svc.cluster.local
10.9.0.1:8080     HEALTHY     OK                outbound|80||page.default.svc.cluster.local
10.9.0.1:9000     HEALTHY     OK                outbound|9000|v1|page.default.svc.cluster.local
10.9.0.1:9000     HEALTHY     OK                outbound|9000||page.default.svc.cluster.local

"#]]);
}

#[test]
fn parts_are_printed_in_the_terms_of_envoy() {
    export(&["endpoints", "--proxy", "page-1", "-o", "yaml"]).code(0).stdout_eq(str![[r#"
- cluster_name: BlackHoleCluster
  endpoints: []
- cluster_name: PassthroughCluster
  endpoints: []
- cluster_name: outbound|80|v1|page.default.svc.cluster.local
  endpoints:
  - lb_endpoints:
    - endpoint:
        address:
          socket_address:
            address: 10.9.0.1
            port_value: 8080
      health_status: HEALTHY
      load_balancing_weight: 1
      metadata:
        filter_metadata:
          envoy.transport_socket_match:
            tlsMode: istio
- cluster_name: outbound|80||page.default.svc.cluster.local
  endpoints:
  - lb_endpoints:
    - endpoint:
        address:
          socket_address:
            address: 10.9.0.1
            port_value: 8080
      health_status: HEALTHY
      load_balancing_weight: 1
      metadata:
        filter_metadata:
          envoy.transport_socket_match:
            tlsMode: istio
- cluster_name: outbound|9000|v1|page.default.svc.cluster.local
  endpoints:
  - lb_endpoints:
    - endpoint:
        address:
          socket_address:
            address: 10.9.0.1
            port_value: 9000
      health_status: HEALTHY
      load_balancing_weight: 1
      metadata:
        filter_metadata:
          envoy.transport_socket_match:
            tlsMode: istio
- cluster_name: outbound|9000||page.default.svc.cluster.local
  endpoints:
  - lb_endpoints:
    - endpoint:
        address:
          socket_address:
            address: 10.9.0.1
            port_value: 9000
      health_status: HEALTHY
      load_balancing_weight: 1
      metadata:
        filter_metadata:
          envoy.transport_socket_match:
            tlsMode: istio

"#]]);
    let output = export(&["envoy", "--proxy", "page-1", "--loopback=127.5.0.1", "-o", "json"]).code(0).get_output().clone();
    let bootstrap: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a bootstrap is JSON");
    let listeners = bootstrap["static_resources"]["listeners"].as_array().expect("there are listeners");
    assert_eq!(listeners[0]["address"]["socket_address"]["address"], "127.5.0.1");
}

#[test]
fn mistakes_are_told() {
    export(&["envoy", "--proxy", "pgae-1"]).code(2).stderr_eq(str![[r#"
error: no proxy is called `pgae-1`; did you mean `page-1`?

"#]]);
    export(&["envoy", "--proxy", "page-1", "-o", "text"]).code(2).stderr_eq(str![[r#"
error: a bootstrap is no table; print it with `-o yaml` or `-o json`

"#]]);
}
