//! What consistent hashing hashes. The key belongs to the route, not to the cluster, so it is looked
//! up by the destination (Istio: `hashForHTTPDestination`, `hashForService`).

use super::destination_rule::Part;
use super::visibility::ProxyView;
use crate::mesh::route::HashPolicy;
use crate::resource::networking::{ConsistentHash, HttpCookie, LoadBalancerSettings, TrafficPolicy};

/// What a rule's destination is hashed by; `Some(None)` if it is hashed by nothing in particular. Settings
/// of a port count only if the destination names the port; a subset's settings precede the host's.
pub(super) fn of_destination(view: &ProxyView<'_>, host: &str, subset: &str, port: Option<u16>) -> Option<Option<HashPolicy>> {
    let rule = view.destination_rule(host)?;
    let whole = rule.traffic_policy.map(|part| part.value);
    let subset = rule.subset(subset).and_then(|part| part.value.traffic_policy.as_ref());
    let of_port = |policy: Option<&'_ TrafficPolicy>| port.and_then(|port| key_of_port(policy?, port)).map(policy_of);
    let of_host = |policy: Option<&TrafficPolicy>| key(policy?).map(policy_of);
    of_port(subset).or_else(|| of_host(subset)).or_else(|| of_port(whole)).or_else(|| of_host(whole))
}

/// The hash policy of a service's port where no rule leads to it.
pub(super) fn of_service(view: &ProxyView<'_>, host: &str, port: u16) -> Option<HashPolicy> {
    let Part { value, .. } = view.destination_rule(host)?.traffic_policy?;
    key_of_port(value, port).or_else(|| key(value)).and_then(policy_of)
}

/// Whether connections that are routed as bytes are hashed by the client's address (Istio:
/// `maybeSetHashPolicy`). Settings of ports do not count; a subset's balancer replaces the host's.
pub(super) fn hashes_client(of_host: Option<&TrafficPolicy>, of_subset: Option<&TrafficPolicy>) -> bool {
    fn balancer(policy: &TrafficPolicy) -> Option<&LoadBalancerSettings> {
        policy.load_balancer.as_ref()
    }
    let settings = of_subset.and_then(balancer).or_else(|| of_host.and_then(balancer));
    let hash = settings.and_then(|settings| settings.consistent_hash.as_ref());
    hash.and_then(|hash| hash.use_source_ip.as_ref()).is_some_and(|own| own.value)
}

fn key(policy: &TrafficPolicy) -> Option<&ConsistentHash> {
    policy.load_balancer.as_ref()?.consistent_hash.as_ref()
}

fn key_of_port(policy: &TrafficPolicy, port: u16) -> Option<&ConsistentHash> {
    let is_own = |number: i64| number == i64::from(port);
    let settings = policy.port_level_settings.iter().find(|settings| {
        settings.port.as_ref().and_then(|port| port.number.as_ref()).is_some_and(|number| is_own(number.value))
    })?;
    settings.load_balancer.as_ref()?.consistent_hash.as_ref()
}

fn policy_of(hash: &ConsistentHash) -> Option<HashPolicy> {
    if let Some(name) = &hash.http_header_name {
        return Some(HashPolicy::Header(name.to_ascii_lowercase()));
    }
    if let Some(cookie) = &hash.http_cookie {
        return Some(cookie_policy(cookie));
    }
    if let Some(uses) = hash.use_source_ip {
        return Some(if uses.value { HashPolicy::SourceIp } else { HashPolicy::Nothing });
    }
    hash.http_query_parameter_name.as_ref().map(|name| HashPolicy::Query(name.value.clone()))
}

fn cookie_policy(cookie: &HttpCookie) -> HashPolicy {
    let text = |field: &Option<crate::source::Spanned<String>>| field.as_ref().map_or("", |f| f.value.as_str()).to_owned();
    HashPolicy::Cookie {
        name: text(&cookie.name),
        path: text(&cookie.path),
        ttl: cookie.ttl.as_ref().map(|ttl| ttl.value),
        attributes: cookie.attributes.iter().map(|a| (text(&a.name), text(&a.value))).collect(),
    }
}
