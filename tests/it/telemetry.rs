//! What a mesh would have written about a run, in the formats that others read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const CASCADE: &str = "scenarios/bookinfo-timeout-cascade";

fn written(scenario: &str, form: &str) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_meshsim"))
        .args(["-q", "run", "--no-charts", scenario, "-o", form])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output()
        .expect("the program starts");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).expect("text")
}

/// Fields of a line as a shell would split them.
fn fields(line: &str) -> Vec<String> {
    shlex::split(line).unwrap_or_else(|| panic!("quotes do not match: {line}"))
}

#[test]
fn a_text_line_has_the_fields_of_istios_default_format() {
    let log = written(CASCADE, "access-log");
    for line in log.lines() {
        let fields = fields(line);
        assert_eq!(fields.len(), 22, "{line}");
        assert!(fields[0].starts_with("[1970-01-01T00:0") && fields[0].ends_with("Z]"), "{line}");
    }
    let gone = log.lines().find(|line| line.contains(" 0 DC ") && line.contains("|v2|reviews")).expect("productpage hangs up");
    let fields = fields(gone);
    assert_eq!((fields[1].as_str(), fields[2].as_str()), ("GET /reviews/0 HTTP/1.1", "0"));
    assert_eq!((fields[4].as_str(), fields[9].as_str()), ("downstream_remote_disconnect", "3000"));
    assert_eq!(fields[16], "outbound|9080|v2|reviews.default.svc.cluster.local");
}

#[test]
fn both_proxies_of_a_call_write_it_down() {
    let lines: Vec<Value> =
        written(CASCADE, "access-log-json").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let count =
        |prefix: &str| lines.iter().filter(|l| l["upstream_cluster"].as_str().is_some_and(|c| c.starts_with(prefix))).count();
    assert_eq!(count("outbound|9080||productpage"), 2_500);
    // Every request of the gateway arrives, and so does every call to details.
    let inbound = lines.iter().filter(|line| line["upstream_cluster"] == "inbound|9080||" && line["path"] == "/details/0");
    assert_eq!(inbound.count(), count("outbound|9080|v1|details") + count("outbound|9080||details"));
}

/// The caller's proxy sees an answer; why it is what it is, is in the log of the server's.
#[test]
fn who_turns_a_request_away_writes_down_why() {
    for (lesson, expected) in [
        ("local-rate-limit", vec![("429 RL local_rate_limited", 182)]),
        (
            "tokens",
            vec![
                ("401 - jwt_authn_access_denied{Jwt_is_expired}", 30),
                (
                    "401 - jwt_authn_access_denied{Jwt_is_not_in_the_form_of_Header.Payload.Signature_with_two_dots_and_3_sections}",
                    30,
                ),
                ("401 - jwt_authn_access_denied{Jwt_issuer_is_not_configured}", 30),
                ("403 - rbac_access_denied_matched_policy[none]", 30),
            ],
        ),
    ] {
        let mut told: BTreeMap<String, u32> = BTreeMap::new();
        let mut at_callers = 0;
        for line in written(&format!("scenarios/lessons/{lesson}"), "access-log").lines() {
            let fields = fields(line);
            if fields[16].starts_with("outbound") && fields[2] != "200" {
                assert_eq!((fields[3].as_str(), fields[4].as_str()), ("-", "via_upstream"), "{line}");
                at_callers += 1;
            } else if fields[16].starts_with("inbound") && fields[2] != "200" {
                assert_eq!(fields[15], "-", "no application is asked: {line}");
                *told.entry(fields[2..5].join(" ")).or_default() += 1;
            }
        }
        let told: Vec<(&str, u32)> = told.iter().map(|(text, count)| (text.as_str(), *count)).collect();
        assert_eq!(told, expected, "{lesson}");
        assert_eq!(told.iter().map(|(_, count)| count).sum::<u32>(), at_callers, "{lesson}");
    }
}

#[test]
fn metrics_count_what_the_report_counts() {
    let text = written(CASCADE, "openmetrics");
    assert!(text.ends_with("# EOF\n") && text.contains("# TYPE istio_requests counter\n"), "{text}");
    let total = |wanted: &[&str]| -> u64 {
        let lines =
            text.lines().filter(|line| line.starts_with("istio_requests_total{") && wanted.iter().all(|w| line.contains(w)));
        lines.map(|line| line.rsplit(' ').next().expect("a value").parse::<u64>().expect("a count")).sum()
    };
    let source = r#"reporter="source""#;
    assert_eq!(total(&[source, r#"source_workload="istio-ingressgateway""#]), 2_500);
    assert_eq!(total(&[source, r#"response_flags="DC""#, r#"destination_service_name="reviews""#]), 100);
    assert_eq!(total(&[r#"reporter="destination""#, r#"connection_security_policy="none""#]), 0);
    let buckets: Vec<&str> =
        text.lines().filter(|line| line.contains("_bucket{") && line.contains(r#"response_flags="DC""#)).collect();
    assert!(
        buckets.iter().any(|line| line.contains(r#"le="2500"} 0"#))
            && buckets.iter().any(|line| line.contains(r#"le="5000"} 100"#))
    );
}

#[test]
fn every_span_has_a_parent_in_its_trace_or_is_the_first() {
    let mut spans = BTreeSet::new();
    let mut children = Vec::new();
    for line in written(CASCADE, "otlp").lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let span = &line["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        let text = |key: &str| span[key].as_str().map(str::to_owned);
        spans.insert((text("traceId").expect("a trace"), text("spanId").expect("a span")));
        children.extend(text("parentSpanId").map(|parent| (text("traceId").expect("a trace"), parent)));
        assert!(
            text("startTimeUnixNano") <= text("endTimeUnixNano")
                || span["startTimeUnixNano"].as_str().map(str::len) < span["endTimeUnixNano"].as_str().map(str::len)
        );
    }
    assert!(spans.len() > 10_000 && children.len() > 7_500);
    assert!(children.iter().all(|child| spans.contains(child)), "a parent is missing");
}

#[test]
fn jaegers_document_names_the_processes_of_its_spans() {
    let document: Value = serde_json::from_str(&written("scenarios/lessons/mirroring", "jaeger")).expect("JSON");
    let traces = document["data"].as_array().expect("traces");
    assert_eq!(traces.len(), 1_000);
    for span in traces.iter().flat_map(|trace| trace["spans"].as_array().expect("spans")) {
        let process = span["processID"].as_str().expect("a process");
        assert!(traces[0]["processes"][process]["serviceName"].is_string(), "{span}");
    }
}

#[test]
fn the_clock_starts_when_one_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let args = ["-q", "run", "--no-charts", CASCADE, "-o", "access-log", "--epoch", "2026-01-31T12:00:00Z"];
    let run = Command::new(env!("CARGO_BIN_EXE_meshsim")).args(args).current_dir(root).output().expect("it starts");
    assert!(run.stdout.starts_with(b"[2026-01-31T12:00:00.000Z] "));
}
