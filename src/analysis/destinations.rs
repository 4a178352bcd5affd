//! Where VirtualServices send requests: hosts, subsets, ports, delegates.

use super::conflicts::is_in_mesh;
use super::input::{Input, Of, finding, text, texts};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::diagnostic::{Code, Diagnostic, ObjectRef, Severity};
use crate::mesh::host;
use crate::mesh::registry::{Protocol, Service};
use crate::resource::networking::{Destination, DestinationRule, VirtualService};

/// All destinations of a VirtualService: of http, tls and tcp rules, mirrors included.
fn destinations(spec: &VirtualService) -> impl Iterator<Item = &Destination> {
    let http = spec.http.iter().flat_map(|rule| {
        let legs = rule.route.iter().filter_map(|leg| leg.destination.as_ref());
        legs.chain(&rule.mirror).chain(rule.mirrors.iter().filter_map(|mirror| mirror.destination.as_ref()))
    });
    let tls = spec.tls.iter().flat_map(|rule| &rule.route);
    let tcp = spec.tcp.iter().flat_map(|rule| &rule.route);
    http.chain(tls.chain(tcp).filter_map(|leg| leg.destination.as_ref()))
}

fn resolved(name: &str, namespace: &str) -> String {
    host::resolve_short_name(name, namespace, "cluster.local")
}

/// Whether a service is seen from any of these namespaces.
fn is_seen(service: &Service, from: &[&str]) -> bool {
    from.iter().any(|namespace| {
        service.export_to.iter().any(|target| match target.as_str() {
            "*" => true,
            "." => service.namespace == *namespace,
            target => target == *namespace,
        })
    })
}

/// The namespaces whose clients use a VirtualService, as far as it names them; else its own.
fn clients<'a>(vs: &Of<'a, VirtualService>) -> Vec<&'a str> {
    let named: Vec<&str> =
        texts(&vs.spec.export_to).map(|name| if name == "." { vs.object.namespace.as_str() } else { name }).collect();
    if named.is_empty() || named.contains(&"*") { vec![vs.object.namespace.as_str()] } else { named }
}

/// Destinations whose Service selects no pod of the input, where it holds pods at all.
pub(super) fn empty_services(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let empty: FxHashMap<ObjectRef, &Diagnostic> = input
        .found
        .iter()
        .filter(|finding| finding.code == Code::ServiceWithoutPods)
        .filter_map(|finding| Some((finding.object.clone()?, finding)))
        .collect();
    if empty.is_empty() {
        return;
    }
    for vs in input.virtual_services() {
        for destination in destinations(vs.spec) {
            let Some(written) = &destination.host else { continue };
            let name = resolved(&written.value, &vs.object.namespace);
            let mut parts = name.split('.');
            let (Some(service), Some(namespace)) = (parts.next(), parts.next()) else { continue };
            let object = ObjectRef { kind: "Service".to_owned(), namespace: namespace.to_owned(), name: service.to_owned() };
            if let Some(cause) = empty.get(&object).filter(|_| name.ends_with(".svc.cluster.local")) {
                let message = format!("`{name}` has no endpoint");
                let finding = finding(Code::EmptyDestination, vs.object, written.span, message)
                    .effect("requests sent there get 503 UH; mirrored ones are lost");
                found.push(match &cause.primary {
                    Some(label) => finding.also(label.span, "selects no pod"),
                    None => finding,
                });
            }
        }
    }
}

/// Destination hosts that nobody has, or that none of the rule's clients see
/// (`virtualservice.DestinationHostAnalyzer`, IST0101).
pub(super) fn hosts(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for vs in input.virtual_services() {
        let from = clients(&vs);
        for destination in destinations(vs.spec) {
            let Some(written) = destination.host.as_ref().filter(|name| !name.is_empty()) else { continue };
            let name = resolved(&written.value, &vs.object.namespace);
            let known = input.services_meant(&name);
            let message = match known.first() {
                None => format!("host `{name}` is no service of the input"),
                Some(_) if known.iter().any(|service| is_seen(service, &from)) => continue,
                Some(service) => {
                    let export_to = service.export_to.join(", ");
                    format!("host `{name}` is exported to `{export_to}` only, which is not seen from `{}`", from.join("`, `"))
                }
            };
            found.push(finding(Code::UndefinedHost, vs.object, written.span, message).effect("requests on this route get 503"));
        }
    }
}

