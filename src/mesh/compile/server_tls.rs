//! What every workload takes, from PeerAuthentications or, before they existed, from the Policies
//! of `authentication.istio.io`, which are for services instead of workloads.

use super::context::{Context, Item, selects};
use super::peer_authentication::PeerAuthentications;
use crate::mesh::registry::{Service, TargetPort, Workload};
use crate::mesh::transport::{InboundTls, PortTls, ServerTls};
use crate::resource::PortRef;
use crate::resource::security::{LegacyPeer, LegacyPolicy, LegacyPort};
use crate::yaml::Node;

/// Fills in what the workloads take.
pub(super) fn settle(cx: &Context<'_>, policies: &PeerAuthentications<'_>, services: &[Service], workloads: &mut [Workload]) {
    let is_modern = cx.options.profile.auto_mtls;
    for workload in workloads.iter_mut().filter(|workload| workload.proxied) {
        workload.inbound_tls = match is_modern {
            true => policies.inbound(&workload.namespace, &workload.labels),
            false => legacy(cx, services, workload),
        };
    }
}

/// Policies for a service precede the namespace's, and that precedes the mesh's; nothing is merged.
fn legacy(cx: &Context<'_>, services: &[Service], workload: &Workload) -> InboundTls {
    let own = |item: &&Item<'_, LegacyPolicy>| item.object.namespace == workload.namespace;
    let of_namespace = cx.legacy_policies.iter().filter(own).find(|item| item.spec.targets.is_empty());
    let of_mesh = cx.legacy_mesh_policies.first();
    let wide = of_namespace.or(of_mesh);
    let mode = wide.map_or(ServerTls::Disable, |item| legacy_mode(item.spec));
    let mut by_port: Vec<PortTls> = Vec::new();
    for item in cx.legacy_policies.iter().filter(own) {
        for (port, service) in targets(item.spec, services, workload) {
            if let Some(port) = target_number(service, port, workload).filter(|n| by_port.iter().all(|known| known.port != *n)) {
                by_port.push(PortTls { port, mode: legacy_mode(item.spec), origin: item.origin(item.object.span) });
            }
        }
    }
    by_port.sort_unstable_by_key(|own| own.port);
    InboundTls { mode, origin: wide.map(|item| item.origin(item.object.span)).unwrap_or_default(), by_port }
}

/// The service ports that a policy is for, as far as the workload serves them.
fn targets<'s>(policy: &LegacyPolicy, services: &'s [Service], workload: &Workload) -> Vec<(u16, &'s Service)> {
    let mut found = Vec::new();
    for target in &policy.targets {
        let name = target.name.as_ref().map_or("", |name| name.value.as_str());
        let is_own = |service: &&Service| {
            let selected = !service.selector.is_empty() && selects(&service.selector, &workload.labels);
            service.kubernetes && service.name == name && service.namespace == workload.namespace && selected
        };
        for service in services.iter().filter(is_own) {
            let is_meant =
                |number: u16, name: &str| target.ports.is_empty() || target.ports.iter().any(|p| names(p, number, name));
            let ports = service.ports.iter().filter(|port| is_meant(port.port, &port.name));
            found.extend(ports.map(|port| (port.port, service)));
        }
    }
    found
}

fn names(port: &LegacyPort, number: u16, name: &str) -> bool {
    match &port.number {
        Some(PortRef::Number(own, _)) => *own == i64::from(number),
        Some(PortRef::Name(own, _)) => own == name,
        None => port.name.as_ref().is_some_and(|own| own.value == name),
    }
}

fn target_number(service: &Service, port: u16, workload: &Workload) -> Option<u16> {
    match &service.port(port)?.target {
        TargetPort::Number(number) => Some(*number),
        TargetPort::Name(name) => workload.ports.iter().find(|(own, _)| own == name).map(|(_, number)| *number),
    }
}

