//! Findings about what VirtualServices refer to, and about rules and hosts that never apply.

use rustc_hash::FxHashMap;

use super::destination_rule;
use super::model::Model;
use super::routes;
use super::virtual_service::{HttpRule, MESH_GATEWAY, Semantics, VirtualService};
use crate::diagnostic::{Code, Diagnostic, Fix, ObjectRef};
use crate::mesh::registry::Service;
use crate::mesh::{ObjectId, Origin, ProxyKind, ProxySpec, host};
use crate::resource::networking::{Destination, HttpMatchRequest};
use crate::source::Span;

/// Looks through all VirtualServices.
pub(super) fn check(model: &Model<'_>, diagnostics: &mut Vec<Diagnostic>) {
    check_gateways(model, diagnostics);
    for vs in model.virtual_services.all().iter().filter(|vs| vs.semantics == Semantics::Istio) {
        for rule in &vs.http {
            let of_mirrors = rule.spec.mirrors.iter().filter_map(|mirror| mirror.destination.as_ref());
            let named =
                rule.spec.route.iter().filter_map(|leg| leg.destination.as_ref()).chain(&rule.spec.mirror).chain(of_mirrors);
            named.for_each(|destination| check_destination(model, vs, rule.object, destination, diagnostics));
        }
        let legs = vs.tls.iter().flat_map(|rule| &rule.route).chain(vs.tcp.iter().flat_map(|rule| &rule.route));
        let Some(object) = vs.origin.object else { continue };
        legs.filter_map(|leg| leg.destination.as_ref())
            .for_each(|destination| check_destination(model, vs, object, destination, diagnostics));
        check_order(model, vs, diagnostics);
    }
}

fn reference(model: &Model<'_>, id: ObjectId) -> ObjectRef {
    model.cx.objects[id.index()].reference()
}

/// Gateways that VirtualServices name and nobody defines.
fn check_gateways(model: &Model<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let known: FxHashMap<&str, ()> = model.gateways.iter().map(|gateway| (gateway.reference.as_str(), ())).collect();
    for item in &model.cx.virtual_services {
        let blocks = item.spec.http.iter().flat_map(|rule| &rule.matches).flat_map(|block| &block.gateways);
        for gateway in item.spec.gateways.iter().chain(blocks) {
            let name = super::rule_names::gateway_name(gateway, &item.object.namespace);
            if name != MESH_GATEWAY && !known.contains_key(name.as_str()) {
                diagnostics.push(
                    Diagnostic::new(Code::UndefinedGateway, format!("there is no Gateway `{name}`"))
                        .at(gateway.span)
                        .about(item.object.reference())
                        .effect("no gateway serves these rules"),
                );
            }
        }
    }
}

fn check_destination(
    model: &Model<'_>,
    vs: &VirtualService,
    object: ObjectId,
    destination: &Destination,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let Some(name) = &destination.host else { return };
    let finding = |code, message: String, span| {
        let flag = model.cx.options.profile.unknown_cluster_flag;
        Diagnostic::new(code, message)
            .at(span)
            .about(reference(model, object))
            .effect(format!("requests on this route get 503 {flag}"))
    };
    let Some(service) = service(model, &name.value, &vs.namespace) else {
        let message = format!("host `{}` is no service of the input", name.value);
        let known = model.registry.services.iter().map(|service| service.host.as_str());
        let near = crate::yaml::nearest(&name.value, known);
        let found = finding(Code::UndefinedHost, message, name.span);
        diagnostics.push(match near {
            Some(near) => found.help(format!("did you mean `{near}`?")).fix(Fix::spelling(name.span, &name.value, near, false)),
            None => found,
        });
        return;
    };
    check_port(service, destination, finding, diagnostics);
    let Some(subset) = destination.subset.as_ref().filter(|subset| !subset.is_empty()) else { return };
    let candidates = model.destination_rules.candidates(&vs.namespace, &name.value, &service.namespace);
    let client = ProxySpec {
        name: String::new(),
        kind: ProxyKind::Sidecar,
        namespace: vs.namespace.clone(),
        labels: Vec::new(),
        locality: String::new(),
        service_account: String::new(),
    };
    let rule = destination_rule::for_client(&candidates, &client);
    if rule.is_some_and(|rule| rule.subset(subset).is_some()) {
        return;
    }
    let message = format!("subset `{}` of `{}` is not defined", subset.value, name.value);
    let found = finding(Code::UndefinedSubset, message, subset.span);
    diagnostics.push(match rule {
        Some(rule) => {
            let names = rule.subsets.iter().map(|part| destination_rule::subset_name(part.value));
            let known = names.collect::<Vec<_>>().join("`, `");
            let label = if known.is_empty() { "defines no subsets".to_owned() } else { format!("defines `{known}`") };
            found.also(rule.origin.span, label)
        }
        None => found.help("no DestinationRule for this host is visible to the VirtualService's namespace"),
    });
}

