//! Access logs sent through a configuration again: where logged requests go, and what a change of
//! configuration would have done to them.
//!
//! A line is read in Envoy's default format, in Istio's, or as JSON ([`LogEntry::parse`]). A log tells
//! less than a request: of the headers only a few. Where a condition looks at another one, the answer
//! is for a request without it, and [`Replay`] counts how often that mattered.

mod entry;
mod outcome;

pub use entry::{LogEntry, LogError};
pub use outcome::{Moved, Replay, Replayed, observed, replay};
