//! Findings that somebody asked to leave out: by an annotation of the object, or by a comment at the
//! place.
//!
//! ```yaml
//! # meshsim:ignore MSH0301 until the release of v2
//! - destination: {host: reviews, subset: v2}
//! ```
//!
//! A comment beside YAML is about its own line, one on a line of its own about the next line, and one
//! before a document about the whole document.

use std::collections::BTreeSet;

use rustc_hash::{FxHashMap, FxHashSet};

use super::selection::Selector;
use crate::diagnostic::{Code, Diagnostic, Edit, Fix, ObjectRef};
use crate::resource::Objects;
use crate::source::{Sources, Span};
use crate::yaml::Document;

/// The annotation, which `istioctl analyze` reads too: `*`, or codes.
const ANNOTATION: &str = "galley.istio.io/analyze-suppress";

/// What a comment begins with.
const WORD: &str = "meshsim:ignore";

/// The findings without those that are suppressed on their object. Codes are ours or istioctl's,
/// separated by commas; as there, blanks and letter case count. A code of ours that suppresses
/// nothing is a finding itself; one of istioctl's may be meant for istioctl.
pub(super) fn apply(objects: &Objects, findings: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let annotated = objects.items.iter().filter_map(|object| Some((object, object.meta.annotations.get(ANNOTATION)?)));
    let annotated: Vec<_> = annotated.collect();
    let suppressed: FxHashMap<ObjectRef, &str> =
        annotated.iter().map(|(object, list)| (object.reference(), list.value.as_str())).collect();
    let mut used: FxHashSet<(ObjectRef, String)> = FxHashSet::default();
    let mut is_suppressed = |finding: &Diagnostic| {
        let Some(object) = finding.object.as_ref() else { return false };
        let Some(list) = suppressed.get(object) else { return false };
        let codes: Vec<&str> = list.split(',').filter(|code| names(code, finding)).collect();
        used.extend(codes.iter().map(|code| (object.clone(), (*code).to_owned())));
        !codes.is_empty()
    };
    let mut left: Vec<Diagnostic> = findings.into_iter().filter(|finding| !is_suppressed(finding)).collect();
    for (object, list) in annotated {
        for code in list.value.split(',').filter(|code| code.starts_with("MSH")) {
            if !used.contains(&(object.reference(), code.to_owned())) {
                let message = format!("the annotation suppresses `{code}`, which is not found here");
                left.push(Diagnostic::new(Code::UnusedSuppression, message).at(list.span).about(object.reference()));
            }
        }
    }
    left
}

fn names(code: &str, finding: &Diagnostic) -> bool {
    code == "*" || code == finding.code.id() || finding.code.ist().contains(&code)
}

/// A comment that suppresses findings, before it is known what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuppressingComment {
    span: Span,
    text: String,
    /// The document, if the comment stands before it.
    document: Option<Span>,
}

/// The comments of a document that suppress findings.
#[must_use]
pub fn comments(document: &Document) -> Vec<SuppressingComment> {
    let asked = document.comments.iter().filter_map(|comment| Some((comment.span, comment.text.strip_prefix(WORD)?)));
    let before = |span: Span| (span.end <= document.root.span.start).then_some(document.root.span);
    asked.map(|(span, text)| SuppressingComment { span, text: text.to_owned(), document: before(span) }).collect()
}

/// Findings that a comment suppresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// The comment.
    pub span: Span,
    /// Words for kinds of findings, as written.
    words: Vec<String>,
    /// What it is about.
    about: Span,
}

impl SuppressingComment {
    /// Finds out what the comment is about; `None` if there is nothing behind it.
    #[must_use]
    pub fn resolved(&self, sources: &Sources) -> Option<Suppression> {
        let source = sources.get(self.span.file)?;
        let line = source.position(self.span.start).line;
        let text_of = |line: u32| source.text().get(source.line_range(line)).unwrap_or_default();
        let stands_alone = text_of(line).trim_start().starts_with('#');
        let about = match self.document {
            Some(document) => document,
            None => {
                let is_written = |line: &u32| !matches!(text_of(*line).trim_start().chars().next(), None | Some('#'));
                let last = source.position(u32::try_from(source.text().len()).unwrap_or(u32::MAX)).line;
                let line = if stands_alone { (line + 1..=last).find(is_written)? } else { line };
                let bytes = source.line_range(line);
                let number = |byte: usize| u32::try_from(byte).unwrap_or(u32::MAX);
                Span { file: self.span.file, start: number(bytes.start), end: number(bytes.end) }
            }
        };
        Some(Suppression { span: self.span, words: words(&self.text), about })
    }
}

/// The codes in front of the reason: separated by commas, blanks behind a comma allowed.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for piece in text.split_whitespace() {
        words.extend(piece.split(',').filter(|word| !word.is_empty()).map(str::to_owned));
        if !piece.ends_with(',') {
            break;
        }
    }
    words
}

impl Suppression {
    fn is_about(&self, finding: &Diagnostic) -> bool {
        finding.primary.as_ref().is_some_and(|label| {
            label.span.file == self.about.file && (self.about.start..=self.about.end).contains(&label.span.start)
        })
    }
}

