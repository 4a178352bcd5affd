//! What is odd about services, their endpoints and the DestinationRules for them.
//!
//! What routes refer to in vain is found where routes are made.

use super::context::{Context, Item, selects};
use super::destination_rule::subset_name;
use super::endpoints::RegistryEndpoint;
use super::model::Model;
use crate::diagnostic::{Code, Diagnostic, ObjectRef};
use crate::mesh::registry::{Resolution, Service, TargetPort};
use crate::mesh::{ObjectId, ServiceId, host};
use crate::resource::networking::{DestinationRule, LoadBalancerSettings, Subset, TrafficPolicy};
use crate::source::Span;

/// Label by which a namespace joins the ambient data plane.
const DATA_PLANE: &str = "istio.io/dataplane-mode";

/// Classes of Gateways that are no gateways of the data plane modelled here.
const UNMODELLED_CLASSES: &[&str] = &["istio-waypoint", "istio-remote", "istio-east-west"];

/// All of them, by object in the order of the input.
pub(super) fn findings(model: &Model<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    services(model, &mut found);
    conflicts(model, &mut found);
    for item in &model.cx.destination_rules {
        destination_rule(model, item, &mut found);
    }
    unmodelled(&model.cx, &mut found);
    found.sort_by_key(|diagnostic| diagnostic.primary.as_ref().map(|label| (label.span.file, label.span.start)));
    found
}

fn reference(model: &Model<'_>, id: Option<ObjectId>) -> Option<ObjectRef> {
    id.map(|id| model.cx.objects[id.index()].reference())
}

fn about(diagnostic: Diagnostic, object: Option<ObjectRef>) -> Diagnostic {
    match object {
        Some(object) => diagnostic.about(object),
        None => diagnostic,
    }
}

fn services(model: &Model<'_>, found: &mut Vec<Diagnostic>) {
    let registry = &model.registry;
    // Without any workload the input is configuration alone, and every Service would be reported.
    let has_workloads = registry.workloads.iter().any(|workload| !workload.gateway && workload.kind != "WorkloadEntry");
    for (index, service) in registry.services.iter().enumerate() {
        if !service.kubernetes || service.selector.is_empty() || service.resolution == Resolution::Alias {
            continue;
        }
        let has_endpoints = model.endpoints.of_service(ServiceId::new(index)).iter().any(|endpoints| !endpoints.is_empty());
        let candidates = registry.in_namespace(&service.namespace).iter().map(|id| registry.workload(*id));
        let selected: Vec<_> = candidates.filter(|workload| selects(&service.selector, &workload.labels)).collect();
        if selected.is_empty() && !has_endpoints && has_workloads {
            let labels: Vec<String> = service.selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let message = format!("no pod of the input has the labels {} that this Service selects", labels.join(", "));
            let finding = Diagnostic::new(Code::ServiceWithoutPods, message)
                .at(selector_span(model, service).unwrap_or(service.origin.span))
                .effect("requests to it get 503 UH");
            found.push(about(finding, reference(model, service.origin.object)));
        }
        for port in &service.ports {
            let TargetPort::Name(name) = &port.target else { continue };
            let declares = |ports: &[(String, u16)]| ports.iter().any(|(own, _)| own == name);
            let missing = selected.iter().find(|workload| !workload.ports.is_empty() && !declares(&workload.ports));
            if let Some(workload) = missing.filter(|_| !has_endpoints) {
                let names: Vec<&str> = workload.ports.iter().map(|(name, _)| name.as_str()).filter(|n| !n.is_empty()).collect();
                let finding = Diagnostic::new(
                    Code::UnknownTargetPort,
                    format!("no container of {} `{}` declares a port named `{name}`", workload.kind, workload.name),
                )
                .at(port.span)
                .also(workload.origin.span, "the pods that the Service selects")
                .effect("the port has no endpoints; requests to it get 503 UH");
                let near = crate::yaml::nearest(name, names).map(|near| format!("did you mean `{near}`?"));
                let finding = near.into_iter().fold(finding, Diagnostic::help);
                found.push(about(finding, reference(model, service.origin.object)));
            }
        }
    }
}

fn selector_span(model: &Model<'_>, service: &Service) -> Option<Span> {
    let item = model.cx.services.iter().find(|item| Some(item.id) == service.origin.object)?;
    item.spec.selector.0.first().map(|(key, _)| key.span)
}

