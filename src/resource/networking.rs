//! `networking.istio.io`: VirtualService, DestinationRule, Gateway, ServiceEntry, WorkloadEntry,
//! Sidecar. Field names and numbers as in istio/api.

use super::meta::LabelSelector;
use super::scalar::OptionalBool;
use crate::source::Spanned;
use crate::time::Duration;
use crate::yaml::Map;

type Text = Option<Spanned<String>>;
type Number = Option<Spanned<i64>>;
type Time = Option<Spanned<Duration>>;

crate::record! {
    /// `VirtualService.spec`.
    pub struct VirtualService {
        /// Destination hosts; none makes it a delegate.
        pub hosts: Vec<Spanned<String>> = "hosts",
        /// Gateways and sidecars (`mesh`) it applies to; none means `mesh`.
        pub gateways: Vec<Spanned<String>> = "gateways",
        /// HTTP rules in order.
        pub http: Vec<HttpRoute> = "http",
        /// TLS rules in order.
        pub tls: Vec<TlsRoute> = "tls",
        /// TCP rules in order.
        pub tcp: Vec<TcpRoute> = "tcp",
        /// Namespaces that see it; none means the mesh default.
        pub export_to: Vec<Spanned<String>> = "exportTo",
    }

    /// One HTTP rule.
    pub struct HttpRoute {
        /// Name; part of the route's name in the proxy.
        pub name: Text = "name",
        /// Alternatives, any of which selects the rule; none selects every request.
        pub matches: Vec<HttpMatchRequest> = "match",
        /// Weighted destinations.
        pub route: Vec<HttpRouteDestination> = "route",
        /// Answer with a redirect.
        pub redirect: Option<HttpRedirect> = "redirect",
        /// Answer directly.
        pub direct_response: Option<HttpDirectResponse> = "directResponse",
        /// Rules of another VirtualService.
        pub delegate: Option<Delegate> = "delegate",
        /// Change of path and authority before forwarding.
        pub rewrite: Option<HttpRewrite> = "rewrite",
        /// Route timeout; absent means none.
        pub timeout: Time = "timeout",
        /// Retry policy.
        pub retries: Option<HttpRetry> = "retries",
        /// Fault injection.
        pub fault: Option<HttpFaultInjection> = "fault",
        /// Copy of the traffic.
        pub mirror: Option<Destination> = "mirror",
        /// Several copies, each with its own percentage.
        pub mirrors: Vec<HttpMirrorPolicy> = "mirrors",
        /// Deprecated whole percentage of `mirror`; the API's name has an underscore.
        pub mirror_percent: Number = "mirror_percent",
        /// The same in camel case, which istiod's decoder takes too.
        pub mirror_percent_camel: Number = "mirrorPercent",
        /// Percentage of `mirror`.
        pub mirror_percentage: Option<Percent> = "mirrorPercentage",
        /// CORS policy.
        pub cors_policy: Option<CorsPolicy> = "corsPolicy",
        /// Header operations.
        pub headers: Option<Headers> = "headers",
    }

    /// Conditions that must all hold.
    pub struct HttpMatchRequest {
        /// Name; part of the route's name.
        pub name: Text = "name",
        /// Path without query.
        pub uri: Option<StringMatch> = "uri",
        /// Scheme.
        pub scheme: Option<StringMatch> = "scheme",
        /// Method.
        pub method: Option<StringMatch> = "method",
        /// `Host` or `:authority`, verbatim.
        pub authority: Option<StringMatch> = "authority",
        /// Headers; `{}` or null asks for presence.
        pub headers: Map<Option<StringMatch>> = "headers",
        /// Headers that must not match.
        pub without_headers: Map<Option<StringMatch>> = "withoutHeaders",
        /// Query parameters; `{}` or null asks for presence.
        pub query_params: Map<Option<StringMatch>> = "queryParams",
        /// Whether `uri` ignores case (exact and prefix only).
        pub ignore_uri_case: Option<bool> = "ignoreUriCase",
        /// Port the request is for; applied when the proxy is configured.
        pub port: Number = "port",
        /// Labels of the client; applied when the proxy is configured.
        pub source_labels: Map<Spanned<String>> = "sourceLabels",
        /// Namespace of the client; applied when the proxy is configured.
        pub source_namespace: Text = "sourceNamespace",
        /// Gateways the block is for; replaces the source conditions.
        pub gateways: Vec<Spanned<String>> = "gateways",
        /// Prefix for statistics.
        pub stat_prefix: Text = "statPrefix",
    }

    /// At most one of the three.
    pub struct StringMatch {
        /// The whole value.
        pub exact: Text = "exact",
        /// The beginning.
        pub prefix: Text = "prefix",
        /// RE2, matching the whole value.
        pub regex: Text = "regex",
    }

    /// One weighted destination of an HTTP rule.
    pub struct HttpRouteDestination {
        /// Where to.
        pub destination: Option<Destination> = "destination",
        /// Relative weight; matters with two or more destinations, absent means 0 there.
        pub weight: Number = "weight",
        /// Header operations of this destination.
        pub headers: Option<Headers> = "headers",
    }

    /// A service, a subset and a port.
    pub struct Destination {
        /// Host in the registry; short names take the rule's namespace.
        pub host: Text = "host",
        /// Subset of a DestinationRule.
        pub subset: Text = "subset",
        /// Port.
        pub port: Option<PortSelector> = "port",
    }

    /// A port by number.
    pub struct PortSelector {
        /// Number.
        pub number: Number = "number",
    }

    /// A redirect.
    pub struct HttpRedirect {
        /// New path.
        pub uri: Text = "uri",
        /// New path prefix.
        pub prefix_rewrite: Text = "prefixRewrite",
        /// New authority.
        pub authority: Text = "authority",
        /// New port.
        pub port: Number = "port",
        /// How to choose the port: `FROM_PROTOCOL_DEFAULT` or `FROM_REQUEST_PORT`.
        pub derive_port: Text = "derivePort",
        /// New scheme.
        pub scheme: Text = "scheme",
        /// Status; 301 if absent.
        pub redirect_code: Number = "redirectCode",
    }

    /// A direct answer.
    pub struct HttpDirectResponse {
        /// Status.
        pub status: Number = "status",
        /// Body.
        pub body: Option<HttpBody> = "body",
    }

    /// A body: one of the two.
    pub struct HttpBody {
        /// Text.
        pub string: Text = "string",
        /// Base64.
        pub bytes: Text = "bytes",
    }

    /// A reference to a VirtualService without hosts.
    pub struct Delegate {
        /// Name.
        pub name: Text = "name",
        /// Namespace; the root's if absent.
        pub namespace: Text = "namespace",
    }

    /// A change of path or authority.
    pub struct HttpRewrite {
        /// New prefix or path.
        pub uri: Text = "uri",
        /// New authority.
        pub authority: Text = "authority",
        /// New path by regular expression.
        pub uri_regex_rewrite: Option<RegexRewrite> = "uriRegexRewrite",
    }

    /// A rewrite by regular expression.
    pub struct RegexRewrite {
        /// What to replace, RE2.
        pub pattern: Text = "match",
        /// What with; `\1` is a group.
        pub rewrite: Text = "rewrite",
    }

    /// A retry policy.
    pub struct HttpRetry {
        /// Retries after the first try; 0 switches retries off.
        pub attempts: Number = "attempts",
        /// Timeout of each try.
        pub per_try_timeout: Time = "perTryTimeout",
        /// Conditions, comma-separated.
        pub retry_on: Text = "retryOn",
        /// Whether to retry in other localities.
        pub retry_remote_localities: OptionalBool = "retryRemoteLocalities",
        /// Whether to avoid hosts already tried; true if absent.
        pub retry_ignore_previous_hosts: OptionalBool = "retryIgnorePreviousHosts",
        /// Base interval of the back-off.
        pub backoff: Time = "backoff",
    }

    /// Fault injection.
    pub struct HttpFaultInjection {
        /// Delay before forwarding.
        pub delay: Option<FaultDelay> = "delay",
        /// Answer instead of forwarding.
        pub abort: Option<FaultAbort> = "abort",
    }

    /// A delay.
    pub struct FaultDelay {
        /// How long.
        pub fixed_delay: Time = "fixedDelay",
        /// Share of requests.
        pub percentage: Option<Percent> = "percentage",
        /// Deprecated share in whole percent.
        pub percent: Number = "percent",
        /// Refused by validation.
        pub exponential_delay: Time = "exponentialDelay",
    }

    /// An abort.
    pub struct FaultAbort {
        /// HTTP status.
        pub http_status: Number = "httpStatus",
        /// gRPC status by name.
        pub grpc_status: Text = "grpcStatus",
        /// Refused by validation.
        pub http2_error: Text = "http2Error",
        /// Share of requests; absent means none.
        pub percentage: Option<Percent> = "percentage",
        /// Share in whole percent, which Istio had until 1.0 and ignores today.
        pub percent: Number = "percent",
    }

    /// A percentage.
    pub struct Percent {
        /// 0 to 100, with up to four decimals.
        pub value: Option<Spanned<f64>> = "value",
    }

    /// A mirror with its own percentage.
    pub struct HttpMirrorPolicy {
        /// Where to.
        pub destination: Option<Destination> = "destination",
        /// Share of requests; absent means all.
        pub percentage: Option<Percent> = "percentage",
    }

    /// A CORS policy.
    pub struct CorsPolicy {
        /// Deprecated exact origins.
        pub allow_origin: Vec<Spanned<String>> = "allowOrigin",
        /// Origins.
        pub allow_origins: Vec<StringMatch> = "allowOrigins",
        /// Methods that preflight answers list.
        pub allow_methods: Vec<Spanned<String>> = "allowMethods",
        /// Headers that preflight answers list.
        pub allow_headers: Vec<Spanned<String>> = "allowHeaders",
        /// Headers that the browser may read.
        pub expose_headers: Vec<Spanned<String>> = "exposeHeaders",
        /// How long a preflight answer holds.
        pub max_age: Time = "maxAge",
        /// Whether credentials are allowed.
        pub allow_credentials: OptionalBool = "allowCredentials",
        /// `FORWARD` (default) or `IGNORE`.
        pub unmatched_preflights: Text = "unmatchedPreflights",
    }

    /// Header operations of requests and responses.
    pub struct Headers {
        /// On requests.
        pub request: Option<HeaderOperations> = "request",
        /// On responses.
        pub response: Option<HeaderOperations> = "response",
    }

    /// Header operations.
    pub struct HeaderOperations {
        /// Overwrite.
        pub set: Map<Spanned<String>> = "set",
        /// Append.
        pub add: Map<Spanned<String>> = "add",
        /// Remove.
        pub remove: Vec<Spanned<String>> = "remove",
    }

    /// One TLS rule.
    pub struct TlsRoute {
        /// Alternatives.
        pub matches: Vec<TlsMatchAttributes> = "match",
        /// Weighted destinations.
        pub route: Vec<RouteDestination> = "route",
    }

    /// Conditions of a TLS rule.
    pub struct TlsMatchAttributes {
        /// Server names.
        pub sni_hosts: Vec<Spanned<String>> = "sniHosts",
        /// Destination networks.
        pub destination_subnets: Vec<Spanned<String>> = "destinationSubnets",
        /// Port.
        pub port: Number = "port",
        /// Labels of the client.
        pub source_labels: Map<Spanned<String>> = "sourceLabels",
        /// Gateways.
        pub gateways: Vec<Spanned<String>> = "gateways",
        /// Namespace of the client.
        pub source_namespace: Text = "sourceNamespace",
    }

    /// One TCP rule.
    pub struct TcpRoute {
        /// Alternatives; none selects every connection.
        pub matches: Vec<L4MatchAttributes> = "match",
        /// Weighted destinations.
        pub route: Vec<RouteDestination> = "route",
    }

    /// Conditions of a TCP rule.
    pub struct L4MatchAttributes {
        /// Destination networks.
        pub destination_subnets: Vec<Spanned<String>> = "destinationSubnets",
        /// Port.
        pub port: Number = "port",
        /// Source network; not honoured by sidecars.
        pub source_subnet: Text = "sourceSubnet",
        /// Labels of the client.
        pub source_labels: Map<Spanned<String>> = "sourceLabels",
        /// Gateways.
        pub gateways: Vec<Spanned<String>> = "gateways",
        /// Namespace of the client.
        pub source_namespace: Text = "sourceNamespace",
    }

    /// One weighted destination of a TLS or TCP rule.
    pub struct RouteDestination {
        /// Where to.
        pub destination: Option<Destination> = "destination",
        /// Relative weight.
        pub weight: Number = "weight",
    }
}

