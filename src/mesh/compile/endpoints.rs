//! The endpoints of every service port, before any client's policy looks at them.

use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::context::{Context, labels, selects};
use super::registry::Registry;
use super::workloads::{TLS_MODE, entry_ports, locality_of, weight_of};
use crate::mesh::registry::{Resolution, Service, ServicePort, TargetPort};
use crate::mesh::{PodId, ServiceId, WorkloadId};
use crate::resource::kubernetes::EndpointPort;
use crate::resource::networking::WorkloadEntry;
use crate::source::Spanned;

/// Label that an EndpointSlice says its service by.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// How the path of a socket starts.
const UNIX: &str = "unix://";

/// Labels that every endpoint has of its locality, in the order region, zone, subzone.
pub(super) const LOCALITY_LABELS: [&str; 3] =
    ["topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"];

/// One endpoint of a service port.
#[derive(Debug, Clone)]
pub(super) struct RegistryEndpoint {
    /// Address or DNS name, without port.
    pub(super) address: String,
    /// Port.
    pub(super) port: u16,
    /// The pod behind it, if it is known.
    pub(super) pod: Option<PodId>,
    /// Labels, those of the locality included; sorted by key.
    pub(super) labels: Arc<[(String, String)]>,
    /// Namespace that policies find it in.
    pub(super) namespace: String,
    /// `region/zone/subzone`, empty if unknown.
    pub(super) locality: String,
    /// Weight.
    pub(super) weight: u32,
    /// Whether it is ready.
    pub(super) ready: bool,
    /// Whether it takes Istio mutual TLS as far as its pod is concerned.
    pub(super) mutual_tls: bool,
}

impl RegistryEndpoint {
    /// Whether it has an address (or a socket's path) instead of a name that DNS resolves.
    pub(super) fn has_address(&self) -> bool {
        self.address.starts_with(UNIX) || self.address.parse::<IpAddr>().is_ok()
    }
}

/// The endpoints of all services.
#[derive(Debug)]
pub(in crate::mesh) struct Endpoints {
    /// By service and position of the port.
    by_port: Vec<Vec<Vec<RegistryEndpoint>>>,
}

impl Endpoints {
    /// Finds the endpoints of every service.
    pub(in crate::mesh) fn new(cx: &Context<'_>, registry: &Registry) -> Self {
        let finder = Finder::new(cx, registry);
        Endpoints { by_port: (0..registry.services.len()).map(|index| finder.of_service(ServiceId::new(index))).collect() }
    }

    /// The endpoints of a port by its name. All services of one host and namespace share them:
    /// several ServiceEntries may each give some.
    pub(super) fn of_port<'e>(
        &'e self,
        registry: &'e Registry,
        service: &'e Service,
        port_name: &'e str,
    ) -> impl Iterator<Item = &'e RegistryEndpoint> {
        let of_namespace = |id: &&ServiceId| registry.service(**id).namespace == service.namespace;
        registry.of_host(&service.host).iter().filter(of_namespace).flat_map(move |id| {
            let ports = registry.service(*id).ports.iter().zip(&self.by_port[id.index()]);
            ports.filter(move |(port, _)| port.name == port_name).flat_map(|(_, endpoints)| endpoints)
        })
    }

    /// The endpoints of one service as it stands in the registry, by position of the port.
    pub(super) fn of_service(&self, id: ServiceId) -> &[Vec<RegistryEndpoint>] {
        &self.by_port[id.index()]
    }
}

/// What finding endpoints looks things up in.
struct Finder<'a> {
    cx: &'a Context<'a>,
    registry: &'a Registry,
    /// Labels of each workload's endpoints.
    labels: Vec<Arc<[(String, String)]>>,
    described: FxHashMap<ServiceId, Vec<usize>>,
    described_workloads: FxHashSet<WorkloadId>,
    pod_of_address: FxHashMap<&'a str, PodId>,
    slices: FxHashMap<(&'a str, &'a str), Vec<usize>>,
}

