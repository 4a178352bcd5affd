//! Documents inside of a document: a YAML text that is the value of a string, as the mesh
//! configuration in a ConfigMap is.
//!
//! Lines of a literal block scalar (`|`) are lines of the file without their indentation, so places
//! in it can be told exactly. Any other string has only the place of the whole string.

use super::node::{Node, Value};
use super::parse::{Comment, Document, Limits, parse};
use crate::diagnostic::Diagnostic;
use crate::source::{Sources, Span, Spanned};

/// A literal block scalar and where its lines stand in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// The scalar.
    pub span: Span,
    /// The first byte of each line of the value.
    pub line_starts: Vec<u32>,
}

impl Literal {
    /// Finds the lines of `value` in `text`, where it was written at `span`.
    pub(super) fn new(text: &str, span: Span, value: &str) -> Self {
        let written = text.get(span.start as usize..).unwrap_or_default();
        // The scalar starts at its `|`, or at its first line.
        let header = if written.starts_with('|') { written.find('\n').map_or(written.len(), |i| i + 1) } else { 0 };
        let mut offset = span.start as usize + header;
        let mut line_starts = Vec::new();
        for (line, written) in value.split('\n').zip(written[header..].split('\n')) {
            let indent = written.trim_end_matches('\r').len().saturating_sub(line.len());
            line_starts.push((offset + indent) as u32);
            offset += written.len() + 1;
        }
        Literal { span, line_starts }
    }
}

/// Reads the documents in the text of a node. `literals` are those of the document around it.
#[must_use]
pub fn parse_embedded(node: &Node, literals: &[Literal], limits: Limits) -> (Vec<Document>, Vec<Diagnostic>) {
    let Some(text) = node.as_str() else { return (Vec::new(), Vec::new()) };
    let mut sources = Sources::new();
    let file = sources.add("embedded", text);
    let (mut documents, mut findings) = parse(&sources, file, limits);
    let mut starts = vec![0_u32];
    starts.extend(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i as u32 + 1));
    let places = Places { whole: node.span, starts, literal: literals.iter().find(|literal| literal.span == node.span) };
    for document in &mut documents {
        places.translate_node(&mut document.root);
        for Comment { span, .. } in &mut document.comments {
            *span = places.translate(*span);
        }
        // What is embedded in what is embedded has lost its lines.
        document.literals.clear();
    }
    for finding in &mut findings {
        for label in finding.primary.iter_mut().chain(&mut finding.secondary) {
            label.span = places.translate(label.span);
        }
    }
    (documents, findings)
}

struct Places<'a> {
    whole: Span,
    /// The first byte of each line of the embedded text.
    starts: Vec<u32>,
    literal: Option<&'a Literal>,
}

impl Places<'_> {
    fn translate(&self, span: Span) -> Span {
        match (self.offset(span.start), self.offset(span.end)) {
            (Some(start), Some(end)) => Span { file: self.whole.file, start, end },
            _ => self.whole,
        }
    }

    fn offset(&self, embedded: u32) -> Option<u32> {
        let line = self.starts.partition_point(|start| *start <= embedded) - 1;
        Some(self.literal?.line_starts.get(line)? + (embedded - self.starts[line]))
    }

    fn translate_node(&self, node: &mut Node) {
        node.span = self.translate(node.span);
        match &mut node.value {
            Value::Seq(items) => items.iter_mut().for_each(|item| self.translate_node(item)),
            Value::Map(entries) => {
                for (Spanned { span, .. }, value) in entries {
                    *span = self.translate(*span);
                    self.translate_node(value);
                }
            }
            Value::Null | Value::Bool(..) | Value::Int(..) | Value::Float(..) | Value::Str(_) => {}
        }
    }
}