/// Services that claim a host which another one has, and cannot be merged with it.
fn conflicts(model: &Model<'_>, found: &mut Vec<Diagnostic>) {
    let services = &model.registry.services;
    for pair in services.chunk_by(|a, b| a.host == b.host).filter(|services| services.len() > 1) {
        let [first, others @ ..] = pair else { continue };
        for other in others {
            let merges = (other.kubernetes, &other.namespace, other.resolution, &other.selector)
                == (first.kubernetes, &first.namespace, first.resolution, &first.selector);
            if merges {
                continue;
            }
            let finding =
                Diagnostic::new(Code::ConflictingService, format!("`{}` is already the host of another service", other.host))
                    .at(other.origin.span)
                    .also(first.origin.span, "the other service")
                    .effect(effect_of_conflict(first, other));
            found.push(about(finding, reference(model, other.origin.object)));
        }
    }
}

fn effect_of_conflict(first: &Service, other: &Service) -> String {
    if first.namespace == other.namespace {
        return "this one is ignored".to_owned();
    }
    format!("clients in namespace `{}` use this one, others the first that they see", other.namespace)
}

fn destination_rule(model: &Model<'_>, item: &Item<'_, DestinationRule>, found: &mut Vec<Diagnostic>) {
    let Some(written) = &item.spec.host else { return };
    let name = model.cx.resolve(&written.value, &item.object.namespace);
    let report = |finding: Diagnostic| finding.about(item.object.reference());
    let services: Vec<ServiceId> = match host::is_wildcard(&name) {
        true => {
            let all = model.registry.services.iter().enumerate();
            all.filter(|(_, s)| host::is_subset_of(&s.host, &name)).map(|(index, _)| ServiceId::new(index)).collect()
        }
        false => model.registry.of_host(&name).to_vec(),
    };
    if services.is_empty() {
        let finding =
            Diagnostic::new(Code::RuleWithoutHost, format!("the host `{name}` is not in the registry")).at(written.span);
        found.push(report(finding.effect("the rule has no effect")));
    }
    let endpoints: Vec<&RegistryEndpoint> = services.iter().flat_map(|id| model.endpoints.of_service(*id)).flatten().collect();
    for subset in &item.spec.subsets {
        let wanted = super::context::labels(&subset.labels);
        let is_empty = !endpoints.is_empty() && !endpoints.iter().any(|endpoint| selects(&wanted, &endpoint.labels));
        if is_empty {
            found.push(report(empty_subset(subset, &wanted, &endpoints)));
        }
    }
    let policies = item.spec.traffic_policy.iter().chain(item.spec.subsets.iter().filter_map(|s| s.traffic_policy.as_ref()));
    for policy in policies {
        found.extend(unmodelled_policy(policy).into_iter().map(report));
        found.extend(ignored_credential(policy).filter(|_| item.spec.workload_selector.is_none()).map(report));
    }
}

fn empty_subset(subset: &Subset, wanted: &[(String, String)], endpoints: &[&RegistryEndpoint]) -> Diagnostic {
    let place = subset.labels.0.first().map_or(subset.span, |(key, _)| key.span);
    let finding = Diagnostic::new(Code::EmptySubset, format!("subset `{}` selects no endpoint of its host", subset_name(subset)))
        .at(place)
        .effect("requests to it get 503 UH");
    // The values that would have selected something, for the first label that does not.
    let wrong = wanted.iter().find(|pair| !endpoints.iter().any(|endpoint| endpoint.labels.contains(pair)));
    let Some((key, _)) = wrong else { return finding };
    let mut known: Vec<&str> = Vec::new();
    for (_, value) in endpoints.iter().flat_map(|endpoint| endpoint.labels.iter()).filter(|(own, _)| own == key) {
        if !known.contains(&value.as_str()) {
            known.push(value);
        }
    }
    known.sort_unstable();
    match known.is_empty() {
        true => finding.help(format!("no endpoint has the label `{key}`")),
        false => finding.help(format!("endpoints have `{key}` = {}", known.join(", "))),
    }
}

fn not_modelled(field: &str, span: Span) -> Diagnostic {
    Diagnostic::new(Code::NotModelled, format!("`{field}` is not modelled")).at(span)
}

fn unmodelled_policy(policy: &TrafficPolicy) -> Vec<Diagnostic> {
    let balancers = policy.load_balancer.iter().chain(policy.port_level_settings.iter().filter_map(|p| p.load_balancer.as_ref()));
    let zone_aware = |lb: &LoadBalancerSettings| lb.zone_aware_lb_setting.as_ref().map(|node| node.span);
    let mut found: Vec<_> = balancers.filter_map(zone_aware).map(|span| not_modelled("zoneAwareLbSetting", span)).collect();
    found.extend(policy.tunnel.as_ref().map(|tunnel| not_modelled("tunnel", tunnel.span)));
    found.extend(policy.proxy_protocol.as_ref().map(|protocol| not_modelled("proxyProtocol", protocol.span)));
    found
}

