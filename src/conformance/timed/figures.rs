//! What several runs say about one item, compared with what was measured.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use super::super::difference::Difference;
use super::judgement::{Judge, RUNS, is_credible};

/// One request in one run. Endpoints go by the names they have in records.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Seen {
    pub(super) status: u16,
    pub(super) flags: String,
    pub(super) details: String,
    pub(super) attempts: u32,
    pub(super) took: u64,
    pub(super) body: String,
    pub(super) truncated: bool,
    pub(super) overloaded: bool,
    pub(super) informational: Vec<u16>,
    /// The endpoint in the log.
    pub(super) logged: Option<String>,
    /// The endpoint picked for each try.
    pub(super) picked: Vec<String>,
    /// Where tries arrived, and after how many milliseconds.
    pub(super) arrived: Vec<(String, u64)>,
    pub(super) is_over: bool,
}

/// Figures that each endpoint has, by the key under which records have them.
pub(super) type ByEndpoint = BTreeMap<String, u64>;

/// One run.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Run {
    /// Repetitions of each request.
    pub(super) requests: BTreeMap<String, Vec<Seen>>,
    pub(super) hits: ByEndpoint,
    pub(super) mirrored: ByEndpoint,
    pub(super) connections: ByEndpoint,
    pub(super) active_max: ByEndpoint,
    pub(super) mirrored_authority: BTreeSet<String>,
}

impl Seen {
    fn outcome(&self) -> String {
        format!("{} {}", self.status, self.flags)
    }

    /// The endpoint that gave the answer, if one did.
    fn answered_by(&self) -> Option<&str> {
        self.arrived.last().map(|(place, _)| place.as_str()).filter(|_| self.details == "via_upstream")
    }

    /// Endpoints that were tried: those that requests arrived at, or the one that the log names.
    fn endpoints(&self) -> Vec<&str> {
        if self.attempts > 1 {
            return self.arrived.iter().map(|(place, _)| place.as_str()).collect();
        }
        self.logged.as_deref().into_iter().collect()
    }

    /// The endpoints of the tries as letters, in the order of their first use.
    fn tries_pattern(&self) -> String {
        let known: indexmap::IndexSet<&String> = self.picked.iter().collect();
        let letter = |place| {
            let at = known.get_index_of(place).unwrap_or(0).min(25);
            char::from(b'a' + u8::try_from(at).unwrap_or(25))
        };
        self.picked.iter().map(letter).collect()
    }

    /// A field that is the same or another, in the form of records; `None` where records need not
    /// have it.
    fn word(&self, field: &str) -> Json {
        match field {
            "status" => json!(self.status),
            "flags" => json!(self.flags),
            "details" => json!(self.details),
            "attempts" => json!(self.attempts),
            "body" => json!(self.body),
            "truncated" => json!(self.truncated),
            "overloaded" => json!(self.overloaded),
            "informational" => json!(self.informational),
            "endpoints" => json!(self.endpoints()),
            "tries_pattern" => json!(self.tries_pattern()),
            "attempt_at_ms" => json!(self.arrived.iter().map(|(_, after)| after).collect::<Vec<_>>()),
            _ => Json::Null,
        }
    }

    /// The first word in which it is not what was measured.
    fn difference(&self, expected: &Json) -> Option<(usize, Difference)> {
        if !self.is_over {
            return Some((0, Difference::new("status", expected.get("status"), None)));
        }
        WORDS.iter().enumerate().find_map(|(rank, (field, unsaid))| {
            let got = self.word(field);
            let wanted = match (expected.get(*field), unsaid) {
                (Some(wanted), _) => wanted.clone(),
                (None, Unsaid::Anything) => return None,
                (None, Unsaid::Nothing) => nothing_like(&got),
            };
            let fits = match *field {
                "tries_pattern" if wanted.is_array() => wanted.as_array().is_some_and(|all| all.contains(&got)),
                "attempt_at_ms" => wanted.as_array().map(Vec::len) == got.as_array().map(Vec::len),
                _ => super::super::difference::first("", &wanted, &got).is_none(),
            };
            (!fits).then(|| (rank, Difference::new(*field, Some(&wanted), Some(&got))))
        })
    }
}

