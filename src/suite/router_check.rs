//! Tests of Envoy's `router_check_tool`: what the route of a request does.
//!
//! That tool starts at a route table. Here the table is looked for: in the proxy that is named, or in
//! the first proxy, gateways before sidecars, whose virtual hosts know the authority best.

use super::case::{Case, Claims, Verdict};
use super::coverage::{ItemKind, Trace};
use super::question::Question;
use crate::diagnostic::Diagnostic;
use crate::mesh::pattern::Pattern;
use crate::mesh::route::Action;
use crate::mesh::{Mesh, Proxy, ProxyId, RouteTableId};
use crate::routing::explanation::explain_table;
use crate::routing::{
    Answering, Chances, Headers, Received, Reply, Request, Scheme, Selection, forwarded, location, named, proxy_and_table_for,
    select_received, table_for,
};
use crate::source::Spanned;
use crate::workload::UrlKind;
use crate::yaml::{Cx, Decode, Document, Node};

type Text = Option<Spanned<String>>;

crate::record! {
    /// A file of `router_check_tool`.
    pub struct RouterCheckFile {
        /// The tests.
        pub tests: Vec<RouterCheckTest> = "tests",
    }

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
        pub random_value: Option<Spanned<u64>> = "random_value",
        /// Whether the request came by TLS.
        pub ssl: Option<bool> = "ssl",
        /// Whether `x-envoy-internal` is set.
        pub internal: Option<bool> = "internal",
        /// Request headers.
        pub additional_request_headers: Vec<HeaderValue> = "additional_request_headers",
        /// Headers of the upstream's answer.
        pub additional_response_headers: Vec<HeaderValue> = "additional_response_headers",
    }
    not_modelled "runtime dynamic_metadata";

    /// A header line.
    pub struct HeaderValue {
        /// Name.
        pub key: Spanned<String> = "key",
        /// Value.
        pub value: Spanned<String> = "value",
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
        /// Headers that the upstream sees.
        pub request_header_matches: Vec<HeaderMatcher> = "request_header_matches",
        /// Headers that the client sees.
        pub response_header_matches: Vec<HeaderMatcher> = "response_header_matches",
        /// The same in the tool's older form.
        pub request_header_fields: Vec<HeaderValue> = "request_header_fields",
        /// The same in the tool's older form.
        pub response_header_fields: Vec<HeaderValue> = "response_header_fields",
    }

    /// A condition on a header (Envoy: `HeaderMatcher`).
    pub struct HeaderMatcher {
        /// Name.
        pub name: Spanned<String> = "name",
        /// A test of the value.
        pub string_match: Option<StringMatcher> = "string_match",
        /// The whole value; the older form.
        pub exact_match: Text = "exact_match",
        /// Whether the header must be there.
        pub present_match: Option<bool> = "present_match",
        /// The beginning; the older form.
        pub prefix_match: Text = "prefix_match",
        /// The end; the older form.
        pub suffix_match: Text = "suffix_match",
        /// A part; the older form.
        pub contains_match: Text = "contains_match",
        /// Whether the answer is turned round.
        pub invert_match: Option<bool> = "invert_match",
    }
    not_modelled "range_match safe_regex_match treat_missing_header_as_empty";

    /// A test of a text (Envoy: `StringMatcher`).
    pub struct StringMatcher {
        /// The whole value.
        pub exact: Text = "exact",
        /// The beginning.
        pub prefix: Text = "prefix",
        /// The end.
        pub suffix: Text = "suffix",
        /// A part.
        pub contains: Text = "contains",
        /// A regular expression for all of it.
        pub safe_regex: Option<SafeRegex> = "safe_regex",
        /// Whether case does not matter.
        pub ignore_case: Option<bool> = "ignore_case",
    }

    /// A regular expression.
    pub struct SafeRegex {
        /// The pattern.
        pub regex: Text = "regex",
        /// Which engine; there is one.
        pub google_re2: Option<Node> = "google_re2",
    }
}

