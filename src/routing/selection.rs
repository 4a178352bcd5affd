//! Which virtual host and route take a request. Depends on the shape of the request only, so a
//! caller may remember it.

use super::authentication::at_routes;
use super::cors::{self, CorsRole};
use super::host::find_host;
use super::matching::holds;
use super::path::BadPath;
use super::received::Received;
use super::request::Request;
use crate::mesh::route::{Action, Forward, Route, RouteTable, VirtualHost};
use crate::mesh::{Proxy, RouteTableId};

/// What takes a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Nothing: it is answered 400.
    Malformed(BadPath),
    /// No virtual host: 404.
    NoHost,
    /// A virtual host that redirects to HTTPS, whatever its routes.
    RequireTls {
        /// The virtual host.
        host: u32,
    },
    /// The client says that it does not know how it reached the proxy (an empty `x-forwarded-proto`,
    /// which a sidecar believes): no route is looked at, and the answer is 404.
    NoProto {
        /// The virtual host.
        host: u32,
    },
    /// A virtual host without a matching route: 404.
    NoRoute {
        /// The virtual host.
        host: u32,
    },
    /// A route.
    Route {
        /// The virtual host.
        host: u32,
        /// The route in it.
        route: u32,
    },
}

/// What takes a request, and what the request is to the route's CORS policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Selection {
    /// The route table that was searched.
    pub table: RouteTableId,
    /// What was found there.
    pub verdict: Verdict,
    /// Cross-origin role; `None` unless a forwarding route with a policy was found.
    pub cors: CorsRole,
}

/// Finds the virtual host and the first matching route of one of the proxy's route tables.
#[must_use]
pub fn select(proxy: &Proxy, table: RouteTableId, request: &Request) -> Selection {
    match Received::authenticated(proxy.spec.kind, &at_routes(proxy, request)) {
        Ok(received) => select_received(proxy, table, &received),
        Err(bad) => Selection { table, verdict: Verdict::Malformed(bad), cors: CorsRole::None },
    }
}

/// The same for a request that was taken in already.
#[must_use]
pub fn select_received(proxy: &Proxy, table: RouteTableId, received: &Received<'_>) -> Selection {
    let routes = &proxy.route_tables[table.index()];
    let verdict = search(routes, received);
    let mut selection = Selection { table, verdict, cors: CorsRole::None };
    if let Some(route) = selection.route(proxy)
        && let Action::Forward(_) = route.action
    {
        selection.cors = cors::role(route.cors.as_ref(), received);
    }
    selection
}

fn search(table: &RouteTable, received: &Received<'_>) -> Verdict {
    let Some(found) = find_host(table, received.authority) else { return Verdict::NoHost };
    let virtual_host = &table.virtual_hosts[found.index];
    let host = index(found.index);
    if received.forwarded_proto.is_empty() {
        return Verdict::NoProto { host };
    }
    if virtual_host.require_tls && received.scheme != "https" {
        return Verdict::RequireTls { host };
    }
    match virtual_host.routes.iter().position(|route| holds(&route.matcher, received)) {
        Some(route) => Verdict::Route { host, route: index(route) },
        None => Verdict::NoRoute { host },
    }
}

fn index(position: usize) -> u32 {
    u32::try_from(position).expect("a route table has fewer than 2^32 entries")
}

impl Selection {
    /// The virtual host, if one was found.
    #[must_use]
    pub fn virtual_host<'m>(&self, proxy: &'m Proxy) -> Option<&'m VirtualHost> {
        let host = match self.verdict {
            Verdict::Malformed(_) | Verdict::NoHost => return None,
            Verdict::NoProto { host }
            | Verdict::RequireTls { host }
            | Verdict::NoRoute { host }
            | Verdict::Route { host, .. } => host,
        };
        proxy.route_tables[self.table.index()].virtual_hosts.get(host as usize)
    }

    /// The route, if one matched.
    #[must_use]
    pub fn route<'m>(&self, proxy: &'m Proxy) -> Option<&'m Route> {
        match self.verdict {
            Verdict::Route { route, .. } => self.virtual_host(proxy)?.routes.get(route as usize),
            _ => None,
        }
    }

    /// The matching route's forwarding, if it forwards.
    #[must_use]
    pub fn forward<'m>(&self, proxy: &'m Proxy) -> Option<&'m Forward> {
        match &self.route(proxy)?.action {
            Action::Forward(forward) => Some(forward),
            Action::Redirect(_) | Action::Direct(_) => None,
        }
    }
}
