//! Routing tests: which requests must end where, written beside the configuration.
//!
//! A file of tests becomes [`Case`]s, one for each request ([`read`]); a case is judged against a
//! compiled mesh ([`judge`]) by the same functions that route requests everywhere else, so a verdict
//! is never a second opinion. Files of `istio-config-validator` and of Envoy's `router_check_tool`
//! become cases too, the latter about a mesh or about a route configuration of Envoy's. [`Coverage`] tells which rules, conditions, destinations, faults and retries of
//! the mesh any case speaks about, [`mutants`] makes small mistakes on purpose, to see whether the
//! cases notice.

mod case;
pub mod config_validator;
mod correction;
mod coverage;
mod destination;
mod expand;
pub mod format;
mod judgement;
mod mutation;
mod observation;
mod question;
mod read;
pub mod router_check;
mod synthesis;

pub use case::{Case, Claims, Failure, Verdict};
pub use correction::{Corrected, corrected, undecided};
pub use coverage::{Coverage, CoverageItem, ItemKind, Trace};
pub use destination::DestinationPattern;
pub use format::{Suite, schema};
pub use judgement::judge;
pub use mutation::{Mutant, mutants};
pub use question::{Asked, Question};
pub use read::{Format, TestFile, format_of, read};
pub use synthesis::{Synthesis, synthesize};
