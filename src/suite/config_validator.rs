//! Tests of `istio-config-validator`: which rule of which VirtualService takes a request.
//!
//! That tool looks at VirtualServices alone, in the order of the files, and compares the whole rule
//! that takes a request with what a test names; `wantMatch: false`, which is what an absent one
//! means, asserts that they differ. Here the conditions of a rule are checked by the routing core, so
//! those that the tool passes over (`queryParams`, `withoutHeaders`, `scheme`, `ignoreUriCase`,
//! presence of a header, alternatives in a regular expression) count. Conditions on the client or the
//! port have no place in that format; a rule that has some is named.

use serde_json::{Map as Json, Value as JsonValue, json};

use super::case::{Case, Claims, Verdict};
use super::question::Question;
use crate::diagnostic::{Code, Diagnostic};
use crate::mesh::{ProxyKind, conditions_of};
use crate::resource::networking::{
    Delegate, Destination, HeaderOperations, Headers, HttpFaultInjection, HttpMatchRequest, HttpRedirect, HttpRewrite, HttpRoute,
    HttpRouteDestination, VirtualService,
};
use crate::resource::{Body, Object, Objects};
use crate::routing::matching::holds;
use crate::routing::{Received, Request, Scheme};
use crate::source::{Span, Spanned};
use crate::workload::UrlKind;
use crate::yaml::{Cx, Decode, Document, Map};

crate::record! {
    /// A file of `istio-config-validator`.
    pub struct ValidatorFile {
        /// The tests.
        pub test_cases: Vec<ValidatorTest> = "testCases",
    }

    /// One test.
    pub struct ValidatorTest {
        /// What it shows.
        pub description: Option<Spanned<String>> = "description",
        /// Whether the rule must be equal; absent means that it must not.
        pub want_match: Option<bool> = "wantMatch",
        /// Requests.
        pub request: ValidatorRequest = "request",
        /// The rule's destinations.
        pub route: Vec<HttpRouteDestination> = "route",
        /// The rule's redirect.
        pub redirect: Option<HttpRedirect> = "redirect",
        /// The rule's rewrite.
        pub rewrite: Option<HttpRewrite> = "rewrite",
        /// The rule's fault.
        pub fault: Option<HttpFaultInjection> = "fault",
        /// The rule's header operations.
        pub headers: Option<Headers> = "headers",
        /// The rule's delegate.
        pub delegate: Option<Delegate> = "delegate",
    }

    /// Requests: every combination.
    pub struct ValidatorRequest {
        /// Hosts.
        pub authority: Vec<Spanned<String>> = "authority",
        /// Methods.
        pub method: Vec<Spanned<String>> = "method",
        /// Paths; a query is dropped.
        pub uri: Vec<Spanned<String>> = "uri",
        /// Headers.
        pub headers: Map<Spanned<String>> = "headers",
    }
}

/// What must be equal to the rule that takes a request, or not.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleClaims {
    wanted: bool,
    /// Fields of a rule with what they must hold, and where that is written.
    fields: Vec<(&'static str, JsonValue, Span)>,
}

/// The cases of a file.
pub(super) fn cases(document: &Document, diagnostics: &mut Vec<Diagnostic>) -> Vec<Case> {
    let file = ValidatorFile::decode(&document.root, &mut Cx::new(diagnostics)).unwrap_or_default();
    file.test_cases.iter().flat_map(|test| of_test(test, diagnostics)).collect()
}

fn of_test(test: &ValidatorTest, diagnostics: &mut Vec<Diagnostic>) -> Vec<Case> {
    let request = &test.request;
    for (what, values) in [("authority", &request.authority), ("method", &request.method), ("uri", &request.uri)] {
        if values.is_empty() {
            let why = format!("`{what}` of a request must name at least one value");
            diagnostics.push(Diagnostic::new(Code::TestInvalid, why).at(request.span));
            return Vec::new();
        }
    }
    let claims = RuleClaims { wanted: test.want_match.unwrap_or(false), fields: fields(test) };
    let description = test.description.as_ref().map_or("", |text| text.value.as_str());
    let mut cases = Vec::new();
    for authority in &request.authority {
        for method in &request.method {
            for uri in &request.uri {
                let headers = request.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.value.clone()));
                let asked = Request {
                    method: method.value.clone(),
                    scheme: Scheme::Http,
                    authority: authority.value.clone(),
                    path: uri.value.split(['?', '#']).next().unwrap_or_default().to_owned(),
                    headers: headers.collect(),
                };
                let name = format!("{description}: {} {}{}", asked.method, asked.authority, asked.path);
                let question = Question {
                    from: None,
                    host: authority.value.clone(),
                    port: 80,
                    kind: UrlKind::Http,
                    request: asked,
                    span: request.span,
                };
                cases.push(Case { name, span: test.span, question, claims: Claims::Rule(Box::new(claims.clone())) });
            }
        }
    }
    cases
}

