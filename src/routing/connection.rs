//! Which listener and filter chain take a connection, and what becomes of it (Envoy:
//! `FilterChainManagerImpl::findFilterChain`).
//!
//! Filter chains are found field by field (address, server name, transport, application protocol),
//! most specific value first and without stepping back: once an address range is chosen, chains
//! without one are no longer looked at.

use std::net::IpAddr;

use smallvec::{SmallVec, smallvec};

use super::host::without_port;
use super::request::{ClientTls, Dial, Inside, Opening};
use crate::mesh::network::Network;
use crate::mesh::proxy::{ChainMatch, ChainTarget, DownstreamTls, FilterChain, Listener};
use crate::mesh::route::ClusterRef;
use crate::mesh::{Proxy, ProxyKind, RouteTableId};

/// What becomes of a connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Conn<'m> {
    /// Nothing listens on the port.
    Refused,
    /// HTTP requests are routed.
    Http(HttpConn<'m>),
    /// Bytes are forwarded.
    Tcp(TcpConn<'m>),
    /// Accepted, and then it ends or stalls.
    Ended(EndedConn<'m>),
}

/// A connection whose requests are routed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HttpConn<'m> {
    /// The listener.
    pub listener: &'m Listener,
    /// The filter chain.
    pub chain: &'m FilterChain,
    /// The route table.
    pub table: RouteTableId,
    /// Whether the client's TLS ends here.
    pub terminated: bool,
    /// The application protocol that the TLS handshake agrees on.
    pub alpn: Option<&'static str>,
}

/// A connection whose bytes are forwarded; one draw per connection.
#[derive(Debug, Clone, PartialEq)]
pub struct TcpConn<'m> {
    /// The listener; `None` if the sidecar's fallback takes the connection.
    pub listener: Option<&'m Listener>,
    /// The filter chain.
    pub chain: Option<&'m FilterChain>,
    /// Clusters and weights.
    pub legs: SmallVec<[(&'m ClusterRef, u32); 2]>,
    /// What happens to TLS that the client speaks; `None` if it speaks in clear.
    pub client_tls: Option<ClientTlsFate>,
}

/// What happens to the client's TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientTlsFate {
    /// It reaches the upstream unopened.
    Passthrough,
    /// It ends at the proxy.
    Terminated,
}

/// A connection that was accepted in vain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EndedConn<'m> {
    /// The listener.
    pub listener: &'m Listener,
    /// The filter chain, if one was found.
    pub chain: Option<&'m FilterChain>,
    /// Why.
    pub reason: EndReason,
    /// Whether the client's TLS was terminated before.
    pub terminated: bool,
}

/// Why an accepted connection leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// No filter chain takes it.
    NoFilterChain,
    /// The TLS handshake fails.
    TlsHandshake,
    /// Something other than HTTP reaches an HTTP filter chain.
    NotHttp,
    /// Protocol detection, or the HTTP codec, waits for bytes that do not come.
    WaitingForBytes,
}

impl EndReason {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            EndReason::NoFilterChain => "no-filter-chain",
            EndReason::TlsHandshake => "tls-handshake",
            EndReason::NotHttp => "not-http",
            EndReason::WaitingForBytes => "waiting-for-bytes",
        }
    }
}

/// Finds out what becomes of a connection. `authority` names the host that is dialled if the dial
/// names no address.
#[must_use]
pub fn listen<'m>(proxy: &'m Proxy, dial: &Dial, authority: &str) -> Conn<'m> {
    let address = dialled_address(proxy, dial, authority);
    let Some(listener) = find_listener(proxy, dial.port, address) else { return without_listener(proxy, dial) };
    let seen = Seen::through(listener, &dial.opening, address);
    if seen.stalls {
        return ended(listener, None, EndReason::WaitingForBytes, false);
    }
    match find_chain(&listener.chains, &seen) {
        Some(chain) => enter(listener, chain, &dial.opening),
        None => ended(listener, None, EndReason::NoFilterChain, false),
    }
}

fn dialled_address<'a>(proxy: &'a Proxy, dial: &'a Dial, authority: &str) -> Option<&'a str> {
    dial.address.as_deref().or_else(|| resolve(proxy, without_port(authority)))
}

/// The address that a host resolves to for the clients of a proxy.
#[must_use]
pub fn resolve<'m>(proxy: &'m Proxy, host: &str) -> Option<&'m str> {
    let host = host.to_ascii_lowercase();
    let found = proxy.dns.binary_search_by(|(name, _)| name.as_str().cmp(&host)).ok()?;
    Some(&proxy.dns[found].1)
}

