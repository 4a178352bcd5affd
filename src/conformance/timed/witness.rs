//! A recorder that writes down what the caller's access log and the servers would have.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use crate::record::{CallId, HopId, LocalBody, Observation, PlaceId, Recorder, RequestId, VisitId};
use crate::time::Instant;

/// One request, as its log line and the servers have it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Line {
    pub(super) began: Instant,
    pub(super) status: u16,
    /// Response flags, `-` for none.
    pub(super) flags: String,
    pub(super) details: String,
    pub(super) attempts: u32,
    /// Whole milliseconds.
    pub(super) took: u64,
    pub(super) body: String,
    pub(super) truncated: bool,
    pub(super) overloaded: bool,
    pub(super) informational: Vec<u16>,
    /// The endpoint that the log names.
    pub(super) logged: Option<PlaceId>,
    /// The endpoint that was picked for each try, as far as one was.
    pub(super) picked: Vec<PlaceId>,
    /// Where and when tries arrived, in milliseconds from the beginning.
    pub(super) arrived: Vec<(PlaceId, u64)>,
    /// The way it took through its proxy.
    pub(super) hop: Option<HopId>,
    pub(super) is_over: bool,
}

/// What one run showed.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Witness {
    /// By group of the request and number within it.
    pub(super) lines: BTreeMap<(u32, u64), Line>,
    /// Requests that arrived, by place, without mirrored ones.
    pub(super) hits: BTreeMap<PlaceId, u64>,
    pub(super) mirrored: BTreeMap<PlaceId, u64>,
    /// The ways of mirrored requests.
    pub(super) mirrored_hops: BTreeSet<HopId>,
    pub(super) connections: BTreeMap<PlaceId, u64>,
    pub(super) active_max: BTreeMap<PlaceId, u64>,
    active: BTreeMap<PlaceId, u64>,
    visits: FxHashMap<VisitId, PlaceId>,
    /// Calls of copies, of which no log is kept.
    copies: BTreeSet<CallId>,
}

impl Witness {
    fn line(&mut self, request: RequestId) -> &mut Line {
        self.lines.entry((request.group.0, request.number)).or_default()
    }
}

impl Recorder for Witness {
    const DETAIL: bool = true;

    fn observe(&mut self, at: Instant, what: &Observation) {
        match *what {
            Observation::RequestSent { request } => self.line(request).began = at,
            Observation::Tried { request, .. } => self.line(request).attempts += 1,
            Observation::Picked { request, place, .. } => {
                let line = self.line(request);
                line.logged = (place != PlaceId::NONE).then_some(place);
                line.picked.extend(line.logged);
            }
            Observation::Reached { request, visit, hop, place, mirror, .. } => {
                self.visits.insert(visit, place);
                let active = self.active.entry(place).or_default();
                *active += 1;
                let most = self.active_max.entry(place).or_default();
                *most = (*most).max(*active);
                if mirror {
                    *self.mirrored.entry(place).or_default() += 1;
                    self.mirrored_hops.insert(hop);
                } else {
                    *self.hits.entry(place).or_default() += 1;
                    let line = self.line(request);
                    let after = at.since(line.began).millis();
                    line.arrived.push((place, after));
                }
            }
            Observation::VisitEnded { visit, .. } => {
                if let Some(place) = self.visits.remove(&visit) {
                    *self.active.entry(place).or_default() -= 1;
                }
            }
            Observation::Connected { place, .. } => *self.connections.entry(place).or_default() += 1,
            Observation::Informed { request, call, status } => {
                if !self.copies.contains(&call) {
                    self.line(request).informational.push(status);
                }
            }
            Observation::Answered { request, truncated, overloaded, body, .. } => {
                let line = self.line(request);
                (line.truncated, line.overloaded) = (truncated, overloaded);
                line.body = if body == LocalBody::None { String::new() } else { body.to_string() };
            }
            Observation::CallEnded { request, outcome, details, began, hop, .. } => {
                let line = self.line(request);
                line.hop = Some(hop);
                line.status = outcome.status;
                line.flags = if outcome.flags.is_empty() { "-".to_owned() } else { outcome.flags.codes() };
                details.clone_into(&mut line.details);
                line.took = at.since(began).millis();
                line.is_over = true;
            }
            Observation::CallSent { call, mirror, .. } => {
                if mirror {
                    self.copies.insert(call);
                } else {
                    self.copies.remove(&call);
                }
            }
            Observation::RequestEnded { .. }
            | Observation::Arrived { .. }
            | Observation::Queued { .. }
            | Observation::WorkBegan { .. }
            | Observation::TurnedAway { .. }
            | Observation::Held { .. }
            | Observation::BackedOff { .. }
            | Observation::TimedOut { .. } => {}
        }
    }
}
