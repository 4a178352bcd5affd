//! Which rate limits a request meets, and what they are told about it (Envoy:
//! `Filter::getPerRouteConfig`, `RateLimitPolicyEntryImpl::populateDescriptors`).

use std::fmt::Display;

use super::matching::each_value;
use super::received::Received;
use super::selection::Selection;
use crate::mesh::rate_limit::{
    HeaderMatch, HeaderTest, Limit, LimitAction, LimitFilter, LocalLimit, RateLimits, RouteKind, RouteLimits, Traffic,
};
use crate::mesh::route::{Action, Route};
use crate::mesh::{Origin, Proxy, ProxyKind};

/// Where in a proxy's configuration a request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitPosition {
    /// Which listeners.
    pub traffic: Traffic,
    /// The port of the listener.
    pub port: u16,
    /// Name of the route table.
    pub table: String,
    /// Name of the virtual host; `None` if there is none.
    pub virtual_host: Option<String>,
    /// Name of the route and what it does; `None` if there is none.
    pub route: Option<(String, RouteKind)>,
    /// The cluster that the route leads to.
    pub cluster: String,
    /// The address of the client.
    pub client: String,
}

impl LimitPosition {
    /// At the server side of a sidecar: each port has one virtual host with one route, and ports that
    /// nobody declares share one.
    #[must_use]
    pub fn inbound(proxy: &Proxy, port: u16, client: impl Display) -> Self {
        let declared = if proxy.inbound.port(port).is_some() { port } else { 0 };
        let cluster = proxy.inbound.cluster(port);
        LimitPosition {
            traffic: Traffic::Inbound,
            port,
            table: cluster.clone(),
            virtual_host: Some(format!("inbound|http|{declared}")),
            route: Some(("default".to_owned(), RouteKind::Route)),
            cluster,
            client: client.to_string(),
        }
    }

    /// Where a proxy has found a route, or none.
    #[must_use]
    pub fn routed(proxy: &Proxy, port: u16, selection: &Selection, client: impl Display) -> Self {
        let leg = selection.forward(proxy).and_then(|forward| forward.legs.all().first());
        LimitPosition {
            traffic: if proxy.spec.kind == ProxyKind::Gateway { Traffic::Gateway } else { Traffic::Outbound },
            port,
            table: proxy.route_tables[selection.table.index()].name.clone(),
            virtual_host: selection.virtual_host(proxy).map(|host| host.name.clone()),
            route: selection.route(proxy).map(|route| (route.name.clone(), route_kind(route))),
            cluster: leg.map(|leg| leg.cluster.name.clone()).unwrap_or_default(),
            client: client.to_string(),
        }
    }
}

/// A limit that a request meets.
#[derive(Debug, Clone, PartialEq)]
pub struct MetLimit<'m> {
    /// The filter.
    pub filter: &'m LimitFilter,
    /// Its configuration, if it counts by itself: the route's, the virtual host's, or its own.
    pub local: Option<&'m LocalLimit>,
    /// Whether that is its own, so that all routes share its buckets.
    pub is_shared: bool,
    /// Where that configuration is written.
    pub origin: Origin,
    /// What it is told about the request: key and value of the entries of each descriptor.
    pub descriptors: Vec<Vec<(String, String)>>,
}

const fn route_kind(route: &Route) -> RouteKind {
    match route.action {
        Action::Forward(_) => RouteKind::Route,
        Action::Redirect(_) => RouteKind::Redirect,
        Action::Direct(_) => RouteKind::DirectResponse,
    }
}

