//! Calls at a server by what its policies ask of them: who is let in here and not there.
//!
//! Each part of a call (path, method, identity, address and so on) is divided into the kinds that the
//! rules of either side tell apart; every combination of one value of each kind is sent to both servers
//! by the routing core. Where all parts could be divided and all combinations were sent, no difference
//! among them means that there is none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value as Json};

use super::delta::CallChange;
use super::likeness::Pair;
use crate::analysis::space::partition;
use crate::mesh::authorization::{Test, Text};
use crate::mesh::network::Network;
use crate::mesh::{Proxy, ProxyKind};
use crate::routing::authentication::carry;
use crate::routing::matching::is_joined;
use crate::routing::server::{CallerTls, Content, FilterOutcome, Served, ServerCall, ServerEnd, admitted, serve};
use crate::routing::token::Token;
use crate::routing::{Request, Scheme, normalise};

/// Calls that are sent to one pair of servers.
const CALLS_MAX: usize = 40_000;

/// Whose certificates are trusted.
#[derive(Debug, Clone)]
pub(super) struct TrustDomains {
    /// By either side.
    pub(super) all: Vec<String>,
    /// Whether both sides trust the same.
    pub(super) are_alike: bool,
}

/// What became of all calls.
pub(super) struct Compared {
    /// Kinds of calls that end differently.
    pub(super) changes: Vec<CallChange>,
    /// Whether there can be no others.
    pub(super) is_complete: bool,
}

/// Compares what two servers let in.
pub(super) fn compare(pair: Pair<'_>, trust_domains: &TrustDomains) -> Compared {
    let tests: Vec<&Test> = [pair.base, pair.head].into_iter().flat_map(|proxy| proxy.inbound.authorization.tests()).collect();
    let mut parts = Parts::of(pair, &tests, &trust_domains.all);
    parts.is_complete &= trust_domains.are_alike;
    parts.cut();
    let mut found: Vec<(Kind, CallChange)> = Vec::new();
    parts.each(|call, token| {
        let (before, after) = (arrived(pair.base, call), arrived(pair.head, call));
        if before.end == after.end {
            return;
        }
        let kind = match (before.arrives(), after.arrives()) {
            (true, false) => Kind::Lost,
            (false, true) => Kind::Gained,
            _ => Kind::Otherwise,
        };
        let (before, after) = (said(&before), said(&after));
        match found.iter_mut().find(|(_, own)| own.before == before && own.after == after) {
            Some((_, own)) => own.further += 1,
            None => found.push((kind, CallChange { call: words(call, token), before, after, further: 0 })),
        }
    });
    found.sort_by_key(|(kind, _)| *kind);
    Compared { changes: found.into_iter().map(|(_, change)| change).collect(), is_complete: parts.is_complete }
}

/// What a change means for who calls, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// It was let in and is not.
    Lost,
    /// It was not let in and is.
    Gained,
    /// It ends in another way.
    Otherwise,
}

fn arrived<'m>(proxy: &'m Proxy, call: &ServerCall) -> Served<'m> {
    match proxy.spec.kind {
        ProxyKind::Sidecar => serve(proxy, call),
        ProxyKind::Gateway => admitted(proxy, call, matches!(call.content, Content::Http(_))),
    }
}

fn said(served: &Served<'_>) -> String {
    match &served.end {
        ServerEnd::Http(_) => "let in".to_owned(),
        ServerEnd::Bytes { raw_tls: false } => "let in as bytes".to_owned(),
        ServerEnd::Bytes { raw_tls: true } => "let in as TLS that nobody opens".to_owned(),
        ServerEnd::NoFilterChain => "refused: no filter chain takes the connection".to_owned(),
        ServerEnd::UntrustedCaller => "refused: no certificate that is trusted".to_owned(),
        ServerEnd::NotHttp => "refused: no HTTP".to_owned(),
        ServerEnd::Malformed(_) => "refused: malformed".to_owned(),
        ServerEnd::BadToken(refusal) => format!("refused: {}", refusal.message()),
        ServerEnd::Denied { .. } => match served.filters.last().and_then(FilterOutcome::rule) {
            Some(rule) => format!("denied by {}", rule.name),
            None => "denied: no rule allows it".to_owned(),
        },
    }
}

