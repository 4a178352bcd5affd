//! What a route attaches to: listeners of Gateways, or services in the mesh; and whether it may.

use rustc_hash::FxHashSet;

use super::listeners::{GROUP, ListenerParent, text};
use crate::mesh::compile::context::Context;
use crate::mesh::compile::virtual_service::MESH_GATEWAY;
use crate::mesh::host;
use crate::resource::gateway_api::ParentReference;
use crate::source::Spanned;

/// The API group of ServiceEntries.
const ISTIO_GROUP: &str = "networking.istio.io";

/// Everything that routes may attach to.
pub(super) struct Parents<'a> {
    cx: &'a Context<'a>,
    listeners: &'a [ListenerParent],
    services: FxHashSet<(&'a str, &'a str)>,
}

/// One attachment of a route.
#[derive(Debug, Clone)]
pub(super) struct Attachment {
    /// `mesh`, or `namespace/name` of the listener's Gateway.
    pub(super) gateway: String,
    /// The hosts that take the place of the route's own, in the mesh.
    pub(super) mesh_hosts: Option<Vec<String>>,
    /// The port that a reference to a service names.
    pub(super) port: Option<Spanned<i64>>,
    /// Host of the listener; empty for all.
    hostname: String,
    /// Hosts of the other listeners beside it, which take precedence where they fit better.
    others: Vec<String>,
}

impl Attachment {
    /// Whether it is in the mesh.
    pub(super) fn is_mesh(&self) -> bool {
        self.mesh_hosts.is_some()
    }

    /// Whether a route's host is served by this listener and by no more specific one beside it.
    pub(super) fn serves(&self, route_host: &str) -> bool {
        let own = self.hostname.as_str();
        if !own.is_empty() && !host::is_wildcard(own) {
            return true;
        }
        if !own.is_empty() && !host::matches(route_host, own) {
            return false;
        }
        !self.others.iter().any(|other| own.len() <= other.len() && host::is_subset_of(route_host, other))
    }
}

impl<'a> Parents<'a> {
    pub(super) fn new(cx: &'a Context<'a>, listeners: &'a [ListenerParent]) -> Self {
        let services = cx.services.iter().map(|item| (item.object.namespace.as_str(), item.object.name.as_str())).collect();
        Parents { cx, listeners, services }
    }

    /// Where a route attaches, ordered by Gateway.
    pub(super) fn of(
        &self,
        references: &[ParentReference],
        kind: &str,
        hostnames: &[Spanned<String>],
        namespace: &str,
    ) -> Vec<Attachment> {
        let mut found: Vec<Attachment> = Vec::new();
        for reference in references {
            let owner = reference.namespace.as_ref().map_or(namespace, |ns| ns.value.as_str());
            let name = text(reference.name.as_ref());
            let group = reference.group.as_ref().map_or(GROUP, |group| group.value.as_str());
            match (group, reference.kind.as_ref().map_or("Gateway", |kind| kind.value.as_str())) {
                (GROUP, "Gateway") => found.extend(self.listeners_of(reference, owner, name, kind, hostnames, namespace)),
                ("" | "core", "Service") => found.extend(self.service(owner, name, reference.port)),
                (ISTIO_GROUP, "ServiceEntry") => found.extend(self.service_entry(owner, name, reference.port)),
                _ => {}
            }
        }
        found.sort_by(|a, b| a.gateway.cmp(&b.gateway));
        found
    }

    fn service(&self, namespace: &str, name: &str, port: Option<Spanned<i64>>) -> Option<Attachment> {
        let host = format!("{name}.{namespace}.svc.{}", self.cx.options.cluster_domain);
        self.services.contains(&(namespace, name)).then(|| mesh(vec![host], port))
    }

    fn service_entry(&self, namespace: &str, name: &str, port: Option<Spanned<i64>>) -> Option<Attachment> {
        let item = self.cx.service_entries.iter().find(|item| item.object.namespace == namespace && item.object.name == name)?;
        Some(mesh(item.spec.hosts.iter().map(|host| host.to_lowercase()).collect(), port))
    }

    fn listeners_of(
        &self,
        reference: &ParentReference,
        owner: &str,
        name: &str,
        kind: &str,
        hostnames: &[Spanned<String>],
        namespace: &str,
    ) -> Vec<Attachment> {
        let siblings: Vec<&ListenerParent> =
            self.listeners.iter().filter(|l| l.namespace == owner && l.gateway_name == name).collect();
        let asked = |listener: &ListenerParent| {
            let section = text(reference.section_name.as_ref());
            (section.is_empty() || section == listener.section)
                && reference.port.is_none_or(|port| port.value == 0 || port.value == listener.port)
        };
        let admits = |listener: &ListenerParent| {
            listener.kinds.iter().any(|known| known == kind) && admits_host(listener, hostnames, namespace)
        };
        let admitting = siblings.iter().filter(|listener| asked(listener) && admits(listener));
        admitting
            .map(|listener| {
                let beside = siblings.iter().filter(|other| {
                    other.section != listener.section && other.port == listener.port && other.protocol == listener.protocol
                });
                Attachment {
                    gateway: listener.gateway.reference.clone(),
                    mesh_hosts: None,
                    port: None,
                    hostname: listener.hostname.clone(),
                    others: beside.map(|other| other.hostname.clone()).filter(|h| *h != listener.hostname).collect(),
                }
            })
            .collect()
    }
}

fn mesh(hosts: Vec<String>, port: Option<Spanned<i64>>) -> Attachment {
    Attachment { gateway: MESH_GATEWAY.to_owned(), mesh_hosts: Some(hosts), port, hostname: String::new(), others: Vec::new() }
}

/// Whether a listener has a host in common with the route, for the route's namespace.
fn admits_host(listener: &ListenerParent, hostnames: &[Spanned<String>], namespace: &str) -> bool {
    let any = ["*"];
    let own: Vec<String> = match hostnames {
        [] => any.iter().map(|host| (*host).to_owned()).collect(),
        hosts => hosts.iter().map(|host| host.to_lowercase()).collect(),
    };
    let servers = listener.gateway.servers.iter().flat_map(|server| &server.hosts);
    servers.into_iter().any(|entry| {
        let (owner, name) = entry.split_once('/').unwrap_or(("*", entry));
        (owner == "*" || owner == namespace) && own.iter().any(|host| host::matches(name, host))
    })
}
