//! TLS towards the hosts of DestinationRules.

use super::input::{Input, finding, text};
use crate::diagnostic::{Code, Diagnostic};
use crate::mesh::host;
use crate::resource::networking::{ClientTlsSettings, DestinationRule};

/// TLS that says nothing about the authority of the server's certificate, at the destination and its
/// subsets (`destinationrule.CaCertificateAnalyzer`, IST0128) and for single ports (IST0129).
/// `istioctl analyze` does not look at subsets.
pub(super) fn verification(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for rule in input.destination_rules() {
        let subsets = rule.spec.subsets.iter().filter_map(|subset| subset.traffic_policy.as_ref());
        for policy in rule.spec.traffic_policy.iter().chain(subsets) {
            let mut report = |code, tls: Option<&ClientTlsSettings>| {
                let Some(tls) = tls.filter(|tls| is_unverified(tls, rule.spec)) else { return };
                let mode = text(tls.mode.as_ref());
                let message = format!("{mode} without `caCertificates` does not say who vouches for the server");
                found.push(
                    finding(code, rule.object, tls.span, message)
                        .effect("proxies trust the authorities of their image, and older ones any certificate")
                        .help("set `caCertificates`, for instance to `system`"),
                );
            };
            report(Code::UnverifiedServer, policy.tls.as_ref());
            for port in &policy.port_level_settings {
                report(Code::UnverifiedServerPort, port.tls.as_ref());
            }
        }
    }
}

fn is_unverified(tls: &ClientTlsSettings, rule: &DestinationRule) -> bool {
    let has_credential = !text(tls.credential_name.as_ref()).is_empty() && rule.workload_selector.is_some();
    matches!(text(tls.mode.as_ref()), "SIMPLE" | "MUTUAL") && text(tls.ca_certificates.as_ref()).is_empty() && !has_credential
}

/// Clients that are told to send plaintext to servers that take mutual TLS only, which `istioctl
/// analyze` does not report.
pub(super) fn plaintext_to_strict(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for rule in input.destination_rules() {
        let Some(tls) = rule.spec.traffic_policy.as_ref().and_then(|policy| policy.tls.as_ref()) else { continue };
        if text(tls.mode.as_ref()) != "DISABLE" {
            continue;
        }
        let name = host::resolve_short_name(text(rule.spec.host.as_ref()), &rule.object.namespace, "cluster.local");
        let Some(service) = input.services_of_host(&name).find(|service| service.kubernetes) else {
            continue;
        };
        // Only policies for whole namespaces: which of several for single workloads counts is compiled.
        let strict = |namespace: &str| {
            input.peer_authentications().find(|policy| {
                policy.object.namespace == namespace
                    && policy.spec.selector.as_ref().is_none_or(|selector| selector.match_labels.is_empty())
                    && policy.spec.mtls.as_ref().is_some_and(|mtls| !matches!(text(mtls.mode.as_ref()), "" | "UNSET"))
            })
        };
        let Some(policy) = strict(&service.namespace).or_else(|| strict(input.root_namespace)) else { continue };
        if policy.spec.mtls.as_ref().is_none_or(|mtls| text(mtls.mode.as_ref()) != "STRICT") {
            continue;
        }
        found.push(
            finding(Code::PlaintextToStrict, rule.object, tls.span, format!("`{name}` takes mutual TLS only"))
                .also(policy.spec.span, "STRICT by this policy")
                .effect("its workloads reset these connections")
                .help("remove `tls`, so that sidecars find out by themselves"),
        );
    }
}
