//! From objects to a [`Mesh`], pass by pass.
//!
//! | pass | file | reads | makes |
//! |---|---|---|---|
//! | context | `context` | objects | lists by kind in order of precedence, mesh configuration |
//! | services | `services`, `protocol` | Services, ServiceEntries | the registry's hosts and ports |
//! | workloads | `workloads`, `injection`, `gateways` | Deployments, Pods, …, Gateways | workloads, pods, gateways that Istio ships |
//! | endpoints | `endpoints` | both of the above, Endpoints, EndpointSlices | the endpoints of every service port |
//! | rules | `virtual_service`, `destination_rule`, `peer_authentication` | policies | policies with resolved names, indexed |
//! | visibility | `visibility` | Sidecars, `exportTo` | what each proxy sees |
//! | proxies | `clusters`, `policy`, `locality`, `upstream_tls` | one proxy's view | its clusters |
//!
//! Everything before visibility is done once for all proxies; views are shared by proxies of one
//! namespace, clusters by proxies whose view of them is the same.

mod context;
mod delegates;
mod destination_rule;
mod gateways;
mod injection;
mod mesh;
mod model;
mod protocol;
mod registry;
mod routes;
mod services;
mod virtual_service;
mod visibility;
mod workloads;

pub use mesh::{CompileOptions, DescribedEndpoints, Mesh, ProxySelection, compile};
