//! Claims about a route held against what the routing core does.

use std::sync::Arc;

use super::super::case::Verdict;
use super::super::coverage::{ItemKind, Trace};
use super::super::question::Question;
use super::configuration::{Route as Written, TlsRequirement, VirtualHost as WrittenHost};
use super::format::{RouteClaims, RouterCheckClaims};
use super::marks::RouteField;
use super::matchers::{HeaderMatcher, Refusal};
use super::routes::Routes;
use super::settlement::{self, Message};
use crate::mesh::inbound::Inbound;
use crate::mesh::route::{Action, Redirect, Route, RouteTable, VirtualHost};
use crate::mesh::{Mesh, Profile, Proxy, ProxyKind, ProxySpec, RouteTableId};
use crate::routing::explanation::explain_table;
use crate::routing::matching::{condition_holds, holds, path_holds, values_hold};
use crate::routing::{
    Answering, Chances, CorsRole, Headers, Received, Reply, Selection, Verdict as Found, find_host, forwarded, forwarded_with,
    location, named, proxy_and_table_for, select_received, table_for,
};
use crate::source::Span;

/// Judges one request.
pub(in crate::suite) fn judge(mesh: &Mesh, question: &Question, claims: &RouteClaims) -> Verdict {
    let mut verdict = Verdict::default();
    let outcome = match &claims.routes {
        Some(routes) => in_routes(routes, &mesh.profile, question, claims, &mut verdict),
        None => in_mesh(mesh, question, claims, &mut verdict),
    };
    match outcome {
        Ok(seen) => compare(&seen, &claims.claims, &mut verdict),
        Err(Stop::Failed { what, expected, actual }) => verdict.fail(what, expected, actual, question.span),
        Err(Stop::Undecided(refusal)) => verdict.not_judged = Some((refusal.why, refusal.span)),
    }
    verdict
}

/// Why there is nothing to compare.
enum Stop {
    /// The request comes to nothing that could be asked.
    Failed { what: &'static str, expected: String, actual: String },
    /// What becomes of the request is not modelled.
    Undecided(Refusal),
}

/// What the tool looks at. Without a route, everything is empty.
#[derive(Default)]
struct Seen<'c> {
    /// Where the route, or its destination, is written, if there is one that forwards or answers.
    entry: Option<Span>,
    cluster: String,
    virtual_cluster: String,
    virtual_host: String,
    authority: String,
    path: String,
    redirect: String,
    status: u16,
    timeout: crate::time::Duration,
    metadata: Option<&'c crate::yaml::Node>,
    request: Headers,
    answer: Headers,
}

fn in_mesh<'c>(mesh: &Mesh, question: &Question, claims: &RouteClaims, verdict: &mut Verdict) -> Result<Seen<'c>, Stop> {
    let (proxy, table) = table(mesh, question).map_err(|why| Stop::Failed {
        what: "virtual host",
        expected: question.request.authority.clone(),
        actual: why,
    })?;
    let proxy = &mesh.proxies[proxy.index()];
    let received = Received::new(proxy.spec.kind, &question.request).map_err(|_| Stop::Failed {
        what: "request",
        expected: "a request".to_owned(),
        actual: "400 before any route".to_owned(),
    })?;
    if let Some(claim) = claims.claims.route_metadata.first() {
        return Err(Stop::Undecided(Refusal::not_modelled("the metadata of a mesh's routes", claim.span)));
    }
    let selection = select_received(proxy, table, &received);
    verdict.trace = Trace::of(&explain_table(proxy, table, &received), &kinds(&claims.claims));
    verdict.route = selection.route(proxy).map(|route| route.origin.span);
    let answer = local_answer(selection.route(proxy), &claims.answer);
    Ok(Played { proxy, profile: &mesh.profile, received: &received, selection, random: claims.random, is_tool: false }
        .seen(answer))
}

/// The table that knows an authority best.
fn table(mesh: &Mesh, question: &Question) -> Result<(crate::mesh::ProxyId, RouteTableId), String> {
    let authority = &question.request.authority;
    let Some(from) = &question.from else {
        return proxy_and_table_for(mesh, authority, None)
            .ok_or_else(|| format!("no proxy has a virtual host for `{authority}`"));
    };
    let proxy = named(mesh, from)?;
    let table = table_for(&mesh.proxies[proxy.index()], authority, None);
    table.map(|table| (proxy, table)).ok_or_else(|| format!("no virtual host of `{from}` is for `{authority}`"))
}

