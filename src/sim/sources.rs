//! Clients, resolved: for each phase in which a client sends, when it sends what through whose
//! proxy.

use super::plan::{PlanInput, or_zero};
use super::population::Population;
use super::shape::{Shape, headers};
use crate::diagnostic::{Code, Diagnostic};
use crate::record::{Directory, Group, GroupId, PartyId, RequestId};
use crate::routing::Request;
use crate::routing::token::{Token, TokenStanding};
use crate::scenario::{Arrivals, Client, DeclaredToken, RequestTemplate, TokenState, TokenTemplate, User};
use crate::source::Spanned;
use crate::time::{Duration, Instant};
use crate::workload::{Arrival, ListedRequest, Mix, Times, Url, UrlKind, Window};
use crate::yaml::Map;

/// One client in one phase.
#[derive(Debug, Clone)]
pub(super) struct SourcePlan {
    pub(super) party: PartyId,
    /// The stream of its randomness.
    pub(super) stream: u64,
    pub(super) window: Window,
    pub(super) mix: Option<Mix>,
    /// Requests by class of users and template; templates take turns.
    pub(super) shapes: Vec<Vec<Shape>>,
    /// The pods whose proxies it may send through.
    pub(super) pods: Vec<u32>,
    pub(super) timeout: Option<Duration>,
    /// Requests sent earlier are not counted.
    pub(super) counts_from: Instant,
    /// The group of its first class of users; the others follow.
    pub(super) first_group: GroupId,
}

/// One request of a list.
#[derive(Debug, Clone)]
pub(super) struct ListedPlan {
    pub(super) at: Instant,
    pub(super) request: RequestId,
    pub(super) party: PartyId,
    /// The pod whose proxy it goes through.
    pub(super) pod: u32,
    pub(super) shape: Shape,
    pub(super) body_after: Option<Duration>,
    pub(super) abort_after: Option<Duration>,
    /// Whether its body is too long to be kept for another try.
    pub(super) is_long: bool,
    /// The client connection that it shares with others, by number; `NONE` if it has its own.
    pub(super) connection: u32,
}

/// Bodies up to this length are kept, so that they can be sent again (Envoy: the connection's buffer
/// limit).
const KEPT_MAX: u64 = 1 << 20;

impl ListedPlan {
    pub(super) fn new(listed: &ListedRequest, group: GroupId, pod: u32, party: PartyId, connection: u32) -> ListedPlan {
        ListedPlan {
            at: listed.at,
            request: RequestId { group, number: listed.number, counted: true },
            party,
            pod,
            shape: Shape { kind: UrlKind::Http, port: listed.port, request: listed.request.clone() },
            body_after: Some(listed.body_after).filter(|after| !after.is_zero()),
            abort_after: listed.abort_after,
            is_long: listed.body_bytes > KEPT_MAX,
            connection,
        }
    }
}

/// What sources are made from.
pub(super) struct Clients<'a> {
    pub(super) input: &'a PlanInput<'a>,
    pub(super) population: &'a Population,
    pub(super) until: Option<Instant>,
}

