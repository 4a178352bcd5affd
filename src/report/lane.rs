//! A waterfall laid out in lanes: one for each call or piece of work, with what held it up inside.
//!
//! The terminal and the chart draw the same lanes; what they have in common is decided here: where
//! waiting ends and orphaned work begins, which timeout cut what short, and where the time went.

use crate::record::{RunReport, Segment, SegmentKind, Waterfall};
use crate::time::{Duration, Instant};

/// One lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lane {
    /// Depth; 0 is the client.
    pub depth: u32,
    /// Who, such as `productpage-v1 → reviews`.
    pub who: String,
    /// A call or work.
    pub kind: SegmentKind,
    /// Beginning.
    pub begins: Instant,
    /// End.
    pub ends: Instant,
    /// When the last caller up the chain had gone; the end if all stayed.
    pub awaited_until: Instant,
    /// Status and flags, in words.
    pub result: String,
    /// Delays, back-offs and queues within.
    pub holds: Vec<Hold>,
    /// Timeouts of this call that fired.
    pub timeouts: Vec<Fired>,
    /// The lane of the caller.
    parent: Option<usize>,
}

impl Lane {
    /// The timeout that ended the call.
    pub(super) fn ended_by(&self) -> Option<&Fired> {
        self.timeouts.iter().find(|fired| fired.at == self.ends)
    }
}

/// A timeout that fired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fired {
    /// When.
    pub at: Instant,
    /// Whose, such as `route timeout`.
    pub what: String,
}

/// Something that held a call up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hold {
    /// What.
    pub kind: SegmentKind,
    /// Beginning.
    pub begins: Instant,
    /// End.
    pub ends: Instant,
}

/// A stretch of the request's time and who was waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stretch {
    /// Beginning.
    begins: Instant,
    /// End.
    ends: Instant,
    /// Index of the lane at the end of the chain of waiting.
    lane: usize,
    /// What held that lane up, if anything.
    hold: Option<SegmentKind>,
    /// Index of the lane whose timeout ended the stretch.
    cut_by: Option<usize>,
}

/// One or several equal stretches, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    /// How many.
    pub times: u64,
    /// How long each took.
    pub length: Duration,
    /// What happened.
    pub text: String,
}

impl Told {
    /// `6.000 s`, `2 × 3.000 s`.
    pub(super) fn amount(&self) -> String {
        let length = crate::text::duration(self.length);
        if self.times == 1 { length } else { format!("{} × {length}", self.times) }
    }
}

/// What a hold or segment is called.
pub(super) const fn word(kind: SegmentKind) -> &'static str {
    match kind {
        SegmentKind::Call => "waiting for the answer",
        SegmentKind::Work => "busy",
        SegmentKind::FaultDelay => "fault delay",
        SegmentKind::BackOff => "retry back-off",
        SegmentKind::Queue => "queueing",
        SegmentKind::Timeout => "timeout",
    }
}

/// The lanes of a waterfall, callers before callees.
pub(super) fn lanes(waterfall: &Waterfall) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = Vec::new();
    for segment in &waterfall.segments {
        let parent = (0..lanes.len()).rev().find(|i| lanes[*i].depth < segment.depth);
        match segment.kind {
            SegmentKind::Call | SegmentKind::Work => lanes.push(lane(segment, parent, &lanes)),
            SegmentKind::Timeout => {
                if let Some(call) = timed_out(&lanes, segment) {
                    let what = if segment.result.is_empty() { "timeout" } else { segment.result.as_str() };
                    lanes[call].timeouts.push(Fired { at: segment.begins, what: what.to_owned() });
                }
            }
            SegmentKind::FaultDelay | SegmentKind::BackOff | SegmentKind::Queue => {
                if let Some(held) = parent.or(lanes.len().checked_sub(1)) {
                    lanes[held].holds.push(Hold { kind: segment.kind, begins: segment.begins, ends: segment.ends });
                }
            }
        }
    }
    told_apart(lanes)
}

/// Leaves out work that fills the call it is done for, or takes no time at all: its lane would say
/// nothing new. What it called moves up to the call.
fn told_apart(lanes: Vec<Lane>) -> Vec<Lane> {
    let silent = |lane: &Lane| {
        let same = lane.parent.is_some_and(|i| (lanes[i].begins, lanes[i].ends) == (lane.begins, lane.ends));
        lane.kind == SegmentKind::Work && lane.holds.is_empty() && (same || lane.begins == lane.ends)
    };
    let kept: Vec<bool> = lanes.iter().map(|lane| !silent(lane)).collect();
    let mut new_index = vec![None; lanes.len()];
    let mut out: Vec<Lane> = Vec::new();
    for (i, mut lane) in lanes.into_iter().enumerate() {
        // Callers come first, so the place of the parent, or of its nearest kept caller, is known.
        let parent = lane.parent.and_then(|p: usize| new_index[p]);
        if !kept[i] {
            new_index[i] = parent;
            continue;
        }
        lane.parent = parent;
        lane.depth = parent.map_or(0, |p: usize| out[p].depth + 1);
        new_index[i] = Some(out.len());
        out.push(lane);
    }
    out
}

