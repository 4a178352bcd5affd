//! Where listeners listen and endpoints are.

use std::net::Ipv4Addr;

use indexmap::IndexMap;

use crate::mesh::Proxy;
use crate::mesh::cluster::{Cluster, Discovery, Endpoint};

/// Where listeners listen and endpoints are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// Where the mesh has them. A sidecar's listeners bind no port: the kernel redirects connections
    /// to one that knows the original destination.
    Mesh,
    /// On the loopback interface.
    Loopback(Loopback),
}

/// A mesh on the loopback interface: every address of the mesh becomes one of 127.0.0.0/8. Listeners
/// on every address listen on the first. TLS towards endpoints is off, and endpoints that the client
/// dials itself, and those behind DNS names, have addresses too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loopback {
    first: Ipv4Addr,
    passthrough_port: u16,
    addresses: IndexMap<String, Ipv4Addr>,
}

/// Lower ports need privileges; they are moved up by [`MOVED`].
const UNPRIVILEGED: u16 = 1024;
const MOVED: u16 = 10_000;

impl Loopback {
    /// Gives out addresses from `first` on to everything that a proxy knows. What goes to
    /// destinations that the mesh does not know arrives at `passthrough_port`.
    #[must_use]
    pub fn new(proxy: &Proxy, first: Ipv4Addr, passthrough_port: u16) -> Self {
        let mut loopback = Loopback { first, passthrough_port, addresses: IndexMap::new() };
        for listener in proxy.listeners.iter() {
            listener.address.iter().for_each(|address| loopback.add(address));
            let subnets = listener.chains.iter().flat_map(|chain| &chain.matcher.destination_subnets);
            subnets.for_each(|subnet| loopback.add(base_of(subnet)));
        }
        for cluster in proxy.clusters.iter() {
            if cluster.discovery == Discovery::OriginalDst && cluster.endpoints().next().is_none() {
                loopback.add(&cluster.name);
            }
            cluster.endpoints().for_each(|endpoint| loopback.add(host_of(endpoint)));
        }
        loopback
    }

    fn add(&mut self, address: &str) {
        let next = u32::from(self.first) + 1 + u32::try_from(self.addresses.len()).unwrap_or(u32::MAX);
        if !self.addresses.contains_key(address) {
            self.addresses.insert(address.to_owned(), Ipv4Addr::from(next));
        }
    }

    /// The address of listeners on every address.
    #[must_use]
    pub fn first(&self) -> Ipv4Addr {
        self.first
    }

    /// The loopback address that stands for one of the mesh's.
    #[must_use]
    pub fn address(&self, address: &str) -> Option<Ipv4Addr> {
        self.addresses.get(base_of(address)).copied()
    }

    /// The mesh's addresses and names, each with the loopback address that stands for it.
    pub fn addresses(&self) -> impl Iterator<Item = (&str, Ipv4Addr)> {
        self.addresses.iter().map(|(address, placed)| (address.as_str(), *placed))
    }

    /// The port that stands for one of the mesh's.
    #[must_use]
    pub const fn port(port: u16) -> u16 {
        if port < UNPRIVILEGED { port + MOVED } else { port }
    }

    /// Where a listener on this address of the mesh listens.
    fn placed(&self, address: Option<&str>) -> String {
        address.and_then(|address| self.address(address)).unwrap_or(self.first).to_string()
    }
}

impl Placement {
    /// Where a listener listens.
    pub(super) fn listener(&self, address: Option<&str>, port: u16) -> (String, u16) {
        match self {
            Placement::Mesh => (address.unwrap_or("0.0.0.0").to_owned(), port),
            Placement::Loopback(loopback) => (loopback.placed(address), Loopback::port(port)),
        }
    }

    /// The destination network that stands for one of the mesh's, and the length of its prefix.
    pub(super) fn subnet(&self, subnet: &str) -> (String, u32) {
        let bits = if subnet.contains(':') { 128 } else { 32 };
        match (self, subnet.split_once('/')) {
            (Placement::Loopback(loopback), _) => (loopback.placed(Some(subnet)), 32),
            (Placement::Mesh, Some((base, length))) => (base.to_owned(), length.parse().unwrap_or(bits)),
            (Placement::Mesh, None) => (subnet.to_owned(), bits),
        }
    }

    /// Where an endpoint is.
    pub(super) fn endpoint(&self, endpoint: &Endpoint) -> (String, u16) {
        let host = host_of(endpoint);
        match self {
            Placement::Mesh => (host.to_owned(), endpoint.port),
            Placement::Loopback(loopback) => (loopback.placed(Some(host)), Loopback::port(endpoint.port)),
        }
    }

    /// Where connections to the address that the client dialled go instead, if they cannot go there.
    pub(super) fn dialled(&self, cluster: &Cluster) -> Option<(String, u16)> {
        match self {
            Placement::Mesh => None,
            Placement::Loopback(loopback) => Some(match cluster.endpoints().next() {
                Some(endpoint) => self.endpoint(endpoint),
                None => (loopback.placed(Some(&cluster.name)), loopback.passthrough_port),
            }),
        }
    }

    /// Whether it is the loopback interface.
    pub(super) const fn is_loopback(&self) -> bool {
        matches!(self, Placement::Loopback(_))
    }
}

/// A network's address.
fn base_of(subnet: &str) -> &str {
    subnet.split_once('/').map_or(subnet, |(base, _)| base)
}

/// An endpoint's address without its port.
fn host_of(endpoint: &Endpoint) -> &str {
    let address = endpoint.address.as_str();
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}
