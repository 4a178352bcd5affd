//! ServiceEntries and WorkloadEntries (`ValidateServiceEntry`, `ValidateWorkloadEntry`).

use super::gateway::{Family, family};
use super::names;
use super::review::Review;
use crate::resource::networking::{GatewayPort, ServiceEntry, WorkloadEntry};

pub(super) fn check(spec: &ServiceEntry, review: &mut Review<'_>) {
    let resolution = spec.resolution.as_ref().map_or("NONE", |r| r.value.as_str());
    review.require(!spec.hosts.is_empty(), spec.span, "a ServiceEntry needs at least one host");
    several_hosts(spec, resolution, review);
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
            continue;
        }
        if let Some(why) = names::wrong_wildcard_domain(&host.value) {
            review.reject(host.span, why);
        }
        if host.contains('*') && !host.starts_with("*.") && resolution != "DYNAMIC_DNS" {
            review.warn(host.span, format!("the wildcard of `{}` is not a whole label", host.value));
        }
    }
}

/// Bytes do not tell hosts apart.
fn several_hosts(spec: &ServiceEntry, resolution: &str, review: &mut Review<'_>) {
    if spec.hosts.len() < 2 || resolution == "NONE" {
        return;
    }
    let of = |port: &GatewayPort| port.protocol.as_ref().map_or(Family::Unknown, |protocol| family(protocol));
    if let Some(port) = spec.ports.iter().find(|port| !matches!(of(port), Family::Http | Family::Tls)) {
        review.reject(port.span, "with several hosts every port must be HTTP or TLS");
    }
}

/// Whether the control plane gives hosts without addresses one.
fn is_given_addresses(resolution: &str, review: &Review<'_>) -> bool {
    let label = review.object.meta.labels.get("networking.istio.io/enable-autoallocate-ip");
    resolution != "NONE" && !label.is_some_and(|value| value.eq_ignore_ascii_case("false"))
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
        if let Some(target) = port.target_port.as_ref().filter(|t| t.value != 0 && !(1..=65535).contains(&t.value)) {
            review.reject(target.span, format!("a port lies between 1 and 65535, not at {}", target.value));
        }
        let bytes = matches!(protocol, "" | "TCP");
        if bytes && spec.addresses.is_empty() && !is_given_addresses(resolution, review) {
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
        for host in spec.hosts.iter().filter(|host| names::wrong_domain(host).is_some()) {
            review.reject(host.span, format!("`{}` cannot be resolved by DNS; give endpoints", host.value));
        }
    }
    for endpoint in &spec.endpoints {
        for (name, _) in &endpoint.ports.0 {
            let known = spec.ports.iter().any(|p| p.name.as_ref().is_some_and(|n| n.value == name.value));
            review.require(known, name.span, format!("the ServiceEntry has no port named `{}`", name.value));
        }
        match resolution {
            "STATIC" => {
                entry(endpoint, Names::Refused, review);
                let unix = endpoint.address.as_ref().is_some_and(|address| address.starts_with("unix://"));
                review.require(!unix || spec.ports.len() == 1, endpoint.span, "a unix socket goes with exactly one port");
            }
            "DNS" | "DNS_ROUND_ROBIN" => {
                named(endpoint, review);
                parts(endpoint, review);
            }
            _ => {}
        }
    }
}

/// Whether the address of an endpoint may be a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    Allowed,
    Refused,
}

/// An endpoint that is resolved: its address is one, or a name.
fn named(endpoint: &WorkloadEntry, review: &mut Review<'_>) {
    let address = endpoint.address.as_ref().map_or("", |a| a.value.as_str());
    if !names::is_address(address)
        && let Some(why) = names::wrong_domain(address)
    {
        review.reject(endpoint.address.as_ref().map_or(endpoint.span, |a| a.span), why);
    }
}

/// An endpoint or WorkloadEntry with its address (`validateWorkloadEntry`).
fn entry(entry: &WorkloadEntry, may_be_named: Names, review: &mut Review<'_>) {
    let address = entry.address.as_ref().map_or("", |a| a.value.as_str());
    if address.is_empty() {
        match entry.network.as_ref().filter(|network| !network.is_empty()) {
            None => {
                review.reject(entry.span, "an endpoint needs an address");
                return;
            }
            Some(network) => review.warn(network.span, "an endpoint of another network without an address"),
        }
    } else if let Some(path) = address.strip_prefix("unix://") {
        review.require(names::is_socket_path(path), entry.span, "a unix socket needs an absolute path or an abstract name");
        review.require(entry.ports.is_empty(), entry.span, "a unix socket takes no ports");
    } else if may_be_named == Names::Allowed {
        named(entry, review);
    } else if !names::is_address(address) {
        review.reject(entry.span, format!("`{address}` is not an address; names need resolution DNS"));
    }
    parts(entry, review);
}

/// Ports and labels of an endpoint.
fn parts(entry: &WorkloadEntry, review: &mut Review<'_>) {
    for (name, port) in &entry.ports.0 {
        review.require(names::is_label(&name.value), name.span, format!("`{}` is not the name of a port", name.value));
        let valid = (1..=65535).contains(&port.value);
        review.require(valid, port.span, format!("a port lies between 1 and 65535, not at {}", port.value));
    }
    names::labels(&entry.labels, review);
}

pub(super) fn check_workload_entry(spec: &WorkloadEntry, review: &mut Review<'_>) {
    entry(spec, Names::Allowed, review);
}

fn dynamic_dns(spec: &ServiceEntry, review: &mut Review<'_>) {
    review.require(!spec.hosts.is_empty(), spec.span, "resolution DYNAMIC_DNS needs a wildcard host");
    for host in spec.hosts.iter().filter(|h| !h.starts_with('*')) {
        review.reject(host.span, "resolution DYNAMIC_DNS is for wildcard hosts");
    }
    review.require(spec.addresses.is_empty(), spec.span, "resolution DYNAMIC_DNS takes no addresses");
    review.require(spec.endpoints.is_empty(), spec.span, "resolution DYNAMIC_DNS takes no endpoints");
    let internal = spec.location.as_ref().is_some_and(|l| l.value == "MESH_INTERNAL");
    let waypoint = review.object.meta.labels.get("istio.io/use-waypoint");
    let uses_waypoint = waypoint.is_some_and(|w| !w.is_empty() && !w.eq_ignore_ascii_case("none"));
    let valid = !(internal && uses_waypoint);
    review.require(valid, spec.span, "resolution DYNAMIC_DNS behind a waypoint is for hosts outside of the mesh");
    for port in &spec.ports {
        let protocol = port.protocol.as_ref().map_or(String::new(), |p| p.to_ascii_uppercase());
        let fits = matches!(protocol.as_str(), "HTTP" | "HTTP2" | "GRPC" | "TLS");
        review.require(fits, port.span, "resolution DYNAMIC_DNS is for ports of HTTP, HTTP2, GRPC and TLS");
    }
}
