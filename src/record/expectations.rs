//! Whether what a scenario expects came true. Counts and shares are compared as a person would who
//! knows that chance was involved; what was observed is told in words.

use std::collections::BTreeMap;

use super::report::{ClientGroup, EdgeGroup, ExpectationVerdict, Latency, OutcomeTally, RunReport};
use crate::scenario::{Between, Expectation, LatencyExpectation, Of, Share};
use crate::source::Spanned;
use crate::text::{duration, grouped, percent, plural, share as share_text};
use crate::time::Duration;

/// How many standard deviations an observed share may be off. Chance alone exceeds them once in
/// 1.7 million runs.
const DEVIATIONS: f64 = 5.0;

const TOLERANCE: Duration = Duration::from_millis(1);

/// Compares a report with expectations, in their order. Nothing that was interrupted holds.
#[must_use]
pub fn evaluate(expectations: &[Expectation], report: &RunReport) -> Vec<ExpectationVerdict> {
    expectations.iter().map(|expectation| verdict(expectation, report)).collect()
}

fn verdict(expectation: &Expectation, report: &RunReport) -> ExpectationVerdict {
    let mut checks = Checks { selection: Selection::of(report, &expectation.of), checks: Vec::new() };
    checks.all(expectation);
    let Checks { checks, .. } = checks;
    let words = |of: fn(&Check) -> &str| checks.iter().map(of).filter(|w| !w.is_empty()).collect::<Vec<_>>().join(", ");
    let expected = words(|check| &check.expected);
    let name = match &expectation.name {
        Some(name) => name.value.clone(),
        None => format!("{}: {expected}", described(&expectation.of)),
    };
    let (met, observed) = match report.interrupted {
        true => (false, format!("{} when the run was interrupted", words(|check| &check.observed))),
        false => (checks.iter().all(|check| check.met), words(|check| &check.observed)),
    };
    ExpectationVerdict { name, met, expected, observed, span: expectation.span }
}

/// The traffic of an expectation, in words: `browser (jason) in delay-7s`, `productpage-v1 → reviews v2`.
fn described(of: &Of) -> String {
    let text = |field: &Option<Spanned<String>>| field.as_ref().map(|f| f.value.clone());
    let mut words = Vec::new();
    match (text(&of.client), text(&of.user)) {
        (Some(client), Some(user)) => words.push(format!("{client} ({user})")),
        (client, user) => words.extend(client.or(user)),
    }
    if calls_meant(of) {
        let target =
            [text(&of.service), text(&of.version), text(&of.workload)].into_iter().flatten().collect::<Vec<_>>().join(" ");
        words.push(format!("{} → {}", text(&of.source).unwrap_or_else(|| "anyone".to_owned()), or_anything(target)));
    }
    words.extend(text(&of.phase).map(|phase| format!("in {phase}")));
    words.extend(text(&of.label).map(|label| format!("with {label}")));
    words.extend(of.status.as_ref().map(|status| status_text(status.value)));
    words.extend(text(&of.flags).map(|flags| format!("flags {flags}")));
    if words.is_empty() { "every request".to_owned() } else { words.join(" ") }
}

fn or_anything(text: String) -> String {
    if text.is_empty() { "anything".to_owned() } else { text }
}

fn calls_meant(of: &Of) -> bool {
    of.source.is_some() || of.service.is_some() || of.version.is_some() || of.workload.is_some()
}

/// The answers that an expectation is about.
struct Selection<'r> {
    outcomes: Vec<&'r OutcomeTally>,
    /// How many there were: arrivals where a version or workload is asked for, else answers.
    count: u64,
    /// What a share is a share of.
    whole: u64,
    noun: &'static str,
}

