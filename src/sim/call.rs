//! A call at the caller's proxy, phase by phase as Envoy has them: route, fault delay, fault abort,
//! then the router with its endpoint picks, timeouts and retries.
//!
//! Order of things at one instant: a timeout leaves before an answer, because it was scheduled
//! earlier; so does a route timeout before the timeout of a try that was begun later. An answer
//! exactly at a deadline is therefore too late.

use smallvec::SmallVec;

use super::balance::Member;
use super::engine::{DEPTH_MAX, Ending, Engine};
use super::event::Event;
use super::frame::{Call, CallState, Caller, Seat};
use super::hop::{Action, Hop, Reads, Speaks, To};
use super::outlier::Sign;
use super::queue::{LaneId, TimerId};
use super::slab::NONE;
use super::way::unknown_cluster;
use crate::draw::{Draw, Purpose};
use crate::mesh::rate_limit::ChainPlace;
use crate::record::{
    CallId, FlagSet, Labels, LocalBody, Observation, Outcome, PartyId, PlaceId, ReachedId, Recorder, RequestId, TimeoutKind,
    VisitId,
};
use crate::routing::{Flag, included};
use crate::time::Instant;

/// A call to begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewCall {
    pub(super) request: RequestId,
    pub(super) draw: Draw,
    pub(super) caller: Caller,
    /// The pod whose proxy it goes through.
    pub(super) pod: u32,
    pub(super) source: PartyId,
    /// The visit that makes it.
    pub(super) visit: VisitId,
    pub(super) shape: u32,
    /// The caller's own timeout.
    pub(super) timeout: Option<LaneId>,
    /// How long after its headers its body is complete, unless it is at once.
    pub(super) body: Option<LaneId>,
    /// Whether it can only be sent once: its body is too long to be kept.
    pub(super) is_long: bool,
    pub(super) depth: u16,
}

/// A call that has ended, and whom it concerns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) caller: Caller,
    pub(super) request: RequestId,
    /// 0 if there was no answer.
    pub(super) status: u16,
    pub(super) flags: FlagSet,
    pub(super) labels: Labels,
    /// Whether the caller gave up.
    pub(super) timed_out: bool,
    pub(super) began: Instant,
}

/// How a call ends at its proxy.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    /// 0 if nothing was sent.
    pub(super) status: u16,
    pub(super) labels: Labels,
    pub(super) details: &'static str,
    /// Whether the proxy ends it and not the upstream.
    pub(super) is_local: bool,
    /// Whether the answer breaks off.
    pub(super) truncated: bool,
    /// Whether the answer says that a circuit breaker made it.
    pub(super) overloaded: bool,
    pub(super) body: LocalBody,
}

impl End {
    /// The proxy ends it.
    pub(super) fn local(status: u16, details: &'static str, body: LocalBody) -> End {
        End { status, labels: Labels::default(), details, is_local: true, truncated: false, overloaded: false, body }
    }

    /// The upstream has answered it.
    pub(super) fn answered(status: u16, labels: Labels) -> End {
        End { labels, is_local: false, ..End::local(status, "via_upstream", LocalBody::None) }
    }
}

const ABORTED: &str = "fault filter abort";

const RESPONSE_TIMEOUT: &str = "response_timeout";

pub(super) const TIMED_OUT: &str = "upstream request timeout";

