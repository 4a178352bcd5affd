//! Whom servers let through: tokens and authorization at the called pod, worked out once for each
//! kind of request and remembered. A mesh without policies asks nothing.

use std::net::{IpAddr, Ipv4Addr};

use rustc_hash::FxHashMap;

use super::engine::Engine;
use super::frame::{Denial, Reception, Visit};
use super::limit::{Limited, Limits};
use super::plan::Plan;
use super::shape::Shape;
use super::slab::NONE;
use crate::mesh::authorization::Test;
use crate::mesh::cluster::TlsMode;
use crate::mesh::rate_limit::ChainPlace;
use crate::mesh::{Mesh, Proxy, ProxyKind, WorkloadId};
use crate::record::Recorder;
use crate::routing::limits::LimitPosition;
use crate::routing::server::{CallerTls, Content, SOMEWHERE, Served, ServerCall, ServerEnd, admitted, append_client, serve};
use crate::routing::{Received, Reply, Request};
use crate::workload::UrlKind;

/// The remembered answers.
#[derive(Debug, Default)]
pub(super) struct Guards {
    /// Whether any proxy of any state of the mesh has a policy.
    any: bool,
    /// Whether any of them asks for addresses, so that pods of one workload are not alike.
    by_address: bool,
    known: FxHashMap<Question, Guarded>,
    /// Rate limits that kinds of requests meet at servers.
    limits: Vec<Limits>,
}

/// What becomes of a kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Guarded {
    /// What else than letting it through is done.
    refusal: Option<Reception>,
    /// Where in the filter chain it ends.
    reached: ChainPlace,
    /// The rate limits it meets on the way there, by number; `NONE` if there are none.
    limits: u32,
    /// The request as the application gets it; `NONE` if it is as it was sent.
    shape: u32,
}

/// A kind of request at a server. Callees of one workload are alike, and so are callers, unless
/// addresses count: then these are numbers of pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Question {
    /// The state of the mesh that the server's proxy knows.
    stage: u32,
    server: u32,
    port: u16,
    caller: u32,
    tls: Option<TlsMode>,
    shape: u32,
}

impl Guards {
    pub(super) fn of(plan: &Plan) -> Self {
        let proxies = || plan.population.stages.iter().flat_map(|stage| &stage.mesh.proxies);
        let all = || proxies().map(|proxy| &proxy.inbound.authorization);
        let limits = proxies().any(|proxy| proxy.limits.is_some());
        Guards {
            any: all().any(|authorization| !authorization.is_empty()) || limits,
            by_address: all().flat_map(|own| own.tests()).any(Test::asks_for_an_address),
            known: FxHashMap::default(),
            limits: Vec::new(),
        }
    }
}

/// How a gateway turns a request away.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Turned {
    pub(super) reply: Reply,
    /// Details in its log.
    pub(super) details: &'static str,
    /// The last place of the filter chain that the request has reached.
    pub(super) after: ChainPlace,
}

/// How a gateway turns a request from outside away, if it does.
pub(super) fn gateway_refuses(gateway: &Proxy, port: u16, request: &Request) -> Option<Turned> {
    if gateway.spec.kind != ProxyKind::Gateway || gateway.inbound.authorization.is_empty() {
        return None;
    }
    let content = Content::Http(request.clone());
    let call = ServerCall { port, address: SOMEWHERE, peer: SOMEWHERE, tls: CallerTls::None, content };
    let served = admitted(gateway, &call, true);
    let (details, after) = match served.end {
        ServerEnd::BadToken(refusal) => (refusal.details(), ChainPlace::First),
        ServerEnd::Denied { .. } => ("rbac_access_denied", ChainPlace::AfterTokens),
        _ => return None,
    };
    Some(Turned { reply: served.answer().reply?, details, after })
}

impl<R: Recorder> Engine<'_, '_, R> {
    /// How a visit is received, once policies were asked about it.
    pub(super) fn guarded(&mut self, visit: u32, reception: Reception) -> Reception {
        let reaches_rules = matches!(reception, Reception::Open | Reception::AnsweredByProxy);
        if !self.guards.any || !reaches_rules || self.visits[visit].call == NONE {
            return reception;
        }
        let Some(guarded) = self.verdict(visit) else { return reception };
        self.visits[visit].shape = guarded.shape;
        if let Some(limits) = self.guards.limits.get(guarded.limits as usize).cloned() {
            let Visit { pod, draw, .. } = self.visits[visit];
            if let Some(refusal) = self.limited(pod, &limits, ChainPlace::First..=guarded.reached, draw) {
                return Reception::Denied(refusal.as_denial());
            }
        }
        guarded.refusal.unwrap_or(reception)
    }

