//! What arrives at the server side of a proxy.

use std::net::IpAddr;

use serde_json::Value as Json;

use crate::mesh::authorization::{Test, Text};
use crate::mesh::inbound::Transport;
use crate::mesh::{Proxy, ProxyKind};
use crate::routing::authentication::Authenticated;
use crate::routing::matching::each_value;
use crate::routing::{BadPath, Received, Request, token};

/// A connection with a request, or with bytes, as it arrives.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerCall {
    /// The port of the workload that it arrives at.
    pub port: u16,
    /// The address of the workload.
    pub address: IpAddr,
    /// The address at the other end of the connection.
    pub peer: IpAddr,
    /// The caller's TLS.
    pub tls: CallerTls,
    /// What it carries.
    pub content: Content,
}

/// TLS of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallerTls {
    /// None: everything is in clear.
    None,
    /// A sidecar's.
    Mutual {
        /// The SPIFFE URI of its certificate.
        identity: String,
        /// Whether the server trusts the identity's trust domain.
        trusted: bool,
        /// The server name it asks for; may be empty.
        server_name: String,
    },
    /// The application's own.
    Own {
        /// The server name it asks for; may be empty.
        server_name: String,
    },
}

/// What a connection carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// An HTTP request.
    Http(Request),
    /// Bytes that are no HTTP.
    Bytes,
}

impl ServerCall {
    /// What the connection begins with.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        match self.tls {
            CallerTls::None => Transport::Clear,
            CallerTls::Mutual { .. } | CallerTls::Own { .. } => Transport::Tls,
        }
    }

    /// The application protocols that a sidecar offers in its handshake, or that are recognised in
    /// clear.
    #[must_use]
    pub const fn protocols(&self) -> &'static [&'static str] {
        match (&self.tls, &self.content) {
            (CallerTls::Mutual { .. }, Content::Http(_)) => &["istio-http/1.1", "istio", "http/1.1"],
            (CallerTls::Mutual { .. }, Content::Bytes) => &["istio-peer-exchange", "istio"],
            (CallerTls::None, Content::Http(_)) => &["http/1.1"],
            (CallerTls::None, Content::Bytes) => &[],
            (CallerTls::Own { .. }, _) => &["h2", "http/1.1"],
        }
    }

    fn server_name(&self) -> &str {
        match &self.tls {
            CallerTls::None => "",
            CallerTls::Mutual { server_name, .. } | CallerTls::Own { server_name } => server_name,
        }
    }

    fn request(&self) -> Option<&Request> {
        match &self.content {
            Content::Http(request) => Some(request),
            Content::Bytes => None,
        }
    }
}

/// What rules are asked about: a call as far as the filter chain opened it.
#[derive(Debug, Clone)]
pub(super) struct Facts<'c> {
    call: &'c ServerCall,
    /// The caller's identity, if its certificate was looked at.
    identity: Option<&'c str>,
    /// The request, if HTTP is read; with the claims of its token once that was read.
    received: Option<Received<'c>>,
    remote: IpAddr,
}

impl<'c> Facts<'c> {
    /// What a filter chain knows that ends mutual TLS or not and reads HTTP or not.
    pub(super) fn new(proxy: &Proxy, call: &'c ServerCall, mutual_tls: bool, http: bool) -> Result<Self, BadPath> {
        let request = call.request().filter(|_| http);
        let received = request.map(|request| Received::new(proxy.spec.kind, request)).transpose()?;
        let identity = match &call.tls {
            CallerTls::Mutual { identity, .. } if mutual_tls => Some(identity.as_str()),
            _ => None,
        };
        let remote = request.filter(|_| proxy.spec.kind == ProxyKind::Sidecar).and_then(last_forwarded_for);
        Ok(Facts { call, identity, received, remote: remote.unwrap_or(call.peer) })
    }

