//! Measured cases: what a real control plane and a real proxy did, read, answered and compared.
//!
//! A case is one YAML text: configuration, requests, and what was measured. [`Case`] reads it,
//! [`answer`] says in the same terms what this program makes of a request (`server` of its server
//! side) and [`effective_policy`] of a cluster, [`difference`] finds the first field in which two
//! records disagree, and [`run`] runs a case and counts. Cases about time are acted out (`timed`).
//! Everything is pure; the command and the tests bring the texts.

pub mod answer;
mod case;
pub mod difference;
mod policy;
mod score;
mod server;
mod timed;

pub use case::{Case, CaseCaller, CaseError, CaseRequest, CaseServer};
pub use policy::effective_policy;
pub use score::{Aspect, Disagreement, Score, Tally, run};
