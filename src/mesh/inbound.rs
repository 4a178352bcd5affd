//! The server side of a proxy: which filter chains its inbound listener has for each port, what
//! they take and who is let through.

use std::sync::Arc;

use super::authorization::Authorization;
use super::ids::Origin;
use super::registry::Protocol;
use super::transport::{InboundTls, ServerTls};

/// The server side of a proxy. At a gateway only the authorization means anything: its listeners are
/// those that clients dial.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inbound {
    /// Ports that a Service or a Sidecar declares, sorted by number. Others are passed through.
    pub ports: Vec<InboundPort>,
    /// Which transport it takes.
    pub tls: InboundTls,
    /// Whom it lets through.
    pub authorization: Arc<Authorization>,
}

/// A port of the workload that something declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundPort {
    /// The workload's own port.
    pub number: u16,
    /// Protocol.
    pub protocol: Protocol,
    /// What declares it.
    pub origin: Origin,
}

impl Inbound {
    /// The declaration of a port.
    #[must_use]
    pub fn port(&self, number: u16) -> Option<&InboundPort> {
        self.ports.iter().find(|port| port.number == number)
    }

    /// How the proxy reads what arrives on a port: undeclared ports are found out from the first
    /// bytes, as unnamed ones are.
    #[must_use]
    pub fn reading(&self, number: u16) -> Reading {
        match self.port(number).map(|port| port.protocol) {
            None | Some(Protocol::Sniffed) => Reading::Detected,
            Some(protocol) if protocol.is_http() => Reading::Http,
            Some(_) => Reading::Tcp,
        }
    }

    /// The filter chains of a port.
    #[must_use]
    pub fn chains(&self, number: u16) -> &'static [InboundChain] {
        chains(self.tls.on_port(number), self.reading(number))
    }

    /// The cluster behind a port (Istio's names).
    #[must_use]
    pub fn cluster(&self, number: u16) -> String {
        match self.port(number) {
            Some(_) => format!("inbound|{number}||"),
            None => "InboundPassthroughCluster".to_owned(),
        }
    }
}

/// How a proxy reads what arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reading {
    /// As HTTP.
    Http,
    /// As bytes.
    Tcp,
    /// As what it looks like.
    Detected,
}

/// A filter chain of the inbound listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboundChain {
    /// The transport that it is for; `None` for any.
    pub transport: Option<Transport>,
    /// Application protocols it is for, one of which must be offered or detected; empty for any.
    pub protocols: &'static [&'static str],
    /// Whether it ends Istio's mutual TLS. Else TLS stays closed.
    pub mutual_tls: bool,
    /// Whether it reads HTTP. Else bytes are passed on.
    pub http: bool,
}

/// What a connection begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A TLS handshake.
    Tls,
    /// Anything else.
    Clear,
}

/// Application protocols by which sidecars recognise each other, for HTTP and for bytes.
const HTTP_BY_MUTUAL_TLS: &[&str] = &["istio-http/1.0", "istio-http/1.1", "istio-h2"];
const BYTES_BY_MUTUAL_TLS: &[&str] = &["istio-peer-exchange", "istio"];
const ANY_BY_MUTUAL_TLS: &[&str] = &["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"];
/// What protocol detection calls HTTP in clear.
const HTTP_IN_CLEAR: &[&str] = &["http/1.0", "http/1.1", "h2c"];

const fn chain(transport: Option<Transport>, protocols: &'static [&'static str], mutual_tls: bool, http: bool) -> InboundChain {
    InboundChain { transport, protocols, mutual_tls, http }
}

const TLS: Option<Transport> = Some(Transport::Tls);
const CLEAR: Option<Transport> = Some(Transport::Clear);

const PERMISSIVE_HTTP: &[InboundChain] = &[chain(TLS, ANY_BY_MUTUAL_TLS, true, true), chain(CLEAR, &[], false, true)];
const PERMISSIVE_TCP: &[InboundChain] =
    &[chain(TLS, ANY_BY_MUTUAL_TLS, true, false), chain(CLEAR, &[], false, false), chain(TLS, &[], false, false)];
const PERMISSIVE_DETECTED: &[InboundChain] = &[
    chain(TLS, HTTP_BY_MUTUAL_TLS, true, true),
    chain(CLEAR, HTTP_IN_CLEAR, false, true),
    chain(TLS, BYTES_BY_MUTUAL_TLS, true, false),
    chain(CLEAR, &[], false, false),
    chain(TLS, &[], false, false),
];
const STRICT_HTTP: &[InboundChain] = &[chain(TLS, &[], true, true)];
const STRICT_TCP: &[InboundChain] = &[chain(TLS, &[], true, false)];
const STRICT_DETECTED: &[InboundChain] = &[chain(TLS, HTTP_BY_MUTUAL_TLS, true, true), chain(TLS, &[], true, false)];
const PLAIN_HTTP: &[InboundChain] = &[chain(None, &[], false, true)];
const PLAIN_TCP: &[InboundChain] = &[chain(None, &[], false, false)];
const PLAIN_DETECTED: &[InboundChain] = &[chain(CLEAR, HTTP_IN_CLEAR, false, true), chain(None, &[], false, false)];

/// The filter chains of a port by what it takes and how it is read, most specific first (Istio:
/// `getFilterChainMatchOptions`). Under `DISABLE` nothing looks for TLS.
const fn chains(tls: ServerTls, reading: Reading) -> &'static [InboundChain] {
    match (tls, reading) {
        (ServerTls::Permissive, Reading::Http) => PERMISSIVE_HTTP,
        (ServerTls::Permissive, Reading::Tcp) => PERMISSIVE_TCP,
        (ServerTls::Permissive, Reading::Detected) => PERMISSIVE_DETECTED,
        (ServerTls::Strict, Reading::Http) => STRICT_HTTP,
        (ServerTls::Strict, Reading::Tcp) => STRICT_TCP,
        (ServerTls::Strict, Reading::Detected) => STRICT_DETECTED,
        (ServerTls::Disable, Reading::Http) => PLAIN_HTTP,
        (ServerTls::Disable, Reading::Tcp) => PLAIN_TCP,
        (ServerTls::Disable, Reading::Detected) => PLAIN_DETECTED,
    }
}
