//! What the configuration means: an immutable, indexed model of the mesh.
//!
//! [`compile`] is a compiler with passes: registry (services, workloads, pods), visibility, then for
//! each proxy its clusters, route tables and listeners, as Istio's control plane makes them. What
//! cannot be compiled as written compiles to what the proxy would do with it (an undefined subset is
//! a cluster that does not exist and answers 503), and a finding says so. Everything keeps its
//! origin.

pub mod admission;
pub mod authorization;
pub mod cluster;
pub mod clusters;
mod compile;
pub mod coverage;
pub mod host;
mod ids;
pub mod inbound;
pub mod network;
pub mod pattern;
pub mod profile;
pub mod proxy;
pub mod rate_limit;
mod re2;
pub mod registry;
pub mod route;
mod status;
pub mod transport;

pub use compile::{CompileOptions, DescribedEndpoints, Mesh, ProxySelection, compile, conditions_of};
pub use ids::{ClusterId, ObjectId, Origin, PodId, ProxyId, RouteTableId, ServiceId, WorkloadId};
pub use profile::Profile;
pub use proxy::{Proxy, ProxyKind, ProxySpec};
