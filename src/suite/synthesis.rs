//! Tests written by the program: one for each rule that a request can reach, from its witness.

use std::collections::BTreeSet;

use serde_json::{Map as Json, Value as JsonValue, json};

use super::case::Case;
use super::coverage::is_rule;
use super::judgement::{go_duration, judge};
use super::observation::Observation;
use super::question::Asked;
use super::read::{Format, read};
use crate::analysis::space::{Reach, Reaches, Space, Witness, ways};
use crate::mesh::route::Action;
use crate::mesh::{Mesh, Proxy, ProxyId, RouteTableId};
use crate::resource::Objects;
use crate::routing::{Probability, Scheme, destination_name, share_text};
use crate::source::{Sources, Span};
use crate::yaml::{Limits, parse};

/// Tests, and rules that have none.
#[derive(Debug, Clone, Default)]
pub struct Synthesis {
    /// A file of tests; empty if there is none.
    pub text: String,
    /// How many tests it holds.
    pub tests: usize,
    /// Rules without test, and why.
    pub left: Vec<(Span, String)>,
}

/// Writes one test for each rule, at the first proxy where a request reaches it. Every test has been
/// judged: it passes.
#[must_use]
pub fn synthesize(mesh: &Mesh, objects: &Objects) -> Synthesis {
    let mut result = Synthesis::default();
    let mut tests = Vec::new();
    let (mut done, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut open: Vec<(Span, String)> = Vec::new();
    for (index, proxy) in mesh.proxies.iter().enumerate() {
        if !seen.insert((proxy.listeners.as_ptr() as usize, proxy.route_tables.as_ptr() as usize)) {
            continue;
        }
        let mut space = Space::new();
        let ways = ways(proxy);
        for (table, own) in proxy.route_tables.iter().enumerate() {
            for (host, virtual_host) in own.virtual_hosts.iter().enumerate() {
                if virtual_host.routes.iter().all(|route| !is_rule(mesh, route) || done.contains(&route.origin.span)) {
                    continue;
                }
                let reaches = Reaches::new(&mut space, proxy, &ways, RouteTableId::new(table), host);
                for (position, route) in virtual_host.routes.iter().enumerate() {
                    let place = route.origin.span;
                    if !is_rule(mesh, route) || done.contains(&place) {
                        continue;
                    }
                    let found = match reaches.of(&mut space, position) {
                        Reach::Live(witness) => {
                            test(mesh, ProxyId::new(index), &witness).ok_or("its request cannot be written as a test")
                        }
                        Reach::Undecided(_) => Err("it is not decided whether a request reaches it"),
                        Reach::Shadowed(_) | Reach::Impossible | Reach::Cut => Err("no request reaches it"),
                    };
                    match found {
                        Ok(test) => {
                            done.insert(place);
                            tests.push((place, test));
                        }
                        Err(why) if open.iter().all(|(known, _)| *known != place) => open.push((place, why.to_owned())),
                        Err(_) => {}
                    }
                }
            }
        }
    }
    let mut kept = Vec::new();
    for (place, test) in tests {
        if passes(mesh, objects, &test) {
            kept.push(test)
        } else {
            open.push((place, "its request cannot be written as a test".to_owned()))
        }
    }
    open.retain(|(place, why)| !done.contains(place) || why.contains("written"));
    result.tests = kept.len();
    if !kept.is_empty() {
        // Values of strings and numbers always serialise.
        result.text = serde_yaml::to_string(&json!({ "tests": kept })).unwrap_or_default();
    }
    result.left = open;
    result
}

/// Whether a test that was written can be read again and holds.
fn passes(mesh: &Mesh, objects: &Objects, test: &JsonValue) -> bool {
    let mut sources = Sources::new();
    let text = serde_yaml::to_string(&json!({ "tests": [test] })).unwrap_or_default();
    let file = sources.add("tests", text);
    let (documents, findings) = parse(&sources, file, Limits::default());
    let cases: Vec<Case> = documents.iter().flat_map(|document| read(document, Format::Own).0.cases).collect();
    findings.is_empty() && !cases.is_empty() && cases.iter().all(|case| judge(mesh, objects, case).passed())
}

/// The test of a witness; `None` if a header has several lines.
fn test(mesh: &Mesh, proxy: ProxyId, witness: &Witness) -> Option<JsonValue> {
    let own: &Proxy = &mesh.proxies[proxy.index()];
    let request = &witness.request;
    let (scheme, default) = if request.scheme == Scheme::Https { ("https", 443) } else { ("http", 80) };
    let host = crate::routing::without_port(&request.authority);
    let port = if witness.dial.port == default { String::new() } else { format!(":{}", witness.dial.port) };
    let mut asked = Json::new();
    asked.insert("from".to_owned(), json!(own.spec.name));
    asked.insert("url".to_owned(), json!(format!("{scheme}://{host}{port}{}", request.path)));
    if request.method != "GET" {
        asked.insert("method".to_owned(), json!(request.method));
    }
    asked.insert("host".to_owned(), json!(request.authority));
    let mut title = format!("{} {}{}", request.method, request.authority, request.path);
    let mut headers = Json::new();
    for (name, value) in &request.headers {
        title.push_str(&format!(" with {name}: {value}"));
        if headers.insert(name.clone(), json!(value)).is_some() {
            return None;
        }
    }
    if !headers.is_empty() {
        asked.insert("headers".to_owned(), JsonValue::Object(headers));
    }
    let asked_at = Asked { proxy, dial: witness.dial.clone(), request: request.clone() };
    let seen = Observation::new(mesh, &asked_at);
    title.push_str(&format!(" from {}", own.spec.name));
    Some(json!({"name": title, "request": asked, "expect": expected(&seen)}))
}

fn expected(seen: &Observation<'_>) -> JsonValue {
    let share = |share: Probability| json!(share_text(share).replace(' ', ""));
    let mut expect = Json::new();
    let destinations = seen.destinations();
    if !destinations.is_empty() {
        let all = destinations.iter().map(|(cluster, own)| (destination_name(cluster), share(*own)));
        expect.insert("destinations".to_owned(), JsonValue::Object(all.collect()));
    }
    let statuses = seen.statuses();
    let statuses = match statuses.as_slice() {
        [(status, _)] => json!(status),
        all => JsonValue::Object(all.iter().map(|(status, own)| (status.to_string(), share(*own))).collect()),
    };
    expect.insert("status".to_owned(), statuses);
    let selection = seen.selection();
    if let Some(forward) = selection.and_then(|selection| selection.forward(seen.proxy)) {
        let timeout = if forward.timeout.is_zero() { "none".to_owned() } else { go_duration(forward.timeout) };
        expect.insert("timeout".to_owned(), json!(timeout));
        let attempts = forward.retries.as_ref().map_or(0, |retries| retries.attempts);
        expect.insert("retries".to_owned(), json!({ "attempts": attempts }));
    }
    let route = selection.and_then(|selection| selection.route(seen.proxy));
    if let Some(Action::Redirect(_)) = route.map(|route| &route.action) {
        let location = seen.outcomes.iter().find_map(|(outcome, _)| outcome.reply.headers.first("location"));
        expect.extend(location.map(|location| ("location".to_owned(), json!(location))));
    }
    JsonValue::Object(expect)
}
