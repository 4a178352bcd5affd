//! Objects that claim the same thing, of which one wins or all lose.

use indexmap::IndexMap;

use super::input::{Input, Labels, Of, finding, labels_at, name_span, selects, shown, text, texts};
use crate::diagnostic::{Code, Diagnostic};
use crate::mesh::host;
use crate::resource::Object;
use crate::resource::networking::{ServerTlsSettings, ServiceEntry, VirtualService};
use crate::source::Span;

/// A host that a VirtualService claims for sidecars.
#[derive(Clone, Copy)]
struct Claim<'a> {
    object: &'a Object,
    span: Span,
}

/// Several VirtualServices for one host in the mesh (`virtualservice.ConflictingMeshGatewayHostsAnalyzer`,
/// IST0109). Public claims meet at equal hosts; a claim that only some namespaces see also meets the
/// public ones that its host covers or that cover it, and answers for them there.
pub(super) fn mesh_hosts(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let mut claims: IndexMap<(Option<&str>, String), Vec<Claim<'_>>> = IndexMap::new();
    for vs in input.virtual_services().filter(|vs| is_in_mesh(vs.spec)) {
        let scope = (!is_public(vs.spec, &input.default_export_to)).then_some(vs.object.namespace.as_str());
        for own in &vs.spec.hosts {
            let name = host::resolve_short_name(&own.value, &vs.object.namespace, "cluster.local");
            claims.entry((scope, name)).or_default().push(Claim { object: vs.object, span: own.span });
        }
    }
    for ((scope, name), of_host) in &claims {
        let public = claims.iter().filter(|((other, wide), _)| scope.is_some() && other.is_none() && host::matches(wide, name));
        let rivals: Vec<Claim<'_>> = of_host.iter().chain(public.flat_map(|(_, claims)| claims)).copied().collect();
        if rivals.len() > 1 {
            found.extend(rivals.iter().enumerate().map(|(index, _)| conflict(name, *scope, &rivals, index)));
        }
    }
}

fn conflict(name: &str, scope: Option<&str>, rivals: &[Claim<'_>], index: usize) -> Diagnostic {
    let own = rivals[index];
    let place =
        scope.map_or_else(|| "sidecars".to_owned(), |namespace| format!("sidecars that see namespace `{namespace}`'s rules"));
    let message = format!("{} VirtualServices claim host `{name}` for {place}", rivals.len());
    let start = finding(Code::ConflictingHost, own.object, own.span, message)
        .effect("each sidecar uses the rules of one of them whole: a private one first, then the oldest")
        .help("merge them, or give them different hosts");
    let others = rivals.iter().enumerate().filter(|(other, _)| *other != index);
    others.fold(start, |diagnostic, (_, rival)| {
        diagnostic.also(rival.span, format!("claimed by `{}/{}` too", rival.object.namespace, rival.object.name))
    })
}

pub(super) fn is_in_mesh(spec: &VirtualService) -> bool {
    spec.gateways.is_empty() || texts(&spec.gateways).any(|gateway| gateway == "mesh")
}

fn is_public(spec: &VirtualService, default: &[&str]) -> bool {
    let own: Vec<&str> = texts(&spec.export_to).collect();
    let list = if own.is_empty() { default } else { &own };
    list.is_empty() || list.contains(&"*")
}

/// Sidecars of one namespace for the same pods (`sidecar.SelectorAnalyzer`, IST0110), or without
/// selector (`sidecar.DefaultSelectorAnalyzer`, IST0111); and those that select nothing (IST0101).
pub(super) fn sidecars(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let all: Vec<Selecting<'_>> = input
        .sidecars()
        .map(|item| {
            let selector = item.spec.workload_selector.as_ref().map(|selector| selector.labels.clone());
            Selecting { object: item.object, span: item.spec.workload_selector.as_ref().map(|s| s.span), selector }
        })
        .collect();
    competing(input, &all, (Code::ConflictingSidecars, Code::SeveralDefaultSidecars), found);
}

/// Telemetries of one namespace for the same pods (`telemetry.SelectorAnalyzer`, IST0159), or without
/// selector (`telemetry.DefaultSelectorAnalyzer`, IST0160); and those that select nothing (IST0101).
pub(super) fn telemetries(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let all: Vec<Selecting<'_>> = input
        .telemetries()
        .filter_map(|item| {
            let spec = item.spec.spec.as_ref()?;
            if spec.get("targetRef").is_some() || spec.get("targetRefs").is_some() {
                return None;
            }
            let selector = spec.get("selector").map(|_| labels_at(spec, &["selector", "matchLabels"]));
            Some(Selecting { object: item.object, span: spec.get("selector").map(|node| node.span), selector })
        })
        .collect();
    competing(input, &all, (Code::ConflictingTelemetries, Code::SeveralDefaultTelemetries), found);
}

/// An object that is for some pods of its namespace, or for all.
struct Selecting<'a> {
    object: &'a Object,
    span: Option<Span>,
    selector: Option<Labels>,
}

