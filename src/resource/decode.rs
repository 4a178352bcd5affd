//! From documents to objects: who each document is, lists, and documents that say the same thing
//! twice. What the objects contain is declared beside their kinds.

use indexmap::IndexMap;
use rustc_hash::FxHashMap;

use super::kinds::{self, Body, KindRow, Place, Recognised, Scope};
use super::mesh_config::MeshConfig;
use super::meta::ObjectMeta;
use super::object::Object;
use super::schema;
use crate::diagnostic::{Code, Diagnostic, Fix, ObjectRef};
use crate::source::Span;
use crate::yaml::{Cx, Decode, Document, Limits, Node, Value, parse_embedded};

/// All objects of an input.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    /// The objects in the order they were written. An object that is written again takes the place
    /// of the earlier one, as it would when both are applied.
    pub items: Vec<Object>,
    /// The mesh configuration and where it stands: key `mesh` of a ConfigMap `istio`, or
    /// `spec.meshConfig` of an IstioOperator. Of several the last.
    pub mesh_config: Option<(MeshConfig, Span)>,
}

/// Reads objects from documents. Lists are unfolded; kinds that do not concern traffic are counted
/// in one note.
///
/// `default_namespace` is for namespaced objects that name none.
#[must_use]
pub fn decode(documents: &[Document], default_namespace: &str) -> (Objects, Vec<Diagnostic>) {
    let mut decoder = Decoder::new(default_namespace);
    documents.iter().for_each(|document| decoder.read(document));
    decoder.finish()
}

/// Reads a mesh configuration that stands alone: a `MeshConfig` document, ConfigMap `istio`, or an
/// IstioOperator.
#[must_use]
pub fn decode_mesh_config(documents: &[Document]) -> (Option<(MeshConfig, Span)>, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let mut found = None;
    for document in documents {
        let root = &document.root;
        let config = match root.get("kind").and_then(Node::as_str) {
            Some("ConfigMap") => embedded_mesh_config(root, document, &mut diagnostics),
            Some(kind @ "IstioOperator") => operator_mesh_config(root, kind, &mut diagnostics),
            Some(_) | None => MeshConfig::decode(root, &mut Cx::new(&mut diagnostics)).map(|config| (config, root.span)),
        };
        found = config.or(found);
    }
    (found, diagnostics)
}

/// Reads objects one document at a time; [`decode`] for inputs that are not in memory at once.
#[derive(Debug)]
pub struct Decoder {
    default_namespace: String,
    objects: Objects,
    /// Where each object stands in `objects`, and where its name was written.
    places: FxHashMap<(&'static str, String, String, String), (usize, Span)>,
    ignored: IndexMap<String, usize>,
    diagnostics: Vec<Diagnostic>,
}

/// `apiVersion` and `kind` of a document.
#[derive(Clone, Copy)]
struct Type<'a> {
    api_version: &'a str,
    kind: &'a str,
}

impl Decoder {
    /// A decoder that has read nothing; see [`decode`] for the namespace.
    #[must_use]
    pub fn new(default_namespace: &str) -> Self {
        Decoder {
            default_namespace: default_namespace.to_owned(),
            objects: Objects::default(),
            places: FxHashMap::default(),
            ignored: IndexMap::new(),
            diagnostics: Vec::new(),
        }
    }

    /// Reads the objects of one document.
    pub fn read(&mut self, document: &Document) {
        self.read_node(&document.root, document, None);
    }

    /// All objects, and what is wrong with them.
    #[must_use]
    pub fn finish(self) -> (Objects, Vec<Diagnostic>) {
        let Decoder { objects, ignored, mut diagnostics, .. } = self;
        if !ignored.is_empty() {
            let list: Vec<String> = ignored.iter().map(|(kind, count)| format!("{kind} ×{count}")).collect();
            let message = format!("kinds that do not concern routing are ignored: {}", list.join(", "));
            diagnostics.push(Diagnostic::new(Code::UnknownKind, message));
        }
        (objects, diagnostics)
    }

