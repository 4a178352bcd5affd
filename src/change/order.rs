//! In which order a change can be applied without a gap: objects reach proxies one after the other,
//! and in between nobody should be treated as neither before nor after.

use std::collections::BTreeMap;

use super::delta::Change;
use super::pairing::compare;
use crate::analysis::space::Witness;
use crate::diagnostic::ObjectRef;
use crate::mesh::{CompileOptions, Mesh, compile};
use crate::resource::{Object, Objects};
use crate::routing::{Conn, Treatment, listen, select};
use crate::source::Sources;

/// Up to so many objects, each that is left is tried at each step; of more, the first ones by what they
/// are.
const OBJECTS_MAX: usize = 16;

/// Objects that are tried at each step of a larger change.
const TRIES_MAX: usize = 8;

/// Objects compiled in the whole search, at least: of larger changes no order is looked for.
const COMPILED_MAX: usize = 1_000_000;

/// One object that is different.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectChange {
    /// It is new.
    Added(ObjectRef),
    /// It has another content.
    Modified(ObjectRef),
    /// It is gone.
    Removed(ObjectRef),
}

impl ObjectChange {
    /// The object.
    #[must_use]
    pub const fn object(&self) -> &ObjectRef {
        match self {
            ObjectChange::Added(object) | ObjectChange::Modified(object) | ObjectChange::Removed(object) => object,
        }
    }

    /// What is done to it.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            ObjectChange::Added(_) | ObjectChange::Modified(_) => "apply",
            ObjectChange::Removed(_) => "delete",
        }
    }
}

/// Requests that are treated as neither before nor after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The proxy.
    pub proxy: String,
    /// One of the requests.
    pub witness: Witness,
    /// What becomes of them meanwhile.
    pub meanwhile: Treatment,
}

/// What would open a window: an object that comes before others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowCause {
    /// The object.
    pub change: ObjectChange,
    /// What it opens.
    pub windows: Vec<Window>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is applied or deleted.
    pub change: ObjectChange,
    /// What it opens in spite of everything.
    pub windows: Vec<Window>,
    /// Objects that would have opened a window in its place.
    pub too_early: Vec<WindowCause>,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// The steps.
    Steps(Vec<Step>),
    /// It was not looked for, because of this.
    NotSought(String),
}

/// The objects that differ. Objects are told apart by what is written, comments included.
#[must_use]
pub fn changed_objects(sources: &Sources, base: &Objects, head: &Objects) -> Vec<ObjectChange> {
    let text = |object: &Object| -> Option<&str> {
        sources.get(object.span.file)?.text().get(object.span.start as usize..object.span.end as usize)
    };
    let by_reference = |all: &'_ Objects| -> BTreeMap<ObjectRef, usize> {
        // Of objects with one name the first counts.
        all.items.iter().enumerate().rev().map(|(at, object)| (object.reference(), at)).collect()
    };
    let (before, after) = (by_reference(base), by_reference(head));
    let mut changes = Vec::new();
    for object in &head.items {
        let reference = object.reference();
        match before.get(&reference).map(|at| &base.items[*at]) {
            None => changes.push(ObjectChange::Added(reference)),
            Some(before) if text(before).map(str::trim) != text(object).map(str::trim) => {
                changes.push(ObjectChange::Modified(reference))
            }
            Some(_) => {}
        }
    }
    let gone = base.items.iter().map(Object::reference).filter(|reference| !after.contains_key(reference));
    changes.extend(gone.map(ObjectChange::Removed));
    changes
}

