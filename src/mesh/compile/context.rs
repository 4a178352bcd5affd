//! The objects of the input by kind, each kind in the order in which Istio lets them compete.

use super::mesh::CompileOptions;
use crate::mesh::{ObjectId, Origin, host};
use crate::resource::mesh_config::MeshConfig;
use crate::resource::{Body, Object, Objects, gateway_api, kubernetes, networking, security};
use crate::source::{Span, Spanned};

/// One object of a known kind.
#[derive(Debug)]
pub(in crate::mesh) struct Item<'a, T> {
    /// Its position in the input.
    pub(in crate::mesh) id: ObjectId,
    /// Name, namespace and metadata.
    pub(in crate::mesh) object: &'a Object,
    /// Content.
    pub(in crate::mesh) spec: &'a T,
}

// Derived impls would ask for `T: Copy`.
impl<T> Clone for Item<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Item<'_, T> {}

impl<'a, T> Item<'a, T> {
    /// Creation time, comparable as text; empty is earliest.
    pub(in crate::mesh) fn created(&self) -> &'a str {
        created(self.object)
    }

    /// The place of a part of it.
    pub(in crate::mesh) fn origin(&self, span: Span) -> Origin {
        Origin { object: Some(self.id), span }
    }
}

fn created(object: &Object) -> &str {
    object.meta.creation_timestamp.as_ref().map_or("", |t| t.0.as_str())
}

/// Declares the lists: field, content, variant of [`Body`].
macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $field:ident: $content:ty = $variant:ident;)*) => {
        /// What the passes read: the objects by kind, oldest first (ties by name, then namespace),
        /// and the mesh configuration.
        #[derive(Debug)]
        pub(in crate::mesh) struct Context<'a> {
            /// All objects in the order they were written; an [`ObjectId`] is a position here.
            pub(in crate::mesh) objects: &'a [Object],
            /// What compiling needs besides the objects.
            pub(in crate::mesh) options: &'a CompileOptions,
            /// The mesh configuration.
            pub(in crate::mesh) mesh_config: MeshConfig,
            $($(#[doc = $doc])* pub(in crate::mesh) $field: Vec<Item<'a, $content>>,)*
        }

        impl<'a> Context<'a> {
            /// Sorts the objects of an input.
            pub(in crate::mesh) fn new(objects: &'a Objects, options: &'a CompileOptions) -> Self {
                let mut context = Context {
                    objects: &objects.items,
                    options,
                    mesh_config: objects.mesh_config.as_ref().map(|(config, _)| config.clone()).unwrap_or_default(),
                    $($field: Vec::new(),)*
                };
                let mut order: Vec<usize> = (0..objects.items.len()).collect();
                order.sort_by_key(|index| {
                    let object = &objects.items[*index];
                    (created(object), object.name.as_str(), object.namespace.as_str())
                });
                for index in order {
                    let (id, object) = (ObjectId::new(index), &objects.items[index]);
                    match &object.body {
                        $(Body::$variant(spec) => context.$field.push(Item { id, object, spec }),)*
                        _ => {}
                    }
                }
                context
            }
        }
    };
}