impl<R: Recorder> Engine<'_, '_, R> {
    pub(super) fn start_call(&mut self, new: NewCall) {
        if new.depth > DEPTH_MAX {
            self.end(Ending::Deep);
            return;
        }
        let hop = self.hop(new.pod, new.shape);
        let call = self.calls.insert(Call {
            request: new.request,
            draw: new.draw,
            began: self.queue.now(),
            caller: new.caller,
            pod: new.pod,
            source: new.source,
            hop,
            leg: 0,
            depth: new.depth,
            state: CallState::Trying,
            visit: NONE,
            tries: 0,
            retries_left: 0,
            reached: ReachedId::NOWHERE,
            busy: NONE,
            member: Member::NOWHERE,
            seat: Seat::None,
            retrying: false,
            is_final: new.is_long,
            started: false,
            mirrors_due: false,
            status: 0,
            flags: FlagSet::default(),
            caller_timer: TimerId::NONE,
            route_timer: TimerId::NONE,
            try_timer: TimerId::NONE,
            body_timer: TimerId::NONE,
            tried: SmallVec::new(),
            sibling: NONE,
        });
        self.adopt(call, new.caller);
        if let Some(lane) = new.timeout {
            self.calls[call].caller_timer = self.queue.start(lane, Event::CallerTimeout(call));
        }
        if let Some(lane) = new.body {
            self.calls[call].body_timer = self.queue.start(lane, Event::BodyComplete(call));
        }
        let id = self.atlas.hops[hop as usize].id;
        self.observe(Observation::CallSent {
            request: new.request,
            call: CallId(call),
            visit: new.visit,
            source: new.source,
            hop: id,
            place: PlaceId(new.pod),
            mirror: false,
        });
        if !self.turns_away(call, ChainPlace::First..=ChainPlace::AfterPolicies) {
            self.fault(call);
        }
    }

    fn fault(&mut self, call: u32) {
        let Call { hop, draw, .. } = self.calls[call];
        let delay = self.atlas.hops[hop as usize].delay;
        let Some((lane, _)) = delay.filter(|(_, share)| included(*share, draw.value(Purpose::FaultDelay))) else {
            self.let_go(call);
            return;
        };
        let timer = self.queue.start(lane, Event::FaultOver(call));
        let until = self.queue.now() + self.queue.duration(lane);
        let frame = &mut self.calls[call];
        frame.try_timer = timer;
        frame.state = CallState::Held;
        frame.flags = frame.flags.with(Flag::DelayInjected);
        self.detail(|engine| Observation::Held { call: CallId(call), request: engine.calls[call].request, until });
    }

    pub(super) fn fault_over(&mut self, call: u32) {
        self.calls[call].try_timer = TimerId::NONE;
        self.calls[call].state = CallState::Trying;
        self.let_go(call);
    }

    /// Past the delay: abort, answer, or forward.
    fn let_go(&mut self, call: u32) {
        let Call { hop, draw, .. } = self.calls[call];
        let hop = &self.atlas.hops[hop as usize];
        if let Some((status, share)) = hop.abort
            && included(share, draw.value(Purpose::FaultAbort))
        {
            self.raise(call, Flag::FaultInjected);
            self.finish(call, End::local(status, "fault_filter_abort", LocalBody::Text(ABORTED)));
            return;
        }
        if self.turns_away(call, ChainPlace::Last..=ChainPlace::Last) {
            return;
        }
        match self.atlas.hops[self.calls[call].hop as usize].action {
            Action::Forward { .. } => self.forward(call),
            Action::Answer { status, flags, details, .. } => {
                flags.iter().for_each(|flag| self.raise(call, flag));
                self.finish(call, End::local(status, details, LocalBody::None));
            }
        }
    }

