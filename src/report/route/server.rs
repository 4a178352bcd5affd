//! The server side of a request: how it arrives at each workload, and who lets it through.

use serde::Serialize;

use super::RouteQuestion;
use super::limits::{self, LimitView};
use super::page::place;
use super::tree::line_of;
use crate::mesh::authorization::{RbacRule, RuleSet};
use crate::mesh::inbound::InboundChain;
use crate::mesh::{Mesh, ObjectId, Origin, Proxy, ProxyKind};
use crate::routing::server::{
    CallerTls, Engine, FilterOutcome, Served, ServerCall, ServerEnd, Visit, admitted, failure, serve, visits,
};
use crate::source::{Sources, Span};
use crate::text::{Ink, Tree, plural};

/// A server that the request reaches.
#[derive(Debug, Serialize)]
pub(super) struct ServerView {
    /// Workload with namespace.
    workload: String,
    /// Its port.
    port: u16,
    /// The cluster by which it is reached; empty for a gateway that the client dials.
    cluster: String,
    /// `sidecar`, `gateway` or `none`.
    proxy: &'static str,
    /// How the request arrives.
    caller: CallerView,
    /// Which transport the server takes; null at gateways and without a proxy.
    mutual_tls: Option<ModeView>,
    /// The filter chain that takes the connection, in words.
    filter_chain: Option<String>,
    /// Rate limits that the request meets there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rate_limits: Vec<LimitView>,
    /// Authorization filters that were asked, in order.
    filters: Vec<FilterView>,
    /// Filters behind the one that denied.
    filters_behind: usize,
    /// What comes of it.
    outcome: OutcomeView,
}

/// Who calls.
#[derive(Debug, Serialize)]
struct CallerView {
    /// `none`, `mutual` or `own`.
    tls: &'static str,
    /// The identity in its certificate.
    identity: Option<String>,
    /// Its address.
    address: String,
}

/// What a server takes, and what says so.
#[derive(Debug, Serialize)]
struct ModeView {
    /// `PERMISSIVE`, `STRICT` or `DISABLE`.
    mode: &'static str,
    /// The policy; null where it is the default.
    policy: Option<String>,
    /// Where it says so.
    place: Option<String>,
}

/// One filter, with the rules that count or those of dry runs.
#[derive(Debug, Serialize)]
struct FilterView {
    /// `AUDIT`, `DENY`, `ALLOW` or `CUSTOM`.
    action: &'static str,
    /// Whether nothing comes of it.
    dry_run: bool,
    /// Whether the request passes, or would.
    allows: bool,
    /// Rules up to the one that matched.
    rules: Vec<RuleView>,
    /// Rules that the filter does not have because they need HTTP.
    dropped: Vec<DroppedView>,
    /// What that means, in words.
    meaning: String,
}

/// One rule.
#[derive(Debug, Serialize)]
struct RuleView {
    /// Name.
    name: String,
    /// Whether it matches.
    matches: bool,
    /// The first condition that failed.
    failure: Option<FailureView>,
    /// Fields that were left out because they need HTTP.
    ignored: Vec<String>,
    /// Where it is written.
    place: Option<String>,
}

/// A condition that failed.
#[derive(Debug, Serialize)]
struct FailureView {
    /// The field.
    field: String,
    /// Its values.
    wanted: Vec<String>,
    /// What was there.
    saw: String,
    /// Where it is written.
    place: Option<String>,
}

/// A rule that was left out.
#[derive(Debug, Serialize)]
struct DroppedView {
    /// Name.
    name: String,
    /// The field that needs HTTP.
    field: String,
    /// Where it is written.
    place: Option<String>,
}

/// What comes of it.
#[derive(Debug, Serialize)]
struct OutcomeView {
    /// Whether the application gets the request.
    arrives: bool,
    /// Status that the server's proxy answers with; null if the application answers or nobody does.
    status: Option<u16>,
    /// Response flags in the server's access log.
    flags: String,
    /// Response code details there.
    details: String,
    /// Whether an AUDIT rule marks the request; null if there is none.
    audited: Option<bool>,
    /// The same, in words.
    text: String,
}

