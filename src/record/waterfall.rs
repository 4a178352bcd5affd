//! One request in detail: who waited for whom, which timeout fired, and what went on after the
//! answer.

use rustc_hash::FxHashMap;

use super::directory::Directory;
use super::observation::{
    CallId, GroupId, HopId, Observation, Outcome, PartyId, ReachedId, Recorder, RequestId, TimeoutKind, VisitId,
};
use super::report::{Segment, SegmentKind, Waterfall};
use crate::time::Instant;

/// Which request is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chosen {
    /// This one.
    Exactly(RequestId),
    /// The n-th (from 1) of some classes of users, in the order of sending.
    Nth {
        /// The classes.
        groups: Vec<GroupId>,
        /// Which of them.
        nth: u64,
    },
}

/// Who a segment is about; names are looked up at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Call(PartyId, HopId),
    Pod(ReachedId),
}

#[derive(Debug, Clone)]
struct Node {
    parent: Option<usize>,
    who: Who,
    kind: SegmentKind,
    begins: Instant,
    ends: Option<Instant>,
    outcome: Option<Outcome>,
    timeout: Option<TimeoutKind>,
    orphaned: bool,
}

/// The recorder that follows one request.
#[derive(Debug, Clone)]
pub struct WaterfallRecorder {
    chosen: Chosen,
    request: Option<RequestId>,
    began: Instant,
    ended: Option<Instant>,
    nodes: Vec<Node>,
    calls: FxHashMap<CallId, usize>,
    visits: FxHashMap<VisitId, usize>,
    open: usize,
}

impl WaterfallRecorder {
    /// Follows a request.
    #[must_use]
    pub fn new(chosen: Chosen) -> Self {
        WaterfallRecorder {
            chosen,
            request: None,
            began: Instant::ZERO,
            ended: None,
            nodes: Vec::new(),
            calls: FxHashMap::default(),
            visits: FxHashMap::default(),
            open: 0,
        }
    }

    fn is_chosen(&mut self, request: RequestId) -> bool {
        match &mut self.chosen {
            Chosen::Exactly(exactly) => *exactly == request,
            Chosen::Nth { groups, nth } => {
                if !request.counted || !groups.contains(&request.group) {
                    return false;
                }
                *nth = nth.saturating_sub(1);
                *nth == 0
            }
        }
    }

    fn add(&mut self, parent: Option<usize>, who: Who, kind: SegmentKind, begins: Instant) -> usize {
        self.nodes.push(Node { parent, who, kind, begins, ends: None, outcome: None, timeout: None, orphaned: false });
        self.nodes.len() - 1
    }

    /// Something of a call that ends with it at the latest.
    fn pause(&mut self, call: CallId, kind: SegmentKind, begins: Instant, until: Instant) {
        let Some(&parent) = self.calls.get(&call) else { return };
        let node = self.add(Some(parent), self.nodes[parent].who, kind, begins);
        self.nodes[node].ends = Some(until);
    }

    fn call_ended(&mut self, call: CallId, at: Instant, outcome: Outcome) {
        let Some(index) = self.calls.remove(&call) else { return };
        self.open -= 1;
        self.nodes[index].ends = Some(at);
        self.nodes[index].outcome = Some(outcome);
        // Held calls and back-offs are dropped with their call; work at a pod goes on.
        for node in self.nodes.iter_mut().filter(|node| node.parent == Some(index)) {
            if matches!(node.kind, SegmentKind::FaultDelay | SegmentKind::BackOff) {
                node.ends = node.ends.map(|ends| ends.min(at));
            }
        }
    }

    fn work_began(&mut self, visit: VisitId, at: Instant) {
        let Some(&index) = self.visits.get(&visit) else { return };
        match self.nodes[index].kind {
            SegmentKind::Queue => {
                self.nodes[index].ends = Some(at);
                let Node { parent, who, .. } = self.nodes[index];
                let work = self.add(parent, who, SegmentKind::Work, at);
                self.visits.insert(visit, work);
            }
            _ => self.nodes[index].begins = at,
        }
    }

