//! Annotations of GitHub Actions: workflow commands on standard output.

use super::place::{self, whole_text};
use crate::diagnostic::{Diagnostic, Severity};
use crate::source::Sources;
use crate::text::plural;

/// Annotations of one level that GitHub shows for one step.
const SHOWN_MAX: usize = 10;

/// One command for each finding, the most severe first. GitHub shows ten of each level; what is
/// beyond is counted in the last one.
#[must_use]
pub fn findings_github(sources: &Sources, findings: &[Diagnostic]) -> String {
    let mut text = String::new();
    for (severity, command) in [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Note, "notice")] {
        let all: Vec<&Diagnostic> = findings.iter().filter(|finding| finding.severity == severity).collect();
        let shown = if all.len() > SHOWN_MAX { SHOWN_MAX - 1 } else { all.len() };
        for finding in &all[..shown] {
            let mut properties = Vec::new();
            if let Some(place) = place::of(sources, finding) {
                properties.push(format!("file={}", property(place.file)));
                properties.push(format!("line={},col={}", place.start.line, place.start.column));
                properties.push(format!("endLine={},endColumn={}", place.end.line, place.end.column));
            }
            properties.push(format!("title={}", property(&format!("{} {}", finding.code.id(), finding.code.name()))));
            text.push_str(&format!("::{command} {}::{}\n", properties.join(","), data(&whole_text(finding))));
        }
        if all.len() > shown {
            let more = plural((all.len() - shown) as u64, &format!("more {}", severity.word()));
            text.push_str(&format!("::{command} title=meshsim::{more}; GitHub shows ten of each level\n"));
        }
    }
    text
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Code;

    #[test]
    fn commands_name_the_place_and_escape_what_would_end_them() {
        let (sources, findings) = crate::report::gate::fixture::findings();
        insta::assert_snapshot!(findings_github(&sources, &findings));
    }

    #[test]
    fn what_github_would_not_show_is_counted() {
        let many: Vec<Diagnostic> = (0..25).map(|n| Diagnostic::new(Code::UndefinedHost, n.to_string())).collect();
        let text = findings_github(&Sources::new(), &many);
        assert_eq!(text.lines().count(), 10);
        assert!(text.ends_with("::error title=meshsim::16 more errors; GitHub shows ten of each level\n"), "{text}");
    }
}
