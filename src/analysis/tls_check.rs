//! Both sides of mutual TLS for each service port that a proxy can call, as `istioctl authn
//! tls-check` printed them until Istio 1.4.

use crate::mesh::cluster::{Cluster, TlsMode, UpstreamTls};
use crate::mesh::registry::{Service, ServicePort};
use crate::mesh::transport::ServerTls;
use crate::mesh::{Mesh, ProxyId};
use crate::resource::security::{LegacyPolicy, LegacyTarget};
use crate::resource::{Body, Object, Objects, PortRef};

/// One service port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsCheckRow {
    /// Host of the service.
    pub host: String,
    /// Port of the service.
    pub port: u16,
    /// `OK` if client and server have a protocol in common, `AUTO` if the client decides for each
    /// endpoint (since 1.5), `MAY CONFLICT` where own certificates meet a server that takes Istio's,
    /// `-` if there is no server, else `CONFLICT`.
    pub status: &'static str,
    /// What the servers take: `HTTP`, `mTLS`, `HTTP/mTLS`, `mixed`, or `-` if there is none.
    pub server: &'static str,
    /// What the client sends: `HTTP`, `mTLS`, `TLS`, `custom mTLS`, or `-` for automatic.
    pub client: &'static str,
    /// The policy that decides for the server as `name/namespace`; `-` if there is none. Policies
    /// for single workloads are not named.
    pub policy: String,
    /// The DestinationRule that decides for the client, the same way.
    pub rule: String,
}

/// The rows of a proxy, by host and port. Subsets do not count: the rule's own settings do.
#[must_use]
pub fn tls_check(objects: &Objects, mesh: &Mesh, proxy: ProxyId) -> Vec<TlsCheckRow> {
    let clusters = mesh.proxies[proxy.index()].clusters.iter().filter(|cluster| cluster.subset.is_empty());
    let mut rows: Vec<TlsCheckRow> = clusters.filter_map(|cluster| row(objects, mesh, cluster)).collect();
    rows.sort_by(|a, b| (&a.host, a.port).cmp(&(&b.host, b.port)));
    rows.dedup_by(|later, first| (&later.host, later.port) == (&first.host, first.port));
    rows
}

fn row(objects: &Objects, mesh: &Mesh, cluster: &Cluster) -> Option<TlsCheckRow> {
    let service = &mesh.services[cluster.service?.index()];
    let port = service.port(cluster.port)?;
    let servers = servers(mesh, cluster);
    let client = client(&cluster.tls, mesh.profile.tls_check_names_own_certificates);
    let rule = cluster.origin.object.map(|id| &mesh.objects[id.index()]).filter(|object| object.kind == "DestinationRule");
    let policy = match mesh.profile.auto_mtls {
        true => peer_authentication(objects, service),
        false => legacy_policy(objects, service, port),
    };
    Some(TlsCheckRow {
        host: service.host.clone(),
        port: port.port,
        status: status(&servers, client),
        server: server(&servers),
        client,
        // Policies of the mesh have no namespace, and the slash all the same.
        policy: policy.map_or_else(|| "-".to_owned(), |object| format!("{}/{}", object.name, object.namespace)),
        rule: rule.map_or_else(|| "-".to_owned(), |object| format!("{}/{}", object.name, object.namespace)),
    })
}

/// What the pods behind a cluster take, each answer once.
fn servers(mesh: &Mesh, cluster: &Cluster) -> Vec<ServerTls> {
    let mut found = Vec::new();
    for endpoint in cluster.endpoints() {
        let Some(pod) = endpoint.pod else { continue };
        let workload = &mesh.workloads[mesh.pods[pod.index()].workload.index()];
        let takes = if workload.proxied { workload.inbound_tls.on_port(endpoint.port) } else { ServerTls::Disable };
        if !found.contains(&takes) {
            found.push(takes);
        }
    }
    found
}

fn server(servers: &[ServerTls]) -> &'static str {
    match servers {
        [] => "-",
        [ServerTls::Disable] => "HTTP",
        [ServerTls::Permissive] => "HTTP/mTLS",
        [ServerTls::Strict] => "mTLS",
        _ => "mixed",
    }
}

