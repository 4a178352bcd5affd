//! Coverage as `router_check_tool` counts it: entries are routes, or the weighted clusters of a route;
//! an entry is covered by a claim about one of its fields that holds.

use std::collections::{BTreeMap, BTreeSet};

use super::configuration::Route;
use super::routes::Routes;
use crate::source::Span;
use crate::suite::coverage::Trace;

/// What of an entry a claim is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteField {
    /// The cluster.
    Cluster,
    /// The virtual cluster.
    VirtualCluster,
    /// The virtual host.
    VirtualHost,
    /// The path that the upstream sees.
    PathRewrite,
    /// The authority that the upstream sees.
    HostRewrite,
    /// Where a redirect leads.
    RedirectPath,
    /// The status of a redirect or direct answer.
    RedirectCode,
}

/// Fields of an entry that forwards, and of one that answers.
const FORWARDING: u64 = 5;
const ANSWERING: u64 = 2;

/// How far tests cover a route configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteCoverage {
    /// Entries that a claim is about.
    pub covered: u64,
    /// All entries.
    pub entries: u64,
    /// Fields that claims are about, in tenths of an entry.
    pub field_tenths: u64,
    /// Routes without a covered entry: virtual host, name of the route, and place.
    pub missing: Vec<(String, String, Span)>,
}

impl RouteCoverage {
    /// The share of covered entries, in parts per ten thousand.
    #[must_use]
    pub fn entries_covered(&self) -> u64 {
        (self.covered * 10_000).checked_div(self.entries).unwrap_or(10_000)
    }

    /// The share of covered fields, in parts per ten thousand.
    #[must_use]
    pub fn fields_covered(&self) -> u64 {
        (self.field_tenths * 1_000).checked_div(self.entries).unwrap_or(10_000)
    }
}

/// The coverage of a route configuration by the traces of cases.
#[must_use]
pub fn route_coverage<'t>(routes: &Routes, traces: impl IntoIterator<Item = &'t Trace>) -> RouteCoverage {
    let mut fields: BTreeMap<Span, BTreeSet<RouteField>> = BTreeMap::new();
    for (entry, field) in traces.into_iter().flat_map(|trace| &trace.marks) {
        fields.entry(*entry).or_default().insert(*field);
    }
    let mut coverage = RouteCoverage::default();
    for host in &routes.written.virtual_hosts {
        for route in &host.routes {
            let entries = entries(route);
            let covered = entries.iter().filter_map(|entry| fields.get(entry)).collect::<Vec<_>>();
            coverage.entries += entries.len() as u64;
            coverage.covered += covered.len() as u64;
            let all = if route.route.is_some() { FORWARDING } else { ANSWERING };
            coverage.field_tenths += covered.iter().map(|own| own.len() as u64 * 10 / all).sum::<u64>();
            if covered.is_empty() {
                let name = route.name.as_ref().map_or_else(String::new, |name| name.value.clone());
                coverage.missing.push((host.name.value.clone(), name, route.span));
            }
        }
    }
    coverage
}

/// Where the entries of a route are written.
fn entries(route: &Route) -> Vec<Span> {
    let weighted = route.route.as_ref().and_then(|forward| forward.weighted_clusters.as_ref());
    match weighted {
        Some(weighted) => weighted.clusters.iter().map(|cluster| cluster.span).collect(),
        None => vec![route.span],
    }
}