    /// Reads one document or one item of a list, whose type may follow from the list's.
    fn read_node(&mut self, node: &Node, document: &Document, inherited: Option<Type<'_>>) {
        let Some(Type { api_version, kind }) = self.type_of(node, inherited) else { return };
        if let Some(items) = node.get("items").filter(|_| kind.ends_with("List")) {
            let of_items = kind.strip_suffix("List").filter(|kind| !kind.is_empty()).map(|kind| Type { api_version, kind });
            return self.list(items, document, of_items);
        }
        match kinds::recognise(api_version, kind) {
            Recognised::Known(row) => self.object(node, document, row, api_version),
            Recognised::NotModelled => {
                self.not_modelled(node, kind);
                let mut cx = Cx::new(&mut self.diagnostics);
                cx.object = Some(reference(node, kind, &self.default_namespace));
                schema::check(kind, kinds::group(api_version), node, &mut cx);
            }
            Recognised::Foreign if is_istio_ingress(node, kind) => self.not_modelled(node, kind),
            Recognised::Foreign => match operator_mesh_config(node, kind, &mut self.diagnostics) {
                Some(config) => self.objects.mesh_config = Some(config),
                None => *self.ignored.entry(kind.to_owned()).or_default() += 1,
            },
            Recognised::Unserved { served } => {
                let finding = Diagnostic::new(Code::UnservedVersion, format!("`{api_version}` has no kind {kind}"))
                    .effect("the object is left out")
                    .help(format!(
                        "use {}",
                        served.iter().map(|v| format!("`apiVersion: {v}`")).collect::<Vec<_>>().join(" or ")
                    ));
                let finding = with_version(finding, node, api_version, served.first().copied().unwrap_or_default());
                self.about(finding, node, kind, "apiVersion");
            }
            Recognised::NoSuchKind { near } => {
                let finding = Diagnostic::new(Code::NoSuchKind, format!("`{api_version}` has no kind {kind}"))
                    .effect("the object is left out");
                let finding = match near {
                    Some(near) => finding.help(format!("did you mean `{near}`?")),
                    None => finding,
                };
                self.about(finding, node, kind, "kind");
            }
        }
    }

    fn type_of<'a>(&mut self, node: &'a Node, inherited: Option<Type<'a>>) -> Option<Type<'a>> {
        if node.entries().is_none() {
            self.diagnostics.push(
                Diagnostic::new(Code::NotAnObject, format!("not a Kubernetes object but {}", node.describe())).at(node.span),
            );
            return None;
        }
        let api_version = self.type_word(node, "apiVersion");
        let kind = self.type_word(node, "kind");
        match (api_version, kind, inherited) {
            (Word::Text(api_version), Word::Text(kind), _) => Some(Type { api_version, kind }),
            (Word::Wrong, ..) | (_, Word::Wrong, _) => None,
            (_, _, Some(inherited)) => Some(inherited),
            (api_version, kind, None) => {
                let missing = match (api_version, kind) {
                    (Word::Absent, Word::Absent) => "`apiVersion` and `kind` are missing",
                    (Word::Absent, _) => "`apiVersion` is missing",
                    _ => "`kind` is missing",
                };
                self.diagnostics.push(
                    Diagnostic::new(Code::NotAnObject, format!("not a Kubernetes object: {missing}"))
                        .at(node.entries().and_then(|entries| entries.first()).map_or(node.span, |(key, _)| key.span))
                        .effect("the document is left out"),
                );
                None
            }
        }
    }

