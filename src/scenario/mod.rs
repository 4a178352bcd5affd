//! What the user asked for: applications, clients, traffic, a timeline and expectations.
//!
//! A scenario is one YAML file. These are its records as written; nothing is resolved here (the
//! simulation resolves names against a mesh). `meshsim schema scenario` prints the JSON Schema that
//! the same declarations give.

mod amount;
mod app;
mod client;
mod decode;
mod expectation;
mod ready_made;
mod timeline;
mod token;
pub mod voting;

pub use amount::{Rate, Share, Spread, SpreadChoice, SpreadRecord};
pub use app::{App, Call, CallStep, Handler, Outcome, Reply, workload_fits};
pub use client::{Arrivals, Client, ClosedLoop, RequestTemplate, Traffic, User};
pub use decode::{CancelPropagation, Scenario, Waterfall, decode, schema};
pub use expectation::{Between, Expectation, LatencyExpectation, Of};
pub use ready_made::{READY_MADE, ready_made, ready_made_apps};
pub use timeline::{Patch, Scale, Step};
pub use token::{DeclaredToken, TokenState, TokenTemplate};
