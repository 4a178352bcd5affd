//! Which kinds of findings a word means, and which findings count.

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::yaml::nearest;

/// A word for kinds of findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    codes: Vec<Code>,
}

/// A word that means no kind of finding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is no code of a finding{}", near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
pub struct UnknownSelector {
    word: String,
    near: Option<&'static str>,
}

impl Selector {
    /// Reads a word: a code (`MSH0301`) or the beginning of codes (`MSH03`), a name
    /// (`undefined-subset`), a code of `istioctl analyze` or Kiali (`IST0101`), or `all`.
    ///
    /// # Errors
    /// No kind of finding is called that.
    pub fn parse(word: &str) -> Result<Self, UnknownSelector> {
        let upper = word.to_ascii_uppercase();
        let is_beginning = upper.len() > 3 && upper.starts_with("MSH");
        let means = |code: &Code| {
            let cross = code.ist().iter().chain(code.kia()).any(|other| *other == upper);
            upper == "ALL" || (is_beginning && code.id().starts_with(&upper)) || code.name().eq_ignore_ascii_case(word) || cross
        };
        let codes: Vec<Code> = Code::ALL.iter().copied().filter(means).collect();
        if codes.is_empty() {
            let words = Code::ALL.iter().flat_map(|code| [code.id(), code.name()]);
            return Err(UnknownSelector { word: word.to_owned(), near: nearest(word, words) });
        }
        Ok(Selector { codes })
    }

    /// Whether it means this kind.
    #[must_use]
    pub fn means(&self, code: Code) -> bool {
        self.codes.contains(&code)
    }
}

/// Which findings are shown, and which of them fail a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Only these; all if empty.
    pub select: Vec<Selector>,
    /// But not these.
    pub ignore: Vec<Selector>,
    /// The severity from which a finding fails the check; `None` if none does.
    pub fail_on: Option<Severity>,
}

impl Default for Selection {
    fn default() -> Self {
        Selection { select: Vec::new(), ignore: Vec::new(), fail_on: Some(Severity::Error) }
    }
}

impl Selection {
    /// Whether findings of a kind are shown.
    #[must_use]
    pub fn shows(&self, code: Code) -> bool {
        let named = |selectors: &[Selector]| selectors.iter().any(|selector| selector.means(code));
        (self.select.is_empty() || named(&self.select)) && !named(&self.ignore)
    }

    /// Whether a finding fails the check.
    #[must_use]
    pub fn fails(&self, finding: &Diagnostic) -> bool {
        self.fail_on.is_some_and(|least| finding.severity >= least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_kinds_of_findings() {
        for (word, code, means) in [
            ("MSH0301", Code::UndefinedSubset, true),
            ("msh03", Code::UndefinedSubset, true),
            ("MSH02", Code::UndefinedSubset, false),
            ("undefined-subset", Code::UndefinedSubset, true),
            ("IST0101", Code::UndefinedSubset, true),
            ("KIA1107", Code::UndefinedSubset, true),
            ("KIA1101", Code::UndefinedSubset, false),
            ("all", Code::UndefinedSubset, true),
        ] {
            assert_eq!(Selector::parse(word).unwrap().means(code), means, "{word}");
        }
        for (word, message) in [
            ("MSH9999", "`MSH9999` is no code of a finding"),
            ("undefined-subsets", "`undefined-subsets` is no code of a finding; did you mean `undefined-subset`?"),
            ("", "`` is no code of a finding"),
            ("MSH", "`MSH` is no code of a finding"),
        ] {
            assert!(Selector::parse(word).unwrap_err().to_string().starts_with(message), "{word}");
        }
    }

    #[test]
    fn what_is_ignored_is_not_shown_even_if_it_is_selected() {
        let selectors = |words: &[&str]| words.iter().map(|word| Selector::parse(word).unwrap()).collect::<Vec<_>>();
        for (select, ignore, shown) in
            [(&[][..], &[][..], true), (&["MSH03"], &[], true), (&["MSH02"], &[], false), (&["MSH03"], &["IST0101"], false)]
        {
            let selection = Selection { select: selectors(select), ignore: selectors(ignore), ..Selection::default() };
            assert_eq!(selection.shows(Code::UndefinedSubset), shown, "{select:?} {ignore:?}");
        }
    }
}
