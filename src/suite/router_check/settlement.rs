//! What a route does, settled for one request: clusters and authorities that headers name, and
//! operations on headers that depend on which are there.

use super::configuration::{
    ClusterWeight, DirectResponseAction, RedirectAction, RegexRewrite, Route as Written, RouteAction, RouteConfiguration,
    VirtualHost,
};
use super::headers::{HeaderValueOption, Level, settled as settled_headers};
use super::matchers::Refusal;
use super::routes::template;
use crate::mesh::Origin;
use crate::mesh::pattern::Pattern;
use crate::mesh::route::{
    Action, ClusterRef, DirectResponse, Forward, HeaderOps, Leg, Legs, PathRewrite, Redirect, RedirectPath, Route, RouteMatch,
};
use crate::source::{Span, Spanned};
use crate::time::Duration;

/// Envoy's own, where a route says nothing.
const TIMEOUT: Duration = Duration::from_secs(15);

/// What a request and its answer are made of.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Message<'a> {
    /// The path without query.
    pub(super) bare_path: &'a str,
    /// The authority.
    pub(super) authority: &'a str,
    /// Headers of the request, names in lower case.
    pub(super) request: &'a [(String, String)],
    /// Headers of the upstream's answer.
    pub(super) answer: &'a [(String, String)],
}

impl Message<'_> {
    fn header(&self, name: &Spanned<String>) -> Option<&str> {
        let name = name.value.to_ascii_lowercase();
        match name.as_str() {
            ":authority" | "host" => Some(self.authority),
            name => self.request.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str()),
        }
    }
}

/// The route as the core takes it.
pub(super) fn settled(
    configuration: &RouteConfiguration,
    host: &VirtualHost,
    written: &Written,
    matcher: RouteMatch,
    message: &Message<'_>,
) -> Route {
    let origin = Origin { object: None, span: written.span };
    let action = match (&written.route, &written.redirect, &written.direct_response) {
        (Some(forward), ..) => forwarding(configuration, host, written, forward, message),
        (None, Some(own), _) => Action::Redirect(Box::new(redirect(own))),
        (None, None, Some(own)) => Action::Direct(direct(own)),
        (None, None, None) => Action::Direct(DirectResponse { status: 404, body: Vec::new() }),
    };
    // A forwarding route's operations are its destinations'.
    let (request_headers, response_headers) = match action {
        Action::Forward(_) => (HeaderOps::default(), HeaderOps::default()),
        Action::Redirect(_) | Action::Direct(_) => of_message(&levels(configuration, host, written, None), message),
    };
    Route {
        name: written.name.as_ref().map_or_else(String::new, |name| name.value.clone()),
        matcher,
        action,
        fault: None,
        cors: None,
        request_headers,
        response_headers,
        origin,
    }
}

/// Operations of all levels on request and answer, the most specific first unless it is to win.
fn levels<'c>(
    configuration: &'c RouteConfiguration,
    host: &'c VirtualHost,
    route: &'c Written,
    leg: Option<&'c ClusterWeight>,
) -> (Vec<Level<'c>>, Vec<Level<'c>>) {
    let level = |add, remove| Level { add, remove };
    let mut request: Vec<Level<'c>> =
        leg.map(|leg| level(&leg.request_headers_to_add, &leg.request_headers_to_remove)).into_iter().collect();
    request.push(level(&route.request_headers_to_add, &route.request_headers_to_remove));
    request.push(level(&host.request_headers_to_add, &host.request_headers_to_remove));
    request.push(level(&configuration.request_headers_to_add, &configuration.request_headers_to_remove));
    let mut answer: Vec<Level<'c>> =
        leg.map(|leg| level(&leg.response_headers_to_add, &leg.response_headers_to_remove)).into_iter().collect();
    answer.push(level(&route.response_headers_to_add, &route.response_headers_to_remove));
    answer.push(level(&host.response_headers_to_add, &host.response_headers_to_remove));
    answer.push(level(&configuration.response_headers_to_add, &configuration.response_headers_to_remove));
    if configuration.most_specific_header_mutations_wins == Some(true) {
        request.reverse();
        answer.reverse();
    }
    (request, answer)
}

fn of_message((request, answer): &(Vec<Level<'_>>, Vec<Level<'_>>), message: &Message<'_>) -> (HeaderOps, HeaderOps) {
    let names = |lines: &[(String, String)]| lines.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let (of_request, of_answer) = (names(message.request), names(message.answer));
    (
        settled_headers(request, of_request.iter().map(String::as_str)),
        settled_headers(answer, of_answer.iter().map(String::as_str)),
    )
}