impl<'a> Finder<'a> {
    fn new(cx: &'a Context<'a>, registry: &'a Registry) -> Self {
        let mut described: FxHashMap<ServiceId, Vec<usize>> = FxHashMap::default();
        for (index, entry) in cx.options.endpoints.iter().enumerate() {
            if let Some(service) = described_service(registry, &entry.service) {
                described.entry(service).or_default().push(index);
            }
        }
        let mut slices: FxHashMap<(&str, &str), Vec<usize>> = FxHashMap::default();
        for (index, item) in cx.endpoint_slices.iter().enumerate() {
            if let Some(service) = item.object.meta.labels.get(SERVICE_NAME) {
                slices.entry((item.object.namespace.as_str(), service.value.as_str())).or_default().push(index);
            }
        }
        let labels = registry.workloads.iter().map(|workload| {
            let locality = workload.pods.first().map_or("", |pod| registry.pods[pod.index()].locality.as_str());
            with_locality(workload.labels.clone(), locality)
        });
        Finder {
            cx,
            registry,
            labels: labels.collect(),
            described,
            described_workloads: registry.described.iter().copied().collect(),
            pod_of_address: registry.pods.iter().enumerate().map(|(i, pod)| (pod.ip.as_str(), PodId::new(i))).collect(),
            slices,
        }
    }

    fn of_service(&self, id: ServiceId) -> Vec<Vec<RegistryEndpoint>> {
        let service = self.registry.service(id);
        if service.resolution == Resolution::Alias {
            return vec![Vec::new(); service.ports.len()];
        }
        let described = self.described.get(&id).map_or(&[][..], Vec::as_slice);
        let selected = self.selected(service);
        let of_port = |port: &ServicePort| {
            let mut endpoints = self.of_description(service, port, described);
            endpoints.extend(selected.iter().flat_map(|workload| self.of_workload(service, port, *workload)));
            if !described.is_empty() {
                return endpoints;
            }
            if endpoints.is_empty() && service.kubernetes {
                endpoints = self.of_objects(service, port);
            }
            if !service.kubernetes && service.selector.is_empty() {
                endpoints = self.of_entry(service, port);
            }
            let once = endpoints.len();
            endpoints.into_iter().cycle().take(once * times(service)).collect()
        };
        service.ports.iter().map(of_port).collect()
    }

    /// The workloads that a service selects. Beside what is described for a service of Kubernetes,
    /// no pod is its endpoint; a Service whose clients are told addresses selects WorkloadEntries too
    /// (Istio: `PILOT_ENABLE_K8S_SELECT_WORKLOAD_ENTRIES`).
    fn selected(&self, service: &Service) -> Vec<WorkloadId> {
        if service.selector.is_empty() {
            return Vec::new();
        }
        let candidates = self.registry.in_namespace(&service.namespace).iter().copied();
        candidates
            .filter(|id| {
                let workload = self.registry.workload(*id);
                let is_kind = match (service.kubernetes, workload.kind.as_str()) {
                    (true, "WorkloadEntry") => service.resolution == Resolution::ClientSide,
                    (true, _) => !self.described_workloads.contains(id),
                    (false, _) => true,
                };
                is_kind && selects(&service.selector, &workload.labels)
            })
            .collect()
    }

    fn of_workload(&self, service: &Service, port: &ServicePort, workload: WorkloadId) -> Vec<RegistryEndpoint> {
        let workload_object = self.registry.workload(workload);
        // Only a pod's own containers say nothing of the names of service ports.
        let by_port_name = !service.kubernetes || workload_object.kind == "WorkloadEntry";
        let number = target_number(port, by_port_name, &workload_object.ports);
        number.map(|number| self.pods_of(service, workload, number)).unwrap_or_default()
    }

    fn of_description(&self, service: &Service, port: &ServicePort, entries: &[usize]) -> Vec<RegistryEndpoint> {
        let described = entries.iter().filter(|index| {
            let target = self.cx.options.endpoints[**index].port;
            match &port.target {
                TargetPort::Number(number) => *number == target,
                // A described pod declares no container ports; its port is the one that is meant.
                TargetPort::Name(_) => service.ports.iter().all(|other| other.target != TargetPort::Number(target)),
            }
        });
        described
            .flat_map(|index| self.pods_of(service, self.registry.described[*index], self.cx.options.endpoints[*index].port))
            .collect()
    }

