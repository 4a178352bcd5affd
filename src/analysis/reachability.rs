//! Matches that no request gets to, proven on what proxies are given: across rules, VirtualServices
//! and HTTPRoutes, for the proxies of the input and for the clients that a rule is written for.

use std::sync::Arc;

use indexmap::IndexMap;
use rustc_hash::{FxHashMap, FxHashSet};

use super::conflicts::is_in_mesh;
use super::input::{Input, finding, selects, texts};
use super::space::{Reach, Reaches, Space, Witness, needs_token, ways_to};
use crate::diagnostic::{Code, Diagnostic, ObjectRef};
use crate::mesh::route::{Route, Subject, VirtualHost};
use crate::mesh::{CompileOptions, Mesh, Proxy, ProxyKind, ProxySelection, ProxySpec, RouteTableId, compile};
use crate::resource::networking::{HttpMatchRequest, VirtualService};
use crate::resource::{Object, Objects};
use crate::source::Span;

/// A namespace for clients that no rule names.
const ELSEWHERE: &str = "elsewhere";

/// Findings about matches behind others, unless they were said already.
pub(super) fn check(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    let codes = [Code::RedundantRule, Code::RedundantMatch, Code::UnreachableRule, Code::RepeatedRouteMatch];
    let said: FxHashSet<Span> = input
        .found
        .iter()
        .chain(found.iter())
        .filter(|finding| codes.contains(&finding.code))
        .filter_map(|finding| finding.primary.as_ref().map(|label| label.span))
        .collect();
    let blocks = blocks(input);
    let fates = fates(input, &blocks);
    for block in &blocks {
        let Some(fate) = fates.get(&block.span).filter(|_| !said.contains(&block.span) && !said.contains(&block.rule)) else {
            continue;
        };
        found.extend(told(block, fate));
    }
    outside_root(input, found);
}

/// What becomes of the requests that a match is for.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// One gets there.
    Live(Box<Sighting>),
    /// Nobody knows, because of this.
    Undecided(String),
    /// Matches at these places take them all.
    Shadowed(Vec<Span>),
    /// There are none.
    Impossible,
}

impl Fate {
    /// What is said of a match that has several fates: it is alive if it is alive anywhere.
    fn rank(&self) -> u8 {
        match self {
            Fate::Live(_) => 3,
            Fate::Undecided(_) => 2,
            Fate::Shadowed(_) => 1,
            Fate::Impossible => 0,
        }
    }
}

/// A request that gets to a match.
#[derive(Debug, Clone, PartialEq)]
pub struct Sighting {
    /// The proxy that sends it, by name.
    pub proxy: String,
    /// The request.
    pub witness: Witness,
}

/// One match of a rule, or a rule without matches.
#[derive(Debug, Clone)]
struct Block<'a> {
    object: &'a Object,
    span: Span,
    rule: Span,
    /// Clients that have it and as little as possible before it.
    clients: Vec<ProxySpec>,
    /// Whether a gateway that the input does not have may use it.
    beyond: bool,
}

fn blocks<'a>(input: &Input<'a>) -> Vec<Block<'a>> {
    let known: FxHashSet<String> =
        input.istio_gateways().map(|gateway| format!("{}/{}", gateway.object.namespace, gateway.object.name)).collect();
    let mut all = Vec::new();
    for vs in input.virtual_services() {
        let is_unknown =
            |name: &str| name != "mesh" && !known.contains(name) && !known.contains(&format!("{}/{name}", vs.object.namespace));
        let beyond = texts(&vs.spec.gateways).any(is_unknown);
        let named: Vec<&str> = namespaces(vs.spec);
        // A rule with a delegate takes what the delegate's rules take.
        for rule in vs.spec.http.iter().filter(|rule| rule.delegate.is_none()) {
            let block = |block: Option<&HttpMatchRequest>| Block {
                object: vs.object,
                span: block.map_or(rule.span, |block| block.span),
                rule: rule.span,
                clients: clients(vs.object, vs.spec, block, &named),
                beyond,
            };
            all.extend(rule.matches.iter().map(|own| block(Some(own))));
            all.extend(rule.matches.is_empty().then(|| block(None)));
        }
    }
    for route in input.http_routes() {
        for rule in &route.spec.rules {
            let spans = rule.matches.iter().flatten().map(|block| block.span);
            let lone = rule.matches.as_ref().is_none_or(Vec::is_empty).then_some(rule.span);
            let block = |span| Block { object: route.object, span, rule: rule.span, clients: Vec::new(), beyond: false };
            all.extend(spans.chain(lone).map(block));
        }
    }
    all
}

