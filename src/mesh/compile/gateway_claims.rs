//! Findings about gateways that several rules share, and about a Gateway that no rule can mean.

use rustc_hash::FxHashMap;

use super::model::Model;
use super::routes;
use super::virtual_service::{MESH_GATEWAY, Semantics, VirtualService};
use crate::diagnostic::{Code, Diagnostic};
use crate::source::Span;

/// Looks through all Gateways and the VirtualServices at them.
pub(super) fn check(model: &Model<'_>, diagnostics: &mut Vec<Diagnostic>) {
    check_names(model, diagnostics);
    check_catch_alls(model, diagnostics);
}

/// `mesh` means all sidecars, so a rule of the same namespace cannot name a Gateway of that name.
fn check_names(model: &Model<'_>, diagnostics: &mut Vec<Diagnostic>) {
    for item in model.cx.istio_gateways.iter().filter(|item| item.object.name == MESH_GATEWAY) {
        let span = item.object.meta.name.as_ref().map_or(item.object.span, |name| name.span);
        let finding = Diagnostic::new(Code::ReservedName, "a Gateway cannot be called `mesh`").at(span);
        let effect = "rules that name `mesh` apply to sidecars, not to this Gateway";
        diagnostics.push(finding.about(item.object.reference()).effect(effect).help("give the Gateway another name"));
    }
}

/// Rules of several VirtualServices for one host at one gateway are joined, which is sound as long
/// as at most one of them takes every request.
fn check_catch_alls(model: &Model<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let mut first: FxHashMap<(&str, &str), (&VirtualService, Span)> = FxHashMap::default();
    for vs in model.virtual_services.all().iter().filter(|vs| vs.semantics == Semantics::Istio) {
        let Some(takes_all) = catch_all(vs) else { continue };
        for gateway in vs.gateways.iter().filter(|gateway| *gateway != MESH_GATEWAY) {
            for host in &vs.hosts {
                let (winner, theirs) = *first.entry((gateway.as_str(), host.value.as_str())).or_insert((vs, takes_all));
                if std::ptr::eq(winner, vs) {
                    continue;
                }
                let message = format!(
                    "VirtualService `{}/{}` takes every request for `{}` at gateway `{gateway}` too",
                    winner.namespace, winner.name, host.value
                );
                let mut finding = Diagnostic::new(Code::CompetingCatchAll, message).at(takes_all).also(theirs, "the other rule");
                if let Some(object) = vs.origin.object {
                    finding = finding.about(model.cx.objects[object.index()].reference());
                }
                let effect = "the two are joined, only one of the rules is used, and which one is not defined";
                diagnostics.push(finding.effect(effect).help("delete one of the rules, or give it a condition"));
            }
        }
    }
}

/// The first rule that takes every request, with or without a match.
fn catch_all(vs: &VirtualService) -> Option<Span> {
    let takes_all = |rule: &&super::virtual_service::HttpRule| {
        rule.spec.matches.is_empty() || rule.spec.matches.iter().any(routes::takes_everything)
    };
    vs.http.iter().find(takes_all).map(|rule| rule.spec.span)
}