/// All servers that the request of a question reaches.
pub(super) fn servers(question: &RouteQuestion<'_>) -> Vec<ServerView> {
    let RouteQuestion { mesh, proxy, dial, request, caller, .. } = *question;
    visits(mesh, proxy, dial, request, caller).iter().map(|visit| server(question, visit)).collect()
}

/// Servers that refuse the request, each in a few words.
pub(super) fn refusals(servers: &[ServerView]) -> Vec<String> {
    let refusing = servers.iter().filter(|server| !server.outcome.arrives);
    refusing.map(|server| format!("{}:{}: {}", server.workload, server.port, server.outcome.text)).collect()
}

fn server(question: &RouteQuestion<'_>, visit: &Visit) -> ServerView {
    let RouteQuestion { mesh, sources, .. } = *question;
    let workload = &mesh.workloads[visit.workload.index()];
    let proxy = visit.proxy.map(|id| &mesh.proxies[id.index()]);
    let served = proxy.map(|proxy| match proxy.spec.kind {
        ProxyKind::Sidecar => serve(proxy, &visit.call),
        ProxyKind::Gateway => admitted(proxy, &visit.call, visit.http),
    });
    let sidecar = proxy.filter(|proxy| proxy.spec.kind == ProxyKind::Sidecar);
    let view = View { sources, call: &visit.call, http: visit.http };
    ServerView {
        workload: format!("{}.{}", workload.name, workload.namespace),
        port: visit.call.port,
        cluster: visit.cluster.clone(),
        proxy: match (proxy, sidecar) {
            (None, _) => "none",
            (Some(_), None) => "gateway",
            (Some(_), Some(_)) => "sidecar",
        },
        caller: caller(&visit.call),
        mutual_tls: sidecar.map(|proxy| mode(mesh, sources, proxy, visit.call.port)),
        filter_chain: served.as_ref().and_then(|served| served.chain).map(chain),
        rate_limits: served
            .as_ref()
            .zip(sidecar)
            .map_or_else(Vec::new, |(served, proxy)| limits::at_server(proxy, &visit.call, served, sources)),
        filters: served.as_ref().zip(proxy).map_or_else(Vec::new, |(served, proxy)| view.filters(proxy, served)),
        filters_behind: served.as_ref().zip(proxy).map_or(0, |(served, proxy)| view.behind(proxy, served)),
        outcome: outcome(served.as_ref(), &visit.call),
    }
}

fn caller(call: &ServerCall) -> CallerView {
    let (tls, identity) = match &call.tls {
        CallerTls::None => ("none", None),
        CallerTls::Mutual { identity, .. } => ("mutual", Some(identity.clone())),
        CallerTls::Own { .. } => ("own", None),
    };
    CallerView { tls, identity, address: call.peer.to_string() }
}

fn mode(mesh: &Mesh, sources: &Sources, proxy: &Proxy, port: u16) -> ModeView {
    let Origin { object, span } = proxy.inbound.tls.origin_on_port(port);
    ModeView {
        mode: proxy.inbound.tls.on_port(port).word(),
        policy: object.map(|id: ObjectId| mesh.objects[id.index()].to_string()),
        place: place(span, sources),
    }
}

fn chain(chain: &InboundChain) -> String {
    let content = if chain.http { "HTTP" } else { "bytes" };
    match (chain.mutual_tls, chain.transport) {
        (true, _) => format!("{content} inside of mutual TLS"),
        (false, Some(crate::mesh::inbound::Transport::Tls)) => "TLS that stays closed".to_owned(),
        (false, Some(_)) => format!("{content} in clear"),
        (false, None) => format!("{content}, without looking for TLS"),
    }
}

struct View<'a> {
    sources: &'a Sources,
    call: &'a ServerCall,
    http: bool,
}

