//! `meshsim diff`, `replay` and `prove` from the outside.

use std::process::Command as Process;

use snapbox::str;
use tempfile::TempDir;

use crate::support::app::{APP, meshsim, write};

const RULE: &str = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: app}
spec:
  hosts: [app]
  http:
  - match: [{uri: {prefix: /api}}]
    route: [{destination: {host: app, subset: v1}}]
  - route: [{destination: {host: app, subset: v1}}]
";

const SUBSETS: &str = "\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: app}
spec: {host: app, subsets: [{name: v1, labels: {version: v1}}]}
";

/// Version 2 comes, and takes jo's requests to the API.
fn canary() -> (String, String) {
    let rule = RULE.replace(
        "  - match: [{uri: {prefix: /api}}]\n",
        "  - match: [{uri: {prefix: /api}, headers: {x-user: {exact: jo}}}]\n    route: [{destination: {host: app, subset: v2}}]\n    timeout: 3s\n  - match: [{uri: {prefix: /api}}]\n",
    );
    let subsets = SUBSETS.replace("version: v1}}]", "version: v1}}, {name: v2, labels: {version: v2}}]");
    (rule, subsets)
}

fn two_versions() -> TempDir {
    let (rule, subsets) = canary();
    let directory = TempDir::new().expect("a temporary directory can be made");
    write(
        directory.path(),
        &[
            ("base/app.yaml", APP),
            ("base/rule.yaml", RULE),
            ("base/subsets.yaml", SUBSETS),
            ("head/app.yaml", APP),
            ("head/rule.yaml", &rule),
            ("head/subsets.yaml", &subsets),
        ],
    );
    directory
}

