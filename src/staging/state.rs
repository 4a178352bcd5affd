//! The objects of a mesh as a timeline changes them.
//!
//! Changes happen to documents, as they do in a cluster: a patch or a new number of pods is written
//! into the document and read again, so that what it breaks is found like any other mistake.

use super::near::with_near;
use super::path;
use crate::diagnostic::{Code, Diagnostic, ObjectRef};
use crate::resource::{self, Objects};
use crate::scenario::{Patch, Scale};
use crate::source::Spanned;
use crate::yaml::{Document, Node, Value};

/// Kinds whose `spec.replicas` says how many pods there are.
const SCALED_KINDS: &[&str] = &["Deployment", "StatefulSet", "ReplicaSet"];

/// Documents, one for each object.
#[derive(Debug, Default)]
pub(super) struct State {
    items: Vec<Item>,
    default_namespace: String,
}

#[derive(Debug)]
struct Item {
    identity: Identity,
    document: Document,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    group: String,
    object: ObjectRef,
}

impl State {
    pub(super) fn new(default_namespace: &str) -> Self {
        State { items: Vec::new(), default_namespace: default_namespace.to_owned() }
    }

    /// The objects as they are now. Findings about them were reported when they came in.
    pub(super) fn objects(&self) -> Objects {
        let documents: Vec<Document> = self.items.iter().map(|item| item.document.clone()).collect();
        resource::decode(&documents, &self.default_namespace).0
    }

    /// Creates or replaces the objects of some documents. Gives the objects that concern routing.
    pub(super) fn apply(&mut self, documents: &[Document], findings: &mut Vec<Diagnostic>) -> Vec<ObjectRef> {
        let (objects, found) = resource::decode(documents, &self.default_namespace);
        findings.extend(found);
        let mut unfolded = Vec::new();
        for document in documents {
            unfold(&document.root, document, None, &mut unfolded);
        }
        for document in unfolded {
            let Some(identity) = self.identify(&document.root, &objects) else { continue };
            match self.items.iter_mut().find(|item| item.identity == identity) {
                Some(item) => item.document = document,
                None => self.items.push(Item { identity, document }),
            }
        }
        objects.items.iter().map(resource::Object::reference).collect()
    }

    fn identify(&self, node: &Node, objects: &Objects) -> Option<Identity> {
        let kind = node.get("kind")?.as_str()?;
        let api_version = node.get("apiVersion")?.as_str()?;
        let group = api_version.rsplit_once('/').map_or("", |(group, _)| group).to_owned();
        // Whether a kind has a namespace is known for the kinds that are read; others count as
        // namespaced, which matters to nothing but the words of a finding.
        let read = objects.items.iter().find(|object| object.span == node.span).map(resource::Object::reference);
        let object = read.or_else(|| {
            let meta = |key: &str| node.get("metadata").and_then(|meta| meta.get(key)).and_then(Node::text);
            Some(ObjectRef {
                kind: kind.to_owned(),
                namespace: meta("namespace").unwrap_or(&self.default_namespace).to_owned(),
                name: meta("name")?.to_owned(),
            })
        })?;
        Some(Identity { group, object })
    }

    /// Deletes what `Kind/name` or `Kind/namespace/name` names; a Namespace with everything in it.
    pub(super) fn delete(&mut self, reference: &Spanned<String>, findings: &mut Vec<Diagnostic>) -> Vec<ObjectRef> {
        let Some(indices) = self.named(reference, findings) else { return Vec::new() };
        let named: Vec<ObjectRef> = indices.iter().map(|i| self.items[*i].identity.object.clone()).collect();
        let gone = |identity: &Identity| {
            named.iter().any(|n| *n == identity.object || n.kind == "Namespace" && n.name == identity.object.namespace)
        };
        let deleted = self.items.iter().filter(|item| gone(&item.identity)).map(|item| item.identity.object.clone()).collect();
        self.items.retain(|item| !gone(&item.identity));
        deleted
    }

    /// Sets a number of pods.
    pub(super) fn scale(&mut self, scale: &Scale, findings: &mut Vec<Diagnostic>) -> Option<ObjectRef> {
        let wanted = scale.workload.value.as_str();
        let is_wanted = |object: &ObjectRef| {
            let full = wanted.strip_prefix(&object.name).and_then(|rest| rest.strip_prefix('.')) == Some(&object.namespace);
            SCALED_KINDS.contains(&object.kind.as_str()) && (object.name == wanted || full)
        };
        let found: Vec<usize> = (0..self.items.len()).filter(|i| is_wanted(&self.items[*i].identity.object)).collect();
        let own = found.iter().find(|i| self.items[**i].identity.object.namespace == self.default_namespace);
        let Some(index) = own.or(found.first()) else {
            let finding =
                Diagnostic::new(Code::ScenarioReference, format!("there is no workload `{wanted}` to scale at this time"))
                    .at(scale.workload.span);
            let scaled = self.items.iter().map(|item| &item.identity.object).filter(|o| SCALED_KINDS.contains(&o.kind.as_str()));
            findings.push(with_near(finding, wanted, scaled.map(|o| o.name.as_str())));
            return None;
        };
        let replicas = scale.replicas.value;
        let value = Node { span: scale.replicas.span, value: Value::Int(i64::from(replicas), replicas.to_string()) };
        let place = Spanned::new("spec.replicas".to_owned(), scale.replicas.span);
        self.set(*index, &[(place, &value)], findings)
    }

