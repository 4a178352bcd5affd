//! From the inbound listener to the application.

use std::borrow::Cow;

use super::call::{CallerTls, Content, Facts, ServerCall};
use super::rbac::{FilterOutcome, ask};
use crate::mesh::Proxy;
use crate::mesh::authorization::Authorization;
use crate::mesh::inbound::{InboundChain, Transport};
use crate::routing::authentication::authenticate;
use crate::routing::reply::{Reply, local, malformed};
use crate::routing::token::TokenRefusal;
use crate::routing::{BadPath, Flag, Flags, Headers, Received, Request};

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Served<'m> {
    /// The filter chain that takes the connection.
    pub chain: Option<&'static InboundChain>,
    /// The filters that were asked, in order.
    pub filters: Vec<FilterOutcome<'m>>,
    /// How it ends.
    pub end: ServerEnd,
    /// The request as the application gets it, if reading its token has changed it.
    pub changed: Option<Request>,
    /// What the caller gets from the proxy; empty if nothing (the connection ends) or if the
    /// application answers.
    reply: Option<Reply>,
}

/// How a call ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerEnd {
    /// No filter chain takes the connection.
    NoFilterChain,
    /// The server does not trust the caller's certificate.
    UntrustedCaller,
    /// What arrives at an HTTP filter chain is no HTTP.
    NotHttp,
    /// The request is malformed.
    Malformed(BadPath),
    /// Its token is not accepted.
    BadToken(TokenRefusal),
    /// The last filter denies it.
    Denied {
        /// Whether a response can be given.
        http: bool,
    },
    /// The request reaches the application, with this path.
    Http(String),
    /// The bytes reach the application.
    Bytes {
        /// Whether they are TLS that nobody opened.
        raw_tls: bool,
    },
}

/// What the proxy makes of a call, as its access log says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAnswer {
    /// The answer that the proxy gives itself. Without one the application answers, or the
    /// connection ends.
    pub reply: Option<Reply>,
    /// Response flags.
    pub flags: Flags,
    /// Response code details.
    pub details: String,
}

/// Lets a call arrive at the server side of a sidecar.
#[must_use]
pub fn serve<'m>(proxy: &'m Proxy, call: &ServerCall) -> Served<'m> {
    let Some(chain) = find_chain(proxy, call) else { return Served::ended(None, ServerEnd::NoFilterChain) };
    let opened = chain.mutual_tls;
    if opened && !matches!(call.tls, CallerTls::Mutual { trusted: true, .. }) {
        return Served::ended(Some(chain), ServerEnd::UntrustedCaller);
    }
    let sealed = call.transport() == Transport::Tls && !opened;
    if chain.http && (sealed || call.content == Content::Bytes) {
        return Served::ended(Some(chain), ServerEnd::NotHttp);
    }
    let facts = match Facts::new(proxy, call, opened, chain.http) {
        Ok(facts) => facts,
        Err(bad) => return Served { reply: Some(malformed(bad)), ..Served::ended(Some(chain), ServerEnd::Malformed(bad)) },
    };
    let served = authorized(proxy, &facts, chain.http);
    let end = match (served.end, chain.http) {
        (ServerEnd::Bytes { .. }, false) => ServerEnd::Bytes { raw_tls: sealed },
        (end, _) => end,
    };
    Served { chain: Some(chain), end, ..served }
}

/// Asks what a gateway has of policies about a request, or about a connection that it passes on.
#[must_use]
pub fn admitted<'m>(proxy: &'m Proxy, call: &ServerCall, http: bool) -> Served<'m> {
    match Facts::new(proxy, call, true, http) {
        Ok(facts) => authorized(proxy, &facts, http),
        Err(bad) => Served { reply: Some(malformed(bad)), ..Served::ended(None, ServerEnd::Malformed(bad)) },
    }
}

/// The filter chain with the transport of the call and one of its protocols, else one that asks for
/// less.
fn find_chain(proxy: &Proxy, call: &ServerCall) -> Option<&'static InboundChain> {
    let chains = proxy.inbound.chains(call.port);
    let named = chains.iter().any(|chain| chain.transport == Some(call.transport()));
    let suits = |chain: &&InboundChain| match chain.transport {
        Some(transport) => transport == call.transport(),
        None => !named,
    };
    let mut on_transport = chains.iter().filter(suits);
    let offered = call.protocols();
    let fits = |chain: &&InboundChain| chain.protocols.is_empty() || chain.protocols.iter().any(|p| offered.contains(p));
    on_transport.find(fits).or_else(|| chains.iter().find(|chain| chain.transport.is_none()))
}