/// Which request it is, in words.
pub(super) fn title(report: &RunReport, waterfall: &Waterfall) -> String {
    let phase = report.phases.iter().find(|phase| phase.begins <= waterfall.begins && waterfall.begins < phase.ends);
    match phase {
        Some(phase) if !phase.name.is_empty() => format!("{}, phase {}", waterfall.title, phase.name),
        _ => waterfall.title.clone(),
    }
}

fn lane(segment: &Segment, parent: Option<usize>, lanes: &[Lane]) -> Lane {
    let caller_left = parent.map_or(Instant::from_nanos(u64::MAX), |i| lanes[i].ends.min(lanes[i].awaited_until));
    Lane {
        depth: segment.depth,
        who: segment.who.clone(),
        kind: segment.kind,
        begins: segment.begins,
        ends: segment.ends,
        awaited_until: segment.ends.min(caller_left).max(segment.begins),
        result: segment.result.clone(),
        holds: Vec::new(),
        timeouts: Vec::new(),
        parent,
    }
}

/// The call that a timeout belongs to: the last one above it.
fn timed_out(lanes: &[Lane], timeout: &Segment) -> Option<usize> {
    (0..lanes.len()).rev().find(|i| lanes[*i].kind == SegmentKind::Call && lanes[*i].depth < timeout.depth)
}

/// Where the time of the request went: stretches from its beginning to its end.
fn stretches(lanes: &[Lane]) -> Vec<Stretch> {
    let mut out = Vec::new();
    if let Some(root) = lanes.first() {
        spend(lanes, 0, root.begins, root.ends, &mut out);
    }
    for stretch in &mut out {
        // The timeout nearest to the work explains it best; those above fire because of it.
        stretch.cut_by = chain(lanes, stretch.lane).find(|i| lanes[*i].timeouts.iter().any(|fired| fired.at == stretch.ends));
    }
    out
}

/// Where the time went, in words. What happened several times in a row is told once.
pub(super) fn told(lanes: &[Lane]) -> Vec<Told> {
    let mut out: Vec<Told> = Vec::new();
    for stretch in stretches(lanes) {
        let told = Told { times: 1, length: stretch.ends.since(stretch.begins), text: words(&stretch, lanes) };
        match out.last_mut() {
            Some(last) if last.length == told.length && last.text == told.text => last.times += 1,
            _ => out.push(told),
        }
    }
    out
}

fn words(stretch: &Stretch, lanes: &[Lane]) -> String {
    let lane = &lanes[stretch.lane];
    let what = match stretch.hold {
        Some(kind) => format!("{} of {}", word(kind), lane.who),
        None if lane.kind == SegmentKind::Work => format!("{} busy", lane.who),
        None => lane.who.clone(),
    };
    match stretch.cut_by {
        Some(cut) if cut == stretch.lane => format!("{what}, ended by its {}", fired_at(&lanes[cut], stretch.ends)),
        Some(cut) => format!("{what}, until the {} of {}", fired_at(&lanes[cut], stretch.ends), lanes[cut].who),
        None => what,
    }
}

fn fired_at(lane: &Lane, at: Instant) -> &str {
    lane.timeouts.iter().find(|fired| fired.at == at).map_or("timeout", |fired| fired.what.as_str())
}

/// A lane and its callers, upwards.
fn chain(lanes: &[Lane], lane: usize) -> impl Iterator<Item = usize> + '_ {
    std::iter::successors(Some(lane), |i| lanes[*i].parent)
}