/// What the absence of a field in a record means.
#[derive(Clone, Copy)]
enum Unsaid {
    Anything,
    Nothing,
}

/// Fields that are the same or another, in the order in which they are compared.
const WORDS: [(&str, Unsaid); 11] = [
    ("status", Unsaid::Anything),
    ("flags", Unsaid::Anything),
    ("details", Unsaid::Anything),
    ("attempts", Unsaid::Anything),
    ("body", Unsaid::Nothing),
    ("truncated", Unsaid::Nothing),
    ("overloaded", Unsaid::Nothing),
    ("informational", Unsaid::Nothing),
    ("endpoints", Unsaid::Anything),
    ("tries_pattern", Unsaid::Anything),
    ("attempt_at_ms", Unsaid::Anything),
];

fn nothing_like(value: &Json) -> Json {
    match value {
        Json::Bool(_) => json!(false),
        Json::Array(_) => json!([]),
        _ => json!(""),
    }
}

/// Fields of a record that say nothing that ours could differ in.
const NOTES: [&str; 2] = ["seen", "duration_ms"];

fn unknown(expected: &Json, known: impl Fn(&str) -> bool) -> Option<Difference> {
    let fields = expected.as_object()?;
    let (field, value) = fields.iter().find(|(field, _)| !known(field))?;
    Some(Difference::new(field.as_str(), Some(value), None))
}

/// Compares a request that is sent once.
pub(super) fn single(judge: Judge, expected: &Json, ours: &[&Seen]) -> Option<Difference> {
    let alternatives: Vec<&Json> = match expected["one_of"].as_array() {
        Some(all) => all.iter().collect(),
        None => vec![expected],
    };
    let is_known = |field: &str| NOTES.contains(&field) || WORDS.iter().any(|(word, _)| *word == field);
    if let Some(strange) = alternatives.iter().find_map(|one| unknown(one, is_known)) {
        return Some(strange);
    }
    let fits = |seen: &Seen| alternatives.iter().any(|one| seen.difference(one).is_none());
    let fitting = ours.iter().filter(|seen| fits(seen)).count();
    if ours.is_empty() || !is_credible(fitting as f64 / ours.len() as f64, RUNS) {
        let nearest = |seen: &&&Seen| alternatives.iter().filter_map(|one| seen.difference(one)).max_by_key(|(rank, _)| *rank);
        let stranger = ours.iter().find(|seen| !fits(seen));
        return stranger.as_ref().and_then(nearest).map(|(_, difference)| difference).or_else(|| absent(expected));
    }
    alternatives.iter().find_map(|one| alternative(judge, one, ours))
}

fn absent(expected: &Json) -> Option<Difference> {
    Some(Difference::new("status", expected.get("status"), None))
}

/// Compares one of the outcomes that were seen with ours of that outcome.
fn alternative(judge: Judge, expected: &Json, ours: &[&Seen]) -> Option<Difference> {
    let alike: Vec<&&Seen> = ours.iter().filter(|seen| seen.difference(expected).is_none()).collect();
    if alike.is_empty() {
        let nearest = ours.iter().filter_map(|seen| seen.difference(expected)).max_by_key(|(rank, _)| *rank);
        return nearest.map(|(_, difference)| difference);
    }
    let drawn = expected["seen"].as_f64().unwrap_or(RUNS);
    let durations: Vec<f64> = alike.iter().map(|seen| seen.took as f64).collect();
    let duration = || judge.time("duration_ms", &expected["duration_ms"], &durations, drawn);
    let arrivals = expected["attempt_at_ms"].as_array().map_or(&[][..], Vec::as_slice);
    duration().or_else(|| {
        arrivals.iter().enumerate().find_map(|(index, range)| {
            let times: Vec<f64> = alike.iter().map(|seen| seen.arrived[index].1 as f64).collect();
            judge.time(&format!("attempt_at_ms[{index}]"), range, &times, drawn)
        })
    })
}

