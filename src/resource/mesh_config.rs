//! The mesh configuration: key `mesh` of ConfigMap `istio` in the root namespace (istio/api
//! `MeshConfig`).

use super::networking::{ConnectionPoolSettings, HttpRetry, LocalityLbSetting, OutboundTrafficPolicy, OutlierDetection};
use super::scalar::OptionalBool;
use crate::source::Spanned;
use crate::time::Duration;
use crate::yaml::Node;

type Text = Option<Spanned<String>>;

crate::record! {
    /// `MeshConfig`, as far as it reaches routing.
    pub struct MeshConfig {
        /// Namespace whose configuration is for everyone; `istio-system` if absent.
        pub root_namespace: Text = "rootNamespace",
        /// What happens to unknown destinations; `ALLOW_ANY` if absent.
        pub outbound_traffic_policy: Option<OutboundTrafficPolicy> = "outboundTrafficPolicy",
        /// Namespaces that see services by default.
        pub default_service_export_to: Vec<Spanned<String>> = "defaultServiceExportTo",
        /// Namespaces that see VirtualServices by default.
        pub default_virtual_service_export_to: Vec<Spanned<String>> = "defaultVirtualServiceExportTo",
        /// Namespaces that see DestinationRules by default.
        pub default_destination_rule_export_to: Vec<Spanned<String>> = "defaultDestinationRuleExportTo",
        /// Retries of routes that have none of their own.
        pub default_http_retry_policy: Option<HttpRetry> = "defaultHttpRetryPolicy",
        /// Locality load balancing.
        pub locality_lb_setting: Option<LocalityLbSetting> = "localityLbSetting",
        /// Connect timeout; 10 s if absent.
        pub connect_timeout: Option<Spanned<Duration>> = "connectTimeout",
        /// Time that protocol detection waits.
        pub protocol_detection_timeout: Option<Spanned<Duration>> = "protocolDetectionTimeout",
        /// Whether sidecars use mutual TLS where they can; true if absent.
        pub enable_auto_mtls: OptionalBool = "enableAutoMtls",
        /// `DO_NOT_UPGRADE` or `UPGRADE`.
        pub h2_upgrade_policy: Text = "h2UpgradePolicy",
        /// The trust domain; `cluster.local` if absent.
        pub trust_domain: Text = "trustDomain",
        /// Other trust domains.
        pub trust_domain_aliases: Vec<Spanned<String>> = "trustDomainAliases",
        /// Path normalisation.
        pub path_normalization: Option<PathNormalization> = "pathNormalization",
        /// Policy of clusters that leave a block open.
        pub default_traffic_policy: Option<DefaultTrafficPolicy> = "defaultTrafficPolicy",
        /// Where access logs go.
        pub access_log_file: Text = "accessLogFile",
        /// Format of access logs.
        pub access_log_format: Text = "accessLogFormat",
        /// `TEXT` or `JSON`.
        pub access_log_encoding: Text = "accessLogEncoding",
        /// Providers of authorization, telemetry and so on.
        pub extension_providers: Vec<Node> = "extensionProviders",
        /// Selectors of namespaces.
        pub discovery_selectors: Vec<Node> = "discoverySelectors",
    }
    irrelevant "proxyListenPort proxyHttpPort proxyInboundListenPort ingressClass ingressService ingressControllerMode ingressSelector enableTracing enableEnvoyAccessLogService disableEnvoyListenerLog defaultConfig configSources defaultProviders dnsRefreshRate inboundClusterStatName outboundClusterStatName certificates thriftConfig enablePrometheusMerge verifyCertificateAtClient ca caCertificates meshMTLS tlsDefaults tcpKeepalive defaultHttpIdleTimeout serviceScopeConfigs hboneIdleTimeout";
    not_modelled "serviceSettings";

    /// Path normalisation.
    pub struct PathNormalization {
        /// `DEFAULT`, `NONE`, `BASE`, `MERGE_SLASHES`, `DECODE_AND_MERGE_SLASHES`.
        pub normalization: Text = "normalization",
    }

    /// Policy of clusters that leave a block open.
    pub struct DefaultTrafficPolicy {
        /// Connection pool.
        pub connection_pool: Option<ConnectionPoolSettings> = "connectionPool",
        /// Outlier detection.
        pub outlier_detection: Option<OutlierDetection> = "outlierDetection",
    }
}
