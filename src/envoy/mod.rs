//! The compiled mesh as a proxy would be told it: Envoy configuration.
//!
//! Everything here is a function from the compiled model to JSON in Envoy's terms (protobuf's JSON
//! form of `envoy.config.*.v3`). Nothing is decided: what the model does not hold, this cannot say.
//! [`bootstrap`] is a static configuration that a real Envoy loads. What a proxy gets over time by
//! EDS and RDS stands in it at once.
//!
//! [`Placement`] says where listeners listen and endpoints are: where the mesh has them, or each at an
//! address of its own on the loopback interface, so that a laptop can run the proxy.
//!
//! Left out is what the model does not hold: the inbound side of a sidecar, telemetry, tracing,
//! certificates (they are named as Istio names them, and come over SDS).

mod bootstrap;
mod cluster;
mod connection_manager;
mod endpoints;
mod filters;
mod headers;
mod listener;
mod placement;
mod policy;
mod route_action;
mod route_match;
mod route_table;
mod tls;
mod wire;

pub use bootstrap::bootstrap;
pub use cluster::cluster;
pub use endpoints::load_assignment as endpoints;
pub use listener::{fallback_listener, listener};
pub use placement::{Loopback, Placement};
pub use policy::{balancing, http_options, outlier_detection, tcp_keepalive, thresholds};
pub use route_action::hash_policy;
pub use route_table::route_table;
