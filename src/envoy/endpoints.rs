//! Endpoints by locality and priority (Envoy: `ClusterLoadAssignment`).

use serde_json::{Map, Value, json};

use super::placement::Placement;
use super::wire::{put, socket_address};
use crate::mesh::cluster::{Cluster, Endpoint, LocalityEndpoints};

/// The endpoints of a cluster.
#[must_use]
pub fn load_assignment(cluster: &Cluster, placement: &Placement) -> Value {
    let localities: Vec<Value> = cluster.localities.iter().map(|group| locality(cluster, group, placement)).collect();
    json!({"cluster_name": cluster.name, "endpoints": localities})
}

/// One endpoint at an address, for a cluster whose own are not known beforehand.
pub(super) fn lone_address(cluster: &Cluster, (address, port): (String, u16)) -> Value {
    let endpoint = json!({"endpoint": {"address": socket_address(&address, port)}});
    json!({"cluster_name": cluster.name, "endpoints": [{"lb_endpoints": [endpoint]}]})
}

fn locality(cluster: &Cluster, group: &LocalityEndpoints, placement: &Placement) -> Value {
    let mut fields = Map::new();
    let mut parts = group.locality.splitn(3, '/');
    let mut place = Map::new();
    for name in ["region", "zone", "sub_zone"] {
        put(&mut place, name, parts.next().unwrap_or_default());
    }
    put(&mut fields, "locality", place);
    put(&mut fields, "lb_endpoints", group.endpoints.iter().map(|e| endpoint(e, placement)).collect::<Vec<_>>());
    if cluster.locality_weighted {
        put(&mut fields, "load_balancing_weight", group.weight);
    }
    if group.priority > 0 {
        put(&mut fields, "priority", group.priority);
    }
    fields.into()
}

fn endpoint(endpoint: &Endpoint, placement: &Placement) -> Value {
    let (address, port) = placement.endpoint(endpoint);
    let mut fields = Map::new();
    put(&mut fields, "endpoint", json!({"address": socket_address(&address, port)}));
    put(&mut fields, "health_status", if endpoint.healthy { "HEALTHY" } else { "UNHEALTHY" });
    put(&mut fields, "load_balancing_weight", endpoint.weight);
    if endpoint.mutual_tls {
        put(&mut fields, "metadata", json!({"filter_metadata": {"envoy.transport_socket_match": {"tlsMode": "istio"}}}));
    }
    fields.into()
}
