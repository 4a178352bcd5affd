//! Policies on the server side: the workloads and namespaces they name, and conditions that never hold.

use super::conflicts::nobody;
use super::gateways::is_kube_gateway;
use super::input::{Input, Labels, finding, items, labels_at, name_span, shown, text};
use crate::diagnostic::{Code, Diagnostic, Fix};
use crate::resource::Object;
use crate::resource::networking::WorkloadSelectorMatch;
use crate::source::{Span, Spanned};

/// Policies whose selector finds no pod: AuthorizationPolicies (`authz.AuthorizationPoliciesAnalyzer`,
/// IST0127), and the others, which `istioctl analyze` does not report.
pub(super) fn workloads(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let mut check = |object: &Object, selector: Option<&WorkloadSelectorMatch>| {
        let Some(labels) = selector.map(|selector| &selector.match_labels).filter(|labels| !labels.is_empty()) else { return };
        if input.pods_for_policy(&object.namespace, labels).next().is_none() {
            let mut diagnostic = nobody(input, object, labels.0[0].0.span, labels);
            diagnostic.severity = diagnostic.severity.min(Code::UnmatchedPolicy.severity());
            diagnostic.code = Code::UnmatchedPolicy;
            found.push(diagnostic);
        }
    };
    input.authorization_policies().for_each(|item| check(item.object, item.spec.selector.as_ref()));
    input.request_authentications().for_each(|item| check(item.object, item.spec.selector.as_ref()));
    input.peer_authentications().for_each(|item| check(item.object, item.spec.selector.as_ref()));
}

/// Whether a pattern with `*` at one end, or alone, fits a name.
fn fits(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => name.ends_with(end),
        (None, Some(start)) => name.starts_with(start),
        (None, None) => name == pattern,
    }
}

/// Source namespaces that do not exist (`authz.AuthorizationPoliciesAnalyzer`, IST0101).
pub(super) fn source_namespaces(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let known: Vec<&str> = input.namespaces().map(|item| item.object.name.as_str()).collect();
    for policy in input.authorization_policies() {
        let sources = policy.spec.rules.iter().flat_map(|rule| &rule.from).filter_map(|from| from.source.as_ref());
        for name in sources.flat_map(|source| &source.namespaces) {
            let is_known = known.iter().any(|own| fits(&name.value, own))
                || input.objects.iter().any(|object| !object.namespace.is_empty() && fits(&name.value, &object.namespace));
            if is_known || matches!(name.value.as_str(), "default" | "istio-system" | "kube-system") {
                continue;
            }
            let message = format!("there is no namespace `{}` in the input", name.value);
            let mut diagnostic = finding(Code::UnknownNamespace, policy.object, name.span, message)
                .effect("no request comes from there, so the rule never holds");
            if known.is_empty() {
                diagnostic.severity = crate::diagnostic::Severity::Note;
            }
            found.push(diagnostic);
        }
    }
}

/// Selectors that mean the pods of a Gateway of the Gateway API (`k8sgateway.SelectorAnalyzer`,
/// IST0166): policies are attached to those by `targetRefs`.
pub(super) fn gateway_selectors(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let mut check = |object: &Object, span: Span, labels: &Labels| {
        if labels.is_empty() {
            return;
        }
        let gateway = input.pods_for_policy(&object.namespace, labels).find(|pod| is_kube_gateway(&pod.meta.labels));
        if let Some(gateway) = gateway {
            let message = format!("the selector `{}` finds the pods of a Gateway of the Gateway API", shown(labels));
            found.push(
                finding(Code::IneffectiveSelector, object, span, message)
                    .also(name_span(gateway.object), "selected")
                    .effect("selectors have no effect on them")
                    .help("attach the policy with `targetRefs`"),
            );
        }
    };
    for item in input.authorization_policies() {
        item.spec.selector.iter().for_each(|selector| check(item.object, selector.span, &selector.match_labels));
    }
    for item in input.request_authentications() {
        item.spec.selector.iter().for_each(|selector| check(item.object, selector.span, &selector.match_labels));
    }
    for item in input.telemetries() {
        if let Some(selector) = item.spec.spec.as_ref().and_then(|spec| spec.get("selector")) {
            check(item.object, selector.span, &labels_at(selector, &["matchLabels"]));
        }
    }
}

