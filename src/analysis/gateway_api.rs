//! Gateways and HTTPRoutes of the Gateway API: what their status says, and loose ends, which
//! `istioctl analyze` does not report.

use super::input::{Input, Of, finding, items, string_at, text, texts};
use crate::diagnostic::{Code, Diagnostic};
use crate::mesh::host;
use crate::resource::gateway_api::{BackendRef, GatewayListener, HttpRouteMatch, HttpRouteSpec, KubeGateway, ParentReference};
use crate::resource::{Body, Object};
use crate::source::Span;
use crate::yaml::Node;

const GROUP: &str = "gateway.networking.k8s.io";

/// Conditions that are False (`conditions.ConditionAnalyzer`, IST0171).
pub(super) fn conditions(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for object in input.objects {
        let Some(status) = &object.status else { continue };
        let own = items(status.get("conditions")).iter();
        let of_parents = items(status.get("parents")).iter().flat_map(|parent| items(parent.get("conditions")));
        for condition in own.chain(of_parents).filter(|condition| is_negative(condition)) {
            let word = |key: &str| string_at(condition, &[key]);
            let message = format!("the cluster says that `{}` is False: {} ({})", word("type"), word("message"), word("reason"));
            found.push(finding(Code::NegativeCondition, object, condition.span, message));
        }
    }
}

fn is_negative(condition: &Node) -> bool {
    matches!(string_at(condition, &["type"]), "Programmed" | "Accepted" | "ResolvedRefs")
        && condition.get("status").and_then(Node::text) == Some("False")
}

/// The references to Gateways among a route's parents.
fn gateways_of<'a>(route: &Of<'a, HttpRouteSpec>) -> impl Iterator<Item = (&'a ParentReference, &'a str, &'a str)> + use<'a> {
    let namespace = route.object.namespace.as_str();
    let is_gateway = |parent: &&ParentReference| {
        parent.group.as_ref().is_none_or(|group| group.value == GROUP)
            && parent.kind.as_ref().is_none_or(|kind| kind.value == "Gateway")
    };
    route.spec.parent_refs.iter().filter(is_gateway).map(move |parent| {
        (parent, parent.namespace.as_ref().map_or(namespace, |own| own.value.as_str()), text(parent.name.as_ref()))
    })
}

fn gateway<'a>(input: &Input<'a>, namespace: &str, name: &str) -> Option<Of<'a, KubeGateway>> {
    input.kube_gateway(namespace, name)
}

/// HTTPRoutes whose parent, listener or hostname does not fit.
pub(super) fn parents(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for route in input.http_routes() {
        for (parent, namespace, name) in gateways_of(&route) {
            found.extend(parent_findings(input, &route, parent, namespace, name));
        }
    }
}

/// What is wrong with one reference: no such Gateway, or a listener, namespace or hostname that does
/// not fit.
fn parent_findings(
    input: &Input<'_>,
    route: &Of<'_, HttpRouteSpec>,
    parent: &ParentReference,
    namespace: &str,
    name: &str,
) -> Vec<Diagnostic> {
    let report = |span: Option<Span>, message: String| {
        finding(Code::UnattachedRoute, route.object, span.unwrap_or(parent.span), message)
            .effect("the route is not attached there")
    };
    let Some(gateway) = gateway(input, namespace, name) else {
        let near = input.kube_gateways().filter(|gateway| gateway.object.namespace == namespace);
        let near = crate::yaml::nearest(name, near.map(|gateway| gateway.object.name.as_str()));
        let diagnostic = report(None, format!("there is no Gateway `{namespace}/{name}` in the input"));
        return vec![near.iter().fold(diagnostic, |diagnostic, near| diagnostic.help(format!("did you mean `{near}`?")))];
    };
    let mut found = Vec::new();
    let all: Vec<&GatewayListener> = gateway.spec.listeners.iter().collect();
    let mut asked: Vec<&GatewayListener> = all.iter().copied().filter(|listener| is_asked(listener, parent)).collect();
    if asked.is_empty() {
        let names: Vec<&str> = all.iter().map(|listener| text(listener.name.as_ref())).collect();
        let message = format!("Gateway `{namespace}/{name}` has no such listener");
        let span = parent.section_name.as_ref().map(|section| section.span);
        found.push(report(span, message).also(gateway.spec.span, format!("has {}", names.join(", "))));
        asked = all;
    }
    let Some(first) = asked.first() else { return found };
    if !asked.iter().any(|listener| admits(listener, namespace, &route.object.namespace)) {
        let message = format!("no listener of `{namespace}/{name}` allows routes from namespace `{}`", route.object.namespace);
        let span = parent.namespace.as_ref().map(|own| own.span);
        found.push(report(span, message).also(first.span, "allows others"));
    }
    let hostnames = &route.spec.hostnames;
    let fits = |listener: &&GatewayListener| {
        let own = text(listener.hostname.as_ref());
        own.is_empty() || hostnames.is_empty() || texts(hostnames).any(|wanted| host::matches(own, wanted))
    };
    if !asked.iter().any(fits) {
        let hosts: Vec<&str> = asked.iter().map(|listener| text(listener.hostname.as_ref())).collect();
        let message = format!("no hostname of the route lies under a listener's: `{}`", hosts.join("`, `"));
        found.push(report(hostnames.first().map(|name| name.span), message).also(first.span, "the listener"));
    }
    found
}

