//! The registry: services, workloads and pods, as the control plane sees them.

use super::ids::{Origin, PodId, WorkloadId};
use super::transport::InboundTls;

/// A service of the registry: a Kubernetes Service or one host of a ServiceEntry.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Host name, fully qualified and lower-case.
    pub host: String,
    /// Name of the object; several hosts of one ServiceEntry share it.
    pub name: String,
    /// Namespace of the object.
    pub namespace: String,
    /// Ports.
    pub ports: Vec<ServicePort>,
    /// Virtual addresses, possibly networks in CIDR notation; empty for headless services and for
    /// ServiceEntries that name none. A Service that names none has one made up from its host.
    pub addresses: Vec<String>,
    /// How clients reach it.
    pub resolution: Resolution,
    /// Whether it is a Kubernetes Service (else a ServiceEntry).
    pub kubernetes: bool,
    /// Whether it lies outside of the mesh (`MESH_EXTERNAL`).
    pub external: bool,
    /// What an ExternalName service stands for.
    pub alias_of: Option<String>,
    /// Namespaces that see it: names, `.`, `*` or `~`; never empty.
    pub export_to: Vec<String>,
    /// Creation time, comparable as text, which orders services that compete for one host.
    pub created: String,
    /// Labels of the pods behind it; empty if endpoints are given otherwise.
    pub selector: Vec<(String, String)>,
    /// Whether clients prefer endpoints close to them (`trafficDistribution`).
    pub prefers_close: bool,
    /// Whether pods that are not ready are endpoints as well.
    pub publish_not_ready: bool,
    /// The object.
    pub origin: Origin,
}

/// How clients reach a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resolution {
    /// Endpoints are balanced by the client's proxy.
    ClientSide,
    /// The address that the client dialled (headless services, ServiceEntry `NONE`).
    Passthrough,
    /// DNS, all addresses.
    Dns,
    /// DNS, the first address.
    DnsRoundRobin,
    /// DNS per request.
    DynamicDns,
    /// Another name for another service (ExternalName).
    Alias,
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// Name; may be empty.
    pub name: String,
    /// Number.
    pub port: u16,
    /// Protocol.
    pub protocol: Protocol,
    /// The port of its endpoints, where they do not say it themselves.
    pub target: TargetPort,
    /// Where it is written.
    pub span: crate::source::Span,
}

/// The port that a service's port leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetPort {
    /// By number.
    Number(u16),
    /// By the name that a container declares.
    Name(String),
}

/// The protocol of a port, from `appProtocol` or the name's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1.
    Http,
    /// HTTP/2 in clear.
    Http2,
    /// gRPC.
    Grpc,
    /// gRPC-Web.
    GrpcWeb,
    /// HTTP proxying.
    HttpProxy,
    /// TLS with HTTP inside, opaque to the proxy.
    Https,
    /// TLS.
    Tls,
    /// Bytes.
    Tcp,
    /// Bytes that Istio names by their protocol.
    Mongo,
    /// The same.
    Redis,
    /// The same.
    MySql,
    /// Not proxied.
    Udp,
    /// Unknown: found out from the first bytes.
    Sniffed,
}

impl Service {
    /// The port with this number.
    #[must_use]
    pub fn port(&self, number: u16) -> Option<&ServicePort> {
        self.ports.iter().find(|port| port.port == number)
    }

    /// Whether it is a Kubernetes Service without a virtual address.
    #[must_use]
    pub fn is_headless(&self) -> bool {
        self.kubernetes && self.resolution == Resolution::Passthrough
    }
}

impl Protocol {
    /// Whether it is HTTP that the proxy reads.
    #[must_use]
    pub const fn is_http(self) -> bool {
        matches!(self, Protocol::Http | Protocol::Http2 | Protocol::Grpc | Protocol::GrpcWeb | Protocol::HttpProxy)
    }
}

/// A workload: a Deployment, StatefulSet, Pod, WorkloadEntry and so on.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// Kind, such as `Deployment`.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Labels of its pods, sorted by key.
    pub labels: Vec<(String, String)>,
    /// Service account; `default` if none is named.
    pub service_account: String,
    /// Whether its pods have a sidecar (or are gateways).
    pub proxied: bool,
    /// Whether its pods are gateways.
    pub gateway: bool,
    /// Whether its pods take Istio mutual TLS (label `security.istio.io/tlsMode`, which injection
    /// sets).
    pub mutual_tls: bool,
    /// What its sidecar takes; meaningless without one.
    pub inbound_tls: InboundTls,
    /// Names and numbers of the ports its containers declare; names may be empty.
    pub ports: Vec<(String, u16)>,
    /// Its pods.
    pub pods: Vec<PodId>,
    /// The object.
    pub origin: Origin,
}

/// A pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Pod {
    /// Name, made from the workload's and an ordinal.
    pub name: String,
    /// The workload.
    pub workload: WorkloadId,
    /// Address; made up but stable.
    pub ip: String,
    /// `region/zone/subzone`, empty if unknown.
    pub locality: String,
    /// Whether it is ready.
    pub ready: bool,
    /// Load-balancing weight; 1 except for WorkloadEntries that give one.
    pub weight: u32,
}