    fn follow(&mut self, at: Instant, what: &Observation) {
        match *what {
            Observation::RequestSent { .. } => self.began = at,
            Observation::RequestEnded { .. } => self.ended = Some(at),
            Observation::CallSent { call, visit, source, hop, .. } => {
                let parent = self.visits.get(&visit).copied();
                let node = self.add(parent, Who::Call(source, hop), SegmentKind::Call, at);
                self.calls.insert(call, node);
                self.open += 1;
            }
            Observation::Arrived { call, visit, workload, .. } => {
                let parent = self.calls.get(&call).copied().or((!self.nodes.is_empty()).then_some(0));
                let node = self.add(parent, Who::Pod(workload), SegmentKind::Work, at);
                self.visits.insert(visit, node);
                self.open += 1;
            }
            Observation::Queued { visit, .. } => {
                if let Some(&node) = self.visits.get(&visit) {
                    self.nodes[node].kind = SegmentKind::Queue;
                }
            }
            Observation::WorkBegan { visit, .. } => self.work_began(visit, at),
            Observation::VisitEnded { visit, status, orphaned, .. } => {
                if let Some(node) = self.visits.remove(&visit) {
                    self.open -= 1;
                    let node = &mut self.nodes[node];
                    node.ends = Some(at);
                    node.outcome = Some(Outcome { status, flags: Default::default(), labels: Default::default() });
                    node.orphaned = orphaned;
                }
            }
            Observation::CallEnded { call, outcome, .. } => self.call_ended(call, at, outcome),
            Observation::Tried { .. }
            | Observation::TurnedAway { .. }
            | Observation::Picked { .. }
            | Observation::Connected { .. }
            | Observation::Reached { .. }
            | Observation::Informed { .. }
            | Observation::Answered { .. } => {}
            Observation::Held { call, until, .. } => self.pause(call, SegmentKind::FaultDelay, at, until),
            Observation::BackedOff { call, until, .. } => self.pause(call, SegmentKind::BackOff, at, until),
            Observation::TimedOut { call, kind, .. } => {
                if let Some(&parent) = self.calls.get(&call) {
                    let node = self.add(Some(parent), self.nodes[parent].who, SegmentKind::Timeout, at);
                    self.nodes[node].ends = Some(at);
                    self.nodes[node].timeout = Some(kind);
                }
            }
        }
    }

    /// The drawing, if the request was seen. `until` is the end of the run.
    #[must_use]
    pub fn waterfall(&self, directory: &Directory, until: Instant) -> Option<Waterfall> {
        let request = self.request?;
        let group = directory.group(request.group);
        let user = if group.user.is_empty() { String::new() } else { format!(", user {}", group.user) };
        let mut segments = Vec::with_capacity(self.nodes.len());
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            if let Some(parent) = node.parent {
                children[parent].push(index);
            }
        }
        let mut stack: Vec<(usize, u32)> =
            (0..self.nodes.len()).rev().filter(|index| self.nodes[*index].parent.is_none()).map(|index| (index, 0)).collect();
        while let Some((index, depth)) = stack.pop() {
            segments.push(self.segment(index, depth, directory, until));
            // Nodes are numbered in the order in which they began; the last one pushed is drawn first.
            stack.extend(children[index].iter().rev().map(|child| (*child, depth + 1)));
        }
        Some(Waterfall {
            title: format!("{} request {}{user}", group.client, request.number),
            begins: self.began,
            ends: self.ended.unwrap_or(until),
            segments,
        })
    }

    fn segment(&self, index: usize, depth: u32, directory: &Directory, until: Instant) -> Segment {
        let node = &self.nodes[index];
        let result = match (node.timeout, node.outcome) {
            (Some(TimeoutKind::Caller), _) => "caller's timeout".to_owned(),
            (Some(TimeoutKind::Route), _) => "route timeout".to_owned(),
            (Some(TimeoutKind::Try), _) => "per-try timeout".to_owned(),
            (None, Some(outcome)) => in_words(outcome),
            (None, None) => String::new(),
        };
        let who = match node.who {
            Who::Call(source, hop) => {
                let service = &directory.services[directory.hops[hop.index()].service.index()];
                format!("{} → {}", short_party(directory.party(source)), short_host(service))
            }
            Who::Pod(workload) => {
                let reached = directory.workloads.get(workload.index());
                reached.map_or_else(|| "outside".to_owned(), |reached| short_party(&reached.name).to_owned())
            }
        };
        Segment {
            depth,
            who,
            kind: node.kind,
            begins: node.begins,
            ends: node.ends.unwrap_or(until),
            result,
            orphaned: node.orphaned,
        }
    }
}

fn in_words(outcome: Outcome) -> String {
    match (outcome.status, outcome.flags.codes()) {
        (0, flags) if flags.is_empty() => "no answer".to_owned(),
        (status, flags) if flags.is_empty() => status.to_string(),
        (status, flags) => format!("{status} {flags}"),
    }
}

/// `reviews-v2` of `reviews-v2.default`: namespaces have no dots.
fn short_party(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(workload, _)| workload)
}

/// `reviews` of `reviews.default.svc.cluster.local`; other hosts as they are.
fn short_host(host: &str) -> &str {
    match host.split_once('.') {
        Some((name, rest)) if rest.split('.').nth(1) == Some("svc") => name,
        _ => host,
    }
}

impl Recorder for WaterfallRecorder {
    const DETAIL: bool = true;

    fn observe(&mut self, at: Instant, what: &Observation) {
        if self.request.is_none()
            && let Observation::RequestSent { request } = what
            && self.is_chosen(*request)
        {
            self.request = Some(*request);
        }
        if self.request == Some(what.request()) {
            self.follow(at, what);
        }
    }

    fn is_satisfied(&self) -> bool {
        self.ended.is_some() && self.open == 0
    }
}
