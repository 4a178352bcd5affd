//! What a forwarding route does to a request, as data.

use serde::Serialize;

use super::RouteQuestion;
use super::page::place;
use crate::balance::{HostSet, RequestHash};
use crate::mesh::cluster::{Balancer, Cluster, Discovery};
use crate::mesh::route::{AbortStatus, Fault, Forward, HashPolicy, HeaderOps, Leg, PerMillion, RetryPolicy, Route};
use crate::routing::{Chances, CorsRole, Decision, Received, Request, Selection, forwarded};
use crate::text;

/// Forwarding.
#[derive(Debug, Serialize)]
pub(super) struct Forwarding {
    /// Fault injection, first of all.
    pub(super) faults: Vec<FaultView>,
    /// Where the fault is written.
    pub(super) fault_place: Option<String>,
    /// What the request is to the CORS policy; null if it has no part in it.
    pub(super) cors: Option<&'static str>,
    /// Destinations.
    pub(super) destinations: Vec<Destination>,
    /// Whole-request timeout in words.
    pub(super) timeout: String,
    /// Retries in words; null if there are none.
    pub(super) retries: Option<String>,
    /// Copies.
    pub(super) mirrors: Vec<MirrorView>,
    /// What hashing balancers hash, in words.
    pub(super) hash: Vec<String>,
    /// Path and authority that the upstream sees, where they differ from what was sent.
    pub(super) rewrites: Vec<String>,
    /// Operations on request headers in words.
    pub(super) request_headers: Vec<String>,
    /// Operations on response headers in words.
    pub(super) response_headers: Vec<String>,
}

/// One half of fault injection.
#[derive(Debug, Serialize)]
pub(super) struct FaultView {
    /// In words: `delay of 7 s`.
    pub(super) what: String,
    /// Share of requests in percent.
    pub(super) percent: f64,
}

/// One destination.
#[derive(Debug, Serialize)]
pub(super) struct Destination {
    /// Share of requests in percent.
    pub(super) percent: f64,
    /// Weight.
    weight: u32,
    /// The cluster.
    pub(super) cluster: String,
    /// Whether the proxy has it.
    pub(super) exists: bool,
    /// Status if it does not exist.
    pub(super) absent_status: u16,
    /// Whether the dialled address is taken instead of endpoints.
    pub(super) original_destination: bool,
    /// The balancer.
    pub(super) balancer: Option<&'static str>,
    /// What a balancer that hashes makes of the request, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hashed: Option<String>,
    /// Endpoints.
    pub(super) endpoints: Vec<EndpointView>,
    /// Operations of this destination on headers, in words.
    pub(super) headers: Vec<String>,
    /// Where it is written.
    pub(super) place: Option<String>,
    /// The DestinationRule or service that shaped the cluster.
    pub(super) cluster_place: Option<String>,
}

/// One endpoint.
#[derive(Debug, Serialize)]
pub(super) struct EndpointView {
    /// Address and port.
    pub(super) address: String,
    /// The pod; empty if it is none of the mesh.
    pub(super) pod: String,
    /// Whether it is ready.
    pub(super) ready: bool,
    /// Priority; 0 is the first choice.
    pub(super) priority: u32,
    /// Locality.
    pub(super) locality: String,
}

/// A mirror.
#[derive(Debug, Serialize)]
pub(super) struct MirrorView {
    /// The cluster.
    pub(super) cluster: String,
    /// Share of requests in percent.
    pub(super) percent: f64,
    /// Whether the proxy has it.
    pub(super) exists: bool,
    /// Where it is written.
    pub(super) place: Option<String>,
}

