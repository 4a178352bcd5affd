//! What the mesh asks for and the engine does not act out. Each kind of thing is said once for each
//! object that asks for it.

use std::collections::BTreeSet;

use super::population::Population;
use crate::diagnostic::{Code, Diagnostic, ObjectRef};
use crate::mesh::cluster::{Balancer, Cluster};
use crate::mesh::route::Action;
use crate::mesh::{Mesh, Origin};
use crate::source::Span;

/// What is not acted out, and what happens instead.
struct Gap {
    what: &'static str,
    instead: &'static str,
}

const HASH: Gap = Gap { what: "consistent-hash balancers", instead: "endpoints are picked at random" };
const LOCALITY: Gap =
    Gap { what: "weights of localities", instead: "all healthy endpoints of the highest priority are used alike" };
const WARM_UP: Gap = Gap { what: "slow starts", instead: "new endpoints get their full share at once" };
const BUDGET: Gap = Gap { what: "retry budgets", instead: "retries are only limited by the route" };
const REMOTE: Gap = Gap { what: "retries in remote localities", instead: "retries stay in the highest priority" };
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
        routes(mesh, &mut say);
        policies(mesh, &mut say);
    }
}

type Say<'a> = dyn FnMut(&Gap, Option<&ObjectRef>, Span) + 'a;

fn clusters(mesh: &Mesh, say: &mut Say<'_>) {
    for cluster in mesh.proxies.iter().flat_map(|proxy| &proxy.clusters) {
        let object = object(mesh, cluster.origin);
        for gap in gaps(cluster) {
            say(&gap, object, cluster.origin.span);
        }
    }
}

fn gaps(cluster: &Cluster) -> impl Iterator<Item = Gap> {
    let hashes = matches!(cluster.balancer, Balancer::RingHash { .. } | Balancer::Maglev { .. });
    [
        (hashes, HASH),
        (cluster.locality_weighted && cluster.localities.len() > 1, LOCALITY),
        (cluster.warm_up.is_some(), WARM_UP),
        (cluster.retry_budget.is_some(), BUDGET),
    ]
    .into_iter()
    .filter(|(is_asked_for, _)| *is_asked_for)
    .map(|(_, gap)| gap)
}

fn routes(mesh: &Mesh, say: &mut Say<'_>) {
    let tables = mesh.proxies.iter().flat_map(|proxy| proxy.route_tables.iter());
    for route in tables.flat_map(|table| &table.virtual_hosts).flat_map(|host| &host.routes) {
        let Action::Forward(forward) = &route.action else { continue };
        if forward.retries.as_ref().is_some_and(|retries| retries.retry_remote_localities) {
            say(&REMOTE, object(mesh, route.origin), route.origin.span);
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