    fn type_word<'a>(&mut self, node: &'a Node, key: &str) -> Word<'a> {
        match node.get(key) {
            None => Word::Absent,
            Some(value) if value.is_null() => Word::Absent,
            Some(value) => match value.as_str() {
                Some("") => Word::Absent,
                Some(text) => Word::Text(text),
                None => {
                    Cx::new(&mut self.diagnostics).field(key, |cx| cx.wrong_type(value, "a string"));
                    Word::Wrong
                }
            },
        }
    }

    fn list(&mut self, items: &Node, document: &Document, of_items: Option<Type<'_>>) {
        match &items.value {
            Value::Null => {}
            Value::Seq(list) => {
                for item in list {
                    self.read_node(item, document, of_items);
                }
            }
            _ => Cx::new(&mut self.diagnostics).field("items", |cx| cx.wrong_type(items, "a list")),
        }
    }

    /// Reports something about an object that is not read, at one of its keys.
    fn about(&mut self, finding: Diagnostic, node: &Node, kind: &str, key: &str) {
        let span = node.get(key).map_or(node.span, |value| value.span);
        let object = reference(node, kind, &self.default_namespace);
        self.diagnostics.push(finding.at(span).about(object));
    }

    fn not_modelled(&mut self, node: &Node, kind: &str) {
        let finding =
            Diagnostic::new(Code::NotModelled, format!("{} is not modelled", reference(node, kind, &self.default_namespace)))
                .effect("the mesh is simulated as if the object were not there");
        self.about(finding, node, kind, "kind");
    }

    fn object(&mut self, node: &Node, document: &Document, row: &'static KindRow, api_version: &str) {
        if kinds::is_not_modelled(api_version, row.kind) {
            self.not_modelled(node, row.kind);
        }
        if let Some(release) = kinds::removed_in(api_version, row.kind) {
            let finding = Diagnostic::new(Code::UnservedVersion, format!("{release} removed {} from `{api_version}`", row.kind))
                .effect("newer clusters refuse the object; it is simulated as if it were served")
                .help(format!("use `apiVersion: {}`", row.first_version()));
            let finding = with_version(finding, node, api_version, row.first_version());
            self.about(finding, node, row.kind, "apiVersion");
        }
        let Some(object) = object(node, row, api_version, &self.default_namespace, &mut self.diagnostics) else { return };
        if matches!(object.body, Body::ConfigMap(_)) && is_mesh_config_map(&object.name) {
            self.objects.mesh_config =
                embedded_mesh_config(node, document, &mut self.diagnostics).or(self.objects.mesh_config.take());
        }
        self.keep(object, kinds::group(api_version));
    }

    fn keep(&mut self, object: Object, group: &str) {
        let name_span = object.meta.name.as_ref().map_or(object.span, |name| name.span);
        let identity = (object.body.kind(), group.to_owned(), object.namespace.clone(), object.name.clone());
        let Some((index, earlier)) = self.places.get_mut(&identity) else {
            self.places.insert(identity, (self.objects.items.len(), name_span));
            self.objects.items.push(object);
            return;
        };
        self.diagnostics.push(
            Diagnostic::new(Code::DuplicateObject, format!("{} is defined again", object.reference()))
                .labelled(name_span, "again here")
                .also(*earlier, "first here")
                .effect("the later definition replaces the earlier one")
                .about(object.reference()),
        );
        *earlier = name_span;
        self.objects.items[*index] = object;
    }
}

fn reference(node: &Node, kind: &str, default_namespace: &str) -> ObjectRef {
    let meta = |key: &str| node.get("metadata").and_then(|meta| meta.get(key)).and_then(Node::text);
    ObjectRef {
        kind: kind.to_owned(),
        namespace: meta("namespace").unwrap_or(default_namespace).to_owned(),
        name: meta("name").unwrap_or_default().to_owned(),
    }
}

#[derive(Clone, Copy)]
enum Word<'a> {
    Text(&'a str),
    Absent,
    /// Something that is no string; a finding says so.
    Wrong,
}