/// Subsets that no DestinationRule lists for their host (`virtualservice.DestinationRuleAnalyzer`,
/// IST0101), also of objects that the webhook refuses.
pub(super) fn subsets(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let mut rules: FxHashMap<String, Vec<&DestinationRule>> = FxHashMap::default();
    for rule in input.destination_rules() {
        let own = resolved(text(rule.spec.host.as_ref()), &rule.object.namespace);
        rules.entry(own).or_default().push(rule.spec);
    }
    let wildcards: Vec<(&String, &Vec<&DestinationRule>)> = rules.iter().filter(|(own, _)| host::is_wildcard(own)).collect();
    for vs in input.virtual_services() {
        for destination in destinations(vs.spec) {
            let Some(subset) = destination.subset.as_ref().filter(|subset| !subset.is_empty()) else { continue };
            let name = resolved(text(destination.host.as_ref()), &vs.object.namespace);
            let lists = |rules: &Vec<&DestinationRule>| {
                rules.iter().flat_map(|rule| &rule.subsets).any(|part| text(part.name.as_ref()) == subset.value)
            };
            let covers = |(own, rules): &(&String, &Vec<&DestinationRule>)| host::is_subset_of(&name, own) && lists(rules);
            if !name.is_empty() && (rules.get(&name).is_some_and(lists) || wildcards.iter().any(covers)) {
                continue;
            }
            let message = format!("subset `{}` of `{name}` is not defined", subset.value);
            found.push(
                finding(Code::UndefinedSubset, vs.object, subset.span, message)
                    .effect("requests on this route get 503")
                    .help("add the subset to the DestinationRule of the host"),
            );
        }
    }
}

/// Destinations without port in a service with several
/// (`virtualservice.DestinationHostAnalyzer`, IST0112). Sidecars take the port that was dialled,
/// gateways their own server's, which the service may not have.
pub(super) fn ports(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for vs in input.virtual_services() {
        let at_gateway = texts(&vs.spec.gateways).any(|gateway| gateway != "mesh");
        for destination in destinations(vs.spec) {
            let Some(written) = destination.host.as_ref().filter(|_| destination.port.is_none()) else { continue };
            let name = resolved(&written.value, &vs.object.namespace);
            let Some(service) = input.services_meant(&name).into_iter().find(|service| service.ports.len() > 1) else { continue };
            let list: Vec<String> = service.ports.iter().map(|port| port.port.to_string()).collect();
            let message = format!("the destination names none of the ports {} of `{name}`", list.join(", "));
            let mut diagnostic = finding(Code::UnstatedPort, vs.object, written.span, message)
                .effect("sidecars use the port that the client dialled, gateways the port of their own server")
                .help("add `port.number` to the destination");
            if !at_gateway {
                diagnostic.severity = Severity::Note;
            }
            found.push(diagnostic);
        }
    }
}

/// Delegates that do not exist, which `istioctl analyze` does not report.
pub(super) fn delegates(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for vs in input.virtual_services() {
        for delegate in vs.spec.http.iter().filter_map(|rule| rule.delegate.as_ref()) {
            let Some(name) = delegate.name.as_ref().filter(|name| !name.is_empty()) else { continue };
            let written = text(delegate.namespace.as_ref());
            let namespace = if written.is_empty() { vs.object.namespace.as_str() } else { written };
            let named = |other: &Of<'_, VirtualService>| other.object.name == name.value;
            if input.virtual_service(namespace, &name.value).is_some() {
                continue;
            }
            let message = format!("there is no VirtualService `{namespace}/{}` to delegate to", name.value);
            let diagnostic = finding(Code::UnknownDelegate, vs.object, name.span, message)
                .effect("the rule is left out; if no other is left, the service's default route answers");
            found.push(match input.virtual_services().find(named) {
                Some(other) => diagnostic.help(format!("`{}/{}` has that name", other.object.namespace, name.value)),
                None => diagnostic,
            });
        }
    }
}

/// Rules at a gateway that send to a host without subset which a rule of the mesh splits into
/// subsets (`virtualservice.IngressRouteRulesNotAffected`, IST0140): a gateway does not apply a
/// destination's own VirtualService.
pub(super) fn bypassed_subsets(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let mut splitting: FxHashMap<&str, Vec<Of<'_, VirtualService>>> = FxHashMap::default();
    for vs in input.virtual_services() {
        let legs = vs.spec.http.iter().flat_map(|rule| &rule.route).filter_map(|leg| leg.destination.as_ref());
        let with_subset = legs.filter(|destination| !text(destination.subset.as_ref()).is_empty());
        let split: FxHashSet<&str> = with_subset.map(|destination| text(destination.host.as_ref())).collect();
        for host in texts(&vs.spec.hosts).filter(|host| split.contains(host)) {
            splitting.entry(host).or_default().push(vs);
        }
    }
    for vs in input.virtual_services() {
        if !texts(&vs.spec.gateways).any(|gateway| gateway != "mesh") {
            continue;
        }
        let legs = vs.spec.http.iter().flat_map(|rule| &rule.route).filter_map(|leg| leg.destination.as_ref());
        for destination in legs.filter(|destination| text(destination.subset.as_ref()).is_empty()) {
            let Some(name) = &destination.host else { continue };
            let others = splitting.get(name.value.as_str()).map_or(&[][..], Vec::as_slice);
            let Some(other) = others.iter().find(|other| !std::ptr::eq(other.object, vs.object)) else { continue };
            let message =
                format!("the rules of `{}/{}` for `{}` do not apply here", other.object.namespace, other.object.name, name.value);
            found.push(
                finding(Code::BypassedRules, vs.object, name.span, message)
                    .also(other.object.span, "splits the host into subsets")
                    .effect("requests from the gateway go to all endpoints of the host, whatever their subset")
                    .help("name the subsets in this route too"),
            );
        }
    }
}

