//! What an explanation says, as data.

use serde::Serialize;

use super::forwarding::{EndpointView, Forwarding, endpoints, forwarding};
use super::limits::{self, LimitView};
use super::server::{ServerView, refusals, servers};
use super::{RouteQuestion, ShownOutcomes};
use crate::mesh::cluster::Discovery;
use crate::mesh::route::{Action, ClusterRef, Route};
use crate::mesh::{Origin, Proxy, ProxyKind};
use crate::routing::authentication::at_routes;
use crate::routing::connection::{ClientTlsFate, EndReason, EndedConn, TcpConn};
use crate::routing::explanation::{Check, HttpExplanation, Trial};
use crate::routing::{
    BadPath, Conn, DomainKind, Headers, Inside, Opening, Outcome, Probability, Received, Verdict, explain, outcomes, play,
};
use crate::source::{Sources, Span};
use crate::time::Duration;

/// The explanation of one request.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    /// Name and version of this form.
    schema: &'static str,
    /// The request.
    pub(super) request: RequestView,
    /// The proxy that sends it.
    pub(super) from: From,
    /// The listener that takes the connection; null if none does.
    pub(super) listener: Option<Listener>,
    /// What becomes of the connection.
    pub(super) connection: Connection,
    /// The virtual host; null if none is found.
    pub(super) virtual_host: Option<VirtualHost>,
    /// The routes that were looked at, in order.
    pub(super) routes: Vec<RouteView>,
    /// Routes behind the one that matched.
    pub(super) routes_behind: usize,
    /// Rate limits that the request meets at the proxy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) rate_limits: Vec<LimitView>,
    /// What the matched route does; null if none matched.
    pub(super) action: Option<ActionView>,
    /// Outcomes, if they were asked for.
    pub(super) outcomes: Vec<OutcomeView>,
    /// The servers that the request reaches, if they were asked for.
    pub(super) servers: Vec<ServerView>,
    /// Servers that refuse it, each with the reason.
    pub(super) refused_by: Vec<String>,
}

/// The request.
#[derive(Debug, Serialize)]
pub(super) struct RequestView {
    /// Method.
    pub(super) method: String,
    /// URL.
    pub(super) url: String,
    /// Headers, in order.
    pub(super) headers: Vec<(String, String)>,
    /// The path that routes see, if it is not the one that was sent.
    pub(super) normalised_path: Option<String>,
}

/// A proxy.
#[derive(Debug, Serialize)]
pub(super) struct From {
    /// Name.
    pub(super) proxy: String,
    /// `sidecar` or `gateway`.
    pub(super) kind: &'static str,
}

/// A listener.
#[derive(Debug, Serialize)]
pub(super) struct Listener {
    /// Name.
    pub(super) name: String,
    /// The filter chain; empty if it has no name.
    pub(super) chain: String,
    /// Where it comes from.
    pub(super) place: Option<String>,
}

/// What becomes of the connection.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Connection {
    /// Requests are routed.
    Http {
        /// Whether the client's TLS ends at the proxy.
        tls_terminated: bool,
    },
    /// Bytes are forwarded.
    Tcp {
        /// Where to.
        clusters: Vec<Share>,
        /// `passthrough` or `terminated`; null if the client speaks in clear.
        client_tls: Option<&'static str>,
    },
    /// Nothing listens on the port.
    Refused {
        /// Ports on which the proxy listens, ascending.
        listening: Vec<u16>,
    },
    /// Accepted in vain.
    Ended {
        /// Why.
        reason: &'static str,
    },
}

/// A cluster's share of connections.
#[derive(Debug, Serialize)]
pub(super) struct Share {
    /// Name.
    pub(super) cluster: String,
    /// Weight.
    pub(super) weight: u32,
    /// Whether the proxy has it.
    pub(super) exists: bool,
    /// Whether the dialled address is taken instead of endpoints.
    pub(super) original_destination: bool,
    /// Endpoints.
    pub(super) endpoints: Vec<EndpointView>,
}

/// A virtual host.
#[derive(Debug, Serialize)]
pub(super) struct VirtualHost {
    /// Name.
    pub(super) name: String,
    /// The route table it stands in.
    pub(super) route_table: String,
    /// The domain that matched.
    pub(super) domain: String,
    /// How: `exact`, `suffix`, `prefix` or `any`.
    pub(super) domain_match: &'static str,
    /// Where it comes from.
    pub(super) place: Option<String>,
}