    /// What is known once the tokens of the request were read.
    pub(super) fn after<'l>(&'l self, proxy: &Proxy, seen: &'l Authenticated<'_>) -> Facts<'l> {
        let received = self.received.as_ref().and_then(|_| Received::authenticated(proxy.spec.kind, seen).ok());
        Facts { call: self.call, identity: self.identity, received, remote: self.remote }
    }

    pub(super) const fn received(&self) -> Option<&Received<'c>> {
        self.received.as_ref()
    }

    fn claim(&self, keys: &[String]) -> Option<&Json> {
        token::claim(self.received.as_ref()?.claims?, keys)
    }

    /// Whether the answer to a question is yes.
    pub(super) fn holds(&self, test: &Test) -> bool {
        match test {
            Test::Identity(text) => self.identity.is_some_and(|identity| text.matches(identity)),
            Test::PeerAddress(network) => network.contains(self.call.peer),
            Test::RemoteAddress(network) => network.contains(self.remote),
            Test::DestinationAddress(network) => network.contains(self.call.address),
            Test::DestinationPort(port) => self.call.port == *port,
            Test::ServerName(text) => text.matches(&self.call.server_name().to_ascii_lowercase()),
            Test::RequestPrincipal(issuer, subject) => {
                self.claim_holds(&["iss".to_owned()], issuer) && self.claim_holds(&["sub".to_owned()], subject)
            }
            Test::Claim(keys, text) => self.claim_holds(keys, text),
            Test::Header(name, text) => self.any_value(name, |value| text.matches(value)),
            Test::HeaderPresent(name) => self.any_value(name, |_| true),
            Test::Host(text) => self.any_value(":authority", |value| text.matches_ignoring_case(value)),
            Test::Path(text) => self.received.as_ref().is_some_and(|received| text.matches(received.bare_path())),
            Test::FilterMetadata => false,
        }
    }

    fn any_value(&self, name: &str, mut question: impl FnMut(&str) -> bool) -> bool {
        let mut any = false;
        if let Some(received) = &self.received {
            each_value(name, received, |value| any |= question(value));
        }
        any
    }

    /// A claim that is a list holds what any of its elements holds.
    fn claim_holds(&self, keys: &[String], text: &Text) -> bool {
        self.claim(keys).is_some_and(|value| token::claim_texts(value).any(|value| text.matches(value)))
    }

    /// What a question was asked about, for people.
    pub(super) fn saw(&self, test: &Test) -> String {
        let or = |value: Option<&str>, none: &str| value.map_or_else(|| none.to_owned(), str::to_owned);
        match test {
            Test::Identity(_) => or(self.identity, "no identity"),
            Test::PeerAddress(_) => self.call.peer.to_string(),
            Test::RemoteAddress(_) => self.remote.to_string(),
            Test::DestinationAddress(_) => self.call.address.to_string(),
            Test::DestinationPort(_) => self.call.port.to_string(),
            Test::ServerName(_) if self.call.server_name().is_empty() => "no server name".to_owned(),
            Test::ServerName(_) => self.call.server_name().to_owned(),
            Test::RequestPrincipal(..) if self.has_token() => {
                let text = |name: &str| self.claim(&[name.to_owned()]).and_then(Json::as_str).unwrap_or("");
                format!("{}/{}", text("iss"), text("sub"))
            }
            Test::Claim(keys, _) if self.has_token() => {
                self.claim(keys).map_or_else(|| "no such claim".to_owned(), Json::to_string)
            }
            Test::RequestPrincipal(..) | Test::Claim(..) => "no token that a RequestAuthentication reads".to_owned(),
            Test::Header(name, _) | Test::HeaderPresent(name) => self.values(name),
            Test::Host(_) => self.values(":authority"),
            Test::Path(_) => or(self.received.as_ref().map(Received::bare_path), "no path"),
            Test::FilterMetadata => "not known here".to_owned(),
        }
    }

    fn has_token(&self) -> bool {
        self.received.as_ref().is_some_and(|received| received.claims.is_some())
    }

    fn values(&self, name: &str) -> String {
        let mut all = Vec::new();
        if let Some(received) = &self.received {
            each_value(name, received, |value| all.push(value.to_owned()));
        }
        if all.is_empty() { "nothing".to_owned() } else { all.join(" | ") }
    }
}

/// The last address that `x-forwarded-for` names, whoever sent it: sidecars do not set it (Envoy:
/// `getLastAddressFromXFF`).
fn last_forwarded_for(request: &Request) -> Option<IpAddr> {
    let last = request.lines("x-forwarded-for").last()?;
    last.rsplit(',').next()?.trim().parse().ok()
}