impl Selecting<'_> {
    fn place(&self) -> Span {
        self.span.unwrap_or_else(|| name_span(self.object))
    }
}

fn competing(input: &Input<'_>, all: &[Selecting<'_>], (selected, default): (Code, Code), found: &mut Vec<Diagnostic>) {
    for (index, one) in all.iter().enumerate() {
        let namespace = &one.object.namespace;
        let kind = one.object.body.kind();
        let others = || all.iter().enumerate().filter(|(i, o)| *i != index && o.object.namespace == *namespace).map(|(_, o)| o);
        let Some(selector) = one.selector.as_ref().filter(|selector| !selector.is_empty()) else {
            if let Some(other) = others().find(|other| other.selector.as_ref().is_none_or(|s| s.is_empty())) {
                let message = format!("namespace `{namespace}` has several {kind} objects without selector");
                found.push(
                    finding(default, one.object, one.place(), message)
                        .also(other.place(), "another one")
                        .effect("only one of them is used for its pods")
                        .help("merge them, or give them selectors"),
                );
            }
            continue;
        };
        let pods = || input.pods_for_policy(namespace, selector);
        if pods().next().is_none() {
            found.push(nobody(input, one.object, one.place(), selector));
        }
        let rival = others().find(|other| {
            other.selector.as_ref().is_some_and(|s| !s.is_empty() && pods().any(|pod| selects(s, &pod.meta.labels)))
        });
        if let Some(rival) = rival {
            let message = format!("`{}` selects the same pods as `{}`", one.object.name, rival.object.name);
            found.push(
                finding(selected, one.object, one.place(), message)
                    .also(rival.place(), "the other selector")
                    .effect("only one of them is used for these pods")
                    .help("merge them, or make the selectors disjoint"),
            );
        }
    }
}

/// A selector that finds no pod; worth a note only where the input holds no pods at all.
pub(super) fn nobody(input: &Input<'_>, object: &Object, span: Span, selector: &Labels) -> Diagnostic {
    let message = format!("no pod of the input has the labels `{}`", shown(selector));
    let mut found = finding(Code::UnmatchedSelector, object, span, message).effect("the object is for nobody");
    if input.pods().is_empty() {
        found.severity = crate::diagnostic::Severity::Note;
    }
    found
}

