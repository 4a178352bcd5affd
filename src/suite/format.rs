//! The program's own format of routing tests.

use serde_json::{Map as Json, Value as JsonValue, json};

use crate::scenario::Share;
use crate::source::Spanned;
use crate::time::Duration;
use crate::yaml::{Cx, Decode, Map, Node, Value};

type Text = Option<Spanned<String>>;

crate::record! {
    /// A file of routing tests.
    pub struct Suite {
        /// Files and folders of the mesh, relative to this file; what else the command line names comes
        /// before them. Without any, the mesh is what lies beside the tests.
        pub mesh: Vec<Spanned<String>> = "mesh",
        /// Who sends, where a test does not say: a workload with a sidecar, or a gateway.
        pub from: Text = "from",
        /// The tests.
        pub tests: Vec<Test> = "tests",
    }

    /// One test: a request or several, and what must become of them.
    pub struct Test {
        /// What it shows, in one sentence; the request if absent.
        pub name: Text = "name",
        /// The request.
        pub request: Ask = "request",
        /// The same request with every combination of these values.
        pub combinations: Combinations = "combinations",
        /// The same request with each of these changes, and what must become of it.
        pub table: Vec<Row> = "table",
        /// What must become of every request of the test.
        pub expect: Expect = "expect",
    }

    /// A request. In rows and comparisons, what is absent is taken from the test's request.
    pub struct Ask {
        /// Who sends it: a workload with a sidecar, or a gateway; the only gateway if absent.
        pub from: Text = "from",
        /// Address, such as `http://reviews:9080/reviews/0`.
        pub url: Text = "url",
        /// Method; GET if absent.
        pub method: Text = "method",
        /// Path with query, in place of the address's.
        pub path: Text = "path",
        /// Host header, in place of the address's host and port.
        pub host: Text = "host",
        /// Headers; `null` takes one away that the test's request has.
        pub headers: Map<Option<Spanned<String>>> = "headers",
    }
    may_be_absent "A row may change nothing.";

    /// Values of which every combination is tried; a dimension that is absent stays as it is.
    pub struct Combinations {
        /// Senders.
        pub from: Vec<Spanned<String>> = "from",
        /// Methods.
        pub method: Vec<Spanned<String>> = "method",
        /// Host headers.
        pub host: Vec<Spanned<String>> = "host",
        /// Paths with query.
        pub path: Vec<Spanned<String>> = "path",
        /// Values of headers; `null` leaves the header away.
        pub headers: Map<Vec<Option<Spanned<String>>>> = "headers",
    }
    may_be_absent "Most tests have one request.";

    /// One row of a table.
    pub struct Row {
        /// What it shows.
        pub name: Text = "name",
        /// What is different in the request.
        pub request: Ask = "request",
        /// What must become of it, beside or in place of what the test says.
        pub expect: Expect = "expect",
    }

    /// What must become of a request. Every field that is there must hold.
    pub struct Expect {
        /// What takes the connection.
        pub connection: Option<Spanned<Connection>> = "connection",
        /// Every destination with its exact share of the requests, before faults: `reviews/v2` alone, or
        /// a mapping with shares. Written as `HOST[:PORT][/SUBSET]`, or as Envoy names a cluster.
        pub destinations: Option<Shares> = "destinations",
        /// Number of requests to draw; the shares of what is drawn must lie within five standard
        /// deviations of `destinations`.
        pub sample: Option<Spanned<u64>> = "sample",
        /// Destinations that no such request may reach, copies included; `*.NAMESPACE` is any of a
        /// namespace.
        pub never: Vec<Spanned<String>> = "never",
        /// Status, or statuses with their exact shares; upstreams answer 200.
        pub status: Option<Shares> = "status",
        /// Response flags of every answer, such as `NR` or `DI,FI`; `-` for none.
        pub flags: Text = "flags",
        /// Name of the route.
        pub route: Text = "route",
        /// Name of the virtual host.
        pub virtual_host: Text = "virtualHost",
        /// What every upstream sees.
        pub upstream: Option<Upstream> = "upstream",
        /// Where a redirect leads.
        pub location: Text = "location",
        /// Headers of every answer; `null` for one that must be absent.
        pub response_headers: Map<Option<Spanned<String>>> = "responseHeaders",
        /// Body of every answer.
        pub body: Text = "body",
        /// Route timeout, or `none`.
        pub timeout: Option<Spanned<Limit>> = "timeout",
        /// Retries.
        pub retries: Option<Retries> = "retries",
        /// Fault injection.
        pub fault: Option<Fault> = "fault",
        /// Copies and the shares of requests that are copied.
        pub mirrors: Option<Shares> = "mirrors",
        /// Another request that must be treated in exactly the same way.
        pub same_as: Option<Ask> = "sameAs",
    }
    may_be_absent "A table's rows may say everything.";

    /// What an upstream sees.
    pub struct Upstream {
        /// Method.
        pub method: Text = "method",
        /// Path with query.
        pub path: Text = "path",
        /// Authority.
        pub authority: Text = "authority",
        /// Headers; `null` for one that must be absent.
        pub headers: Map<Option<Spanned<String>>> = "headers",
    }

    /// Retries.
    pub struct Retries {
        /// Retries after the first try; 0 for none.
        pub attempts: Option<Spanned<u32>> = "attempts",
        /// Timeout of each try, or `none`.
        pub per_try_timeout: Option<Spanned<Limit>> = "perTryTimeout",
        /// Conditions, comma-separated, in any order; others may be there too.
        pub retry_on: Text = "retryOn",
    }

    /// Fault injection; what is absent must not be injected.
    pub struct Fault {
        /// Delay.
        pub delay: Option<Spanned<Duration>> = "delay",
        /// Share of requests that are delayed; all if absent.
        pub delay_share: Option<Spanned<Share>> = "delayShare",
        /// Status of aborted requests.
        pub abort: Option<Spanned<u16>> = "abort",
        /// Share of requests that are aborted; all if absent.
        pub abort_share: Option<Spanned<Share>> = "abortShare",
    }
}

