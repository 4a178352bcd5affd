//! What a run leaves behind: observations while it goes, and the [`RunReport`] at its end.
//!
//! The engine tells a [`Recorder`] what happens, in numbers. [`Tally`] counts everything in bounded
//! memory; [`WaterfallRecorder`] follows a single request. [`Directory`] says what the numbers stand
//! for.

mod cells;
mod directory;
mod exchange;
mod expectations;
mod failure;
mod histogram;
mod observation;
mod report;
mod split;
mod tally;
mod waterfall;
mod windows;

pub use directory::{Directory, Group, HopEntry, Reached, Sent, Upstream};
pub use exchange::{Exchange, Journal, Reporter};
pub use expectations::evaluate;
pub use histogram::Distribution;
pub use observation::{
    CallId, CalledId, FlagSet, GroupId, HopId, Labels, LocalBody, Observation, Outcome, PartyId, PlaceId, ReachedId, Recorder,
    RequestId, TimeoutKind, VisitId,
};
pub use report::{
    Change, ClientGroup, EdgeGroup, ExpectationVerdict, FirstFailure, Interval, Latency, OutcomeTally, PhaseSpan, RunReport,
    Segment, SegmentKind, Split, SplitLeg, SplitPoint, Verdict, VerdictCounts, Waterfall, Window,
};
pub use tally::Tally;
pub use waterfall::{Chosen, WaterfallRecorder};
