//! Envoy's `RouteConfiguration` (API version 3), as far as it says what becomes of a request.
//!
//! Fields that have no say in what these tests look at (retries, hashing, statistics, tracing) are known
//! and passed over. Fields that have a say and are not modelled are kept, so that a case whose request
//! comes to them is left undecided.

use super::headers::HeaderValueOption;
use super::matchers::{HeaderMatcher, QueryParameterMatcher, SafeRegex};
use super::metadata::MetadataMatcher;
use crate::source::Spanned;
use crate::time::Duration;
use crate::yaml::{Cx, Decode, Node};

type Text = Option<Spanned<String>>;

crate::record! {
    /// A route configuration.
    pub struct RouteConfiguration {
        /// Name.
        pub name: Text = "name",
        /// Virtual hosts.
        pub virtual_hosts: Vec<VirtualHost> = "virtual_hosts",
        /// Operations on headers after those of routes and virtual hosts.
        pub request_headers_to_add: Vec<HeaderValueOption> = "request_headers_to_add",
        /// See above.
        pub request_headers_to_remove: Vec<Spanned<String>> = "request_headers_to_remove",
        /// See above.
        pub response_headers_to_add: Vec<HeaderValueOption> = "response_headers_to_add",
        /// See above.
        pub response_headers_to_remove: Vec<Spanned<String>> = "response_headers_to_remove",
        /// Whether operations on headers of the route come last, and so win.
        pub most_specific_header_mutations_wins: Option<bool> = "most_specific_header_mutations_wins",
        /// Whether the port of the authority takes no part.
        pub ignore_port_in_host_matching: Option<bool> = "ignore_port_in_host_matching",
        /// Whether parameters of path segments take no part.
        pub ignore_path_parameters_in_path_matching: Option<Node> = "ignore_path_parameters_in_path_matching",
        /// Virtual hosts that are fetched when they are asked for.
        pub vhds: Option<Node> = "vhds",
    }
    irrelevant "@type internal_only_headers validate_clusters max_direct_response_body_size_bytes typed_per_filter_config metadata request_mirror_policies cluster_specifier_plugins";

    /// A virtual host.
    pub struct VirtualHost {
        /// Name.
        pub name: Spanned<String> = "name",
        /// Domains.
        pub domains: Vec<Spanned<String>> = "domains",
        /// Routes in order.
        pub routes: Vec<Route> = "routes",
        /// A tree in place of the list of routes.
        pub matcher: Option<Node> = "matcher",
        /// Who is redirected to HTTPS.
        pub require_tls: Option<TlsRequirement> = "require_tls",
        /// Names for kinds of requests.
        pub virtual_clusters: Vec<VirtualCluster> = "virtual_clusters",
        /// Operations on headers after the route's.
        pub request_headers_to_add: Vec<HeaderValueOption> = "request_headers_to_add",
        /// See above.
        pub request_headers_to_remove: Vec<Spanned<String>> = "request_headers_to_remove",
        /// See above.
        pub response_headers_to_add: Vec<HeaderValueOption> = "response_headers_to_add",
        /// See above.
        pub response_headers_to_remove: Vec<Spanned<String>> = "response_headers_to_remove",
    }
    irrelevant "rate_limits cors typed_per_filter_config include_request_attempt_count include_attempt_count_in_response include_is_timeout_retry_header retry_policy retry_policy_typed_config hedge_policy per_request_buffer_limit_bytes request_body_buffer_limit request_mirror_policies metadata";

    /// A kind of requests.
    pub struct VirtualCluster {
        /// When a request is of it.
        pub headers: Vec<HeaderMatcher> = "headers",
        /// Name.
        pub name: Spanned<String> = "name",
    }

    /// A route.
    pub struct Route {
        /// Name.
        pub name: Text = "name",
        /// When it applies.
        pub matches: RouteMatch = "match",
        /// Forwarding.
        pub route: Option<RouteAction> = "route",
        /// A redirect.
        pub redirect: Option<RedirectAction> = "redirect",
        /// A direct answer.
        pub direct_response: Option<DirectResponseAction> = "direct_response",
        /// An action of some filter.
        pub filter_action: Option<Node> = "filter_action",
        /// For proxies that do not forward.
        pub non_forwarding_action: Option<Node> = "non_forwarding_action",
        /// Metadata.
        pub metadata: Option<Metadata> = "metadata",
        /// Operations on headers.
        pub request_headers_to_add: Vec<HeaderValueOption> = "request_headers_to_add",
        /// See above.
        pub request_headers_to_remove: Vec<Spanned<String>> = "request_headers_to_remove",
        /// See above.
        pub response_headers_to_add: Vec<HeaderValueOption> = "response_headers_to_add",
        /// See above.
        pub response_headers_to_remove: Vec<Spanned<String>> = "response_headers_to_remove",
    }
    irrelevant "decorator typed_per_filter_config tracing per_request_buffer_limit_bytes request_body_buffer_limit stat_prefix";

    /// Metadata by namespace.
    pub struct Metadata {
        /// Fields by namespace.
        pub filter_metadata: Option<Node> = "filter_metadata",
    }
    irrelevant "typed_filter_metadata";

    /// When a route applies; all must hold.
    pub struct RouteMatch {
        /// The beginning of the path.
        pub prefix: Text = "prefix",
        /// The whole path.
        pub path: Text = "path",
        /// A regular expression for the whole path.
        pub safe_regex: Option<SafeRegex> = "safe_regex",
        /// The method is CONNECT.
        pub connect_matcher: Option<Node> = "connect_matcher",
        /// The beginning of the path, ending at a slash or at the end.
        pub path_separated_prefix: Text = "path_separated_prefix",
        /// An extension: templates.
        pub path_match_policy: Option<Extension> = "path_match_policy",
        /// Whether letter case of the path matters; it does if absent.
        pub case_sensitive: Option<bool> = "case_sensitive",
        /// A share of requests.
        pub runtime_fraction: Option<RuntimeFraction> = "runtime_fraction",
        /// Conditions on headers.
        pub headers: Vec<HeaderMatcher> = "headers",
        /// Conditions on query parameters.
        pub query_parameters: Vec<QueryParameterMatcher> = "query_parameters",
        /// Conditions on cookies.
        pub cookies: Option<Node> = "cookies",
        /// Only gRPC requests.
        pub grpc: Option<Node> = "grpc",
        /// The client's certificate.
        pub tls_context: Option<Node> = "tls_context",
        /// What filters have noted.
        pub dynamic_metadata: Vec<MetadataMatcher> = "dynamic_metadata",
        /// What filters keep.
        pub filter_state: Option<Node> = "filter_state",
    }

    /// A share that can be changed while the proxy runs.
    pub struct RuntimeFraction {
        /// The share.
        pub default_value: FractionalPercent = "default_value",
        /// The key it is changed under.
        pub runtime_key: Text = "runtime_key",
    }

    /// A share.
    pub struct FractionalPercent {
        /// Parts.
        pub numerator: Option<u32> = "numerator",
        /// Of how many; a hundred if absent.
        pub denominator: Option<Denominator> = "denominator",
    }

    /// An extension and its settings.
    pub struct Extension {
        /// Name.
        pub name: Text = "name",
        /// Settings.
        pub typed_config: Option<Template> = "typed_config",
    }

    /// A template of paths.
    pub struct Template {
        /// Which extension.
        pub type_url: Text = "@type",
        /// What a path must look like.
        pub path_template: Text = "path_template",
        /// What it becomes.
        pub path_template_rewrite: Text = "path_template_rewrite",
    }

    /// Forwarding.
    pub struct RouteAction {
        /// The cluster.
        pub cluster: Text = "cluster",
        /// The header that names the cluster.
        pub cluster_header: Text = "cluster_header",
        /// Weighted clusters.
        pub weighted_clusters: Option<WeightedClusters> = "weighted_clusters",
        /// An extension that chooses.
        pub cluster_specifier_plugin: Option<Node> = "cluster_specifier_plugin",
        /// See above.
        pub inline_cluster_specifier_plugin: Option<Node> = "inline_cluster_specifier_plugin",
        /// In place of the matched part of the path.
        pub prefix_rewrite: Text = "prefix_rewrite",
        /// A change of the path by a regular expression.
        pub regex_rewrite: Option<RegexRewrite> = "regex_rewrite",
        /// An extension: templates.
        pub path_rewrite_policy: Option<Extension> = "path_rewrite_policy",
        /// By a format string.
        pub path_rewrite: Option<Node> = "path_rewrite",
        /// The authority.
        pub host_rewrite_literal: Text = "host_rewrite_literal",
        /// The authority is the endpoint's name; tests have no endpoints.
        pub auto_host_rewrite: Option<bool> = "auto_host_rewrite",
        /// The header that names the authority.
        pub host_rewrite_header: Text = "host_rewrite_header",
        /// The path names the authority.
        pub host_rewrite_path_regex: Option<RegexRewrite> = "host_rewrite_path_regex",
        /// By a format string.
        pub host_rewrite: Option<Node> = "host_rewrite",
        /// Whether the old authority is noted in `x-forwarded-host`.
        pub append_x_forwarded_host: Option<bool> = "append_x_forwarded_host",
        /// Timeout; 15 seconds if absent.
        pub timeout: Option<Spanned<ProtoDuration>> = "timeout",
    }
    irrelevant "cluster_not_found_response_code metadata_match idle_timeout flush_timeout early_data_policy retry_policy retry_policy_typed_config request_mirror_policies priority rate_limits include_vh_rate_limits hash_policy cors max_grpc_timeout grpc_timeout_offset upgrade_configs internal_redirect_policy internal_redirect_action max_internal_redirects hedge_policy max_stream_duration";

    /// Weighted clusters.
    pub struct WeightedClusters {
        /// The clusters.
        pub clusters: Vec<ClusterWeight> = "clusters",
        /// A header in place of the random value.
        pub header_name: Option<Node> = "header_name",
        /// The hash policy in place of the random value.
        pub use_hash_policy: Option<Node> = "use_hash_policy",
    }
    irrelevant "total_weight runtime_key_prefix";

    /// A cluster with its weight.
    pub struct ClusterWeight {
        /// Name.
        pub name: Text = "name",
        /// The header that names it.
        pub cluster_header: Text = "cluster_header",
        /// Weight.
        pub weight: Option<u32> = "weight",
        /// The authority.
        pub host_rewrite_literal: Text = "host_rewrite_literal",
        /// Operations on headers before the route's.
        pub request_headers_to_add: Vec<HeaderValueOption> = "request_headers_to_add",
        /// See above.
        pub request_headers_to_remove: Vec<Spanned<String>> = "request_headers_to_remove",
        /// See above.
        pub response_headers_to_add: Vec<HeaderValueOption> = "response_headers_to_add",
        /// See above.
        pub response_headers_to_remove: Vec<Spanned<String>> = "response_headers_to_remove",
    }
    irrelevant "metadata_match typed_per_filter_config";

    /// A change by a regular expression.
    pub struct RegexRewrite {
        /// What is replaced.
        pub pattern: SafeRegex = "pattern",
        /// What with.
        pub substitution: Text = "substitution",
    }

    /// A redirect.
    pub struct RedirectAction {
        /// Whether the scheme becomes `https`.
        pub https_redirect: Option<bool> = "https_redirect",
        /// The scheme.
        pub scheme_redirect: Text = "scheme_redirect",
        /// The host.
        pub host_redirect: Text = "host_redirect",
        /// The port.
        pub port_redirect: Option<u16> = "port_redirect",
        /// The path.
        pub path_redirect: Text = "path_redirect",
        /// In place of the matched part of the path.
        pub prefix_rewrite: Text = "prefix_rewrite",
        /// A change of the path by a regular expression.
        pub regex_rewrite: Option<RegexRewrite> = "regex_rewrite",
        /// The status.
        pub response_code: Option<RedirectCode> = "response_code",
        /// Whether the query goes.
        pub strip_query: Option<bool> = "strip_query",
    }

    /// A direct answer.
    pub struct DirectResponseAction {
        /// Status.
        pub status: Spanned<u16> = "status",
        /// Body.
        pub body: Option<DataSource> = "body",
        /// Body by a format string.
        pub body_format: Option<Node> = "body_format",
    }

    /// Bytes.
    pub struct DataSource {
        /// As text.
        pub inline_string: Text = "inline_string",
        /// In Base64.
        pub inline_bytes: Option<Node> = "inline_bytes",
        /// In a file.
        pub filename: Option<Node> = "filename",
        /// In an environment variable.
        pub environment_variable: Option<Node> = "environment_variable",
    }
}

