//! HTTP rules of VirtualServices and HTTPRoutes.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::words::{
    HEADERS, METHODS, ORIGINS, PARAMETERS, VALUES, always, any_of, list, mapping, maybe, object, one, percentage, rule_path,
    text_match, word,
};

const PATH_PATTERNS: &[&str] = &["/a.*", "/[ab]/b", "/(a|b)(/.*)?", ".*b", "/a/[^/]+", ".*", "/(?i)AB", "/v[0-9]+/?", "/\\w+"];
const PATTERNS: &[&str] = &[".*", ".+", "[0-9]+", "v[12]", "a.*", "*", "^1$", "(?i)AB|V1", ""];
const NAMES: &[&str] = &["x-a", "x-b", "x-new", "accept", "via", "user-agent", "x-envoy-original-path", "cookie"];
const ANSWER_NAMES: &[&str] =
    &["x-a", "x-powered-by", "x-new", "cache-control", "content-type", "location", "vary", "set-cookie"];
const FORMATS: &[&str] = &[
    "1",
    "two words",
    "%REQ(x-a)%",
    "<%REQ(x-a)%>",
    "%REQ(:path)%",
    "%REQ(:authority)%",
    "%REQ(X-NO?X-B)%",
    "%REQ(:path):3%",
    "%REQ(:method)%-%PROTOCOL%",
    "%ROUTE_NAME%",
    "%UPSTREAM_CLUSTER%",
    "100%%",
    "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
];
const ANSWER_FORMATS: &[&str] = &[
    "1",
    "two words",
    "%RESPONSE_CODE%",
    "%RESP(x-powered-by)%",
    "%REQ(:path)%",
    "%REQ(x-a)%",
    "%RESPONSE_FLAGS%",
    "%RESPONSE_CODE_DETAILS%",
    "%RESP(:status)%",
    "%ROUTE_NAME%",
];
const HOSTS: &[&str] = &["new.test", "new.test:8443", "a", "app.shop"];
const STATUSES: [u16; 7] = [200, 204, 304, 404, 418, 503, 599];

/// A rule of a VirtualService; numbered, so that a log line names it.
pub(crate) fn rule() -> BoxedStrategy<Json> {
    any_of(vec![(7, forwarding()), (2, redirecting()), (1, direct())])
}

fn matches() -> BoxedStrategy<Json> {
    let path = any_of(vec![
        (2, rule_path().prop_map(|path| json!({"exact": path})).boxed()),
        (4, rule_path().prop_map(|path| json!({"prefix": path})).boxed()),
        (2, word(PATH_PATTERNS).prop_map(|pattern| json!({"regex": pattern})).boxed()),
    ]);
    let header = any_of(vec![(6, text_match(VALUES, PATTERNS)), (1, Just(json!({})).boxed())]);
    let block = object(vec![
        ("uri", maybe(70, path)),
        ("ignoreUriCase", maybe(15, Just(json!(true)))),
        ("method", maybe(15, text_match(METHODS, &["GET|HEAD", "P.*"]))),
        ("headers", maybe(30, mapping(HEADERS, header.clone(), 1..3))),
        ("withoutHeaders", maybe(15, mapping(HEADERS, header, 1..3))),
        ("queryParams", maybe(15, mapping(PARAMETERS, text_match(&["1", "v", "", "%76"], &["[0-9]+", ".*", "*"]), 1..2))),
        ("scheme", maybe(7, text_match(&["http", "https", "HTTP"], &["https?"]))),
        ("authority", maybe(10, text_match(&["app", "app.shop", "shop.example.com", "APP"], &["app.*", ".*:80"]))),
    ]);
    list(block, 1..3)
}

fn operations(names: &'static [&'static str], formats: &'static [&'static str]) -> BoxedStrategy<Json> {
    object(vec![
        ("set", maybe(50, mapping(names, word(formats), 1..3))),
        ("add", maybe(50, mapping(names, word(formats), 1..3))),
        ("remove", maybe(30, list(word(names), 1..3))),
    ])
}

fn headers() -> BoxedStrategy<Json> {
    object(vec![
        ("request", maybe(60, operations(NAMES, FORMATS))),
        ("response", maybe(60, operations(ANSWER_NAMES, ANSWER_FORMATS))),
    ])
}

fn destination() -> BoxedStrategy<Json> {
    any_of(vec![
        (4, Just(json!({"host": "app.shop.svc.cluster.local"})).boxed()),
        (
            4,
            word(&["v1", "v2", "v3", "v9"])
                .prop_map(|subset| json!({"host": "app.shop.svc.cluster.local", "subset": subset}))
                .boxed(),
        ),
        (2, Just(json!({"host": "web.shop.svc.cluster.local", "port": {"number": 80}})).boxed()),
        (1, Just(json!({"host": "pay.bank.svc.cluster.local", "port": {"number": 80}})).boxed()),
        (1, Just(json!({"host": "ext.test", "port": {"number": 80}})).boxed()),
        (1, Just(json!({"host": "nowhere.test"})).boxed()),
    ])
}

