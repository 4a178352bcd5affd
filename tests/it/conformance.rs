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
