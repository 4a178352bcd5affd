//! Everything that is worked out once and remembered: shapes of requests, scripts of applications,
//! ways through proxies, endpoints. The event loop only looks numbers up here.

use indexmap::IndexMap;
use rustc_hash::FxHashMap;

use super::balance::{Member, Policy, Target};
use super::endpoints::{self, Found};
use super::hop::Hop;
use super::outlier::OutlierPlan;
use super::plan::Plan;
use super::pool::Breakers;
use super::population::StagePlan;
use super::priority::{Share, shares};
use super::queue::Queue;
use super::script::{Script, Writer};
use super::shape::Shapes;
use super::slab::NONE;
use crate::mesh::cluster::{Balancer, Cluster, Discovery, Endpoint, UpstreamTls};
use crate::mesh::{ClusterId, ProxyId, ProxyKind};
use crate::record::{CalledId, Directory, Labels, ReachedId};

/// The remembered answers.
#[derive(Debug)]
pub(super) struct Atlas<'p> {
    pub(super) plan: &'p Plan,
    pub(super) shapes: Shapes,
    pub(super) hops: Vec<Hop>,
    pub(super) targets: Vec<Target>,
    pub(super) directory: Directory,
    scripts: Vec<Script>,
    script_of: FxHashMap<(Handler, u32), u32>,
    pub(super) hop_of: FxHashMap<(u32, Way, u32), u32>,
    target_of: FxHashMap<(u32, TargetKey), u32>,
    /// What is left of targets without some of their pods.
    narrowed: FxHashMap<u32, Vec<Narrowed>>,
    /// Names of clusters, by which balancers keep their state.
    clusters: IndexMap<String, (), rustc_hash::FxBuildHasher>,
    services: FxHashMap<String, CalledId>,
    /// Hosts outside of the mesh, with their application. They are numbered after the pods.
    outside: IndexMap<String, Option<usize>, rustc_hash::FxBuildHasher>,
}

/// Pods that are ejected, and where requests go meanwhile.
type Narrowed = (Box<[u32]>, Vec<Share>);

/// Through which configuration a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Way {
    /// A proxy's.
    Proxy(ProxyId),
    /// None: pods of this namespace (by the number of a workload in it) without a proxy.
    Plain(u32),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum TargetKey {
    Cluster(ProxyId, ClusterId),
    Service(usize, u16),
    Host(String),
}

/// What handles the requests that reach a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Handler {
    App(usize),
    Gateway,
    Nothing,
}

impl<'p> Atlas<'p> {
    pub(super) fn new(plan: &'p Plan) -> Self {
        let directory = plan.directory.clone();
        let services =
            directory.services.iter().enumerate().map(|(index, host)| (host.clone(), CalledId(index as u32))).collect();
        Atlas {
            plan,
            shapes: Shapes::default(),
            hops: Vec::new(),
            targets: Vec::new(),
            directory,
            scripts: Vec::new(),
            script_of: FxHashMap::default(),
            hop_of: FxHashMap::default(),
            target_of: FxHashMap::default(),
            narrowed: FxHashMap::default(),
            clusters: IndexMap::default(),
            services,
            outside: IndexMap::default(),
        }
    }

    pub(super) fn script(&self, number: u32) -> &Script {
        &self.scripts[number as usize]
    }

    /// The script by which a pod handles requests of a shape.
    pub(super) fn script_for(&mut self, pod: u32, shape: u32, queue: &mut Queue) -> u32 {
        let handler = match self.app_of(pod) {
            Some(app) => Handler::App(app),
            None if self.is_gateway(pod) => Handler::Gateway,
            None => Handler::Nothing,
        };
        if let Some(script) = self.script_of.get(&(handler, shape)) {
            return *script;
        }
        let label = |word: &str| self.plan.labels.get_index_of(word).map_or(Labels::default(), |at| Labels(1 << at));
        let mut writer = Writer { shapes: &mut self.shapes, queue, label: &label };
        let script = match handler {
            Handler::App(app) => writer.script(Some(&self.plan.apps[app]), shape),
            Handler::Gateway => Script::passing_on(shape),
            Handler::Nothing => writer.script(None, shape),
        };
        let number = self.scripts.len() as u32;
        self.scripts.push(script);
        self.script_of.insert((handler, shape), number);
        number
    }

    /// Whether a pod is a gateway, which sends on what reaches it from within the mesh.
    fn is_gateway(&self, pod: u32) -> bool {
        self.plan.population.stages.iter().any(|stage| {
            let standing = stage.standings.get(pod as usize).and_then(Option::as_ref);
            let proxy = standing.and_then(|standing| standing.proxy);
            proxy.is_some_and(|proxy| stage.mesh.proxies[proxy.index()].spec.kind == ProxyKind::Gateway)
        })
    }

