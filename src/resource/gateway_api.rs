//! `gateway.networking.k8s.io`: GatewayClass, Gateway, HTTPRoute, GRPCRoute, TCPRoute, TLSRoute,
//! ReferenceGrant.

use super::meta::LabelSelector;
use crate::source::Spanned;
use crate::yaml::{Map, Node};

type Text = Option<Spanned<String>>;
type Number = Option<Spanned<i64>>;

crate::record! {
    /// `GatewayClass.spec`.
    pub struct GatewayClass {
        /// Who implements it; Istio's is `istio.io/gateway-controller`.
        pub controller_name: Text = "controllerName",
    }
    irrelevant "description parametersRef";

    /// `Gateway.spec`.
    pub struct KubeGateway {
        /// Class.
        pub gateway_class_name: Text = "gatewayClassName",
        /// Listeners.
        pub listeners: Vec<GatewayListener> = "listeners",
        /// Addresses; a host name names the Service of a gateway that already runs.
        pub addresses: Vec<GatewayAddress> = "addresses",
        /// Labels, annotations and parameters of what is deployed.
        pub infrastructure: Option<Node> = "infrastructure",
        /// Which ListenerSets may attach.
        pub allowed_listeners: Option<Node> = "allowedListeners",
        /// TLS towards back ends and of clients.
        pub tls: Option<Node> = "tls",
        /// The old name of `tls`.
        pub backend_tls: Option<Node> = "backendTLS",
    }
    not_modelled "defaultScope";

    /// A listener.
    pub struct GatewayListener {
        /// Name.
        pub name: Text = "name",
        /// Host it is for.
        pub hostname: Text = "hostname",
        /// Port.
        pub port: Number = "port",
        /// `HTTP`, `HTTPS`, `TLS`, `TCP`.
        pub protocol: Text = "protocol",
        /// TLS.
        pub tls: Option<ListenerTls> = "tls",
        /// Which routes may attach.
        pub allowed_routes: Option<AllowedRoutes> = "allowedRoutes",
    }

    /// TLS of a listener.
    pub struct ListenerTls {
        /// `Terminate` (default) or `Passthrough`.
        pub mode: Text = "mode",
        /// Certificates.
        pub certificate_refs: Vec<ObjectReference> = "certificateRefs",
        /// Options.
        pub options: Map<Spanned<String>> = "options",
        /// How clients are verified.
        pub frontend_validation: Option<Node> = "frontendValidation",
    }

    /// Which routes may attach to a listener.
    pub struct AllowedRoutes {
        /// From where.
        pub namespaces: Option<RouteNamespaces> = "namespaces",
        /// Of which kind.
        pub kinds: Vec<RouteGroupKind> = "kinds",
    }

    /// From where routes may attach.
    pub struct RouteNamespaces {
        /// `Same` (default), `All`, `Selector`, `None`.
        pub from: Text = "from",
        /// Labels of the namespaces.
        pub selector: Option<LabelSelector> = "selector",
    }

    /// A kind of route.
    pub struct RouteGroupKind {
        /// API group.
        pub group: Text = "group",
        /// Kind.
        pub kind: Text = "kind",
    }

    /// An address of a gateway.
    pub struct GatewayAddress {
        /// `IPAddress`, `Hostname`, ….
        pub kind: Text = "type",
        /// Value.
        pub value: Text = "value",
    }

    /// `HTTPRoute.spec`.
    pub struct HttpRouteSpec {
        /// What it attaches to: Gateways or Services.
        pub parent_refs: Vec<ParentReference> = "parentRefs",
        /// Hosts.
        pub hostnames: Vec<Spanned<String>> = "hostnames",
        /// Rules.
        pub rules: Vec<HttpRouteRule> = "rules",
        /// Gateways that may use it.
        pub use_default_gateways: Text = "useDefaultGateways",
    }

    /// What a route attaches to.
    pub struct ParentReference {
        /// API group; the Gateway API's if absent, `""` for Services.
        pub group: Text = "group",
        /// Kind; `Gateway` if absent.
        pub kind: Text = "kind",
        /// Namespace; the route's if absent.
        pub namespace: Text = "namespace",
        /// Name.
        pub name: Text = "name",
        /// Listener.
        pub section_name: Text = "sectionName",
        /// Port.
        pub port: Number = "port",
    }

    /// A rule of an HTTPRoute.
    pub struct HttpRouteRule {
        /// Name.
        pub name: Text = "name",
        /// Alternatives; none means every request.
        pub matches: Option<Vec<HttpRouteMatch>> = "matches",
        /// Filters.
        pub filters: Vec<RouteFilter> = "filters",
        /// Weighted back ends.
        pub backend_refs: Vec<BackendRef> = "backendRefs",
        /// Timeouts.
        pub timeouts: Option<RouteTimeouts> = "timeouts",
        /// Retries.
        pub retry: Option<RouteRetry> = "retry",
        /// Session persistence.
        pub session_persistence: Option<Node> = "sessionPersistence",
    }

    /// Conditions of a rule.
    pub struct HttpRouteMatch {
        /// Path; prefix `/` if absent.
        pub path: Option<TypedMatch> = "path",
        /// Headers.
        pub headers: Vec<NamedMatch> = "headers",
        /// Query parameters.
        pub query_params: Vec<NamedMatch> = "queryParams",
        /// Method.
        pub method: Text = "method",
    }

    /// A path match.
    pub struct TypedMatch {
        /// `Exact`, `PathPrefix` (default) or `RegularExpression`.
        pub kind: Text = "type",
        /// Value; `/` if absent.
        pub value: Text = "value",
    }

    /// A match of a header or query parameter.
    pub struct NamedMatch {
        /// `Exact` (default) or `RegularExpression`.
        pub kind: Text = "type",
        /// Name.
        pub name: Text = "name",
        /// Value.
        pub value: Text = "value",
    }

    /// A filter of an HTTPRoute or GRPCRoute.
    pub struct RouteFilter {
        /// Which of the others is set.
        pub kind: Text = "type",
        /// Request header operations.
        pub request_header_modifier: Option<HeaderModifier> = "requestHeaderModifier",
        /// Response header operations.
        pub response_header_modifier: Option<HeaderModifier> = "responseHeaderModifier",
        /// Copy of the traffic.
        pub request_mirror: Option<RequestMirror> = "requestMirror",
        /// Redirect.
        pub request_redirect: Option<RequestRedirect> = "requestRedirect",
        /// Rewrite.
        pub url_rewrite: Option<UrlRewrite> = "urlRewrite",
        /// CORS.
        pub cors: Option<CorsFilter> = "cors",
        /// Something else.
        pub extension_ref: Option<ObjectReference> = "extensionRef",
        /// External authorization.
        pub external_auth: Option<Node> = "externalAuth",
    }

    /// Header operations.
    pub struct HeaderModifier {
        /// Overwrite.
        pub set: Vec<HeaderValue> = "set",
        /// Append.
        pub add: Vec<HeaderValue> = "add",
        /// Remove.
        pub remove: Vec<Spanned<String>> = "remove",
    }

    /// A header.
    pub struct HeaderValue {
        /// Name.
        pub name: Text = "name",
        /// Value.
        pub value: Text = "value",
    }

    /// A mirror.
    pub struct RequestMirror {
        /// Where to.
        pub backend_ref: Option<BackendRef> = "backendRef",
        /// Whole percent.
        pub percent: Number = "percent",
        /// Fraction.
        pub fraction: Option<Fraction> = "fraction",
    }

    /// A fraction.
    pub struct Fraction {
        /// Numerator.
        pub numerator: Number = "numerator",
        /// Denominator; 100 if absent.
        pub denominator: Number = "denominator",
    }

    /// A redirect.
    pub struct RequestRedirect {
        /// New scheme.
        pub scheme: Text = "scheme",
        /// New host.
        pub hostname: Text = "hostname",
        /// New path.
        pub path: Option<PathModifier> = "path",
        /// New port.
        pub port: Number = "port",
        /// Status; 302 if absent.
        pub status_code: Number = "statusCode",
    }

    /// A rewrite.
    pub struct UrlRewrite {
        /// New host.
        pub hostname: Text = "hostname",
        /// New path.
        pub path: Option<PathModifier> = "path",
    }

    /// A change of path.
    pub struct PathModifier {
        /// `ReplaceFullPath` or `ReplacePrefixMatch`.
        pub kind: Text = "type",
        /// The whole new path.
        pub replace_full_path: Text = "replaceFullPath",
        /// The new prefix.
        pub replace_prefix_match: Text = "replacePrefixMatch",
    }

    /// CORS.
    pub struct CorsFilter {
        /// Origins.
        pub allow_origins: Vec<Spanned<String>> = "allowOrigins",
        /// Whether credentials are allowed.
        pub allow_credentials: Option<bool> = "allowCredentials",
        /// Methods.
        pub allow_methods: Vec<Spanned<String>> = "allowMethods",
        /// Headers.
        pub allow_headers: Vec<Spanned<String>> = "allowHeaders",
        /// Headers that the browser may read.
        pub expose_headers: Vec<Spanned<String>> = "exposeHeaders",
        /// Seconds that a preflight answer holds; 5 if absent.
        pub max_age: Number = "maxAge",
    }

    /// A weighted back end.
    pub struct BackendRef {
        /// API group.
        pub group: Text = "group",
        /// Kind; `Service` if absent.
        pub kind: Text = "kind",
        /// Name.
        pub name: Text = "name",
        /// Namespace; the route's if absent.
        pub namespace: Text = "namespace",
        /// Port.
        pub port: Number = "port",
        /// Weight; 1 if absent.
        pub weight: Number = "weight",
        /// Filters of this back end.
        pub filters: Vec<RouteFilter> = "filters",
    }

    /// A reference to an object.
    pub struct ObjectReference {
        /// API group.
        pub group: Text = "group",
        /// Kind.
        pub kind: Text = "kind",
        /// Name.
        pub name: Text = "name",
        /// Namespace.
        pub namespace: Text = "namespace",
    }

    /// Timeouts; durations of the Gateway API are a subset of Go's.
    pub struct RouteTimeouts {
        /// Whole request.
        pub request: Option<Spanned<crate::time::Duration>> = "request",
        /// One try.
        pub backend_request: Option<Spanned<crate::time::Duration>> = "backendRequest",
    }

    /// Retries.
    pub struct RouteRetry {
        /// Statuses.
        pub codes: Vec<Spanned<i64>> = "codes",
        /// Retries after the first try.
        pub attempts: Number = "attempts",
        /// Base interval of the back-off.
        pub backoff: Option<Spanned<crate::time::Duration>> = "backoff",
    }

    /// `GRPCRoute.spec`.
    pub struct GrpcRouteSpec {
        /// What it attaches to.
        pub parent_refs: Vec<ParentReference> = "parentRefs",
        /// Hosts.
        pub hostnames: Vec<Spanned<String>> = "hostnames",
        /// Rules.
        pub rules: Vec<GrpcRouteRule> = "rules",
        /// Gateways that may use it.
        pub use_default_gateways: Text = "useDefaultGateways",
    }

    /// A rule of a GRPCRoute.
    pub struct GrpcRouteRule {
        /// Name.
        pub name: Text = "name",
        /// Alternatives.
        pub matches: Vec<GrpcRouteMatch> = "matches",
        /// Filters.
        pub filters: Vec<RouteFilter> = "filters",
        /// Weighted back ends.
        pub backend_refs: Vec<BackendRef> = "backendRefs",
        /// Session persistence.
        pub session_persistence: Option<Node> = "sessionPersistence",
    }

    /// Conditions of a GRPCRoute rule.
    pub struct GrpcRouteMatch {
        /// Method.
        pub method: Option<GrpcMethodMatch> = "method",
        /// Headers.
        pub headers: Vec<NamedMatch> = "headers",
    }

    /// A gRPC method.
    pub struct GrpcMethodMatch {
        /// `Exact` (default) or `RegularExpression`.
        pub kind: Text = "type",
        /// Service.
        pub service: Text = "service",
        /// Method.
        pub method: Text = "method",
    }

    /// `TCPRoute.spec` and `TLSRoute.spec`.
    pub struct L4RouteSpec {
        /// What it attaches to.
        pub parent_refs: Vec<ParentReference> = "parentRefs",
        /// Server names (TLSRoute).
        pub hostnames: Vec<Spanned<String>> = "hostnames",
        /// Rules.
        pub rules: Vec<L4RouteRule> = "rules",
        /// Gateways that may use it.
        pub use_default_gateways: Text = "useDefaultGateways",
    }

    /// A rule of a TCPRoute or TLSRoute.
    pub struct L4RouteRule {
        /// Name.
        pub name: Text = "name",
        /// Weighted back ends.
        pub backend_refs: Vec<BackendRef> = "backendRefs",
    }

    /// `ReferenceGrant.spec`.
    pub struct ReferenceGrant {
        /// Who may refer.
        pub from: Vec<GrantFrom> = "from",
        /// To what.
        pub to: Vec<GrantTo> = "to",
    }

    /// Who may refer.
    pub struct GrantFrom {
        /// API group.
        pub group: Text = "group",
        /// Kind.
        pub kind: Text = "kind",
        /// Namespace.
        pub namespace: Text = "namespace",
    }

    /// To what.
    pub struct GrantTo {
        /// API group.
        pub group: Text = "group",
        /// Kind.
        pub kind: Text = "kind",
        /// Name; all if absent.
        pub name: Text = "name",
    }
}