/// The limits that a request meets, in the order of the filters. Global ones ask only about requests
/// that are forwarded and for which there is something to ask.
#[must_use]
pub fn limits_met<'m>(limits: &'m RateLimits, at: &LimitPosition, request: &Received<'_>) -> Vec<MetLimit<'m>> {
    let here: Vec<&RouteLimits> = limits.routes.iter().filter(|routes| is_for(routes, at)).collect();
    let level = |of_routes: bool| here.iter().copied().filter(move |routes| routes.routes.is_some() == of_routes);
    let said = |of_routes: bool| -> Vec<&'m Vec<LimitAction>> { level(of_routes).flat_map(|routes| &routes.actions).collect() };
    let of_route = said(true);
    let actions = if of_route.is_empty() { said(false) } else { of_route };
    let own = level(true).rfind(|routes| routes.local.is_some());
    let own = own.or_else(|| level(false).rfind(|routes| routes.local.is_some()));
    let described =
        |actions: &[&Vec<LimitAction>]| actions.iter().filter_map(|actions| descriptor(actions, at, request)).collect::<Vec<_>>();
    let mut met = Vec::new();
    for filter in &limits.filters {
        let is_here =
            filter.traffic.is_none_or(|traffic| traffic == at.traffic) && filter.port.is_none_or(|port| port == at.port);
        if !is_here {
            continue;
        }
        match &filter.limit {
            Limit::Local(limit) => {
                let (local, origin) =
                    own.and_then(|routes| Some((routes.local.as_ref()?, routes.origin))).unwrap_or((limit, filter.origin));
                let descriptors = match local.actions.as_slice() {
                    [] => described(&actions),
                    own => described(&own.iter().collect::<Vec<_>>()),
                };
                met.push(MetLimit { filter, local: Some(local), is_shared: own.is_none(), origin, descriptors });
            }
            Limit::Global(_) => {
                let descriptors = described(&actions);
                if !descriptors.is_empty() && at.route.as_ref().is_some_and(|(_, kind)| *kind == RouteKind::Route) {
                    met.push(MetLimit { filter, local: None, is_shared: true, origin: filter.origin, descriptors });
                }
            }
        }
    }
    met
}

fn is_for(routes: &RouteLimits, at: &LimitPosition) -> bool {
    let (Some(host), Some((name, kind))) = (&at.virtual_host, &at.route) else { return false };
    let is = |wanted: &Option<String>, own: &str| wanted.as_deref().is_none_or(|wanted| wanted == own);
    routes.traffic.is_none_or(|traffic| traffic == at.traffic)
        && routes.port.is_none_or(|port| port == at.port)
        && is(&routes.table, &at.table)
        && is(&routes.virtual_host, host)
        && routes
            .routes
            .as_ref()
            .is_none_or(|choice| is(&choice.name, name) && choice.action.is_none_or(|wanted| wanted == *kind))
}

/// The entries that actions make; nothing if one of them has nothing to say.
fn descriptor(actions: &[LimitAction], at: &LimitPosition, request: &Received<'_>) -> Option<Vec<(String, String)>> {
    let mut entries = Vec::with_capacity(actions.len());
    for action in actions {
        let (key, value) = match action {
            LimitAction::RequestHeader { header, key, skips_if_absent } => match first_value(header, request) {
                Some(value) => (key.as_str(), value),
                None if *skips_if_absent => continue,
                None => return None,
            },
            LimitAction::GenericKey { key, value } => (key.as_str(), value.clone()),
            LimitAction::HeaderValueMatch { key, value, expects_match, headers } => {
                let all = headers.iter().all(|header| header_holds(header, request));
                if all != *expects_match {
                    return None;
                }
                (key.as_str(), value.clone())
            }
            LimitAction::RemoteAddress => ("remote_address", at.client.clone()),
            LimitAction::DestinationCluster => ("destination_cluster", at.cluster.clone()),
        };
        entries.push((key.to_owned(), value));
    }
    (!entries.is_empty()).then_some(entries)
}

fn first_value(header: &str, request: &Received<'_>) -> Option<String> {
    let mut first = None;
    each_value(header, request, |value| {
        first.get_or_insert_with(|| value.to_owned());
    });
    first
}

fn header_holds(header: &HeaderMatch, request: &Received<'_>) -> bool {
    let mut all: Vec<String> = Vec::new();
    each_value(&header.name, request, |value| all.push(value.to_owned()));
    match (all.is_empty(), &header.test) {
        // Only a question about presence has an answer for what is absent.
        (true, HeaderTest::Present) => header.inverted,
        (true, _) => false,
        (false, test) => test.holds(&all.join(",")) != header.inverted,
    }
}