    /// The application of a pod or of a host outside of the mesh.
    pub(super) fn app_of(&self, pod: u32) -> Option<usize> {
        match self.plan.population.pods.get(pod as usize) {
            Some(pod) => self.plan.population.workloads[pod.workload as usize].app,
            None => self.outside.get_index(pod as usize - self.plan.population.pods.len()).and_then(|(_, app)| *app),
        }
    }

    /// The workload of a pod.
    pub(super) fn reached(&self, pod: u32) -> ReachedId {
        self.plan.population.pods.get(pod as usize).map_or(ReachedId::NOWHERE, |pod| ReachedId(pod.workload))
    }

    /// How many pods and hosts outside there are.
    pub(super) fn places(&self) -> usize {
        self.plan.population.pods.len() + self.outside.len()
    }

    pub(super) fn called(&mut self, host: &str) -> CalledId {
        if let Some(id) = self.services.get(host) {
            return *id;
        }
        let id = CalledId(self.directory.services.len() as u32);
        self.directory.services.push(host.to_owned());
        self.services.insert(host.to_owned(), id);
        id
    }

    pub(super) fn version(&mut self, name: &str) -> usize {
        let known = self.directory.versions.iter().position(|version| version == name);
        known.unwrap_or_else(|| {
            self.directory.versions.push(name.to_owned());
            self.directory.versions.len() - 1
        })
    }

    /// The name under which the state of a cluster's balancer is kept.
    pub(super) fn cluster_name(&self, number: u32) -> &str {
        self.clusters.get_index(number as usize).map_or("", |(name, ())| name.as_str())
    }

    fn outside(&mut self, host: &str) -> u32 {
        let index = match self.outside.get_index_of(host) {
            Some(index) => index,
            None => self.outside.insert_full(host.to_owned(), self.plan.app_of_host(host)).0,
        };
        (self.plan.population.pods.len() + index) as u32
    }

    /// The endpoints of a proxy's cluster. `host` is what the caller dialled, for clusters that leave
    /// the address alone.
    pub(super) fn cluster_target(&mut self, stage: u32, proxy: ProxyId, id: ClusterId, host: &str, port: u16) -> u32 {
        let plan = &self.plan.population.stages[stage as usize];
        let of_proxy = &plan.mesh.proxies[proxy.index()];
        let cluster: &Cluster = &of_proxy.clusters[id.index()];
        if cluster.discovery == Discovery::OriginalDst || cluster.discovery == Discovery::DynamicDns {
            return self.dialled_target(stage, host, &of_proxy.spec.namespace, port, &cluster.tls);
        }
        let key = (stage, TargetKey::Cluster(proxy, id));
        if let Some(target) = self.target_of.get(&key) {
            return *target;
        }
        let healthy = || cluster.localities.iter().filter(|locality| locality.endpoints.iter().any(|e| e.healthy));
        let first = healthy().map(|locality| locality.priority).min();
        // Without outlier detection nobody ever falls back to another priority.
        let is_used = |priority: u32| cluster.outlier.is_some() || Some(priority) == first;
        let (endpoints, priorities): (Vec<&Endpoint>, Vec<u32>) = healthy()
            .filter(|locality| is_used(locality.priority))
            .flat_map(|locality| {
                let usable = locality.endpoints.iter().filter(|endpoint| endpoint.healthy);
                usable.map(|endpoint| (endpoint, locality.priority))
            })
            .unzip();
        let policy = match cluster.balancer {
            Balancer::RoundRobin => Policy::RoundRobin,
            Balancer::LeastRequest => Policy::LeastRequest,
            // Without a key to hash, hash balancers pick at random; a finding says so.
            Balancer::Random | Balancer::RingHash { .. } | Balancer::Maglev { .. } | Balancer::Passthrough => Policy::Random,
        };
        let name = format!("{}/{}", of_proxy.spec.name, cluster.name);
        let target = self.target(plan, &name, policy, &endpoints, &cluster.tls);
        let made = &mut self.targets[target as usize];
        made.breakers = Breakers::of(cluster);
        made.outlier =
            cluster.outlier.map(|outlier| OutlierPlan::of(&outlier, cluster.panic_threshold_percent, &plan.mesh.profile));
        if priorities.windows(2).any(|pair| pair[0] != pair[1]) {
            made.priorities = priorities;
        }
        self.target_of.insert(key, target);
        target
    }

