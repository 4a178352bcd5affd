//! When the steps of a timeline happen, and the phases that they open.

use crate::diagnostic::{Code, Diagnostic};
use crate::scenario::Scenario;
use crate::sim::Phase;
use crate::text::plural;
use crate::time::{Duration, Instant};

/// The times of a timeline.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    /// When each step happens.
    pub(super) steps: Vec<Instant>,
    /// The phases, without gaps, the first from zero.
    pub(super) phases: Vec<Phase>,
}

/// The instant that a time since the start such as `90s`, or the name of a phase, stands for.
///
/// # Errors
/// Neither a time nor a phase of the scenario; the message names what there is.
pub fn instant(scenario: &Scenario, text: &str) -> Result<Instant, String> {
    let phases = schedule(scenario, &mut Vec::new()).phases;
    if let Some(phase) = phases.iter().find(|phase| phase.name == text) {
        return Ok(phase.begins);
    }
    Duration::parse_go(text).map(|time| Instant::ZERO + time).map_err(|_| {
        let names: Vec<&str> = phases.iter().map(|phase| phase.name.as_str()).filter(|name| !name.is_empty()).collect();
        let known = if names.is_empty() { "the scenario has no phases".to_owned() } else { names.join(", ") };
        format!("`{text}` is neither a time such as 90s nor a phase: {known}")
    })
}

/// Lays out a timeline.
pub(super) fn schedule(scenario: &Scenario, findings: &mut Vec<Diagnostic>) -> Schedule {
    let mut invalid = |span, message: String| findings.push(Diagnostic::new(Code::ScenarioInvalid, message).at(span));
    let mut steps = Vec::new();
    let mut phases: Vec<Phase> = Vec::new();
    // Where a step without `at` goes: the end of what was said so far.
    let mut clock = Instant::ZERO;
    let mut last = Instant::ZERO;
    for step in &scenario.timeline {
        let at = step.at.as_ref().map_or(clock, |at| Instant::ZERO + at.value);
        if let Some(written) = step.at.as_ref().filter(|_| at < last) {
            let before = last.since(Instant::ZERO);
            invalid(
                written.span,
                format!("the step at {} comes after one at {before}; write steps in order of time", written.value),
            );
        }
        steps.push(at);
        last = last.max(at);
        let ends = step.lasts.as_ref().map(|lasts| at + lasts.value);
        clock = clock.max(ends.unwrap_or(at));
        let Some(name) = &step.phase else { continue };
        if let Some(open) = phases.last_mut() {
            match open.ends {
                Some(end) if at < end => invalid(
                    name.span,
                    format!(
                        "phase `{}` begins at {}, before phase `{}` ends at {}",
                        name.value,
                        at.since(Instant::ZERO),
                        open.name,
                        end.since(Instant::ZERO)
                    ),
                ),
                Some(_) => {}
                None if at <= open.begins => invalid(
                    name.span,
                    format!(
                        "phase `{}` has no length: say how long it lasts with `for`, or when `{}` begins with `at`",
                        open.name, name.value
                    ),
                ),
                None => open.ends = Some(at),
            }
        }
        let note = step.note.as_ref().map(|note| note.value.clone()).unwrap_or_default();
        phases.push(Phase { name: name.value.clone(), note, begins: at, ends });
    }
    let until = scenario.until.as_ref();
    if let Some(until) = until
        && Instant::ZERO + until.value <= last
        && last > Instant::ZERO
    {
        let message = format!("the run ends at {}, before the last step at {}", until.value, last.since(Instant::ZERO));
        invalid(until.span, message);
    }
    let phases = without_gaps(phases, until.map(|until| until.value));
    let end = phases.last().and_then(|phase| phase.ends);
    for (step, at) in scenario.timeline.iter().zip(&steps) {
        if until.is_none() && end.is_some_and(|end| *at >= end) {
            let message = "the step comes when the run is over".to_owned();
            let finding = Diagnostic::new(Code::ScenarioUnused, message).at(step.span);
            findings.push(finding.help("say with `until` how long the run goes on"));
        }
    }
    Schedule { steps, phases }
}

/// Says which clients cannot send all their requests before a phase ends. When closed loops end
/// depends on answers, so nothing is known about them here.
pub(super) fn cut_short(scenario: &Scenario, phases: &[Phase]) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for client in &scenario.clients {
        let (Some(rate), Some(requests)) = (&client.traffic.rate, &client.traffic.requests) else { continue };
        let starts = client.traffic.start.as_ref().map_or(Duration::ZERO, |start| start.value);
        let needed = starts + Duration::from_nanos(rate.gap_ns).times(requests.value.saturating_sub(1));
        let sends_in = |phase: &&Phase| client.phases.is_empty() || client.phases.iter().any(|name| name.value == phase.name);
        let short =
            phases.iter().filter(sends_in).find(|phase| phase.ends.is_some_and(|ends| ends.since(phase.begins) <= needed));
        let Some((phase, ends)) = short.and_then(|phase| Some((phase, phase.ends?))) else { continue };
        let place = if phase.name.is_empty() { "the run".to_owned() } else { format!("phase `{}`", phase.name) };
        let message =
            format!("client `{}` cannot send {} before {place} ends", client.name.value, plural(requests.value, "request"));
        let length = ends.since(phase.begins);
        findings.push(
            Diagnostic::new(Code::ScenarioUnused, message)
                .at(requests.span)
                .help(format!("the last one would be sent after {needed}, and {place} lasts {length}")),
        );
    }
    findings
}

