//! Istio's standard metrics: `istio_requests_total`, `istio_request_duration_milliseconds`, and the
//! counters of TCP connections.
//!
//! The labels are those of Istio's telemetry v2. The caller's proxy counts a call once with its final
//! status; the callee's proxy counts every try that reached it. Sizes of bodies are not modelled, so
//! there are no histograms of bytes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::clock::milliseconds_of;
use super::names::mutual_tls;
use crate::record::{Directory, Exchange, Reached, Reporter};

/// The form of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus' text format 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// Upper ends of the buckets of durations in milliseconds: Envoy's default for Prometheus.
const BUCKETS_MS: [&str; 19] = [
    "0.5", "1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000", "10000", "30000", "60000", "300000",
    "600000", "1800000", "3600000",
];

/// The same in nanoseconds.
const BUCKETS_NS: [u64; 19] = [
    500_000,
    1_000_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
    300_000_000_000,
    600_000_000_000,
    1_800_000_000_000,
    3_600_000_000_000,
];

/// Names and values of labels in Istio's order.
type Labels = Vec<(&'static str, String)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Series {
    Http,
    Tcp,
}

#[derive(Debug, Clone, Default)]
struct Sample {
    count: u64,
    sum_ns: u128,
    buckets: [u64; BUCKETS_NS.len()],
}

/// Counters and histograms by labels. Memory grows with the number of label sets, not of requests.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    samples: BTreeMap<(Series, Labels), Sample>,
}

impl Metrics {
    /// Counts an exchange. Copies that mirrors send are counted where they arrive only.
    pub fn count(&mut self, exchange: &Exchange, directory: &Directory) {
        if exchange.mirror && exchange.reporter == Reporter::Source {
            return;
        }
        let sent = &directory.hops[exchange.hop.index()].sent;
        let series = if sent.http { Series::Http } else { Series::Tcp };
        let sample = self.samples.entry((series, labels(exchange, directory))).or_default();
        let took = exchange.ended.since(exchange.began).nanos();
        sample.count += 1;
        sample.sum_ns += u128::from(took);
        let first = BUCKETS_NS.partition_point(|upper| *upper < took);
        sample.buckets[first..].iter_mut().for_each(|bucket| *bucket += 1);
    }

    /// All of it as text.
    #[must_use]
    pub fn render(&self, exposition: Exposition) -> String {
        let mut out = String::new();
        let of = |wanted: Series| self.samples.iter().filter(move |((series, _), _)| *series == wanted);
        let counter = |out: &mut String, name: &str, help: &str| {
            // OpenMetrics names the family, and Prometheus the sample.
            let family = if exposition == Exposition::OpenMetrics { name.trim_end_matches("_total") } else { name };
            let _ = writeln!(out, "# HELP {family} {help}\n# TYPE {family} counter");
        };
        if of(Series::Http).next().is_some() {
            counter(&mut out, "istio_requests_total", "Requests by how they ended.");
            for ((_, labels), sample) in of(Series::Http) {
                let _ = writeln!(out, "istio_requests_total{{{}}} {}", written(labels), sample.count);
            }
            let name = "istio_request_duration_milliseconds";
            let _ = writeln!(out, "# HELP {name} Time from a request to the end of its answer.\n# TYPE {name} histogram");
            for ((_, labels), sample) in of(Series::Http) {
                histogram(&mut out, name, &written(labels), sample);
            }
        }
        if of(Series::Tcp).next().is_some() {
            for (name, help) in [
                ("istio_tcp_connections_opened_total", "Connections that were opened."),
                ("istio_tcp_connections_closed_total", "Connections that were closed."),
            ] {
                counter(&mut out, name, help);
                for ((_, labels), sample) in of(Series::Tcp) {
                    let _ = writeln!(out, "{name}{{{}}} {}", written(labels), sample.count);
                }
            }
        }
        if exposition == Exposition::OpenMetrics {
            out.push_str("# EOF\n");
        }
        out
    }
}

fn histogram(out: &mut String, name: &str, labels: &str, sample: &Sample) {
    for (upper, count) in BUCKETS_MS.iter().zip(sample.buckets) {
        let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{upper}\"}} {count}");
    }
    let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", sample.count);
    let _ = writeln!(out, "{name}_sum{{{labels}}} {}", milliseconds_of(sample.sum_ns));
    let _ = writeln!(out, "{name}_count{{{labels}}} {}", sample.count);
}

