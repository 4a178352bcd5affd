//! What is done with every request that one route takes, in words that mean the same in each mesh:
//! what is left of a route when its conditions, places and numbers are taken away. Two routes with
//! one treatment are interchangeable.

use super::outcome::Probability;
use super::selection::{Selection, Verdict};
use crate::mesh::Proxy;
use crate::mesh::cluster::Cluster;
use crate::mesh::route::{
    AbortStatus, Action, ClusterRef, Cors, Fault, Forward, HashPolicy, HeaderOps, Leg, PathRewrite, PathTest, Redirect,
    RedirectPath, RetryPolicy, Route, Test,
};
use crate::text;

/// One side of a treatment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Facet {
    /// Who answers: a destination, or the proxy itself and with what.
    Answer,
    /// Destinations and their shares.
    Destinations,
    /// Whole-request timeout.
    Timeout,
    /// Retries.
    Retries,
    /// Fault injection.
    Fault,
    /// Copies.
    Mirrors,
    /// Change of path and authority.
    Rewrite,
    /// Operations on request headers.
    RequestHeaders,
    /// Operations on response headers.
    ResponseHeaders,
    /// CORS policy.
    Cors,
    /// What hashing balancers hash.
    Hash,
}

impl Facet {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Facet::Answer => "answer",
            Facet::Destinations => "destinations",
            Facet::Timeout => "timeout",
            Facet::Retries => "retries",
            Facet::Fault => "fault",
            Facet::Mirrors => "mirrors",
            Facet::Rewrite => "rewrite",
            Facet::RequestHeaders => "request headers",
            Facet::ResponseHeaders => "response headers",
            Facet::Cors => "CORS",
            Facet::Hash => "hash",
        }
    }
}

/// What is done with requests; facets that are not there do nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Treatment(pub Vec<(Facet, String)>);

impl Treatment {
    /// What a proxy does with the requests of a selection.
    #[must_use]
    pub fn of(proxy: &Proxy, selection: Selection) -> Self {
        selection.route(proxy).map_or_else(|| Self::without_route(selection.verdict), |route| Self::of_route(proxy, route))
    }

    /// What is done with requests that no route takes.
    #[must_use]
    pub fn without_route(verdict: Verdict) -> Self {
        let answer = match verdict {
            Verdict::Malformed(_) => "400",
            Verdict::RequireTls { .. } => "301 to https",
            Verdict::NoHost | Verdict::NoProto { .. } | Verdict::NoRoute { .. } | Verdict::Route { .. } => "404, no route",
        };
        Treatment(vec![(Facet::Answer, answer.to_owned())])
    }

    /// What a proxy does with the requests that one of its routes takes.
    #[must_use]
    pub fn of_route(proxy: &Proxy, route: &Route) -> Self {
        let mut facets = Vec::new();
        let mut put = |facet, text: Option<String>| facets.extend(text.map(|text| (facet, text)));
        match &route.action {
            Action::Redirect(redirect) => put(Facet::Answer, Some(redirect_text(redirect, route))),
            Action::Direct(direct) => {
                let body = String::from_utf8_lossy(&direct.body);
                let body = if body.is_empty() { String::new() } else { format!(" with body `{body}`") };
                put(Facet::Answer, Some(format!("{} at once{body}", direct.status)));
            }
            Action::Forward(forward) => {
                put(Facet::Answer, Some("forwarded".to_owned()));
                put(Facet::Destinations, Some(destinations(proxy, forward)));
                put(Facet::Timeout, (!forward.timeout.is_zero()).then(|| text::duration(forward.timeout)));
                put(Facet::Retries, forward.retries.as_ref().and_then(retries));
                put(
                    Facet::Mirrors,
                    list(forward.mirrors.iter().map(|mirror| {
                        let share = Probability::new(u128::from(mirror.share.0), 1_000_000);
                        format!("{} {}", share_text(share), cluster_text(proxy, &mirror.cluster, forward))
                    })),
                );
                put(Facet::Rewrite, rewrite(forward, route));
                put(Facet::Cors, route.cors.as_ref().map(cors));
                put(Facet::Hash, list(forward.hash.iter().map(hash)));
            }
        }
        put(Facet::Fault, route.fault.as_ref().and_then(fault));
        put(Facet::RequestHeaders, operations(&route.request_headers));
        put(Facet::ResponseHeaders, operations(&route.response_headers));
        facets.sort_by_key(|(facet, _)| *facet);
        Treatment(facets)
    }