fn words(call: &ServerCall, token: Option<&Token>) -> String {
    let mut text = match &call.content {
        Content::Http(request) => {
            let mut text = format!("{} {}{}", request.method, request.authority, request.path);
            let shown = request.headers.iter().filter(|(name, _)| name != AUTHORIZATION);
            shown.for_each(|(name, value)| text.push_str(&format!(" -H '{name}: {value}'")));
            text
        }
        Content::Bytes => "bytes".to_owned(),
    };
    text.push_str(&format!(" to port {}", call.port));
    match &call.tls {
        CallerTls::None => text.push_str(" in clear"),
        CallerTls::Mutual { identity, .. } => text.push_str(&format!(" by mutual TLS as {identity}")),
        CallerTls::Own { .. } => text.push_str(" by TLS of the caller's own"),
    }
    if call.peer != SOMEBODY {
        text.push_str(&format!(" from {}", call.peer));
    }
    if let Some(token) = token {
        text.push_str(&format!(" with token {}", Json::Object(token.claims.clone())));
    }
    text
}

/// The values of each part of a call.
struct Parts {
    ports: Vec<u16>,
    peers: Vec<IpAddr>,
    tls: Vec<CallerTls>,
    methods: Vec<String>,
    paths: Vec<String>,
    hosts: Vec<String>,
    /// Headers by name, with the lines that there may be; none is one of the possibilities.
    headers: Vec<(String, Vec<Vec<String>>)>,
    tokens: Vec<Option<Token>>,
    is_complete: bool,
}

/// A caller that no policy speaks about (RFC 5737: an address for documentation).
const SOMEBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 8));

/// Where tokens are looked for.
const AUTHORIZATION: &str = "authorization";

/// Where clients write down where a request came from.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Kinds of lines of one header that are tried out together.
const LINES_MAX: usize = 4;

const IDENTITY: &str = "/ns/[a-z0-9-]+/sa/[a-z0-9.-]+";
const METHOD: &str = r"\A[!#$%&'*+.^_`|~0-9A-Za-z-]+\z";
const AUTHORITY: &str = r"\A[!-~&&[^/?#@\\]]+\z";
const HEADER: &str = r"\A(?:[!-~](?:[ -~]*[!-~])?)?\z";

impl Parts {
    fn of(pair: Pair<'_>, tests: &[&Test], trust_domains: &[String]) -> Self {
        let mut parts = Parts {
            ports: ports(pair, tests),
            peers: peers(tests),
            tls: Vec::new(),
            methods: Vec::new(),
            paths: Vec::new(),
            hosts: Vec::new(),
            headers: Vec::new(),
            tokens: vec![None],
            is_complete: true,
        };
        let texts = |wanted: &dyn Fn(&Test) -> Option<&Text>| -> Vec<String> {
            let mut all: Vec<String> = tests.iter().filter_map(|test| wanted(test)).map(|text| syntax(text, false)).collect();
            all.sort();
            all.dedup();
            all
        };
        let identity = texts(&|test| if let Test::Identity(text) = test { Some(text) } else { None });
        let domains: Vec<String> = trust_domains.iter().map(|domain| regex::escape(domain)).collect();
        let plain: Vec<String> =
            trust_domains.iter().map(|domain| format!("spiffe://{domain}/ns/elsewhere/sa/somebody")).collect();
        let plain: Vec<&str> = plain.iter().map(String::as_str).collect();
        let within = format!(r"\Aspiffe://(?:{}){IDENTITY}\z", domains.join("|"));
        let identities = parts.divided(&within, &identity, &plain, &|_| true);
        let mutual = |identity: String| CallerTls::Mutual { identity, trusted: true, server_name: String::new() };
        parts.tls = identities.into_iter().map(mutual).collect();
        parts.tls.push(CallerTls::None);
        parts.tls.push(CallerTls::Own { server_name: String::new() });

        let paths = texts(&|test| if let Test::Path(text) = test { Some(text) } else { None });
        let is_normal = |path: &str| normalise(path).is_ok_and(|normal| normal == path);
        parts.paths = parts.divided(r"\A/[!-~&&[^?#]]*\z", &paths, &["/"], &is_normal);
        let hosts: Vec<String> = tests
            .iter()
            .filter_map(|test| match test {
                Test::Host(text) => Some(syntax(text, true)),
                Test::Header(name, text) if name == ":authority" => Some(syntax(text, false)),
                _ => None,
            })
            .collect();
        parts.hosts = parts.divided(AUTHORITY, &hosts, &["app.test"], &|_| true);
        let methods = texts(&|test| match test {
            Test::Header(name, text) if name == ":method" => Some(text),
            _ => None,
        });
        parts.methods = parts.divided(METHOD, &methods, &["GET", "POST", "PUT", "DELETE", "PATCH"], &|_| true);
        parts.headers(tests);
        parts.tokens(pair, tests);
        let is_unknown = |test: &&&Test| match test {
            Test::DestinationAddress(_) | Test::ServerName(_) | Test::FilterMetadata => true,
            Test::Header(name, _) | Test::HeaderPresent(name) => {
                name.starts_with(':') && !matches!(name.as_str(), ":method" | ":authority")
            }
            _ => false,
        };
        parts.is_complete &= !tests.iter().any(|test| is_unknown(&test));
        parts
    }

