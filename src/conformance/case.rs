//! One case, as it is written.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Map, Value as Json};

use crate::diagnostic::Diagnostic;
use crate::mesh::{CompileOptions, DescribedEndpoints, Mesh, ProxyKind, ProxySelection, ProxySpec, compile};
use crate::resource::{self, Objects};
use crate::routing::{ClientTls, Dial, Inside, Opening, Request, Scheme};
use crate::source::Sources;
use crate::yaml::{Limits, parse};

/// A case.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The folder it lies in.
    pub group: String,
    /// Name of the file without extension.
    pub name: String,
    /// What it shows.
    pub rule: String,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Configuration, as a user would write it.
    pub config: String,
    /// Mesh configuration beside it; empty if there is none.
    pub mesh_config: Json,
    /// What runs.
    pub endpoints: Vec<DescribedEndpoints>,
    /// Who sends, by name.
    pub proxies: Vec<ProxySpec>,
    /// Whose server sides are asked.
    pub servers: Vec<CaseServer>,
    /// Who calls them.
    pub callers: Vec<CaseCaller>,
    /// What is sent.
    pub requests: Vec<CaseRequest>,
    /// What was measured.
    pub expect: Json,
    /// The record as it is written, for what only some groups have.
    pub whole: Json,
}

/// One request of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseRequest {
    /// Name.
    pub id: String,
    /// The proxy that sends it, or the caller.
    pub from: String,
    /// The server that it is sent to; empty where a proxy finds that out.
    pub to: String,
    /// The server name that a caller's mutual TLS asks for; may be empty.
    pub server_name: String,
    /// What is dialled.
    pub dial: Dial,
    /// What is sent over HTTP.
    pub request: Request,
}

/// A workload whose server side is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseServer {
    /// Its proxy.
    pub proxy: ProxySpec,
    /// The port that is meant where none is named.
    pub port: u16,
    /// Its address.
    pub address: IpAddr,
}

/// Somebody who calls a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseCaller {
    /// Name.
    pub name: String,
    /// The identity of its certificate; `None` for plaintext.
    pub identity: Option<String>,
    /// Whether the identity is of the mesh's trust domain.
    pub trusted: bool,
    /// Its address.
    pub address: IpAddr,
}

/// Why a text is no case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CaseError(String);

impl Case {
    /// Reads a case.
    ///
    /// # Errors
    /// The text is not YAML, or not the record of a case.
    pub fn parse(group: &str, name: &str, text: &str) -> Result<Self, CaseError> {
        let mut sources = Sources::new();
        let file = sources.add(format!("{group}/{name}.yaml"), text);
        let (documents, _) = parse(&sources, file, Limits::default());
        let root = documents.first().map(|document| document.root.to_json());
        let Some(root @ Json::Object(_)) = root else {
            return Err(CaseError("not a mapping in YAML".to_owned()));
        };
        let list = |key: &str| root[key].as_array().map_or(&[][..], Vec::as_slice);
        let entries = |key: &str| root[key].as_object().into_iter().flatten();
        let requests = list("requests").iter().map(request).collect::<Option<Vec<_>>>();
        Ok(Case {
            group: group.to_owned(),
            name: name.to_owned(),
            rule: text_of(&root["rule"]),
            tags: list("tags").iter().map(text_of).collect(),
            config: text_of(&root["config"]),
            mesh_config: root["meshConfig"].clone(),
            endpoints: list("endpoints").iter().map(endpoints).collect(),
            proxies: entries("proxies").map(proxy).collect(),
            servers: entries("servers").map(server).collect(),
            callers: entries("callers").map(caller).collect(),
            requests: requests.ok_or_else(|| CaseError("a request without `id`".to_owned()))?,
            expect: root["expect"].clone(),
            whole: root,
        })
    }

    /// The objects of the configuration, the mesh that they make, and the findings on the way.
    #[must_use]
    pub fn compiled(&self) -> (Objects, Mesh, Vec<Diagnostic>) {
        let mut sources = Sources::new();
        let file = sources.add("config.yaml", self.config.as_str());
        let (documents, mut findings) = parse(&sources, file, Limits::default());
        let (mut objects, decoded) = resource::decode(&documents, "default");
        findings.extend(decoded);
        if self.mesh_config.is_object() {
            // JSON is YAML.
            let file = sources.add("mesh.yaml", self.mesh_config.to_string());
            let (config, more) = resource::decode_mesh_config(&parse(&sources, file, Limits::default()).0);
            findings.extend(more);
            objects.mesh_config = config.or(objects.mesh_config);
        }
        let proxies = self.proxies.iter().chain(self.servers.iter().map(|server| &server.proxy));
        let options = CompileOptions {
            proxies: ProxySelection::Described(proxies.cloned().collect()),
            endpoints: self.endpoints.clone(),
            ..CompileOptions::default()
        };
        let (mesh, compiled) = compile(&objects, &options);
        findings.extend(compiled);
        (objects, mesh, findings)
    }
}

/// A scalar as text; nothing for anything else.
fn text_of(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Number(number) => number.to_string(),
        Json::Bool(value) => value.to_string(),
        _ => String::new(),
    }
}

fn number<T: TryFrom<u64>>(value: &Json) -> Option<T> {
    T::try_from(value.as_u64()?).ok()
}

