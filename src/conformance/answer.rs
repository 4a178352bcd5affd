//! What this program says about a request, in the terms of a record.

use serde_json::{Map, Value as Json, json};

use super::case::CaseRequest;
use crate::envoy::hash_policy;
use crate::mesh::cluster::{Cluster, TlsMode, UpstreamTls};
use crate::mesh::route::{AbortStatus, Fault, Forward, Mirror, PerMillion, RetryPolicy};
use crate::mesh::{Mesh, Proxy, ProxyId};
use crate::routing::authentication::at_routes;
use crate::routing::connection::{ClientTlsFate, EndReason, EndedConn, TcpConn};
use crate::routing::{Conn, Forwarded, Headers, Outcome, Probability, Received, Selection, listen, outcomes, select_received};

/// Everything that is compared about one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The record, without its outcomes.
    pub record: Json,
    /// The outcomes with their probabilities; empty where there is no HTTP.
    pub outcomes: Vec<(Json, Probability)>,
}

/// The answer to one request of a case.
#[must_use]
pub fn answer(mesh: &Mesh, proxy: ProxyId, asked: &CaseRequest) -> Answer {
    let configured = &mesh.proxies[proxy.index()];
    let record = match listen(configured, &asked.dial, &asked.request.authority) {
        Conn::Refused => json!({"refused": true}),
        Conn::Tcp(tcp) => forwarded_bytes(configured, &tcp),
        Conn::Ended(ended) => ended_connection(&ended),
        Conn::Http(http) => {
            let mut record = match Received::authenticated(configured.spec.kind, &at_routes(configured, &asked.request)) {
                Ok(received) => routed(configured, select_received(configured, http.table, &received)),
                Err(_) => json!({}),
            };
            if http.terminated {
                record["terminated"] = json!(true);
            }
            if let Some(protocol) = http.alpn {
                record["alpn"] = json!(protocol);
            }
            return Answer { record, outcomes: distinct(mesh, proxy, asked) };
        }
    };
    Answer { record, outcomes: Vec::new() }
}

/// The record of what matched, without outcomes.
fn routed(proxy: &Proxy, selection: Selection) -> Json {
    let mut record = Map::new();
    let (Some(host), Some(route)) = (selection.virtual_host(proxy), selection.route(proxy)) else { return Json::Object(record) };
    record.insert("virtual_host".to_owned(), json!(host.name));
    if let crate::routing::Verdict::Route { route, .. } = selection.verdict {
        record.insert("route_index".to_owned(), json!(route));
    }
    if !route.name.is_empty() {
        record.insert("route_name".to_owned(), json!(route.name));
    }
    if let Some(forward) = selection.forward(proxy) {
        policy_of(forward, &mut record);
    }
    if let Some(fault) = &route.fault {
        record.insert("fault".to_owned(), fault_of(fault));
    }
    Json::Object(record)
}

fn policy_of(forward: &Forward, record: &mut Map<String, Json>) {
    let mut clusters: Map<String, Json> = Map::new();
    for leg in forward.legs.all() {
        let sum = clusters.get(&leg.cluster.name).and_then(Json::as_u64).unwrap_or(0) + u64::from(leg.weight);
        clusters.insert(leg.cluster.name.clone(), json!(sum));
    }
    record.insert("clusters".to_owned(), Json::Object(clusters));
    record.insert("timeout".to_owned(), json!(forward.timeout.to_string()));
    if let Some(retries) = &forward.retries {
        record.insert("retries".to_owned(), retries_of(retries));
    }
    if !forward.mirrors.is_empty() {
        let mirror = |m: &Mirror| json!({"cluster": m.cluster.name, "per_million": m.share.0});
        record.insert("mirrors".to_owned(), forward.mirrors.iter().map(mirror).collect());
    }
    if !forward.hash.is_empty() {
        record.insert("hash".to_owned(), forward.hash.iter().map(hash_policy).collect());
    }
}

fn retries_of(retries: &RetryPolicy) -> Json {
    let mut record = json!({
        "on": retries.on,
        "attempts": retries.attempts,
        "avoids_tried_hosts": retries.avoids_tried_hosts,
    });
    let mut put = |key: &str, value: Json| record[key] = value;
    if let Some(timeout) = retries.per_try_timeout {
        put("per_try_timeout", json!(timeout.to_string()));
    }
    if !retries.codes.is_empty() {
        put("codes", json!(retries.codes));
    }
    if let Some(base) = retries.back_off_base {
        put("back_off", json!({"base_interval": base.to_string()}));
    }
    if retries.retry_remote_localities {
        put("retry_remote_localities", json!(true));
    }
    record
}

fn fault_of(fault: &Fault) -> Json {
    let mut record = Map::new();
    if let Some(delay) = fault.delay {
        record.insert("delay".to_owned(), json!({"fixed": delay.fixed.to_string(), "per_million": delay.share.0}));
    }
    if let Some(abort) = fault.abort {
        let (key, status) = match abort.status {
            AbortStatus::Http(status) => ("http_status", status),
            AbortStatus::Grpc(status) => ("grpc_status", u16::from(status)),
        };
        record.insert("abort".to_owned(), json!({key: status, "per_million": abort.share.0}));
    }
    Json::Object(record)
}

