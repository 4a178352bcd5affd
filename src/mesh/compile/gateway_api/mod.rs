//! The Gateway API becomes Istio's own objects: each listener a Gateway, each parent and host of a
//! route a VirtualService (Istio: `pilot/pkg/config/kube/gateway`).
//!
//! | file | noun |
//! |---|---|
//! | `conversion` | all of it together |
//! | `listeners` | Gateways of a known class, listener by listener |
//! | `parents` | what a route attaches to, and whether it may |
//! | `back_ends` | back ends and the grants they need |
//! | `http_rules`, `grpc_rules` | rules of HTTPRoutes and GRPCRoutes |
//! | `filters` | what rules and back ends do besides forwarding |
//! | `virtual_hosts` | routes of one parent and host, merged and ordered |
//! | `l4_rules` | TCPRoutes and TLSRoutes |

mod back_ends;
mod conversion;
mod filters;
mod grpc_rules;
mod http_rules;
mod l4_rules;
mod listeners;
mod parents;
mod virtual_hosts;

pub(super) use conversion::convert;
