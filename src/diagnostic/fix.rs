//! Fixes: changes of a text that settle a finding, and keep everything else in it as it was.
//!
//! Who finds something knows places and values, not the text. So an [`Edit`] says what it expects at a
//! place and what becomes of it, and [`Fix::patches`] looks whether that is there: a value that came
//! through an alias, a block scalar or a template is left alone.

use std::ops::Range;

use crate::source::{FileId, Sources, Span};

/// What settles a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// What it does, in the imperative: "quote the value".
    pub message: String,
    /// Whether it keeps what the mesh does, or makes the mesh accept what nobody can have meant
    /// otherwise. Others are guesses.
    pub safe: bool,
    /// The edits; all of them or none.
    pub edits: Vec<Edit>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// A word becomes another one; quotes around it stay.
    Word {
        /// Where it stands.
        span: Span,
        /// What it is.
        old: String,
        /// What it becomes.
        new: String,
    },
    /// A plain word gets quotes.
    Quote {
        /// Where it stands.
        span: Span,
        /// What it is.
        old: String,
    },
    /// A word loses its quotes.
    Unquote {
        /// Where it stands, quotes included.
        span: Span,
        /// What it is.
        old: String,
    },
    /// The key of a value becomes another one.
    Key {
        /// Where the value stands.
        value: Span,
        /// The key.
        old: String,
        /// What it becomes.
        new: String,
    },
    /// An item of a list becomes a part of the one before it.
    Dash {
        /// Where the item stands.
        item: Span,
    },
    /// A comment goes, and its line with it if nothing else is there.
    Comment {
        /// Where it stands.
        span: Span,
    },
    /// A word goes out of a list in a comment.
    CommentWord {
        /// Where the comment stands.
        span: Span,
        /// The word.
        word: String,
    },
}

/// Bytes of a text that are replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// The text.
    pub file: FileId,
    /// What is replaced.
    pub range: Range<usize>,
    /// What stands there afterwards.
    pub text: String,
}

impl Patch {
    /// What is replaced, as a place.
    #[must_use]
    pub fn span(&self) -> Span {
        let number = |byte: usize| u32::try_from(byte).unwrap_or(u32::MAX);
        Span { file: self.file, start: number(self.range.start), end: number(self.range.end) }
    }
}

impl Fix {
    /// A fix that is certain.
    pub fn safe(message: impl Into<String>, edits: impl Into<Vec<Edit>>) -> Self {
        Fix { message: message.into(), safe: true, edits: edits.into() }
    }

    /// A fix that is a guess.
    pub fn guess(message: impl Into<String>, edits: impl Into<Vec<Edit>>) -> Self {
        Fix { safe: false, ..Fix::safe(message, edits) }
    }

    /// A misspelt word becomes the one that was meant: certain if only letter case differs and
    /// `is_refused`, a guess otherwise.
    #[must_use]
    pub fn spelling(span: Span, old: &str, new: &str, is_refused: bool) -> Self {
        let edit = Edit::Word { span, old: old.to_owned(), new: new.to_owned() };
        let safe = is_refused && old.eq_ignore_ascii_case(new);
        Fix { message: format!("write `{new}`"), safe, edits: vec![edit] }
    }

    /// What is to be replaced; `None` if the texts do not have what the edits expect.
    #[must_use]
    pub fn patches(&self, sources: &Sources) -> Option<Vec<Patch>> {
        self.edits.iter().map(|edit| edit.patch(sources)).collect()
    }
}

impl Edit {
    fn span(&self) -> Span {
        match self {
            Edit::Word { span, .. }
            | Edit::Quote { span, .. }
            | Edit::Unquote { span, .. }
            | Edit::Comment { span }
            | Edit::CommentWord { span, .. } => *span,
            Edit::Key { value, .. } => *value,
            Edit::Dash { item } => *item,
        }
    }

