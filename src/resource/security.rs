//! `security.istio.io`: PeerAuthentication, AuthorizationPolicy, RequestAuthentication; and the
//! `authentication.istio.io` Policy of Istio 1.0 to 1.4.

use super::networking::WorkloadSelectorMatch;
use super::scalar::PortRef;
use crate::source::Spanned;
use crate::yaml::{Map, Node};

type Text = Option<Spanned<String>>;
type Texts = Vec<Spanned<String>>;

crate::record! {
    /// `PeerAuthentication.spec`.
    pub struct PeerAuthentication {
        /// Workloads it is for.
        pub selector: Option<WorkloadSelectorMatch> = "selector",
        /// Mutual TLS.
        pub mtls: Option<MutualTls> = "mtls",
        /// Mutual TLS by workload port.
        pub port_level_mtls: Option<Map<MutualTls>> = "portLevelMtls",
    }

    /// Mutual TLS of a server.
    pub struct MutualTls {
        /// `UNSET`, `DISABLE`, `PERMISSIVE` or `STRICT`.
        pub mode: Text = "mode",
    }

    /// `AuthorizationPolicy.spec`.
    pub struct AuthorizationPolicy {
        /// Workloads it is for.
        pub selector: Option<WorkloadSelectorMatch> = "selector",
        /// Objects it is attached to; for waypoints and gateways.
        pub target_refs: Vec<PolicyTargetRef> = "targetRefs",
        /// The same, single.
        pub target_ref: Option<PolicyTargetRef> = "targetRef",
        /// Rules, any of which matches.
        pub rules: Vec<AuthorizationRule> = "rules",
        /// `ALLOW` (default), `DENY`, `AUDIT` or `CUSTOM`.
        pub action: Text = "action",
        /// Provider of `CUSTOM`.
        pub provider: Option<Node> = "provider",
    }

    /// What a policy is attached to.
    pub struct PolicyTargetRef {
        /// API group.
        pub group: Text = "group",
        /// Kind.
        pub kind: Text = "kind",
        /// Name.
        pub name: Text = "name",
        /// Namespace.
        pub namespace: Text = "namespace",
    }

    /// A rule: one of `from`, and one of `to`, and all of `when`.
    pub struct AuthorizationRule {
        /// Sources.
        pub from: Vec<RuleFrom> = "from",
        /// Operations.
        pub to: Vec<RuleTo> = "to",
        /// Conditions.
        pub when: Vec<Condition> = "when",
    }

    /// A source.
    pub struct RuleFrom {
        /// Its fields, all of which must hold.
        pub source: Option<AuthorizationSource> = "source",
    }

    /// Who sends.
    pub struct AuthorizationSource {
        /// Peer identities.
        pub principals: Texts = "principals",
        /// None of these.
        pub not_principals: Texts = "notPrincipals",
        /// JWT identities.
        pub request_principals: Texts = "requestPrincipals",
        /// None of these.
        pub not_request_principals: Texts = "notRequestPrincipals",
        /// Namespaces.
        pub namespaces: Texts = "namespaces",
        /// None of these.
        pub not_namespaces: Texts = "notNamespaces",
        /// Service accounts.
        pub service_accounts: Texts = "serviceAccounts",
        /// None of these.
        pub not_service_accounts: Texts = "notServiceAccounts",
        /// Peer addresses.
        pub ip_blocks: Texts = "ipBlocks",
        /// None of these.
        pub not_ip_blocks: Texts = "notIpBlocks",
        /// Original client addresses.
        pub remote_ip_blocks: Texts = "remoteIpBlocks",
        /// None of these.
        pub not_remote_ip_blocks: Texts = "notRemoteIpBlocks",
        /// Trust domains.
        pub trust_domains: Texts = "trustDomains",
        /// None of these.
        pub not_trust_domains: Texts = "notTrustDomains",
    }

    /// An operation.
    pub struct RuleTo {
        /// Its fields, all of which must hold.
        pub operation: Option<Operation> = "operation",
    }

    /// What is asked for.
    pub struct Operation {
        /// Authorities.
        pub hosts: Texts = "hosts",
        /// None of these.
        pub not_hosts: Texts = "notHosts",
        /// Ports.
        pub ports: Texts = "ports",
        /// None of these.
        pub not_ports: Texts = "notPorts",
        /// Methods.
        pub methods: Texts = "methods",
        /// None of these.
        pub not_methods: Texts = "notMethods",
        /// Paths.
        pub paths: Texts = "paths",
        /// None of these.
        pub not_paths: Texts = "notPaths",
    }

    /// A condition.
    pub struct Condition {
        /// Attribute.
        pub key: Text = "key",
        /// One of these.
        pub values: Texts = "values",
        /// None of these.
        pub not_values: Texts = "notValues",
    }

    /// `RequestAuthentication.spec`.
    pub struct RequestAuthentication {
        /// Workloads it is for.
        pub selector: Option<WorkloadSelectorMatch> = "selector",
        /// Objects it is attached to.
        pub target_refs: Vec<PolicyTargetRef> = "targetRefs",
        /// The same, single.
        pub target_ref: Option<PolicyTargetRef> = "targetRef",
        /// Token issuers.
        pub jwt_rules: Vec<Node> = "jwtRules",
    }

    /// `Policy.spec` and `MeshPolicy.spec` of `authentication.istio.io/v1alpha1`.
    pub struct LegacyPolicy {
        /// Services it is for.
        pub targets: Vec<LegacyTarget> = "targets",
        /// Ways to authenticate peers.
        pub peers: Vec<LegacyPeer> = "peers",
        /// Whether peers are optional.
        pub peer_is_optional: Option<bool> = "peerIsOptional",
    }
    irrelevant "origins originIsOptional principalBinding";

    /// A service a legacy policy is for.
    pub struct LegacyTarget {
        /// Short name.
        pub name: Text = "name",
        /// Ports; none means all.
        pub ports: Vec<LegacyPort> = "ports",
    }

    /// A port by number or name.
    pub struct LegacyPort {
        /// Number.
        pub number: Option<PortRef> = "number",
        /// Name.
        pub name: Text = "name",
    }

    /// One way to authenticate peers.
    pub struct LegacyPeer {
        /// Mutual TLS; null and `{}` mean STRICT.
        pub mtls: Option<Node> = "mtls",
        /// JSON web tokens.
        pub jwt: Option<Node> = "jwt",
    }
}
