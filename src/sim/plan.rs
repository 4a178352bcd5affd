//! What will be acted out: names resolved to numbers, times to instants, every assumption said.

use std::sync::Arc;

use indexmap::IndexSet;

use super::actor::{BehaviourPlan, Whereabouts};
use super::not_modelled;
use super::population::{Population, WorkloadPlan};
use super::slab::NONE;
use super::sources::{self, ListedPlan, SourcePlan};
use crate::diagnostic::{Code, Diagnostic};
use crate::mesh::{Mesh, PodId};
use crate::record::{Change, Chosen, Directory, Group, GroupId, Labels, PartyId, Reached};
use crate::scenario::{App, CancelPropagation, Outcome, Scenario, Spread, workload_fits};
use crate::source::{Span, Spanned};
use crate::time::{Duration, Instant};
use crate::workload::{Action, Behaviour, ListedRequest, Times, Url};

/// A state of the mesh and the instant it is applied. Pods are there (or gone) at once; each proxy
/// learns of it after its own propagation delay, except of the first, which all have from the start.
#[derive(Debug, Clone)]
pub struct Stage {
    /// When; the first stage is at zero.
    pub at: Instant,
    /// The state.
    pub mesh: Arc<Mesh>,
}

/// A stretch of a run with a name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Phase {
    /// Name; empty if the scenario has no phases.
    pub name: String,
    /// What happens in it.
    pub note: String,
    /// Beginning.
    pub begins: Instant,
    /// End, if it is known before the run: it is not for the last phase of a scenario that ends when
    /// its traffic does.
    pub ends: Option<Instant>,
}

/// Everything a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct PlanInput<'a> {
    /// The scenario: clients, latencies, seed, options. Its apps, timeline and mesh files are not
    /// looked at; the fields below stand for them.
    pub scenario: &'a Scenario,
    /// Applications in order of precedence: the scenario's own, then the ready-made ones.
    pub apps: &'a [App],
    /// States of the mesh, ascending; at least one. Of several at one instant the last counts.
    pub stages: &'a [Stage],
    /// Phases, ascending and not overlapping; at least one.
    pub phases: &'a [Phase],
    /// What the timeline changes, in words, for the report.
    pub changes: &'a [Change],
}

/// A resolved scenario.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) istio: String,
    pub(super) seed: u64,
    pub(super) cancel: CancelPropagation,
    pub(super) workers: usize,
    pub(super) hop_latency: Spread,
    pub(super) propagation: Times,
    pub(super) until: Option<Instant>,
    pub(super) phases: Vec<Phase>,
    pub(super) changes: Vec<Change>,
    pub(super) population: Population,
    pub(super) apps: Vec<App>,
    pub(super) labels: IndexSet<String>,
    pub(super) sources: Vec<SourcePlan>,
    pub(super) listed: Vec<ListedPlan>,
    pub(super) behaviours: Vec<BehaviourPlan>,
    /// All actions of all behaviours.
    pub(super) actions: Vec<Action>,
    pub(super) directory: Directory,
    pub(super) waterfall: Option<Chosen>,
}

impl Plan {
    /// Resolves a scenario. Findings of severity error mean that the plan leaves out what they are
    /// about and should not be run.
    #[must_use]
    pub fn resolve(input: &PlanInput<'_>) -> (Plan, Vec<Diagnostic>) {
        let mut findings = Vec::new();
        let scenario = input.scenario;
        let population = Population::of(input.stages, input.apps);
        check_apps(input, &mut findings);
        not_modelled::check(&population, &mut findings);
        let labels = labels(input.apps, &mut findings);
        let mut directory = directory(&population, scenario, &labels);
        let until = scenario.until.as_ref().map(|until| Instant::ZERO + until.value);
        let clients = sources::Clients { input, population: &population, until };
        let sources = clients.resolve(&mut directory, &mut findings);
        let waterfall = waterfall(scenario, &directory, input.phases, &mut findings);
        let plan = Plan {
            name: scenario.name.as_ref().map(|name| name.value.clone()).unwrap_or_default(),
            description: scenario.description.as_ref().map(|text| text.value.clone()).unwrap_or_default(),
            istio: input.stages.first().map_or("", |stage| stage.mesh.profile.name).to_owned(),
            seed: scenario.seed.as_ref().map_or(1, |seed| seed.value),
            cancel: scenario.cancel.unwrap_or(CancelPropagation::Proxy),
            workers: scenario.proxy_workers.as_ref().map_or(1, |workers| workers.value.clamp(1, WORKERS_MAX)) as usize,
            hop_latency: scenario.hop_latency.clone(),
            propagation: Times::of(&scenario.propagation),
            until,
            phases: input.phases.to_vec(),
            changes: input.changes.to_vec(),
            population,
            apps: input.apps.to_vec(),
            labels,
            sources,
            listed: Vec::new(),
            behaviours: Vec::new(),
            actions: Vec::new(),
            directory,
            waterfall,
        };
        (plan, findings)
    }