/// Puts nameless phases where there is none, and ends the last at `until`.
fn without_gaps(named: Vec<Phase>, until: Option<Duration>) -> Vec<Phase> {
    let until = until.map(|until| Instant::ZERO + until);
    let nameless = |begins, ends| Phase { begins, ends, ..Phase::default() };
    let mut phases: Vec<Phase> = Vec::new();
    let mut clock = Some(Instant::ZERO);
    for mut phase in named {
        if let Some(gap) = clock.filter(|clock| *clock < phase.begins) {
            phases.push(nameless(gap, Some(phase.begins)));
        }
        if let (Some(until), ends) = (until, phase.ends)
            && ends.is_none_or(|ends| ends > until)
        {
            phase.ends = Some(until);
        }
        clock = phase.ends;
        phases.push(phase);
    }
    match (clock, until) {
        (Some(clock), _) if phases.is_empty() => phases.push(nameless(clock, until)),
        (Some(clock), Some(until)) if clock < until => phases.push(nameless(clock, Some(until))),
        _ => {}
    }
    phases
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::decode;
    use crate::source::Sources;
    use crate::yaml::{Limits, parse};

    fn read(text: &str) -> (Scenario, Vec<Diagnostic>) {
        let mut sources = Sources::new();
        let file = sources.add("a.yaml", text);
        let document = parse(&sources, file, Limits::default()).0.remove(0);
        let (scenario, findings) = decode(&document);
        assert!(findings.is_empty(), "{findings:?}");
        (scenario.unwrap(), findings)
    }

    fn lay_out(text: &str) -> (Vec<String>, Vec<String>) {
        let (scenario, mut findings) = read(text);
        let schedule = schedule(&scenario, &mut findings);
        let seconds = |at: Instant| at.nanos() / 1_000_000_000;
        let phase = |p: &Phase| {
            format!("{}:{}..{}", p.name, seconds(p.begins), p.ends.map(|e| seconds(e).to_string()).unwrap_or_default())
        };
        let steps = schedule.steps.iter().map(|at| format!("@{}", seconds(*at)));
        (steps.chain(schedule.phases.iter().map(phase)).collect(), findings.into_iter().map(|f| f.message).collect())
    }

    #[test]
    fn phases_follow_each_other_and_leave_no_gap() {
        for (timeline, laid_out) in [
            ("until: 9s", ":0..9"),
            ("timeline: []", ":0.."),
            ("timeline: [{phase: a, for: 5s}, {phase: b}]", "@0 @5 a:0..5 b:5.."),
            ("timeline: [{phase: a, for: 5s}, {phase: b, for: 2s}]", "@0 @5 a:0..5 b:5..7"),
            ("{timeline: [{phase: a, for: 5s}], until: 8s}", "@0 a:0..5 :5..8"),
            ("{timeline: [{at: 2s, phase: a}], until: 8s}", "@2 :0..2 a:2..8"),
            ("timeline: [{phase: a, for: 5s}, {at: 2s, delete: [A/b]}, {phase: b}]", "@0 @2 @5 a:0..5 b:5.."),
            ("timeline: [{phase: a}, {at: 2s, phase: b, for: 1s}, {at: 9s, phase: c}]", "@0 @2 @9 a:0..2 b:2..3 :3..9 c:9.."),
            ("timeline: [{for: 5s}, {phase: b}]", "@0 @5 :0..5 b:5.."),
        ] {
            let (times, findings) = lay_out(timeline);
            assert_eq!(times.join(" "), laid_out, "{timeline}");
            assert!(findings.is_empty(), "{timeline}: {findings:?}");
        }
    }

    #[test]
    fn a_client_that_runs_out_of_time_is_found() {
        let client = |traffic: &str| {
            format!(
                "{{clients: [{{name: c, from: g, request: {{url: 'http://a/'}}, traffic: {traffic}}}], timeline: [{{phase: a, for: 10s}}]}}"
            )
        };
        for (traffic, is_cut) in [
            ("{rate: 1/s, requests: 10}", false),
            ("{rate: 1/s, requests: 11}", true),
            ("{rate: 1/s, requests: 10, start: 1s}", true),
            ("{rate: 1/s, duration: 1h}", false),
        ] {
            let (scenario, mut findings) = read(&client(traffic));
            let phases = schedule(&scenario, &mut findings).phases;
            assert_eq!(!cut_short(&scenario, &phases).is_empty(), is_cut, "{traffic}");
        }
    }

    #[test]
    fn times_that_contradict_each_other_are_found() {
        for (timeline, finding) in [
            (
                "timeline: [{phase: a}, {phase: b}]",
                "phase `a` has no length: say how long it lasts with `for`, or when `b` begins with `at`",
            ),
            ("timeline: [{phase: a, for: 5s}, {at: 3s, phase: b}]", "phase `b` begins at 3s, before phase `a` ends at 5s"),
            (
                "timeline: [{at: 5s, phase: a}, {at: 3s, delete: [A/b]}]",
                "the step at 3s comes after one at 5s; write steps in order of time",
            ),
            ("{timeline: [{at: 5s, phase: a}], until: 4s}", "the run ends at 4s, before the last step at 5s"),
            ("timeline: [{phase: a, for: 5s}, {delete: [A/b]}]", "the step comes when the run is over"),
        ] {
            assert_eq!(lay_out(timeline).1, [finding], "{timeline}");
        }
    }
}
