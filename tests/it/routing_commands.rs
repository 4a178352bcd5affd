//! `meshsim route` and `meshsim conformance` from the outside: who sends if nobody is named, what
//! mistakes are told, how the score ends.

use std::fs;
use std::path::Path;

use snapbox::cmd::{Command, OutputAssert, cargo_bin};
use snapbox::str;
use tempfile::TempDir;

const MESH: &str = "\
apiVersion: v1
kind: Service
metadata: {name: page}
spec: {selector: {app: page}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: page-v1}
spec: {selector: {matchLabels: {app: page}}, template: {metadata: {labels: {app: page}}, spec: {containers: [{name: page, image: page}]}}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.test]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: page}
spec: {hosts: [shop.test], gateways: [edge], http: [{match: [{uri: {prefix: /}}], route: [{destination: {host: page}}]}]}
";

fn meshsim(directory: &Path, args: &[&str]) -> OutputAssert {
    Command::new(cargo_bin!("meshsim"))
        .current_dir(directory)
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE")
        .args(args)
        .assert()
}

fn route(args: &[&str]) -> OutputAssert {
    let directory = TempDir::new().expect("a temporary directory can be made");
    fs::write(directory.path().join("mesh.yaml"), MESH).expect("a file can be written");
    meshsim(directory.path(), &[&["route", "-f", "mesh.yaml"], args].concat())
}

#[test]
fn a_host_outside_of_the_mesh_is_reached_through_the_only_gateway() {
    route(&["HEAD", "http://shop.test/cart", "--all"]).code(0).stdout_eq(str![[r#"
HEAD http://shop.test:80/cart from istio-ingressgateway.istio-system (gateway)
├─ listener      0.0.0.0_80, filter chain default/edge  mesh.yaml:14
├─ virtual host  shop.test:80 (domain `shop.test`, table http.80)  mesh.yaml:16
├─ routes
│  ╰─ ✓ 0  takes every request  mesh.yaml:19
├─ clusters
│  ╰─ 100 %  outbound|80||page.default.svc.cluster.local  mesh.yaml:19
│     ├─ policy              1 endpoint, least request  mesh.yaml:1
│     ╰─ [..]:8080  page-v1-0
├─ timeout       none
├─ retries       up to 2 on connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes;
│                avoids endpoints already tried
╰─ outcomes
   ╰─ 100 % (1/1)  to outbound|80||page.default.svc.cluster.local

"#]]);
}

#[test]
fn mistakes_are_told_in_one_line() {
    for (args, message) in [
        (
            &["http://page/"][..],
            "`page` is a service of the mesh: name who calls it with `--from`: page-v1.default, istio-ingressgateway.istio-system",
        ),
        (&["http://page/", "--from", "page-v2"][..], "no proxy is called `page-v2`; did you mean `page-v1`?"),
        (&["ftp://page/"][..], "`ftp://page/`: the scheme must be http, https, tls or tcp, not `ftp`"),
        (&["http://page/", "-H", "nonsense"][..], "header `nonsense`: write `name: value`"),
        (&["http://page/", "-H", "a b: c"][..], "header `a b: c`: `a b` is no name of a header"),
        (&["http://page/", "-X", "G T"][..], "`G T` is no method"),
        (&["POST http://page/"][..], "`POST http://page/`: the scheme must be http, https, tls or tcp, not `POST http`"),
        (&["POST page/"][..], "`POST page/`: no host holds ' '; a method is an argument of its own"),
        (&["::1"][..], "`::1`: write an IPv6 address in brackets, such as `http://[::1]:9080/`"),
        (&["GET", "http://page/", "-X", "PUT"][..], "the method is given twice: `GET` and `PUT`"),
    ] {
        route(args).code(2).stdout_eq(str![""]).stderr_eq(format!("error: {message}\n"));
    }
}

#[test]
fn a_refused_connection_names_the_ports_that_are_open() {
    route(&["http://shop.test:8080/"]).code(0).stdout_eq(str![[r#"
GET http://shop.test:8080/ from istio-ingressgateway.istio-system (gateway)
╰─ refused  nothing listens on this port; the proxy listens on port 80

"#]]);
}

#[test]
fn a_host_header_changes_the_request_and_not_the_address() {
    let seen = route(&["http://page:80/x", "--from", "page-v1", "-H", "Host: other.test", "-o", "json"]).code(0);
    let page: serde_json::Value = serde_json::from_slice(&seen.get_output().stdout).expect("it is JSON");
    assert_eq!(page["virtual_host"]["name"], "allow_any");
}

#[test]
fn the_score_ends_with_its_totals_and_its_exit_code_says_whether_all_agree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    meshsim(root, &["conformance", "tests/conformance", "--case", "weights/shares", "--only", "requests"]).code(0).stdout_eq(
        str![[r#"
GROUP    REQUESTS  POLICIES  VERDICTS  FINDINGS  TIMED
weights       [..]         -         -         -      -
conformance: [..] of [..] requests, 0 of 0 policies, 0 of 0 verdicts, 0 of 0 findings
timed: 0 of 0 cases

"#]],
    );
    let directory = TempDir::new().expect("a temporary directory can be made");
    let case = "config: ''\nproxies: {c: {kind: sidecar, namespace: default}}\nrequests: [{id: a, from: c, port: 80, path: /, authority: x}]\nexpect: {requests: {a: {refused: true}, b: {refused: true}}}\n";
    fs::create_dir(directory.path().join("own")).expect("a directory can be made");
    fs::write(directory.path().join("own/one.yaml"), case).expect("a file can be written");
    meshsim(directory.path(), &["conformance", "."]).code(1).stdout_eq(str![[r#"
GROUP  REQUESTS  POLICIES  VERDICTS  FINDINGS  TIMED
own         0/2         -         -         -      -

own/one a refused: expected true, got (absent)
own/one b id: expected "b", got (absent)
conformance: 0 of 2 requests, 0 of 0 policies, 0 of 0 verdicts, 0 of 0 findings
timed: 0 of 0 cases

"#]]);
    meshsim(directory.path(), &["conformance", "missing"]).code(2).stderr_eq(str![[r#"
error: missing: no such file or directory

"#]]);
}
