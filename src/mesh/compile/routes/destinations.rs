//! Destinations: which cluster a destination means, weighted legs, mirrors and hash policies.

use super::headers::Operations;
use super::{RouteScope, faults};
use crate::mesh::Origin;
use crate::mesh::route::{ClusterRef, HashPolicy, HeaderOps, Leg, Legs, Mirror, PerMillion};
use crate::resource::networking::{Destination, HttpRoute, HttpRouteDestination};

/// The cluster of a back end that cannot be named at all (Gateway API).
const UNKNOWN_SERVICE: &str = "UnknownService";

/// What a lookup of a destination's service says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mesh::compile) struct SeenService {
    /// Its port, if it has exactly one.
    pub(in crate::mesh::compile) only_port: Option<u16>,
    /// What it stands for, if it is an alias.
    pub(in crate::mesh::compile) alias_of: Option<String>,
}

/// The name of the cluster of a service port.
pub(in crate::mesh::compile) fn cluster_name(port: u16, subset: &str, host: &str) -> String {
    format!("outbound|{port}|{subset}|{host}")
}

/// The cluster that a destination means when it is reached by `listener_port`: an absent port is the
/// only one of the service as far as it is seen here, else the listener's (Istio:
/// `GetDestinationCluster`).
pub(in crate::mesh::compile) fn destination_cluster(
    destination: &Destination,
    seen: Option<SeenService>,
    listener_port: u16,
) -> String {
    let host = destination.host.as_ref().map_or("", |host| host.value.as_str());
    if host.is_empty() {
        return UNKNOWN_SERVICE.to_owned();
    }
    let only_port = seen.as_ref().and_then(|seen| seen.only_port);
    let port = port_of(destination).or(only_port).unwrap_or(listener_port);
    let subset = destination.subset.as_ref().map_or("", |subset| subset.value.as_str());
    cluster_name(port, subset, seen.as_ref().and_then(|seen| seen.alias_of.as_deref()).unwrap_or(host))
}

/// The port that a destination names.
fn port_of(destination: &Destination) -> Option<u16> {
    let number = destination.port.as_ref()?.number.as_ref()?;
    u16::try_from(number.value).ok()
}

fn cluster(destination: &Destination, scope: &RouteScope<'_>) -> ClusterRef {
    let host = destination.host.as_ref().map_or("", |host| host.value.as_str());
    scope.clusters.named(destination_cluster(destination, (scope.service)(host), scope.port))
}

/// What a destination is hashed by; `Some(None)` if its balancer hashes and nothing says what.
fn hash(destination: &Destination, scope: &RouteScope<'_>) -> Option<Option<HashPolicy>> {
    let host = destination.host.as_ref()?;
    let subset = destination.subset.as_ref().map_or("", |subset| subset.value.as_str());
    (scope.hash)(host, subset, port_of(destination))
}

/// The destinations of a rule.
pub(super) struct Target {
    pub(super) legs: Legs,
    pub(super) hash: Vec<HashPolicy>,
    /// Whether a lone destination is balanced by a hash, be it of nothing, which keeps retries on the host.
    pub(super) keeps_host: bool,
}

/// Translates the destinations of a rule. The operations of a lone one join `operations`, as do its
/// weight and authority; several keep theirs, and those of weight 0 are dropped.
pub(super) fn target(rule: &HttpRoute, operations: &mut Operations, scope: &RouteScope<'_>, origin: Origin) -> Target {
    if let [lone] = rule.route.as_slice() {
        operations.append(Operations::of(lone.headers.as_ref()));
        let hash = lone.destination.as_ref().and_then(|destination| hash(destination, scope));
        let leg = leg(lone, Operations::default(), scope, origin);
        return Target { legs: Legs::lone(leg), keeps_host: hash.is_some(), hash: hash.flatten().into_iter().collect() };
    }
    let chosen = || rule.route.iter().filter(|leg| weight(leg) > 0);
    let legs = chosen().map(|entry| leg(entry, Operations::of(entry.headers.as_ref()), scope, origin)).collect();
    let hash = chosen().filter_map(|leg| hash(leg.destination.as_ref()?, scope)?).collect();
    let legs = Legs::weighted(legs).unwrap_or_else(|| Legs::lone(nowhere(scope, origin)));
    Target { legs, hash, keeps_host: false }
}

fn weight(leg: &HttpRouteDestination) -> u32 {
    leg.weight.as_ref().map_or(0, |weight| u32::try_from(weight.value.max(0)).unwrap_or(u32::MAX))
}

fn leg(entry: &HttpRouteDestination, operations: Operations, scope: &RouteScope<'_>, origin: Origin) -> Leg {
    let empty = Destination::default();
    let destination = entry.destination.as_ref().unwrap_or(&empty);
    Leg {
        cluster: cluster(destination, scope),
        weight: weight(entry),
        request_headers: operations.request,
        response_headers: operations.response,
        authority_rewrite: operations.authority,
        origin: Origin { span: entry.span, ..origin },
    }
}

/// Where a rule without any usable destination leads.
fn nowhere(scope: &RouteScope<'_>, origin: Origin) -> Leg {
    Leg {
        cluster: scope.clusters.named(UNKNOWN_SERVICE.to_owned()),
        weight: 100,
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
        authority_rewrite: None,
        origin,
    }
}

/// The mirrors of a rule, without those that never get anything.
pub(super) fn mirrors(rule: &HttpRoute, scope: &RouteScope<'_>, origin: Origin) -> Vec<Mirror> {
    let percent = rule.mirror_percent.as_ref().or(rule.mirror_percent_camel.as_ref());
    let share = match (&rule.mirror_percentage, percent) {
        (Some(percentage), _) => faults::per_million(percentage),
        (None, Some(percent)) => faults::whole_percent(percent.value),
        (None, None) => PerMillion::ALL,
    };
    let single = rule.mirror.as_ref().map(|destination| (destination, share));
    let several = rule.mirrors.iter().filter_map(|mirror| {
        let share = mirror.percentage.as_ref().map_or(PerMillion::ALL, faults::per_million);
        Some((mirror.destination.as_ref()?, share))
    });
    let made = single.into_iter().chain(several).filter(|(_, share)| share.0 > 0);
    made.map(|(destination, share)| Mirror {
        cluster: cluster(destination, scope),
        share,
        origin: Origin { span: destination.span, ..origin },
    })
    .collect()
}
