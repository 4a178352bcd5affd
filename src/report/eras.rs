//! Two runs of one scenario side by side: what a release of Istio changes for the same traffic.
//!
//! Both runs have the same seed, and draws are addressed by what they decide, so a difference is
//! the release's doing and not luck's.

use std::fmt::Write as _;

use serde::Serialize;

use super::names::Names;
use crate::record::{EdgeGroup, Latency, OutcomeTally, RunReport};
use crate::text::{Cell, Column, Ink, Style, Table, duration, grouped, percent, plural};

/// The name and version of the format of [`eras_json`].
pub const ERAS_SCHEMA: &str = "meshsim.eras/v1";

/// One kind of answer in both runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Difference {
    phase: String,
    /// Client and class of users, or caller and service.
    who: String,
    status: u16,
    flags: String,
    labels: Vec<String>,
    before: Side,
    after: Side,
}

/// One kind of answer in one run.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
struct Side {
    count: u64,
    total: u64,
    median_ms: f64,
    longest_ms: f64,
    #[serde(skip)]
    latency: Latency,
}

/// What differs between two runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Comparison<'a> {
    schema: &'static str,
    scenario: &'a str,
    seed: u64,
    before: &'a str,
    after: &'a str,
    clients: Vec<Difference>,
    services: Vec<Difference>,
    expectations: Vec<Judged<'a>>,
}

/// An expectation that only one of the runs meets.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Judged<'a> {
    name: &'a str,
    met_before: bool,
    met_after: bool,
}

impl<'a> Comparison<'a> {
    fn of(before: &'a RunReport, after: &'a RunReport) -> Self {
        Comparison {
            schema: ERAS_SCHEMA,
            scenario: &before.scenario,
            seed: before.seed,
            before: &before.istio,
            after: &after.istio,
            clients: differences(&client_answers(before), &client_answers(after)),
            services: differences(&service_answers(before), &service_answers(after)),
            expectations: judged(before, after),
        }
    }

    fn is_empty(&self) -> bool {
        self.clients.is_empty() && self.services.is_empty() && self.expectations.is_empty()
    }
}

fn judged<'a>(before: &'a RunReport, after: &'a RunReport) -> Vec<Judged<'a>> {
    let pairs = before.expectations.iter().zip(&after.expectations);
    let both = pairs.map(|(a, b)| Judged { name: a.name.as_str(), met_before: a.met, met_after: b.met });
    both.filter(|judged| judged.met_before != judged.met_after).collect()
}

/// Phase, who, and the answers.
type Answers = Vec<(String, String, Vec<OutcomeTally>)>;

fn client_answers(report: &RunReport) -> Answers {
    let named = |group: &crate::record::ClientGroup| {
        let who = if group.user.is_empty() { group.client.clone() } else { format!("{}/{}", group.client, group.user) };
        (phase(report, group.phase), who, group.outcomes.clone())
    };
    report.clients.iter().map(named).collect()
}

/// Answers by caller and service: which workload gave them is the balancer's luck.
fn service_answers(report: &RunReport) -> Answers {
    let names = Names::of(report);
    let mut all: Answers = Vec::new();
    // What clients see of their own requests is told with the clients.
    let own = |edge: &&EdgeGroup| report.clients.iter().any(|group| group.client == edge.source);
    for edge in report.edges.iter().filter(|edge| !own(edge)) {
        let (phase, who) = (phase(report, edge.phase), names.edge(&edge.source, &edge.service));
        match all.iter_mut().find(|(p, w, _)| *p == phase && *w == who) {
            Some((_, _, answers)) => add(answers, &edge.outcomes),
            None => all.push((phase, who, edge.outcomes.clone())),
        }
    }
    all
}

fn phase(report: &RunReport, index: usize) -> String {
    report.phases.get(index).map(|phase| phase.name.clone()).unwrap_or_default()
}

fn add(sums: &mut Vec<OutcomeTally>, more: &[OutcomeTally]) {
    for tally in more {
        match sums.iter_mut().find(|known| same_kind(known, tally)) {
            Some(known) => {
                known.count += tally.count;
                known.latency = known.latency.merged(&tally.latency);
            }
            None => sums.push(tally.clone()),
        }
    }
}

fn same_kind(a: &OutcomeTally, b: &OutcomeTally) -> bool {
    (a.status, &a.flags, &a.labels) == (b.status, &b.flags, &b.labels)
}

/// Every kind of answer that is not as frequent, or not as quick, in both.
fn differences(before: &Answers, after: &Answers) -> Vec<Difference> {
    let mut keys: Vec<(&str, &str)> = Vec::new();
    for (phase, who, _) in before.iter().chain(after) {
        if !keys.contains(&(phase, who)) {
            keys.push((phase, who));
        }
    }
    let of = |all: &Answers, key: (&str, &str)| -> Vec<OutcomeTally> {
        let found = all.iter().find(|(phase, who, _)| (phase.as_str(), who.as_str()) == key);
        found.map(|(_, _, answers)| answers.clone()).unwrap_or_default()
    };
    keys.into_iter().flat_map(|key| changed(key, &of(before, key), &of(after, key))).collect()
}

