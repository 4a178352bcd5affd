//! Where calls between services went: shares by version, planned, exact and observed.

use std::fmt::Write as _;

use indexmap::IndexMap;

use super::{Detail, Page, outcome_words, phase_name, unremarkable};
use crate::record::{Interval, Latency, OutcomeTally, RunReport, Split};
use crate::report::names::Names;
use crate::report::plan::planned;
use crate::text::{Cell, Column, Ink, Table, duration, grouped, percent, plural, share};

/// Calls of one source to one service.
#[derive(Default)]
struct Edge<'a> {
    /// Versions reached, by phase.
    phases: IndexMap<usize, IndexMap<&'a str, Version>>,
}

/// Calls that reached one version in one phase, whoever sent them.
#[derive(Default)]
struct Version {
    arrived: u64,
    outcomes: IndexMap<(u16, String), u64>,
    latency: Latency,
}

pub(super) fn render(report: &RunReport, page: &Page<'_>, names: &Names) -> String {
    let edges = edges(report);
    let mut out = String::new();
    let mut quiet = Quiet::default();
    for ((source, service), edge) in &edges {
        let split = report.splits.iter().find(|split| split.source == *source && split.service == *service);
        if page.detail == Detail::Compact && edge.is_quiet() {
            quiet.add(edge);
            continue;
        }
        let _ = writeln!(out, "  {}", page.style.paint(Ink::Name, &names.edge(source, service)));
        out.push_str(&table(report, edge, split, &|version| names.version(service, version)).render(page.style, 4));
    }
    out.push_str(&quiet.line(report, page));
    out
}

/// Edges on which nothing happened that needs a row.
#[derive(Default)]
struct Quiet {
    edges: u64,
    calls: u64,
}

impl Quiet {
    fn add(&mut self, edge: &Edge<'_>) {
        self.edges += 1;
        self.calls += edge.phases.values().flat_map(IndexMap::values).map(|version| version.arrived).sum::<u64>();
    }

    fn line(&self, report: &RunReport, page: &Page<'_>) -> String {
        if self.edges == 0 {
            return String::new();
        }
        let answers = if report.unfinished == 0 { "every one answered well" } else { "no answer a failure" };
        let text =
            format!("and {} with one version each, {}, {answers}", plural(self.edges, "other edge"), plural(self.calls, "call"));
        format!("  {}\n", page.style.paint(Ink::Faint, &text))
    }
}

impl Edge<'_> {
    /// One version, and every answer a success.
    fn is_quiet(&self) -> bool {
        let mut versions: Vec<&str> = self.phases.values().flat_map(|phase| phase.keys().copied()).collect();
        versions.dedup();
        let well = |version: &Version| version.outcomes.keys().all(|(status, flags)| unremarkable(&[tally(*status, flags)]));
        versions.len() <= 1 && self.phases.values().flat_map(IndexMap::values).all(well)
    }
}

fn tally(status: u16, flags: &str) -> OutcomeTally {
    OutcomeTally { status, flags: flags.to_owned(), ..OutcomeTally::default() }
}

fn edges(report: &RunReport) -> IndexMap<(&str, &str), Edge<'_>> {
    let mut edges: IndexMap<(&str, &str), Edge<'_>> = IndexMap::new();
    for group in &report.edges {
        let edge = edges.entry((&group.source, &group.service)).or_default();
        let reached = if group.version.is_empty() { group.workload.as_str() } else { group.version.as_str() };
        let version = edge.phases.entry(group.phase).or_default().entry(reached).or_default();
        version.arrived += group.arrived;
        for outcome in &group.outcomes {
            *version.outcomes.entry((outcome.status, outcome.flags.clone())).or_default() += outcome.count;
            version.latency = version.latency.merged(&outcome.latency);
        }
    }
    // Callers and classes differ in what they reach first; versions are easier to follow by name.
    for phase in edges.values_mut().flat_map(|edge| edge.phases.values_mut()) {
        phase.sort_unstable_keys();
    }
    edges
}

