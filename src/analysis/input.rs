//! What analyzers read: objects by kind, pods and templates alike, and the compiled registry.

use rustc_hash::FxHashMap;

use crate::diagnostic::{Code, Diagnostic};
use crate::mesh::registry::Service;
use crate::mesh::{Mesh, host};
use crate::resource::kubernetes::{self, PodSpec};
use crate::resource::meta::ObjectMeta;
use crate::resource::{Body, Object, Objects, gateway_api, networking, security};
use crate::source::{Span, Spanned};
use crate::yaml::{Map, Node};

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
    by_kind: ByKind<'a>,
    pods: Vec<PodView<'a>>,
    pods_of_namespace: FxHashMap<&'a str, Vec<usize>>,
    objects_by_name: FxHashMap<&'a str, FxHashMap<&'a str, Vec<&'a Object>>>,
    registry: FxHashMap<&'a str, Vec<&'a Service>>,
    registry_wildcards: Vec<&'a Service>,
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
            $(pub(super) fn $name(&self) -> impl Iterator<Item = Of<'a, $content>> {
                self.by_kind.$name.iter().copied()
            })*
        }

        /// Objects by kind, in the order they were written.
        #[derive(Default)]
        struct ByKind<'a> {
            $($name: Vec<Of<'a, $content>>,)*
        }

        impl<'a> ByKind<'a> {
            fn new(objects: &'a [Object]) -> Self {
                let mut all = ByKind::default();
                for object in objects {
                    match &object.body {
                        $(Body::$variant(spec) => all.$name.push(Of { object, spec: &**spec }),)*
                        _ => {}
                    }
                }
                all
            }
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

macro_rules! by_name {
    ($($name:ident: $content:ty = $variant:ident;)*) => {
        impl<'a> Input<'a> {
            $(pub(super) fn $name(&self, namespace: &str, name: &str) -> Option<Of<'a, $content>> {
                self.named(namespace, name).iter().find_map(|object| match &object.body {
                    Body::$variant(spec) => Some(Of { object, spec: &**spec }),
                    _ => None,
                })
            })*
        }
    };
}

by_name! {
    service: kubernetes::ServiceSpec = Service;
    virtual_service: networking::VirtualService = VirtualService;
    istio_gateway: networking::IstioGateway = IstioGateway;
    kube_gateway: gateway_api::KubeGateway = KubeGateway;
}

impl<'a> Input<'a> {
    pub(super) fn new(objects: &'a Objects, mesh: &'a Mesh, found: &'a [Diagnostic]) -> Self {
        let config = objects.mesh_config.as_ref().map(|(config, _)| config);
        let root_namespace =
            config.and_then(|config| config.root_namespace.as_ref()).map_or("istio-system", |name| name.value.as_str());
        let default_export_to = config.map_or_else(Vec::new, |config| texts(&config.default_virtual_service_export_to).collect());
        let pods = objects.items.iter().filter_map(pod_view).collect();
        let mut input = Input {
            all: objects,
            objects: &objects.items,
            mesh,
            root_namespace,
            default_export_to,
            by_kind: ByKind::new(&objects.items),
            pods,
            pods_of_namespace: FxHashMap::default(),
            objects_by_name: FxHashMap::default(),
            registry: FxHashMap::default(),
            registry_wildcards: Vec::new(),
            found,
        };
        input.index();
        input
    }

    fn index(&mut self) {
        for (index, pod) in self.pods.iter().enumerate() {
            self.pods_of_namespace.entry(&pod.object.namespace).or_default().push(index);
        }
        for object in self.objects {
            self.objects_by_name.entry(&object.namespace).or_default().entry(&object.name).or_default().push(object);
        }
        for service in &self.mesh.services {
            match host::is_wildcard(&service.host) {
                true => self.registry_wildcards.push(service),
                false => self.registry.entry(&service.host).or_default().push(service),
            }
        }
    }

    /// The objects of a name in a namespace, of all kinds.
    fn named(&self, namespace: &str, name: &str) -> &[&'a Object] {
        self.objects_by_name.get(namespace).and_then(|own| own.get(name)).map_or(&[], Vec::as_slice)
    }

    /// The services of the registry that have exactly this host.
    pub(super) fn services_of_host(&self, host: &str) -> impl Iterator<Item = &'a Service> {
        let exact = self.registry.get(host).map_or(&[][..], Vec::as_slice);
        let wild = self.registry_wildcards.iter().filter(move |service| service.host == host);
        wild.chain(exact).copied()
    }

    /// The services of the registry that a host means: those of that host, and wildcards over it.
    pub(super) fn services_meant(&self, name: &str) -> Vec<&'a Service> {
        let is_meant = |service: &&&Service| service.host == name || host::is_subset_of(name, &service.host);
        let exact = self.registry.get(name).map_or(&[][..], Vec::as_slice);
        self.registry_wildcards.iter().filter(is_meant).chain(exact).copied().collect()
    }

    /// Pods and the templates of workloads.
    pub(super) fn pods(&self) -> &[PodView<'a>] {
        &self.pods
    }

    /// Pods with these labels in a namespace; everywhere if it is the root namespace.
    pub(super) fn pods_for_policy<'s>(&'s self, namespace: &'s str, wanted: &'s Labels) -> impl Iterator<Item = &'s PodView<'a>> {
        let everywhere = (namespace == self.root_namespace).then_some(&self.pods);
        let own = self.pods_of_namespace.get(namespace).filter(|_| everywhere.is_none());
        let own = own.into_iter().flatten().map(|index| &self.pods[*index]);
        everywhere.into_iter().flatten().chain(own).filter(|pod| selects(wanted, &pod.meta.labels))
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
    node.map_or(&[], Node::items)
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