/// The tool has no connection manager: paths are not normalised, and no header is taken away.
fn in_routes<'c>(
    routes: &'c Routes,
    profile: &Profile,
    question: &Question,
    claims: &RouteClaims,
    verdict: &mut Verdict,
) -> Result<Seen<'c>, Stop> {
    let received = Received::as_sent(ProxyKind::Gateway, &question.request);
    if let Some(flag) = &routes.written.ignore_path_parameters_in_path_matching
        && received.bare_path().contains(';')
    {
        return Err(Stop::Undecided(Refusal::not_modelled("matching without path parameters", flag.span)));
    }
    let Some(found) = find_host(&routes.table, received.authority) else {
        return match &routes.written.vhds {
            Some(vhds) => Err(Stop::Undecided(Refusal::not_modelled("a virtual host that is fetched", vhds.span))),
            None => Ok(Seen { request: with_pseudo(Headers::arrived(&question.request.headers), &received), ..Seen::default() }),
        };
    };
    let host = &routes.written.virtual_hosts[found.index];
    if let Some(tree) = &host.matcher {
        return Err(Stop::Undecided(Refusal::not_modelled("a tree of matchers", tree.span)));
    }
    let is_internal = question.request.header("x-envoy-internal") == Some("true");
    let requires_tls = match host.require_tls.unwrap_or(TlsRequirement::None) {
        TlsRequirement::None => false,
        TlsRequirement::ExternalOnly => !is_internal,
        TlsRequirement::All => true,
    };
    if requires_tls && received.scheme != "https" {
        return Ok(Seen {
            redirect: format!("https://{}{}", received.authority, received.path),
            status: 301,
            request: with_pseudo(Headers::arrived(&question.request.headers), &received),
            answer: Headers([claims.answer.as_slice(), &[(":status".to_owned(), "301".to_owned())]].concat()),
            ..Seen::default()
        });
    }
    let mut misses = Vec::new();
    let Some(index) = taken(routes, found.index, &received, claims, &mut misses)? else {
        verdict.trace = Trace::taken(None, misses, &[]);
        return Ok(Seen { request: with_pseudo(Headers::arrived(&question.request.headers), &received), ..Seen::default() });
    };
    let written = &host.routes[index];
    if let Some(refusal) = settlement::not_modelled(written).into_iter().next() {
        return Err(Stop::Undecided(refusal));
    }
    let table = &routes.table.virtual_hosts[found.index];
    verdict.route = Some(written.span);
    verdict.trace = Trace::taken(table.routes.get(index), misses, &kinds(&claims.claims));
    let answer = local_answer(table.routes.get(index), &claims.answer);
    let message = Message {
        bare_path: received.bare_path(),
        authority: received.authority,
        request: &question.request.headers,
        answer: &answer.0,
    };
    let matcher = table.routes[index].matcher.clone();
    let route = settlement::settled(&routes.written, host, written, matcher, &message);
    let proxy = lone(table, route);
    let selection = Selection { table: RouteTableId::new(0), verdict: Found::Route { host: 0, route: 0 }, cors: CorsRole::None };
    let played = Played { proxy: &proxy, profile, received: &received, selection, random: claims.random, is_tool: true };
    let mut seen = played.seen(answer);
    if written.redirect.as_ref().is_some_and(|redirect| {
        redirect.strip_query == Some(true) && !redirect.path_redirect.as_ref().is_some_and(|path| path.value.contains('?'))
    }) {
        seen.redirect.truncate(seen.redirect.find('?').unwrap_or(seen.redirect.len()));
    }
    if written.route.as_ref().is_some_and(|forward| forward.weighted_clusters.is_none()) {
        seen.entry = Some(written.span);
    }
    seen.metadata = written.metadata.as_ref().and_then(|metadata| metadata.filter_metadata.as_ref());
    if written.route.is_some() {
        seen.virtual_cluster = virtual_cluster(host, &seen.request).map_err(Stop::Undecided)?;
    }
    Ok(seen)
}

/// The route that takes a request; of others, the condition that failed.
fn taken(
    routes: &Routes,
    host: usize,
    received: &Received<'_>,
    claims: &RouteClaims,
    misses: &mut Vec<Span>,
) -> Result<Option<usize>, Stop> {
    let written = &routes.written.virtual_hosts[host].routes;
    for (index, (route, own)) in routes.table.virtual_hosts[host].routes.iter().zip(written).enumerate() {
        if !holds(&route.matcher, received) {
            let path = &route.matcher.path;
            let failed = route.matcher.conditions.iter().find(|condition| !condition_holds(condition, received));
            let is_path = !path_holds(path, received.bare_path());
            misses.extend(if is_path { Some(path.span) } else { failed.map(|condition| condition.span) });
            continue;
        }
        if !is_switched_on(own, claims) || !are_met(own, claims)? {
            continue;
        }
        if let Some(refusal) = routes.refused[host][index].first() {
            return Err(Stop::Undecided(refusal.clone()));
        }
        return Ok(Some(index));
    }
    Ok(None)
}

