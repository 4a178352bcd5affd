//! From a plan to a report: one run that counts, and one that follows the request to be drawn. Runs
//! of one plan are alike, so the second sees what the first saw.

use super::control::Control;
use super::engine::{Ending, Engine, IN_FLIGHT_MAX, Outcome};
use super::plan::{Plan, phase_end};
use crate::diagnostic::{Code, Diagnostic};
use crate::record::{Chosen, PhaseSpan, Recorder, RunReport, Tally, Waterfall, WaterfallRecorder};

/// Acts out a plan and reports what happened, with findings about the run itself. Expectations are
/// left to the caller.
#[must_use]
pub fn simulate(plan: &Plan, control: &Control) -> (RunReport, Vec<Diagnostic>) {
    let mut tally = Tally::new();
    let outcome = run(plan, control, &mut tally);
    let mut report = RunReport {
        scenario: plan.name.clone(),
        description: plan.description.clone(),
        istio: plan.istio.clone(),
        seed: plan.seed,
        ended_at: outcome.ended_at,
        interrupted: !matches!(outcome.ending, Ending::Done | Ending::Satisfied),
        unfinished: outcome.unfinished,
        events: outcome.events,
        phases: plan
            .phases
            .iter()
            .map(|phase| PhaseSpan {
                name: phase.name.clone(),
                note: phase.note.clone(),
                begins: phase.begins,
                ends: phase_end(phase, outcome.ended_at),
            })
            .collect(),
        changes: plan.changes.clone(),
        ..RunReport::default()
    };
    tally.fill(&outcome.directory, &mut report);
    if outcome.ending == Ending::Done {
        let chosen = plan.waterfall.clone().or_else(|| tally.slowest().map(Chosen::Exactly));
        report.waterfall = chosen.and_then(|chosen| follow(plan, control, chosen));
    }
    (report, finding(&outcome).into_iter().collect())
}

/// Acts out a plan and tells a recorder what happens.
#[must_use]
pub fn run<R: Recorder>(plan: &Plan, control: &Control, recorder: &mut R) -> Outcome {
    Engine::new(plan, recorder).run(control)
}

fn follow(plan: &Plan, control: &Control, chosen: Chosen) -> Option<Waterfall> {
    let mut recorder = WaterfallRecorder::new(chosen);
    let outcome = run(plan, control, &mut recorder);
    recorder.waterfall(&outcome.directory, outcome.ended_at)
}

fn finding(outcome: &Outcome) -> Option<Diagnostic> {
    let (what, help) = match outcome.ending {
        Ending::Done | Ending::Stopped | Ending::Satisfied => return None,
        Ending::Crowded => (
            format!("more than {IN_FLIGHT_MAX} calls and requests are in flight"),
            "requests arrive faster than they are answered; lower the rate, or bound queues and add timeouts",
        ),
        Ending::Deep => (
            "applications call one another without end".to_owned(),
            "the applications' calls form a circle; end it with a handler that makes no call",
        ),
        Ending::Stuck => (
            "a closed loop sends requests without end while the clock stands still".to_owned(),
            "give its users a `think` time, or its traffic a number of `requests`",
        ),
    };
    let finding = Diagnostic::new(Code::ScenarioInvalid, what);
    Some(finding.effect(format!("the run ends at {}; the report is partial", outcome.ended_at)).help(help))
}
