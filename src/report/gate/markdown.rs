//! Findings as Markdown, for comments and job summaries.

use super::place;
use crate::diagnostic::Diagnostic;
use crate::report::findings_summary;
use crate::source::Sources;

/// Rows that are printed. A comment on GitHub holds 65 536 characters.
const ROWS_MAX: usize = 200;

/// A line with the counts and a table.
#[must_use]
pub fn findings_markdown(sources: &Sources, findings: &[Diagnostic]) -> String {
    let mut text = format!("### meshsim check: {}", findings_summary(sources, findings));
    if findings.is_empty() {
        return text;
    }
    text.push_str("\n| | place | finding |\n|---|---|---|\n");
    let mut by_severity: Vec<&Diagnostic> = findings.iter().collect();
    by_severity.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    for finding in by_severity.iter().take(ROWS_MAX) {
        let place = place::of(sources, finding).map(|p| format!("`{}:{}`", p.file, p.start.line)).unwrap_or_default();
        let mut words = cell(&finding.message);
        for (name, more) in [("effect", &finding.effect), ("help", &finding.help)] {
            if let Some(more) = more {
                words.push_str(&format!("<br>*{name}:* {}", cell(more)));
            }
        }
        let (severity, code) = (finding.severity.word(), finding.code.id());
        text.push_str(&format!("| {severity} | {} | **{code}** {words} |\n", place.replace('|', "\\|")));
    }
    if findings.len() > ROWS_MAX {
        text.push_str(&format!("\n… and {} more.\n", findings.len() - ROWS_MAX));
    }
    text
}

/// Text inside a cell of a table. Code stays code; other marks are taken literally.
fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_code = false;
    for c in text.chars() {
        match c {
            '`' => in_code = !in_code,
            '\n' => {
                out.push_str("<br>");
                continue;
            }
            '|' => out.push('\\'),
            '*' | '_' | '[' | ']' | '<' if !in_code => out.push('\\'),
            _ => {}
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_in_messages_are_no_marks_of_the_page() {
        let (sources, findings) = crate::report::gate::fixture::findings();
        insta::assert_snapshot!(findings_markdown(&sources, &findings));
    }

    #[test]
    fn a_long_list_is_cut() {
        let (sources, findings) = crate::report::gate::fixture::findings();
        let many: Vec<Diagnostic> = findings.iter().cycle().take(1000).cloned().collect();
        assert!(findings_markdown(&sources, &many).ends_with("… and 800 more.\n"));
    }
}
