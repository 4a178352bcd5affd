//! Spans as the proxies would have reported them: one for each exchange, children of the exchange
//! that caused them.

use serde_json::{Value, json};

use super::clock::Epoch;
use super::names::{trace_id, upstream, upstream_host};
use crate::record::{Directory, Exchange, Reporter};

/// What every format says about a span.
struct Span {
    trace: String,
    id: String,
    parent: Option<String>,
    /// `workload.namespace` whose proxy reports it.
    service: String,
    operation: String,
    kind: Reporter,
    begins_ns: i128,
    ends_ns: i128,
    tags: Vec<(&'static str, Value)>,
    is_error: bool,
}

impl Span {
    fn of(exchange: &Exchange, directory: &Directory, seed: u64, epoch: Epoch) -> Span {
        let hop = &directory.hops[exchange.hop.index()];
        let host = &directory.services[exchange.service.index()];
        let id = |span: u64| format!("{span:016x}");
        let service = match exchange.reporter {
            Reporter::Source => hop.sent.proxy.clone(),
            Reporter::Destination => {
                directory.workloads.get(exchange.workload.index()).map_or_else(|| host.clone(), |reached| reached.name.clone())
            }
        };
        let flags = exchange.flags.codes();
        let mut tags = vec![
            ("component", json!("proxy")),
            ("response_flags", json!(if flags.is_empty() { "-" } else { &flags })),
            ("upstream_cluster", json!(upstream(directory, exchange).map(|upstream| &upstream.cluster))),
        ];
        if hop.sent.http {
            tags.push(("http.method", json!(hop.sent.method)));
            tags.push(("http.url", json!(format!("http://{}{}", hop.sent.authority, hop.sent.path))));
            tags.push(("http.status_code", json!(exchange.status.to_string())));
        }
        tags.extend(upstream_host(directory, exchange).map(|address| ("peer.address", json!(address))));
        Span {
            trace: format!("{:032x}", trace_id(seed, exchange.request)),
            id: id(exchange.span),
            parent: (exchange.parent != 0).then(|| id(exchange.parent)),
            service,
            operation: format!("{host}:{}/*", hop.sent.port),
            kind: exchange.reporter,
            begins_ns: epoch.nanos(exchange.began),
            ends_ns: epoch.nanos(exchange.ended),
            tags,
            is_error: exchange.status == 0 || exchange.status >= 500,
        }
    }
}

/// One span as a line of OTLP JSON: a request of its own, as collectors read them from files.
#[must_use]
pub fn otlp_line(exchange: &Exchange, directory: &Directory, seed: u64, epoch: Epoch) -> String {
    let span = Span::of(exchange, directory, seed, epoch);
    let text = |key: &str, value: &Value| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        json!({"key": key, "value": {"stringValue": value}})
    };
    let attributes: Vec<Value> = span.tags.iter().filter(|(_, value)| !value.is_null()).map(|(key, v)| text(key, v)).collect();
    let mut body = json!({
        "traceId": span.trace,
        "spanId": span.id,
        "name": span.operation,
        "kind": match span.kind { Reporter::Source => 3, Reporter::Destination => 2 },
        "startTimeUnixNano": span.begins_ns.to_string(),
        "endTimeUnixNano": span.ends_ns.to_string(),
        "attributes": attributes,
        "status": if span.is_error { json!({"code": 2}) } else { json!({}) },
    });
    if let Some(parent) = span.parent {
        body["parentSpanId"] = json!(parent);
    }
    let resource = json!({"attributes": [text("service.name", &json!(span.service))]});
    let scope = json!({"scope": {"name": "meshsim"}, "spans": [body]});
    format!("{}\n", json!({"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]}))
}

/// Traces in the JSON that Jaeger's page opens from a file. Only so many are kept, because the file is
/// one document.
#[derive(Debug, Clone, Default)]
pub struct JaegerTraces {
    traces: Vec<(String, Vec<Value>)>,
    processes: Vec<String>,
    left_out: u64,
}

impl JaegerTraces {
    /// Traces beyond this many are left out.
    pub const MAX: usize = 1_000;

    /// Adds an exchange.
    pub fn add(&mut self, exchange: &Exchange, directory: &Directory, seed: u64, epoch: Epoch) {
        let span = Span::of(exchange, directory, seed, epoch);
        let at = match self.traces.iter().rposition(|(trace, _)| *trace == span.trace) {
            Some(at) => at,
            None if self.traces.len() == Self::MAX => {
                self.left_out += 1;
                return;
            }
            None => {
                self.traces.push((span.trace.clone(), Vec::new()));
                self.traces.len() - 1
            }
        };
        let process = self.processes.iter().position(|known| *known == span.service).unwrap_or_else(|| {
            self.processes.push(span.service.clone());
            self.processes.len() - 1
        });
        let references = span.parent.iter().map(|parent| json!({"refType": "CHILD_OF", "traceID": span.trace, "spanID": parent}));
        let kind = match span.kind {
            Reporter::Source => "client",
            Reporter::Destination => "server",
        };
        let tags = span.tags.iter().filter(|(_, value)| !value.is_null());
        let mut tags: Vec<Value> = tags.map(|(key, value)| json!({"key": key, "type": "string", "value": value})).collect();
        tags.push(json!({"key": "span.kind", "type": "string", "value": kind}));
        if span.is_error {
            tags.push(json!({"key": "error", "type": "bool", "value": true}));
        }
        self.traces[at].1.push(json!({
            "traceID": span.trace,
            "spanID": span.id,
            "operationName": span.operation,
            "references": references.collect::<Vec<_>>(),
            "startTime": i64::try_from(span.begins_ns / 1_000).unwrap_or(i64::MAX),
            "duration": i64::try_from((span.ends_ns - span.begins_ns) / 1_000).unwrap_or(i64::MAX),
            "tags": tags,
            "logs": [],
            "processID": format!("p{process}"),
        }));
    }

    /// Spans that were left out because their traces came too late.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The document.
    #[must_use]
    pub fn render(&self) -> String {
        let processes: serde_json::Map<String, Value> = self
            .processes
            .iter()
            .enumerate()
            .map(|(index, service)| (format!("p{index}"), json!({"serviceName": service, "tags": []})))
            .collect();
        let data: Vec<Value> =
            self.traces.iter().map(|(trace, spans)| json!({"traceID": trace, "spans": spans, "processes": processes})).collect();
        format!("{}\n", json!({ "data": data }))
    }
}
