//! The rate limits that a request meets.

use serde::Serialize;

use super::RouteQuestion;
use super::page::place;
use super::tree::line_of;
use crate::mesh::Proxy;
use crate::mesh::rate_limit::{GlobalLimit, Limit, LocalLimit, TokenBucket};
use crate::mesh::route::PerMillion;
use crate::routing::limits::{LimitPosition, MetLimit, limits_met};
use crate::routing::server::{Content, SOMEWHERE, Served, ServerCall};
use crate::routing::{Received, Selection};
use crate::source::Sources;
use crate::text::{Ink, Tree, plural};

/// A rate limit.
#[derive(Debug, Serialize)]
pub(super) struct LimitView {
    /// `local` or `global`.
    kind: &'static str,
    /// What is counted, in words.
    text: String,
    /// Where it is written.
    place: Option<String>,
}

/// Those of the proxy that sends the request on.
pub(super) fn at_proxy(question: &RouteQuestion<'_>, selection: &Selection, received: &Received<'_>) -> Vec<LimitView> {
    let proxy = &question.mesh.proxies[question.proxy.index()];
    let client = question.caller.address.unwrap_or(SOMEWHERE);
    views(proxy, &LimitPosition::routed(proxy, question.dial.port, selection, client), received, question.sources)
}

/// Those of the sidecar that the request arrives at.
pub(super) fn at_server(proxy: &Proxy, call: &ServerCall, served: &Served<'_>, sources: &Sources) -> Vec<LimitView> {
    let (Content::Http(request), Some(true)) = (&call.content, served.chain.map(|chain| chain.http)) else { return Vec::new() };
    match Received::new(proxy.spec.kind, request) {
        Ok(received) => views(proxy, &LimitPosition::inbound(proxy, call.port, call.peer), &received, sources),
        Err(_) => Vec::new(),
    }
}

fn views(proxy: &Proxy, at: &LimitPosition, received: &Received<'_>, sources: &Sources) -> Vec<LimitView> {
    let met = proxy.limits.as_ref().map_or_else(Vec::new, |limits| limits_met(limits, at, received));
    let view = |met: &MetLimit<'_>| {
        let (kind, text) = match (&met.filter.limit, met.local) {
            (Limit::Global(limit), _) => ("global", global(proxy, limit, met)),
            (Limit::Local(own), local) => ("local", local_text(local.unwrap_or(own), met)?),
        };
        Some(LimitView { kind, text, place: place(met.origin.span, sources) })
    };
    met.iter().filter_map(view).collect()
}

/// What is counted by the proxy itself; nothing for a filter that routes were to say something to.
fn local_text(limit: &LocalLimit, met: &MetLimit<'_>) -> Option<String> {
    let mut parts: Vec<String> =
        limit.matched(&met.descriptors).map(|own| format!("{} for {}", bucket(&own.bucket), entries(&own.entries))).collect();
    parts.extend(limit.default_bucket(!parts.is_empty()).map(bucket));
    if parts.is_empty() {
        return None;
    }
    let mut text = parts.join(" and ");
    match (limit.enabled, limit.enforced) {
        (PerMillion(0), _) => text.push_str("; not enabled"),
        (_, PerMillion(0)) => text.push_str("; not enforced"),
        (PerMillion::ALL, PerMillion::ALL) => {}
        (enabled, enforced) => {
            let percent = |share: PerMillion| f64::from(share.0) / 10_000.0;
            text.push_str(&format!("; enabled for {} %, enforced for {} %", percent(enabled), percent(enforced)));
        }
    }
    let headers: Vec<String> = limit.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let with = if headers.is_empty() { String::new() } else { format!(" with {}", headers.join(", ")) };
    Some(format!("{text}, then {}{with}", limit.status))
}

fn bucket(bucket: &TokenBucket) -> String {
    let tokens = plural(u64::from(bucket.most), "token");
    format!("{tokens}, {} more every {}", bucket.per_fill, bucket.interval)
}

fn entries(entries: &[(String, String)]) -> String {
    entries.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
}

fn global(proxy: &Proxy, limit: &GlobalLimit, met: &MetLimit<'_>) -> String {
    let domain = &limit.domain;
    if !limit.is_answered(&proxy.clusters) {
        let then = if limit.denies_on_failure { "every request gets 500" } else { "every request passes" };
        return format!("domain {domain}: no endpoint of {} answers, {then}", limit.cluster);
    }
    let said = |entry: &Vec<(String, String)>| {
        let found = limit.service.as_ref().and_then(|service| service.limit(entry));
        let most = match found.map(|found| (found.requests, found.unit)) {
            Some((Some(requests), unit)) => format!("{requests} per {}", unit.word()),
            Some((None, _)) | None => "no limit".to_owned(),
        };
        format!("{}: {most}", entries(entry))
    };
    let all: Vec<String> = met.descriptors.iter().map(said).collect();
    format!("domain {domain}, {}, then {} with x-envoy-ratelimited: true", all.join("; "), limit.status)
}

pub(super) fn tree(limit: &LimitView) -> Tree {
    Tree::new(Ink::Plain, "rate limit", format!("{}: {}", limit.kind, limit.text)).at(line_of(limit.place.as_deref()))
}