fn legs() -> BoxedStrategy<Json> {
    let leg = |weighted: bool| {
        object(vec![
            ("destination", always(destination())),
            ("weight", maybe(if weighted { 100 } else { 0 }, one(vec![json!(0), json!(1), json!(50), json!(99)]))),
            ("headers", maybe(20, headers())),
        ])
    };
    any_of(vec![(5, list(leg(false), 1..2)), (1, list(leg(true), 2..4))])
}

fn fault() -> BoxedStrategy<Json> {
    let delay = object(vec![("fixedDelay", always(word(&["2ms", "5ms"]))), ("percentage", maybe(80, percentage()))]);
    let abort = any_of(vec![
        (
            3,
            object(vec![("httpStatus", always(one(STATUSES.map(Json::from).to_vec()))), ("percentage", maybe(80, percentage()))]),
        ),
        (1, object(vec![("grpcStatus", always(word(&["UNAVAILABLE", "NOT_FOUND"]))), ("percentage", maybe(80, percentage()))])),
    ]);
    object(vec![("delay", maybe(50, delay)), ("abort", maybe(70, abort))])
}

fn cors() -> BoxedStrategy<Json> {
    object(vec![
        ("allowOrigins", always(list(text_match(ORIGINS, &["https://.*", ".*"]), 1..3))),
        ("allowMethods", maybe(50, list(word(METHODS), 1..3))),
        ("allowHeaders", maybe(40, list(word(HEADERS), 1..3))),
        ("exposeHeaders", maybe(40, list(word(ANSWER_NAMES), 1..3))),
        ("maxAge", maybe(30, word(&["60s", "24h", "1500ms"]))),
        ("allowCredentials", maybe(30, one(vec![json!(true), json!(false)]))),
        ("unmatchedPreflights", maybe(30, word(&["FORWARD", "IGNORE"]))),
    ])
}

fn rewrite() -> BoxedStrategy<Json> {
    let regex = any_of(vec![
        (1, Just(json!({"match": "a", "rewrite": "<\\0>"})).boxed()),
        (1, Just(json!({"match": "/([^/]*)/?(.*)", "rewrite": "/\\2/\\1"})).boxed()),
        (1, Just(json!({"match": "^/", "rewrite": "/new/"})).boxed()),
        (1, Just(json!({"match": "(b)|c", "rewrite": "\\1\\1"})).boxed()),
    ]);
    any_of(vec![
        (3, object(vec![("uri", always(word(&["/", "/new", "/new/", "new", "/n?x=1"]))), ("authority", maybe(40, word(HOSTS)))])),
        (1, object(vec![("authority", always(word(HOSTS)))])),
        (2, object(vec![("uriRegexRewrite", always(regex)), ("authority", maybe(20, word(HOSTS)))])),
    ])
}

fn forwarding() -> BoxedStrategy<Json> {
    object(vec![
        ("match", maybe(80, matches())),
        ("fault", maybe(15, fault())),
        ("corsPolicy", maybe(20, cors())),
        ("rewrite", maybe(30, rewrite())),
        ("headers", maybe(35, headers())),
        ("timeout", maybe(20, word(&["5s", "0s", "7500ms"]))),
        (
            "retries",
            maybe(
                15,
                object(vec![
                    ("attempts", always(one(vec![json!(0), json!(1), json!(3)]))),
                    ("perTryTimeout", maybe(30, word(&["5s"]))),
                    ("retryOn", maybe(50, word(&["5xx", "gateway-error,409", "503", "retriable-4xx,reset"]))),
                    ("retryRemoteLocalities", maybe(20, Just(json!(true)))),
                    ("backoff", maybe(20, word(&["10ms"]))),
                ]),
            ),
        ),
        ("mirror", maybe(12, destination())),
        ("mirrorPercentage", maybe(8, percentage())),
        ("route", always(legs())),
    ])
}

fn redirecting() -> BoxedStrategy<Json> {
    let redirect = object(vec![
        ("uri", maybe(50, word(&["/new", "/", "/new?x=1", "new", "/%PREFIX()%/x"]))),
        ("authority", maybe(30, word(HOSTS))),
        ("scheme", maybe(30, word(&["http", "https"]))),
        ("redirectCode", maybe(40, one(vec![json!(301), json!(302), json!(303), json!(307), json!(308)]))),
        ("port", maybe(20, one(vec![json!(80), json!(443), json!(8080)]))),
    ]);
    let derived = object(vec![
        ("uri", maybe(50, word(&["/new"]))),
        ("derivePort", always(word(&["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"]))),
        ("scheme", maybe(40, word(&["http", "https"]))),
    ]);
    object(vec![
        ("match", maybe(85, matches())),
        ("redirect", always(any_of(vec![(4, redirect), (1, derived)]))),
        ("headers", maybe(25, headers())),
        ("corsPolicy", maybe(10, cors())),
    ])
}