fn fields(test: &ValidatorTest) -> Vec<(&'static str, JsonValue, Span)> {
    let mut fields = Vec::new();
    if let Some(delegate) = &test.delegate {
        fields.push(("delegate", delegate_json(delegate), delegate.span));
    }
    // Without a delegate the destinations are always compared, absent ones too.
    if test.delegate.is_none() || !test.route.is_empty() {
        let span = test.route.first().map_or(test.span, |first| first.span);
        fields.push(("route", destinations_json(&test.route), span));
    }
    fields.extend(test.redirect.as_ref().map(|own| ("redirect", redirect_json(own), own.span)));
    fields.extend(test.rewrite.as_ref().map(|own| ("rewrite", rewrite_json(own), own.span)));
    fields.extend(test.fault.as_ref().map(|own| ("fault", fault_json(own), own.span)));
    fields.extend(test.headers.as_ref().map(|own| ("headers", headers_json(own), own.span)));
    fields
}

/// Judges one request.
pub(super) fn judge(objects: &Objects, question: &Question, claims: &RuleClaims) -> Verdict {
    let mut verdict = Verdict::default();
    let rule = find(objects, &question.request, &mut verdict);
    verdict.route = rule.as_ref().map(|rule| rule.span);
    for (name, wanted, span) in &claims.fields {
        let actual =
            rule.as_ref().map_or(JsonValue::Null, |rule| field(rule, name, objects, &question.request, &mut Verdict::default()));
        if (actual == *wanted) == claims.wanted {
            continue;
        }
        let not = if claims.wanted { "" } else { "anything but " };
        verdict.fail(name, format!("{not}{wanted}"), actual.to_string(), *span);
    }
    verdict
}

/// One field of the rule; destinations and what goes with them are those of the delegate, if the rule
/// has one.
fn field(rule: &HttpRoute, name: &str, objects: &Objects, request: &Request, verdict: &mut Verdict) -> JsonValue {
    if name == "delegate" {
        return rule.delegate.as_ref().map_or(JsonValue::Null, delegate_json);
    }
    let leaf = rule.delegate.as_ref().and_then(|delegate| {
        let name = delegate.name.as_ref()?;
        let namespace = delegate.namespace.as_ref().map(|namespace| namespace.value.as_str());
        let fits = |object: &&Object| object.name == name.value && namespace.is_none_or(|own| own == object.namespace);
        let mut specs = objects.items.iter().filter(fits).filter_map(|object| match &object.body {
            Body::VirtualService(spec) => Some(spec),
            _ => None,
        });
        specs.find_map(|spec| taken_by(spec, request, verdict))
    });
    let of = |rule: &HttpRoute| match name {
        "route" => destinations_json(&rule.route),
        "redirect" => rule.redirect.as_ref().map_or(JsonValue::Null, redirect_json),
        "rewrite" => rule.rewrite.as_ref().map_or(JsonValue::Null, rewrite_json),
        "fault" => rule.fault.as_ref().map_or(JsonValue::Null, fault_json),
        _ => rule.headers.as_ref().map_or(JsonValue::Null, headers_json),
    };
    match leaf {
        Some(leaf) if !of(leaf).is_null() => of(leaf),
        _ => of(rule),
    }
}

/// The rule that takes a request: VirtualServices for its host in the order they were written.
fn find(objects: &Objects, request: &Request, verdict: &mut Verdict) -> Option<HttpRoute> {
    let specs = objects.items.iter().filter_map(|object| match &object.body {
        Body::VirtualService(spec) => Some((object, spec)),
        _ => None,
    });
    let mut for_host =
        specs.filter(|(object, spec)| spec.hosts.iter().any(|host| is_for(&host.value, &request.authority, object)));
    for_host.find_map(|(_, spec)| taken_by(spec, request, verdict)).cloned()
}

/// Whether a VirtualService's host is for a request: literally, by wildcard, or as a short name.
fn is_for(host: &str, authority: &str, object: &Object) -> bool {
    let (host, authority) = (host.to_ascii_lowercase(), crate::routing::without_port(authority).to_ascii_lowercase());
    match host.strip_prefix('*') {
        Some(suffix) => suffix.is_empty() || authority.len() > suffix.len() && authority.ends_with(suffix),
        None if host == authority => true,
        None => {
            let rest = authority.strip_prefix(host.as_str()).and_then(|rest| rest.strip_prefix('.'));
            !host.contains('.')
                && rest.is_some_and(|rest| rest == object.namespace || rest.starts_with(&format!("{}.svc", object.namespace)))
        }
    }
}

fn taken_by<'o>(spec: &'o VirtualService, request: &Request, verdict: &mut Verdict) -> Option<&'o HttpRoute> {
    let received = Received::new(ProxyKind::Gateway, request).ok()?;
    spec.http.iter().find(|rule| {
        rule.matches.is_empty()
            || rule.matches.iter().any(|block| {
                let holds = holds(&conditions_of(block), &received);
                if holds && let Some(what) = static_condition(block) {
                    verdict.undecided.push((what.to_owned(), block.span));
                }
                holds
            })
    })
}