    /// The router: the destination is drawn once, its timeout covers everything that follows.
    fn forward(&mut self, call: u32) {
        let Call { hop, draw, .. } = self.calls[call];
        let hop = &self.atlas.hops[hop as usize];
        let position = hop.pick(|| draw.value(Purpose::Stream));
        let to = hop.leg(position).map(|leg| leg.to);
        let (timeout, retries) = (hop.timeout, hop.retry.as_ref().map_or(0, |retry| retry.attempts));
        let has_mirrors = !hop.mirrors.is_empty();
        let reads = hop.reads;
        self.calls[call].leg = position;
        self.calls[call].retries_left = retries;
        let Some(To::Target(_)) = to else {
            let config = self.places[self.calls[call].pod as usize].config;
            let profile = &self.plan.population.stages[config as usize].mesh.profile;
            self.raise(call, unknown_cluster(profile));
            let status = match to {
                Some(To::Nowhere(status)) if reads == Reads::Http => status,
                _ => 0,
            };
            self.finish(call, End::local(status, "cluster_not_found", LocalBody::None));
            return;
        };
        // A timeout leaves before what is due at the same instant, so it is scheduled first.
        if let Some(lane) = timeout.filter(|_| self.has_complete_body(call)) {
            self.calls[call].route_timer = self.queue.start(lane, Event::RouteTimeout(call));
        }
        self.calls[call].mirrors_due = has_mirrors && !self.calls[call].is_final;
        self.begin_try(call);
        self.send_copies(call);
    }

    /// Whether the request has arrived at its proxy with its whole body.
    pub(super) fn has_complete_body(&self, call: u32) -> bool {
        self.calls[call].body_timer == TimerId::NONE
    }

    /// The rest of a request has arrived: now its timeouts begin, and its copies are sent.
    pub(super) fn body_complete(&mut self, call: u32) {
        let frame = &mut self.calls[call];
        frame.body_timer = TimerId::NONE;
        let Call { hop, visit, state, .. } = *frame;
        if state == CallState::Held {
            return;
        }
        let hop = &self.atlas.hops[hop as usize];
        if let Some(lane) = hop.timeout {
            frame.route_timer = self.queue.start(lane, Event::RouteTimeout(call));
        }
        if visit != NONE {
            if state == CallState::Trying {
                self.time_try(call);
            }
            self.received(visit);
        }
        self.send_copies(call);
    }

    pub(super) fn begin_try(&mut self, call: u32) {
        self.detail(|engine| Observation::Tried { call: CallId(call), request: engine.calls[call].request });
        let Some(member) = self.pick_endpoint(call) else {
            self.no_endpoint(call);
            return;
        };
        let frame = &mut self.calls[call];
        frame.tries += 1;
        frame.state = CallState::Trying;
        frame.reached = self.atlas.reached(member.pod);
        frame.member = member;
        if self.atlas.hops[frame.hop as usize].retry.is_some() {
            // Only a policy asks which endpoints were tried.
            frame.tried.push(member.pod);
        }
        self.picked(call, PlaceId(member.pod));
        self.board(call);
    }

    /// The endpoint that the log names for a call.
    pub(super) fn picked(&mut self, call: u32, place: PlaceId) {
        self.detail(|engine| {
            let Call { request, leg, .. } = engine.calls[call];
            Observation::Picked { call: CallId(call), request, place, leg }
        });
    }

    /// Copies go out once the request is complete and its first try has been accepted, as calls of
    /// their own that nobody waits for. Their timeout is the route's; they are never tried again.
    pub(super) fn send_copies(&mut self, call: u32) {
        if !self.has_complete_body(call) || !std::mem::replace(&mut self.calls[call].mirrors_due, false) {
            return;
        }
        let original = self.calls[call].clone();
        let stream = original.draw.value(Purpose::Stream);
        let timeout = self.atlas.hops[original.hop as usize].timeout;
        for index in 0..self.atlas.hops[original.hop as usize].mirrors.len() {
            let (share, leg) = &self.atlas.hops[original.hop as usize].mirrors[index];
            if !included(*share, stream) || matches!(leg.to, To::Nowhere(_)) {
                continue;
            }
            let leg = Hop::MIRRORS + index as u16;
            let copy = self.calls.insert(Call {
                draw: original.draw.child(u64::MAX - index as u64),
                began: self.queue.now(),
                caller: Caller::Mirror,
                leg,
                visit: NONE,
                tries: 1,
                busy: NONE,
                seat: Seat::None,
                retrying: false,
                is_final: true,
                started: false,
                status: 0,
                state: CallState::Trying,
                flags: FlagSet::default(),
                caller_timer: TimerId::NONE,
                route_timer: TimerId::NONE,
                try_timer: TimerId::NONE,
                tried: SmallVec::new(),
                ..original.clone()
            });
            let Some(endpoint) = self.pick_endpoint(copy) else {
                self.calls.remove(copy);
                continue;
            };
            let hop = self.atlas.hops[original.hop as usize].id;
            self.observe(Observation::CallSent {
                request: original.request,
                call: CallId(copy),
                visit: VisitId::NONE,
                source: original.source,
                hop,
                place: PlaceId(original.pod),
                mirror: true,
            });
            self.calls[copy].member = endpoint;
            if let Some(lane) = timeout {
                self.calls[copy].route_timer = self.queue.start(lane, Event::RouteTimeout(copy));
            }
            self.board(copy);
        }
    }