fn client(tls: &UpstreamTls, names_own_certificates: bool) -> &'static str {
    match tls {
        UpstreamTls::Always { mode: TlsMode::IstioMutual, .. } => "mTLS",
        UpstreamTls::Always { mode: TlsMode::Simple, .. } if names_own_certificates => "TLS",
        UpstreamTls::Always { mode: TlsMode::Mutual, .. } if names_own_certificates => "custom mTLS",
        UpstreamTls::Always { .. } | UpstreamTls::Plaintext => "HTTP",
        UpstreamTls::Auto { .. } => "-",
    }
}

/// Client and servers must have a protocol in common, all of the servers.
fn status(servers: &[ServerTls], client: &str) -> &'static str {
    let suits = |server: &ServerTls| match client {
        "mTLS" | "custom mTLS" => *server != ServerTls::Disable,
        "HTTP" => *server != ServerTls::Strict,
        _ => false,
    };
    match (client, servers) {
        (_, []) => "-",
        ("-", _) => "AUTO",
        ("custom mTLS", _) if servers.iter().all(suits) => "MAY CONFLICT",
        _ if servers.iter().all(suits) => "OK",
        _ => "CONFLICT",
    }
}

fn objects_of<'o, T>(objects: &'o Objects, of: impl Fn(&'o Body) -> Option<&'o T>) -> Vec<(&'o Object, &'o T)> {
    objects.items.iter().filter_map(|object| Some((object, of(&object.body)?))).collect()
}

/// The PeerAuthentication for all workloads of a service's namespace, else of the mesh.
fn peer_authentication<'o>(objects: &'o Objects, service: &Service) -> Option<&'o Object> {
    let all = objects_of(objects, |body| match body {
        Body::PeerAuthentication(policy) => Some(&**policy),
        _ => None,
    });
    let in_namespace = |namespace: &str| {
        all.iter().find(|(object, policy)| object.namespace == namespace && policy.selector.is_none()).map(|(object, _)| *object)
    };
    in_namespace(&service.namespace).or_else(|| in_namespace("istio-system"))
}

/// The policy that names the service, else the namespace's, else the mesh's. The winner is used
/// alone (Istio 1.0 to 1.4: `AuthenticationPolicyByDestination`).
fn legacy_policy<'o>(objects: &'o Objects, service: &Service, port: &ServicePort) -> Option<&'o Object> {
    let of_namespaces = objects_of(objects, |body| match body {
        Body::LegacyPolicy(policy) => Some(&**policy),
        _ => None,
    });
    let own = || of_namespaces.iter().filter(|(object, _)| object.namespace == service.namespace);
    let names = |policy: &LegacyPolicy| policy.targets.iter().any(|target| selects(target, service, port));
    let targeted = own().find(|(_, policy)| names(policy)).map(|(object, _)| *object);
    let wide = || own().find(|(_, policy)| policy.targets.is_empty()).map(|(object, _)| *object);
    let of_mesh = || objects.items.iter().find(|object| matches!(object.body, Body::LegacyMeshPolicy(_)));
    targeted.or_else(wide).or_else(of_mesh)
}

/// A target without ports is for all of them.
fn selects(target: &LegacyTarget, service: &Service, port: &ServicePort) -> bool {
    let is_port = |wanted: &crate::resource::security::LegacyPort| match &wanted.number {
        Some(PortRef::Number(number, _)) => *number == i64::from(port.port),
        Some(PortRef::Name(name, _)) => *name == port.name,
        None => wanted.name.as_ref().is_some_and(|name| name.value == port.name),
    };
    target.name.as_ref().is_some_and(|name| name.value == service.name)
        && (target.ports.is_empty() || target.ports.iter().any(is_port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_ok_if_both_sides_have_a_protocol_in_common() {
        use ServerTls::{Disable, Permissive, Strict};
        for (client, servers, expected) in [
            ("HTTP", &[Disable][..], "OK"),
            ("HTTP", &[Permissive], "OK"),
            ("HTTP", &[Strict], "CONFLICT"),
            ("HTTP", &[Permissive, Strict], "CONFLICT"),
            ("mTLS", &[Disable], "CONFLICT"),
            ("mTLS", &[Permissive, Strict], "OK"),
            ("TLS", &[Strict], "CONFLICT"),
            ("TLS", &[Disable], "CONFLICT"),
            ("custom mTLS", &[Strict], "MAY CONFLICT"),
            ("custom mTLS", &[Disable], "CONFLICT"),
            ("-", &[Strict], "AUTO"),
            ("HTTP", &[], "-"),
        ] {
            assert_eq!(status(servers, client), expected, "{client} to {servers:?}");
        }
    }
}
