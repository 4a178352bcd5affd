//! What translating a rule must know of the proxy, port and gateway it is for.

use rustc_hash::FxHashMap;

use super::destinations::SeenService;
use crate::mesh::route::{ClusterRef, HashPolicy};
use crate::mesh::{ClusterId, Profile};
use crate::resource::networking::HttpRetry;

/// The hash policy of a destination: host, subset, port if it names one.
pub(in crate::mesh::compile) type HashLookup<'a> = &'a dyn Fn(&str, &str, Option<u16>) -> Option<Option<HashPolicy>>;

/// The surroundings of a rule.
#[derive(Clone, Copy)]
pub(in crate::mesh::compile) struct RouteScope<'a> {
    /// The release.
    pub(in crate::mesh::compile) profile: &'a Profile,
    /// The mesh's retry policy for rules without one.
    pub(in crate::mesh::compile) mesh_retries: Option<&'a HttpRetry>,
    /// Labels of the proxy.
    pub(in crate::mesh::compile) client_labels: &'a [(String, String)],
    /// Namespace of the proxy.
    pub(in crate::mesh::compile) client_namespace: &'a str,
    /// `mesh`, or `namespace/name` of the gateway.
    pub(in crate::mesh::compile) gateway: &'a str,
    /// Port of the listener: the service port at a sidecar, the server's port at a gateway.
    pub(in crate::mesh::compile) port: u16,
    /// Whether the listener terminates TLS.
    pub(in crate::mesh::compile) tls: bool,
    /// The services that a destination without port is looked up among.
    pub(in crate::mesh::compile) service: &'a dyn Fn(&str) -> Option<SeenService>,
    /// The hash policy of a destination: host, subset, port if it names one.
    pub(in crate::mesh::compile) hash: HashLookup<'a>,
    /// The proxy's clusters.
    pub(in crate::mesh::compile) clusters: &'a ClusterNames,
}

/// The clusters of a proxy by name.
#[derive(Debug, Clone, Default)]
pub(in crate::mesh::compile) struct ClusterNames {
    ids: FxHashMap<String, ClusterId>,
}

impl ClusterNames {
    /// Indexes names by position.
    pub(in crate::mesh::compile) fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let ids = names.into_iter().enumerate().map(|(index, name)| (name.to_owned(), ClusterId::new(index))).collect();
        ClusterNames { ids }
    }

    /// A reference to a cluster, which the proxy may not have.
    pub(in crate::mesh::compile) fn named(&self, name: String) -> ClusterRef {
        let id = self.ids.get(&name).copied();
        ClusterRef { name, id }
    }
}