/// Namespaces of clients that a VirtualService tells apart.
fn namespaces(spec: &VirtualService) -> Vec<&str> {
    let blocks = spec.http.iter().flat_map(|rule| &rule.matches);
    blocks.filter_map(|block| block.source_namespace.as_ref()).map(|name| name.value.as_str()).filter(|n| !n.is_empty()).collect()
}

/// The clients for which the fewest other matches stand before this one: exactly its labels, and a
/// namespace that no other match asks for.
fn clients(object: &Object, spec: &VirtualService, block: Option<&HttpMatchRequest>, named: &[&str]) -> Vec<ProxySpec> {
    let is_for_gateways =
        block.is_some_and(|block| !block.gateways.is_empty() && texts(&block.gateways).all(|name| name != "mesh"));
    if !is_in_mesh(spec) || is_for_gateways {
        return Vec::new();
    }
    let own = block.and_then(|block| block.source_namespace.as_ref()).filter(|name| !name.is_empty());
    let mut places = match own {
        Some(name) => vec![name.value.clone()],
        None => vec![object.namespace.clone()],
    };
    if own.is_none() && named.contains(&object.namespace.as_str()) {
        places.push(ELSEWHERE.to_owned());
    }
    let labels = block.map(|block| &block.source_labels).into_iter().flat_map(|labels| labels.iter());
    let mut labels: Vec<(String, String)> = labels.map(|(key, value)| (key.to_owned(), value.value.clone())).collect();
    labels.sort();
    let spec = |namespace: String| ProxySpec {
        name: format!("client.{namespace}"),
        kind: ProxyKind::Sidecar,
        namespace,
        labels: labels.clone(),
        locality: String::new(),
        service_account: String::new(),
    };
    places.into_iter().map(spec).collect()
}

/// The fates of all matches of which something is known.
fn fates(input: &Input<'_>, blocks: &[Block<'_>]) -> FxHashMap<Span, Fate> {
    let mut survey = Survey::default();
    survey.mesh(input.mesh);
    let is_open = |block: &&Block<'_>| !matches!(survey.fates.get(&block.span), Some(Fate::Live(_)));
    let open: Vec<&Block<'_>> = blocks.iter().filter(is_open).collect();
    let specs: IndexMap<ProxySpec, ()> =
        open.iter().flat_map(|block| block.clients.iter().cloned().map(|spec| (spec, ()))).collect();
    let mut specs: Vec<ProxySpec> = specs.into_keys().collect();
    if !open.is_empty() && !input.mesh.proxies.iter().any(|proxy| proxy.spec.kind == ProxyKind::Gateway) {
        specs.extend(gateways(input));
    }
    if !specs.is_empty() {
        let options = CompileOptions {
            profile: input.mesh.profile.clone(),
            proxies: ProxySelection::Described(specs),
            ..CompileOptions::default()
        };
        let (imagined, _) = compile(input.all, &options);
        survey.examined.clear();
        survey.mesh(&imagined);
    }
    for block in open.iter().filter(|block| block.beyond) {
        survey.fates.remove(&block.span);
    }
    survey.fates
}

/// A pod for each Gateway of the input.
fn gateways(input: &Input<'_>) -> Vec<ProxySpec> {
    let of = |gateway: super::input::Of<'_, crate::resource::networking::IstioGateway>| {
        let labels = gateway
            .spec
            .selector
            .iter()
            .flat_map(|labels| labels.iter())
            .map(|(key, value)| (key.to_owned(), value.value.clone()));
        let mut labels: Vec<(String, String)> = labels.collect();
        labels.sort();
        ProxySpec {
            name: format!("{}.{}", gateway.object.name, gateway.object.namespace),
            kind: ProxyKind::Gateway,
            namespace: gateway.object.namespace.clone(),
            labels,
            locality: String::new(),
            service_account: String::new(),
        }
    };
    input.istio_gateways().map(of).collect()
}