fn written(labels: &Labels) -> String {
    let one = |(name, value): &(&str, String)| {
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        format!("{name}=\"{escaped}\"")
    };
    labels.iter().map(one).collect::<Vec<_>>().join(",")
}

/// One side of an exchange.
struct Party {
    workload: String,
    namespace: String,
    app: String,
    version: String,
    principal: String,
}

const UNKNOWN: &str = "unknown";

impl Party {
    fn of(workload: Option<&Reached>) -> Party {
        let Some(reached) = workload.filter(|reached| !reached.name.is_empty()) else { return Party::unknown() };
        let (name, namespace) = reached.name.rsplit_once('.').unwrap_or((&reached.name, UNKNOWN));
        let or_unknown = |text: &str| if text.is_empty() { UNKNOWN.to_owned() } else { text.to_owned() };
        Party {
            workload: name.to_owned(),
            namespace: namespace.to_owned(),
            app: if reached.app.is_empty() { name.to_owned() } else { reached.app.clone() },
            version: or_unknown(&reached.label),
            principal: or_unknown(&reached.principal),
        }
    }

    fn unknown() -> Party {
        let unknown = || UNKNOWN.to_owned();
        Party { workload: unknown(), namespace: unknown(), app: unknown(), version: unknown(), principal: unknown() }
    }

    /// The canonical revision: the version, or `latest`.
    fn revision(&self) -> String {
        if self.version == UNKNOWN && self.workload != UNKNOWN { "latest".to_owned() } else { self.version.clone() }
    }
}

fn labels(exchange: &Exchange, directory: &Directory) -> Labels {
    let sent = &directory.hops[exchange.hop.index()].sent;
    let source = Party::of(directory.workloads.iter().find(|reached| reached.name == sent.proxy));
    let destination = Party::of(directory.workloads.get(exchange.workload.index()));
    let host = directory.services[exchange.service.index()].clone();
    let (name, namespace) = match host.split('.').collect::<Vec<_>>().as_slice() {
        [name, namespace, "svc", ..] => ((*name).to_owned(), (*namespace).to_owned()),
        _ => (host.clone(), UNKNOWN.to_owned()),
    };
    let mutual = mutual_tls(directory, exchange);
    let principal = |party: &Party| if mutual { party.principal.clone() } else { UNKNOWN.to_owned() };
    let security = match (exchange.reporter, mutual) {
        (Reporter::Source, _) => UNKNOWN,
        (Reporter::Destination, true) => "mutual_tls",
        (Reporter::Destination, false) => "none",
    };
    let flags = exchange.flags.codes();
    let http = sent.http;
    let mut labels: Labels = vec![
        ("reporter", if exchange.reporter == Reporter::Source { "source" } else { "destination" }.to_owned()),
        ("source_workload", source.workload.clone()),
        ("source_canonical_service", source.app.clone()),
        ("source_canonical_revision", source.revision()),
        ("source_workload_namespace", source.namespace.clone()),
        ("source_principal", principal(&source)),
        ("source_app", source.app.clone()),
        ("source_version", source.version.clone()),
        ("source_cluster", "Kubernetes".to_owned()),
        ("destination_workload", destination.workload.clone()),
        ("destination_workload_namespace", destination.namespace.clone()),
        ("destination_principal", principal(&destination)),
        ("destination_app", destination.app.clone()),
        ("destination_version", destination.version.clone()),
        ("destination_service", host),
        ("destination_canonical_service", destination.app.clone()),
        ("destination_canonical_revision", destination.revision()),
        ("destination_service_name", name),
        ("destination_service_namespace", namespace),
        ("destination_cluster", "Kubernetes".to_owned()),
        ("request_protocol", if http { "http" } else { "tcp" }.to_owned()),
    ];
    if http {
        labels.push(("response_code", exchange.status.to_string()));
        labels.push(("grpc_response_status", String::new()));
    }
    labels.push(("response_flags", if flags.is_empty() { "-".to_owned() } else { flags }));
    labels.push(("connection_security_policy", security.to_owned()));
    labels
}
