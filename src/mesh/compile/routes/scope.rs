//! What translating a rule must know of the proxy, port and gateway it is for.

use std::cell::RefCell;

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
    /// The clusters of the mesh.
    pub(in crate::mesh::compile) clusters: &'a ClusterNames,
}

/// The names of all clusters, numbered as they come up.
#[derive(Debug, Default)]
pub(in crate::mesh::compile) struct ClusterNames {
    ids: RefCell<FxHashMap<String, ClusterId>>,
}

impl ClusterNames {
    /// The id of a name.
    pub(in crate::mesh::compile) fn id(&self, name: &str) -> ClusterId {
        let mut ids = self.ids.borrow_mut();
        if let Some(known) = ids.get(name) {
            return *known;
        }
        let id = ClusterId::new(ids.len());
        ids.insert(name.to_owned(), id);
        id
    }

    /// A reference to a cluster, which the proxy may not have.
    pub(in crate::mesh::compile) fn named(&self, name: String) -> ClusterRef {
        ClusterRef { id: self.id(&name), name }
    }
}
