//! Which parts of the mesh's rules any case speaks about.

use std::collections::{BTreeMap, BTreeSet};

use super::router_check::{RouteField, Routes};
use crate::mesh::Mesh;
use crate::mesh::route::{Action, PathTest, Route};
use crate::resource::{Body, Objects};
use crate::routing::Verdict as Found;
use crate::routing::explanation::HttpExplanation;
use crate::source::Span;

/// What kind of part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ItemKind {
    /// A rule, or one match block of it: covered if it takes a request of a case.
    Rule,
    /// A condition: covered if it holds for a request of one case, and is the first to fail for one of
    /// another.
    Condition,
    /// A weighted destination: covered if a case that takes its rule says where requests go.
    Destination,
    /// Fault injection: covered if a case that takes its rule says what is answered.
    Fault,
    /// Retries that are written in a rule: covered if a case that takes it speaks about them.
    Retries,
}

impl ItemKind {
    /// All of them.
    pub const ALL: [ItemKind; 5] =
        [ItemKind::Rule, ItemKind::Condition, ItemKind::Destination, ItemKind::Fault, ItemKind::Retries];

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            ItemKind::Rule => "rule",
            ItemKind::Condition => "condition",
            ItemKind::Destination => "destination",
            ItemKind::Fault => "fault",
            ItemKind::Retries => "retries",
        }
    }
}

/// A part of the mesh's rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoverageItem {
    /// What it is.
    pub kind: ItemKind,
    /// Where it is written.
    pub span: Span,
    /// Cases that it took part in.
    pub hits: u64,
    /// Cases for which a condition was the first to fail.
    pub misses: u64,
}

impl CoverageItem {
    /// Whether the cases speak about it.
    #[must_use]
    pub const fn is_covered(&self) -> bool {
        self.hits > 0 && (self.misses > 0 || !matches!(self.kind, ItemKind::Condition))
    }
}

/// What one case looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trace {
    /// The parts of the route that was taken.
    hits: Vec<(ItemKind, Span)>,
    /// The conditions that failed first.
    misses: Vec<Span>,
    /// Entries of a route configuration with the fields that claims about them hold for.
    pub(super) marks: Vec<(Span, RouteField)>,
}

impl Trace {
    /// What a case looked at whose claims speak about these kinds of parts.
    pub(super) fn of(http: &HttpExplanation<'_>, claimed: &[ItemKind]) -> Self {
        let mut trace = Trace::default();
        for trial in &http.trials {
            if !trial.matched {
                trace.misses.extend(trial.checks.iter().map(|check| check.span));
                continue;
            }
            trace.take(trial.route, claimed);
        }
        debug_assert!(!matches!(http.selection.verdict, Found::NoHost) || trace == Trace::default());
        trace
    }

    /// What a case looked at that this route takes, after these conditions failed.
    pub(super) fn taken(route: Option<&Route>, misses: Vec<Span>, claimed: &[ItemKind]) -> Self {
        let mut trace = Trace { misses, ..Trace::default() };
        if let Some(route) = route {
            trace.take(route, claimed);
        }
        trace
    }

    fn take(&mut self, route: &Route, claimed: &[ItemKind]) {
        let spoken = |kind: ItemKind| matches!(kind, ItemKind::Rule | ItemKind::Condition) || claimed.contains(&kind);
        self.hits.extend(parts(route).into_iter().filter(|(kind, _)| spoken(*kind)));
    }
}

/// The parts of a route that are written somewhere.
fn parts(route: &Route) -> Vec<(ItemKind, Span)> {
    let mut all = vec![(ItemKind::Rule, route.origin.span)];
    let path = &route.matcher.path;
    let asks_nothing = matches!(&path.test, PathTest::Prefix(prefix) if prefix == "/");
    all.extend((!asks_nothing).then_some((ItemKind::Condition, path.span)));
    all.extend(route.matcher.conditions.iter().map(|condition| (ItemKind::Condition, condition.span)));
    all.extend(route.fault.iter().map(|fault| (ItemKind::Fault, fault.origin.span)));
    // A compiled policy does not know where it is written; its rule does.
    all.push((ItemKind::Retries, route.origin.span));
    if let Action::Forward(forward) = &route.action {
        all.extend(forward.legs.all().iter().map(|leg| (ItemKind::Destination, leg.origin.span)));
    }
    all
}

/// How far the cases cover the rules of a mesh. Rules are counted once, however many proxies have
/// them; what nobody wrote (default routes) is not counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage {
    /// The parts, by place.
    pub items: Vec<CoverageItem>,
}

