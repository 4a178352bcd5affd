//! Routes that nobody wrote: of services without rules, and for hosts that nobody knows.

use super::scope::RouteScope;
use super::{matches, retries};
use crate::mesh::Origin;
use crate::mesh::compile::virtual_service::Semantics;
use crate::mesh::route::{Action, DirectResponse, Forward, HashPolicy, HeaderOps, Leg, Legs, Route, VirtualHost};
use crate::source::Span;
use crate::time::Duration;

/// Where a sidecar sends requests for unknown hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mesh::compile) enum UnknownHosts {
    /// To the address that was dialled, or to the cluster of an egress proxy.
    Forward(String),
    /// Nowhere.
    Block,
}

/// The route of a service that no rule claims.
pub(in crate::mesh::compile) fn service_route(
    cluster: String,
    hash: Option<HashPolicy>,
    origin: Origin,
    scope: &RouteScope<'_>,
) -> Route {
    let retries = retries::translate(None, scope.mesh_retries, false, scope.profile);
    let forward = Forward { retries, hash: hash.into_iter().collect(), ..forward(cluster, origin, scope) };
    route("default", Action::Forward(Box::new(forward)), origin)
}

/// The virtual host for hosts that no other one covers.
pub(in crate::mesh::compile) fn catch_all_virtual_host(unknown: &UnknownHosts, scope: &RouteScope<'_>) -> VirtualHost {
    let origin = Origin::default();
    let (name, action) = match unknown {
        UnknownHosts::Forward(cluster) => ("allow_any", Action::Forward(Box::new(forward(cluster.clone(), origin, scope)))),
        UnknownHosts::Block => {
            ("block_all", Action::Direct(DirectResponse { status: scope.profile.blocked_status, body: Vec::new() }))
        }
    };
    VirtualHost {
        name: name.to_owned(),
        domains: vec!["*".to_owned()],
        routes: [route(name, action, origin)].into(),
        require_tls: false,
        origin,
    }
}

fn forward(cluster: String, origin: Origin, scope: &RouteScope<'_>) -> Forward {
    let leg = Leg {
        cluster: scope.clusters.named(cluster),
        weight: 100,
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
        authority_rewrite: None,
        origin,
    };
    Forward {
        legs: Legs::lone(leg),
        timeout: Duration::ZERO,
        retries: None,
        mirrors: Vec::new(),
        hash: Vec::new(),
        path_rewrite: None,
        authority_rewrite: None,
        cluster_not_found_status: 503,
    }
}

fn route(name: &str, action: Action, origin: Origin) -> Route {
    Route {
        name: name.to_owned(),
        matcher: matches::translate(None, Semantics::Istio, Span::NOWHERE),
        action,
        fault: None,
        cors: None,
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
        origin,
    }
}