/// Goes through the routes of proxies; what is known to be alive is not looked at again.
#[derive(Default)]
struct Survey {
    space: Space,
    fates: FxHashMap<Span, Fate>,
    /// Route tables that were seen, by address: proxies share them.
    examined: FxHashSet<(usize, ProxyKind)>,
    /// What was found of a route behind others, which stand in many tables in the same order.
    known: FxHashMap<(ProxyKind, Vec<Span>), Fate>,
}

impl Survey {
    fn mesh(&mut self, mesh: &Mesh) {
        for proxy in &mesh.proxies {
            if !self.examined.insert((Arc::as_ptr(&proxy.route_tables).cast::<()>().addr(), proxy.spec.kind)) {
                continue;
            }
            for (table, routes) in proxy.route_tables.iter().enumerate() {
                let mut ways = None;
                for (host, virtual_host) in routes.virtual_hosts.iter().enumerate() {
                    if virtual_host.routes.iter().any(|route| self.is_open(route)) {
                        let table = RouteTableId::new(table);
                        let ways = ways.get_or_insert_with(|| ways_to(proxy, table));
                        let reaches = Reaches::new(&mut self.space, proxy, ways, table, host);
                        self.virtual_host(proxy, virtual_host, &reaches);
                    }
                }
            }
        }
    }

    fn is_open(&self, route: &Route) -> bool {
        route.origin.object.is_some() && !matches!(self.fates.get(&route.origin.span), Some(Fate::Live(_)))
    }

    fn virtual_host(&mut self, proxy: &Proxy, virtual_host: &VirtualHost, reaches: &Reaches<'_>) {
        let looks_at_host = |route: &Route| {
            let is_host = |subject: &Subject| matches!(subject, Subject::Header(name) if name == ":authority" || name == "host");
            route.matcher.conditions.iter().any(|condition| is_host(&condition.subject))
        };
        for (index, route) in virtual_host.routes.iter().enumerate() {
            if !self.is_open(route) {
                continue;
            }
            let before = &virtual_host.routes[..=index];
            let key = (proxy.spec.kind, before.iter().map(|route| route.origin.span).collect::<Vec<_>>());
            let is_alike = !before.iter().any(looks_at_host);
            let fate = match self.known.get(&key).filter(|_| is_alike) {
                Some(known) => Some(known.clone()),
                None => self.fate(proxy, virtual_host, reaches, index),
            };
            let Some(fate) = fate else { continue };
            self.known.insert(key, fate.clone());
            let span = route.origin.span;
            if self.fates.get(&span).is_none_or(|own| own.rank() < fate.rank()) {
                self.fates.insert(span, fate);
            }
        }
    }

    fn fate(&mut self, proxy: &Proxy, virtual_host: &VirtualHost, reaches: &Reaches<'_>, index: usize) -> Option<Fate> {
        Some(match reaches.of(&mut self.space, index) {
            Reach::Live(witness) => Fate::Live(Box::new(Sighting { proxy: proxy.spec.name.clone(), witness })),
            Reach::Undecided(why) => Fate::Undecided(why),
            Reach::Shadowed(by) => Fate::Shadowed(by.iter().map(|index| virtual_host.routes[*index].origin.span).collect()),
            Reach::Impossible => Fate::Impossible,
            Reach::Cut => return None,
        })
    }
}

fn told(block: &Block<'_>, fate: &Fate) -> Option<Diagnostic> {
    let effect = "the rule is never used for it";
    Some(match fate {
        Fate::Live(_) => return None,
        Fate::Undecided(why) if needs_token(why) => return None,
        Fate::Undecided(why) => {
            let message = format!("it is not decided whether a request gets to this match, because {why}");
            finding(Code::UndecidedMatch, block.object, block.span, message)
        }
        Fate::Impossible => {
            let message = "no request meets this match: its conditions exclude each other, or the hosts of the rule";
            finding(Code::ImpossibleMatch, block.object, block.span, message).effect(effect)
        }
        Fate::Shadowed(by) => {
            let (message, label) = match by.len() {
                0 | 1 => ("no request gets to this match".to_owned(), "takes every request that it could take"),
                several => {
                    (format!("no request gets to this match: {several} before it together take them all"), "takes some of them")
                }
            };
            let start = finding(Code::CoveredMatch, block.object, block.span, message);
            let start = by.iter().fold(start, |finding, place| finding.also(*place, label));
            start.effect(effect).help("move the more specific match up")
        }
    })
}