fn table(report: &RunReport, edge: &Edge<'_>, split: Option<&Split>, name_of: &dyn Fn(&str) -> String) -> Table {
    let mut table = Table::new(&[
        (Column::Text, "phase"),
        (Column::Text, "version"),
        (Column::Number, "calls"),
        (Column::Number, "share"),
        (Column::Number, "planned"),
        (Column::Number, "exact"),
        (Column::Spare, "95% CI"),
        (Column::Spare, "p99"),
        (Column::Flexible, "answers"),
    ]);
    for (phase, versions) in &edge.phases {
        let total: u64 = versions.values().map(|version| version.arrived).sum();
        for (i, (name, version)) in versions.iter().enumerate() {
            let first = if i == 0 { phase_name(report, *phase) } else { "" };
            let leg = split.and_then(|split| Leg::of(split, *phase, name));
            let reached = if name.is_empty() { Cell::new(Ink::Faint, "none") } else { name_of(name).into() };
            // Calls that reached nothing are no hits, and have no share of them.
            let nowhere = name.is_empty() && version.arrived == 0;
            let hits = if nowhere { version.outcomes.values().sum() } else { version.arrived };
            let share = if versions.len() > 1 && !nowhere { percent(version.arrived, total) } else { String::new() };
            let mut cells = vec![Cell::new(Ink::Name, first), reached, grouped(hits).into(), share.into()];
            cells.extend(leg.map_or_else(Default::default, |leg| leg.cells()));
            let p99 = if version.latency.count == 0 { String::new() } else { duration(version.latency.percentile(99)) };
            cells.push(p99.into());
            cells.push(answers(version));
            table.row(cells);
        }
    }
    table
}

/// What a route plans for one version in one phase, and what was seen.
struct Leg {
    planned: Option<f64>,
    exact: Option<f64>,
    hits: u64,
    total: u64,
}

impl Leg {
    /// Plans are shown where they hold for the whole phase.
    fn of(split: &Split, phase: usize, version: &str) -> Option<Leg> {
        let index = split.legs.iter().position(|leg| leg.version == version)?;
        let points: Vec<_> = split.points.iter().filter(|point| point.phase == phase).collect();
        let constant = |values: Vec<Option<f64>>| -> Option<f64> {
            let first = (*values.first()?)?;
            values.iter().all(|value| *value == Some(first)).then_some(first)
        };
        let at = |shares: Option<&[f64]>| shares.and_then(|shares| shares.get(index).copied());
        Some(Leg {
            planned: constant(points.iter().map(|point| at(planned(point))).collect()),
            exact: constant(points.iter().map(|point| at(point.exact.as_deref())).collect()),
            hits: points.iter().filter_map(|point| point.observed.get(index)).sum(),
            total: points.iter().flat_map(|point| &point.observed).sum(),
        })
    }

    fn cells(&self) -> [Cell; 3] {
        let interval = Interval::wilson95(self.hits, self.total);
        // An interval around a share that could not have been another says nothing.
        let certain = self.exact.is_some_and(|exact| exact == 0.0 || exact == 1.0);
        let interval_text = match (self.exact, certain) {
            (Some(_), false) => {
                // More decimals than the sample is good for are noise.
                let decimals = if self.total < 10_000 { 1 } else { 2 };
                format!("{:.decimals$}–{:.decimals$}%", interval.low * 100.0, interval.high * 100.0)
            }
            _ => String::new(),
        };
        let outside = self.exact.is_some_and(|exact| !certain && !(interval.low..=interval.high).contains(&exact));
        let words = |value: Option<f64>| value.map_or_else(String::new, share);
        [
            words(self.planned).into(),
            words(self.exact).into(),
            Cell::new(if outside { Ink::Odd } else { Ink::Plain }, interval_text),
        ]
    }
}

/// `200` alone, or each outcome with its share.
fn answers(version: &Version) -> Cell {
    let total: u64 = version.outcomes.values().sum();
    let mut outcomes: Vec<(&(u16, String), &u64)> = version.outcomes.iter().collect();
    outcomes.sort_by_key(|(outcome, count)| (std::cmp::Reverse(**count), (*outcome).clone()));
    let text: Vec<String> = outcomes
        .iter()
        .map(|((status, flags), count)| match outcome_words(*status, flags) {
            words if **count == total => words,
            words => format!("{words} {}", percent(**count, total)),
        })
        .collect();
    let worst = outcomes.iter().map(|((status, flags), _)| super::outcome_ink(*status, flags)).max_by_key(|ink| match ink {
        Ink::Bad => 2,
        Ink::Odd => 1,
        _ => 0,
    });
    Cell::new(worst.unwrap_or_default(), text.join(", "))
}
