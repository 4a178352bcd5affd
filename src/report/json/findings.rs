//! Findings for programs: one JSON object, or one line for each finding.

use serde_json::Value;

use super::wire::{Wire, document, wire};
use crate::analysis::{Fate, RuleReach, Sighting};
use crate::diagnostic::{Diagnostic, ObjectRef, Severity};
use crate::report::change::request_text;
use crate::routing::Opening;
use crate::source::{Sources, Span};

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
        /// What becomes of each match of each rule; null unless `--witnesses` asked for it.
        rules as "rules": Option<Vec<Rule>>,
    }

    /// A match of a rule, or a rule without matches.
    struct Rule {
        /// Where.
        place as "place": Option<Place>,
        /// The object it is part of.
        object as "object": Object,
        /// `live`, `dead`, `undecided`, or `unused` if no proxy of the input is given the rule.
        fate as "fate": String,
        /// A request that gets there, confirmed by the routing core; null unless live.
        witness as "witness": Option<Witness>,
        /// What takes every request; empty unless dead. A dead rule without is one whose conditions exclude each other, or the hosts of the rule.
        shadowed_by as "shadowedBy": Vec<Place>,
        /// Why it is not decided.
        because as "because": Option<String>,
    }

    /// A request to one proxy.
    struct Witness {
        /// The proxy that sends it, by name.
        proxy as "proxy": String,
        /// The port that is dialled.
        port as "port": u64,
        /// Whether it is sent inside TLS.
        tls as "tls": bool,
        /// Method.
        method as "method": String,
        /// Authority, or header `Host`.
        authority as "authority": String,
        /// Path and query.
        path as "path": String,
        /// Headers in order; a name may occur several times.
        headers as "headers": Vec<Header>,
        /// The request as one would type it.
        text as "text": String,
    }

    /// A header.
    struct Header {
        /// Name in lower case.
        name as "name": String,
        /// Value.
        value as "value": String,
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
        /// A change of the text that settles it.
        fix as "fix": Option<FixOf>,
    }

    /// A change of the text.
    struct FixOf {
        /// What it does.
        message as "message": String,
        /// Whether `--fix` makes it; the others are guesses that `--unsafe-fixes` makes.
        safe as "safe": bool,
        /// What is replaced: all of it or nothing.
        edits as "edits": Vec<Replacement>,
    }

    /// A part of a text and what stands there afterwards.
    struct Replacement {
        /// Where.
        place as "place": Option<Place>,
        /// The new text.
        text as "text": String,
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

/// The findings as one object, with what becomes of each rule if that was asked for.
///
/// # Panics
/// Never: what is written has a form in JSON.
#[must_use]
pub fn findings_json(sources: &Sources, findings: &[Diagnostic], tally: FindingsTally, rules: Option<&[RuleReach]>) -> String {
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
        rules: rules.map(|rules| rules.iter().map(|own| rule(sources, own)).collect()),
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
    document::<Findings>("Result of `meshsim check`", "Findings", FINDINGS_SCHEMA)
}

fn finding(sources: &Sources, finding: &Diagnostic) -> Finding {
    let owned = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect();
    let primary = finding.primary.as_ref();
    Finding {
        code: finding.code.id().to_owned(),
        name: finding.code.name().to_owned(),
        severity: finding.severity.word().to_owned(),
        message: finding.message.clone(),
        place: primary.and_then(|label| place(sources, label.span)),
        object: finding.object.as_ref().map(object),
        effect: finding.effect.clone(),
        help: finding.help.clone(),
        origin: primary.and_then(|label| sources.origin(label.span)).map(str::to_owned),
        ist: owned(finding.code.ist()),
        kia: owned(finding.code.kia()),
        related: finding
            .secondary
            .iter()
            .map(|label| Related { place: place(sources, label.span), text: label.text.clone() })
            .collect(),
        fix: finding.fix.as_ref().and_then(|fix| {
            let edits = fix
                .patches(sources)?
                .into_iter()
                .map(|patch| Replacement { place: place(sources, patch.span()), text: patch.text });
            Some(FixOf { message: fix.message.clone(), safe: fix.safe, edits: edits.collect() })
        }),
    }
}

fn object(own: &ObjectRef) -> Object {
    Object { kind: own.kind.clone(), namespace: own.namespace.clone(), name: own.name.clone() }
}

fn rule(sources: &Sources, reach: &RuleReach) -> Rule {
    let (mut witness, mut shadowed_by, mut because) = (None, Vec::new(), None);
    match &reach.fate {
        Some(Fate::Live(sighting)) => witness = Some(of_sighting(sighting)),
        Some(Fate::Shadowed(by)) => shadowed_by = by.iter().filter_map(|span| place(sources, *span)).collect(),
        Some(Fate::Undecided(why)) => because = Some(why.clone()),
        Some(Fate::Impossible) | None => {}
    }
    let fate = super::super::witnesses::word(reach.fate.as_ref()).1.to_owned();
    Rule { place: place(sources, reach.span), object: object(&reach.object), fate, witness, shadowed_by, because }
}

fn of_sighting(sighting: &Sighting) -> Witness {
    let (dial, request) = (&sighting.witness.dial, &sighting.witness.request);
    Witness {
        proxy: sighting.proxy.clone(),
        port: dial.port.into(),
        tls: matches!(dial.opening, Opening::Tls(_)),
        method: request.method.clone(),
        authority: request.authority.clone(),
        path: request.path.clone(),
        headers: request.headers.iter().map(|(name, value)| Header { name: name.clone(), value: value.clone() }).collect(),
        text: request_text(&sighting.witness),
    }
}

fn place(sources: &Sources, span: Span) -> Option<Place> {
    let source = sources.get(span.file)?;
    let (start, end) = (source.position(span.start), source.position(span.end));
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

    #[test]
    fn findings_as_json_have_every_field() {
        let mut sources = Sources::new();
        let file = sources.add("a.yaml", "a: b\n");
        let own = Diagnostic::new(Code::UndefinedSubset, "subset").labelled(Span { file, start: 3, end: 4 }, "here");
        insta::assert_snapshot!(findings_json(&sources, &[own], FindingsTally { suppressed: 1, known: 2 }, None));
    }

    #[test]
    fn the_schema_of_findings_is_documented() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&findings_schema()).unwrap());
    }
}
