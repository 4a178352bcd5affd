//! A cluster's effective settings in Envoy's terms, as cases record them.

use serde_json::{Map, Value, json};

use crate::mesh::cluster::{
    Balancer, Cluster, ConnectionSettings, Discovery, LocalityEndpoints, OutlierPolicy, TlsMode, UpstreamProtocol, UpstreamTls,
    WarmUp,
};
use crate::mesh::{Mesh, Proxy};
use crate::time::Duration;

/// What a case records where a proxy does not have a cluster.
const ABSENT: &str = "absent";

/// The settings of a proxy's cluster; `"absent"` if it has none of that name.
#[must_use]
pub fn effective_policy(_mesh: &Mesh, proxy: &Proxy, cluster_name: &str) -> Value {
    let Some((_, cluster)) = proxy.cluster(cluster_name) else { return ABSENT.into() };
    let mut policy = Map::new();
    policy.insert("type".to_owned(), discovery(cluster.discovery).into());
    policy.insert("connect_timeout".to_owned(), seconds(cluster.connect_timeout));
    balancing(cluster, &mut policy);
    if matches!(cluster.discovery, Discovery::StrictDns | Discovery::LogicalDns) {
        policy.insert("dns_lookup_family".to_owned(), "V4_ONLY".into());
        policy.insert("dns_refresh_rate".to_owned(), "60s".into());
        policy.insert("respect_dns_ttl".to_owned(), true.into());
    }
    policy.insert("circuit_breakers".to_owned(), json!([thresholds(cluster)]));
    if let Some(outlier) = &cluster.outlier {
        policy.insert("outlier_detection".to_owned(), outlier_detection(outlier));
    }
    if let Some(http) = http(cluster) {
        policy.insert("http".to_owned(), http);
    }
    if let Some(keepalive) = tcp_keepalive(&cluster.connection) {
        policy.insert("upstream_connection_options".to_owned(), json!({"tcp_keepalive": keepalive}));
    }
    policy.insert("tls".to_owned(), tls(&cluster.tls));
    if cluster.discovery == Discovery::Eds {
        let localities: Vec<Value> = cluster.localities.iter().map(locality).collect();
        policy.insert("endpoints".to_owned(), localities.into());
    }
    Value::Object(policy)
}

fn seconds(duration: Duration) -> Value {
    duration.to_string().into()
}

const fn discovery(discovery: Discovery) -> &'static str {
    match discovery {
        Discovery::Eds => "EDS",
        Discovery::OriginalDst => "ORIGINAL_DST",
        Discovery::StrictDns => "STRICT_DNS",
        Discovery::LogicalDns => "LOGICAL_DNS",
        Discovery::Static => "STATIC",
        Discovery::DynamicDns => "DYNAMIC_DNS",
    }
}

/// Balancer, its own settings, and the ones common to all balancers.
fn balancing(cluster: &Cluster, policy: &mut Map<String, Value>) {
    let (name, config) = match cluster.balancer {
        Balancer::RoundRobin => ("ROUND_ROBIN", slow_start(cluster).map(|config| ("round_robin_lb_config", config))),
        Balancer::LeastRequest => ("LEAST_REQUEST", slow_start(cluster).map(|config| ("least_request_lb_config", config))),
        Balancer::Random => ("RANDOM", None),
        Balancer::Passthrough => ("CLUSTER_PROVIDED", None),
        // Protobuf's JSON writes 64-bit numbers as strings.
        Balancer::RingHash { ring_min } => {
            ("RING_HASH", ring_min.map(|size| ("ring_hash_lb_config", json!({"minimum_ring_size": size.to_string()}))))
        }
        Balancer::Maglev { table } => ("MAGLEV", table.map(|size| ("maglev_lb_config", json!({"table_size": size.to_string()})))),
    };
    policy.insert("lb".to_owned(), name.into());
    if let Some((key, config)) = config {
        policy.insert(key.to_owned(), config);
    }
    let mut common = Map::new();
    if let Some(percent) = cluster.panic_threshold_percent {
        let threshold = if percent == 0 { json!({}) } else { json!({"value": percent}) };
        common.insert("healthy_panic_threshold".to_owned(), threshold);
    }
    if cluster.locality_weighted {
        common.insert("locality_weighted_lb_config".to_owned(), json!({}));
    }
    policy.insert("common_lb_config".to_owned(), common.into());
}

fn slow_start(cluster: &Cluster) -> Option<Value> {
    let WarmUp { window, minimum_percent, aggression } = cluster.warm_up?;
    let mut config = Map::new();
    config.insert("slow_start_window".to_owned(), seconds(window));
    if let Some(aggression) = aggression {
        // Istio names the runtime key so.
        config.insert("aggression".to_owned(), json!({"default_value": number(aggression), "runtime_key": "("}));
    }
    if let Some(percent) = minimum_percent {
        config.insert("min_weight_percent".to_owned(), json!({"value": number(percent)}));
    }
    Some(json!({"slow_start_config": config}))
}

/// A number as a case's YAML reads back: whole ones without a fraction.
fn number(value: f64) -> Value {
    let whole = value as i64;
    if whole as f64 == value { whole.into() } else { value.into() }
}

fn thresholds(cluster: &Cluster) -> Value {
    let limits = &cluster.limits;
    let mut thresholds = json!({
        "max_connections": limits.connections_max,
        "max_pending_requests": limits.pending_max,
        "max_requests": limits.requests_max,
        "max_retries": limits.retries_max,
    });
    if let Some(budget) = &cluster.retry_budget {
        thresholds["retry_budget"] = json!({
            "budget_percent": {"value": number(budget.percent)},
            "min_retry_concurrency": budget.concurrency_min,
        });
    }
    thresholds
}

