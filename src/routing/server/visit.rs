//! Which servers a request reaches, and how it arrives there.

use std::net::{IpAddr, Ipv4Addr};

use super::call::{CallerTls, Content, ServerCall};
use crate::mesh::cluster::{Cluster, TlsMode, UpstreamTls};
use crate::mesh::{Mesh, Proxy, ProxyId, ProxyKind, WorkloadId};
use crate::routing::authentication::at_routes;
use crate::routing::connection::{ClientTlsFate, HttpConn, TcpConn};
use crate::routing::{
    Conn, Course, Decision, Dial, Inside, Opening, Received, Request, Scheme, forwarded, listen, select_received,
};

/// What is known of the caller beyond its proxy.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Caller {
    /// Its certificate, instead of the one of its service account.
    pub certificate: Certificate,
    /// Its address, instead of that of its pod; at a gateway, the client's.
    pub address: Option<IpAddr>,
}

/// Which certificate a caller shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Certificate {
    /// That of its service account, where its proxy sends mutual TLS.
    #[default]
    Own,
    /// None: it sends plaintext.
    None,
    /// One of this identity, a SPIFFE URI, always by mutual TLS.
    Of(String),
}

/// A server that a request reaches.
#[derive(Debug, Clone, PartialEq)]
pub struct Visit {
    /// The cluster by which it is reached; empty for a gateway that the client dials.
    pub cluster: String,
    /// The workload.
    pub workload: WorkloadId,
    /// Its proxy; `None` if nothing stands before the application.
    pub proxy: Option<ProxyId>,
    /// How the request arrives.
    pub call: ServerCall,
    /// Whether HTTP is read there; of gateways only, sidecars find out.
    pub http: bool,
}

/// Where clients of gateways come from unless it is said (RFC 5737: an address for documentation).
pub const SOMEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// The servers that a request may reach, each workload and port once: the gateway itself, then the
/// endpoints of every destination that has a share.
#[must_use]
pub fn visits(mesh: &Mesh, from: ProxyId, dial: &Dial, request: &Request, caller: &Caller) -> Vec<Visit> {
    let proxy = &mesh.proxies[from.index()];
    let way = Way { mesh, proxy, dial, request, caller };
    let mut all = Vec::new();
    match listen(proxy, dial, &request.authority) {
        Conn::Http(http) => {
            all.extend(way.at_gateway(true));
            way.by_http(&http, &mut all);
        }
        Conn::Tcp(tcp) => {
            all.extend(way.at_gateway(false));
            way.by_bytes(&tcp, &mut all);
        }
        Conn::Refused | Conn::Ended(_) => {}
    }
    all
}

struct Way<'a> {
    mesh: &'a Mesh,
    proxy: &'a Proxy,
    dial: &'a Dial,
    request: &'a Request,
    caller: &'a Caller,
}