/// A match and what is known about requests that get there.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleReach {
    /// Where the match, or the rule without matches, is written.
    pub span: Span,
    /// The object it is part of.
    pub object: ObjectRef,
    /// What becomes of the requests; `None` if no proxy is given the rule.
    pub fate: Option<Fate>,
}

/// All matches of VirtualServices and HTTPRoutes: each with a request that gets there, confirmed by
/// the routing core, or with what takes them all. `found` are the findings about the input: a rule
/// that is not even given to proxies is said there.
#[must_use]
pub fn rule_reaches(objects: &Objects, mesh: &Mesh, found: &[Diagnostic]) -> Vec<RuleReach> {
    let input = Input::new(objects, mesh, found);
    let blocks = blocks(&input);
    let fates = fates(&input, &blocks);
    let left_out: FxHashMap<Span, Fate> = found
        .iter()
        .filter(|finding| finding.code == Code::UnreachableRule)
        .filter_map(|finding| {
            let by = finding.secondary.iter().map(|label| label.span).collect();
            Some((finding.primary.as_ref()?.span, Fate::Shadowed(by)))
        })
        .collect();
    let reach = |block: &Block<'_>| RuleReach {
        span: block.span,
        object: block.object.reference(),
        fate: fates.get(&block.span).or_else(|| left_out.get(&block.rule)).cloned(),
    };
    blocks.iter().map(reach).collect()
}

/// Rules of delegates that no request of their root's match can meet.
fn outside_root(input: &Input<'_>, found: &mut Vec<Diagnostic>) {
    for root in input.virtual_services() {
        for rule in &root.spec.http {
            let Some(delegate) = &rule.delegate else { continue };
            let namespace = delegate.namespace.as_ref().map(|own| own.value.as_str()).filter(|own| !own.is_empty());
            let namespace = namespace.unwrap_or(&root.object.namespace);
            let name = delegate.name.as_ref().map_or("", |own| own.value.as_str());
            let Some(target) = input.virtual_service(namespace, name) else {
                continue;
            };
            for block in target.spec.http.iter().flat_map(|rule| &rule.matches) {
                if rule.matches.is_empty() || rule.matches.iter().any(|outer| may_meet(outer, block)) {
                    continue;
                }
                let message =
                    format!("the match lies outside of what `{}/{}` delegates", root.object.namespace, root.object.name);
                found.push(
                    finding(Code::CoveredMatch, target.object, block.span, message)
                        .also(rule.span, "delegates here")
                        .effect("the rule is left out there"),
                );
            }
        }
    }
}

/// Whether the paths of two matches may have one in common; only plain prefixes and exact paths are
/// told apart.
fn may_meet(outer: &HttpMatchRequest, inner: &HttpMatchRequest) -> bool {
    let (Some(a), Some(b)) = (&outer.uri, &inner.uri) else { return true };
    let ignores_case = outer.ignore_uri_case == Some(true) || inner.ignore_uri_case == Some(true);
    let labels_differ = !outer.source_labels.is_empty() && !selects(&outer.source_labels, &inner.source_labels);
    if a.regex.is_some() || b.regex.is_some() || ignores_case || labels_differ {
        return true;
    }
    let prefix = |m: &crate::resource::networking::StringMatch| m.prefix.as_ref().map(|text| text.value.clone());
    let exact = |m: &crate::resource::networking::StringMatch| m.exact.as_ref().map(|text| text.value.clone());
    match (prefix(a), exact(a), prefix(b), exact(b)) {
        (Some(a), None, Some(b), None) => a.starts_with(&b) || b.starts_with(&a),
        (Some(a), None, None, Some(b)) => b.starts_with(&a),
        (None, Some(a), Some(b), None) => a.starts_with(&b),
        (None, Some(a), None, Some(b)) => a == b,
        _ => true,
    }
}
