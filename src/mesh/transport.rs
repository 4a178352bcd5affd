//! Whether a connection's transport suits the server it arrives at: plaintext, Istio mutual TLS or
//! other TLS towards what the server's PeerAuthentication lets in.

use super::cluster::{Endpoint, TlsMode, UpstreamTls};
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
    /// On single ports, sorted by number.
    pub by_port: Vec<(u16, ServerTls)>,
}

impl InboundTls {
    /// What it takes on a port.
    #[must_use]
    pub fn on_port(&self, port: u16) -> ServerTls {
        self.by_port.iter().find(|(number, _)| *number == port).map_or(self.mode, |(_, mode)| *mode)
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
