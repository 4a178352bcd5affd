//! From text to documents: the stream around the trees.
//!
//! Drives the YAML crate's events, starts and ends documents, keeps comments, words the errors, and
//! goes on at the next `---` after a broken document. What a document means is
//! [`tree`](super::tree)'s business.

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, StrInput};

use super::embedded::Literal;
use super::node::Node;
use super::tree::{Abandoned, Tree, too_big};
use crate::diagnostic::{Code, Diagnostic};
use crate::source::{FileId, Sources, Span};

/// One document of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its content; documents that are empty or hold comments only are not listed.
    pub root: Node,
    /// The comments in and before it, in order.
    pub comments: Vec<Comment>,
    /// The template it was rendered from, where a comment `# Source: …` (Helm) says so.
    pub origin: Option<String>,
    /// Its literal block scalars of several lines, for text that is a document itself.
    pub literals: Vec<Literal>,
}

/// A comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Where it stands, `#` included.
    pub span: Span,
    /// Its text without `#`, trimmed.
    pub text: String,
}

/// How much one document may ask for before it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Nodes after alias expansion.
    pub nodes_max: usize,
    /// Depth of nesting.
    pub depth_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { nodes_max: 2_000_000, depth_max: 128 }
    }
}

/// Reads all documents of one text. A broken document is reported and left out; reading goes on at
/// the next `---`.
#[must_use]
pub fn parse(sources: &Sources, file: FileId, limits: Limits) -> (Vec<Document>, Vec<Diagnostic>) {
    let mut documents = Vec::new();
    let findings = parse_each(sources, file, limits, |document| documents.push(document));
    (documents, findings)
}

/// As [`parse`], for texts whose documents do not have to be in memory together.
pub fn parse_each(sources: &Sources, file: FileId, limits: Limits, each: impl FnMut(Document)) -> Vec<Diagnostic> {
    let Some(source) = sources.get(file) else { return Vec::new() };
    let mut options = granit_parser::options! {
        emit_unresolved_aliases: true,
        // One more than the tree allows, so that its message is the one that is seen.
        flow_nesting_limit: limits.depth_max + 1,
        block_nesting_limit: limits.depth_max + 1,
    };
    // A long licence text in comments is no attack: comments are bounded by the text itself.
    options.max_buffered_comment_events = usize::MAX;
    let mut stream = Stream {
        text: source.text(),
        file,
        limits,
        parser: Parser::new_from_str_with_options(source.text(), options),
        start: 0,
        tree: Tree::new(limits),
        comments: Vec::new(),
        literals: Vec::new(),
        each,
        diagnostics: Vec::new(),
    };
    stream.read();
    stream.diagnostics
}

struct Stream<'t, F> {
    text: &'t str,
    file: FileId,
    limits: Limits,
    parser: Parser<'t, StrInput<'t>>,
    /// Where the current document starts, roughly.
    start: usize,
    tree: Tree,
    comments: Vec<Comment>,
    literals: Vec<Literal>,
    each: F,
    diagnostics: Vec<Diagnostic>,
}