/// Whether the share of a route takes the request: only if its key is the one that the test switches on.
fn is_switched_on(route: &Written, claims: &RouteClaims) -> bool {
    let Some(fraction) = &route.matches.runtime_fraction else { return true };
    let key = fraction.runtime_key.as_ref().map(|key| key.value.as_str());
    key.is_some() && key == claims.runtime.as_deref() && fraction.default_value.includes(claims.random)
}

fn are_met(route: &Written, claims: &RouteClaims) -> Result<bool, Stop> {
    for matcher in &route.matches.dynamic_metadata {
        if !claims.noted.meets(matcher).map_err(Stop::Undecided)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The first kind of requests that the forwarded one is of; `other` if there are kinds and it is of none.
fn virtual_cluster(host: &WrittenHost, request: &Headers) -> Result<String, Refusal> {
    for cluster in &host.virtual_clusters {
        let mut is_of = true;
        for matcher in &cluster.headers {
            is_of &= is_met(matcher, request)?;
        }
        if is_of {
            return Ok(cluster.name.value.clone());
        }
    }
    Ok(if host.virtual_clusters.is_empty() { String::new() } else { "other".to_owned() })
}

/// A proxy that has one route.
fn lone(host: &VirtualHost, route: Route) -> Proxy {
    let host = VirtualHost { routes: [route].into(), require_tls: false, ..host.clone() };
    Proxy {
        spec: ProxySpec {
            name: String::new(),
            kind: ProxyKind::Gateway,
            namespace: String::new(),
            labels: Vec::new(),
            locality: String::new(),
            service_account: String::new(),
        },
        workload: None,
        listeners: Arc::from([]),
        route_tables: Arc::from([RouteTable::new(String::new(), vec![host], false)]),
        clusters: Arc::default(),
        fallback: None,
        dns: Arc::from([]),
        inbound: Inbound::default(),
        limits: None,
    }
}

/// A selection played out.
struct Played<'a> {
    proxy: &'a Proxy,
    profile: &'a Profile,
    received: &'a Received<'a>,
    selection: Selection,
    random: u64,
    /// Whether headers of the request are kept that a connection manager takes away.
    is_tool: bool,
}

impl Played<'_> {
    fn seen<'c>(&self, answer: Headers) -> Seen<'c> {
        let Played { proxy, received, selection, .. } = *self;
        let never = u64::MAX;
        let decision = selection.draw(proxy, Chances { stream: self.random, delay: never, abort: never });
        let arrived = Headers::arrived(&received.request.headers);
        let forwarded = match self.is_tool {
            true => forwarded_with(proxy, received, &decision, arrived.clone()),
            false => forwarded(proxy, received, &decision),
        };
        let answering = Answering { proxy, profile: self.profile, received, decision: &decision };
        let answer = answering.finish(Reply { status: 200, headers: answer, body: Vec::new() }).headers;
        let Some(route) = selection.route(proxy) else {
            let redirect = match selection.verdict {
                Found::RequireTls { .. } => format!("https://{}{}", received.authority, received.path),
                _ => String::new(),
            };
            let status = if redirect.is_empty() { 0 } else { 301 };
            return Seen { redirect, status, request: with_pseudo(arrived, received), answer, ..Seen::default() };
        };
        let answered = |redirect: &Redirect, status: u16| (location(redirect, &route.matcher, received), status);
        let (redirect, status) = match &route.action {
            Action::Redirect(redirect) => answered(redirect, redirect.status),
            // Asked where it leads, a direct answer says where the request already is.
            Action::Direct(direct) => answered(&Redirect::default(), direct.status),
            Action::Forward(_) => (String::new(), 0),
        };
        let leg = decision.leg(proxy);
        let host = selection.virtual_host(proxy).map_or_else(String::new, |host| host.name.clone());
        let mut seen = Seen {
            entry: Some(leg.map_or(route.origin.span, |leg| leg.origin.span)),
            cluster: leg.map_or_else(String::new, |leg| leg.cluster.name.clone()),
            virtual_host: if leg.is_some() { host } else { String::new() },
            redirect,
            status,
            timeout: selection.forward(proxy).map_or(crate::time::Duration::ZERO, |forward| forward.timeout),
            answer,
            ..Seen::default()
        };
        match forwarded {
            Some(out) => {
                seen.authority.clone_from(&out.authority);
                seen.path.clone_from(&out.path);
                let pseudo = [(":authority", out.authority), (":path", out.path), (":method", out.method)];
                seen.request = out.headers;
                seen.request.0.extend(pseudo.map(|(name, value)| (name.to_owned(), value)));
                seen.request.0.push((":scheme".to_owned(), received.scheme.to_owned()));
            }
            None => seen.request = with_pseudo(arrived, received),
        }
        seen
    }
}

