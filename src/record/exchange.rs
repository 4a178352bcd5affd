//! What the proxies would have written down: one exchange for each request at each proxy on its way.
//!
//! The caller's proxy writes one exchange for each call, whatever the number of tries; the callee's
//! proxy writes one for each try that reached it, be it only to be turned away. That is how Envoy's access log, Istio's standard
//! metrics and the spans of a trace count too.

use rustc_hash::FxHashMap;

use super::observation::{
    CallId, CalledId, FlagSet, HopId, Observation, PartyId, PlaceId, ReachedId, Recorder, RequestId, VisitId,
};
use crate::routing::Flag;
use crate::time::{Duration, Instant};

/// Whose proxy wrote an exchange down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reporter {
    /// The caller's.
    Source,
    /// The callee's.
    Destination,
}

/// One request at one proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    /// Whose proxy wrote it down.
    pub reporter: Reporter,
    /// The client's request that it belongs to.
    pub request: RequestId,
    /// Its span; counted from 1 over the whole run.
    pub span: u64,
    /// The span that caused it; 0 for what a client sends.
    pub parent: u64,
    /// When the proxy got the request.
    pub began: Instant,
    /// When it had sent the answer, or gave up.
    pub ended: Instant,
    /// Who called.
    pub source: PartyId,
    /// The pod that called; nowhere for what comes from outside.
    pub source_place: PlaceId,
    /// The way through the caller's proxy.
    pub hop: HopId,
    /// The service.
    pub service: CalledId,
    /// The workload that was tried last.
    pub workload: ReachedId,
    /// Where the last try went; nowhere if there was none.
    pub place: PlaceId,
    /// The destination, by position in the route; mirrors are counted from 32 768.
    pub leg: u16,
    /// Status; 0 if none was sent.
    pub status: u16,
    /// Response flags.
    pub flags: FlagSet,
    /// Response-code details.
    pub details: &'static str,
    /// Tries that were begun.
    pub attempts: u32,
    /// From the beginning of the last try to its answer; none where the proxy answered itself.
    pub upstream_took: Option<Duration>,
    /// Whether it is a mirror's copy.
    pub mirror: bool,
}

/// A call that has not ended.
#[derive(Debug, Clone, Copy)]
struct OpenCall {
    span: u64,
    parent: u64,
    source_place: PlaceId,
    place: PlaceId,
    leg: u16,
    attempts: u32,
    tried_at: Instant,
    mirror: bool,
}

/// A request that has come to its server's proxy.
struct Arrival {
    request: RequestId,
    call: CallId,
    source: PartyId,
    hop: HopId,
    service: CalledId,
    workload: ReachedId,
}

/// The recorder that hands on exchanges as they end. Warm-up is left out.
pub struct Journal<F> {
    hand_on: F,
    calls: FxHashMap<CallId, OpenCall>,
    visits: FxHashMap<VisitId, Exchange>,
    spans: u64,
}

impl<F: FnMut(&Exchange)> Journal<F> {
    /// A journal that hands every exchange to `hand_on`, in the order in which they end.
    pub fn new(hand_on: F) -> Self {
        Journal { hand_on, calls: FxHashMap::default(), visits: FxHashMap::default(), spans: 0 }
    }

    fn next_span(&mut self) -> u64 {
        self.spans += 1;
        self.spans
    }

    /// The exchange that begins where a request comes to its server's proxy.
    fn arrived(&mut self, at: Instant, arrival: Arrival) -> Exchange {
        let Arrival { request, call, source, hop, service, workload } = arrival;
        let caller = self.calls.get(&call).copied();
        Exchange {
            reporter: Reporter::Destination,
            request,
            span: self.next_span(),
            parent: caller.map_or(0, |open| open.span),
            began: at,
            ended: at,
            source,
            source_place: caller.map_or(PlaceId::NONE, |open| open.source_place),
            hop,
            service,
            workload,
            place: caller.map_or(PlaceId::NONE, |open| open.place),
            leg: caller.map_or(0, |open| open.leg),
            status: 0,
            flags: FlagSet::default(),
            details: "via_upstream",
            attempts: 1,
            upstream_took: None,
            mirror: caller.is_some_and(|open| open.mirror),
        }
    }
}

impl<F: FnMut(&Exchange)> Recorder for Journal<F> {
    const DETAIL: bool = true;

    fn observe(&mut self, at: Instant, what: &Observation) {
        if !what.request().counted {
            return;
        }
        match *what {
            Observation::CallSent { call, visit, place, mirror, .. } => {
                let parent = self.visits.get(&visit).map_or(0, |exchange| exchange.span);
                let span = self.next_span();
                let open = OpenCall {
                    span,
                    parent,
                    source_place: place,
                    place: PlaceId::NONE,
                    leg: 0,
                    attempts: 0,
                    tried_at: at,
                    mirror,
                };
                self.calls.insert(call, open);
            }
            Observation::Tried { call, .. } => {
                if let Some(open) = self.calls.get_mut(&call) {
                    open.attempts += 1;
                    open.tried_at = at;
                }
            }
            Observation::Picked { call, place, leg, .. } => {
                if let Some(open) = self.calls.get_mut(&call) {
                    (open.place, open.leg) = (place, leg);
                }
            }
            Observation::Arrived { request, call, visit, source, hop, service, workload } => {
                let exchange = self.arrived(at, Arrival { request, call, source, hop, service, workload });
                self.visits.insert(visit, exchange);
            }
            Observation::TurnedAway { request, call, source, hop, service, workload, place, status, flags, details } => {
                let arrived = self.arrived(at, Arrival { request, call, source, hop, service, workload });
                (self.hand_on)(&Exchange { place, status, flags, details, attempts: 0, ..arrived });
            }
            Observation::Reached { visit, place, mirror, .. } => {
                if let Some(open) = self.visits.get_mut(&visit) {
                    (open.place, open.mirror) = (place, mirror);
                }
            }
            Observation::VisitEnded { visit, status, orphaned, .. } => {
                let Some(mut exchange) = self.visits.remove(&visit) else { return };
                exchange.ended = at;
                exchange.status = status;
                exchange.upstream_took = Some(at.since(exchange.began));
                if orphaned && !exchange.mirror {
                    exchange.status = 0;
                    exchange.flags = FlagSet::default().with(Flag::DownstreamTermination);
                    exchange.details = "downstream_remote_disconnect";
                    exchange.upstream_took = None;
                }
                (self.hand_on)(&exchange);
            }
            Observation::CallEnded { request, call, source, hop, service, workload, outcome, details, began } => {
                let Some(open) = self.calls.remove(&call) else { return };
                let upstream_took = (details == "via_upstream").then(|| at.since(open.tried_at));
                (self.hand_on)(&Exchange {
                    reporter: Reporter::Source,
                    request,
                    span: open.span,
                    parent: open.parent,
                    began,
                    ended: at,
                    source,
                    source_place: open.source_place,
                    hop,
                    service,
                    workload,
                    place: open.place,
                    leg: open.leg,
                    status: outcome.status,
                    flags: outcome.flags,
                    details,
                    attempts: open.attempts,
                    upstream_took,
                    mirror: open.mirror,
                });
            }
            _ => {}
        }
    }
}
