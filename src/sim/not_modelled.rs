//! What the mesh asks for and the engine does not act out, said once for each object that asks for it.

use std::collections::BTreeSet;

use super::population::Population;
use crate::diagnostic::{Code, Diagnostic, ObjectRef};
use crate::mesh::Origin;
use crate::mesh::authorization::RbacAction;

/// What is not acted out, and what happens instead.
struct Gap {
    what: &'static str,
    instead: &'static str,
}

const EXTERNAL: Gap = Gap { what: "external authorizers", instead: "whatever they are asked about is allowed" };

/// Says what the meshes of a run ask for in vain.
pub(super) fn check(population: &Population, findings: &mut Vec<Diagnostic>) {
    let mut said: BTreeSet<(&'static str, Option<&ObjectRef>)> = BTreeSet::new();
    for mesh in population.stages.iter().map(|stage| &*stage.mesh) {
        let mut say = |gap: &Gap, origin: Origin| {
            let object = origin.object.and_then(|id| mesh.objects.get(id.index()));
            if said.insert((gap.what, object)) {
                findings.push(finding(gap, object, origin));
            }
        };
        for authorization in mesh.proxies.iter().map(|proxy| &proxy.inbound.authorization) {
            let external = authorization.http.iter().filter(|filter| matches!(filter.action, RbacAction::External(_)));
            let rules = external.flat_map(|filter| &filter.enforced).flat_map(|set| &set.rules);
            rules.for_each(|rule| say(&EXTERNAL, rule.origin));
        }
    }
}

fn finding(gap: &Gap, object: Option<&ObjectRef>, origin: Origin) -> Diagnostic {
    let finding = Diagnostic::new(Code::NotModelled, format!("{} are not simulated by `run`", gap.what));
    let finding = finding.at(origin.span).effect(gap.instead);
    match object {
        Some(object) => finding.about(object.clone()),
        None => finding,
    }
}
