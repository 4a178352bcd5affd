//! What came of routing tests: for people, as JSON, and as JUnit's XML.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::json;

use crate::source::{Sources, Span};
use crate::suite::{Case, Coverage, Mutant, Verdict};
use crate::text::{Ink, Style, plural};

/// Judged cases.
#[derive(Debug, Clone, Copy)]
pub struct SuiteReport<'a> {
    /// The texts that places are in.
    pub sources: &'a Sources,
    /// Cases with what came of them, in the order they were written.
    pub cases: &'a [(Case, Verdict)],
    /// Cases that were not judged because an earlier one failed.
    pub skipped: usize,
    /// Whether passed cases are listed too.
    pub all: bool,
    /// What the cases speak about, if it was asked for.
    pub coverage: Option<&'a Coverage>,
    /// Mistakes that were made on purpose, if any were.
    pub mutants: Option<&'a [(Mutant, MutantFate)]>,
}

impl SuiteReport<'_> {
    fn failed(&self) -> usize {
        self.cases.iter().filter(|(_, verdict)| !verdict.failures.is_empty()).count()
    }

    fn passed(&self) -> usize {
        self.cases.iter().filter(|(_, verdict)| verdict.passed()).count()
    }

    /// Cases that were not judged, because an earlier one failed or because what becomes of their
    /// requests cannot be told.
    fn not_judged(&self) -> usize {
        self.cases.len() - self.passed() - self.failed() + self.skipped
    }

    fn place(&self, span: Span) -> String {
        self.sources.locate(span).map_or_else(String::new, |place| place.to_string())
    }
}

/// Failed cases with their claims, and how many passed.
#[must_use]
pub fn suite(report: &SuiteReport<'_>, style: Style) -> String {
    let mut text = String::new();
    for (case, verdict) in report.cases {
        if verdict.passed() {
            if report.all {
                let _ = writeln!(text, "{}  {}", style.paint(Ink::Good, "pass"), case.name);
            }
            continue;
        }
        let place = report.place(case.span);
        let word = if verdict.failures.is_empty() { style.paint(Ink::Odd, "not judged") } else { style.paint(Ink::Bad, "FAIL") };
        let _ = writeln!(text, "{word}  {}  {}", style.paint(Ink::Strong, &case.name), style.paint(Ink::Faint, &place));
        if let Some((why, span)) = &verdict.not_judged {
            let _ = writeln!(text, "      {why}  {}", style.paint(Ink::Faint, &report.place(*span)));
        }
        for failure in &verdict.failures {
            let place = style.paint(Ink::Faint, &report.place(failure.span));
            let _ = writeln!(
                text,
                "      {}: expected {}, got {}  {place}",
                failure.what,
                shown(&failure.expected),
                shown(&failure.actual)
            );
        }
        if let Some(place) = verdict.route.and_then(|span| report.sources.locate(span)) {
            let _ = writeln!(text, "      taken by the rule at {}", style.paint(Ink::Faint, &place.to_string()));
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let failed = report.failed();
    let mut words = vec![format!("{} passed", report.passed())];
    words.extend((failed > 0).then(|| style.paint(Ink::Bad, &format!("{failed} failed"))));
    words.extend((report.not_judged() > 0).then(|| format!("{} not judged", report.not_judged())));
    let _ = writeln!(text, "{}: {}", plural((report.cases.len() + report.skipped) as u64, "test"), words.join(", "));
    text
}

fn shown(text: &str) -> &str {
    if text.is_empty() { "nothing" } else { text }
}

#[derive(Serialize)]
struct Wire<'a> {
    schema: &'static str,
    passed: usize,
    failed: usize,
    skipped: usize,
    tests: Vec<CaseWire<'a>>,
}

#[derive(Serialize)]
struct CaseWire<'a> {
    name: &'a str,
    place: String,
    passed: bool,
    not_judged: Option<&'a str>,
    rule: Option<String>,
    failures: Vec<FailureWire<'a>>,
}

#[derive(Serialize)]
struct FailureWire<'a> {
    what: &'a str,
    expected: &'a str,
    actual: &'a str,
    place: String,
}