crate::choice! {
    /// What takes a connection.
    pub enum Connection {
        /// Its requests are routed.
        Http = "http",
        /// Its bytes are forwarded.
        Tcp = "tcp",
        /// Nothing listens.
        Refused = "refused",
        /// It is accepted in vain.
        Ended = "ended",
    }
}

/// A time limit: a duration, or `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(pub Option<Duration>);

impl Decode for Limit {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if node.as_str() == Some("none") {
            return Some(Limit(None));
        }
        Duration::decode(node, cx).map(|limit| Limit((!limit.is_zero()).then_some(limit)))
    }

    fn schema(definitions: &mut Json<String, JsonValue>) -> JsonValue {
        json!({"anyOf": [{"const": "none"}, Duration::schema(definitions)]})
    }
}

/// Names with their shares. One name alone has them all.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Shares {
    /// Name and share, in the order they were written.
    pub all: Vec<(Spanned<String>, Spanned<Share>)>,
    /// Where they stand.
    pub span: crate::source::Span,
}

/// All of them.
pub(super) const WHOLE: Share = Share { per_million: 1_000_000 };

impl Decode for Shares {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if let Value::Map(_) = node.value {
            let shares = Map::<Spanned<Share>>::decode(node, cx)?;
            return Some(Shares { all: shares.0, span: node.span });
        }
        let Some(name) = node.text() else {
            cx.wrong_type(node, "a name, or a mapping from names to shares");
            return None;
        };
        let one = Spanned::new(name.to_owned(), node.span);
        Some(Shares { all: vec![(one, Spanned::made_up(WHOLE))], span: node.span })
    }

    fn schema(definitions: &mut Json<String, JsonValue>) -> JsonValue {
        json!({"anyOf": [
            {"type": ["string", "integer"]},
            {"type": "object", "additionalProperties": Share::schema(definitions)},
        ]})
    }
}

impl Ask {
    /// This request with the changes of another one.
    #[must_use]
    pub(super) fn changed(&self, by: &Ask) -> Ask {
        let mut headers = self.headers.clone();
        for (name, value) in &by.headers.0 {
            headers.0.retain(|(own, _)| !own.value.eq_ignore_ascii_case(&name.value));
            headers.0.push((name.clone(), value.clone()));
        }
        let either = |new: &Text, old: &Text| new.clone().or_else(|| old.clone());
        Ask {
            span: if by.span.is_somewhere() { by.span } else { self.span },
            from: either(&by.from, &self.from),
            url: either(&by.url, &self.url),
            method: either(&by.method, &self.method),
            // A new address brings its own path and host.
            path: by.path.clone().or_else(|| self.path.clone().filter(|_| by.url.is_none())),
            host: by.host.clone().or_else(|| self.host.clone().filter(|_| by.url.is_none())),
            headers,
        }
    }
}

impl Expect {
    /// These expectations with those of another one beside or in place of them.
    #[must_use]
    pub(super) fn changed(&self, by: &Expect) -> Expect {
        let maps = |new: &Map<Option<Spanned<String>>>, old: &Map<Option<Spanned<String>>>| {
            if new.is_empty() { old.clone() } else { new.clone() }
        };
        Expect {
            span: if by.span.is_somewhere() { by.span } else { self.span },
            connection: by.connection.or(self.connection),
            destinations: by.destinations.clone().or_else(|| self.destinations.clone()),
            sample: by.sample.or(self.sample),
            never: if by.never.is_empty() { self.never.clone() } else { by.never.clone() },
            status: by.status.clone().or_else(|| self.status.clone()),
            flags: by.flags.clone().or_else(|| self.flags.clone()),
            route: by.route.clone().or_else(|| self.route.clone()),
            virtual_host: by.virtual_host.clone().or_else(|| self.virtual_host.clone()),
            upstream: by.upstream.clone().or_else(|| self.upstream.clone()),
            location: by.location.clone().or_else(|| self.location.clone()),
            response_headers: maps(&by.response_headers, &self.response_headers),
            body: by.body.clone().or_else(|| self.body.clone()),
            timeout: by.timeout.or(self.timeout),
            retries: by.retries.clone().or_else(|| self.retries.clone()),
            fault: by.fault.clone().or_else(|| self.fault.clone()),
            mirrors: by.mirrors.clone().or_else(|| self.mirrors.clone()),
            same_as: by.same_as.clone().or_else(|| self.same_as.clone()),
        }
    }

    /// Whether nothing is expected.
    pub(super) fn is_empty(&self) -> bool {
        *self == Expect { span: self.span, ..Expect::default() }
    }
}

/// The JSON Schema of files of tests.
#[must_use]
pub fn schema() -> JsonValue {
    let mut definitions = Json::new();
    let root = Suite::schema(&mut definitions);
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "meshsim routing tests",
        "allOf": [root],
        "definitions": definitions,
    })
}