/// The first peer that is mutual TLS decides; without one the server takes plaintext.
fn legacy_mode(policy: &LegacyPolicy) -> ServerTls {
    // An entry with neither field is one whose `mtls` is null, which means STRICT.
    let is_mtls = |peer: &&LegacyPeer| peer.mtls.is_some() || peer.jwt.is_none();
    let Some(peer) = policy.peers.iter().find(is_mtls) else { return ServerTls::Disable };
    let mode = peer.mtls.as_ref().and_then(|mtls| mtls.get("mode")).and_then(Node::as_str);
    if mode == Some("PERMISSIVE") { ServerTls::Permissive } else { ServerTls::Strict }
}

#[cfg(test)]
mod tests {
    use crate::mesh::Profile;
    use crate::mesh::cluster::TlsMode;
    use crate::mesh::compile::mesh::{CompileOptions, compile};
    use crate::mesh::compile::testing::objects;
    use crate::mesh::transport::{Arrival, ServerTls, arrival};

    const WEB: &str = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}, {name: http-x, port: 81, targetPort: 8081}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c}]}}}
";

    fn legacy(kind: &str, name: &str, spec: &str) -> String {
        format!("---\napiVersion: authentication.istio.io/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n")
    }

    fn modes(yaml: &str, version: &str) -> [ServerTls; 2] {
        let options = CompileOptions { profile: Profile::of_version(version).unwrap(), ..CompileOptions::default() };
        let (mesh, _) = compile(&objects(yaml), &options);
        [8080, 8081].map(|port| mesh.workloads[0].inbound_tls.on_port(port))
    }

    #[test]
    fn old_policies_are_for_services_and_never_merge() {
        let (off, both, strict) = (ServerTls::Disable, ServerTls::Permissive, ServerTls::Strict);
        let mesh = legacy("MeshPolicy", "default", "{peers: [{mtls: {mode: PERMISSIVE}}]}");
        let namespace = legacy("Policy", "default", "{peers: [{mtls: {}}]}");
        let service =
            legacy("Policy", "web", "{targets: [{name: web, ports: [{number: 81}]}], peers: [{mtls: {mode: PERMISSIVE}}]}");
        let open = legacy("Policy", "web", "{targets: [{name: web}]}");
        for (policies, expected) in [
            (String::new(), [off, off]),
            (mesh.clone(), [both, both]),
            (format!("{mesh}{namespace}"), [strict, strict]),
            (legacy("Policy", "default", "{peers: [{mtls: null}]}"), [strict, strict]),
            (format!("{namespace}{service}"), [strict, both]),
            (format!("{namespace}{open}"), [off, off]),
        ] {
            assert_eq!(modes(&format!("{WEB}{policies}"), "1.1"), expected, "{policies}");
        }
        assert_eq!(modes(&format!("{WEB}{namespace}"), "latest"), [both, both]);
        let peer = "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: web}\n\
                    spec: {selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}, portLevelMtls: {'8081': {mode: DISABLE}}}\n";
        assert_eq!(modes(&format!("{WEB}{peer}"), "latest"), [strict, off]);
    }

    #[test]
    fn what_is_sent_must_suit_what_is_taken() {
        let options = CompileOptions::default();
        let (mut mesh, _) = compile(&objects(WEB), &options);
        let server = &mut mesh.workloads[0];
        for (takes, plain, istio, other) in [
            (ServerTls::Disable, Arrival::Accepted, Arrival::HandshakeFailed, Arrival::Accepted),
            (ServerTls::Permissive, Arrival::Accepted, Arrival::Accepted, Arrival::Terminated),
            (ServerTls::Strict, Arrival::Terminated, Arrival::Accepted, Arrival::HandshakeFailed),
        ] {
            server.inbound_tls.mode = takes;
            let sent = [None, Some(TlsMode::IstioMutual), Some(TlsMode::Simple)];
            assert_eq!(sent.map(|sent| arrival(sent, server, 80)), [plain, istio, other], "{takes:?}");
        }
        server.proxied = false;
        assert_eq!(arrival(None, server, 80), Arrival::Accepted);
    }
}
