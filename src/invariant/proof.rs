//! Invariants proven or refuted.

use std::collections::BTreeSet;

use super::claim::Invariant;
use crate::analysis::space::{Conjunction, Found, Space, Way, Witness, ways};
use crate::change::{Entry, entries};
use crate::mesh::route::{Condition, RouteMatch, RouteTable, Subject, Test, VirtualHost};
use crate::mesh::{Mesh, Proxy};
use crate::routing::{DomainKind, find_host};
use crate::source::Span;

/// Counterexamples that are told.
const SHOWN: usize = 5;

/// How it stands with an invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// It holds for every request at so many proxies.
    Proven(usize),
    /// It does not: these requests break it.
    Refuted(Vec<Counterexample>),
    /// It is not known, because of this.
    Undecided(String),
}

/// A request that breaks an invariant; the routing core confirms which route takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counterexample {
    /// The proxy that sends it.
    pub proxy: String,
    /// The request.
    pub witness: Witness,
    /// What becomes of it.
    pub what: String,
    /// The rule, if somebody wrote it.
    pub place: Span,
}

/// Proves an invariant, or refutes it.
#[must_use]
pub fn prove(mesh: &Mesh, invariant: &Invariant) -> Proof {
    let mut search = Search { mesh, invariant, space: Space::new(), found: Vec::new(), undecided: None, hosts: 0 };
    let mut seen = BTreeSet::new();
    let mut proxies = 0;
    for proxy in mesh.proxies.iter().filter(|proxy| invariant.scope.holds(proxy)) {
        proxies += 1;
        // Proxies of one namespace and kind that share their tables do the same.
        let key = (proxy.listeners.as_ptr() as usize, proxy.route_tables.as_ptr() as usize, proxy.spec.namespace.clone());
        if seen.insert(key) {
            search.proxy(proxy);
        }
    }
    match (search.found.is_empty(), search.undecided) {
        (false, _) => Proof::Refuted(search.found),
        (true, Some(why)) => Proof::Undecided(why),
        (true, None) if proxies == 0 => Proof::Undecided("no proxy is meant".to_owned()),
        (true, None) if search.hosts == 0 => Proof::Undecided("no proxy has a virtual host that is meant".to_owned()),
        (true, None) => Proof::Proven(proxies),
    }
}

struct Search<'m> {
    mesh: &'m Mesh,
    invariant: &'m Invariant,
    space: Space,
    found: Vec<Counterexample>,
    undecided: Option<String>,
    /// Virtual hosts that were looked at.
    hosts: usize,
}

impl<'m> Search<'m> {
    fn proxy(&mut self, proxy: &'m Proxy) {
        for way in ways(proxy) {
            let table = &proxy.route_tables[way.table.index()];
            for (host, requests) in self.hosts(table) {
                self.hosts += 1;
                self.host(proxy, &way, table, host, &requests);
            }
        }
    }

    /// The virtual hosts that are meant, with the requests that are.
    fn hosts(&self, table: &RouteTable) -> Vec<(usize, RouteMatch)> {
        let requests = &self.invariant.requests;
        // What a sidecar does with hosts that nobody knows is no rule of anybody's.
        let is_written = |own: &VirtualHost| own.routes.iter().any(|route| route.origin.object.is_some());
        let Some(host) = &self.invariant.host else {
            let known = |own: &&VirtualHost| own.domains.iter().any(|domain| domain != "*") || is_written(own);
            let all = table.virtual_hosts.iter().enumerate().filter(|(_, own)| known(own));
            return all.map(|(host, _)| (host, requests.clone())).collect();
        };
        let Some(found) = find_host(table, host) else { return Vec::new() };
        let mut requests = requests.clone();
        match found.kind {
            DomainKind::Any if !is_written(&table.virtual_hosts[found.index]) => return Vec::new(),
            DomainKind::Exact => {}
            DomainKind::Suffix | DomainKind::Prefix | DomainKind::Any => requests.conditions.push(Condition {
                subject: Subject::Header(":authority".to_owned()),
                test: Test::Exact(host.clone()),
                invert: false,
                missing_as_empty: false,
                span: Span::NOWHERE,
            }),
        }
        vec![(found.index, requests)]
    }

    fn host(&mut self, proxy: &'m Proxy, way: &Way, table: &'m RouteTable, host: usize, requests: &RouteMatch) {
        let own = &table.virtual_hosts[host];
        let meant = self.space.route(way.arrival, requests);
        let unless = self.invariant.unless.as_ref().map(|unless| self.space.route(way.arrival, unless));
        let list = entries(&mut self.space, way.arrival, Some((host, own)));
        let broken: Vec<(usize, String)> = list
            .iter()
            .enumerate()
            .filter_map(|(at, entry)| Some((at, self.invariant.claim.broken_by(self.mesh, proxy, entry)?)))
            .collect();
        if broken.is_empty() {
            return;
        }
        let domains: Vec<Conjunction> = own.domains.iter().map(|domain| self.space.domain(table, host, domain)).collect();
        for (at, what) in broken {
            for domain in domains.iter().filter(|domain| !domain.never) {
                let within = [domain, &list[at].conditions, &meant];
                let mut outside: Vec<&Conjunction> = list[..at].iter().map(|entry| &entry.conditions).collect();
                outside.extend(&unless);
                match self.space.find(&within, &outside) {
                    Found::Empty => {}
                    Found::Undecided(why) => self.undecided = self.undecided.take().or(Some(why)),
                    Found::Values(values) => {
                        self.refute(proxy, way, &list[at], way.witness(proxy, &values), &what);
                        break;
                    }
                }
            }
        }
    }

    fn refute(&mut self, proxy: &Proxy, way: &Way, entry: &Entry<'_>, witness: Option<Witness>, what: &str) {
        let confirmed = witness.filter(|witness| way.confirms(proxy, witness, entry.verdict));
        let Some(witness) = confirmed else {
            let why = "the request that should break it takes another route".to_owned();
            self.undecided = self.undecided.take().or(Some(why));
            return;
        };
        let place = entry.place();
        let is_known = self.found.iter().any(|own| own.place == place && own.what == what);
        if !is_known && self.found.len() < SHOWN {
            self.found.push(Counterexample { proxy: proxy.spec.name.clone(), witness, what: what.to_owned(), place });
        }
    }
}