fn changed((phase, who): (&str, &str), before: &[OutcomeTally], after: &[OutcomeTally]) -> Vec<Difference> {
    let mut kinds: Vec<&OutcomeTally> = before.iter().collect();
    kinds.extend(after.iter().filter(|kind| !before.iter().any(|known| same_kind(known, kind))));
    let difference = |kind: &&OutcomeTally| Difference {
        phase: phase.to_owned(),
        who: who.to_owned(),
        status: kind.status,
        flags: kind.flags.clone(),
        labels: kind.labels.clone(),
        before: side(before, kind),
        after: side(after, kind),
    };
    kinds.iter().map(difference).filter(|found| found.before.latency != found.after.latency).collect()
}

fn side(answers: &[OutcomeTally], kind: &OutcomeTally) -> Side {
    let total = answers.iter().map(|tally| tally.count).sum();
    let latency = answers.iter().find(|tally| same_kind(tally, kind)).map(|tally| tally.latency.clone()).unwrap_or_default();
    let milliseconds = |time: crate::time::Duration| time.nanos() as f64 / 1e6;
    Side {
        count: latency.count,
        total,
        median_ms: if latency.count == 0 { 0.0 } else { milliseconds(latency.percentile(50)) },
        longest_ms: milliseconds(latency.max),
        latency,
    }
}

/// Both runs for people: every kind of answer that one of the releases gives more often, or later.
#[must_use]
pub fn eras(before: &RunReport, after: &RunReport, style: Style) -> String {
    let found = Comparison::of(before, after);
    let title = format!("{} on Istio {} (before) and on {} (after)", before.scenario, before.istio, after.istio);
    let mut out = format!("{}\n", style.paint(Ink::Strong, &title));
    let facts = format!("seed {} · {} in each run", before.seed, plural(before.requests, "request"));
    let _ = writeln!(out, "{}", style.paint(Ink::Faint, &facts));
    if found.is_empty() {
        out.push_str("\nno difference: every class of users and every service gets the same answers, as often and as quickly\n");
        return out;
    }
    for (title, remark, differences) in
        [("CLIENTS", "what they see", &found.clients), ("SERVICES", "what callers' proxies see", &found.services)]
    {
        if !differences.is_empty() {
            let remark = style.paint(Ink::Faint, &format!("  {remark}"));
            let table = table(differences, style);
            let _ = write!(out, "\n{}{remark}\n{table}", style.paint(Ink::Strong, title));
        }
    }
    if !found.expectations.is_empty() {
        let _ = writeln!(out, "\n{}", style.paint(Ink::Strong, "EXPECTATIONS"));
    }
    for judged in &found.expectations {
        let (met, failed) = if judged.met_before { (found.before, found.after) } else { (found.after, found.before) };
        let _ = writeln!(out, "  {}: met on {met}, failed on {failed}", judged.name);
    }
    out
}

fn table(differences: &[Difference], style: Style) -> String {
    let mut table = Table::new(&[
        (Column::Text, ""),
        (Column::Text, "who"),
        (Column::Number, "status"),
        (Column::Text, "flags"),
        (Column::Number, "before"),
        (Column::Number, ""),
        (Column::Spare, "took"),
        (Column::Number, "after"),
        (Column::Number, ""),
        (Column::Spare, "took"),
        (Column::Flexible, "labels"),
    ]);
    let mut last = ("", "");
    for found in differences {
        let who = (found.phase.as_str(), found.who.as_str());
        let phase = if last.0 == who.0 { "" } else { who.0 };
        let name = if last == who { "" } else { who.1 };
        last = who;
        let ink = super::summary::outcome_ink(found.status, &found.flags);
        let mut cells: Vec<Cell> = vec![Cell::new(Ink::Name, phase), name.into()];
        cells.push(Cell::new(ink, found.status.to_string()));
        cells.push(Cell::new(ink, found.flags.clone()));
        for side in [&found.before, &found.after] {
            cells.extend(side_cells(side));
        }
        cells.push(found.labels.join(", ").into());
        table.row(cells);
    }
    table.render(style, 2)
}

fn side_cells(side: &Side) -> [Cell; 3] {
    if side.count == 0 {
        return ["0".into(), "".into(), "".into()];
    }
    let took = match (side.latency.percentile(50), side.latency.max) {
        (median, longest) if median == longest => duration(longest),
        (median, longest) => format!("{}, at most {}", duration(median), duration(longest)),
    };
    [grouped(side.count).into(), percent(side.count, side.total).into(), took.into()]
}

/// Both runs for programs: the same differences, with counts and times.
///
/// # Panics
/// Never: everything in it can be written as JSON.
#[must_use]
pub fn eras_json(before: &RunReport, after: &RunReport) -> String {
    let mut text = serde_json::to_string_pretty(&Comparison::of(before, after)).expect("plain data can be written");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn a_run_does_not_differ_from_itself() {
        let report = fixture::cascade();
        assert!(eras(&report, &report, Style::PLAIN).contains("no difference"));
        assert!(Comparison::of(&report, &report).is_empty());
    }

    #[test]
    fn an_answer_that_changes_its_flags_is_gone_on_one_side_and_new_on_the_other() {
        let before = fixture::cascade();
        let mut after = before.clone();
        after.istio = "1.0".to_owned();
        let changed = &mut after.clients[0].outcomes[0];
        changed.status = 503;
        changed.flags = "NR".to_owned();
        let found = Comparison::of(&before, &after);
        assert_eq!(found.clients.len(), 2, "{found:#?}");
        assert_eq!((found.clients[0].after.count, found.clients[1].before.count), (0, 0));
        assert_eq!(found.clients[1].flags, "NR");
    }
}
