//! Workloads and pods: what runs, from Deployments and their kin, single Pods, WorkloadEntries and
//! endpoints that are described beside the objects.

use std::net::Ipv4Addr;

use rustc_hash::{FxHashMap, FxHashSet};

use super::context::{Context, Item, labels};
use super::injection::{Injection, is_gateway_template};
use super::mesh::DescribedEndpoints;
use super::services::fnv1a;
use crate::diagnostic::{Code, Diagnostic};
use crate::mesh::registry::{Pod, Workload};
use crate::mesh::transport::InboundTls;
use crate::mesh::{Origin, PodId, ProxyKind, ProxySpec, WorkloadId};
use crate::resource::kubernetes::{Pod as PodObject, PodSpec, WorkloadSpec};
use crate::resource::meta::ObjectMeta;
use crate::resource::networking::WorkloadEntry;
use crate::source::Spanned;

/// Label that says whether a pod takes Istio mutual TLS.
pub(super) const TLS_MODE: &str = "security.istio.io/tlsMode";

/// Name of the container that injection adds.
const SIDECAR: &str = "istio-proxy";

/// More pods than this of one workload are not made up; nobody reads them, and a slip of the pen
/// in `replicas` would fill the memory.
const REPLICAS_MAX: i64 = 10_000;

/// A workload whose place in the mesh is not known yet.
#[derive(Debug)]
pub(super) struct Draft {
    /// Everything but the ids of its pods.
    pub(super) workload: Workload,
    /// Its pods.
    pub(super) pods: Vec<PodDraft>,
}

/// A pod whose workload has no id yet.
#[derive(Debug, Clone)]
pub(super) struct PodDraft {
    pub(super) name: String,
    /// Its address, if it is known.
    pub(super) ip: Option<String>,
    pub(super) locality: String,
    pub(super) ready: bool,
    pub(super) weight: u32,
}

/// Workloads in their final order.
#[derive(Debug, Default)]
pub(super) struct Workloads {
    pub(super) workloads: Vec<Workload>,
    pub(super) pods: Vec<Pod>,
    /// Position of every draft among `workloads`.
    pub(super) id_of_draft: Vec<WorkloadId>,
}

/// The workloads of the input's objects.
pub(super) fn drafts(cx: &Context<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Draft> {
    let injection = Injection::new(cx);
    let managers = Managers::new(cx);
    let mut drafts = Vec::new();
    let kinds = [&cx.deployments, &cx.stateful_sets, &cx.daemon_sets, &cx.replica_sets, &cx.jobs];
    for item in kinds.into_iter().flatten().filter(|item| !managers.manage(item.object)) {
        drafts.push(from_template(&injection, item, diagnostics));
    }
    drafts.extend(from_pods(cx, &injection, &managers));
    drafts.extend(cx.workload_entries.iter().map(from_entry));
    drafts
}

/// The objects of the input that make pods themselves. What they manage is not counted again: an
/// export of a cluster holds a Deployment, its ReplicaSets and their Pods.
struct Managers<'a>(FxHashSet<(&'a str, &'a str, &'a str)>);

impl<'a> Managers<'a> {
    fn new(cx: &'a Context<'_>) -> Self {
        let kinds = [&cx.deployments, &cx.stateful_sets, &cx.daemon_sets, &cx.replica_sets, &cx.jobs];
        let key = |item: &'a Item<'_, WorkloadSpec>| {
            (item.object.body.kind(), item.object.namespace.as_str(), item.object.name.as_str())
        };
        Managers(kinds.into_iter().flatten().map(key).collect())
    }

    fn manage(&self, object: &crate::resource::Object) -> bool {
        let Some((kind, name)) = owner(&object.meta) else { return false };
        let namespace = object.namespace.as_str();
        let deployment = (kind == "ReplicaSet").then(|| deployment_of(name)).flatten();
        self.0.contains(&(kind, namespace, name))
            || deployment.is_some_and(|name| self.0.contains(&("Deployment", namespace, name)))
    }
}

fn owner(meta: &ObjectMeta) -> Option<(&str, &str)> {
    let owners = &meta.owner_references;
    let owner = owners.iter().find(|o| o.controller == Some(true)).or(owners.first())?;
    Some((owner.kind.as_ref()?.value.as_str(), owner.name.as_ref()?.value.as_str()))
}

