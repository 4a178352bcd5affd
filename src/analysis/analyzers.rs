//! The table of analyzers, and how their findings join the others.

use rustc_hash::FxHashSet;

use super::input::Input;
use super::{
    annotations, authorization, conflicts, control_plane, destination_rules, destinations, envoy_filters, gateway_api, gateways,
    injection, policies, reachability, redirect_loops, rule_settings, services, splits, suppression,
};
use crate::diagnostic::{Code, Diagnostic, ObjectRef};
use crate::mesh::Mesh;
use crate::resource::Objects;
use crate::source::Span;

/// Looks at the whole input and reports.
type Analyzer = fn(&Input<'_>, &mut Vec<Diagnostic>);

/// All analyzers. The comment of each function names its counterparts in `istioctl analyze`.
const ANALYZERS: &[Analyzer] = &[
    conflicts::mesh_hosts,
    conflicts::sidecars,
    conflicts::telemetries,
    conflicts::certificates,
    conflicts::protocols,
    destinations::hosts,
    destinations::empty_services,
    destinations::subsets,
    destinations::ports,
    destinations::delegates,
    destinations::bypassed_subsets,
    destinations::deprecated_percentages,
    destinations::own_hosts,
    destinations::rules_on_tcp_ports,
    destinations::unmet_ports,
    destinations::empty_aborts,
    destination_rules::verification,
    destination_rules::plaintext_to_strict,
    gateways::bindings,
    gateways::selectors,
    gateways::ports,
    gateways::servers,
    gateways::credentials,
    gateways::claims,
    services::port_names,
    services::addresses,
    services::shared_deployments,
    services::export_to,
    injection::namespaces,
    injection::pods,
    injection::images,
    injection::auto_images,
    injection::users,
    annotations::check,
    policies::workloads,
    policies::source_namespaces,
    policies::gateway_selectors,
    policies::methods,
    policies::port_exceptions,
    policies::principals,
    authorization::shut_ports,
    authorization::identities_in_clear,
    authorization::unknown_authorizers,
    policies::access_log_providers,
    envoy_filters::check,
    control_plane::webhook_services,
    control_plane::webhook_addresses,
    control_plane::jwks_fetching,
    control_plane::gateway_api_versions,
    gateway_api::conditions,
    gateway_api::parents,
    gateway_api::repeated_matches,
    gateway_api::back_ends,
    reachability::check,
    rule_settings::timeouts,
    rule_settings::faults,
    rule_settings::accidental_alternatives,
    rule_settings::expressions,
    splits::onto_one_version,
    splits::at_gateways_only,
    splits::across_hashes,
    redirect_loops::check,
];

/// All findings about an input: those that reading and compiling it gave (`found`), and what the
/// analyzers add to them. What an object suppresses by annotation is left out.
#[must_use]
pub fn analyze(objects: &Objects, mesh: &Mesh, found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut added = Vec::new();
    let input = Input::new(objects, mesh, &found);
    for analyzer in ANALYZERS {
        analyzer(&input, &mut added);
    }
    let mut known: FxHashSet<(Code, Option<ObjectRef>, Option<Span>)> = found.iter().map(identity).collect();
    added.retain(|finding| known.insert(identity(finding)));
    let mut all = found;
    all.append(&mut added);
    suppression::apply(objects, all)
}

/// Findings of one kind about one place are one.
fn identity(finding: &Diagnostic) -> (Code, Option<ObjectRef>, Option<Span>) {
    (finding.code, finding.object.clone(), finding.primary.as_ref().map(|label| label.span))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{all, analyzed, with_comments};
    use crate::diagnostic::{Code, Example, Severity};

    const SERVICE: &str = "
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {ports: [{name: http, port: 9080}]}
";

    fn object(kind: &str, name: &str, spec: &str) -> String {
        let group = match kind {
            "Telemetry" => "telemetry.istio.io/v1",
            "AuthorizationPolicy" | "RequestAuthentication" | "PeerAuthentication" => "security.istio.io/v1",
            "HTTPRoute" => "gateway.networking.k8s.io/v1",
            "EnvoyFilter" => "networking.istio.io/v1alpha3",
            "Service" | "Pod" => "v1",
            _ => "networking.istio.io/v1",
        };
        let (namespace, name) = name.split_once('/').unwrap_or(("shop", name));
        format!("---\napiVersion: {group}\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n")
    }

    fn pod(name: &str, labels: &str) -> String {
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop, labels: {{{labels}}}}}\nspec: {{containers: [{{name: istio-proxy, image: p}}]}}\n"
        )
    }

    #[test]
    fn both_sides_of_a_conflict_over_a_host_in_the_mesh_are_told() {
        let rule = |hosts: &str, more: &str| format!("{{hosts: [{hosts}], http: [{{directResponse: {{status: 200}}}}]{more}}}");
        for (first, second, told) in [
            (rule("reviews", ""), rule("reviews.shop.svc.cluster.local", ""), 2),
            (rule("reviews", ""), rule("ratings", ""), 0),
            (rule("reviews", ""), rule("reviews", ", gateways: [edge]"), 0),
            (rule("'*.example.com'", ""), rule("a.example.com", ""), 0),
            (rule("'*.example.com'", ""), rule("a.example.com", ", exportTo: [.]"), 2),
            (rule("reviews", ", exportTo: [.]"), rule("reviews", ", exportTo: [.]"), 2),
        ] {
            let text = format!("{SERVICE}{}{}", object("VirtualService", "a", &first), object("VirtualService", "b", &second));
            let found = all(&text).iter().filter(|finding| finding.code == Code::ConflictingHost).count();
            assert_eq!(found, told, "{first} and {second}");
        }
    }

    #[test]
    fn a_gateway_must_be_there_and_have_a_host_of_the_rule() {
        let gateway =
            "{selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [HOST]}]}";
        for (host, named, found) in [
            ("a.example.com", "edge", None),
            ("'*.example.com'", "shop/edge", None),
            ("shop/a.example.com", "edge", None),
            ("./a.example.com", "edge", None),
            ("other/a.example.com", "edge", Some(Code::HostNotOnGateway)),
            ("b.example.com", "edge", Some(Code::HostNotOnGateway)),
            ("a.example.com", "other/edge", Some(Code::UndefinedGateway)),
            ("a.example.com", "edge~istio-autogenerated-k8s-gateway~web", Some(Code::InternalGateway)),
        ] {
            let rule = format!("{{hosts: [a.example.com], gateways: [{named}], http: [{{directResponse: {{status: 200}}}}]}}");
            let text =
                format!("{}{}", object("Gateway", "edge", &gateway.replace("HOST", host)), object("VirtualService", "a", &rule));
            let codes = [Code::HostNotOnGateway, Code::UndefinedGateway, Code::InternalGateway];
            let told: Vec<Code> = all(&text).iter().map(|finding| finding.code).filter(|code| codes.contains(code)).collect();
            assert_eq!(told, found.into_iter().collect::<Vec<_>>(), "{host} {named}");
        }
    }

    #[test]
    fn each_kind_of_mistake_has_its_finding() {
        let edge = "{selector: {app: edge}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}";
        let entry = |protocol: &str| {
            format!("{{hosts: [a.example.com], ports: [{{number: 80, name: x, protocol: {protocol}}}], resolution: DNS}}")
        };
        let filter = |place: &str, operation: &str| {
            format!("{{configPatches: [{{applyTo: {place}, patch: {{operation: {operation}, value: {{name: x}}}}}}]}}")
        };
        let to_reviews = "http: [{route: [{destination: {host: reviews}}]}]";
        for (text, expected) in [
            (object("Gateway", "a", edge) + &pod("p", "app: other"), vec!["unselected-gateway Gateway shop/a"]),
            (
                object("Sidecar", "a", "{egress: [{hosts: ['*/*']}]}") + &object("Sidecar", "b", "{egress: [{hosts: ['*/*']}]}"),
                vec!["several-default-sidecars Sidecar shop/a", "several-default-sidecars Sidecar shop/b"],
            ),
            (
                object("Telemetry", "a", "{selector: {matchLabels: {app: x}}}") + &pod("p", "app: y"),
                vec!["unmatched-selector Telemetry shop/a"],
            ),
            (
                object("ServiceEntry", "a", &entry("HTTP")) + &object("ServiceEntry", "b", &entry("GRPC")),
                vec!["conflicting-protocol ServiceEntry shop/a", "conflicting-protocol ServiceEntry shop/b"],
            ),
            (object("ServiceEntry", "a", &entry("TCP")), vec!["unaddressed-port ServiceEntry shop/a"]),
            (
                object("DestinationRule", "a", "{host: reviews, trafficPolicy: {tls: {mode: SIMPLE}}}"),
                vec!["unverified-server DestinationRule shop/a"],
            ),
            (
                object("DestinationRule", "a", "{host: reviews, trafficPolicy: {tls: {mode: SIMPLE, caCertificates: system}}}"),
                vec![],
            ),
            (
                object("VirtualService", "a", &format!("{{hosts: [reveiws], {to_reviews}}}")),
                vec!["unknown-rule-host VirtualService shop/a"],
            ),
            (
                object("VirtualService", "a", "{hosts: [reviews], http: [{delegate: {name: x}}]}"),
                vec!["unknown-delegate VirtualService shop/a"],
            ),
            (
                object(
                    "VirtualService",
                    "a",
                    "{hosts: [reviews], http: [{match: [{port: 80}], route: [{destination: {host: reviews}}]}]}",
                ),
                vec!["unmet-port VirtualService shop/a"],
            ),
            (
                object(
                    "VirtualService",
                    "a",
                    "{hosts: [reviews], http: [{fault: {abort: {percentage: {value: 5}}}, route: [{destination: {host: reviews}}]}]}",
                ),
                vec!["empty-abort VirtualService shop/a"],
            ),
            (object("EnvoyFilter", "a", &filter("HTTP_FILTER", "INSERT_BEFORE")), vec!["relative-patch EnvoyFilter shop/a"]),
            (object("EnvoyFilter", "a", &filter("HTTP_FILTER", "INSERT_FIRST")), vec![]),
            (object("EnvoyFilter", "a", &filter("CLUSTER", "REPLACE")), vec!["misused-replace EnvoyFilter shop/a"]),
            (object("EnvoyFilter", "a", &filter("HTTP_ROUTE", "ADD")), vec!["misused-add EnvoyFilter shop/a"]),
            (
                object("AuthorizationPolicy", "a", "{rules: [{to: [{operation: {methods: [get]}}]}]}"),
                vec!["never-matching-method AuthorizationPolicy shop/a"],
            ),
            (
                object("AuthorizationPolicy", "a", "{rules: [{from: [{source: {namespaces: [nowhere]}}]}]}"),
                vec!["unknown-namespace AuthorizationPolicy shop/a"],
            ),
            (object("Service", "api", "{ports: [{name: api, port: 8080}]}"), vec!["unclear-port-name Service shop/api"]),
            (
                "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n".to_owned(),
                vec!["namespace-not-injected Namespace shop"],
            ),
            (
                "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio-injection: enabled}}\n".to_owned(),
                vec![],
            ),
        ] {
            assert_eq!(analyzed(&format!("{SERVICE}{text}")), expected, "{text}");
        }
    }

    #[test]
    fn findings_are_suppressed_by_exact_code_on_their_object_only() {
        for (value, told) in
            [("'*'", 0), ("IST0134", 0), ("MSH0619", 0), ("'IST0101,IST0134'", 0), ("'IST0101, IST0134'", 1), ("ist0134", 1)]
        {
            let text = format!(
                "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: a, namespace: shop, annotations: {{galley.istio.io/analyze-suppress: {value}}}}}\nspec: {{hosts: [a.example.com], ports: [{{number: 80, name: x, protocol: TCP}}], resolution: DNS}}\n"
            );
            assert_eq!(analyzed(&text).len(), told, "{value}");
        }
    }

    #[test]
    fn a_match_that_an_earlier_one_takes_everything_from_is_told_once() {
        let rules = |first: &str, second: &str| {
            let rule = |block: &str| format!("{{match: [{block}], directResponse: {{status: 200}}}}");
            object("VirtualService", "a", &format!("{{hosts: [reviews], http: [{}, {}]}}", rule(first), rule(second)))
        };
        for (first, second, code) in [
            ("{uri: {prefix: /a}}", "{uri: {exact: /a/b}}", Some(Code::CoveredMatch)),
            ("{uri: {prefix: /a}}", "{uri: {prefix: /a/b}}", Some(Code::RedundantMatch)),
            ("{uri: {prefix: /}}", "{headers: {x: {exact: a}}}", Some(Code::UnreachableRule)),
            ("{uri: {prefix: /a}, method: {exact: GET}}", "{uri: {prefix: /a/b}}", None),
            ("{uri: {exact: /a}}", "{uri: {prefix: /a}}", None),
        ] {
            let codes = [Code::CoveredMatch, Code::RedundantMatch, Code::RedundantRule, Code::UnreachableRule];
            let found = all(&format!("{SERVICE}{}", rules(first, second)));
            let told: Vec<Code> = found.iter().map(|finding| finding.code).filter(|own| codes.contains(own)).collect();
            assert_eq!(told, code.into_iter().collect::<Vec<_>>(), "{first} then {second}");
        }
    }

    #[test]
    fn examples_of_explanations_have_the_finding_before_and_lack_it_after() {
        let mut wrong = Vec::new();
        for code in Code::ALL {
            let Some(example) = code.explanation().example else { continue };
            let has = |yaml: &str| with_comments(&format!("{}---\n{yaml}", Example::SURROUNDINGS));
            let (before, after) = (has(example.before), has(example.after));
            if !before.contains(code) {
                wrong.push(format!("{} before: {before:?}", code.id()));
            }
            if after.contains(code) || after.iter().any(|own| !before.contains(own) && own.severity() == Severity::Error) {
                wrong.push(format!("{} after: {after:?}", code.id()));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
