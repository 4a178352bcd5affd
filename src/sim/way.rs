//! From a proxy's configuration to a [`Hop`]: listener, virtual host and route by the routing
//! module's rules, then everything the event loop needs of them.

use super::atlas::{Atlas, Way};
use super::guard::Turned;
use super::hop::{Action, Hop, Leg, Reads, Speaks, To};
use super::limit::{Limited, Limits};
use super::queue::Queue;
use super::retry::RetryPlan;
use super::shape::Shape;
use crate::balance::RequestHash;
use crate::mesh::cluster::{TlsMode, UpstreamTls};
use crate::mesh::rate_limit::ChainPlace;
use crate::mesh::route::{AbortStatus, Action as RouteAction, ClusterRef, Forward, Route};
use crate::mesh::{Origin, Profile, Proxy, ProxyId, ProxyKind};
use crate::record::{CalledId, FlagSet, HopEntry, HopId, Sent, Upstream};
use crate::routing::authentication::at_routes;
use crate::routing::limits::LimitPosition;
use crate::routing::{
    Conn, CorsRole, Course, Decision, Flag, HttpConn, Received, Request, Scheme, Selection, TcpConn, Verdict, listen,
};
use crate::workload::UrlKind;

/// A hop in the making, with what the report wants to know of it.
struct Draft {
    hop: Hop,
    /// Whether the shares of destinations are written down: several destinations, or a subset.
    planned: bool,
    /// The subset of each destination.
    subsets: Vec<String>,
    /// The Host that mirrors see.
    mirror_authority: String,
    /// The body of the answer that the route gives itself.
    direct_body: String,
    /// Name of the route.
    route: String,
    /// Destinations, as a proxy writes them down.
    upstreams: Vec<Upstream>,
    origin: Origin,
}

