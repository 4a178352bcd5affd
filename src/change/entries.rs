//! A virtual host as a list: conditions, and what is done with the requests that meet them first.

use crate::analysis::space::{Arrival, Conjunction, Space};
use crate::mesh::Proxy;
use crate::mesh::route::{Route, VirtualHost};
use crate::routing::{Treatment, Verdict};
use crate::source::Span;

/// One line of the list. A request belongs to the first line whose conditions it meets; the last one
/// takes every request.
#[derive(Debug, Clone)]
pub struct Entry<'m> {
    /// The conditions.
    pub conditions: Conjunction,
    /// What the routing core says of its requests.
    pub verdict: Verdict,
    /// The route, if there is one.
    pub route: Option<&'m Route>,
}

/// The list of a virtual host; of none, that nothing is found.
pub fn entries<'m>(space: &mut Space, arrival: Arrival, virtual_host: Option<(usize, &'m VirtualHost)>) -> Vec<Entry<'m>> {
    let rest = |verdict| Entry { conditions: Conjunction::everything(), verdict, route: None };
    let Some((index, own)) = virtual_host else { return vec![rest(Verdict::NoHost)] };
    let number = |position: usize| u32::try_from(position).expect("fewer than 2^32 routes");
    let host = number(index);
    let secure = if own.require_tls { space.secure(arrival) } else { Conjunction::everything() };
    let mut all: Vec<Entry<'m>> = Vec::with_capacity(own.routes.len() + 2);
    for (route, compiled) in own.routes.iter().enumerate() {
        let conditions = space.route(arrival, &compiled.matcher).and(&secure);
        all.push(Entry { conditions, verdict: Verdict::Route { host, route: number(route) }, route: Some(compiled) });
    }
    all.push(Entry { conditions: secure, ..rest(Verdict::NoRoute { host }) });
    if own.require_tls {
        all.push(rest(Verdict::RequireTls { host }));
    }
    all
}

impl Entry<'_> {
    /// What is done with its requests.
    #[must_use]
    pub fn treatment(&self, proxy: &Proxy) -> Treatment {
        match (self.route, self.verdict) {
            (Some(route), _) => Treatment::of_route(proxy, route),
            (None, verdict) => Treatment::without_route(verdict),
        }
    }

    /// Where it is written, if anywhere.
    #[must_use]
    pub fn place(&self) -> Span {
        self.route.map_or(Span::NOWHERE, |route| route.origin.span)
    }
}
