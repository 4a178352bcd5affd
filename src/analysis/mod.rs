//! What can be known without running: the findings of `istioctl analyze`, and more, on the objects
//! as they were written.
//!
//! [`analyze`] runs every analyzer of one table. An analyzer is a small function; those about one
//! subject stand in one file:
//!
//! | file | about |
//! |---|---|
//! | `conflicts` | objects that claim the same thing |
//! | `destinations` | where rules send requests |
//! | `destination_rules` | TLS towards hosts |
//! | `gateways` | Gateways, and the VirtualServices bound to them |
//! | `services` | Services and ServiceEntries |
//! | `injection` | which pods are in the mesh |
//! | `annotations` | Istio's annotations |
//! | `authorization` | rules of authorization policies that lead nowhere |
//! | `policies` | authorization, authentication, telemetry |
//! | `envoy_filters` | patches of proxies |
//! | `control_plane` | webhooks, istiod, versions of APIs |
//! | `gateway_api` | Gateways and routes of the Gateway API |
//! | `reachability` | matches that no request gets to |
//! | `rule_settings` | timeouts, retries, faults and matches of one rule |
//! | `splits` | weights that change nothing |
//! | `redirect_loops` | redirects that come back |
//!
//! What is done with findings before they are shown: [`suppression`], [`selection`], [`baseline`], and
//! the file that configures it, [`config`].
//!
//! [`space`] holds sets of requests and the proofs about them. Beside it, [`tls_check`] tells for each service port what both sides expect of TLS.
//!
//! Analyzers look at all objects, also at those that the admission webhook refuses: a reference into
//! nothing is wrong whatever else is. What compiling found already is not said twice.

mod analyzers;
mod annotations;
mod authorization;
pub mod baseline;
pub mod config;
mod conflicts;
mod control_plane;
mod destination_rules;
mod destinations;
mod envoy_filters;
mod gateway_api;
mod gateways;
mod injection;
mod input;
mod policies;
mod reachability;
mod redirect_loops;
mod rule_settings;
pub mod selection;
mod services;
pub mod space;
mod splits;
pub mod suppression;
#[cfg(test)]
mod testing;
mod tls_check;

pub use analyzers::analyze;
pub use reachability::{Fate, RuleReach, Sighting, rule_reaches};
pub use tls_check::{TlsCheckRow, tls_check};