/// One route that was looked at.
#[derive(Debug, Serialize)]
pub(super) struct RouteView {
    /// Index in the virtual host.
    pub(super) index: usize,
    /// Name; may be empty.
    pub(super) name: String,
    /// Whether it matched.
    pub(super) matched: bool,
    /// If it matched all conditions, else the first that failed.
    pub(super) conditions: Vec<ConditionView>,
    /// Where it comes from.
    pub(super) place: Option<String>,
}

/// A condition.
#[derive(Debug, Serialize)]
pub(super) struct ConditionView {
    /// In words.
    pub(super) text: String,
    /// How it compares: `present`, `exact`, `prefix`, `path-prefix` or `regex`.
    comparison: &'static str,
    /// What it compares with.
    value: String,
    /// Whether the answer is turned round.
    invert: bool,
    /// What it saw; null if there was nothing.
    seen: Option<String>,
    /// The same, in words.
    pub(super) seen_text: String,
    /// Whether it holds.
    holds: bool,
    /// Whether every request fulfils it.
    #[serde(skip)]
    pub(super) asks_nothing: bool,
    /// Where it is written.
    pub(super) place: Option<String>,
}

/// What the matched route, or its absence, does.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum ActionView {
    /// Forwards.
    Forward(Box<Forwarding>),
    /// Answers with a redirect.
    Redirect {
        /// Status.
        status: u16,
        /// `Location`.
        location: String,
    },
    /// Answers directly.
    Respond {
        /// Status.
        status: u16,
        /// Body.
        body: String,
        /// Why.
        why: &'static str,
    },
}

/// One outcome.
#[derive(Debug, Serialize)]
pub(super) struct OutcomeView {
    /// Probability as a fraction; null for one that was drawn.
    pub(super) probability: Option<String>,
    /// The same in percent.
    pub(super) percent: Option<f64>,
    /// Milliseconds of a fault delay before anything happens.
    pub(super) delay_ms: Option<f64>,
    /// Status; 200 stands for whatever an upstream answers.
    pub(super) status: u16,
    /// Response flags.
    pub(super) flags: String,
    /// Response code details.
    pub(super) details: &'static str,
    /// The chosen cluster, reached or not.
    pub(super) cluster: Option<String>,
    /// What the upstream sees.
    pub(super) upstream: Option<Upstream>,
    /// `Location`, if there is one.
    pub(super) location: Option<String>,
    /// Headers that the proxy puts on the answer.
    pub(super) response_headers: Vec<(String, String)>,
    /// Clusters that get a copy.
    pub(super) mirrored: Vec<String>,
}

/// What an upstream sees.
#[derive(Debug, Serialize)]
pub(super) struct Upstream {
    /// Path with query.
    pub(super) path: String,
    /// Authority.
    pub(super) authority: String,
    /// Headers.
    headers: Vec<(String, String)>,
}

impl Page {
    pub(super) fn new(question: &RouteQuestion<'_>) -> Self {
        let RouteQuestion { sources, mesh, proxy, dial, request, .. } = *question;
        let spec = &mesh.proxies[proxy.index()].spec;
        let explanation = explain(mesh, proxy, dial, request);
        let http = explanation.http.as_ref();
        let servers = servers(question);
        Page {
            schema: "meshsim.route/v1",
            request: RequestView {
                method: request.method.clone(),
                url: url(question),
                headers: request.headers.clone(),
                normalised_path: http.map(|http| http.path.clone()).filter(|path| *path != request.path),
            },
            from: From {
                proxy: spec.name.clone(),
                kind: match spec.kind {
                    ProxyKind::Sidecar => "sidecar",
                    ProxyKind::Gateway => "gateway",
                },
            },
            listener: listener(&explanation.connection, sources),
            connection: connection(&explanation.connection, question),
            virtual_host: http.and_then(|http| virtual_host(http, question)),
            routes: http.map_or_else(Vec::new, |http| http.trials.iter().map(|trial| route_view(trial, sources)).collect()),
            routes_behind: http.map_or(0, |http| http.routes_behind),
            rate_limits: http.map_or_else(Vec::new, |http| rate_limits(http, question)),
            action: http.and_then(|http| action(http, question)),
            outcomes: outcome_views(question),
            refused_by: refusals(&servers),
            servers: if question.server { servers } else { Vec::new() },
        }
    }
}

impl Page {
    /// Whether the client speaks HTTP, be it inside of TLS.
    pub(super) fn speaks_http(&self) -> bool {
        self.request.url.starts_with("http")
    }
}

/// The place of a span as `file:line:column`.
pub(super) fn place(span: Span, sources: &Sources) -> Option<String> {
    sources.locate(span).map(|location| location.to_string())
}

