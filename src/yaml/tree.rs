//! Builds the tree of one document from parser events.
//!
//! Everything that YAML leaves to its reader is decided here: aliases are copied within a budget
//! that is checked before the copy, merge keys and duplicate keys are settled when a mapping ends,
//! keys become strings. What the scanner cannot read is [`parse`](super::parse)'s business.

use granit_parser::{Event, ScalarStyle, StructureStyle, Tag};
use rustc_hash::{FxHashMap, FxHashSet};

use super::node::{Node, Value};
use super::parse::Limits;
use super::scalar;
use crate::diagnostic::{Code, Diagnostic};
use crate::source::{Span, Spanned};
use crate::text::grouped;

/// Why the rest of a document is not worth reading.
pub(super) struct Abandoned(pub(super) Box<Diagnostic>);

impl From<Diagnostic> for Abandoned {
    fn from(finding: Diagnostic) -> Self {
        Abandoned(Box::new(finding))
    }
}

type Entry = (Spanned<String>, Node);

/// A document in the making.
#[derive(Default)]
pub(super) struct Tree {
    limits: Limits,
    frames: Vec<Frame>,
    root: Option<Node>,
    anchors: FxHashMap<usize, Anchored>,
    nodes: usize,
    /// Findings that leave the document readable.
    pub(super) findings: Vec<Diagnostic>,
}

/// A collection that is not complete yet.
struct Frame {
    span: Span,
    flow: bool,
    anchor: usize,
    content: Content,
}

enum Content {
    Seq(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<Key>, merged: Vec<Entry> },
}

enum Key {
    Name(Spanned<String>),
    Merge,
}

/// A finished node that an alias may stand for, and what a copy of it costs.
struct Anchored {
    node: Node,
    nodes: usize,
    depth: usize,
}

impl Tree {
    pub(super) fn new(limits: Limits) -> Self {
        Tree { limits, ..Tree::default() }
    }

    /// The finished document; `None` if it holds nothing.
    pub(super) fn into_root(self) -> Option<Node> {
        self.root.filter(|root| !root.is_null())
    }

