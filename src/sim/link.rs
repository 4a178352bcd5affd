//! What a proxy remembers of a cluster besides its balancer's turn: its connections and its bad
//! endpoints. Clusters without limits and without outlier detection cost nothing here.

use super::call::slot;
use super::engine::Engine;
use super::frame::Seat;
use super::hop::Reads;
use super::outlier::{Sign, Watch};
use super::pool::{Admission, Pool};
use crate::record::Recorder;
use crate::routing::Flag;
use crate::time::Instant;

/// One proxy's memory of one cluster.
#[derive(Debug, Default)]
pub(super) struct Link {
    pool: Pool,
    watch: Watch,
}

impl Link {
    /// Endpoints that are ejected now, in ascending order.
    pub(super) fn ejected(&mut self, now: Instant) -> &[u32] {
        self.watch.ejected(now)
    }
}

impl<R: Recorder> Engine<'_, '_, R> {
    /// A call asks the pool for a connection to the endpoint it has picked.
    pub(super) fn board(&mut self, call: u32) {
        let Some(target) = self.target_of(call) else { return };
        let target = &self.atlas.targets[target as usize];
        let Some(breakers) = target.breakers else {
            self.depart(call);
            return;
        };
        let frame = &self.calls[call];
        let admission = slot(&mut self.links, frame.pod, target.cluster).pool.admit(&breakers, frame.member.pod, call);
        self.seated(call, admission);
    }

    fn seated(&mut self, call: u32, admission: Admission) {
        self.calls[call].seat = match admission {
            Admission::Go => Seat::Taken,
            Admission::Wait => Seat::Waiting,
            Admission::Overflow => Seat::None,
        };
        match admission {
            Admission::Go => self.depart(call),
            Admission::Wait => {}
            Admission::Overflow => self.overflow(call),
        }
    }

    /// A circuit breaker refuses a call, which is never retried.
    fn overflow(&mut self, call: u32) {
        let status = if self.reads(call) == Reads::Http { 503 } else { 0 };
        self.raise(call, Flag::UpstreamOverflow);
        self.finish(call, status, "upstream_reset_before_response_started{overflow}");
    }

    /// A call gives back what it holds of its pool; whoever waits is next.
    pub(super) fn unboard(&mut self, call: u32, reusable: bool) {
        let seat = std::mem::replace(&mut self.calls[call].seat, Seat::None);
        if seat == Seat::None {
            return;
        }
        let Some(target) = self.target_of(call) else { return };
        let target = &self.atlas.targets[target as usize];
        let (Some(breakers), cluster) = (target.breakers, target.cluster) else { return };
        let (pod, host) = (self.calls[call].pod, self.calls[call].member.pod);
        let pool = &mut slot(&mut self.links, pod, cluster).pool;
        match seat {
            Seat::None => {}
            Seat::Waiting => pool.give_up(host, call),
            Seat::Taken => pool.release(&breakers, host, reusable),
        }
        while let Some((next, admission)) = slot(&mut self.links, pod, cluster).pool.next(&breakers, host) {
            self.seated(next, admission);
        }
    }

    /// Whether a retry is within the limit; it is counted until its try has ended.
    pub(super) fn may_retry(&mut self, call: u32) -> bool {
        let Some(target) = self.target_of(call) else { return false };
        let target = &self.atlas.targets[target as usize];
        let Some(breakers) = target.breakers else { return true };
        let allowed = slot(&mut self.links, self.calls[call].pod, target.cluster).pool.begin_retry(&breakers);
        self.calls[call].retrying = allowed;
        allowed
    }

    /// A retry's try has ended, or the retry will not happen.
    pub(super) fn end_retry(&mut self, call: u32) {
        if !std::mem::replace(&mut self.calls[call].retrying, false) {
            return;
        }
        if let Some(target) = self.target_of(call) {
            let cluster = self.atlas.targets[target as usize].cluster;
            slot(&mut self.links, self.calls[call].pod, cluster).pool.end_retry();
        }
    }

    /// The outlier detector learns how a try ended.
    pub(super) fn learn(&mut self, call: u32, sign: Sign) {
        let Some(target) = self.target_of(call) else { return };
        let target = &self.atlas.targets[target as usize];
        let Some(plan) = target.outlier else { return };
        let frame = &self.calls[call];
        let watch = &mut slot(&mut self.links, frame.pod, target.cluster).watch;
        watch.learn(&plan, frame.member.pod, sign, target.members.len(), self.queue.now());
    }
}
