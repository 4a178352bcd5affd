//! Proxies: a sidecar or gateway with everything the control plane gives it.

use std::sync::Arc;

use super::clusters::Clusters;
use super::ids::{Origin, RouteTableId, WorkloadId};
use super::inbound::Inbound;
use super::rate_limit::RateLimits;
use super::route::{ClusterRef, RouteTable};
use crate::source::Span;

/// What kind of proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProxyKind {
    /// Beside a workload.
    Sidecar,
    /// At the edge.
    Gateway,
}

/// What the control plane knows of a proxy before it configures it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProxySpec {
    /// Name, such as `productpage-v1.default`.
    pub name: String,
    /// Kind.
    pub kind: ProxyKind,
    /// Namespace.
    pub namespace: String,
    /// Labels of the workload, sorted by key.
    pub labels: Vec<(String, String)>,
    /// `region/zone/subzone`, empty if unknown.
    pub locality: String,
    /// Service account; empty if unknown.
    pub service_account: String,
}

/// A configured proxy. All pods of a workload share one.
#[derive(Debug, Clone, PartialEq)]
pub struct Proxy {
    /// Who it is.
    pub spec: ProxySpec,
    /// The workload it belongs to; `None` if it was only described.
    pub workload: Option<WorkloadId>,
    /// Outbound listeners of a sidecar, all listeners of a gateway; shared by proxies that have the
    /// same.
    pub listeners: Arc<[Listener]>,
    /// Route tables; shared likewise.
    pub route_tables: Arc<[RouteTable]>,
    /// Clusters; shared by proxies that have the same.
    pub clusters: Arc<Clusters>,
    /// Where a sidecar sends bytes that no listener takes.
    pub fallback: Option<ClusterRef>,
    /// Names and addresses that clients may dial, with the address they resolve to; sorted by name.
    pub dns: Arc<[(String, String)]>,
    /// Its server side.
    pub inbound: Inbound,
    /// Its rate limits; `None` if it has no filter for any.
    pub limits: Option<Arc<RateLimits>>,
}

/// A listener.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// Name, such as `0.0.0.0_9080`.
    pub name: String,
    /// Address; `None` is every address.
    pub address: Option<String>,
    /// Port that is dialled: the service port at a sidecar, the gateway's server port at a gateway.
    pub port: u16,
    /// Filter chains; the most specific that matches takes the connection.
    pub chains: Vec<FilterChain>,
    /// What made it.
    pub origin: Origin,
}

/// A filter chain.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterChain {
    /// Name; may be empty.
    pub name: String,
    /// When it takes a connection.
    pub matcher: ChainMatch,
    /// TLS that the proxy terminates.
    pub terminates: Option<DownstreamTls>,
    /// What happens to the bytes.
    pub target: ChainTarget,
    /// What made it.
    pub origin: Origin,
}

/// When a filter chain takes a connection; empty fields ask for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChainMatch {
    /// Server names, possibly `*.suffix`.
    pub server_names: Vec<String>,
    /// Destination networks in CIDR notation.
    pub destination_subnets: Vec<String>,
    /// `tls`, `raw_buffer` or empty.
    pub transport_protocol: String,
    /// Application protocols: `http/1.1`, `h2c`, `istio` and so on; empty for any.
    pub application_protocols: Vec<String>,
}

/// TLS that the proxy terminates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DownstreamTls {
    /// Server certificate only.
    Simple,
    /// The client must show a certificate.
    Mutual,
    /// The client may show a certificate.
    OptionalMutual,
    /// Istio's certificates on both sides.
    IstioMutual,
}

/// What a filter chain does.
#[derive(Debug, Clone, PartialEq)]
pub enum ChainTarget {
    /// HTTP with this route table.
    Http(RouteTableId),
    /// Bytes to one of these clusters.
    Tcp(TcpLegs),
}

/// Weighted clusters of a TCP proxy; one draw per connection.
#[derive(Debug, Clone, PartialEq)]
pub struct TcpLegs {
    /// Cluster, weight and where it is written; never empty.
    pub legs: Vec<(ClusterRef, u32, Span)>,
}