    /// Takes one event of the document's body.
    pub(super) fn accept(&mut self, event: Event<'_>, span: Span) -> Result<(), Abandoned> {
        match event {
            Event::Scalar(text, style, anchor, tag) => self.scalar(&text, style, anchor, tag.as_deref(), span),
            Event::SequenceStart(style, anchor, _) => self.open(style, anchor, span, Content::Seq(Vec::new())),
            Event::MappingStart(style, anchor, _) => {
                self.open(style, anchor, span, Content::Map { entries: Vec::new(), key: None, merged: Vec::new() })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(id) => self.alias(id, span),
            Event::UnresolvedAlias(name) => Err(broken(span, format!("the anchor `{name}` is not defined before this alias"))),
            _ => Ok(()),
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, anchor: usize, tag: Option<&Tag>, span: Span) -> Result<(), Abandoned> {
        self.spend(1, span)?;
        let plain = style == ScalarStyle::Plain;
        if let Some(Frame { content: Content::Map { key: key @ None, .. }, .. }) = self.frames.last_mut()
            && text == "<<"
            && (plain && tag.is_none() || tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("merge")))
        {
            *key = Some(Key::Merge);
            return Ok(());
        }
        let value = match tag {
            None if plain => scalar::plain(text),
            Some(tag) if is_typed(tag) => scalar::plain(text),
            _ => Value::Str(text.to_owned()),
        };
        // An absent value stands wherever the next token is; the key is where the user looks.
        let span = if span.start == span.end && value == Value::Null { self.key_span().unwrap_or(span) } else { span };
        self.attach(Node { span, value }, anchor)
    }

    fn key_span(&self) -> Option<Span> {
        match &self.frames.last()?.content {
            Content::Map { key: Some(Key::Name(name)), .. } => Some(name.span),
            _ => None,
        }
    }

    fn open(&mut self, style: StructureStyle, anchor: usize, span: Span, content: Content) -> Result<(), Abandoned> {
        self.spend(1, span)?;
        self.check_depth(1, span)?;
        self.frames.push(Frame { span, flow: style == StructureStyle::Flow, anchor, content });
        Ok(())
    }

    fn close(&mut self, end: Span) -> Result<(), Abandoned> {
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        let mut span = frame.span;
        let (value, last) = match frame.content {
            Content::Seq(items) => {
                let last = items.last().map(|item| item.span.end);
                (Value::Seq(items), last)
            }
            Content::Map { entries, merged, .. } => {
                let last = entries.last().map(|(key, value)| value.span.end.max(key.span.end));
                (Value::Map(self.settle(entries, merged)), last)
            }
        };
        // The end of a block collection is the next token, lines below its last entry.
        span.end = if frame.flow { end.end } else { last.unwrap_or(span.end) }.max(span.end);
        self.attach(Node { span, value }, frame.anchor)
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<(), Abandoned> {
        let Some((nodes, depth)) = self.anchors.get(&id).map(|anchored| (anchored.nodes, anchored.depth)) else {
            return Err(broken(span, "an alias inside of its own anchor"));
        };
        self.spend(nodes, span)?;
        self.check_depth(depth, span)?;
        let value = self.anchors[&id].node.value.clone();
        self.attach(Node { span, value }, 0)
    }

    fn spend(&mut self, nodes: usize, span: Span) -> Result<(), Abandoned> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes <= self.limits.nodes_max {
            return Ok(());
        }
        Err(too_big(span, format!("the document expands to more than {} values here", grouped(self.limits.nodes_max as u64))))
    }

    fn check_depth(&self, deeper: usize, span: Span) -> Result<(), Abandoned> {
        if self.frames.len() + deeper <= self.limits.depth_max {
            return Ok(());
        }
        Err(too_big(span, format!("the document nests deeper than {} levels here", self.limits.depth_max)))
    }

    /// Puts a finished node where it belongs: under a key, into a list, or at the root.
    fn attach(&mut self, node: Node, anchor: usize) -> Result<(), Abandoned> {
        if anchor != 0 {
            let (nodes, depth) = extent(&node);
            self.spend(nodes, node.span)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), nodes, depth });
        }
        match self.frames.last_mut().map(|frame| &mut frame.content) {
            None => self.root = Some(node),
            Some(Content::Seq(items)) => items.push(node),
            Some(Content::Map { entries, key, merged }) => match key.take() {
                None => *key = Some(Key::Name(Spanned::new(key_text(&node)?, node.span))),
                Some(Key::Name(name)) => entries.push((name, node)),
                Some(Key::Merge) => merge(node, merged)?,
            },
        }
        Ok(())
    }

    /// Of equal keys keeps the last, and adds what merge keys bring.
    fn settle(&mut self, entries: Vec<Entry>, merged: Vec<Entry>) -> Vec<Entry> {
        if merged.is_empty() && all_distinct(&entries) {
            return entries;
        }
        let mut kept: Vec<Entry> = Vec::with_capacity(entries.len() + merged.len());
        let mut first: FxHashMap<String, (usize, Span)> = FxHashMap::default();
        let mut replaced: FxHashSet<usize> = FxHashSet::default();
        for (key, value) in entries {
            let index = kept.len();
            if let Some((before, span)) = first.get_mut(&key.value) {
                self.findings.push(self.duplicate(&key, *span));
                replaced.insert(std::mem::replace(before, index));
            } else {
                first.insert(key.value.clone(), (index, key.span));
            }
            kept.push((key, value));
        }
        for (key, value) in merged {
            if !first.contains_key(&key.value) {
                first.insert(key.value.clone(), (kept.len(), key.span));
                kept.push((key, value));
            }
        }
        if !replaced.is_empty() {
            let mut index = 0..;
            kept.retain(|_| index.next().is_some_and(|index| !replaced.contains(&index)));
        }
        kept
    }

    fn duplicate(&self, key: &Spanned<String>, first: Span) -> Diagnostic {
        Diagnostic::new(Code::YamlDuplicateKey, format!("`{}` is given more than once", self.path_to(&key.value)))
            .labelled(key.span, "again here")
            .also(first, "first here")
            .effect("kubectl refuses the document; clients that do not check take the last value")
    }

    /// The path of a key of the mapping that is being closed.
    fn path_to(&self, key: &str) -> String {
        let mut path = String::new();
        for frame in &self.frames {
            match &frame.content {
                Content::Seq(items) => path.push_str(&format!("[{}]", items.len())),
                Content::Map { key: Some(Key::Name(name)), .. } => push_step(&mut path, &name.value),
                Content::Map { .. } => {}
            }
        }
        push_step(&mut path, key);
        path
    }
}