fn origin(origin: &Origin, sources: &Sources) -> Option<String> {
    place(origin.span, sources)
}

fn url(question: &RouteQuestion<'_>) -> String {
    let RouteQuestion { dial, request, .. } = question;
    let (scheme, http) = match &dial.opening {
        Opening::Clear(Inside::Http) => ("http", true),
        Opening::Clear(Inside::Bytes | Inside::Silence) => ("tcp", false),
        Opening::Tls(tls) if tls.inside == Inside::Http => ("https", true),
        Opening::Tls(_) => ("tls", false),
    };
    let port = format!(":{}", dial.port);
    let port = if request.authority.ends_with(&port) { "" } else { port.as_str() };
    format!("{scheme}://{}{port}{}", request.authority, if http { request.path.as_str() } else { "" })
}

fn listener(connection: &Conn<'_>, sources: &Sources) -> Option<Listener> {
    let (listener, chain) = match connection {
        Conn::Refused => return None,
        Conn::Http(http) => (http.listener, Some(http.chain)),
        Conn::Tcp(TcpConn { listener, chain, .. }) => ((*listener)?, *chain),
        Conn::Ended(EndedConn { listener, chain, .. }) => (*listener, *chain),
    };
    Some(Listener {
        name: listener.name.clone(),
        chain: chain.map(|chain| chain.name.clone()).unwrap_or_default(),
        place: origin(&chain.map_or(listener.origin, |chain| chain.origin), sources)
            .or_else(|| origin(&listener.origin, sources)),
    })
}

fn connection(connection: &Conn<'_>, question: &RouteQuestion<'_>) -> Connection {
    match connection {
        Conn::Refused => Connection::Refused { listening: ports(&question.mesh.proxies[question.proxy.index()]) },
        Conn::Http(http) => Connection::Http { tls_terminated: http.terminated },
        Conn::Tcp(tcp) => Connection::Tcp {
            clusters: tcp.legs.iter().map(|(cluster, weight)| share(cluster, *weight, question)).collect(),
            client_tls: tcp.client_tls.map(|fate| match fate {
                ClientTlsFate::Passthrough => "passthrough",
                ClientTlsFate::Terminated => "terminated",
            }),
        },
        Conn::Ended(ended) => Connection::Ended {
            reason: match ended.reason {
                EndReason::NoFilterChain => "no filter chain takes the connection",
                EndReason::TlsHandshake => "the TLS handshake fails",
                EndReason::NotHttp => "what the client sends is not HTTP",
                EndReason::WaitingForBytes => "the proxy waits for bytes that do not come",
            },
        },
    }
}

