//! VirtualServices (`ValidateVirtualService`).

use super::http_rule;
use super::names;
use super::redundancy;
use super::review::Review;
use crate::mesh::host;
use crate::resource::networking::{Destination, L4MatchAttributes, RouteDestination, TcpRoute, TlsRoute, VirtualService};
use crate::source::{Span, Spanned};

/// The word for all sidecars in a list of gateways.
const MESH: &str = "mesh";

pub(super) fn check(spec: &VirtualService, review: &mut Review<'_>) {
    let delegate = spec.hosts.is_empty();
    let mesh = spec.gateways.is_empty() || spec.gateways.iter().any(|g| g.value == MESH);
    if delegate {
        let span = spec.span;
        review.require(spec.gateways.is_empty(), span, "a VirtualService without hosts is a delegate and may not name gateways");
        review.require(spec.tls.is_empty(), span, "a VirtualService without hosts is a delegate and may not have tls rules");
        review.require(spec.tcp.is_empty(), span, "a VirtualService without hosts is a delegate and may not have tcp rules");
    } else {
        hosts(spec, mesh, review);
    }
    gateways(&spec.gateways, review);
    if spec.http.is_empty() && spec.tls.is_empty() && spec.tcp.is_empty() {
        review.reject(spec.span, "one of `http`, `tls` and `tcp` is required");
    }
    for rule in &spec.http {
        http_rule::check(rule, http_rule::Place { delegate, mesh }, review);
    }
    for rule in &spec.tls {
        tls_rule(rule, spec, mesh, review);
    }
    for rule in &spec.tcp {
        tcp_rule(rule, review);
    }
    names::export_to(&spec.export_to, false, review);
    redundancy::warn(spec, review);
}

/// Why a host is none; at gateways the server names of clusters (`outbound_.80_._.HOST`) are hosts too.
fn wrong_host(host: &str, mesh: bool, sni: bool) -> Option<String> {
    match host.strip_prefix("outbound_") {
        Some(rest) if sni && !mesh && host.len() <= 255 => {
            let parts: Vec<&str> = rest.split('_').collect();
            let named = parts.len() >= 3
                && parts[0].bytes().any(|b| b.is_ascii_digit())
                && parts[2].bytes().any(|b| b.is_ascii_alphabetic());
            (!named).then(|| format!("`{host}` is not a server name of a cluster, `outbound_.PORT_.SUBSET_.HOST`"))
        }
        _ => names::wrong_wildcard_domain(host),
    }
}

fn hosts(spec: &VirtualService, mesh: bool, review: &mut Review<'_>) {
    let mut all_valid = true;
    let sni = spec.tls.iter().flat_map(|rule| &rule.matches).any(|block| !block.sni_hosts.is_empty());
    for entry in &spec.hosts {
        match wrong_host(&entry.value, mesh, sni) {
            Some(_) if names::is_address(&entry.value) => {}
            Some(why) => {
                all_valid = false;
                review.reject(entry.span, why);
            }
            None if mesh && entry.value == "*" => {
                all_valid = false;
                review.reject(entry.span, "the host `*` is not allowed for the gateway `mesh`");
            }
            None => {}
        }
    }
    if !all_valid {
        return;
    }
    for (index, entry) in spec.hosts.iter().enumerate() {
        if let Some(earlier) = spec.hosts[..index].iter().find(|earlier| host::matches(&earlier.value, &entry.value)) {
            review.reject(entry.span, format!("the hosts `{}` and `{}` overlap", earlier.value, entry.value));
        }
    }
}

/// Names of gateways. The check ends at the first name without a slash, as istiod's does.
pub(super) fn gateways(list: &[Spanned<String>], review: &mut Review<'_>) {
    for entry in list {
        let Some((namespace, name)) = entry.value.split_once('/') else {
            if entry.value.contains('.') {
                review.warn(entry.span, "the name of a gateway as a domain name is deprecated; write `namespace/name`");
            }
            if let Some(why) = names::wrong_domain(&entry.value) {
                review.reject(entry.span, why);
            }
            return;
        };
        if !names::is_label(namespace) || !names::is_label(name) {
            review.reject(entry.span, format!("`{}` is not `namespace/name`", entry.value));
        }
    }
}

