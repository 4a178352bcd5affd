//! Clusters: the sets of endpoints that routes lead to, each with its policy. The shape is Envoy's
//! `Cluster`.

use std::sync::Arc;

use super::ids::{Origin, PodId, ServiceId};
use crate::time::Duration;

/// One cluster of one proxy.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// Name, such as `outbound|9080|v1|reviews.default.svc.cluster.local`.
    pub name: String,
    /// The service it is for; `None` for `PassthroughCluster` and `BlackHoleCluster`.
    pub service: Option<ServiceId>,
    /// Service port.
    pub port: u16,
    /// Subset; empty for the whole service.
    pub subset: String,
    /// How endpoints are found.
    pub discovery: Discovery,
    /// How an endpoint is picked.
    pub balancer: Balancer,
    /// Time to connect.
    pub connect_timeout: Duration,
    /// Limits.
    pub limits: Limits,
    /// Outlier detection.
    pub outlier: Option<OutlierPolicy>,
    /// TLS that the proxy adds.
    pub tls: UpstreamTls,
    /// Connection settings beyond the limits.
    pub connection: ConnectionSettings,
    /// Healthy share in percent below which all endpoints are used; `None` is Envoy's 50.
    pub panic_threshold_percent: Option<u32>,
    /// Whether connections that are routed as bytes are hashed by the client's address.
    pub hashes_client: bool,
    /// Whether localities have weights (`distribute`, failover).
    pub locality_weighted: bool,
    /// Slow start.
    pub warm_up: Option<WarmUp>,
    /// Retry budget; replaces the limit on retries.
    pub retry_budget: Option<RetryBudget>,
    /// Endpoints by locality and priority; shared by clusters that have the same. Where the client
    /// dials addresses itself ([`Discovery::OriginalDst`]), those that the service's name leads to.
    pub localities: Arc<[LocalityEndpoints]>,
    /// The DestinationRule or subset that shaped it, or the service.
    pub origin: Origin,
}

/// How endpoints are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Discovery {
    /// Told by the control plane.
    Eds,
    /// The address that the client dialled.
    OriginalDst,
    /// DNS, all addresses.
    StrictDns,
    /// DNS, the first address.
    LogicalDns,
    /// Written in the configuration.
    Static,
    /// DNS per request.
    DynamicDns,
}

/// How an endpoint is picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Balancer {
    /// In turn.
    RoundRobin,
    /// The less busy of two.
    LeastRequest,
    /// Any.
    Random,
    /// Ring hash.
    RingHash {
        /// Fewest entries of the ring; `None` is Envoy's 1024.
        ring_min: Option<u64>,
    },
    /// Maglev.
    Maglev {
        /// Size of the table; `None` is Envoy's 65537.
        table: Option<u64>,
    },
    /// The address that the client dialled.
    Passthrough,
}

/// Circuit-breaking limits. `u32::MAX` means none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Connections.
    pub connections_max: u32,
    /// Requests that wait for a connection.
    pub pending_max: u32,
    /// Active requests.
    pub requests_max: u32,
    /// Concurrent retries.
    pub retries_max: u32,
}

/// Connection settings beyond the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ConnectionSettings {
    /// Requests per connection; 0 means any number.
    pub requests_per_connection_max: u32,
    /// Idle timeout of a connection.
    pub idle_timeout: Option<Duration>,
    /// Longest life of a connection.
    pub duration_max: Option<Duration>,
    /// Concurrent streams of a connection.
    pub streams_max: Option<u32>,
    /// The protocol towards the endpoints.
    pub protocol: UpstreamProtocol,
    /// Whether the rule has HTTP options of a connection, even if none of them matters here.
    pub has_http_options: bool,
    /// HTTP/2 keep-alive: interval and timeout.
    pub http2_keep_alive: Option<(Option<Duration>, Option<Duration>)>,
    /// Keep-alive probes: probes, time, interval.
    pub tcp_keepalive: Option<(Option<u32>, Option<Duration>, Option<Duration>)>,
}

/// The protocol towards endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum UpstreamProtocol {
    /// HTTP/1.1, or bytes.
    #[default]
    Default,
    /// HTTP/2.
    Http2,
    /// What the client speaks.
    Downstream,
}

/// Outlier detection in Envoy's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OutlierPolicy {
    /// Consecutive 5xx; `None` is Envoy's 5, 0 switches the detector off.
    pub consecutive_5xx: Option<u32>,
    /// Consecutive 502, 503, 504; `None` never ejects.
    pub consecutive_gateway: Option<u32>,
    /// Whether local-origin errors are counted apart.
    pub split_local_origin: bool,
    /// Consecutive local-origin failures; `None` is Envoy's 5.
    pub consecutive_local_origin: Option<u32>,
    /// Time between sweeps; `None` is Envoy's 10 s.
    pub interval: Option<Duration>,
    /// Base of the ejection time; `None` is Envoy's 30 s.
    pub base_ejection_time: Option<Duration>,
    /// Largest ejected share in percent; `None` is Envoy's 10.
    pub max_ejection_percent: Option<u32>,
}

/// Slow start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WarmUp {
    /// Window.
    pub window: Duration,
    /// Smallest share of the weight, in percent; `None` is 10.
    pub minimum_percent: Option<f64>,
    /// Curve; `None` is 1.
    pub aggression: Option<f64>,
}

/// Retry budget.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryBudget {
    /// Percent of active and pending requests.
    pub percent: f64,
    /// Retries that are always allowed.
    pub concurrency_min: u32,
    /// Window; zero for active requests only.
    pub interval: Option<Duration>,
}

/// TLS that the proxy adds towards endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum UpstreamTls {
    /// None.
    Plaintext,
    /// Mutual TLS with endpoints that have a sidecar, plaintext with others (automatic mTLS).
    Auto {
        /// Server name.
        sni: String,
    },
    /// Always.
    Always {
        /// Which.
        mode: TlsMode,
        /// Server name; `None` follows the request's host.
        sni: Option<String>,
        /// Whether the server's certificate must name the request's host: where neither a server name
        /// nor accepted names are given.
        verifies_host: bool,
    },
}

/// A mode of TLS towards endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsMode {
    /// Server certificate only.
    Simple,
    /// With own certificate.
    Mutual,
    /// With Istio's certificate.
    IstioMutual,
}

/// The endpoints of one locality and priority.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalityEndpoints {
    /// `region/zone/subzone`, empty if unknown.
    pub locality: String,
    /// 0 is the first choice.
    pub priority: u32,
    /// Weight of the locality.
    pub weight: u32,
    /// Endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// `ip:port`, or a DNS name and port; the key of hash balancers.
    pub address: String,
    /// Port.
    pub port: u16,
    /// Weight.
    pub weight: u32,
    /// Whether it is ready.
    pub healthy: bool,
    /// Whether it takes Istio mutual TLS.
    pub mutual_tls: bool,
    /// The pod behind it, if it is one of the mesh.
    pub pod: Option<PodId>,
}

impl Cluster {
    /// Whether a request can leave: there is a healthy endpoint, or the dialled address or the
    /// request's host is taken.
    #[must_use]
    pub fn has_somewhere_to_go(&self) -> bool {
        matches!(self.discovery, Discovery::OriginalDst | Discovery::DynamicDns) || self.endpoints().any(|e| e.healthy)
    }

    /// All endpoints, in order.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.localities.iter().flat_map(|locality| &locality.endpoints)
    }
}
