//! Findings for programs: one JSON object, or one line for each finding.

use serde_json::{Map, Value, json};

use super::wire::{Wire, wire};
use crate::diagnostic::{Diagnostic, Label, Severity};
use crate::source::Sources;

/// The name and version of the schema, found in the field `schema` of every result.
pub const FINDINGS_SCHEMA: &str = "meshsim.findings/1";

wire! {
    /// The findings about an input.
    struct Findings {
        /// Name and version of this schema.
        schema as "schema": String,
        /// Findings, by file and place.
        findings as "findings": Vec<Finding>,
        /// How many there are.
        summary as "summary": Summary,
    }

    /// One finding.
    struct Finding {
        /// Stable code, such as `MSH0301`.
        code as "code": String,
        /// Name of the code in words.
        name as "name": String,
        /// `error`, `warning` or `note`.
        severity as "severity": String,
        /// What is wrong.
        message as "message": String,
        /// Where; null if the finding is about the whole input.
        place as "place": Option<Place>,
        /// The object it is about.
        object as "object": Option<Object>,
        /// What it does to traffic.
        effect as "effect": Option<String>,
        /// What to try.
        help as "help": Option<String>,
        /// What the text at the place was generated from, such as a Helm template.
        origin as "origin": Option<String>,
        /// Codes of `istioctl analyze` for the same thing.
        ist as "ist": Vec<String>,
        /// Kiali's codes for the same thing.
        kia as "kia": Vec<String>,
        /// Other places that matter.
        related as "related": Vec<Related>,
    }

    /// A range in a file; lines and columns count from 1, columns in characters.
    struct Place {
        /// File, as it was named.
        file as "file": String,
        /// First line.
        line as "line": u64,
        /// First column.
        column as "column": u64,
        /// Last line.
        end_line as "endLine": u64,
        /// One past the last column.
        end_column as "endColumn": u64,
    }

    /// A place and what is to be seen there.
    struct Related {
        /// Where.
        place as "place": Option<Place>,
        /// What.
        text as "text": String,
    }

    /// An object of the mesh.
    struct Object {
        /// Kind.
        kind as "kind": String,
        /// Namespace; empty for objects of the cluster.
        namespace as "namespace": String,
        /// Name.
        name as "name": String,
    }

    /// Counts.
    struct Summary {
        /// Files that were read.
        files as "files": u64,
        /// Errors.
        errors as "errors": u64,
        /// Warnings.
        warnings as "warnings": u64,
        /// Notes.
        notes as "notes": u64,
        /// Findings that comments suppress, not listed.
        suppressed as "suppressed": u64,
        /// Findings of the baseline, not listed.
        known as "known": u64,
    }
}

/// Findings that are not listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FindingsTally {
    /// Suppressed by comments.
    pub suppressed: usize,
    /// In the baseline.
    pub known: usize,
}

/// The findings as one object.
///
/// # Panics
/// Never: what is written has a form in JSON.
#[must_use]
pub fn findings_json(sources: &Sources, findings: &[Diagnostic], tally: FindingsTally) -> String {
    let count = |severity: Severity| findings.iter().filter(|finding| finding.severity == severity).count() as u64;
    let all = Findings {
        schema: FINDINGS_SCHEMA.to_owned(),
        findings: findings.iter().map(|own| finding(sources, own)).collect(),
        summary: Summary {
            files: sources.iter().count() as u64,
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            notes: count(Severity::Note),
            suppressed: tally.suppressed as u64,
            known: tally.known as u64,
        },
    };
    serde_json::to_string_pretty(&all).expect("texts and numbers have a form in JSON") + "\n"
}

/// One object for each finding, each on a line of its own.
///
/// # Panics
/// Never: what is written has a form in JSON.
#[must_use]
pub fn findings_json_lines(sources: &Sources, findings: &[Diagnostic]) -> String {
    let line = |own| serde_json::to_string(&finding(sources, own)).expect("texts and numbers have a form in JSON") + "\n";
    findings.iter().map(line).collect()
}

/// The JSON Schema of [`findings_json`]'s output.
#[must_use]
pub fn findings_schema() -> Value {
    let mut definitions = Map::new();
    let root = Findings::schema(&mut definitions);
    definitions["Findings"]["properties"]["schema"]["const"] = FINDINGS_SCHEMA.into();
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Result of `meshsim check`",
        "allOf": [root],
        "definitions": definitions,
    })
}

fn finding(sources: &Sources, finding: &Diagnostic) -> Finding {
    let owned = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect();
    let primary = finding.primary.as_ref();
    Finding {
        code: finding.code.id().to_owned(),
        name: finding.code.name().to_owned(),
        severity: finding.severity.word().to_owned(),
        message: finding.message.clone(),
        place: primary.and_then(|label| place(sources, label)),
        object: finding.object.as_ref().map(|object| Object {
            kind: object.kind.clone(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
        }),
        effect: finding.effect.clone(),
        help: finding.help.clone(),
        origin: primary.and_then(|label| sources.origin(label.span)).map(str::to_owned),
        ist: owned(finding.code.ist()),
        kia: owned(finding.code.kia()),
        related: finding
            .secondary
            .iter()
            .map(|label| Related { place: place(sources, label), text: label.text.clone() })
            .collect(),
    }
}

fn place(sources: &Sources, label: &Label) -> Option<Place> {
    let source = sources.get(label.span.file)?;
    let (start, end) = (source.position(label.span.start), source.position(label.span.end));
    Some(Place {
        file: source.name().to_owned(),
        line: start.line.into(),
        column: start.column.into(),
        end_line: end.line.into(),
        end_column: end.column.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Code;
    use crate::source::Span;

    #[test]
    fn findings_as_json_have_every_field() {
        let mut sources = Sources::new();
        let file = sources.add("a.yaml", "a: b\n");
        let own = Diagnostic::new(Code::UndefinedSubset, "subset").labelled(Span { file, start: 3, end: 4 }, "here");
        insta::assert_snapshot!(findings_json(&sources, &[own], FindingsTally { suppressed: 1, known: 2 }));
    }

    #[test]
    fn the_schema_of_findings_is_documented() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&findings_schema()).unwrap());
    }
}