impl<'r> Selection<'r> {
    fn of(report: &'r RunReport, of: &Of) -> Selection<'r> {
        if !calls_meant(of) {
            let groups: Vec<&ClientGroup> = report
                .clients
                .iter()
                .filter(|g| fits(&of.client, &g.client) && fits(&of.user, &g.user) && phase_fits(report, of, g.phase))
                .collect();
            let whole = answers(groups.iter().flat_map(|g| &g.outcomes));
            let outcomes: Vec<_> = groups.iter().flat_map(|g| &g.outcomes).filter(|o| outcome_fits(of, o)).collect();
            return Selection { count: answers(outcomes.iter().copied()), outcomes, whole, noun: "request" };
        }
        let in_scope: Vec<&EdgeGroup> = report
            .edges
            .iter()
            .filter(|g| {
                fits(&of.client, &g.client)
                    && fits(&of.user, &g.user)
                    && phase_fits(report, of, g.phase)
                    && named(&of.source, &g.source)
            })
            .collect();
        let to_service: Vec<&EdgeGroup> = in_scope.iter().filter(|g| named(&of.service, &g.service)).copied().collect();
        let there: Vec<&EdgeGroup> =
            to_service.iter().filter(|g| fits(&of.version, &g.version) && named(&of.workload, &g.workload)).copied().collect();
        let outcomes: Vec<_> = there.iter().flat_map(|g| &g.outcomes).filter(|o| outcome_fits(of, o)).collect();
        let one_place = of.version.is_some() || of.workload.is_some();
        let one_kind = of.label.is_some() || of.status.is_some() || of.flags.is_some();
        let (count, whole) = match (one_place, one_kind) {
            // Calls that reached nobody are a part of what could have arrived.
            (true, false) => (there.iter().map(|g| g.arrived).sum(), to_service.iter().map(|g| arrivals_or_failures(g)).sum()),
            (_, true) => (answers(outcomes.iter().copied()), answers(to_service.iter().flat_map(|g| &g.outcomes))),
            (false, false) => (answers(outcomes.iter().copied()), answers(in_scope.iter().flat_map(|g| &g.outcomes))),
        };
        Selection { outcomes, count, whole, noun: "call" }
    }

    fn latency(&self) -> Latency {
        self.outcomes.iter().fold(Latency::default(), |sum, outcome| sum.merged(&outcome.latency))
    }

    /// How often each value occurs, most frequent first.
    fn tally(&self, value: impl Fn(&OutcomeTally) -> String) -> String {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for outcome in &self.outcomes {
            *counts.entry(value(outcome)).or_default() += outcome.count;
        }
        let mut counts: Vec<(String, u64)> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        match counts.as_slice() {
            [] => format!("no {}", self.noun),
            [(only, _)] => only.clone(),
            several => {
                several.iter().map(|(value, count)| format!("{value} ×{}", grouped(*count))).collect::<Vec<_>>().join(" and ")
            }
        }
    }

    fn every(&self, holds: impl Fn(&OutcomeTally) -> bool) -> bool {
        self.outcomes.iter().all(|outcome| outcome.count == 0 || holds(outcome))
    }
}

fn answers<'o>(outcomes: impl Iterator<Item = &'o OutcomeTally>) -> u64 {
    outcomes.map(|outcome| outcome.count).sum()
}

fn arrivals_or_failures(group: &EdgeGroup) -> u64 {
    if group.workload.is_empty() { answers(group.outcomes.iter()) } else { group.arrived }
}

fn fits(wanted: &Option<Spanned<String>>, value: &str) -> bool {
    wanted.as_ref().is_none_or(|wanted| wanted.value == value)
}

