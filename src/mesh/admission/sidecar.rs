//! Sidecars (`ValidateSidecar`).

use super::gateway::{Family, family, namespaced_host};
use super::names;
use super::review::Review;
use super::traffic_policy::connection_pool;
use super::virtual_service::destination;
use crate::resource::networking::{Sidecar, SidecarEgress, SidecarIngress};

pub(super) fn check(spec: &Sidecar, review: &mut Review<'_>) {
    if spec.egress.is_empty()
        && spec.ingress.is_empty()
        && spec.outbound_traffic_policy.is_none()
        && spec.inbound_connection_pool.is_none()
    {
        review.reject(spec.span, "a Sidecar must configure something");
    }
    if let Some(selector) = &spec.workload_selector {
        names::selector(&selector.labels, selector.span, review);
    }
    for (index, listener) in spec.ingress.iter().enumerate() {
        ingress(listener, &spec.ingress[..index], review);
    }
    for (index, listener) in spec.egress.iter().enumerate() {
        egress(listener, &spec.egress[..index], index + 1 == spec.egress.len(), review);
    }
    if let Some(pool) = &spec.inbound_connection_pool {
        connection_pool(pool, review);
    }
    if let Some(policy) = &spec.outbound_traffic_policy
        && let Some(proxy) = &policy.egress_proxy
    {
        let any = policy.mode.as_ref().is_some_and(|m| m.value == "ALLOW_ANY");
        review.require(any, proxy.span, "`egressProxy` needs mode ALLOW_ANY");
        review.require(proxy.port.is_some(), proxy.span, "`egressProxy` needs a port");
        destination(Some(proxy), proxy.span, review);
    }
}

fn bind_fits(bind: &str, number: i64, span: crate::source::Span, review: &mut Review<'_>) {
    match bind.strip_prefix("unix://") {
        Some(path) => {
            review.require(names::is_socket_path(path), span, "a unix socket needs an absolute path or an abstract name");
            review.require(number == 0, span, "a unix socket goes with port 0");
        }
        None => {
            review.require((1..=65535).contains(&number), span, format!("a port lies between 1 and 65535, not at {number}"));
            let fits = bind.is_empty() || names::is_address(bind);
            review.require(fits, span, format!("`{bind}` is not an address to bind to"));
        }
    }
}

fn ingress(listener: &SidecarIngress, earlier: &[SidecarIngress], review: &mut Review<'_>) {
    let Some(port) = &listener.port else {
        review.reject(listener.span, "an ingress listener needs a port");
        return;
    };
    let number = port.number.as_ref().map_or(0, |n| n.value);
    let bind = listener.bind.as_ref().map_or("", |b| b.value.as_str());
    review.require((1..=65535).contains(&number), port.span, format!("a port lies between 1 and 65535, not at {number}"));
    let fits = bind.is_empty() || names::is_address(bind);
    review.require(fits, listener.span, format!("`{bind}` is not an address to bind to"));
    if let Some(target) = port.target_port.as_ref().filter(|t| t.value > 0) {
        review.reject(target.span, "`targetPort` has no meaning in an ingress listener");
    }
    let same = |other: &SidecarIngress| other.port.as_ref().and_then(|p| p.number.as_ref()).map(|n| n.value) == Some(number);
    review.require(!earlier.iter().any(same), port.span, format!("the port {number} stands twice"));
    default_endpoint(listener, review);
    if let Some(pool) = &listener.connection_pool {
        connection_pool(pool, review);
        let protocol = port.protocol.as_ref().map_or("", |p| p.value.as_str());
        if pool.http.is_some() && family(protocol) != Family::Http {
            review.warn(pool.span, "an http pool has no effect on a port that is not HTTP");
        }
    }
}

fn default_endpoint(listener: &SidecarIngress, review: &mut Review<'_>) {
    let Some(endpoint) = listener.default_endpoint.as_ref().filter(|e| !e.is_empty()) else { return };
    if let Some(path) = endpoint.strip_prefix("unix://") {
        review.require(names::is_socket_path(path), endpoint.span, "a unix socket needs an absolute path");
        return;
    }
    let Some((host, port)) = endpoint.rsplit_once(':') else {
        review.reject(endpoint.span, format!("`{}` is not `address:port`", endpoint.value));
        return;
    };
    let local = matches!(host, "" | "127.0.0.1" | "0.0.0.0" | "[::1]" | "[::]");
    review.require(local, endpoint.span, format!("`{host}` is not an address of the workload itself"));
    let valid = port.parse::<u32>().is_ok_and(|p| (1..=65535).contains(&p));
    review.require(valid, endpoint.span, format!("`{port}` is not a port"));
}

fn egress(listener: &SidecarEgress, earlier: &[SidecarEgress], last: bool, review: &mut Review<'_>) {
    let bind = listener.bind.as_ref().map_or("", |b| b.value.as_str());
    match &listener.port {
        None => review.require(last, listener.span, "only the last egress listener may come without a port"),
        Some(port) => {
            let number = port.number.as_ref().map_or(0, |n| n.value);
            bind_fits(bind, number, port.span, review);
            let key = |l: &SidecarEgress| l.port.as_ref().and_then(|p| p.number.as_ref()).map(|n| n.value);
            if number > 0 && earlier.iter().any(|other| key(other) == Some(number)) {
                review.reject(port.span, format!("the port {number} stands twice"));
            }
        }
    }
    review.require(!listener.hosts.is_empty(), listener.span, "an egress listener needs hosts");
    for host in &listener.hosts {
        namespaced_host(host, false, review);
    }
    repeated_hosts(listener, review);
}

/// Hosts that an earlier one of the listener already imports: accepted with a warning.
fn repeated_hosts(listener: &SidecarEgress, review: &mut Review<'_>) {
    let own = review.object.namespace.clone();
    let mut seen: Vec<(String, &str)> = Vec::new();
    for host in &listener.hosts {
        let Some((namespace, name)) = host.split_once('/').filter(|(namespace, _)| !namespace.starts_with('~')) else { continue };
        let namespace = if namespace == "." { own.clone() } else { namespace.to_owned() };
        let repeats = |(n, h): &(String, &str)| *n == namespace && (*h == name || *h == "*" || name == "*");
        if seen.iter().any(repeats) {
            review.warn(host.span, format!("the host `{}` is already imported by this listener", host.value));
        }
        seen.push((namespace, name));
    }
    let everything = seen.iter().any(|(namespace, name)| namespace == "*" && *name == "*");
    if everything && seen.iter().any(|(namespace, _)| namespace != "*") {
        review.warn(listener.span, "`*/*` imports everything; no other hosts are needed");
    }
}
