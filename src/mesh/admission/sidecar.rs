//! Sidecars (`ValidateSidecar`).

use super::gateway::{self, Family, family, namespaced_host};
use super::names;
use super::review::Review;
use super::traffic_policy::connection_pool;
use super::virtual_service::destination;
use crate::resource::networking::{GatewayPort, ServerTlsSettings, Sidecar, SidecarEgress, SidecarIngress};

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
        if let Some(why) = names::wrong_domain(proxy.host.as_ref().map_or("", |host| host.value.as_str())) {
            review.reject(proxy.span, why);
        }
        review.require(proxy.port.is_some(), proxy.span, "`egressProxy` needs a port");
        destination(Some(proxy), proxy.span, review);
    }
}

/// A listener has a port, or else a unix socket, where nothing is captured.
fn bind_fits(bind: &str, number: i64, listener: &SidecarEgress, review: &mut Review<'_>) {
    let span = listener.span;
    if number == 0 {
        match bind.strip_prefix("unix://") {
            Some(path) => {
                review.require(names::is_socket_path(path), span, "a unix socket needs an absolute path or an abstract name")
            }
            None => review.reject(span, "a listener needs a port, or the address of a unix socket"),
        }
        let captures = listener.capture_mode.as_ref().is_some_and(|mode| mode.value == "IPTABLES");
        review.require(!captures, span, "nothing can be captured for a unix socket");
        return;
    }
    review.require((1..=65535).contains(&number), span, format!("a port lies between 1 and 65535, not at {number}"));
    let fits = bind.is_empty() || names::is_zoned_address(bind);
    review.require(fits, span, format!("`{bind}` is not an address to bind to"));
}

fn ingress(listener: &SidecarIngress, earlier: &[SidecarIngress], review: &mut Review<'_>) {
    let Some(port) = &listener.port else {
        review.reject(listener.span, "an ingress listener needs a port");
        return;
    };
    let number = port.number.as_ref().map_or(0, |n| n.value);
    let bind = listener.bind.as_ref().map_or("", |b| b.value.as_str());
    review.require((1..=65535).contains(&number), port.span, format!("a port lies between 1 and 65535, not at {number}"));
    let fits = bind.is_empty() || names::is_zoned_address(bind);
    review.require(fits, listener.span, format!("`{bind}` is not an address to bind to"));
    if let Some(target) = port.target_port.as_ref().filter(|t| t.value > 0) {
        review.reject(target.span, "`targetPort` has no meaning in an ingress listener");
    }
    let same = |other: &SidecarIngress| other.port.as_ref().and_then(|p| p.number.as_ref()).map(|n| n.value) == Some(number);
    review.require(!earlier.iter().any(same), port.span, format!("the port {number} stands twice"));
    port_words(port, review);
    default_endpoint(listener, review);
    if let Some(settings) = &listener.tls {
        ingress_tls(settings, port, review);
    }
    if let Some(pool) = &listener.connection_pool {
        connection_pool(pool, review);
        let protocol = port.protocol.as_ref().map_or("", |p| p.value.as_str());
        if pool.http.is_some() && family(protocol) != Family::Http {
            review.warn(pool.span, "an http pool has no effect on a port that is not HTTP");
        }
    }
}

/// Name and protocol of a listener's port; either may be absent.
fn port_words(port: &GatewayPort, review: &mut Review<'_>) {
    if let Some(name) = port.name.as_ref().filter(|name| !name.is_empty() && !names::is_label(name)) {
        review.reject(name.span, format!("`{}` is not the name of a port", name.value));
    }
    if let Some(protocol) = port.protocol.as_ref().filter(|p| !p.is_empty() && family(p) == Family::Unknown) {
        review.reject(protocol.span, format!("`{}` is not a known protocol", protocol.value));
    }
}

fn ingress_tls(settings: &ServerTlsSettings, port: &GatewayPort, review: &mut Review<'_>) {
    let unsupported = [
        ("subjectAltNames", !settings.subject_alt_names.is_empty()),
        ("httpsRedirect", settings.https_redirect.as_ref().is_some_and(|redirect| redirect.value)),
        ("credentialName", settings.credential_name.as_ref().is_some_and(|name| !name.is_empty())),
        ("credentialNames", !settings.credential_names.is_empty()),
        ("tlsCertificates", !settings.tls_certificates.is_empty()),
    ];
    for (field, _) in unsupported.iter().filter(|(_, given)| *given) {
        review.reject(settings.span, format!("`{field}` is not supported in an ingress listener"));
    }
    if let Some(mode) = settings.mode.as_ref().filter(|m| matches!(m.value.as_str(), "ISTIO_MUTUAL" | "AUTO_PASSTHROUGH")) {
        review.reject(mode.span, format!("mode {} is not supported in an ingress listener", mode.value));
    }
    let protocol = port.protocol.as_ref().map_or("", |p| p.value.as_str());
    review.require(family(protocol) == Family::Tls, settings.span, "tls settings need a port of HTTPS or TLS");
    gateway::tls(settings, review);
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
            let number = |port: &GatewayPort| port.number.as_ref().map_or(0, |n| n.value);
            port_words(port, review);
            if let Some(target) = port.target_port.as_ref().filter(|t| t.value > 0) {
                review.reject(target.span, "`targetPort` has no meaning in an egress listener");
            }
            bind_fits(bind, number(port), listener, review);
            let numbers = earlier.iter().filter_map(|other| other.port.as_ref().map(|p| (number(p), other)));
            let same = |(n, other): (i64, &SidecarEgress)| {
                let other_bind = other.bind.as_ref().map_or("", |b| b.value.as_str());
                n == number(port) && (n > 0 || other_bind == bind)
            };
            if numbers.into_iter().any(same) {
                review.reject(port.span, "two egress listeners have one port or one unix socket");
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
