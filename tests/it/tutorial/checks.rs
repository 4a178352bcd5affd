//! The list of all statements, and that none is forgotten.

use std::collections::BTreeMap;

/// Statements about consoles, screenshots and prerequisites, which nothing that is simulated can
/// contradict.
const PRESENTATION_ONLY: &[(&str, &str)] = &[
    ("A04", "where the artefacts were downloaded from; the folder no longer exists"),
    ("A20", "the loop of A19 in PowerShell: the same five requests"),
    ("A42", "what to read next"),
    ("K01", "prerequisites: an earlier article and a cluster of two nodes"),
    ("K02", "Istio's own pods in the dashboard"),
    ("K07", "the kubectl command that creates the workloads"),
    ("K12", "the kubectl command that creates the gateway"),
    ("N01", "what the console can do, and prerequisites"),
    ("N07", "annotations and labels may be added in the console"),
    ("N08", "the console lists what it has created"),
    ("N10", "the kubectl command that creates the client"),
    ("B02", "what sidecars are good for in general"),
    ("B08", "node ports of the gateway's Service, which no request in the mesh sees"),
    ("B09", "shell variables for the gateway's address"),
    ("B15", "the text ends before it names the command that shows the rules"),
    ("R05", "how to find the gateway's address"),
    ("R31", "summary"),
];

/// Letter, number of statements, and how many of them, at the end, are consequences.
const TUTORIALS: &[(char, u32, u32)] = &[('A', 50, 8), ('K', 42, 2), ('N', 25, 2), ('B', 15, 0), ('R', 31, 0)];

/// Consequences that stand in the row of another statement and have a test of their own.
const SIDE_TESTS: &[&str] = &["a33d", "a39d", "b14d", "n22d", "r08d", "r17d"];

const FILES: &[&str] =
    &[include_str!("a.rs"), include_str!("k.rs"), include_str!("n.rs"), include_str!("b.rs"), include_str!("r.rs")];

/// The ids that tests of the files begin with.
fn tested() -> Vec<String> {
    let functions = FILES.iter().flat_map(|text| text.split("#[test]\nfn ").skip(1));
    functions.map(|rest| rest.split('_').next().expect("a name").to_owned()).collect()
}

#[test]
fn every_statement_of_the_tutorials_is_a_test_or_presentation_only() {
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    for (letter, count, consequences) in TUTORIALS {
        for number in 1..=*count {
            let suffix = if number > count - consequences { "d" } else { "" };
            times.insert(format!("{}{number:02}{suffix}", letter.to_ascii_lowercase()), 0);
        }
    }
    let total = times.len();
    let (tests, side): (Vec<String>, Vec<String>) = tested().into_iter().partition(|id| !SIDE_TESTS.contains(&id.as_str()));
    assert_eq!(side.len(), SIDE_TESTS.len(), "{side:?}");
    let listed = PRESENTATION_ONLY.iter().map(|(id, _)| id.to_ascii_lowercase());
    for id in tests.iter().cloned().chain(listed) {
        *times.get_mut(&id).unwrap_or_else(|| panic!("{id} is no statement of a tutorial")) += 1;
    }
    let wrong: Vec<_> = times.iter().filter(|(_, times)| **times != 1).collect();
    assert!(wrong.is_empty(), "missing or double: {wrong:?}");
    assert!(PRESENTATION_ONLY.iter().all(|(_, reason)| !reason.is_empty()));
    println!("tutorial checks: {} asserted, {} presentation-only, {total} total", tests.len(), PRESENTATION_ONLY.len());
    assert_eq!(total, 163);
    assert_eq!(tests.len() + PRESENTATION_ONLY.len(), 163);
}
