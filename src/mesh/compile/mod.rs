//! From objects to a [`Mesh`], pass by pass.
//!
//! | pass | file | reads | makes |
//! |---|---|---|---|
//! | context | `context` | objects | lists by kind in order of precedence, mesh configuration |
//! | services | `services`, `protocol` | Services, ServiceEntries | the registry's hosts and ports |
//! | workloads | `workloads`, `injection`, `gateways` | Deployments, Pods, …, Gateways | workloads, pods, gateways that Istio ships |
//! | endpoints | `endpoints` | both of the above, Endpoints, EndpointSlices | the endpoints of every service port |
//! | findings | `registry_findings` | all of the above | what is odd about them |
//! | rules | `virtual_service`, `rule_names`, `delegates`, `destination_rule`, `peer_authentication` | policies | policies with resolved names, indexed |
//! | Gateway API | `gateway_api/` | Gateways, HTTPRoutes, … of the Gateway API | Gateways and VirtualServices |
//! | gateways | `gateway_servers`, `gateway_hosts`, `gateway_claims` | Gateways | servers, merged per proxy and port |
//! | visibility | `visibility` | Sidecars, `exportTo` | what each proxy sees |
//! | proxies | `clusters`, `cluster_settings`, `policy`, `locality`, `upstream_tls` | one proxy's view | its clusters |
//! | routes | `proxy_routing`, `sidecar_routes`, `gateway_routes`, `routes/` | one proxy's view, its clusters | its route tables |
//! | server side | `inbound`, `server_tls`, `authorization/` | Services, PeerAuthentications, AuthorizationPolicies | what each proxy takes, and from whom |
//! | listeners | `sidecar_listeners`, `gateway_listeners`, `l4_routes` | the same | its listeners |
//!
//! Everything before visibility is done once for all proxies; views are shared by proxies of one
//! namespace, clusters by proxies whose view of them is the same.

mod authorization;
mod cluster_settings;
mod clusters;
mod context;
mod delegates;
mod destination_rule;
mod endpoints;
mod gateway_api;
mod gateway_claims;
mod gateway_hosts;
mod gateway_listeners;
mod gateway_routes;
mod gateway_servers;
mod gateways;
mod hash_policies;
mod inbound;
mod injection;
mod l4_routes;
mod locality;
mod mesh;
mod model;
mod names;
mod peer_authentication;
mod policy;
mod protocol;
mod proxy_routing;
mod rate_limits;
mod references;
mod registry;
mod registry_findings;
mod routes;
mod rule_names;
mod server_tls;
mod services;
mod shared_routes;
mod sidecar_listeners;
mod sidecar_routes;
#[cfg(test)]
mod testing;
mod upstream_tls;
mod virtual_service;
mod visibility;
mod workloads;

pub use mesh::{CompileOptions, DescribedEndpoints, Mesh, ProxySelection, compile};
pub use routes::conditions_of;
