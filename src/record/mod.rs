//! What a run leaves behind: observations while it goes, and the [`RunReport`] at its end.

mod expectations;
mod report;

pub use expectations::evaluate;
pub use report::{
    Change, ClientGroup, EdgeGroup, ExpectationVerdict, FirstFailure, Interval, Latency, OutcomeTally, PhaseSpan, RunReport,
    Segment, SegmentKind, Split, SplitLeg, SplitPoint, Verdict, VerdictCounts, Waterfall,
};