impl Atlas<'_> {
    /// The way of requests of a shape through a configuration.
    pub(super) fn hop_for(&mut self, stage: u32, way: Way, shape: u32, queue: &mut Queue) -> u32 {
        if let Some(hop) = self.hop_of.get(&(stage, way, shape)) {
            return *hop;
        }
        let draft = match way {
            Way::Proxy(proxy) => self.through_proxy(stage, proxy, shape, queue),
            Way::Plain(workload) => self.plain(stage, workload, shape),
        };
        let number = self.hops.len() as u32;
        let entry = self.entry(stage, way, shape, &draft);
        self.directory.hops.push(entry);
        self.hops.push(Hop { id: HopId(number), ..draft.hop });
        self.hop_of.insert((stage, way, shape), number);
        number
    }

    /// Past all rules: the service's address leads to any endpoint.
    fn plain(&mut self, stage: u32, workload: u32, shape: u32) -> Draft {
        let namespace = self.plan.population.workloads[workload as usize].namespace.clone();
        let Shape { port, request, .. } = self.shapes.get(shape).clone();
        let target = self.dialled_target(stage, &request.authority, &namespace, port, &UpstreamTls::Plaintext);
        let service = self.dialled_service(stage, &request.authority, &namespace);
        let leg = Leg { to: To::Target(target), service, shape, hash: RequestHash::default() };
        Draft::forwarding(Reads::Nothing, vec![(1, leg)])
    }

    fn dialled_service(&mut self, stage: u32, authority: &str, namespace: &str) -> CalledId {
        let mesh = &self.plan.population.stages[stage as usize].mesh;
        let host = crate::routing::without_port(authority);
        match super::endpoints::find(mesh, host, namespace) {
            super::endpoints::Found::Service(index) => self.called(&mesh.services[index].host),
            super::endpoints::Found::Outside | super::endpoints::Found::Nothing => self.called(host),
        }
    }

    fn through_proxy(&mut self, stage: u32, id: ProxyId, shape: u32, queue: &mut Queue) -> Draft {
        let mesh = &self.plan.population.stages[stage as usize].mesh;
        let proxy = &mesh.proxies[id.index()];
        let what = self.shapes.get(shape).clone();
        let service = self.dialled_service(stage, &what.request.authority, &proxy.spec.namespace);
        let place = Place { stage, id, proxy, profile: &mesh.profile, shape, what: &what, service };
        match listen(proxy, &what.dial(), &what.request.authority) {
            Conn::Refused => Draft::answering(Reads::Tcp, 0, FlagSet::default(), "connection_refused", service),
            Conn::Ended(ended) => Draft::answering(Reads::Tcp, 0, FlagSet::default(), ended.reason.word(), service),
            Conn::Tcp(tcp) => self.as_bytes(&place, &tcp),
            Conn::Http(http) => self.as_http(&place, &http, queue),
        }
    }

    fn as_bytes(&mut self, place: &Place<'_>, tcp: &TcpConn<'_>) -> Draft {
        // One destination that asks for it is enough.
        let mut clusters = tcp.legs.iter().filter_map(|(cluster, _)| place.proxy.clusters.get(cluster.id));
        let hash = if clusters.any(|cluster| cluster.hashes_client) { RequestHash::of_client() } else { RequestHash::default() };
        let mut sum = 0;
        let mut legs = Vec::new();
        for (cluster, weight) in &tcp.legs {
            sum += u64::from(*weight);
            legs.push((sum, Leg { hash: hash.clone(), ..self.leg(place, cluster, 0, place.shape) }));
        }
        let subsets: Vec<String> = tcp.legs.iter().map(|(cluster, _)| subset_of(&cluster.name)).collect();
        let origin = tcp.chain.map(|chain| chain.origin).unwrap_or_default();
        let upstreams = tcp.legs.iter().map(|(cluster, _)| place.upstream(cluster)).collect();
        Draft { origin, upstreams, ..Draft::forwarding(Reads::Tcp, legs) }.with_subsets(subsets)
    }

    fn as_http(&mut self, place: &Place<'_>, http: &HttpConn<'_>, queue: &mut Queue) -> Draft {
        let seen = at_routes(place.proxy, &place.what.request);
        let received = match Received::authenticated(place.proxy.spec.kind, &seen) {
            Ok(received) => received,
            Err(bad) => return place.local(400, Course::Malformed(bad), None),
        };
        let refused = super::guard::gateway_refuses(place.proxy, place.what.port, &place.what.request);
        let reached = refused.as_ref().map_or(ChainPlace::Last, |refusal| refusal.after);
        let mut draft = match refused {
            Some(Turned { reply, details, .. }) => {
                Draft::answering(Reads::Http, reply.status, FlagSet::default(), details, place.service)
            }
            None => self.routed(place, &received, http, queue),
        };
        if place.proxy.limits.is_some() {
            let all = self.limits_of(place, &received, http);
            draft.hop.limits = all.iter().filter(|limit| limit.place <= reached).cloned().collect();
        }
        draft.hop.speaks = match () {
            () if received.is_grpc() => Speaks::Grpc,
            () if received.is_head() => Speaks::Head,
            () => Speaks::Plain,
        };
        if draft.hop.speaks != Speaks::Plain {
            draft.direct_body.clear();
        }
        draft
    }

    /// The rate limits that a request meets at its caller's proxy.
    fn limits_of(&mut self, place: &Place<'_>, received: &Received<'_>, http: &HttpConn<'_>) -> Limits {
        let selection = crate::routing::select_received(place.proxy, http.table, received);
        let who = Limited {
            proxy: place.proxy,
            profile: place.profile,
            at: LimitPosition::routed(place.proxy, place.what.port, &selection, crate::routing::server::SOMEWHERE),
            mutual_tls: false,
        };
        self.planner.plan(&who, received)
    }

    /// What the route table has for a request.
    fn routed(&mut self, place: &Place<'_>, received: &Received<'_>, http: &HttpConn<'_>, queue: &mut Queue) -> Draft {
        let selection = crate::routing::select_received(place.proxy, http.table, received);
        let route = match selection.verdict {
            Verdict::Malformed(bad) => return place.local(400, Course::Malformed(bad), None),
            Verdict::NoHost | Verdict::NoProto { .. } | Verdict::NoRoute { .. } => {
                return place.local(404, Course::NoRoute, None);
            }
            Verdict::RequireTls { .. } => return place.local(301, Course::RequireTls, None),
            Verdict::Route { .. } => selection.route(place.proxy),
        };
        let Some(route) = route else { return place.local(404, Course::NoRoute, None) };
        let mut draft = match &route.action {
            RouteAction::Redirect(redirect) => place.local(redirect.status, Course::Redirect, Some(selection)),
            RouteAction::Direct(direct) => place.local(direct.status, Course::Direct, Some(selection)),
            RouteAction::Forward(_) if matches!(selection.cors, CorsRole::Preflight | CorsRole::ForeignPreflight) => {
                place.local(200, Course::Preflight, Some(selection))
            }
            RouteAction::Forward(forward) => self.forwarded(place, received, selection, forward, queue),
        };
        draft.origin = route.origin;
        draft.route.clone_from(&route.name);
        if let RouteAction::Direct(direct) = &route.action {
            draft.direct_body = String::from_utf8_lossy(&direct.body).into_owned();
        }
        add_fault(&mut draft.hop, route, queue);
        draft
    }

    fn forwarded(
        &mut self,
        place: &Place<'_>,
        received: &Received<'_>,
        selection: Selection,
        forward: &Forward,
        queue: &mut Queue,
    ) -> Draft {
        let mut sum = 0;
        let mut legs = Vec::new();
        for (index, leg) in forward.legs.all().iter().enumerate() {
            sum += u64::from(leg.weight);
            let port = port_of(&leg.cluster.name).unwrap_or(place.what.port);
            let shape = self.outgoing(place, received, selection, (index as u32, port));
            let leg = self.leg(place, &leg.cluster, forward.cluster_not_found_status, shape);
            let forwarded = &self.shapes.get(shape).request;
            let hash = RequestHash::of(&forward.hash, place.proxy.spec.kind, received.request, forwarded);
            legs.push((sum, Leg { hash, ..leg }));
        }
        let subsets: Vec<String> = forward.legs.all().iter().map(|leg| subset_of(&leg.cluster.name)).collect();
        let mut draft = Draft::forwarding(Reads::Http, legs).with_subsets(subsets);
        draft.upstreams = forward.legs.all().iter().map(|leg| place.upstream(&leg.cluster)).collect();
        draft.hop.timeout = (!forward.timeout.is_zero()).then(|| queue.lane(forward.timeout));
        draft.hop.retry = forward.retries.as_ref().map(|policy| {
            let ends_first = |per_try: &crate::time::Duration| forward.timeout.is_zero() || *per_try < forward.timeout;
            let per_try = policy.per_try_timeout.filter(ends_first).filter(|per_try| !per_try.is_zero());
            RetryPlan::of(policy, per_try.map(|per_try| queue.lane(per_try)))
        });
        draft.hop.retries_elsewhere = forward.retries.as_ref().is_some_and(|policy| policy.retry_remote_localities);
        let first = draft.hop.leg(0).map_or(place.shape, |leg| leg.shape);
        draft.mirror_authority =
            crate::routing::mirror_authority(&self.shapes.get(first).request.authority, place.profile.shadow_suffix);
        draft.hop.mirrors =
            forward.mirrors.iter().map(|mirror| (mirror.share, self.leg(place, &mirror.cluster, 503, first))).collect();
        draft
    }

    /// The shape of the request as one destination sees it, at the port of its service.
    fn outgoing(&mut self, place: &Place<'_>, received: &Received<'_>, selection: Selection, (leg, port): (u32, u16)) -> u32 {
        let decision = Decision { selection, leg: Some(leg), delay: None, course: Course::NoRoute, stream: 0 };
        let Some(out) = crate::routing::forwarded(place.proxy, received, &decision) else { return place.shape };
        let request = Request {
            method: out.method,
            scheme: Scheme::Http,
            authority: out.authority,
            path: out.path,
            headers: out.headers.0,
        };
        self.shapes.number(Shape { kind: UrlKind::Http, port, request })
    }

    fn leg(&mut self, place: &Place<'_>, cluster: &ClusterRef, missing: u16, shape: u32) -> Leg {
        let Some(known) = place.proxy.clusters.get(cluster.id) else {
            let host = cluster.name.split('|').nth(3).filter(|host| !host.is_empty());
            let service = host.map_or(place.service, |host| self.called(host));
            return Leg { to: To::Nowhere(missing), service, shape, hash: RequestHash::default() };
        };
        let mesh = &self.plan.population.stages[place.stage as usize].mesh;
        let service = known.service.map_or(place.service, |service| self.called(&mesh.services[service.index()].host));
        let target = self.cluster_target(place.stage, place.id, cluster.id, &place.what.request.authority, place.what.port);
        Leg { to: To::Target(target), service, shape, hash: RequestHash::default() }
    }

    fn entry(&mut self, stage: u32, way: Way, shape: u32, draft: &Draft) -> HopEntry {
        let mesh = &self.plan.population.stages[stage as usize].mesh;
        let (service, expected, planned) = match &draft.hop.action {
            Action::Answer { service, .. } => (*service, Vec::new(), None),
            Action::Forward { legs } => self.shares(legs, draft),
        };
        let explain = match way {
            Way::Proxy(id) => {
                let spec = &mesh.proxies[id.index()].spec;
                let short = spec.name.strip_suffix(&format!(".{}", spec.namespace)).unwrap_or(&spec.name);
                self.shapes.get(shape).explain(short)
            }
            Way::Plain(_) => Vec::new(),
        };
        let configured = self.plan.population.stages[stage as usize].at;
        let (mirror_authority, direct_body) = (draft.mirror_authority.clone(), draft.direct_body.clone());
        HopEntry {
            service,
            planned,
            expected,
            origin: draft.origin.span,
            configured,
            explain,
            mirror_authority,
            direct_body,
            sent: self.sent(stage, way, shape, draft),
        }
    }

    /// What a proxy writes down of a way.
    fn sent(&self, stage: u32, way: Way, shape: u32, draft: &Draft) -> Sent {
        let mesh = &self.plan.population.stages[stage as usize].mesh;
        let Shape { port, request, .. } = self.shapes.get(shape);
        let mut sent = Sent {
            http: draft.hop.reads == Reads::Http,
            method: request.method.clone(),
            authority: request.authority.clone(),
            path: request.path.clone(),
            user_agent: request.header("user-agent").unwrap_or_default().to_owned(),
            port: *port,
            route: draft.route.clone(),
            upstreams: draft.upstreams.clone(),
            ..Sent::default()
        };
        if let Way::Proxy(id) = way {
            let proxy = &mesh.proxies[id.index()];
            let host = crate::routing::without_port(&request.authority);
            sent.proxy.clone_from(&proxy.spec.name);
            sent.gateway = proxy.spec.kind == ProxyKind::Gateway;
            sent.dialled = crate::routing::resolve(proxy, host).unwrap_or_default().to_owned();
        }
        sent
    }

    /// The service that is dialled, and the shares of versions: expected, and as written.
    fn shares(&mut self, legs: &[(u64, Leg)], draft: &Draft) -> (CalledId, Shares, Option<Shares>) {
        let total = legs.last().map_or(1, |(sum, _)| *sum) as f64;
        let (mut expected, mut planned) = (Vec::new(), Vec::new());
        let mut before = 0;
        for (index, (sum, leg)) in legs.iter().enumerate() {
            let weight = (sum - before) as f64 / total;
            before = *sum;
            let versions = match leg.to {
                To::Target(target) => self.versions_of(target),
                To::Nowhere(_) => Vec::new(),
            };
            expected.extend(versions.iter().map(|(version, share)| (*version, share * weight)));
            match draft.subsets.get(index) {
                // What is planned and not there goes by the name it was given.
                Some(subset) if versions.is_empty() && !subset.is_empty() => planned.push((self.version(subset), weight)),
                _ => planned.extend(versions.iter().map(|(version, share)| (*version, share * weight))),
            }
        }
        let service = legs.first().map_or(CalledId(0), |(_, leg)| leg.service);
        (service, expected, draft.planned.then_some(planned))
    }
}

