//! Which endpoint a call goes to: the balancers of the mesh at work in a run.

use super::call::slot;
use super::engine::Engine;
use super::frame::{Call, Caller};
use super::hop::To;
use super::outlier::OutlierPlan;
use super::plan::Plan;
use super::pool::PoolPlan;
use super::slab::NONE;
use super::sources::name_hash;
use crate::balance::{Balancer, Client, Locality, Pick, Policy};
use crate::draw::{Draw, Purpose, below};
use crate::mesh::ProxyKind;
use crate::mesh::cluster::TlsMode;
use crate::record::Recorder;

/// One endpoint of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    /// The pod, which is also the identity by which tried and busy endpoints are told apart.
    pub(super) pod: u32,
    pub(super) port: u16,
    /// The TLS that the caller's proxy adds towards it.
    pub(super) tls: Option<TlsMode>,
}

impl Member {
    /// No endpoint yet.
    pub(super) const NOWHERE: Member = Member { pod: u32::MAX, port: 0, tls: None };
}

/// The endpoints that a cluster offers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Target {
    /// The balancer state it uses: clusters of one name share it over time.
    pub(super) cluster: u32,
    pub(super) members: Vec<Member>,
    /// The same endpoints as balancers see them.
    pub(super) localities: Vec<Locality>,
    /// The state in which none is ejected.
    pub(super) whole: u32,
    /// Whether it matters how busy they are.
    pub(super) counts_busy: bool,
    /// The connection pool, where connections matter.
    pub(super) pool: Option<PoolPlan>,
    /// Outlier detection, if there is any.
    pub(super) outlier: Option<OutlierPlan>,
}

/// Draws of a call that are not picks: its worker thread, and its client's connection.
const WORKER: u64 = 1 << 41;
const CONNECTION: u64 = 1 << 43;

/// The first of the ports that clients connect from, and how many there are.
const EPHEMERAL: (u16, u64) = (32_768, 28_232);

impl<R: Recorder> Engine<'_, '_, R> {
    /// Picks an endpoint; on retries, up to so often anew to avoid those that were tried.
    pub(super) fn pick_endpoint(&mut self, call: u32) -> Option<Member> {
        let view = self.usable(call)? as usize;
        let target = &self.atlas.targets[self.target_of(call)? as usize];
        let set = &self.atlas.views[view];
        // Turns are taken even where there is no choice: they outlive changes of the endpoints.
        if let Some(only) = set.only().filter(|_| set.policy() != Policy::RoundRobin) {
            return Some(target.members[only]);
        }
        let hash = if set.policy().hashes() { self.hash_of(call) } else { None };
        let frame = &self.calls[call];
        let hop = &self.atlas.hops[frame.hop as usize];
        let retry = hop.retry.as_ref().filter(|_| frame.tries > 0);
        let pick = Pick {
            draw: frame.draw,
            attempt: frame.tries,
            worker: self.worker_of(call),
            now: self.queue.now(),
            hash,
            repicks: retry.and_then(|retry| retry.avoid_tried).unwrap_or(0),
            tried: &frame.tried,
            avoids_priorities: hop.retries_elsewhere && retry.is_some(),
        };
        let start = Start { own_draw: self.own_draw, plan: self.plan, pod: frame.pod };
        let balancer = slot(&mut self.balancers, frame.pod, target.cluster);
        let balancer = balancer.get_or_insert_with(|| start.balancer(self.atlas.cluster_name(target.cluster)));
        Some(target.members[balancer.pick(set, &pick)?])
    }

    /// The endpoint of a call is busy with it from now on.
    pub(super) fn keep_busy(&mut self, call: u32) {
        let Some(target) = self.target_of(call) else { return };
        let target = &self.atlas.targets[target as usize];
        if !target.counts_busy {
            return;
        }
        let frame = &mut self.calls[call];
        let start = Start { own_draw: self.own_draw, plan: self.plan, pod: frame.pod };
        let balancer = slot(&mut self.balancers, frame.pod, target.cluster);
        let balancer = balancer.get_or_insert_with(|| start.balancer(self.atlas.cluster_name(target.cluster)));
        balancer.began(frame.member.pod);
        frame.busy = frame.member.pod;
    }

    /// The endpoint that was busy with a call no longer is.
    pub(super) fn release_busy(&mut self, call: u32) {
        let busy = std::mem::replace(&mut self.calls[call].busy, NONE);
        if busy == NONE {
            return;
        }
        if let Some(target) = self.target_of(call) {
            let cluster = self.atlas.targets[target as usize].cluster;
            if let Some(balancer) = slot(&mut self.balancers, self.calls[call].pod, cluster) {
                balancer.ended(busy);
            }
        }
    }

    /// The endpoints that a call is routed to.
    pub(super) fn target_of(&self, call: u32) -> Option<u32> {
        let frame = &self.calls[call];
        match self.atlas.hops[frame.hop as usize].leg(frame.leg)?.to {
            To::Target(target) => Some(target),
            To::Nowhere(_) => None,
        }
    }

