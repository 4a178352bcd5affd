//! Who is there when: the workloads and pods of all states of the mesh, numbered once, so that a
//! server and its queue, or a proxy and its balancers, stay the same while the mesh around them
//! changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;

use super::plan::Stage;
use crate::mesh::registry::Workload;
use crate::mesh::{Mesh, Proxy, ProxyId, WorkloadId};
use crate::scenario::App;
use crate::time::Instant;

/// A workload of any state of the mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WorkloadPlan {
    /// `name.namespace`.
    pub(super) name: String,
    /// Without namespace.
    pub(super) short: String,
    pub(super) namespace: String,
    /// Its label `version`; empty if it has none.
    pub(super) version: String,
    /// All its pods of all states.
    pub(super) pods: Vec<u32>,
    /// The application, by position in the plan.
    pub(super) app: Option<usize>,
}

/// A pod of any state of the mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PodPlan {
    pub(super) name: String,
    pub(super) workload: u32,
    /// Its address; empty if it has none.
    pub(super) ip: String,
}

/// A pod in one state of the mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    /// Its workload in that mesh; none for a proxy that was only described.
    pub(super) workload: Option<WorkloadId>,
    /// Its proxy's configuration; `None` without a proxy.
    pub(super) proxy: Option<ProxyId>,
    /// Whether bytes that reach it go through a proxy first.
    pub(super) proxied: bool,
    /// Ports its containers declare; empty if they declare none.
    pub(super) ports: Vec<u16>,
}

/// One state of the mesh.
#[derive(Debug, Clone)]
pub(super) struct StagePlan {
    pub(super) at: Instant,
    pub(super) mesh: Arc<Mesh>,
    /// The number of each of the mesh's pods.
    pub(super) pods: Vec<u32>,
    /// What each pod is in this state; `None` if it is not there.
    pub(super) standings: Vec<Option<Standing>>,
}

/// Everybody.
#[derive(Debug, Clone)]
pub(super) struct Population {
    /// By namespace and name.
    pub(super) workloads: Vec<WorkloadPlan>,
    pub(super) pods: Vec<PodPlan>,
    /// Ascending, with different instants.
    pub(super) stages: Vec<StagePlan>,
}

fn qualified(workload: &Workload) -> String {
    format!("{}.{}", workload.name, workload.namespace)
}

fn version(workload: &Workload) -> String {
    workload.labels.iter().find(|(key, _)| key == "version").map(|(_, value)| value.clone()).unwrap_or_default()
}

impl Population {
    pub(super) fn of(stages: &[Stage], apps: &[App]) -> Population {
        let mut by_place: BTreeMap<(&str, &str), &Workload> = BTreeMap::new();
        for workload in stages.iter().flat_map(|stage| &stage.mesh.workloads) {
            by_place.entry((&workload.namespace, &workload.name)).or_insert(workload);
        }
        let mut workloads: Vec<WorkloadPlan> = by_place
            .values()
            .map(|workload| WorkloadPlan {
                name: qualified(workload),
                short: workload.name.clone(),
                namespace: workload.namespace.clone(),
                version: version(workload),
                pods: Vec::new(),
                app: app_of(workload, apps),
            })
            .collect();
        workloads.extend(described(stages));
        let pods = all_pods(stages, &mut workloads);
        let stages: Vec<StagePlan> = last_of_each_instant(stages).map(|stage| stage_plan(stage, &pods)).collect();
        let ips = ips(&stages, pods.len());
        let pods = pods.into_iter().zip(ips).map(|(((_, name), workload), ip)| PodPlan { name, workload, ip }).collect();
        Population { workloads, pods, stages }
    }

    /// Workloads that a scenario means by `name` or `name.namespace`.
    pub(super) fn named(&self, name: &str) -> Vec<usize> {
        let is_meant = |workload: &WorkloadPlan| workload.name == name || workload.short == name;
        (0..self.workloads.len()).filter(|index| is_meant(&self.workloads[*index])).collect()
    }
}

