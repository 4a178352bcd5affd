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

/// Who shares the buckets of a configuration. Each filter chain has its own all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitLevel {
    /// All requests that the filter sees.
    Filter,
    /// Those of a virtual host.
    VirtualHost,
    /// Those of a route.
    Route,
}

/// A limit that a request meets.
#[derive(Debug, Clone, PartialEq)]
pub struct MetLimit<'m> {
    /// The filter.
    pub filter: &'m LimitFilter,
    /// Its configuration, if it counts by itself: the route's, the virtual host's, or its own.
    pub local: Option<&'m LocalLimit>,
    /// What that configuration is for, and so who shares its buckets.
    pub level: LimitLevel,
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
    // Only routes that forward have anything to say about rate limits, be it their virtual host's.
    let forwards = at.route.as_ref().is_some_and(|(_, kind)| *kind == RouteKind::Route);
    let actions = match (forwards, of_route.is_empty()) {
        (false, _) => Vec::new(),
        (true, false) => of_route,
        (true, true) => said(false),
    };
    let last = |of_routes: bool| level(of_routes).rfind(|routes| routes.local.is_some());
    let own = last(true).or_else(|| last(false));
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
                    own if forwards => described(&own.iter().collect::<Vec<_>>()),
                    _ => Vec::new(),
                };
                let level = match own.map(|routes| routes.routes.is_some()) {
                    None => LimitLevel::Filter,
                    Some(false) => LimitLevel::VirtualHost,
                    Some(true) => LimitLevel::Route,
                };
                met.push(MetLimit { filter, local: Some(local), level, origin, descriptors });
            }
            Limit::Global(_) => {
                let descriptors = described(&actions);
                if !descriptors.is_empty() {
                    let origin = filter.origin;
                    met.push(MetLimit { filter, local: None, level: LimitLevel::Filter, origin, descriptors });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::rate_limit::{ChainPlace, TokenBucket};
    use crate::mesh::route::PerMillion;
    use crate::routing::{Request, Scheme};
    use crate::time::Duration;

    fn local(most: u32, descriptors: &[(&str, &str)]) -> LocalLimit {
        let bucket = |most| TokenBucket { most, per_fill: 1, interval: Duration::from_millis(1_000) };
        LocalLimit {
            bucket: Some(bucket(most)),
            enabled: PerMillion::ALL,
            enforced: PerMillion::ALL,
            status: 429,
            headers: Vec::new(),
            descriptors: descriptors
                .iter()
                .map(|(key, value)| crate::mesh::rate_limit::LocalDescriptor {
                    entries: vec![((*key).to_owned(), (*value).to_owned())],
                    bucket: bucket(1),
                })
                .collect(),
            takes_default_too: true,
            grpc_status: 14,
            actions: Vec::new(),
        }
    }

    fn said(routes: Option<&str>, local: Option<LocalLimit>, actions: Vec<Vec<LimitAction>>) -> RouteLimits {
        RouteLimits {
            traffic: None,
            port: None,
            table: None,
            virtual_host: Some("v".to_owned()),
            routes: routes.map(|name| crate::mesh::rate_limit::RouteChoice { name: Some(name.to_owned()), action: None }),
            local,
            actions,
            origin: Origin::default(),
        }
    }

    fn at(virtual_host: Option<&str>, route: Option<(&str, RouteKind)>) -> LimitPosition {
        LimitPosition {
            traffic: Traffic::Gateway,
            port: 80,
            table: "http.80".to_owned(),
            virtual_host: virtual_host.map(str::to_owned),
            route: route.map(|(name, kind)| (name.to_owned(), kind)),
            cluster: "c".to_owned(),
            client: "192.0.2.1".to_owned(),
        }
    }

    fn request(headers: &[(&str, &str)]) -> Request {
        Request {
            method: "GET".to_owned(),
            scheme: Scheme::Http,
            authority: "v".to_owned(),
            path: "/a?b".to_owned(),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }

    fn generic(value: &str) -> LimitAction {
        LimitAction::GenericKey { key: "generic_key".to_owned(), value: value.to_owned() }
    }

    /// As measured on Envoy 1.40.
    #[test]
    fn the_most_specific_configuration_counts_and_shares_its_buckets() {
        let path = LimitAction::RequestHeader { header: ":path".to_owned(), key: "PATH".to_owned(), skips_if_absent: false };
        let limits = RateLimits {
            filters: vec![LimitFilter {
                traffic: None,
                port: None,
                place: ChainPlace::First,
                limit: Limit::Local(local(4, &[])),
                origin: Origin::default(),
            }],
            routes: vec![
                said(None, Some(local(3, &[])), vec![vec![path]]),
                said(Some("r"), Some(local(2, &[])), vec![vec![generic("own")]]),
            ],
        };
        let (path, own) = (("PATH".to_owned(), "/a?b".to_owned()), ("generic_key".to_owned(), "own".to_owned()));
        for (position, most, level, descriptors) in [
            (at(Some("v"), Some(("r", RouteKind::Route))), 2, LimitLevel::Route, vec![vec![own]]),
            (at(Some("v"), Some(("s", RouteKind::Route))), 3, LimitLevel::VirtualHost, vec![vec![path]]),
            (at(Some("v"), Some(("s", RouteKind::DirectResponse))), 3, LimitLevel::VirtualHost, vec![]),
            (at(Some("w"), Some(("r", RouteKind::Route))), 4, LimitLevel::Filter, vec![]),
            (at(Some("v"), None), 4, LimitLevel::Filter, vec![]),
            (at(None, None), 4, LimitLevel::Filter, vec![]),
        ] {
            let request = request(&[]);
            let met = limits_met(&limits, &position, &Received::new(ProxyKind::Gateway, &request).unwrap());
            let seen: Vec<_> =
                met.iter().map(|met| (met.local.unwrap().bucket.unwrap().most, met.level, met.descriptors.clone())).collect();
            assert_eq!(seen, [(most, level, descriptors)], "{position:?}");
        }
    }

    #[test]
    fn an_action_without_anything_to_say_leaves_no_descriptor() {
        let header = |skips| LimitAction::RequestHeader { header: "x".to_owned(), key: "X".to_owned(), skips_if_absent: skips };
        let matches = |expects, test| LimitAction::HeaderValueMatch {
            key: "header_match".to_owned(),
            value: "yes".to_owned(),
            expects_match: expects,
            headers: vec![HeaderMatch { name: "x".to_owned(), test, inverted: false }],
        };
        let one = HeaderTest::Exact("1".to_owned());
        for (actions, headers, expected) in [
            (vec![header(false)], vec![("x", "1")], Some("X=1")),
            (vec![header(false)], vec![], None),
            (vec![header(true)], vec![], None),
            (vec![generic("g"), header(true)], vec![], Some("generic_key=g")),
            (vec![generic("g"), header(false)], vec![], None),
            (vec![matches(true, one.clone())], vec![("x", "1")], Some("header_match=yes")),
            (vec![matches(true, one.clone())], vec![("x", "2")], None),
            (vec![matches(false, one.clone())], vec![("x", "2")], Some("header_match=yes")),
            (vec![matches(false, one)], vec![], Some("header_match=yes")),
            (vec![matches(true, HeaderTest::Present)], vec![], None),
            (
                vec![LimitAction::RemoteAddress, LimitAction::DestinationCluster],
                vec![],
                Some("remote_address=192.0.2.1 destination_cluster=c"),
            ),
        ] {
            let request = request(&headers);
            let received = Received::new(ProxyKind::Gateway, &request).unwrap();
            let entries = descriptor(&actions, &at(Some("v"), None), &received);
            let text =
                entries.map(|entries| entries.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" "));
            assert_eq!(text.as_deref(), expected, "{actions:?} {headers:?}");
        }
    }
}
