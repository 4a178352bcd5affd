//! When new pods become ready.

use std::collections::BTreeMap;

use crate::mesh::Mesh;
use crate::scenario::App;
use crate::time::{Duration, Instant};

/// Namespace and name of a pod.
type PodName = (String, String);

/// The pods of a mesh over time, with when each is ready. Those that are there from the start are.
#[derive(Debug)]
pub(super) struct Readiness<'a> {
    apps: Vec<&'a App>,
    known: Option<BTreeMap<PodName, Instant>>,
}

impl<'a> Readiness<'a> {
    /// `apps` in order of precedence.
    pub(super) fn new(apps: impl Iterator<Item = &'a App>) -> Self {
        Readiness { apps: apps.collect(), known: None }
    }

    /// Takes note of the pods that are there now. Gives those that are not ready yet.
    pub(super) fn meet(&mut self, mesh: &Mesh, now: Instant) -> Vec<PodName> {
        let before = self.known.take();
        let mut pods = BTreeMap::new();
        for workload in &mesh.workloads {
            let startup = self.startup(&workload.name, &workload.namespace, &workload.labels);
            for pod in &workload.pods {
                let name = (workload.namespace.clone(), mesh.pods[pod.index()].name.clone());
                let ready_at = match &before {
                    None => Instant::ZERO,
                    Some(before) => before.get(&name).copied().unwrap_or(now + startup),
                };
                pods.insert(name, ready_at);
            }
        }
        let unready = pods.iter().filter(|(_, ready_at)| **ready_at > now).map(|(name, _)| name.clone()).collect();
        self.known = Some(pods);
        unready
    }

    /// The next instant after `now` at which a pod becomes ready.
    pub(super) fn next_after(&self, now: Instant) -> Option<Instant> {
        self.known.iter().flatten().map(|(_, ready_at)| *ready_at).filter(|ready_at| *ready_at > now).min()
    }

    /// Names of the pods that become ready at an instant.
    pub(super) fn ready_at(&self, at: Instant) -> impl Iterator<Item = &str> {
        let pods = self.known.iter().flatten().filter(move |(_, ready_at)| **ready_at == at && at > Instant::ZERO);
        pods.map(|((_, name), _)| name.as_str())
    }

    fn startup(&self, name: &str, namespace: &str, labels: &[(String, String)]) -> Duration {
        let app = self.apps.iter().find(|app| app.fits_workload(name, namespace, labels));
        app.and_then(|app| app.startup.as_ref()).map_or(Duration::ZERO, |startup| startup.value)
    }
}