/// One certificate on several Gateways of the same pods (`gateway.CertificateAnalyzer`, IST0138):
/// clients that reuse an HTTP/2 connection for a host of the other Gateway get 404.
pub(super) fn certificates(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let gateways: Vec<_> = input.istio_gateways().collect();
    let empty = Labels::default();
    for own in &gateways {
        let selector = own.spec.selector.as_ref().unwrap_or(&empty);
        for other in gateways.iter().filter(|other| !std::ptr::eq(own.object, other.object)) {
            let theirs = other.spec.selector.as_ref().unwrap_or(&empty);
            if !selects(theirs, selector) && !selects(selector, theirs) {
                continue;
            }
            for tls in own.spec.servers.iter().filter_map(|server| server.tls.as_ref()) {
                let mut shared = other.spec.servers.iter().filter_map(|server| server.tls.as_ref());
                let Some(same) = shared.find(|theirs| has_same_certificate(tls, theirs)) else { continue };
                let message = format!(
                    "Gateway `{}/{}` has the same certificate for the same pods",
                    other.object.namespace, other.object.name
                );
                found.push(
                    finding(Code::SharedCertificate, own.object, tls.span, message)
                        .also(same.span, "here too")
                        .effect("a client that reuses its HTTP/2 connection for a host of the other Gateway may get 404")
                        .help("serve these hosts from one Gateway, or give each its own certificate"),
                );
            }
        }
    }
}

fn has_same_certificate(a: &ServerTlsSettings, b: &ServerTlsSettings) -> bool {
    let credential = |tls: &ServerTlsSettings| text(tls.credential_name.as_ref()).to_owned();
    let files =
        |tls: &ServerTlsSettings| (text(tls.server_certificate.as_ref()).to_owned(), text(tls.private_key.as_ref()).to_owned());
    match (credential(a), credential(b)) {
        (a_name, b_name) if a_name.is_empty() && b_name.is_empty() => {
            let (certificate, key) = files(a);
            !certificate.is_empty() && !key.is_empty() && files(a) == files(b)
        }
        (a_name, b_name) => a_name == b_name,
    }
}

/// A port that a ServiceEntry gives a host.
#[derive(Clone, Copy)]
struct EntryPort<'a> {
    object: &'a Object,
    span: Span,
    protocol: &'a str,
}

/// ServiceEntries that give one port of one host different protocols where both are seen
/// (`serviceentry.ConflictingProtocolAnalyzer`, IST0177).
pub(super) fn protocols(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let mut ports: IndexMap<(String, &str, i64), Vec<EntryPort<'_>>> = IndexMap::new();
    for entry in input.service_entries() {
        for scope in scopes(&entry) {
            for name in texts(&entry.spec.hosts) {
                for port in &entry.spec.ports {
                    let Some(number) = &port.number else { continue };
                    let place = EntryPort { object: entry.object, span: port.span, protocol: text(port.protocol.as_ref()) };
                    ports.entry((scope.clone(), name, number.value)).or_default().push(place);
                }
            }
        }
    }
    for ((scope, name, number), own) in &ports {
        let public = (scope != "*").then(|| ports.get(&("*".to_owned(), *name, *number))).flatten();
        let all: Vec<EntryPort<'_>> = own.iter().chain(public.into_iter().flatten()).copied().collect();
        for (index, port) in all.iter().enumerate() {
            let differs = |other: &&EntryPort<'_>| !other.protocol.eq_ignore_ascii_case(port.protocol);
            let Some(other) = all.iter().enumerate().filter(|(i, _)| *i != index).map(|(_, p)| p).find(differs) else { continue };
            let word =
                |protocol: &str| if protocol.is_empty() { "no protocol".to_owned() } else { format!("protocol {protocol}") };
            let message = format!(
                "port {number} of `{name}` has {} here and {} in `{}/{}`",
                word(port.protocol),
                word(other.protocol),
                other.object.namespace,
                other.object.name
            );
            found.push(
                finding(Code::ConflictingProtocol, port.object, port.span, message)
                    .also(other.span, "the other protocol")
                    .effect("proxies take one of them for all traffic to the port"),
            );
        }
    }
}

fn scopes(entry: &Of<'_, ServiceEntry>) -> Vec<String> {
    let own = &entry.object.namespace;
    let list: Vec<&str> = texts(&entry.spec.export_to).collect();
    if list.is_empty() || list.contains(&"*") {
        return vec!["*".to_owned()];
    }
    let named = list.iter().filter(|name| **name != "~");
    named.map(|name| if *name == "." { own.clone() } else { (*name).to_owned() }).collect()
}
