//! What the engine tells: a closed set of small, copyable facts in numbers. Nothing else leaves the
//! engine; the [`Directory`](super::Directory) says what the numbers stand for.

use crate::routing::Flag;
use crate::time::Instant;

macro_rules! ids {
    ($($(#[doc = $doc:literal])* $name:ident;)*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// The position it stands for.
            #[must_use]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

ids! {
    /// A class of users of one client in one phase: a position in [`Directory::groups`](super::Directory::groups).
    GroupId;
    /// Who calls: a position in [`Directory::parties`](super::Directory::parties).
    PartyId;
    /// A service that is called: a position in [`Directory::services`](super::Directory::services).
    CalledId;
    /// A workload that is reached: a position in [`Directory::workloads`](super::Directory::workloads).
    ReachedId;
    /// One proxy's way with one kind of request: a position in [`Directory::hops`](super::Directory::hops).
    HopId;
    /// A pod, or a host outside of the mesh: a position in [`Directory::places`](super::Directory::places).
    PlaceId;
    /// A call in flight; numbers are used again after its end.
    CallId;
    /// A request at a pod; numbers are used again after its end.
    VisitId;
}

impl ReachedId {
    /// No workload was reached.
    pub const NOWHERE: ReachedId = ReachedId(u32::MAX);
}

impl PlaceId {
    /// Nowhere.
    pub const NONE: PlaceId = PlaceId(u32::MAX);
}

impl CallId {
    /// No call: the caller has gone, or never waited.
    pub const NONE: CallId = CallId(u32::MAX);
}

impl VisitId {
    /// No pod: a client calls.
    pub const NONE: VisitId = VisitId(u32::MAX);
}

/// Which client request something belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId {
    /// Client, class of users and phase.
    pub group: GroupId,
    /// Number within its client and phase, from 1.
    pub number: u64,
    /// Whether it was sent after the warm-up.
    pub counted: bool,
}

/// Response flags in the order in which they were raised: up to five, six bits each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FlagSet(u32);

impl FlagSet {
    const BITS: u32 = 6;

    /// The same flags and this one; raising it again changes nothing.
    #[must_use]
    pub fn with(self, flag: Flag) -> FlagSet {
        let code = flag as u32 + 1;
        let mut rest = self.0;
        let mut shift = 0;
        while rest != 0 {
            if rest & ((1 << Self::BITS) - 1) == code {
                return self;
            }
            rest >>= Self::BITS;
            shift += Self::BITS;
        }
        // No answer has more than DI, URX and two others; a sixth would have no room.
        if shift + Self::BITS > u32::BITS { self } else { FlagSet(self.0 | (code << shift)) }
    }

    /// Whether a flag was raised.
    #[must_use]
    pub fn has(self, flag: Flag) -> bool {
        self.iter().any(|raised| raised == flag)
    }

    /// Whether none was raised.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The flags in order.
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let code = (rest & ((1 << Self::BITS) - 1)).checked_sub(1)?;
            rest >>= Self::BITS;
            Flag::ALL.get(code as usize).copied()
        })
    }

    /// The codes joined with commas; empty for none.
    #[must_use]
    pub fn codes(self) -> String {
        let codes: Vec<&str> = self.iter().map(Flag::code).collect();
        codes.join(",")
    }
}

/// Words on an answer: a set of positions in [`Directory::labels`](super::Directory::labels).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Labels(pub u64);

impl Labels {
    /// The most words that one scenario can have.
    pub const MAX: usize = 64;

    /// The words of both.
    #[must_use]
    pub const fn and(self, other: Labels) -> Labels {
        Labels(self.0 | other.0)
    }

    /// Whether they have a word in common.
    #[must_use]
    pub const fn intersects(self, other: Labels) -> bool {
        self.0 & other.0 != 0
    }

    /// The positions of the words.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..Self::MAX).filter(move |position| self.0 & (1 << position) != 0)
    }
}

/// How a call or request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Outcome {
    /// Status; 0 if there was no answer.
    pub status: u16,
    /// Response flags of the caller's proxy.
    pub flags: FlagSet,
    /// Labels of the answer.
    pub labels: Labels,
}

