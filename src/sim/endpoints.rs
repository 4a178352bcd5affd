//! Where bytes go that no proxy balances: a service's endpoints as kube-proxy and the cluster's DNS
//! know them.

use crate::mesh::Mesh;
use crate::mesh::cluster::Endpoint;
use crate::mesh::registry::{Service, TargetPort};

/// What a name stands for, seen from a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A service of the registry, by position.
    Service(usize),
    /// A host outside of the mesh.
    Outside,
    /// Nothing: the name does not resolve.
    Nothing,
}

/// Looks a host up as the resolver of a pod in `namespace` does.
pub(super) fn find(mesh: &Mesh, host: &str, namespace: &str) -> Found {
    find_within(mesh, host, namespace, ALIASES_MAX)
}

/// ExternalName services may stand for one another in a circle.
const ALIASES_MAX: u32 = 8;

fn find_within(mesh: &Mesh, host: &str, namespace: &str, aliases: u32) -> Found {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let is_meant = |service: &Service| {
        let short = service.name.as_str();
        service.host == host
            || service.addresses.contains(&host)
            || service.kubernetes
                && (host == short && service.namespace == namespace
                    || host == format!("{short}.{}", service.namespace)
                    || host == format!("{short}.{}.svc", service.namespace))
    };
    match mesh.services.iter().position(is_meant) {
        Some(index) => match &mesh.services[index].alias_of {
            Some(_) if aliases == 0 => Found::Nothing,
            Some(other) => find_within(mesh, other, namespace, aliases - 1),
            None => Found::Service(index),
        },
        None if host.contains('.') && !host.ends_with(".local") && !host.ends_with(".svc") => Found::Outside,
        None => Found::Nothing,
    }
}

/// The ready endpoints of a service's port: those that any proxy was told, else the pods that the
/// selector finds.
pub(super) fn endpoints(mesh: &Mesh, service: &Service, port: u16) -> Vec<Endpoint> {
    let name = format!("outbound|{port}||{}", service.host);
    let told = mesh.proxies.iter().filter_map(|proxy| proxy.clusters.named(&name));
    if let Some(cluster) = told.into_iter().find(|cluster| cluster.endpoints().next().is_some()) {
        return cluster.endpoints().filter(|endpoint| endpoint.healthy).cloned().collect();
    }
    selected(mesh, service, port)
}

fn selected(mesh: &Mesh, service: &Service, port: u16) -> Vec<Endpoint> {
    let Some(service_port) = service.port(port).filter(|_| !service.selector.is_empty()) else { return Vec::new() };
    let mut all = Vec::new();
    for workload in mesh.workloads.iter().filter(|w| w.namespace == service.namespace) {
        let target = match &service_port.target {
            TargetPort::Number(number) => Some(*number),
            TargetPort::Name(name) => workload.ports.iter().find(|(known, _)| known == name).map(|(_, number)| *number),
        };
        let Some(port) = target.filter(|_| service.selector.iter().all(|pair| workload.labels.contains(pair))) else { continue };
        for id in &workload.pods {
            let pod = &mesh.pods[id.index()];
            if pod.ready || service.publish_not_ready {
                all.push(Endpoint {
                    address: format!("{}:{port}", pod.ip),
                    port,
                    weight: 1,
                    healthy: true,
                    mutual_tls: workload.mutual_tls,
                    pod: Some(*id),
                });
            }
        }
    }
    all
}
