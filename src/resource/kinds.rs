//! The kinds of objects, as tables: which are read, which are known and not modelled, and which
//! groups are known completely, so that another kind in them is a slip of the pen.

use super::{gateway_api, kubernetes, networking, security};
use crate::yaml::nearest;

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
        #[derive(Debug)]
        pub(super) struct KindRow {
            pub(super) kind: &'static str,
            /// API groups and versions, separated by blanks, such as `networking.istio.io/v1`.
            api_versions: &'static str,
            pub(super) scope: Scope,
            pub(super) place: Place,
            pub(super) decode: fn(&crate::yaml::Node, &mut crate::yaml::Cx<'_>) -> Option<Body>,
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

/// Whether a kind has a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// It has a namespace.
    Namespaced,
    /// It has none.
    Cluster,
}

/// Where the content of a kind stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Under `spec`.
    Spec,
    /// Beside `metadata`.
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
    Telemetry(kubernetes::MetadataOnly) "Telemetry" "telemetry.istio.io/v1 telemetry.istio.io/v1alpha1" Namespaced Document;
    MutatingWebhook(kubernetes::MetadataOnly) "MutatingWebhookConfiguration" "admissionregistration.k8s.io/v1" Cluster Document;
    ValidatingWebhook(kubernetes::MetadataOnly) "ValidatingWebhookConfiguration" "admissionregistration.k8s.io/v1" Cluster Document;
    CustomResourceDefinition(kubernetes::MetadataOnly) "CustomResourceDefinition" "apiextensions.k8s.io/v1" Cluster Document;
    ReferenceGrant(gateway_api::ReferenceGrant) "ReferenceGrant" "gateway.networking.k8s.io/v1 gateway.networking.k8s.io/v1beta1 gateway.networking.k8s.io/v1alpha2" Namespaced Spec;
}

/// Kinds that change traffic and are not modelled, by API group.
const NOT_MODELLED: &[(&str, &[&str])] = &[
    ("", &["ReplicationController"]),
    ("batch", &["CronJob"]),
    ("networking.istio.io", &["ProxyConfig", "WorkloadGroup"]),
    ("telemetry.istio.io", &["Telemetry"]),
    // Mixer's rules and the access control of Istio 1.0 to 1.5.
    ("config.istio.io", ANY),
    ("rbac.istio.io", ANY),
    ("extensions.istio.io", &["WasmPlugin"]),
    ("networking.k8s.io", &["NetworkPolicy"]),
    ("gateway.networking.k8s.io", &["BackendTLSPolicy", "ListenerSet", "UDPRoute"]),
    ("gateway.networking.x-k8s.io", &["XBackendTrafficPolicy", "XListenerSet", "XMesh"]),
    ("multicluster.x-k8s.io", &["ServiceExport", "ServiceImport"]),
    ("argoproj.io", &["Rollout"]),
    ("flagger.app", &["Canary"]),
];

/// Every kind of a group.
const ANY: &[&str] = &["*"];

/// Groups of which every kind is known; the kinds that are in none of the other tables.
const CLOSED_GROUPS: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "Binding",
            "ComponentStatus",
            "Event",
            "LimitRange",
            "Node",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "PodTemplate",
            "ResourceQuota",
        ],
    ),
    ("apps", &["ControllerRevision"]),
    ("networking.istio.io", &[]),
    ("security.istio.io", &[]),
    ("gateway.networking.k8s.io", &[]),
];

/// API versions that clusters no longer serve: version, kinds, and the release that removed them.
const REMOVED: &[(&str, &[&str], &str)] = &[
    ("extensions/v1beta1", &["Deployment", "DaemonSet", "ReplicaSet"], "Kubernetes 1.16"),
    ("apps/v1beta1", &["Deployment", "StatefulSet"], "Kubernetes 1.16"),
    ("apps/v1beta2", &["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"], "Kubernetes 1.16"),
    ("discovery.k8s.io/v1beta1", &["EndpointSlice"], "Kubernetes 1.25"),
];

