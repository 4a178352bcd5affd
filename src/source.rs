//! Named texts and places in them.
//!
//! A [`Span`] is small and copyable; it means something only together with the [`Sources`] it came
//! from. Lines and columns are computed when someone asks.

use std::fmt;

/// Which text of a [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u32);

/// A range of bytes in one text. The default span points nowhere and stands for things that the
/// program made up itself (a default route, for instance).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The text.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The span that points nowhere.
    pub const NOWHERE: Span = Span { file: FileId(u32::MAX), start: 0, end: 0 };

    /// Whether the span points into a text.
    #[must_use]
    pub fn is_somewhere(self) -> bool {
        self != Self::NOWHERE
    }
}

impl Default for Span {
    fn default() -> Self {
        Self::NOWHERE
    }
}

/// A value together with the place it was written at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// A value written at `span`.
    pub const fn new(value: T, span: Span) -> Self {
        Spanned { value, span }
    }

    /// A value that was written nowhere.
    pub const fn made_up(value: T) -> Self {
        Spanned { value, span: Span::NOWHERE }
    }
}

impl<T> std::ops::Deref for Spanned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// A line and column, both counted from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// One text and the name it is known by.
#[derive(Debug, Clone)]
pub struct Source {
    name: String,
    text: String,
    line_starts: Vec<u32>,
    /// Parts of the text that a tool generated, and what it generated them from; ascending.
    origins: Vec<(u32, u32, String)>,
}

/// All texts of one invocation.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    sources: Vec<Source>,
}

impl Sources {
    /// No texts yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text. `name` is what findings print: the path as the user gave it, or `<stdin>`.
    ///
    /// # Panics
    /// If the text is 4 GiB or longer; the caller limits what it reads.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        let text = text.into();
        assert!(u32::try_from(text.len()).is_ok(), "a source text must be smaller than 4 GiB");
        let line_starts =
            std::iter::once(0).chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i as u32 + 1)).collect();
        let id = FileId(u32::try_from(self.sources.len()).expect("fewer than 2^32 files"));
        self.sources.push(Source { name: name.into(), text, line_starts, origins: Vec::new() });
        id
    }

    /// The text with this id, or `None` for a span that points nowhere.
    #[must_use]
    pub fn get(&self, file: FileId) -> Option<&Source> {
        self.sources.get(file.0 as usize)
    }

    /// All texts with their ids, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = (FileId, &Source)> {
        self.sources.iter().enumerate().map(|(i, s)| (FileId(i as u32), s))
    }

    /// Notes that the text at `span` was generated from `origin`, such as a Helm template. Spans of
    /// one text are noted in ascending order.
    pub fn set_origin(&mut self, span: Span, origin: impl Into<String>) {
        if let Some(source) = self.sources.get_mut(span.file.0 as usize) {
            source.origins.push((span.start, span.end, origin.into()));
        }
    }

    /// What the text at `span` was generated from, if that is known.
    #[must_use]
    pub fn origin(&self, span: Span) -> Option<&str> {
        let origins = &self.get(span.file)?.origins;
        let (start, end, origin) = origins[..origins.partition_point(|(start, ..)| *start <= span.start)].last()?;
        (*start <= span.start && span.start <= *end).then_some(origin.as_str())
    }

    /// Takes a folder off the names of the texts in it, so that what names them is the same from
    /// wherever it was read.
    pub fn relative_to(&mut self, folder: &str) {
        for source in &mut self.sources {
            if let Some(rest) = source.name.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')) {
                source.name = rest.to_owned();
            }
        }
    }

    /// `file:line:column` of a span's start, or `None` if it points nowhere.
    #[must_use]
    pub fn locate(&self, span: Span) -> Option<Location<'_>> {
        let source = self.get(span.file)?;
        Some(Location { file: &source.name, position: source.position(span.start) })
    }
}

impl Source {
    /// The name findings print.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The bytes of a line (from 1) without its line break and byte order mark; empty past the end.
    #[must_use]
    pub fn line_range(&self, line: u32) -> std::ops::Range<usize> {
        let start_of = |line: u32| self.line_starts.get(line as usize).map_or(self.text.len(), |start| *start as usize);
        let start = start_of(line.saturating_sub(1));
        let written = self.text[start..start_of(line)].trim_end_matches(['\n', '\r']);
        let shown = written.trim_start_matches('\u{feff}');
        start + (written.len() - shown.len())..start + written.len()
    }

    /// Line and column of a byte offset; offsets past the end are taken as the end.
    #[must_use]
    pub fn position(&self, offset: u32) -> Position {
        let offset = (offset as usize).min(self.text.len());
        let line = self.line_starts.partition_point(|start| *start as usize <= offset) - 1;
        let start = self.line_starts[line] as usize;
        let before = self.text.get(start..offset).map(|before| before.trim_start_matches('\u{feff}'));
        let column = before.map_or(offset - start, |before| before.chars().count());
        Position { line: line as u32 + 1, column: column as u32 + 1 }
    }
}

/// A printable place: `file:line:column`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location<'a> {
    /// The name of the text.
    pub file: &'a str,
    /// The place in it.
    pub position: Position,
}

impl fmt::Display for Location<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.position.line, self.position.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let mut sources = Sources::new();
        let file = sources.add("a.yaml", "a: ü\nb: x\n");
        for (offset, expected) in [(0, "a.yaml:1:1"), (5, "a.yaml:1:5"), (6, "a.yaml:2:1"), (9, "a.yaml:2:4"), (99, "a.yaml:3:1")]
        {
            assert_eq!(sources.locate(Span { file, start: offset, end: offset }).unwrap().to_string(), expected);
        }
        assert!(sources.locate(Span::NOWHERE).is_none());
    }

    #[test]
    fn a_byte_order_mark_has_no_column() {
        let mut sources = Sources::new();
        let file = sources.add("a.yaml", "\u{feff}a: x\r\n");
        assert_eq!(sources.locate(Span { file, start: 3, end: 4 }).unwrap().to_string(), "a.yaml:1:1");
        assert_eq!(sources.get(file).unwrap().line_range(1), 3..7);
        assert_eq!(sources.get(file).unwrap().line_range(9), 9..9);
    }

    #[test]
    fn generated_text_knows_what_it_was_generated_from() {
        let mut sources = Sources::new();
        let file = sources.add("<stdin>", "a: 1\n---\nb: 2\n---\nc: 3\n");
        let at = |start| Span { file, start, end: start + 1 };
        sources.set_origin(Span { file, start: 9, end: 13 }, "templates/b.yaml");
        for (start, origin) in [(0, None), (9, Some("templates/b.yaml")), (12, Some("templates/b.yaml")), (18, None)] {
            assert_eq!(sources.origin(at(start)), origin, "{start}");
        }
    }
}
