//! Rate limits that EnvoyFilters set up: what they count, where, and how they turn requests away.

use crate::engine_phases::MESH;
use crate::stage_play::Play;
use meshsim::record::RunReport;

const TYPE: &str = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";

/// A patch that adds a filter with this `typed_config`, beside another one if it is named.
fn filter(context: &str, beside: &str, operation: &str, name: &str, config: &str) -> String {
    let inner = if beside.is_empty() { String::new() } else { format!(", subFilter: {{name: {beside}}}") };
    format!(
        "{{applyTo: HTTP_FILTER, match: {{context: {context}, listener: {{filterChain: {{filter: {{name: envoy.filters.network.http_connection_manager{inner}}}}}}}}}, patch: {{operation: {operation}, value: {{name: envoy.filters.http.{name}, typed_config: {config}}}}}}}"
    )
}

/// A local limit at the server side of a sidecar.
fn local(config: &str) -> String {
    filter("SIDECAR_INBOUND", "", "INSERT_BEFORE", "local_ratelimit", &typed(config))
}

fn typed(config: &str) -> String {
    format!("{{'@type': type.googleapis.com/udpa.type.v1.TypedStruct, type_url: {TYPE}, value: {{stat_prefix: x, {config}}}}}")
}

fn bucket(tokens: u32) -> String {
    format!("{{max_tokens: {tokens}, tokens_per_fill: {tokens}, fill_interval: 60s}}")
}

const ON: &str =
    "filter_enabled: {default_value: {numerator: 100}}, filter_enforced: {default_value: {numerator: 100, denominator: HUNDRED}}";

/// An EnvoyFilter for the pods with this label.
fn patches(app: &str, patches: &[String]) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {{name: {app}}}\nspec: {{workloadSelector: {{labels: {{app: {app}}}}}, configPatches: [{}]}}\n",
        patches.join(", ")
    )
}

/// Ten requests of `front` to `back`, two seconds apart, with fields of their own.
fn run(request: &str, objects: &str) -> RunReport {
    let scenario = format!(
        "mesh: [mesh.yaml]\nclients:\n- name: c\n  from: front\n  request: {{url: 'http://back/a?x=1'{request}}}\n  traffic: {{rate: 30/m, requests: 10}}\n"
    );
    // One pod: each has buckets of its own.
    let mesh = MESH.replace("metadata: {name: back-v2}\nspec:\n", "metadata: {name: back-v2}\nspec:\n  replicas: 0\n");
    Play::of(&scenario, &[("mesh.yaml", &format!("{mesh}{objects}"))]).run()
}

/// Status, flags and how often, as clients saw it.
fn seen(report: &RunReport) -> Vec<(u16, String, u64)> {
    let outcomes = report.clients.iter().flat_map(|group| &group.outcomes);
    let count = |o: &meshsim::record::OutcomeTally| o.latency.buckets.iter().map(|(_, count)| *count).sum();
    let mut seen: Vec<(u16, String, u64)> = outcomes.map(|o| (o.status, o.flags.clone(), count(o))).collect();
    seen.sort();
    seen
}

fn of(status: u16, flags: &str, count: u64) -> (u16, String, u64) {
    (status, flags.to_owned(), count)
}

/// Each request is 2 s after the one before; a token of a bucket of 3 in a minute comes back in 20 s.
#[test]
fn a_bucket_lets_in_what_it_holds() {
    let three = format!("token_bucket: {}, {ON}", bucket(3));
    for (config, expected) in [
        (three.clone(), vec![of(200, "", 3), of(429, "", 7)]),
        (format!("{three}, status: {{code: 503}}"), vec![of(200, "", 3), of(503, "", 7)]),
        (format!("{three}, status: {{code: TooManyRequests}}"), vec![of(200, "", 3), of(429, "", 7)]),
        // Nothing is enabled by itself, and what is enabled only counts.
        (format!("token_bucket: {}", bucket(3)), vec![of(200, "", 10)]),
        (format!("token_bucket: {}, filter_enabled: {{default_value: {{numerator: 100}}}}", bucket(3)), vec![of(200, "", 10)]),
        ("token_bucket: {max_tokens: 3, tokens_per_fill: 3, fill_interval: 6s}, ".to_owned() + ON, vec![of(200, "", 10)]),
        (ON.to_owned(), vec![of(200, "", 10)]),
    ] {
        assert_eq!(seen(&run("", &patches("back", &[local(&config)]))), expected, "{config}");
    }
}