fn is_asked(listener: &GatewayListener, parent: &ParentReference) -> bool {
    let section = text(parent.section_name.as_ref());
    let port = parent.port.map(|port| port.value);
    (section.is_empty() || text(listener.name.as_ref()) == section)
        && (port.is_none() || port == listener.port.map(|port| port.value))
}

/// Whether a listener allows routes of a namespace. Selectors are judged when the mesh is compiled.
fn admits(listener: &GatewayListener, own: &str, route: &str) -> bool {
    let namespaces = listener.allowed_routes.as_ref().and_then(|allowed| allowed.namespaces.as_ref());
    match namespaces.map_or("", |namespaces| text(namespaces.from.as_ref())) {
        "" | "Same" => own == route,
        "None" => false,
        _ => true,
    }
}

/// Equal matches of several HTTPRoutes for one hostname at one Gateway: the oldest route has them.
pub(super) fn repeated_matches(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let mut routes: Vec<Of<'_, HttpRouteSpec>> = input.http_routes().collect();
    let age = |object: &Object| object.meta.creation_timestamp.as_ref().map_or(String::new(), |time| time.0.clone());
    routes.sort_by_key(|route| (age(route.object), route.object.namespace.clone(), route.object.name.clone()));
    for (index, route) in routes.iter().enumerate() {
        for (span, key) in matches_of(route.spec) {
            let has_it = |older: &&Of<'_, HttpRouteSpec>| {
                share_host(older.spec, route.spec)
                    && share_gateway(older, route)
                    && matches_of(older.spec).iter().any(|(_, own)| *own == key)
            };
            let Some(older) = routes[..index].iter().find(has_it) else { continue };
            let message =
                format!("HTTPRoute `{}/{}` has the same match for the same hostname", older.object.namespace, older.object.name);
            found.push(
                finding(Code::RepeatedRouteMatch, route.object, span, message)
                    .also(older.object.span, "the older route")
                    .effect("the older route takes these requests"),
            );
        }
    }
}

fn share_host(a: &HttpRouteSpec, b: &HttpRouteSpec) -> bool {
    (a.hostnames.is_empty() && b.hostnames.is_empty())
        || texts(&a.hostnames).any(|host| texts(&b.hostnames).any(|own| own == host))
}

fn share_gateway(a: &Of<'_, HttpRouteSpec>, b: &Of<'_, HttpRouteSpec>) -> bool {
    let key = |parent: &ParentReference, namespace: &str, name: &str| {
        (namespace.to_owned(), name.to_owned(), text(parent.section_name.as_ref()).to_owned())
    };
    gateways_of(a).any(|(x, xs, xn)| gateways_of(b).any(|(y, ys, yn)| key(x, xs, xn) == key(y, ys, yn)))
}

