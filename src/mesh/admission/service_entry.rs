//! ServiceEntries and WorkloadEntries (`ValidateServiceEntry`, `ValidateWorkloadEntry`).

use super::gateway::{Family, family};
use super::names;
use super::review::Review;
use crate::resource::networking::{GatewayPort, ServiceEntry, WorkloadEntry};

pub(super) fn check(spec: &ServiceEntry, review: &mut Review<'_>) {
    let resolution = spec.resolution.as_ref().map_or("NONE", |r| r.value.as_str());
    review.require(!spec.hosts.is_empty(), spec.span, "a ServiceEntry needs at least one host");
    hosts(spec, resolution, review);
    addresses(spec, resolution, review);
    ports(spec, resolution, review);
    endpoints(spec, resolution, review);
    if let Some(selector) = &spec.workload_selector {
        review.require(spec.endpoints.is_empty(), selector.span, "`workloadSelector` excludes `endpoints`");
        names::selector(&selector.labels, selector.span, review);
        if resolution == "NONE" {
            review.warn(selector.span, "a workload selector has no effect with resolution NONE");
        }
    }
    if resolution == "DYNAMIC_DNS" {
        dynamic_dns(spec, review);
    }
    names::export_to(&spec.export_to, true, review);
}

fn hosts(spec: &ServiceEntry, resolution: &str, review: &mut Review<'_>) {
    for host in &spec.hosts {
        if host.value == "*" {
            review.reject(host.span, "the host `*` is not allowed in a ServiceEntry");
        } else if let Some(why) = names::wrong_wildcard_domain(&host.value) {
            review.reject(host.span, why);
        } else if host.starts_with('*') && !host.starts_with("*.") && resolution != "DYNAMIC_DNS" {
            review.warn(host.span, format!("the wildcard of `{}` is not a whole label", host.value));
        }
    }
}

fn addresses(spec: &ServiceEntry, resolution: &str, review: &mut Review<'_>) {
    for address in &spec.addresses {
        review.require(
            names::is_network(address),
            address.span,
            format!("`{}` is neither an address nor a network", address.value),
        );
        if address.contains('/') && !matches!(resolution, "NONE" | "STATIC") {
            review.reject(address.span, "networks are allowed with resolution NONE and STATIC only");
        }
    }
}

fn ports(spec: &ServiceEntry, resolution: &str, review: &mut Review<'_>) {
    for (index, port) in spec.ports.iter().enumerate() {
        let number = |p: &GatewayPort| p.number.as_ref().map_or(0, |n| n.value);
        let name = |p: &GatewayPort| p.name.as_ref().map(|n| n.value.clone()).unwrap_or_default();
        let earlier = &spec.ports[..index];
        let (own_number, own_name) = (number(port), name(port));
        review.require(
            (1..=65535).contains(&own_number),
            port.span,
            format!("a port lies between 1 and 65535, not at {own_number}"),
        );
        review.require(
            !earlier.iter().any(|p| number(p) == own_number),
            port.span,
            format!("the port {own_number} stands twice"),
        );
        review.require(names::is_label(&own_name), port.span, format!("`{own_name}` is not the name of a port"));
        review.require(
            !earlier.iter().any(|p| name(p) == own_name),
            port.span,
            format!("the port name `{own_name}` stands twice"),
        );
        let protocol = port.protocol.as_ref().map_or("", |p| p.value.as_str());
        let known = protocol.is_empty() || family(protocol) != Family::Unknown;
        review.require(known, port.span, format!("`{protocol}` is not a known protocol"));
        let bytes = protocol.is_empty() || protocol.eq_ignore_ascii_case("tcp");
        if bytes && spec.addresses.is_empty() && resolution == "NONE" {
            review.warn(port.span, "a TCP port without addresses takes all traffic to its port number");
        }
    }
}

