//! The traffic policy of a cluster: everything but its endpoints and its TLS.

use serde_json::{Map, Value, json};

use super::wire::{number, seconds};
use crate::mesh::cluster::{
    Balancer, Cluster, ConnectionSettings, OutlierPolicy, TlsMode, UpstreamProtocol, UpstreamTls, WarmUp,
};
use crate::time::Duration;

/// Balancer, its own settings, and the ones common to all balancers, as fields of a cluster.
#[must_use]
pub fn balancing(cluster: &Cluster) -> Map<String, Value> {
    let mut policy = Map::new();
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
    policy.insert("lb_policy".to_owned(), name.into());
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
    policy
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

/// Limits.
#[must_use]
pub fn thresholds(cluster: &Cluster) -> Value {
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

/// Outlier detection. What neither API nor release sets is left to the proxy.
#[must_use]
pub fn outlier_detection(outlier: &OutlierPolicy) -> Value {
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

/// HTTP protocol options; `None` where nothing asks for any.
#[must_use]
pub fn http_options(cluster: &Cluster) -> Option<Value> {
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
    if connection.has_http_options {
        options.insert("common_http_protocol_options".to_owned(), common.into());
    }
    if let Some(upstream) = upstream_options(&cluster.tls) {
        options.insert("upstream_http_protocol_options".to_owned(), upstream);
    }
    if options.is_empty() && connection.protocol == UpstreamProtocol::Default {
        return None;
    }
    let mut http2 = Map::new();
    if let Some(streams) = connection.streams_max {
        http2.insert("max_concurrent_streams".to_owned(), streams.into());
    }
    if let Some((interval, timeout)) = connection.http2_keep_alive {
        let times = [("interval", interval), ("timeout", timeout)];
        let times = times.into_iter().filter_map(|(key, time)| Some((key.to_owned(), seconds(time?))));
        http2.insert("connection_keepalive".to_owned(), Value::Object(times.collect()));
    }
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

/// Keep-alive probes.
#[must_use]
pub fn tcp_keepalive(connection: &ConnectionSettings) -> Option<Value> {
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