fn forwarding(
    configuration: &RouteConfiguration,
    host: &VirtualHost,
    route: &Written,
    forward: &RouteAction,
    message: &Message<'_>,
) -> Action {
    let name = |cluster: &Option<Spanned<String>>, header: &Option<Spanned<String>>| match (cluster, header) {
        (Some(cluster), _) => cluster.value.clone(),
        (None, Some(header)) => message.header(header).unwrap_or_default().to_owned(),
        (None, None) => String::new(),
    };
    let leg = |name: String, weight: u32, own: Option<&ClusterWeight>, span: Span| {
        let (request_headers, response_headers) = of_message(&levels(configuration, host, route, own), message);
        let authority = own.and_then(|own| own.host_rewrite_literal.as_ref());
        Leg {
            // The proxy that is judged has no clusters, whatever their ids.
            cluster: ClusterRef { name, id: crate::mesh::ClusterId(0) },
            weight,
            request_headers,
            response_headers,
            authority_rewrite: authority.map(|authority| authority.value.clone()),
            origin: Origin { object: None, span },
        }
    };
    let weighted = forward.weighted_clusters.as_ref().and_then(|weighted| {
        let one = |own: &ClusterWeight| leg(name(&own.name, &own.cluster_header), own.weight.unwrap_or(0), Some(own), own.span);
        Legs::weighted(weighted.clusters.iter().map(one).collect())
    });
    let legs =
        weighted.unwrap_or_else(|| Legs::lone(leg(name(&forward.cluster, &forward.cluster_header), 100, None, forward.span)));
    Action::Forward(Box::new(Forward {
        legs,
        timeout: forward.timeout.as_ref().map_or(TIMEOUT, |timeout| timeout.value.0),
        retries: None,
        mirrors: Vec::new(),
        hash: Vec::new(),
        path_rewrite: path_rewrite(route, forward),
        authority_rewrite: authority_rewrite(forward, message),
        cluster_not_found_status: 503,
    }))
}

fn path_rewrite(route: &Written, forward: &RouteAction) -> Option<PathRewrite> {
    if let Some(prefix) = forward.prefix_rewrite.as_ref().filter(|prefix| !prefix.value.is_empty()) {
        return Some(PathRewrite::Prefix(prefix.value.clone()));
    }
    if let Some(rewrite) = &forward.regex_rewrite {
        let (pattern, substitution) = by_regex(rewrite)?;
        return Some(PathRewrite::Regex { pattern, substitution });
    }
    let (pattern, substitution) = by_template(route, forward)?.ok()?;
    Some(PathRewrite::Regex { pattern, substitution })
}

fn by_regex(rewrite: &RegexRewrite) -> Option<(Pattern, String)> {
    let substitution = rewrite.substitution.as_ref().map_or_else(String::new, |text| text.value.clone());
    Some((rewrite.pattern.pattern().ok()?, substitution))
}

/// What a rewriting template means beside the template that the path matches.
fn by_template(route: &Written, forward: &RouteAction) -> Option<Result<(Pattern, String), Refusal>> {
    let policy = forward.path_rewrite_policy.as_ref()?;
    let text = policy.typed_config.as_ref().and_then(|config| config.path_template_rewrite.as_ref());
    let (Some(text), Some(matched)) = (text, &route.matches.path_match_policy) else {
        return Some(Err(Refusal::not_modelled("an extension that rewrites paths", policy.span)));
    };
    Some(template(matched).and_then(|template| {
        let substitution = template.substitution(&text.value).map_err(|why| Refusal::invalid(&why, text.span))?;
        Ok((template.pattern, substitution))
    }))
}

fn authority_rewrite(forward: &RouteAction, message: &Message<'_>) -> Option<String> {
    if let Some(literal) = forward.host_rewrite_literal.as_ref().filter(|literal| !literal.value.is_empty()) {
        return Some(literal.value.clone());
    }
    if let Some(header) = &forward.host_rewrite_header {
        return message.header(header).filter(|value| !value.is_empty()).map(str::to_owned);
    }
    let (pattern, substitution) = by_regex(forward.host_rewrite_path_regex.as_ref()?)?;
    Some(pattern.replace_all(message.bare_path, &substitution))
}

