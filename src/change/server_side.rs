//! What proxies let in: ports, mutual TLS, authorization. Where it was compiled differently, calls are
//! sent to both; dry runs, audits and external authorizers are compared as they were compiled.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rayon::prelude::*;

use super::callers::{self, TrustDomains};
use super::delta::{CallChange, Delta, FacetChange, ServerChange};
use super::likeness::Pair;
use crate::mesh::Proxy;
use crate::mesh::authorization::{Clause, Issuer, RbacAction, RbacFilter, RbacRule, RuleSet};
use crate::mesh::rate_limit::{Limit, LimitFilter, LocalLimit, RouteLimits, TokenBucket, Traffic};
use crate::mesh::route::PerMillion;

/// Compares the server sides of each pair. Most servers of a mesh are alike, so each kind of pair is
/// compared once.
pub(super) fn compare(pairs: &[Pair<'_>], trust_domains: &TrustDomains, delta: &mut Delta) {
    let is_unlike = |pair: &&Pair<'_>| pair.base.inbound != pair.head.inbound || pair.base.limits != pair.head.limits;
    let unlike = pairs.iter().filter(is_unlike);
    let mut kinds: BTreeMap<(String, String), Vec<Pair<'_>>> = BTreeMap::new();
    for pair in unlike {
        let (base, head) = (description(pair.base), description(pair.head));
        if base != head {
            kinds.entry((base, head)).or_default().push(*pair);
        }
    }
    let kinds: Vec<Vec<Pair<'_>>> = kinds.into_values().collect();
    let found = kinds.par_iter().filter_map(|pairs| {
        let (facets, calls) = of_pair(pairs[0], trust_domains)?;
        let proxies = pairs.iter().map(|pair| pair.head.spec.name.clone()).collect();
        Some(ServerChange { proxies, facets, calls })
    });
    for change in found.collect::<Vec<_>>() {
        match delta.servers.iter_mut().find(|own| own.facets == change.facets && end_alike(&own.calls, &change.calls)) {
            Some(own) => own.proxies.extend(change.proxies),
            None => delta.servers.push(change),
        }
    }
    for change in &mut delta.servers {
        // The calls are calls at the first one.
        if let Some((_, others)) = change.proxies.split_first_mut() {
            others.sort_unstable();
        }
    }
    delta.servers.sort_by(|one, other| one.proxies.cmp(&other.proxies));
}

/// Whether calls of as many kinds end alike, whatever they say.
fn end_alike(one: &[CallChange], other: &[CallChange]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| (&one.before, &one.after) == (&other.before, &other.after))
}

/// Everything that counts about a server side, without places.
fn description(proxy: &Proxy) -> String {
    let authorization = &proxy.inbound.authorization;
    let mut text = format!("{:?} {} {} {}", proxy.spec.kind, ports(proxy), transport(proxy), issuers(proxy));
    text.push_str(&limits(proxy));
    for filters in [&authorization.http, &authorization.tcp] {
        text.push_str(&contents(filters, true));
        text.push_str(&contents(filters, false));
        let _ = write!(text, " {}", filters.len());
    }
    text
}

/// What is different, if anything is.
fn of_pair(pair: Pair<'_>, trust_domains: &TrustDomains) -> Option<(Vec<FacetChange>, Vec<CallChange>)> {
    let mut all = facets(pair.base, pair.head);
    let (one, other) = (&pair.base.inbound.authorization, &pair.head.inbound.authorization);
    let decides = [(&one.http, &other.http), (&one.tcp, &other.tcp)];
    let decides = decides.into_iter().any(|(before, after)| contents(before, true) != contents(after, true));
    if all.is_empty() && !decides {
        return None;
    }
    let compared = callers::compare(pair, trust_domains);
    if decides && compared.changes.is_empty() && !compared.is_complete {
        let change = FacetChange {
            facet: "authorization",
            before: Some(format!("{} as it was", names(&one.http))),
            after: Some(format!("{} with other conditions; no call was found that they treat differently", names(&other.http))),
        };
        all.push(change);
    }
    (!all.is_empty() || !compared.changes.is_empty()).then_some((all, compared.changes))
}

fn facets(base: &Proxy, head: &Proxy) -> Vec<FacetChange> {
    let mut all = Vec::new();
    let mut put = |facet: &'static str, before: String, after: String| {
        if before != after {
            let some = |text: String| (!text.is_empty()).then_some(text);
            all.push(FacetChange { facet, before: some(before), after: some(after) });
        }
    };
    put("ports let in", ports(base), ports(head));
    put("transport let in", transport(base), transport(head));
    put("issuers of tokens", issuers(base), issuers(head));
    put("rate limits", limits(base), limits(head));
    let (one, other) = (&base.inbound.authorization, &head.inbound.authorization);
    for (facet, before, after) in
        [("dry runs and audits of HTTP", &one.http, &other.http), ("dry runs and audits of bytes", &one.tcp, &other.tcp)]
    {
        if contents(before, false) != contents(after, false) {
            let (mut own, mut theirs) = (names(before), names(after));
            if own == theirs {
                own.push_str(" as it was");
                theirs.push_str(" with other conditions");
            }
            put(facet, own, theirs);
        }
    }
    all
}

fn issuers(proxy: &Proxy) -> String {
    proxy.inbound.authorization.issuers.iter().map(issuer_text).collect::<Vec<_>>().join(", ")
}