/// The matches of a route in a form that can be compared.
fn matches_of(spec: &HttpRouteSpec) -> Vec<(Span, String)> {
    let of_rule = |rule: &crate::resource::gateway_api::HttpRouteRule| match rule.matches.as_deref() {
        None | Some([]) => vec![(rule.span, key(&HttpRouteMatch::default()))],
        Some(blocks) => blocks.iter().map(|block| (block.span, key(block))).collect(),
    };
    spec.rules.iter().flat_map(of_rule).collect()
}

fn key(block: &HttpRouteMatch) -> String {
    let path = block.path.as_ref();
    let kind = path.and_then(|path| path.kind.as_ref()).map_or("PathPrefix", |kind| kind.value.as_str());
    let value = path.and_then(|path| path.value.as_ref()).map_or("/", |value| value.value.as_str());
    let named = |list: &[crate::resource::gateway_api::NamedMatch]| {
        let mut parts: Vec<String> = list
            .iter()
            .map(|one| {
                format!("{}={}:{}", text(one.name.as_ref()).to_lowercase(), text(one.kind.as_ref()), text(one.value.as_ref()))
            })
            .collect();
        parts.sort();
        parts.join("&")
    };
    format!("{kind} {value} {} {} {}", text(block.method.as_ref()), named(&block.headers), named(&block.query_params))
}

/// Back ends that do not exist, lack the port, may not be used, or all have weight zero.
pub(super) fn back_ends(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for route in input.http_routes() {
        for rule in &route.spec.rules {
            for back_end in &rule.backend_refs {
                found.extend(back_end_finding(input, &route, back_end));
            }
            let weights: Vec<i64> =
                rule.backend_refs.iter().map(|one| one.weight.as_ref().map_or(1, |weight| weight.value)).collect();
            if !weights.is_empty() && weights.iter().all(|weight| *weight == 0) {
                let place = rule.backend_refs[0].weight.as_ref().map_or(rule.span, |weight| weight.span);
                found.push(
                    finding(Code::WeightlessRule, route.object, place, "all back ends of the rule have weight 0")
                        .effect("requests of the rule get 500"),
                );
            }
        }
    }
}

fn back_end_finding(input: &Input<'_>, route: &Of<'_, HttpRouteSpec>, back_end: &BackendRef) -> Option<Diagnostic> {
    let is_service =
        text(back_end.group.as_ref()).is_empty() && back_end.kind.as_ref().is_none_or(|kind| kind.value == "Service");
    if !is_service {
        return None;
    }
    let own = route.object.namespace.as_str();
    let namespace = back_end.namespace.as_ref().map_or(own, |namespace| namespace.value.as_str());
    let name = text(back_end.name.as_ref());
    let report = |message: String| {
        finding(Code::UnknownBackEnd, route.object, back_end.span, message).effect("its share of requests gets 500")
    };
    let Some(service) = input.service(namespace, name) else {
        return Some(report(format!("there is no Service `{namespace}/{name}` in the input")));
    };
    let port = back_end.port.as_ref().map(|port| port.value);
    let has_port = service.spec.ports.iter().any(|own| own.port.map(|number| number.value) == port);
    if let Some(port) = port.filter(|_| !has_port) {
        return Some(report(format!("Service `{namespace}/{name}` has no port {port}")).also(service.spec.span, "the Service"));
    }
    // In the mesh no grant is needed.
    let at_gateway = gateways_of(route).next().is_some();
    (namespace != own && at_gateway && !is_granted(input, own, namespace, name))
        .then(|| report(format!("no ReferenceGrant of namespace `{namespace}` lets HTTPRoutes of `{own}` use Service `{name}`")))
}

fn is_granted(input: &Input<'_>, from: &str, to: &str, name: &str) -> bool {
    input.objects.iter().filter(|object| object.namespace == to).any(|object| {
        let Body::ReferenceGrant(grant) = &object.body else { return false };
        let lets = grant.from.iter().any(|one| {
            text(one.group.as_ref()) == GROUP && text(one.kind.as_ref()) == "HTTPRoute" && text(one.namespace.as_ref()) == from
        });
        lets && grant.to.iter().any(|one| {
            let granted = text(one.name.as_ref());
            text(one.kind.as_ref()) == "Service" && (granted.is_empty() || granted == name)
        })
    })
}
