//! Meshes are played in batches; one that shows a disagreement is made smaller for as long as it does.

use std::path::Path;

use meshsim::conformance::{Case, CaseRequest};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value as Json;

use crate::arena::{Compiled, Fate, play};
use crate::draft;
use crate::envoy;
use crate::judge::{judge, times};
use crate::readme;
use crate::stub::Stub;

const MESHES: usize = 320;
const SEED: u8 = 1;
const BATCH: usize = 20;
/// After so many disagreements the tournament ends.
const SHOWN: usize = 3;
/// How many smaller cases are tried for one disagreement.
const TRIES: usize = 150;

fn number_of(variable: &str) -> Option<usize> {
    std::env::var(variable).ok()?.parse().ok()
}

fn compiled(record: &Json) -> Compiled {
    let text = serde_yaml::to_string(record).expect("JSON is YAML");
    Compiled::new(Case::parse("made-up", "made-up", &text).expect("a record is a case"))
}

/// The requests of a case about which we are wrong, with the difference.
fn disagreements<'c>(compiled: &'c Compiled, fates: &[Fate]) -> Vec<(&'c CaseRequest, String)> {
    let judged = compiled.case.requests.iter().zip(fates);
    judged.filter_map(|(request, fate)| Some((request, judge(compiled, request, fate)?.to_string()))).collect()
}

/// The smallest case that still shows a disagreement, and the disagreement.
fn smallest(binary: &Path, stub: &Stub, mut tree: impl proptest::strategy::ValueTree<Value = Json>) -> (Json, String) {
    let shown = |record: &Json| -> Option<String> {
        let compiled = compiled(record);
        let cases = [compiled];
        match play(binary, stub, &cases, times) {
            Ok(fates) => {
                disagreements(&cases[0], &fates[0]).into_iter().next().map(|(request, why)| format!("{}: {why}", request.id))
            }
            Err(why) => Some(why),
        }
    };
    if number_of("MESHSIM_REFEREE_TRIES") == Some(0) {
        return (tree.current(), String::new());
    }
    let mut smallest = (tree.current(), shown(&tree.current()).unwrap_or_else(|| "not seen again".to_owned()));
    for _ in 0..number_of("MESHSIM_REFEREE_TRIES").unwrap_or(TRIES) {
        if !tree.simplify() {
            break;
        }
        loop {
            match shown(&tree.current()) {
                Some(why) => {
                    smallest = (tree.current(), why);
                    break;
                }
                None if tree.complicate() => {}
                None => return smallest,
            }
        }
    }
    smallest
}

#[test]
fn a_real_envoy_does_with_made_up_meshes_what_we_say() {
    let binary = match envoy::binary() {
        Ok(binary) => binary,
        Err(why) => {
            println!("skipped: {why}");
            return;
        }
    };
    let meshes = number_of("MESHSIM_REFEREE_CASES").unwrap_or(MESHES);
    let seed = u8::try_from(number_of("MESHSIM_REFEREE_SEED").unwrap_or(usize::from(SEED))).expect("the seed is below 256");
    let stub = Stub::start();
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]));
    let strategy = draft::case();
    let (mut played, mut judged, mut wrong) = (0, 0, Vec::new());
    while played < meshes && wrong.len() < SHOWN {
        let trees: Vec<_> = (0..BATCH.min(meshes - played))
            .map(|_| strategy.new_tree(&mut runner).expect("the strategy never gives up"))
            .collect();
        let cases: Vec<Compiled> = trees.iter().map(|tree| compiled(&tree.current())).collect();
        played += cases.len();
        let fates = match play(&binary, &stub, &cases, times) {
            Ok(fates) => fates,
            Err(why) => {
                println!("Envoy refuses a batch: {why}");
                // One of them is refused by itself.
                let alone = |case: &Compiled| play(&binary, &stub, std::slice::from_ref(case), |_, _| 0).is_err();
                let refused = cases.iter().position(alone).expect("one mesh of a refused batch is refused");
                let tree = trees.into_iter().nth(refused).expect("there is a tree for each case");
                wrong.push(smallest(&binary, &stub, tree));
                continue;
            }
        };
        judged += fates.iter().flatten().filter(|fate| !matches!(fate, Fate::NotPlayed)).count();
        for ((tree, case), fates) in trees.into_iter().zip(&cases).zip(&fates) {
            if wrong.len() < SHOWN && !disagreements(case, fates).is_empty() {
                wrong.push(smallest(&binary, &stub, tree));
            }
        }
    }
    for (record, why) in &wrong {
        println!("disagreement: {why}\n{}", serde_yaml::to_string(record).expect("JSON is YAML"));
    }
    println!("{played} meshes, {judged} requests, {} disagreements", wrong.len());
    assert!(wrong.is_empty(), "{} meshes show disagreements", wrong.len());
    if (meshes, seed) == (MESHES, SEED) {
        // Whole hundreds, so that not every change of what listens where changes the page.
        readme::says("meshes", &format!("{played} made-up meshes with over {} requests", judged / 100 * 100));
    }
}