/// Compares a request that is sent repeatedly. `cycle` is the length of the order in which endpoints
/// are expected to repeat.
pub(super) fn repeated(judge: Judge, expected: &Json, ours: &[&[Seen]], cycle: usize) -> Option<Difference> {
    let fields = expected.as_object()?;
    fields.iter().find_map(|(field, wanted)| match field.as_str() {
        "counts" => tallies(judge, field, wanted, ours, |seen| Some(seen.outcome())),
        "by_endpoint" => tallies(judge, field, wanted, ours, |seen| seen.answered_by().map(str::to_owned)),
        "shares" => shares(judge, wanted, ours),
        "duration_ms" => durations(judge, wanted, ours),
        "attempts" => {
            let all: Vec<f64> = ours.iter().copied().flatten().map(|seen| f64::from(seen.attempts)).collect();
            judge.range(field, wanted, &all, RUNS * mean_length(ours), 0.0)
        }
        "attempts_total" => judge.count(field, wanted, &per_run(ours, |run| run.iter().map(|s| u64::from(s.attempts)).sum())),
        "distinct_endpoints" => judge.count(
            field,
            wanted,
            &per_run(ours, |run| run.iter().filter_map(Seen::answered_by).collect::<BTreeSet<_>>().len() as u64),
        ),
        "cycle" => {
            let alike = |run: &&&[Seen]| json!(cycle_of(run, cycle)) == *wanted;
            let share = ours.iter().filter(alike).count() as f64 / ours.len() as f64;
            let other = || ours.iter().find(|run| !alike(run)).map(|run| json!(cycle_of(run, cycle)));
            (!is_credible(share, RUNS)).then(|| Difference::new(field, Some(wanted), other().as_ref()))
        }
        "cycle_starts_seen" => {
            let starts: BTreeSet<&str> = ours.iter().filter_map(|run| run.first()?.answered_by()).collect();
            let is_possible = |start: &Json| start.as_str().is_some_and(|start| starts.contains(start));
            let all = wanted.as_array()?.iter().all(is_possible);
            (!all).then(|| Difference::new(field, Some(wanted), Some(&json!(starts))))
        }
        _ => Some(Difference::new(field, Some(wanted), None)),
    })
}

fn per_run(ours: &[&[Seen]], figure: impl Fn(&[Seen]) -> u64) -> Vec<f64> {
    ours.iter().map(|run| figure(run) as f64).collect()
}

fn mean_length(ours: &[&[Seen]]) -> f64 {
    ours.iter().map(|run| run.len()).sum::<usize>() as f64 / ours.len().max(1) as f64
}

/// Compares how many requests of a run have each of some properties.
fn tallies(
    judge: Judge,
    field: &str,
    expected: &Json,
    ours: &[&[Seen]],
    property: impl Fn(&Seen) -> Option<String>,
) -> Option<Difference> {
    let count = |run: &[Seen]| {
        let mut tally = ByEndpoint::new();
        run.iter().filter_map(&property).for_each(|key| *tally.entry(key).or_default() += 1);
        tally
    };
    let tallies: Vec<ByEndpoint> = ours.iter().map(|run| count(run)).collect();
    by_key(judge, field, expected, &tallies.iter().collect::<Vec<_>>())
}

/// Compares figures by key; a key that is missing on either side counts as zero. The key `host/*` is
/// the sum over all endpoints of a host.
pub(super) fn by_key(judge: Judge, field: &str, expected: &Json, ours: &[&ByEndpoint]) -> Option<Difference> {
    let Some(wanted) = expected.as_object() else { return Some(Difference::new(field, Some(expected), None)) };
    let is_summed = |key: &str| {
        wanted.keys().find(|wanted| wanted.strip_suffix('*').is_some_and(|host| !host.is_empty() && key.starts_with(host)))
    };
    let sums: Vec<ByEndpoint> = ours
        .iter()
        .map(|tally| {
            let mut sums = ByEndpoint::new();
            for (key, count) in *tally {
                *sums.entry(is_summed(key).unwrap_or(key).clone()).or_default() += count;
            }
            sums
        })
        .collect();
    let values = |key: &str| -> Vec<f64> { sums.iter().map(|tally| tally.get(key).copied().unwrap_or(0) as f64).collect() };
    let expected_keys = wanted.iter().find_map(|(key, range)| judge.count(&format!("{field}.{key}"), range, &values(key)));
    expected_keys.or_else(|| {
        let all: BTreeSet<&String> = sums.iter().flat_map(BTreeMap::keys).collect();
        let mut extra = all.into_iter().filter(|key| !wanted.contains_key(*key));
        extra.find_map(|key| judge.count(&format!("{field}.{key}"), &json!([0, 0]), &values(key)))
    })
}