impl Coverage {
    /// The coverage of a mesh by the traces of cases.
    #[must_use]
    pub fn new<'t>(mesh: &Mesh, objects: &Objects, traces: impl IntoIterator<Item = &'t Trace>) -> Self {
        let mut known: BTreeSet<(Span, ItemKind)> = BTreeSet::new();
        let mut seen_tables: BTreeSet<*const ()> = BTreeSet::new();
        for proxy in &mesh.proxies {
            if !seen_tables.insert(proxy.route_tables.as_ptr().cast()) {
                continue;
            }
            let hosts = proxy.route_tables.iter().flat_map(|table| &table.virtual_hosts);
            for route in hosts.flat_map(|host| host.routes.iter()).filter(|route| is_rule(mesh, route)) {
                let parts = parts(route).into_iter().filter(|(kind, _)| *kind != ItemKind::Retries);
                known.extend(parts.map(|(kind, span)| (span, kind)));
            }
        }
        let retries = written_retries(objects);
        known.extend(retries.iter().map(|(_, span)| (*span, ItemKind::Retries)));
        Coverage::counted(known, &retries, traces)
    }

    /// The coverage of a route configuration by the traces of cases.
    #[must_use]
    pub fn of_routes<'t>(routes: &Routes, traces: impl IntoIterator<Item = &'t Trace>) -> Self {
        let all = routes.table.virtual_hosts.iter().flat_map(|host| host.routes.iter());
        let known = all.flat_map(parts).filter(|(kind, _)| *kind != ItemKind::Retries).map(|(kind, span)| (span, kind));
        Coverage::counted(known.collect(), &[], traces)
    }

    fn counted<'t>(
        known: BTreeSet<(Span, ItemKind)>,
        retries: &[(Span, Span)],
        traces: impl IntoIterator<Item = &'t Trace>,
    ) -> Self {
        let place = |kind: ItemKind, span: Span| match kind {
            ItemKind::Retries => retries.iter().find(|(rule, _)| encloses(*rule, span)).map(|(_, retries)| *retries),
            _ => Some(span),
        };
        let mut counts: BTreeMap<(Span, ItemKind), (u64, u64)> =
            known.into_iter().filter(|(span, _)| span.is_somewhere()).map(|key| (key, (0, 0))).collect();
        for trace in traces {
            for (kind, span) in &trace.hits {
                if let Some(count) = place(*kind, *span).and_then(|span| counts.get_mut(&(span, *kind))) {
                    count.0 += 1;
                }
            }
            for span in &trace.misses {
                if let Some(count) = counts.get_mut(&(*span, ItemKind::Condition)) {
                    count.1 += 1;
                }
            }
        }
        let item = |((span, kind), (hits, misses))| CoverageItem { kind, span, hits, misses };
        Coverage { items: counts.into_iter().map(item).collect() }
    }

    /// Adds what covers another mesh; rules that both have are counted once.
    pub fn add(&mut self, other: Coverage) {
        self.items.extend(other.items);
        self.items.sort_by_key(|item| (item.span, item.kind));
        self.items.dedup_by(|item, own| {
            let is_same = (own.span, own.kind) == (item.span, item.kind);
            if is_same {
                own.hits = own.hits.max(item.hits);
                own.misses = own.misses.max(item.misses);
            }
            is_same
        });
    }

    /// Covered parts and all parts of one kind, or of every kind.
    #[must_use]
    pub fn count(&self, kind: Option<ItemKind>) -> (u64, u64) {
        let items = self.items.iter().filter(|item| kind.is_none_or(|kind| item.kind == kind));
        items.fold((0, 0), |(covered, all), item| (covered + u64::from(item.is_covered()), all + 1))
    }
}

/// Whether somebody wrote the rule; services have routes that nobody wrote.
pub(super) fn is_rule(mesh: &Mesh, route: &Route) -> bool {
    let kind = route.origin.object.map(|object| mesh.objects[object.index()].kind.as_str());
    matches!(kind, Some("VirtualService" | "HTTPRoute" | "GRPCRoute"))
}

/// Retry policies of VirtualServices that retry: the rule, and the policy.
fn written_retries(objects: &Objects) -> Vec<(Span, Span)> {
    let rules = objects.items.iter().filter_map(|object| match &object.body {
        Body::VirtualService(spec) => Some(&spec.http),
        _ => None,
    });
    let policies = rules.flatten().filter_map(|rule| Some((rule.span, rule.retries.as_ref()?)));
    let live = policies.filter(|(_, policy)| policy.attempts.as_ref().is_none_or(|attempts| attempts.value > 0));
    live.map(|(rule, policy)| (rule, policy.span)).collect()
}

fn encloses(outer: Span, inner: Span) -> bool {
    outer.file == inner.file && outer.start <= inner.start && inner.end <= outer.end
}