    fn patch(&self, sources: &Sources) -> Option<Patch> {
        let span = self.span();
        let text = sources.get(span.file)?.text();
        let at = span.start as usize..span.end as usize;
        let here = text.get(at.clone())?;
        let (range, text) = match self {
            Edit::Word { old, new, .. } => word(here, old, new).map(|(range, new)| (shifted(range, at.start), new))?,
            Edit::Quote { old, .. } => (here == old && !old.contains(['"', '\\'])).then(|| (at, format!("\"{old}\"")))?,
            Edit::Unquote { old, .. } => {
                let quoted = [format!("\"{old}\""), format!("'{old}'")].iter().any(|quoted| quoted == here);
                quoted.then(|| (at, old.clone()))?
            }
            Edit::Key { old, new, .. } => {
                let before = text[..at.start].trim_end().strip_suffix(':')?.trim_end();
                let end = before.strip_suffix(['"', '\'']).unwrap_or(before).len();
                let start = end.checked_sub(old.len())?;
                let is_key = text.get(start..end)? == old && !text[..start].ends_with(|c: char| c.is_alphanumeric());
                is_key.then(|| (start..end, new.clone()))?
            }
            Edit::Dash { .. } => dash(text, at.start).map(|range| (range, " ".to_owned()))?,
            Edit::Comment { .. } => (comment(text, at)?, String::new()),
            Edit::CommentWord { word, .. } => (shifted(list_item(here, word)?, at.start), String::new()),
        };
        Some(Patch { file: span.file, range, text })
    }
}

fn shifted(range: Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}

/// The word inside its quotes, and the other one as it is written there.
fn word(here: &str, old: &str, new: &str) -> Option<(Range<usize>, String)> {
    let quote = here.chars().next().filter(|first| here.len() > 1 && matches!(first, '"' | '\'') && here.ends_with(*first));
    let written = |word: &str| match quote {
        Some('"') => word.replace('\\', "\\\\").replace('"', "\\\""),
        Some(_) => word.replace('\'', "''"),
        None => word.to_owned(),
    };
    let inside = if quote.is_some() { 1..here.len() - 1 } else { 0..here.len() };
    (here[inside.clone()] == written(old)).then(|| (inside, written(new)))
}

/// The dash in front of an item, if the item begins with a key and the dash stands in a line with it.
fn dash(text: &str, item: usize) -> Option<Range<usize>> {
    let before = text[..item].trim_end_matches(' ');
    let is_key = text[item..].starts_with(|c: char| c.is_alphanumeric());
    let at = before.len().checked_sub(1).filter(|at| is_key && before.as_bytes()[*at] == b'-')?;
    let indented = before[..at].rsplit('\n').next()?.bytes().all(|byte| byte == b' ');
    indented.then_some(at..at + 1)
}

/// A comment with the blanks before it, or its whole line.
fn comment(text: &str, at: Range<usize>) -> Option<Range<usize>> {
    let line = text[..at.start].rfind('\n').map_or(0, |end| end + 1);
    let before = text[line..at.start].trim_end_matches([' ', '\t']);
    let rest = &text[at.end..];
    let end = at.end + rest.find('\n').unwrap_or(rest.len());
    if !text[at.start..].starts_with('#') {
        return None;
    }
    if before.is_empty() {
        return Some(line..(end + 1).min(text.len()));
    }
    let end = if text[..end].ends_with('\r') { end - 1 } else { end };
    Some(line + before.len()..end)
}

/// A word of a list with the comma that belongs to it.
fn list_item(comment: &str, word: &str) -> Option<Range<usize>> {
    let is_part = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let (start, _) = comment.match_indices(word).find(|(start, _)| {
        let end = start + word.len();
        !comment[..*start].ends_with(is_part) && !comment[end..].starts_with(is_part)
    })?;
    let end = start + word.len();
    if let Some(rest) = comment[end..].strip_prefix(',') {
        return Some(start..comment.len() - rest.trim_start().len());
    }
    let before = comment[..start].trim_end().strip_suffix(',')?;
    Some(before.len()..end)
}

/// The patches of fixes that do not get into each other's way, first come first served; equal ones
/// count once.
#[must_use]
pub fn joined(sources: &Sources, fixes: &[&Fix]) -> Vec<Patch> {
    let mut taken: Vec<Patch> = Vec::new();
    for fix in fixes {
        let Some(patches) = fix.patches(sources) else { continue };
        let new: Vec<Patch> = patches.into_iter().filter(|patch| !taken.contains(patch)).collect();
        let meets = |a: &Patch, b: &Patch| a.file == b.file && a.range.start < b.range.end && b.range.start < a.range.end;
        if !new.iter().any(|patch| taken.iter().any(|other| meets(patch, other))) {
            taken.extend(new);
        }
    }
    taken.sort_by_key(|patch| (patch.file, patch.range.start));
    taken
}