/// Whether a dotted name is meant: all of it, or its first parts.
fn named(wanted: &Option<Spanned<String>>, full: &str) -> bool {
    wanted.as_ref().is_none_or(|wanted| {
        full.strip_prefix(wanted.value.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

fn phase_fits(report: &RunReport, of: &Of, phase: usize) -> bool {
    of.phase.as_ref().is_none_or(|wanted| report.phases.get(phase).is_some_and(|p| p.name == wanted.value))
}

fn outcome_fits(of: &Of, outcome: &OutcomeTally) -> bool {
    of.label.as_ref().is_none_or(|label| outcome.labels.contains(&label.value))
        && of.status.as_ref().is_none_or(|status| outcome.status == status.value)
        && of.flags.as_ref().is_none_or(|flags| same_flags(flags, &outcome.flags))
}

/// Whether two lists of flags are the same in any order; `-` is none.
fn same_flags(wanted: &str, seen: &str) -> bool {
    let set = |text: &str| {
        let mut flags: Vec<String> = text.split(',').map(|f| f.trim().to_owned()).filter(|f| !f.is_empty() && f != "-").collect();
        flags.sort_unstable();
        flags
    };
    set(wanted) == set(seen)
}

/// One thing that must hold.
struct Check {
    met: bool,
    expected: String,
    observed: String,
}

struct Checks<'r> {
    selection: Selection<'r>,
    checks: Vec<Check>,
}

impl Checks<'_> {
    fn add(&mut self, met: bool, expected: impl Into<String>, observed: impl Into<String>) {
        self.checks.push(Check { met, expected: expected.into(), observed: observed.into() });
    }

    fn all(&mut self, expectation: &Expectation) {
        if let Some(count) = expectation.count {
            self.count(count);
        }
        match (expectation.share, expectation.within.as_slice()) {
            (share, [low, high]) => self.within(share, low.value, high.value),
            (Some(share), _) => self.share(share),
            (None, _) => {}
        }
        if self.selection.count == 0 && asks_for_each(expectation) {
            // Nothing is true of every one of none, or everything is; nobody expects that.
            self.nothing_there(expectation);
            return;
        }
        if let Some(status) = &expectation.status {
            let met = self.selection.every(|outcome| outcome.status == status.value);
            let observed = self.selection.tally(|outcome| status_text(outcome.status));
            self.add(met, status_text(status.value), observed);
        }
        for (status, share) in &expectation.statuses.0 {
            self.status_share(&status.value, *share);
        }
        self.labels(&expectation.labels);
        if let Some(flags) = &expectation.flags {
            let met = self.selection.every(|outcome| same_flags(flags, &outcome.flags));
            let observed = self.selection.tally(|outcome| flags_text(&outcome.flags));
            self.add(met, flags_text(flags), observed);
        }
        if let Some(latency) = &expectation.latency {
            self.latency(latency);
        }
    }

    fn nothing_there(&mut self, expectation: &Expectation) {
        let none_expected = expectation.count.is_some_and(|count| count.low == 0);
        let mut expected = Vec::new();
        expected.extend(expectation.status.as_ref().map(|status| status_text(status.value)));
        expected.extend(expectation.labels.iter().map(|label| label.value.clone()));
        expected.extend(expectation.flags.as_ref().map(|flags| flags_text(flags)));
        let observed = if expectation.count.is_some() { String::new() } else { format!("no {}", self.selection.noun) };
        self.add(none_expected, expected.join(", "), observed);
    }

    fn count(&mut self, wanted: Between) {
        let (count, noun) = (self.selection.count, self.selection.noun);
        let expected = match wanted {
            Between { low, high } if low == high => plural(low, noun),
            Between { low, high } => format!("{} to {}", grouped(low), plural(high, noun)),
        };
        self.add((wanted.low..=wanted.high).contains(&count), expected, plural(count, noun));
    }

    fn within(&mut self, share: Option<Share>, low: u64, high: u64) {
        let bounds = format!("{} to {}", grouped(low), plural(high, self.selection.noun));
        let expected = share.map_or(bounds.clone(), |share| format!("{} ({bounds})", written(share)));
        let met = (low..=high).contains(&self.selection.count);
        self.add(met, expected, part_of(self.selection.count, self.selection.whole));
    }

    fn share(&mut self, share: Share) {
        let (count, whole) = (self.selection.count, self.selection.whole);
        let (met, expected) = near(share, count, whole);
        self.add(met, expected, part_of(count, whole));
    }

    fn status_share(&mut self, status: &str, share: Share) {
        let wanted: Option<u16> = status.parse().ok();
        let outcomes = self.selection.outcomes.iter().copied();
        let count = answers(outcomes.clone().filter(|outcome| Some(outcome.status) == wanted));
        let whole = answers(outcomes);
        let (met, expected) = near(share, count, whole);
        self.add(met, format!("status {status} for {expected}"), format!("status {status} for {}", part_of(count, whole)));
    }

    fn labels(&mut self, wanted: &[Spanned<String>]) {
        if wanted.is_empty() {
            return;
        }
        let met = self.selection.every(|outcome| wanted.iter().all(|label| outcome.labels.contains(&label.value)));
        let expected = wanted.iter().map(|label| label.value.as_str()).collect::<Vec<_>>().join(" + ");
        let observed = self.selection.tally(|outcome| match outcome.labels.as_slice() {
            [] => "no label".to_owned(),
            labels => labels.join(" + "),
        });
        self.add(met, expected, observed);
    }

    fn latency(&mut self, wanted: &LatencyExpectation) {
        let seen = self.selection.latency();
        let tolerance = wanted.tolerance.as_ref().map_or(TOLERANCE, |t| t.value);
        let near = |a: Duration, b: Duration| a.nanos().abs_diff(b.nanos()) <= tolerance.nanos();
        if let Some(all) = &wanted.all {
            let met = near(seen.min, all.value) && near(seen.max, all.value);
            let observed = match seen.min == seen.max {
                true => format!("all took {}", duration(seen.min)),
                false => format!("they took {} to {}", duration(seen.min), duration(seen.max)),
            };
            self.add(met, format!("all take {}", duration(all.value)), observed);
        }
        if let Some(max) = &wanted.max {
            let met = seen.max <= max.value + tolerance;
            self.add(met, format!("at most {}", duration(max.value)), format!("slowest {}", duration(seen.max)));
        }
        if let Some(min) = &wanted.min {
            let met = seen.min + tolerance >= min.value;
            self.add(met, format!("at least {}", duration(min.value)), format!("fastest {}", duration(seen.min)));
        }
        for (name, percent, wanted) in [("median", 50, &wanted.p50), ("p99", 99, &wanted.p99)] {
            let Some(wanted) = wanted else { continue };
            let value = seen.percentile(percent);
            let met = near(value, wanted.value);
            self.add(met, format!("{name} {}", duration(wanted.value)), format!("{name} {}", duration(value)));
        }
    }
}

fn asks_for_each(expectation: &Expectation) -> bool {
    expectation.status.is_some()
        || !expectation.statuses.is_empty()
        || !expectation.labels.is_empty()
        || expectation.flags.is_some()
        || expectation.latency.is_some()
}

/// Whether a count is as near to its share as chance allows, and the share with its bounds in words.
fn near(share: Share, count: u64, whole: u64) -> (bool, String) {
    if whole == 0 {
        return (false, written(share));
    }
    let p = f64::from(share.per_million) / 1e6;
    let n = whole as f64;
    let (mean, deviation) = (n * p, (n * p * (1.0 - p)).sqrt());
    let low = (mean - DEVIATIONS * deviation).max(0.0).ceil() as u64;
    let high = (mean + DEVIATIONS * deviation).min(n).floor() as u64;
    let expected = match low == high {
        true => written(share),
        false => format!("{} ({} to {} of {})", written(share), grouped(low), grouped(high), grouped(whole)),
    };
    ((low..=high).contains(&count), expected)
}

fn written(share: Share) -> String {
    share_text(f64::from(share.per_million) / 1e6)
}

fn part_of(count: u64, whole: u64) -> String {
    format!("{} of {} ({})", grouped(count), grouped(whole), percent(count, whole))
}

fn status_text(status: u16) -> String {
    if status == 0 { "no answer".to_owned() } else { format!("status {status}") }
}

fn flags_text(flags: &str) -> String {
    if flags.is_empty() || flags == "-" { "no flags".to_owned() } else { format!("flags {flags}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::PhaseSpan;
    use crate::scenario::decode;
    use crate::source::Sources;
    use crate::yaml::{Limits, parse};

    fn outcome(status: u16, flags: &str, labels: &[&str], count: u64, ms: u64) -> OutcomeTally {
        let time = Duration::from_millis(ms);
        OutcomeTally {
            status,
            flags: flags.to_owned(),
            labels: labels.iter().map(|l| (*l).to_owned()).collect(),
            count,
            latency: Latency {
                count,
                sum_ns: u128::from(time.nanos()) * u128::from(count),
                min: time,
                max: time,
                buckets: vec![(time, count)],
            },
        }
    }

    fn edge(version: &str, arrived: u64, outcomes: Vec<OutcomeTally>) -> EdgeGroup {
        EdgeGroup {
            client: "browser".to_owned(),
            user: "jason".to_owned(),
            source: "productpage-v1.default".to_owned(),
            service: "reviews.default.svc.cluster.local".to_owned(),
            workload: if version.is_empty() { String::new() } else { format!("reviews-{version}.default") },
            version: version.to_owned(),
            arrived,
            outcomes,
            ..EdgeGroup::default()
        }
    }

    /// 1000 pages in one phase: 800 with stars at once, 200 without reviews after 6 s. 1200 calls to
    /// reviews: 800 answers of v1, 400 that nobody waited for at v2, and 100 to a cluster without pods.
    fn report() -> RunReport {
        RunReport {
            phases: vec![PhaseSpan { name: "delay".to_owned(), ..PhaseSpan::default() }],
            clients: vec![ClientGroup {
                client: "browser".to_owned(),
                user: "jason".to_owned(),
                outcomes: vec![outcome(200, "", &["black"], 800, 0), outcome(200, "", &["reviews-unavailable"], 200, 6000)],
                ..ClientGroup::default()
            }],
            edges: vec![
                edge("v1", 800, vec![outcome(200, "", &["black"], 800, 0)]),
                edge("v2", 400, vec![outcome(0, "DC", &[], 400, 3000)]),
                edge("", 0, vec![outcome(503, "UH", &[], 100, 0)]),
            ],
            ..RunReport::default()
        }
    }

    fn judge(text: &str) -> (bool, String) {
        let mut sources = Sources::new();
        let file = sources.add("a.yaml", format!("expect: [{text}]"));
        let document = parse(&sources, file, Limits::default()).0.remove(0);
        let (scenario, findings) = decode(&document);
        assert!(findings.is_empty(), "{findings:?}");
        let verdict = evaluate(&scenario.unwrap().expect, &report()).remove(0);
        (verdict.met, format!("{} | {} | {}", verdict.name, verdict.expected, verdict.observed))
    }

    #[test]
    fn expectations_are_judged_and_told_in_words() {
        for (text, met, words) in [
            ("{of: {client: browser}, count: 1000}", true, "browser: 1 000 requests | 1 000 requests | 1 000 requests"),
            (
                "{of: {client: browser}, count: [1, 999]}",
                false,
                "browser: 1 to 999 requests | 1 to 999 requests | 1 000 requests",
            ),
            ("{of: {}, status: 200}", true, "every request: status 200 | status 200 | status 200"),
            (
                "{name: it, of: {service: reviews}, status: 200}",
                false,
                "it | status 200 | status 200 ×800 and no answer ×400 and status 503 ×100",
            ),
            ("{name: it, of: {label: black}, share: 80%}", true, "it | 80% (737 to 863 of 1 000) | 800 of 1 000 (80.00%)"),
            ("{name: it, of: {label: black}, share: 75%}", true, "it | 75% (682 to 818 of 1 000) | 800 of 1 000 (80.00%)"),
            ("{name: it, of: {label: black}, share: 70%}", false, "it | 70% (628 to 772 of 1 000) | 800 of 1 000 (80.00%)"),
            ("{name: it, of: {label: red}, share: 0%}", true, "it | 0% | 0 of 1 000 (0%)"),
            ("{name: it, of: {label: black}, share: 100%}", false, "it | 100% | 800 of 1 000 (80.00%)"),
            (
                "{name: it, of: {label: black}, share: 70%, within: [800, 801]}",
                true,
                "it | 70% (800 to 801 requests) | 800 of 1 000 (80.00%)",
            ),
            (
                "{name: it, of: {service: reviews, version: v1}, share: 62%}",
                true,
                "it | 62% (719 to 893 of 1 300) | 800 of 1 300 (61.54%)",
            ),
            (
                "{name: it, of: {source: productpage-v1, service: reviews.default, status: 0}, count: 400, flags: DC}",
                true,
                "it | 400 calls, flags DC | 400 calls, flags DC",
            ),
            ("{name: it, of: {service: review}, count: 0}", true, "it | 0 calls | 0 calls"),
            ("{name: it, of: {user: alice}, status: 200}", false, "it | status 200 | no request"),
            ("{name: it, of: {user: alice}, count: 0, status: 200}", true, "it | 0 requests, status 200 | 0 requests"),
            ("{name: it, of: {user: alice}, share: 50%}", false, "it | 50% | 0 of 0 (–)"),
            ("{name: it, of: {phase: delay}, labels: [black]}", false, "it | black | black ×800 and reviews-unavailable ×200"),
            (
                "{name: it, of: {label: black}, labels: [black], latency: {all: 0s}}",
                true,
                "it | black, all take 0 s | black, all took 0 s",
            ),
            ("{name: it, latency: {all: 6s}}", false, "it | all take 6.000 s | they took 0 s to 6.000 s"),
            (
                "{name: it, latency: {max: 6s, min: 0s, p50: 0s, p99: 6s}}",
                true,
                "it | at most 6.000 s, at least 0 s, median 0 s, p99 6.000 s | slowest 6.000 s, fastest 0 s, median 0 s, p99 6.000 s",
            ),
            ("{name: it, latency: {max: 5s, tolerance: 1s}}", true, "it | at most 5.000 s | slowest 6.000 s"),
            ("{name: it, latency: {max: 5s}}", false, "it | at most 5.000 s | slowest 6.000 s"),
            (
                "{name: it, of: {service: reviews}, statuses: {\"200\": 61%, \"503\": 8%}}",
                true,
                "it | status 200 for 61% (706 to 880 of 1 300), status 503 for 8% (56 to 152 of 1 300) | status 200 for 800 of 1 300 (61.54%), status 503 for 100 of 1 300 (7.69%)",
            ),
            ("{name: it, flags: \"-\"}", true, "it | no flags | no flags"),
        ] {
            let text = if text.contains("of:") { text.to_owned() } else { text.replacen("{name: it", "{name: it, of: {}", 1) };
            assert_eq!(judge(&text), (met, words.to_owned()), "{text}");
        }
    }

    #[test]
    fn flags_are_compared_as_sets() {
        assert!(same_flags("UF,URX", "URX,UF"));
        assert!(same_flags("-", ""));
        assert!(!same_flags("UT", ""));
    }

    #[test]
    fn nothing_holds_of_a_run_that_was_interrupted() {
        let mut report = report();
        report.interrupted = true;
        let expectation = Expectation { count: Some(Between { low: 1000, high: 1000 }), ..Expectation::default() };
        let verdict = evaluate(&[expectation], &report).remove(0);
        assert!(!verdict.met);
        assert_eq!(verdict.observed, "1 000 requests when the run was interrupted");
    }
}