fn forwarded_bytes(proxy: &Proxy, tcp: &TcpConn<'_>) -> Json {
    let mut clusters: Map<String, Json> = Map::new();
    for (cluster, weight) in &tcp.legs {
        clusters.insert(cluster.name.clone(), json!(weight));
    }
    let mut record = json!({"tcp": {"clusters": clusters}});
    let known = || tcp.legs.iter().filter_map(|(cluster, _)| proxy.clusters.get(cluster.id));
    let nowhere = !known().any(Cluster::has_somewhere_to_go);
    if nowhere {
        record["flags"] = json!(if known().next().is_some() { "UH" } else { "NC" });
        record["closed"] = json!(true);
        return record;
    }
    match tcp.client_tls {
        Some(ClientTlsFate::Passthrough) => record["passthrough"] = json!(true),
        Some(ClientTlsFate::Terminated) => record["terminated"] = json!(true),
        None => {}
    }
    if let Some(tls) = known().find_map(upstream_tls) {
        record["upstream_tls"] = tls;
    }
    record
}

/// TLS that the proxy adds towards the endpoints that take requests.
fn upstream_tls(cluster: &Cluster) -> Option<Json> {
    let (mode, sni) = match &cluster.tls {
        UpstreamTls::Plaintext => return None,
        UpstreamTls::Always { mode, sni, .. } => (*mode, sni.as_deref()),
        UpstreamTls::Auto { sni } => {
            cluster.endpoints().find(|endpoint| endpoint.healthy).filter(|endpoint| endpoint.mutual_tls)?;
            (TlsMode::IstioMutual, Some(sni.as_str()))
        }
    };
    let mode = match mode {
        TlsMode::Simple => "simple",
        TlsMode::Mutual => "mutual",
        TlsMode::IstioMutual => "istio-mutual",
    };
    let mut record = json!({ "mode": mode });
    if let Some(sni) = sni {
        record["sni"] = json!(sni);
    }
    Some(record)
}

fn ended_connection(ended: &EndedConn<'_>) -> Json {
    let mut record = json!({"reason": ended.reason.word()});
    match ended.reason {
        EndReason::WaitingForBytes => record["hangs"] = json!(true),
        EndReason::NotHttp => {
            record["closed"] = json!(true);
            record["details"] = json!("http1.codec_error");
        }
        EndReason::NoFilterChain | EndReason::TlsHandshake => record["closed"] = json!(true),
    }
    if ended.terminated {
        record["terminated"] = json!(true);
    }
    record
}

/// The outcomes as records; those that a record does not tell apart are added up.
fn distinct(mesh: &Mesh, proxy: ProxyId, asked: &CaseRequest) -> Vec<(Json, Probability)> {
    let configured = &mesh.proxies[proxy.index()];
    let all = outcomes(mesh, proxy, &asked.dial, &asked.request);
    let by_chance = mirrors_by_chance(configured, asked);
    let mut distinct: Vec<(Json, Probability)> = Vec::new();
    for (outcome, probability) in all {
        let record = outcome_of(configured, &outcome, by_chance);
        match distinct.iter_mut().find(|(known, _)| *known == record) {
            Some((_, sum)) => *sum = *sum + probability,
            None => distinct.push((record, probability)),
        }
    }
    distinct
}

/// Whether a mirror of the matched route is a matter of chance.
fn mirrors_by_chance(proxy: &Proxy, asked: &CaseRequest) -> bool {
    let Conn::Http(http) = listen(proxy, &asked.dial, &asked.request.authority) else { return false };
    let forward = crate::routing::select(proxy, http.table, &asked.request).forward(proxy).map(|f| &f.mirrors);
    forward.is_some_and(|mirrors| mirrors.iter().any(|mirror| mirror.share < PerMillion::ALL))
}

fn outcome_of(proxy: &Proxy, outcome: &Outcome, mirrors_by_chance: bool) -> Json {
    let reply = &outcome.reply;
    let mut record = json!({
        "status": reply.status,
        "flags": outcome.flags.to_string(),
        "details": outcome.details,
    });
    match (&outcome.upstream, &outcome.cluster) {
        (Some(upstream), cluster) => {
            let mut seen = json!({"cluster": cluster, "method": upstream.method});
            copy_fields(upstream, &mut seen);
            if let Some(tls) = cluster.as_ref().and_then(|name| upstream_tls(proxy.clusters.named(name)?)) {
                seen["tls"] = tls;
            }
            record["upstream"] = seen;
        }
        (None, Some(cluster)) => record["cluster"] = json!(cluster),
        (None, None) => {}
    }
    record["response_headers"] = headers_of(&reply.headers);
    if outcome.upstream.is_none() || reply.body != b"ok" {
        record["body"] = json!(String::from_utf8_lossy(&reply.body));
    }
    if !outcome.mirrored.is_empty() && !mirrors_by_chance {
        let copies = outcome.mirrored.iter().map(|copy| {
            let mut seen = json!({"cluster": copy.cluster});
            copy_fields(&copy.request, &mut seen);
            seen
        });
        record["mirrored"] = copies.collect();
    }
    record
}

fn copy_fields(request: &Forwarded, seen: &mut Json) {
    seen["path"] = json!(request.path);
    seen["authority"] = json!(request.authority);
    seen["headers"] = headers_of(&request.headers);
}

/// Request headers that records leave out, besides `x-forwarded-*`.
const LEFT_OUT: &[&str] = &["x-request-id", "x-envoy-expected-rq-timeout-ms", "x-envoy-attempt-count", "content-length"];

/// Headers as a mapping; several lines are a list.
fn headers_of(headers: &Headers) -> Json {
    let mut all: Map<String, Json> = Map::new();
    for (name, value) in &headers.0 {
        if LEFT_OUT.contains(&name.as_str()) || name.starts_with("x-forwarded-") {
            continue;
        }
        let merged = match all.remove(name) {
            None => json!(value),
            Some(Json::Array(mut lines)) => {
                lines.push(json!(value));
                Json::Array(lines)
            }
            Some(first) => json!([first, value]),
        };
        all.insert(name.clone(), merged);
    }
    Json::Object(all)
}
