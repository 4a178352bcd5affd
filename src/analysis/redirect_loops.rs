//! Redirects that lead to where they came from. Each is followed as a client would follow it, from a
//! request that the routing core confirms.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::input::Input;
use super::space::{Arrival, Reach, Reaches, Space, Way, Witness, ways_to};
use crate::diagnostic::{Code, Diagnostic};
use crate::mesh::route::{Action, Route};
use crate::mesh::{Proxy, RouteTableId};
use crate::routing::{Dial, Received, Request, Scheme, Selection, location, select};

/// Redirects that are followed; browsers give up after 20.
const STEPS_MAX: usize = 20;

/// Finds redirects that come back.
pub(super) fn check(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let mut examined = FxHashSet::default();
    let mut space = Space::new();
    let mut told = FxHashSet::default();
    for proxy in &input.mesh.proxies {
        if !examined.insert((Arc::as_ptr(&proxy.route_tables).cast::<()>().addr(), proxy.spec.kind)) {
            continue;
        }
        for (table, routes) in proxy.route_tables.iter().enumerate() {
            let table = RouteTableId::new(table);
            let mut ways = None;
            for (host, virtual_host) in routes.virtual_hosts.iter().enumerate() {
                for (index, route) in virtual_host.routes.iter().enumerate() {
                    if !matches!(route.action, Action::Redirect(_)) || told.contains(&route.origin.span) {
                        continue;
                    }
                    let ways: &Vec<Way> = ways.get_or_insert_with(|| ways_to(proxy, table));
                    let reaches = Reaches::new(&mut space, proxy, ways, table, host);
                    let Reach::Live(witness) = reaches.of(&mut space, index) else { continue };
                    if let Some(length) = comes_back(proxy, ways, table, route, &witness) {
                        told.insert(route.origin.span);
                        found.push(finding(input, route, &witness, length));
                    }
                }
            }
        }
    }
}

fn finding(input: &Input<'_>, route: &Route, witness: &Witness, length: usize) -> Diagnostic {
    let request = &witness.request;
    let url = format!("{}{}", request.authority, request.path);
    let message = match length {
        1 => format!("a client that is sent away from `{url}` is sent there again"),
        steps => format!("a client that is sent away from `{url}` comes back after {steps} redirects"),
    };
    let finding = Diagnostic::new(Code::RedirectLoop, message)
        .at(route.origin.span)
        .effect("browsers give up with an error")
        .help("redirect to what this rule does not match, or match what is not redirected yet");
    match route.origin.object.and_then(|object| input.mesh.objects.get(object.index())) {
        Some(object) => finding.about(object.clone()),
        None => finding,
    }
}

/// After how many redirects a client is back at a request that it sent before, if it is and never
/// leaves the table meanwhile.
fn comes_back(proxy: &Proxy, ways: &[Way], table: RouteTableId, from: &Route, witness: &Witness) -> Option<usize> {
    let mut seen: Vec<Request> = Vec::new();
    let mut request = witness.request.clone();
    let mut route = from;
    for _ in 0..STEPS_MAX {
        if let Some(at) = seen.iter().position(|earlier| *earlier == request) {
            return Some(seen.len() - at);
        }
        let Action::Redirect(redirect) = &route.action else { return None };
        let received = Received::new(proxy.spec.kind, &request).ok()?;
        let next = followed(&request, &location(redirect, &route.matcher, &received), &witness.dial, ways)?;
        seen.push(std::mem::replace(&mut request, next));
        let selection: Selection = select(proxy, table, &request);
        route = selection.route(proxy)?;
    }
    None
}

/// The request that a client sends to a location, if that leads into the same table: the same port,
/// and the same kind of connection.
fn followed(request: &Request, location: &str, dial: &Dial, ways: &[Way]) -> Option<Request> {
    let (scheme, rest) = location.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (scheme, usual) = match scheme {
        "http" => (Scheme::Http, 80),
        "https" => (Scheme::Https, 443),
        _ => return None,
    };
    let port = match crate::routing::without_port(authority).len() {
        end if end < authority.len() => authority[end + 1..].parse().ok()?,
        _ => usual,
    };
    let same_kind = scheme == request.scheme && ways.iter().any(|way| Arrival::scheme(way.arrival) == scheme);
    // A port that the authority does not name and that is not the usual one belongs to the dial.
    let same_port = port == dial.port || (authority == request.authority && scheme == request.scheme);
    (same_kind && same_port).then(|| Request { authority: authority.to_owned(), path: path.to_owned(), ..request.clone() })
}

#[cfg(test)]
mod tests {
    use super::super::testing::all;
    use super::*;

    #[test]
    fn a_client_that_comes_back_is_told_and_one_that_arrives_is_not() {
        for (rules, messages) in [
            ("{match: [{uri: {prefix: /a}}], redirect: {uri: /a}}", 1),
            ("{match: [{uri: {prefix: /a}}], redirect: {uri: /b}}", 0),
            ("{match: [{uri: {exact: /a}}], redirect: {uri: /b}}, {match: [{uri: {exact: /b}}], redirect: {uri: /a}}", 2),
            ("{match: [{uri: {prefix: /a}}], redirect: {scheme: https}}", 0),
            ("{match: [{uri: {prefix: /a}}], redirect: {authority: other.test}}", 0),
        ] {
            let text = format!(
                "apiVersion: v1\nkind: Service\nmetadata: {{name: app, namespace: shop}}\nspec: {{clusterIP: 10.0.0.1, selector: {{app: app}}, ports: [{{name: http, port: 80}}]}}\n---\napiVersion: v1\nkind: Pod\nmetadata: {{name: app, namespace: shop, labels: {{app: app}}}}\nspec: {{containers: [{{name: istio-proxy, image: p}}]}}\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: app, namespace: shop}}\nspec: {{hosts: [app], http: [{rules}, {{directResponse: {{status: 200}}}}]}}\n"
            );
            let found: Vec<String> =
                all(&text).iter().filter(|finding| finding.code == Code::RedirectLoop).map(|f| f.message.clone()).collect();
            assert_eq!(found.len(), messages, "{rules}: {found:?}");
        }
    }
}
