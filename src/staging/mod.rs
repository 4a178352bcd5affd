//! From a scenario and its mesh files to what the engine is given.
//!
//! [`stage`] checks the scenario, replays its timeline on the objects (apply, delete, scale, patch),
//! compiles each state of the mesh once, and looks up every name the scenario mentions. It reads no
//! files: whoever calls it reads what [`files`] names.

mod call_graph;
mod check;
mod near;
mod path;
mod readiness;
mod references;
mod schedule;
mod stages;
mod state;

pub use schedule::instant;
pub use stages::{Files, Staged, StagingInput, files, objects_at, stage};
