//! Envoy's access log as Istio configures it: one line for each request at each proxy.
//!
//! The text format is Istio's default since 1.9 (`EnvoyTextLogFormat`); the JSON has the same fields
//! in snake case. Sizes are not modelled, so the two counts of bytes are `-` in text and null in
//! JSON; so are the ports of connections, which no decision depends on.

use serde_json::{Map, Value, json};

use super::clock::{Epoch, milliseconds};
use super::names::{address, mutual_tls, request_id, upstream, upstream_host};
use crate::record::{Directory, Exchange, Reporter};

/// Everything that a line says.
struct Line<'a> {
    exchange: &'a Exchange,
    directory: &'a Directory,
}

/// One line of the text format, with its line feed.
#[must_use]
pub fn access_log_line(exchange: &Exchange, directory: &Directory, seed: u64, epoch: Epoch) -> String {
    let line = Line { exchange, directory };
    let sent = &directory.hops[exchange.hop.index()].sent;
    let start = if sent.http { format!("\"{} {} HTTP/1.1\"", sent.method, sent.path) } else { "\"- - -\"".to_owned() };
    let quoted = |value: Option<String>| format!("\"{}\"", value.unwrap_or_else(|| "-".to_owned()));
    let plain = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    format!(
        "[{}] {start} {} {} {} - \"-\" - - {} {} {} {} {} {} {} {} - {} {} {} {}\n",
        epoch.at(exchange.began),
        exchange.status,
        line.flags(),
        line.details(),
        milliseconds(exchange.ended.since(exchange.began)),
        plain(line.upstream_service_time().map(|time| time.to_string())),
        quoted(None),
        quoted(line.user_agent()),
        quoted(line.http().then(|| request_id(seed, exchange.request))),
        quoted(line.http().then(|| sent.authority.clone())),
        quoted(line.tried_host()),
        plain(line.upstream_cluster()),
        plain(line.downstream_local()),
        plain(line.downstream_remote()),
        plain(line.server_name()),
        plain(line.route()),
    )
}

/// One line of the JSON format, with its line feed.
#[must_use]
pub fn access_log_json(exchange: &Exchange, directory: &Directory, seed: u64, epoch: Epoch) -> String {
    let line = Line { exchange, directory };
    let sent = &directory.hops[exchange.hop.index()].sent;
    let http = |value: &str| if line.http() { json!(value) } else { Value::Null };
    let fields = [
        ("start_time", json!(epoch.at(exchange.began))),
        ("method", http(&sent.method)),
        ("path", http(&sent.path)),
        ("protocol", http("HTTP/1.1")),
        ("response_code", json!(exchange.status)),
        ("response_flags", json!(line.flags())),
        ("response_code_details", json!(line.details())),
        ("connection_termination_details", Value::Null),
        ("upstream_transport_failure_reason", Value::Null),
        ("bytes_received", Value::Null),
        ("bytes_sent", Value::Null),
        ("duration", json!(milliseconds(exchange.ended.since(exchange.began)))),
        ("upstream_service_time", json!(line.upstream_service_time())),
        ("x_forwarded_for", Value::Null),
        ("user_agent", json!(line.user_agent())),
        ("request_id", http(&request_id(seed, exchange.request))),
        ("authority", http(&sent.authority)),
        ("upstream_host", json!(line.tried_host())),
        ("upstream_cluster", json!(line.upstream_cluster())),
        ("upstream_local_address", Value::Null),
        ("downstream_local_address", json!(line.downstream_local())),
        ("downstream_remote_address", json!(line.downstream_remote())),
        ("requested_server_name", json!(line.server_name())),
        ("route_name", json!(line.route())),
    ];
    let object: Map<String, Value> = fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    format!("{}\n", Value::Object(object))
}

impl Line<'_> {
    fn sent(&self) -> &crate::record::Sent {
        &self.directory.hops[self.exchange.hop.index()].sent
    }

    fn http(&self) -> bool {
        self.sent().http
    }

    fn flags(&self) -> String {
        let codes = self.exchange.flags.codes();
        if codes.is_empty() { "-".to_owned() } else { codes }
    }

    fn details(&self) -> &str {
        if self.exchange.details.is_empty() { "-" } else { self.exchange.details }
    }

    /// Response header `x-envoy-upstream-service-time`, which proxies of servers set too.
    fn upstream_service_time(&self) -> Option<u64> {
        self.exchange.upstream_took.filter(|_| self.http()).map(milliseconds)
    }

    fn user_agent(&self) -> Option<String> {
        Some(self.sent().user_agent.clone()).filter(|agent| !agent.is_empty())
    }

    /// The host that the proxy sent the request to; a server's proxy may have kept it from its
    /// application.
    fn tried_host(&self) -> Option<String> {
        let is_kept = self.exchange.reporter == Reporter::Destination && self.exchange.attempts == 0;
        self.upstream_host().filter(|_| !is_kept)
    }

    fn upstream_host(&self) -> Option<String> {
        upstream_host(self.directory, self.exchange)
    }

    fn upstream_cluster(&self) -> Option<String> {
        match self.exchange.reporter {
            Reporter::Source => upstream(self.directory, self.exchange).map(|upstream| upstream.cluster.clone()),
            Reporter::Destination => {
                let host = self.upstream_host()?;
                let (_, port) = host.rsplit_once(':')?;
                Some(format!("inbound|{port}||"))
            }
        }
    }

    /// What the client dialled; at a server its own address.
    fn downstream_local(&self) -> Option<String> {
        match self.exchange.reporter {
            Reporter::Source => {
                let sent = self.sent();
                (!sent.dialled.is_empty()).then(|| format!("{}:{}", sent.dialled, sent.port))
            }
            Reporter::Destination => self.upstream_host(),
        }
    }

    fn downstream_remote(&self) -> Option<String> {
        // Who calls a gateway from outside has no address in a mesh.
        let from_outside = self.exchange.reporter == Reporter::Source && self.sent().gateway;
        address(self.directory, self.exchange.source_place).filter(|_| !from_outside).map(str::to_owned)
    }

    /// The SNI of mutual TLS within the mesh: the cluster's name with other separators.
    fn server_name(&self) -> Option<String> {
        if self.exchange.reporter == Reporter::Source || !mutual_tls(self.directory, self.exchange) {
            return None;
        }
        let cluster = &upstream(self.directory, self.exchange)?.cluster;
        let [direction, port, subset, host] = cluster.split('|').collect::<Vec<_>>().try_into().ok()?;
        Some(format!("{direction}_.{port}_.{subset}_.{host}"))
    }

    fn route(&self) -> Option<String> {
        match self.exchange.reporter {
            Reporter::Source => Some(self.sent().route.clone()).filter(|name| !name.is_empty()),
            Reporter::Destination => Some("default".to_owned()).filter(|_| self.http()),
        }
    }
}
