//! What the user wrote: Kubernetes, Istio and Gateway API objects.
//!
//! This is the abstract syntax: it keeps order, spans and nonsense, resolves nothing and compares
//! nothing. [`mesh`](crate::mesh) says what it means.

mod decode;
pub mod gateway_api;
pub mod kubernetes;
pub mod mesh_config;
pub mod meta;
pub mod networking;
pub mod scalar;
pub mod security;

pub use decode::{Objects, decode};
pub use scalar::{PortRef, Timestamp};

use crate::diagnostic::ObjectRef;
use crate::source::Span;

/// One object.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// API version, such as `networking.istio.io/v1`.
    pub api_version: String,
    /// Name. Never empty: an object without one is left out with a finding.
    pub name: String,
    /// Namespace; empty for cluster-scoped kinds.
    pub namespace: String,
    /// The rest of the metadata.
    pub meta: meta::ObjectMeta,
    /// What it is.
    pub body: Body,
    /// Where the document stands.
    pub span: Span,
}

impl Object {
    /// How findings name it.
    #[must_use]
    pub fn reference(&self) -> ObjectRef {
        ObjectRef { kind: self.body.kind().to_owned(), namespace: self.namespace.clone(), name: self.name.clone() }
    }
}

/// Declares the kinds: variant, content, kind, API groups, namespaced or not, and where the content
/// stands (`spec` or the document itself).
macro_rules! kinds {
    ($($variant:ident($content:ty) $kind:literal $groups:literal $scope:ident $place:ident;)*) => {
        /// The content of an object, by kind.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Body {
            $(#[doc = concat!("`", $kind, "` of ", $groups, ".")] $variant(Box<$content>),)*
        }

        impl Body {
            /// The kind as users write it.
            #[must_use]
            pub const fn kind(&self) -> &'static str {
                match self { $(Body::$variant(_) => $kind,)* }
            }
        }

        /// One row of the table of kinds.
        struct KindRow {
            kind: &'static str,
            /// API groups and versions, separated by blanks, such as `networking.istio.io/v1`.
            api_versions: &'static str,
            scope: Scope,
            place: Place,
            decode: fn(&crate::yaml::Node, &mut crate::yaml::Cx<'_>) -> Option<Body>,
        }

        const KINDS: &[KindRow] = &[$(KindRow {
            kind: $kind,
            api_versions: $groups,
            scope: Scope::$scope,
            place: Place::$place,
            decode: |node, cx| <$content as crate::yaml::Decode>::decode(node, cx).map(|c| Body::$variant(Box::new(c))),
        }),*];
    };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Namespaced,
    Cluster,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Spec,
    Document,
}

