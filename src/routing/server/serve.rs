//! From the inbound listener to the application.

use super::call::{CallerTls, Content, Facts, ServerCall, Token};
use super::rbac::{FilterOutcome, ask};
use crate::mesh::Proxy;
use crate::mesh::authorization::{Authorization, Issuer};
use crate::mesh::inbound::{InboundChain, Transport};
use crate::routing::reply::{Reply, local, malformed};
use crate::routing::{BadPath, Flag, Flags, Headers};

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Served<'m> {
    /// The filter chain that takes the connection.
    pub chain: Option<&'static InboundChain>,
    /// The filters that were asked, in order.
    pub filters: Vec<FilterOutcome<'m>>,
    /// How it ends.
    pub end: ServerEnd,
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

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenRefusal {
    /// No RequestAuthentication names its issuer.
    Issuer,
    /// It is for others.
    Audience,
}

impl TokenRefusal {
    /// What the caller is told (jwt_verify_lib: `getStatusString`).
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            TokenRefusal::Issuer => "Jwt issuer is not configured",
            TokenRefusal::Audience => "Audiences in Jwt are not allowed",
        }
    }

    const fn status(self) -> u16 {
        match self {
            TokenRefusal::Issuer => 401,
            TokenRefusal::Audience => 403,
        }
    }
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
    let served = authorized(&proxy.inbound.authorization, &facts, chain.http);
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
        Ok(facts) => authorized(&proxy.inbound.authorization, &facts, http),
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
fn authorized<'m>(authorization: &'m Authorization, facts: &Facts<'_>, http: bool) -> Served<'m> {
    let refuse = |status: u16, body: &str| facts.received().map(|received| local(received, status, body.as_bytes()));
    let all = if http { &authorization.http } else { &authorization.tcp };
    let (before, after) = all.split_at(all.iter().take_while(|filter| filter.custom).count());
    let mut filters = ask(before, facts);
    let denied = |filters: &[FilterOutcome<'_>]| filters.last().is_some_and(FilterOutcome::denies);
    if denied(&filters) {
        return Served { chain: None, filters, end: ServerEnd::Denied { http }, reply: refuse(403, DENIED) };
    }
    if let Some(refusal) = facts.token().and_then(|token| refusal(&authorization.issuers, token)) {
        let reply = refuse(refusal.status(), refusal.message());
        return Served { chain: None, filters, end: ServerEnd::BadToken(refusal), reply };
    }
    filters.extend(ask(after, facts));
    if denied(&filters) {
        return Served { chain: None, filters, end: ServerEnd::Denied { http }, reply: refuse(403, DENIED) };
    }
    let end = match facts.received() {
        Some(received) => ServerEnd::Http(received.path.clone().into_owned()),
        None => ServerEnd::Bytes { raw_tls: false },
    };
    Served { chain: None, filters, end, reply: None }
}

const DENIED: &str = "RBAC: access denied";

/// Why a token is refused where these issuers are known (Envoy: `jwt_authn`).
fn refusal(issuers: &[Issuer], token: &Token) -> Option<TokenRefusal> {
    let issuer = token.text("iss").unwrap_or("");
    let mut known = issuers.iter().filter(|own| own.name == issuer).peekable();
    if known.peek().is_none() {
        return Some(TokenRefusal::Issuer);
    }
    let is_for = |audience: &str| match token.claims.get("aud") {
        Some(serde_json::Value::Array(all)) => all.iter().any(|own| own == audience),
        Some(own) => own == audience,
        None => false,
    };
    let accepts = |issuer: &Issuer| issuer.audiences.is_empty() || issuer.audiences.iter().any(|own| is_for(own));
    (!known.any(accepts)).then_some(TokenRefusal::Audience)
}

impl Served<'_> {
    fn ended(chain: Option<&'static InboundChain>, end: ServerEnd) -> Self {
        Served { chain, filters: Vec::new(), end, reply: None }
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
            ServerEnd::BadToken(refusal) => {
                (Some(Flag::Unauthorized), format!("jwt_authn_access_denied{{{}}}", refusal.message().replace(' ', "_")))
            }
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