    /// The same plan with requests that are written down one by one. Each name makes a group of
    /// requests of its own. Requests whose sender nobody knows are left out.
    #[must_use]
    pub fn with_requests(mut self, requests: &[ListedRequest]) -> Plan {
        let mut groups: IndexSet<&str> = IndexSet::new();
        let mut connections: IndexSet<(&str, &str)> = IndexSet::new();
        let first = self.directory.groups.len();
        for listed in requests {
            let Some(workload) = self.population.named(&listed.from).first().copied() else { continue };
            let Some(pod) = self.population.workloads[workload].pods.first().copied() else { continue };
            let (group, is_new) = groups.insert_full(&listed.name);
            if is_new {
                let group = Group { phase: 0, client: listed.from.clone(), user: listed.name.clone(), share: 1.0 };
                self.directory.groups.push(group);
            }
            let group = GroupId(u32::try_from(first + group).expect("fewer than 2^32 groups"));
            let clients = self.directory.parties.len() - self.population.workloads.len();
            let shared = listed.connection.as_deref();
            let connection = shared.map_or(NONE, |name| connections.insert_full((&listed.from, name)).0 as u32);
            self.listed.push(ListedPlan::new(listed, group, pod, PartyId((clients + workload) as u32), connection));
        }
        self
    }

    /// The same plan with servers whose actions are written down.
    #[must_use]
    pub fn with_behaviours(mut self, behaviours: impl IntoIterator<Item = (Whereabouts, Behaviour)>) -> Plan {
        for (whereabouts, behaviour) in behaviours {
            self.behaviours.push(BehaviourPlan::new(whereabouts, behaviour, &mut self.actions));
        }
        self
    }

    /// The same plan with another seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Plan {
        self.seed = seed;
        self
    }

    /// The number by which observations name a pod of the first state of the mesh.
    #[must_use]
    pub fn place_of(&self, pod: PodId) -> Option<u32> {
        self.population.stages.first()?.pods.get(pod.index()).copied()
    }

    /// How many requests clients will send, warm-up included; `None` if that is not known beforehand.
    #[must_use]
    pub fn requests(&self) -> Option<u64> {
        self.sources.iter().map(|source| source.window.count()).try_fold(0_u64, |sum, count| Some(sum.saturating_add(count?)))
    }

    /// The application that stands for a host outside of the mesh.
    pub(super) fn app_of_host(&self, host: &str) -> Option<usize> {
        let is_for = |pattern: &str| match pattern.strip_prefix('*') {
            Some(suffix) => host.ends_with(suffix),
            None => pattern == host,
        };
        self.apps.iter().position(|app| app.hosts.iter().any(|pattern| is_for(pattern)))
    }
}

/// More worker threads than this do not exist in proxies.
const WORKERS_MAX: u32 = 1_024;

