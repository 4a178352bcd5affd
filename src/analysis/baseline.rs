//! Findings that an old repository has already, so that only new ones count.
//!
//! A finding is known again by its kind, its object and its words, not by its place: lines move.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::diagnostic::Diagnostic;

/// The name and version of the format.
const SCHEMA: &str = "meshsim.baseline/1";

/// How often each finding is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Baseline {
    known: BTreeMap<Known, usize>,
}

/// What a finding is known by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    code: String,
    object: String,
    message: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: String,
    findings: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    known: Known,
    count: usize,
}

/// Why a text is no baseline.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// It is not what this program writes.
    #[error("no baseline: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It is of a version that this program does not know.
    #[error("a baseline of format `{0}`, and this program knows `{SCHEMA}`")]
    Version(String),
}

impl Known {
    fn of(finding: &Diagnostic) -> Self {
        Known {
            code: finding.code.id().to_owned(),
            object: finding.object.as_ref().map(ToString::to_string).unwrap_or_default(),
            message: finding.message.clone(),
        }
    }
}

impl Baseline {
    /// The baseline of these findings.
    #[must_use]
    pub fn of(findings: &[Diagnostic]) -> Self {
        let mut known = BTreeMap::new();
        for finding in findings {
            *known.entry(Known::of(finding)).or_insert(0) += 1;
        }
        Baseline { known }
    }

    /// Reads a baseline.
    ///
    /// # Errors
    /// The text is none.
    pub fn parse(text: &str) -> Result<Self, BaselineError> {
        let file: File = serde_json::from_str(text)?;
        if file.schema != SCHEMA {
            return Err(BaselineError::Version(file.schema));
        }
        let mut known = BTreeMap::new();
        for entry in file.findings {
            *known.entry(entry.known).or_insert(0) += entry.count;
        }
        Ok(Baseline { known })
    }

    /// The text of the file.
    ///
    /// # Panics
    /// Never: what it holds can be written.
    #[must_use]
    pub fn text(&self) -> String {
        let findings = self.known.iter().map(|(known, count)| Entry { known: known.clone(), count: *count }).collect();
        let file = File { schema: SCHEMA.to_owned(), findings };
        serde_json::to_string_pretty(&file).expect("texts and counts can be written") + "\n"
    }

    /// How many findings it knows.
    #[must_use]
    pub fn count(&self) -> usize {
        self.known.values().sum()
    }

    /// The findings that are new, and how many of the known ones are gone.
    #[must_use]
    pub fn unknown(mut self, findings: Vec<Diagnostic>) -> (Vec<Diagnostic>, usize) {
        let mut is_new = |finding: &Diagnostic| match self.known.get_mut(&Known::of(finding)) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        };
        let new = findings.into_iter().filter(|finding| is_new(finding)).collect();
        (new, self.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Code;

    #[test]
    fn only_what_is_new_is_left_and_what_is_gone_is_counted() {
        let finding = |message: &str| Diagnostic::new(Code::UndefinedSubset, message);
        let old = [finding("a"), finding("a"), finding("b")];
        let baseline = Baseline::parse(&Baseline::of(&old).text()).unwrap();
        assert_eq!(baseline, Baseline::of(&old));
        for (now, new, gone) in [
            (vec!["a", "a", "b"], vec![], 0),
            (vec!["a", "b"], vec![], 1),
            (vec!["a", "a", "a", "c"], vec!["a", "c"], 1),
            (vec![], vec![], 3),
        ] {
            let (left, missing) = baseline.clone().unknown(now.iter().map(|message| finding(message)).collect());
            let left: Vec<&str> = left.iter().map(|finding| finding.message.as_str()).collect();
            assert_eq!((left, missing), (new, gone), "{now:?}");
        }
    }

    #[test]
    fn what_is_no_baseline_is_refused() {
        for (text, why) in [
            ("", "no baseline: EOF"),
            ("[]", "no baseline: invalid"),
            (r#"{"schema": "meshsim.baseline/2", "findings": []}"#, "a baseline of format `meshsim.baseline/2`"),
        ] {
            assert!(Baseline::parse(text).unwrap_err().to_string().starts_with(why), "{text}");
        }
    }
}