/// The findings that comments leave over, findings about the comments, and how many were suppressed.
#[must_use]
pub fn suppress(suppressions: &[Suppression], findings: Vec<Diagnostic>) -> (Vec<Diagnostic>, usize) {
    let mut about_comments = Vec::new();
    let mut rules: Vec<(Span, &str, Selector, &Suppression, bool)> = Vec::new();
    for own in suppressions {
        if own.words.is_empty() {
            let message = "the comment names no code, so it suppresses nothing";
            let help = "write `# meshsim:ignore CODE reason`";
            about_comments.push(Diagnostic::new(Code::UnknownSuppression, message).at(own.span).help(help));
        }
        for word in &own.words {
            match Selector::parse(word) {
                Ok(selector) => rules.push((own.span, word, selector, own, false)),
                Err(error) => {
                    about_comments.push(Diagnostic::new(Code::UnknownSuppression, error.to_string()).at(own.span));
                }
            }
        }
    }
    let before = findings.len();
    let mut repeats = Vec::new();
    // Words without which some finding would show.
    let mut needed: BTreeSet<usize> = BTreeSet::new();
    let mut left = Vec::with_capacity(before);
    for finding in findings {
        let hits: Vec<usize> =
            (0..rules.len()).filter(|at| rules[*at].2.means(finding.code) && rules[*at].3.is_about(&finding)).collect();
        match hits.as_slice() {
            [] => left.push(finding),
            [first, rest @ ..] => {
                rules[*first].4 = true;
                needed.insert(*first);
                for other in rest {
                    rules[*other].4 = true;
                    let message = format!("`{}` suppresses what another comment suppresses already", rules[*other].1);
                    let repeat = Diagnostic::new(Code::RepeatedSuppression, message).at(rules[*other].0);
                    repeats.push((*other, repeat.also(rules[*first].0, "suppresses it too")));
                }
            }
        }
    }
    let count = before - left.len();
    let removal = |at: usize| {
        let (span, word, _, own, _) = rules[at];
        let is_idle = |word: &String| {
            (0..rules.len()).any(|other| std::ptr::eq(rules[other].3, own) && rules[other].1 == word && !needed.contains(&other))
        };
        let edit = match own.words.iter().all(is_idle) {
            true => Edit::Comment { span },
            false => Edit::CommentWord { span, word: word.to_owned() },
        };
        (!needed.contains(&at)).then(|| Fix::safe("remove it", [edit]))
    };
    for at in (0..rules.len()).filter(|at| !rules[*at].4) {
        let message = format!("the comment suppresses `{}`, which is not found here", rules[at].1);
        let finding = Diagnostic::new(Code::UnusedSuppression, message).at(rules[at].0).help("remove it");
        about_comments.push(Diagnostic { fix: removal(at), ..finding });
    }
    repeats.dedup();
    left.append(&mut about_comments);
    left.extend(repeats.into_iter().map(|(at, finding)| Diagnostic { fix: removal(at), ..finding }));
    (left, count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Sources;
    use crate::yaml::{Limits, parse};

    /// What is left of one finding of `undefined-subset` at the word `v9`.
    fn left(yaml: &str) -> Vec<String> {
        let mut sources = Sources::new();
        let file = sources.add("a.yaml", yaml);
        let (documents, _) = parse(&sources, file, Limits::default());
        let all: Vec<Suppression> =
            documents.iter().flat_map(comments).filter_map(|comment| comment.resolved(&sources)).collect();
        let start = yaml.find("v9").unwrap() as u32;
        let finding = Diagnostic::new(Code::UndefinedSubset, "subset").at(Span { file, start, end: start + 2 });
        let (left, _) = suppress(&all, vec![finding]);
        left.iter().map(|finding| finding.code.name().to_owned()).collect()
    }

    #[test]
    fn comments_are_about_their_line_the_next_line_or_their_document() {
        for (yaml, codes) in [
            ("a: 1\nb: v9\n", vec!["undefined-subset"]),
            ("a: 1\nb: v9 # meshsim:ignore MSH0301\n", vec![]),
            ("a: 1\n# meshsim:ignore undefined-subset, MSH0302 why\nb: v9\n", vec!["unused-suppression"]),
            ("a: 1\n# meshsim:ignore IST0101 a reason\n\n# more\nb: v9\n", vec![]),
            ("# meshsim:ignore MSH03\na: 1\nb: v9\n", vec![]),
            ("a: 1 # meshsim:ignore MSH0301\nb: v9\n", vec!["undefined-subset", "unused-suppression"]),
            ("a: 1\n# meshsim:ignore\nb: v9\n", vec!["undefined-subset", "unknown-suppression"]),
            ("a: 1\n# meshsim:ignore MSH9999\nb: v9\n", vec!["undefined-subset", "unknown-suppression"]),
            ("a: 1\n# meshsim:ignore MSH0301\nb: v9 # meshsim:ignore MSH0301\n", vec!["repeated-suppression"]),
            ("# meshsim:ignore MSH0301\na: 1\n---\nb: v9\n", vec!["undefined-subset", "unused-suppression"]),
            ("a: '# meshsim:ignore MSH0301'\nb: v9\n", vec!["undefined-subset"]),
        ] {
            assert_eq!(left(yaml), codes, "{yaml}");
        }
    }
}