crate::record! {
    /// `DestinationRule.spec`.
    pub struct DestinationRule {
        /// Host in the registry, possibly a wildcard; short names take the rule's namespace.
        pub host: Text = "host",
        /// Policy for the whole host.
        pub traffic_policy: Option<TrafficPolicy> = "trafficPolicy",
        /// Named sets of endpoints.
        pub subsets: Vec<Subset> = "subsets",
        /// Namespaces that see it.
        pub export_to: Vec<Spanned<String>> = "exportTo",
        /// Clients it is for.
        pub workload_selector: Option<WorkloadSelectorMatch> = "workloadSelector",
    }

    /// A selector of clients (`type.istio.io` WorkloadSelector).
    pub struct WorkloadSelectorMatch {
        /// All of these labels.
        pub match_labels: Map<Spanned<String>> = "matchLabels",
    }

    /// A named set of endpoints.
    pub struct Subset {
        /// Name.
        pub name: Text = "name",
        /// Labels of its endpoints; none means all.
        pub labels: Map<Spanned<String>> = "labels",
        /// Policy, replacing the host's block by block.
        pub traffic_policy: Option<TrafficPolicy> = "trafficPolicy",
    }

    /// How to treat the endpoints of a host or subset.
    pub struct TrafficPolicy {
        /// Load balancing.
        pub load_balancer: Option<LoadBalancerSettings> = "loadBalancer",
        /// Connection pools and circuit breaking.
        pub connection_pool: Option<ConnectionPoolSettings> = "connectionPool",
        /// Outlier detection.
        pub outlier_detection: Option<OutlierDetection> = "outlierDetection",
        /// TLS towards the host.
        pub tls: Option<ClientTlsSettings> = "tls",
        /// Policies of single ports, replacing this one.
        pub port_level_settings: Vec<PortTrafficPolicy> = "portLevelSettings",
        /// Tunnelling.
        pub tunnel: Option<TunnelSettings> = "tunnel",
        /// PROXY protocol.
        pub proxy_protocol: Option<ProxyProtocolSettings> = "proxyProtocol",
        /// Retry budget.
        pub retry_budget: Option<RetryBudget> = "retryBudget",
    }

    /// A policy of one port.
    pub struct PortTrafficPolicy {
        /// The service port.
        pub port: Option<PortSelector> = "port",
        /// Load balancing.
        pub load_balancer: Option<LoadBalancerSettings> = "loadBalancer",
        /// Connection pools.
        pub connection_pool: Option<ConnectionPoolSettings> = "connectionPool",
        /// Outlier detection.
        pub outlier_detection: Option<OutlierDetection> = "outlierDetection",
        /// TLS.
        pub tls: Option<ClientTlsSettings> = "tls",
    }

    /// Load balancing.
    pub struct LoadBalancerSettings {
        /// `ROUND_ROBIN`, `LEAST_REQUEST`, `RANDOM`, `PASSTHROUGH`, `LEAST_CONN`, `UNSPECIFIED`.
        pub simple: Text = "simple",
        /// Consistent hashing.
        pub consistent_hash: Option<ConsistentHash> = "consistentHash",
        /// Locality.
        pub locality_lb_setting: Option<LocalityLbSetting> = "localityLbSetting",
        /// Zone-aware routing.
        pub zone_aware_lb_setting: Option<ZoneAwareLbSetting> = "zoneAwareLbSetting",
        /// Deprecated slow start.
        pub warmup_duration_secs: Time = "warmupDurationSecs",
        /// Slow start.
        pub warmup: Option<Warmup> = "warmup",
    }

    /// Slow start.
    pub struct Warmup {
        /// Window.
        pub duration: Time = "duration",
        /// Smallest share of the weight, in percent; 10 if absent.
        pub minimum_percent: Option<Spanned<f64>> = "minimumPercent",
        /// Curve; 1 if absent.
        pub aggression: Option<Spanned<f64>> = "aggression",
    }

    /// Consistent hashing: one key and at most one algorithm.
    pub struct ConsistentHash {
        /// Hash a header.
        pub http_header_name: Text = "httpHeaderName",
        /// Hash a cookie.
        pub http_cookie: Option<HttpCookie> = "httpCookie",
        /// Hash the client's address.
        pub use_source_ip: OptionalBool = "useSourceIp",
        /// Hash a query parameter.
        pub http_query_parameter_name: Text = "httpQueryParameterName",
        /// Ring hash.
        pub ring_hash: Option<RingHash> = "ringHash",
        /// Maglev.
        pub maglev: Option<Maglev> = "maglev",
        /// Deprecated ring size.
        pub minimum_ring_size: Number = "minimumRingSize",
    }

    /// A cookie to hash.
    pub struct HttpCookie {
        /// Name.
        pub name: Text = "name",
        /// Path of a generated cookie.
        pub path: Text = "path",
        /// Life of a generated cookie; absent means that none is generated.
        pub ttl: Time = "ttl",
        /// Attributes of a generated cookie.
        pub attributes: Vec<CookieAttribute> = "attributes",
    }

    /// An attribute of a generated cookie.
    pub struct CookieAttribute {
        /// Name.
        pub name: Text = "name",
        /// Value.
        pub value: Text = "value",
    }

    /// Ring hash.
    pub struct RingHash {
        /// Fewest entries; 1024 if absent.
        pub minimum_ring_size: Number = "minimumRingSize",
    }

    /// Maglev.
    pub struct Maglev {
        /// Size of the table, a prime; 65537 if absent.
        pub table_size: Number = "tableSize",
    }

    /// Locality load balancing.
    pub struct LocalityLbSetting {
        /// Explicit distribution.
        pub distribute: Vec<LocalityDistribute> = "distribute",
        /// Explicit failover between regions.
        pub failover: Vec<LocalityFailover> = "failover",
        /// Ordered labels for priorities.
        pub failover_priority: Vec<Spanned<String>> = "failoverPriority",
        /// Whether it is on.
        pub enabled: OptionalBool = "enabled",
    }

    /// Zone-aware routing.
    pub struct ZoneAwareLbSetting {
        /// Whether it is on.
        pub enabled: OptionalBool = "enabled",
        /// Explicit failover between regions.
        pub failover: Vec<LocalityFailover> = "failover",
        /// Ordered labels for priorities.
        pub failover_priority: Vec<Spanned<String>> = "failoverPriority",
        /// Fewest endpoints for zones to matter.
        pub min_cluster_size: Number = "minClusterSize",
    }

    /// Distribution of one origin.
    pub struct LocalityDistribute {
        /// Locality of the client, `region/zone/subzone`, `*` allowed.
        pub from: Text = "from",
        /// Percent by locality.
        pub to: Map<Spanned<i64>> = "to",
    }

    /// Failover of one region.
    pub struct LocalityFailover {
        /// Region.
        pub from: Text = "from",
        /// Where to.
        pub to: Text = "to",
    }

    /// Connection pools.
    pub struct ConnectionPoolSettings {
        /// TCP.
        pub tcp: Option<TcpSettings> = "tcp",
        /// HTTP.
        pub http: Option<HttpSettings> = "http",
    }

    /// TCP connection pool.
    pub struct TcpSettings {
        /// Most connections to the cluster.
        pub max_connections: Number = "maxConnections",
        /// Connect timeout.
        pub connect_timeout: Time = "connectTimeout",
        /// Keep-alive probes.
        pub tcp_keepalive: Option<TcpKeepalive> = "tcpKeepalive",
        /// Longest life of a connection.
        pub max_connection_duration: Time = "maxConnectionDuration",
        /// Idle timeout.
        pub idle_timeout: Time = "idleTimeout",
    }

    /// Keep-alive probes.
    pub struct TcpKeepalive {
        /// Probes before giving up.
        pub probes: Number = "probes",
        /// Idle time before probing.
        pub time: Time = "time",
        /// Time between probes.
        pub interval: Time = "interval",
    }

    /// HTTP connection pool.
    pub struct HttpSettings {
        /// Most requests waiting for a connection.
        pub http1_max_pending_requests: Number = "http1MaxPendingRequests",
        /// Most active requests.
        pub http2_max_requests: Number = "http2MaxRequests",
        /// Most requests per connection.
        pub max_requests_per_connection: Number = "maxRequestsPerConnection",
        /// Most concurrent retries.
        pub max_retries: Number = "maxRetries",
        /// Idle timeout of a connection.
        pub idle_timeout: Time = "idleTimeout",
        /// `DEFAULT`, `DO_NOT_UPGRADE` or `UPGRADE`.
        pub h2_upgrade_policy: Text = "h2UpgradePolicy",
        /// Whether the client's protocol is kept.
        pub use_client_protocol: OptionalBool = "useClientProtocol",
        /// Most concurrent streams of a connection.
        pub max_concurrent_streams: Number = "maxConcurrentStreams",
        /// HTTP/2 keep-alive.
        pub http2_keep_alive: Option<Http2KeepAlive> = "http2KeepAlive",
    }

    /// Pings on idle HTTP/2 connections.
    pub struct Http2KeepAlive {
        /// Time between pings.
        pub interval: Time = "interval",
        /// How long an answer may take.
        pub timeout: Time = "timeout",
    }

    /// Outlier detection.
    pub struct OutlierDetection {
        /// Ignored since 1.7.
        pub consecutive_errors: Number = "consecutiveErrors",
        /// Consecutive 5xx before ejection; 5 if absent, 0 switches off.
        pub consecutive_5xx_errors: Number = "consecutive5xxErrors",
        /// Consecutive 502, 503, 504 before ejection.
        pub consecutive_gateway_errors: Number = "consecutiveGatewayErrors",
        /// Whether local-origin errors are counted apart.
        pub split_external_local_origin_errors: OptionalBool = "splitExternalLocalOriginErrors",
        /// Consecutive local-origin failures before ejection.
        pub consecutive_local_origin_failures: Number = "consecutiveLocalOriginFailures",
        /// Statuses that count as errors; absent means 5xx.
        pub outlier_detection_http_error_codes: Vec<Spanned<i64>> = "outlierDetectionHttpErrorCodes",
        /// Time between sweeps; 10 s if absent.
        pub interval: Time = "interval",
        /// Base of the ejection time; 30 s if absent.
        pub base_ejection_time: Time = "baseEjectionTime",
        /// Largest ejected share in percent; 10 if absent.
        pub max_ejection_percent: Number = "maxEjectionPercent",
        /// Smallest healthy share in percent below which ejection is ignored.
        pub min_health_percent: Number = "minHealthPercent",
    }

    /// TLS towards a host.
    pub struct ClientTlsSettings {
        /// `DISABLE`, `SIMPLE`, `MUTUAL` or `ISTIO_MUTUAL`.
        pub mode: Text = "mode",
        /// Client certificate file.
        pub client_certificate: Text = "clientCertificate",
        /// Private key file.
        pub private_key: Text = "privateKey",
        /// CA file.
        pub ca_certificates: Text = "caCertificates",
        /// Secret with the certificates.
        pub credential_name: Text = "credentialName",
        /// Accepted names of the server.
        pub subject_alt_names: Vec<Spanned<String>> = "subjectAltNames",
        /// Server name to send.
        pub sni: Text = "sni",
        /// Whether the server's certificate is not verified.
        pub insecure_skip_verify: OptionalBool = "insecureSkipVerify",
        /// Revocation list file.
        pub ca_crl: Text = "caCrl",
    }

    /// Tunnelling of TCP through a proxy.
    pub struct TunnelSettings {
        /// `CONNECT` or `POST`.
        pub protocol: Text = "protocol",
        /// Target host.
        pub target_host: Text = "targetHost",
        /// Target port.
        pub target_port: Number = "targetPort",
    }

    /// PROXY protocol.
    pub struct ProxyProtocolSettings {
        /// `V1` or `V2`.
        pub version: Text = "version",
    }

    /// Retry budget.
    pub struct RetryBudget {
        /// Percent of active and pending requests; 20 if absent.
        pub percent: Option<Spanned<f64>> = "percent",
        /// Retries that are always allowed; 3 if absent.
        pub min_retry_concurrency: Number = "minRetryConcurrency",
        /// Window.
        pub budget_interval: Time = "budgetInterval",
    }
}

