//! What will be acted out: names resolved to numbers, times to instants, every assumption said.

use std::sync::Arc;

use super::control::Control;
use crate::diagnostic::Diagnostic;
use crate::mesh::Mesh;
use crate::record::{Change, RunReport};
use crate::scenario::{App, Scenario};
use crate::time::Instant;

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
    requests: Option<u64>,
}

impl Plan {
    /// Resolves a scenario. Findings of severity error mean that the plan leaves out what they are
    /// about and should not be run.
    #[must_use]
    pub fn resolve(input: &PlanInput<'_>) -> (Plan, Vec<Diagnostic>) {
        let _ = input;
        (Plan { requests: None }, Vec::new())
    }

    /// How many requests clients will send, warm-up included; `None` if that is not known beforehand.
    #[must_use]
    pub fn requests(&self) -> Option<u64> {
        self.requests
    }
}

/// Acts out a plan and reports what happened. Expectations are left to the caller.
#[must_use]
pub fn simulate(plan: &Plan, control: &Control) -> RunReport {
    let _ = plan;
    control.report(super::control::Progress { now: Instant::ZERO, finished: 0 });
    RunReport::default()
}
