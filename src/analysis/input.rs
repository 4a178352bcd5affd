//! What analyzers read: objects by kind, pods and templates alike, and the compiled registry.

use crate::diagnostic::{Code, Diagnostic};
use crate::mesh::Mesh;
use crate::resource::kubernetes::{self, PodSpec};
use crate::resource::meta::ObjectMeta;
use crate::resource::{Body, Object, Objects, gateway_api, networking, security};
use crate::source::{Span, Spanned};
use crate::yaml::{Map, Node, Value};

/// Labels or a selector, as written.
pub(super) type Labels = Map<Spanned<String>>;

/// The input of all analyzers.
pub(super) struct Input<'a> {
    /// As it was read, for compiling it anew.
    pub(super) all: &'a Objects,
    pub(super) objects: &'a [Object],
    pub(super) mesh: &'a Mesh,
    /// The namespace whose configuration is for everyone.
    pub(super) root_namespace: &'a str,
    /// Namespaces that see VirtualServices which do not say.
    pub(super) default_export_to: Vec<&'a str>,
    pods: Vec<PodView<'a>>,
    /// What was found before, for analyzers that add to it.
    pub(super) found: &'a [Diagnostic],
}

/// An object of a known kind.
#[derive(Debug)]
pub(super) struct Of<'a, T> {
    pub(super) object: &'a Object,
    pub(super) spec: &'a T,
}

impl<T> Clone for Of<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Of<'_, T> {}

/// A Pod, or the pods that a workload stamps from its template.
#[derive(Debug, Clone, Copy)]
pub(super) struct PodView<'a> {
    /// The Pod or the workload.
    pub(super) object: &'a Object,
    /// Metadata of the pods.
    pub(super) meta: &'a ObjectMeta,
    pub(super) spec: &'a PodSpec,
}

impl PodView<'_> {
    pub(super) fn namespace(&self) -> &str {
        &self.object.namespace
    }
}

macro_rules! kinds {
    ($($name:ident: $content:ty = $variant:ident;)*) => {
        impl<'a> Input<'a> {
            $(pub(super) fn $name(&self) -> impl Iterator<Item = Of<'a, $content>> + use<'a> {
                self.objects.iter().filter_map(|object| match &object.body {
                    Body::$variant(spec) => Some(Of { object, spec: &**spec }),
                    _ => None,
                })
            })*
        }
    };
}

kinds! {
    namespaces: kubernetes::MetadataOnly = Namespace;
    secrets: kubernetes::MetadataOnly = Secret;
    config_maps: kubernetes::ConfigMap = ConfigMap;
    services: kubernetes::ServiceSpec = Service;
    deployments: kubernetes::WorkloadSpec = Deployment;
    virtual_services: networking::VirtualService = VirtualService;
    destination_rules: networking::DestinationRule = DestinationRule;
    istio_gateways: networking::IstioGateway = IstioGateway;
    service_entries: networking::ServiceEntry = ServiceEntry;
    sidecars: networking::Sidecar = Sidecar;
    envoy_filters: kubernetes::MetadataOnly = EnvoyFilter;
    telemetries: kubernetes::MetadataOnly = Telemetry;
    peer_authentications: security::PeerAuthentication = PeerAuthentication;
    authorization_policies: security::AuthorizationPolicy = AuthorizationPolicy;
    request_authentications: security::RequestAuthentication = RequestAuthentication;
    kube_gateways: gateway_api::KubeGateway = KubeGateway;
    http_routes: gateway_api::HttpRouteSpec = HttpRoute;
    mutating_webhooks: kubernetes::MetadataOnly = MutatingWebhook;
    validating_webhooks: kubernetes::MetadataOnly = ValidatingWebhook;
}