/// The Deployment behind a ReplicaSet, whose name is the Deployment's and a hash.
fn deployment_of(replica_set: &str) -> Option<&str> {
    replica_set.rsplit_once('-').map(|(name, _)| name)
}

fn text(field: Option<&Spanned<String>>) -> Option<&str> {
    field.map(|f| f.value.as_str()).filter(|f| !f.is_empty())
}

/// The facts that a pod's metadata and `spec` give about its workload.
fn workload(
    kind: &str,
    name: &str,
    namespace: &str,
    (meta, spec): (&ObjectMeta, &PodSpec),
    injection: &Injection,
    origin: Origin,
) -> Workload {
    let gateway = is_gateway_template(meta);
    // A pod may bring its sidecar along (`istioctl kube-inject`).
    let brings_sidecar = spec.containers.iter().chain(&spec.init_containers).any(|c| text(c.name.as_ref()) == Some(SIDECAR));
    let proxied = gateway || brings_sidecar || injection.applies(namespace, meta, spec.host_network == Some(true));
    let mutual_tls = meta.labels.get(TLS_MODE).map_or(proxied, |mode| mode.value == "istio");
    let account = text(spec.service_account_name.as_ref()).or_else(|| text(spec.service_account.as_ref()));
    let ports = spec.containers.iter().chain(&spec.init_containers).flat_map(|container| &container.ports);
    Workload {
        kind: kind.to_owned(),
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        labels: labels(&meta.labels),
        service_account: account.unwrap_or("default").to_owned(),
        proxied,
        gateway,
        mutual_tls,
        inbound_tls: InboundTls::default(),
        ports: ports
            .filter_map(|port| {
                let number = u16::try_from(port.container_port.as_ref()?.value).ok()?;
                Some((text(port.name.as_ref()).unwrap_or_default().to_owned(), number))
            })
            .collect(),
        pods: Vec::new(),
        origin,
    }
}

fn from_template(injection: &Injection, item: &Item<'_, WorkloadSpec>, diagnostics: &mut Vec<Diagnostic>) -> Draft {
    let (object, spec) = (item.object, item.spec);
    let (kind, pod) = (object.body.kind(), (&spec.template.metadata, &spec.template.spec));
    let workload = workload(kind, &object.name, &object.namespace, pod, injection, item.origin(object.span));
    let wanted = match kind {
        "DaemonSet" => None,
        "Job" => spec.parallelism.as_ref(),
        _ => spec.replicas.as_ref(),
    };
    let replicas = wanted.map_or(1, |count| count.value.clamp(0, REPLICAS_MAX));
    if let Some(count) = wanted.filter(|count| count.value > REPLICAS_MAX) {
        diagnostics.push(
            Diagnostic::new(Code::NotModelled, format!("{} replicas are simulated as {REPLICAS_MAX}", count.value))
                .at(count.span)
                .about(object.reference()),
        );
    }
    let locality = locality_of(&workload.labels);
    let pods = (0..replicas).map(|ordinal| PodDraft::ready(format!("{}-{ordinal}", object.name), locality.clone()));
    Draft { pods: pods.collect(), workload }
}

impl PodDraft {
    pub(super) fn ready(name: String, locality: String) -> Self {
        PodDraft { name, ip: None, locality, ready: true, weight: 1 }
    }
}

fn from_pods(cx: &Context<'_>, injection: &Injection, managers: &Managers<'_>) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = Vec::new();
    let mut by_owner: FxHashMap<(String, String, String), usize> = FxHashMap::default();
    for item in cx.pods.iter().filter(|item| !managers.manage(item.object)) {
        let object = item.object;
        let (kind, name) = match owner(&object.meta) {
            Some(("ReplicaSet", replica_set)) => ("Deployment", deployment_of(replica_set).unwrap_or(replica_set)),
            Some(owner) => owner,
            None => ("Pod", object.name.as_str()),
        };
        let key = (kind.to_owned(), object.namespace.clone(), name.to_owned());
        let index = *by_owner.entry(key).or_insert_with(|| {
            let pod = (&object.meta, &item.spec.spec);
            let workload = workload(kind, name, &object.namespace, pod, injection, item.origin(object.span));
            drafts.push(Draft { workload, pods: Vec::new() });
            drafts.len() - 1
        });
        drafts[index].pods.push(pod(item));
    }
    drafts
}