fn ports(proxy: &Proxy) -> Vec<u16> {
    let mut ports: Vec<u16> = proxy.listeners.iter().map(|listener| listener.port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn share(cluster: &ClusterRef, weight: u32, question: &RouteQuestion<'_>) -> Share {
    let proxy = &question.mesh.proxies[question.proxy.index()];
    let found = proxy.clusters.get(cluster.id);
    Share {
        cluster: cluster.name.clone(),
        weight,
        exists: found.is_some(),
        original_destination: found.is_some_and(|cluster| cluster.discovery == Discovery::OriginalDst),
        endpoints: found.map_or_else(Vec::new, |cluster| endpoints(cluster, question)),
    }
}

fn virtual_host(http: &HttpExplanation<'_>, question: &RouteQuestion<'_>) -> Option<VirtualHost> {
    let (host, found) = (http.virtual_host?, http.found?);
    let proxy = &question.mesh.proxies[question.proxy.index()];
    Some(VirtualHost {
        name: host.name.clone(),
        route_table: proxy.route_tables[http.selection.table.index()].name.clone(),
        domain: found.domain.to_owned(),
        domain_match: match found.kind {
            DomainKind::Exact => "exact",
            DomainKind::Suffix => "suffix",
            DomainKind::Prefix => "prefix",
            DomainKind::Any => "any",
        },
        place: origin(&host.origin, question.sources),
    })
}

fn route_view(trial: &Trial<'_>, sources: &Sources) -> RouteView {
    RouteView {
        index: trial.index,
        name: trial.route.name.clone(),
        matched: trial.matched,
        conditions: trial.checks.iter().map(|check| condition_view(check, sources)).collect(),
        place: origin(&trial.route.origin, sources),
    }
}

fn condition_view(check: &Check, sources: &Sources) -> ConditionView {
    ConditionView {
        text: check.text(),
        comparison: check.comparison.word(),
        value: check.value.clone(),
        invert: check.invert,
        seen: check.seen.clone(),
        seen_text: check.seen_text(),
        holds: check.holds,
        asks_nothing: check.asks_nothing(),
        place: place(check.span, sources),
    }
}

fn rate_limits(http: &HttpExplanation<'_>, question: &RouteQuestion<'_>) -> Vec<LimitView> {
    let proxy = &question.mesh.proxies[question.proxy.index()];
    let seen = at_routes(proxy, question.request);
    let received = Received::authenticated(proxy.spec.kind, &seen);
    received.map_or_else(|_| Vec::new(), |received| limits::at_proxy(question, &http.selection, &received))
}

fn action(http: &HttpExplanation<'_>, question: &RouteQuestion<'_>) -> Option<ActionView> {
    let respond = |status: u16, body: &str, why| ActionView::Respond { status, body: body.to_owned(), why };
    let proxy = &question.mesh.proxies[question.proxy.index()];
    if let Some(bad) = http.malformed {
        return Some(match bad {
            BadPath::NotNormalisable => respond(400, "", "the path cannot be normalised"),
            BadPath::NotATarget => respond(400, "Bad Request", "the path is no request target"),
        });
    }
    let seen = at_routes(proxy, question.request);
    let received = Received::authenticated(proxy.spec.kind, &seen).ok()?;
    match http.selection.verdict {
        Verdict::Malformed(_) => None,
        Verdict::NoHost => Some(respond(404, "", "no virtual host has this host")),
        Verdict::NoProto { .. } => Some(respond(404, "", "no route is looked at for a request with an empty x-forwarded-proto")),
        Verdict::NoRoute { .. } => Some(respond(404, "", "no route of the virtual host matches")),
        Verdict::RequireTls { .. } => {
            Some(ActionView::Redirect { status: 301, location: format!("https://{}{}", received.authority, received.path) })
        }
        Verdict::Route { .. } => http.selection.route(proxy).map(|route| route_action(route, &received, http, question)),
    }
}

fn route_action(route: &Route, received: &Received<'_>, http: &HttpExplanation<'_>, question: &RouteQuestion<'_>) -> ActionView {
    match &route.action {
        Action::Redirect(redirect) => ActionView::Redirect {
            status: redirect.status,
            location: crate::routing::location(redirect, &route.matcher, received),
        },
        Action::Direct(direct) => ActionView::Respond {
            status: direct.status,
            body: String::from_utf8_lossy(&direct.body).into_owned(),
            why: "the route answers directly",
        },
        Action::Forward(forward) => ActionView::Forward(Box::new(forwarding(route, forward, received, http.selection, question))),
    }
}

fn outcome_views(question: &RouteQuestion<'_>) -> Vec<OutcomeView> {
    let RouteQuestion { mesh, proxy, dial, request, .. } = *question;
    match question.outcomes {
        ShownOutcomes::None => Vec::new(),
        ShownOutcomes::All => {
            let mut all = outcomes(mesh, proxy, dial, request);
            all.sort_by(|(_, a), (_, b)| b.as_f64().total_cmp(&a.as_f64()));
            all.iter().map(|(outcome, probability)| outcome_view(outcome, Some(*probability))).collect()
        }
        ShownOutcomes::One(chances) => {
            let configured = &mesh.proxies[proxy.index()];
            let seen = at_routes(configured, request);
            let Ok(received) = Received::authenticated(configured.spec.kind, &seen) else { return Vec::new() };
            let decision = crate::routing::decide(mesh, proxy, dial, request, chances);
            decision.map(|decision| outcome_view(&play(mesh, proxy, &received, &decision), None)).into_iter().collect()
        }
    }
}

fn outcome_view(outcome: &Outcome, probability: Option<Probability>) -> OutcomeView {
    let headers = |headers: &Headers| headers.0.clone();
    OutcomeView {
        probability: probability.map(|probability| probability.to_string()),
        percent: probability.map(|probability| probability.as_f64() * 100.0),
        delay_ms: outcome.delay.map(|delay: Duration| delay.nanos() as f64 / 1e6),
        status: outcome.reply.status,
        flags: outcome.flags.to_string(),
        details: outcome.details,
        cluster: outcome.cluster.clone(),
        upstream: outcome.upstream.as_ref().map(|seen| Upstream {
            path: seen.path.clone(),
            authority: seen.authority.clone(),
            headers: headers(&seen.headers),
        }),
        location: outcome.reply.headers.first("location").map(str::to_owned),
        response_headers: headers(&outcome.reply.headers).into_iter().filter(|(name, _)| name != "x-powered-by").collect(),
        mirrored: outcome.mirrored.iter().map(|copy| copy.cluster.clone()).collect(),
    }
}
