//! What clients saw, by phase and class of users.

use super::{Detail, Page, outcome_ink, phase_name};
use crate::record::{ClientGroup, Latency, OutcomeTally, PhaseSpan, RunReport};
use crate::text::{Cell, Column, Ink, Table, clock, duration, grouped, percent, wrapped};

/// Phases beyond this many are named in a column instead of having a line of their own.
const MANY_PHASES: usize = 10;
/// With more phases than this, a class of users that sees what it saw before is one row.
const PHASES_IN_FULL: usize = 6;
/// Outcomes of one class of users in one phase; the rest is one row.
const OUTCOMES: usize = 4;

pub(super) fn render(report: &RunReport, page: &Page<'_>) -> String {
    if report.clients.iter().all(|group| group.outcomes.is_empty()) {
        return String::new();
    }
    let have_names = report.phases.iter().any(|phase| !phase.name.is_empty());
    let roomy = report.phases.len() <= MANY_PHASES || page.detail == Detail::Full;
    let by_column = !have_names || !roomy;
    let fold = page.detail == Detail::Compact && report.phases.len() > PHASES_IN_FULL;
    let mut table = table(report, by_column);
    let (mut phase, mut named) = (None, None);
    for group in report.clients.iter().filter(|group| !group.outcomes.is_empty()) {
        if !by_column && phase != Some(group.phase) {
            phase = Some(group.phase);
            report.phases.get(group.phase).into_iter().for_each(|phase| phase_lines(phase, page, &mut table));
        }
        let first = if by_column && named != Some(group.phase) { phase_name(report, group.phase) } else { "" };
        named = Some(group.phase);
        let head = [Cell::new(Ink::Name, first), who(report, group).into()];
        if fold && as_before(report, group) {
            let mut cells = head.to_vec();
            cells.resize(table.columns() - 1, Cell::default());
            cells.push(Cell::new(Ink::Faint, "as before"));
            table.row(cells);
        } else {
            rows(report, group, page, head, &mut table);
        }
    }
    table.render(page.style, if by_column { 2 } else { 4 })
}

fn phase_lines(phase: &PhaseSpan, page: &Page<'_>, table: &mut Table) {
    let span = format!("{} to {}", clock(phase.begins), clock(phase.ends));
    table.line(format!("  {}  {}", page.style.paint(Ink::Name, &phase.name), page.style.paint(Ink::Faint, &span)));
    for line in wrapped(&phase.note, page.style.width.saturating_sub(4)) {
        table.line(format!("    {line}"));
    }
}

/// Where every latency of the run is a single value, one column says it all.
fn one_time_each(report: &RunReport) -> bool {
    report.clients.iter().flat_map(|group| &group.outcomes).all(|outcome| outcome.latency.min == outcome.latency.max)
}

fn table(report: &RunReport, with_phase: bool) -> Table {
    let mut columns = vec![(Column::Text, if with_phase { "phase" } else { "" }), (Column::Text, "who")];
    columns.extend([
        (Column::Number, "requests"),
        (Column::Number, "share"),
        (Column::Number, "status"),
        (Column::Text, "flags"),
    ]);
    if one_time_each(report) {
        columns.push((Column::Number, "took"));
    } else {
        columns.extend(["p50", "p90", "p99", "max"].map(|head| (Column::Number, head)));
    }
    columns.push((Column::Flexible, "labels"));
    Table::new(&columns)
}

/// Whether the same users saw the same in the phase before: the same answers, as often, in the same
/// time.
fn as_before(report: &RunReport, group: &ClientGroup) -> bool {
    let same_users = |other: &&ClientGroup| (&other.client, &other.user) == (&group.client, &group.user);
    let before = report.clients.iter().filter(same_users).rfind(|other| other.phase < group.phase);
    before.is_some_and(|before| before.outcomes == group.outcomes)
}

fn rows(report: &RunReport, group: &ClientGroup, page: &Page<'_>, head: [Cell; 2], table: &mut Table) {
    let total: u64 = group.outcomes.iter().map(|outcome| outcome.count).sum();
    let fold = page.detail == Detail::Compact && group.outcomes.len() > OUTCOMES;
    let shown = if fold { OUTCOMES - 1 } else { group.outcomes.len() };
    for (i, outcome) in group.outcomes[..shown].iter().enumerate() {
        let mut cells = if i == 0 { head.to_vec() } else { vec![Cell::default(); 2] };
        cells.extend(numbers(outcome, total));
        cells.extend(times(report, &outcome.latency));
        cells.push(outcome.labels.join(", ").into());
        table.row(cells);
    }
    if fold {
        let rest = &group.outcomes[shown..];
        let merged = rest.iter().fold(Latency::default(), |sum, outcome| sum.merged(&outcome.latency));
        let count: u64 = rest.iter().map(|outcome| outcome.count).sum();
        let mut cells: Vec<Cell> = vec!["".into(), "".into(), grouped(count).into(), percent(count, total).into()];
        cells.extend(["".into(), "".into()]);
        cells.extend(times(report, &merged));
        cells.push(Cell::new(Ink::Faint, format!("{} other outcomes", rest.len())));
        table.row(cells);
    }
}

/// The class of users, the client where it has none, both where there are several clients.
fn who(report: &RunReport, group: &ClientGroup) -> String {
    let alone = report.clients.iter().all(|other| other.client == group.client);
    match (group.user.as_str(), alone) {
        ("", _) => group.client.clone(),
        (user, true) => user.to_owned(),
        (user, false) => format!("{}/{user}", group.client),
    }
}

fn numbers(outcome: &OutcomeTally, total: u64) -> [Cell; 4] {
    let ink = outcome_ink(outcome.status, &outcome.flags);
    // A share is worth its room only where there is more than one outcome.
    let share = if outcome.count == total { String::new() } else { percent(outcome.count, total) };
    [
        grouped(outcome.count).into(),
        share.into(),
        Cell::new(ink, outcome.status.to_string()),
        Cell::new(ink, outcome.flags.clone()),
    ]
}

fn times(report: &RunReport, latency: &Latency) -> Vec<Cell> {
    if one_time_each(report) {
        return vec![duration(latency.max).into()];
    }
    let percentiles = [50, 90, 99].map(|percent| latency.percentile(percent));
    percentiles.into_iter().chain([latency.max]).map(|time| duration(time).into()).collect()
}
