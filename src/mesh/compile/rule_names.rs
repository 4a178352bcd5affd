//! VirtualServices with their names resolved and their delegates merged.

use rustc_hash::FxHashMap;

use super::context::{Context, Item, texts};
use super::delegates;
use super::virtual_service::{HttpRule, MESH_GATEWAY, Semantics, VirtualService};
use crate::resource::networking::{self, Destination, HttpRoute, RouteDestination};
use crate::source::Spanned;

/// The VirtualServices that apply by themselves: those with hosts. Which ones are left out because
/// validation refuses them was settled when the context was made.
pub(super) fn virtual_services(cx: &Context<'_>) -> Vec<VirtualService> {
    let resolved: Vec<VirtualService> = cx.virtual_services.iter().map(|item| resolve(cx, item)).collect();
    let (mut roots, delegates): (Vec<_>, Vec<_>) = resolved.into_iter().partition(|vs| !vs.hosts.is_empty());
    let delegates: FxHashMap<(&str, &str), &VirtualService> =
        delegates.iter().map(|vs| ((vs.namespace.as_str(), vs.name.as_str()), vs)).collect();
    let default_export_to = texts(&cx.mesh_config.default_virtual_service_export_to);
    for root in &mut roots {
        if root.http.iter().any(|rule| rule.spec.delegate.is_some()) {
            root.http = expand(root, &delegates, &default_export_to);
        }
    }
    roots
}

/// The rules of a root with those of its delegates in place of references. A reference to a delegate
/// that is absent or not exported to the root's namespace is left out.
fn expand(
    root: &VirtualService,
    delegates: &FxHashMap<(&str, &str), &VirtualService>,
    default_export_to: &[String],
) -> Vec<HttpRule> {
    let mut rules = Vec::new();
    for rule in &root.http {
        let Some(reference) = &rule.spec.delegate else {
            rules.push(rule.clone());
            continue;
        };
        let text = |field: &Option<Spanned<String>>| field.as_ref().map_or("", |f| f.value.as_str()).to_owned();
        let (name, namespace) = (text(&reference.name), text(&reference.namespace));
        let namespace = if namespace.is_empty() { root.namespace.clone() } else { namespace };
        let Some(delegate) = delegates.get(&(namespace.as_str(), name.as_str())) else { continue };
        if is_exported(delegate, &root.namespace, default_export_to) {
            rules.extend(delegates::merge(&rule.spec, &delegate.http));
        }
    }
    rules
}

fn is_exported(delegate: &VirtualService, namespace: &str, default_export_to: &[String]) -> bool {
    let export_to = if delegate.export_to.is_empty() { default_export_to } else { &delegate.export_to };
    export_to.is_empty()
        || export_to.iter().any(|target| match target.as_str() {
            "*" => true,
            "." => delegate.namespace == namespace,
            target => target == namespace,
        })
}

fn resolve(cx: &Context<'_>, item: &Item<'_, networking::VirtualService>) -> VirtualService {
    let (object, spec) = (item.object, item.spec);
    let namespace = object.namespace.as_str();
    let host = |host: &Spanned<String>| Spanned::new(cx.resolve(host, namespace), host.span);
    let mut gateways: Vec<String> = spec.gateways.iter().map(|gateway| gateway_name(gateway, namespace)).collect();
    if gateways.is_empty() {
        gateways.push(MESH_GATEWAY.to_owned());
    }
    let mut tls = spec.tls.clone();
    for rule in &mut tls {
        rule.matches.iter_mut().for_each(|block| resolve_gateways(&mut block.gateways, namespace));
        resolve_l4(cx, &mut rule.route, namespace);
    }
    let mut tcp = spec.tcp.clone();
    for rule in &mut tcp {
        rule.matches.iter_mut().for_each(|block| resolve_gateways(&mut block.gateways, namespace));
        resolve_l4(cx, &mut rule.route, namespace);
    }
    VirtualService {
        name: object.name.clone(),
        namespace: namespace.to_owned(),
        created: item.created().to_owned(),
        hosts: spec.hosts.iter().map(host).collect(),
        gateways,
        export_to: texts(&spec.export_to),
        http: spec.http.iter().map(|rule| HttpRule { object: item.id, spec: resolve_http(cx, rule, namespace) }).collect(),
        tls,
        tcp,
        semantics: Semantics::Istio,
        origin: item.origin(object.span),
    }
}

fn resolve_http(cx: &Context<'_>, rule: &HttpRoute, namespace: &str) -> HttpRoute {
    let mut rule = rule.clone();
    rule.matches.iter_mut().for_each(|block| resolve_gateways(&mut block.gateways, namespace));
    let routes = rule.route.iter_mut().filter_map(|leg| leg.destination.as_mut());
    let mirrors = rule.mirrors.iter_mut().filter_map(|mirror| mirror.destination.as_mut());
    for destination in routes.chain(&mut rule.mirror).chain(mirrors) {
        resolve_destination(cx, destination, namespace);
    }
    rule
}

fn resolve_l4(cx: &Context<'_>, legs: &mut [RouteDestination], namespace: &str) {
    for destination in legs.iter_mut().filter_map(|leg| leg.destination.as_mut()) {
        resolve_destination(cx, destination, namespace);
    }
}

fn resolve_destination(cx: &Context<'_>, destination: &mut Destination, namespace: &str) {
    if let Some(host) = &mut destination.host {
        host.value = cx.resolve(host, namespace);
    }
}

fn resolve_gateways(gateways: &mut [Spanned<String>], namespace: &str) {
    for gateway in gateways {
        gateway.value = gateway_name(gateway, namespace);
    }
}

/// `mesh`, or `namespace/name` from any of the spellings: `name`, `./name`, `namespace/name` and the
/// old `name.namespace` with or without a domain behind it.
pub(super) fn gateway_name(name: &str, namespace: &str) -> String {
    if name == MESH_GATEWAY {
        return name.to_owned();
    }
    if let Some((owner, rest)) = name.split_once('/') {
        return if owner == "." { format!("{namespace}/{rest}") } else { name.to_owned() };
    }
    match name.split_once('.') {
        None => format!("{namespace}/{name}"),
        Some((short, domain)) => format!("{}/{short}", domain.split('.').next().unwrap_or(domain)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_are_named_by_namespace_and_name() {
        for (written, resolved) in [
            ("mesh", "mesh"),
            ("gw", "shop/gw"),
            ("./gw", "shop/gw"),
            ("edge/gw", "edge/gw"),
            ("gw.edge", "edge/gw"),
            ("gw.edge.svc.cluster.local", "edge/gw"),
        ] {
            assert_eq!(gateway_name(written, "shop"), resolved);
        }
    }
}
