//! SARIF 2.1.0, for code scanning and editors.

use serde_json::{Value, json};

use super::place::{self, Place};
use crate::diagnostic::{Code, Diagnostic, Fix, Label, Patch, Severity};
use crate::source::{Position, Sources};

/// The log of one run. Rules are those of which there are findings.
#[must_use]
pub fn findings_sarif(sources: &Sources, findings: &[Diagnostic]) -> String {
    let mut codes: Vec<Code> = findings.iter().map(|finding| finding.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let rules: Vec<Value> = codes.iter().map(|code| rule(*code)).collect();
    let results: Vec<Value> = findings
        .iter()
        .zip(place::fingerprints(sources, findings))
        .map(|(finding, fingerprint)| result(sources, finding, &codes, &fingerprint))
        .collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "meshsim", "semanticVersion": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{log:#}\n")
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

fn rule(code: Code) -> Value {
    let others: Vec<&str> = code.ist().iter().chain(code.kia()).copied().collect();
    json!({
        "id": code.id(),
        "name": code.name(),
        "shortDescription": {"text": code.summary()},
        "fullDescription": {"text": code.explanation().why},
        "help": {"text": code.explanation().fix},
        "defaultConfiguration": {"level": level(code.severity())},
        "properties": {"tags": others},
    })
}

fn result(sources: &Sources, finding: &Diagnostic, codes: &[Code], fingerprint: &str) -> Value {
    // Code scanning wants a place for everything: what has none is said of the first file.
    let start = Position { line: 1, column: 1 };
    let first = sources.iter().next().map(|(_, source)| Place { file: source.name(), start, end: start });
    let mut location = json!({});
    if let Some(place) = place::of(sources, finding).or(first) {
        location["physicalLocation"] = physical(place);
    }
    if let Some(object) = &finding.object {
        location["logicalLocations"] = json!([{"fullyQualifiedName": object.to_string(), "kind": "resource"}]);
    }
    let related = |(id, label): (usize, &Label)| {
        let place = place::of_label(sources, label)?;
        Some(json!({"id": id + 1, "physicalLocation": physical(place), "message": {"text": label.text}}))
    };
    let related: Vec<Value> = finding.secondary.iter().enumerate().filter_map(related).collect();
    let mut result = json!({
        "ruleId": finding.code.id(),
        "ruleIndex": codes.binary_search(&finding.code).unwrap_or_default(),
        "level": level(finding.severity),
        "message": {"text": place::whole_text(finding)},
        "locations": [location],
        "partialFingerprints": {"meshsim/v1": fingerprint},
    });
    if !related.is_empty() {
        result["relatedLocations"] = related.into();
    }
    if let Some(fix) = finding.fix.as_ref().and_then(|fix| fixed(sources, fix)) {
        result["fixes"] = json!([fix]);
    }
    result
}

fn fixed(sources: &Sources, fix: &Fix) -> Option<Value> {
    let patches = fix.patches(sources)?;
    let file = patches.first()?.file;
    let source = sources.get(file)?;
    let replacement = |patch: &Patch| {
        let span = patch.span();
        let (start, end) = (source.position(span.start), source.position(span.end));
        json!({"deletedRegion": region(start, end), "insertedContent": {"text": patch.text}})
    };
    // Every fix changes one file.
    let replacements: Vec<Value> = patches.iter().filter(|patch| patch.file == file).map(replacement).collect();
    Some(json!({
        "description": {"text": fix.message},
        "artifactChanges": [{"artifactLocation": {"uri": uri(source.name())}, "replacements": replacements}],
    }))
}

fn physical(place: Place<'_>) -> Value {
    json!({
        "artifactLocation": {"uri": uri(place.file)},
        "region": region(place.start, place.end),
    })
}

fn region(start: Position, end: Position) -> Value {
    json!({"startLine": start.line, "startColumn": start.column, "endLine": end.line, "endColumn": end.column})
}

/// A path as a relative reference (RFC 3986).
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b if b.is_ascii_alphanumeric() || b"/-._~".contains(&b) => out.push(char::from(b)),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_has_rules_places_and_fingerprints() {
        let (sources, findings) = crate::report::gate::fixture::findings();
        let text = findings_sarif(&sources, &findings).replace(env!("CARGO_PKG_VERSION"), "VERSION");
        insta::assert_snapshot!(text);
    }
}
