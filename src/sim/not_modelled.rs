//! What the mesh asks for and the engine does not act out, said once for each object that asks for it.

use std::collections::BTreeSet;

use super::population::Population;
use crate::diagnostic::{Code, Diagnostic, ObjectRef};
use crate::source::Span;

/// What is not acted out, and what happens instead.
struct Gap {
    what: &'static str,
    instead: &'static str,
}

const AUTHORIZATION: Gap = Gap { what: "authorization policies", instead: "every request is allowed" };

/// Says what the meshes of a run ask for in vain.
pub(super) fn check(population: &Population, findings: &mut Vec<Diagnostic>) {
    let mut said: BTreeSet<&ObjectRef> = BTreeSet::new();
    let objects = population.stages.iter().flat_map(|stage| &stage.mesh.objects);
    for policy in objects.filter(|object| object.kind == "AuthorizationPolicy") {
        if said.insert(policy) {
            findings.push(finding(&AUTHORIZATION, policy));
        }
    }
}

fn finding(gap: &Gap, object: &ObjectRef) -> Diagnostic {
    let finding = Diagnostic::new(Code::NotModelled, format!("{} are not simulated by `run`", gap.what));
    finding.at(Span::NOWHERE).effect(gap.instead).about(object.clone())
}
