//! What this program says about the server side of a request, in the terms of a record.

use serde_json::{Map, Value as Json, json};

use super::case::{Case, CaseRequest};
use crate::mesh::authorization::{RbacAction, RuleSet};
use crate::mesh::inbound::Reading;
use crate::mesh::{Mesh, Proxy};
use crate::routing::server::{CallerTls, Content, FilterOutcome, Served, ServerCall, ServerEnd, serve};
use crate::routing::{Inside, Opening};

/// The record of a request to a server; `None` if the case does not have its caller or server.
#[must_use]
pub(super) fn server_answer(case: &Case, mesh: &Mesh, asked: &CaseRequest) -> Option<Json> {
    let server = case.servers.iter().find(|server| server.proxy.name == asked.to)?;
    let caller = case.callers.iter().find(|caller| caller.name == asked.from)?;
    let proxy = &mesh.proxies[mesh.proxy_named(&asked.to)?.index()];
    let tls = match &caller.identity {
        None => CallerTls::None,
        Some(identity) => {
            CallerTls::Mutual { identity: identity.clone(), trusted: caller.trusted, server_name: asked.server_name.clone() }
        }
    };
    let content = match asked.dial.opening {
        Opening::Clear(Inside::Http) => Content::Http(asked.request.clone()),
        Opening::Clear(_) | Opening::Tls(_) => Content::Bytes,
    };
    let call = ServerCall { port: asked.dial.port, address: server.address, peer: caller.address, tls, content };
    Some(record(proxy, asked, &serve(proxy, &call)))
}

fn record(proxy: &Proxy, asked: &CaseRequest, served: &Served<'_>) -> Json {
    let answer = served.answer();
    let mut record = match (&served.end, &answer.reply) {
        (ServerEnd::Bytes { raw_tls }, _) => {
            let mut record = json!({"tcp": proxy.inbound.cluster(asked.dial.port)});
            if *raw_tls {
                record["raw_tls"] = json!(true);
            }
            return record;
        }
        (ServerEnd::Http(path), _) => {
            let mut record = json!({"status": 200});
            if *path != asked.request.path {
                record["upstream_path"] = json!(path);
            }
            record
        }
        (_, Some(reply)) => {
            let mut record = json!({"status": reply.status, "body": String::from_utf8_lossy(&reply.body)});
            let told = reply.headers.0.iter().filter(|(name, _)| name != "content-type");
            let headers: Map<String, Json> = told.map(|(name, value)| (name.clone(), json!(value))).collect();
            if !headers.is_empty() {
                record["response_headers"] = Json::Object(headers);
            }
            record
        }
        // A handshake that fails is in no access log.
        (ServerEnd::UntrustedCaller, None) => return json!({"refused": "reset"}),
        (_, None) => json!({"refused": "reset"}),
    };
    record["flags"] = json!(answer.flags.to_string());
    record["details"] = json!(answer.details);
    if let Some(audited) = served.audited() {
        record["audited"] = json!(audited);
    }
    let dry_run = dry_run(&served.filters);
    if !dry_run.is_empty() {
        record["dry_run"] = Json::Object(dry_run);
    }
    record
}

/// What dry runs would have done.
fn dry_run(filters: &[FilterOutcome<'_>]) -> Map<String, Json> {
    let mut record = Map::new();
    for outcome in filters {
        let word = match outcome.filter.action {
            RbacAction::Allow => "allow",
            RbacAction::Deny => "deny",
            RbacAction::Audit | RbacAction::External(_) => continue,
        };
        let Some(engine) = outcome.shadow else { continue };
        record.insert(format!("{word}_result"), json!(if engine.allows { "allowed" } else { "denied" }));
        if let Some(rule) = outcome.shadow_rule() {
            record.insert(format!("{word}_policy"), json!(rule.name));
        }
    }
    record
}

/// The filters that a server has on a port, by `server` or `server:port`.
#[must_use]
pub(super) fn policy_order(case: &Case, mesh: &Mesh, place: &str) -> Option<Json> {
    let (name, port) = match place.split_once(':') {
        Some((name, port)) => (name, port.parse().ok()?),
        None => (place, case.servers.iter().find(|server| server.proxy.name == place)?.port),
    };
    let inbound = &mesh.proxies[mesh.proxy_named(name)?.index()].inbound;
    let filters = match inbound.reading(port) {
        Reading::Tcp => &inbound.authorization.tcp,
        Reading::Http | Reading::Detected => &inbound.authorization.http,
    };
    let mut order = Vec::new();
    for filter in filters {
        let entry = |rules: &RuleSet, dry_run: bool| {
            let names: Vec<&str> = rules.rules.iter().map(|rule| rule.name.as_str()).collect();
            let mut entry = json!({"action": filter.action.word(), "rules": names});
            if dry_run {
                entry["dry_run"] = json!(true);
            }
            entry
        };
        order.extend(filter.enforced.as_ref().map(|rules| entry(rules, false)));
        order.extend(filter.shadow.as_ref().map(|rules| entry(rules, true)));
    }
    Some(Json::Array(order))
}
