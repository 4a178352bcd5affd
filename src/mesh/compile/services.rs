//! Services and ServiceEntries become the registry's hosts and ports.

use std::net::Ipv4Addr;

use rustc_hash::FxHashSet;

use super::context::{Context, Item, labels, texts};
use super::protocol;
use crate::mesh::registry::{Resolution, Service, ServicePort, TargetPort};
use crate::resource::PortRef;
use crate::resource::kubernetes::{ServicePort as KubernetesPort, ServiceSpec};
use crate::resource::networking::{GatewayPort, ServiceEntry};
use crate::source::Spanned;

/// The annotation that limits who sees a Service.
const EXPORT_TO_ANNOTATION: &str = "networking.istio.io/exportTo";

/// The annotation that says where a Service's endpoints should be, in place of the field.
const TRAFFIC_DISTRIBUTION_ANNOTATION: &str = "networking.istio.io/traffic-distribution";

/// First octets of the addresses that Services without one are given: a reserved network, so that
/// nobody mistakes them for real ones.
const MADE_UP_NETWORK: [u8; 2] = [240, 240];

/// All services of the input.
pub(super) fn services(cx: &Context<'_>) -> Vec<Service> {
    let mut services: Vec<Service> = cx.services.iter().map(|item| kubernetes_service(cx, item)).collect();
    for entry in &cx.service_entries {
        let mut hosts: Vec<&Spanned<String>> = Vec::new();
        for host in &entry.spec.hosts {
            if hosts.iter().all(|known| known.value != host.value) {
                hosts.push(host);
            }
        }
        services.extend(hosts.into_iter().map(|host| entry_service(cx, entry, host)));
    }
    services
}

fn text<'a>(field: Option<&'a Spanned<String>>, otherwise: &'a str) -> &'a str {
    field.map_or(otherwise, |f| f.value.as_str())
}

fn port_number(number: Option<&Spanned<i64>>) -> Option<u16> {
    number.and_then(|n| u16::try_from(n.value).ok())
}

fn kubernetes_service(cx: &Context<'_>, item: &Item<'_, ServiceSpec>) -> Service {
    let (object, spec) = (item.object, item.spec);
    let cluster_ip = text(spec.cluster_ip.as_ref(), "");
    let is_alias = text(spec.kind.as_ref(), "ClusterIP") == "ExternalName";
    let resolution = match (is_alias, cluster_ip) {
        (true, _) => Resolution::Alias,
        (false, "None") => Resolution::Passthrough,
        (false, _) => Resolution::ClientSide,
    };
    let mut addresses = texts(&spec.cluster_ips);
    if addresses.is_empty() && !cluster_ip.is_empty() {
        addresses.push(cluster_ip.to_owned());
    }
    addresses.retain(|address| address != "None");
    Service {
        host: format!("{}.{}.svc.{}", object.name, object.namespace, cx.options.cluster_domain),
        name: object.name.clone(),
        namespace: object.namespace.clone(),
        ports: spec.ports.iter().filter_map(|port| kubernetes_port(cx, port)).collect(),
        addresses,
        resolution,
        kubernetes: true,
        external: false,
        alias_of: is_alias.then(|| text(spec.external_name.as_ref(), "").trim_end_matches('.').to_lowercase()),
        export_to: service_export_to(cx, object.meta.annotations.get(EXPORT_TO_ANNOTATION)),
        created: item.created().to_owned(),
        selector: labels(&spec.selector),
        prefers_close: prefers_close(item),
        publish_not_ready: spec.publish_not_ready_addresses == Some(true),
        origin: item.origin(object.span),
    }
}

fn prefers_close(item: &Item<'_, ServiceSpec>) -> bool {
    let annotation = item.object.meta.annotations.get(TRAFFIC_DISTRIBUTION_ANNOTATION);
    let written = annotation.or(item.spec.traffic_distribution.as_ref());
    matches!(text(written, ""), "PreferClose" | "PreferSameZone" | "PreferSameNode")
}

fn service_export_to(cx: &Context<'_>, annotation: Option<&Spanned<String>>) -> Vec<String> {
    let written = annotation.map(|a| a.value.as_str()).filter(|a| !a.is_empty());
    match written {
        Some(list) => list.split(',').map(|target| target.trim().to_owned()).collect(),
        None => default_export_to(cx),
    }
}

fn default_export_to(cx: &Context<'_>) -> Vec<String> {
    let default = texts(&cx.mesh_config.default_service_export_to);
    if default.is_empty() { vec!["*".to_owned()] } else { default }
}

fn kubernetes_port(cx: &Context<'_>, port: &KubernetesPort) -> Option<ServicePort> {
    let number = port_number(port.port.as_ref())?;
    let name = text(port.name.as_ref(), "");
    let target = match &port.target_port {
        // The API server reads 0 as absent.
        Some(PortRef::Number(target, _)) if *target != 0 => TargetPort::Number(u16::try_from(*target).ok()?),
        Some(PortRef::Name(target, _)) if !target.is_empty() => TargetPort::Name(target.clone()),
        _ => TargetPort::Number(number),
    };
    Some(ServicePort {
        name: name.to_owned(),
        port: number,
        protocol: protocol::of_service_port(
            text(port.protocol.as_ref(), "TCP"),
            port.app_protocol.as_ref().map(|p| p.value.as_str()),
            name,
            i64::from(number),
            &cx.options.profile,
        ),
        target,
        span: port.span,
    })
}