/// What must hold for a request.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteClaims {
    random: u64,
    answer: Vec<(String, String)>,
    claims: RouterCheckClaims,
}

/// The cases of a file.
pub(super) fn cases(document: &Document, diagnostics: &mut Vec<Diagnostic>) -> Vec<Case> {
    let file = RouterCheckFile::decode(&document.root, &mut Cx::new(diagnostics)).unwrap_or_default();
    file.tests.iter().map(of_test).collect()
}

fn of_test(test: &RouterCheckTest) -> Case {
    let input = &test.input;
    let lines = |all: &[HeaderValue]| -> Vec<(String, String)> {
        all.iter().map(|line| (line.key.value.to_ascii_lowercase(), line.value.value.clone())).collect()
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
        random: input.random_value.as_ref().map_or(0, |value| value.value),
        answer: lines(&input.additional_response_headers),
        claims: test.validate.clone(),
    };
    Case { name: test.test_name.value.clone(), span: test.span, question, claims: Claims::Route(Box::new(claims)) }
}

/// The table that knows an authority best.
fn table(mesh: &Mesh, question: &Question) -> Result<(ProxyId, RouteTableId), String> {
    let authority = &question.request.authority;
    let Some(from) = &question.from else {
        return proxy_and_table_for(mesh, authority, None)
            .ok_or_else(|| format!("no proxy has a virtual host for `{authority}`"));
    };
    let proxy = named(mesh, from)?;
    let table = table_for(&mesh.proxies[proxy.index()], authority, None);
    table.map(|table| (proxy, table)).ok_or_else(|| format!("no virtual host of `{from}` is for `{authority}`"))
}

/// Judges one request.
pub(super) fn judge(mesh: &Mesh, question: &Question, claims: &RouteClaims) -> Verdict {
    let mut verdict = Verdict::default();
    let (proxy, table) = match table(mesh, question) {
        Ok(found) => found,
        Err(why) => {
            verdict.fail("virtual host", &question.request.authority, why, question.span);
            return verdict;
        }
    };
    let proxy = &mesh.proxies[proxy.index()];
    let received = match Received::new(proxy.spec.kind, &question.request) {
        Ok(received) => received,
        Err(_) => {
            verdict.fail("request", "a request", "400 before any route", question.span);
            return verdict;
        }
    };
    let selection = select_received(proxy, table, &received);
    verdict.trace = Trace::of(&explain_table(proxy, table, &received), &kinds(&claims.claims));
    verdict.route = selection.route(proxy).map(|route| route.origin.span);
    let seen = Seen::new(mesh, proxy, &received, selection, claims);
    for (what, wanted, actual) in [
        ("cluster_name", &claims.claims.cluster_name, &seen.cluster),
        ("virtual_cluster_name", &claims.claims.virtual_cluster_name, &String::new()),
        ("virtual_host_name", &claims.claims.virtual_host_name, &seen.virtual_host),
        ("host_rewrite", &claims.claims.host_rewrite, &seen.authority),
        ("path_rewrite", &claims.claims.path_rewrite, &seen.path),
        ("path_redirect", &claims.claims.path_redirect, &seen.redirect),
    ] {
        if let Some(wanted) = wanted {
            verdict.claim(what, &wanted.value, actual, wanted.span);
        }
    }
    for (what, matchers, lines, headers) in [
        ("request header", &claims.claims.request_header_matches, &claims.claims.request_header_fields, &seen.request),
        ("response header", &claims.claims.response_header_matches, &claims.claims.response_header_fields, &seen.answer),
    ] {
        for matcher in matchers {
            let value = value_of(headers, &matcher.name.value);
            if !is_met(matcher, value.as_deref()) {
                let actual = value.unwrap_or_else(|| "absent".to_owned());
                verdict.fail(&format!("{what} {}", matcher.name.value), "a match", actual, matcher.span);
            }
        }
        for line in lines {
            let actual = value_of(headers, &line.key.value).unwrap_or_default();
            verdict.claim(&format!("{what} {}", line.key.value), &line.value.value, actual, line.value.span);
        }
    }
    verdict
}

