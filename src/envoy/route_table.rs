//! Route tables (Envoy: `RouteConfiguration`).

use serde_json::{Map, Value, json};

use super::filters;
use super::headers::put_operations;
use super::route_action::put_action;
use super::route_match::route_match;
use super::wire::put;
use crate::mesh::route::{Route, RouteTable, VirtualHost};

/// A route table.
#[must_use]
pub fn route_table(table: &RouteTable) -> Value {
    let mut fields = Map::new();
    put(&mut fields, "name", table.name.as_str());
    put(&mut fields, "virtual_hosts", table.virtual_hosts.iter().map(virtual_host).collect::<Vec<_>>());
    fields.insert("validate_clusters".to_owned(), false.into());
    put(&mut fields, "ignore_port_in_host_matching", table.ignore_port_in_host_matching);
    put(&mut fields, "max_direct_response_body_size_bytes", 1_048_576);
    fields.into()
}

fn virtual_host(host: &VirtualHost) -> Value {
    let mut fields = Map::new();
    put(&mut fields, "name", host.name.as_str());
    put(&mut fields, "domains", host.domains.clone());
    put(&mut fields, "routes", host.routes.iter().map(route).collect::<Vec<_>>());
    if host.require_tls {
        put(&mut fields, "require_tls", "ALL");
    }
    put(&mut fields, "include_request_attempt_count", true);
    fields.into()
}

fn route(route: &Route) -> Value {
    let mut fields = Map::new();
    put(&mut fields, "name", route.name.as_str());
    fields.insert("match".to_owned(), route_match(&route.matcher));
    put_action(&mut fields, &route.action);
    put(&mut fields, "typed_per_filter_config", filters::of_route(route));
    put_operations(&mut fields, &route.request_headers, &route.response_headers);
    json!(fields)
}