fn outlier_detection(outlier: &OutlierPolicy) -> Value {
    let enforced = |threshold: u32| if threshold > 0 { 100 } else { 0 };
    let mut policy = Map::new();
    let mut set = |key: &str, value: Value| policy.insert(key.to_owned(), value);
    if let Some(threshold) = outlier.consecutive_5xx {
        set("consecutive_5xx", threshold.into());
        set("enforcing_consecutive_5xx", enforced(threshold).into());
    }
    if let Some(interval) = outlier.interval {
        set("interval", seconds(interval));
    }
    if let Some(time) = outlier.base_ejection_time {
        set("base_ejection_time", seconds(time));
    }
    if let Some(percent) = outlier.max_ejection_percent {
        set("max_ejection_percent", percent.into());
    }
    set("enforcing_success_rate", 0.into());
    if let Some(threshold) = outlier.consecutive_gateway {
        set("consecutive_gateway_failure", threshold.into());
        set("enforcing_consecutive_gateway_failure", enforced(threshold).into());
    }
    if outlier.split_local_origin {
        set("split_external_local_origin_errors", true.into());
        if let Some(threshold) = outlier.consecutive_local_origin {
            set("consecutive_local_origin_failure", threshold.into());
            set("enforcing_consecutive_local_origin_failure", 100.into());
        }
        set("enforcing_local_origin_success_rate", 0.into());
    }
    policy.into()
}

/// HTTP protocol options; absent where nothing asks for any.
fn http(cluster: &Cluster) -> Option<Value> {
    let connection = &cluster.connection;
    let mut common = Map::new();
    if let Some(timeout) = connection.idle_timeout {
        common.insert("idle_timeout".to_owned(), seconds(timeout));
    }
    if connection.requests_per_connection_max > 0 {
        common.insert("max_requests_per_connection".to_owned(), connection.requests_per_connection_max.into());
    }
    if let Some(duration) = connection.duration_max {
        common.insert("max_connection_duration".to_owned(), seconds(duration));
    }
    let mut options = Map::new();
    if !common.is_empty() {
        options.insert("common_http_protocol_options".to_owned(), common.into());
    }
    if let Some(upstream) = upstream_options(&cluster.tls) {
        options.insert("upstream_http_protocol_options".to_owned(), upstream);
    }
    if options.is_empty() && connection.protocol == UpstreamProtocol::Default {
        return None;
    }
    let http2 = connection.streams_max.map_or(json!({}), |streams| json!({"max_concurrent_streams": streams}));
    let (key, protocol) = match connection.protocol {
        UpstreamProtocol::Default => ("explicit_http_config", json!({"http_protocol_options": {}})),
        UpstreamProtocol::Http2 => ("explicit_http_config", json!({"http2_protocol_options": http2})),
        UpstreamProtocol::Downstream => {
            ("use_downstream_protocol_config", json!({"http_protocol_options": {}, "http2_protocol_options": {}}))
        }
    };
    options.insert(key.to_owned(), protocol);
    Some(options.into())
}

/// A server name that the rule leaves open follows the request's host, and so does its check.
fn upstream_options(tls: &UpstreamTls) -> Option<Value> {
    match tls {
        UpstreamTls::Always { mode: TlsMode::Simple | TlsMode::Mutual, sni: None, verifies_host: true } => {
            Some(json!({"auto_sni": true, "auto_san_validation": true}))
        }
        UpstreamTls::Always { mode: TlsMode::Simple | TlsMode::Mutual, sni: None, verifies_host: false } => {
            Some(json!({"auto_sni": true}))
        }
        _ => None,
    }
}

fn tcp_keepalive(connection: &ConnectionSettings) -> Option<Value> {
    let (probes, time, interval) = connection.tcp_keepalive?;
    let mut keepalive = Map::new();
    let whole_seconds = |duration: Duration| duration.nanos() / Duration::from_secs(1).nanos();
    if let Some(probes) = probes {
        keepalive.insert("keepalive_probes".to_owned(), probes.into());
    }
    if let Some(time) = time {
        keepalive.insert("keepalive_time".to_owned(), whole_seconds(time).into());
    }
    if let Some(interval) = interval {
        keepalive.insert("keepalive_interval".to_owned(), whole_seconds(interval).into());
    }
    Some(keepalive.into())
}

fn tls(tls: &UpstreamTls) -> Value {
    match tls {
        UpstreamTls::Plaintext => "none".into(),
        UpstreamTls::Auto { sni } => json!({"auto": true, "when": [
            {"match": {"tlsMode": "istio"}, "socket": {"mode": "istio-mutual", "sni": sni}},
            {"match": {}, "socket": "plaintext"},
        ]}),
        UpstreamTls::Always { mode, sni, .. } => {
            let mode = match mode {
                TlsMode::Simple => "simple",
                TlsMode::Mutual => "mutual",
                TlsMode::IstioMutual => "istio-mutual",
            };
            match sni {
                Some(sni) => json!({"mode": mode, "sni": sni}),
                None => json!({"mode": mode}),
            }
        }
    }
}

fn locality(group: &LocalityEndpoints) -> Value {
    let endpoints = group.endpoints.iter().map(|endpoint| {
        let health = if endpoint.healthy { "HEALTHY" } else { "UNHEALTHY" };
        let mut made = json!({"port": endpoint.port, "weight": endpoint.weight, "health": health});
        if endpoint.mutual_tls {
            made["tls"] = "istio".into();
        }
        made
    });
    let endpoints: Vec<Value> = endpoints.collect();
    json!({"locality": group.locality, "priority": group.priority, "weight": group.weight, "endpoints": endpoints})
}
