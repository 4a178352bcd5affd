//! What is different between two meshes, as data.

use std::collections::BTreeMap;

use crate::analysis::space::Witness;
use crate::diagnostic::{Code, Diagnostic, ObjectRef};
use crate::routing::{Facet, Treatment};
use crate::source::Span;

/// What is different between two meshes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delta {
    /// Classes of requests that are treated differently.
    pub changes: Vec<Change>,
    /// Connections that are taken differently.
    pub connections: Vec<ConnectionChange>,
    /// Destinations whose policy or endpoints differ.
    pub destinations: Vec<DestinationChange>,
    /// Proxies that let in something else.
    pub servers: Vec<ServerChange>,
    /// What could not be decided.
    pub undecided: Vec<Undecided>,
    /// Proxies that are on both sides.
    pub compared: usize,
    /// Proxies that only the second mesh has.
    pub added: Vec<String>,
    /// Proxies that only the first mesh has.
    pub removed: Vec<String>,
}

impl Delta {
    /// Whether it is proven that nothing is different.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.changes.is_empty()
            && self.connections.is_empty()
            && self.destinations.is_empty()
            && self.servers.is_empty()
            && self.undecided.is_empty()
            && self.added.is_empty()
            && self.removed.is_empty()
    }

    /// Adds what another pair of proxies has; what is the same is said once for all of them.
    pub(super) fn add(&mut self, other: Delta) {
        for change in other.changes {
            match self.changes.iter_mut().find(|own| own.is_like(&change)) {
                Some(own) => add_names(&mut own.proxies, change.proxies),
                None => self.changes.push(change),
            }
        }
        for change in other.connections {
            let like = |own: &ConnectionChange| {
                (&own.dialled, &own.before, &own.after) == (&change.dialled, &change.before, &change.after)
            };
            match self.connections.iter_mut().find(|own| like(own)) {
                Some(own) => add_names(&mut own.proxies, change.proxies),
                None => self.connections.push(change),
            }
        }
        for change in other.destinations {
            match self.destinations.iter_mut().find(|own| own.cluster == change.cluster && own.facets == change.facets) {
                Some(own) => add_names(&mut own.proxies, change.proxies),
                None => self.destinations.push(change),
            }
        }
        for undecided in other.undecided {
            if !self.undecided.contains(&undecided) {
                self.undecided.push(undecided);
            }
        }
    }
}

fn add_names(own: &mut Vec<String>, more: Vec<String>) {
    for name in more {
        if !own.contains(&name) {
            own.push(name);
        }
    }
}

/// A class of requests that is treated differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The proxies that treat them so.
    pub proxies: Vec<String>,
    /// Domain by which their virtual host is found.
    pub host: String,
    /// A request of the class, with what is dialled.
    pub witness: Witness,
    /// What is different.
    pub facets: Vec<FacetChange>,
    /// What takes them in the first mesh.
    pub before: Side,
    /// What takes them in the second mesh.
    pub after: Side,
    /// How many further classes of the same virtual hosts differ in the same way.
    pub further: usize,
}

impl Change {
    /// Whether another change says the same of other requests.
    pub(super) fn says_the_same(&self, other: &Change) -> bool {
        self.facets == other.facets && self.before.place == other.before.place && self.after.place == other.after.place
    }

    fn is_like(&self, other: &Change) -> bool {
        self.host == other.host && self.says_the_same(other) && self.witness.dial.port == other.witness.dial.port
    }
}

/// What one mesh does with a class of requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// The rule, if somebody wrote it.
    pub place: Span,
    /// Everything that is done.
    pub treatment: Treatment,
}

/// One facet of a treatment, before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FacetChange {
    /// Its word.
    pub facet: &'static str,
    /// Before; `None` if there was nothing.
    pub before: Option<String>,
    /// After; `None` if there is nothing.
    pub after: Option<String>,
}

/// The facets in which two treatments differ.
pub(super) fn facets(before: &Treatment, after: &Treatment) -> Vec<FacetChange> {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let all = before.differences(after).into_iter();
    all.map(|(facet, before, after)| FacetChange { facet: Facet::word(facet), before: owned(before), after: owned(after) })
        .collect()
}

/// A kind of connection that is taken differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionChange {
    /// The proxies.
    pub proxies: Vec<String>,
    /// What is dialled, in words.
    pub dialled: String,
    /// What becomes of it in the first mesh.
    pub before: String,
    /// What becomes of it in the second mesh.
    pub after: String,
}

/// A destination whose policy or endpoints differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationChange {
    /// The proxies that see it so.
    pub proxies: Vec<String>,
    /// The cluster.
    pub cluster: String,
    /// What is different.
    pub facets: Vec<FacetChange>,
    /// What shaped it in the first mesh.
    pub before: Span,
    /// What shaped it in the second mesh.
    pub after: Span,
}

/// A server side that is different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerChange {
    /// The proxies; the calls are calls at the first one.
    pub proxies: Vec<String>,
    /// What is different.
    pub facets: Vec<FacetChange>,
    /// Kinds of calls that end differently.
    pub calls: Vec<CallChange>,
}

/// A kind of calls that a server treats differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallChange {
    /// One of them, in words.
    pub call: String,
    /// What becomes of it in the first mesh.
    pub before: String,
    /// What becomes of it in the second mesh.
    pub after: String,
    /// How many further kinds end so.
    pub further: usize,
}

/// A class of requests of which it is not known whether there are any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecided {
    /// Domain by which their virtual host is found.
    pub host: String,
    /// The rule that would take them in the first mesh.
    pub before: Span,
    /// The rule that would take them in the second mesh.
    pub after: Span,
    /// Why it is not known.
    pub why: String,
}

/// Findings that a change brings and takes away.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FindingDelta {
    /// Findings of the second mesh that the first did not have.
    pub introduced: Vec<Diagnostic>,
    /// Findings of the first mesh that the second does not have.
    pub fixed: Vec<Diagnostic>,
}

/// Compares findings. Lines move, so places do not count: what kind, about which object, in which
/// words.
#[must_use]
pub fn findings_delta(before: &[Diagnostic], after: &[Diagnostic]) -> FindingDelta {
    type Key<'d> = (Code, Option<&'d ObjectRef>, &'d str);
    fn key(finding: &Diagnostic) -> Key<'_> {
        (finding.code, finding.object.as_ref(), &finding.message)
    }
    let only = |these: &[Diagnostic], those: &[Diagnostic]| -> Vec<Diagnostic> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for finding in those {
            *counts.entry(format!("{:?}", key(finding))).or_default() += 1;
        }
        let is_new = |finding: &&Diagnostic| match counts.get_mut(&format!("{:?}", key(finding))) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        };
        these.iter().filter(is_new).cloned().collect()
    };
    FindingDelta { introduced: only(after, before), fixed: only(before, after) }
}