/// Proxies that were described without a workload: each is a pod of its own, which only sends.
fn described(stages: &[Stage]) -> impl Iterator<Item = WorkloadPlan> {
    let proxies = stages.iter().flat_map(|stage| stage.mesh.proxies.iter().filter(|proxy| is_described(proxy)));
    let by_place: BTreeMap<(&str, &str), &Proxy> =
        proxies.map(|proxy| ((proxy.spec.namespace.as_str(), proxy.spec.name.as_str()), proxy)).collect();
    let plans: Vec<WorkloadPlan> = by_place
        .values()
        .map(|proxy| WorkloadPlan {
            name: described_name(proxy),
            short: proxy.spec.name.clone(),
            namespace: proxy.spec.namespace.clone(),
            version: String::new(),
            pods: Vec::new(),
            app: None,
        })
        .collect();
    plans.into_iter()
}

fn is_described(proxy: &Proxy) -> bool {
    proxy.workload.is_none()
}

/// No workload has such a name, so that a proxy called like one stays apart from it.
fn described_name(proxy: &Proxy) -> String {
    format!("{}.{} (proxy)", proxy.spec.name, proxy.spec.namespace)
}

/// Pods by workload and name, with their workload's number, in the order of workloads.
fn all_pods(stages: &[Stage], workloads: &mut [WorkloadPlan]) -> IndexMap<(String, String), u32> {
    let mut pods: IndexMap<(String, String), u32> = IndexMap::new();
    for (index, plan) in workloads.iter_mut().enumerate() {
        for mesh in stages.iter().map(|stage| &stage.mesh) {
            let here = mesh.workloads.iter().filter(|workload| qualified(workload) == plan.name);
            let number = u32::try_from(index).expect("fewer than 2^32 workloads");
            for pod in here.flat_map(|workload| &workload.pods) {
                pods.entry((plan.name.clone(), mesh.pods[pod.index()].name.clone())).or_insert(number);
            }
            if mesh.proxies.iter().any(|proxy| is_described(proxy) && described_name(proxy) == plan.name) {
                pods.entry((plan.name.clone(), plan.short.clone())).or_insert(number);
            }
        }
    }
    for (number, workload) in pods.values().enumerate() {
        workloads[*workload as usize].pods.push(u32::try_from(number).expect("fewer than 2^32 pods"));
    }
    pods
}

/// The address of each pod, in the first state in which it is there.
fn ips(stages: &[StagePlan], pods: usize) -> Vec<String> {
    let mut ips = vec![String::new(); pods];
    for stage in stages {
        for (pod, number) in stage.mesh.pods.iter().zip(&stage.pods) {
            let ip = &mut ips[*number as usize];
            if ip.is_empty() {
                ip.clone_from(&pod.ip);
            }
        }
    }
    ips
}

fn last_of_each_instant(stages: &[Stage]) -> impl Iterator<Item = &Stage> {
    let counts = move |index: &usize| stages.get(index + 1).is_none_or(|next| next.at > stages[*index].at);
    (0..stages.len()).filter(counts).map(|index| &stages[index])
}

fn stage_plan(stage: &Stage, all: &IndexMap<(String, String), u32>) -> StagePlan {
    let mesh = &stage.mesh;
    let mut pods = Vec::with_capacity(mesh.pods.len());
    let mut standings = vec![None; all.len()];
    for pod in &mesh.pods {
        let workload = &mesh.workloads[pod.workload.index()];
        let number = all.get_index_of(&(qualified(workload), pod.name.clone()));
        let number = number.expect("every pod of every stage was numbered");
        pods.push(u32::try_from(number).expect("fewer than 2^32 pods"));
        standings[number] = Some(Standing {
            workload: Some(pod.workload),
            proxy: mesh.proxy_of(pod.workload),
            proxied: workload.proxied,
            ports: workload.ports.iter().map(|(_, port)| *port).collect(),
        });
    }
    for (index, proxy) in mesh.proxies.iter().enumerate().filter(|(_, proxy)| is_described(proxy)) {
        if let Some(number) = all.get_index_of(&(described_name(proxy), proxy.spec.name.clone())) {
            standings[number] =
                Some(Standing { workload: None, proxy: Some(ProxyId::new(index)), proxied: true, ports: Vec::new() });
        }
    }
    StagePlan { at: stage.at, mesh: Arc::clone(mesh), pods, standings }
}

/// The first application that is for a workload.
fn app_of(workload: &Workload, apps: &[App]) -> Option<usize> {
    apps.iter().position(|app| app.fits_workload(&workload.name, &workload.namespace, &workload.labels))
}