/// Describes a forwarding route.
pub(super) fn forwarding(
    route: &Route,
    forward: &Forward,
    received: &Received<'_>,
    selection: Selection,
    question: &RouteQuestion<'_>,
) -> Forwarding {
    let proxy = &question.mesh.proxies[question.proxy.index()];
    let decision = selection.draw(proxy, Chances { stream: 0, delay: u64::MAX, abort: u64::MAX });
    let seen = forwarded(proxy, received, &decision);
    let mut rewrites = Vec::new();
    if let Some(seen) = &seen {
        if seen.path != received.path {
            rewrites.push(format!("path {} becomes {}", received.path, seen.path));
        }
        if seen.authority != received.authority {
            rewrites.push(format!("host {} becomes {}", received.authority, seen.authority));
        }
    }
    Forwarding {
        faults: route.fault.as_ref().map_or_else(Vec::new, faults),
        fault_place: route.fault.as_ref().and_then(|fault| place(fault.origin.span, question.sources)),
        cors: cors_word(selection.cors),
        destinations: (0..)
            .zip(forward.legs.all())
            .map(|(at, leg)| Destination {
                hashed: hashed(leg, forward, received, &Decision { leg: Some(at), ..decision }, question),
                ..destination(leg, forward, question)
            })
            .collect(),
        timeout: if forward.timeout.is_zero() { "none".to_owned() } else { text::duration(forward.timeout) },
        retries: forward.retries.as_ref().map(retries),
        mirrors: forward
            .mirrors
            .iter()
            .map(|mirror| MirrorView {
                cluster: mirror.cluster.name.clone(),
                percent: percent(mirror.share),
                exists: proxy.clusters.get(mirror.cluster.id).is_some(),
                place: place(mirror.origin.span, question.sources),
            })
            .collect(),
        hash: forward.hash.iter().map(hash).collect(),
        rewrites,
        request_headers: operations(&route.request_headers),
        response_headers: operations(&route.response_headers),
    }
}

fn percent(share: PerMillion) -> f64 {
    f64::from(share.0) / 10_000.0
}

fn faults(fault: &Fault) -> Vec<FaultView> {
    let delay = fault
        .delay
        .map(|delay| FaultView { what: format!("delay of {}", text::duration(delay.fixed)), percent: percent(delay.share) });
    let abort = fault.abort.map(|abort| FaultView {
        what: match abort.status {
            AbortStatus::Http(status) => format!("abort with {status}"),
            AbortStatus::Grpc(status) => format!("abort with gRPC status {status}"),
        },
        percent: percent(abort.share),
    });
    delay.into_iter().chain(abort).collect()
}

const fn cors_word(role: CorsRole) -> Option<&'static str> {
    match role {
        CorsRole::None => None,
        CorsRole::Allowed => Some("the origin is allowed: the answer gets CORS headers"),
        CorsRole::Preflight => Some("a preflight from an allowed origin: answered 200 by the proxy"),
        CorsRole::ForeignPreflight => Some("a preflight from a foreign origin: answered 200 without naming it"),
    }
}

fn destination(leg: &Leg, forward: &Forward, question: &RouteQuestion<'_>) -> Destination {
    let proxy = &question.mesh.proxies[question.proxy.index()];
    let cluster: Option<&Cluster> = proxy.clusters.get(leg.cluster.id);
    let total = forward.legs.total_weight();
    let mut headers = operations(&leg.request_headers);
    headers.extend(operations(&leg.response_headers).into_iter().map(|operation| format!("{operation} in the answer")));
    Destination {
        percent: f64::from(leg.weight) * 100.0 / total as f64,
        weight: leg.weight,
        cluster: leg.cluster.name.clone(),
        exists: cluster.is_some(),
        absent_status: forward.cluster_not_found_status,
        original_destination: cluster.is_some_and(|cluster| cluster.discovery == Discovery::OriginalDst),
        balancer: cluster.map(|cluster| balancer(cluster.balancer)),
        hashed: None,
        endpoints: cluster.map_or_else(Vec::new, |cluster| endpoints(cluster, question)),
        headers,
        place: place(leg.origin.span, question.sources),
        cluster_place: cluster.and_then(|cluster| place(cluster.origin.span, question.sources)),
    }
}