impl View<'_> {
    fn filters(&self, proxy: &Proxy, served: &Served<'_>) -> Vec<FilterView> {
        let chain = served.chain;
        let (mutual_tls, http) = chain.map_or((true, self.http), |chain| (chain.mutual_tls, chain.http));
        let mut views = Vec::new();
        for outcome in &served.filters {
            let mut add = |rules: &Option<RuleSet>, engine: Option<Engine>, dry_run: bool| {
                if let (Some(rules), Some(engine)) = (rules, engine) {
                    let why = |rule: &RbacRule| failure(proxy, self.call, mutual_tls, http, rule);
                    views.push(self.filter(outcome, rules, engine, dry_run, &why));
                }
            };
            add(&outcome.filter.enforced, outcome.enforced, false);
            add(&outcome.filter.shadow, outcome.shadow, true);
        }
        views
    }

    /// Filters that were not asked because another denied.
    fn behind(&self, proxy: &Proxy, served: &Served<'_>) -> usize {
        if !matches!(served.end, ServerEnd::Denied { .. }) {
            return 0;
        }
        let all = match served.chain.map_or(self.http, |chain| chain.http) {
            true => &proxy.inbound.authorization.http,
            false => &proxy.inbound.authorization.tcp,
        };
        all.len() - served.filters.len()
    }

    fn filter(
        &self,
        outcome: &FilterOutcome<'_>,
        rules: &RuleSet,
        engine: Engine,
        dry_run: bool,
        why: &dyn Fn(&RbacRule) -> Option<crate::routing::server::Failure>,
    ) -> FilterView {
        let looked_at = engine.matched.map_or(rules.rules.len(), |matched| matched + 1);
        let rule = |(index, rule): (usize, &RbacRule)| RuleView {
            name: rule.name.clone(),
            matches: engine.matched == Some(index),
            failure: why(rule).map(|failure| FailureView {
                place: self.place(failure.span),
                field: failure.field,
                wanted: failure.wanted,
                saw: failure.saw,
            }),
            ignored: rule.ignored.iter().map(|(field, _)| field.clone()).collect(),
            place: self.place(rule.origin.span),
        };
        let dropped = rules.dropped.iter().map(|dropped| DroppedView {
            name: dropped.name.clone(),
            field: dropped.field.clone(),
            place: self.place(dropped.span),
        });
        FilterView {
            action: outcome.filter.action.word(),
            dry_run,
            allows: engine.allows,
            rules: rules.rules[..looked_at].iter().enumerate().map(rule).collect(),
            dropped: dropped.collect(),
            meaning: meaning(outcome, engine, dry_run),
        }
    }

    fn place(&self, span: Span) -> Option<String> {
        place(span, self.sources)
    }
}

fn meaning(outcome: &FilterOutcome<'_>, engine: Engine, dry_run: bool) -> String {
    use crate::mesh::authorization::RbacAction;
    let text = match (&outcome.filter.action, engine.matched.is_some()) {
        (RbacAction::Audit, true) => "marked for the access log",
        (RbacAction::Audit, false) => "not marked",
        (RbacAction::Deny, true) if dry_run => "would be denied",
        (RbacAction::Deny, true) => "denied",
        (RbacAction::Deny, false) => "passes: no rule matches",
        (RbacAction::Allow, true) => "passes",
        (RbacAction::Allow, false) if dry_run => "would be denied: no rule matches",
        (RbacAction::Allow, false) => "denied: no rule matches",
        (RbacAction::External(provider), true) => {
            return format!("external authorizer `{provider}` is asked; its answer is not known, and assumed to be yes");
        }
        (RbacAction::External(_), false) => "the external authorizer is not asked",
    };
    text.to_owned()
}

fn outcome(served: Option<&Served<'_>>, call: &ServerCall) -> OutcomeView {
    let Some(served) = served else {
        // Without a proxy a sidecar's mutual TLS meets an application that does not speak it.
        let arrives = !matches!(call.tls, CallerTls::Mutual { .. });
        let text = if arrives { "the application gets it; no proxy stands before it" } else { "no proxy ends the mutual TLS" };
        return OutcomeView {
            arrives,
            status: None,
            flags: "-".to_owned(),
            details: String::new(),
            audited: None,
            text: text.to_owned(),
        };
    };
    let answer = served.answer();
    let status = answer.reply.as_ref().map(|reply| reply.status);
    let text = match &served.end {
        ServerEnd::Http(_) => "the application gets the request".to_owned(),
        ServerEnd::Bytes { raw_tls: false } => "the application gets the bytes".to_owned(),
        ServerEnd::Bytes { raw_tls: true } => "the application gets the TLS unopened".to_owned(),
        ServerEnd::NoFilterChain => "the connection is closed: no filter chain takes it".to_owned(),
        ServerEnd::UntrustedCaller => "the handshake fails: the caller shows no certificate that the server trusts".to_owned(),
        ServerEnd::NotHttp => "the connection is closed: this is no HTTP".to_owned(),
        ServerEnd::Denied { http: false } => "the connection is closed: denied".to_owned(),
        ServerEnd::Malformed(_) | ServerEnd::BadToken(_) | ServerEnd::Denied { http: true } => {
            let body = answer.reply.as_ref().map(|reply| String::from_utf8_lossy(&reply.body).into_owned()).unwrap_or_default();
            format!("{} {body}", status.unwrap_or_default()).trim_end().to_owned()
        }
    };
    OutcomeView {
        arrives: served.arrives(),
        status,
        flags: answer.flags.to_string(),
        details: answer.details,
        audited: served.audited(),
        text,
    }
}

