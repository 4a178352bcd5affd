//! Compiles YAML for the tests of the passes.

use super::mesh::{CompileOptions, DescribedEndpoints, Mesh, ProxySelection, compile};
use crate::diagnostic::{Code, Diagnostic};
use crate::mesh::cluster::Cluster;
use crate::mesh::proxy::ChainTarget;
use crate::mesh::route::{Action, Route};
use crate::mesh::{Proxy, ProxyKind, ProxySpec};
use crate::resource::{Objects, decode};
use crate::source::Sources;
use crate::yaml::{Limits, parse};

/// The objects of a text, without the findings of reading.
pub(super) fn objects(yaml: &str) -> Objects {
    let mut sources = Sources::new();
    let file = sources.add("test.yaml", yaml);
    let (documents, findings) = parse(&sources, file, Limits::default());
    assert!(findings.is_empty(), "{findings:?}");
    decode(&documents, "default").0
}

/// The mesh of a text with the proxies of its workloads.
pub(super) fn compiled(yaml: &str) -> (Mesh, Vec<Diagnostic>) {
    compile(&objects(yaml), &CompileOptions::default())
}

/// A proxy that is only described; labels are `key=value` separated by blanks.
pub(super) fn proxy(kind: ProxyKind, name: &str, namespace: &str, labels: &str) -> ProxySpec {
    let mut labels: Vec<(String, String)> =
        labels.split_whitespace().filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    labels.sort();
    let locality = super::workloads::locality_of(&labels);
    let (name, namespace) = (name.to_owned(), namespace.to_owned());
    ProxySpec { name, kind, namespace, labels, locality, service_account: String::new() }
}

/// Described pods of a service; labels as for [`proxy`].
pub(super) fn pods(service: &str, labels: &str, count: u32, port: u16) -> DescribedEndpoints {
    let ProxySpec { labels, locality, .. } = proxy(ProxyKind::Sidecar, "", "", labels);
    DescribedEndpoints { service: service.to_owned(), labels, count, port, locality, ready: true, ips: Vec::new() }
}

/// The mesh of a text with described proxies and endpoints.
pub(super) fn described(yaml: &str, proxies: Vec<ProxySpec>, endpoints: Vec<DescribedEndpoints>) -> Mesh {
    let options = CompileOptions { proxies: ProxySelection::Described(proxies), endpoints, ..CompileOptions::default() };
    compile(&objects(yaml), &options).0
}

/// The codes of findings.
pub(super) fn codes(findings: &[Diagnostic]) -> Vec<Code> {
    findings.iter().map(|finding| finding.code).collect()
}

/// A cluster that must exist.
pub(super) fn cluster<'m>(proxy: &'m Proxy, name: &str) -> &'m Cluster {
    let known = || proxy.clusters.iter().map(|cluster| cluster.name.as_str()).collect::<Vec<_>>();
    proxy.clusters.named(name).unwrap_or_else(|| panic!("no cluster {name} among {:?}", known()))
}

/// Endpoints of a cluster as `locality#priority*weight: address…`, addresses by the names of their pods.
pub(super) fn places(mesh: &Mesh, cluster: &Cluster) -> Vec<String> {
    let name = |endpoint: &crate::mesh::cluster::Endpoint| match endpoint.pod {
        Some(pod) => format!("{}:{}", mesh.pods[pod.index()].name, endpoint.port),
        None => endpoint.address.clone(),
    };
    let groups = cluster.localities.iter().map(|group| {
        let endpoints: Vec<String> = group.endpoints.iter().map(name).collect();
        format!("{}#{}*{}: {}", group.locality, group.priority, group.weight, endpoints.join(" "))
    });
    groups.collect()
}

/// What a route does, in one word: its clusters with weights, or its answer.
pub(super) fn action(route: &Route) -> String {
    match &route.action {
        Action::Forward(forward) => match forward.legs.all() {
            [only] => only.cluster.name.clone(),
            legs => legs.iter().map(|leg| format!("{}*{}", leg.weight, leg.cluster.name)).collect::<Vec<_>>().join("+"),
        },
        Action::Redirect(redirect) => format!("redirect {}", redirect.status),
        Action::Direct(direct) => format!("direct {}", direct.status),
    }
}

/// The virtual hosts of a route table as `name: action, action`.
pub(super) fn virtual_hosts(proxy: &Proxy, table: &str) -> Vec<String> {
    let known = || proxy.route_tables.iter().map(|table| table.name.as_str()).collect::<Vec<_>>();
    let found = proxy.route_tables.iter().find(|known| known.name == table);
    let table = found.unwrap_or_else(|| panic!("no route table {table} among {:?}", known()));
    let host = |host: &crate::mesh::route::VirtualHost| {
        format!("{}: {}", host.name, host.routes.iter().map(action).collect::<Vec<_>>().join(", "))
    };
    table.virtual_hosts.iter().map(host).collect()
}

/// The filter chains of a listener as `server names|networks|protocols -> target`.
pub(super) fn chains(proxy: &Proxy, listener: &str) -> Vec<String> {
    let known = || proxy.listeners.iter().map(|listener| listener.name.as_str()).collect::<Vec<_>>();
    let found = proxy.listeners.iter().find(|known| known.name == listener);
    let listener = found.unwrap_or_else(|| panic!("no listener {listener} among {:?}", known()));
    let chain = |chain: &crate::mesh::proxy::FilterChain| {
        let target = match &chain.target {
            ChainTarget::Http(table) => format!("table {}", proxy.route_tables[table.index()].name),
            ChainTarget::Tcp(tcp) => match tcp.legs.as_slice() {
                [(cluster, _, _)] => cluster.name.clone(),
                legs => legs.iter().map(|(c, weight, _)| format!("{weight}*{}", c.name)).collect::<Vec<_>>().join("+"),
            },
        };
        let matcher = &chain.matcher;
        let lists = [&matcher.server_names, &matcher.destination_subnets, &matcher.application_protocols];
        format!("{} -> {target}", lists.map(|list| list.join(",")).join("|"))
    };
    listener.chains.iter().map(chain).collect()
}