/// Of five in a minute one comes back while the ten are sent.
#[test]
fn a_route_may_say_something_else() {
    let own = |typed: &str| format!("typed_per_filter_config: {{envoy.filters.http.local_ratelimit: {typed}}}");
    let merge = |apply: &str, context: &str, host: &str, value: &str| {
        format!(
            "{{applyTo: {apply}, match: {{context: {context}, routeConfiguration: {{vhost: {{name: '{host}', route: {{action: ANY}}}}}}}}, patch: {{operation: MERGE, value: {{{value}}}}}}}"
        )
    };
    let two = own(&typed(&format!("token_bucket: {}, {ON}", bucket(2))));
    let bare = local("");
    let descriptor = |path: &str| {
        local(&format!(
            "token_bucket: {}, descriptors: [{{entries: [{{key: PATH, value: '{path}'}}], token_bucket: {}}}], {ON}",
            bucket(5),
            bucket(1)
        ))
    };
    let actions = "rate_limits: [{actions: [{request_headers: {header_name: ':path', descriptor_key: PATH}}]}]";
    for (name, all, let_in) in [
        ("its port", vec![bare.clone(), merge("HTTP_ROUTE", "SIDECAR_INBOUND", "inbound|http|8080", &two)], 2),
        ("another port", vec![bare.clone(), merge("HTTP_ROUTE", "SIDECAR_INBOUND", "inbound|http|9080", &two)], 10),
        ("another side", vec![bare.clone(), merge("HTTP_ROUTE", "SIDECAR_OUTBOUND", "inbound|http|8080", &two)], 10),
        ("its virtual host", vec![bare, merge("VIRTUAL_HOST", "SIDECAR_INBOUND", "inbound|http|8080", &two)], 2),
        ("without a filter", vec![merge("HTTP_ROUTE", "SIDECAR_INBOUND", "inbound|http|8080", &two)], 10),
        ("a descriptor", vec![descriptor("/a?x=1"), merge("VIRTUAL_HOST", "SIDECAR_INBOUND", "", actions)], 1),
        ("another value", vec![descriptor("/a"), merge("VIRTUAL_HOST", "SIDECAR_INBOUND", "", actions)], 6),
        ("nobody describes", vec![descriptor("/a?x=1")], 6),
    ] {
        let report = run("", &patches("back", &all));
        let passed: u64 = seen(&report).iter().filter(|(status, ..)| *status == 200).map(|(.., count)| count).sum();
        assert_eq!(passed, let_in, "{name}");
    }
}

#[test]
fn a_caller_may_limit_itself_and_is_told_so() {
    let config = typed(&format!("token_bucket: {}, {ON}", bucket(3)));
    let by_caller = filter("SIDECAR_OUTBOUND", "envoy.filters.http.router", "INSERT_BEFORE", "local_ratelimit", &config);
    let report = run("", &patches("front", std::slice::from_ref(&by_caller)));
    assert_eq!(seen(&report), [of(200, "", 3), of(429, "RL", 7)]);
    let grpc = ", headers: {content-type: application/grpc}";
    assert_eq!(seen(&run(grpc, &patches("front", &[by_caller]))), [of(200, "", 3), of(200, "RL", 7)]);
    let by_server = local(&format!("token_bucket: {}, {ON}", bucket(3)));
    // What gRPC calls unavailable is tried again by default.
    assert_eq!(seen(&run(grpc, &patches("back", &[by_server]))), [of(200, "", 3), of(200, "URX", 7)]);
}