fn check_port(
    service: &Service,
    destination: &Destination,
    finding: impl Fn(Code, String, Span) -> Diagnostic,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let Some(number) = destination.port.as_ref().and_then(|port| port.number) else { return };
    if service.ports.iter().any(|port| i64::from(port.port) == number.value) {
        return;
    }
    let known = service.ports.iter().map(|port| port.port.to_string()).collect::<Vec<_>>().join(", ");
    let message = format!("`{}` has no port {}", service.host, number.value);
    diagnostics.push(finding(Code::UndefinedPort, message, number.span).also(service.origin.span, format!("has {known}")));
}

/// The service that a host means: the one of the rule's namespace, else any; a wildcard host covers.
fn service<'m>(model: &'m Model<'_>, name: &str, namespace: &str) -> Option<&'m Service> {
    let registry = &model.registry;
    let all = || registry.of_host(name).iter().map(|id| registry.service(*id));
    let own = all().find(|service| service.namespace == namespace);
    let wildcard =
        || registry.services.iter().find(|service| host::is_wildcard(&service.host) && host::is_subset_of(name, &service.host));
    own.or_else(|| all().next()).or_else(wildcard)
}

/// Rules behind a block that takes every request. Rules without any match are the webhook's business.
fn check_order(model: &Model<'_>, vs: &VirtualService, diagnostics: &mut Vec<Diagnostic>) {
    let takes_all = |block: &&HttpMatchRequest| {
        let is_static = block.port.is_some()
            || !block.gateways.is_empty()
            || !block.source_labels.is_empty()
            || block.source_namespace.is_some();
        !is_static && routes::takes_everything(block)
    };
    let mut catch_all: Option<Origin> = None;
    for HttpRule { object, spec } in &vs.http {
        if let Some(earlier) = catch_all {
            diagnostics.push(
                Diagnostic::new(Code::UnreachableRule, "no request reaches this rule".to_owned())
                    .at(spec.span)
                    .also(earlier.span, "takes every request")
                    .about(reference(model, *object))
                    .effect("the proxy is not even given this rule")
                    .help("move the rule up, or narrow the match that takes every request"),
            );
            continue;
        }
        if let Some(block) = spec.matches.iter().find(takes_all) {
            catch_all = Some(Origin { object: Some(*object), span: block.span });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::compiled;
    use crate::diagnostic::Code;

    const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec: {ports: [{name: http, port: 9080}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: default}
spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}]}
";

    /// The findings of this pass about VirtualServices written as `name: spec`.
    fn findings(rules: &[(&str, &str)]) -> Vec<(Code, String)> {
        let object = |(name, spec): &(&str, &str)| {
            format!(
                "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: default}}\nspec: {spec}\n"
            )
        };
        let (_, findings) = compiled(&format!("{SERVICE}{}", rules.iter().map(object).collect::<String>()));
        let own =
            [Code::UndefinedSubset, Code::UndefinedHost, Code::UndefinedGateway, Code::UndefinedPort, Code::UnreachableRule];
        findings.into_iter().filter(|f| own.contains(&f.code)).map(|f| (f.code, f.message)).collect()
    }

    #[test]
    fn what_a_route_names_must_exist() {
        let to = |destination: &str| format!("{{hosts: [reviews], http: [{{route: [{{destination: {{{destination}}}}}]}}]}}");
        for (destination, code) in [
            ("host: reviews, subset: v1, port: {number: 9080}", None),
            ("host: reviews, subset: v2", Some(Code::UndefinedSubset)),
            ("host: reviews, port: {number: 80}", Some(Code::UndefinedPort)),
            ("host: reveiws", Some(Code::UndefinedHost)),
        ] {
            let found: Vec<Code> = findings(&[("a", &to(destination))]).into_iter().map(|(code, _)| code).collect();
            assert_eq!(found, code.into_iter().collect::<Vec<_>>(), "{destination}");
        }
        let gateway = "{hosts: [reviews], gateways: [absent], http: [{directResponse: {status: 200}}]}";
        assert_eq!(findings(&[("a", gateway)]), [(Code::UndefinedGateway, "there is no Gateway `default/absent`".to_owned())]);
    }

    #[test]
    fn rules_behind_a_block_that_takes_everything_are_unreachable() {
        let with = |block: &str| {
            format!(
                "{{hosts: [reviews], http: [{{match: [{block}], directResponse: {{status: 200}}}}, {{match: [{{uri: {{prefix: /x}}}}], directResponse: {{status: 201}}}}]}}"
            )
        };
        for (block, unreachable) in [
            ("{}", true),
            ("{uri: {prefix: /}}", true),
            ("{uri: {regex: '.*'}}", true),
            ("{uri: {prefix: /}, port: 9080}", false),
            ("{sourceLabels: {app: a}}", false),
            ("{uri: {prefix: /}, method: {exact: GET}}", false),
        ] {
            let found = findings(&[("a", &with(block))]).iter().any(|(code, _)| *code == Code::UnreachableRule);
            assert_eq!(found, unreachable, "{block}");
        }
    }
}
