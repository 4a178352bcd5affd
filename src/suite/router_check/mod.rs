//! Tests of Envoy's `router_check_tool`: what the route of a request does.
//!
//! That tool starts at a route table. With a [`RouteConfiguration`] of Envoy's, its routes become
//! those of the routing core, and a case is judged by the core and by what the tool lets be chosen: one
//! runtime key, one random value, metadata. Without one, the table is looked for in the mesh: in the
//! proxy that is named, or in the first proxy, gateways before sidecars, whose virtual hosts know the
//! authority best.
//!
//! What a route configuration asks for and is not modelled leaves a case undecided where its request
//! comes to it; it never passes.

pub mod configuration;
pub mod format;
mod headers;
mod judgement;
mod marks;
mod matchers;
pub mod metadata;
mod routes;
mod settlement;
mod snake_case;
mod template;
mod text_format;

pub use configuration::RouteConfiguration;
pub use format::RouteClaims;
pub use marks::{RouteCoverage, RouteField, route_coverage};
pub use routes::Routes;
pub use text_format::read_text_format;

pub(in crate::suite) use format::cases;
pub(in crate::suite) use judgement::judge;