fn entry_service(cx: &Context<'_>, item: &Item<'_, ServiceEntry>, host: &Spanned<String>) -> Service {
    let (object, spec) = (item.object, item.spec);
    let resolution = match text(spec.resolution.as_ref(), "NONE") {
        "STATIC" => Resolution::ClientSide,
        "DNS" => Resolution::Dns,
        "DNS_ROUND_ROBIN" => Resolution::DnsRoundRobin,
        "DYNAMIC_DNS" => Resolution::DynamicDns,
        _ => Resolution::Passthrough,
    };
    let export_to = texts(&spec.export_to);
    Service {
        host: host.value.to_lowercase(),
        name: object.name.clone(),
        namespace: object.namespace.clone(),
        ports: spec.ports.iter().filter_map(|port| entry_port(cx, port)).collect(),
        addresses: texts(&spec.addresses),
        resolution,
        kubernetes: false,
        external: text(spec.location.as_ref(), "MESH_EXTERNAL") != "MESH_INTERNAL",
        alias_of: None,
        export_to: if export_to.is_empty() { default_export_to(cx) } else { export_to },
        created: item.created().to_owned(),
        selector: spec.workload_selector.as_ref().map(|s| labels(&s.labels)).unwrap_or_default(),
        prefers_close: false,
        publish_not_ready: false,
        origin: item.origin(host.span),
    }
}

fn entry_port(cx: &Context<'_>, port: &GatewayPort) -> Option<ServicePort> {
    let number = port_number(port.number.as_ref())?;
    let target = port_number(port.target_port.as_ref()).filter(|target| *target != 0).unwrap_or(number);
    Some(ServicePort {
        name: text(port.name.as_ref(), "").to_owned(),
        port: number,
        protocol: protocol::of_word(text(port.protocol.as_ref(), ""), &cx.options.profile),
        target: TargetPort::Number(target),
        span: port.span,
    })
}

/// Gives an address to every Service that a cluster would have given one. It depends on the host
/// and hardly on the other Services, so that it stays when one of them comes or goes.
pub(super) fn give_addresses(services: &mut [Service]) {
    let mut taken: FxHashSet<u16> = FxHashSet::default();
    for service in services {
        if !service.kubernetes || service.resolution != Resolution::ClientSide || !service.addresses.is_empty() {
            continue;
        }
        let first = fnv1a(service.host.as_bytes()) as u16;
        // Beyond 65534 Services addresses repeat; nothing but address matching would notice.
        let free = (0..=u16::MAX).map(|step| first.wrapping_add(step)).find(|low| *low != 0 && taken.insert(*low));
        let [third, fourth] = free.unwrap_or(first).to_be_bytes();
        service.addresses.push(Ipv4Addr::new(MADE_UP_NETWORK[0], MADE_UP_NETWORK[1], third, fourth).to_string());
    }
}

/// FNV-1a in 32 bits: made-up addresses follow names on every platform and in every release.
pub(super) fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::compile::testing::compiled;

    const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: plain, namespace: a, annotations: {networking.istio.io/exportTo: 'b, .'}}
spec:
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: tcp-x, port: 81, targetPort: admin}
  - {name: y, port: 82}
---
apiVersion: v1
kind: Service
metadata: {name: headless, namespace: a}
spec: {clusterIP: None, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: fixed, namespace: a}
spec: {clusterIP: 10.0.0.7, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: alias, namespace: a}
spec: {type: ExternalName, externalName: Plain.a.svc.cluster.local.}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside, namespace: a}
spec:
  hosts: [one.example.com, two.example.com]
  addresses: [192.0.2.7]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{number: 443, name: tls, protocol: TLS, targetPort: 8443}]
";

    #[test]
    fn every_kind_of_service_is_reached_in_its_own_way() {
        let (mesh, _) = compiled(SERVICES);
        let row = |s: &Service| (s.host.as_str().to_owned(), s.resolution, s.external, s.addresses.len());
        let rows: Vec<_> = mesh.services.iter().map(row).collect();
        let local = |name: &str| format!("{name}.a.svc.cluster.local");
        assert_eq!(
            rows,
            [
                (local("alias"), Resolution::Alias, false, 0),
                (local("fixed"), Resolution::ClientSide, false, 1),
                (local("headless"), Resolution::Passthrough, false, 0),
                ("one.example.com".to_owned(), Resolution::Dns, true, 1),
                (local("plain"), Resolution::ClientSide, false, 1),
                ("two.example.com".to_owned(), Resolution::Dns, true, 1),
            ]
        );
        let by_name = |name: &str| mesh.services.iter().find(|s| s.name == name).unwrap();
        assert_eq!(by_name("alias").alias_of.as_deref(), Some("plain.a.svc.cluster.local"));
        assert_eq!(by_name("plain").export_to, ["b", "."]);
        let targets: Vec<_> = by_name("plain").ports.iter().map(|port| port.target.clone()).collect();
        assert_eq!(targets, [TargetPort::Number(8080), TargetPort::Name("admin".to_owned()), TargetPort::Number(82)]);
        assert_eq!(by_name("outside").ports[0].target, TargetPort::Number(8443));
    }

    #[test]
    fn a_made_up_address_stays_when_other_services_come() {
        let of = |mesh: &crate::mesh::Mesh| mesh.services.iter().find(|s| s.name == "plain").unwrap().addresses.clone();
        let (alone, _) = compiled(SERVICES);
        let more = "---\napiVersion: v1\nkind: Service\nmetadata: {name: aaa, namespace: a}\nspec: {ports: [{port: 80}]}\n";
        let (together, _) = compiled(&format!("{SERVICES}{more}"));
        assert_eq!(of(&alone), of(&together));
        assert!(of(&alone)[0].starts_with("240.240."));
    }
}
