//! Whether a connection's transport suits the server it arrives at: plaintext, Istio mutual TLS or
//! other TLS towards what the server's PeerAuthentication lets in.

use super::cluster::{Endpoint, TlsMode, UpstreamTls};
use super::ids::Origin;
use super::registry::Workload;

/// What a server with a sidecar takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ServerTls {
    /// Plaintext only.
    #[default]
    Disable,
    /// Both.
    Permissive,
    /// Mutual TLS only.
    Strict,
}

/// What a workload takes, by its own ports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InboundTls {
    /// On ports that are not listed.
    pub mode: ServerTls,
    /// What says so; nothing where it is the default.
    pub origin: Origin,
    /// On single ports, sorted by number.
    pub by_port: Vec<PortTls>,
}

/// What a workload takes on one of its ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortTls {
    /// The port.
    pub port: u16,
    /// What it takes there.
    pub mode: ServerTls,
    /// What says so.
    pub origin: Origin,
}

impl InboundTls {
    /// What it takes on a port.
    #[must_use]
    pub fn on_port(&self, port: u16) -> ServerTls {
        self.of_port(port).map_or(self.mode, |own| own.mode)
    }

    /// What says so.
    #[must_use]
    pub fn origin_on_port(&self, port: u16) -> Origin {
        self.of_port(port).map_or(self.origin, |own| own.origin)
    }

    fn of_port(&self, port: u16) -> Option<&PortTls> {
        self.by_port.iter().find(|own| own.port == port)
    }
}

/// How a server takes what a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arrival {
    /// The request goes on.
    Accepted,
    /// The server closes the connection after the first bytes: 503 UC at the client.
    Terminated,
    /// The TLS handshake fails: 503 UF at the client.
    HandshakeFailed,
}

impl ServerTls {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            ServerTls::Disable => "DISABLE",
            ServerTls::Permissive => "PERMISSIVE",
            ServerTls::Strict => "STRICT",
        }
    }
}

impl UpstreamTls {
    /// The TLS that is sent to an endpoint; `None` is plaintext.
    #[must_use]
    pub fn towards(&self, endpoint: &Endpoint) -> Option<TlsMode> {
        match self {
            UpstreamTls::Plaintext => None,
            UpstreamTls::Auto { .. } => endpoint.mutual_tls.then_some(TlsMode::IstioMutual),
            UpstreamTls::Always { mode, .. } => Some(*mode),
        }
    }
}

/// How a workload takes a connection to one of its ports.
///
/// TLS of the client's own making goes to the application where nothing in front of it opens TLS;
/// whether the application speaks it is not known, and assumed.
#[must_use]
pub fn arrival(sent: Option<TlsMode>, server: &Workload, port: u16) -> Arrival {
    let takes = if server.proxied { server.inbound_tls.on_port(port) } else { ServerTls::Disable };
    match (sent, takes) {
        (None, ServerTls::Disable | ServerTls::Permissive) => Arrival::Accepted,
        (None, ServerTls::Strict) => Arrival::Terminated,
        (Some(TlsMode::IstioMutual), ServerTls::Permissive | ServerTls::Strict) => Arrival::Accepted,
        (Some(TlsMode::IstioMutual), ServerTls::Disable) => Arrival::HandshakeFailed,
        (Some(TlsMode::Simple | TlsMode::Mutual), ServerTls::Disable) => Arrival::Accepted,
        (Some(TlsMode::Simple | TlsMode::Mutual), ServerTls::Permissive) => Arrival::Terminated,
        (Some(TlsMode::Simple | TlsMode::Mutual), ServerTls::Strict) => Arrival::HandshakeFailed,
    }
}
