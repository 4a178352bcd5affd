//! What was seen, in the terms of a case's record, and whether we say the same.

use meshsim::conformance::CaseRequest;
use meshsim::conformance::answer::answer;
use meshsim::conformance::difference::{Difference, first, first_in_sets};
use meshsim::routing::Probability;
use serde_json::{Map, Value as Json, json};

use crate::arena::{Compiled, Fate, Seen, without_marks};
use crate::http::Message;

/// How often a request is sent whose outcome is left to chance.
const SENDINGS: usize = 24;
/// A chance that is not taken in all sendings once in a billion times must be seen.
const NEVER_MISSED: f64 = 1e-9;

/// How often a request is sent: several times if its outcome is left to chance.
pub(crate) fn times(compiled: &Compiled, request: &CaseRequest) -> usize {
    let Some(sender) = compiled.sender(request) else { return 0 };
    if answer(&compiled.mesh, sender, request).outcomes.len() > 1 { SENDINGS } else { 1 }
}

/// The first difference between what was seen and what we say.
pub(crate) fn judge(compiled: &Compiled, request: &CaseRequest, fate: &Fate) -> Option<Difference> {
    let sender = compiled.sender(request)?;
    let ours = answer(&compiled.mesh, sender, request);
    let seen = match fate {
        Fate::NotPlayed => return None,
        Fate::Refused => return first("", &json!({"refused": true}), &ours.record),
        Fate::Broken(why) => return Some(Difference::new("connection", Some(&json!(why)), Some(&ours.record))),
        Fate::Answered(seen) => seen,
    };
    let route = ours.record.get("route_name").and_then(Json::as_str);
    // Of a request that is refused before routing, only the answer counts.
    let routed = seen.iter().filter(|seen| seen.log.text("details") != Some("path_normalization_failed"));
    let other = routed.map(|seen| seen.log.text("route")).find(|logged| *logged != route);
    if let Some(logged) = other {
        return Some(Difference::new("route_name", logged.map(Json::from).as_ref(), route.map(Json::from).as_ref()));
    }
    let by_chance = copies_by_chance(&ours.record);
    let records = distinct(seen.iter().map(|seen| outcome(seen, by_chance)));
    let (outcomes, chances): (Vec<Json>, Vec<Probability>) = ours.outcomes.into_iter().unzip();
    let may_lack = |index: usize| (1.0 - chances[index].as_f64()).powi(seen.len() as i32) > NEVER_MISSED;
    first_in_sets("outcomes", &records, &outcomes, may_lack)
}

fn copies_by_chance(record: &Json) -> bool {
    record["mirrors"].as_array().is_some_and(|mirrors| mirrors.iter().any(|mirror| mirror["per_million"] != 1_000_000))
}

/// What was seen of a request, as cases record it; nothing if it was not played.
pub(crate) fn record(compiled: &Compiled, request: &CaseRequest, fate: &Fate) -> Option<Json> {
    let mut record = answer(&compiled.mesh, compiled.sender(request)?, request).record;
    match fate {
        Fate::NotPlayed | Fate::Broken(_) => return None,
        Fate::Refused => return Some(json!({"refused": true})),
        Fate::Answered(seen) => {
            let by_chance = copies_by_chance(&record);
            record["outcomes"] = distinct(seen.iter().map(|seen| outcome(seen, by_chance))).into();
        }
    }
    Some(record)
}

fn distinct(records: impl Iterator<Item = Json>) -> Vec<Json> {
    let mut all = Vec::new();
    for record in records {
        if !all.contains(&record) {
            all.push(record);
        }
    }
    all
}

/// One outcome as cases record it.
fn outcome(seen: &Seen, copies_by_chance: bool) -> Json {
    let (copies, forwarded): (Vec<_>, Vec<_>) = seen.arrivals.iter().partition(|(_, request)| is_copy(request));
    let log = |key: &str| seen.log.text(key).map(without_marks);
    let mut record = json!({
        "status": seen.answer.status,
        "flags": log("flags").unwrap_or_else(|| "-".to_owned()),
        "details": log("details"),
    });
    match (forwarded.first(), log("cluster")) {
        (Some((cluster, request)), _) => {
            record["upstream"] = json!({"cluster": cluster, "method": request.method});
            copy_fields(request, &mut record["upstream"]);
        }
        (None, Some(cluster)) => record["cluster"] = json!(cluster),
        (None, None) => {}
    }
    record["response_headers"] = headers(&seen.answer, OF_ANSWERS);
    if forwarded.is_empty() || seen.answer.body != b"ok" {
        record["body"] = json!(String::from_utf8_lossy(&seen.answer.body));
    }
    if !copies.is_empty() && !copies_by_chance {
        let copies = copies.into_iter().map(|(cluster, request)| {
            let mut copy = json!({ "cluster": cluster });
            copy_fields(request, &mut copy);
            copy
        });
        record["mirrored"] = copies.collect();
    }
    record
}

/// Envoy says so in the requests that it mirrors.
fn is_copy(request: &Message) -> bool {
    request.header("x-envoy-internal") == Some("true")
}

fn copy_fields(request: &Message, fields: &mut Json) {
    fields["path"] = json!(request.path);
    fields["authority"] = json!(request.header("host"));
    fields["headers"] = headers(request, OF_REQUESTS);
}

/// Headers that records leave out: those of the connection, and bookkeeping.
const OF_ANSWERS: &[&str] =
    &["date", "server", "x-envoy-upstream-service-time", "content-length", "transfer-encoding", "connection"];
const OF_REQUESTS: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "x-request-id",
    "x-envoy-attempt-count",
    "x-envoy-external-address",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-internal",
    crate::client::NAME,
];

/// Headers as a mapping; several lines are a list.
fn headers(message: &Message, left_out: &[&str]) -> Json {
    let mut lines: Map<String, Json> = Map::new();
    for (name, value) in &message.headers {
        if left_out.contains(&name.as_str()) || name.starts_with("x-forwarded-") {
            continue;
        }
        let value = if name == "set-cookie" { without_value(value) } else { without_marks(value) };
        let list = lines.entry(name.clone()).or_insert_with(|| json!([]));
        list.as_array_mut().expect("it was made so").push(json!(value));
    }
    for (_, value) in &mut lines {
        if let [lone] = value.as_array().expect("it was made so").as_slice() {
            *value = lone.clone();
        }
    }
    Json::Object(lines)
}

/// A cookie that the proxy made, without the value that it made up.
fn without_value(cookie: &str) -> String {
    match (cookie.split_once("=\""), cookie.split_once("\"; ")) {
        (Some((name, _)), Some((_, attributes))) => format!("{name}=\"*\"; {attributes}"),
        _ => cookie.to_owned(),
    }
}
