//! The engine: a scenario acted out on a virtual clock.
//!
//! [`Plan::resolve`] turns what the user asked for, and the meshes of the timeline, into a [`Plan`];
//! [`simulate`] acts it out and returns what happened. The engine prints nothing, formats nothing
//! and knows no clock; [`Control`] lets another thread stop it and see how far it is.

mod control;
mod plan;

pub use control::{Control, Progress};
pub use plan::{Phase, Plan, PlanInput, Stage, simulate};