fn redirect(own: &RedirectAction) -> Redirect {
    let text = |text: &Option<Spanned<String>>| text.as_ref().map(|text| text.value.clone()).filter(|text| !text.is_empty());
    let by_regex = own.regex_rewrite.as_ref().and_then(by_regex);
    let path = text(&own.path_redirect)
        .map(RedirectPath::Full)
        .or_else(|| own.prefix_rewrite.as_ref().map(|prefix| RedirectPath::Prefix(prefix.value.clone())))
        .or_else(|| by_regex.map(|(pattern, substitution)| RedirectPath::Regex { pattern, substitution }));
    let https = (own.https_redirect == Some(true)).then(|| "https".to_owned());
    Redirect {
        status: own.response_code.map_or(301, super::configuration::RedirectCode::status),
        path,
        host: text(&own.host_redirect),
        port: own.port_redirect.filter(|port| *port != 0),
        scheme: https.or_else(|| text(&own.scheme_redirect)),
    }
}

fn direct(own: &DirectResponseAction) -> DirectResponse {
    let body = own.body.as_ref().and_then(|body| body.inline_string.as_ref());
    DirectResponse { status: own.status.value, body: body.map_or_else(Vec::new, |body| body.value.clone().into_bytes()) }
}

/// What a route does that is not modelled.
pub(super) fn not_modelled(route: &Written) -> Vec<Refusal> {
    let mut all = Vec::new();
    let mut note = |what: &str, node: &Option<crate::yaml::Node>| {
        all.extend(node.iter().map(|node| Refusal::not_modelled(what, node.span)));
    };
    note("a filter's own action", &route.filter_action);
    note("a route of a proxy that does not forward", &route.non_forwarding_action);
    if let Some(forward) = &route.route {
        note("an extension that chooses the cluster", &forward.cluster_specifier_plugin);
        note("an extension that chooses the cluster", &forward.inline_cluster_specifier_plugin);
        note("a rewrite by a format string", &forward.path_rewrite);
        note("a rewrite by a format string", &forward.host_rewrite);
        if let Some(weighted) = &forward.weighted_clusters {
            note("a weighted choice by a header", &weighted.header_name);
            note("a weighted choice by the hash policy", &weighted.use_hash_policy);
        }
    }
    if let Some(direct) = &route.direct_response {
        note("a body by a format string", &direct.body_format);
        if let Some(body) = &direct.body {
            note("a body in Base64", &body.inline_bytes);
            note("a body in a file", &body.filename);
            note("a body in an environment variable", &body.environment_variable);
        }
    }
    if let Some(forward) = &route.route {
        let flag = |what: &str, is_on: Option<bool>| (is_on == Some(true)).then(|| Refusal::not_modelled(what, forward.span));
        all.extend(flag("`x-forwarded-host` of a rewritten authority", forward.append_x_forwarded_host));
        all.extend(
            forward.regex_rewrite.iter().chain(&forward.host_rewrite_path_regex).filter_map(|own| own.pattern.pattern().err()),
        );
        all.extend(by_template(route, forward).and_then(Result::err));
    }
    let redirect = route.redirect.as_ref().and_then(|redirect| redirect.regex_rewrite.as_ref());
    all.extend(redirect.and_then(|own| own.pattern.pattern().err()));
    all.extend(refused_by_envoy(route));
    let legs =
        route.route.iter().filter_map(|forward| forward.weighted_clusters.as_ref()).flat_map(|weighted| &weighted.clusters);
    let of_legs = legs.flat_map(|leg| leg.request_headers_to_add.iter().chain(&leg.response_headers_to_add));
    let of_route = route.request_headers_to_add.iter().chain(&route.response_headers_to_add);
    all.extend(of_legs.chain(of_route).filter_map(HeaderValueOption::not_modelled));
    all
}

/// What of a route's action Envoy would not take.
fn refused_by_envoy(route: &Written) -> Option<Refusal> {
    let has_action = route.route.is_some() || route.redirect.is_some() || route.direct_response.is_some();
    if !has_action && route.filter_action.is_none() && route.non_forwarding_action.is_none() {
        return Some(Refusal::invalid("a route does nothing", route.span));
    }
    let forward = route.route.as_ref()?;
    let has_cluster = forward.cluster.is_some()
        || forward.cluster_header.is_some()
        || forward.cluster_specifier_plugin.is_some()
        || forward.inline_cluster_specifier_plugin.is_some();
    let weights = forward.weighted_clusters.iter().flat_map(|weighted| &weighted.clusters);
    let total: u64 = weights.map(|cluster| u64::from(cluster.weight.unwrap_or(0))).sum();
    match (&forward.weighted_clusters, has_cluster) {
        (Some(weighted), _) if total == 0 => Some(Refusal::invalid("the weights add up to nothing", weighted.span)),
        (None, false) => Some(Refusal::invalid("a route forwards to no cluster", forward.span)),
        _ => None,
    }
}