kinds! {
    Namespace(kubernetes::MetadataOnly) "Namespace" "v1" Cluster Document;
    ServiceAccount(kubernetes::MetadataOnly) "ServiceAccount" "v1" Namespaced Document;
    Secret(kubernetes::MetadataOnly) "Secret" "v1" Namespaced Document;
    ConfigMap(kubernetes::ConfigMap) "ConfigMap" "v1" Namespaced Document;
    Service(kubernetes::ServiceSpec) "Service" "v1" Namespaced Spec;
    Endpoints(kubernetes::Endpoints) "Endpoints" "v1" Namespaced Document;
    EndpointSlice(kubernetes::EndpointSlice) "EndpointSlice" "discovery.k8s.io/v1 discovery.k8s.io/v1beta1" Namespaced Document;
    Pod(kubernetes::Pod) "Pod" "v1" Namespaced Document;
    Deployment(kubernetes::WorkloadSpec) "Deployment" "apps/v1 apps/v1beta1 apps/v1beta2 extensions/v1beta1" Namespaced Spec;
    StatefulSet(kubernetes::WorkloadSpec) "StatefulSet" "apps/v1 apps/v1beta1 apps/v1beta2" Namespaced Spec;
    DaemonSet(kubernetes::WorkloadSpec) "DaemonSet" "apps/v1 apps/v1beta2 extensions/v1beta1" Namespaced Spec;
    ReplicaSet(kubernetes::WorkloadSpec) "ReplicaSet" "apps/v1 apps/v1beta2 extensions/v1beta1" Namespaced Spec;
    Job(kubernetes::WorkloadSpec) "Job" "batch/v1 batch/v1beta1" Namespaced Spec;
    VirtualService(networking::VirtualService) "VirtualService" "networking.istio.io/v1 networking.istio.io/v1beta1 networking.istio.io/v1alpha3" Namespaced Spec;
    DestinationRule(networking::DestinationRule) "DestinationRule" "networking.istio.io/v1 networking.istio.io/v1beta1 networking.istio.io/v1alpha3" Namespaced Spec;
    IstioGateway(networking::IstioGateway) "Gateway" "networking.istio.io/v1 networking.istio.io/v1beta1 networking.istio.io/v1alpha3" Namespaced Spec;
    ServiceEntry(networking::ServiceEntry) "ServiceEntry" "networking.istio.io/v1 networking.istio.io/v1beta1 networking.istio.io/v1alpha3" Namespaced Spec;
    WorkloadEntry(networking::WorkloadEntry) "WorkloadEntry" "networking.istio.io/v1 networking.istio.io/v1beta1 networking.istio.io/v1alpha3" Namespaced Spec;
    Sidecar(networking::Sidecar) "Sidecar" "networking.istio.io/v1 networking.istio.io/v1beta1 networking.istio.io/v1alpha3" Namespaced Spec;
    EnvoyFilter(kubernetes::MetadataOnly) "EnvoyFilter" "networking.istio.io/v1alpha3" Namespaced Document;
    PeerAuthentication(security::PeerAuthentication) "PeerAuthentication" "security.istio.io/v1 security.istio.io/v1beta1" Namespaced Spec;
    AuthorizationPolicy(security::AuthorizationPolicy) "AuthorizationPolicy" "security.istio.io/v1 security.istio.io/v1beta1" Namespaced Spec;
    RequestAuthentication(security::RequestAuthentication) "RequestAuthentication" "security.istio.io/v1 security.istio.io/v1beta1" Namespaced Spec;
    LegacyPolicy(security::LegacyPolicy) "Policy" "authentication.istio.io/v1alpha1" Namespaced Spec;
    LegacyMeshPolicy(security::LegacyPolicy) "MeshPolicy" "authentication.istio.io/v1alpha1" Cluster Spec;
    GatewayClass(gateway_api::GatewayClass) "GatewayClass" "gateway.networking.k8s.io/v1 gateway.networking.k8s.io/v1beta1" Cluster Spec;
    KubeGateway(gateway_api::KubeGateway) "Gateway" "gateway.networking.k8s.io/v1 gateway.networking.k8s.io/v1beta1" Namespaced Spec;
    HttpRoute(gateway_api::HttpRouteSpec) "HTTPRoute" "gateway.networking.k8s.io/v1 gateway.networking.k8s.io/v1beta1" Namespaced Spec;
    GrpcRoute(gateway_api::GrpcRouteSpec) "GRPCRoute" "gateway.networking.k8s.io/v1 gateway.networking.k8s.io/v1alpha2" Namespaced Spec;
    TcpRoute(gateway_api::L4RouteSpec) "TCPRoute" "gateway.networking.k8s.io/v1 gateway.networking.k8s.io/v1alpha2" Namespaced Spec;
    TlsRoute(gateway_api::L4RouteSpec) "TLSRoute" "gateway.networking.k8s.io/v1 gateway.networking.k8s.io/v1alpha3 gateway.networking.k8s.io/v1alpha2" Namespaced Spec;
    ReferenceGrant(gateway_api::ReferenceGrant) "ReferenceGrant" "gateway.networking.k8s.io/v1 gateway.networking.k8s.io/v1beta1 gateway.networking.k8s.io/v1alpha2" Namespaced Spec;
}