    /// What is said about one facet.
    #[must_use]
    pub fn get(&self, facet: Facet) -> Option<&str> {
        self.0.iter().find(|(own, _)| *own == facet).map(|(_, text)| text.as_str())
    }

    /// The facets that differ, with both sides.
    #[must_use]
    pub fn differences<'t>(&'t self, other: &'t Treatment) -> Vec<(Facet, Option<&'t str>, Option<&'t str>)> {
        let mut facets: Vec<Facet> = self.0.iter().chain(&other.0).map(|(facet, _)| *facet).collect();
        facets.sort_unstable();
        facets.dedup();
        let both = facets.into_iter().map(|facet| (facet, self.get(facet), other.get(facet)));
        both.filter(|(_, before, after)| before != after).collect()
    }
}

/// A cluster as people write destinations: `reviews.default.svc.cluster.local:9080/v1`.
#[must_use]
pub fn destination_name(cluster: &str) -> String {
    let mut parts = cluster.splitn(4, '|');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("outbound"), Some(port), Some(""), Some(host)) => format!("{host}:{port}"),
        (Some("outbound"), Some(port), Some(subset), Some(host)) => format!("{host}:{port}/{subset}"),
        _ => cluster.to_owned(),
    }
}

/// A share exactly: in percent where four decimals say it, else as a fraction.
#[must_use]
pub fn share_text(share: Probability) -> String {
    let scaled = share.numerator * 1_000_000;
    if !scaled.is_multiple_of(share.denominator) {
        return share.to_string();
    }
    let per_million = scaled / share.denominator;
    let fraction = format!("{:04}", per_million % 10_000);
    match fraction.trim_end_matches('0') {
        "" => format!("{} %", per_million / 10_000),
        digits => format!("{}.{digits} %", per_million / 10_000),
    }
}

fn list(items: impl Iterator<Item = String>) -> Option<String> {
    let all: Vec<String> = items.collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// Destinations with what is done for them; equal ones are added up, and their order says nothing.
fn destinations(proxy: &Proxy, forward: &Forward) -> String {
    let total = u128::from(forward.legs.total_weight());
    let mut sums: Vec<(String, Probability)> = Vec::new();
    for leg in forward.legs.all() {
        let share = Probability::new(u128::from(leg.weight), total);
        let name = leg_text(proxy, leg, forward);
        match sums.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum = *sum + share,
            None => sums.push((name, share)),
        }
    }
    sums.sort();
    let all: Vec<String> = sums.into_iter().map(|(name, share)| format!("{} {name}", share_text(share))).collect();
    all.join(", ")
}

fn leg_text(proxy: &Proxy, leg: &Leg, forward: &Forward) -> String {
    let mut words = vec![cluster_text(proxy, &leg.cluster, forward)];
    words.extend(leg.authority_rewrite.as_ref().map(|authority| format!("authority {authority}")));
    words.extend(operations(&leg.request_headers));
    words.extend(operations(&leg.response_headers).map(|operations| format!("in the answer {operations}")));
    words.join(" with ")
}

fn cluster_text(proxy: &Proxy, cluster: &ClusterRef, forward: &Forward) -> String {
    let name = destination_name(&cluster.name);
    let known: Option<&Cluster> = proxy.clusters.get(cluster.id);
    match known {
        None => format!("{name} (unknown: {} NC)", forward.cluster_not_found_status),
        Some(cluster) if !cluster.has_somewhere_to_go() => format!("{name} (no endpoint: 503 UH)"),
        Some(_) => name,
    }
}

fn retries(policy: &RetryPolicy) -> Option<String> {
    if policy.attempts == 0 {
        return None;
    }
    let mut words = vec![format!("up to {} on {}", policy.attempts, policy.on)];
    words.extend(list(policy.codes.iter().map(u16::to_string)).map(|codes| format!("statuses {codes}")));
    words.extend(policy.per_try_timeout.map(|limit| format!("each try at most {}", text::duration(limit))));
    words.extend(policy.back_off_base.map(|base| format!("back-off from {}", text::duration(base))));
    words.extend((!policy.avoids_tried_hosts).then(|| "tried endpoints again".to_owned()));
    words.extend(policy.retry_remote_localities.then(|| "remote localities".to_owned()));
    Some(words.join("; "))
}

