//! The conversion as a whole: which objects of the Gateway API become which of Istio's.

use super::super::context::Context;
use super::super::gateway_servers::Gateway;
use super::super::virtual_service::VirtualService;
use super::{back_ends, l4_rules, listeners, parents, virtual_hosts};
use crate::diagnostic::Diagnostic;

/// What the Gateway API's objects of an input become.
pub(in crate::mesh::compile) struct Converted {
    /// Gateways, one per listener.
    pub(in crate::mesh::compile) gateways: Vec<Gateway>,
    /// VirtualServices.
    pub(in crate::mesh::compile) virtual_services: Vec<VirtualService>,
}

/// Converts the Gateway API's objects.
pub(in crate::mesh::compile) fn convert(cx: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) -> Converted {
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
pub(super) struct Conversion<'a> {
    pub(super) cx: &'a Context<'a>,
    pub(super) grants: &'a back_ends::Grants,
    pub(super) parents: &'a parents::Parents<'a>,
}
