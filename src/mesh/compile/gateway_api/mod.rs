//! The Gateway API becomes Istio's own objects: each listener a Gateway, each parent and host of a
//! route a VirtualService (Istio: `pilot/pkg/config/kube/gateway`).
//!
//! | file | noun |
//! |---|---|
//! | `listeners` | Gateways of a known class, listener by listener |
//! | `parents` | what a route attaches to, and whether it may |
//! | `back_ends` | back ends and the grants they need |
//! | `http_rules`, `grpc_rules` | rules of HTTPRoutes and GRPCRoutes |
//! | `filters` | what rules and back ends do besides forwarding |
//! | `virtual_hosts` | routes of one parent and host, merged and ordered |
//! | `l4_rules` | TCPRoutes and TLSRoutes |

mod back_ends;
mod filters;
mod grpc_rules;
mod http_rules;
mod l4_rules;
mod listeners;
mod parents;
mod virtual_hosts;

use super::context::Context;
use super::gateway_servers::Gateway;
use super::virtual_service::VirtualService;
use crate::diagnostic::Diagnostic;

/// What the Gateway API's objects of an input become.
pub(super) struct Converted {
    /// Gateways, one per listener.
    pub(super) gateways: Vec<Gateway>,
    /// VirtualServices.
    pub(super) virtual_services: Vec<VirtualService>,
}

/// Converts the Gateway API's objects.
pub(super) fn convert(cx: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) -> Converted {
    let listeners = listeners::listeners(cx);
    let grants = back_ends::Grants::new(cx);
    let parents = parents::Parents::new(cx, &listeners);
    let conversion = Conversion { cx, grants: &grants, parents: &parents };
    let mut virtual_services = l4_rules::virtual_services(conversion, diagnostics);
    virtual_services.extend(virtual_hosts::virtual_services(conversion, diagnostics));
    Converted { gateways: listeners.into_iter().map(|listener| listener.gateway).collect(), virtual_services }
}

/// What converting a route needs.
#[derive(Clone, Copy)]
struct Conversion<'a> {
    cx: &'a Context<'a>,
    grants: &'a back_ends::Grants,
    parents: &'a parents::Parents<'a>,
}