fn endpoints(spec: &ServiceEntry, resolution: &str, review: &mut Review<'_>) {
    match resolution {
        "NONE" => review.require(spec.endpoints.is_empty(), spec.span, "resolution NONE takes no endpoints"),
        "DNS_ROUND_ROBIN" if spec.endpoints.len() > 1 => {
            review.reject(spec.span, "resolution DNS_ROUND_ROBIN takes at most one endpoint");
        }
        _ => {}
    }
    if matches!(resolution, "DNS" | "DNS_ROUND_ROBIN") && spec.endpoints.is_empty() {
        for host in spec.hosts.iter().filter(|h| h.starts_with('*')) {
            review.reject(host.span, "a wildcard cannot be resolved by DNS; give endpoints");
        }
    }
    for endpoint in &spec.endpoints {
        endpoint_address(endpoint, resolution, review);
        for (name, _) in &endpoint.ports.0 {
            let known = spec.ports.iter().any(|p| p.name.as_ref().is_some_and(|n| n.value == name.value));
            review.require(known, name.span, format!("the ServiceEntry has no port named `{}`", name.value));
        }
        entry(endpoint, review);
    }
}

fn endpoint_address(endpoint: &WorkloadEntry, resolution: &str, review: &mut Review<'_>) {
    let Some(address) = endpoint.address.as_ref().filter(|a| !a.is_empty()) else { return };
    let unix = address.starts_with("unix://");
    match resolution {
        "STATIC" if !unix && !names::is_address(address) => {
            review.reject(address.span, format!("`{}` is not an address; names need resolution DNS", address.value));
        }
        "DNS" | "DNS_ROUND_ROBIN" if !names::is_address(address) => {
            if let Some(why) = names::wrong_domain(address) {
                review.reject(address.span, why);
            }
        }
        _ => {}
    }
}

/// What holds for an endpoint and for a WorkloadEntry of its own.
fn entry(entry: &WorkloadEntry, review: &mut Review<'_>) {
    let address = entry.address.as_ref().map_or("", |a| a.value.as_str());
    if address.is_empty() && entry.network.as_ref().is_none_or(|n| n.is_empty()) {
        review.reject(entry.span, "an endpoint needs an address");
    }
    if let Some(path) = address.strip_prefix("unix://") {
        review.require(names::is_socket_path(path), entry.span, "a unix socket needs an absolute path or an abstract name");
        review.require(entry.ports.is_empty(), entry.span, "a unix socket takes no ports");
    }
    for (_, port) in entry.ports.0.iter().filter(|(_, p)| !(1..=65535).contains(&p.value)) {
        review.reject(port.span, format!("a port lies between 1 and 65535, not at {}", port.value));
    }
    names::labels(&entry.labels, review);
}

pub(super) fn check_workload_entry(spec: &WorkloadEntry, review: &mut Review<'_>) {
    entry(spec, review);
    let Some(address) = spec.address.as_ref().filter(|a| !a.is_empty()) else { return };
    if !address.starts_with("unix://")
        && !names::is_address(address)
        && let Some(why) = names::wrong_domain(address)
    {
        review.reject(address.span, why);
    }
}

fn dynamic_dns(spec: &ServiceEntry, review: &mut Review<'_>) {
    for host in spec.hosts.iter().filter(|h| !h.starts_with('*')) {
        review.reject(host.span, "resolution DYNAMIC_DNS is for wildcard hosts");
    }
    review.require(spec.addresses.is_empty(), spec.span, "resolution DYNAMIC_DNS takes no addresses");
    review.require(spec.endpoints.is_empty(), spec.span, "resolution DYNAMIC_DNS takes no endpoints");
    let internal = spec.location.as_ref().is_some_and(|l| l.value == "MESH_INTERNAL");
    review.require(!internal, spec.span, "resolution DYNAMIC_DNS is for hosts outside of the mesh");
    for port in &spec.ports {
        let protocol = port.protocol.as_ref().map_or(String::new(), |p| p.to_ascii_uppercase());
        let fits = matches!(protocol.as_str(), "HTTP" | "HTTP2" | "GRPC" | "TLS");
        review.require(fits, port.span, "resolution DYNAMIC_DNS is for ports of HTTP, HTTP2, GRPC and TLS");
    }
}
