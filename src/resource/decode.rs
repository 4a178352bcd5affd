//! From documents to objects.

use indexmap::IndexMap;

use super::{Body, KINDS, KindRow, Object, Place, Scope, meta::ObjectMeta};
use crate::diagnostic::{Code, Diagnostic, ObjectRef};
use crate::yaml::{Cx, Decode, Document, Node};

/// All objects of an input, in the order they were written.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    /// The objects. Of two documents for one object the later stands here, at its own place.
    pub items: Vec<Object>,
}

/// Reads objects from documents. Lists are unfolded; kinds that do not concern traffic are counted
/// in one note.
///
/// `default_namespace` is for namespaced objects that name none.
#[must_use]
pub fn decode(documents: &[Document], default_namespace: &str) -> (Objects, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let mut unknown: IndexMap<String, usize> = IndexMap::new();
    let mut items = Vec::new();
    for document in documents {
        read(&document.root, default_namespace, &mut items, &mut unknown, &mut diagnostics);
    }
    if !unknown.is_empty() {
        let list: Vec<String> = unknown.iter().map(|(kind, count)| format!("{kind} ×{count}")).collect();
        diagnostics.push(Diagnostic::new(
            Code::UnknownKind,
            format!("kinds that do not concern routing are ignored: {}", list.join(", ")),
        ));
    }
    (Objects { items }, diagnostics)
}

fn read(
    node: &Node,
    default_namespace: &str,
    items: &mut Vec<Object>,
    unknown: &mut IndexMap<String, usize>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let text = |key: &str| node.get(key).and_then(Node::as_str).unwrap_or("");
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if kind == "List" {
        if let Some(crate::yaml::Value::Seq(list)) = node.get("items").map(|n| &n.value) {
            for item in list {
                read(item, default_namespace, items, unknown, diagnostics);
            }
        }
        return;
    }
    if api_version.is_empty() || kind.is_empty() {
        diagnostics
            .push(Diagnostic::new(Code::NotAnObject, "not a Kubernetes object: `apiVersion` or `kind` is missing").at(node.span));
        return;
    }
    let Some(row) = KINDS.iter().find(|row| row.kind == kind && row.api_versions.split(' ').any(|v| v == api_version)) else {
        *unknown.entry(kind.to_owned()).or_default() += 1;
        return;
    };
    if let Some(object) = object(node, row, api_version, default_namespace, diagnostics) {
        items.push(object);
    }
}

fn object(
    node: &Node,
    row: &KindRow,
    api_version: &str,
    default_namespace: &str,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Object> {
    let mut cx = Cx::new(diagnostics);
    let meta = node.get("metadata").and_then(|m| cx.field("metadata", |cx| ObjectMeta::decode(m, cx))).unwrap_or_default();
    let Some(name) = meta.name.as_ref().map(|n| n.value.clone()).filter(|n| !n.is_empty()) else {
        cx.report(Diagnostic::new(Code::NotAnObject, format!("{} without `metadata.name`", row.kind)).at(node.span));
        return None;
    };
    let namespace = match row.scope {
        Scope::Cluster => String::new(),
        Scope::Namespaced => meta.namespace.as_ref().map_or_else(|| default_namespace.to_owned(), |n| n.value.clone()),
    };
    cx.object = Some(ObjectRef { kind: row.kind.to_owned(), namespace: namespace.clone(), name: name.clone() });
    let empty = Node { span: node.span, value: crate::yaml::Value::Null };
    let body: Body = match row.place {
        Place::Document => (row.decode)(node, &mut cx)?,
        Place::Spec => cx.field("spec", |cx| (row.decode)(node.get("spec").unwrap_or(&empty), cx))?,
    };
    Some(Object { api_version: api_version.to_owned(), name, namespace, meta, body, span: node.span })
}