    fn pods_of(&self, service: &Service, workload: WorkloadId, port: u16) -> Vec<RegistryEndpoint> {
        let pods = &self.registry.workload(workload).pods;
        pods.iter().map(|pod| self.pod(*pod, port, service.publish_not_ready)).collect()
    }

    fn pod(&self, id: PodId, port: u16, always_ready: bool) -> RegistryEndpoint {
        let pod = &self.registry.pods[id.index()];
        let workload = self.registry.workload(pod.workload);
        RegistryEndpoint {
            address: pod.ip.clone(),
            port,
            pod: Some(id),
            labels: Arc::clone(&self.labels[pod.workload.index()]),
            namespace: workload.namespace.clone(),
            locality: pod.locality.clone(),
            weight: pod.weight,
            ready: pod.ready || always_ready,
            mutual_tls: workload.mutual_tls,
        }
    }

    /// The endpoints that Endpoints and EndpointSlices give a Service that selects no pod.
    fn of_objects(&self, service: &Service, port: &ServicePort) -> Vec<RegistryEndpoint> {
        let mut found = Vec::new();
        let key = (service.namespace.as_str(), service.name.as_str());
        for item in self.slices.get(&key).into_iter().flatten().map(|index| &self.cx.endpoint_slices[*index]) {
            let Some(number) = port_of_object(&item.spec.ports, &port.name) else { continue };
            for endpoint in &item.spec.endpoints {
                let terminating = endpoint.conditions.terminating == Some(true);
                let ready = endpoint.conditions.ready != Some(false) || service.publish_not_ready;
                let zone = endpoint.zone.as_ref().map_or(String::new(), |zone| format!("/{}", zone.value));
                let addresses = endpoint.addresses.iter().filter(|_| !terminating);
                found.extend(addresses.map(|address| self.address(service, &address.value, number, ready, &zone)));
            }
        }
        if !found.is_empty() {
            return found;
        }
        let own = |object: &crate::resource::Object| (object.namespace.as_str(), object.name.as_str()) == key;
        for subset in self.cx.endpoints.iter().filter(|item| own(item.object)).flat_map(|item| &item.spec.subsets) {
            let Some(number) = port_of_object(&subset.ports, &port.name) else { continue };
            let ready = subset.addresses.iter().map(|address| (address, true));
            let unready = subset.not_ready_addresses.iter().map(|address| (address, service.publish_not_ready));
            for (address, ready) in ready.chain(unready) {
                let ip = address.ip.as_ref().map_or("", |ip| ip.value.as_str());
                found.push(self.address(service, ip, number, ready, ""));
            }
        }
        found
    }

    fn address(&self, service: &Service, ip: &str, port: u16, ready: bool, locality: &str) -> RegistryEndpoint {
        if let Some(pod) = self.pod_of_address.get(ip) {
            return RegistryEndpoint { ready, ..self.pod(*pod, port, false) };
        }
        RegistryEndpoint {
            address: ip.to_owned(),
            port,
            pod: None,
            labels: with_locality(Vec::new(), locality),
            namespace: service.namespace.clone(),
            locality: locality.to_owned(),
            weight: 1,
            ready,
            mutual_tls: false,
        }
    }

    /// The endpoints that a ServiceEntry writes out; one that is resolved by DNS and writes none is
    /// its own endpoint.
    fn of_entry(&self, service: &Service, port: &ServicePort) -> Vec<RegistryEndpoint> {
        let Some(object) = service.origin.object else { return Vec::new() };
        let item = self.cx.service_entries.iter().find(|item| item.id == object);
        let Some(item) = item.filter(|_| service.resolution != Resolution::Passthrough) else { return Vec::new() };
        let is_dns = matches!(service.resolution, Resolution::Dns | Resolution::DnsRoundRobin);
        if item.spec.endpoints.is_empty() && is_dns {
            let entry = WorkloadEntry::default();
            return vec![self.entry(service, port, &entry, &service.host)];
        }
        let address = |entry: &'a WorkloadEntry| entry.address.as_ref().map_or("", |address| address.value.as_str());
        item.spec.endpoints.iter().map(|entry| self.entry(service, port, entry, address(entry))).collect()
    }