impl<'a> Input<'a> {
    pub(super) fn new(objects: &'a Objects, mesh: &'a Mesh, found: &'a [Diagnostic]) -> Self {
        let config = objects.mesh_config.as_ref().map(|(config, _)| config);
        let root_namespace =
            config.and_then(|config| config.root_namespace.as_ref()).map_or("istio-system", |name| name.value.as_str());
        let default_export_to = config.map_or_else(Vec::new, |config| texts(&config.default_virtual_service_export_to).collect());
        let pods = objects.items.iter().filter_map(pod_view).collect();
        Input { all: objects, objects: &objects.items, mesh, root_namespace, default_export_to, pods, found }
    }

    /// Pods and the templates of workloads.
    pub(super) fn pods(&self) -> &[PodView<'a>] {
        &self.pods
    }

    /// Pods with these labels in a namespace; everywhere if it is the root namespace.
    pub(super) fn pods_for_policy<'s>(&'s self, namespace: &'s str, wanted: &'s Labels) -> impl Iterator<Item = &'s PodView<'a>> {
        let everywhere = namespace == self.root_namespace;
        self.pods.iter().filter(move |pod| (everywhere || pod.namespace() == namespace) && selects(wanted, &pod.meta.labels))
    }

    /// The metadata of a namespace, if the input holds it.
    pub(super) fn namespace(&self, name: &str) -> Option<&'a Object> {
        self.namespaces().map(|item| item.object).find(|object| object.name == name)
    }
}

fn pod_view(object: &Object) -> Option<PodView<'_>> {
    match &object.body {
        Body::Pod(pod) => Some(PodView { object, meta: &object.meta, spec: &pod.spec }),
        Body::Deployment(workload)
        | Body::StatefulSet(workload)
        | Body::DaemonSet(workload)
        | Body::ReplicaSet(workload)
        | Body::Job(workload) => Some(PodView { object, meta: &workload.template.metadata, spec: &workload.template.spec }),
        _ => None,
    }
}

/// Whether all `wanted` labels are there.
pub(super) fn selects(wanted: &Labels, labels: &Labels) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key).is_some_and(|own| own.value == value.value))
}

/// Labels as findings print them.
pub(super) fn shown(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={}", value.value)).collect();
    pairs.join(",")
}

/// The texts of a list.
pub(super) fn texts(list: &[Spanned<String>]) -> impl Iterator<Item = &str> {
    list.iter().map(|text| text.value.as_str())
}

/// A text that may be absent; empty then.
pub(super) fn text(value: Option<&Spanned<String>>) -> &str {
    value.map_or("", |text| text.value.as_str())
}

/// A label or annotation; empty if absent.
pub(super) fn entry<'l>(labels: &'l Labels, key: &str) -> &'l str {
    text(labels.get(key))
}

/// The items of a list below a node; none if it is no list.
pub(super) fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.value) {
        Some(Value::Seq(items)) => items,
        _ => &[],
    }
}

/// The string at a path below a node; empty if there is none.
pub(super) fn string_at<'n>(node: &'n Node, path: &[&str]) -> &'n str {
    node_at(node, path).and_then(Node::as_str).unwrap_or_default()
}

/// The node at a path below a node.
pub(super) fn node_at<'n>(node: &'n Node, path: &[&str]) -> Option<&'n Node> {
    path.iter().try_fold(node, |node, key| node.get(key))
}

/// The labels of a `matchLabels` in a part of an object that is kept as it is.
pub(super) fn labels_at(node: &Node, path: &[&str]) -> Labels {
    let entries = node_at(node, path).and_then(Node::entries).unwrap_or_default();
    let pairs = entries.iter().filter_map(|(key, value)| Some((key.clone(), Spanned::new(value.text()?.to_owned(), value.span))));
    Map(pairs.collect())
}

/// A finding about an object, at a place in it or, if that is nowhere, at the object.
pub(super) fn finding(code: Code, object: &Object, span: Span, message: impl Into<String>) -> Diagnostic {
    let span = if span.is_somewhere() { span } else { name_span(object) };
    Diagnostic::new(code, message).at(span).about(object.reference())
}

/// Where an object's name stands.
pub(super) fn name_span(object: &Object) -> Span {
    object.meta.name.as_ref().map_or(object.span, |name| name.span)
}