/// A sidecar may not read secrets for everyone's rule, and sends plaintext instead.
fn ignored_credential(policy: &TrafficPolicy) -> Option<Diagnostic> {
    let own = policy.tls.iter().chain(policy.port_level_settings.iter().filter_map(|port| port.tls.as_ref()));
    let credential = own.filter_map(|tls| tls.credential_name.as_ref()).find(|name| !name.value.is_empty())?;
    Some(
        Diagnostic::new(Code::IgnoredCredential, "`credentialName` counts at gateways only, unless the rule selects its clients")
            .at(credential.span)
            .effect("sidecars send plaintext")
            .help("add a `workloadSelector`, or mount the certificates and name their files"),
    )
}

fn unmodelled(cx: &Context<'_>, found: &mut Vec<Diagnostic>) {
    let joined = |meta: &crate::resource::meta::ObjectMeta| {
        meta.labels.get(DATA_PLANE).filter(|mode| mode.value == "ambient").map(|mode| mode.span)
    };
    for (object, span) in cx.namespaces.iter().filter_map(|item| Some((item.object, joined(&item.object.meta)?))) {
        let finding = Diagnostic::new(Code::NotModelled, "the ambient data plane is not modelled").at(span);
        found.push(finding.about(object.reference()).help("pods of this namespace count as pods without proxy"));
    }
    for item in &cx.kube_gateways {
        let class = item.spec.gateway_class_name.as_ref().filter(|class| UNMODELLED_CLASSES.contains(&class.value.as_str()));
        if let Some(class) = class {
            let finding = Diagnostic::new(Code::NotModelled, format!("gateways of class `{}` are not modelled", class.value));
            found.push(finding.at(class.span).about(item.object.reference()));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::diagnostic::Code;
    use crate::mesh::compile::testing::compiled;

    const WEB: &str = "---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web, version: v1}}, spec: {containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}}
";

    /// Findings as `code: message | help`.
    fn found(yaml: &str) -> Vec<String> {
        let (_, findings) = compiled(yaml);
        let line = |f: &crate::diagnostic::Diagnostic| {
            assert!(f.primary.is_some() && f.object.is_some(), "{f:?}");
            format!("{}: {} | {}", f.code.name(), f.message, f.help.as_deref().unwrap_or_default())
        };
        findings.iter().filter(|f| f.code >= Code::EmptySubset).map(line).collect()
    }

    fn rule(spec: &str) -> String {
        format!("{WEB}---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: web}}\nspec: {spec}\n")
    }

    #[test]
    fn what_selects_nothing_is_named_with_what_there_is() {
        assert_eq!(found(WEB), [""; 0]);
        assert_eq!(
            found(&rule("{host: web, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}")),
            ["empty-subset: subset `v2` selects no endpoint of its host | endpoints have `version` = v1"]
        );
        assert_eq!(
            found(&rule("{host: wbe, trafficPolicy: {loadBalancer: {simple: RANDOM}}}")),
            ["rule-without-host: the host `wbe.default.svc.cluster.local` is not in the registry | "]
        );
        assert_eq!(
            found(&WEB.replace("{app: web},", "{app: wbe},")),
            ["service-without-pods: no pod of the input has the labels app=wbe that this Service selects | "]
        );
        assert_eq!(
            found(&WEB.replace("targetPort: http", "targetPort: htpp")),
            ["unknown-target-port: no container of Deployment `web` declares a port named `htpp` | did you mean `http`?"]
        );
        // Configuration without any workload says nothing about pods.
        assert_eq!(found(WEB.split("---").nth(1).unwrap()), [""; 0]);
    }

    #[test]
    fn services_that_compete_for_a_host_are_named() {
        let entry = "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: squat, namespace: other}\n\
                     spec: {hosts: [web.default.svc.cluster.local], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}\n";
        let all = found(&format!("{WEB}{entry}"));
        assert_eq!(all, ["conflicting-service: `web.default.svc.cluster.local` is already the host of another service | "]);
    }

    #[test]
    fn what_is_not_modelled_and_what_has_no_effect_is_said() {
        let found =
            found(&rule("{host: web, trafficPolicy: {tls: {mode: SIMPLE, credentialName: c}, proxyProtocol: {version: V2}}}"));
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("ignored-credential") && found[1].starts_with("not-modelled: `proxyProtocol`"), "{found:?}");
    }
}