    /// Changes single fields of an object.
    pub(super) fn patch(&mut self, patch: &Patch, findings: &mut Vec<Diagnostic>) -> Vec<ObjectRef> {
        let Some(indices) = self.named(&patch.object, findings) else { return Vec::new() };
        let changes: Vec<(Spanned<String>, &Node)> = patch.set.0.iter().map(|(path, value)| (path.clone(), value)).collect();
        indices.into_iter().filter_map(|index| self.set(index, &changes, findings)).collect()
    }

    fn set(&mut self, index: usize, changes: &[(Spanned<String>, &Node)], findings: &mut Vec<Diagnostic>) -> Option<ObjectRef> {
        let Item { identity, document } = &mut self.items[index];
        for (place, value) in changes {
            if let Err(why) = path::set(&mut document.root, place, value) {
                let message = format!("`{}` cannot be set in {}: {why}", place.value, identity.object);
                findings.push(Diagnostic::new(Code::ScenarioInvalid, message).at(place.span).about(identity.object.clone()));
            }
        }
        let (objects, found) = resource::decode(std::slice::from_ref(document), &self.default_namespace);
        findings.extend(found);
        objects.items.first().map(resource::Object::reference)
    }

    /// The places of the objects that `Kind/name` or `Kind/namespace/name` names; more than one only
    /// if two API groups have such a kind.
    fn named(&self, reference: &Spanned<String>, findings: &mut Vec<Diagnostic>) -> Option<Vec<usize>> {
        let parts: Vec<&str> = reference.split('/').collect();
        let (kind, namespace, name) = match parts.as_slice() {
            [kind, name] => (*kind, None, *name),
            [kind, namespace, name] => (*kind, Some(*namespace), *name),
            _ => {
                let message = format!("`{}` is neither `Kind/name` nor `Kind/namespace/name`", reference.value);
                findings.push(Diagnostic::new(Code::ScenarioInvalid, message).at(reference.span));
                return None;
            }
        };
        let found: Vec<usize> = (0..self.items.len())
            .filter(|index| {
                let object = &self.items[*index].identity.object;
                let namespace = namespace.unwrap_or(&self.default_namespace);
                object.kind.eq_ignore_ascii_case(kind)
                    && object.name == name
                    && (object.namespace.is_empty() || object.namespace == namespace)
            })
            .collect();
        if !found.is_empty() {
            return Some(found);
        }
        let finding = Diagnostic::new(Code::ScenarioReference, format!("there is no object `{}` at this time", reference.value))
            .at(reference.span);
        let objects = self.items.iter().map(|item| &item.identity.object).filter(|o| o.kind.eq_ignore_ascii_case(kind));
        let known: Vec<String> = objects
            .map(|o| match o.namespace.as_str() {
                namespace if namespace.is_empty() || namespace == self.default_namespace => format!("{}/{}", o.kind, o.name),
                namespace => format!("{}/{namespace}/{}", o.kind, o.name),
            })
            .collect();
        findings.push(match known.is_empty() {
            true => with_near(finding, kind, self.items.iter().map(|item| item.identity.object.kind.as_str())),
            false => with_near(finding, &reference.value, known.iter().map(String::as_str)),
        });
        None
    }
}

