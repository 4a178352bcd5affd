//! What Istio's admission webhook says about an object: refused, accepted with a warning, or
//! accepted. An object that it refuses is no part of the mesh.
//!
//! The rules are those of istiod's `pkg/config/validation`, one file for each kind; what the API
//! server's schema refuses before is [`resource`](crate::resource)'s business.

mod authorization;
mod destination_rule;
mod envoy_filter;
mod gateway;
mod http_rule;
mod names;
mod policies;
mod redundancy;
mod review;
mod service_entry;
mod sidecar;
mod telemetry;
mod traffic_policy;
mod verdict;
mod virtual_service;

pub use review::{admit, is_reviewed, review};
pub use verdict::{Verdict, verdicts};