    /// The endpoints that a call may use now, as balancers see them: without those that are ejected.
    fn usable(&mut self, call: u32) -> Option<u32> {
        let number = self.target_of(call)?;
        let target = &self.atlas.targets[number as usize];
        if target.outlier.is_none() {
            return Some(target.whole);
        }
        let pod = self.calls[call].pod;
        let ejected = slot(&mut self.links, pod, target.cluster).ejected(self.queue.now());
        if ejected.is_empty() {
            return Some(target.whole);
        }
        Some(self.atlas.without(number, ejected))
    }

    /// The worker thread of the proxy that has a call.
    pub(super) fn worker_of(&self, call: u32) -> usize {
        match self.plan.workers {
            1 => 0,
            workers => below(self.calls[call].draw.nth(Purpose::Balance, WORKER), workers as u64) as usize,
        }
    }

    /// What the route hashes of a call's request; `None` leaves the endpoint to chance. Copies for
    /// mirrors are hashed by no policy.
    fn hash_of(&self, call: u32) -> Option<u64> {
        let frame = &self.calls[call];
        let hash = &self.atlas.hops[frame.hop as usize].leg(frame.leg)?.hash;
        if !hash.depends_on_client() {
            return hash.told();
        }
        let connection = self.connection_of(frame);
        let port = EPHEMERAL.0 + below(connection, EPHEMERAL.1) as u16;
        let outside = is_outside(frame, self.kind_of(frame.pod)).then(|| address_outside(connection));
        let own = self.plan.population.pods.get(frame.pod as usize).map_or("", |pod| pod.ip.as_str());
        hash.value(&Client { ip: outside.as_deref().unwrap_or(own), port, dialled: "" })
    }

    /// What tells the client connections of a proxy apart: a user of a closed loop keeps one, every
    /// other request comes on its own.
    fn connection_of(&self, frame: &Call) -> u64 {
        match frame.caller {
            Caller::Client { source, user } if user != NONE => {
                self.own_draw.child(u64::from(source)).child(u64::from(user)).nth(Purpose::Balance, CONNECTION)
            }
            _ => frame.draw.nth(Purpose::Balance, CONNECTION),
        }
    }

    fn kind_of(&self, pod: u32) -> Option<ProxyKind> {
        let config = self.places.get(pod as usize)?.config;
        let stage = &self.plan.population.stages[config as usize];
        let standing = stage.standings.get(pod as usize)?.as_ref()?;
        Some(stage.mesh.proxies[standing.proxy?.index()].spec.kind)
    }

    /// Tells a proxy's balancers which hosts are new, where hosts start slowly.
    pub(super) fn greet_hosts(&mut self, pod: u32) {
        if !self.atlas.starts_slowly {
            return;
        }
        let Some(stage) = self.places.get(pod as usize).map(|place| place.config) else { return };
        let plan = &self.plan.population.stages[stage as usize];
        let Some(proxy) = plan.standings.get(pod as usize).and_then(|standing| standing.as_ref()?.proxy) else { return };
        for (id, cluster) in plan.mesh.proxies[proxy.index()].clusters.with_ids() {
            if cluster.warm_up.is_none() {
                continue;
            }
            let number = self.atlas.cluster_target(stage, proxy, id, "", cluster.port);
            let target = &self.atlas.targets[number as usize];
            let start = Start { own_draw: self.own_draw, plan: self.plan, pod };
            let balancer = slot(&mut self.balancers, pod, target.cluster);
            let balancer = balancer.get_or_insert_with(|| start.balancer(self.atlas.cluster_name(target.cluster)));
            balancer.learn(&self.atlas.views[target.whole as usize], self.queue.now());
        }
    }
}

/// Where a balancer starts.
#[derive(Clone, Copy)]
struct Start<'p> {
    own_draw: Draw,
    plan: &'p Plan,
    pod: u32,
}

impl Start<'_> {
    /// The balancer of a pod for a cluster, each with positions of its own.
    fn balancer(self, cluster: &str) -> Balancer {
        let pod = self.plan.population.pods.get(self.pod as usize).map_or("", |pod| pod.name.as_str());
        Balancer::new(self.own_draw.child(name_hash(&[pod, cluster])))
    }
}

/// Whether a call comes from outside of the mesh: through a gateway, and not from an application.
fn is_outside(frame: &Call, kind: Option<ProxyKind>) -> bool {
    kind == Some(ProxyKind::Gateway) && matches!(frame.caller, Caller::Client { .. })
}

/// An address for a client outside, from the network that is kept for measurements (RFC 2544).
fn address_outside(connection: u64) -> String {
    format!("198.{}.{}.{}", 18 + (connection >> 16 & 1), connection >> 8 & 0xff, connection & 0xff)
}
