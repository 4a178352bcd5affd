//! The score of measured cases, for people and for tools.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value as Json;

use crate::conformance::{Aspect, Disagreement, Score, Tally};
use crate::text::{Cell, Column, Ink, Style, Table};

/// A table by group, every disagreement with the first field that differs, and the totals as the
/// last line.
#[must_use]
pub fn conformance(score: &Score, style: Style) -> String {
    let mut text = table(score).render(style, 0);
    if !score.disagreements.is_empty() {
        text.push('\n');
    }
    for wrong in &score.disagreements {
        let _ = writeln!(text, "{}", line(wrong, style));
    }
    let _ = writeln!(text, "{}", totals(score));
    text
}

fn table(score: &Score) -> Table {
    let mut table = Table::new(&[
        (Column::Text, "GROUP"),
        (Column::Number, "REQUESTS"),
        (Column::Number, "POLICIES"),
        (Column::Number, "VERDICTS"),
        (Column::Number, "FINDINGS"),
        (Column::Number, "TIMED"),
    ]);
    for (group, tallies) in &score.groups {
        let cells = tallies.iter().map(|tally| match tally {
            Tally { total: 0, .. } => Cell::new(Ink::Faint, "-"),
            Tally { agree, total } if agree == total => Cell::new(Ink::Good, format!("{agree}/{total}")),
            Tally { agree, total } => Cell::new(Ink::Bad, format!("{agree}/{total}")),
        });
        table.row(std::iter::once(Cell::new(Ink::Plain, group.clone())).chain(cells));
    }
    table
}

fn line(wrong: &Disagreement, style: Style) -> String {
    let place = format!("{}/{} {}", wrong.group, wrong.case, wrong.item);
    format!("{} {}", style.paint(Ink::Bad, &place), wrong.difference)
}

/// `conformance: A of B requests, C of D policies, E of F verdicts, G of H findings`, and `timed: A of
/// B cases` on a line of its own.
fn totals(score: &Score) -> String {
    let part = |aspect: &Aspect| {
        let tally = score.total(*aspect);
        format!("{} of {} {}", tally.agree, tally.total, aspect.word())
    };
    let (timed, others): (Vec<&Aspect>, Vec<&Aspect>) = Aspect::ALL.iter().partition(|aspect| **aspect == Aspect::Timed);
    let line = |name: &str, aspects: &[&Aspect]| {
        format!("{name}: {}", aspects.iter().map(|aspect| part(aspect)).collect::<Vec<_>>().join(", "))
    };
    format!("{}\n{}", line("conformance", &others), line("timed", &timed))
}

/// The same as JSON, with a version of its schema.
#[must_use]
pub fn conformance_json(score: &Score) -> String {
    let count = |tallies: &[Tally; 5]| Counts::new(tallies);
    let wire = Wire {
        schema: "meshsim.conformance/v1",
        groups: score.groups.iter().map(|(name, tallies)| GroupWire { name, counts: count(tallies) }).collect(),
        total: count(&Aspect::ALL.map(|aspect| score.total(aspect))),
        disagreements: score.disagreements.iter().map(DisagreementWire::new).collect(),
    };
    // Structs of strings and numbers always serialise.
    let mut text = serde_json::to_string_pretty(&wire).unwrap_or_default();
    text.push('\n');
    text
}

#[derive(Serialize)]
struct Wire<'a> {
    schema: &'static str,
    groups: Vec<GroupWire<'a>>,
    total: Counts,
    disagreements: Vec<DisagreementWire<'a>>,
}

#[derive(Serialize)]
struct GroupWire<'a> {
    name: &'a str,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Serialize)]
struct Counts {
    requests: Count,
    policies: Count,
    verdicts: Count,
    findings: Count,
    timed: Count,
}

impl Counts {
    fn new([requests, policies, verdicts, findings, timed]: &[Tally; 5]) -> Self {
        let count = |tally: &Tally| Count { agree: tally.agree, total: tally.total };
        Counts {
            requests: count(requests),
            policies: count(policies),
            verdicts: count(verdicts),
            findings: count(findings),
            timed: count(timed),
        }
    }
}

#[derive(Serialize)]
struct Count {
    agree: usize,
    total: usize,
}

#[derive(Serialize)]
struct DisagreementWire<'a> {
    aspect: &'static str,
    group: &'a str,
    case: &'a str,
    item: &'a str,
    field: &'a str,
    expected: &'a Option<Json>,
    got: &'a Option<Json>,
}

impl<'a> DisagreementWire<'a> {
    fn new(wrong: &'a Disagreement) -> Self {
        DisagreementWire {
            aspect: if wrong.aspect == Aspect::Timed { "timed" } else { wrong.aspect.word() },
            group: &wrong.group,
            case: &wrong.case,
            item: &wrong.item,
            field: &wrong.difference.field,
            expected: &wrong.difference.expected,
            got: &wrong.difference.got,
        }
    }
}