/// Takes lists apart, so that each document is one object.
fn unfold(node: &Node, document: &Document, of_items: Option<(&Node, String)>, unfolded: &mut Vec<Document>) {
    let kind = node.get("kind").and_then(Node::as_str).unwrap_or_default();
    if let (Some(of_kind), Some(Value::Seq(items))) = (kind.strip_suffix("List"), node.get("items").map(|items| &items.value)) {
        let of_items = node.get("apiVersion").filter(|_| !of_kind.is_empty()).map(|version| (version, of_kind.to_owned()));
        for item in items {
            unfold(item, document, of_items.clone(), unfolded);
        }
        return;
    }
    let mut root = node.clone();
    if let (Some((version, kind)), None, Value::Map(entries)) = (of_items, node.get("kind"), &mut root.value) {
        let kind = Node { span: node.span, value: Value::Str(kind) };
        entries.insert(0, (Spanned::new("apiVersion".to_owned(), node.span), version.clone()));
        entries.insert(1, (Spanned::new("kind".to_owned(), node.span), kind));
    }
    unfolded.push(Document { root, ..document.clone() });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Body;
    use crate::source::Sources;
    use crate::yaml::{Cx, Decode, Limits, parse};

    const START: &str = "
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- {apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 4, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web}]}}}}
- {apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {replicas: 1, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web}]}}}}
- {apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {ports: [{port: 80, name: http}]}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec: {selector: {istio: ingressgateway}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec: {gatewayClassName: istio}
";

    fn documents(text: &str) -> Vec<Document> {
        let mut sources = Sources::new();
        let file = sources.add("a.yaml", text);
        parse(&sources, file, Limits::default()).0
    }

    fn read<T: Decode>(text: &str) -> T {
        T::decode(&documents(text)[0].root, &mut Cx::new(&mut Vec::new())).unwrap()
    }

    fn start() -> State {
        let mut state = State::new("default");
        state.apply(&documents(START), &mut Vec::new());
        state
    }

    fn names(state: &State) -> Vec<String> {
        state.objects().items.iter().map(|object| object.reference().to_string()).collect()
    }

    fn replicas(state: &State) -> Vec<i64> {
        let spec = |body: &Body| match body {
            Body::Deployment(spec) => spec.replicas.as_ref().map(|replicas| replicas.value),
            _ => None,
        };
        state.objects().items.iter().filter_map(|object| spec(&object.body)).collect()
    }

    #[test]
    fn applying_creates_at_the_end_and_replaces_in_place() {
        let mut state = start();
        let before = names(&state);
        let applied = state.apply(
            &documents(
                "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 2, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web}]}}}}\n---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: web}}",
            ),
            &mut Vec::new(),
        );
        assert_eq!(
            applied.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["Deployment default/web", "ServiceAccount default/web"]
        );
        assert_eq!(names(&state), [before, vec!["ServiceAccount default/web".to_owned()]].concat());
        assert_eq!(replicas(&state), [2, 1]);
    }

    #[test]
    fn deleting_a_namespace_deletes_everything_in_it() {
        let mut state = start();
        let mut findings = Vec::new();
        let deleted = state.delete(&Spanned::made_up("Namespace/shop".to_owned()), &mut findings);
        assert_eq!(deleted.len(), 3);
        assert_eq!(names(&state), ["Deployment default/web", "Gateway default/edge", "Gateway default/edge"]);
        assert!(findings.is_empty());
    }

    #[test]
    fn objects_are_named_by_kind_and_name_in_the_namespace_of_the_scenario_or_in_full() {
        for (reference, deleted, finding) in [
            ("Deployment/web", vec!["Deployment default/web"], None),
            ("deployment/shop/web", vec!["Deployment shop/web"], None),
            ("Gateway/edge", vec!["Gateway default/edge", "Gateway default/edge"], None),
            ("Service/web", vec![], Some("did you mean `Service/shop/web`?")),
            ("Deployment/wbe", vec![], Some("did you mean `Deployment/web`?")),
            ("VirtualService/web", vec![], Some("there is `Namespace`, `Deployment`, `Service`, `Gateway`")),
            ("web", vec![], None),
        ] {
            let mut state = start();
            let mut findings = Vec::new();
            let gone = state.delete(&Spanned::made_up(reference.to_owned()), &mut findings);
            assert_eq!(gone.iter().map(ToString::to_string).collect::<Vec<_>>(), deleted, "{reference}");
            assert_eq!(findings.is_empty(), !deleted.is_empty(), "{reference}");
            assert_eq!(findings.first().and_then(|f| f.help.as_deref()), finding, "{reference}");
        }
    }

    #[test]
    fn scaling_and_patching_change_the_document_that_later_changes_start_from() {
        let mut state = start();
        let mut findings = Vec::new();
        state.scale(&read::<Scale>("{workload: web.shop, replicas: 0}"), &mut findings);
        state.scale(&read::<Scale>("{workload: web, replicas: 7}"), &mut findings);
        assert_eq!(replicas(&state), [7, 0]);
        state.patch(&read::<Patch>("{object: Deployment/web, set: {metadata.labels.tier: front}}"), &mut findings);
        assert_eq!(replicas(&state), [7, 0]);
        assert!(findings.is_empty(), "{findings:?}");
        let patched = state.objects().items.iter().find(|object| object.namespace == "default").cloned().unwrap();
        assert_eq!(patched.meta.labels.get("tier").map(|tier| tier.value.as_str()), Some("front"));
    }

    #[test]
    fn what_a_patch_breaks_is_found_like_any_other_mistake() {
        let mut state = start();
        let mut findings = Vec::new();
        state.patch(&read::<Patch>("{object: Deployment/web, set: {spec.replicsa: 2}}"), &mut findings);
        assert_eq!(findings.iter().map(|f| f.message.as_str()).collect::<Vec<_>>(), ["unknown field `spec.replicsa`"]);
    }
}