impl<F: FnMut(Document)> Stream<'_, F> {
    fn read(&mut self) {
        while let Some(next) = self.parser.next_event() {
            let outcome = match next {
                Ok((event, span)) => {
                    let span = self.span(&span);
                    self.take(event, span)
                }
                Err(error) => Err(self.scan_error(&error)),
            };
            let Err(Abandoned(finding)) = outcome else { continue };
            let finding = self.template_instead(*finding);
            self.diagnostics.push(finding);
            self.forget_document();
            if self.parser.proceed_next_document().is_err() {
                return;
            }
        }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Abandoned> {
        match event {
            Event::Comment(text, _) => self.comments.push(Comment { span, text: text.trim().to_owned() }),
            Event::DocumentStart(..) => self.start = span.start as usize,
            Event::DocumentEnd => self.end_document(),
            event => {
                if let Event::Scalar(value, ScalarStyle::Literal, ..) = &event {
                    self.literals.push(Literal::new(self.text, span, value));
                }
                return self.tree.accept(event, span);
            }
        }
        Ok(())
    }

    fn end_document(&mut self) {
        let mut tree = std::mem::replace(&mut self.tree, Tree::new(self.limits));
        let comments = std::mem::take(&mut self.comments);
        let literals = std::mem::take(&mut self.literals);
        self.diagnostics.append(&mut tree.findings);
        if let Some(root) = tree.into_root() {
            let origin = comments.iter().find_map(|c| c.text.strip_prefix("Source: ")).map(|path| path.trim().to_owned());
            (self.each)(Document { root, comments, origin, literals });
        }
    }

    fn forget_document(&mut self) {
        let mut tree = std::mem::replace(&mut self.tree, Tree::new(self.limits));
        self.diagnostics.append(&mut tree.findings);
        self.comments.clear();
        self.literals.clear();
    }

    fn span(&self, span: &granit_parser::Span) -> Span {
        let range = span.byte_range().unwrap_or(0..0);
        // `Sources` holds texts below 4 GiB only.
        Span { file: self.file, start: range.start as u32, end: range.end as u32 }
    }

    fn scan_error(&self, error: &ScanError) -> Abandoned {
        if let Some(tab) = self.indenting_tab(error) {
            let span = Span { file: self.file, start: tab as u32, end: tab as u32 + 1 };
            return left_out(Diagnostic::new(Code::YamlSyntax, "a tab indents this line; YAML allows spaces only").at(span))
                .help("replace the tabs by spaces")
                .into();
        }
        let offset = error.marker().byte_offset().unwrap_or(self.text.len());
        // An error at the end of the text is about the last thing written.
        let written = self.text.trim_end().len();
        let start =
            if offset >= written { self.text[..written].char_indices().next_back().map_or(0, |(i, _)| i) } else { offset };
        let end = start + self.text.get(start..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        let span = Span { file: self.file, start: start as u32, end: end as u32 };
        if *error.kind() == ErrorKind::RecursionLimitExceeded {
            return too_big(span, format!("the document nests deeper than {} levels here", self.limits.depth_max));
        }
        let finding = left_out(Diagnostic::new(Code::YamlSyntax, lower_first(&error.kind().to_string())).at(span));
        match help(error.kind()) {
            Some(help) => finding.help(help).into(),
            None => finding.into(),
        }
    }

    /// The tab that indents the line of an error, or the line after it: a value that goes on there
    /// is reported where it begins.
    fn indenting_tab(&self, error: &ScanError) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let offset = error.marker().byte_offset().unwrap_or(bytes.len()).min(bytes.len());
        let start = bytes[..offset].iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        let goes_on = matches!(error.kind(), ErrorKind::TabInPlainScalar);
        let next = bytes[offset..].iter().position(|b| *b == b'\n').map(|i| offset + i + 1).filter(|_| goes_on);
        std::iter::once(start).chain(next).find_map(|start| {
            let blank = bytes[start..].iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
            bytes[start..start + blank].iter().position(|b| *b == b'\t').map(|i| start + i)
        })
    }

    /// A broken document with `{{ … }}` in it is a template that nobody has rendered.
    fn template_instead(&self, finding: Diagnostic) -> Diagnostic {
        let at = finding.primary.as_ref().map_or(self.start, |label| label.span.start as usize);
        if finding.code != Code::YamlSyntax {
            return finding;
        }
        let end = self.text.get(at..).and_then(|rest| rest.find("\n---")).map_or(self.text.len(), |i| at + i);
        let document = self.text.get(self.start.min(at)..end).unwrap_or("");
        let Some(open) = document.find("{{").filter(|open| document[*open..].contains("}}")) else { return finding };
        let start = self.start.min(at) + open;
        let length = document[open..].find("}}").map_or(2, |close| close + 2);
        let span = Span { file: self.file, start: start as u32, end: (start + length) as u32 };
        left_out(Diagnostic::new(Code::UnrenderedTemplate, "the document is a template that has not been rendered").at(span))
            .help("render it first: `helm template CHART | meshsim check -f -`")
    }
}

fn left_out(finding: Diagnostic) -> Diagnostic {
    finding.effect("the document is left out; the others are read")
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        // Leaves abbreviations such as `YAML` and `BOM` alone.
        (Some(first), Some(second)) if first.is_ascii_uppercase() && second.is_ascii_lowercase() => {
            format!("{}{}", first.to_ascii_lowercase(), &text[1..])
        }
        _ => text.to_owned(),
    }
}