/// Looks for an order without windows, one object at a time; where there is none, the object that
/// opens the fewest comes first. Objects that others refer to are tried before those.
#[must_use]
pub fn order(base: &Objects, head: &Objects, changes: &[ObjectChange], options: &CompileOptions) -> Order {
    if changes.len().saturating_mul(head.items.len().max(base.items.len())) > COMPILED_MAX {
        let why = format!("{} of {} objects differ, and each step needs a mesh of its own", changes.len(), head.items.len());
        return Order::NotSought(why);
    }
    let (first, _) = compile(base, options);
    let (last, _) = compile(head, options);
    let mut left: Vec<ObjectChange> = changes.to_vec();
    left.sort_by_key(rank);
    let (mut objects, mut mesh) = (base.clone(), first.clone());
    let mut steps = Vec::new();
    while !left.is_empty() {
        let mut tried: Vec<(usize, Objects, Mesh, Vec<Window>)> = Vec::new();
        let tries = if left.len() <= OBJECTS_MAX { left.len() } else { TRIES_MAX };
        for (index, change) in left.iter().enumerate().take(tries) {
            let next = applied(&objects, head, change);
            let (compiled, _) = compile(&next, options);
            let windows = windows(&mesh, &compiled, &first, &last);
            let is_safe = windows.is_empty();
            tried.push((index, next, compiled, windows));
            if is_safe {
                break;
            }
        }
        tried.sort_by_key(|(index, _, _, windows)| (windows.len(), *index));
        let mut tried = tried.into_iter();
        let Some((index, next, compiled, windows)) = tried.next() else { break };
        let too_early = tried.map(|(index, _, _, windows)| WindowCause { change: left[index].clone(), windows });
        let too_early = too_early.filter(|cause| cause.windows.len() > windows.len()).collect();
        steps.push(Step { change: left[index].clone(), windows, too_early });
        left.remove(index);
        (objects, mesh) = (next, compiled);
    }
    Order::Steps(steps)
}

/// What others refer to comes first, what refers to others later, deletions last and the other way
/// round.
fn rank(change: &ObjectChange) -> (u8, u8, ObjectChange) {
    let kind = match change.object().kind.as_str() {
        "Namespace" | "ServiceAccount" | "Secret" | "ConfigMap" => 0,
        "Service" | "ServiceEntry" | "WorkloadEntry" => 1,
        "Deployment" | "StatefulSet" | "DaemonSet" | "Pod" | "Endpoints" | "EndpointSlice" => 2,
        "DestinationRule" => 3,
        "Gateway" => 4,
        _ => 5,
    };
    match change {
        ObjectChange::Removed(_) => (1, 9 - kind, change.clone()),
        ObjectChange::Added(_) | ObjectChange::Modified(_) => (0, kind, change.clone()),
    }
}

fn applied(objects: &Objects, head: &Objects, change: &ObjectChange) -> Objects {
    let mut next = objects.clone();
    let reference = change.object();
    let at = next.items.iter().position(|object| object.reference() == *reference);
    let new = head.items.iter().find(|object| object.reference() == *reference).cloned();
    match (at, new) {
        (Some(at), Some(new)) => next.items[at] = new,
        (None, Some(new)) => next.items.push(new),
        (Some(at), None) => drop(next.items.remove(at)),
        (None, None) => {}
    }
    next
}

/// Requests that a step treats as neither the first nor the last mesh does.
fn windows(before: &Mesh, after: &Mesh, first: &Mesh, last: &Mesh) -> Vec<Window> {
    let delta = compare(before, after);
    let opens = |change: &Change| {
        let name = change.proxies.first()?;
        let is_known = [first, last]
            .into_iter()
            .any(|mesh| treatment(mesh, name, &change.witness).as_ref() == Some(&change.after.treatment));
        (!is_known).then(|| Window {
            proxy: name.clone(),
            witness: change.witness.clone(),
            meanwhile: change.after.treatment.clone(),
        })
    };
    delta.changes.iter().filter_map(opens).collect()
}

fn treatment(mesh: &Mesh, proxy: &str, witness: &Witness) -> Option<Treatment> {
    let proxy = mesh.proxies.iter().find(|own| own.spec.name == proxy)?;
    match listen(proxy, &witness.dial, &witness.request.authority) {
        Conn::Http(http) => Some(Treatment::of(proxy, select(proxy, http.table, &witness.request))),
        Conn::Refused | Conn::Tcp(_) | Conn::Ended(_) => None,
    }
}