    fn no_endpoint(&mut self, call: u32) {
        match self.reads(call) {
            Reads::Http => {
                self.raise(call, Flag::NoHealthyUpstream);
                self.finish(call, End::local(503, "no_healthy_upstream", LocalBody::Text("no healthy upstream")));
            }
            Reads::Tcp => {
                self.raise(call, Flag::NoHealthyUpstream);
                self.finish(call, End::local(0, "no_healthy_upstream", LocalBody::None));
            }
            Reads::Nothing => self.finish(call, End::local(0, "connection_refused", LocalBody::None)),
        }
    }

    pub(super) fn route_timeout(&mut self, call: u32) {
        self.calls[call].route_timer = TimerId::NONE;
        self.timed_out(call, TimeoutKind::Route);
        let Call { visit, state, status, .. } = self.calls[call];
        if visit != NONE && state == CallState::Trying {
            self.learn(call, Sign::Late);
        }
        self.abandon(call);
        self.raise(call, Flag::UpstreamTimeout);
        let end = match state {
            CallState::Streaming => End { truncated: true, ..End::local(status, RESPONSE_TIMEOUT, LocalBody::None) },
            _ => End::local(504, RESPONSE_TIMEOUT, LocalBody::Text(TIMED_OUT)),
        };
        self.finish(call, end);
    }

    /// The caller gives up: it closes its connection to its proxy, which lets go of everything.
    pub(super) fn caller_timeout(&mut self, call: u32) {
        self.calls[call].caller_timer = TimerId::NONE;
        self.timed_out(call, TimeoutKind::Caller);
        let Call { caller, request, began, .. } = self.calls[call];
        let proxied = self.reads(call) != Reads::Nothing;
        let mut flags = self.calls[call].flags;
        if proxied && self.cancels_proxies {
            flags = flags.with(Flag::DownstreamTermination);
        }
        self.disown(call);
        self.ended.push_back(Ended { caller, request, status: 0, flags, labels: Labels::default(), timed_out: true, began });
        if self.cancels_proxies {
            self.hang_up(call);
        }
    }

    /// A call whose caller is no longer there ends at its proxy.
    pub(super) fn hang_up(&mut self, call: u32) {
        self.disown(call);
        self.abandon(call);
        if self.reads(call) != Reads::Nothing {
            self.raise(call, Flag::DownstreamTermination);
        }
        let status = self.calls[call].status;
        self.finish(call, End::local(status, "downstream_remote_disconnect", LocalBody::None));
    }

    /// Stops waiting for the current try. What it has set going goes on, unless callees are cancelled.
    pub(super) fn abandon(&mut self, call: u32) {
        let visit = std::mem::replace(&mut self.calls[call].visit, NONE);
        if visit == NONE {
            return;
        }
        self.visits[visit].call = NONE;
        if self.cancels_callees {
            self.drop_visit(visit);
        }
    }