    fn divided(&mut self, within: &str, questions: &[String], plain: &[&str], takes: &dyn Fn(&str) -> bool) -> Vec<String> {
        let partition = partition(within, questions, plain, takes);
        self.is_complete &= partition.is_complete;
        if partition.texts.is_empty() { plain.iter().take(1).map(|text| (*text).to_owned()).collect() } else { partition.texts }
    }

    /// Headers that rules ask for, and the one by which a sidecar knows the original client.
    fn headers(&mut self, tests: &[&Test]) {
        let mut names: Vec<&String> = tests
            .iter()
            .filter_map(|test| match test {
                Test::Header(name, _) | Test::HeaderPresent(name) if !name.starts_with(':') => Some(name),
                _ => None,
            })
            .collect();
        names.sort();
        names.dedup();
        for name in names {
            let own = tests.iter().filter_map(|test| match test {
                Test::Header(own, text) if own == name => Some(syntax(text, false)),
                _ => None,
            });
            let own: Vec<String> = own.collect();
            let values = self.divided(HEADER, &own, &["a"], &|_| true);
            // Tokens and the addresses of clients are put into headers of their own.
            self.is_complete &= !matches!(name.as_str(), AUTHORIZATION | FORWARDED_FOR);
            // Lines of most headers are compared one by one, so that several kinds may be there at once.
            let most = match is_joined(name) {
                true => 1,
                false if values.len() <= LINES_MAX => values.len(),
                false => {
                    self.is_complete = false;
                    1
                }
            };
            self.headers.push((name.clone(), subsets(&values, most)));
        }
        let remote: Vec<&Network> =
            tests.iter().filter_map(|test| if let Test::RemoteAddress(network) = test { Some(network) } else { None }).collect();
        if !remote.is_empty() {
            let values = remote.into_iter().flat_map(ends).map(|address| vec![address.to_string()]);
            self.headers.push((FORWARDED_FOR.to_owned(), [Vec::new()].into_iter().chain(values).collect()));
        }
    }