/// A server as a tree.
pub(super) fn tree(server: &ServerView) -> Tree {
    let by = if server.cluster.is_empty() { String::new() } else { format!(" by {}", server.cluster) };
    let mut tree = Tree::new(Ink::Strong, "server", format!("{}:{}{by}", server.workload, server.port));
    let caller = &server.caller;
    let how = match (&caller.identity, caller.tls) {
        (Some(identity), _) => format!("mutual TLS as {identity}"),
        (None, "own") => "TLS of its own".to_owned(),
        (None, _) => "plaintext".to_owned(),
    };
    tree.push(Tree::new(Ink::Plain, "caller", format!("{how}, from {}", caller.address)));
    if let Some(mode) = &server.mutual_tls {
        let by = mode.policy.as_ref().map_or_else(|| " by default".to_owned(), |policy| format!(" by {policy}"));
        tree.push(Tree::new(Ink::Plain, "mutual TLS", format!("{}{by}", mode.mode)).at(line_of(mode.place.as_deref())));
    }
    if let Some(chain) = &server.filter_chain {
        tree.push(Tree::new(Ink::Plain, "filter chain", chain.as_str()));
    }
    for limit in &server.rate_limits {
        tree.push(limits::tree(limit));
    }
    for filter in &server.filters {
        tree.push(filter_tree(filter));
    }
    if server.filters_behind > 0 {
        tree.push(Tree::new(Ink::Faint, "…", format!("{} behind it, not asked", plural(server.filters_behind as u64, "filter"))));
    }
    let outcome = &server.outcome;
    let details = if outcome.details.is_empty() || outcome.arrives { String::new() } else { format!(" ({})", outcome.details) };
    let flags = if outcome.flags == "-" { String::new() } else { format!(", flag {}", outcome.flags) };
    let ink = if outcome.arrives { Ink::Good } else { Ink::Bad };
    tree.push(Tree::new(ink, "outcome", format!("{}{flags}{details}", outcome.text)));
    tree
}

fn filter_tree(filter: &FilterView) -> Tree {
    let dry_run = if filter.dry_run { " (dry run)" } else { "" };
    let ink = if filter.allows { Ink::Plain } else { Ink::Bad };
    let mut tree = Tree::new(ink, format!("{}{dry_run}", filter.action), filter.meaning.as_str());
    for rule in &filter.rules {
        let (ink, mark) = if rule.matches { (Ink::Good, '✓') } else { (Ink::Faint, '✗') };
        let ignored = match rule.ignored.as_slice() {
            [] => String::new(),
            fields => format!(" without `{}`, which needs HTTP", fields.join("`, `")),
        };
        let (text, place) = match &rule.failure {
            Some(failure) => (because(failure), failure.place.as_deref()),
            None => ("matches".to_owned(), rule.place.as_deref()),
        };
        tree.push(Tree::new(ink, format!("{mark} {}", rule.name), format!("{text}{ignored}")).at(line_of(place)));
    }
    for dropped in &filter.dropped {
        let text = format!("not on this port: `{}` needs HTTP", dropped.field);
        tree.push(Tree::new(Ink::Odd, format!("✗ {}", dropped.name), text).at(line_of(dropped.place.as_deref())));
    }
    tree
}

fn because(failure: &FailureView) -> String {
    match failure.wanted.as_slice() {
        [] => failure.saw.clone(),
        wanted => format!("{} `{}`, saw {}", failure.field, wanted.join("`, `"), failure.saw),
    }
}