/// What an `apiVersion` and a `kind` say together.
#[derive(Debug)]
pub(super) enum Recognised {
    /// A kind that is read.
    Known(&'static KindRow),
    /// A kind that would be read in another version of its group.
    Unserved {
        /// The versions it has.
        served: Vec<&'static str>,
    },
    /// A kind that changes traffic and is not modelled.
    NotModelled,
    /// A kind that its group does not have.
    NoSuchKind {
        /// A kind that it has and that reads alike, or the group that has the kind.
        near: Option<String>,
    },
    /// Somebody else's kind.
    Foreign,
}

/// The API group of an `apiVersion`; empty for the core group.
pub(super) fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// Looks a kind up.
pub(super) fn recognise(api_version: &str, kind: &str) -> Recognised {
    let of_kind = || KINDS.iter().filter(|row| row.kind == kind);
    if let Some(row) = of_kind().find(|row| row.versions().any(|version| version == api_version)) {
        return Recognised::Known(row);
    }
    let group = group(api_version);
    let served: Vec<&str> = of_kind().flat_map(KindRow::versions).filter(|version| self::group(version) == group).collect();
    if !served.is_empty() {
        return Recognised::Unserved { served };
    }
    if listed(NOT_MODELLED, group, kind) {
        return Recognised::NotModelled;
    }
    match CLOSED_GROUPS.iter().find(|(closed, _)| *closed == group) {
        Some((_, others)) if others.contains(&kind) => Recognised::Foreign,
        Some((_, others)) => Recognised::NoSuchKind { near: near_in_group(group, kind, others) },
        None => match near_group(group, kind) {
            Some(near) => Recognised::NoSuchKind { near: Some(near) },
            None => Recognised::Foreign,
        },
    }
}

/// Whether objects of this kind are read, and still change traffic in ways that are not modelled.
pub(super) fn is_not_modelled(api_version: &str, kind: &str) -> bool {
    listed(NOT_MODELLED, group(api_version), kind)
}

/// The release that removed an API version.
pub(super) fn removed_in(api_version: &str, kind: &str) -> Option<&'static str> {
    REMOVED.iter().find(|(version, kinds, _)| *version == api_version && kinds.contains(&kind)).map(|(.., release)| *release)
}

fn listed(table: &[(&str, &[&str])], group: &str, kind: &str) -> bool {
    table.iter().any(|(g, kinds)| *g == group && (*kinds == ANY || kinds.contains(&kind)))
}

impl KindRow {
    /// The newest version, which the table names first.
    pub(super) fn first_version(&self) -> &'static str {
        self.versions().next().unwrap_or_default()
    }

    fn versions(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.api_versions.split(' ')
    }
}

/// Another version that has the kind, or else another kind of the group.
fn near_in_group(group: &str, kind: &str, others: &[&'static str]) -> Option<String> {
    if let Some(row) = KINDS.iter().find(|row| row.kind == kind) {
        return row.versions().next().map(|version| format!("apiVersion: {version}"));
    }
    let read = KINDS.iter().filter(|row| row.versions().any(|version| self::group(version) == group)).map(|row| row.kind);
    let not_modelled = NOT_MODELLED.iter().filter(|(g, _)| *g == group).flat_map(|(_, kinds)| kinds.iter().copied());
    nearest(kind, read.chain(not_modelled).chain(others.iter().copied())).map(|near| format!("kind: {near}"))
}

/// The version of a group that has the kind and is written almost like this one.
fn near_group(group: &str, kind: &str) -> Option<String> {
    const SLIPS_MAX: usize = 2;
    let versions = KINDS.iter().filter(|row| row.kind == kind).flat_map(KindRow::versions);
    let dotted = versions.filter(|version| self::group(version).contains('.'));
    dotted
        .min_by_key(|version| strsim::damerau_levenshtein(self::group(version), group))
        .filter(|version| strsim::damerau_levenshtein(self::group(version), group) <= SLIPS_MAX)
        .map(|version| format!("apiVersion: {version}"))
}
