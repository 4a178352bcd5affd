//! All charts of a run with the names of their files.

use super::{Scene, canary, hits, latency, waterfall};
use crate::record::RunReport;

/// A chart and the name of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chart {
    /// File name without its ending.
    pub name: &'static str,
    /// What is drawn.
    pub scene: Scene,
}

/// The charts that this run has something to show on.
#[must_use]
pub fn charts(report: &RunReport) -> Vec<Chart> {
    [("canary", canary(report)), ("hits", hits(report)), ("latency", latency(report)), ("waterfall", waterfall(report))]
        .into_iter()
        .filter_map(|(name, scene)| Some(Chart { name, scene: scene? }))
        .collect()
}
