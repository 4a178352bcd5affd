//! ConfigMaps of the rate limit service (github.com/envoyproxy/ratelimit): a domain and its
//! descriptors, as a text of YAML.

use super::protobuf::{items, number, text, truth};
use crate::mesh::ObjectId;
use crate::mesh::ids::Origin;
use crate::mesh::rate_limit::{LimitService, ServiceDescriptor, ServiceLimit, TimeUnit};
use crate::resource::kubernetes::ConfigMap;
use crate::resource::{Body, Object};
use crate::yaml::{Limits, Node, Value, parse_embedded};

/// What the service was told about a domain; of several ConfigMaps the first in the input.
pub(super) fn service(objects: &[Object], domain: &str) -> Option<LimitService> {
    objects.iter().enumerate().find_map(|(index, object)| match &object.body {
        Body::ConfigMap(map) => in_config_map(map, domain, ObjectId::new(index)),
        _ => None,
    })
}

fn in_config_map(map: &ConfigMap, domain: &str, id: ObjectId) -> Option<LimitService> {
    map.data.iter().find_map(|(_, value)| {
        if !value.value.contains("domain:") {
            return None;
        }
        let node = Node { span: value.span, value: Value::Str(value.value.clone()) };
        let (documents, _) = parse_embedded(&node, &[], Limits::default());
        let root = &documents.first()?.root;
        (text(root, "domain") == Some(domain))
            .then(|| LimitService { descriptors: descriptors(root), origin: Origin { object: Some(id), span: value.span } })
    })
}

fn descriptors(node: &Node) -> Vec<ServiceDescriptor> {
    let descriptor = |one: &Node| {
        Some(ServiceDescriptor {
            key: text(one, "key")?.to_owned(),
            value: text(one, "value").filter(|value| !value.is_empty()).map(str::to_owned),
            limit: one.get("rate_limit").and_then(limit),
            descriptors: descriptors(one),
        })
    };
    items(node.get("descriptors")).iter().filter_map(descriptor).collect()
}

fn limit(limit: &Node) -> Option<ServiceLimit> {
    if truth(limit, "unlimited") == Some(true) {
        return Some(ServiceLimit { requests: None, unit: TimeUnit::Second });
    }
    let unit = text(limit, "unit").and_then(TimeUnit::of_word)?;
    Some(ServiceLimit { requests: Some(number(limit, "requests_per_unit").unwrap_or(0)), unit })
}