fn help(kind: &ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidSimpleKey => {
            "check the indentation, and quote values that contain `: `"
        }
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::ExpectedBlockSequenceEntry | ErrorKind::InvalidIndentation => {
            "check the indentation: entries of one list or mapping start in the same column"
        }
        ErrorKind::SimpleKeyExpected => "a key needs a `:` and a blank after it",
        ErrorKind::UnclosedQuotedScalar | ErrorKind::DocumentIndicatorInQuotedScalar => "close the quote",
        ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::ExpectedFlowSequenceSeparator => "close the bracket, or put a comma between the entries",
        ErrorKind::UnexpectedCharacter { .. } => "quote values that start with a special character",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> (Vec<Document>, Vec<String>) {
        read_within(text, Limits::default())
    }

    fn read_within(text: &str, limits: Limits) -> (Vec<Document>, Vec<String>) {
        let mut sources = Sources::new();
        let file = sources.add("a.yaml", text);
        let (documents, findings) = parse(&sources, file, limits);
        let findings = findings
            .iter()
            .map(|f| {
                let place =
                    f.primary.as_ref().and_then(|l| sources.locate(l.span)).expect("every finding about a text has a place");
                format!("{place}: {} {}", f.code.id(), f.message)
            })
            .collect();
        (documents, findings)
    }

    #[test]
    fn documents_mean_what_they_mean_to_kubectl() {
        for (text, expected) in [
            ("a: 1\nb: [x, 'y', \"z\"]\n", r#"[{"a":1,"b":["x","y","z"]}]"#),
            ("a: yes\nb: 'yes'\nc: !!str yes\nd: ! 1\n", r#"[{"a":true,"b":"yes","c":"yes","d":"1"}]"#),
            ("a: !!int '1'\nb: !custom 1\n", r#"[{"a":1,"b":"1"}]"#),
            ("t: 2024-01-01T00:00:00Z\n", r#"[{"t":"2024-01-01T00:00:00Z"}]"#),
            ("{\"a\": {\"b\": [1, 2.5, null]}}", r#"[{"a":{"b":[1,2.5,null]}}]"#),
            // keys
            ("8080: x\n1.5: x\non: x\n'on': z\n", r#"[{"8080":"x","1.5":"x","true":"x","on":"z"}]"#),
            // anchors and merge keys
            ("a: &x {k: 1}\nb: *x\n", r#"[{"a":{"k":1},"b":{"k":1}}]"#),
            ("a: &x {k: 1, l: 2}\nb:\n  k: 3\n  <<: *x\n", r#"[{"a":{"k":1,"l":2},"b":{"k":3,"l":2}}]"#),
            ("a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  k: 3\n", r#"[{"a":{"k":1,"l":2},"b":{"k":3,"l":2}}]"#),
            (
                "a: [&x {k: 1}, &y {k: 2, l: 2}]\nb: {<<: [*x, *y], m: 3}\n",
                r#"[{"a":[{"k":1},{"k":2,"l":2}],"b":{"m":3,"k":1,"l":2}}]"#,
            ),
            ("a: {'<<': 1}\n", r#"[{"a":{"<<":1}}]"#),
            // streams
            ("---\n# nothing\n---\na: 1\n...\n---\n---\nb: 2\n", r#"[{"a":1},{"b":2}]"#),
            ("\u{feff}a: 1\r\nb:\r\n- x\r\n", r#"[{"a":1,"b":["x"]}]"#),
            ("", "[]"),
            ("# only a comment\n", "[]"),
            ("null\n---\n~\n", "[]"),
            ("just text\n", r#"["just text"]"#),
            ("a: |\n  x\n  y\nb: >-\n  x\n  y\n", r#"[{"a":"x\ny\n","b":"x y"}]"#),
        ] {
            let (documents, findings) = read(text);
            let found: serde_json::Value = documents.iter().map(|d| d.root.to_json()).collect();
            assert_eq!(found.to_string(), expected, "{text:?}: {findings:?}");
            assert!(findings.is_empty(), "{text:?}: {findings:?}");
        }
    }

    #[test]
    fn a_broken_document_loses_only_itself() {
        for (broken, finding) in [
            ("a: [1, 2", "a.yaml:2:4: MSH0001 unclosed bracket '['"),
            ("a: 'x", "a.yaml:3:1: MSH0001 invalid indentation in multiline quoted scalar"),
            ("a: b: c", "a.yaml:2:5: MSH0001 mapping values are not allowed in this context"),
            ("a: *nowhere", "a.yaml:2:4: MSH0001 the anchor `nowhere` is not defined before this alias"),
            ("a: &x [*x]", "a.yaml:2:8: MSH0001 an alias inside of its own anchor"),
            ("a:\n\tb: 1", "a.yaml:3:1: MSH0001 a tab indents this line; YAML allows spaces only"),
            ("a:\n  b: 1\n\tc: 1", "a.yaml:4:1: MSH0001 a tab indents this line; YAML allows spaces only"),
            ("<<: 3", "a.yaml:2:5: MSH0001 a merge key `<<` takes a mapping or a list of mappings"),
            ("~: 3", "a.yaml:2:1: MSH0001 a mapping has a key that is empty; JSON has no such key"),
            ("[a]: 3", "a.yaml:2:1: MSH0001 a mapping has a list as a key; JSON has no such key"),
            ("a: {{ .Values.a }}", "a.yaml:2:4: MSH0004 the document is a template that has not been rendered"),
            (
                "{{- if .Values.a }}\na: 1\n{{- end }}",
                "a.yaml:2:1: MSH0004 the document is a template that has not been rendered",
            ),
        ] {
            let text = format!("---\n{broken}\n---\nb: 1\n");
            let (documents, findings) = read(&text);
            assert!(findings[0].starts_with(finding), "{broken:?}: {findings:?}");
            assert_eq!(documents.len(), 1, "{broken:?}");
            assert!(documents[0].root.get("b").is_some(), "{broken:?}");
        }
    }

    #[test]
    fn of_duplicate_keys_the_last_counts_and_the_first_is_shown() {
        let (documents, findings) = read("spec:\n  http:\n  - timeout: 1s\n    name: a\n    timeout: 2s\n    timeout: 3s\n");
        assert_eq!(documents[0].root.to_json().to_string(), r#"{"spec":{"http":[{"name":"a","timeout":"3s"}]}}"#);
        let message = "MSH0002 `spec.http[0].timeout` is given more than once";
        assert_eq!(findings, [format!("a.yaml:5:5: {message}"), format!("a.yaml:6:5: {message}")]);
    }

    #[test]
    fn spans_are_the_bytes_of_the_text() {
        let text = "\u{feff}ä: 1\r\nlist:\r\n- {k: 'v'}\r\n- x # c\r\n\r\nempty:\r\nlast: y\r\n";
        let (documents, _) = read(text);
        let root = &documents[0].root;
        let slice = |span: Span| &text[span.start as usize..span.end as usize];
        assert_eq!(slice(root.get("ä").unwrap().span), "1");
        assert_eq!(slice(root.get("list").unwrap().span), "{k: 'v'}\r\n- x");
        assert_eq!(slice(root.get("empty").unwrap().span), "empty", "an absent value is shown at its key");
        assert_eq!(slice(root.entries().unwrap()[0].0.span), "ä");
        assert_eq!(slice(documents[0].comments[0].span), "# c");
    }

    #[test]
    fn helm_names_the_template_of_each_document() {
        let (documents, _) =
            read("---\n# Source: app/templates/empty.yaml\n---\n# Source: app/templates/vs.yaml\na: 1\n---\nb: 2\n");
        let origins: Vec<_> = documents.iter().map(|d| d.origin.as_deref()).collect();
        assert_eq!(origins, [Some("app/templates/vs.yaml"), None]);
    }

    #[test]
    fn bombs_are_refused_before_they_expand() {
        let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..30 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            laughs += &format!("a{level}: &a{level} [{aliases}]\n");
        }
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 100_000].join(", "));
        let deep_flow = "[".repeat(20_000);
        let deep_block = "- ".repeat(20_000);
        let deep_map = (0..20_000).map(|i| format!("{}a:\n", " ".repeat(i % 2_000))).collect::<String>();
        let mut deep_alias = "a0: &a0 x\n".to_owned();
        for level in 1..100 {
            deep_alias += &format!("a{level}: &a{level} {}*a{}{}\n", "[".repeat(50), level - 1, "]".repeat(50));
        }
        for bomb in [laughs, long, deep_flow, deep_block, deep_map, deep_alias] {
            let (documents, findings) = read(&format!("{bomb}\n---\nb: 1\n"));
            assert!(findings[0].contains("MSH0003"), "{findings:?}");
            assert_eq!(findings.len(), 1, "{findings:?}");
            assert_eq!(documents.len(), 1);
        }
    }

    #[test]
    fn many_comment_lines_are_no_error() {
        let (documents, findings) = read(&format!("a:\n{}- 1\n", "# licence\n".repeat(5_000)));
        assert!(findings.is_empty(), "{findings:?}");
        assert_eq!(documents[0].comments.len(), 5_000);
    }

    const VALID: &str = include_str!("testdata/mutated.yaml");

    proptest! {
        #[test]
        fn no_text_makes_reading_panic(text in "\\PC*|[-:{}\\[\\]&*!|>'\"%@`#,? \t\n\r\\x00a1~<\u{feff}.]{0,200}") {
            let (documents, findings) = read_within(&text, Limits { nodes_max: 1_000, depth_max: 16 });
            for document in &documents {
                prop_assert!(text.get(document.root.span.start as usize..document.root.span.end as usize).is_some());
            }
            let _ = findings;
        }

        #[test]
        fn no_slip_of_the_pen_makes_reading_panic(
            at in 0..VALID.len(), length in 0_usize..20, insert in "[-:{}\\[\\]&*!|>'\"%#,? \t\n~<a]{0,6}"
        ) {
            let start = VALID.floor_char_boundary(at);
            let end = VALID.floor_char_boundary((start + length).min(VALID.len()));
            let text = format!("{}{insert}{}", &VALID[..start], &VALID[end..]);
            let (documents, findings) = read(&text);
            prop_assert!(documents.len() + findings.len() >= 1, "everything was lost without a word");
        }
    }
}
