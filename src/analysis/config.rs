//! The file that says once for a repository how it is checked.

use super::selection::{Selection, Selector};
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::source::Spanned;
use crate::yaml::{Cx, Decode, Document};

crate::record! {
    /// How a repository is checked.
    pub struct CheckConfig {
        /// Only findings of these kinds: codes, beginnings of codes, names, or codes of istioctl and Kiali.
        pub select: Vec<Spanned<String>> = "select",
        /// No findings of these kinds.
        pub ignore: Vec<Spanned<String>> = "ignore",
        /// The severity from which findings fail the check; `error` if absent.
        pub fail_on: Option<FailOn> = "failOn",
        /// File with the findings that are known, relative to this file.
        pub baseline: Option<Spanned<String>> = "baseline",
    }
}

crate::choice! {
    /// The severity from which findings fail a check.
    pub enum FailOn {
        /// Errors.
        Error = "error",
        /// Warnings and errors.
        Warning = "warning",
        /// Everything.
        Note = "note",
        /// Nothing fails the check.
        Never = "never",
    }
}

impl FailOn {
    /// As a severity.
    #[must_use]
    pub const fn severity(self) -> Option<Severity> {
        match self {
            FailOn::Error => Some(Severity::Error),
            FailOn::Warning => Some(Severity::Warning),
            FailOn::Note => Some(Severity::Note),
            FailOn::Never => None,
        }
    }
}

/// Reads the file. A misspelt field asks for something else than was meant, so every finding is an
/// error.
#[must_use]
pub fn decode(document: &Document) -> (Option<CheckConfig>, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let config = CheckConfig::decode(&document.root, &mut Cx::new(&mut diagnostics));
    diagnostics.iter_mut().for_each(|finding| finding.severity = Severity::Error);
    (config, diagnostics)
}

impl CheckConfig {
    /// What it selects, and what is wrong with its words.
    #[must_use]
    pub fn selection(&self) -> (Selection, Vec<Diagnostic>) {
        let mut wrong = Vec::new();
        let mut read = |words: &[Spanned<String>]| -> Vec<Selector> {
            let mut selectors = Vec::new();
            for word in words {
                match Selector::parse(word) {
                    Ok(selector) => selectors.push(selector),
                    Err(error) => {
                        let mut finding = Diagnostic::new(Code::InvalidValue, error.to_string()).at(word.span);
                        finding.severity = Severity::Error;
                        wrong.push(finding);
                    }
                }
            }
            selectors
        };
        let (select, ignore) = (read(&self.select), read(&self.ignore));
        let fail_on = self.fail_on.map_or(Some(Severity::Error), FailOn::severity);
        (Selection { select, ignore, fail_on }, wrong)
    }
}

/// The JSON Schema of the file.
#[must_use]
pub fn schema() -> serde_json::Value {
    let mut definitions = serde_json::Map::new();
    let root = CheckConfig::schema(&mut definitions);
    serde_json::json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "How meshsim checks a repository (.meshsim.yaml)",
        "allOf": [root],
        "definitions": definitions,
    })
}