/// Where a balancer that hashes sends the request, if the request alone decides that.
fn hashed(
    leg: &Leg,
    forward: &Forward,
    received: &Received<'_>,
    decision: &Decision,
    question: &RouteQuestion<'_>,
) -> Option<String> {
    let proxy = &question.mesh.proxies[question.proxy.index()];
    let cluster = proxy.clusters.get(leg.cluster.id)?;
    let set = HostSet::of(cluster, &proxy.spec.locality);
    if !set.policy().hashes() {
        return None;
    }
    let seen = forwarded(proxy, received, decision)?;
    let seen = Request {
        method: seen.method,
        authority: seen.authority,
        path: seen.path,
        headers: seen.headers.0,
        ..received.request.clone()
    };
    let hash = RequestHash::of(&forward.hash, proxy.spec.kind, received.request, &seen);
    if hash.is_empty() {
        return Some("the request has nothing to hash: any endpoint, by chance".to_owned());
    }
    let Some(told) = hash.told() else {
        let who = if hash.is_of_connection() { "connection" } else { "address" };
        return Some(format!("the client's {who} decides"));
    };
    let host = set.host_for(told)?;
    let address = &set.hosts()[host].address;
    let pod = cluster.endpoints().find(|endpoint| endpoint.address == *address).and_then(|endpoint| endpoint.pod);
    let pod = pod.map_or_else(String::new, |pod| format!(" ({})", question.mesh.pods[pod.index()].name));
    Some(format!("{told:016x} is at {address}{pod}"))
}

const fn balancer(balancer: Balancer) -> &'static str {
    match balancer {
        Balancer::RoundRobin => "round robin",
        Balancer::LeastRequest => "least request",
        Balancer::Random => "random",
        Balancer::RingHash { .. } => "ring hash",
        Balancer::Maglev { .. } => "maglev",
        Balancer::Passthrough => "dialled address",
    }
}

pub(super) fn endpoints(cluster: &Cluster, question: &RouteQuestion<'_>) -> Vec<EndpointView> {
    let all = cluster.localities.iter().flat_map(|locality| locality.endpoints.iter().map(move |endpoint| (locality, endpoint)));
    all.map(|(locality, endpoint)| EndpointView {
        address: endpoint.address.clone(),
        pod: endpoint.pod.map(|pod| question.mesh.pods[pod.index()].name.clone()).unwrap_or_default(),
        ready: endpoint.healthy,
        priority: locality.priority,
        locality: locality.locality.clone(),
    })
    .collect()
}

fn retries(policy: &RetryPolicy) -> String {
    let mut words = format!("up to {} on {}", policy.attempts, policy.on);
    if !policy.codes.is_empty() {
        let codes: Vec<String> = policy.codes.iter().map(u16::to_string).collect();
        words.push_str(&format!(" ({})", codes.join(", ")));
    }
    if let Some(timeout) = policy.per_try_timeout {
        words.push_str(&format!("; each try at most {}", text::duration(timeout)));
    }
    if policy.avoids_tried_hosts {
        words.push_str("; avoids endpoints already tried");
    }
    words
}

fn hash(policy: &HashPolicy) -> String {
    match policy {
        HashPolicy::Header(name) => format!("header `{name}`"),
        HashPolicy::Cookie { name, ttl: Some(_), .. } => format!("cookie `{name}`, made if absent"),
        HashPolicy::Cookie { name, ttl: None, .. } => format!("cookie `{name}`"),
        HashPolicy::SourceIp => "the client's address".to_owned(),
        HashPolicy::Nothing => "nothing".to_owned(),
        HashPolicy::Query(name) => format!("query parameter `{name}`"),
    }
}

fn operations(ops: &HeaderOps) -> Vec<String> {
    let removes = ops.remove.iter().map(|name| format!("remove {name}"));
    let sets = ops.set.iter().map(|(name, value)| format!("set {name}: {value}"));
    let adds = ops.add.iter().map(|(name, value)| format!("add {name}: {value}"));
    removes.chain(sets).chain(adds).collect()
}