fn pod(item: &Item<'_, PodObject>) -> PodDraft {
    let status = &item.spec.status;
    let ready = match status.conditions.iter().find(|c| text(c.kind.as_ref()) == Some("Ready")) {
        Some(condition) => text(condition.status.as_ref()) == Some("True"),
        // A Pod as its author writes it has no status yet; it is meant to run.
        None => matches!(text(status.phase.as_ref()), None | Some("Running")),
    };
    PodDraft {
        name: item.object.name.clone(),
        ip: text(status.pod_ip.as_ref()).map(str::to_owned),
        locality: locality_of(&labels(&item.object.meta.labels)),
        ready,
        weight: 1,
    }
}

fn from_entry(item: &Item<'_, WorkloadEntry>) -> Draft {
    let (object, spec) = (item.object, item.spec);
    // The object's own labels come before those that it writes out.
    let mut labels = labels(&object.meta.labels);
    for (key, value) in self::labels(&spec.labels) {
        if labels.iter().all(|(known, _)| *known != key) {
            labels.push((key, value));
        }
    }
    labels.sort();
    let account = text(spec.service_account.as_ref());
    let mutual_tls = match labels.iter().find(|(key, _)| key == TLS_MODE) {
        Some((_, mode)) => mode == "istio",
        None => account.is_some(),
    };
    let pod = PodDraft {
        name: object.name.clone(),
        ip: text(spec.address.as_ref()).map(str::to_owned),
        locality: text(spec.locality.as_ref()).map_or_else(|| locality_of(&labels), str::to_owned),
        ready: true,
        weight: weight_of(spec),
    };
    let workload = Workload {
        kind: "WorkloadEntry".to_owned(),
        name: object.name.clone(),
        namespace: object.namespace.clone(),
        labels,
        service_account: account.unwrap_or("default").to_owned(),
        proxied: mutual_tls,
        gateway: false,
        mutual_tls,
        inbound_tls: InboundTls::default(),
        ports: entry_ports(spec),
        pods: Vec::new(),
        origin: item.origin(object.span),
    };
    Draft { workload, pods: vec![pod] }
}

/// The weight of a WorkloadEntry or of an endpoint of a ServiceEntry; 0 counts as absent.
pub(super) fn weight_of(entry: &WorkloadEntry) -> u32 {
    entry.weight.as_ref().and_then(|w| u32::try_from(w.value).ok()).filter(|w| *w > 0).unwrap_or(1)
}

/// The ports of a WorkloadEntry or of an endpoint of a ServiceEntry.
pub(super) fn entry_ports(entry: &WorkloadEntry) -> Vec<(String, u16)> {
    let port = |(name, number): (&str, &Spanned<i64>)| Some((name.to_owned(), u16::try_from(number.value).ok()?));
    entry.ports.iter().filter_map(port).collect()
}

/// The locality that labels give: Kubernetes' topology labels, or Istio's own.
pub(super) fn locality_of(labels: &[(String, String)]) -> String {
    let get = |key: &str| labels.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
    if let Some(own) = get("istio-locality") {
        return own.replace('.', "/");
    }
    let region = get("topology.kubernetes.io/region").or_else(|| get("failure-domain.beta.kubernetes.io/region"));
    let zone = get("topology.kubernetes.io/zone").or_else(|| get("failure-domain.beta.kubernetes.io/zone"));
    match (region, zone, get("topology.istio.io/subzone")) {
        (None, None, _) => String::new(),
        (region, None, None) => region.unwrap_or_default().to_owned(),
        (region, zone, None) => format!("{}/{}", region.unwrap_or_default(), zone.unwrap_or_default()),
        (region, zone, Some(subzone)) => {
            format!("{}/{}/{subzone}", region.unwrap_or_default(), zone.unwrap_or_default())
        }
    }
}

