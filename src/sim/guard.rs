//! Whom servers let through: authorization at the called pod, worked out once for each kind of
//! request and remembered. A mesh without policies asks nothing.

use std::net::{IpAddr, Ipv4Addr};

use rustc_hash::FxHashMap;

use super::engine::Engine;
use super::frame::Reception;
use super::plan::Plan;
use super::slab::NONE;
use crate::mesh::cluster::TlsMode;
use crate::mesh::{Mesh, Proxy, ProxyKind, WorkloadId};
use crate::record::Recorder;
use crate::routing::Request;
use crate::routing::server::{CallerTls, Content, ServerCall, ServerEnd, admitted, serve};
use crate::workload::UrlKind;

/// The remembered answers.
#[derive(Debug, Default)]
pub(super) struct Guards {
    /// Whether any proxy of any state of the mesh has a policy.
    any: bool,
    /// What else than letting it through is done.
    known: FxHashMap<Question, Option<Reception>>,
}

/// A kind of request at a server. Pods of one workload are alike, as callers and as callees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Question {
    /// The state of the mesh that the server's proxy knows.
    stage: u32,
    server: WorkloadId,
    port: u16,
    /// The caller's, by number of all states.
    caller: u32,
    tls: Option<TlsMode>,
    shape: u32,
}

impl Guards {
    pub(super) fn of(plan: &Plan) -> Self {
        let proxies = || plan.population.stages.iter().flat_map(|stage| &stage.mesh.proxies);
        Guards { any: proxies().any(|proxy| !proxy.inbound.authorization.is_empty()), known: FxHashMap::default() }
    }
}

/// Where clients of gateways come from (RFC 5737: an address for documentation).
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// Whether a gateway lets clients from outside pass with a request.
pub(super) fn gateway_admits(gateway: &Proxy, port: u16, request: &Request) -> bool {
    if gateway.spec.kind != ProxyKind::Gateway || gateway.inbound.authorization.is_empty() {
        return true;
    }
    let call = ServerCall {
        port,
        address: CLIENT,
        peer: CLIENT,
        tls: CallerTls::None,
        content: Content::Http(request.clone()),
        token: None,
    };
    !matches!(admitted(gateway, &call, true).end, ServerEnd::Denied { .. })
}

impl<R: Recorder> Engine<'_, '_, R> {
    /// How a visit is received, once policies were asked about it.
    pub(super) fn guarded(&mut self, visit: u32, reception: Reception) -> Reception {
        let reaches_rules = matches!(reception, Reception::Open | Reception::AnsweredByProxy);
        if !self.guards.any || !reaches_rules || self.visits[visit].call == NONE {
            return reception;
        }
        self.refusal(visit).unwrap_or(reception)
    }

    fn refusal(&mut self, visit: u32) -> Option<Reception> {
        let super::frame::Visit { pod, port, call, tls, hop, leg, .. } = self.visits[visit];
        let stage = self.places.get(pod as usize)?.config;
        let plan = self.plan;
        let state = &plan.population.stages[stage as usize];
        let standing = state.standings.get(pod as usize)?.as_ref()?;
        let proxy = &state.mesh.proxies[standing.proxy?.index()];
        if proxy.inbound.authorization.is_empty() || proxy.spec.kind == ProxyKind::Gateway {
            return None;
        }
        let shape = self.atlas.hops[hop as usize].leg(leg).map_or(0, |leg| leg.shape);
        let from = self.calls[call].pod;
        let caller = plan.population.pods.get(from as usize).map_or(NONE, |pod| pod.workload);
        let server = standing.workload?;
        let question = Question { stage, server, port, caller, tls, shape };
        if let Some(known) = self.guards.known.get(&question) {
            return *known;
        }
        let (peer, identity) = self.introduced(from);
        let tls = match tls {
            None => CallerTls::None,
            Some(TlsMode::IstioMutual) => CallerTls::Mutual { identity, trusted: true, server_name: String::new() },
            Some(TlsMode::Simple | TlsMode::Mutual) => CallerTls::Own { server_name: String::new() },
        };
        let shape = self.atlas.shapes.get(shape);
        let content = if shape.kind == UrlKind::Http { Content::Http(shape.request.clone()) } else { Content::Bytes };
        let address = address_of(&state.mesh, server);
        let call = ServerCall { port, address, peer, tls, content, token: None };
        let refusal = match serve(proxy, &call).end {
            ServerEnd::Denied { http: true } => Some(Reception::Denied),
            ServerEnd::Denied { http: false } => Some(Reception::Closed),
            // Which connections arrive at all is settled before.
            _ => None,
        };
        self.guards.known.insert(question, refusal);
        refusal
    }

    /// Address and identity of a calling pod.
    fn introduced(&self, pod: u32) -> (IpAddr, String) {
        let config = self.places.get(pod as usize).map_or(0, |place| place.config);
        let state = &self.plan.population.stages[config as usize];
        let standing = state.standings.get(pod as usize).and_then(Option::as_ref);
        let Some(id) = standing.and_then(|standing| standing.workload) else { return (CLIENT, String::new()) };
        let workload = &state.mesh.workloads[id.index()];
        (address_of(&state.mesh, id), state.mesh.identity(&workload.namespace, &workload.service_account))
    }
}

/// The address of a workload's first pod; addresses are made up, and stand for those of all.
fn address_of(mesh: &Mesh, workload: WorkloadId) -> IpAddr {
    let pod = mesh.workloads[workload.index()].pods.first();
    pod.and_then(|pod| mesh.pods[pod.index()].ip.parse().ok()).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}