/// An issuer with what is done about its tokens, as far as it is not the usual.
fn issuer_text(issuer: &Issuer) -> String {
    let mut text = format!("{} for {:?}", issuer.name, issuer.audiences);
    if !issuer.looks_at_defaults() {
        let _ = write!(text, " in {:?} {:?} {:?}", issuer.from_headers, issuer.from_params, issuer.from_cookies);
    }
    if issuer.forward {
        text.push_str(" forwarded");
    }
    if issuer.payload_header.is_some() || !issuer.claim_headers.is_empty() {
        let _ = write!(text, " told by {:?} {:?}", issuer.payload_header, issuer.claim_headers);
    }
    text
}

/// The rate limits of a proxy: where each is kept, and what it lets in.
fn limits(proxy: &Proxy) -> String {
    let Some(limits) = &proxy.limits else { return String::new() };
    let place = |traffic: Option<Traffic>, port: Option<u16>| {
        let traffic = traffic.map_or("everywhere", Traffic::words);
        port.map_or_else(|| traffic.to_owned(), |port| format!("{traffic} on port {port}"))
    };
    let filter = |filter: &LimitFilter| {
        let what = match &filter.limit {
            Limit::Local(limit) => local_text(limit),
            Limit::Global(limit) => {
                let known = limit.service.as_ref().map(|service| &service.descriptors);
                format!("by {} in domain {} ({known:?}), {} on failure", limit.cluster, limit.domain, limit.denies_on_failure)
            }
        };
        format!("{} {}: {what}", place(filter.traffic, filter.port), filter.place.words())
    };
    let routes = |routes: &RouteLimits| {
        let local = routes.local.as_ref().map(local_text).unwrap_or_default();
        let (host, choice) = (routes.virtual_host.as_deref().unwrap_or("*"), &routes.routes);
        format!("{} for {host} {choice:?}: {local} {:?}", place(routes.traffic, routes.port), routes.actions)
    };
    let all = limits.filters.iter().map(filter).chain(limits.routes.iter().map(routes));
    all.collect::<Vec<_>>().join("; ")
}

fn local_text(limit: &LocalLimit) -> String {
    let bucket = |bucket: &TokenBucket| format!("{}, {} more every {}", bucket.most, bucket.per_fill, bucket.interval);
    let mut text = limit.bucket.as_ref().map_or_else(|| "no bucket".to_owned(), bucket);
    for own in &limit.descriptors {
        let _ = write!(text, ", {} for {:?}", bucket(&own.bucket), own.entries);
    }
    let shares = (limit.enabled, limit.enforced);
    if shares != (PerMillion::ALL, PerMillion::ALL) {
        let _ = write!(text, ", enabled for {} and enforced for {} of a million", shares.0.0, shares.1.0);
    }
    let _ = write!(text, ", then {}", limit.status);
    text
}

fn ports(proxy: &Proxy) -> String {
    let all = proxy.inbound.ports.iter().map(|port| format!("{} {:?}", port.number, port.protocol));
    all.collect::<Vec<_>>().join(", ")
}

fn transport(proxy: &Proxy) -> String {
    let tls = &proxy.inbound.tls;
    let mut text = format!("{:?}", tls.mode);
    for port in tls.by_port.iter().filter(|port| port.mode != tls.mode) {
        let _ = write!(text, ", {:?} on port {}", port.mode, port.port);
    }
    text
}

/// The policies and their rules, for people.
fn names(filters: &[RbacFilter]) -> String {
    let one = |filter: &RbacFilter| {
        let rules = |set: &Option<RuleSet>, how: &str| -> Vec<String> {
            let rules = set.iter().flat_map(|set| &set.rules);
            rules.map(|rule| format!("{}{how}", rule.name)).collect()
        };
        let all = [rules(&filter.enforced, ""), rules(&filter.shadow, " (dry run)")].concat();
        format!("{:?} {}", filter.action, if all.is_empty() { "nothing".to_owned() } else { all.join(", ") })
    };
    filters.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// The rules that decide, or all others, without places.
fn contents(filters: &[RbacFilter], deciding: bool) -> String {
    let mut text = String::new();
    for filter in filters {
        let decides = matches!(filter.action, RbacAction::Allow | RbacAction::Deny);
        let sets = [(&filter.enforced, decides), (&filter.shadow, false)];
        for (set, decides) in sets {
            let Some(set) = set.as_ref().filter(|_| decides == deciding) else { continue };
            let _ = write!(text, "{:?} {} [", filter.action, filter.custom);
            set.rules.iter().for_each(|rule| rule_contents(&mut text, rule));
            text.push(']');
        }
    }
    text
}

fn rule_contents(text: &mut String, rule: &RbacRule) {
    let _ = write!(text, " {}", rule.name);
    for (what, clauses) in [("to", &rule.permissions), ("from", &rule.principals)] {
        let _ = write!(text, " {what}");
        clauses.iter().for_each(|clause| clause_contents(text, clause));
    }
}

fn clause_contents(text: &mut String, clause: &Clause) {
    text.push('(');
    for condition in &clause.conditions {
        let tests: Vec<String> = condition.tests.iter().map(|(test, _)| format!("{test:?}")).collect();
        let _ = write!(text, "{} {tests:?};", condition.negated);
    }
    text.push(')');
}