    /// Tokens of the issuers that either side knows, by what rules ask of their claims.
    fn tokens(&mut self, pair: Pair<'_>, tests: &[&Test]) {
        let issuers = [pair.base, pair.head].into_iter().flat_map(|proxy| &proxy.inbound.authorization.issuers);
        let mut names: Vec<&str> = issuers.clone().map(|issuer| issuer.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        // Where one side reads tokens, a stranger's may be refused there alone.
        names.extend((!names.is_empty()).then_some("https://unknown.test"));
        let audience = issuers.clone().find_map(|issuer| issuer.audiences.first().cloned());
        let subjects: Vec<String> = tests
            .iter()
            .filter_map(|test| if let Test::RequestPrincipal(_, subject) = test { Some(syntax(subject, false)) } else { None })
            .collect();
        let claims: Vec<(&Vec<String>, &Text)> =
            tests.iter().filter_map(|test| if let Test::Claim(keys, text) = test { Some((keys, text)) } else { None }).collect();
        let subjects = self.divided(r"\A[!-~]+\z", &subjects, &["somebody"], &|_| true);
        // Audiences of several issuers, and claims together, are not tried out in every combination.
        self.is_complete &= names.is_empty() || (claims.is_empty() && audience.is_none());
        self.is_complete &= issuers.clone().all(crate::mesh::authorization::Issuer::looks_at_defaults);
        for issuer in names {
            for subject in &subjects {
                let mut base = Map::new();
                base.insert("iss".to_owned(), Json::from(issuer));
                base.insert("sub".to_owned(), Json::from(subject.as_str()));
                base.extend(audience.iter().map(|audience| ("aud".to_owned(), Json::from(audience.as_str()))));
                self.tokens.push(Some(Token { claims: base.clone(), ..Token::default() }));
                for (keys, text) in &claims {
                    let values = partition(r"\A[!-~]+\z", &[syntax(text, false)], &["a"], &|_| true).texts;
                    for value in values {
                        let mut own = base.clone();
                        put(&mut own, keys, value);
                        self.tokens.push(Some(Token { claims: own, ..Token::default() }));
                    }
                }
            }
        }
    }

    /// Leaves combinations away, those of the longest lists first, until there are few enough.
    fn cut(&mut self) {
        while self.count() > CALLS_MAX {
            self.is_complete = false;
            let longest = self.lengths().max().unwrap_or(0);
            let shorter = (longest / 2).max(1);
            self.ports.truncate(shorter);
            self.peers.truncate(shorter);
            self.tls.truncate(shorter);
            self.methods.truncate(shorter);
            self.paths.truncate(shorter);
            self.hosts.truncate(shorter);
            self.tokens.truncate(shorter);
            self.headers.iter_mut().for_each(|(_, values)| values.truncate(shorter.max(2)));
            if longest <= 2 {
                self.headers.truncate(8);
                break;
            }
        }
    }

    fn count(&self) -> usize {
        self.lengths().fold(1, usize::saturating_mul)
    }

    /// How many values each part has.
    fn lengths(&self) -> impl Iterator<Item = usize> {
        let lengths = [
            self.ports.len(),
            self.peers.len(),
            self.tls.len(),
            self.methods.len(),
            self.paths.len(),
            self.hosts.len(),
            self.tokens.len(),
        ];
        lengths.into_iter().chain(self.headers.iter().map(|(_, values)| values.len()))
    }

    /// Hands over every call, plain ones first.
    fn each(&self, mut see: impl FnMut(&ServerCall, Option<&Token>)) {
        let (mut requests, header_lines) = (Vec::new(), self.header_lines());
        for method in &self.methods {
            for authority in &self.hosts {
                for path in &self.paths {
                    requests.extend(header_lines.iter().map(|headers| Request {
                        method: method.clone(),
                        scheme: Scheme::Http,
                        authority: authority.clone(),
                        path: path.clone(),
                        headers: headers.clone(),
                    }));
                }
            }
        }
        for port in &self.ports {
            for tls in &self.tls {
                for peer in &self.peers {
                    let call =
                        |content: Content| ServerCall { port: *port, address: SERVER, peer: *peer, tls: tls.clone(), content };
                    for request in &requests {
                        for token in &self.tokens {
                            let mut request = request.clone();
                            if let Some(token) = token {
                                carry(&mut request, token, None);
                            }
                            see(&call(Content::Http(request)), token.as_ref());
                        }
                    }
                    see(&call(Content::Bytes), None);
                }
            }
        }
    }

    /// Every combination of headers.
    fn header_lines(&self) -> Vec<Vec<(String, String)>> {
        let mut all: Vec<Vec<(String, String)>> = vec![Vec::new()];
        for (name, values) in &self.headers {
            let with = |lines: &Vec<(String, String)>, values: &Vec<String>| {
                let mut lines = lines.clone();
                lines.extend(values.iter().map(|value| (name.clone(), value.clone())));
                lines
            };
            all = all.iter().flat_map(|lines| values.iter().map(move |values| with(lines, values))).collect();
        }
        all
    }
}

/// All sets of at most so many values, small ones first.
fn subsets(values: &[String], most: usize) -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> = vec![Vec::new()];
    for value in values {
        let with = all.iter().filter(|set| set.len() < most).map(|set| [set.as_slice(), std::slice::from_ref(value)].concat());
        let with: Vec<Vec<String>> = with.collect();
        all.extend(with);
    }
    all.sort_by_key(Vec::len);
    all
}

