//! Tests brought up to date: what is now, written over what was expected.

use std::collections::BTreeMap;

use super::case::Failure;
use crate::diagnostic::{Code, Diagnostic};
use crate::source::{FileId, Sources, Span};

/// Texts with corrections.
#[derive(Debug, Clone, Default)]
pub struct Corrected<'f> {
    /// Names and texts of the files that change.
    pub files: Vec<(String, String)>,
    /// How many values were replaced.
    pub corrections: usize,
    /// Claims that no single value would mend, or whose cases want different values in one place.
    pub left: Vec<&'f Failure>,
}

/// Replaces every value that a failure would correct, unless two failures want different ones.
#[must_use]
pub fn corrected<'f>(sources: &Sources, failures: impl IntoIterator<Item = &'f Failure>) -> Corrected<'f> {
    let mut wanted: BTreeMap<Span, Vec<&Failure>> = BTreeMap::new();
    let mut result = Corrected::default();
    for failure in failures {
        match &failure.correction {
            Some(_) if failure.span.is_somewhere() => wanted.entry(failure.span).or_default().push(failure),
            _ => result.left.push(failure),
        }
    }
    let mut edits: BTreeMap<FileId, Vec<(Span, String)>> = BTreeMap::new();
    for (span, failures) in wanted {
        let first = failures[0].correction.clone().unwrap_or_default();
        if failures.iter().all(|failure| failure.correction.as_deref() == Some(first.as_str())) {
            edits.entry(span.file).or_default().push((span, scalar(&first)));
        } else {
            result.left.extend(failures);
        }
    }
    for (file, edits) in edits {
        let Some(source) = sources.get(file) else { continue };
        let mut text = source.text().to_owned();
        result.corrections += edits.len();
        // From the end, so that earlier places stay where they are.
        for (span, new) in edits.iter().rev() {
            text.replace_range(span.start as usize..span.end as usize, new);
        }
        result.files.push((source.name().to_owned(), text));
    }
    result
}

/// A scalar as YAML writes it: plain where that is safe, else quoted.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-%|".contains(c);
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/') && text.chars().all(plain);
    let is_word = !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    if is_plain && is_word { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

/// The finding about a condition that the format of a test cannot ask for.
#[must_use]
pub fn undecided(what: &str, span: Span) -> Diagnostic {
    Diagnostic::new(Code::TestUndecided, format!("the rule asks for `{what}`, which tests of istio-config-validator cannot say"))
        .at(span)
        .effect("the tests take it as met")
        .help("write the test in this program's own format")
}