fn labels(value: &Json) -> Vec<(String, String)> {
    let mut all: Vec<_> = value
        .as_object()
        .map_or_else(Vec::new, |labels| labels.iter().map(|(key, value)| (key.clone(), text_of(value))).collect());
    all.sort();
    all
}

fn endpoints(value: &Json) -> DescribedEndpoints {
    let ips: Vec<String> = value["ips"].as_array().map_or_else(Vec::new, |ips| ips.iter().map(text_of).collect());
    DescribedEndpoints {
        service: text_of(&value["service"]),
        labels: labels(&value["labels"]),
        count: number(&value["count"]).unwrap_or_else(|| u32::try_from(ips.len()).unwrap_or(u32::MAX).max(1)),
        port: number(&value["port"]).unwrap_or(0),
        locality: text_of(&value["locality"]),
        ready: value["ready"].as_bool().unwrap_or(true),
        ips,
    }
}

fn proxy((name, value): (&String, &Json)) -> ProxySpec {
    let labels = labels(&value["labels"]);
    ProxySpec {
        name: name.clone(),
        kind: if value["kind"] == "gateway" { ProxyKind::Gateway } else { ProxyKind::Sidecar },
        namespace: value["namespace"].as_str().unwrap_or("default").to_owned(),
        locality: locality(&labels),
        labels,
        service_account: String::new(),
    }
}

fn server((name, value): (&String, &Json)) -> CaseServer {
    CaseServer { proxy: proxy((name, value)), port: number(&value["port"]).unwrap_or(80), address: address(&value["ip"]) }
}

fn caller((name, value): (&String, &Json)) -> CaseCaller {
    let domain = value["trust_domain"].as_str().unwrap_or(TRUST_DOMAIN);
    let part = |key: &str| value[key].as_str().unwrap_or("default");
    let identity = match value["identity"].as_str() {
        Some(identity) => identity.to_owned(),
        None => format!("spiffe://{domain}/ns/{}/sa/{}", part("namespace"), part("service_account")),
    };
    CaseCaller {
        name: name.clone(),
        trusted: identity.starts_with(&format!("spiffe://{TRUST_DOMAIN}/")),
        identity: (value["kind"] == "mtls").then_some(identity),
        address: address(&value["ip"]),
    }
}

const TRUST_DOMAIN: &str = "cluster.local";

/// Callers and servers that are given no address use the loopback interface.
fn address(value: &Json) -> IpAddr {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// `region/zone/subzone` from the topology labels.
fn locality(labels: &[(String, String)]) -> String {
    let label = |key: &str| labels.iter().find(|(known, _)| known == key).map_or("", |(_, value)| value.as_str());
    let parts =
        [label("topology.kubernetes.io/region"), label("topology.kubernetes.io/zone"), label("topology.istio.io/subzone")];
    parts.join("/").trim_end_matches('/').to_owned()
}

fn request(value: &Json) -> Option<CaseRequest> {
    let tls = value["tls"].as_object().map(client_tls);
    let inside = match &value["tcp"] {
        Json::String(word) if word == "silent" => Inside::Silence,
        Json::Bool(true) if is_http(&value["payload"]) => Inside::Http,
        Json::Bool(true) => Inside::Bytes,
        _ => Inside::Http,
    };
    let opening = match tls.clone() {
        Some(tls) => Opening::Tls(ClientTls { inside, ..tls }),
        None => Opening::Clear(inside),
    };
    Some(CaseRequest {
        id: value["id"].as_str()?.to_owned(),
        from: text_of(&value["from"]),
        to: text_of(&value["to"]),
        server_name: text_of(&value["sni"]),
        dial: Dial { port: number(&value["port"]).unwrap_or(80), address: value["ip"].as_str().map(str::to_owned), opening },
        request: Request {
            method: value["method"].as_str().unwrap_or("GET").to_owned(),
            scheme: if tls.is_some() { Scheme::Https } else { Scheme::Http },
            authority: text_of(&value["authority"]),
            path: value["path"].as_str().unwrap_or("/").to_owned(),
            headers: headers(&value["headers"]),
        },
    })
}

/// Whether bytes that are sent as they are happen to be an HTTP request.
fn is_http(payload: &Json) -> bool {
    payload.as_str().is_some_and(|text| text.contains(" HTTP/1."))
}

fn client_tls(fields: &Map<String, Json>) -> ClientTls {
    let field = |key: &str| fields.get(key).unwrap_or(&Json::Null);
    ClientTls {
        server_name: field("sni").as_str().map(str::to_owned),
        alpn: field("alpn").as_array().map_or_else(Vec::new, |all| all.iter().map(text_of).collect()),
        certificate: *field("cert") == Json::Bool(true),
        at_most_1_2: text_of(field("max")) == "1.2",
        inside: Inside::Http,
    }
}

/// A mapping, or a list of pairs where order or repetition matters.
fn headers(value: &Json) -> Vec<(String, String)> {
    let line = |name: &str, value: &Json| (name.to_ascii_lowercase(), text_of(value).trim().to_owned());
    match value {
        Json::Object(all) => all.iter().map(|(name, value)| line(name, value)).collect(),
        Json::Array(all) => all.iter().map(|pair| line(&text_of(&pair[0]), &pair[1])).collect(),
        _ => Vec::new(),
    }
}