impl Clients<'_> {
    /// All sources, by phase and client; writes their groups into the directory.
    pub(super) fn resolve(&self, directory: &mut Directory, findings: &mut Vec<Diagnostic>) -> Vec<SourcePlan> {
        let clients: Vec<Resolved<'_>> =
            self.input.scenario.clients.iter().filter_map(|client| self.client(client, findings)).collect();
        let mut sources = Vec::new();
        for (index, phase) in self.input.phases.iter().enumerate() {
            for client in &clients {
                let sends = client.of.phases.is_empty() || client.of.phases.iter().any(|name| name.value == phase.name);
                if !sends {
                    continue;
                }
                let first_group = GroupId(u32::try_from(directory.groups.len()).expect("fewer than 2^32 groups"));
                directory.groups.extend(client.groups(index));
                let begins = phase.begins + or_zero(client.of.traffic.start.as_ref());
                let window = self.window(client, begins, phase.ends, findings);
                sources.push(SourcePlan {
                    party: PartyId(client.party),
                    stream: stream(&client.of.name, &phase.name, index),
                    window,
                    mix: client.mix.clone(),
                    shapes: client.shapes.clone(),
                    pods: client.pods.clone(),
                    timeout: client.of.timeout.as_ref().map(|timeout| timeout.value).filter(|timeout| !timeout.is_zero()),
                    counts_from: Instant::ZERO + or_zero(client.of.warm_up.as_ref()),
                    first_group,
                });
            }
        }
        sources
    }

    fn client<'c>(&self, client: &'c Client, findings: &mut Vec<Diagnostic>) -> Option<Resolved<'c>>
    where
        Self: 'c,
    {
        let before = findings.len();
        let name = &client.name.value;
        let position = self.input.scenario.clients.iter().position(|other| std::ptr::eq(other, client));
        for phase in &client.phases {
            if self.input.phases.iter().all(|known| known.name != phase.value) {
                findings.push(
                    Diagnostic::new(Code::ScenarioReference, format!("no step of the timeline opens a phase `{}`", phase.value))
                        .at(phase.span),
                );
            }
        }
        let pods = self.entry(client, findings);
        let mix = mix(client, findings);
        let shapes = shapes(client, findings);
        let arrival = arrival(client, findings);
        (findings[before..].iter().all(|finding| finding.severity < crate::diagnostic::Severity::Error)).then(|| Resolved {
            of: client,
            party: u32::try_from(position.unwrap_or(0)).expect("fewer than 2^32 clients"),
            name,
            pods,
            mix,
            shapes,
            arrival,
        })
    }

    /// The pods of the workload that a client sends through.
    fn entry(&self, client: &Client, findings: &mut Vec<Diagnostic>) -> Vec<u32> {
        let named = self.population.named(&client.from);
        let workloads: Vec<&str> = named.iter().map(|index| self.population.workloads[*index].name.as_str()).collect();
        match workloads.as_slice() {
            [] => findings.push(
                Diagnostic::new(Code::ScenarioReference, format!("no workload or gateway is named `{}`", client.from.value))
                    .at(client.from.span)
                    .help("a client sends through the proxy of a gateway or of a workload: `name` or `name.namespace`"),
            ),
            [_] => {}
            several => findings.push(
                Diagnostic::new(Code::ScenarioReference, format!("`{}` is the name of several workloads", client.from.value))
                    .at(client.from.span)
                    .help(format!("say which: {}", several.join(", "))),
            ),
        }
        named.first().map(|index| self.population.workloads[*index].pods.clone()).unwrap_or_default()
    }

    fn window(
        &self,
        client: &Resolved<'_>,
        begins: Instant,
        phase_ends: Option<Instant>,
        findings: &mut Vec<Diagnostic>,
    ) -> Window {
        let traffic = &client.of.traffic;
        let own_end = traffic.duration.as_ref().map(|duration| begins + duration.value);
        let ends = [own_end, phase_ends, self.until].into_iter().flatten().min();
        let requests = traffic.requests.as_ref().map(|requests| requests.value);
        let requests = if client.arrival == Arrival::AtOnce { requests.or(Some(1)) } else { requests };
        if ends.is_none() && requests.is_none() {
            findings.push(
                Diagnostic::new(Code::ScenarioInvalid, format!("the traffic of client `{}` never ends", client.name))
                    .at(client.of.name.span)
                    .help("give `traffic` a number of `requests` or a `duration`, or the scenario an `until`"),
            );
            return Window { arrival: client.arrival.clone(), begins, ends: Some(begins), requests: Some(0) };
        }
        Window { arrival: client.arrival.clone(), begins, ends, requests }
    }
}

/// A client without its phases.
struct Resolved<'c> {
    of: &'c Client,
    party: u32,
    name: &'c str,
    pods: Vec<u32>,
    mix: Option<Mix>,
    shapes: Vec<Vec<Shape>>,
    arrival: Arrival,
}

impl Resolved<'_> {
    fn groups(&self, phase: usize) -> Vec<Group> {
        let group = |user: &str, share: f64| Group { phase, client: self.name.to_owned(), user: user.to_owned(), share };
        if self.of.users.is_empty() {
            return vec![group("", 1.0)];
        }
        let share = |class: usize| self.mix.as_ref().map_or(1.0, |mix| mix.share(class));
        self.of.users.iter().enumerate().map(|(class, user)| group(&user.name, share(class))).collect()
    }
}

fn mix(client: &Client, findings: &mut Vec<Diagnostic>) -> Option<Mix> {
    let first = client.users.first()?;
    let in_turn = client.users.iter().any(|user| user.in_turn.is_some());
    let part = |user: &User| {
        let written = if in_turn { &user.in_turn } else { &user.weight };
        written.as_ref().map_or(1, |number| u64::from(number.value))
    };
    let parts: Vec<u64> = client.users.iter().map(part).collect();
    let mix = if in_turn { Mix::in_turn(&parts) } else { Mix::by_weight(&parts) };
    if mix.is_none() {
        findings.push(
            Diagnostic::new(Code::ScenarioInvalid, "the classes of users of a client cannot all have the weight 0")
                .at(first.name.span),
        );
    }
    mix
}