    fn entry(&self, service: &Service, port: &ServicePort, entry: &WorkloadEntry, address: &str) -> RegistryEndpoint {
        let own = labels(&entry.labels);
        let mutual_tls = match entry.labels.get(TLS_MODE) {
            Some(mode) => mode.value == "istio",
            None => entry.service_account.as_ref().is_some_and(|account| !account.value.is_empty()),
        };
        let locality = entry.locality.as_ref().map_or_else(|| locality_of(&own), |l: &Spanned<String>| l.value.clone());
        RegistryEndpoint {
            address: address.to_owned(),
            port: target_number(port, true, &entry_ports(entry)).unwrap_or(port.port),
            pod: self.pod_of_address.get(address).copied(),
            labels: with_locality(own, &locality),
            namespace: service.namespace.clone(),
            locality,
            weight: weight_of(entry),
            ready: true,
            mutual_tls,
        }
    }
}

/// How often each endpoint counts: the control plane makes one service of every address that a
/// ServiceEntry gives its host, and all of them bring the endpoints along.
fn times(service: &Service) -> usize {
    if service.kubernetes {
        return 1;
    }
    let whole = |address: &str| address.strip_suffix("/32").or(address.strip_suffix("/128")).unwrap_or(address).to_owned();
    service.addresses.iter().map(|address| whole(address.as_str())).collect::<FxHashSet<_>>().len().max(1)
}

fn described_service(registry: &Registry, name: &str) -> Option<ServiceId> {
    let by_host = registry.of_host(name).first().copied();
    by_host.or_else(|| {
        let (short, namespace) = name.split_once('.')?;
        let position = registry.services.iter().position(|s| s.kubernetes && s.name == short && s.namespace == namespace);
        position.map(ServiceId::new)
    })
}

/// The number of a target port at a workload. Where a WorkloadEntry or a ServiceEntry is involved, the
/// workload may map the *service* port's name to a number.
fn target_number(port: &ServicePort, by_port_name: bool, declared: &[(String, u16)]) -> Option<u16> {
    let of_name = |wanted: &str| declared.iter().find(|(name, _)| name == wanted).map(|(_, number)| *number);
    match &port.target {
        TargetPort::Name(name) => of_name(name),
        TargetPort::Number(number) if by_port_name => of_name(&port.name).or(Some(*number)),
        TargetPort::Number(number) => Some(*number),
    }
}

fn port_of_object(ports: &[EndpointPort], name: &str) -> Option<u16> {
    let own_name = |port: &EndpointPort| port.name.as_ref().map_or("", |n| n.value.as_str()) == name;
    let number = &ports.iter().find(|port| own_name(port))?.port;
    number.as_ref().and_then(|n| u16::try_from(n.value).ok())
}

/// Labels of an endpoint: its own, and its locality where they do not say it.
fn with_locality(mut labels: Vec<(String, String)>, locality: &str) -> Arc<[(String, String)]> {
    for (key, value) in LOCALITY_LABELS.iter().zip(locality.split('/')) {
        if !value.is_empty() && labels.iter().all(|(known, _)| known != key) {
            labels.push(((*key).to_owned(), value.to_owned()));
        }
    }
    labels.sort();
    labels.into()
}

#[cfg(test)]
mod tests {
    use crate::mesh::ProxyKind;
    use crate::mesh::compile::testing::{cluster, compiled, described, places, proxy};

    const WEB: &str = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: http}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web-v1}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web-v2}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, ports: [{name: http, containerPort: 9090}]}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: foreign, namespace: other}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c}]}}
