//! What a caller's proxy does with one kind of request: everything about a route that does not
//! depend on chance, with the clusters it leads to.

use super::limit::Limits;
use super::queue::LaneId;
use super::retry::RetryPlan;
use crate::balance::RequestHash;
use crate::mesh::route::PerMillion;
use crate::record::{CalledId, FlagSet, HopId};

/// A way through a proxy; or past it, for a caller that has none.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hop {
    pub(super) id: HopId,
    /// What the connection carries, as far as the caller's proxy reads it.
    pub(super) reads: Reads,
    /// What the client expects of answers that the proxy makes.
    pub(super) speaks: Speaks,
    /// A fault delay and how often.
    pub(super) delay: Option<(LaneId, PerMillion)>,
    /// The status of a fault abort and how often.
    pub(super) abort: Option<(u16, PerMillion)>,
    pub(super) action: Action,
    pub(super) retry: Option<RetryPlan>,
    /// Whether retries avoid the priorities of endpoints that were tried.
    pub(super) retries_elsewhere: bool,
    pub(super) timeout: Option<LaneId>,
    /// Rate limits of the caller's proxy.
    pub(super) limits: Limits,
    /// Copies, with how often.
    pub(super) mirrors: Vec<(PerMillion, Leg)>,
}

/// How much of a connection the caller's proxy understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    /// HTTP requests.
    Http,
    /// Bytes.
    Tcp,
    /// Nothing: there is no proxy.
    Nothing,
}

/// How a client wants to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaks {
    /// With status and body.
    Plain,
    /// Without a body: the method is HEAD.
    Head,
    /// In gRPC's way: errors have status 200 and are told in headers.
    Grpc,
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// One of these by weight; each with the sum of the weights up to and including its own.
    Forward { legs: Vec<(u64, Leg)> },
    /// The proxy answers. Status 0: the connection leads nowhere.
    Answer { status: u16, flags: FlagSet, details: &'static str, service: CalledId },
}

/// One destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leg {
    /// The endpoints.
    pub(super) to: To,
    /// The service, for reports.
    pub(super) service: CalledId,
    /// The request as it is forwarded.
    pub(super) shape: u32,
    /// What hash balancers hash of it.
    pub(super) hash: RequestHash,
}

/// Where a destination is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    /// Endpoints, by number.
    Target(u32),
    /// A cluster that does not exist; the status.
    Nowhere(u16),
}

impl Hop {
    /// The position of the destination for a random value, the way Envoy picks it.
    pub(super) fn pick(&self, value: impl FnOnce() -> u64) -> u16 {
        let Action::Forward { legs } = &self.action else { return 0 };
        let [.., (total, _)] = legs.as_slice() else { return 0 };
        if legs.len() == 1 {
            return 0;
        }
        let at = value() % (*total).max(1);
        u16::try_from(legs.partition_point(|(up_to, _)| *up_to <= at)).unwrap_or(u16::MAX)
    }

    /// A destination, mirrors counted from [`Hop::MIRRORS`].
    pub(super) fn leg(&self, position: u16) -> Option<&Leg> {
        if let Some(mirror) = position.checked_sub(Self::MIRRORS) {
            return self.mirrors.get(usize::from(mirror)).map(|(_, leg)| leg);
        }
        match &self.action {
            Action::Forward { legs } => legs.get(usize::from(position)).map(|(_, leg)| leg),
            Action::Answer { .. } => None,
        }
    }

    /// The position of the first mirror.
    pub(super) const MIRRORS: u16 = 0x8000;
}
