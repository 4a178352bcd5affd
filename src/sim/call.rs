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
use super::frame::{Call, CallState, Caller, Reception, Seat, Visit, VisitState};
use super::hop::{Action, Hop, Reads, To};
use super::outlier::Sign;
use super::queue::{LaneId, TimerId};
use super::slab::NONE;
use super::way::unknown_cluster;
use crate::draw::{Draw, Purpose};
use crate::record::{
    CallId, FlagSet, Labels, Observation, Outcome, PartyId, ReachedId, Recorder, RequestId, TimeoutKind, VisitId,
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

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Try {
    Answered(u16, Labels),
    /// With the details that the proxy logs.
    NotConnected(&'static str),
    /// Connected, and closed by the server before any answer.
    Closed,
    TimedOut,
}

const REFUSED: &str =
    "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}";

const NO_HANDSHAKE: &str = "upstream_reset_before_response_started{remote_connection_failure|TLS_error:_SSL_routines:OPENSSL_internal:WRONG_VERSION_NUMBER}";

const CLOSED: &str = "upstream_reset_before_response_started{connection_termination}";

impl Try {
    /// What it tells about the endpoint.
    fn sign(self) -> Sign {
        match self {
            Try::Answered(status, _) => Sign::Status(status),
            Try::NotConnected(_) | Try::Closed => Sign::Broken,
            Try::TimedOut => Sign::Late,
        }
    }
}

/// Network delays are drawn by try and direction.
const BACK: u64 = 1 << 32;

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
            flags: FlagSet::default(),
            caller_timer: TimerId::NONE,
            route_timer: TimerId::NONE,
            try_timer: TimerId::NONE,
            tried: SmallVec::new(),
            sibling: NONE,
        });
        self.adopt(call, new.caller);
        if let Some(lane) = new.timeout {
            self.calls[call].caller_timer = self.queue.start(lane, Event::CallerTimeout(call));
        }
        let id = self.atlas.hops[hop as usize].id;
        self.observe(Observation::CallSent {
            request: new.request,
            call: CallId(call),
            visit: new.visit,
            source: new.source,
            hop: id,
            mirror: false,
        });
        self.fault(call);
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
            self.finish(call, status, "fault_filter_abort");
            return;
        }
        match hop.action {
            Action::Forward { .. } => self.forward(call),
            Action::Answer { status, flags, details, .. } => {
                flags.iter().for_each(|flag| self.raise(call, flag));
                self.finish(call, status, details);
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
            self.finish(call, status, "cluster_not_found");
            return;
        };
        if let Some(lane) = timeout {
            self.calls[call].route_timer = self.queue.start(lane, Event::RouteTimeout(call));
        }
        self.begin_try(call);
    }

    fn begin_try(&mut self, call: u32) {
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
        self.board(call);
    }

    /// A try leaves for the endpoint that it has a connection to.
    pub(super) fn depart(&mut self, call: u32) {
        let frame = &mut self.calls[call];
        let (member, attempt, is_mirror) = (frame.member, frame.tries - 1, frame.caller == Caller::Mirror);
        let hop = &self.atlas.hops[frame.hop as usize];
        if let Some(lane) = hop.retry.as_ref().and_then(|retry| retry.per_try).filter(|_| !is_mirror) {
            frame.try_timer = self.queue.start(lane, Event::TryTimeout(call));
        }
        let mirrored = attempt == 0 && !is_mirror && !hop.mirrors.is_empty();
        self.keep_busy(call);
        self.travel(call, member, attempt);
        if mirrored {
            self.mirror(call);
        }
    }

    /// Sends a call's request to a pod.
    fn travel(&mut self, call: u32, Member { pod, port, tls, .. }: Member, attempt: u32) {
        let frame = &mut self.calls[call];
        let draw = frame.draw;
        let visit = self.visits.insert(Visit {
            request: frame.request,
            draw: draw.child(u64::from(attempt)),
            call,
            pod,
            port,
            mirror: frame.caller == Caller::Mirror,
            tls,
            reception: Reception::Open,
            state: VisitState::Coming,
            source: frame.source,
            hop: frame.hop,
            leg: frame.leg,
            depth: frame.depth,
            attempt,
            script: 0,
            step: 0,
            repetition: 0,
            pending: 0,
            first_call: NONE,
            labels: Labels::default(),
            status: 0,
        });
        frame.visit = visit;
        let value = || draw.nth(Purpose::Network, u64::from(attempt));
        Self::after(&mut self.queue, &self.hop_latency, value, Event::Delivery(visit));
    }

    /// Sends a visit's answer back.
    pub(super) fn travel_back(&mut self, visit: u32) {
        let frame = &mut self.visits[visit];
        if frame.call == NONE {
            self.visits.remove(visit);
            return;
        }
        frame.state = VisitState::Returning;
        let (draw, attempt) = (self.calls[frame.call].draw, u64::from(frame.attempt));
        let value = || draw.nth(Purpose::Network, attempt | BACK);
        Self::after(&mut self.queue, &self.hop_latency, value, Event::Answer(visit));
    }

    /// Copies go out with the first try, as calls of their own that nobody waits for.
    fn mirror(&mut self, call: u32) {
        let original = self.calls[call].clone();
        let stream = original.draw.value(Purpose::Stream);
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
                mirror: true,
            });
            self.calls[copy].member = endpoint;
            self.board(copy);
        }
    }

    fn no_endpoint(&mut self, call: u32) {
        match self.reads(call) {
            Reads::Http => {
                self.raise(call, Flag::NoHealthyUpstream);
                self.finish(call, 503, "no_healthy_upstream");
            }
            Reads::Tcp => {
                self.raise(call, Flag::NoHealthyUpstream);
                self.finish(call, 0, "no_healthy_upstream");
            }
            Reads::Nothing => self.finish(call, 0, "connection_refused"),
        }
    }

    /// An answer, or a refusal, is back.
    pub(super) fn answer(&mut self, visit: u32) {
        let Visit { call, reception, status, labels, .. } = self.visits[visit];
        self.visits.remove(visit);
        if call == NONE {
            return;
        }
        self.calls[call].visit = NONE;
        let ended = match reception {
            Reception::Open => Try::Answered(status, labels),
            Reception::AnsweredByProxy => Try::Answered(503, labels),
            Reception::Refused => Try::NotConnected(REFUSED),
            Reception::NoHandshake => Try::NotConnected(NO_HANDSHAKE),
            Reception::Closed => Try::Closed,
        };
        self.after_try(call, ended);
    }

    pub(super) fn try_timeout(&mut self, call: u32) {
        self.calls[call].try_timer = TimerId::NONE;
        self.timed_out(call, TimeoutKind::Try);
        self.abandon(call);
        self.after_try(call, Try::TimedOut);
    }

    /// A try has ended: it is retried, or it was the last.
    fn after_try(&mut self, call: u32, ended: Try) {
        self.learn(call, ended.sign());
        self.stop_try(call, matches!(ended, Try::Answered(..)));
        self.end_retry(call);
        let frame = &self.calls[call];
        let retry = self.atlas.hops[frame.hop as usize].retry.as_ref();
        let is_retriable = retry.is_some_and(|retry| match ended {
            Try::Answered(status, _) => retry.on_status(status),
            Try::NotConnected(_) => retry.on_connect_failure(),
            Try::Closed => retry.on_reset(),
            Try::TimedOut => retry.on_reset(),
        });
        match (is_retriable, frame.retries_left) {
            (false, _) => {}
            (true, 0) => self.raise(call, Flag::RetryLimitExceeded),
            (true, _) if self.may_retry(call) => {
                self.back_off(call);
                return;
            }
            (true, _) => self.raise(call, Flag::UpstreamOverflow),
        }
        match ended {
            Try::Answered(status, labels) => self.finish_with(call, status, labels, "via_upstream"),
            Try::NotConnected(details) => self.without_answer(call, Flag::UpstreamFailure, details),
            Try::Closed => self.without_answer(call, Flag::UpstreamTermination, CLOSED),
            Try::TimedOut => {
                self.raise(call, Flag::UpstreamTimeout);
                self.finish(call, 504, "upstream_per_try_timeout");
            }
        }
    }

    /// The connection came to nothing.
    fn without_answer(&mut self, call: u32, flag: Flag, details: &'static str) {
        let status = match self.reads(call) {
            Reads::Http => 503,
            Reads::Tcp => 0,
            Reads::Nothing => {
                self.finish(call, 0, if flag == Flag::UpstreamFailure { "connection_refused" } else { "connection_reset" });
                return;
            }
        };
        self.raise(call, flag);
        self.finish(call, status, details);
    }

    fn back_off(&mut self, call: u32) {
        let frame = &mut self.calls[call];
        let Some(retry) = &self.atlas.hops[frame.hop as usize].retry else { return };
        let nth = retry.attempts - frame.retries_left;
        frame.retries_left -= 1;
        frame.state = CallState::BackingOff;
        let pause = retry.back_off(nth, frame.draw.nth(Purpose::BackOff, u64::from(nth)));
        self.queue.after(pause, Event::BackOffOver(call));
        let until = self.queue.now() + pause;
        self.detail(|engine| Observation::BackedOff { call: CallId(call), request: engine.calls[call].request, until });
    }

    pub(super) fn back_off_over(&mut self, call: u32) {
        match self.calls[call].state {
            CallState::Over => self.calls.remove(call),
            CallState::Held | CallState::Trying | CallState::BackingOff => self.begin_try(call),
        }
    }

    pub(super) fn route_timeout(&mut self, call: u32) {
        self.calls[call].route_timer = TimerId::NONE;
        self.timed_out(call, TimeoutKind::Route);
        if self.calls[call].visit != NONE {
            self.learn(call, Sign::Late);
        }
        self.abandon(call);
        self.raise(call, Flag::UpstreamTimeout);
        self.finish(call, 504, "response_timeout");
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
        self.finish(call, 0, "downstream_remote_disconnect");
    }

    /// Stops waiting for the current try. What it has set going goes on, unless callees are cancelled.
    fn abandon(&mut self, call: u32) {
        let visit = std::mem::replace(&mut self.calls[call].visit, NONE);
        if visit == NONE {
            return;
        }
        self.visits[visit].call = NONE;
        if self.cancels_callees {
            self.drop_visit(visit);
        }
    }

    pub(super) fn finish(&mut self, call: u32, status: u16, details: &'static str) {
        self.finish_with(call, status, Labels::default(), details);
    }

    fn finish_with(&mut self, call: u32, status: u16, labels: Labels, details: &'static str) {
        self.stop_try(call, false);
        self.end_retry(call);
        let Call { caller_timer, route_timer, caller, request, began, flags, source, hop, leg, reached, state, .. } =
            self.calls[call];
        self.queue.cancel(caller_timer);
        self.queue.cancel(route_timer);
        let is_mirror = caller == Caller::Mirror;
        if !is_mirror {
            let hop = &self.atlas.hops[hop as usize];
            let service = match (&hop.action, hop.leg(leg)) {
                (Action::Answer { service, .. }, _) => *service,
                (Action::Forward { .. }, Some(leg)) => leg.service,
                (Action::Forward { .. }, None) => crate::record::CalledId(0),
            };
            let outcome = Outcome { status, flags, labels };
            let hop = hop.id;
            let call = CallId(call);
            self.observe(Observation::CallEnded {
                request,
                call,
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
    fn stop_try(&mut self, call: u32, reusable: bool) {
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

    fn timed_out(&mut self, call: u32, kind: TimeoutKind) {
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