kinds! {
    /// Namespaces.
    namespaces: kubernetes::MetadataOnly = Namespace;
    /// Services.
    services: kubernetes::ServiceSpec = Service;
    /// Endpoints objects.
    endpoints: kubernetes::Endpoints = Endpoints;
    /// EndpointSlices.
    endpoint_slices: kubernetes::EndpointSlice = EndpointSlice;
    /// Pods.
    pods: kubernetes::Pod = Pod;
    /// Deployments.
    deployments: kubernetes::WorkloadSpec = Deployment;
    /// StatefulSets.
    stateful_sets: kubernetes::WorkloadSpec = StatefulSet;
    /// DaemonSets.
    daemon_sets: kubernetes::WorkloadSpec = DaemonSet;
    /// ReplicaSets.
    replica_sets: kubernetes::WorkloadSpec = ReplicaSet;
    /// Jobs.
    jobs: kubernetes::WorkloadSpec = Job;
    /// VirtualServices as written.
    virtual_services: networking::VirtualService = VirtualService;
    /// DestinationRules.
    destination_rules: networking::DestinationRule = DestinationRule;
    /// Istio's Gateways.
    istio_gateways: networking::IstioGateway = IstioGateway;
    /// ServiceEntries.
    service_entries: networking::ServiceEntry = ServiceEntry;
    /// WorkloadEntries.
    workload_entries: networking::WorkloadEntry = WorkloadEntry;
    /// Sidecars.
    sidecars: networking::Sidecar = Sidecar;
    /// EnvoyFilters.
    envoy_filters: kubernetes::MetadataOnly = EnvoyFilter;
    /// PeerAuthentications.
    peer_authentications: security::PeerAuthentication = PeerAuthentication;
    /// AuthorizationPolicies.
    authorization_policies: security::AuthorizationPolicy = AuthorizationPolicy;
    /// RequestAuthentications.
    request_authentications: security::RequestAuthentication = RequestAuthentication;
    /// Policies of `authentication.istio.io`.
    legacy_policies: security::LegacyPolicy = LegacyPolicy;
    /// MeshPolicies of `authentication.istio.io`.
    legacy_mesh_policies: security::LegacyPolicy = LegacyMeshPolicy;
    /// GatewayClasses.
    gateway_classes: gateway_api::GatewayClass = GatewayClass;
    /// The Gateway API's Gateways.
    kube_gateways: gateway_api::KubeGateway = KubeGateway;
    /// HTTPRoutes.
    http_routes: gateway_api::HttpRouteSpec = HttpRoute;
    /// GRPCRoutes.
    grpc_routes: gateway_api::GrpcRouteSpec = GrpcRoute;
    /// TCPRoutes.
    tcp_routes: gateway_api::L4RouteSpec = TcpRoute;
    /// TLSRoutes.
    tls_routes: gateway_api::L4RouteSpec = TlsRoute;
    /// ReferenceGrants.
    reference_grants: gateway_api::ReferenceGrant = ReferenceGrant;
}

impl Context<'_> {
    /// The namespace whose configuration is for everyone.
    pub(in crate::mesh) fn root_namespace(&self) -> &str {
        self.mesh_config.root_namespace.as_ref().map_or("istio-system", |n| n.value.as_str())
    }

    /// Trust domains that count as the mesh's own, its first.
    pub(in crate::mesh) fn trust_domains(&self) -> Vec<String> {
        let own = self.mesh_config.trust_domain.as_ref().map_or("cluster.local", |domain| domain.value.as_str());
        let aliases = self.mesh_config.trust_domain_aliases.iter().map(|alias| alias.value.as_str());
        std::iter::once(own).chain(aliases).map(str::to_owned).collect()
    }

    /// A host as the registry knows it, from what an object of `namespace` calls it.
    pub(in crate::mesh) fn resolve(&self, host: &str, namespace: &str) -> String {
        host::resolve_short_name(host, namespace, &self.options.cluster_domain)
    }
}

/// The texts of a list.
pub(in crate::mesh) fn texts(list: &[Spanned<String>]) -> Vec<String> {
    list.iter().map(|text| text.value.clone()).collect()
}

/// A mapping of texts as pairs sorted by key.
pub(in crate::mesh) fn labels(map: &crate::yaml::Map<Spanned<String>>) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = map.iter().map(|(key, value)| (key.to_owned(), value.value.clone())).collect();
    pairs.sort();
    pairs
}

/// Whether all `wanted` pairs are among `labels`, which are sorted by key.
pub(in crate::mesh) fn selects(wanted: &[(String, String)], labels: &[(String, String)]) -> bool {
    wanted.iter().all(|pair| labels.binary_search(pair).is_ok())
}