fn kinds(claims: &RouterCheckClaims) -> Vec<ItemKind> {
    claims.cluster_name.iter().map(|_| ItemKind::Destination).collect()
}

/// What the tool looks at.
struct Seen {
    cluster: String,
    virtual_host: String,
    authority: String,
    path: String,
    redirect: String,
    request: Headers,
    answer: Headers,
}

impl Seen {
    fn new(mesh: &Mesh, proxy: &Proxy, received: &Received<'_>, selection: Selection, claims: &RouteClaims) -> Self {
        let never = u64::MAX;
        let decision = selection.draw(proxy, Chances { stream: claims.random, delay: never, abort: never });
        let forwarded = forwarded(proxy, received, &decision);
        let redirect = selection.route(proxy).and_then(|route| match &route.action {
            Action::Redirect(redirect) => Some(location(redirect, &route.matcher, received)),
            Action::Forward(_) | Action::Direct(_) => None,
        });
        let answering = Answering { proxy, profile: &mesh.profile, received, decision: &decision };
        let upstream = Reply { status: 200, headers: Headers(claims.answer.clone()), body: Vec::new() };
        let mut request = forwarded.as_ref().map(|seen| seen.headers.clone()).unwrap_or_default();
        if let Some(seen) = &forwarded {
            for (name, value) in [(":authority", &seen.authority), (":path", &seen.path), (":method", &seen.method)] {
                request.0.push((name.to_owned(), value.clone()));
            }
        }
        Seen {
            cluster: decision.leg(proxy).map_or_else(String::new, |leg| leg.cluster.name.clone()),
            virtual_host: selection.virtual_host(proxy).map_or_else(String::new, |host| host.name.clone()),
            authority: forwarded.as_ref().map_or_else(String::new, |seen| seen.authority.clone()),
            path: forwarded.as_ref().map_or_else(String::new, |seen| seen.path.clone()),
            redirect: redirect.unwrap_or_default(),
            request,
            answer: answering.finish(upstream).headers,
        }
    }
}

fn value_of(headers: &Headers, name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let lines: Vec<&str> = headers.0.iter().filter(|(own, _)| *own == name).map(|(_, value)| value.as_str()).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

fn is_met(matcher: &HeaderMatcher, value: Option<&str>) -> bool {
    let invert = matcher.invert_match.unwrap_or(false);
    let Some(value) = value else {
        // An absent header meets only that it is absent (Envoy: HeaderUtility::matchHeaders).
        return matcher.present_match.map_or(invert, |wanted| wanted == invert);
    };
    let text = |own: &Text| own.as_ref().map(|own| own.value.clone());
    let mut holds = matcher.present_match.unwrap_or(true);
    holds &= text(&matcher.exact_match).is_none_or(|own| own == value);
    holds &= text(&matcher.prefix_match).is_none_or(|own| value.starts_with(&own));
    holds &= text(&matcher.suffix_match).is_none_or(|own| value.ends_with(&own));
    holds &= text(&matcher.contains_match).is_none_or(|own| value.contains(&own));
    holds &= matcher.string_match.as_ref().is_none_or(|own| is_string_met(own, value));
    holds != invert
}

fn is_string_met(matcher: &StringMatcher, value: &str) -> bool {
    let fold = |text: &str| if matcher.ignore_case.unwrap_or(false) { text.to_ascii_lowercase() } else { text.to_owned() };
    let value = fold(value);
    let own = |text: &Text| text.as_ref().map(|own| fold(&own.value));
    let regex = matcher.safe_regex.as_ref().and_then(|own| own.regex.as_ref());
    own(&matcher.exact).is_none_or(|own| own == value)
        && own(&matcher.prefix).is_none_or(|own| value.starts_with(&own))
        && own(&matcher.suffix).is_none_or(|own| value.ends_with(&own))
        && own(&matcher.contains).is_none_or(|own| value.contains(&own))
        && regex.is_none_or(|own| Pattern::new(&own.value).is_ok_and(|pattern| pattern.matches(&value)))
}