    /// The endpoints that the network itself finds for a host, any of them with equal chance.
    pub(super) fn dialled_target(&mut self, stage: u32, host: &str, namespace: &str, port: u16, tls: &UpstreamTls) -> u32 {
        let plan = &self.plan.population.stages[stage as usize];
        let host = crate::routing::without_port(host);
        let key = match endpoints::find(&plan.mesh, host, namespace) {
            Found::Service(service) => TargetKey::Service(service, port),
            Found::Outside => TargetKey::Host(host.to_owned()),
            // A name that does not resolve leads to no endpoint, unless an application stands for it.
            Found::Nothing if self.plan.app_of_host(host).is_some() => TargetKey::Host(host.to_owned()),
            Found::Nothing => TargetKey::Host(String::new()),
        };
        if let Some(target) = self.target_of.get(&(stage, key.clone())) {
            return *target;
        }
        let endpoints = match &key {
            TargetKey::Service(service, port) => endpoints::endpoints(&plan.mesh, &plan.mesh.services[*service], *port),
            TargetKey::Host(host) if !host.is_empty() => vec![somewhere(host, port)],
            TargetKey::Host(_) | TargetKey::Cluster(..) => Vec::new(),
        };
        let name = format!("dialled/{host}:{port}");
        let target = self.target(plan, &name, Policy::Random, &endpoints.iter().collect::<Vec<_>>(), tls);
        self.target_of.insert((stage, key), target);
        target
    }

    fn target(&mut self, plan: &StagePlan, name: &str, policy: Policy, endpoints: &[&Endpoint], tls: &UpstreamTls) -> u32 {
        let mut members = Vec::with_capacity(endpoints.len());
        for endpoint in endpoints {
            let pod = match endpoint.pod {
                Some(pod) => plan.pods[pod.index()],
                None => self.outside(host_of(&endpoint.address)),
            };
            members.push(Member { pod, port: endpoint.port, weight: endpoint.weight, tls: tls.towards(endpoint) });
        }
        let cluster = self.clusters.insert_full(name.to_owned(), ()).0 as u32;
        let weighted = members.windows(2).any(|pair| pair[0].weight != pair[1].weight);
        let number = self.targets.len() as u32;
        self.targets.push(Target {
            policy,
            cluster,
            members,
            weighted,
            number,
            breakers: None,
            outlier: None,
            priorities: Vec::new(),
        });
        number
    }

    /// Where requests for a target go while some of its pods are ejected.
    pub(super) fn without(&mut self, target: u32, ejected: &[u32]) -> &[Share] {
        let known = self.narrowed.get(&target).and_then(|all| all.iter().position(|(pods, _)| **pods == *ejected));
        let at = known.unwrap_or_else(|| {
            let left = self.narrow(target, ejected);
            let all = self.narrowed.entry(target).or_default();
            all.push((ejected.into(), left));
            all.len() - 1
        });
        &self.narrowed[&target][at].1
    }

    fn narrow(&mut self, target: u32, ejected: &[u32]) -> Vec<Share> {
        let whole = self.targets[target as usize].clone();
        let groups = shares(&whole, ejected);
        let mut left = Vec::with_capacity(groups.len());
        for (percent, members) in groups {
            let number = self.targets.len() as u32;
            let weighted = members.windows(2).any(|pair| pair[0].weight != pair[1].weight);
            self.targets.push(Target { members, weighted, number, ..whole.clone() });
            left.push(Share { percent, target: number });
        }
        left
    }

    /// Shares of versions among a target's endpoints.
    pub(super) fn versions_of(&self, target: u32) -> Vec<(usize, f64)> {
        let target = &self.targets[target as usize];
        let by_weight = target.weighted && target.policy != Policy::Random;
        let weight = |member: &Member| if by_weight { f64::from(member.weight) } else { 1.0 };
        let total: f64 = target.members.iter().map(weight).sum();
        let mut shares: Vec<(usize, f64)> = Vec::new();
        for member in &target.members {
            let Some(reached) = self.directory.workloads.get(self.reached(member.pod).index()) else { continue };
            let share = weight(member) / total;
            match shares.iter_mut().find(|(version, _)| *version == reached.version) {
                Some((_, sum)) => *sum += share,
                None => shares.push((reached.version, share)),
            }
        }
        shares
    }
}

fn host_of(address: &str) -> &str {
    match address.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => address,
    }
}

fn somewhere(host: &str, port: u16) -> Endpoint {
    Endpoint { address: format!("{host}:{port}"), port, weight: 1, healthy: true, mutual_tls: false, pod: None }
}

/// A table of numbers by pod and shape, filled as they are asked for.
#[derive(Debug, Default)]
pub(super) struct ByShape(Vec<Vec<u32>>);

impl ByShape {
    pub(super) fn get(&self, pod: u32, shape: u32) -> Option<u32> {
        let number = *self.0.get(pod as usize)?.get(shape as usize)?;
        (number != NONE).then_some(number)
    }

    pub(super) fn set(&mut self, pod: u32, shape: u32, number: u32) {
        let (pod, shape) = (pod as usize, shape as usize);
        if self.0.len() <= pod {
            self.0.resize_with(pod + 1, Vec::new);
        }
        let row = &mut self.0[pod];
        if row.len() <= shape {
            row.resize(shape + 1, NONE);
        }
        row[shape] = number;
    }

    /// Forgets what is known of a pod.
    pub(super) fn forget(&mut self, pod: u32) {
        if let Some(row) = self.0.get_mut(pod as usize) {
            row.clear();
        }
    }
}