";

    #[test]
    fn a_named_target_port_is_looked_up_in_every_pod() {
        let (mesh, _) = compiled(WEB);
        let cluster = cluster(&mesh.proxies[0], "outbound|80||web.default.svc.cluster.local");
        assert_eq!(places(&mesh, cluster), ["#0*3: web-v1-0:8080 web-v1-1:8080 web-v2-0:9090"]);
    }

    #[test]
    fn a_service_without_selector_takes_its_endpoint_objects() {
        let yaml = "
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {ports: [{name: tcp, port: 5432}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: db}
subsets: [{addresses: [{ip: 10.9.0.1}], notReadyAddresses: [{ip: 10.9.0.2}], ports: [{name: tcp, port: 5433}]}]
";
        let slice = "---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-x, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
endpoints:
- {addresses: [10.9.0.3], conditions: {ready: true}}
- {addresses: [10.9.0.4], conditions: {ready: false, terminating: true}}
ports: [{name: tcp, port: 5434}]
";
        let client = || vec![proxy(ProxyKind::Sidecar, "client", "default", "")];
        for (yaml, addresses) in
            [(yaml.to_owned(), vec!["10.9.0.1:5433", "10.9.0.2:5433"]), (format!("{yaml}{slice}"), vec!["10.9.0.3:5434"])]
        {
            let mesh = described(&yaml, client(), Vec::new());
            let cluster = cluster(&mesh.proxies[0], "outbound|5432||db.default.svc.cluster.local");
            assert_eq!(cluster.endpoints().map(|e| e.address.as_str()).collect::<Vec<_>>(), addresses);
        }
    }

    #[test]
    fn service_entries_have_the_endpoints_they_write_select_or_are() {
        let yaml = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: written}
spec:
  hosts: [written.test]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}, {number: 81, name: alt, protocol: HTTP}]
  endpoints: [{address: 192.0.2.1, ports: {alt: 8181}}, {address: 192.0.2.2, weight: 3}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: named}
spec: {hosts: [named.test], resolution: DNS, ports: [{number: 443, name: tls, protocol: TLS}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: empty}
spec: {hosts: ['*.wild.test'], ports: [{number: 80, name: http, protocol: HTTP}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: selected}
spec:
  hosts: [selected.test]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  workloadSelector: {labels: {app: vm}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm-1}
spec: {address: 192.0.2.9, labels: {app: vm}, ports: {http: 7070}, serviceAccount: vm}
";
        let mesh = described(yaml, vec![proxy(ProxyKind::Sidecar, "client", "default", "")], Vec::new());
        let client = &mesh.proxies[0];
        for (name, addresses) in [
            ("outbound|80||written.test", vec!["192.0.2.1:8080*1", "192.0.2.2:8080*3"]),
            ("outbound|81||written.test", vec!["192.0.2.1:8181*1", "192.0.2.2:81*3"]),
            ("outbound|443||named.test", vec!["named.test:443*1"]),
            ("outbound|80||*.wild.test", vec![]),
            ("outbound|80||selected.test", vec!["192.0.2.9:7070*1"]),
        ] {
            let endpoints = cluster(client, name).endpoints().map(|e| format!("{}*{}", e.address, e.weight));
            assert_eq!(endpoints.collect::<Vec<_>>(), addresses, "{name}");
        }
        assert!(cluster(client, "outbound|80||selected.test").endpoints().all(|e| e.mutual_tls));
    }

    #[test]
    fn a_described_gateway_is_a_pod_behind_the_services_that_select_it() {
        let yaml = "
apiVersion: v1
kind: Service
metadata: {name: edge, namespace: istio-system}
spec: {selector: {istio: edge}, ports: [{name: http, port: 80, targetPort: 8080}]}
";
        let proxies = vec![
            proxy(ProxyKind::Gateway, "gw", "istio-system", "istio=edge"),
            proxy(ProxyKind::Sidecar, "client", "default", "istio=edge"),
        ];
        let mesh = described(yaml, proxies, Vec::new());
        assert!(mesh.proxies[0].workload.is_some());
        let cluster = cluster(&mesh.proxies[1], "outbound|80||edge.istio-system.svc.cluster.local");
        assert_eq!(places(&mesh, cluster), ["#0*1: gw-0:8080"]);
    }
}
