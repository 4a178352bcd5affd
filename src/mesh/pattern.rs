//! RE2 patterns, as Envoy runs them, on the `regex` crate.
//!
//! [`Pattern::new`] refuses what RE2 refuses and translates what means something else (see
//! `re2`). Istio's admission refuses more: what Go's `regexp` does not compile, and
//! patterns of more than 1024 bytes; that is validation's concern. All matches are full matches.

use std::sync::OnceLock;

use regex::Regex;

use super::re2::translate;

/// A compiled RE2 pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    source: String,
    /// Matches whole texts.
    full: Regex,
    /// Matches parts of texts; compiled when the first rewrite asks for it.
    part: OnceLock<Regex>,
}

const FULL_START: &str = "\\A(?:";
const FULL_END: &str = ")\\z";

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Pattern {}

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
        let translated = translate(source)?;
        let full = Regex::new(&format!("{FULL_START}{translated}{FULL_END}")).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => PatternError("pattern is too big".to_owned()),
            other => PatternError(other.to_string()),
        })?;
        Ok(Pattern { source: source.to_owned(), full, part: OnceLock::new() })
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

    /// The pattern in the syntax of the `regex` crates, anchored at both ends: what builds an automaton
    /// of the texts that match.
    #[must_use]
    pub fn anchored_syntax(&self) -> &str {
        self.full.as_str()
    }

    fn part(&self) -> &Regex {
        self.part.get_or_init(|| {
            let full = self.full.as_str();
            let text = &full[FULL_START.len()..full.len() - FULL_END.len()];
            Regex::new(text).expect("a pattern that compiles between anchors compiles without them")
        })
    }

    /// Replaces every match in `text`; `\0` to `\9` in `substitution` are groups and `\\` is a
    /// backslash (RE2's `GlobalReplace`). A substitution that names a group which the pattern does
    /// not have changes nothing.
    #[must_use]
    pub fn replace_all(&self, text: &str, substitution: &str) -> String {
        let pieces = pieces(substitution);
        let groups = self.full.captures_len();
        if pieces.iter().any(|piece| matches!(piece, Piece::Group(group) if *group >= groups)) {
            return text.to_owned();
        }
        let replaced = self.part().replace_all(text, |found: &regex::Captures<'_>| {
            let value = |piece: &Piece<'_>| match piece {
                Piece::Text(text) => (*text).to_owned(),
                Piece::Group(group) => found.get(*group).map_or_else(String::new, |m| m.as_str().to_owned()),
            };
            pieces.iter().map(value).collect::<String>()
        });
        replaced.into_owned()
    }
}

/// A piece of a substitution.
enum Piece<'a> {
    /// As it is.
    Text(&'a str),
    /// What a group matched.
    Group(usize),
}

/// The pieces of a substitution. It ends where a backslash is followed by anything but a digit or a
/// backslash.
fn pieces(substitution: &str) -> Vec<Piece<'_>> {
    let mut all = Vec::new();
    let mut rest = substitution;
    while let Some(backslash) = rest.find('\\') {
        all.push(Piece::Text(&rest[..backslash]));
        let after = &rest[backslash + 1..];
        match after.as_bytes().first() {
            Some(digit) if digit.is_ascii_digit() => all.push(Piece::Group(usize::from(digit - b'0'))),
            Some(b'\\') => all.push(Piece::Text("\\")),
            _ => return all,
        }
        rest = &after[1..];
    }
    all.push(Piece::Text(rest));
    all
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// What the real RE2 says: `tests/data/re2.json` was written by PyPI's `google-re2`, which is
    /// asked for each pattern whether it compiles, which of the texts it matches as a whole, and
    /// what it makes of them in a global replacement.
    const TABLE: &str = include_str!("../../tests/data/re2.json");

    fn rows() -> Vec<Value> {
        serde_json::from_str(TABLE).unwrap()
    }

    #[test]
    fn patterns_are_accepted_and_match_as_in_re2() {
        let mut wrong = Vec::new();
        for row in rows() {
            let source = row["pattern"].as_str().unwrap();
            let pattern = Pattern::new(source);
            if pattern.is_ok() != row["accepted"].as_bool().unwrap() {
                wrong.push(format!("`{source}`: accepted should be {}, is {pattern:?}", row["accepted"]));
            }
            let (Ok(pattern), Some(verdicts)) = (pattern, row["matches"].as_object()) else { continue };
            for (text, verdict) in verdicts {
                if pattern.matches(text) != verdict.as_bool().unwrap() {
                    wrong.push(format!("`{source}` on {text:?} should be {verdict}; {}", pattern.full));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(rows().len() >= 120);
    }

    #[test]
    fn replacements_are_those_of_re2() {
        let mut compared = 0;
        for row in rows() {
            let Some(replacements) = row["replacements"].as_array() else { continue };
            let pattern = Pattern::new(row["pattern"].as_str().unwrap()).unwrap();
            for replacement in replacements {
                let [substitution, text, result] =
                    ["substitution", "text", "result"].map(|key| replacement[key].as_str().unwrap());
                assert_eq!(pattern.replace_all(text, substitution), result, "{row}");
                compared += 1;
            }
        }
        assert!(compared >= 18, "{compared}");
    }

    #[test]
    fn impossible_substitutions_are_cut_or_ignored() {
        let pattern = Pattern::new("b(.)").unwrap();
        for (substitution, result) in [("\\2", "abcd"), ("x\\", "axd"), ("x\\qy", "axd"), ("\\\\\\1", "a\\cd"), ("", "ad")] {
            assert_eq!(pattern.replace_all("abcd", substitution), result, "{substitution}");
        }
    }
}
