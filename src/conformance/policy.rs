//! A cluster's effective settings in Envoy's terms, as cases record them.

use serde_json::{Map, Value, json};

use crate::envoy;
use crate::mesh::cluster::{Discovery, LocalityEndpoints, TlsMode, UpstreamTls};
use crate::mesh::{Mesh, Proxy};

/// What a case records where a proxy does not have a cluster.
const ABSENT: &str = "absent";

/// The settings of a proxy's cluster; `"absent"` if it has none of that name.
#[must_use]
pub fn effective_policy(_mesh: &Mesh, proxy: &Proxy, cluster_name: &str) -> Value {
    let Some(cluster) = proxy.clusters.named(cluster_name) else { return ABSENT.into() };
    let mut policy = Map::new();
    policy.insert("type".to_owned(), discovery(cluster.discovery).into());
    policy.insert("connect_timeout".to_owned(), cluster.connect_timeout.to_string().into());
    for (key, value) in envoy::balancing(cluster) {
        policy.insert(if key == "lb_policy" { "lb".to_owned() } else { key }, value);
    }
    if matches!(cluster.discovery, Discovery::StrictDns | Discovery::LogicalDns) {
        policy.insert("dns_lookup_family".to_owned(), "V4_ONLY".into());
        policy.insert("dns_refresh_rate".to_owned(), "60s".into());
        policy.insert("respect_dns_ttl".to_owned(), true.into());
    }
    policy.insert("circuit_breakers".to_owned(), json!([envoy::thresholds(cluster)]));
    if let Some(outlier) = &cluster.outlier {
        policy.insert("outlier_detection".to_owned(), envoy::outlier_detection(outlier));
    }
    if let Some(http) = envoy::http_options(cluster) {
        policy.insert("http".to_owned(), http);
    }
    if let Some(keepalive) = envoy::tcp_keepalive(&cluster.connection) {
        policy.insert("upstream_connection_options".to_owned(), json!({"tcp_keepalive": keepalive}));
    }
    policy.insert("tls".to_owned(), tls(&cluster.tls));
    if cluster.discovery == Discovery::Eds {
        let localities: Vec<Value> = cluster.localities.iter().map(locality).collect();
        policy.insert("endpoints".to_owned(), localities.into());
    }
    Value::Object(policy)
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