    /// A call ends at its proxy.
    pub(super) fn finish(&mut self, call: u32, end: End) {
        self.stop_try(call, false);
        self.end_retry(call);
        let Call {
            caller_timer, route_timer, body_timer, caller, request, began, flags, source, hop, leg, reached, state, ..
        } = self.calls[call];
        self.queue.cancel(caller_timer);
        self.queue.cancel(route_timer);
        self.queue.cancel(body_timer);
        self.calls[call].mirrors_due = false;
        let hop = &self.atlas.hops[hop as usize];
        let End { details, labels, .. } = end;
        // A client that speaks gRPC is told by other means than the status.
        let (status, body) = match (end.body, hop.speaks) {
            (LocalBody::None, Speaks::Plain | Speaks::Head) => (end.status, LocalBody::None),
            (_, Speaks::Grpc) if end.is_local && end.status != 0 && !self.calls[call].started => (200, LocalBody::None),
            (_, Speaks::Head | Speaks::Grpc) => (end.status, LocalBody::None),
            (body, Speaks::Plain) => (end.status, body),
        };
        let is_mirror = caller == Caller::Mirror;
        if !is_mirror {
            let service = match (&hop.action, hop.leg(leg)) {
                (Action::Answer { service, .. }, _) => *service,
                (Action::Forward { .. }, Some(leg)) => leg.service,
                (Action::Forward { .. }, None) => crate::record::CalledId(0),
            };
            let outcome = Outcome { status, flags, labels };
            let hop = hop.id;
            let id = CallId(call);
            let End { truncated, overloaded, .. } = end;
            self.detail(|_| Observation::Answered { call: id, request, truncated, overloaded, body });
            self.observe(Observation::CallEnded {
                request,
                call: id,
                source,
                hop,
                service,
                workload: reached,
                outcome,
                details,
                began,
            });
        }
        self.disown(call);
        if !matches!(caller, Caller::Nobody | Caller::Mirror) {
            self.ended.push_back(Ended { caller, request, status, flags, labels, timed_out: false, began });
        }
        if state == CallState::BackingOff {
            // The event that ends the back-off is still due, and frees the frame.
            self.calls[call].state = CallState::Over;
        } else {
            self.calls.remove(call);
        }
    }

    /// Whoever made the call learns of its end.
    pub(super) fn after_call(&mut self, ended: Ended) {
        match ended.caller {
            Caller::Client { source, user } => {
                let outcome = Outcome { status: ended.status, flags: ended.flags, labels: ended.labels };
                self.answered(source, user, ended.request, outcome, ended.began);
            }
            Caller::App { visit, site } => self.call_ended(visit, site, &ended),
            Caller::Nobody | Caller::Mirror => {}
        }
    }

    /// The timer of a try or of a fault delay, the connection, and the endpoint that was busy with it.
    pub(super) fn stop_try(&mut self, call: u32, reusable: bool) {
        self.unboard(call, reusable);
        let frame = &mut self.calls[call];
        let timer = std::mem::replace(&mut frame.try_timer, TimerId::NONE);
        self.queue.cancel(timer);
        self.release_busy(call);
    }

    pub(super) fn raise(&mut self, call: u32, flag: Flag) {
        let frame = &mut self.calls[call];
        frame.flags = frame.flags.with(flag);
    }

    pub(super) fn reads(&self, call: u32) -> Reads {
        self.atlas.hops[self.calls[call].hop as usize].reads
    }

    pub(super) fn timed_out(&mut self, call: u32, kind: TimeoutKind) {
        self.detail(|engine| Observation::TimedOut { call: CallId(call), request: engine.calls[call].request, kind });
    }
}

/// The place in a table, which grows as needed.
pub(super) fn slot<T: Default>(table: &mut Vec<Vec<T>>, row: u32, column: u32) -> &mut T {
    let (row, column) = (row as usize, column as usize);
    if table.len() <= row {
        table.resize_with(row + 1, Vec::new);
    }
    let row = &mut table[row];
    if row.len() <= column {
        row.resize_with(column + 1, T::default);
    }
    &mut row[column]
}
