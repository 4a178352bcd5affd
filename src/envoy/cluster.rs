//! Clusters.

use serde_json::{Map, Value, json};

use super::placement::Placement;
use super::wire::{any, extension, put, seconds};
use super::{endpoints, policy, tls};
use crate::mesh::cluster::{Cluster, Discovery};

/// The options that a cluster's HTTP protocol has.
const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// A cluster of a proxy, with its endpoints.
#[must_use]
pub fn cluster(cluster: &Cluster, placement: &Placement) -> Value {
    let mut fields = Map::new();
    put(&mut fields, "name", cluster.name.as_str());
    put(&mut fields, "connect_timeout", seconds(cluster.connect_timeout));
    fields.extend(policy::balancing(cluster));
    discovery(cluster, placement, &mut fields);
    put(&mut fields, "circuit_breakers", json!({"thresholds": [policy::thresholds(cluster)]}));
    if let Some(outlier) = &cluster.outlier {
        fields.insert("outlier_detection".to_owned(), policy::outlier_detection(outlier));
    }
    if let Some(options) = policy::http_options(cluster) {
        put(&mut fields, "typed_extension_protocol_options", json!({HTTP_OPTIONS: any(HTTP_OPTIONS, options)}));
    }
    if let Some(keepalive) = policy::tcp_keepalive(&cluster.connection) {
        put(&mut fields, "upstream_connection_options", json!({ "tcp_keepalive": keepalive }));
    }
    if !placement.is_loopback() {
        tls::put_upstream(&mut fields, &cluster.tls);
    }
    fields.into()
}

/// How endpoints are found, and those that are known. What EDS would tell is told at once.
fn discovery(cluster: &Cluster, placement: &Placement, fields: &mut Map<String, Value>) {
    let dials_itself = matches!(cluster.discovery, Discovery::OriginalDst | Discovery::DynamicDns);
    match (dials_itself, placement.dialled(cluster)) {
        (true, Some(elsewhere)) => {
            put(fields, "type", "STATIC");
            put(fields, "lb_policy", "ROUND_ROBIN");
            put(fields, "load_assignment", endpoints::lone_address(cluster, elsewhere));
        }
        (false, Some(_)) => {
            put(fields, "type", "STATIC");
            put(fields, "load_assignment", endpoints::load_assignment(cluster, placement));
        }
        (_, None) => match cluster.discovery {
            Discovery::OriginalDst => put(fields, "type", "ORIGINAL_DST"),
            Discovery::DynamicDns => put(fields, "cluster_type", dynamic_dns()),
            Discovery::Eds | Discovery::Static => {
                put(fields, "type", "STATIC");
                put(fields, "load_assignment", endpoints::load_assignment(cluster, placement));
            }
            Discovery::StrictDns | Discovery::LogicalDns => {
                put(fields, "type", if cluster.discovery == Discovery::StrictDns { "STRICT_DNS" } else { "LOGICAL_DNS" });
                put(fields, "dns_lookup_family", "V4_ONLY");
                put(fields, "dns_refresh_rate", "60s");
                put(fields, "respect_dns_ttl", true);
                put(fields, "load_assignment", endpoints::load_assignment(cluster, placement));
            }
        },
    }
}

fn dynamic_dns() -> Value {
    let cache = json!({"name": "dynamic_dns", "dns_lookup_family": "V4_ONLY"});
    let message = "envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig";
    extension("envoy.clusters.dynamic_forward_proxy", message, json!({ "dns_cache_config": cache }))
}