/// A listener on the address itself comes before one on every address.
fn find_listener<'m>(proxy: &'m Proxy, port: u16, address: Option<&str>) -> Option<&'m Listener> {
    let on_port = || proxy.listeners.iter().filter(|listener| listener.port == port);
    match proxy.spec.kind {
        ProxyKind::Gateway => on_port().next(),
        ProxyKind::Sidecar => on_port()
            .find(|listener| listener.address.is_some() && listener.address.as_deref() == address)
            .or_else(|| on_port().find(|listener| listener.address.is_none())),
    }
}

/// A sidecar sends what no listener takes to its fallback; at a gateway nothing listens.
fn without_listener<'m>(proxy: &'m Proxy, dial: &Dial) -> Conn<'m> {
    match &proxy.fallback {
        Some(cluster) => Conn::Tcp(TcpConn {
            listener: None,
            chain: None,
            legs: smallvec![(cluster, 100)],
            client_tls: dial.opening.tls().map(|_| ClientTlsFate::Passthrough),
        }),
        None => Conn::Refused,
    }
}

fn ended<'m>(listener: &'m Listener, chain: Option<&'m FilterChain>, reason: EndReason, terminated: bool) -> Conn<'m> {
    Conn::Ended(EndedConn { listener, chain, reason, terminated })
}

/// What the listener's inspectors found out about a connection.
struct Seen<'a> {
    address: Option<IpAddr>,
    server_name: Option<String>,
    transport: &'static str,
    applications: Vec<&'a str>,
    /// Whether detection waits for bytes for ever.
    stalls: bool,
}

impl<'a> Seen<'a> {
    /// A listener inspects only what one of its filter chains asks for.
    fn through(listener: &Listener, opening: &'a Opening, address: Option<&str>) -> Self {
        let asks = |question: fn(&ChainMatch) -> bool| listener.chains.iter().any(|chain| question(&chain.matcher));
        let inspects_tls = asks(|m| !m.server_names.is_empty() || !m.transport_protocol.is_empty());
        let inspects_http = asks(|m| m.application_protocols.iter().any(|p| p == "http/1.1" || p == "h2c"));
        let mut seen = Seen {
            address: address.and_then(|text| text.parse().ok()),
            server_name: None,
            transport: "raw_buffer",
            applications: Vec::new(),
            stalls: (inspects_tls || inspects_http) && matches!(opening, Opening::Clear(Inside::Silence)),
        };
        match opening {
            Opening::Tls(tls) if inspects_tls => {
                seen.server_name = tls.server_name.as_ref().map(|name| name.to_ascii_lowercase());
                seen.transport = "tls";
                seen.applications = tls.alpn.iter().map(String::as_str).collect();
            }
            Opening::Clear(Inside::Http) if inspects_http => seen.applications = vec!["http/1.1"],
            Opening::Tls(_) | Opening::Clear(_) => {}
        }
        seen
    }
}

/// The chain that takes a connection. A chain that asks for nothing also stands in where the search
/// ends without result (Envoy: the default filter chain).
fn find_chain<'m>(chains: &'m [FilterChain], seen: &Seen<'_>) -> Option<&'m FilterChain> {
    let all: Vec<&FilterChain> = chains.iter().collect();
    let narrowed = by_address(all, seen);
    let narrowed = by_server_name(narrowed, seen);
    let narrowed = by_transport(narrowed, seen);
    by_application(&narrowed, seen).or_else(|| chains.iter().find(|chain| chain.matcher == ChainMatch::default()))
}

/// Keeps the chains with the narrowest network that holds the address; without one, the chains that
/// name no network.
fn by_address<'m>(chains: Vec<&'m FilterChain>, seen: &Seen<'_>) -> Vec<&'m FilterChain> {
    let width = |chain: &FilterChain| {
        let address = seen.address?;
        chain.matcher.destination_subnets.iter().filter_map(|network| prefix_length(network, address)).max()
    };
    match chains.iter().filter_map(|chain| width(chain)).max() {
        Some(widest) => chains.into_iter().filter(|chain| width(chain) == Some(widest)).collect(),
        None => chains.into_iter().filter(|chain| chain.matcher.destination_subnets.is_empty()).collect(),
    }
}

/// The length of the network's prefix if the network holds the address.
fn prefix_length(network: &str, address: IpAddr) -> Option<u8> {
    Network::parse(network).filter(|network| network.contains(address)).map(|network| network.length)
}

