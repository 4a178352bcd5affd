//! The description of the scenario format says everything that the format has, and its examples are
//! examples.

use std::collections::BTreeSet;

use meshsim::scenario::{self, READY_MADE};
use meshsim::source::Sources;
use meshsim::yaml::{Limits, parse};
use serde_json::Value;

const DESCRIPTION: &str = include_str!("../../scenarios/README.md");

/// Every field and every word of a closed set, from the schema.
fn words(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            if let Some(Value::Object(properties)) = object.get("properties") {
                found.extend(properties.keys().cloned());
            }
            if let Some(Value::Array(choices)) = object.get("enum") {
                found.extend(choices.iter().filter_map(Value::as_str).map(str::to_owned));
            }
            object.values().for_each(|value| words(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| words(value, found)),
        _ => {}
    }
}

#[test]
fn every_field_of_the_format_is_described() {
    let mut all = BTreeSet::new();
    words(&scenario::schema(), &mut all);
    assert!(all.len() > 80, "the schema lists the fields: {all:?}");
    // In code: alone, or at the beginning of an example.
    let said = |word: &String| {
        [format!("`{word}`"), format!("`{word}:"), format!("{{{word}:"), format!(", {word}:")]
            .iter()
            .any(|form| DESCRIPTION.contains(form))
    };
    let missing: Vec<&String> = all.iter().filter(|word| !said(word)).collect();
    assert!(missing.is_empty(), "not described: {missing:?}");
}

#[test]
fn every_ready_made_application_is_described() {
    for (name, _, _) in READY_MADE {
        assert!(DESCRIPTION.contains(&format!("| `{name}` |")), "{name}");
    }
}

#[test]
fn every_example_is_read_without_a_finding() {
    let blocks: Vec<&str> = DESCRIPTION.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 8);
    for block in blocks {
        let mut sources = Sources::new();
        let file = sources.add("example.yaml", block);
        let (documents, findings) = parse(&sources, file, Limits::default());
        assert!(findings.is_empty(), "{findings:#?}\n{block}");
        let (_, findings) = scenario::decode(&documents[0]);
        assert!(findings.is_empty(), "{findings:#?}\n{block}");
    }
}