    fn verdict(&mut self, visit: u32) -> Option<Guarded> {
        let Visit { pod, port, call, tls, hop, leg, .. } = self.visits[visit];
        let stage = self.places.get(pod as usize)?.config;
        let plan = self.plan;
        let state = &plan.population.stages[stage as usize];
        let standing = state.standings.get(pod as usize)?.as_ref()?;
        let proxy = &state.mesh.proxies[standing.proxy?.index()];
        let is_bare = proxy.inbound.authorization.is_empty() && proxy.limits.is_none();
        if is_bare || proxy.spec.kind == ProxyKind::Gateway {
            return None;
        }
        let shape = self.atlas.hops[hop as usize].leg(leg).map_or(0, |leg| leg.shape);
        let from = self.calls[call].pod;
        let workload_of = |pod: u32| plan.population.pods.get(pod as usize).map_or(NONE, |pod| pod.workload);
        let workload = standing.workload?;
        let (caller, server) = if self.guards.by_address { (from, pod) } else { (workload_of(from), workload_of(pod)) };
        let question = Question { stage, server, port, caller, tls, shape };
        if let Some(known) = self.guards.known.get(&question) {
            return Some(*known);
        }
        let (peer, identity) = self.introduced(from);
        let tls = match tls {
            None => CallerTls::None,
            Some(TlsMode::IstioMutual) => CallerTls::Mutual { identity, trusted: true, server_name: String::new() },
            Some(TlsMode::Simple | TlsMode::Mutual) => CallerTls::Own { server_name: String::new() },
        };
        let sent = self.atlas.shapes.get(shape);
        let content = match sent.kind {
            UrlKind::Http => {
                let mut request = sent.request.clone();
                if self.is_gateway(from) {
                    append_client(&mut request.headers, SOMEWHERE);
                }
                Content::Http(request)
            }
            UrlKind::Https | UrlKind::Tcp => Content::Bytes,
        };
        let address = self.address_of(pod).unwrap_or_else(|| first_address(&state.mesh, workload));
        let call = ServerCall { port, address, peer, tls, content };
        let served = serve(proxy, &call);
        let refusal = match served.end {
            ServerEnd::Denied { http: true } | ServerEnd::BadToken(_) => {
                served.answer().reply.map(|reply| Reception::Denied(Denial::of(&reply, details(&served))))
            }
            ServerEnd::Denied { http: false } => Some(Reception::Closed),
            // Which connections arrive at all is settled before.
            _ => None,
        };
        let reached = match served.end {
            ServerEnd::BadToken(_) => ChainPlace::First,
            ServerEnd::Denied { .. } => ChainPlace::AfterTokens,
            _ => ChainPlace::Last,
        };
        let limits = match (&proxy.limits, &call.content) {
            (Some(_), Content::Http(request)) if served.chain.is_some_and(|chain| chain.http) => {
                let who = Limited {
                    proxy,
                    profile: &state.mesh.profile,
                    at: LimitPosition::inbound(proxy, port, peer),
                    mutual_tls: matches!(call.tls, CallerTls::Mutual { .. }),
                };
                let received = Received::new(proxy.spec.kind, request).ok();
                received.map_or_else(|| Limits::from([]), |received| self.atlas.planner.plan(&who, &received))
            }
            _ => Limits::from([]),
        };
        let limits = if limits.is_empty() {
            NONE
        } else {
            self.guards.limits.push(limits);
            self.guards.limits.len() as u32 - 1
        };
        let shape = match served.changed {
            Some(request) => {
                let changed = Shape { request, ..sent.clone() };
                self.atlas.shapes.number(changed)
            }
            None => NONE,
        };
        let guarded = Guarded { refusal, reached, limits, shape };
        self.guards.known.insert(question, guarded);
        Some(guarded)
    }

    /// Address and identity of a calling pod.
    fn introduced(&self, pod: u32) -> (IpAddr, String) {
        let config = self.places.get(pod as usize).map_or(0, |place| place.config);
        let state = &self.plan.population.stages[config as usize];
        let standing = state.standings.get(pod as usize).and_then(Option::as_ref);
        let Some(id) = standing.and_then(|standing| standing.workload) else { return (SOMEWHERE, String::new()) };
        let workload = &state.mesh.workloads[id.index()];
        let address = self.address_of(pod).unwrap_or_else(|| first_address(&state.mesh, id));
        (address, state.mesh.identity(&workload.namespace, &workload.service_account))
    }

    /// Whether a calling pod is a gateway.
    fn is_gateway(&self, pod: u32) -> bool {
        let Some(place) = self.places.get(pod as usize) else { return false };
        let state = &self.plan.population.stages[place.config as usize];
        let standing = state.standings.get(pod as usize).and_then(Option::as_ref);
        let proxy = standing.and_then(|standing| standing.proxy);
        proxy.is_some_and(|proxy| state.mesh.proxies[proxy.index()].spec.kind == ProxyKind::Gateway)
    }

    fn address_of(&self, pod: u32) -> Option<IpAddr> {
        self.plan.population.pods.get(pod as usize)?.ip.parse().ok()
    }
}

/// What a server's log says of a request that policies turn away. The name of the rule, which Envoy
/// adds where one matches, is left out.
fn details(served: &Served<'_>) -> &'static str {
    match served.end {
        ServerEnd::BadToken(refusal) => refusal.details(),
        _ if served.filters.last().is_some_and(|last| last.rule().is_none()) => "rbac_access_denied_matched_policy[none]",
        _ => "rbac_access_denied",
    }
}

impl Denial {
    fn of(reply: &Reply, details: &'static str) -> Denial {
        Denial {
            flag: None,
            details,
            status: reply.status,
            grpc: reply.headers.first("grpc-status").and_then(|code| code.parse().ok()),
            says_limited: reply.headers.first("x-envoy-ratelimited").is_some(),
        }
    }
}

/// The address of a workload's first pod, where the pod's own is not known.
fn first_address(mesh: &Mesh, workload: WorkloadId) -> IpAddr {
    let pod = mesh.workloads[workload.index()].pods.first();
    pod.and_then(|pod| mesh.pods[pod.index()].ip.parse().ok()).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}
