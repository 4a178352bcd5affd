//! HTTP filters, and what routes say to them.

use serde_json::{Map, Value, json};

use super::route_match::string_match;
use super::wire::{any, extension, percentage, put, seconds};
use crate::mesh::route::{AbortStatus, Cors, Fault, Route};

const FAULT: (&str, &str) = ("envoy.filters.http.fault", "envoy.extensions.filters.http.fault.v3.HTTPFault");
const CORS: &str = "envoy.filters.http.cors";
const CORS_FILTER: &str = "envoy.extensions.filters.http.cors.v3.Cors";
const CORS_POLICY: &str = "envoy.extensions.filters.http.cors.v3.CorsPolicy";
const ROUTER: (&str, &str) = ("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router");

/// The filters that act on routes, in their order.
pub(super) fn http_filters() -> Value {
    json!([
        extension(FAULT.0, FAULT.1, json!({})),
        extension(CORS, CORS_FILTER, json!({})),
        extension(ROUTER.0, ROUTER.1, json!({})),
    ])
}

/// What a route says to the filters.
pub(super) fn of_route(route: &Route) -> Value {
    let mut fields = Map::new();
    if let Some(fault) = &route.fault {
        put(&mut fields, FAULT.0, any(FAULT.1, self::fault(fault)));
    }
    if let Some(cors) = &route.cors {
        put(&mut fields, CORS, any(CORS_POLICY, self::cors(cors)));
    }
    fields.into()
}

fn fault(fault: &Fault) -> Value {
    let mut fields = Map::new();
    if let Some(delay) = fault.delay {
        put(&mut fields, "delay", json!({"fixed_delay": seconds(delay.fixed), "percentage": percentage(delay.share)}));
    }
    if let Some(abort) = fault.abort {
        let (key, status) = match abort.status {
            AbortStatus::Http(status) => ("http_status", status),
            AbortStatus::Grpc(status) => ("grpc_status", u16::from(status)),
        };
        put(&mut fields, "abort", json!({key: status, "percentage": percentage(abort.share)}));
    }
    fields.into()
}

fn cors(cors: &Cors) -> Value {
    let mut fields = Map::new();
    let origins: Vec<Value> = cors.allow_origins.iter().filter_map(string_match).collect();
    put(&mut fields, "allow_origin_string_match", origins);
    put(&mut fields, "allow_methods", cors.allow_methods.as_str());
    put(&mut fields, "allow_headers", cors.allow_headers.as_str());
    put(&mut fields, "expose_headers", cors.expose_headers.as_str());
    put(&mut fields, "max_age", cors.max_age.as_str());
    fields.insert("allow_credentials".to_owned(), cors.allow_credentials.into());
    fields.insert("forward_not_matching_preflights".to_owned(), cors.forward_unmatched_preflights.into());
    put(&mut fields, "filter_enabled", json!({"default_value": {"numerator": 100}}));
    fields.into()
}
