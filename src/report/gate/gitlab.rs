//! Code quality reports of GitLab.

use serde_json::{Value, json};

use super::place::{self, whole_text};
use crate::diagnostic::{Diagnostic, Severity};
use crate::source::Sources;

/// The report. GitLab wants a place for everything: what has none is said of the first file.
#[must_use]
pub fn findings_gitlab(sources: &Sources, findings: &[Diagnostic]) -> String {
    let first = sources.iter().next().map_or("", |(_, source)| source.name());
    let entries: Vec<Value> = findings
        .iter()
        .zip(place::fingerprints(sources, findings))
        .map(|(finding, fingerprint)| {
            let (path, line) = place::of(sources, finding).map_or((first, 1), |place| (place.file, place.start.line));
            let severity = match finding.severity {
                Severity::Error => "major",
                Severity::Warning => "minor",
                Severity::Note => "info",
            };
            json!({
                "description": format!("{}: {}", finding.code.id(), whole_text(finding)),
                "check_name": finding.code.name(),
                "fingerprint": fingerprint,
                "severity": severity,
                "location": {"path": path, "lines": {"begin": line}},
            })
        })
        .collect();
    format!("{:#}\n", Value::Array(entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_has_a_place_and_a_fingerprint_of_its_own() {
        let (sources, findings) = crate::report::gate::fixture::findings();
        let report: Value = serde_json::from_str(&findings_gitlab(&sources, &findings)).unwrap();
        let entries = report.as_array().unwrap();
        let mut prints: Vec<&str> = entries.iter().map(|entry| entry["fingerprint"].as_str().unwrap()).collect();
        prints.sort_unstable();
        prints.dedup();
        assert_eq!((entries.len(), prints.len()), (4, 4));
        insta::assert_snapshot!(format!("{:#}", entries[0]));
        assert_eq!(entries[3]["location"]["path"], "mesh/rules, 1:2.yaml");
    }
}
