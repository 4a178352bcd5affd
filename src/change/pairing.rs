//! Which proxies, listeners and route tables are compared with each other.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::callers::TrustDomains;
use super::classes::Tables;
use super::delta::{ConnectionChange, Delta};
use super::destinations;
use super::likeness::Pair;
use super::server_side;
use crate::analysis::space::{Arrival, Space, Way, ways};
use crate::mesh::cluster::Cluster;
use crate::mesh::proxy::{ChainTarget, Listener};
use crate::mesh::{Mesh, Proxy, ProxyKind, RouteTableId};
use crate::routing::{ClientTls, Conn, Dial, Inside, Opening, destination_name, listen};

/// An address that nobody in a mesh owns: it is set aside for documentation (RFC 5737).
const NOBODY: &str = "192.0.2.1";

/// Compares two meshes: what becomes of every request and connection at every proxy that both have.
#[must_use]
pub fn compare(base: &Mesh, head: &Mesh) -> Delta {
    let mut delta = Delta::default();
    let key = |proxy: &Proxy| (proxy.spec.kind, proxy.spec.name.clone());
    let by_name: BTreeMap<_, &Proxy> = base.proxies.iter().map(|proxy| (key(proxy), proxy)).collect();
    let mut pairs = Vec::new();
    for proxy in &head.proxies {
        match by_name.get(&key(proxy)) {
            Some(before) => pairs.push(Pair { base: before, head: proxy }),
            None => delta.added.push(proxy.spec.name.clone()),
        }
    }
    let after: BTreeSet<_> = head.proxies.iter().map(key).collect();
    delta.removed =
        base.proxies.iter().filter(|proxy| !after.contains(&key(proxy))).map(|proxy| proxy.spec.name.clone()).collect();
    delta.compared = pairs.len();
    let groups = alike(&pairs);
    let found: Vec<Delta> = groups.par_iter().map(|group| of_group(group)).collect();
    found.into_iter().for_each(|one| delta.add(one));
    destinations::compare(&pairs, &mut delta);
    let mut all: Vec<String> = base.trust_domains.iter().chain(&head.trust_domains).cloned().collect();
    all.sort();
    all.dedup();
    let trust_domains = TrustDomains { all, are_alike: base.trust_domains == head.trust_domains };
    server_side::compare(&pairs, &trust_domains, &mut delta);
    delta
}

/// Pairs whose proxies share their listeners and route tables on both sides: one of them stands for
/// all.
fn alike<'m>(pairs: &[Pair<'m>]) -> Vec<Vec<Pair<'m>>> {
    let shared = |proxy: &Proxy| (proxy.listeners.as_ptr() as usize, proxy.route_tables.as_ptr() as usize);
    let mut groups: BTreeMap<_, Vec<Pair<'m>>> = BTreeMap::new();
    for pair in pairs {
        groups.entry((shared(pair.base), shared(pair.head))).or_default().push(*pair);
    }
    // Addresses in memory must not decide the order of a result.
    let mut groups: Vec<Vec<Pair<'m>>> = groups.into_values().collect();
    groups.sort_by(|one, other| one[0].head.spec.cmp(&other[0].head.spec));
    groups
}

fn of_group(group: &[Pair<'_>]) -> Delta {
    let pair = group[0];
    let mut delta = Delta::default();
    let mut space = Space::new();
    let meetings = Meetings::of(pair);
    for (base, head, secure) in &meetings.tables {
        let arrival = Arrival { kind: pair.head.spec.kind, secure: *secure };
        let tables = Tables { pair, base: *base, head: *head, arrival };
        let into = |proxy: &Proxy, table: RouteTableId| -> Option<Way> {
            ways(proxy).into_iter().find(|way| way.table == table && way.arrival == arrival)
        };
        let way = || into(pair.base, *base).or_else(|| into(pair.head, *head));
        tables.compare(&mut space, &way, &mut delta);
    }
    delta.connections = meetings.connections;
    let names: Vec<String> = group.iter().map(|pair| pair.head.spec.name.clone()).collect();
    for change in &mut delta.changes {
        change.proxies.clone_from(&names);
    }
    for change in &mut delta.connections {
        change.proxies.clone_from(&names);
    }
    delta
}

/// The route tables that the same connections come to, and connections that are taken differently.
#[derive(Default)]
struct Meetings {
    tables: BTreeSet<(RouteTableId, RouteTableId, bool)>,
    connections: Vec<ConnectionChange>,
}

impl Meetings {
    fn of(pair: Pair<'_>) -> Self {
        let by_place = |proxy: &'_ Proxy| -> BTreeMap<(u16, Option<String>), usize> {
            let all = proxy.listeners.iter().enumerate();
            all.map(|(index, listener)| ((listener.port, listener.address.clone()), index)).collect()
        };
        let (before, after) = (by_place(pair.base), by_place(pair.head));
        let mut meetings = Meetings::default();
        let places: BTreeSet<&(u16, Option<String>)> = before.keys().chain(after.keys()).collect();
        for place in places {
            let of = |proxy: &'_ Proxy, index: Option<&usize>| index.map(|index| proxy.listeners[*index].clone());
            match (before.get(place), after.get(place)) {
                (Some(one), Some(other)) if pair.same_listeners(&pair.base.listeners[*one], &pair.head.listeners[*other]) => {
                    meetings.same(&pair.base.listeners[*one], &pair.head.listeners[*other]);
                }
                (one, other) => {
                    let listeners: Vec<Listener> = of(pair.base, one).into_iter().chain(of(pair.head, other)).collect();
                    meetings.different(pair, &listeners);
                }
            }
        }
        let fallback = |proxy: &Proxy| proxy.fallback.as_ref().map(|cluster| cluster.name.clone());
        if fallback(pair.base) != fallback(pair.head) {
            let words = |proxy: &Proxy| fallback(proxy).map_or_else(|| "refused".to_owned(), |name| format!("bytes to {name}"));
            meetings.connections.push(ConnectionChange {
                proxies: Vec::new(),
                dialled: "a port that nothing listens on".to_owned(),
                before: words(pair.base),
                after: words(pair.head),
            });
        }
        meetings
    }

    fn same(&mut self, base: &Listener, head: &Listener) {
        for (one, other) in base.chains.iter().zip(&head.chains) {
            if let (ChainTarget::Http(one_table), ChainTarget::Http(other_table)) = (&one.target, &other.target) {
                self.tables.insert((*one_table, *other_table, one.terminates.is_some()));
            }
        }
    }

    /// Tries every kind of connection that one of two listeners tells apart.
    fn different(&mut self, pair: Pair<'_>, listeners: &[Listener]) {
        for dial in dials(pair.head.spec.kind, listeners) {
            let (before, after) = (listen(pair.base, &dial, ""), listen(pair.head, &dial, ""));
            if let (Conn::Http(one), Conn::Http(other)) = (&before, &after) {
                self.tables.insert((one.table, other.table, one.terminated));
                continue;
            }
            let (before, after) = (words(pair.base, &before), words(pair.head, &after));
            if before != after {
                self.connections.push(ConnectionChange { proxies: Vec::new(), dialled: dialled(&dial), before, after });
            }
        }
    }
}