fn with_pseudo(mut headers: Headers, received: &Received<'_>) -> Headers {
    for (name, value) in [
        (":authority", received.authority),
        (":path", &received.path),
        (":method", &received.request.method),
        (":scheme", received.scheme),
        ("x-forwarded-proto", received.scheme),
    ] {
        headers.0.push((name.to_owned(), value.to_owned()));
    }
    headers
}

/// The headers of an answer before the route changes them: the upstream's, and those of what the proxy
/// answers itself.
fn local_answer(route: Option<&Route>, upstream: &[(String, String)]) -> Headers {
    let mut lines = upstream.to_vec();
    let mut own = |name: &str, value: String| lines.push((name.to_owned(), value));
    match route.map(|route| &route.action) {
        Some(Action::Direct(direct)) => {
            own(":status", direct.status.to_string());
            if !direct.body.is_empty() {
                own("content-length", direct.body.len().to_string());
                own("content-type", "text/plain".to_owned());
            }
        }
        Some(Action::Redirect(redirect)) => own(":status", redirect.status.to_string()),
        Some(Action::Forward(_)) | None => {}
    }
    Headers(lines)
}

fn kinds(claims: &RouterCheckClaims) -> Vec<ItemKind> {
    claims.cluster_name.iter().map(|_| ItemKind::Destination).collect()
}

/// Holds claims against what is seen, and marks what claims that hold are about.
fn compare(seen: &Seen<'_>, claims: &RouterCheckClaims, verdict: &mut Verdict) {
    let forwards = seen.status == 0;
    for (what, field, wanted, actual) in [
        ("cluster_name", RouteField::Cluster, &claims.cluster_name, &seen.cluster),
        ("virtual_cluster_name", RouteField::VirtualCluster, &claims.virtual_cluster_name, &seen.virtual_cluster),
        ("virtual_host_name", RouteField::VirtualHost, &claims.virtual_host_name, &seen.virtual_host),
        ("host_rewrite", RouteField::HostRewrite, &claims.host_rewrite, &seen.authority),
        ("path_rewrite", RouteField::PathRewrite, &claims.path_rewrite, &seen.path),
        ("path_redirect", RouteField::RedirectPath, &claims.path_redirect, &seen.redirect),
    ] {
        let Some(wanted) = wanted else { continue };
        verdict.claim(what, &wanted.value, actual, wanted.span);
        let is_own = forwards != matches!(field, RouteField::RedirectPath);
        verdict.trace.marks.extend(seen.entry.filter(|_| is_own && wanted.value == *actual).map(|entry| (entry, field)));
    }
    if let Some(code) = &claims.code_redirect {
        verdict.claim("code_redirect", code.value.to_string(), seen.status.to_string(), code.span);
        let mark = seen.entry.filter(|_| !forwards && code.value == seen.status);
        verdict.trace.marks.extend(mark.map(|entry| (entry, RouteField::RedirectCode)));
    }
    if let Some(timeout) = &claims.timeout {
        verdict.claim("timeout", timeout.value.0.to_string(), seen.timeout.to_string(), timeout.span);
    }
    for claim in &claims.route_metadata {
        let field = seen.metadata.and_then(|all| all.get(&claim.namespace.value)).and_then(|own| own.get(&claim.key.value));
        let actual = field.and_then(crate::yaml::Node::text).unwrap_or_default();
        verdict.claim(&format!("route_metadata {}", claim.key.value), &claim.value.value, actual, claim.value.span);
    }
    for (what, matchers, lines, headers) in [
        ("request header", &claims.request_header_matches, &claims.request_header_fields, &seen.request),
        ("response header", &claims.response_header_matches, &claims.response_header_fields, &seen.answer),
    ] {
        for matcher in matchers {
            match is_met(matcher, headers) {
                Ok(true) => {}
                Ok(false) => {
                    let actual = value_of(headers, &matcher.name.value).unwrap_or_else(|| "absent".to_owned());
                    verdict.fail(&format!("{what} {}", matcher.name.value), "a match", actual, matcher.span);
                }
                Err(refusal) => verdict.not_judged = Some((refusal.why, refusal.span)),
            }
        }
        for line in lines {
            let actual = value_of(headers, &line.key.value).unwrap_or_default();
            let (wanted, span) = line.value.as_ref().map_or(("", line.span), |value| (&value.value, value.span));
            verdict.claim(&format!("{what} {}", line.key.value), wanted, actual, span);
        }
    }
}

fn value_of(headers: &Headers, name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let lines: Vec<&str> = headers.0.iter().filter(|(own, _)| *own == name).map(|(_, value)| value.as_str()).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

fn is_met(matcher: &HeaderMatcher, headers: &Headers) -> Result<bool, Refusal> {
    let condition = matcher.condition()?;
    let name = matcher.name.value.to_ascii_lowercase();
    let lines = headers.0.iter().filter(|(own, _)| *own == name).map(|(_, value)| value.as_str());
    Ok(values_hold(&condition, lines))
}
