//! What reaches the routes of a virtual host.

use super::cell::Conjunction;
use super::conditions::Arrival;
use super::sets::{Found, Space};
use super::way::{Way, Witness};
use crate::mesh::route::{Condition, Subject, VirtualHost};
use crate::mesh::{Proxy, RouteTableId};
use crate::routing::Verdict;

/// Earlier routes that are tried one by one to find those that take everything from a route.
const SUSPECTS_MAX: usize = 24;

/// Why a route is undecided that asks for a claim.
const NEEDS_TOKEN: &str = "it takes a token, and requests here have none";

/// Whether a route is undecided only because no request here has a token.
#[must_use]
pub fn needs_token(why: &str) -> bool {
    why == NEEDS_TOKEN
}

/// Whether a request reaches a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// This one does; the routing core confirms it.
    Live(Witness),
    /// None does: these earlier routes of its virtual host take them all, and none of them can be
    /// spared.
    Shadowed(Vec<usize>),
    /// None does: its conditions exclude each other, or the hosts that its virtual host is for.
    Impossible,
    /// None does: no request chooses its virtual host, or no connection comes to its table.
    Cut,
    /// It is not known, because of this.
    Undecided(String),
}

/// The routes of one virtual host as sets of requests.
#[derive(Debug)]
pub struct Reaches<'m> {
    proxy: &'m Proxy,
    virtual_host: &'m VirtualHost,
    host: u32,
    entrances: Vec<Entrance>,
}

/// One way in.
#[derive(Debug)]
struct Entrance {
    way: Way,
    /// The requests that choose the virtual host, by domain.
    domains: Vec<Conjunction>,
    /// The requests that are not redirected to HTTPS.
    secure: Conjunction,
    routes: Vec<Conjunction>,
}

impl<'m> Reaches<'m> {
    /// The routes of a virtual host. `ways` are those of the proxy.
    #[must_use]
    pub fn new(space: &mut Space, proxy: &'m Proxy, ways: &[Way], table: RouteTableId, host: usize) -> Self {
        let routes = &proxy.route_tables[table.index()];
        let virtual_host = &routes.virtual_hosts[host];
        let entrances = ways.iter().filter(|way| way.table == table).map(|way| {
            let mut domains: Vec<Conjunction> =
                virtual_host.domains.iter().map(|domain| space.domain(routes, host, domain)).collect();
            domains.retain(|domain| !domain.never);
            Entrance {
                way: way.clone(),
                domains,
                secure: secure(space, way.arrival, virtual_host),
                routes: virtual_host.routes.iter().map(|route| space.route(way.arrival, &route.matcher)).collect(),
            }
        });
        let entrances = entrances.collect();
        let host = u32::try_from(host).expect("fewer than 2^32 virtual hosts");
        Reaches { proxy, virtual_host, host, entrances }
    }

    /// What reaches one of the routes.
    #[must_use]
    pub fn of(&self, space: &mut Space, route: usize) -> Reach {
        let mut undecided = None;
        for (entrance, domain) in self.approaches(route) {
            let within = [domain, &entrance.secure, &entrance.routes[route]];
            let outside: Vec<&Conjunction> = entrance.routes[..route].iter().collect();
            match space.find(&within, &outside) {
                Found::Empty => {}
                Found::Undecided(why) => undecided = undecided.or(Some(why)),
                Found::Values(values) => match self.confirmed(entrance, route, entrance.way.witness(self.proxy, &values)) {
                    Ok(witness) => return Reach::Live(witness),
                    Err(why) => undecided = undecided.or(Some(why.to_owned())),
                },
            }
        }
        if let Some(why) = undecided {
            return Reach::Undecided(why);
        }
        if self.approaches(route).next().is_none() {
            return Reach::Cut;
        }
        if self.is_taken_by(space, route, &[]) {
            return Reach::Impossible;
        }
        Reach::Shadowed(self.culprits(space, route))
    }

    fn confirmed(&self, entrance: &Entrance, route: usize, witness: Option<Witness>) -> Result<Witness, &'static str> {
        let witness = witness.ok_or(NEEDS_TOKEN)?;
        let verdict = Verdict::Route { host: self.host, route: u32::try_from(route).expect("fewer than 2^32 routes") };
        let confirms = entrance.way.confirms(self.proxy, &witness, verdict);
        confirms.then_some(witness).ok_or("the request that should reach it takes another route")
    }

    /// Ways in and domains. Unless a condition looks at the authority, the first domain stands for
    /// all.
    fn approaches(&self, route: usize) -> impl Iterator<Item = (&Entrance, &Conjunction)> {
        let looks =
            |condition: &Condition| matches!(&condition.subject, Subject::Header(name) if name == ":authority" || name == "host");
        let routes = &self.virtual_host.routes[..=route];
        let matters = routes.iter().flat_map(|route| &route.matcher.conditions).any(looks);
        let count = if matters { usize::MAX } else { 1 };
        self.entrances.iter().flat_map(move |entrance| entrance.domains.iter().take(count).map(move |domain| (entrance, domain)))
    }

    /// Whether some earlier routes are proven to take every request from a route.
    fn is_taken_by(&self, space: &mut Space, route: usize, earlier: &[usize]) -> bool {
        self.approaches(route).all(|(entrance, domain)| {
            let within = [domain, &entrance.secure, &entrance.routes[route]];
            let outside: Vec<&Conjunction> = earlier.iter().map(|index| &entrance.routes[*index]).collect();
            space.find(&within, &outside) == Found::Empty
        })
    }

    /// The earlier routes without which a route would be reached.
    fn culprits(&self, space: &mut Space, route: usize) -> Vec<usize> {
        if let Some(one) = (0..route).find(|one| self.is_taken_by(space, route, &[*one])) {
            return vec![one];
        }
        let meets = |space: &mut Space, index: usize| {
            self.approaches(route).any(|(entrance, _)| {
                let Some(cell) = space.cell_of(&[&entrance.routes[route]]) else { return false };
                space.intersect(&cell, &entrance.routes[index]).is_some()
            })
        };
        let mut culprits: Vec<usize> = (0..route).filter(|index| meets(space, *index)).collect();
        if culprits.len() > SUSPECTS_MAX {
            return culprits;
        }
        for index in culprits.clone() {
            let others: Vec<usize> = culprits.iter().copied().filter(|other| *other != index).collect();
            if self.is_taken_by(space, route, &others) {
                culprits = others;
            }
        }
        culprits
    }
}

fn secure(space: &mut Space, arrival: Arrival, virtual_host: &VirtualHost) -> Conjunction {
    if virtual_host.require_tls { space.secure(arrival) } else { Conjunction::everything() }
}
