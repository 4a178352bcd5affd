//! Findings as results of tests: a suite for each file, a case for each finding.

use std::collections::BTreeMap;

use super::place::{self, whole_text};
use crate::diagnostic::Diagnostic;
use crate::source::Sources;

/// The report. A finding that fails the check is a failed case; others passed and say what they
/// found. A file without findings is one case that passed.
#[must_use]
pub fn findings_junit(sources: &Sources, findings: &[Diagnostic], fails: impl Fn(&Diagnostic) -> bool) -> String {
    let mut suites: Vec<(&str, Vec<&Diagnostic>)> = sources.iter().map(|(_, source)| (source.name(), Vec::new())).collect();
    let places: BTreeMap<&str, usize> = suites.iter().enumerate().map(|(at, (name, _))| (*name, at)).collect();
    let mut elsewhere = Vec::new();
    for finding in findings {
        match place::of(sources, finding).and_then(|place| places.get(place.file)) {
            Some(at) => suites[*at].1.push(finding),
            None => elsewhere.push(finding),
        }
    }
    if !elsewhere.is_empty() {
        suites.push(("input", elsewhere));
    }
    let failures = |all: &[&Diagnostic]| all.iter().filter(|finding| fails(finding)).count();
    let tests: usize = suites.iter().map(|(_, all)| all.len().max(1)).sum();
    let failed: usize = suites.iter().map(|(_, all)| failures(all)).sum();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    text.push_str(&format!("<testsuites name=\"meshsim check\" tests=\"{tests}\" failures=\"{failed}\" errors=\"0\">\n"));
    for (name, all) in &suites {
        let (name, tests, failed) = (escaped(name), all.len().max(1), failures(all));
        text.push_str(&format!("  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failed}\" errors=\"0\">\n"));
        if all.is_empty() {
            text.push_str(&format!("    <testcase name=\"{name}\" classname=\"{name}\"/>\n"));
        }
        for finding in all {
            text.push_str(&case(sources, &name, finding, fails(finding)));
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn case(sources: &Sources, suite: &str, finding: &Diagnostic, failed: bool) -> String {
    let at = place::of(sources, finding).map(|place| format!(":{}:{}", place.start.line, place.start.column));
    let name = escaped(&format!("{} {}{}", finding.code.id(), finding.code.name(), at.unwrap_or_default()));
    let (message, whole) = (escaped(&finding.message), escaped(&whole_text(finding)));
    let inside = if failed {
        format!("<failure type=\"{}\" message=\"{message}\">{whole}</failure>", finding.code.id())
    } else {
        format!("<system-out>{whole}</system-out>")
    };
    format!("    <testcase name=\"{name}\" classname=\"{suite}\">\n      {inside}\n    </testcase>\n")
}

/// Text as XML takes it; control characters, which XML 1.0 cannot hold, become question marks.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Severity;

    #[test]
    fn only_what_fails_the_check_is_a_failed_case() {
        let (sources, findings) = crate::report::gate::fixture::findings();
        insta::assert_snapshot!(findings_junit(&sources, &findings, |finding| finding.severity == Severity::Error));
    }
}