/// Keeps the chains with the exact server name, else with the longest wildcard, else without names.
fn by_server_name<'m>(chains: Vec<&'m FilterChain>, seen: &Seen<'_>) -> Vec<&'m FilterChain> {
    let specificity = |chain: &FilterChain| {
        let name = seen.server_name.as_deref()?;
        chain.matcher.server_names.iter().filter_map(|pattern| server_name_rank(pattern, name)).max()
    };
    match chains.iter().filter_map(|chain| specificity(chain)).max() {
        Some(best) => chains.into_iter().filter(|chain| specificity(chain) == Some(best)).collect(),
        None => chains.into_iter().filter(|chain| chain.matcher.server_names.is_empty()).collect(),
    }
}

fn server_name_rank(pattern: &str, name: &str) -> Option<usize> {
    match pattern.strip_prefix('*') {
        None => (pattern == name).then_some(usize::MAX),
        Some(suffix) => (name.len() > suffix.len() && name.ends_with(suffix)).then_some(suffix.len()),
    }
}

fn by_transport<'m>(chains: Vec<&'m FilterChain>, seen: &Seen<'_>) -> Vec<&'m FilterChain> {
    let named: Vec<_> = chains.iter().copied().filter(|chain| chain.matcher.transport_protocol == seen.transport).collect();
    match named.is_empty() {
        true => chains.into_iter().filter(|chain| chain.matcher.transport_protocol.is_empty()).collect(),
        false => named,
    }
}

/// The chain that names the first of the client's application protocols that any chain names, else
/// one that names none.
fn by_application<'m>(chains: &[&'m FilterChain], seen: &Seen<'_>) -> Option<&'m FilterChain> {
    let naming = |protocol: &str| chains.iter().copied().find(|c| c.matcher.application_protocols.iter().any(|p| p == protocol));
    let named = seen.applications.iter().find_map(|protocol| naming(protocol));
    named.or_else(|| chains.iter().copied().find(|chain| chain.matcher.application_protocols.is_empty()))
}

/// What a filter chain makes of what the client sends.
fn enter<'m>(listener: &'m Listener, chain: &'m FilterChain, opening: &Opening) -> Conn<'m> {
    let (terminated, inside) = match (chain.terminates, opening) {
        (Some(mode), Opening::Tls(tls)) if handshake_succeeds(mode, tls) => (true, &tls.inside),
        (Some(_), Opening::Tls(_) | Opening::Clear(Inside::Http | Inside::Bytes)) => {
            return ended(listener, Some(chain), EndReason::TlsHandshake, false);
        }
        (Some(_), Opening::Clear(Inside::Silence)) => return ended(listener, Some(chain), EndReason::WaitingForBytes, false),
        (None, Opening::Clear(inside)) => (false, inside),
        // To this chain, the client's TLS is bytes.
        (None, Opening::Tls(_)) => (false, &Inside::Bytes),
    };
    match (&chain.target, inside) {
        (ChainTarget::Http(table), Inside::Http) => {
            let alpn = opening.tls().filter(|_| terminated).and_then(agreed_protocol);
            Conn::Http(HttpConn { listener, chain, table: *table, terminated, alpn })
        }
        (ChainTarget::Http(_), Inside::Bytes) => ended(listener, Some(chain), EndReason::NotHttp, terminated),
        (ChainTarget::Http(_), Inside::Silence) => ended(listener, Some(chain), EndReason::WaitingForBytes, terminated),
        (ChainTarget::Tcp(tcp), _) => Conn::Tcp(TcpConn {
            listener: Some(listener),
            chain: Some(chain),
            legs: tcp.legs.iter().map(|(cluster, weight, _)| (cluster, *weight)).collect(),
            client_tls: opening.tls().map(|_| if terminated { ClientTlsFate::Terminated } else { ClientTlsFate::Passthrough }),
        }),
    }
}

/// The first protocol of an HTTPS server that the client offers.
fn agreed_protocol(tls: &ClientTls) -> Option<&'static str> {
    ["h2", "http/1.1"].into_iter().find(|ours| tls.alpn.iter().any(|theirs| theirs == ours))
}

/// Whether the client shows what the chain demands. A certificate of the workload's own mesh is
/// what `ISTIO_MUTUAL` demands; any trusted one counts as such here.
fn handshake_succeeds(mode: DownstreamTls, tls: &ClientTls) -> bool {
    match mode {
        DownstreamTls::Simple | DownstreamTls::OptionalMutual => true,
        DownstreamTls::Mutual | DownstreamTls::IstioMutual => tls.certificate,
    }
}