fn object(
    node: &Node,
    row: &KindRow,
    api_version: &str,
    default_namespace: &str,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Object> {
    let meta_text = |key: &str| node.get("metadata")?.get(key)?.text();
    let namespace = match row.scope {
        Scope::Cluster => String::new(),
        Scope::Namespaced => meta_text("namespace").filter(|n| !n.is_empty()).unwrap_or(default_namespace).to_owned(),
    };
    let name = meta_text("name").filter(|name| !name.is_empty());
    let mut cx = Cx::new(diagnostics);
    cx.object =
        Some(ObjectRef { kind: row.kind.to_owned(), namespace: namespace.clone(), name: name.unwrap_or_default().to_owned() });
    let meta = match node.get("metadata") {
        Some(meta) => cx.field("metadata", |cx| ObjectMeta::decode(meta, cx)).unwrap_or_default(),
        None => ObjectMeta::default(),
    };
    let Some(name) = name else {
        nameless(node, row, &meta, &mut cx);
        return None;
    };
    let body = body(node, row, kinds::group(api_version), &mut cx)?;
    let status = node.get("status").filter(|_| kinds::group(api_version) == GATEWAY_API).cloned();
    Some(Object { api_version: api_version.to_owned(), name: name.to_owned(), namespace, meta, body, status, span: node.span })
}

/// The content of an object. Where the schema of its kind is known, that says what is wrong with
/// types and fields; decoding adds values that nothing can be made of, and fields that this program
/// does not read.
fn body(node: &Node, row: &KindRow, group: &str, cx: &mut Cx<'_>) -> Option<Body> {
    if row.place == Place::Spec {
        for (key, _) in node.entries().unwrap_or_default() {
            if !SPEC_OBJECT_KEYS.contains(&key.value.as_str()) {
                cx.unknown_field(key, SPEC_OBJECT_KEYS);
            }
        }
    }
    let before = cx.diagnostics.len();
    cx.schema_is_known = schema::check(row.kind, group, node, cx);
    let by_schema = cx.diagnostics.len();
    let empty = Node { span: node.span, value: Value::Null };
    let body = match row.place {
        Place::Document => (row.decode)(node, cx),
        Place::Spec => cx.field("spec", |cx| (row.decode)(node.get("spec").unwrap_or(&empty), cx)),
    };
    if cx.schema_is_known {
        let decoding = cx.diagnostics.split_off(by_schema);
        let said: Vec<Option<Span>> = cx.diagnostics[before..].iter().map(place).collect();
        // What the schema takes for any string, and no duration can be read from, is refused later.
        let reviewed = group.ends_with(".istio.io");
        cx.diagnostics.extend(decoding.into_iter().filter_map(|finding| match finding.code {
            Code::WrongType | Code::MissingField => None,
            Code::NotModelled | Code::InvalidValue if said.contains(&place(&finding)) => None,
            Code::InvalidValue if reviewed => Some(Diagnostic { code: Code::RejectedObject, ..finding }),
            _ => Some(finding),
        }));
    }
    body
}

fn place(finding: &Diagnostic) -> Option<Span> {
    finding.primary.as_ref().map(|label| label.span)
}

/// The group whose objects' status says what is wrong with them.
const GATEWAY_API: &str = "gateway.networking.k8s.io";

const SPEC_OBJECT_KEYS: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];

fn nameless(node: &Node, row: &KindRow, meta: &ObjectMeta, cx: &mut Cx<'_>) {
    let is_reported = node.get("metadata").is_some_and(|meta| meta.entries().is_none() && !meta.is_null());
    if is_reported {
        return;
    }
    let span = node.get("metadata").or_else(|| node.get("kind")).map_or(node.span, |node| node.span);
    let finding = Diagnostic::new(Code::NotAnObject, format!("{} without `metadata.name`", row.kind))
        .at(span)
        .effect("the object is left out");
    cx.report(match &meta.generate_name {
        Some(_) => finding.help("`kubectl apply` does not complete `generateName` either; give the object a name"),
        None => finding,
    });
}

/// Whether an Ingress is for Istio, which then makes routes of it.
fn is_istio_ingress(node: &Node, kind: &str) -> bool {
    let annotated = || node.get("metadata")?.get("annotations")?.get("kubernetes.io/ingress.class")?.as_str();
    let class = || node.get("spec")?.get("ingressClassName")?.as_str();
    kind == "Ingress" && (annotated() == Some("istio") || class() == Some("istio"))
}

/// ConfigMap `istio`, or `istio-REVISION` of a control plane with a revision.
fn is_mesh_config_map(name: &str) -> bool {
    name == "istio" || name.starts_with("istio-")
}

fn embedded_mesh_config(config_map: &Node, document: &Document, diagnostics: &mut Vec<Diagnostic>) -> Option<(MeshConfig, Span)> {
    let text = config_map.get("data")?.get("mesh")?;
    let (documents, findings) = parse_embedded(text, &document.literals, Limits::default());
    diagnostics.extend(findings);
    let root = &documents.first()?.root;
    let mut cx = Cx::new(diagnostics);
    let config = cx.field("data", |cx| cx.field("mesh", |cx| MeshConfig::decode(root, cx)))?;
    Some((config, text.span))
}