/// The texts with patches put in. Ids stay.
#[must_use]
pub fn patched(sources: &Sources, patches: &[Patch]) -> Sources {
    let mut all = Sources::new();
    for (file, source) in sources.iter() {
        let mut text = source.text().to_owned();
        for patch in patches.iter().rev().filter(|patch| patch.file == file) {
            text.replace_range(patch.range.clone(), &patch.text);
        }
        all.add(source.name(), text);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text after an edit at the place of some words.
    fn after(text: &str, words: &str, edit: fn(Span) -> Edit) -> Option<String> {
        let mut sources = Sources::new();
        let file = sources.add("a.yaml", text);
        let start = text.find(words).expect("the words are there") as u32;
        let fix = Fix::safe("fix", [edit(Span { file, start, end: start + words.len() as u32 })]);
        let patches = fix.patches(&sources)?;
        Some(patched(&sources, &patches).get(file).expect("the text is there").text().to_owned())
    }

    fn word(span: Span) -> Edit {
        Edit::Word { span, old: "hots".to_owned(), new: "hosts".to_owned() }
    }

    fn value(span: Span) -> Edit {
        Edit::Key { value: span, old: "regex".to_owned(), new: "exact".to_owned() }
    }

    #[test]
    fn edits_keep_what_stands_around_them() {
        let quote: fn(Span) -> Edit = |span| Edit::Quote { span, old: "1.10".to_owned() };
        let unquote: fn(Span) -> Edit = |span| Edit::Unquote { span, old: "80".to_owned() };
        let comment: fn(Span) -> Edit = |span| Edit::Comment { span };
        let dash: fn(Span) -> Edit = |item| Edit::Dash { item };
        let cut: fn(Span) -> Edit = |span| Edit::CommentWord { span, word: "MSH2".to_owned() };
        for (text, words, edit, expected) in [
            ("hots: [a] # x\n", "hots", word as fn(Span) -> Edit, Some("hosts: [a] # x\n")),
            ("{\"hots\": 1}", "\"hots\"", word, Some("{\"hosts\": 1}")),
            ("hots: *hots\n", "*hots", word, None),
            ("version: 1.10  # ten\r\n", "1.10", quote, Some("version: \"1.10\"  # ten\r\n")),
            ("port: '80'\n", "'80'", unquote, Some("port: 80\n")),
            ("port: >-\n  80\n", ">-\n  80", unquote, None),
            ("uri: {regex: /a}\n", "/a", value, Some("uri: {exact: /a}\n")),
            ("\"regex\" : \"/a\"", "\"/a\"", value, Some("\"exact\" : \"/a\"")),
            ("noregex: /a\n", "/a", value, None),
            ("a: 1\n  # note\nb: 2\n", "# note", comment, Some("a: 1\nb: 2\n")),
            ("a: 1  # note\r\nb: 2\n", "# note", comment, Some("a: 1\r\nb: 2\n")),
            ("- port: 80\n- uri: x\n", "uri: x", dash, Some("- port: 80\n  uri: x\n")),
            ("[{port: 80}, {uri: x}]\n", "{uri: x}", dash, None),
            ("# ignore MSH1, MSH2, MSH3 why\n", "# ignore MSH1, MSH2, MSH3 why", cut, Some("# ignore MSH1, MSH3 why\n")),
            ("# ignore MSH1,MSH2 why\n", "# ignore MSH1,MSH2 why", cut, Some("# ignore MSH1 why\n")),
            ("# ignore MSH22,MSH2\n", "# ignore MSH22,MSH2", cut, Some("# ignore MSH22\n")),
        ] {
            assert_eq!(after(text, words, edit).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn quotes_decide_how_a_word_is_written() {
        let dot: fn(Span) -> Edit = |span| Edit::Word { span, old: "a.b".to_owned(), new: "a\\.b".to_owned() };
        for (text, words, expected) in
            [("x: a.b", "a.b", "x: a\\.b"), ("x: 'a.b'", "'a.b'", "x: 'a\\.b'"), ("x: \"a.b\"", "\"a.b\"", "x: \"a\\\\.b\"")]
        {
            assert_eq!(after(text, words, dot).as_deref(), Some(expected));
        }
    }

    #[test]
    fn fixes_that_meet_wait_and_equal_ones_count_once() {
        let mut sources = Sources::new();
        let file = sources.add("a.yaml", "hots: 1\n");
        let span = Span { file, start: 0, end: 4 };
        let first = Fix::spelling(span, "hots", "hosts", false);
        let second = Fix::spelling(span, "hots", "ports", false);
        let patches = joined(&sources, &[&first, &first, &second]);
        assert_eq!(patched(&sources, &patches).get(file).expect("it is there").text(), "hosts: 1\n");
    }
}