fn fault(fault: &Fault) -> Option<String> {
    let of = |share: u32| share_text(Probability::new(u128::from(share), 1_000_000));
    let delay = fault.delay.filter(|delay| delay.share.0 > 0);
    let abort = fault.abort.filter(|abort| abort.share.0 > 0);
    let delay = delay.map(|delay| format!("delay of {} for {}", text::duration(delay.fixed), of(delay.share.0)));
    let abort = abort.map(|abort| match abort.status {
        AbortStatus::Http(status) => format!("abort with {status} for {}", of(abort.share.0)),
        AbortStatus::Grpc(status) => format!("abort with gRPC status {status} for {}", of(abort.share.0)),
    });
    list(delay.into_iter().chain(abort))
}

/// What the rewrite replaces is the matched prefix, or all of the path.
fn replaced(route: &Route) -> String {
    match &route.matcher.path.test {
        PathTest::Prefix(prefix) | PathTest::SegmentPrefix(prefix) => format!("prefix {prefix}"),
        PathTest::Exact(_) | PathTest::Regex(_) => "path".to_owned(),
    }
}

fn rewrite(forward: &Forward, route: &Route) -> Option<String> {
    let path = forward.path_rewrite.as_ref().map(|rewrite| match rewrite {
        PathRewrite::Prefix(new) => format!("{} becomes {new}", replaced(route)),
        PathRewrite::Regex { pattern, substitution } => format!("`{}` becomes `{substitution}`", pattern.source()),
    });
    let authority = forward.authority_rewrite.as_ref().map(|authority| format!("authority becomes {authority}"));
    list(path.into_iter().chain(authority))
}

fn redirect_text(redirect: &Redirect, route: &Route) -> String {
    let mut words = vec![format!("{} elsewhere", redirect.status)];
    words.extend(redirect.scheme.as_ref().map(|scheme| format!("scheme {scheme}")));
    words.extend(redirect.host.as_ref().map(|host| format!("host {host}")));
    words.extend(redirect.port.map(|port| format!("port {port}")));
    words.extend(redirect.path.as_ref().map(|path| match path {
        RedirectPath::Full(path) => format!("path {path}"),
        RedirectPath::Prefix(new) => format!("{} becomes {new}", replaced(route)),
        RedirectPath::Regex { pattern, substitution } => format!("`{}` becomes `{substitution}`", pattern.source()),
    }));
    words.join(", ")
}

/// Operations in an order that changes nothing: values of one header keep theirs.
fn operations(ops: &HeaderOps) -> Option<String> {
    let mut removes: Vec<&String> = ops.remove.iter().collect();
    let (mut sets, mut adds): (Vec<_>, Vec<_>) = (ops.set.iter().collect(), ops.add.iter().collect());
    removes.sort();
    removes.dedup();
    sets.sort_by_key(|(name, _)| name);
    adds.sort_by_key(|(name, _)| name);
    let removes = removes.into_iter().map(|name| format!("remove {name}"));
    let sets = sets.into_iter().map(|(name, value)| format!("set {name}: {value}"));
    let adds = adds.into_iter().map(|(name, value)| format!("add {name}: {value}"));
    list(removes.chain(sets).chain(adds))
}

fn cors(cors: &Cors) -> String {
    let origins = cors.allow_origins.iter().map(|test| match test {
        Test::Present => "any".to_owned(),
        Test::Exact(origin) => origin.clone(),
        Test::Prefix(prefix) => format!("{prefix}…"),
        Test::Regex(pattern) => format!("`{}`", pattern.source()),
    });
    let mut words = vec![format!("origins {}", list(origins).unwrap_or_else(|| "none".to_owned()))];
    for (what, value) in [
        ("methods", &cors.allow_methods),
        ("headers", &cors.allow_headers),
        ("exposed", &cors.expose_headers),
        ("max-age", &cors.max_age),
    ] {
        words.extend((!value.is_empty()).then(|| format!("{what} {value}")));
    }
    words.extend(cors.allow_credentials.then(|| "credentials".to_owned()));
    words.extend((!cors.forward_unmatched_preflights).then(|| "foreign preflights answered".to_owned()));
    words.join("; ")
}