/// The body of an answer that a proxy makes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum LocalBody {
    /// None, or not one of these.
    #[default]
    None,
    /// A fixed text.
    Text(&'static str),
    /// The text about an upstream that gave no answer.
    Reset {
        /// Why.
        reason: &'static str,
        /// Whether it was tried before.
        retried: bool,
    },
}

impl std::fmt::Display for LocalBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LocalBody::None => Ok(()),
            LocalBody::Text(text) => f.write_str(text),
            LocalBody::Reset { reason, retried } => {
                let retried = if *retried { "retried and the latest " } else { "" };
                write!(f, "upstream connect error or disconnect/reset before headers. {retried}reset reason: {reason}")
            }
        }
    }
}

/// Which timeout fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeoutKind {
    /// The caller's own.
    Caller,
    /// The route's.
    Route,
    /// Of one try.
    Try,
}

/// One thing that happened. Those below the line are only told to recorders that ask for detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observation {
    /// A client sent a request.
    RequestSent {
        /// Which.
        request: RequestId,
    },
    /// A client's request ended.
    RequestEnded {
        /// Which.
        request: RequestId,
        /// How.
        outcome: Outcome,
        /// When it was sent.
        began: Instant,
    },
    /// A call entered the caller's proxy.
    CallSent {
        /// Whose.
        request: RequestId,
        /// The call.
        call: CallId,
        /// The request at a pod that makes the call.
        visit: VisitId,
        /// Who calls.
        source: PartyId,
        /// Its way through the proxy.
        hop: HopId,
        /// The pod whose proxy it is.
        place: PlaceId,
        /// Whether it is a mirror's copy.
        mirror: bool,
    },
    /// A request reached a pod.
    Arrived {
        /// Whose.
        request: RequestId,
        /// The call; none if its caller has left on the way.
        call: CallId,
        /// Its stay at the pod.
        visit: VisitId,
        /// Who called.
        source: PartyId,
        /// The way it came.
        hop: HopId,
        /// The service.
        service: CalledId,
        /// The workload.
        workload: ReachedId,
    },
    /// A call ended at the caller's proxy.
    CallEnded {
        /// Whose.
        request: RequestId,
        /// The call.
        call: CallId,
        /// Who called.
        source: PartyId,
        /// Its way.
        hop: HopId,
        /// The service.
        service: CalledId,
        /// The workload that was tried last.
        workload: ReachedId,
        /// How it ended.
        outcome: Outcome,
        /// Response code details.
        details: &'static str,
        /// When it began.
        began: Instant,
    },
    // ---- detail ----
    /// A pod has no free slot; the request waits.
    Queued {
        /// The stay.
        visit: VisitId,
        /// Whose.
        request: RequestId,
    },
    /// A pod begins to work on a request.
    WorkBegan {
        /// The stay.
        visit: VisitId,
        /// Whose.
        request: RequestId,
    },
    /// A pod has answered a request, or dropped it.
    VisitEnded {
        /// The stay.
        visit: VisitId,
        /// Whose.
        request: RequestId,
        /// The status it answered; 0 if it did not.
        status: u16,
        /// Whether nobody waited for the answer any more.
        orphaned: bool,
    },
    /// The proxy of a pod has turned a request away, by a policy or a limit.
    TurnedAway {
        /// Whose.
        request: RequestId,
        /// The call that it belongs to.
        call: CallId,
        /// Who calls.
        source: PartyId,
        /// The way through the caller's proxy.
        hop: HopId,
        /// The service.
        service: CalledId,
        /// The workload of the pod.
        workload: ReachedId,
        /// The pod.
        place: PlaceId,
        /// The status of the answer.
        status: u16,
        /// Response flags.
        flags: FlagSet,
        /// Response-code details.
        details: &'static str,
    },
    /// A proxy begins to try a call; an endpoint is still to be picked.
    Tried {
        /// The call.
        call: CallId,
        /// Whose.
        request: RequestId,
    },
    /// The endpoint that the log will name for a call, unless it is picked anew.
    Picked {
        /// The call.
        call: CallId,
        /// Whose.
        request: RequestId,
        /// Where; nowhere if the log will name none.
        place: PlaceId,
        /// The destination, by position in the route; mirrors are counted from 32 768.
        leg: u16,
    },
    /// A server has taken a connection of a pool.
    Connected {
        /// Whose request it was opened for.
        request: RequestId,
        /// Where.
        place: PlaceId,
    },
    /// A request has reached a server; told beside [`Observation::Arrived`].
    Reached {
        /// Whose.
        request: RequestId,
        /// The call; none if its caller has left on the way.
        call: CallId,
        /// Its stay there.
        visit: VisitId,
        /// The way it came.
        hop: HopId,
        /// Where.
        place: PlaceId,
        /// Whether it is a mirror's copy.
        mirror: bool,
    },
    /// An informational answer is passed on.
    Informed {
        /// The call.
        call: CallId,
        /// Whose.
        request: RequestId,
        /// Its status.
        status: u16,
    },
    /// What the caller sees besides the outcome; told just before [`Observation::CallEnded`].
    Answered {
        /// The call.
        call: CallId,
        /// Whose.
        request: RequestId,
        /// Whether the answer breaks off.
        truncated: bool,
        /// Whether it says that a circuit breaker made it.
        overloaded: bool,
        /// Its body, if the proxy made it.
        body: LocalBody,
    },
    /// A fault holds a call until an instant.
    Held {
        /// The call.
        call: CallId,
        /// Whose.
        request: RequestId,
        /// When it will be let go.
        until: Instant,
    },
    /// A proxy waits before a retry until an instant.
    BackedOff {
        /// The call.
        call: CallId,
        /// Whose.
        request: RequestId,
        /// When the next try begins.
        until: Instant,
    },
    /// A timeout fired.
    TimedOut {
        /// The call.
        call: CallId,
        /// Whose.
        request: RequestId,
        /// Which timeout.
        kind: TimeoutKind,
    },
}

