//! What the numbers in observations stand for. The engine fills it; recorders read it at the end.

use super::observation::{CalledId, GroupId, PartyId};
use crate::source::Span;
use crate::time::Instant;

/// Names and configuration behind the numbers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Directory {
    /// Phases, clients and classes of users that occur together.
    pub groups: Vec<Group>,
    /// Who calls: clients in their order, then workloads in theirs.
    pub parties: Vec<String>,
    /// Hosts of services: those of the registry in order, then others as they are met.
    pub services: Vec<String>,
    /// Workloads.
    pub workloads: Vec<Reached>,
    /// Versions: values of the label `version`, or names where there is none.
    pub versions: Vec<String>,
    /// Words on answers, in the order in which the scenario first names them.
    pub labels: Vec<String>,
    /// Ways through proxies, as they are met.
    pub hops: Vec<HopEntry>,
    /// Pods, then hosts outside of the mesh as they are met; known when a run has ended.
    pub places: Vec<String>,
    /// The address of each place, without port: that of the pod, or the host's name.
    pub addresses: Vec<String>,
}

/// One class of users of one client in one phase.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Position of the phase.
    pub phase: usize,
    /// Client.
    pub client: String,
    /// Class of users; empty if the client has none.
    pub user: String,
    /// The planned share of this class in the client's requests, 0 to 1.
    pub share: f64,
}

/// A workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// `name.namespace`; empty for hosts outside of the mesh.
    pub name: String,
    /// Position in [`Directory::versions`].
    pub version: usize,
    /// Its label `version`; empty if it has none.
    pub label: String,
    /// Its label `app`; empty if it has none.
    pub app: String,
    /// Its identity, as certificates carry it; empty for hosts outside of the mesh.
    pub principal: String,
}

/// One proxy's way with one kind of request.
#[derive(Debug, Clone, PartialEq)]
pub struct HopEntry {
    /// The service that is dialled, as far as it is known.
    pub service: CalledId,
    /// Shares of versions as written in the route, if it is weighted or pins one subset.
    pub planned: Option<Vec<(usize, f64)>>,
    /// Expected shares of versions, by route weights and endpoints; they add up to less than one if
    /// some requests reach no endpoint.
    pub expected: Vec<(usize, f64)>,
    /// The rule that decides.
    pub origin: Span,
    /// When the configuration that decides was applied.
    pub configured: Instant,
    /// Arguments of `meshsim route` that explain it.
    pub explain: Vec<String>,
    /// The Host that mirrors of its requests see.
    pub mirror_authority: String,
    /// The body of the answer, where the route answers by itself.
    pub direct_body: String,
    /// What a proxy writes down of it.
    pub sent: Sent,
}

/// What a proxy writes down of requests that take one way, besides what becomes of them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sent {
    /// The workload whose proxy sends, `name.namespace`; empty if the caller has no proxy.
    pub proxy: String,
    /// Whether that proxy is a gateway.
    pub gateway: bool,
    /// Whether the proxy reads requests; else it forwards bytes.
    pub http: bool,
    /// Method.
    pub method: String,
    /// Host and port as they were sent.
    pub authority: String,
    /// Path and query before any rewrite.
    pub path: String,
    /// Header `user-agent`; empty if there is none.
    pub user_agent: String,
    /// The port that was dialled.
    pub port: u16,
    /// The address that was dialled, without port; empty if it is not known.
    pub dialled: String,
    /// Name of the route; empty if none matched.
    pub route: String,
    /// Destinations in the order of the route.
    pub upstreams: Vec<Upstream>,
}

/// One destination of a way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Name of the cluster, such as `outbound|9080|v1|reviews.default.svc.cluster.local`.
    pub cluster: String,
    /// The port that its endpoints listen on; 0 if it has none.
    pub port: u16,
    /// Whether the proxies at both ends speak mutual TLS.
    pub mutual_tls: bool,
}

impl Directory {
    /// The group behind a number.
    #[must_use]
    pub fn group(&self, id: GroupId) -> &Group {
        &self.groups[id.index()]
    }

    /// The name of who calls.
    #[must_use]
    pub fn party(&self, id: PartyId) -> &str {
        &self.parties[id.index()]
    }

    /// The words of a set of labels.
    #[must_use]
    pub fn words(&self, labels: super::Labels) -> Vec<String> {
        labels.iter().filter_map(|position| self.labels.get(position).cloned()).collect()
    }
}