/// Compares how unequally endpoints are used, whichever they are.
fn shares(judge: Judge, expected: &Json, ours: &[&[Seen]]) -> Option<Difference> {
    let sorted: Vec<Vec<u64>> = ours
        .iter()
        .map(|run| {
            let mut tally: BTreeMap<&str, u64> = BTreeMap::new();
            run.iter().filter_map(Seen::answered_by).for_each(|place| *tally.entry(place).or_default() += 1);
            let mut counts: Vec<u64> = tally.into_values().collect();
            counts.sort_unstable_by(|a, b| b.cmp(a));
            counts
        })
        .collect();
    let Some(wanted) = expected.as_array() else { return Some(Difference::new("shares", Some(expected), None)) };
    let longest = sorted.iter().map(Vec::len).max().unwrap_or(0).max(wanted.len());
    (0..longest).find_map(|rank| {
        let range = wanted.get(rank).cloned().unwrap_or_else(|| json!([0, 0]));
        let values: Vec<f64> = sorted.iter().map(|counts| counts.get(rank).copied().unwrap_or(0) as f64).collect();
        judge.count(&format!("shares[{rank}]"), &range, &values)
    })
}

/// Compares durations by outcome, over all requests.
fn durations(judge: Judge, expected: &Json, ours: &[&[Seen]]) -> Option<Difference> {
    let Some(wanted) = expected.as_object() else { return Some(Difference::new("duration_ms", Some(expected), None)) };
    wanted.iter().find_map(|(outcome, range)| {
        let all = ours.iter().copied().flatten().filter(|seen| seen.outcome() == *outcome);
        let all: Vec<f64> = all.map(|seen| seen.took as f64).collect();
        let drawn = RUNS * (all.len() as f64 / ours.len().max(1) as f64).max(1.0);
        judge.time(&format!("duration_ms.{outcome}"), range, &all, drawn)
    })
}

/// The order in which endpoints repeat, turned so that it is the smallest; nothing if they do not.
fn cycle_of(run: &[Seen], length: usize) -> Vec<&str> {
    let places: Vec<&str> = run.iter().filter_map(Seen::answered_by).collect();
    let repeats =
        length > 0 && places.len() >= length && places.iter().enumerate().all(|(at, place)| *place == places[at % length]);
    if !repeats {
        return Vec::new();
    }
    let turned = (0..length).map(|by| (0..length).map(|at| places[(at + by) % length]).collect::<Vec<_>>());
    turned.min().unwrap_or_default()
}

