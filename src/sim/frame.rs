//! The state of what is in flight: calls at the caller's proxy, and visits at pods.

use smallvec::SmallVec;

use super::balance::Member;
use super::queue::TimerId;
use crate::draw::Draw;
use crate::mesh::cluster::TlsMode;
use crate::record::{FlagSet, Labels, PartyId, ReachedId, RequestId};
use crate::routing::Flag;
use crate::time::Instant;

/// Who waits for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// A client: its source, and the user of a closed loop. Listed requests have no source; their
    /// user is the client connection that they share.
    Client { source: u32, user: u32 },
    /// An application: the visit that makes the call, and which of its calls this is.
    App { visit: u32, site: Site },
    /// Nobody any more: the caller has left and the proxy goes on.
    Nobody,
    /// Nobody ever: a mirror's copy.
    Mirror,
}

/// Which call of an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Site {
    /// Position in the script's list of calls.
    pub(super) call: u16,
    /// Which attempt, from 0.
    pub(super) attempt: u16,
    /// Which repetition of its step, from 0.
    pub(super) repetition: u32,
}

/// Where a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallState {
    /// Held by a fault delay; the timer is in `try_timer`.
    Held,
    /// On its way to a pod, there, or on its way back.
    Trying,
    /// Waiting before a retry.
    BackingOff,
    /// The beginning of the answer has been passed on; the rest is still to come.
    Streaming,
    /// Over, but the end of its back-off is still due.
    Over,
}

/// What a call holds of its connection pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seat {
    /// Nothing.
    None,
    /// A place in the queue.
    Waiting,
    /// A connection.
    Taken(u32),
    /// A part of a connection that carries any number of requests.
    Shared,
}

/// A call at the caller's proxy, from sending to its end. All tries of the proxy are one call; each
/// attempt of the application is a call of its own.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) request: RequestId,
    pub(super) draw: Draw,
    pub(super) began: Instant,
    pub(super) caller: Caller,
    /// The pod whose proxy it is.
    pub(super) pod: u32,
    pub(super) source: PartyId,
    pub(super) hop: u32,
    pub(super) leg: u16,
    pub(super) depth: u16,
    pub(super) state: CallState,
    /// The visit of the current try.
    pub(super) visit: u32,
    pub(super) tries: u32,
    pub(super) retries_left: u32,
    /// The workload that was tried last.
    pub(super) reached: ReachedId,
    /// The endpoint that is counted as busy for it.
    pub(super) busy: u32,
    /// The endpoint of the current try.
    pub(super) member: Member,
    /// What it holds of a connection pool.
    pub(super) seat: Seat,
    /// Whether it counts as a retry towards the limit.
    pub(super) retrying: bool,
    /// Whether nothing is retried any more, whatever the policy says.
    pub(super) is_final: bool,
    /// Whether the beginning of an answer has been passed on, be it an informational one.
    pub(super) started: bool,
    /// Whether copies for mirrors are still to be sent.
    pub(super) mirrors_due: bool,
    /// The status that has been passed on; 0 if none has.
    pub(super) status: u16,
    /// Due when the body of the request is complete.
    pub(super) body_timer: TimerId,
    pub(super) flags: FlagSet,
    pub(super) caller_timer: TimerId,
    pub(super) route_timer: TimerId,
    pub(super) try_timer: TimerId,
    /// Endpoints that were tried.
    pub(super) tried: SmallVec<[u32; 4]>,
    /// The next call of the same visit; kept where callees are cancelled.
    pub(super) sibling: u32,
}

/// How a pod receives a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reception {
    /// It is taken.
    Open,
    /// Nothing listens.
    Refused,
    /// The pod's proxy answers 503 in place of an application that does not listen.
    AnsweredByProxy,
    /// The pod's proxy turns the request away.
    Denied(Denial),
    /// It is closed on the first bytes, as no TLS or by a policy.
    Closed,
    /// Client and server speak different TLS.
    NoHandshake,
}

/// What a proxy says that turns a request away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Denial {
    pub(super) status: u16,
    /// What it tells a client that speaks gRPC.
    pub(super) grpc: Option<u32>,
    /// Whether the answer says that it was refused to limit a rate.
    pub(super) says_limited: bool,
    /// The flag in the server's log.
    pub(super) flag: Option<Flag>,
    /// The details there.
    pub(super) details: &'static str,
}

/// Where a visit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VisitState {
    /// The request is on its way.
    Coming,
    /// The rest of the request is on its way.
    Receiving,
    /// It waits for a slot.
    Queued,
    /// The pod works, or waits before its answer; an event is due.
    Working,
    /// The pod waits for its calls.
    Calling,
    /// The answer is on its way.
    Returning,
    /// The rest of the answer is on its way.
    Streaming,
    /// Given up; it ends with the event that is due.
    Dropped,
}

/// A request at a pod, from the try that brings it there to the arrival of its answer.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    pub(super) request: RequestId,
    pub(super) draw: Draw,
    /// The call it answers; none once nobody waits.
    pub(super) call: u32,
    /// Where the request is sent.
    pub(super) pod: u32,
    pub(super) port: u16,
    /// Whether it belongs to a mirror's copy, for which nobody waits from the start.
    pub(super) mirror: bool,
    /// The TLS that the caller's proxy adds.
    pub(super) tls: Option<TlsMode>,
    /// How the pod receives it.
    pub(super) reception: Reception,
    pub(super) state: VisitState,
    pub(super) source: PartyId,
    pub(super) hop: u32,
    pub(super) leg: u16,
    /// The request as the application gets it; `NONE` if it is as it was sent.
    pub(super) shape: u32,
    pub(super) depth: u16,
    /// Number of the try, which its draws are told apart by.
    pub(super) attempt: u32,
    pub(super) script: u32,
    pub(super) step: u32,
    pub(super) repetition: u32,
    /// Calls of the current step that have not ended.
    pub(super) pending: u32,
    pub(super) first_call: u32,
    pub(super) labels: Labels,
    /// The action by which it is answered, where actions are written down.
    pub(super) action: u32,
    /// The status it answers; 0 while that is open.
    pub(super) status: u16,
}