/// Splits the time of one lane among its callees. It waits for the callee that ends last, then
/// before that one began for another, and so on.
fn spend(lanes: &[Lane], lane: usize, begins: Instant, ends: Instant, out: &mut Vec<Stretch>) {
    let mut pieces: Vec<(usize, Instant, Instant)> = Vec::new();
    let mut until = ends;
    while until > begins {
        let callees = (lane + 1..lanes.len()).filter(|i| lanes[*i].parent == Some(lane) && lanes[*i].begins < until);
        let last = callees.filter(|i| lanes[*i].ends > begins).max_by_key(|i| (lanes[*i].ends.min(until), *i));
        let Some(last) = last else { break };
        let from = lanes[last].begins.max(begins);
        pieces.push((last, from, lanes[last].ends.min(until)));
        until = from;
    }
    let mut now = begins;
    for (callee, from, to) in pieces.into_iter().rev() {
        own(&lanes[lane], lane, now, from, out);
        spend(lanes, callee, from, to, out);
        now = to;
    }
    own(&lanes[lane], lane, now, ends, out);
}

/// Time that a lane spent on itself, split at its holds.
fn own(lane: &Lane, index: usize, begins: Instant, ends: Instant, out: &mut Vec<Stretch>) {
    let mut now = begins;
    while now < ends {
        let hold = lane.holds.iter().find(|hold| hold.begins <= now && now < hold.ends);
        let next = lane.holds.iter().map(|hold| hold.begins).filter(|at| *at > now).min();
        let until = hold.map_or(next.unwrap_or(ends), |hold| hold.ends).min(ends);
        out.push(Stretch { begins: now, ends: until, lane: index, hold: hold.map(|hold| hold.kind), cut_by: None });
        now = until;
    }
}

/// Work that went on after everybody who wanted it had gone, summed over the lanes at the ends of
/// the chains, and when the last of it ended.
pub(super) fn orphaned(lanes: &[Lane]) -> Option<(Duration, Instant)> {
    let leaf = |i: usize| !lanes.iter().any(|lane| lane.parent == Some(i));
    let mut sum = Duration::ZERO;
    let mut last = Instant::ZERO;
    for (_, lane) in lanes.iter().enumerate().filter(|(i, lane)| leaf(*i) && lane.ends > lane.awaited_until) {
        sum = sum + lane.ends.since(lane.awaited_until);
        last = last.max(lane.ends);
    }
    (!sum.is_zero()).then_some((sum, last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    fn secs(stretches: &[Stretch]) -> Vec<(u64, usize, Option<SegmentKind>, Option<usize>)> {
        stretches.iter().map(|s| (s.ends.since(s.begins).millis(), s.lane, s.hold, s.cut_by)).collect()
    }

    #[test]
    fn the_cascade_is_two_fault_delays_each_cut_by_a_timeout() {
        let lanes = lanes(&fixture::cascade().waterfall.unwrap());
        let names: Vec<&str> = lanes.iter().map(|lane| lane.who.as_str()).collect();
        let attempt = ["productpage-v1 → reviews", "reviews-v2", "reviews-v2 → ratings"];
        assert_eq!(names, [["browser → productpage", "productpage-v1 → details"].as_slice(), &attempt, &attempt].concat());
        let delay = Some(SegmentKind::FaultDelay);
        assert_eq!(secs(&stretches(&lanes)), [(3_000, 4, delay, Some(2)), (3_000, 7, delay, Some(5))]);
        let told: Vec<String> = told(&lanes).iter().map(|told| format!("{} {}", told.amount(), told.text)).collect();
        assert_eq!(
            told,
            ["2 × 3.000 s fault delay of reviews-v2 → ratings, until the caller's timeout of productpage-v1 → reviews"]
        );
        let (sum, last) = orphaned(&lanes).unwrap();
        assert_eq!((sum.millis(), last.nanos() / 1_000_000), (8_000, 160_000));
    }

    #[test]
    fn of_parallel_calls_the_one_that_ends_last_is_waited_for() {
        let segment = |depth, who: &str, kind, begins: u64, ends: u64| Segment {
            depth,
            who: who.to_owned(),
            kind,
            begins: Instant::from_nanos(begins * 1_000_000),
            ends: Instant::from_nanos(ends * 1_000_000),
            result: String::new(),
            orphaned: false,
        };
        let waterfall = Waterfall {
            segments: vec![
                segment(0, "client → a", SegmentKind::Call, 0, 100),
                segment(1, "a → fast", SegmentKind::Call, 10, 30),
                segment(1, "a → slow", SegmentKind::Call, 10, 80),
                segment(2, "slow", SegmentKind::Queue, 20, 50),
            ],
            ..Waterfall::default()
        };
        let lanes = lanes(&waterfall);
        assert_eq!(
            secs(&stretches(&lanes)),
            [
                (10, 0, None, None),
                (10, 2, None, None),
                (30, 2, Some(SegmentKind::Queue), None),
                (30, 2, None, None),
                (20, 0, None, None)
            ]
        );
        assert_eq!(orphaned(&lanes), None);
    }
}