impl Way<'_> {
    fn at_gateway(&self, http: bool) -> Option<Visit> {
        let workload = self.proxy.workload.filter(|_| self.proxy.spec.kind == ProxyKind::Gateway)?;
        let server_name = self.dial.opening.tls().and_then(|tls| tls.server_name.clone());
        let tls = match (&self.caller.certificate, server_name) {
            (Certificate::Of(identity), server_name) => {
                CallerTls::Mutual { identity: identity.clone(), trusted: true, server_name: server_name.unwrap_or_default() }
            }
            (_, Some(server_name)) => CallerTls::Own { server_name },
            (_, None) => CallerTls::None,
        };
        let content = if http { Content::Http(self.request.clone()) } else { Content::Bytes };
        let call = ServerCall {
            port: self.dial.port,
            address: self.address_of(workload),
            peer: self.caller.address.unwrap_or(SOMEWHERE),
            tls,
            content,
        };
        let proxy = self.mesh.proxy_of(workload);
        Some(Visit { cluster: String::new(), workload, proxy, call, http })
    }

    fn by_http(&self, http: &HttpConn<'_>, all: &mut Vec<Visit>) {
        let seen = at_routes(self.proxy, self.request);
        let Ok(received) = Received::authenticated(self.proxy.spec.kind, &seen) else { return };
        let selection = select_received(self.proxy, http.table, &received);
        let Some(forward) = selection.forward(self.proxy) else { return };
        let legs = forward.legs.all();
        for (index, leg) in (0_u32..).zip(legs) {
            let cluster = self.proxy.clusters.get(leg.cluster.id).filter(|_| leg.weight > 0 || legs.len() == 1);
            let Some(cluster) = cluster else { continue };
            let decision = Decision { selection, leg: Some(index), delay: None, course: Course::NoRoute, stream: 0 };
            let Some(out) = forwarded(self.proxy, &received, &decision) else { continue };
            let mut headers = out.headers.0;
            if self.proxy.spec.kind == ProxyKind::Gateway {
                append_client(&mut headers, self.caller.address.unwrap_or(SOMEWHERE));
            }
            let request = Request { method: out.method, scheme: Scheme::Http, authority: out.authority, path: out.path, headers };
            self.to_endpoints(cluster, &Content::Http(request), None, all);
        }
    }

    fn by_bytes(&self, tcp: &TcpConn<'_>, all: &mut Vec<Visit>) {
        let sealed = tcp.client_tls == Some(ClientTlsFate::Passthrough);
        let content = match &self.dial.opening {
            Opening::Clear(Inside::Http) => Content::Http(self.request.clone()),
            Opening::Tls(tls) if !sealed && tls.inside == Inside::Http => Content::Http(self.request.clone()),
            Opening::Clear(_) | Opening::Tls(_) => Content::Bytes,
        };
        let own_tls = self.dial.opening.tls().filter(|_| sealed).map(|tls| tls.server_name.clone().unwrap_or_default());
        for (cluster, weight) in &tcp.legs {
            let cluster = self.proxy.clusters.get(cluster.id).filter(|_| *weight > 0 || tcp.legs.len() == 1);
            let Some(cluster) = cluster else { continue };
            self.to_endpoints(cluster, &content, own_tls.as_deref(), all);
        }
    }

    fn to_endpoints(&self, cluster: &Cluster, content: &Content, own_tls: Option<&str>, all: &mut Vec<Visit>) {
        for endpoint in cluster.endpoints().filter(|endpoint| endpoint.healthy) {
            let Some(pod) = endpoint.pod.map(|pod| &self.mesh.pods[pod.index()]) else { continue };
            let is_known = |visit: &Visit| {
                visit.cluster == cluster.name && visit.workload == pod.workload && visit.call.port == endpoint.port
            };
            if all.iter().any(is_known) {
                continue;
            }
            let call = ServerCall {
                port: endpoint.port,
                address: parsed(&pod.ip),
                peer: self.peer(),
                tls: self.tls(cluster, cluster.tls.towards(endpoint), own_tls),
                content: content.clone(),
            };
            let proxied = self.mesh.workloads[pod.workload.index()].proxied;
            let proxy = self.mesh.proxy_of(pod.workload).filter(|_| proxied);
            all.push(Visit { cluster: cluster.name.clone(), workload: pod.workload, proxy, call, http: false });
        }
    }

    /// What arrives of TLS: the proxy's, around the client's own, or either.
    fn tls(&self, cluster: &Cluster, sent: Option<TlsMode>, own_tls: Option<&str>) -> CallerTls {
        let server_name = match &cluster.tls {
            UpstreamTls::Auto { sni } => sni.clone(),
            UpstreamTls::Always { sni, .. } => sni.clone().unwrap_or_default(),
            UpstreamTls::Plaintext => String::new(),
        };
        let own = |server_name: &str| CallerTls::Own { server_name: server_name.to_owned() };
        match (&self.caller.certificate, sent, own_tls) {
            (Certificate::Of(identity), _, _) => {
                CallerTls::Mutual { identity: identity.clone(), trusted: self.trusts(identity), server_name }
            }
            (Certificate::None, _, Some(inner)) => own(inner),
            (Certificate::None, _, None) => CallerTls::None,
            (Certificate::Own, Some(TlsMode::IstioMutual), _) => {
                CallerTls::Mutual { identity: self.identity(), trusted: true, server_name }
            }
            (Certificate::Own, Some(TlsMode::Simple | TlsMode::Mutual), _) => own(&server_name),
            (Certificate::Own, None, Some(inner)) => own(inner),
            (Certificate::Own, None, None) => CallerTls::None,
        }
    }

    fn identity(&self) -> String {
        self.mesh.identity(&self.proxy.spec.namespace, &self.proxy.spec.service_account)
    }

    fn trusts(&self, identity: &str) -> bool {
        let domain = identity.strip_prefix("spiffe://").and_then(|rest| rest.split('/').next());
        domain.is_some_and(|domain| self.mesh.trust_domains.iter().any(|own| own == domain))
    }

    fn peer(&self) -> IpAddr {
        let own = || self.proxy.workload.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |workload| self.address_of(workload));
        self.caller.address.filter(|_| self.proxy.spec.kind == ProxyKind::Sidecar).unwrap_or_else(own)
    }

    fn address_of(&self, workload: WorkloadId) -> IpAddr {
        let first = self.mesh.workloads[workload.index()].pods.first();
        first.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |pod| parsed(&self.mesh.pods[pod.index()].ip))
    }
}

fn parsed(address: &str) -> IpAddr {
    address.parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// A gateway writes down where a request came from.
pub fn append_client(headers: &mut Vec<(String, String)>, client: IpAddr) {
    match headers.iter_mut().rev().find(|(name, _)| name == "x-forwarded-for") {
        Some((_, value)) => *value = format!("{value},{client}"),
        None => headers.push(("x-forwarded-for".to_owned(), client.to_string())),
    }
}