/// Versions with their shares.
type Shares = Vec<(usize, f64)>;

/// The service port in a cluster's name.
fn port_of(cluster: &str) -> Option<u16> {
    cluster.split('|').nth(1)?.parse().ok()
}

/// The subset in a cluster's name.
fn subset_of(cluster: &str) -> String {
    cluster.split('|').nth(2).unwrap_or_default().to_owned()
}

/// Where a request is looked at.
struct Place<'a> {
    stage: u32,
    id: ProxyId,
    proxy: &'a Proxy,
    profile: &'a Profile,
    shape: u32,
    what: &'a Shape,
    service: CalledId,
}

impl Place<'_> {
    fn upstream(&self, cluster: &ClusterRef) -> Upstream {
        let known = self.proxy.clusters.get(cluster.id);
        let endpoint = known.and_then(|known| known.endpoints().next());
        let mutual_tls = known.is_some_and(|known| match &known.tls {
            UpstreamTls::Plaintext => false,
            UpstreamTls::Always { mode, .. } => *mode == TlsMode::IstioMutual,
            UpstreamTls::Auto { .. } => endpoint.is_some_and(|endpoint| endpoint.mutual_tls),
        });
        Upstream { cluster: cluster.name.clone(), port: endpoint.map_or(0, |endpoint| endpoint.port), mutual_tls }
    }

    /// An answer by the proxy itself.
    fn local(&self, status: u16, course: Course, selection: Option<Selection>) -> Draft {
        let selection = selection.unwrap_or(Selection {
            table: crate::mesh::RouteTableId(0),
            verdict: Verdict::NoHost,
            cors: CorsRole::None,
        });
        let decision = Decision { selection, leg: None, delay: None, course, stream: 0 };
        let flags = decision.flags(self.profile).iter().fold(FlagSet::default(), FlagSet::with);
        Draft::answering(Reads::Http, status, flags, decision.details(), self.service)
    }
}

