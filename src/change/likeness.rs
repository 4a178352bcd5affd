//! Routes and clusters that do the same, whatever their places and numbers. Quick, because most of two
//! meshes is the same; what is unlike here may still turn out to be the same in words.

use crate::mesh::Proxy;
use crate::mesh::cluster::{Cluster, Endpoint, LocalityEndpoints};
use crate::mesh::proxy::{ChainTarget, FilterChain, Listener, TcpLegs};
use crate::mesh::route::{Action, ClusterRef, Forward, Leg, Mirror, Route, RouteMatch, VirtualHost};
use crate::routing::Treatment;

/// Two proxies, one of each mesh.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair<'m> {
    pub(super) base: &'m Proxy,
    pub(super) head: &'m Proxy,
}

impl Pair<'_> {
    /// Whether two virtual hosts do the same with every request.
    pub(super) fn same_hosts(self, base: &VirtualHost, head: &VirtualHost) -> bool {
        base.require_tls == head.require_tls
            && base.routes.len() == head.routes.len()
            && base
                .routes
                .iter()
                .zip(head.routes.iter())
                .all(|(base, head)| same_conditions(&base.matcher, &head.matcher) && self.same_treatments(base, head))
    }

    /// Whether two routes do the same with the requests they take.
    pub(super) fn same_treatments(self, base: &Route, head: &Route) -> bool {
        self.same_actions(base, head) || Treatment::of_route(self.base, base) == Treatment::of_route(self.head, head)
    }

    fn same_actions(self, base: &Route, head: &Route) -> bool {
        let faults = match (&base.fault, &head.fault) {
            (None, None) => true,
            (Some(base), Some(head)) => (base.delay, base.abort) == (head.delay, head.abort),
            (Some(_), None) | (None, Some(_)) => false,
        };
        faults
            && base.cors == head.cors
            && base.request_headers == head.request_headers
            && base.response_headers == head.response_headers
            && match (&base.action, &head.action) {
                (Action::Forward(base), Action::Forward(head)) => self.same_forwards(base, head),
                // What is replaced depends on the match.
                (Action::Redirect(one), Action::Redirect(other)) => one == other && same_paths(&base.matcher, &head.matcher),
                (Action::Direct(base), Action::Direct(head)) => base == head,
                _ => false,
            }
            && (!rewrites_prefix(base) || same_paths(&base.matcher, &head.matcher))
    }

    fn same_forwards(self, base: &Forward, head: &Forward) -> bool {
        let legs = (base.legs.all(), head.legs.all());
        base.timeout == head.timeout
            && base.retries == head.retries
            && base.hash == head.hash
            && base.path_rewrite == head.path_rewrite
            && base.authority_rewrite == head.authority_rewrite
            && base.cluster_not_found_status == head.cluster_not_found_status
            && legs.0.len() == legs.1.len()
            && legs.0.iter().zip(legs.1).all(|(base, head)| self.same_legs(base, head))
            && base.mirrors.len() == head.mirrors.len()
            && base.mirrors.iter().zip(&head.mirrors).all(|(base, head)| self.same_mirrors(base, head))
    }

    fn same_legs(self, base: &Leg, head: &Leg) -> bool {
        base.weight == head.weight
            && base.authority_rewrite == head.authority_rewrite
            && base.request_headers == head.request_headers
            && base.response_headers == head.response_headers
            && self.same_clusters(&base.cluster, &head.cluster)
    }

    fn same_mirrors(self, base: &Mirror, head: &Mirror) -> bool {
        base.share == head.share && self.same_clusters(&base.cluster, &head.cluster)
    }

    /// The same name, and here and there it is known or not, and has somewhere to go or not.
    fn same_clusters(self, base: &ClusterRef, head: &ClusterRef) -> bool {
        let state = |proxy: &Proxy, cluster: &ClusterRef| proxy.clusters.get(cluster.id).map(Cluster::has_somewhere_to_go);
        base.name == head.name && state(self.base, base) == state(self.head, head)
    }

    /// Whether two listeners take the same connections in the same way, as far as that does not depend
    /// on what route tables hold.
    pub(super) fn same_listeners(self, base: &Listener, head: &Listener) -> bool {
        base.chains.len() == head.chains.len()
            && base.chains.iter().zip(&head.chains).all(|(base, head)| self.same_chains(base, head))
    }

    fn same_chains(self, base: &FilterChain, head: &FilterChain) -> bool {
        base.matcher == head.matcher
            && base.terminates == head.terminates
            && match (&base.target, &head.target) {
                (ChainTarget::Http(_), ChainTarget::Http(_)) => true,
                (ChainTarget::Tcp(base), ChainTarget::Tcp(head)) => self.same_bytes(base, head),
                _ => false,
            }
    }

    fn same_bytes(self, base: &TcpLegs, head: &TcpLegs) -> bool {
        let mut legs = base.legs.iter().zip(&head.legs);
        base.legs.len() == head.legs.len()
            && legs.all(|((base, weight, _), (head, other, _))| weight == other && self.same_clusters(base, head))
    }
}

fn rewrites_prefix(route: &Route) -> bool {
    matches!(&route.action, Action::Forward(forward) if forward.path_rewrite.is_some())
}

fn same_paths(base: &RouteMatch, head: &RouteMatch) -> bool {
    base.path.test == head.path.test && base.path.ignore_case == head.path.ignore_case
}

/// Whether two lists of conditions are written the same.
pub(super) fn same_conditions(base: &RouteMatch, head: &RouteMatch) -> bool {
    same_paths(base, head)
        && base.conditions.len() == head.conditions.len()
        && base.conditions.iter().zip(&head.conditions).all(|(base, head)| {
            (&base.subject, &base.test, base.invert, base.missing_as_empty)
                == (&head.subject, &head.test, head.invert, head.missing_as_empty)
        })
}

/// Whether two clusters have one policy and the same endpoints.
pub(super) fn same_clusters(base: &Cluster, head: &Cluster) -> bool {
    (base.discovery, base.balancer, base.connect_timeout, base.limits, base.outlier)
        == (head.discovery, head.balancer, head.connect_timeout, head.limits, head.outlier)
        && base.tls == head.tls
        && base.connection == head.connection
        && base.panic_threshold_percent == head.panic_threshold_percent
        && base.locality_weighted == head.locality_weighted
        && base.warm_up == head.warm_up
        && base.retry_budget == head.retry_budget
        && same_endpoints(base, head)
}

/// Pods have numbers of their own in each mesh; addresses are the same.
pub(super) fn same_endpoints(base: &Cluster, head: &Cluster) -> bool {
    let same = |a: &Endpoint, b: &Endpoint| {
        let own = |e: &Endpoint| (e.port, e.weight, e.healthy, e.mutual_tls);
        a.address == b.address && own(a) == own(b)
    };
    let alike = |a: &LocalityEndpoints, b: &LocalityEndpoints| {
        (&a.locality, a.priority, a.weight, a.endpoints.len()) == (&b.locality, b.priority, b.weight, b.endpoints.len())
            && a.endpoints.iter().zip(&b.endpoints).all(|(a, b)| same(a, b))
    };
    std::sync::Arc::ptr_eq(&base.localities, &head.localities)
        || base.localities.len() == head.localities.len()
            && base.localities.iter().zip(head.localities.iter()).all(|(a, b)| alike(a, b))
}
