//! How requests come to a route table, and what a request with given values looks like.

use std::collections::BTreeSet;

use super::cell::Values;
use super::conditions::Arrival;
use super::dimension::Dimension;
use crate::mesh::proxy::{ChainTarget, FilterChain, Listener};
use crate::mesh::{Proxy, ProxyKind, RouteTableId};
use crate::routing::{ClientTls, Conn, Dial, Inside, Opening, Request, Verdict, listen, select};

/// An address that nobody in a mesh owns: it is set aside for documentation (RFC 5737).
const NOBODY: &str = "192.0.2.1";

/// A way into a route table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The table.
    pub table: RouteTableId,
    /// What is settled for all requests that come this way.
    pub arrival: Arrival,
    /// A dial that leads there whatever the authority.
    dial: Dial,
}

/// A request and what is dialled to send it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Witness {
    /// What is dialled.
    pub dial: Dial,
    /// What is sent.
    pub request: Request,
}

/// The ways into a proxy's route tables, one for each table and kind of connection.
#[must_use]
pub fn ways(proxy: &Proxy) -> Vec<Way> {
    ways_through(proxy, |_| true)
}

/// The ways into one of a proxy's route tables.
#[must_use]
pub fn ways_to(proxy: &Proxy, table: RouteTableId) -> Vec<Way> {
    ways_through(proxy, |own| own == table)
}

fn ways_through(proxy: &Proxy, wanted: impl Fn(RouteTableId) -> bool) -> Vec<Way> {
    let mut seen = BTreeSet::new();
    let mut ways = Vec::new();
    for listener in proxy.listeners.iter() {
        let leads = |chain: &FilterChain| matches!(chain.target, ChainTarget::Http(table) if wanted(table));
        for chain in listener.chains.iter().filter(|chain| leads(chain)) {
            for dial in dials(proxy.spec.kind, listener, chain) {
                let Conn::Http(http) = listen(proxy, &dial, "") else { continue };
                let arrival = Arrival { kind: proxy.spec.kind, secure: http.terminated };
                if wanted(http.table) && seen.insert((http.table, arrival)) {
                    ways.push(Way { table: http.table, arrival, dial });
                }
            }
        }
    }
    ways
}

/// Dials that a filter chain may take.
fn dials(kind: ProxyKind, listener: &Listener, chain: &FilterChain) -> Vec<Dial> {
    let subnet = chain.matcher.destination_subnets.first().and_then(|subnet| subnet.split('/').next());
    let address = match kind {
        ProxyKind::Gateway => None,
        ProxyKind::Sidecar => Some(subnet.or(listener.address.as_deref()).unwrap_or(NOBODY).to_owned()),
    };
    let tls = |server_name: Option<String>| {
        let alpn = vec!["http/1.1".to_owned()];
        Opening::Tls(ClientTls { server_name, alpn, certificate: true, at_most_1_2: false, inside: Inside::Http })
    };
    let names = chain.matcher.server_names.iter();
    let named = names.map(|name| tls(Some(name.strip_prefix('*').map_or_else(|| name.clone(), |rest| format!("a{rest}")))));
    let openings = std::iter::once(Opening::default()).chain(named).chain([tls(Some("a.test".to_owned())), tls(None)]);
    openings.map(|opening| Dial { port: listener.port, address: address.clone(), opening }).collect()
}

impl Way {
    /// The request with these values, and a plain choice where nothing was asked; `None` if a value
    /// is asked for that no request has.
    #[must_use]
    pub fn request(&self, values: &Values) -> Option<Request> {
        let mut request = Request {
            method: "GET".to_owned(),
            scheme: self.arrival.scheme(),
            authority: String::new(),
            path: "/".to_owned(),
            headers: Vec::new(),
        };
        let mut query = Vec::new();
        for (dimension, lines) in &values.0 {
            if !lines.is_empty() && !dimension.can_be_sent() {
                return None;
            }
            let Some(first) = lines.first() else { continue };
            match dimension {
                Dimension::Authority => request.authority.clone_from(first),
                Dimension::Path => request.path.clone_from(first),
                Dimension::Method => request.method.clone_from(first),
                Dimension::ForwardedProto if *first == self.arrival.scheme_name() => {}
                Dimension::ForwardedProto => request.headers.push(("x-forwarded-proto".to_owned(), first.clone())),
                Dimension::Header(name) => request.headers.extend(lines.iter().map(|line| (name.clone(), line.clone()))),
                Dimension::Query(name) => query.push(format!("{name}={first}")),
                Dimension::Claim(_) | Dimension::Opaque(_) => {}
            }
        }
        if !query.is_empty() {
            request.path = format!("{}?{}", request.path, query.join("&"));
        }
        Some(request)
    }

    /// The request with these values and a dial that leads it into the table. The address is left to
    /// the authority where that leads there too.
    #[must_use]
    pub fn witness(&self, proxy: &Proxy, values: &Values) -> Option<Witness> {
        let request = self.request(values)?;
        let by_name = Dial { address: None, ..self.dial.clone() };
        let leads_here =
            |dial: &Dial| matches!(listen(proxy, dial, &request.authority), Conn::Http(http) if http.table == self.table);
        let dial = [by_name, self.dial.clone()].into_iter().find(leads_here)?;
        Some(Witness { dial, request })
    }

    /// Whether the routing core sends a witness where it should go.
    #[must_use]
    pub fn confirms(&self, proxy: &Proxy, witness: &Witness, verdict: Verdict) -> bool {
        select(proxy, self.table, &witness.request).verdict == verdict
    }
}