/// One dial for each kind of connection that the listeners tell apart.
fn dials(kind: ProxyKind, listeners: &[Listener]) -> Vec<Dial> {
    let chains = || listeners.iter().flat_map(|listener| &listener.chains);
    let names: BTreeSet<String> = chains()
        .flat_map(|chain| &chain.matcher.server_names)
        .map(|name| name.strip_prefix('*').map_or_else(|| name.clone(), |rest| format!("a{rest}")))
        .chain(["a.test".to_owned()])
        .collect();
    let subnets = chains().flat_map(|chain| &chain.matcher.destination_subnets);
    let subnets: BTreeSet<String> = subnets.filter_map(|net| net.split('/').next()).map(str::to_owned).collect();
    let mut addresses: Vec<Option<String>> = Vec::new();
    for listener in listeners {
        let own = match kind {
            ProxyKind::Gateway => None,
            ProxyKind::Sidecar => Some(listener.address.clone().unwrap_or_else(|| NOBODY.to_owned())),
        };
        if !addresses.contains(&own) {
            addresses.push(own);
        }
    }
    addresses.extend(subnets.into_iter().map(Some));
    let tls = |server_name: Option<String>, inside, alpn: &[&str]| {
        let alpn = alpn.iter().map(|word| (*word).to_owned()).collect();
        Opening::Tls(ClientTls { server_name, alpn, certificate: true, at_most_1_2: false, inside })
    };
    let mut openings = vec![Opening::Clear(Inside::Http), Opening::Clear(Inside::Bytes)];
    for name in names.into_iter().map(Some).chain([None]) {
        openings.push(tls(name.clone(), Inside::Http, &["http/1.1"]));
        openings.push(tls(name, Inside::Bytes, &[]));
    }
    let Some(port) = listeners.first().map(|listener| listener.port) else { return Vec::new() };
    let with = |address: &Option<String>| {
        let address = address.clone();
        openings.iter().map(move |opening| Dial { port, address: address.clone(), opening: opening.clone() }).collect::<Vec<_>>()
    };
    addresses.iter().flat_map(with).collect()
}

fn words(proxy: &Proxy, connection: &Conn<'_>) -> String {
    match connection {
        Conn::Refused => "refused".to_owned(),
        Conn::Http(_) => "HTTP requests are routed".to_owned(),
        Conn::Ended(ended) => format!("ended: {}", ended.reason.word()),
        Conn::Tcp(tcp) => {
            let total: u32 = tcp.legs.iter().map(|(_, weight)| weight).sum();
            let legs = tcp.legs.iter().map(|(cluster, weight)| {
                let known = proxy.clusters.get(cluster.id).is_some_and(Cluster::has_somewhere_to_go);
                let name = destination_name(&cluster.name);
                format!("{weight}/{total} {name}{}", if known { "" } else { " (leads nowhere)" })
            });
            let legs: Vec<String> = legs.collect();
            format!("bytes to {}", legs.join(", "))
        }
    }
}

fn dialled(dial: &Dial) -> String {
    let address = dial.address.as_deref().filter(|address| *address != NOBODY).unwrap_or("any address");
    let what = match &dial.opening {
        Opening::Clear(Inside::Http) => "HTTP".to_owned(),
        Opening::Clear(_) => "bytes".to_owned(),
        Opening::Tls(tls) => {
            let name = tls.server_name.as_ref().map_or_else(|| "without server name".to_owned(), |name| format!("for {name}"));
            let inside = if tls.inside == Inside::Http { "HTTP" } else { "bytes" };
            format!("TLS {name} with {inside} inside")
        }
    };
    format!("{what} to port {} of {address}", dial.port)
}