/// Compares whether some requests met the same endpoint.
pub(super) fn same_endpoint(expected: &Json, ours: &[Run]) -> Option<Difference> {
    let ids: Vec<&str> = expected["requests"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    let is_same = |run: &Run| {
        let places: BTreeSet<Option<&str>> =
            ids.iter().filter_map(|id| run.requests.get(*id)).flatten().map(|seen| seen.endpoints().last().copied()).collect();
        places.len() == 1
    };
    let share = ours.iter().filter(|run| is_same(run)).count() as f64 / ours.len().max(1) as f64;
    let (fits, word) = match expected["same"].as_str() {
        Some("always") => (is_credible(share, RUNS), "always"),
        Some("never") => (is_credible(1.0 - share, RUNS), "never"),
        _ => (share > 0.0 && share < 1.0, "sometimes"),
    };
    let got = match share {
        0.0 => json!("never"),
        1.0 => json!("always"),
        share => json!(format!("{share:.2} of the runs")),
    };
    (!fits).then(|| Difference::new(format!("same_endpoint[{}]", ids.join(", ")), Some(&json!(word)), Some(&got)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JUDGE: Judge = Judge { has_law: false, tolerance_ms: 25.0 };

    fn seen(status: u16, place: &str, took: u64) -> Seen {
        Seen {
            status,
            flags: "-".to_owned(),
            details: "via_upstream".to_owned(),
            attempts: 1,
            took,
            logged: Some(place.to_owned()),
            picked: vec![place.to_owned()],
            arrived: vec![(place.to_owned(), 0)],
            is_over: true,
            ..Seen::default()
        }
    }

    fn field(difference: Option<Difference>) -> Option<String> {
        difference.map(|difference| difference.field)
    }

    #[test]
    fn the_first_differing_field_of_a_request_is_named() {
        let ours = seen(200, "a", 30);
        for (expected, wrong) in [
            (json!({"status": 200, "flags": "-", "duration_ms": [0, 5], "endpoints": ["a"]}), None),
            (json!({"status": 503, "flags": "UO"}), Some("status")),
            (json!({"status": 200, "endpoints": ["b"]}), Some("endpoints")),
            (json!({"status": 200, "duration_ms": [60, 70]}), Some("duration_ms")),
            (json!({"status": 200, "overloaded": true}), Some("overloaded")),
            (json!({"status": 200, "attempt_at_ms": [[0, 1], [5, 9]]}), Some("attempt_at_ms")),
            (json!({"status": 200, "colour": "red"}), Some("colour")),
            (json!({"one_of": [{"status": 503, "seen": 1}, {"status": 200, "seen": 4}]}), Some("status")),
        ] {
            assert_eq!(field(single(JUDGE, &expected, &[&ours, &ours])).as_deref(), wrong, "{expected}");
        }
    }

    #[test]
    fn one_of_several_outcomes_each_needs_one_of_ours() {
        let expected = json!({"one_of": [{"status": 503, "duration_ms": [0, 1], "seen": 1}, {"status": 200, "seen": 4}]});
        let (bad, good) = (seen(503, "a", 0), seen(200, "b", 90));
        assert_eq!(single(JUDGE, &expected, &[&bad, &good, &good]), None);
        assert_eq!(field(single(JUDGE, &expected, &[&good, &good])).as_deref(), Some("status"));
    }

    #[test]
    fn repetitions_are_compared_by_their_sums() {
        let run = [seen(200, "a", 1), seen(200, "b", 2), seen(200, "a", 1), seen(200, "b", 2)];
        let ours = [&run[..]];
        for (expected, wrong) in [
            (json!({"counts": {"200 -": [4, 4]}, "duration_ms": {"200 -": [0, 2]}, "attempts": [1, 1]}), None),
            (json!({"by_endpoint": {"a": [2, 2], "b": [2, 2]}, "shares": [[2, 2], [2, 2]], "cycle": ["a", "b"]}), None),
            (json!({"counts": {"200 -": [3, 3], "503 -": [1, 1]}}), Some("counts.200 -")),
            (json!({"by_endpoint": {"a": [2, 2]}}), Some("by_endpoint.b")),
            (json!({"shares": [[4, 4]]}), Some("shares[0]")),
            (json!({"cycle": ["a", "c"]}), Some("cycle")),
            (json!({"distinct_endpoints": [1, 1]}), Some("distinct_endpoints")),
            (json!({"attempts_total": 4}), None),
            (json!({"counts": 5}), Some("counts")),
            (json!({"attempts_total": "many"}), Some("attempts_total")),
        ] {
            assert_eq!(field(repeated(JUDGE, &expected, &ours, 2)).as_deref(), wrong, "{expected}");
        }
    }

    #[test]
    fn sums_over_a_host_are_compared_as_sums() {
        let ours: ByEndpoint = [("h/-/0".to_owned(), 3), ("h/-/1".to_owned(), 4)].into();
        assert_eq!(by_key(JUDGE, "hits", &json!({"h/*": [7, 7]}), &[&ours]), None);
        assert_eq!(field(by_key(JUDGE, "hits", &json!({"h/-/0": [3, 3]}), &[&ours])).as_deref(), Some("hits.h/-/1"));
    }
}