/// Methods that are not in upper case and never match, which `istioctl analyze` does not report.
pub(super) fn methods(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for policy in input.authorization_policies() {
        let operations = policy.spec.rules.iter().flat_map(|rule| &rule.to).filter_map(|to| to.operation.as_ref());
        for method in operations.flat_map(|operation| operation.methods.iter().chain(&operation.not_methods)) {
            let upper = method.value.to_ascii_uppercase();
            if upper == method.value {
                continue;
            }
            found.push(
                finding(
                    Code::NeverMatchingMethod,
                    policy.object,
                    method.span,
                    format!("no request has the method `{}`", method.value),
                )
                .effect("methods are compared with their letter case, so this never holds")
                .help(format!("write `{upper}`"))
                .fix(Fix::spelling(method.span, &method.value, &upper, false)),
            );
        }
    }
}

/// Exceptions of PeerAuthentications for ports that none of their workloads has, which `istioctl
/// analyze` does not report. Workload ports that no Service leads to have no exceptions either.
pub(super) fn port_exceptions(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for policy in input.peer_authentications() {
        let (Some(selector), Some(ports)) = (&policy.spec.selector, &policy.spec.port_level_mtls) else { continue };
        let pods: Vec<_> = input.pods_for_policy(&policy.object.namespace, &selector.match_labels).collect();
        let declared: Vec<i64> = pods
            .iter()
            .flat_map(|pod| &pod.spec.containers)
            .flat_map(|container| &container.ports)
            .filter_map(|port| port.container_port.as_ref().map(|number| number.value))
            .collect();
        // Containers need not declare their ports; without any declaration nothing is known.
        if pods.is_empty() || declared.is_empty() {
            continue;
        }
        for (port, _) in
            ports.0.iter().filter(|(port, _)| port.value.parse().is_ok_and(|number: i64| !declared.contains(&number)))
        {
            let message = format!("none of the selected pods has port {}", port.value);
            found.push(
                finding(Code::UnusedPortException, policy.object, port.span, message).effect("the exception is for nothing"),
            );
        }
    }
}

/// Principals of the cluster whose service account runs nothing in the input, which `istioctl
/// analyze` does not report.
pub(super) fn principals(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for policy in input.authorization_policies() {
        let sources = policy.spec.rules.iter().flat_map(|rule| &rule.from).filter_map(|from| from.source.as_ref());
        for principal in sources.flat_map(|source| &source.principals) {
            let Some((namespace, account)) = identity(principal) else { continue };
            // Of a namespace without any pod in the input nothing is known.
            let mut pods = input.pods().iter().filter(|pod| pod.namespace() == namespace).peekable();
            let runs = |spec: &crate::resource::kubernetes::PodSpec| {
                let names = [text(spec.service_account_name.as_ref()), text(spec.service_account.as_ref())];
                names.into_iter().find(|name| !name.is_empty()).unwrap_or("default") == account
            };
            if pods.peek().is_none() || pods.any(|pod| runs(pod.spec)) {
                continue;
            }
            let message = format!("no pod of the input runs as `{account}` in namespace `{namespace}`");
            found
                .push(finding(Code::UnknownPrincipal, policy.object, principal.span, message).effect("nobody has this identity"));
        }
    }
}

/// Namespace and service account of `TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT`.
fn identity(principal: &Spanned<String>) -> Option<(&str, &str)> {
    let (_, rest) = principal.value.split_once("/ns/")?;
    let (namespace, account) = rest.split_once("/sa/")?;
    (!principal.value.contains('*')).then_some((namespace, account))
}

/// Access logging without provider (`telemetry.ProviderAnalyzer`, IST0157).
pub(super) fn access_log_providers(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for telemetry in input.telemetries() {
        let Some(spec) = &telemetry.spec.spec else { continue };
        for logging in items(spec.get("accessLogging")) {
            if items(logging.get("providers")).is_empty() {
                found.push(
                    finding(Code::NoTelemetryProvider, telemetry.object, logging.span, "access logging names no provider")
                        .effect("unless the mesh has a default provider, it is ignored"),
                );
            }
        }
    }
}