/// Whether strangers use up the tokens depends on who is asked first.
#[test]
fn the_place_in_the_chain_decides_what_is_counted() {
    let config = typed(&format!("token_bucket: {}, {ON}", bucket(3)));
    let denied = "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p}\nspec: {selector: {matchLabels: {app: back}}, action: DENY, rules: [{}]}\n";
    let place = |beside: &str, operation: &str| {
        let objects = patches("back", &[filter("SIDECAR_INBOUND", beside, operation, "local_ratelimit", &config)]);
        seen(&run("", &format!("{objects}{denied}")))
    };
    let first = vec![of(403, "", 3), of(429, "", 7)];
    let later = vec![of(403, "", 10)];
    assert_eq!(place("", "INSERT_BEFORE"), first);
    assert_eq!(place("envoy.filters.http.rbac", "INSERT_BEFORE"), first);
    assert_eq!(place("envoy.filters.http.rbac", "INSERT_AFTER"), later);
    assert_eq!(place("envoy.filters.http.router", "INSERT_BEFORE"), later);
    // A filter beside one that is not there goes nowhere.
    assert_eq!(place("envoy.filters.http.jwt_authn", "INSERT_BEFORE"), later);
}

#[test]
fn a_limited_answer_is_retried_if_its_status_is() {
    let rule = "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: back}\nspec: {hosts: [back], http: [{route: [{destination: {host: back}}], retries: {attempts: 1, retryOn: '429'}}]}\n";
    let objects = patches("back", &[local(&format!("token_bucket: {}, {ON}", bucket(3)))]);
    assert_eq!(seen(&run("", &format!("{objects}{rule}"))), [of(200, "", 3), of(429, "URX", 7)]);
}

#[test]
fn what_is_not_modelled_of_an_envoy_filter_is_said() {
    let lua = "{applyTo: HTTP_FILTER, match: {context: SIDECAR_INBOUND}, patch: {operation: INSERT_FIRST, value: {name: lua, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua}}}}".to_owned();
    let known = local(&format!("token_bucket: {}, {ON}", bucket(3)));
    let partly = local(&format!("token_bucket: {}, stage: 1, {ON}", bucket(3)));
    for (patch, expected) in [
        (known, vec![]),
        (partly, vec!["`stage` of EnvoyFilter default/back is not modelled"]),
        (lua, vec!["patch 0 of EnvoyFilter default/back is not modelled"]),
    ] {
        let text = format!("{MESH}{}", patches("back", &[patch]));
        let scenario =
            "mesh: [mesh.yaml]\nclients: [{name: c, from: front, request: {url: 'http://back/'}, traffic: {requests: 1}}]\n";
        let (_, findings) = Play::of(scenario, &[("mesh.yaml", &text)]).plan();
        let said: Vec<&str> = findings
            .iter()
            .filter(|finding| finding.code == meshsim::diagnostic::Code::NotModelled)
            .map(|finding| finding.message.as_str())
            .collect();
        assert_eq!(said, expected);
    }
}

/// Nobody is there to be asked.
#[test]
fn a_service_that_does_not_answer_is_asked_in_vain() {
    let actions = "{applyTo: VIRTUAL_HOST, match: {context: SIDECAR_OUTBOUND, routeConfiguration: {vhost: {name: 'back.default.svc.cluster.local:80'}}}, patch: {operation: MERGE, value: {rate_limits: [{actions: [{generic_key: {descriptor_value: all}}]}]}}}";
    let global = |more: &str| {
        let config = format!(
            "{{'@type': type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit, domain: d{more}, rate_limit_service: {{grpc_service: {{envoy_grpc: {{cluster_name: 'outbound|8081||nowhere.default.svc.cluster.local'}}}}}}}}"
        );
        filter("SIDECAR_OUTBOUND", "envoy.filters.http.router", "INSERT_BEFORE", "ratelimit", &config)
    };
    for (more, described, expected) in [
        (", failure_mode_deny: true", true, of(500, "RLSE", 10)),
        (", failure_mode_deny: true", false, of(200, "", 10)),
        ("", true, of(200, "", 10)),
    ] {
        let mut all = vec![global(more)];
        all.extend(described.then(|| actions.to_owned()));
        assert_eq!(seen(&run("", &patches("front", &all))), [expected], "{more} {described}");
    }
}
