//! Matches of VirtualServices that an earlier match takes every request from. istiod itself knows
//! three such cases, which its webhook warns of; these are those that can be told match by match.

use super::input::{Input, finding, selects};
use crate::diagnostic::{Code, Diagnostic};
use crate::mesh::coverage::covers;
use crate::resource::networking::HttpMatchRequest;
use crate::source::Span;

/// Matches behind one that covers them, unless it was said already.
pub(super) fn check(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let said: Vec<Span> = input
        .found
        .iter()
        .filter(|finding| matches!(finding.code, Code::RedundantRule | Code::RedundantMatch | Code::UnreachableRule))
        .filter_map(|finding| finding.primary.as_ref().map(|label| label.span))
        .collect();
    for vs in input.virtual_services() {
        let mut earlier: Vec<&HttpMatchRequest> = Vec::new();
        for rule in &vs.spec.http {
            for block in &rule.matches {
                let cover = earlier.iter().find(|one| covers(one, block));
                if let Some(cover) = cover.filter(|_| !said.contains(&block.span) && !said.contains(&rule.span)) {
                    found.push(
                        finding(Code::CoveredMatch, vs.object, block.span, "no request gets to this match")
                            .also(cover.span, "takes every request that it could take")
                            .effect("the rule is never used for it")
                            .help("move the more specific match up"),
                    );
                }
            }
            // A rule with a delegate takes only what the delegate's rules take.
            if rule.delegate.is_none() {
                earlier.extend(&rule.matches);
            }
        }
    }
    outside_root(input, found);
}

/// Rules of delegates that no request of their root's match can meet.
fn outside_root(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for root in input.virtual_services() {
        for rule in &root.spec.http {
            let Some(delegate) = &rule.delegate else { continue };
            let namespace = delegate.namespace.as_ref().map(|own| own.value.as_str()).filter(|own| !own.is_empty());
            let namespace = namespace.unwrap_or(&root.object.namespace);
            let name = delegate.name.as_ref().map_or("", |own| own.value.as_str());
            let Some(target) = input.virtual_services().find(|vs| vs.object.name == name && vs.object.namespace == namespace)
            else {
                continue;
            };
            for block in target.spec.http.iter().flat_map(|rule| &rule.matches) {
                if rule.matches.is_empty() || rule.matches.iter().any(|outer| may_meet(outer, block)) {
                    continue;
                }
                let message =
                    format!("the match lies outside of what `{}/{}` delegates", root.object.namespace, root.object.name);
                found.push(
                    finding(Code::CoveredMatch, target.object, block.span, message)
                        .also(rule.span, "delegates here")
                        .effect("the rule is left out there"),
                );
            }
        }
    }
}

/// Whether the paths of two matches may have one in common; only plain prefixes and exact paths are
/// told apart.
fn may_meet(outer: &HttpMatchRequest, inner: &HttpMatchRequest) -> bool {
    let (Some(a), Some(b)) = (&outer.uri, &inner.uri) else { return true };
    let ignores_case = outer.ignore_uri_case == Some(true) || inner.ignore_uri_case == Some(true);
    let labels_differ = !outer.source_labels.is_empty() && !selects(&outer.source_labels, &inner.source_labels);
    if a.regex.is_some() || b.regex.is_some() || ignores_case || labels_differ {
        return true;
    }
    let prefix = |m: &crate::resource::networking::StringMatch| m.prefix.as_ref().map(|text| text.value.clone());
    let exact = |m: &crate::resource::networking::StringMatch| m.exact.as_ref().map(|text| text.value.clone());
    match (prefix(a), exact(a), prefix(b), exact(b)) {
        (Some(a), None, Some(b), None) => a.starts_with(&b) || b.starts_with(&a),
        (Some(a), None, None, Some(b)) => b.starts_with(&a),
        (None, Some(a), Some(b), None) => a.starts_with(&b),
        (None, Some(a), None, Some(b)) => a == b,
        _ => true,
    }
}
