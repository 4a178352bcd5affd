//! The states of a mesh over a timeline, compiled.

use std::sync::Arc;

use indexmap::IndexMap;
use rustc_hash::FxHashSet;

use super::readiness::Readiness;
use super::references::Lookup;
use super::schedule::{cut_short, schedule};
use super::state::State;
use super::{call_graph, check, references};
use crate::diagnostic::{Code, Diagnostic, ObjectRef};
use crate::mesh::{CompileOptions, Mesh, Profile, compile};
use crate::record::Change;
use crate::resource::Objects;
use crate::scenario::{App, Scenario, Step, ready_made_apps};
use crate::sim::{Phase, PlanInput, Stage};
use crate::source::{Sources, Spanned};
use crate::time::Instant;
use crate::yaml::Document;

/// The documents of mesh files and folders, by the path that the scenario writes.
pub type Files = IndexMap<String, Vec<Document>>;

/// Everything that staging starts from.
#[derive(Debug, Clone, Copy)]
pub struct StagingInput<'a> {
    /// The scenario.
    pub scenario: &'a Scenario,
    /// What [`files`] names.
    pub files: &'a Files,
    /// Documents that are there from the start without being named in the scenario.
    pub extra: &'a [Document],
}

/// What the engine is given.
#[derive(Debug, Clone)]
pub struct Staged {
    /// Applications in order of precedence: the scenario's own, then the ready-made ones.
    pub apps: Vec<App>,
    /// States of the mesh, ascending, the first at zero.
    pub stages: Vec<Stage>,
    /// Phases, ascending, without gaps.
    pub phases: Vec<Phase>,
    /// What the timeline changes.
    pub changes: Vec<Change>,
}

impl Staged {
    /// What a plan is made from.
    #[must_use]
    pub fn plan_input<'a>(&'a self, scenario: &'a Scenario) -> PlanInput<'a> {
        PlanInput { scenario, apps: &self.apps, stages: &self.stages, phases: &self.phases, changes: &self.changes }
    }
}

/// The mesh files and folders that a scenario names, in order, each as often as it is named.
pub fn files(scenario: &Scenario) -> impl Iterator<Item = &Spanned<String>> {
    scenario.mesh.iter().chain(scenario.timeline.iter().flat_map(|step| &step.apply))
}

/// Brings a scenario and its mesh files together. Gives every finding about either once, and what
/// the engine needs as far as it could be made out.
///
/// Texts of ready-made applications join the sources.
pub fn stage(input: &StagingInput<'_>, sources: &mut Sources) -> (Staged, Vec<Diagnostic>) {
    let scenario = input.scenario;
    let mut findings = check::check(scenario);
    let profile = profile(scenario, &mut findings);
    let apps = applications(scenario, profile.reviews_catches_ratings_timeout, sources);
    let schedule = schedule(scenario, &mut findings);
    findings.extend(cut_short(scenario, &schedule.phases));
    let options = CompileOptions { profile, ..CompileOptions::default() };

    let mut replay = Replay::begin(input, findings);
    let mut readiness = Readiness::new(apps.iter().map(|(app, _)| app));
    let mut stages = vec![];
    let mut steps = scenario.timeline.iter().zip(&schedule.steps).peekable();
    // What happens at zero was there from the start.
    let mut at = Instant::ZERO;
    loop {
        while let Some((step, _)) = steps.next_if(|(_, when)| **when <= at) {
            replay.step(step, at);
        }
        let ready = readiness.ready_at(at).map(|pod| Change { at, what: format!("{pod} is ready") });
        replay.changes.extend(ready);
        let objects = replay.state.objects();
        let (mut mesh, found) = compile(&objects, &options);
        replay.findings.extend(found);
        let unready = readiness.meet(&mesh, at);
        if !unready.is_empty() {
            mesh = compile(&objects, &CompileOptions { unready, ..options.clone() }).0;
        }
        stages.push(Stage { at, mesh: Arc::new(mesh) });
        let next = steps.peek().map(|(_, when)| **when).into_iter().chain(readiness.next_after(at)).min();
        let Some(next) = next else { break };
        at = next;
    }

    let Replay { changes, mut findings, .. } = replay;
    let meshes: Vec<&Mesh> = stages.iter().map(|stage| stage.mesh.as_ref()).collect();
    findings.extend(references::check(&Lookup { scenario, apps: &apps, meshes: &meshes }));
    findings.extend(call_graph::cycles(&apps, &meshes));
    let apps = apps.into_iter().map(|(app, _)| app).collect();
    (Staged { apps, stages, phases: schedule.phases, changes }, each_once(findings))
}