crate::choice! {
    /// Who is redirected to HTTPS.
    pub enum TlsRequirement {
        /// Nobody.
        None = "NONE",
        /// Requests from outside.
        ExternalOnly = "EXTERNAL_ONLY",
        /// All.
        All = "ALL",
    }

    /// Of how many.
    pub enum Denominator {
        /// A hundred.
        Hundred = "HUNDRED",
        /// Ten thousand.
        TenThousand = "TEN_THOUSAND",
        /// A million.
        Million = "MILLION",
    }

    /// The status of a redirect.
    pub enum RedirectCode {
        /// 301.
        MovedPermanently = "MOVED_PERMANENTLY",
        /// 302.
        Found = "FOUND",
        /// 303.
        SeeOther = "SEE_OTHER",
        /// 307.
        TemporaryRedirect = "TEMPORARY_REDIRECT",
        /// 308.
        PermanentRedirect = "PERMANENT_REDIRECT",
    }
}

impl RedirectCode {
    /// The number.
    pub(super) const fn status(self) -> u16 {
        match self {
            RedirectCode::MovedPermanently => 301,
            RedirectCode::Found => 302,
            RedirectCode::SeeOther => 303,
            RedirectCode::TemporaryRedirect => 307,
            RedirectCode::PermanentRedirect => 308,
        }
    }
}