/// `fault.delay.percent` (`deprecation.FieldAnalyzer`, IST0002).
pub(super) fn deprecated_percentages(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for vs in input.virtual_services() {
        let delays = vs.spec.http.iter().filter_map(|rule| rule.fault.as_ref()?.delay.as_ref()?.percent.as_ref());
        for percent in delays.filter(|percent| percent.value > 0) {
            let message = "`fault.delay.percent` is deprecated";
            found.push(finding(Code::Deprecated, vs.object, percent.span, message).help("use `percentage.value`"));
        }
    }
}

/// Hosts of mesh rules that no service has, which `istioctl analyze` does not report.
pub(super) fn own_hosts(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for vs in input.virtual_services().filter(|vs| is_in_mesh(vs.spec)) {
        // Beside a gateway, hosts are usually the gateway's.
        if vs.spec.gateways.len() > 1 {
            continue;
        }
        for own in vs.spec.hosts.iter().filter(|own| !host::is_wildcard(&own.value) && !own.value.contains('.')) {
            let name = resolved(&own.value, &vs.object.namespace);
            if input.services_of_host(&name).next().is_some() {
                continue;
            }
            let near = input.mesh.services.iter().filter(|service| service.namespace == vs.object.namespace);
            let near = crate::yaml::nearest(&own.value, near.map(|service| service.name.as_str()));
            let diagnostic =
                finding(Code::UnknownRuleHost, vs.object, own.span, format!("the host `{name}` is no service of the input"))
                    .effect("requests to the service that was meant do not meet these rules");
            found.push(match near {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None => diagnostic,
            });
        }
    }
}

/// HTTP rules for a service none of whose ports speaks HTTP, which `istioctl analyze` does not report.
pub(super) fn rules_on_tcp_ports(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for vs in input.virtual_services().filter(|vs| is_in_mesh(vs.spec)) {
        let Some(rule) = vs.spec.http.first() else { continue };
        for own in &vs.spec.hosts {
            let name = resolved(&own.value, &vs.object.namespace);
            let Some(service) = input.services_of_host(&name).next() else { continue };
            let takes_http = |protocol: Protocol| protocol.is_http() || protocol == Protocol::Sniffed;
            if service.ports.is_empty() || service.ports.iter().any(|port| takes_http(port.protocol)) {
                continue;
            }
            let port = &service.ports[0];
            let message = format!("no port of `{name}` is known to speak HTTP, so these rules never apply");
            found.push(
                finding(Code::RulesWithoutHttp, vs.object, rule.span, message)
                    .also(port.span, "named for another protocol")
                    .effect("sidecars forward the bytes without looking at requests")
                    .help("name the port `http` or `http-…`, or set `appProtocol`"),
            );
        }
    }
}

/// Matches of mesh rules for a port that none of their hosts has, which `istioctl analyze` does not
/// report. A host that no service has is served on port 80.
pub(super) fn unmet_ports(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for vs in input.virtual_services().filter(|vs| is_in_mesh(vs.spec) && !vs.spec.hosts.is_empty()) {
        let known: Vec<Vec<&Service>> =
            texts(&vs.spec.hosts).map(|own| input.services_meant(&resolved(own, &vs.object.namespace))).collect();
        if known.iter().any(Vec::is_empty) || texts(&vs.spec.hosts).any(host::is_wildcard) {
            continue;
        }
        for block in vs.spec.http.iter().flat_map(|rule| &rule.matches) {
            let for_mesh = match block.gateways.as_slice() {
                [] => vs.spec.gateways.iter().all(|gateway| gateway.value == "mesh"),
                list => list.iter().all(|gateway| gateway.value == "mesh"),
            };
            let Some(port) = block.port.as_ref().filter(|port| for_mesh && port.value != 0) else { continue };
            if known.iter().flatten().any(|service| service.ports.iter().any(|own| i64::from(own.port) == port.value)) {
                continue;
            }
            let message = format!("none of the hosts has port {}", port.value);
            let start = finding(Code::UnmetPort, vs.object, port.span, message).effect("no sidecar has this match");
            found.push(known.iter().flatten().fold(start, |diagnostic, service| {
                let list: Vec<String> = service.ports.iter().map(|own| own.port.to_string()).collect();
                diagnostic.also(service.origin.span, format!("has {}", list.join(", ")))
            }));
        }
    }
}

/// Aborts without status, which `istioctl analyze` does not report.
pub(super) fn empty_aborts(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for vs in input.virtual_services() {
        let aborts = vs.spec.http.iter().filter_map(|rule| rule.fault.as_ref()?.abort.as_ref());
        for abort in
            aborts.filter(|abort| abort.http_status.is_none() && abort.grpc_status.is_none() && abort.http2_error.is_none())
        {
            found.push(
                finding(Code::EmptyAbort, vs.object, abort.span, "the fault names no status to abort with")
                    .effect("no request is aborted")
                    .help("set `httpStatus` or `grpcStatus`"),
            );
        }
    }
}