/// A destination of a route or mirror (`validateDestination`).
pub(super) fn destination(destination: Option<&Destination>, place: Span, review: &mut Review<'_>) {
    let Some(destination) = destination else {
        review.reject(place, "a destination is required");
        return;
    };
    match destination.host.as_ref().map(|h| h.value.as_str()) {
        None | Some("") => review.reject(destination.span, "the host of a destination is required"),
        Some("*") => review.reject(destination.span, "`*` is no host to send to"),
        Some(host) => {
            if let Some(why) = names::wrong_wildcard_domain(host) {
                review.reject(destination.span, why);
            }
        }
    }
    if let Some(subset) = destination.subset.as_ref().filter(|s| !s.is_empty() && !names::is_label(s)) {
        review.reject(subset.span, format!("`{}` is not the name of a subset", subset.value));
    }
    if let Some(port) = &destination.port {
        let number = port.number.as_ref().map_or(0, |n| n.value);
        review.require((1..=65535).contains(&number), port.span, format!("a port lies between 1 and 65535, not at {number}"));
    }
}

/// Weights of several destinations (`validateWeightedDestinations`): none negative, and a sum other
/// than zero in 32-bit arithmetic.
pub(super) fn weights(weights: &[(i64, Span)], review: &mut Review<'_>) {
    let mut sum = 0_i32;
    for (weight, span) in weights {
        review.require(*weight >= 0, *span, format!("a weight may not be negative: {weight}"));
        sum = sum.wrapping_add(i32::try_from(*weight).unwrap_or(i32::MAX));
    }
    let Some((_, place)) = weights.first().filter(|_| weights.len() > 1) else { return };
    if sum == 0 {
        review.reject(*place, "the weights of several destinations may not add up to 0; an omitted weight is 0");
    } else if review.profile.weights_sum_to_100 && sum != 100 {
        review.reject(*place, format!("the weights add up to {sum}; this release wants 100"));
    }
}

fn route(list: &[RouteDestination], review: &mut Review<'_>) {
    for leg in list {
        destination(leg.destination.as_ref(), leg.span, review);
    }
    let all: Vec<(i64, Span)> = list.iter().map(|leg| leg.weight.as_ref().map_or((0, leg.span), |w| (w.value, w.span))).collect();
    weights(&all, review);
}

fn tls_rule(rule: &TlsRoute, spec: &VirtualService, mesh: bool, review: &mut Review<'_>) {
    review.require(!rule.matches.is_empty(), rule.span, "a tls rule needs a match");
    for block in &rule.matches {
        review.require(!block.sni_hosts.is_empty(), block.span, "a tls match needs `sniHosts`");
        for sni in &block.sni_hosts {
            if names::is_address(&sni.value) {
                review.warn(sni.span, format!("`{}` is an address; clients send no address as server name", sni.value));
            } else if let Some(why) = wrong_host(&sni.value, mesh, true) {
                review.reject(sni.span, why);
                continue;
            }
            let covered = spec.hosts.iter().any(|h| host::is_subset_of(&sni.value, &h.value));
            if !covered && !names::is_address(&sni.value) {
                review.reject(sni.span, format!("the server name `{}` lies under none of the hosts", sni.value));
            }
        }
        l4_conditions(&block.destination_subnets, block.port.as_ref(), review);
        names::labels(&block.source_labels, review);
        gateways(&block.gateways, review);
    }
    review.require(!rule.route.is_empty(), rule.span, "a tls rule needs a route");
    route(&rule.route, review);
}

fn tcp_rule(rule: &TcpRoute, review: &mut Review<'_>) {
    for block in &rule.matches {
        tcp_match(block, review);
    }
    review.require(!rule.route.is_empty(), rule.span, "a tcp rule needs a route");
    route(&rule.route, review);
}

fn tcp_match(block: &L4MatchAttributes, review: &mut Review<'_>) {
    l4_conditions(&block.destination_subnets, block.port.as_ref(), review);
    names::labels(&block.source_labels, review);
    review.without_warnings(|review| gateways(&block.gateways, review));
}

/// What istiod looks at; it takes any source namespace and source network.
fn l4_conditions(subnets: &[Spanned<String>], port: Option<&Spanned<i64>>, review: &mut Review<'_>) {
    for subnet in subnets.iter().filter(|s| !names::is_network(s)) {
        review.reject(subnet.span, format!("`{}` is not a network", subnet.value));
    }
    if let Some(port) = port.filter(|p| !(0..=65535).contains(&p.value)) {
        review.reject(port.span, format!("a port lies between 1 and 65535, not at {}", port.value));
    }
}
