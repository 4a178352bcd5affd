//! A timed case from its text to its disagreements.

use serde_json::{Value as Json, json};

use super::super::case::Case;
use super::super::difference::Difference;
use super::figures::{ByEndpoint, Run, Seen, by_key, repeated, same_endpoint, single};
use super::judgement::Judge;
use super::stage::{Staged, stage};
use super::witness::Witness;
use crate::mesh::Mesh;
use crate::record::PlaceId;
use crate::resource::Objects;
use crate::sim::{Control, Whereabouts};

/// Runs that show whether a case leaves anything to chance.
const RUNS_MIN: u64 = 5;

/// Runs of a case that does.
const RUNS_MAX: u64 = 200;

/// Acts a case out and compares; what does not agree, by request or figure.
#[must_use]
pub(in super::super) fn run(case: &Case, objects: &Objects, mesh: Mesh) -> Vec<(String, Difference)> {
    let staged = stage(case, objects, mesh);
    let mut runs: Vec<Run> = (1..=RUNS_MIN).map(|seed| act(&staged, seed)).collect();
    if runs.windows(2).any(|pair| pair[0] != pair[1]) {
        runs.extend((RUNS_MIN + 1..=RUNS_MAX).map(|seed| act(&staged, seed)));
    }
    compare(case, &runs)
}

/// One run, in the terms of records.
fn act(staged: &Staged, seed: u64) -> Run {
    let mut witness = Witness::default();
    let plan = staged.plan.clone().with_seed(seed);
    let outcome = crate::sim::run(&plan, &Control::new(), &mut witness);
    let directory = &outcome.directory;
    let name = |place: PlaceId| -> String {
        let is_here = |whereabouts: &Whereabouts| match whereabouts {
            Whereabouts::Pod(pod) => plan.place_of(*pod) == Some(place.0),
            Whereabouts::Host(host) => directory.places.get(place.index()) == Some(host),
        };
        let endpoint = staged.endpoints.iter().find(|endpoint| is_here(&endpoint.whereabouts));
        endpoint
            .map_or_else(|| directory.places.get(place.index()).cloned().unwrap_or_default(), |endpoint| endpoint.name.clone())
    };
    let named = |tally: &std::collections::BTreeMap<PlaceId, u64>| -> ByEndpoint {
        tally.iter().map(|(place, count)| (name(*place), *count)).collect()
    };
    let mut run = Run {
        hits: named(&witness.hits),
        mirrored: named(&witness.mirrored),
        connections: named(&witness.connections),
        active_max: named(&witness.active_max),
        mirrored_authority: witness
            .mirrored_hops
            .iter()
            .map(|hop| directory.hops[hop.index()].mirror_authority.clone())
            .collect(),
        ..Run::default()
    };
    for ((group, _), line) in witness.lines {
        let id = directory.groups[group as usize].user.clone();
        let direct =
            line.hop.filter(|_| line.details == "direct_response").map(|hop| directory.hops[hop.index()].direct_body.clone());
        run.requests.entry(id).or_default().push(Seen {
            status: line.status,
            flags: line.flags,
            details: line.details,
            attempts: line.attempts,
            took: line.took,
            body: direct.unwrap_or(line.body),
            truncated: line.truncated,
            overloaded: line.overloaded,
            informational: line.informational,
            logged: line.logged.map(name),
            picked: line.picked.into_iter().map(name).collect(),
            arrived: line.arrived.into_iter().map(|(place, after)| (name(place), after)).collect(),
            is_over: line.is_over,
        });
    }
    run
}

fn compare(case: &Case, runs: &[Run]) -> Vec<(String, Difference)> {
    let expected = &case.expect;
    let judge = Judge { has_law: case.whole["law"].is_string(), tolerance_ms: expected["tolerance_ms"].as_f64().unwrap_or(0.0) };
    let mut wrong = Vec::new();
    let mut note = |item: &str, difference: Option<Difference>| {
        if let Some(difference) = difference {
            wrong.push((item.to_owned(), difference));
        }
    };
    for (field, wanted) in expected.as_object().into_iter().flatten() {
        let figures = |of: fn(&Run) -> &ByEndpoint| -> Vec<&ByEndpoint> { runs.iter().map(of).collect() };
        match field.as_str() {
            "tolerance_ms" => {}
            "requests" => {
                for (id, wanted) in wanted.as_object().into_iter().flatten() {
                    note(id, request(case, judge, id, wanted, runs));
                }
            }
            "hits" => note("case", by_key(judge, field, wanted, &figures(|run| &run.hits))),
            "mirrored" => note("case", by_key(judge, field, wanted, &figures(|run| &run.mirrored))),
            "connections" => note("case", by_key(judge, field, wanted, &figures(|run| &run.connections))),
            "max_active" => note("case", by_key(judge, field, wanted, &figures(|run| &run.active_max))),
            "mirrored_authority" => {
                let strange = runs.iter().map(|run| json!(run.mirrored_authority)).find(|ours| ours != wanted);
                note("case", strange.map(|ours| Difference::new(field, Some(wanted), Some(&ours))));
            }
            "same_endpoint" => {
                for one in wanted.as_array().into_iter().flatten() {
                    note("case", same_endpoint(one, runs));
                }
            }
            _ => note("case", Some(Difference::new(field, Some(wanted), None))),
        }
    }
    wrong
}

fn request(case: &Case, judge: Judge, id: &str, expected: &Json, runs: &[Run]) -> Option<Difference> {
    let ours: Vec<&[Seen]> = runs.iter().map(|run| run.requests.get(id).map_or(&[][..], Vec::as_slice)).collect();
    let written = case.whole["requests"].as_array().into_iter().flatten().find(|request| request["id"] == id);
    let Some(written) = written else { return Some(Difference::new("id", Some(&json!(id)), None)) };
    if written["repeat"].is_null() {
        let once: Vec<&Seen> = ours.iter().filter_map(|run| run.first()).collect();
        return single(judge, expected, &once);
    }
    let cycle = written["cycle"].as_u64().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    repeated(judge, expected, &ours, cycle)
}
