//! Measured cases: what a real control plane and a real proxy did with a configuration. They lie in
//! `tests/conformance`, a folder per group; `FORMAT.md` there says how they are written.

use std::fs;
use std::path::Path;

use meshsim::conformance::{Aspect, Case, Score, run};
use rayon::prelude::*;

/// All cases of the repository.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    for group in sorted(&root).iter().filter(|path| path.is_dir()) {
        for file in sorted(group) {
            let name = |path: &Path| path.file_stem().expect("files have names").to_string_lossy().into_owned();
            let text = fs::read_to_string(&file).expect("cases can be read");
            cases.push(
                Case::parse(&name(group), &name(&file), &text).unwrap_or_else(|error| panic!("{}: {error}", file.display())),
            );
        }
    }
    cases
}

fn sorted(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(directory).expect("directories of the repository can be listed");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("entries can be read").path()).collect();
    paths.sort();
    paths
}

fn score(aspects: &[Aspect]) -> Score {
    let scores: Vec<Score> = cases().par_iter().map(|case| run(case, aspects)).collect();
    let mut all = Score::default();
    scores.into_iter().for_each(|one| all.add(one));
    all
}

fn assert_perfect(score: &Score) {
    let wrong: Vec<String> =
        score.disagreements.iter().map(|d| format!("{}/{} {} {}", d.group, d.case, d.item, d.difference)).collect();
    assert!(wrong.is_empty(), "{} disagree\n{}", wrong.len(), wrong.join("\n"));
}

/// How many were compared, besides those in `found`: that folder grows with every mistake found.
fn recorded(score: &Score, aspect: Aspect) -> usize {
    score.groups.iter().filter(|(group, _)| *group != "found").map(|(_, tallies)| tallies[aspect as usize].total).sum()
}

#[test]
fn every_request_of_every_case_goes_where_it_really_went() {
    let score = score(&[Aspect::Requests]);
    assert_perfect(&score);
    assert_eq!(recorded(&score, Aspect::Requests), 4543);
}

#[test]
fn every_timed_case_takes_the_course_it_really_took() {
    let score = score(&[Aspect::Timed]);
    assert_perfect(&score);
    assert_eq!(recorded(&score, Aspect::Timed), 76);
}

#[test]
fn every_cluster_has_the_settings_it_really_had() {
    let score = score(&[Aspect::Policies]);
    assert_perfect(&score);
    assert_eq!(recorded(&score, Aspect::Policies), 714);
}

#[test]
fn every_finding_of_istioctl_is_one_of_ours_on_the_same_object() {
    let score = score(&[Aspect::Findings]);
    assert_perfect(&score);
    assert_eq!(recorded(&score, Aspect::Findings), 680);
}

#[test]
fn known_false_alarms_of_istioctl_are_none_of_ours() {
    let mut alarms = 0;
    for case in cases().iter().filter(|case| case.tags.iter().any(|tag| tag == "false-alarm")) {
        let (objects, mesh, found) = case.compiled();
        let ours = meshsim::analysis::analyze(&objects, &mesh, found);
        for alarm in case.expect["istio_analyzers"].as_array().expect("a list of findings") {
            let code = alarm["code"].as_str().expect("findings have codes");
            assert!(!ours.iter().any(|finding| finding.code.ist().contains(&code)), "{} {code}", case.name);
            alarms += 1;
        }
    }
    assert_eq!(alarms, 2);
}

#[test]
fn nothing_in_any_case_makes_the_runner_stumble() {
    let score = score(&Aspect::ALL);
    assert!(score.total(Aspect::Verdicts).total > 900 && score.total(Aspect::Findings).total > 600);
}

/// The objects whose mistake istioctl does not see, as the rules of the cases name them.
const SILENT: &[(&str, &[&str])] = &[
    ("delegate-missing-is-silent-but-its-subset-is-not", &["VirtualService quay/shop-root"]),
    ("delegate-rules-are-read-alone", &["VirtualService quay/leaf"]),
    ("exact-path-under-an-earlier-prefix", &["VirtualService quay/tide"]),
    ("header-canary-behind-the-catch-all-prefix", &["VirtualService quay/tide"]),
    ("misspelt-field-and-the-rest-of-the-file", &["VirtualService quay/tide"]),
    ("prefix-check-needs-equal-ports-and-counts", &["VirtualService quay/tide"]),
    (
        "real-bank-strict-peers-and-plain-callers",
        &["DestinationRule bank/ledger", "AuthorizationPolicy bank/ledger-callers", "PeerAuthentication bank/ledger"],
    ),
    ("real-farm-tcp-port-name-hides-http-rules", &["VirtualService farm/barn"]),
    ("real-games-delegate-outside-the-root-prefix", &["VirtualService games/root", "VirtualService games/lobby-routes"]),
    ("real-grocer-egress-through-a-gateway", &["VirtualService grocer/supplier"]),
    ("real-library-weights-over-a-single-version", &["DestinationRule library/catalog", "VirtualService library/catalog"]),
    ("real-orchard-gateway-api-loose-ends", &["HTTPRoute orchard/juice", "HTTPRoute press/cider"]),
    ("real-orchard-two-routes-one-listener", &["Gateway orchard/front", "HTTPRoute orchard/pears"]),
    ("real-school-tokens-that-nobody-requires", &["RequestAuthentication school/grades", "AuthorizationPolicy school/teachers"]),
    ("real-shop-canary-header-behind-the-default", &["VirtualService shop/cart"]),
    (
        "real-weather-host-names-nobody-has",
        &["VirtualService weather/forecast", "DestinationRule weather/forecast", "VirtualService weather/forecast-alerts"],
    ),
    ("schema-warnings-per-kind", &["VirtualService quay/tide"]),
    ("subset-found-whatever-namespace-owns-the-rule", &["VirtualService quay/tide"]),
    ("subset-level-tls-is-not-looked-at", &["DestinationRule quay/tide"]),
];

#[test]
fn mistakes_that_istioctl_does_not_see_are_findings_of_ours_on_their_objects() {
    let mut missed = Vec::new();
    for case in cases().iter().filter(|case| case.tags.iter().any(|tag| tag == "silent")) {
        let (_, named) = SILENT.iter().find(|(name, _)| *name == case.name).unwrap_or_else(|| panic!("{} has no row", case.name));
        let (objects, mesh, found) = case.compiled();
        let ours = meshsim::analysis::analyze(&objects, &mesh, found);
        let is_told = |object: &str| ours.iter().any(|f| f.object.as_ref().is_some_and(|own| own.to_string() == object));
        missed.extend(named.iter().filter(|object| !is_told(object)).map(|object| format!("{} {object}", case.name)));
    }
    assert_eq!(missed, Vec::<String>::new());
}
