//! One try of a call: it leaves for its endpoint, ends somehow, and is followed by another try or by
//! the end of the call (Envoy: `Router::UpstreamRequest`, `Router::Filter::onUpstreamReset`).

use super::balance::Member;
use super::call::{End, TIMED_OUT};
use super::engine::Engine;
use super::event::Event;
use super::frame::{Call, CallState, Caller, Denial, Reception, Visit, VisitState};
use super::hop::{Reads, Speaks};
use super::outlier::Sign;
use super::queue::TimerId;
use super::retry::Failure;
use super::slab::NONE;
use crate::draw::Purpose;
use crate::record::{CallId, Labels, LocalBody, Observation, Recorder, TimeoutKind};
use crate::routing::Flag;
use crate::workload::{Action, Course};

/// How a try comes to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// Nothing listens.
    Refused,
    /// Client and server speak different TLS.
    NoHandshake,
    /// The attempt to connect took too long.
    ConnectTimeout,
    /// The server has closed the connection.
    Closed,
    /// The server has sent something that is no answer.
    Garbled,
}

impl Broken {
    const fn failure(self) -> Failure {
        match self {
            Broken::Refused | Broken::NoHandshake | Broken::ConnectTimeout => Failure::Connect,
            Broken::Closed | Broken::Garbled => Failure::Reset,
        }
    }

    const fn flag(self) -> Flag {
        match self {
            Broken::Refused | Broken::NoHandshake | Broken::ConnectTimeout => Flag::UpstreamFailure,
            Broken::Closed => Flag::UpstreamTermination,
            Broken::Garbled => Flag::UpstreamProtocolError,
        }
    }

    /// The words in the body of the answer.
    const fn reason(self) -> &'static str {
        match self {
            Broken::Refused | Broken::NoHandshake => "remote connection failure",
            Broken::ConnectTimeout => "connection timeout",
            Broken::Closed => "connection termination",
            Broken::Garbled => "protocol error",
        }
    }

    /// The details that the log has, by whether the beginning of an answer had been passed on.
    const fn details(self, started: bool) -> &'static str {
        match (self, started) {
            (Broken::Refused, _) => {
                "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}"
            }
            (Broken::NoHandshake, _) => {
                "upstream_reset_before_response_started{remote_connection_failure|TLS_error:_SSL_routines:OPENSSL_internal:WRONG_VERSION_NUMBER}"
            }
            (Broken::ConnectTimeout, _) => "upstream_reset_before_response_started{connection_timeout}",
            (Broken::Closed, false) => "upstream_reset_before_response_started{connection_termination}",
            (Broken::Closed, true) => "upstream_reset_after_response_started{connection_termination}",
            (Broken::Garbled, false) => "upstream_reset_before_response_started{protocol_error}",
            (Broken::Garbled, true) => "upstream_reset_after_response_started{protocol_error}",
        }
    }

    const fn status(self) -> u16 {
        if matches!(self, Broken::Garbled) { 502 } else { 503 }
    }
}

/// Network delays are drawn by try and direction.
const BACK: u64 = 1 << 32;

impl<R: Recorder> Engine<'_, '_, R> {
    /// A try leaves for the endpoint that it has a connection to.
    pub(super) fn depart(&mut self, call: u32) {
        self.learn(call, Sign::Connected);
        let Call { member, tries, .. } = self.calls[call];
        if self.has_complete_body(call) {
            self.time_try(call);
        }
        self.keep_busy(call);
        self.travel(call, member, tries - 1);
    }