/// The same as JSON, with a version of its schema.
#[must_use]
pub fn suite_json(report: &SuiteReport<'_>) -> String {
    let failed = report.failed();
    let case = |(case, verdict): &'_ (Case, Verdict)| -> serde_json::Value {
        let failures = verdict.failures.iter().map(|failure| FailureWire {
            what: &failure.what,
            expected: &failure.expected,
            actual: &failure.actual,
            place: report.place(failure.span),
        });
        let wire = CaseWire {
            name: &case.name,
            place: report.place(case.span),
            passed: verdict.passed(),
            not_judged: verdict.not_judged.as_ref().map(|(why, _)| why.as_str()),
            rule: verdict.route.and_then(|span| report.sources.locate(span)).map(|place| place.to_string()),
            failures: failures.collect(),
        };
        serde_json::to_value(wire).unwrap_or_default()
    };
    let wire =
        Wire { schema: "meshsim.tests/v1", passed: report.passed(), failed, skipped: report.not_judged(), tests: Vec::new() };
    let mut json = serde_json::to_value(wire).unwrap_or_default();
    json["tests"] = report.cases.iter().map(case).collect();
    if let Some(coverage) = report.coverage {
        let items = coverage
            .items
            .iter()
            .map(|item| json!({"kind": item.kind.word(), "place": report.place(item.span), "covered": item.is_covered()}));
        json["coverage"] = items.collect();
    }
    if let Some(mutants) = report.mutants {
        let one = |(mutant, fate): &(Mutant, MutantFate)| json!({"what": mutant.what, "place": report.place(mutant.span), "fate": fate.word()});
        json["mutants"] = mutants.iter().map(one).collect();
    }
    format!("{json:#}\n")
}

/// The same as JUnit's XML: a test suite for each file.
#[must_use]
pub fn suite_junit(report: &SuiteReport<'_>) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(text, "<testsuites name=\"meshsim\" tests=\"{}\" failures=\"{}\">", report.cases.len(), report.failed());
    let file = |case: &Case| report.sources.get(case.span.file).map_or("tests", |source| source.name());
    for cases in report.cases.chunk_by(|(one, _), (other, _)| one.span.file == other.span.file) {
        let failed = cases.iter().filter(|(_, verdict)| !verdict.failures.is_empty()).count();
        let skipped = cases.iter().filter(|(_, verdict)| verdict.failures.is_empty() && !verdict.passed()).count();
        let skipped = if skipped == 0 { String::new() } else { format!(" skipped=\"{skipped}\"") };
        let name = cases.first().map_or("tests", |(case, _)| file(case));
        let _ = writeln!(text, "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\"{skipped}>", xml(name), cases.len());
        for (case, verdict) in cases {
            let line = report.sources.locate(case.span).map_or(0, |place| place.position.line);
            let head = format!(
                "    <testcase name=\"{}\" classname=\"{}\" file=\"{}\" line=\"{line}\"",
                xml(&case.name),
                xml(name),
                xml(name)
            );
            if verdict.passed() {
                let _ = writeln!(text, "{head}/>");
                continue;
            }
            if let (Some((why, _)), true) = (&verdict.not_judged, verdict.failures.is_empty()) {
                let _ = writeln!(text, "{head}>\n      <skipped message=\"{}\"/>\n    </testcase>", xml(why));
                continue;
            }
            let lines: Vec<String> = verdict
                .failures
                .iter()
                .map(|failure| {
                    let place = report.place(failure.span);
                    format!("{place}: {}: expected {}, got {}", failure.what, shown(&failure.expected), shown(&failure.actual))
                })
                .collect();
            let first = verdict.failures.first().map_or("", |failure| failure.what.as_str());
            let _ = writeln!(
                text,
                "{head}>\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
                xml(first),
                xml(&lines.join("\n"))
            );
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

/// Text inside of XML; control characters that XML has no way to write become the replacement
/// character.
fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            c if c.is_control() && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Mistakes that were made on purpose, and whether a case noticed.
#[must_use]
pub fn mutants(sources: &Sources, mutants: &[(Mutant, MutantFate)], style: Style) -> String {
    let mut text = String::new();
    for (mutant, fate) in mutants {
        if *fate != MutantFate::Survived {
            continue;
        }
        let place = sources.locate(mutant.span).map_or_else(String::new, |place| place.to_string());
        let _ = writeln!(text, "{}  {}  {}", style.paint(Ink::Odd, "survived"), mutant.what, style.paint(Ink::Faint, &place));
    }
    let count = |wanted: MutantFate| mutants.iter().filter(|(_, fate)| *fate == wanted).count();
    let _ = writeln!(
        text,
        "{}: {} noticed, {} survived, {} without effect",
        plural(mutants.len() as u64, "mutant"),
        count(MutantFate::Noticed),
        count(MutantFate::Survived),
        count(MutantFate::WithoutEffect)
    );
    text
}

/// What became of a mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MutantFate {
    /// A case that passes fails with it.
    Noticed,
    /// Every case comes out as without it.
    Survived,
    /// It changes nothing that a proxy does.
    WithoutEffect,
}

impl MutantFate {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            MutantFate::Noticed => "noticed",
            MutantFate::Survived => "survived",
            MutantFate::WithoutEffect => "without effect",
        }
    }
}
