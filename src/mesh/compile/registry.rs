//! The registry as the passes use it: services, workloads and pods with the indexes over them.

use rustc_hash::FxHashMap;

use super::context::Context;
use super::mesh::ProxySelection;
use super::{gateways, services, workloads};
use crate::diagnostic::Diagnostic;
use crate::mesh::registry::{Pod, Service, Workload};
use crate::mesh::{ProxyKind, ProxySpec, ServiceId, WorkloadId};

/// Services, workloads and pods.
#[derive(Debug)]
pub(in crate::mesh) struct Registry {
    /// Services, sorted by host; of one host Kubernetes' first, then the oldest.
    pub(in crate::mesh) services: Vec<Service>,
    /// Workloads, sorted by namespace and name.
    pub(in crate::mesh) workloads: Vec<Workload>,
    /// Pods.
    pub(in crate::mesh) pods: Vec<Pod>,
    /// The workloads behind the described endpoints, in their order.
    pub(in crate::mesh) described: Vec<WorkloadId>,
    by_host: FxHashMap<String, Vec<ServiceId>>,
    aliases: FxHashMap<String, Vec<ServiceId>>,
    by_age: Vec<ServiceId>,
    by_namespace: FxHashMap<String, Vec<WorkloadId>>,
}

impl Registry {
    /// Reads the registry from the objects.
    pub(in crate::mesh) fn new(cx: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let mut services = services::services(cx);
        let mut drafts = workloads::drafts(cx, diagnostics);
        let described = workloads::from_description(&cx.options.endpoints, &mut drafts);
        match &cx.options.proxies {
            ProxySelection::Workloads => {
                gateways::mark_selected(cx, &mut drafts);
                gateways::add_missing(cx, &mut drafts, &mut services, diagnostics);
            }
            ProxySelection::Described(proxies) => drafts.extend(proxies.iter().filter_map(workloads::from_gateway_proxy)),
        }
        services.sort_by(|a, b| precedence(a).cmp(&precedence(b)));
        services::give_addresses(&mut services);
        let settled = workloads::settle(drafts, &cx.options.unready);
        let described = described.into_iter().map(|draft| settled.id_of_draft[draft]).collect();
        let mut registry = Registry {
            services,
            workloads: settled.workloads,
            pods: settled.pods,
            described,
            by_host: FxHashMap::default(),
            aliases: FxHashMap::default(),
            by_age: Vec::new(),
            by_namespace: FxHashMap::default(),
        };
        registry.index();
        registry
    }

    fn index(&mut self) {
        for (index, service) in self.services.iter().enumerate() {
            self.by_host.entry(service.host.clone()).or_default().push(ServiceId::new(index));
        }
        for index in 0..self.services.len() {
            if let Some(concrete) = self.behind_alias(&self.services[index]) {
                let concrete = concrete.to_owned();
                self.aliases.entry(concrete).or_default().push(ServiceId::new(index));
            }
        }
        for (index, workload) in self.workloads.iter().enumerate() {
            self.by_namespace.entry(workload.namespace.clone()).or_default().push(WorkloadId::new(index));
        }
        self.by_age = (0..self.services.len()).map(ServiceId::new).collect();
        let services = &self.services;
        // A ServiceEntry's hosts are services of that name.
        self.by_age.sort_by_cached_key(|id| {
            let service = &services[id.index()];
            let name = if service.kubernetes { &service.name } else { &service.host };
            (service.created.clone(), format!("{name}.{}", service.namespace))
        });
    }

    /// The host that an ExternalName service stands for in the end; names may point at names.
    fn behind_alias<'r>(&'r self, alias: &'r Service) -> Option<&'r str> {
        let mut host = alias.alias_of.as_deref()?;
        // Longer chains are circles.
        for _ in 0..=self.services.len() {
            let id = self.of_host(host).first()?;
            match &self.service(*id).alias_of {
                Some(next) => host = next,
                None => return Some(host),
            }
        }
        None
    }

    /// The ExternalName services that stand for a host.
    pub(in crate::mesh) fn aliases_of(&self, host: &str) -> &[ServiceId] {
        self.aliases.get(host).map_or(&[], Vec::as_slice)
    }

    /// The service with this id.
    pub(in crate::mesh) fn service(&self, id: ServiceId) -> &Service {
        &self.services[id.index()]
    }

    /// All services of a host: Kubernetes' first, then the oldest.
    pub(in crate::mesh) fn of_host(&self, host: &str) -> &[ServiceId] {
        self.by_host.get(host).map_or(&[], Vec::as_slice)
    }

    /// All services, oldest first (Istio: `SortServicesByCreationTime`).
    pub(in crate::mesh) fn by_age(&self) -> &[ServiceId] {
        &self.by_age
    }

    /// The workload with this id.
    pub(in crate::mesh) fn workload(&self, id: WorkloadId) -> &Workload {
        &self.workloads[id.index()]
    }

    /// The workloads of a namespace.
    pub(in crate::mesh) fn in_namespace(&self, namespace: &str) -> &[WorkloadId] {
        self.by_namespace.get(namespace).map_or(&[], Vec::as_slice)
    }

    /// The proxies to configure, with their workloads.
    pub(in crate::mesh) fn proxies(&self, selection: &ProxySelection) -> Vec<(ProxySpec, Option<WorkloadId>)> {
        match selection {
            ProxySelection::Workloads => self.workload_proxies(),
            ProxySelection::Described(specs) => {
                let gateway = |spec: &ProxySpec| {
                    let candidates = self.in_namespace(&spec.namespace).iter().copied();
                    let mut own = candidates.filter(|id| self.workload(*id).gateway && self.workload(*id).name == spec.name);
                    own.next().filter(|_| spec.kind == ProxyKind::Gateway)
                };
                specs.iter().map(|spec| (spec.clone(), gateway(spec))).collect()
            }
        }
    }

    fn workload_proxies(&self) -> Vec<(ProxySpec, Option<WorkloadId>)> {
        let proxied = self.workloads.iter().enumerate().filter(|(_, workload)| workload.proxied);
        proxied
            .map(|(index, workload)| {
                let first = workload.pods.first().map(|pod| self.pods[pod.index()].locality.clone());
                let spec = ProxySpec {
                    name: format!("{}.{}", workload.name, workload.namespace),
                    kind: if workload.gateway { ProxyKind::Gateway } else { ProxyKind::Sidecar },
                    namespace: workload.namespace.clone(),
                    labels: workload.labels.clone(),
                    locality: first.unwrap_or_else(|| workloads::locality_of(&workload.labels)),
                    service_account: workload.service_account.clone(),
                };
                (spec, Some(WorkloadId::new(index)))
            })
            .collect()
    }
}

fn precedence(service: &Service) -> (&str, bool, &str, &str, &str) {
    (&service.host, !service.kubernetes, &service.created, &service.namespace, &service.name)
}