fn all_distinct(entries: &[Entry]) -> bool {
    const FEW: usize = 16;
    if entries.len() <= FEW {
        return entries.iter().enumerate().all(|(i, (key, _))| entries[..i].iter().all(|(before, _)| before.value != key.value));
    }
    let mut seen: FxHashSet<&str> = FxHashSet::default();
    entries.iter().all(|(key, _)| seen.insert(&key.value))
}

fn push_step(path: &mut String, step: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(step);
}

/// Whether a scalar with this tag is typed by its text; all other tags make strings.
fn is_typed(tag: &Tag) -> bool {
    ["int", "float", "bool", "null"].iter().any(|name| tag.is_yaml_core_schema_tag(name))
}

/// Nodes (long texts count as several) and depth of a tree.
fn extent(node: &Node) -> (usize, usize) {
    const BYTES_PER_NODE: usize = 64;
    let below = |extents: &mut dyn Iterator<Item = (usize, usize)>| {
        let (nodes, depth) = extents.fold((1_usize, 0), |(nodes, depth), (n, d)| (nodes.saturating_add(n), depth.max(d)));
        (nodes, depth + 1)
    };
    match &node.value {
        Value::Null => (1, 0),
        Value::Bool(_, text) | Value::Int(_, text) | Value::Float(_, text) | Value::Str(text) => {
            (1 + text.len() / BYTES_PER_NODE, 0)
        }
        Value::Seq(items) => below(&mut items.iter().map(extent)),
        Value::Map(entries) => below(&mut entries.iter().map(|(key, value)| {
            let (nodes, depth) = extent(value);
            (nodes + 1 + key.value.len() / BYTES_PER_NODE, depth)
        })),
    }
}

/// The key as JSON has it.
fn key_text(node: &Node) -> Result<String, Abandoned> {
    match &node.value {
        Value::Str(text) => Ok(text.clone()),
        Value::Bool(value, _) => Ok(value.to_string()),
        Value::Int(value, _) => Ok(value.to_string()),
        Value::Float(_, text) => Ok(text.clone()),
        Value::Null => Err(broken(node.span, "a mapping has a key that is empty; JSON has no such key")),
        Value::Seq(_) | Value::Map(_) => {
            Err(broken(node.span, format!("a mapping has {} as a key; JSON has no such key", node.describe())))
        }
    }
}

fn merge(node: Node, merged: &mut Vec<Entry>) -> Result<(), Abandoned> {
    match node.value {
        Value::Map(entries) => {
            merged.extend(entries);
            Ok(())
        }
        Value::Seq(items) if items.iter().all(|item| item.entries().is_some()) => {
            items.into_iter().try_for_each(|item| merge(item, merged))
        }
        _ => Err(broken(node.span, "a merge key `<<` takes a mapping or a list of mappings")),
    }
}

fn broken(span: Span, message: impl Into<String>) -> Abandoned {
    Diagnostic::new(Code::YamlSyntax, message).at(span).effect("the document is left out; the others are read").into()
}

pub(super) fn too_big(span: Span, message: impl Into<String>) -> Abandoned {
    Diagnostic::new(Code::YamlTooBig, message)
        .at(span)
        .effect("the document is left out; the others are read")
        .help("split the document, or expand its aliases by hand")
        .into()
}