fn put(claims: &mut Map<String, Json>, keys: &[String], value: String) {
    let Some((first, rest)) = keys.split_first() else { return };
    if rest.is_empty() {
        claims.insert(first.clone(), Json::from(value));
        return;
    }
    let inner = claims.entry(first.clone()).or_insert_with(|| Json::Object(Map::new()));
    if let Some(inner) = inner.as_object_mut() {
        put(inner, rest, value);
    }
}

/// Ports that somebody declares or asks for, and one that nobody does.
fn ports(pair: Pair<'_>, tests: &[&Test]) -> Vec<u16> {
    let declared = [pair.base, pair.head].into_iter().flat_map(|proxy| &proxy.inbound.ports).map(|port| port.number);
    let by_port = [pair.base, pair.head].into_iter().flat_map(|proxy| &proxy.inbound.tls.by_port).map(|port| port.port);
    let asked = tests.iter().filter_map(|test| if let Test::DestinationPort(port) = test { Some(*port) } else { None });
    let mut all: Vec<u16> = declared.chain(by_port).chain(asked).collect();
    all.sort_unstable();
    all.dedup();
    let nobody = (9_999..=u16::MAX).find(|port| !all.contains(port));
    all.extend(nobody);
    all
}

/// Addresses in and outside of the networks that rules name.
fn peers(tests: &[&Test]) -> Vec<IpAddr> {
    let networks = tests.iter().filter_map(|test| match test {
        Test::PeerAddress(network) | Test::RemoteAddress(network) => Some(network),
        _ => None,
    });
    let mut all = vec![SOMEBODY];
    for address in networks.flat_map(ends) {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    all
}

/// The first and the last address of a network, and those before and after it.
fn ends(network: &Network) -> Vec<IpAddr> {
    let (bits, value) = match network.address {
        IpAddr::V4(address) => (32, u128::from(address.to_bits())),
        IpAddr::V6(address) => (128, address.to_bits()),
    };
    let free = bits - u32::from(network.length).min(bits);
    let host = if free == 128 { u128::MAX } else { (1_u128 << free) - 1 };
    let most = if bits == 128 { u128::MAX } else { (1_u128 << bits) - 1 };
    let (first, last) = (value & !host, value | host);
    let around = [Some(first), Some(last), first.checked_sub(1), last.checked_add(1).filter(|next| *next <= most)];
    let address = |value: u128| match network.address {
        IpAddr::V4(_) => u32::try_from(value).ok().map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        IpAddr::V6(_) => Some(IpAddr::V6(Ipv6Addr::from_bits(value))),
    };
    around.into_iter().flatten().filter_map(address).collect()
}

/// The texts that a question holds for.
fn syntax(text: &Text, ignore_case: bool) -> String {
    let case = if ignore_case { "(?i-u)" } else { "" };
    match text {
        Text::NotEmpty => r"\A(?s:.+)\z".to_owned(),
        Text::Exact(text) => format!(r"\A{case}{}\z", regex::escape(text)),
        Text::Prefix(text) => format!(r"\A{case}{}(?s-u:[\x00-\x7F]*)\z", regex::escape(text)),
        Text::Suffix(text) => format!(r"\A{case}(?s-u:[\x00-\x7F]*){}\z", regex::escape(text)),
        Text::Matches(pattern) => pattern.anchored_syntax().to_owned(),
    }
}