fn shapes(client: &Client, findings: &mut Vec<Diagnostic>) -> Vec<Vec<Shape>> {
    let templates: Vec<(&RequestTemplate, Url)> =
        client.request.iter().chain(&client.requests).filter_map(|template| parsed(template, findings)).collect();
    if client.request.is_none() && client.requests.is_empty() {
        findings.push(
            Diagnostic::new(Code::ScenarioInvalid, format!("client `{}` has no request to send", client.name.value))
                .at(client.name.span)
                .help("write `request: {url: http://host/path}`"),
        );
    }
    let of_user = |user: Option<&User>| {
        let shape = |(template, url): &(&RequestTemplate, Url)| {
            let set = pairs(&template.headers).chain(user.into_iter().flat_map(|user| pairs(&user.headers)));
            let cookies = pairs(&template.cookies).chain(user.into_iter().flat_map(|user| pairs(&user.cookies)));
            let mut shape = Shape::new(url, template.method.as_ref().map(|method| method.as_str()), headers(set, cookies));
            if let Some(token) = user.and_then(|user| user.token.as_ref()).or(template.token.as_ref()) {
                carry(&mut shape.request, token);
            }
            shape
        };
        templates.iter().map(shape).collect()
    };
    if client.users.is_empty() {
        return vec![of_user(None)];
    }
    client.users.iter().map(|user| of_user(Some(user))).collect()
}

/// Puts a token into a request.
fn carry(request: &mut Request, template: &TokenTemplate) {
    let (text, declared) = match template {
        TokenTemplate::Invalid(_) => ("invalid".to_owned(), None),
        TokenTemplate::Declared(declared) => {
            let standing = match declared.state.unwrap_or(TokenState::Valid) {
                TokenState::Valid => TokenStanding::Valid,
                TokenState::Expired => TokenStanding::Expired,
                TokenState::NotYetValid => TokenStanding::NotYetValid,
                TokenState::Forged => TokenStanding::Forged,
            };
            (Token { claims: declared.all_claims(), standing }.text(), Some(declared))
        }
    };
    let word = |field: fn(&DeclaredToken) -> Option<&Spanned<String>>| declared.and_then(|declared| field(declared));
    if let Some(name) = word(|token| token.param.as_ref()) {
        request.add_parameter(&name.value, &text);
    } else if let Some(name) = word(|token| token.cookie.as_ref()) {
        let cookie = format!("{}={text}", name.value);
        match request.headers.iter_mut().find(|(header, _)| header == "cookie") {
            Some((_, line)) => *line = format!("{line}; {cookie}"),
            None => request.headers.push(("cookie".to_owned(), cookie)),
        }
    } else {
        let name = word(|token| token.header.as_ref()).map_or("authorization", |name| name.value.as_str()).to_ascii_lowercase();
        let usual = if name == "authorization" { "Bearer " } else { "" };
        let prefix = word(|token| token.prefix.as_ref()).map_or(usual, |prefix| prefix.value.as_str());
        let value = format!("{prefix}{text}");
        request.headers.push((name, value));
    }
}

fn pairs(map: &Map<Spanned<String>>) -> impl Iterator<Item = (&str, &str)> {
    map.0.iter().map(|(name, value)| (name.value.as_str(), value.value.as_str()))
}

fn parsed<'t>(template: &'t RequestTemplate, findings: &mut Vec<Diagnostic>) -> Option<(&'t RequestTemplate, Url)> {
    match Url::parse(&template.url) {
        Ok(url) => Some((template, url)),
        Err(error) => {
            findings.push(
                Diagnostic::new(Code::ScenarioInvalid, format!("`{}` is no address that can be requested", template.url.value))
                    .at(template.url.span)
                    .help(error.to_string()),
            );
            None
        }
    }
}

fn arrival(client: &Client, findings: &mut Vec<Diagnostic>) -> Arrival {
    let traffic = &client.traffic;
    match (&traffic.rate, &traffic.closed_loop) {
        (None, None) => Arrival::AtOnce,
        (Some(rate), None) => {
            let gap = Duration::from_nanos(rate.gap_ns);
            match traffic.arrivals.unwrap_or(Arrivals::Constant) {
                Arrivals::Constant => Arrival::Constant(gap),
                Arrivals::Poisson => Arrival::Poisson(gap),
                Arrivals::Uniform => Arrival::Uniform(gap),
            }
        }
        (None, Some(closed)) => {
            if closed.users.value == 0 {
                findings
                    .push(Diagnostic::new(Code::ScenarioInvalid, "a closed loop needs at least one user").at(closed.users.span));
            }
            Arrival::Closed { users: closed.users.value, think: Times::of(&closed.think) }
        }
        (Some(_), Some(closed)) => {
            findings.push(
                Diagnostic::new(Code::ScenarioInvalid, "traffic is either an open loop (`rate`) or a closed one (`closedLoop`)")
                    .at(closed.users.span),
            );
            Arrival::AtOnce
        }
    }
}

/// The number of a client's random stream in one phase. It depends on names where there are any, so
/// that another client or phase moves nobody's luck.
fn stream(client: &str, phase: &str, index: usize) -> u64 {
    let phase = if phase.is_empty() { index.to_string() } else { phase.to_owned() };
    name_hash(&[client, &phase])
}

/// A number for names that is the same on every machine (FNV-1a).
pub(super) fn name_hash(names: &[&str]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in names.iter().flat_map(|name| name.bytes().chain([0])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash
}