fn add_fault(hop: &mut Hop, route: &Route, queue: &mut Queue) {
    let Some(fault) = &route.fault else { return };
    hop.delay = fault.delay.filter(|delay| delay.share.0 > 0).map(|delay| (queue.lane(delay.fixed), delay.share));
    hop.abort = fault.abort.filter(|abort| abort.share.0 > 0).map(|abort| {
        let status = match abort.status {
            AbortStatus::Http(status) => status,
            // A client that speaks no gRPC gets 200 and a text.
            AbortStatus::Grpc(_) => 200,
        };
        (status, abort.share)
    });
}

impl Draft {
    fn of(reads: Reads, action: Action) -> Draft {
        let hop = Hop {
            id: HopId(0),
            reads,
            speaks: Speaks::Plain,
            delay: None,
            abort: None,
            action,
            retry: None,
            retries_elsewhere: false,
            timeout: None,
            limits: Limits::from([]),
            mirrors: Vec::new(),
        };
        Draft {
            hop,
            planned: false,
            subsets: Vec::new(),
            mirror_authority: String::new(),
            direct_body: String::new(),
            route: String::new(),
            upstreams: Vec::new(),
            origin: Origin::default(),
        }
    }

    fn forwarding(reads: Reads, legs: Vec<(u64, Leg)>) -> Draft {
        Draft::of(reads, Action::Forward { legs })
    }

    fn with_subsets(self, subsets: Vec<String>) -> Draft {
        let planned = subsets.len() > 1 || subsets.iter().any(|subset| !subset.is_empty());
        Draft { planned, subsets, ..self }
    }

    fn answering(reads: Reads, status: u16, flags: FlagSet, details: &'static str, service: CalledId) -> Draft {
        Draft::of(reads, Action::Answer { status, flags, details, service })
    }
}

/// The flag of a cluster that does not exist.
pub(super) fn unknown_cluster(profile: &Profile) -> Flag {
    if profile.unknown_cluster_flag == "NR" { Flag::NoRoute } else { Flag::NoCluster }
}