    /// The timeout of a try begins when it has a connection and the request is complete.
    pub(super) fn time_try(&mut self, call: u32) {
        let frame = &mut self.calls[call];
        let retry = self.atlas.hops[frame.hop as usize].retry.as_ref().filter(|_| frame.caller != Caller::Mirror);
        if let Some(lane) = retry.and_then(|retry| retry.per_try) {
            frame.try_timer = self.queue.start(lane, Event::TryTimeout(call));
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
            shape: NONE,
            depth: frame.depth,
            attempt,
            script: 0,
            step: 0,
            repetition: 0,
            pending: 0,
            first_call: NONE,
            labels: Labels::default(),
            action: NONE,
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

    /// An answer, or a refusal, is back.
    pub(super) fn answer(&mut self, visit: u32) {
        let Visit { call, reception, status, labels, action, state, .. } = self.visits[visit];
        if call != NONE && action != NONE {
            self.acted(visit, state == VisitState::Streaming);
            return;
        }
        if self.answers_in_parts(visit) {
            self.visit_ended(visit);
        }
        self.visits.remove(visit);
        if call == NONE {
            return;
        }
        self.calls[call].visit = NONE;
        match reception {
            Reception::Open => self.try_answered(call, status, labels, NONE, true),
            Reception::AnsweredByProxy => self.try_answered(call, 503, labels, NONE, true),
            Reception::Denied(denial) => self.try_denied(call, denial, labels),
            Reception::Refused => self.broken(call, Broken::Refused),
            Reception::NoHandshake => self.broken(call, Broken::NoHandshake),
            Reception::Closed => self.broken(call, Broken::Closed),
        }
    }

    /// A server has done what is written: an answer is back, its beginning, or its rest.
    fn acted(&mut self, visit: u32, is_rest: bool) {
        let Visit { call, action: number, labels, .. } = self.visits[visit];
        let Action { course, status, .. } = self.plan.actions[number as usize];
        match course {
            Course::Stalls(pause) | Course::BreaksOff(pause) if !is_rest => {
                self.begin_answer(call, status, number);
                if self.calls[call].visit == visit && self.calls[call].state == CallState::Streaming {
                    self.visits[visit].state = VisitState::Streaming;
                } else {
                    self.visits[visit].call = NONE;
                }
                self.queue.after(pause, Event::Answer(visit));
                return;
            }
            _ => {}
        }
        if is_rest {
            self.visit_ended(visit);
        }
        self.visits.remove(visit);
        self.calls[call].visit = NONE;
        match course {
            Course::Answers => self.try_answered(call, status, labels, number, true),
            Course::AnswersAndCloses => self.try_answered(call, status, labels, number, false),
            Course::Stalls(_) => {
                self.stop_try(call, true);
                self.finish(call, End { overloaded: self.says_overloaded(number), ..End::answered(status, labels) });
            }
            Course::BreaksOff(_) | Course::Babbles => self.broken(call, Broken::Garbled),
            Course::HangsUp | Course::Refuses | Course::Ignores => self.broken(call, Broken::Closed),
        }
    }

    fn says_overloaded(&self, action: u32) -> bool {
        self.plan.actions.get(action as usize).is_some_and(|action| action.header("x-envoy-overloaded").is_some())
    }

    /// The headers of an answer are there, and more is to come.
    fn begin_answer(&mut self, call: u32, status: u16, action: u32) {
        if self.is_retried_after(call, status, action) {
            self.calls[call].visit = NONE;
            self.stop_try(call, false);
            self.back_off(call);
            return;
        }
        let frame = &mut self.calls[call];
        (frame.state, frame.status, frame.started, frame.is_final) = (CallState::Streaming, status, true, true);
        let timer = std::mem::replace(&mut frame.try_timer, TimerId::NONE);
        self.queue.cancel(timer);
    }

    /// An answer is there as a whole.
    fn try_answered(&mut self, call: u32, status: u16, labels: Labels, action: u32, reusable: bool) {
        let is_retried = self.is_retried_after(call, status, action);
        // The body of an answer that nobody wants is not waited for: its connection is closed.
        let cuts_off = is_retried && self.has_body(call, status, action);
        self.stop_try(call, reusable && !cuts_off);
        if is_retried {
            self.back_off(call);
        } else {
            let overloaded = action != NONE && self.says_overloaded(action);
            self.finish(call, End { overloaded, ..End::answered(status, labels) });
        }
    }

    /// The server's proxy has turned a try away.
    fn try_denied(&mut self, call: u32, denial: Denial, labels: Labels) {
        let Denial { status, grpc, .. } = denial;
        self.learn(call, Sign::Status(grpc.map_or(status, http_of_grpc)));
        self.end_retry(call);
        let hop = &self.atlas.hops[self.calls[call].hop as usize];
        let is_retriable = hop.retry.as_ref().is_some_and(|retry| retry.on_denial(&denial));
        // Such answers have a body unless it may have none.
        let has_body = hop.speaks == Speaks::Plain;
        let is_retried = self.is_retried(call, is_retriable);
        self.stop_try(call, !(is_retried && has_body));
        if is_retried {
            self.back_off(call);
        } else {
            self.finish(call, End::answered(status, labels));
        }
    }

    fn has_body(&self, call: u32, status: u16, action: u32) -> bool {
        let is_head = self.atlas.hops[self.calls[call].hop as usize].speaks == Speaks::Head;
        let action = self.plan.actions.get(action as usize);
        !is_head && !matches!(status, 204 | 304) && action.is_some_and(|action| action.body_bytes > 0)
    }

    /// Whether a try that was answered is followed by another.
    fn is_retried_after(&mut self, call: u32, status: u16, action: u32) -> bool {
        self.learn(call, Sign::Status(self.status_as_judged(call, status, action)));
        self.end_retry(call);
        let retry = self.atlas.hops[self.calls[call].hop as usize].retry.as_ref();
        let is_retriable = retry.is_some_and(|retry| match self.plan.actions.get(action as usize) {
            Some(action) => retry.on_answer(status, action),
            None => retry.on_status(status),
        });
        self.is_retried(call, is_retriable)
    }

    /// The status that outlier detection sees: what gRPC says in its own header, if that was asked for.
    fn status_as_judged(&self, call: u32, status: u16, action: u32) -> u16 {
        let grpc = self.plan.actions.get(action as usize).and_then(Action::grpc_status);
        let hop = &self.atlas.hops[self.calls[call].hop as usize];
        grpc.filter(|_| hop.speaks == Speaks::Grpc).map_or(status, http_of_grpc)
    }

    /// An informational answer is passed on. From now on nothing is retried, and only the route's
    /// timeout counts.
    pub(super) fn inform(&mut self, call: u32, status: u16) {
        let frame = &mut self.calls[call];
        (frame.started, frame.is_final) = (true, true);
        let timer = std::mem::replace(&mut frame.try_timer, TimerId::NONE);
        self.queue.cancel(timer);
        self.end_retry(call);
        self.detail(|engine| Observation::Informed { call: CallId(call), request: engine.calls[call].request, status });
    }

    /// A try has come to nothing.
    pub(super) fn broken(&mut self, call: u32, why: Broken) {
        self.learn(call, Sign::Broken);
        self.abandon(call);
        self.end_retry(call);
        if self.calls[call].state == CallState::Streaming {
            let why = Broken::Garbled;
            self.raise(call, why.flag());
            let status = self.calls[call].status;
            self.finish(call, End { truncated: true, ..End::local(status, why.details(true), LocalBody::None) });
            return;
        }
        if self.is_retried_on(call, why.failure()) {
            return;
        }
        self.without_answer(call, why);
    }

    /// Decides whether a try that failed is followed by another, and if so begins to wait for it.
    fn is_retried_on(&mut self, call: u32, failure: Failure) -> bool {
        let retry = self.atlas.hops[self.calls[call].hop as usize].retry.as_ref();
        let is_retriable = retry.is_some_and(|retry| retry.on_failure(failure));
        let is_retried = self.is_retried(call, is_retriable);
        self.stop_try(call, false);
        if is_retried {
            self.back_off(call);
        }
        is_retried
    }

    /// Whether a try that the policy would repeat is repeated. It still holds its connection, so that
    /// a budget counts it.
    fn is_retried(&mut self, call: u32, is_retriable: bool) -> bool {
        if !is_retriable || self.calls[call].is_final {
            return false;
        }
        let Some(left) = self.calls[call].retries_left.checked_sub(1) else {
            self.raise(call, Flag::RetryLimitExceeded);
            return false;
        };
        self.calls[call].retries_left = left;
        let is_allowed = self.may_retry(call);
        if !is_allowed {
            self.raise(call, Flag::UpstreamOverflow);
        }
        is_allowed
    }

    pub(super) fn try_timeout(&mut self, call: u32) {
        self.calls[call].try_timer = TimerId::NONE;
        self.timed_out(call, TimeoutKind::Try);
        self.learn(call, Sign::Late);
        self.abandon(call);
        self.end_retry(call);
        if self.is_retried_on(call, Failure::Reset) {
            return;
        }
        self.raise(call, Flag::UpstreamTimeout);
        self.finish(call, End::local(504, "upstream_per_try_timeout", LocalBody::Text(TIMED_OUT)));
    }

    /// A circuit breaker refuses a call, which is never retried.
    pub(super) fn overflow(&mut self, call: u32) {
        self.raise(call, Flag::UpstreamOverflow);
        // A request that is refused at once sends no copies.
        self.calls[call].mirrors_due = false;
        let end = match self.reads(call) {
            Reads::Http => {
                let body = LocalBody::Reset { reason: "overflow", retried: self.calls[call].tries > 1 };
                End { overloaded: true, ..End::local(503, OVERFLOW, body) }
            }
            Reads::Tcp | Reads::Nothing => End::local(0, OVERFLOW, LocalBody::None),
        };
        self.finish(call, end);
    }

    /// The connection came to nothing.
    fn without_answer(&mut self, call: u32, why: Broken) {
        let status = match self.reads(call) {
            Reads::Http => why.status(),
            Reads::Tcp => 0,
            Reads::Nothing => {
                let details = if why.flag() == Flag::UpstreamFailure { "connection_refused" } else { "connection_reset" };
                self.finish(call, End::local(0, details, LocalBody::None));
                return;
            }
        };
        self.raise(call, why.flag());
        let Call { tries, started, .. } = self.calls[call];
        let body = LocalBody::Reset { reason: why.reason(), retried: tries > 1 };
        self.finish(call, End::local(status, why.details(started), body));
    }

    fn back_off(&mut self, call: u32) {
        let frame = &mut self.calls[call];
        let Some(retry) = &self.atlas.hops[frame.hop as usize].retry else { return };
        let nth = retry.attempts - frame.retries_left - 1;
        frame.state = CallState::BackingOff;
        let pause = retry.back_off(nth, frame.draw.nth(Purpose::BackOff, u64::from(nth)));
        self.queue.after(pause, Event::BackOffOver(call));
        let until = self.queue.now() + pause;
        self.detail(|engine| Observation::BackedOff { call: CallId(call), request: engine.calls[call].request, until });
    }

    pub(super) fn back_off_over(&mut self, call: u32) {
        match self.calls[call].state {
            CallState::Over => self.calls.remove(call),
            CallState::Held | CallState::Trying | CallState::BackingOff | CallState::Streaming => self.begin_try(call),
        }
    }
}

/// The HTTP status that stands for one of gRPC.
const fn http_of_grpc(code: u32) -> u16 {
    match code {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}

const OVERFLOW: &str = "upstream_reset_before_response_started{overflow}";