/// The objects of a mesh as its timeline has made them at an instant, and every finding about them.
#[must_use]
pub fn objects_at(input: &StagingInput<'_>, at: Instant) -> (Objects, Vec<Diagnostic>) {
    let mut findings = Vec::new();
    let schedule = schedule(input.scenario, &mut findings);
    let mut replay = Replay::begin(input, findings);
    let steps = input.scenario.timeline.iter().zip(&schedule.steps);
    steps.filter(|(_, when)| **when <= at).for_each(|(step, when)| replay.step(step, *when));
    (replay.state.objects(), each_once(replay.findings))
}

fn profile(scenario: &Scenario, findings: &mut Vec<Diagnostic>) -> Profile {
    let Some(version) = &scenario.istio else { return Profile::latest() };
    Profile::of_version(version).unwrap_or_else(|| {
        let finding =
            Diagnostic::new(Code::ScenarioInvalid, format!("`{}` is no release of Istio", version.value)).at(version.span);
        findings.push(finding.help("write `1.0`, `1.24` or `latest`"));
        Profile::latest()
    })
}

/// The applications with what brought them in. Unknown names were reported by the check.
fn applications(scenario: &Scenario, modern: bool, sources: &mut Sources) -> Vec<(App, Option<Spanned<String>>)> {
    let mut apps: Vec<(App, Option<Spanned<String>>)> = scenario.apps.iter().map(|app| (app.clone(), None)).collect();
    for name in &scenario.ready_made {
        if let Some((brought, _)) = ready_made_apps(name, modern, sources) {
            apps.extend(brought.into_iter().map(|app| (app, Some(name.clone()))));
        }
    }
    apps
}

/// The timeline being replayed.
struct Replay<'a> {
    input: &'a StagingInput<'a>,
    state: State,
    changes: Vec<Change>,
    findings: Vec<Diagnostic>,
}

impl<'a> Replay<'a> {
    /// What is there from the start.
    fn begin(input: &'a StagingInput<'a>, findings: Vec<Diagnostic>) -> Self {
        let namespace = input.scenario.namespace.as_ref().map_or("default", |namespace| namespace.value.as_str());
        let mut replay = Replay { input, state: State::new(namespace), changes: Vec::new(), findings };
        replay.apply(&input.scenario.mesh);
        replay.state.apply(input.extra, &mut replay.findings);
        replay
    }

    /// Applies files one after the other: what a later one says again replaces what an earlier one said,
    /// and only within one file is that a mistake.
    fn apply(&mut self, paths: &[Spanned<String>]) -> Vec<ObjectRef> {
        let mut applied = Vec::new();
        for documents in paths.iter().filter_map(|path| self.input.files.get(&path.value)) {
            applied.extend(self.state.apply(documents, &mut self.findings));
        }
        applied
    }

    fn step(&mut self, step: &Step, at: Instant) {
        let applied = self.apply(&step.apply);
        self.note(at, "apply", applied);
        for reference in &step.delete {
            let deleted = self.state.delete(reference, &mut self.findings);
            self.note(at, "delete", deleted);
        }
        for scale in &step.scale {
            if let Some(scaled) = self.state.scale(scale, &mut self.findings) {
                self.changes.push(Change { at, what: format!("scale {scaled} to {}", scale.replicas.value) });
            }
        }
        for patch in &step.patch {
            let patched = self.state.patch(patch, &mut self.findings);
            self.note(at, "patch", patched);
        }
    }

    fn note(&mut self, at: Instant, verb: &str, objects: Vec<ObjectRef>) {
        self.changes.extend(objects.into_iter().map(|object| Change { at, what: format!("{verb} {object}") }));
    }
}

/// One state of the mesh after the other has the same mistakes; each is told once.
fn each_once(mut findings: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut seen = FxHashSet::default();
    let is_new = |finding: &Diagnostic| {
        let place = finding.primary.as_ref().map(|label| label.span);
        seen.insert((finding.code, finding.severity, finding.message.clone(), place.map(|span| (span.file, span.start))))
    };
    findings.retain(is_new);
    findings
}
