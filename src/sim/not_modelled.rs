//! What the mesh asks for and the engine does not act out. Each kind of thing is said once for each
//! object that asks for it.

use std::collections::BTreeSet;

use super::population::Population;
use crate::diagnostic::{Code, Diagnostic, ObjectRef};
use crate::mesh::{Mesh, Origin};
use crate::source::Span;

/// What is not acted out, and what happens instead.
struct Gap {
    what: &'static str,
    instead: &'static str,
}

const BUDGET: Gap = Gap { what: "retry budgets", instead: "retries are only limited by the route" };
const AUTHORIZATION: Gap = Gap { what: "authorization policies", instead: "every request is allowed" };

/// Says what the meshes of a run ask for in vain.
pub(super) fn check(population: &Population, findings: &mut Vec<Diagnostic>) {
    let mut said: BTreeSet<(&'static str, Option<ObjectRef>)> = BTreeSet::new();
    for stage in &population.stages {
        let mesh = &*stage.mesh;
        let mut say = |gap: &Gap, object: Option<&ObjectRef>, span: Span| {
            if said.insert((gap.what, object.cloned())) {
                findings.push(finding(gap, object, span));
            }
        };
        clusters(mesh, &mut say);
        policies(mesh, &mut say);
    }
}

type Say<'a> = dyn FnMut(&Gap, Option<&ObjectRef>, Span) + 'a;

fn clusters(mesh: &Mesh, say: &mut Say<'_>) {
    for cluster in mesh.proxies.iter().flat_map(|proxy| &proxy.clusters) {
        let object = object(mesh, cluster.origin);
        if cluster.retry_budget.is_some() {
            say(&BUDGET, object, cluster.origin.span);
        }
    }
}

fn policies(mesh: &Mesh, say: &mut Say<'_>) {
    for object in &mesh.objects {
        if object.kind == "AuthorizationPolicy" {
            say(&AUTHORIZATION, Some(object), Span::NOWHERE);
        }
    }
}

fn object(mesh: &Mesh, origin: Origin) -> Option<&ObjectRef> {
    mesh.objects.get(origin.object?.index())
}

fn finding(gap: &Gap, object: Option<&ObjectRef>, span: Span) -> Diagnostic {
    let finding = Diagnostic::new(Code::NotModelled, format!("{} are not simulated by `run`", gap.what));
    let finding = finding.at(span).effect(gap.instead);
    match object {
        Some(object) => finding.about(object.clone()),
        None => finding,
    }
}