fn direct() -> BoxedStrategy<Json> {
    let body = any_of(vec![
        (3, word(&["hello", "", "two\nlines"]).prop_map(|text| json!({"string": text})).boxed()),
        (1, Just(json!({"bytes": "aGVsbG8="})).boxed()),
    ]);
    let response = object(vec![("status", always(one(STATUSES.map(Json::from).to_vec()))), ("body", maybe(70, body))]);
    object(vec![
        ("match", maybe(85, matches())),
        ("directResponse", always(response)),
        ("headers", maybe(25, headers())),
        ("corsPolicy", maybe(10, cors())),
    ])
}

/// A rule of an HTTPRoute.
pub(crate) fn gateway_api_rule() -> BoxedStrategy<Json> {
    let path = any_of(vec![
        (2, rule_path().prop_map(|path| json!({"type": "Exact", "value": path})).boxed()),
        (4, rule_path().prop_map(|path| json!({"type": "PathPrefix", "value": path})).boxed()),
        (1, word(PATH_PATTERNS).prop_map(|pattern| json!({"type": "RegularExpression", "value": pattern})).boxed()),
    ]);
    let header = object(vec![("name", always(word(HEADERS))), ("value", always(word(VALUES)))]);
    let query = object(vec![("name", always(word(PARAMETERS))), ("value", always(word(&["1", "v"])))]);
    let block = object(vec![
        ("path", maybe(70, path)),
        ("headers", maybe(25, list(header, 1..2))),
        ("queryParams", maybe(10, list(query, 1..2))),
        ("method", maybe(10, word(&["GET", "POST"]))),
    ]);
    let header_list = || {
        let pairs = |name: &'static [&'static str]| object(vec![("name", always(word(name))), ("value", always(word(VALUES)))]);
        object(vec![
            ("set", maybe(50, list(pairs(&["x-a", "x-new"]), 1..2))),
            ("add", maybe(50, list(pairs(&["x-b", "x-new"]), 1..2))),
            ("remove", maybe(30, list(word(&["x-a", "end-user"]), 1..2))),
        ])
    };
    let changed_path = any_of(vec![
        (1, Just(json!({"type": "ReplaceFullPath", "replaceFullPath": "/new"})).boxed()),
        (2, word(&["/", "/new", "/new/"]).prop_map(|to| json!({"type": "ReplacePrefixMatch", "replacePrefixMatch": to})).boxed()),
    ]);
    let rewritten = object(vec![("hostname", maybe(40, word(&["new.test"]))), ("path", maybe(70, changed_path.clone()))]);
    let redirected = object(vec![
        ("scheme", maybe(30, word(&["https", "http"]))),
        ("hostname", maybe(40, word(&["new.test"]))),
        ("path", maybe(50, changed_path)),
        ("port", maybe(20, one(vec![json!(80), json!(443), json!(8080)]))),
        ("statusCode", maybe(40, one(vec![json!(301), json!(302)]))),
    ]);
    let modifiers = move || {
        vec![
            (2, header_list().prop_map(|list| json!({"type": "RequestHeaderModifier", "requestHeaderModifier": list})).boxed()),
            (1, header_list().prop_map(|list| json!({"type": "ResponseHeaderModifier", "responseHeaderModifier": list})).boxed()),
        ]
    };
    let mut filters = modifiers();
    filters.push((2, rewritten.prop_map(|to| json!({"type": "URLRewrite", "urlRewrite": to})).boxed()));
    let backend = |weights: Vec<Json>| {
        object(vec![
            ("name", always(word(&["app", "web", "nowhere"]))),
            ("port", always(Just(json!(80)))),
            ("weight", maybe(50, one(weights))),
            ("filters", maybe(15, list(any_of(modifiers()), 1..2))),
        ])
    };
    let forwarding = object(vec![
        ("matches", maybe(85, list(block.clone(), 1..3))),
        ("filters", maybe(50, list(any_of(filters), 1..2))),
        (
            "backendRefs",
            always(any_of(vec![
                (4, list(backend(vec![json!(1)]), 1..2)),
                (1, list(backend(vec![json!(0), json!(1), json!(3)]), 2..3)),
            ])),
        ),
        ("timeouts", maybe(20, object(vec![("request", always(word(&["5s", "0s"])))]))),
    ]);
    let redirecting = object(vec![
        ("matches", maybe(85, list(block, 1..3))),
        ("filters", always(redirected.prop_map(|to| json!([{"type": "RequestRedirect", "requestRedirect": to}])))),
    ]);
    any_of(vec![(4, forwarding), (1, redirecting)])
}