fn operator_mesh_config(operator: &Node, kind: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<(MeshConfig, Span)> {
    let config = operator.get("spec").filter(|_| kind == "IstioOperator")?.get("meshConfig")?;
    let mut cx = Cx::new(diagnostics);
    cx.field("spec", |cx| cx.field("meshConfig", |cx| MeshConfig::decode(config, cx))).map(|decoded| (decoded, config.span))
}

/// The finding with the version to write instead. Versions of Istio's own kinds differ in nothing but
/// their name, and so do the last two of the Gateway API; others may ask for other fields.
fn with_version(finding: Diagnostic, node: &Node, old: &str, new: &str) -> Diagnostic {
    let Some(version) = node.get("apiVersion") else { return finding };
    let alike = kinds::group(new).ends_with(".istio.io") || old == "gateway.networking.k8s.io/v1beta1";
    finding.fix(Fix { safe: alike, ..Fix::spelling(version.span, old, new, true) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Sources;
    use crate::yaml::parse;

    struct Read {
        objects: Objects,
        /// `line:column CODE message`
        findings: Vec<String>,
    }

    fn read(text: &str) -> Read {
        let mut sources = Sources::new();
        let file = sources.add("a.yaml", text);
        let (documents, mut all) = parse(&sources, file, Limits::default());
        let (objects, findings) = decode(&documents, "default");
        all.extend(findings);
        let findings = all
            .iter()
            .map(|finding| {
                let place = finding.primary.as_ref().and_then(|label| sources.locate(label.span));
                let place = place.map_or("-".to_owned(), |place| format!("{}:{}", place.position.line, place.position.column));
                let help = finding.help.as_ref().map(|help| format!(" | {help}")).unwrap_or_default();
                format!("{place} {} {}{help}", finding.code.id(), finding.message)
            })
            .collect();
        Read { objects, findings }
    }

    fn names(read: &Read) -> Vec<String> {
        read.objects.items.iter().map(|object| object.reference().to_string()).collect()
    }

    #[test]
    fn lists_are_unfolded_and_their_items_may_leave_their_type_to_the_list() {
        let read = read(
            "apiVersion: v1\nkind: List\nitems:\n\
             - {apiVersion: v1, kind: Namespace, metadata: {name: a}}\n\
             - {apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Service, metadata: {name: b, namespace: ns}, spec: {}}]}\n\
             ---\napiVersion: v1\nkind: ServiceList\nmetadata: {resourceVersion: '1'}\nitems:\n- {metadata: {name: c}, spec: {}}\n\
             ---\napiVersion: v1\nkind: List\nitems:\n",
        );
        assert_eq!(names(&read), ["Namespace a", "Service ns/b", "Service default/c"]);
        assert!(read.findings.is_empty(), "{:?}", read.findings);
    }

    #[test]
    fn documents_that_are_no_objects_are_reported_where_they_start() {
        for (text, expected) in [
            ("a: 1\n", "1:1 MSH0101 not a Kubernetes object: `apiVersion` and `kind` are missing"),
            ("kind: Service\n", "1:1 MSH0101 not a Kubernetes object: `apiVersion` is missing"),
            ("apiVersion: v1\nkind:\n", "1:1 MSH0101 not a Kubernetes object: `kind` is missing"),
            ("[1, 2]\n", "1:1 MSH0101 not a Kubernetes object but a list"),
            ("words\n", "1:1 MSH0101 not a Kubernetes object but the string `words`"),
            (
                "apiVersion: 1\nkind: Service\n",
                "1:13 MSH0104 `apiVersion` must be a string, not the number `1` | quote the value",
            ),
            ("apiVersion: v1\nkind: [Service]\n", "2:7 MSH0104 `kind` must be a string, not a list"),
            ("apiVersion: v1\nkind: Service\nspec: {}\n", "2:7 MSH0101 Service without `metadata.name`"),
            (
                "apiVersion: v1\nkind: Service\nmetadata: reviews\n",
                "3:11 MSH0104 `metadata` must be a mapping, not the string `reviews`",
            ),
            ("apiVersion: v1\nkind: List\nitems: 3\n", "3:8 MSH0104 `items` must be a list, not the number `3`"),
            ("apiVersion: v1\nkind: List\nitems: [3]\n", "3:9 MSH0101 not a Kubernetes object but the number `3`"),
        ] {
            let read = read(text);
            assert_eq!(read.findings, [expected], "{text}");
            assert!(read.objects.items.is_empty(), "{text}");
        }
    }

    #[test]
    fn kinds_that_their_group_does_not_serve_are_findings_and_foreign_kinds_one_note() {
        let of = |api_version: &str, kind: &str| {
            read(&format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: x}}\nspec: {{}}\n")).findings
        };
        for (api_version, kind, expected) in [
            (
                "networking.istio.io/v2",
                "VirtualService",
                "1:13 MSH0107 `networking.istio.io/v2` has no kind VirtualService | use `apiVersion: networking.istio.io/v1` or \
                 `apiVersion: networking.istio.io/v1beta1` or `apiVersion: networking.istio.io/v1alpha3`",
            ),
            (
                "networking.istio.io/v1",
                "VirtualSevice",
                "2:7 MSH0109 `networking.istio.io/v1` has no kind VirtualSevice | did you mean `kind: VirtualService`?",
            ),
            (
                "networking.istio.oi/v1",
                "DestinationRule",
                "2:7 MSH0109 `networking.istio.oi/v1` has no kind DestinationRule | did you mean `apiVersion: networking.istio.io/v1`?",
            ),
            ("v1", "Deployment", "2:7 MSH0109 `v1` has no kind Deployment | did you mean `apiVersion: apps/v1`?"),
            ("v1", "Servce", "2:7 MSH0109 `v1` has no kind Servce | did you mean `kind: Service`?"),
            ("config.istio.io/v1alpha2", "rule", "2:7 MSH0501 rule default/x is not modelled"),
            ("telemetry.istio.io/v1", "Telemetry", "2:7 MSH0501 Telemetry default/x is not modelled"),
            ("v1", "PersistentVolumeClaim", "- MSH0102 kinds that do not concern routing are ignored: PersistentVolumeClaim ×1"),
            ("serving.knative.dev/v1", "Service", "- MSH0102 kinds that do not concern routing are ignored: Service ×1"),
        ] {
            assert_eq!(of(api_version, kind), [expected]);
        }
        let removed = read(
            "apiVersion: extensions/v1beta1\nkind: Deployment\nmetadata: {name: x}\nspec: {template: {metadata: {}, spec: {}}}\n",
        );
        assert_eq!(
            removed.findings,
            ["1:13 MSH0107 Kubernetes 1.16 removed Deployment from `extensions/v1beta1` | use `apiVersion: apps/v1`"]
        );
        assert_eq!(names(&removed), ["Deployment default/x"]);
    }

    #[test]
    fn an_unquoted_number_is_a_finding_and_still_a_label() {
        let read = read(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: 7\n  labels: {version: 1.10, on: yes}\n  annotations: {sidecar.istio.io/inject: true}\nspec: {}\n",
        );
        assert_eq!(
            read.findings,
            [
                "4:9 MSH0104 `metadata.name` must be a string, not the number `7` | quote the value",
                "5:21 MSH0104 `metadata.labels.version` must be a string, not the number `1.10` | quote the value",
                "5:31 MSH0104 `metadata.labels.true` must be a string, not the boolean `yes` | quote the value",
                "6:42 MSH0104 `metadata.annotations.sidecar.istio.io/inject` must be a string, not the boolean `true` | quote the value",
            ]
        );
        let object = &read.objects.items[0];
        assert_eq!((object.name.as_str(), object.meta.labels.get("version").unwrap().value.as_str()), ("7", "1.10"));
    }

    #[test]
    fn an_object_written_again_takes_the_place_of_the_earlier_one() {
        let text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {v: '1'}}\n---\n\
                    apiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n---\n\
                    apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {v: '2'}}\n---\n\
                    apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec: {}\n---\n\
                    apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec: {gatewayClassName: istio, listeners: [{name: a, port: 80, protocol: HTTP}]}\n---\n\
                    apiVersion: networking.istio.io/v1beta1\nkind: Gateway\nmetadata: {name: g}\nspec: {}\n";
        let read = read(text);
        assert_eq!(
            read.findings,
            ["11:18 MSH0108 Namespace a is defined again", "25:18 MSH0108 Gateway default/g is defined again"]
        );
        assert_eq!(names(&read), ["Namespace a", "Namespace b", "Gateway default/g", "Gateway default/g"]);
        assert_eq!(read.objects.items[0].meta.labels.get("v").unwrap().value, "2");
    }

    #[test]
    fn misplaced_keys_are_found_at_every_level() {
        let read = read(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: x}\nSpec: {}\nspec:\n  hosts: [a]\n  http:\n  - retries: {per_try_timeout: 1s}\nstatus: {}\n",
        );
        assert_eq!(
            read.findings,
            [
                "4:1 MSH0103 unknown field `Spec` | did you mean `spec`?",
                "8:15 MSH0103 unknown field `spec.http[0].retries.per_try_timeout` | did you mean `perTryTimeout`?",
            ]
        );
    }

    #[test]
    fn creation_times_are_compared_in_utc() {
        for (text, utc) in [
            ("2024-01-01T00:30:00+01:00", Some("2023-12-31T23:30:00Z")),
            ("2024-02-28T23:30:00-00:45", Some("2024-02-29T00:15:00Z")),
            ("\"2024-01-01T00:00:00.123456Z\"", Some("2024-01-01T00:00:00Z")),
            ("1999-12-31T23:59:59Z", Some("1999-12-31T23:59:59Z")),
            ("null", None),
        ] {
            let read = read(&format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: a, creationTimestamp: {text}}}\n"));
            assert_eq!(read.objects.items[0].meta.creation_timestamp.as_ref().map(|t| t.0.as_str()), utc, "{text}");
            assert!(read.findings.is_empty(), "{:?}", read.findings);
        }
        for text in [
            "2024-02-30T00:00:00Z",
            "2024-01-01",
            "yesterday",
            "2024-01-01T25:00:00Z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00+é0",
        ] {
            let read = read(&format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: a, creationTimestamp: {text}}}\n"));
            assert!(read.findings[0].contains("MSH0106"), "{text}: {:?}", read.findings);
            assert_eq!(names(&read), ["Namespace a"]);
        }
    }

    #[test]
    fn the_mesh_configuration_in_a_config_map_has_exact_places() {
        let read = read(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |-\n    # ours\n    rootNamespace: mesh-root\n\n    outboundTrafficPolicy:\n      mod: REGISTRY_ONLY\n    connectTimeout: 10\n",
        );
        assert_eq!(
            read.findings,
            [
                "10:7 MSH0103 unknown field `data.mesh.outboundTrafficPolicy.mod` | did you mean `mode`?",
                "11:21 MSH0104 `data.mesh.connectTimeout` must be a duration such as `500ms` or `2s`, not the number `10`",
            ]
        );
        let (config, _) = read.objects.mesh_config.expect("the ConfigMap holds a mesh configuration");
        assert_eq!(config.root_namespace.expect("it is set").value, "mesh-root");
    }

    #[test]
    fn the_mesh_configuration_of_an_operator_counts_and_an_ingress_for_istio_is_named() {
        let read = read(
            "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n  meshConfig: {rootNamespace: root}\n---\n\
             apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: a}\nspec: {ingressClassName: istio}\n---\n\
             apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: b}\nspec: {ingressClassName: nginx}\n",
        );
        assert_eq!(
            read.findings,
            [
                "7:7 MSH0501 Ingress default/a is not modelled",
                "- MSH0102 kinds that do not concern routing are ignored: Ingress ×1"
            ]
        );
        assert!(read.objects.mesh_config.is_some());
    }

    proptest::proptest! {
        #[test]
        fn no_slip_of_the_pen_makes_decoding_panic(at in 0_usize..1000, length in 0_usize..20, insert in "[-:{}\\[\\]&*'\",? \n~<a1]{0,6}") {
            const VALID: &str = include_str!("../yaml/testdata/mutated.yaml");
            let start = at % VALID.len();
            let end = (start + length).min(VALID.len());
            if let (Some(before), Some(after)) = (VALID.get(..start), VALID.get(end..)) {
                let read = read(&format!("{before}{insert}{after}"));
                proptest::prop_assert!(read.objects.items.len() + read.findings.len() > 0);
            }
        }
    }

    #[test]
    fn an_embedded_text_without_lines_of_its_own_is_reported_as_a_whole() {
        let read = read("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio}\ndata:\n  mesh: \"rootNamespace: [\\n\"\n");
        assert_eq!(read.findings.len(), 1);
        assert!(read.findings[0].starts_with("5:9 MSH0001"), "{:?}", read.findings);
        assert!(read.objects.mesh_config.is_none());
    }
}
