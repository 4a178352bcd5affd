//! EnvoyFilters: patches whose effect depends on other filters, and patches that do nothing
//! (`envoyfilter.EnvoyPatchAnalyzer`).

use super::input::{Input, finding, items, string_at};
use crate::diagnostic::{Code, Diagnostic};
use crate::resource::Object;
use crate::yaml::Node;

/// Where REPLACE is possible.
const REPLACEABLE: &[&str] = &["HTTP_FILTER", "NETWORK_FILTER", "VIRTUAL_HOST"];

/// Operations whose result depends on what other filters did before.
const RELATIVE: &[&str] = &["INSERT_BEFORE", "INSERT_AFTER", "REPLACE", "REMOVE"];

/// Relative operations without priority (IST0151, or IST0155 where an earlier patch of the same name
/// was for a release of the proxy), and operations that have no effect where they are (IST0152,
/// IST0153, IST0154).
pub(super) fn check(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for filter in input.envoy_filters() {
        let Some(spec) = &filter.spec.spec else { continue };
        let has_priority = spec.get("priority").and_then(Node::text).is_some_and(|priority| priority != "0");
        let mut versioned: Vec<&str> = Vec::new();
        for patch in items(spec.get("configPatches")) {
            found.extend(without_effect(filter.object, patch));
            let name = string_at(patch, &["patch", "value", "name"]);
            if !has_priority && is_relative(patch) {
                found.push(relative(filter.object, patch, versioned.contains(&name)));
            }
            if !string_at(patch, &["match", "proxy", "proxyVersion"]).is_empty() {
                versioned.push(name);
            }
        }
    }
}

fn is_relative(patch: &Node) -> bool {
    let (place, operation) = (string_at(patch, &["applyTo"]), string_at(patch, &["patch", "operation"]));
    RELATIVE.contains(&operation) && (operation != "REPLACE" || REPLACEABLE.contains(&place))
}

fn relative(object: &Object, patch: &Node, is_versioned: bool) -> Diagnostic {
    let operation = string_at(patch, &["patch", "operation"]);
    let code = if is_versioned { Code::RelativePatchOfVersion } else { Code::RelativePatch };
    finding(code, object, patch.span, format!("{operation} depends on what other EnvoyFilters did before"))
        .effect("without `priority`, the age of the filters decides")
        .help("set `priority`, or use an operation that depends on nothing, such as INSERT_FIRST")
}

fn without_effect(object: &Object, patch: &Node) -> Option<Diagnostic> {
    let (place, operation) = (string_at(patch, &["applyTo"]), string_at(patch, &["patch", "operation"]));
    let is_route = matches!(place, "HTTP_ROUTE" | "ROUTE_CONFIGURATION");
    let code = match operation {
        "REPLACE" if !REPLACEABLE.contains(&place) => Code::MisusedReplace,
        "ADD" if is_route => Code::MisusedAdd,
        "REMOVE" if is_route => Code::MisusedRemove,
        _ => return None,
    };
    Some(finding(code, object, patch.span, format!("{operation} has no effect on {place}")).effect("the patch is ignored"))
}
