//! Files of tests.

use std::sync::Arc;

use super::super::case::{Case, Claims};
use super::super::question::Question;
use super::configuration::ProtoDuration;
use super::headers::HeaderValue;
use super::matchers::{HeaderMatcher, Whole};
use super::metadata::{DynamicMetadata, Noted};
use super::routes::Routes;
use super::snake_case::snake_case;
use crate::diagnostic::Diagnostic;
use crate::routing::{Request, Scheme};
use crate::source::Spanned;
use crate::workload::UrlKind;
use crate::yaml::{Cx, Decode, Document};

type Text = Option<Spanned<String>>;

crate::record! {
    /// A file of `router_check_tool`.
    pub struct RouterCheckFile {
        /// The tests.
        pub tests: Vec<RouterCheckTest> = "tests",
    }
    irrelevant "runtime";

    /// One test.
    pub struct RouterCheckTest {
        /// Name.
        pub test_name: Spanned<String> = "test_name",
        /// The request.
        pub input: RouterCheckInput = "input",
        /// What must hold.
        pub validate: RouterCheckClaims = "validate",
    }

    /// A request.
    pub struct RouterCheckInput {
        /// Authority.
        pub authority: Spanned<String> = "authority",
        /// Path with query.
        pub path: Spanned<String> = "path",
        /// Method; GET if absent.
        pub method: Text = "method",
        /// Envoy's per-stream value; picks the weighted cluster.
        pub random_value: Option<Whole> = "random_value",
        /// Whether the request came by TLS.
        pub ssl: Option<bool> = "ssl",
        /// Whether `x-envoy-internal` is set.
        pub internal: Option<bool> = "internal",
        /// The runtime key that is switched on.
        pub runtime: Text = "runtime",
        /// What filters have noted.
        pub dynamic_metadata: Vec<DynamicMetadata> = "dynamic_metadata",
        /// Request headers.
        pub additional_request_headers: Vec<HeaderValue> = "additional_request_headers",
        /// Headers of the upstream's answer.
        pub additional_response_headers: Vec<HeaderValue> = "additional_response_headers",
    }

    /// What must hold; an empty text means that there must be none.
    pub struct RouterCheckClaims {
        /// Cluster.
        pub cluster_name: Text = "cluster_name",
        /// Virtual cluster; Istio makes none.
        pub virtual_cluster_name: Text = "virtual_cluster_name",
        /// Virtual host.
        pub virtual_host_name: Text = "virtual_host_name",
        /// Authority that the upstream sees.
        pub host_rewrite: Text = "host_rewrite",
        /// Path that the upstream sees.
        pub path_rewrite: Text = "path_rewrite",
        /// Where a redirect leads.
        pub path_redirect: Text = "path_redirect",
        /// Status of a redirect or direct answer.
        pub code_redirect: Option<Spanned<u16>> = "code_redirect",
        /// Timeout of the route.
        pub timeout: Option<Spanned<ProtoDuration>> = "timeout",
        /// Metadata of the route.
        pub route_metadata: Vec<MetadataClaim> = "route_metadata",
        /// Headers that the upstream sees.
        pub request_header_matches: Vec<HeaderMatcher> = "request_header_matches",
        /// Headers that the client sees.
        pub response_header_matches: Vec<HeaderMatcher> = "response_header_matches",
        /// The same in the tool's older form.
        pub request_header_fields: Vec<HeaderValue> = "request_header_fields",
        /// The same in the tool's older form.
        pub response_header_fields: Vec<HeaderValue> = "response_header_fields",
    }

    /// A field of a route's metadata.
    pub struct MetadataClaim {
        /// Whose it is.
        pub namespace: Spanned<String> = "namespace",
        /// Which field.
        pub key: Spanned<String> = "key",
        /// What it must be.
        pub value: Spanned<String> = "value",
    }
}

/// What must hold for a request.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteClaims {
    pub(super) random: u64,
    pub(super) runtime: Option<String>,
    pub(super) noted: Noted,
    /// Headers of the upstream's answer.
    pub(super) answer: Vec<(String, String)>,
    pub(super) claims: RouterCheckClaims,
    /// The routes, if they are not those of a mesh.
    pub(super) routes: Option<Arc<Routes>>,
}

impl RouteClaims {
    /// The same about these routes, instead of those of a mesh.
    #[must_use]
    pub fn about(self, routes: &Arc<Routes>) -> Self {
        RouteClaims { routes: Some(Arc::clone(routes)), ..self }
    }
}

/// The cases of a file.
pub(in crate::suite) fn cases(document: &Document, diagnostics: &mut Vec<Diagnostic>) -> Vec<Case> {
    let root = snake_case(&document.root, &["value"]);
    let file = RouterCheckFile::decode(&root, &mut Cx::new(diagnostics)).unwrap_or_default();
    file.tests.iter().map(of_test).collect()
}

fn of_test(test: &RouterCheckTest) -> Case {
    let input = &test.input;
    let lines = |all: &[HeaderValue]| -> Vec<(String, String)> {
        let value = |line: &HeaderValue| line.value.as_ref().map_or_else(String::new, |value| value.value.clone());
        all.iter().map(|line| (line.key.value.to_ascii_lowercase(), value(line))).collect()
    };
    let mut headers = lines(&input.additional_request_headers);
    let is_tls = input.ssl.unwrap_or(false);
    if input.internal.unwrap_or(false) {
        headers.push(("x-envoy-internal".to_owned(), "true".to_owned()));
    }
    let request = Request {
        method: input.method.as_ref().map_or_else(|| "GET".to_owned(), |method| method.value.clone()),
        scheme: if is_tls { Scheme::Https } else { Scheme::Http },
        authority: input.authority.value.clone(),
        path: input.path.value.clone(),
        headers,
    };
    let question = Question {
        from: None,
        host: input.authority.value.clone(),
        port: if is_tls { 443 } else { 80 },
        kind: if is_tls { UrlKind::Https } else { UrlKind::Http },
        request,
        span: input.span,
    };
    let claims = RouteClaims {
        random: input.random_value.map_or(0, |value| value.0.unsigned_abs()),
        runtime: input.runtime.as_ref().map(|key| key.value.clone()).filter(|key| !key.is_empty()),
        noted: Noted::new(&input.dynamic_metadata),
        answer: lines(&input.additional_response_headers),
        claims: test.validate.clone(),
        routes: None,
    };
    Case { name: test.test_name.value.clone(), span: test.span, question, claims: Claims::Route(Box::new(claims)) }
}