#[test]
fn a_change_is_told_with_a_witness_and_an_order_without_gaps() {
    let directory = two_versions();
    meshsim(directory.path(), &["diff", "base", "head", "--apply-order", "--detailed-exitcode"]).code(1).stdout_eq(str![[r#"
app.default.svc.cluster.local  at app-v1.default, app-v2.default
  GET http://app.default.svc.cluster.local/api -H 'x-user: jo'
    destinations  100 % app.default.svc.cluster.local:80/v1 → 100 % app.default.svc.cluster.local:80/v2
    timeout       none → 3.000 s
    before: base/rule.yaml:7:13   after: head/rule.yaml:7:13

order of applying:
  1. apply DestinationRule default/app
  2. apply VirtualService default/app

changed: 1 class of requests

"#]]);
}

#[test]
fn what_is_written_differently_and_means_the_same_is_proven_equal() {
    let directory = two_versions();
    let renamed = RULE.replace("  - match: [{uri: {prefix: /api}}]", "  - name: api\n    match: [{uri: {regex: '/api.*'}}]");
    write(directory.path(), &[("head/rule.yaml", &renamed), ("head/subsets.yaml", SUBSETS)]);
    meshsim(directory.path(), &["diff", "base", "head", "--detailed-exitcode"]).code(0).stdout_eq(str![[r#"
nothing changes for any request or connection: proven for 2 proxies

"#]]);
}

#[test]
fn revisions_are_read_through_git() {
    let directory = TempDir::new().expect("a temporary directory can be made");
    let git = |args: &[&str]| {
        let config = ["-c", "user.name=a", "-c", "user.email=a@a.test", "-c", "init.defaultBranch=main"];
        let done = Process::new("git").current_dir(directory.path()).args(config).args(args).output().expect("git is there");
        assert!(done.status.success(), "{args:?} {done:?}");
    };
    git(&["init", "-q"]);
    write(directory.path(), &[("mesh/app.yaml", APP), ("mesh/rule.yaml", RULE), ("mesh/subsets.yaml", SUBSETS)]);
    git(&["add", "-A"]);
    git(&["commit", "-qm", "one"]);
    let (rule, subsets) = canary();
    write(directory.path(), &[("mesh/rule.yaml", &rule), ("mesh/subsets.yaml", &subsets)]);
    git(&["add", "-A"]);
    git(&["commit", "-qm", "two"]);
    meshsim(directory.path(), &["diff", "HEAD~1..HEAD", "mesh", "-o", "markdown"]).code(0).stdout_eq(str![[r#"
### What this change does to traffic

Changed: 1 class of requests.

**`app.default.svc.cluster.local`** at app-v1.default, app-v2.default

```
GET http://app.default.svc.cluster.local/api -H 'x-user: jo'
```

| | before | after |
|---|---|---|
| destinations | 100 % app.default.svc.cluster.local:80/v1 | 100 % app.default.svc.cluster.local:80/v2 |
| timeout | none | 3.000 s |

before `HEAD~1:mesh/rule.yaml:7:13`, after `HEAD:mesh/rule.yaml:7:13`

"#]]);
    meshsim(directory.path(), &["diff", "nowhere..HEAD"]).code(2).stderr_eq(str![[r#"
error: `nowhere` is no git revision

"#]]);
    meshsim(directory.path(), &["diff", "nowhere", "HEAD"]).code(2).stderr_eq(str![[r#"
error: `nowhere` is neither a file nor a git revision

"#]]);
}

#[test]
fn a_log_tells_how_much_of_the_traffic_a_change_concerns() {
    let directory = two_versions();
    let line = |path: &str, user: &str| {
        format!(
            "{{\"method\":\"GET\",\"path\":\"{path}\",\"authority\":\"app\",\"response_code\":200,\"headers\":{{\"x-user\":\"{user}\"}},\
             \"upstream_cluster\":\"outbound|80|v1|app.default.svc.cluster.local\"}}\n"
        )
    };
    let log = [line("/api", "jo"), line("/api", "ann"), line("/", "jo"), line("/api/x", "jo"), "garbage\n".to_owned()].concat();
    write(directory.path(), &[("access.log", &log)]);
    meshsim(directory.path(), &["replay", "access.log", "--before", "base", "--after", "head", "--from", "app-v1"])
        .code(0)
        .stdout_eq(str![[r#"
requests        go to
       4  100%  100 % app.default.svc.cluster.local:80/v1

4 of 4 that name a cluster went where this configuration sends them

2 requests (50.00%), such as line 1: GET app/api
    destinations  100 % app.default.svc.cluster.local:80/v1 → 100 % app.default.svc.cluster.local:80/v2
    timeout       none → 3.000 s
    before: base/rule.yaml:7:13   after: head/rule.yaml:7:13

2 of 4 requests are treated differently (50.00%); 0 would fail that did not

"#]])
        .stderr_eq(str![[r#"
access.log:5:1: warning[MSH0420] neither Envoy's or Istio's default format nor JSON

"#]]);
}

#[test]
fn files_of_one_configuration_are_no_change() {
    let directory = two_versions();
    let line = r#"{"method":"GET","path":"/api","authority":"app","response_code":200,"headers":{"x-user":"jo"}}"#;
    write(directory.path(), &[("access.log", line)]);
    let replay = |places: &[&str]| meshsim(directory.path(), &[&["replay", "access.log", "--from", "app-v1"], places].concat());
    replay(&["-f", "head/app.yaml", "-f", "head/rule.yaml", "-f", "head/subsets.yaml"]).code(0).stdout_eq(str![[r#"
requests        go to
       1  100%  100 % app.default.svc.cluster.local:80/v2

0 requests answered with an error by the proxy itself

"#]]);
    let parts = [
        "--before",
        "base/rule.yaml",
        "--before",
        "base/subsets.yaml",
        "--after",
        "head/rule.yaml",
        "--after",
        "head/subsets.yaml",
    ];
    replay(&[&["-f", "head/app.yaml"], &parts[..]].concat()).code(0).stdout_eq(str![[r#"
requests        go to
       1  100%  100 % app.default.svc.cluster.local:80/v1

1 request (100%), such as line 1: GET app/api
    destinations  100 % app.default.svc.cluster.local:80/v1 → 100 % app.default.svc.cluster.local:80/v2
    timeout       none → 3.000 s
    before: base/rule.yaml:7:13   after: head/rule.yaml:7:13

1 of 1 requests are treated differently (100%); 0 would fail that did not

"#]]);
    replay(&["--before", "base"]).code(2);
}

#[test]
fn the_mesh_configuration_counts_on_both_sides() {
    let directory = two_versions();
    let entry = |resolution: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: out}}\nspec: {{hosts: [out.test], ports: [{{number: 80, name: http, protocol: HTTP}}], resolution: {resolution}}}\n"
        )
    };
    let (before, after) = (entry("DNS"), "apiVersion: v1\nkind: Namespace\nmetadata: {name: empty}\n");
    write(
        directory.path(),
        &[("before.yaml", &before), ("after.yaml", after), ("config.yaml", "outboundTrafficPolicy: {mode: REGISTRY_ONLY}")],
    );
    let diff = |more: &[&str]| {
        let args = [&["diff", "-f", "base", "before.yaml", "after.yaml", "-o", "json"], more].concat();
        String::from_utf8(meshsim(directory.path(), &args).code(0).get_output().stdout.clone()).expect("JSON is UTF-8")
    };
    let (open, closed) = (diff(&[]), diff(&["--mesh-config", "config.yaml"]));
    assert!(open.contains("PassthroughCluster") && !closed.contains("PassthroughCluster"), "{open}\n{closed}");
}

/// What a change of one file beside the application does, in words; 1 if anything.
fn change_of(before: &str, after: &str) -> (i32, String) {
    let directory = TempDir::new().expect("a temporary directory can be made");
    write(directory.path(), &[("app.yaml", APP), ("before.yaml", before), ("after.yaml", after)]);
    let assert = meshsim(directory.path(), &["diff", "-f", "app.yaml", "before.yaml", "after.yaml", "--detailed-exitcode"]);
    let output = assert.get_output();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_limit_that_lets_in_more_is_told_by_its_figures() {
    let four = "\
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: limit}
spec:
  configPatches:
  - applyTo: HTTP_FILTER
    match: {context: SIDECAR_INBOUND}
    patch:
      operation: INSERT_FIRST
      value:
        name: envoy.filters.http.local_ratelimit
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
          token_bucket: {max_tokens: 4, tokens_per_fill: 4, fill_interval: 60s}
          filter_enabled: {default_value: {numerator: 100}}
          filter_enforced: {default_value: {numerator: 100}}
";
    let (code, text) = change_of(four, &four.replace("max_tokens: 4", "max_tokens: 9"));
    assert_eq!(code, 1);
    let told = "rate limits  inbound before tokens and policies: 4, 4 more every 60s, then 429 → inbound before tokens and policies: 9, 4 more every 60s, then 429";
    assert!(text.contains("what app-v1.default, app-v2.default lets in") && text.contains(told), "{text}");
    // A change that moves it to another place in its file is none.
    let (code, text) = change_of(four, &format!("# moved\n{four}"));
    assert_eq!(code, 0, "{text}");
}

#[test]
fn who_may_no_longer_call_what_is_told_with_a_call() {
    let policy = |name: &str, spec: &str| {
        format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n---\n"
        )
    };
    let allow = policy(
        "readers",
        "rules: [{from: [{source: {namespaces: [shop]}}], to: [{operation: {methods: [GET], paths: [/api*]}}]}, {to: [{operation: {paths: [/health]}}]}]",
    );
    let narrower = allow.replace("/api*", "/api/v1*");
    let strict =
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: own}\nspec: {mtls: {mode: STRICT}}\n";
    let (code, text) = change_of(&allow, &[narrower, strict.to_owned()].concat());
    assert_eq!(code, 1);
    snapbox::assert_data_eq!(
        text,
        str![[r#"
what app-v1.default, app-v2.default lets in
    transport let in  Permissive → Strict
  GET app.test/api to port 8080 by mutual TLS as spiffe://cluster.local/ns/shop/sa/a and 1 kind like it
    let in → denied: no rule allows it
  GET app.test/health to port 8080 in clear and 3 kinds like it
    let in → refused: no filter chain takes the connection
  GET app.test/ to port 8080 in clear and 12 kinds like it
    denied: no rule allows it → refused: no filter chain takes the connection
  bytes to port 8080 in clear
    refused: no HTTP → refused: no filter chain takes the connection
  GET app.test/ to port 8080 by TLS of the caller's own and 8 kinds like it
    refused: no filter chain takes the connection → refused: no certificate that is trusted
  GET app.test/ to port 9999 by TLS of the caller's own and 8 kinds like it
    denied: no rule allows it → refused: no certificate that is trusted

changed: 1 server side

"#]]
    );
    // The same said otherwise: other names, another order, one rule as two policies.
    let one = policy("a", "rules: [{to: [{operation: {paths: [/health]}}]}]");
    let other =
        policy("b", "rules: [{from: [{source: {namespaces: [shop]}}], to: [{operation: {paths: [/api*], methods: [GET]}}]}]");
    let (code, text) = change_of(&allow, &[other, one].concat());
    assert!(code == 0 && text.ends_with("\nnothing changes for any request or connection: proven for 2 proxies\n"), "{text}");
}

#[test]
fn a_migration_to_gateway_api_is_proven_equal_or_refuted() {
    let service = |rules: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: app}}\nspec:\n  hosts: [app]\n  http: [{rules}]\n---\n{SUBSETS}"
        )
    };
    let versions: String = ["v1", "v2"]
        .iter()
        .map(|version| format!("---\napiVersion: v1\nkind: Service\nmetadata: {{name: {version}}}\nspec: {{selector: {{version: {version}}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}\n"))
        .collect();
    let route = |rules: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: app}}\nspec:\n  parentRefs: [{{group: '', kind: Service, name: app, port: 80}}]\n  rules: [{rules}]\n{versions}"
        )
    };
    let virtual_service = |rules: &str| format!("{}{versions}", service(rules));
    let to = |host: &str| format!("route: [{{destination: {{host: {host}, port: {{number: 80}}}}}}]");
    let back = |name: &str| format!("backendRefs: [{{name: {name}, port: 80}}]");
    let rest = |rule: &str| format!("{rule}, {{{}}}", to("v2"));
    let others = |rule: &str| format!("{rule}, {{matches: [{{path: {{type: PathPrefix, value: /}}}}], {}}}", back("v2"));
    let path = |kind: &str, value: &str| format!("matches: [{{path: {{type: {kind}, value: {value}}}}}]");
    let both = "match: [{uri: {exact: /foo}}, {uri: {prefix: /foo/}}]";
    for (what, before, after, is_equal) in [
        ("segments", format!("{{{both}, {}}}", to("v1")), format!("{{{}, {}}}", path("PathPrefix", "/foo"), back("v1")), true),
        ("a prefix is no segment", format!("{{match: [{{uri: {{prefix: /foo}}}}], {}}}", to("v1")), format!("{{{}, {}}}", path("PathPrefix", "/foo"), back("v1")), false),
        ("exact", format!("{{match: [{{uri: {{exact: /foo}}}}], {}}}", to("v1")), format!("{{{}, {}}}", path("Exact", "/foo"), back("v1")), true),
        ("header", format!("{{match: [{{headers: {{x-a: {{exact: b}}}}}}], {}}}", to("v1")), format!("{{matches: [{{path: {{type: PathPrefix, value: /}}, headers: [{{name: X-A, value: b}}]}}], {}}}", back("v1")), true),
        ("another header", format!("{{match: [{{headers: {{x-a: {{exact: b}}}}}}], {}}}", to("v1")), format!("{{matches: [{{path: {{type: PathPrefix, value: /}}, headers: [{{name: X-A, value: B}}]}}], {}}}", back("v1")), false),
        ("weights", "{match: [{uri: {exact: /foo}}], route: [{destination: {host: v1, port: {number: 80}}, weight: 25}, {destination: {host: v2, port: {number: 80}}, weight: 75}]}".to_owned(), format!("{{{}, backendRefs: [{{name: v1, port: 80, weight: 1}}, {{name: v2, port: 80, weight: 3}}]}}", path("Exact", "/foo")), true),
        ("other weights", "{match: [{uri: {exact: /foo}}], route: [{destination: {host: v1, port: {number: 80}}, weight: 30}, {destination: {host: v2, port: {number: 80}}, weight: 70}]}".to_owned(), format!("{{{}, backendRefs: [{{name: v1, port: 80, weight: 1}}, {{name: v2, port: 80, weight: 3}}]}}", path("Exact", "/foo")), false),
        ("timeout", format!("{{match: [{{uri: {{exact: /foo}}}}], timeout: 2s, {}}}", to("v1")), format!("{{{}, timeouts: {{request: 2s}}, {}}}", path("Exact", "/foo"), back("v1")), true),
        ("no timeout", format!("{{match: [{{uri: {{exact: /foo}}}}], timeout: 2s, {}}}", to("v1")), format!("{{{}, {}}}", path("Exact", "/foo"), back("v1")), false),
        ("redirect", "{match: [{uri: {exact: /foo}}], redirect: {authority: new.test, uri: /bar, scheme: https, redirectCode: 302}}".to_owned(), format!("{{{}, filters: [{{type: RequestRedirect, requestRedirect: {{scheme: https, hostname: new.test, path: {{type: ReplaceFullPath, replaceFullPath: /bar}}, statusCode: 302}}}}]}}", path("Exact", "/foo")), true),
        ("another status", "{match: [{uri: {exact: /foo}}], redirect: {authority: new.test, scheme: https}}".to_owned(), format!("{{{}, filters: [{{type: RequestRedirect, requestRedirect: {{scheme: https, hostname: new.test}}}}]}}", path("Exact", "/foo")), false),
        ("a rewritten path", format!("{{match: [{{uri: {{exact: /foo}}}}], rewrite: {{uri: /bar}}, {}}}", to("v1")), format!("{{{}, filters: [{{type: URLRewrite, urlRewrite: {{path: {{type: ReplaceFullPath, replaceFullPath: /bar}}}}}}], {}}}", path("Exact", "/foo"), back("v1")), true),
        ("a rewritten prefix", format!("{{{both}, rewrite: {{uri: /bar}}, {}}}", to("v1")), format!("{{{}, filters: [{{type: URLRewrite, urlRewrite: {{path: {{type: ReplacePrefixMatch, replacePrefixMatch: /bar}}}}}}], {}}}", path("PathPrefix", "/foo"), back("v1")), false),
        ("a rewritten prefix, each with its slash", format!("{{match: [{{uri: {{exact: /foo}}}}], rewrite: {{uri: /bar}}, {0}}}, {{match: [{{uri: {{prefix: /foo/}}}}], rewrite: {{uri: /bar/}}, {0}}}", to("v1")), format!("{{{}, filters: [{{type: URLRewrite, urlRewrite: {{path: {{type: ReplacePrefixMatch, replacePrefixMatch: /bar}}}}}}], {}}}", path("PathPrefix", "/foo"), back("v1")), true),
        (
            "a removed prefix",
            format!(
                "{{match: [{{uri: {{exact: /foo}}}}, {{uri: {{prefix: /foo/}}}}], rewrite: {{uri: /}}, {}}}",
                to("v1")
            ),
            format!(
                "{{{}, filters: [{{type: URLRewrite, urlRewrite: {{path: {{type: ReplacePrefixMatch, replacePrefixMatch: /}}}}}}], {}}}",
                path("PathPrefix", "/foo"),
                back("v1")
            ),
            true,
        ),
        ("a rewritten authority", format!("{{match: [{{uri: {{exact: /foo}}}}], rewrite: {{authority: new.test}}, {}}}", to("v1")), format!("{{{}, filters: [{{type: URLRewrite, urlRewrite: {{hostname: new.test}}}}], {}}}", path("Exact", "/foo"), back("v1")), true),
    ] {
        let (code, text) = change_of(&virtual_service(&rest(&before)), &route(&others(&after)));
        assert_eq!(code, i32::from(!is_equal), "{what}\n{text}");
        assert!(!text.contains("not decided"), "{what}\n{text}");
    }
}

#[test]
fn an_order_is_found_for_more_objects_than_can_be_tried_in_every_order() {
    let directory = TempDir::new().expect("a temporary directory can be made");
    let hosts: Vec<String> = (0..12).map(|at| format!("app{at}.test")).collect();
    let entry = |host: &String| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {0}}}\nspec: {{hosts: [{0}], ports: [{{number: 80, name: http, protocol: HTTP}}], resolution: DNS}}\n---\n",
            host
        )
    };
    let rules = |host: &String| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {host}}}\nspec: {{hosts: [{host}], http: [{{route: [{{destination: {{host: {host}, subset: v1}}}}]}}]}}\n---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {host}}}\nspec: {{host: {host}, subsets: [{{name: v1}}]}}\n---\n"
        )
    };
    let before: String = hosts.iter().map(entry).collect();
    let after: String = [before.clone(), hosts.iter().map(rules).collect()].concat();
    write(directory.path(), &[("app.yaml", APP), ("before.yaml", &before), ("after.yaml", &after)]);
    let assert =
        meshsim(directory.path(), &["diff", "-f", "app.yaml", "before.yaml", "after.yaml", "--apply-order", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&assert.code(0).get_output().stdout).expect("it is JSON");
    let steps = json["order"].as_array().expect("an order was found");
    assert_eq!(steps.len(), 24, "{json:#}");
    assert!(steps.iter().all(|step| step["windows"].as_array().is_none_or(Vec::is_empty)), "{json:#}");
    assert!(steps[..12].iter().all(|step| step.to_string().contains("DestinationRule")), "{json:#}");
}

#[test]
fn invariants_are_proven_or_refuted_with_a_request() {
    let directory = two_versions();
    let invariants = "\
# What must always hold
host app always reaches app/v1 unless header x-user is jo
host app always reaches subset v1
requests to /api never leave namespace default
requests never fail
";
    write(directory.path(), &[("invariants.txt", invariants)]);
    meshsim(directory.path(), &["prove", "-f", "head", "invariants.txt"]).code(1).stdout_eq(str![[r#"
proven  host app always reaches app/v1 unless header x-user is jo  at 2 proxies
REFUTED  host app always reaches subset v1  invariants.txt:3:1
    GET http://app.default.svc.cluster.local/api -H 'x-user: jo' from app-v1.default
      reaches app.default.svc.cluster.local:80/v2  head/rule.yaml:7:13
proven  requests to /api never leave namespace default  at 2 proxies
proven  requests never fail  at 2 proxies

4 invariants: 3 proven, 1 refuted, 0 not decided

"#]]);
    meshsim(directory.path(), &["prove", "-f", "head", "-e", "requests to api never fail"]).code(2).stderr_eq(str![[r#"
error[MSH0421]: `api`: a path begins with `/`
 --> -e:1:13
  |
1 | requests to api never fail
  |             ^^^


"#]]);
}