impl FractionalPercent {
    /// Whether a random value is below the share. A share of nothing counts as one part, as in the tool,
    /// so that a test can reach its route.
    pub(super) fn includes(&self, random: u64) -> bool {
        let whole = match self.denominator.unwrap_or(Denominator::Hundred) {
            Denominator::Hundred => 100,
            Denominator::TenThousand => 10_000,
            Denominator::Million => 1_000_000,
        };
        random % whole < u64::from(self.numerator.unwrap_or(0).max(1))
    }
}

/// A duration as messages write it: `1.5s`, or a mapping with `seconds` and `nanos`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProtoDuration(pub Duration);

impl Decode for ProtoDuration {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if node.entries().is_none() {
            return Duration::decode(node, cx).map(ProtoDuration);
        }
        let parts = Parts::decode(node, cx)?;
        let seconds = parts.seconds.unwrap_or(0).checked_mul(1_000_000_000);
        let Some(nanos) = seconds.and_then(|seconds| seconds.checked_add(parts.nanos.unwrap_or(0))) else {
            cx.invalid(node.span, "longer than any duration");
            return None;
        };
        Some(ProtoDuration(Duration::from_nanos(nanos)))
    }

    fn schema(definitions: &mut serde_json::Map<String, serde_json::Value>) -> serde_json::Value {
        Duration::schema(definitions)
    }
}

crate::record! {
    /// The parts of a duration.
    pub struct Parts {
        /// Seconds.
        pub seconds: Option<u64> = "seconds",
        /// Nanoseconds.
        pub nanos: Option<u64> = "nanos",
    }
}