fn directory(population: &Population, scenario: &Scenario, labels: &IndexSet<String>) -> Directory {
    let mut directory = Directory { labels: labels.iter().cloned().collect(), ..Directory::default() };
    directory.parties.extend(scenario.clients.iter().map(|client| client.name.value.clone()));
    directory.parties.extend(population.workloads.iter().map(|workload| workload.name.clone()));
    for workload in &population.workloads {
        let shown = if workload.version.is_empty() { &workload.short } else { &workload.version };
        let version = directory.versions.iter().position(|known| known == shown).unwrap_or_else(|| {
            directory.versions.push(shown.clone());
            directory.versions.len() - 1
        });
        let (app, principal) = identity(population, workload);
        let label = workload.version.clone();
        directory.workloads.push(Reached { name: workload.name.clone(), version, label, app, principal });
    }
    let mut hosts: Vec<String> =
        population.stages.iter().flat_map(|stage| &stage.mesh.services).map(|service| service.host.clone()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    directory.services = hosts;
    directory
}

/// The label `app` of a workload, and the identity in its certificate.
fn identity(population: &Population, plan: &WorkloadPlan) -> (String, String) {
    let workloads = population.stages.iter().flat_map(|stage| &stage.mesh.workloads);
    let Some(workload) = workloads.into_iter().find(|w| w.name == plan.short && w.namespace == plan.namespace) else {
        return Default::default();
    };
    let app = workload.labels.iter().find(|(key, _)| key == "app").map(|(_, app)| app.clone()).unwrap_or_default();
    (app, format!("spiffe://cluster.local/ns/{}/sa/{}", workload.namespace, workload.service_account))
}

/// The words on answers, in the order in which the applications first name them.
fn labels(apps: &[App], findings: &mut Vec<Diagnostic>) -> IndexSet<String> {
    let mut labels = IndexSet::new();
    let mut first_beyond: Option<Span> = None;
    let mut add = |words: &[Spanned<String>]| {
        for word in words {
            if labels.contains(&word.value) {
                continue;
            }
            if labels.len() == Labels::MAX {
                first_beyond.get_or_insert(word.span);
                continue;
            }
            labels.insert(word.value.clone());
        }
    };
    for handler in apps.iter().flat_map(|app| &app.handlers) {
        for call in handler.calls.iter().flat_map(|step| step.call.iter().chain(&step.parallel)) {
            let outcomes: [&Option<Outcome>; 3] = [&call.on_success, &call.on_failure, &call.on_timeout];
            outcomes.into_iter().flatten().for_each(|outcome| add(&outcome.labels));
        }
        handler.reply.iter().for_each(|reply| add(&reply.labels));
    }
    if let Some(span) = first_beyond {
        findings.push(
            Diagnostic::new(Code::ScenarioInvalid, format!("a scenario can have {} different labels at most", Labels::MAX))
                .at(span)
                .effect("this label and the new ones after it are never set"),
        );
    }
    labels
}

fn check_apps(input: &PlanInput<'_>, findings: &mut Vec<Diagnostic>) {
    for app in &input.scenario.apps {
        for pattern in &app.workloads {
            let mut workloads = input.stages.iter().flat_map(|stage| &stage.mesh.workloads);
            if !workloads.any(|workload| workload_fits(pattern, &workload.name, &workload.namespace, &workload.labels)) {
                findings.push(
                    Diagnostic::new(Code::ScenarioUnused, format!("no workload is named `{}`", pattern.value))
                        .at(pattern.span)
                        .effect("the application is not used for it"),
                );
            }
        }
    }
    for call in input.apps.iter().flat_map(|app| &app.handlers).flat_map(|handler| &handler.calls) {
        for call in call.call.iter().chain(&call.parallel) {
            if let Err(error) = Url::parse(&call.url) {
                findings.push(
                    Diagnostic::new(Code::ScenarioInvalid, format!("`{}` is no address that can be called", call.url.value))
                        .at(call.url.span)
                        .help(error.to_string()),
                );
            }
            if let Some(attempts) = call.attempts.as_ref().filter(|attempts| attempts.value == 0) {
                findings.push(
                    Diagnostic::new(Code::ScenarioInvalid, "a call needs at least one attempt")
                        .at(attempts.span)
                        .help("use `share: \"0%\"` for a call that is never made"),
                );
            }
        }
    }
}

fn waterfall(scenario: &Scenario, directory: &Directory, phases: &[Phase], findings: &mut Vec<Diagnostic>) -> Option<Chosen> {
    let wanted = scenario.waterfall.as_ref()?;
    let is_wanted = |group: &crate::record::Group| {
        group.client == wanted.client.value
            && wanted.user.as_ref().is_none_or(|user| group.user == user.value)
            && wanted.phase.as_ref().is_none_or(|phase| phases.get(group.phase).is_some_and(|p| p.name == phase.value))
    };
    let numbered = directory.groups.iter().zip(0..);
    let groups: Vec<GroupId> = numbered.filter(|(group, _)| is_wanted(group)).map(|(_, number)| GroupId(number)).collect();
    if groups.is_empty() {
        findings.push(
            Diagnostic::new(
                Code::ScenarioReference,
                "no client, class of users and phase of this scenario are those of `waterfall`",
            )
            .at(wanted.client.span)
            .effect("the slowest request is drawn instead"),
        );
        return None;
    }
    Some(Chosen::Nth { groups, nth: wanted.request.as_ref().map_or(1, |request| request.value.max(1)) })
}

/// The length of a phase's name for the report: to its end, or to the end of the run.
pub(super) fn phase_end(phase: &Phase, end_of_run: Instant) -> Instant {
    phase.ends.unwrap_or(end_of_run).max(phase.begins)
}

/// A duration that a scenario may leave out.
pub(super) fn or_zero(duration: Option<&Spanned<Duration>>) -> Duration {
    duration.map_or(Duration::ZERO, |duration| duration.value)
}
