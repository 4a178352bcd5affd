//! Everything that is worked out once and remembered: shapes of requests, scripts of applications,
//! ways through proxies, endpoints. The event loop only looks numbers up here.

use indexmap::IndexMap;
use rustc_hash::FxHashMap;

use super::balance::{Member, Target};
use super::endpoints::{self, Found};
use super::hop::Hop;
use super::limit::LimitPlanner;
use super::outlier::OutlierPlan;
use super::plan::Plan;
use super::pool::PoolPlan;
use super::population::StagePlan;
use super::queue::Queue;
use super::script::{Script, Writer};
use super::shape::Shapes;
use super::slab::NONE;
use crate::balance::{Host, HostSet, Locality, Policy, Rules};
use crate::mesh::cluster::{Cluster, Discovery, Endpoint, LocalityEndpoints, UpstreamTls};
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
    /// States of endpoints, as balancers see them.
    pub(super) views: Vec<HostSet>,
    /// What is left of targets without some of their pods.
    narrowed: FxHashMap<u32, Vec<Narrowed>>,
    /// Whether there is a cluster whose hosts start slowly.
    pub(super) starts_slowly: bool,
    /// What works rate limits out.
    pub(super) planner: LimitPlanner,
    /// Names of clusters, by which balancers keep their state.
    clusters: IndexMap<String, (), rustc_hash::FxBuildHasher>,
    services: FxHashMap<String, CalledId>,
    /// Hosts outside of the mesh, with their application. They are numbered after the pods.
    outside: IndexMap<String, Option<usize>, rustc_hash::FxBuildHasher>,
}

/// Pods that are ejected, and the state without them.
type Narrowed = (Box<[u32]>, u32);

/// States of one target of which rings and tables are kept; older ones are worked out again.
const LOOKUPS_MAX: usize = 32;

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
        let meshes = plan.population.stages.iter().map(|stage| &stage.mesh);
        let mut clusters = meshes.flat_map(|mesh| mesh.proxies.iter().flat_map(|proxy| proxy.clusters.iter()));
        let starts_slowly = clusters.any(|cluster| cluster.warm_up.is_some());
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
            views: Vec::new(),
            narrowed: FxHashMap::default(),
            starts_slowly,
            planner: LimitPlanner::default(),
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

    /// Hosts outside of the mesh, in the order of their numbers.
    pub(super) fn hosts_outside(&self) -> impl Iterator<Item = &str> {
        self.outside.keys().map(String::as_str)
    }

    /// Writes the names and addresses of all places into the directory.
    pub(super) fn name_places(&mut self) {
        let pods = self.plan.population.pods.iter().map(|pod| pod.name.clone());
        self.directory.places = pods.chain(self.outside.keys().cloned()).collect();
        let mut addresses: Vec<String> = vec![String::new(); self.plan.population.pods.len()];
        for stage in &self.plan.population.stages {
            for (pod, number) in stage.mesh.pods.iter().zip(&stage.pods) {
                addresses[*number as usize].clone_from(&pod.ip);
            }
        }
        addresses.extend(self.outside.keys().cloned());
        self.directory.addresses = addresses;
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
        let cluster: &Cluster = &of_proxy.clusters[id];
        if cluster.discovery == Discovery::OriginalDst || cluster.discovery == Discovery::DynamicDns {
            return self.dialled_target(stage, host, &of_proxy.spec.namespace, port, &cluster.tls);
        }
        let key = (stage, TargetKey::Cluster(proxy, id));
        if let Some(target) = self.target_of.get(&key) {
            return *target;
        }
        let name = format!("{}/{}", of_proxy.spec.name, cluster.name);
        let target =
            self.target(plan, &name, Rules::of(cluster), &Locality::ordered(cluster, &of_proxy.spec.locality), &cluster.tls);
        let made = &mut self.targets[target as usize];
        made.pool = PoolPlan::of(cluster, !self.plan.behaviours.is_empty());
        made.outlier =
            cluster.outlier.map(|outlier| OutlierPlan::of(&outlier, cluster.panic_threshold_percent, &plan.mesh.profile));
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
        let everywhere = LocalityEndpoints { locality: String::new(), priority: 0, weight: 1, endpoints };
        let rules = Rules { policy: Policy::Random, panic_percent: 0, locality_weighted: false, slow_start: None };
        let target = self.target(plan, &name, rules, &[&everywhere], tls);
        self.target_of.insert((stage, key), target);
        target
    }

    fn target(
        &mut self,
        plan: &StagePlan,
        name: &str,
        rules: Rules,
        localities: &[&LocalityEndpoints],
        tls: &UpstreamTls,
    ) -> u32 {
        let mut members = Vec::new();
        let mut hosts = |endpoints: &[Endpoint]| -> Vec<Host> {
            let host = |endpoint: &Endpoint| {
                let pod = match endpoint.pod {
                    Some(pod) => plan.pods[pod.index()],
                    None => self.outside(host_of(&endpoint.address)),
                };
                members.push(Member { pod, port: endpoint.port, tls: tls.towards(endpoint) });
                Host::of(endpoint, pod)
            };
            endpoints.iter().map(host).collect()
        };
        let localities: Vec<Locality> =
            localities.iter().map(|locality| Locality::of(locality, hosts(&locality.endpoints))).collect();
        let whole = self.views.len() as u32;
        self.views.push(HostSet::new(whole, rules, &localities, |_| false));
        let changes = self.plan.population.stages.len() > 1;
        let counts_busy = rules.policy == Policy::LeastRequest && (members.len() > 1 || changes);
        let cluster = self.clusters.insert_full(name.to_owned(), ()).0 as u32;
        self.targets.push(Target { cluster, members, localities, whole, counts_busy, pool: None, outlier: None });
        self.targets.len() as u32 - 1
    }

    /// The state of a target's endpoints while some of its pods are ejected.
    pub(super) fn without(&mut self, target: u32, ejected: &[u32]) -> u32 {
        let all = self.narrowed.entry(target).or_default();
        if let Some((_, view)) = all.iter().find(|(pods, _)| **pods == *ejected) {
            return *view;
        }
        if all.len() % LOOKUPS_MAX == LOOKUPS_MAX - 1 {
            all.iter().for_each(|(_, view)| self.views[*view as usize].forget_lookups());
        }
        let of = &self.targets[target as usize];
        let number = self.views.len() as u32;
        let is_ejected = |pod| ejected.binary_search(&pod).is_ok();
        let view = self.views[of.whole as usize].without(number, &of.localities, is_ejected);
        self.views.push(view);
        all.push((ejected.into(), number));
        number
    }

    /// Shares of versions among a target's endpoints.
    pub(super) fn versions_of(&self, target: u32) -> Vec<(usize, f64)> {
        let target = &self.targets[target as usize];
        let mut shares: Vec<(usize, f64)> = Vec::new();
        for (member, share) in target.members.iter().zip(self.views[target.whole as usize].expected()) {
            let Some(reached) = self.directory.workloads.get(self.reached(member.pod).index()) else { continue };
            if share == 0.0 {
                continue;
            }
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
