//! The rules, kind by kind: paths below `spec` and what must hold there. Sources: Istio's
//! `crd-all.gen.yaml` and the standard channel of the Gateway API.
//!
//! In a path, `[]` stands for every item of a list and `*` for every value of a mapping; several
//! paths with the same rules are separated by blanks.

use super::relations as holds;
use crate::source::Span;
use crate::yaml::Node;

/// Where a relation reports what is wrong.
pub(super) type Report<'a> = dyn FnMut(Span, &str) + 'a;

/// What must hold at a place.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    /// The mapping has these fields, separated by blanks.
    Required(&'static str),
    /// The mapping has at most one of these fields.
    AtMostOne(&'static str),
    /// The string is one of these words. Anything else does not decode either.
    Word(&'static str),
    /// The string is base64. Anything else does not decode either.
    Base64,
    /// The number lies in here.
    Range(i64, i64),
    /// The number fits its type. Anything else does not decode either.
    Fits(i64, i64),
    /// The duration is at least a millisecond.
    AtLeastOneMs,
    /// The duration is one of the Gateway API.
    GatewayDuration,
    /// The list or mapping has so many entries.
    Items(usize, usize),
    /// The string has so many characters.
    Length(usize, usize),
    /// The string matches; and what such a string is called.
    Pattern(&'static str, &'static str),
    /// No two items of the list agree in all of these fields; and what they are called.
    Unique(&'static str, &'static str),
    /// A relation that needs code.
    Holds(fn(&Node, &mut Report<'_>)),
}

use Rule::{AtLeastOneMs, AtMostOne, Fits, GatewayDuration, Holds, Items, Length, Pattern, Range, Required, Unique, Word};

const I32: Rule = Fits(i32::MIN as i64, i32::MAX as i64);
const U32: Rule = Fits(0, u32::MAX as i64);
const U64: Rule = Fits(0, i64::MAX);
const PORT: Rule = Range(1, 65535);

type Row = (&'static str, &'static [Rule]);
type Kind = (&'static str, &'static str, &'static [Row]);

/// Kind, API group, rules.
pub(super) const KINDS: &[Kind] = &[
    ("VirtualService", "networking.istio.io", VIRTUAL_SERVICE),
    ("DestinationRule", "networking.istio.io", DESTINATION_RULE),
    ("Gateway", "networking.istio.io", GATEWAY),
    ("ServiceEntry", "networking.istio.io", SERVICE_ENTRY),
    ("WorkloadEntry", "networking.istio.io", WORKLOAD_ENTRY),
    ("Sidecar", "networking.istio.io", SIDECAR),
    ("PeerAuthentication", "security.istio.io", PEER_AUTHENTICATION),
    ("AuthorizationPolicy", "security.istio.io", AUTHORIZATION_POLICY),
    ("RequestAuthentication", "security.istio.io", REQUEST_AUTHENTICATION),
    ("EnvoyFilter", "networking.istio.io", ENVOY_FILTER),
    ("Gateway", "gateway.networking.k8s.io", KUBE_GATEWAY),
    ("HTTPRoute", "gateway.networking.k8s.io", HTTP_ROUTE),
    ("GRPCRoute", "gateway.networking.k8s.io", GRPC_ROUTE),
    ("TCPRoute", "gateway.networking.k8s.io", L4_ROUTE),
    ("TLSRoute", "gateway.networking.k8s.io", L4_ROUTE),
    ("ReferenceGrant", "gateway.networking.k8s.io", REFERENCE_GRANT),
];

const VIRTUAL_SERVICE: &[Row] = &[
    (
        "http[].match[].uri http[].match[].scheme http[].match[].method http[].match[].authority http[].match[].headers.* \
         http[].match[].withoutHeaders.* http[].match[].queryParams.* http[].corsPolicy.allowOrigins[]",
        &[AtMostOne("exact prefix regex")],
    ),
    ("http[].match[].port tls[].match[].port tcp[].match[].port", &[U32]),
    ("http[].route[] tls[].route[] tcp[].route[] http[].mirrors[]", &[Required("destination")]),
    (
        "http[].route[].destination tls[].route[].destination tcp[].route[].destination http[].mirror http[].mirrors[].destination",
        &[Required("host")],
    ),
    (
        "http[].route[].destination.port.number tls[].route[].destination.port.number tcp[].route[].destination.port.number \
         http[].mirror.port.number http[].mirrors[].destination.port.number http[].mirror_percent http[].mirrorPercent",
        &[U32],
    ),
    ("http[].route[].weight tls[].route[].weight tcp[].route[].weight", &[I32]),
    ("http[].timeout http[].retries.perTryTimeout http[].retries.backoff http[].corsPolicy.maxAge", &[AtLeastOneMs]),
    ("http[].fault.delay.fixedDelay http[].fault.delay.exponentialDelay", &[AtLeastOneMs]),
    ("http[].retries.attempts http[].fault.delay.percent http[].fault.abort.httpStatus", &[I32]),
    ("http[].fault.abort", &[AtMostOne("httpStatus grpcStatus http2Error")]),
    ("http[].fault.delay", &[AtMostOne("fixedDelay exponentialDelay")]),
    ("http[].redirect", &[AtMostOne("port derivePort")]),
    ("http[].redirect.port http[].redirect.redirectCode", &[U32]),
    ("http[].redirect.derivePort", &[Word("FROM_PROTOCOL_DEFAULT FROM_REQUEST_PORT")]),
    ("http[].directResponse", &[Required("status")]),
    ("http[].directResponse.status", &[U32]),
    ("http[].directResponse.body", &[AtMostOne("string bytes")]),
    ("http[].directResponse.body.bytes", &[Rule::Base64]),
    ("http[].corsPolicy.unmatchedPreflights", &[Word("UNSPECIFIED FORWARD IGNORE")]),
    ("tls[]", &[Required("match")]),
    ("tls[].match[]", &[Required("sniHosts")]),
];

macro_rules! policy_rows {
    ($prefix:literal) => {
        [
            (concat!($prefix, "loadBalancer"), &[AtMostOne("simple consistentHash")] as &[Rule]),
            (
                concat!($prefix, "loadBalancer.simple"),
                &[Word("UNSPECIFIED LEAST_CONN RANDOM PASSTHROUGH ROUND_ROBIN LEAST_REQUEST")],
            ),
            (
                concat!($prefix, "loadBalancer.consistentHash"),
                &[AtMostOne("httpHeaderName httpCookie useSourceIp httpQueryParameterName"), AtMostOne("ringHash maglev")],
            ),
            (concat!($prefix, "loadBalancer.consistentHash.httpCookie"), &[Required("name")]),
            (concat!($prefix, "loadBalancer.consistentHash.minimumRingSize"), &[U64]),
            (concat!($prefix, "loadBalancer.consistentHash.ringHash.minimumRingSize"), &[U64]),
            (concat!($prefix, "loadBalancer.consistentHash.maglev.tableSize"), &[U64]),
            (concat!($prefix, "loadBalancer.warmupDurationSecs"), &[AtLeastOneMs]),
            (concat!($prefix, "loadBalancer.warmup"), &[Required("duration")]),
            (concat!($prefix, "loadBalancer.warmup.duration"), &[AtLeastOneMs]),
            (concat!($prefix, "loadBalancer.localityLbSetting.distribute[].to.*"), &[U32]),
            (concat!($prefix, "connectionPool.tcp.connectTimeout"), &[AtLeastOneMs]),
            (concat!($prefix, "connectionPool.tcp.maxConnectionDuration"), &[AtLeastOneMs]),
            (concat!($prefix, "connectionPool.tcp.tcpKeepalive.time"), &[AtLeastOneMs]),
            (concat!($prefix, "connectionPool.tcp.tcpKeepalive.interval"), &[AtLeastOneMs]),
            (concat!($prefix, "connectionPool.tcp.tcpKeepalive.probes"), &[U32]),
            (concat!($prefix, "connectionPool.tcp.maxConnections"), &[I32]),
            (concat!($prefix, "connectionPool.http.idleTimeout"), &[AtLeastOneMs]),
            (concat!($prefix, "connectionPool.http.http1MaxPendingRequests"), &[I32]),
            (concat!($prefix, "connectionPool.http.http2MaxRequests"), &[I32]),
            (concat!($prefix, "connectionPool.http.maxRequestsPerConnection"), &[I32]),
            (concat!($prefix, "connectionPool.http.maxRetries"), &[I32]),
            (concat!($prefix, "connectionPool.http.maxConcurrentStreams"), &[I32]),
            (concat!($prefix, "connectionPool.http.h2UpgradePolicy"), &[Word("DEFAULT DO_NOT_UPGRADE UPGRADE")]),
            (concat!($prefix, "outlierDetection.interval"), &[AtLeastOneMs]),
            (concat!($prefix, "outlierDetection.baseEjectionTime"), &[AtLeastOneMs]),
            (concat!($prefix, "outlierDetection.consecutive5xxErrors"), &[U32]),
            (concat!($prefix, "outlierDetection.consecutiveGatewayErrors"), &[U32]),
            (concat!($prefix, "outlierDetection.consecutiveLocalOriginFailures"), &[U32]),
            (concat!($prefix, "outlierDetection.consecutiveErrors"), &[I32]),
            (concat!($prefix, "outlierDetection.maxEjectionPercent"), &[I32]),
            (concat!($prefix, "outlierDetection.minHealthPercent"), &[I32]),
            (concat!($prefix, "outlierDetection.outlierDetectionHttpErrorCodes[]"), &[Range(100, 599)]),
            (concat!($prefix, "tls.mode"), &[Word("DISABLE SIMPLE MUTUAL ISTIO_MUTUAL")]),
            (concat!($prefix, "tunnel"), &[Required("targetHost targetPort")]),
            (concat!($prefix, "tunnel.targetPort"), &[U32]),
            (concat!($prefix, "proxyProtocol.version"), &[Word("V1 V2")]),
        ]
    };
}

/// The rows of several tables as one.
const fn join<const N: usize>(tables: &[&[Row]]) -> [Row; N] {
    let mut rows: [Row; N] = [("", &[]); N];
    let (mut table, mut filled) = (0, 0);
    while table < tables.len() {
        let mut row = 0;
        while row < tables[table].len() {
            rows[filled] = tables[table][row];
            filled += 1;
            row += 1;
        }
        table += 1;
    }
    assert!(filled == N, "the length of a joined table is the sum of its parts");
    rows
}

const POLICY: &[Row] = &policy_rows!("trafficPolicy.");
const PORT_POLICY: &[Row] = &policy_rows!("trafficPolicy.portLevelSettings[].");
const SUBSET_POLICY: &[Row] = &policy_rows!("subsets[].trafficPolicy.");
const SUBSET_PORT_POLICY: &[Row] = &policy_rows!("subsets[].trafficPolicy.portLevelSettings[].");
const RULE_ITSELF: &[Row] = &[
    ("", &[Required("host")]),
    ("subsets[]", &[Required("name")]),
    ("trafficPolicy.portLevelSettings subsets[].trafficPolicy.portLevelSettings", &[Items(0, 4096)]),
    ("trafficPolicy.portLevelSettings[].port.number subsets[].trafficPolicy.portLevelSettings[].port.number", &[U32]),
    ("workloadSelector.matchLabels", &[Items(0, 4096), Holds(holds::no_wildcard_labels)]),
];
const DESTINATION_RULE: &[Row] =
    &join::<{ RULE_ITSELF.len() + 4 * POLICY.len() }>(&[RULE_ITSELF, POLICY, PORT_POLICY, SUBSET_POLICY, SUBSET_PORT_POLICY]);

const GATEWAY: &[Row] = &[
    ("servers[]", &[Required("port hosts")]),
    ("servers[].port", &[Required("number protocol name")]),
    ("servers[].port.number servers[].port.targetPort", &[U32]),
    ("servers[].tls", &[AtMostOne("credentialName credentialNames tlsCertificates")]),
    ("servers[].tls.mode", &[Word("PASSTHROUGH SIMPLE MUTUAL AUTO_PASSTHROUGH ISTIO_MUTUAL OPTIONAL_MUTUAL")]),
    ("servers[].tls.credentialNames servers[].tls.tlsCertificates", &[Items(1, 2)]),
    ("servers[].tls.minProtocolVersion servers[].tls.maxProtocolVersion", &[Word("TLS_AUTO TLSV1_0 TLSV1_1 TLSV1_2 TLSV1_3")]),
];

const SERVICE_ENTRY: &[Row] = &[
    ("", &[Required("hosts"), Holds(holds::service_entry)]),
    ("hosts", &[Items(1, 256)]),
    ("hosts[]", &[Pattern(r"^([^*]|\*.+)", "a host other than `*`")]),
    ("addresses", &[Items(0, 256)]),
    ("addresses[]", &[Length(0, 64)]),
    ("ports", &[Items(0, 256), Unique("number", "port numbers"), Unique("name", "port names")]),
    ("ports[]", &[Required("number name")]),
    ("ports[].number", &[U32, PORT]),
    ("ports[].targetPort", &[U32, PORT]),
    ("ports[].name", &[Length(1, 256)]),
    ("ports[].protocol", &[Length(0, 256)]),
    ("location", &[Word("MESH_EXTERNAL MESH_INTERNAL")]),
    ("resolution", &[Word("NONE STATIC DNS DNS_ROUND_ROBIN DYNAMIC_DNS")]),
    ("endpoints", &[Items(0, 4096)]),
    ("endpoints[]", &[Holds(holds::workload_entry)]),
    ("endpoints[].ports.*", &[U32, PORT]),
    ("endpoints[].weight", &[U32]),
    ("workloadSelector.labels", &[Items(0, 256), Holds(holds::no_wildcard_values)]),
];

const WORKLOAD_ENTRY: &[Row] =
    &[("", &[Holds(holds::workload_entry)]), ("ports.*", &[U32, PORT]), ("weight", &[U32]), ("ports", &[Items(0, 128)])];

const SIDECAR: &[Row] = &[
    ("egress[]", &[Required("hosts")]),
    ("ingress[]", &[Required("port")]),
    ("egress[].port.number ingress[].port.number egress[].port.targetPort ingress[].port.targetPort", &[U32]),
    ("egress[].captureMode ingress[].captureMode", &[Word("DEFAULT IPTABLES NONE")]),
    ("outboundTrafficPolicy.mode", &[Word("REGISTRY_ONLY ALLOW_ANY")]),
    ("outboundTrafficPolicy.egressProxy", &[Required("host")]),
    ("workloadSelector.labels", &[Items(0, 256), Holds(holds::no_wildcard_values)]),
    ("ingress[].tls.mode", &[Word("PASSTHROUGH SIMPLE MUTUAL AUTO_PASSTHROUGH ISTIO_MUTUAL OPTIONAL_MUTUAL")]),
    (
        "inboundConnectionPool.tcp.connectTimeout inboundConnectionPool.tcp.maxConnectionDuration \
         inboundConnectionPool.http.idleTimeout ingress[].connectionPool.tcp.connectTimeout \
         ingress[].connectionPool.tcp.maxConnectionDuration ingress[].connectionPool.http.idleTimeout",
        &[AtLeastOneMs],
    ),
];

const PEER_AUTHENTICATION: &[Row] = &[
    ("", &[Holds(holds::port_level_needs_selector)]),
    ("mtls.mode portLevelMtls.*.mode", &[Word("UNSET DISABLE PERMISSIVE STRICT")]),
    ("portLevelMtls", &[Items(1, usize::MAX), Holds(holds::port_keys)]),
    ("selector.matchLabels", &[Items(0, 4096), Holds(holds::no_wildcard_labels)]),
];

const AUTHORIZATION_POLICY: &[Row] = &[
    ("", &[Holds(holds::selector_or_targets)]),
    ("action", &[Word("ALLOW DENY AUDIT CUSTOM")]),
    ("rules", &[Items(0, 512)]),
    ("rules[].from", &[Items(0, 512)]),
    ("rules[].from[].source", &[Holds(holds::service_accounts_alone)]),
    ("rules[].from[].source.serviceAccounts rules[].from[].source.notServiceAccounts", &[Items(0, 16)]),
    ("rules[].from[].source.serviceAccounts[] rules[].from[].source.notServiceAccounts[]", &[Length(0, 320)]),
    ("rules[].when[]", &[Required("key")]),
    ("targetRef targetRefs[]", &[Required("kind name"), Holds(holds::same_namespace)]),
    ("targetRefs", &[Items(0, 16)]),
    ("selector.matchLabels", &[Items(0, 4096), Holds(holds::no_wildcard_labels)]),
];

const REQUEST_AUTHENTICATION: &[Row] = &[
    ("", &[Holds(holds::selector_or_targets)]),
    ("jwtRules", &[Items(0, 4096)]),
    ("jwtRules[]", &[Required("issuer"), Holds(holds::one_key_source)]),
    ("jwtRules[].issuer", &[Length(1, usize::MAX)]),
    ("jwtRules[].timeout", &[AtLeastOneMs]),
    ("targetRef targetRefs[]", &[Required("kind name"), Holds(holds::same_namespace)]),
    ("selector.matchLabels", &[Items(0, 4096), Holds(holds::no_wildcard_labels)]),
];

const ENVOY_FILTER: &[Row] = &[
    ("configPatches[].match", &[AtMostOne("listener routeConfiguration cluster waypoint")]),
    (
        "configPatches[].applyTo",
        &[Word(
            "INVALID LISTENER FILTER_CHAIN NETWORK_FILTER HTTP_FILTER ROUTE_CONFIGURATION VIRTUAL_HOST HTTP_ROUTE CLUSTER \
             EXTENSION_CONFIG BOOTSTRAP LISTENER_FILTER",
        )],
    ),
    ("configPatches[].patch.operation", &[Word("INVALID MERGE ADD REMOVE INSERT_BEFORE INSERT_AFTER INSERT_FIRST REPLACE")]),
    ("configPatches[].match.context", &[Word("ANY SIDECAR_INBOUND SIDECAR_OUTBOUND GATEWAY WAYPOINT")]),
];

const HOSTNAME: Rule = Pattern(
    r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    "a lower-case DNS name, possibly with `*.` in front",
);
const PRECISE_HOSTNAME: Rule =
    Pattern(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", "a lower-case DNS name");
const SECTION: Rule = Pattern(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", "a lower-case name");
const HEADER_NAME: Rule = Pattern(r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$", "a header name");
const REDIRECT_CODES: Rule = Holds(holds::redirect_code);
const METHODS: Rule = Word("GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH");

const KUBE_GATEWAY: &[Row] = &[
    ("", &[Required("gatewayClassName listeners")]),
    ("gatewayClassName", &[Length(1, 253)]),
    (
        "listeners",
        &[
            Items(1, 64),
            Unique("name", "listener names"),
            Unique("port protocol hostname", "the combination of port, protocol and hostname"),
        ],
    ),
    ("listeners[]", &[Required("name port protocol"), Holds(holds::listener_tls)]),
    ("listeners[].name", &[Length(1, 253), SECTION]),
    ("listeners[].hostname", &[Length(1, 253), HOSTNAME]),
    ("listeners[].port", &[PORT]),
    (
        "listeners[].protocol",
        &[
            Length(1, 255),
            Pattern(
                r"^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9]+$",
                "a protocol",
            ),
        ],
    ),
    ("listeners[].tls.mode", &[Word("Terminate Passthrough")]),
    ("listeners[].tls.certificateRefs", &[Items(0, 64)]),
    ("listeners[].tls.certificateRefs[]", &[Required("name")]),
    ("listeners[].allowedRoutes.namespaces.from", &[Word("All Selector Same None")]),
    ("listeners[].allowedRoutes.kinds[]", &[Required("kind")]),
    ("addresses", &[Items(0, 16)]),
];

macro_rules! filter_rows {
    ($prefix:literal) => {
        [
            (
                concat!($prefix, "filters"),
                &[Items(0, 16), Holds(holds::filters_once)] as &[Rule],
            ),
            (concat!($prefix, "filters[]"), &[Required("type"), Holds(holds::filter_body)]),
            (
                concat!($prefix, "filters[].type"),
                &[Word("RequestHeaderModifier ResponseHeaderModifier RequestMirror RequestRedirect URLRewrite ExtensionRef CORS ExternalAuth")],
            ),
            (concat!($prefix, "filters[].requestRedirect.scheme"), &[Word("http https")]),
            (concat!($prefix, "filters[].requestRedirect.statusCode"), &[REDIRECT_CODES]),
            (concat!($prefix, "filters[].requestRedirect.port"), &[PORT]),
            (concat!($prefix, "filters[].requestRedirect.hostname"), &[PRECISE_HOSTNAME]),
            (concat!($prefix, "filters[].urlRewrite.hostname"), &[PRECISE_HOSTNAME]),
            (concat!($prefix, "filters[].requestRedirect.path"), &[Required("type"), Holds(holds::path_modifier)]),
            (concat!($prefix, "filters[].urlRewrite.path"), &[Required("type"), Holds(holds::path_modifier)]),
            (concat!($prefix, "filters[].requestMirror"), &[Required("backendRef"), AtMostOne("percent fraction")]),
            (concat!($prefix, "filters[].requestMirror.percent"), &[Range(0, 100)]),
            (concat!($prefix, "filters[].requestMirror.fraction"), &[Required("numerator"), Holds(holds::fraction)]),
            (concat!($prefix, "filters[].requestMirror.backendRef"), &[Required("name"), Holds(holds::service_needs_port)]),
            (concat!($prefix, "filters[].requestMirror.backendRef.port"), &[PORT]),
            (concat!($prefix, "filters[].requestHeaderModifier.set"), &[Items(0, 16), Unique("name", "header names")]),
            (concat!($prefix, "filters[].requestHeaderModifier.add"), &[Items(0, 16), Unique("name", "header names")]),
            (concat!($prefix, "filters[].responseHeaderModifier.set"), &[Items(0, 16), Unique("name", "header names")]),
            (concat!($prefix, "filters[].responseHeaderModifier.add"), &[Items(0, 16), Unique("name", "header names")]),
            (concat!($prefix, "filters[].requestHeaderModifier.set[]"), &[Required("name value")]),
            (concat!($prefix, "filters[].requestHeaderModifier.add[]"), &[Required("name value")]),
            (concat!($prefix, "filters[].responseHeaderModifier.set[]"), &[Required("name value")]),
            (concat!($prefix, "filters[].responseHeaderModifier.add[]"), &[Required("name value")]),
            (concat!($prefix, "filters[].requestHeaderModifier.set[].name"), &[Length(1, 256), HEADER_NAME]),
            (concat!($prefix, "filters[].requestHeaderModifier.add[].name"), &[Length(1, 256), HEADER_NAME]),
            (concat!($prefix, "filters[].responseHeaderModifier.set[].name"), &[Length(1, 256), HEADER_NAME]),
            (concat!($prefix, "filters[].responseHeaderModifier.add[].name"), &[Length(1, 256), HEADER_NAME]),
        ]
    };
}

const ROUTE_FILTERS: &[Row] = &filter_rows!("rules[].");
const BACKEND_FILTERS: &[Row] = &filter_rows!("rules[].backendRefs[].");
const BACKENDS: &[Row] = &[
    ("parentRefs", &[Items(0, 32)]),
    ("parentRefs[]", &[Required("name")]),
    ("parentRefs[].port", &[PORT]),
    ("parentRefs[].sectionName", &[Length(1, 253), SECTION]),
    ("hostnames", &[Items(0, 16)]),
    ("hostnames[]", &[Length(1, 253), HOSTNAME]),
    ("rules", &[Items(0, 16), Holds(holds::rule_names)]),
    ("rules[].backendRefs", &[Items(0, 16)]),
    ("rules[].backendRefs[]", &[Required("name"), Holds(holds::service_needs_port)]),
    ("rules[].backendRefs[].port", &[PORT]),
    ("rules[].backendRefs[].weight", &[Range(0, 1_000_000)]),
    ("rules[].matches[].headers", &[Items(0, 16), Unique("name", "header names")]),
    ("rules[].matches[].headers[]", &[Required("name value")]),
    ("rules[].matches[].headers[].name", &[Length(1, 256), HEADER_NAME]),
    ("rules[].matches[].headers[].value", &[Length(1, 4096)]),
    ("rules[].matches[].headers[].type rules[].matches[].queryParams[].type", &[Word("Exact RegularExpression")]),
];
const HTTP_ONLY: &[Row] = &[
    ("rules[]", &[Holds(holds::redirect_without_backends), Holds(holds::prefix_rewrite_needs_prefix), Holds(holds::timeouts)]),
    ("rules[].matches", &[Items(0, 64)]),
    ("rules[].matches[].path", &[Holds(holds::path)]),
    ("rules[].matches[].path.type", &[Word("Exact PathPrefix RegularExpression")]),
    ("rules[].matches[].path.value", &[Length(0, 1024)]),
    ("rules[].matches[].method", &[METHODS]),
    ("rules[].matches[].queryParams", &[Items(0, 16), Unique("name", "names of query parameters")]),
    ("rules[].matches[].queryParams[]", &[Required("name value")]),
    ("rules[].matches[].queryParams[].name", &[Length(1, 256), HEADER_NAME]),
    ("rules[].matches[].queryParams[].value", &[Length(1, 1024)]),
    ("rules[].timeouts.request rules[].timeouts.backendRequest rules[].retry.backoff", &[GatewayDuration]),
    ("rules[].retry.codes[]", &[Range(400, 599)]),
];
const HTTP_ROUTE: &[Row] = &join::<{ BACKENDS.len() + HTTP_ONLY.len() + ROUTE_FILTERS.len() + BACKEND_FILTERS.len() }>(&[
    BACKENDS,
    HTTP_ONLY,
    ROUTE_FILTERS,
    BACKEND_FILTERS,
]);
const GRPC_ONLY: &[Row] = &[
    ("rules[].matches", &[Items(0, 64)]),
    ("rules[].matches[].method", &[Holds(holds::grpc_method)]),
    ("rules[].matches[].method.type", &[Word("Exact RegularExpression")]),
];
const GRPC_ROUTE: &[Row] = &join::<{ BACKENDS.len() + GRPC_ONLY.len() + ROUTE_FILTERS.len() + BACKEND_FILTERS.len() }>(&[
    BACKENDS,
    GRPC_ONLY,
    ROUTE_FILTERS,
    BACKEND_FILTERS,
]);
const L4_ROUTE: &[Row] = &[
    ("", &[Required("rules")]),
    ("parentRefs[]", &[Required("name")]),
    ("hostnames[]", &[HOSTNAME]),
    ("rules", &[Items(1, 16)]),
    ("rules[].backendRefs[]", &[Required("name"), Holds(holds::service_needs_port)]),
    ("rules[].backendRefs[].weight", &[Range(0, 1_000_000)]),
];
const REFERENCE_GRANT: &[Row] = &[
    ("", &[Required("from to")]),
    ("from to", &[Items(1, 16)]),
    ("from[]", &[Required("group kind namespace")]),
    ("to[]", &[Required("group kind")]),
];
