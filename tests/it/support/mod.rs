//! What several integration tests need: meshes from files and texts, runs of scenarios, and
//! questions to their reports.

pub(crate) mod app;
pub(crate) mod interval;
pub(crate) mod lab;
pub(crate) mod run;
pub(crate) mod tally;