crate::record! {
    /// `Gateway.spec` of `networking.istio.io`.
    pub struct IstioGateway {
        /// Servers.
        pub servers: Vec<Server> = "servers",
        /// Labels of the gateway workloads; absent means every gateway.
        pub selector: Option<Map<Spanned<String>>> = "selector",
    }

    /// One listener of a Gateway.
    pub struct Server {
        /// Port.
        pub port: Option<GatewayPort> = "port",
        /// Address to bind to.
        pub bind: Text = "bind",
        /// Hosts, `namespace/host` or `host`.
        pub hosts: Vec<Spanned<String>> = "hosts",
        /// TLS.
        pub tls: Option<ServerTlsSettings> = "tls",
        /// Address that traffic goes to without a route.
        pub default_endpoint: Text = "defaultEndpoint",
        /// Name.
        pub name: Text = "name",
    }

    /// A port of a Gateway, ServiceEntry or Sidecar.
    pub struct GatewayPort {
        /// Number.
        pub number: Number = "number",
        /// `HTTP`, `HTTPS`, `GRPC`, `HTTP2`, `MONGO`, `TCP`, `TLS`, ….
        pub protocol: Text = "protocol",
        /// Name.
        pub name: Text = "name",
        /// Port of the endpoints.
        pub target_port: Number = "targetPort",
    }

    /// TLS of a server.
    pub struct ServerTlsSettings {
        /// Redirect everything to HTTPS.
        pub https_redirect: OptionalBool = "httpsRedirect",
        /// `PASSTHROUGH`, `SIMPLE`, `MUTUAL`, `AUTO_PASSTHROUGH`, `ISTIO_MUTUAL`, `OPTIONAL_MUTUAL`.
        pub mode: Text = "mode",
        /// Certificate file.
        pub server_certificate: Text = "serverCertificate",
        /// Key file.
        pub private_key: Text = "privateKey",
        /// CA file.
        pub ca_certificates: Text = "caCertificates",
        /// Revocation list.
        pub ca_crl: Text = "caCrl",
        /// Secret.
        pub credential_name: Text = "credentialName",
        /// Several secrets.
        pub credential_names: Vec<Spanned<String>> = "credentialNames",
        /// Secret with the CA.
        pub ca_cert_credential_name: Text = "caCertCredentialName",
        /// Several certificates.
        pub tls_certificates: Vec<TlsCertificate> = "tlsCertificates",
        /// Accepted client names.
        pub subject_alt_names: Vec<Spanned<String>> = "subjectAltNames",
        /// Accepted client certificates.
        pub verify_certificate_spki: Vec<Spanned<String>> = "verifyCertificateSpki",
        /// Accepted client certificates.
        pub verify_certificate_hash: Vec<Spanned<String>> = "verifyCertificateHash",
        /// Lowest version.
        pub min_protocol_version: Text = "minProtocolVersion",
        /// Highest version.
        pub max_protocol_version: Text = "maxProtocolVersion",
        /// Cipher suites.
        pub cipher_suites: Vec<Spanned<String>> = "cipherSuites",
        /// Whether the client's certificate is not verified.
        pub insecure_skip_verify: OptionalBool = "insecureSkipVerify",
    }

    /// One of several certificates of a server.
    pub struct TlsCertificate {
        /// Certificate file.
        pub server_certificate: Text = "serverCertificate",
        /// Key file.
        pub private_key: Text = "privateKey",
        /// CA file.
        pub ca_certificates: Text = "caCertificates",
    }

    /// `ServiceEntry.spec`.
    pub struct ServiceEntry {
        /// Hosts.
        pub hosts: Vec<Spanned<String>> = "hosts",
        /// Virtual addresses.
        pub addresses: Vec<Spanned<String>> = "addresses",
        /// Ports.
        pub ports: Vec<GatewayPort> = "ports",
        /// `MESH_EXTERNAL` (default) or `MESH_INTERNAL`.
        pub location: Text = "location",
        /// `NONE` (default), `STATIC`, `DNS`, `DNS_ROUND_ROBIN`, `DYNAMIC_DNS`.
        pub resolution: Text = "resolution",
        /// Endpoints.
        pub endpoints: Vec<WorkloadEntry> = "endpoints",
        /// Labels of pods and WorkloadEntries that are the endpoints.
        pub workload_selector: Option<LabelsOnlySelector> = "workloadSelector",
        /// Namespaces that see it.
        pub export_to: Vec<Spanned<String>> = "exportTo",
        /// Accepted server names.
        pub subject_alt_names: Vec<Spanned<String>> = "subjectAltNames",
    }

    /// A selector with `labels` (`networking.istio.io` WorkloadSelector).
    pub struct LabelsOnlySelector {
        /// All of these labels.
        pub labels: Map<Spanned<String>> = "labels",
    }

    /// `WorkloadEntry.spec`, and an endpoint of a ServiceEntry.
    pub struct WorkloadEntry {
        /// Address.
        pub address: Text = "address",
        /// Ports by the name of the service port.
        pub ports: Map<Spanned<i64>> = "ports",
        /// Labels.
        pub labels: Map<Spanned<String>> = "labels",
        /// Network.
        pub network: Text = "network",
        /// `region/zone/subzone`.
        pub locality: Text = "locality",
        /// Weight.
        pub weight: Number = "weight",
        /// Service account.
        pub service_account: Text = "serviceAccount",
    }

    /// `Sidecar.spec`.
    pub struct Sidecar {
        /// Workloads it is for; absent means all of the namespace.
        pub workload_selector: Option<LabelsOnlySelector> = "workloadSelector",
        /// Inbound listeners.
        pub ingress: Vec<SidecarIngress> = "ingress",
        /// Outbound listeners.
        pub egress: Vec<SidecarEgress> = "egress",
        /// Connection pool of inbound traffic.
        pub inbound_connection_pool: Option<ConnectionPoolSettings> = "inboundConnectionPool",
        /// What happens to unknown destinations.
        pub outbound_traffic_policy: Option<OutboundTrafficPolicy> = "outboundTrafficPolicy",
    }

    /// An inbound listener of a Sidecar.
    pub struct SidecarIngress {
        /// Port.
        pub port: Option<GatewayPort> = "port",
        /// Address.
        pub bind: Text = "bind",
        /// How traffic is captured.
        pub capture_mode: Text = "captureMode",
        /// Where it goes.
        pub default_endpoint: Text = "defaultEndpoint",
        /// TLS.
        pub tls: Option<ServerTlsSettings> = "tls",
        /// Connection pool.
        pub connection_pool: Option<ConnectionPoolSettings> = "connectionPool",
    }

    /// An outbound listener of a Sidecar.
    pub struct SidecarEgress {
        /// Port; absent means all.
        pub port: Option<GatewayPort> = "port",
        /// Address.
        pub bind: Text = "bind",
        /// How traffic is captured.
        pub capture_mode: Text = "captureMode",
        /// Hosts that are imported, `namespace/host`.
        pub hosts: Vec<Spanned<String>> = "hosts",
    }

    /// What happens to unknown destinations.
    pub struct OutboundTrafficPolicy {
        /// `ALLOW_ANY` or `REGISTRY_ONLY`.
        pub mode: Text = "mode",
        /// Where unknown traffic goes.
        pub egress_proxy: Option<Destination> = "egressProxy",
    }
}

/// A selector on pod labels as security policies have it.
pub type PolicySelector = LabelSelector;