impl Observation {
    /// The client request it belongs to.
    #[must_use]
    pub const fn request(&self) -> RequestId {
        match self {
            Observation::RequestSent { request }
            | Observation::RequestEnded { request, .. }
            | Observation::CallSent { request, .. }
            | Observation::Arrived { request, .. }
            | Observation::CallEnded { request, .. }
            | Observation::Queued { request, .. }
            | Observation::WorkBegan { request, .. }
            | Observation::VisitEnded { request, .. }
            | Observation::TurnedAway { request, .. }
            | Observation::Tried { request, .. }
            | Observation::Picked { request, .. }
            | Observation::Connected { request, .. }
            | Observation::Reached { request, .. }
            | Observation::Informed { request, .. }
            | Observation::Answered { request, .. }
            | Observation::Held { request, .. }
            | Observation::BackedOff { request, .. }
            | Observation::TimedOut { request, .. } => *request,
        }
    }
}

/// Something that listens to the engine.
pub trait Recorder {
    /// Whether it wants the observations that only matter for drawing single requests.
    const DETAIL: bool;

    /// Takes note of what happened at an instant. Instants never descend.
    fn observe(&mut self, at: Instant, what: &Observation);

    /// Whether it has all it wanted, so that the run may end.
    fn is_satisfied(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_keep_the_order_in_which_they_were_raised() {
        let flags = [Flag::DelayInjected, Flag::RetryLimitExceeded, Flag::UpstreamFailure, Flag::DelayInjected];
        let set = flags.into_iter().fold(FlagSet::default(), FlagSet::with);
        assert_eq!(set.codes(), "DI,URX,UF");
        assert!(set.has(Flag::UpstreamFailure) && !set.has(Flag::NoRoute));
        assert_eq!(FlagSet::default().codes(), "");
    }

    #[test]
    fn every_flag_fits_its_bits() {
        for flag in Flag::ALL {
            assert_eq!(FlagSet::default().with(*flag).iter().collect::<Vec<_>>(), [*flag]);
        }
    }
}
