//! The result of a run for the terminal: what clients saw, where calls went, what failed first and
//! how to ask why, one request in detail, and what became of the expectations.
//!
//! Everything is readable without colour and on 80 columns. What needs no attention is counted
//! instead of shown, unless the reader asks for all of it.

mod calls;
mod clients;
mod waterfall;

use std::fmt::Write as _;

use super::lane;
use super::names::Names;
use crate::record::{ExpectationVerdict, FirstFailure, OutcomeTally, RunReport, Verdict};
use crate::source::Sources;
use crate::text::{Ink, Style, clock, duration, plural, wrapped};

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Detail {
    /// What deserves attention.
    #[default]
    Compact,
    /// Everything.
    Full,
}

/// What a summary needs besides the result itself.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// The texts that places in the result point into.
    pub sources: &'a Sources,
    /// Layout.
    pub style: Style,
    /// How much is shown.
    pub detail: Detail,
}

/// Expectations and lanes beyond this many are folded on a compact page.
const MANY: usize = 12;

/// Changes at one instant beyond this many are counted on a compact page.
const CHANGES: usize = 2;

/// The summary of a run. Its last line is `N passed, N failed, N skipped`, counting expectations.
#[must_use]
pub fn summary(report: &RunReport, page: &Page<'_>) -> String {
    let names = Names::of(report);
    let mut out = header(report, page);
    let title = report.waterfall.as_ref().map_or_else(String::new, |waterfall| lane::title(report, waterfall));
    let sections = [
        ("CLIENTS", "what they saw", clients::render(report, page)),
        ("SERVICES", "where calls went", calls::render(report, page, &names)),
        ("FAILURES", "first of each kind; run the command in the scenario's folder", failures(report, page, &names)),
        ("WINDOWS", "which change opened them, and which closed them", windows(report, page, &names)),
        ("ONE REQUEST", title.as_str(), waterfall::render(report, page)),
        ("EXPECTATIONS", "", expectations(report, page)),
    ];
    for (title, remark, body) in sections {
        if body.is_empty() {
            continue;
        }
        let remark = if remark.is_empty() { String::new() } else { page.style.paint(Ink::Faint, &format!("  {remark}")) };
        let _ = write!(out, "\n{}{remark}\n{body}", page.style.paint(Ink::Strong, title));
    }
    let counts = report.verdicts();
    let _ = writeln!(out, "\n{} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.skipped);
    out
}

fn header(report: &RunReport, page: &Page<'_>) -> String {
    let style = page.style;
    let mut out = format!("{}\n", style.paint(Ink::Strong, &report.scenario));
    for line in wrapped(&report.description, style.width.min(100)) {
        let _ = writeln!(out, "{line}");
    }
    let mut facts = vec![
        format!("seed {}", report.seed),
        format!("Istio {}", report.istio),
        plural(report.requests, "request"),
        format!("{} of virtual time", duration(report.ended_at.since(crate::time::Instant::ZERO))),
    ];
    if page.detail == Detail::Full {
        facts.push(plural(report.events, "event"));
    }
    for line in wrapped(&facts.join(" · "), style.width) {
        let _ = writeln!(out, "{}", style.paint(Ink::Faint, &line));
    }
    if report.unfinished > 0 {
        let text = format!("{} had no answer when the run ended", plural(report.unfinished, "request"));
        let _ = writeln!(out, "{}", style.paint(Ink::Odd, &text));
    }
    if report.interrupted {
        let text = format!("INTERRUPTED at {}: everything below is partial, expectations are not judged", clock(report.ended_at));
        let _ = writeln!(out, "{}", style.paint(Ink::Bad, &text));
    }
    out
}

/// The name of a phase; empty if the scenario has none.
fn phase_name(report: &RunReport, phase: usize) -> &str {
    report.phases.get(phase).map_or("", |phase| phase.name.as_str())
}

/// Status and flags as in an access log: `503 UH`, `200`, `0 DC`.
fn outcome_words(status: u16, flags: &str) -> String {
    if flags.is_empty() { status.to_string() } else { format!("{status} {flags}") }
}

/// How good an answer is at a glance.
pub(super) fn outcome_ink(status: u16, flags: &str) -> Ink {
    match status {
        0 | 500.. => Ink::Bad,
        400..500 => Ink::Odd,
        _ if flags.is_empty() => Ink::Plain,
        _ => Ink::Odd,
    }
}

/// Whether every answer is a success that nothing is to be said about.
fn unremarkable(outcomes: &[OutcomeTally]) -> bool {
    outcomes.iter().all(|outcome| (100..400).contains(&outcome.status) && outcome.flags.is_empty())
}

fn failures(report: &RunReport, page: &Page<'_>, names: &Names) -> String {
    let mut out = String::new();
    for failure in &report.failures {
        let first = match phase_name(report, failure.phase) {
            "" => format!("first at {}", clock(failure.at)),
            phase => format!("first at {} in {phase}", clock(failure.at)),
        };
        let _ = writeln!(
            out,
            "  {}  {}  {}, {first}",
            page.style.paint(outcome_ink(failure.status, &failure.flags), &outcome_words(failure.status, &failure.flags)),
            names.edge(&failure.source, &failure.service),
            plural(failure.count, "time"),
        );
        let place = page.sources.locate(failure.origin).map(|place| place.to_string());
        let why: Vec<String> = [Some(failure.details.clone()).filter(|d| !d.is_empty()), place].into_iter().flatten().collect();
        if !why.is_empty() {
            let _ = writeln!(out, "    {}", page.style.paint(Ink::Faint, &why.join(" · ")));
        }
        if let Some(command) = explaining(failure) {
            let _ = writeln!(out, "    {}", page.style.paint(Ink::Name, &command));
        }
    }
    out
}

fn windows(report: &RunReport, page: &Page<'_>, names: &Names) -> String {
    let mut out = String::new();
    for window in &report.windows {
        let outcome = outcome_words(window.status, &window.flags);
        let ink = outcome_ink(window.status, &window.flags);
        let edge = names.edge(&window.source, &window.service);
        let times = plural(window.count, "time");
        let span = format!("{} to {}", clock(window.begins), clock(window.ends));
        let _ = writeln!(out, "  {}  {edge}  {times}, {span}", page.style.paint(ink, &outcome));
        let most = if page.detail == Detail::Full { usize::MAX } else { CHANGES };
        let changes = |changes: &[String], otherwise: &str| match changes {
            [] => otherwise.to_owned(),
            many if many.len() > most => format!("{} and {} more", many[..most].join(", "), many.len() - most),
            few => few.join(", "),
        };
        let opened = changes(&window.opened_by, "nothing: it was so from the start");
        let closed = changes(&window.closed_by, "nothing until the end of the run");
        for (word, text) in [("opened by", opened), ("closed by", closed)] {
            for (i, line) in wrapped(&text, page.style.width.saturating_sub(15)).iter().enumerate() {
                let word = if i == 0 { word } else { "" };
                let _ = writeln!(out, "    {}", page.style.paint(Ink::Faint, &format!("{word:<9}  {line}")));
            }
        }
    }
    out
}

/// The command that explains a failure, to be copied into a shell.
fn explaining(failure: &FirstFailure) -> Option<String> {
    if failure.explain.is_empty() {
        return None;
    }
    let words = ["meshsim", "route"].into_iter().chain(failure.explain.iter().map(String::as_str));
    // Joining fails only for NUL bytes, which no shell could pass on either.
    shlex::try_join(words).ok()
}

fn expectations(report: &RunReport, page: &Page<'_>) -> String {
    let mut out = String::new();
    let fold = page.detail == Detail::Compact && report.expectations.len() > MANY;
    let (passed, others): (Vec<_>, Vec<_>) =
        report.expectations.iter().partition(|expectation| report.verdict(expectation) == Verdict::Passed);
    if fold && !passed.is_empty() {
        let text = format!("✓ {} met", plural(passed.len() as u64, "expectation"));
        let _ = writeln!(out, "  {}", page.style.paint(Ink::Good, &text));
    } else {
        passed.iter().for_each(|expectation| expectation_lines(report, expectation, page, &mut out));
    }
    // Failures come last, where the eye is when a command ends.
    others.iter().for_each(|expectation| expectation_lines(report, expectation, page, &mut out));
    out
}

fn expectation_lines(report: &RunReport, expectation: &ExpectationVerdict, page: &Page<'_>, out: &mut String) {
    let (mark, ink) = match report.verdict(expectation) {
        Verdict::Passed => ("✓", Ink::Good),
        Verdict::Failed => ("✗", Ink::Bad),
        Verdict::Skipped => ("–", Ink::Faint),
    };
    let lines = wrapped(&expectation.name, page.style.width.saturating_sub(4));
    for (i, line) in lines.iter().enumerate() {
        let mark = if i == 0 { page.style.paint(ink, mark) } else { " ".to_owned() };
        let _ = writeln!(out, "  {mark} {line}");
    }
    if report.verdict(expectation) != Verdict::Failed {
        return;
    }
    for (word, text) in [("expected", &expectation.expected), ("observed", &expectation.observed)] {
        for (i, line) in wrapped(text, page.style.width.saturating_sub(16)).iter().enumerate() {
            let word = if i == 0 { word } else { "" };
            let _ = writeln!(out, "      {word:<8}  {line}");
        }
    }
    if let Some(place) = page.sources.locate(expectation.span) {
        let _ = writeln!(out, "      {}", page.style.paint(Ink::Faint, &place.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;
    use crate::text::width;

    fn render(report: &RunReport, style: Style, detail: Detail) -> String {
        let (sources, _) = fixture::sources();
        summary(report, &Page { sources: &sources, style, detail })
    }

    #[test]
    fn the_cascade_tells_its_story_on_a_terminal() {
        insta::assert_snapshot!(render(&fixture::cascade(), Style::PLAIN, Detail::Compact));
    }

    #[test]
    fn a_rollout_shows_planned_exact_and_observed_shares() {
        insta::assert_snapshot!(render(&fixture::rollout(&[0, 10, 50, 100]), Style::PLAIN, Detail::Compact));
    }

    #[test]
    fn twenty_phases_stay_within_a_few_screens() {
        let steps: Vec<u64> = (0..20).map(|i| i * 5).collect();
        let text = render(&fixture::rollout(&steps), Style::PLAIN, Detail::Compact);
        assert!(text.lines().count() <= 120, "{} lines\n{text}", text.lines().count());
    }

    #[test]
    fn nothing_is_wider_than_the_page() {
        for report in [fixture::cascade(), fixture::rollout(&[10, 50, 100])] {
            for width_of_page in [80, 100, 132] {
                let text = render(&report, Style { colour: false, width: width_of_page }, Detail::Full);
                for line in text.lines().filter(|line| !line.contains("meshsim route")) {
                    assert!(width(line) <= width_of_page, "{width_of_page}: {line}");
                }
            }
        }
    }

    #[test]
    fn colour_adds_nothing_but_colour() {
        let plain = render(&fixture::cascade(), Style::PLAIN, Detail::Full);
        let coloured = render(&fixture::cascade(), Style { colour: true, width: 80 }, Detail::Full);
        assert_ne!(plain, coloured);
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain);
    }

    #[test]
    fn an_interrupted_run_says_so_and_judges_nothing() {
        let report = RunReport { interrupted: true, unfinished: 1, ..fixture::cascade() };
        let text = render(&report, Style::PLAIN, Detail::Compact);
        assert!(text.contains("INTERRUPTED at 220.000 s"), "{text}");
        assert!(text.contains("1 request had no answer"), "{text}");
        assert!(text.ends_with("\n0 passed, 0 failed, 3 skipped\n"), "{text}");
    }

    #[test]
    fn an_empty_run_is_a_header_and_a_count() {
        let text = render(&RunReport { scenario: "empty".to_owned(), ..RunReport::default() }, Style::PLAIN, Detail::Compact);
        assert!(text.starts_with("empty\nseed 0"), "{text}");
        assert!(text.ends_with("0 passed, 0 failed, 0 skipped\n"), "{text}");
    }
}
