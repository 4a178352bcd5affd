//! Bytes for people and tools. Everything here is pure: data in, text out.
//!
//! Each format has a file, private structs of its own where it has a schema, and one public
//! function. Whether to use colours is the caller's decision.

pub mod charts;
mod change;
mod columns;
mod conformance;
mod coverage;
mod eras;
mod finding;
pub mod gate;
#[cfg(test)]
mod fixture;
mod invariant;
mod json;
mod lane;
mod names;
mod patch;
mod plan;
mod proxy_config;
mod replay;
mod route;
mod suite;
mod summary;
pub mod telemetry;
mod tls_check;
mod witnesses;

pub use change::{ChangeReport, change, change_json, change_markdown, change_verdict};
pub use conformance::{conformance, conformance_json};
pub use coverage::{coverage, coverage_html, coverage_lcov, route_coverage};
pub use eras::{ERAS_SCHEMA, eras, eras_json};
pub use finding::{findings, findings_concise, findings_summary, order};
pub use invariant::{invariants, invariants_json};
pub use json::{
    FINDINGS_SCHEMA, FindingsTally, RUN_SCHEMA, findings_json, findings_json_lines, findings_schema, result_schema, run_json,
};
pub use patch::patch;
pub use proxy_config::{clusters, endpoints, listeners, routes};
pub use replay::{replay, replay_json};
pub use route::{RouteQuestion, ShownOutcomes, route, route_json};
pub use suite::{MutantFate, SuiteReport, mutants, suite, suite_json, suite_junit};
pub use summary::{Detail, Page, summary};
pub use tls_check::tls_check;
pub use witnesses::witnesses;