/// The pods behind described endpoints. Entries that differ only in their port, or only in the
/// service, are the same pods; the result gives the position of each entry's draft.
pub(super) fn from_description(described: &[DescribedEndpoints], drafts: &mut Vec<Draft>) -> Vec<usize> {
    let mut known: Vec<(&DescribedEndpoints, usize)> = Vec::new();
    let mut positions = Vec::new();
    for entry in described {
        let same = known.iter().find(|(other, _)| is_same_pods(other, entry));
        let position = same.map_or(drafts.len(), |(_, position)| *position);
        if position == drafts.len() {
            drafts.push(described_draft(entry, known.len()));
            known.push((entry, position));
        }
        positions.push(position);
    }
    positions
}

fn is_same_pods(a: &DescribedEndpoints, b: &DescribedEndpoints) -> bool {
    let key = |e: &DescribedEndpoints| (e.service.clone(), e.labels.clone(), e.count, e.locality.clone(), e.ready, e.ips.clone());
    key(a) == key(b)
}

fn described_draft(entry: &DescribedEndpoints, ordinal: usize) -> Draft {
    let mut parts = entry.service.splitn(3, '.');
    let (service, namespace) = (parts.next().unwrap_or_default(), parts.next().unwrap_or("default"));
    let version = entry.labels.iter().find(|(key, _)| key == "version").map(|(_, value)| value.as_str());
    let name = format!("{service}-{}-{ordinal}", version.unwrap_or("pods"));
    let mut labels = entry.labels.clone();
    labels.sort();
    let mutual_tls = labels.iter().any(|(key, value)| key == TLS_MODE && value == "istio");
    let locality = if entry.locality.is_empty() { locality_of(&labels) } else { entry.locality.clone() };
    let pods = (0..entry.count).map(|pod| PodDraft {
        name: format!("{name}-{pod}"),
        ip: entry.ips.get(pod as usize).cloned(),
        locality: locality.clone(),
        ready: entry.ready,
        weight: 1,
    });
    Draft {
        pods: pods.collect(),
        workload: Workload {
            kind: "Pod".to_owned(),
            name,
            namespace: namespace.to_owned(),
            labels,
            service_account: "default".to_owned(),
            proxied: mutual_tls,
            gateway: false,
            mutual_tls,
            inbound_tls: InboundTls::default(),
            ports: vec![(String::new(), entry.port)],
            pods: Vec::new(),
            origin: Origin::default(),
        },
    }
}

/// The pod of a gateway that was described as a proxy, so that Services may select it.
pub(super) fn from_gateway_proxy(spec: &ProxySpec) -> Option<Draft> {
    if spec.kind != ProxyKind::Gateway {
        return None;
    }
    let mutual_tls = spec.labels.iter().any(|(key, value)| key == TLS_MODE && value == "istio");
    Some(Draft {
        pods: vec![PodDraft::ready(format!("{}-0", spec.name), spec.locality.clone())],
        workload: Workload {
            kind: "Pod".to_owned(),
            name: spec.name.clone(),
            namespace: spec.namespace.clone(),
            labels: spec.labels.clone(),
            service_account: spec.service_account.clone(),
            proxied: true,
            gateway: true,
            mutual_tls,
            inbound_tls: InboundTls::default(),
            ports: Vec::new(),
            pods: Vec::new(),
            origin: Origin::default(),
        },
    })
}

/// Sorts the workloads, numbers their pods and gives addresses to those that have none. Pods that are
/// not ready may be told by namespace and name.
pub(super) fn settle(drafts: Vec<Draft>, unready: &[(String, String)]) -> Workloads {
    let mut order: Vec<usize> = (0..drafts.len()).collect();
    let key = |index: &usize| {
        let workload = &drafts[*index].workload;
        (workload.namespace.as_str(), workload.name.as_str(), workload.kind.as_str(), *index)
    };
    order.sort_by(|a, b| key(a).cmp(&key(b)));
    let mut result = Workloads { id_of_draft: vec![WorkloadId::new(0); drafts.len()], ..Workloads::default() };
    let mut taken: FxHashSet<u32> = FxHashSet::default();
    let mut drafts: Vec<Option<Draft>> = drafts.into_iter().map(Some).collect();
    for index in order {
        let Some(Draft { mut workload, pods }) = drafts[index].take() else { continue };
        let id = WorkloadId::new(result.workloads.len());
        result.id_of_draft[index] = id;
        for pod in pods {
            let ip = pod.ip.unwrap_or_else(|| made_up_address(&format!("{}/{}", workload.namespace, pod.name), &mut taken));
            workload.pods.push(PodId::new(result.pods.len()));
            let (name, locality) = (pod.name, pod.locality);
            let ready = pod.ready && !unready.iter().any(|(namespace, of)| *namespace == workload.namespace && *of == name);
            result.pods.push(Pod { name, workload: id, ip, locality, ready, weight: pod.weight });
        }
        result.workloads.push(workload);
    }
    result
}