fn hash(policy: &HashPolicy) -> String {
    match policy {
        HashPolicy::Header(name) => format!("header {name}"),
        HashPolicy::Cookie { name, path, ttl, attributes } => {
            let mut text = format!("cookie {name}{path}");
            if let Some(ttl) = ttl {
                text.push_str(&format!(" for {}", text::duration(*ttl)));
            }
            for (name, value) in attributes {
                text.push_str(&format!(" {name}={value}"));
            }
            text
        }
        HashPolicy::SourceIp => "client address".to_owned(),
        HashPolicy::Nothing => "nothing".to_owned(),
        HashPolicy::Query(name) => format!("query parameter {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::testing::{client, dial, mesh_with_rules, request};
    use crate::routing::{Conn, listen, select};

    fn treatment(rules: &str) -> Treatment {
        let mesh = mesh_with_rules(rules);
        let proxy = &mesh.proxies[client(&mesh).index()];
        let Conn::Http(http) = listen(proxy, &dial(), "app") else { panic!("port 80 of the example is HTTP") };
        Treatment::of(proxy, select(proxy, http.table, &request("GET", "/", &[])))
    }

    fn to(subset: &str, weight: u32) -> String {
        format!("{{destination: {{host: app, subset: {subset}}}, weight: {weight}}}")
    }

    #[test]
    fn what_makes_no_difference_is_not_told_apart() {
        for (one, other) in [
            (
                format!("[{{route: [{}, {}]}}]", to("v1", 1), to("v2", 3)),
                format!("[{{route: [{}, {}]}}]", to("v2", 75), to("v1", 25)),
            ),
            (
                format!("[{{route: [{}, {}, {}]}}]", to("v1", 1), to("v2", 2), to("v1", 1)),
                format!("[{{name: other, route: [{}, {}]}}]", to("v1", 50), to("v2", 50)),
            ),
            (
                format!("[{{headers: {{request: {{set: {{a: x, b: y}}, remove: [c, d]}}}}, route: [{}]}}]", to("v1", 1)),
                format!("[{{headers: {{request: {{remove: [d, c], set: {{b: y, a: x}}}}}}, route: [{}]}}]", to("v1", 9)),
            ),
        ] {
            assert_eq!(treatment(&one).differences(&treatment(&other)), [], "{one} {other}");
        }
    }

    #[test]
    fn each_facet_tells_its_own_difference() {
        let plain = treatment(&format!("[{{route: [{}]}}]", to("v1", 1)));
        for (more, facet) in [
            ("timeout: 3s", Facet::Timeout),
            ("retries: {attempts: 7}", Facet::Retries),
            ("fault: {abort: {httpStatus: 418, percentage: {value: 1}}}", Facet::Fault),
            ("mirror: {host: app, subset: v2}", Facet::Mirrors),
            ("rewrite: {uri: /x}", Facet::Rewrite),
            ("headers: {request: {add: {a: b}}}", Facet::RequestHeaders),
            ("headers: {response: {add: {a: b}}}", Facet::ResponseHeaders),
            ("corsPolicy: {allowOrigins: [{prefix: a}]}", Facet::Cors),
        ] {
            let other = treatment(&format!("[{{{more}, route: [{}]}}]", to("v1", 1)));
            let facets: Vec<Facet> = plain.differences(&other).into_iter().map(|(facet, ..)| facet).collect();
            assert_eq!(facets, [facet], "{more}");
        }
        assert_eq!(
            treatment(&format!("[{{route: [{}, {}, {}]}}]", to("v0", 1), to("v1", 1), to("v9", 1))).get(Facet::Destinations),
            Some(
                "1/3 app.default.svc.cluster.local:80/v0 (no endpoint: 503 UH), 1/3 app.default.svc.cluster.local:80/v1, \
                 1/3 app.default.svc.cluster.local:80/v9 (unknown: 503 NC)"
            )
        );
    }

    #[test]
    fn shares_are_told_exactly() {
        for (part, whole, text) in
            [(1, 4, "25 %"), (1, 1000, "0.1 %"), (1, 3, "1/3"), (1, 1, "100 %"), (5, 1_000_000, "0.0005 %")]
        {
            assert_eq!(share_text(Probability::new(part, whole)), text);
        }
    }
}
