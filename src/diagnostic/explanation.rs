//! Why a finding matters and how to settle it, from the texts in `explanations.md`.

use super::Code;

/// One part for each code: a paragraph that says why, one that begins with `Fix:`, and the two sides
/// of an example in blocks of YAML.
const TEXTS: &str = include_str!("explanations.md");

/// What is to be said about a kind of findings beyond its summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// What somebody sees in production.
    pub why: &'static str,
    /// What to do about it.
    pub fix: &'static str,
    /// A mesh with the finding and one without.
    pub example: Option<Example>,
}

/// Objects beside the services that [`Example::SURROUNDINGS`] has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// With the finding.
    pub before: &'static str,
    /// Without it.
    pub after: &'static str,
}

impl Example {
    /// What examples take for granted: services `reviews`, in two versions, and `ratings`.
    pub const SURROUNDINGS: &'static str = include_str!("surroundings.yaml");
}

impl Code {
    /// Why the finding matters and how to settle it.
    ///
    /// # Panics
    /// If the texts lack the code, which a test rules out.
    #[must_use]
    pub fn explanation(self) -> Explanation {
        explanation(self).expect("every code has an explanation")
    }
}

fn explanation(code: Code) -> Option<Explanation> {
    let (_, part) = TEXTS.split_once(&format!("## {}\n", code.id()))?;
    let part = part.split("\n## ").next()?;
    let (words, blocks) = part.split_once("```yaml\n").unwrap_or((part, ""));
    let mut blocks = blocks.split("```yaml\n").map(|block| block.trim_end().trim_end_matches("```"));
    let (why, fix) = words.split_once("\nFix: ")?;
    let example = match (blocks.next(), blocks.next()) {
        (Some(before), Some(after)) => Some(Example { before, after }),
        _ => None,
    };
    Some(Explanation { why: why.trim(), fix: fix.trim(), example })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained_in_order_and_nothing_else_is() {
        let explained: Vec<&str> = TEXTS.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        let codes: Vec<&str> = Code::ALL.iter().map(|code| code.id()).collect();
        assert_eq!(explained, codes);
        for code in Code::ALL {
            let text = explanation(*code).unwrap_or_else(|| panic!("{} has no `Fix:`", code.id()));
            assert!(!text.why.is_empty() && !text.fix.is_empty(), "{}", code.id());
            assert!(!text.fix.contains('`') || text.fix.matches('`').count().is_multiple_of(2), "{}", code.id());
        }
    }
}
