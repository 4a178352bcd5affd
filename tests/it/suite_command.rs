//! `meshsim test` from the outside: verdicts, formats of others, coverage, mutants, corrections.

use std::fs;

use snapbox::str;
use tempfile::TempDir;

use crate::support::app::{APP, meshsim, write};

const RULES: &str = "\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: app}
spec: {host: app, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: app}
spec:
  hosts: [app]
  http:
  - match: [{uri: {prefix: /old}}]
    redirect: {uri: /new}
  - match: [{uri: {prefix: /api}, headers: {x-user: {exact: jo}}}]
    route: [{destination: {host: app, subset: v2}}]
    timeout: 3s
    retries: {attempts: 4, perTryTimeout: 1s}
    rewrite: {uri: /}
  - route:
    - destination: {host: app, subset: v1}
      weight: 90
    - destination: {host: app, subset: v2}
      weight: 10
    fault: {abort: {httpStatus: 418, percentage: {value: 25}}}
";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let directory = TempDir::new().expect("a temporary directory can be made");
    write(directory.path(), &[("mesh.yaml", &format!("{APP}---\n{RULES}"))]);
    write(directory.path(), files);
    directory
}

const TESTS: &str = "\
from: app-v1
tests:
- name: the path
  request: {url: 'http://app/old/x'}
  expect: {status: 301, location: http://app/new}
- name: jo
  request: {url: 'http://app/api/x?q', headers: {x-user: jo}}
  expect:
    destinations: app/v2
    timeout: 3s
    retries: {attempts: 4, perTryTimeout: 1s}
    upstream: {path: '//x?q', authority: app, headers: {x-user: jo, x-other: null}}
    never: [app/v1, '*.ops']
- name: others
  request: {url: 'http://app/'}
  combinations: {method: [GET, POST], path: [/, /api]}
  expect:
    destinations: {app/v1: 90%, app/v2: 10%}
    sample: 500
    status: {'200': 75%, '418': 25%}
    fault: {abort: 418, abortShare: 25%}
    sameAs: {path: /elsewhere, headers: {x-user: somebody}}
";

#[test]
fn what_was_promised_holds_and_every_part_of_the_rules_is_spoken_about() {
    let folder = folder(&[("app.test.yaml", TESTS)]);
    meshsim(folder.path(), &["test", ".", "--coverage", "--mutate"]).code(0).stdout_eq(str![[r#"
6 tests: 6 passed

COVERAGE     covered  of
rule               3   3  100%
condition          3   3  100%
destination        3   3  100%
fault              1   1  100%
retries            1   1  100%
all               11  11  100%

24 mutants: 23 noticed, 0 survived, 1 without effect

"#]]);
}

#[test]
fn coverage_and_mutants_are_part_of_the_json() {
    let tests = "from: app-v1\ntests:\n- {name: old, request: {url: 'http://app/old'}, expect: {status: 301}}\n";
    let folder = folder(&[("app.test.yaml", tests)]);
    let assert = meshsim(folder.path(), &["test", ".", "--coverage", "--mutate", "-o", "json"]).code(1).stderr_eq("");
    let json: serde_json::Value = serde_json::from_slice(&assert.get_output().stdout).expect("it is JSON");
    let count = |list: &str, key: &str, value: serde_json::Value| {
        json[list].as_array().expect("it is a list").iter().filter(|item| item[key] == value).count()
    };
    assert_eq!((count("coverage", "covered", true.into()), count("coverage", "covered", false.into())), (1, 10), "{json:#}");
    assert!(count("mutants", "fate", "noticed".into()) > 0 && count("mutants", "fate", "survived".into()) > 0, "{json:#}");
}

#[test]
fn what_does_not_hold_is_told_with_its_place_and_can_be_brought_up_to_date() {
    let tests = "\
from: app-v1
tests:
- name: wrong
  request: {url: 'http://app/api', headers: {x-user: jo}}
  expect:
    status: 404
    destinations: {app/v1: 100%}
    timeout: none
    route: x
- name: right
  request: {url: 'http://app/old'}
  expect: {status: 301}
- name: one for another
  request: {url: 'http://app/api', headers: {x-user: jo}}
  expect: {destinations: app/v1}
";
    let folder = folder(&[("app.test.yaml", tests)]);
    meshsim(folder.path(), &["test", "-f", "mesh.yaml", "app.test.yaml"]).code(1).stdout_eq(str![[r#"
FAIL  wrong  app.test.yaml:3:3
      destinations: expected 100 % to `app/v1`, got 0 % (100 % app.default.svc.cluster.local:80/v2)  app.test.yaml:7:28
      destinations: expected no other destination, got 100 % to app.default.svc.cluster.local:80/v2  app.test.yaml:7:19
      status: expected 100 % 404, got 100 % 200  app.test.yaml:6:13
      route: expected x, got nothing  app.test.yaml:9:12
      timeout: expected none, got 3s  app.test.yaml:8:14
      taken by the rule at mesh.yaml:29:13
FAIL  one for another  app.test.yaml:13:3
      destinations: expected `app/v1`, got app.default.svc.cluster.local:80/v2  app.test.yaml:15:26
      taken by the rule at mesh.yaml:29:13

3 tests: 1 passed, 2 failed

"#]]);
    meshsim(folder.path(), &["test", "-f", "mesh.yaml", "app.test.yaml", "--fail-fast", "-o", "junit"]).code(1).stdout_eq(str![
        [r#"
<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="meshsim" tests="1" failures="1">
  <testsuite name="app.test.yaml" tests="1" failures="1">
    <testcase name="wrong" classname="app.test.yaml" file="app.test.yaml" line="3">
      <failure message="destinations">[..]</failure>
    </testcase>
  </testsuite>
</testsuites>

"#]
    ]);
    meshsim(folder.path(), &["test", "-f", "mesh.yaml", "app.test.yaml", "--update"]).code(1);
    let updated = fs::read_to_string(folder.path().join("app.test.yaml")).expect("the file is still there");
    let one = "  expect: {destinations: \"app.default.svc.cluster.local:80/v2\"}";
    for line in ["    status: 200", "    timeout: 3s", "    destinations: {app/v1: 0%}", one] {
        assert!(updated.contains(line), "{line} in\n{updated}");
    }
}

#[test]
fn tests_that_cannot_be_are_named_with_their_places() {
    let tests = "\
tests:
- request: {url: 'ftp://app'}
  expect: {status: 200}
- request: {url: 'http://app'}
- request: {url: 'http://app'}
  expect: {statsu: 200}
- request: {path: /}
  expect: {status: 200}
";
    let folder = folder(&[("app.test.yaml", tests)]);
    meshsim(folder.path(), &["test", ".", "--color", "never"]).code(1).stderr_eq(str![[r#"
...
error[MSH0103]: unknown field `tests[2].expect.statsu`
...
  = help: did you mean `status`?
...
error[MSH0410]: `ftp://app`: write `http://host:port/path`, or `tcp://host:port` for a connection without HTTP
...
error[MSH0410]: the test expects nothing, so it could not fail
...
error[MSH0410]: the request needs a `url`
...
"#]]);
}

#[test]
fn tests_of_istio_config_validator_run_unchanged() {
    let tests = "\
testCases:
- description: jo
  wantMatch: true
  request: {authority: [app], method: [GET, PUT], uri: [/api, '/api/v1?x'], headers: {x-user: jo}}
  route: [{destination: {host: app, subset: v2}}]
  rewrite: {uri: /}
- description: absent means other
  request: {authority: [app], method: [GET], uri: [/api]}
  route: [{destination: {host: app, subset: v2}}]
- description: a redirect has no destinations
  wantMatch: true
  request: {authority: [app.default.svc.cluster.local], method: [GET], uri: [/old]}
  redirect: {uri: /new}
- description: weights
  wantMatch: true
  request: {authority: [app], method: [GET], uri: [/]}
  route: [{destination: {host: app, subset: v1}, weight: 90}, {destination: {host: app, subset: v2}, weight: 11}]
";
    let folder = folder(&[("validator.yaml", tests)]);
    meshsim(folder.path(), &["test", "."]).code(1).stdout_eq(str![[r#"
FAIL  weights: GET app/  validator.yaml:14:3
      route: expected [{"destination":{"host":"app","subset":"v1"},"weight":90},{"destination":{"host":"app","subset":"v2"},"weight":11}], got [{"destination":{"host":"app","subset":"v1"},"weight":90},{"destination":{"host":"app","subset":"v2"},"weight":10}]  validator.yaml:17:11
      taken by the rule at mesh.yaml:34:5

7 tests: 6 passed, 1 failed

"#]]);
}

#[test]
fn tests_of_router_check_tool_run_unchanged() {
    let tests = r#"{"tests": [
  {"test_name": "rewrite", "input": {"authority": "app", "path": "/api/x?y", "method": "GET", "additional_request_headers": [{"key": "x-user", "value": "jo"}]},
   "validate": {"cluster_name": "outbound|80|v2|app.default.svc.cluster.local", "path_rewrite": "//x?y", "host_rewrite": "app",
     "virtual_host_name": "app.default.svc.cluster.local:80", "virtual_cluster_name": "", "path_redirect": "",
     "request_header_matches": [{"name": "x-user", "string_match": {"prefix": "j"}}, {"name": "x-none", "present_match": false}]}},
  {"test_name": "redirect", "input": {"authority": "app", "path": "/old", "method": "GET", "ssl": true},
   "validate": {"path_redirect": "https://app/new", "cluster_name": ""}},
  {"test_name": "first", "input": {"authority": "app", "path": "/", "method": "GET", "random_value": 89},
   "validate": {"cluster_name": "outbound|80|v1|app.default.svc.cluster.local"}},
  {"test_name": "second", "input": {"authority": "app", "path": "/", "method": "GET", "random_value": 190},
   "validate": {"cluster_name": "outbound|80|v1|app.default.svc.cluster.local"}}
]}"#;
    let folder = folder(&[("router.json", tests)]);
    meshsim(folder.path(), &["test", "."]).code(1).stdout_eq(str![[r#"
FAIL  second  router.json:10:3
      cluster_name: expected outbound|80|v1|app.default.svc.cluster.local, got outbound|80|v2|app.default.svc.cluster.local  router.json:11:33
      taken by the rule at mesh.yaml:34:5

4 tests: 3 passed, 1 failed

"#]]);
}

const ROUTE_CONFIGURATION: &str = r#"
name: shop
virtualHosts:
- name: shop
  domains: [shop.test, '*.shop.test']
  requireTls: EXTERNAL_ONLY
  virtualClusters:
  - {name: buy, headers: [{name: ':path', stringMatch: {prefix: /cart}}, {name: ':method', stringMatch: {exact: POST}}]}
  requestHeadersToAdd:
  - {header: {key: x-tier, value: host}, appendAction: ADD_IF_ABSENT}
  routes:
  - name: trial
    match: {prefix: /, runtimeFraction: {runtimeKey: trial, defaultValue: {numerator: 250, denominator: TEN_THOUSAND}}}
    route: {cluster: trial}
  - match: {path: /cart, caseSensitive: false, headers: [{name: x-age, rangeMatch: {start: '18', end: '100'}}]}
    route: {cluster: adults, prefixRewrite: /basket, hostRewriteLiteral: cart.internal, timeout: 2.5s}
    requestHeadersToAdd: [{header: {key: X-Tier, value: '%REQ(x-age)%'}}]
  - match: {pathSeparatedPrefix: /cart}
    route:
      weightedClusters:
        clusters:
        - {name: one, weight: 1, responseHeadersToAdd: [{header: {key: x-from, value: one}, appendAction: OVERWRITE_IF_EXISTS_OR_ADD}]}
        - {name: two, weight: 3}
  - match: {pathMatchPolicy: {typedConfig: {pathTemplate: '/items/{id}/{rest=**}'}}}
    route: {clusterHeader: x-shard, pathRewritePolicy: {typedConfig: {pathTemplateRewrite: '/{rest}/of/{id}'}}, hostRewriteHeader: x-host}
  - match: {prefix: /old, queryParameters: [{name: page, stringMatch: {safeRegex: {regex: '[0-9]+'}}}]}
    redirect: {prefixRewrite: /new, portRedirect: 8443, schemeRedirect: https, stripQuery: true, responseCode: PERMANENT_REDIRECT}
  - match: {prefix: /secret, tlsContext: {presented: true}}
    route: {cluster: secret}
  - match: {prefix: /ping}
    directResponse: {status: 418, body: {inlineString: tea}}
  - match: {prefix: /, dynamicMetadata: [{filter: own.auth, path: [{key: user}, {key: role}], value: {stringMatch: {exact: admin}}}]}
    route: {cluster: admin}
"#;

#[test]
fn tests_of_router_check_tool_run_on_a_route_configuration() {
    let test = |name: &str, path: &str, more: &str, validate: &str| {
        format!(
            "- {{test_name: {name}, input: {{authority: a.shop.test, ssl: true, method: POST, path: '{path}'{more}}}, validate: {{{validate}}}}}\n"
        )
    };
    let header = |name: &str, value: &str| format!(", additional_request_headers: [{{key: {name}, value: '{value}'}}]");
    let (age, shard) =
        (header("x-age", "18"), ", additional_request_headers: [{key: x-shard, value: s7}, {key: X-Host, value: h7}]");
    let role = |role: &str| format!(", dynamic_metadata: [{{metadata_namespace: own.auth, value: {{user: {{role: {role}}}}}}}]");
    let tests: String = [
        "tests:\n".to_owned(),
        test("share", "/cart", ", runtime: trial, random_value: '249'", "cluster_name: trial, virtual_host_name: shop, virtual_cluster_name: buy"),
        test("above the share", "/cart", ", runtime: trial, random_value: 250", "cluster_name: two"),
        test("rewritten and so of no kind", "/CART?q", &age, "cluster_name: adults, path_rewrite: '/basket?q', host_rewrite: cart.internal, timeout: 2.500s, virtual_cluster_name: other, request_header_matches: [{name: x-tier, string_match: {exact: '18'}}, {name: x-envoy-original-path, string_match: {exact: '/CART?q'}}]"),
        test("too young", "/cart/7", &header("x-age", "17"), "cluster_name: one, response_header_matches: [{name: x-from, string_match: {exact: one}}], request_header_matches: [{name: x-tier, string_match: {exact: host}}]"),
        test("three quarters", "/cart/7", ", random_value: 7", "cluster_name: two, response_header_matches: [{name: x-from, present_match: false}]"),
        test("a word that only begins so", "/cartoon", "", "cluster_name: ''"),
        test("template", "/items/7/a/b?q", shard, "cluster_name: s7, path_rewrite: '/a/b/of/7?q', host_rewrite: h7"),
        test("redirect", "/old/x?page=3", "", "path_redirect: 'https://a.shop.test:8443/new/x', code_redirect: 308, cluster_name: '', virtual_host_name: ''"),
        test("answer", "/ping", "", "path_redirect: 'https://a.shop.test/ping', code_redirect: 418, response_header_matches: [{name: content-length, range_match: {start: 3, end: 4}}]"),
        test("admin", "/", &role("admin"), "cluster_name: admin"),
        test("nobody", "/", &role("guest"), "cluster_name: '', path_rewrite: ''"),
        test("certificate", "/secret", "", "cluster_name: secret"),
        test("wrong", "/ping", "", "code_redirect: 200"),
        "- {test_name: outside, input: {authority: SHOP.test, method: GET, path: /}, validate: {path_redirect: 'https://SHOP.test/', code_redirect: 301}}\n".to_owned(),
        "- {test_name: inside, input: {authority: shop.test, method: GET, path: /ping, internal: true}, validate: {code_redirect: 418}}\n".to_owned(),
    ]
    .concat();
    let folder = folder(&[("routes.yaml", ROUTE_CONFIGURATION), ("golden.yaml", &tests)]);
    let run = |more: &[&str]| meshsim(folder.path(), &[&["test", "--route-config", "routes.yaml", "golden.yaml"], more].concat());
    run(&["--coverage"])
        .code(1)
        .stdout_eq(str![[r#"
not judged  certificate  golden.yaml:13:3
      a condition on the client's certificate is not modelled  routes.yaml:28:42
FAIL  wrong  golden.yaml:14:3
      code_redirect: expected 200, got 418  golden.yaml:14:121
      taken by the rule at routes.yaml:30:5

15 tests: 13 passed, 1 failed, 1 not judged

not covered  condition: no test fails because of it alone  routes.yaml:26:45
not covered  rule: no test takes it  routes.yaml:28:5
not covered  condition: no test meets it  routes.yaml:28:21
not covered  destination: no test that takes its rule speaks about it  routes.yaml:29:12

COVERAGE     covered  of
rule               7   8  87.50%
condition          6   8  75.00%
destination        6   7  85.71%
all               19  23  82.61%

no claim holds about a route of virtual host shop  routes.yaml:28:5
route coverage 88.88% of 9 routes and weighted clusters; 51.11% of all their fields

"#]])
        .stderr_eq(str![[r#"
warning[MSH0501]: a condition on the client's certificate is not modelled; tests whose request comes to it are not judged
  --> routes.yaml:28:42
   |
28 |   - match: {prefix: /secret, tlsContext: {presented: true}}
   |                                          ^^^^^^^^^^^^^^^^^


"#]]);
    run(&["--filter", "share", "--coverage-threshold", "30"]).code(1);
    run(&["--filter", "share", "--coverage-threshold", "10"]).code(0);
    let text = "tests { test_name: 'text' input { authority: 'shop.test' path: '/ping' method: 'GET' internal: true } validate { code_redirect { value: 418 } } }";
    write(folder.path(), &[("golden.pb_text", text), ("wrong.pb_text", "tests {")]);
    meshsim(folder.path(), &["test", "--route-config", "routes.yaml", "golden.pb_text"]).code(0);
    meshsim(folder.path(), &["test", "--route-config", "routes.yaml", "wrong.pb_text"]).code(1);
    for (configuration, code) in [
        ("", 2),
        ("virtual_hosts: [{name: a, domains: ['*'], routes: [{match: {prefix: /}}]}]", 1),
        (
            "virtual_hosts: [{name: a, domains: ['*'], routes: [{match: {prefix: /}, route: {weighted_clusters: {clusters: []}}}]}]",
            1,
        ),
        (
            "virtual_hosts: [{name: a, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: a, timeout: {seconds: 99999999999}}}]}]",
            1,
        ),
    ] {
        write(folder.path(), &[("routes.yaml", configuration)]);
        let stderr = String::from_utf8_lossy(&run(&[]).code(code).get_output().stderr).into_owned();
        assert!(stderr.contains("error"), "{configuration}\n{stderr}");
    }
    let twice = ROUTE_CONFIGURATION.replace("'*.shop.test'", "Shop.test").replace("[0-9]+", "(");
    write(folder.path(), &[("routes.yaml", &twice)]);
    run(&[]).code(1).stderr_eq(str![[r#"
error[MSH0410]: domain `shop.test` is there twice; Envoy refuses the configuration
 --> routes.yaml:5:24
  |
5 |   domains: [shop.test, Shop.test]
  |                        ^^^^^^^^^

error[MSH0410]: `(`: missing `)`; Envoy refuses the configuration
  --> routes.yaml:26:91
   |
26 |   - match: {prefix: /old, queryParameters: [{name: page, stringMatch: {safeRegex: {regex: '('}}}]}
   |                                                                                           ^^^

warning[MSH0501]: a condition on the client's certificate is not modelled; tests whose request comes to it are not judged
  --> routes.yaml:28:42
   |
28 |   - match: {prefix: /secret, tlsContext: {presented: true}}
   |                                          ^^^^^^^^^^^^^^^^^


"#]]);
}

#[test]
fn the_mesh_configuration_counts_in_tests_too() {
    const MESH: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: default, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: sleep}
spec:
  selector: {matchLabels: {app: sleep}}
  template: {metadata: {labels: {app: sleep}}, spec: {containers: [{name: sleep, image: curl}]}}
";
    const TEST: &str = "
mesh: [mesh.yaml]
from: sleep
tests:
- name: what nobody registered is blocked
  request: {url: 'http://elsewhere.test/'}
  expect: {status: 502}
";
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in
        [("mesh.yaml", MESH), ("egress.test.yaml", TEST), ("config.yaml", "outboundTrafficPolicy: {mode: REGISTRY_ONLY}")]
    {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    meshsim(folder.path(), &["test", "egress.test.yaml"]).code(1);
    meshsim(folder.path(), &["test", "egress.test.yaml", "--mesh-config", "config.yaml"]).code(0);
    meshsim(folder.path(), &["test", "egress.test.yaml", "--scenario", "."]).code(2);
}