/// The filters of CUSTOM policies, then tokens, then all other filters.
fn authorized<'m>(proxy: &'m Proxy, facts: &Facts<'_>, http: bool) -> Served<'m> {
    let authorization: &Authorization = &proxy.inbound.authorization;
    let refuse = |status: u16, body: &str| facts.received().map(|received| local(received, status, body.as_bytes()));
    let all = if http { &authorization.http } else { &authorization.tcp };
    let (before, after) = all.split_at(all.iter().take_while(|filter| filter.custom).count());
    let mut filters = ask(before, facts);
    let denied = |filters: &[FilterOutcome<'_>]| filters.last().is_some_and(FilterOutcome::denies);
    if denied(&filters) {
        let end = ServerEnd::Denied { http };
        return Served { filters, reply: refuse(403, DENIED), ..Served::ended(None, end) };
    }
    let seen = match facts.received().map(|received| authenticate(&authorization.issuers, received.request)) {
        Some(Err(refusal)) => {
            let mut reply = refuse(refusal.status(), refusal.message());
            if let (Some(reply), Some(received)) = (&mut reply, facts.received()) {
                reply.headers.0.insert(0, ("www-authenticate".to_owned(), challenge(received)));
            }
            return Served { filters, reply, ..Served::ended(None, ServerEnd::BadToken(refusal)) };
        }
        Some(Ok(seen)) => Some(seen),
        None => None,
    };
    let after_tokens = seen.as_ref().map(|seen| facts.after(proxy, seen));
    let facts = after_tokens.as_ref().unwrap_or(facts);
    filters.extend(ask(after, facts));
    if denied(&filters) {
        let end = ServerEnd::Denied { http };
        return Served { filters, reply: refuse(403, DENIED), ..Served::ended(None, end) };
    }
    let end = match facts.received() {
        Some(received) => ServerEnd::Http(received.path.clone().into_owned()),
        None => ServerEnd::Bytes { raw_tls: false },
    };
    let changed = seen.and_then(|seen| match seen.request {
        Cow::Owned(request) => Some(request),
        Cow::Borrowed(_) => None,
    });
    Served { filters, changed, ..Served::ended(None, end) }
}

const DENIED: &str = "RBAC: access denied";

/// The longest address that an answer repeats.
const ADDRESS_MAX: usize = 256;

/// What an answer says that asks for a better token (RFC 6750, 3).
fn challenge(received: &Received<'_>) -> String {
    let path: String = received.path.chars().take(ADDRESS_MAX).collect();
    format!("Bearer realm=\"{}://{}{path}\", error=\"invalid_token\"", received.scheme, received.authority)
}

impl Served<'_> {
    fn ended(chain: Option<&'static InboundChain>, end: ServerEnd) -> Self {
        Served { chain, filters: Vec::new(), end, changed: None, reply: None }
    }

    /// Whether the application gets it.
    #[must_use]
    pub const fn arrives(&self) -> bool {
        matches!(self.end, ServerEnd::Http(_) | ServerEnd::Bytes { .. })
    }

    /// Whether an AUDIT rule marks it; `None` if there is none to ask.
    #[must_use]
    pub fn audited(&self) -> Option<bool> {
        use crate::mesh::authorization::RbacAction;
        let audit = self.filters.iter().find(|outcome| outcome.filter.action == RbacAction::Audit)?;
        audit.enforced.map(|engine| engine.matched.is_some())
    }

    /// What the access log says.
    #[must_use]
    pub fn answer(&self) -> ServerAnswer {
        let (flag, details) = match &self.end {
            ServerEnd::NoFilterChain => (Some(Flag::NoRoute), "filter_chain_not_found".to_owned()),
            ServerEnd::UntrustedCaller => (None, String::new()),
            ServerEnd::NotHttp => (Some(Flag::DownstreamProtocolError), "http1.codec_error".to_owned()),
            ServerEnd::Malformed(bad) => (bad.flag(), bad.details().to_owned()),
            ServerEnd::BadToken(refusal) => (None, refusal.details().to_owned()),
            ServerEnd::Denied { .. } => {
                let rule = self.filters.last().and_then(FilterOutcome::rule).map_or("none", |rule| rule.name.as_str());
                (None, format!("rbac_access_denied_matched_policy[{rule}]"))
            }
            ServerEnd::Http(_) => (None, "via_upstream".to_owned()),
            ServerEnd::Bytes { .. } => (None, String::new()),
        };
        ServerAnswer { reply: self.reply.clone(), flags: flag.into_iter().collect(), details }
    }

    /// Headers of the proxy's own answer.
    #[must_use]
    pub fn headers(&self) -> Option<&Headers> {
        self.reply.as_ref().map(|reply| &reply.headers)
    }
}
