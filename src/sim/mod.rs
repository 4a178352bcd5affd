//! The engine: a scenario acted out on a virtual clock.
//!
//! [`Plan::resolve`] turns what the user asked for, and the meshes of the timeline, into a [`Plan`];
//! [`simulate`] acts it out and returns what happened. The engine prints nothing, formats nothing
//! and knows no clock; [`Control`] lets another thread stop it and see how far it is.
//!
//! | file | noun |
//! |---|---|
//! | `plan`, `population`, `sources`, `not_modelled` | what is resolved before the run |
//! | `event`, `queue`, `heap`, `slab` | what is due, and frames in flight |
//! | `engine`, `stage`, `source` | the loop; changes of the mesh; clients |
//! | `call`, `attempt`, `retry`, `balance` | a call at the caller's proxy, phase by phase |
//! | `limit` | rate limits: token buckets and counters |
//! | `link`, `pool`, `outlier`, `priority` | what a proxy remembers of a cluster: connections, bad endpoints |
//! | `visit`, `guard`, `script`, `actor` | a request at a pod, who lets it in, and what its application does |
//! | `atlas`, `way`, `hop`, `shape`, `endpoints` | what is worked out once and remembered |
//! | `run` | from a plan to a report |

mod actor;
mod atlas;
mod attempt;
mod balance;
mod call;
mod control;
mod endpoints;
mod engine;
mod event;
mod frame;
mod guard;
mod heap;
mod hop;
mod limit;
mod link;
mod not_modelled;
mod outlier;
mod plan;
mod pool;
mod population;
pub mod queue;
mod retry;
mod run;
mod script;
mod shape;
mod slab;
mod source;
mod sources;
mod stage;
mod visit;
mod way;

pub use actor::Whereabouts;
pub use control::{Control, Progress};
pub use engine::{Ending, Outcome};
pub use plan::{Phase, Plan, PlanInput, Stage};
pub use run::{run, simulate};