/// A condition that is settled when a proxy is configured, which this format cannot ask for.
fn static_condition(block: &HttpMatchRequest) -> Option<&'static str> {
    let all = [
        (block.port.is_some(), "port"),
        (!block.gateways.is_empty(), "gateways"),
        (!block.source_labels.is_empty(), "sourceLabels"),
        (block.source_namespace.is_some(), "sourceNamespace"),
    ];
    all.into_iter().find(|(has, _)| *has).map(|(_, what)| what)
}

fn put(json: &mut Json<String, JsonValue>, name: &str, value: JsonValue) {
    let is_zero = match &value {
        JsonValue::Null => true,
        JsonValue::String(text) => text.is_empty(),
        JsonValue::Number(number) => number.as_f64() == Some(0.0),
        JsonValue::Array(items) => items.is_empty(),
        JsonValue::Object(entries) => entries.is_empty(),
        JsonValue::Bool(_) => false,
    };
    if !is_zero {
        json.insert(name.to_owned(), value);
    }
}

fn text(value: &Option<Spanned<String>>) -> JsonValue {
    value.as_ref().map_or(JsonValue::Null, |text| json!(text.value))
}

fn number(value: &Option<Spanned<i64>>) -> JsonValue {
    value.as_ref().map_or(JsonValue::Null, |number| json!(number.value))
}

fn record(fields: impl IntoIterator<Item = (&'static str, JsonValue)>) -> JsonValue {
    let mut json = Json::new();
    for (name, value) in fields {
        put(&mut json, name, value);
    }
    JsonValue::Object(json)
}

fn destinations_json(all: &[HttpRouteDestination]) -> JsonValue {
    if all.is_empty() {
        return JsonValue::Null;
    }
    let one = |own: &HttpRouteDestination| {
        record([
            ("destination", own.destination.as_ref().map_or(JsonValue::Null, destination_json)),
            ("weight", number(&own.weight)),
            ("headers", own.headers.as_ref().map_or(JsonValue::Null, headers_json)),
        ])
    };
    all.iter().map(one).collect()
}

fn destination_json(own: &Destination) -> JsonValue {
    let port = own.port.as_ref().map_or(JsonValue::Null, |port| record([("number", number(&port.number))]));
    record([("host", text(&own.host)), ("subset", text(&own.subset)), ("port", port)])
}

fn redirect_json(own: &HttpRedirect) -> JsonValue {
    record([
        ("uri", text(&own.uri)),
        ("prefixRewrite", text(&own.prefix_rewrite)),
        ("authority", text(&own.authority)),
        ("port", number(&own.port)),
        ("derivePort", text(&own.derive_port)),
        ("scheme", text(&own.scheme)),
        ("redirectCode", number(&own.redirect_code)),
    ])
}

fn rewrite_json(own: &HttpRewrite) -> JsonValue {
    let regex = own.uri_regex_rewrite.as_ref();
    let regex = regex.map_or(JsonValue::Null, |own| record([("match", text(&own.pattern)), ("rewrite", text(&own.rewrite))]));
    record([("uri", text(&own.uri)), ("authority", text(&own.authority)), ("uriRegexRewrite", regex)])
}

fn fault_json(own: &HttpFaultInjection) -> JsonValue {
    let percent = |own: &Option<crate::resource::networking::Percent>| {
        own.as_ref().and_then(|own| own.value.as_ref()).map_or(JsonValue::Null, |value| json!(value.value))
    };
    let delay = own.delay.as_ref().map_or(JsonValue::Null, |own| {
        let fixed = own.fixed_delay.as_ref().map_or(JsonValue::Null, |fixed| json!(fixed.value.nanos()));
        record([("fixedDelay", fixed), ("percentage", percent(&own.percentage)), ("percent", number(&own.percent))])
    });
    let abort = own.abort.as_ref().map_or(JsonValue::Null, |own| {
        record([
            ("httpStatus", number(&own.http_status)),
            ("grpcStatus", text(&own.grpc_status)),
            ("percentage", percent(&own.percentage)),
        ])
    });
    record([("delay", delay), ("abort", abort)])
}

fn headers_json(own: &Headers) -> JsonValue {
    let operations = |own: &Option<HeaderOperations>| {
        let Some(own) = own else { return JsonValue::Null };
        let map = |map: &Map<Spanned<String>>| {
            let mut all: Vec<(&str, &str)> = map.iter().map(|(name, value)| (name, value.value.as_str())).collect();
            all.sort_unstable();
            all.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect::<Json<String, JsonValue>>()
        };
        let remove: Vec<&str> = own.remove.iter().map(|name| name.value.as_str()).collect();
        record([("set", map(&own.set).into()), ("add", map(&own.add).into()), ("remove", json!(remove))])
    };
    record([("request", operations(&own.request)), ("response", operations(&own.response))])
}

fn delegate_json(own: &Delegate) -> JsonValue {
    record([("name", text(&own.name)), ("namespace", text(&own.namespace))])
}
