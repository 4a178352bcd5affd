//! Meshes and requests for the examples of this module.

use super::request::{Dial, Request, Scheme};
use crate::mesh::{CompileOptions, DescribedEndpoints, Mesh, ProxyId, ProxyKind, ProxySelection, ProxySpec, compile};
use crate::resource::decode;
use crate::source::Sources;
use crate::yaml::{Limits, parse};

/// Service `app` on port 80 with subsets v1 (two endpoints), v2 (one) and v0 (none).
const APP: &str = "
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {selector: {app: app}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: app}
spec:
  host: app
  subsets:
  - {name: v0, labels: {version: v0}}
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
---
";

fn proxy(name: &str, kind: ProxyKind) -> ProxySpec {
    ProxySpec {
        name: name.to_owned(),
        kind,
        namespace: "default".to_owned(),
        labels: vec![("istio".to_owned(), name.to_owned())],
        locality: String::new(),
        service_account: String::new(),
    }
}

/// A mesh of the service `app` and further documents, with a sidecar `client` and a gateway `edge`.
pub(super) fn mesh(documents: &str) -> Mesh {
    let mut sources = Sources::new();
    let file = sources.add("mesh.yaml", format!("{APP}{documents}"));
    let (documents, findings) = parse(&sources, file, Limits::default());
    assert_eq!(findings, []);
    let (objects, _) = decode(&documents, "default");
    let pods = |version: &str, count| DescribedEndpoints {
        service: "app.default".to_owned(),
        labels: vec![("app".to_owned(), "app".to_owned()), ("version".to_owned(), version.to_owned())],
        count,
        port: 8080,
        locality: String::new(),
        ready: true,
        ips: Vec::new(),
    };
    let options = CompileOptions {
        proxies: ProxySelection::Described(vec![proxy("client", ProxyKind::Sidecar), proxy("edge", ProxyKind::Gateway)]),
        endpoints: vec![pods("v1", 2), pods("v2", 1)],
        ..CompileOptions::default()
    };
    compile(&objects, &options).0
}

/// A mesh whose VirtualService for `app` has these `http` rules, written as one YAML flow sequence.
pub(super) fn mesh_with_rules(rules: &str) -> Mesh {
    mesh(&format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: app}}\nspec: {{hosts: [app], http: {rules}}}\n"
    ))
}

/// The sidecar of [`mesh`].
pub(super) fn client(mesh: &Mesh) -> ProxyId {
    mesh.proxy_named("client").expect("every mesh of the examples has it")
}

/// A request of the client to the service `app`.
pub(super) fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request {
    Request {
        method: method.to_owned(),
        scheme: Scheme::Http,
        authority: "app".to_owned(),
        path: path.to_owned(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    }
}

/// The port of the service `app`.
pub(super) fn dial() -> Dial {
    Dial::http(80)
}
