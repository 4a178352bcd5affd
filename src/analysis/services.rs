//! Services and ServiceEntries: names of ports, addresses, pods that several Services share.

use super::injection;
use super::input::{Input, finding, selects, text};
use crate::diagnostic::{Code, Diagnostic};
use crate::mesh::registry::Protocol;
use crate::resource::kubernetes::ServicePort;
use crate::resource::{Object, PortRef};
use crate::source::{Span, Spanned};

/// Ports whose name leaves the protocol to detection (`service.PortNameAnalyzer`, IST0118), and ports
/// of ExternalName services that are named for TCP (IST0150).
pub(super) fn port_names(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for service in input.services() {
        if injection::is_system(&service.object.namespace) {
            continue;
        }
        let is_external = text(service.spec.kind.as_ref()) == "ExternalName";
        let known = input
            .mesh
            .services
            .iter()
            .find(|s| s.kubernetes && s.name == service.object.name && s.namespace == service.object.namespace);
        for port in &service.spec.ports {
            let name = text(port.name.as_ref());
            let span = port.name.as_ref().map_or(port.span, |name| name.span);
            if is_external {
                if name.is_empty() || name == "tcp" || name.starts_with("tcp-") {
                    let message = format!("port `{name}` of an ExternalName service is named for TCP");
                    found.push(
                        finding(Code::ExternalNamePort, service.object, span, message)
                            .effect("the proxy listens for it on all addresses, which hides other services on the port"),
                    );
                }
                continue;
            }
            let number = port.port.as_ref().map_or(0, |number| number.value);
            let protocol = known.and_then(|s| s.ports.iter().find(|p| i64::from(p.port) == number)).map(|p| p.protocol);
            if protocol == Some(Protocol::Sniffed) {
                let message = format!("the name `{name}` of port {number} does not say its protocol");
                found.push(
                    finding(Code::UnclearPortName, service.object, span, message)
                        .effect("proxies guess the protocol from the first bytes of a connection")
                        .help("name the port `PROTOCOL` or `PROTOCOL-…`, or set `appProtocol`"),
                );
            }
        }
    }
}

/// TCP ports of ServiceEntries without address (`serviceentry.ProtocolAddressesAnalyzer`, IST0134).
pub(super) fn addresses(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for service in input.service_entries().filter(|service| service.spec.addresses.is_empty()) {
        for port in &service.spec.ports {
            if !matches!(text(port.protocol.as_ref()), "" | "TCP") {
                continue;
            }
            let number = port.number.as_ref().map_or(0, |number| number.value);
            let message = format!("port {number} carries TCP, and the ServiceEntry has no address to tell its traffic apart");
            found.push(
                finding(Code::UnaddressedPort, service.object, port.span, message)
                    .effect("unless proxies allocate addresses, the port is taken on all addresses")
                    .help("set `addresses`"),
            );
        }
    }
}

/// One port of a Service in front of a workload.
struct Front<'a> {
    service: &'a Object,
    port: &'a ServicePort,
}

impl Front<'_> {
    fn number(&self) -> i64 {
        self.port.port.as_ref().map_or(0, |number| number.value)
    }

    fn transport(&self) -> &str {
        self.port.protocol.as_ref().map_or("TCP", |protocol| protocol.value.as_str())
    }

    fn target(&self) -> String {
        match &self.port.target_port {
            Some(PortRef::Number(number, _)) => number.to_string(),
            Some(PortRef::Name(name, _)) => name.clone(),
            None => self.number().to_string(),
        }
    }
}

/// Deployments of the mesh behind Services that disagree: on the transport of a port number
/// (`deployment.ServiceAssociationAnalyzer`, IST0116), or on the number for a target port (IST0137).
pub(super) fn shared_deployments(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for deployment in input.deployments() {
        let template = &deployment.spec.template;
        if !injection::is_injected(input, &deployment.object.namespace, &template.metadata) {
            continue;
        }
        let fronts: Vec<Front<'_>> = input
            .services()
            .filter(|service| service.object.namespace == deployment.object.namespace)
            .filter(|service| !service.spec.selector.is_empty() && selects(&service.spec.selector, &template.metadata.labels))
            .flat_map(|service| service.spec.ports.iter().map(move |port| Front { service: service.object, port }))
            .collect();
        for (index, one) in fronts.iter().enumerate() {
            for other in fronts[..index].iter().filter(|other| !std::ptr::eq(other.service, one.service)) {
                if one.number() == other.number() && one.transport() != other.transport() {
                    let message = format!(
                        "port {} is {} in Service `{}` and {} in `{}`",
                        one.number(),
                        other.transport(),
                        other.service.name,
                        one.transport(),
                        one.service.name
                    );
                    found.push(shared(Code::ConflictingTransport, deployment.object, message, other, one));
                }
                if one.number() != other.number() && one.target() == other.target() {
                    let message = format!(
                        "target port {} is port {} of Service `{}` and port {} of `{}`",
                        one.target(),
                        other.number(),
                        other.service.name,
                        one.number(),
                        one.service.name
                    );
                    found.push(shared(Code::ConflictingTarget, deployment.object, message, other, one));
                }
            }
        }
    }
}

fn shared(code: Code, deployment: &Object, message: String, first: &Front<'_>, second: &Front<'_>) -> Diagnostic {
    finding(code, deployment, Span::NOWHERE, message)
        .also(first.port.span, "one of the ports")
        .also(second.port.span, "the other")
        .effect("the sidecar has one inbound listener for the port, made for one of the Services")
}

/// `exportTo` with a namespace that the input does not hold, which `istioctl analyze` does not report.
pub(super) fn export_to(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let known: Vec<&str> = input.namespaces().map(|item| item.object.name.as_str()).collect();
    if known.is_empty() {
        return;
    }
    let is_known = |name: &str| known.contains(&name) || input.objects.iter().any(|object| object.namespace == name);
    let mut check = |object: &Object, list: &[Spanned<String>]| {
        for target in list.iter().filter(|target| !matches!(target.value.as_str(), "." | "*" | "~") && !is_known(&target.value)) {
            let message = format!("there is no namespace `{}` in the input", target.value);
            let diagnostic =
                finding(Code::UnknownExportTarget, object, target.span, message).effect("nobody there sees the object");
            found.push(match crate::yaml::nearest(&target.value, known.iter().copied()) {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None => diagnostic,
            });
        }
    };
    input.virtual_services().for_each(|item| check(item.object, &item.spec.export_to));
    input.destination_rules().for_each(|item| check(item.object, &item.spec.export_to));
    input.service_entries().for_each(|item| check(item.object, &item.spec.export_to));
}
