//! Dead ends of authorization that `istioctl analyze` does not report: rules that exist nowhere or
//! never match at the workloads they are for.

use std::collections::BTreeSet;

use super::input::Input;
use crate::diagnostic::{Code, Diagnostic};
use crate::mesh::authorization::{RbacAction, RbacFilter, RbacRule, Test};
use crate::mesh::inbound::Reading;
use crate::mesh::transport::ServerTls;
use crate::mesh::{Mesh, Origin, Proxy, ProxyKind};

/// Sidecars that have any policy.
fn guarded(mesh: &Mesh) -> impl Iterator<Item = &Proxy> {
    let sidecars = mesh.proxies.iter().filter(|proxy| proxy.spec.kind == ProxyKind::Sidecar);
    sidecars.filter(|proxy| !proxy.inbound.authorization.is_empty())
}

fn enforced(filters: &[RbacFilter]) -> impl Iterator<Item = (&RbacFilter, &RbacRule)> {
    filters.iter().flat_map(|filter| filter.enforced.iter().flat_map(move |set| set.rules.iter().map(move |rule| (filter, rule))))
}

fn about(mesh: &Mesh, origin: Origin, finding: Diagnostic) -> Diagnostic {
    match origin.object.and_then(|id| mesh.objects.get(id.index())) {
        Some(object) => finding.about(object.clone()),
        None => finding,
    }
}

/// TCP ports that ALLOW policies shut, because each of their rules needs HTTP.
pub(super) fn shut_ports(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let mut said = BTreeSet::new();
    for proxy in guarded(input.mesh) {
        let is_tcp = |port: &&crate::mesh::inbound::InboundPort| proxy.inbound.reading(port.number) == Reading::Tcp;
        let Some(port) = proxy.inbound.ports.iter().find(is_tcp) else { continue };
        let allow = proxy.inbound.authorization.tcp.iter().find(|filter| filter.action == RbacAction::Allow);
        let Some(set) = allow.and_then(|filter| filter.enforced.as_ref()).filter(|set| set.rules.is_empty()) else { continue };
        // Without any dropped rule nothing was meant to be allowed.
        for dropped in &set.dropped {
            if !said.insert(dropped.name.clone()) {
                continue;
            }
            let http = enforced(&proxy.inbound.authorization.http).find(|(_, rule)| rule.name == dropped.name);
            let origin = http.map(|(_, rule)| rule.origin).unwrap_or_default();
            let message = format!(
                "`{}` needs HTTP, so the rule is missing on TCP port {} of `{}`",
                dropped.field, port.number, proxy.spec.name
            );
            let finding = Diagnostic::new(Code::ShutTcpPort, message)
                .at(dropped.span)
                .effect("no rule is left there, so every connection is denied")
                .help("add a rule for the port that asks for nothing but the connection");
            found.push(about(input.mesh, origin, finding));
        }
    }
}

/// ALLOW rules that ask for an identity where mutual TLS is off.
pub(super) fn identities_in_clear(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let mut said = BTreeSet::new();
    for proxy in guarded(input.mesh) {
        let tls = &proxy.inbound.tls;
        if tls.mode != ServerTls::Disable || tls.by_port.iter().any(|port| port.mode != ServerTls::Disable) {
            continue;
        }
        for (_, rule) in enforced(&proxy.inbound.authorization.http).filter(|(filter, _)| filter.action == RbacAction::Allow) {
            let asking = rule.principals.iter().map(|clause| {
                clause.conditions.iter().find(|condition| {
                    !condition.negated && condition.tests.iter().all(|(test, _)| matches!(test, Test::Identity(_)))
                })
            });
            let Some(Some(condition)) = asking.collect::<Option<Vec<_>>>().map(|all| all.first().copied()) else { continue };
            if !said.insert(rule.name.clone()) {
                continue;
            }
            let message = format!("`{}` needs mutual TLS, which `{}` does not take", condition.field, proxy.spec.name);
            let mut finding = Diagnostic::new(Code::IdentityInClear, message)
                .at(condition.span)
                .effect("nobody has an identity there, so the rule never matches");
            if tls.origin.span.is_somewhere() {
                finding = finding.also(tls.origin.span, "DISABLE by this policy");
            }
            found.push(about(input.mesh, rule.origin, finding));
        }
    }
}

/// CUSTOM policies whose external authorizer cannot be asked.
pub(super) fn unknown_authorizers(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let mut said = BTreeSet::new();
    for proxy in guarded(input.mesh) {
        let denying =
            enforced(&proxy.inbound.authorization.http).filter(|(filter, _)| filter.custom && filter.action == RbacAction::Deny);
        for (_, rule) in denying {
            if !said.insert(rule.origin.object) {
                continue;
            }
            let finding = Diagnostic::new(Code::UnknownAuthorizer, "the policy's external authorizer cannot be asked")
                .at(rule.origin.span)
                .effect("what its rules match is denied")
                .help("define the provider in the mesh configuration (`extensionProviders`), with a service of the mesh, and give each workload one");
            found.push(about(input.mesh, rule.origin, finding));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::analysis::testing::analyzed;

    const WEB: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: default, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80}, {name: tcp-x, port: 90}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c}]}}}
";

    fn found(spec: &str, more: &str) -> Vec<String> {
        let policy =
            format!("---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p}}\nspec: {spec}\n");
        let own = ["shut-tcp-port", "identity-in-clear", "unknown-authorizer"];
        let lines = analyzed(&format!("{WEB}{policy}{more}"));
        lines.into_iter().filter(|line| own.iter().any(|name| line.starts_with(name))).collect()
    }

    #[test]
    fn rules_that_exist_nowhere_or_never_match_are_found() {
        let off = "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: off}\nspec: {mtls: {mode: DISABLE}}\n";
        for (spec, more, code) in [
            ("{rules: [{to: [{operation: {methods: [GET]}}]}]}", "", Some("shut-tcp-port")),
            ("{rules: [{to: [{operation: {methods: [GET]}}]}, {to: [{operation: {ports: ['90']}}]}]}", "", None),
            ("{}", "", None),
            ("{rules: [{from: [{source: {namespaces: [default]}}]}]}", off, Some("identity-in-clear")),
            ("{rules: [{from: [{source: {namespaces: [default]}}]}]}", "", None),
            ("{rules: [{from: [{source: {namespaces: [default]}}, {source: {ipBlocks: ['10.0.0.0/8']}}]}]}", off, None),
            ("{rules: [{from: [{source: {notNamespaces: [default]}}]}]}", off, None),
            ("{action: CUSTOM, provider: {name: opa}, rules: [{}]}", "", Some("unknown-authorizer")),
        ] {
            let expected: Vec<String> = code.map(|name| format!("{name} AuthorizationPolicy default/p")).into_iter().collect();
            assert_eq!(found(spec, more), expected, "{spec}");
        }
    }
}