/// An address in 100.64.0.0/10 that depends on the pod's name and hardly on other pods: hash
/// balancers hash addresses, and a pod that stays should keep its place on the ring.
fn made_up_address(name: &str, taken: &mut FxHashSet<u32>) -> String {
    const HOSTS: u32 = 1 << 22;
    let first = fnv1a(name.as_bytes()) % HOSTS;
    let free = (0..HOSTS).map(|step| (first + step) % HOSTS).find(|host| *host != 0 && taken.insert(*host));
    let network = u32::from(Ipv4Addr::new(100, 64, 0, 0));
    Ipv4Addr::from(network | free.unwrap_or(first)).to_string()
}

#[cfg(test)]
mod tests {
    use crate::mesh::ProxyKind;
    use crate::mesh::compile::testing::{compiled, described, pods, proxy};

    const EXPORT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {serviceAccountName: web, containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: web-5d4f, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: x}]}
spec: {replicas: 2, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: web-5d4f-abc, labels: {app: web}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-5d4f, uid: x}]}
spec: {containers: [{name: c}]}
---
apiVersion: v1
kind: Pod
metadata: {name: gone-7c-1, labels: {app: gone}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: gone-7c, uid: x}]}
spec: {containers: [{name: c}]}
status: {podIP: 10.1.2.3, phase: Running, conditions: [{type: Ready, status: 'False'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: gone-7c-2, labels: {app: gone}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: gone-7c, uid: x}]}
spec: {containers: [{name: c}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: idle}
spec: {replicas: 0, selector: {matchLabels: {app: idle}}, template: {metadata: {labels: {app: idle}}, spec: {containers: [{name: c}]}}}
";

    #[test]
    fn what_a_deployment_manages_is_not_counted_again() {
        let (mesh, _) = compiled(EXPORT);
        let row = |w: &crate::mesh::registry::Workload| {
            let names: Vec<&str> = w.pods.iter().map(|pod| mesh.pods[pod.index()].name.as_str()).collect();
            format!("{} {}: {}", w.kind, w.name, names.join(" "))
        };
        let rows: Vec<String> = mesh.workloads.iter().map(row).collect();
        assert_eq!(rows, ["Deployment gone: gone-7c-1 gone-7c-2", "StatefulSet idle: ", "Deployment web: web-0 web-1"]);
        let unready = mesh.pods.iter().find(|pod| pod.name == "gone-7c-1").unwrap();
        assert_eq!((unready.ip.as_str(), unready.ready), ("10.1.2.3", false));
        assert_eq!(mesh.workloads[2].service_account, "web");
        assert_eq!(mesh.workloads[2].ports, [("http".to_owned(), 8080)]);
    }

    #[test]
    fn entries_that_differ_only_in_port_are_the_same_pods() {
        let yaml = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}, {name: http-x, port: 81, targetPort: 8081}]}
";
        let endpoints = vec![pods("web.default", "app=web", 2, 8080), pods("web.default", "app=web", 2, 8081)];
        let mesh = described(yaml, vec![proxy(ProxyKind::Sidecar, "client", "default", "")], endpoints);
        assert_eq!(mesh.pods.len(), 2);
        let ports = |cluster: &str| -> Vec<u16> {
            mesh.proxies[0].clusters.named(cluster).unwrap().endpoints().map(|endpoint| endpoint.port).collect()
        };
        assert_eq!(ports("outbound|80||web.default.svc.cluster.local"), [8080, 8080]);
        assert_eq!(ports("outbound|81||web.default.svc.cluster.local"), [8081, 8081]);
    }

    #[test]
    fn absurd_replicas_are_limited_and_reported() {
        let (mesh, findings) = compiled(&EXPORT.replace("replicas: 2", "replicas: 2000000000"));
        assert!(mesh.pods.len() <= 10_002);
        assert!(findings.iter().any(|f| f.message.contains("2000000000 replicas")));
    }
}
