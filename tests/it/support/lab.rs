//! A compiled mesh on the bench: from files of `scenarios/` or from texts, and what a request would
//! meet there.

use std::path::Path;

use meshsim::diagnostic::{Code, Diagnostic};
use meshsim::mesh::cluster::Cluster;
use meshsim::mesh::profile::Profile;
use meshsim::mesh::registry::Workload;
use meshsim::mesh::{CompileOptions, Mesh, Proxy, ProxyId, compile};
use meshsim::resource::{self, Objects};
use meshsim::routing::{Chances, Conn, Course, Dial, Request, Scheme, decide, listen};
use meshsim::source::Sources;
use meshsim::yaml::{self, Limits};

/// A compiled mesh, with what it was made from.
pub(crate) struct Lab {
    pub objects: Objects,
    pub mesh: Mesh,
    pub findings: Vec<Diagnostic>,
}

/// How a request ends at a proxy, as far as configuration says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// Status; 0 if it is forwarded or refused.
    pub status: u16,
    /// Response flags.
    pub flags: String,
    /// The cluster it goes to; empty if it goes nowhere.
    pub cluster: String,
}

impl End {
    /// The subset of the cluster.
    pub(crate) fn subset(&self) -> &str {
        self.cluster.split('|').nth(2).unwrap_or_default()
    }
}

/// The text of a file of `scenarios/`.
pub(crate) fn text_of(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Lab {
    /// From files of `scenarios/FOLDER/mesh/`, later ones replacing objects of earlier ones.
    pub(crate) fn of(istio: &str, folder: &str, files: &[&str]) -> Lab {
        let texts: Vec<String> = files.iter().map(|file| text_of(&format!("{folder}/mesh/{file}"))).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        Lab::texts(istio, &texts)
    }

    /// From texts, later ones replacing objects of earlier ones.
    pub(crate) fn texts(istio: &str, texts: &[&str]) -> Lab {
        let mut sources = Sources::new();
        let mut findings = Vec::new();
        let mut objects = Objects::default();
        for (index, text) in texts.iter().enumerate() {
            let file = sources.add(format!("{index}.yaml"), *text);
            let (documents, found) = yaml::parse(&sources, file, Limits::default());
            findings.extend(found);
            let (read, found) = resource::decode(&documents, "default");
            findings.extend(found);
            for object in read.items {
                objects.items.retain(|earlier| earlier.reference() != object.reference());
                objects.items.push(object);
            }
        }
        let options =
            CompileOptions { profile: Profile::of_version(istio).expect("a release of Istio"), ..CompileOptions::default() };
        let (mesh, found) = compile(&objects, &options);
        findings.extend(found);
        let findings = meshsim::analysis::analyze(&objects, &mesh, findings);
        Lab { objects, mesh, findings }
    }

    /// The findings of one kind.
    pub(crate) fn found(&self, code: Code) -> Vec<&Diagnostic> {
        self.findings.iter().filter(|finding| finding.code == code).collect()
    }

    /// The kinds and names of the objects, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        self.objects.items.iter().map(|object| format!("{}/{}", object.body.kind(), object.name)).collect()
    }

    /// A workload by name.
    pub(crate) fn workload(&self, name: &str) -> &Workload {
        self.mesh.workloads.iter().find(|w| w.name == name).unwrap_or_else(|| panic!("no workload {name}"))
    }

    /// The id of the proxy of a workload or gateway.
    pub(crate) fn proxy_id(&self, name: &str) -> ProxyId {
        self.mesh.proxy_named(name).unwrap_or_else(|| {
            let names: Vec<_> = self.mesh.proxies.iter().map(|p| &p.spec.name).collect();
            panic!("no proxy {name} among {names:?}")
        })
    }

    /// The proxy of a workload or gateway.
    pub(crate) fn proxy(&self, name: &str) -> &Proxy {
        &self.mesh.proxies[self.proxy_id(name).index()]
    }

    /// A cluster as a proxy has it, by port, subset and short name of the service.
    pub(crate) fn cluster(&self, proxy: &str, port: u16, subset: &str, service: &str) -> &Cluster {
        let prefix = format!("outbound|{port}|{subset}|{service}.");
        let proxy = self.proxy(proxy);
        proxy
            .clusters
            .iter()
            .find(|c| c.name.starts_with(&prefix))
            .unwrap_or_else(|| panic!("no {prefix} among {:?}", proxy.clusters.iter().map(|c| &c.name).collect::<Vec<_>>()))
    }

    /// The names of the pods of a cluster.
    pub(crate) fn pods(&self, cluster: &Cluster) -> Vec<&str> {
        cluster.endpoints().filter_map(|e| e.pod).map(|pod| self.mesh.pods[pod.index()].name.as_str()).collect()
    }

    /// What becomes of a GET of `url` at a proxy, with all chances at zero.
    pub(crate) fn get(&self, proxy: &str, url: &str, headers: &[(&str, &str)]) -> End {
        self.send(proxy, "GET", url, headers)
    }

    /// What becomes of a request at a proxy, with all chances at zero.
    pub(crate) fn send(&self, proxy: &str, method: &str, url: &str, headers: &[(&str, &str)]) -> End {
        self.on_port(proxy, method, port_of(split(url).0), url, headers)
    }

    /// What becomes of a GET on a connection to a port that the URL need not name.
    pub(crate) fn get_on(&self, proxy: &str, port: u16, url: &str, headers: &[(&str, &str)]) -> End {
        self.on_port(proxy, "GET", port, url, headers)
    }

    fn on_port(&self, proxy: &str, method: &str, port: u16, url: &str, headers: &[(&str, &str)]) -> End {
        let (authority, path) = split(url);
        let request = Request {
            method: method.to_owned(),
            scheme: Scheme::Http,
            authority: authority.to_owned(),
            path: path.to_owned(),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        };
        let dial = Dial::http(port);
        let chances = Chances { stream: 0, delay: 0, abort: 0 };
        let id = self.proxy_id(proxy);
        let Some(decision) = decide(&self.mesh, id, &dial, &request, chances) else {
            return End { status: 0, flags: String::new(), cluster: String::new() };
        };
        let flags = decision.flags(&self.mesh.profile).iter().map(|flag| flag.code()).collect::<Vec<_>>().join(",");
        let cluster = |c: meshsim::mesh::ClusterId| self.mesh.proxies[id.index()].clusters[c].name.clone();
        let (status, cluster) = match decision.course {
            Course::Forward(id) => (0, cluster(id)),
            Course::NoEndpoint(id) => (503, cluster(id)),
            Course::NoRoute => (404, String::new()),
            Course::NoCluster(status) => (status, String::new()),
            other => panic!("{other:?}"),
        };
        End { status, flags, cluster }
    }

    /// The clusters that a TCP connection from a proxy to `host:port` may go to.
    pub(crate) fn dial(&self, proxy: &str, target: &str) -> Vec<String> {
        let mut dial = Dial::http(port_of(target));
        dial.opening = meshsim::routing::Opening::Clear(meshsim::routing::Inside::Bytes);
        match listen(self.proxy(proxy), &dial, target) {
            Conn::Tcp(tcp) => tcp.legs.iter().map(|(cluster, _)| cluster.name.clone()).collect(),
            Conn::Refused => Vec::new(),
            other => panic!("{target} is not bytes: {other:?}"),
        }
    }
}

fn split(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("http://").expect("an http URL");
    rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash))
}

fn port_of(authority: &str) -> u16 {
    authority.rsplit_once(':').map_or(80, |(_, port)| port.parse().expect("a port"))
}
