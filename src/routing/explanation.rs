//! Why a request goes where it goes: for every route before the one that matched the first condition
//! that failed, for the matched one the conditions that hold.

use super::authentication::at_routes;
use super::connection::{Conn, listen};
use super::host::{FoundHost, find_host};
use super::matching::{condition_holds, path_holds, seen_value};
use super::path::BadPath;
use super::received::Received;
use super::request::{Dial, Request};
use super::selection::{Selection, Verdict, select_received};
use crate::mesh::route::{Condition, PathTest, Route, RouteMatch, Subject, Test, VirtualHost};
use crate::mesh::{Mesh, Proxy, ProxyId, RouteTableId};
use crate::source::Span;

/// Why a connection and its request end up where they do.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation<'m> {
    /// What takes the connection.
    pub connection: Conn<'m>,
    /// What happens to the request; `None` if the connection is not taken as HTTP.
    pub http: Option<HttpExplanation<'m>>,
}

/// Why a request takes a route.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpExplanation<'m> {
    /// What takes the request.
    pub selection: Selection,
    /// Why it is answered 400, if it is.
    pub malformed: Option<BadPath>,
    /// The path that routes see, with its query; as sent if the request is malformed.
    pub path: String,
    /// The virtual host and the domain that matched.
    pub found: Option<FoundHost<'m>>,
    /// The virtual host.
    pub virtual_host: Option<&'m VirtualHost>,
    /// The routes that were looked at, in order; if one matched, it is the last.
    pub trials: Vec<Trial<'m>>,
    /// Routes behind the one that matched, which nobody looks at.
    pub routes_behind: usize,
}

/// One route that was looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial<'m> {
    /// Its index in the virtual host.
    pub index: usize,
    /// The route.
    pub route: &'m Route,
    /// Whether it matched.
    pub matched: bool,
    /// If it matched all its conditions, else the first that failed.
    pub checks: Vec<Check>,
}

/// One condition and what it saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What it looks at.
    pub subject: CheckSubject,
    /// How it compares.
    pub comparison: Comparison,
    /// What it compares with; empty for presence.
    pub value: String,
    /// Whether the answer is turned round.
    pub invert: bool,
    /// Whether case is ignored.
    pub ignore_case: bool,
    /// What it saw; `None` if there was nothing.
    pub seen: Option<String>,
    /// Whether it holds.
    pub holds: bool,
    /// Where it is written.
    pub span: Span,
}

/// What a condition looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckSubject {
    /// The path without query.
    Path,
    /// A header or pseudo-header.
    Header(String),
    /// A query parameter.
    Query(String),
    /// A claim of the token, its path joined by dots.
    Claim(String),
}

/// How a condition compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// It is there.
    Present,
    /// The whole value.
    Exact,
    /// The beginning.
    Prefix,
    /// The beginning, up to a slash or the end.
    SegmentPrefix,
    /// A regular expression for all of it.
    Regex,
}

/// Explains one request.
#[must_use]
pub fn explain<'m>(mesh: &'m Mesh, proxy: ProxyId, dial: &Dial, request: &Request) -> Explanation<'m> {
    let configured = &mesh.proxies[proxy.index()];
    let connection = listen(configured, dial, &request.authority);
    let seen = at_routes(configured, request);
    let http = match &connection {
        Conn::Http(http) => Some(match Received::authenticated(configured.spec.kind, &seen) {
            Ok(received) => explain_table(configured, http.table, &received),
            Err(bad) => HttpExplanation {
                selection: Selection { table: http.table, verdict: Verdict::Malformed(bad), cors: Default::default() },
                malformed: Some(bad),
                path: request.path.clone(),
                found: None,
                virtual_host: None,
                trials: Vec::new(),
                routes_behind: 0,
            },
        }),
        Conn::Refused | Conn::Tcp(_) | Conn::Ended(_) => None,
    };
    Explanation { connection, http }
}

/// Explains what becomes of a request in one route table.
#[must_use]
pub fn explain_table<'m>(proxy: &'m Proxy, table: RouteTableId, received: &Received<'_>) -> HttpExplanation<'m> {
    let selection = select_received(proxy, table, received);
    let virtual_host = selection.virtual_host(proxy);
    let routes = virtual_host.map_or(&[][..], |host| &host.routes);
    let looked_at = match selection.verdict {
        Verdict::Route { route, .. } => route as usize + 1,
        Verdict::NoRoute { .. } => routes.len(),
        Verdict::Malformed(_) | Verdict::NoHost | Verdict::NoProto { .. } | Verdict::RequireTls { .. } => 0,
    };
    HttpExplanation {
        selection,
        malformed: None,
        path: received.path.to_string(),
        found: find_host(&proxy.route_tables[table.index()], received.authority),
        virtual_host,
        trials: routes[..looked_at].iter().enumerate().map(|(index, route)| trial(index, route, received)).collect(),
        routes_behind: routes.len() - looked_at,
    }
}

fn trial<'m>(index: usize, route: &'m Route, received: &Received<'_>) -> Trial<'m> {
    let checks = checks(&route.matcher, received);
    match checks.iter().position(|check| !check.holds) {
        Some(failed) => Trial { index, route, matched: false, checks: vec![checks[failed].clone()] },
        None => Trial { index, route, matched: true, checks },
    }
}

/// All conditions of a route, the path first.
#[must_use]
pub fn checks(matcher: &RouteMatch, received: &Received<'_>) -> Vec<Check> {
    let others = matcher.conditions.iter().map(|condition| check(condition, received));
    std::iter::once(path_check(matcher, received)).chain(others).collect()
}

fn path_check(matcher: &RouteMatch, received: &Received<'_>) -> Check {
    let path = &matcher.path;
    let (comparison, value) = match &path.test {
        PathTest::Exact(value) => (Comparison::Exact, value.as_str()),
        PathTest::Prefix(value) => (Comparison::Prefix, value.as_str()),
        PathTest::SegmentPrefix(value) => (Comparison::SegmentPrefix, value.as_str()),
        PathTest::Regex(pattern) => (Comparison::Regex, pattern.source()),
    };
    Check {
        subject: CheckSubject::Path,
        comparison,
        value: value.to_owned(),
        invert: false,
        ignore_case: path.ignore_case && comparison != Comparison::Regex,
        seen: Some(received.bare_path().to_owned()),
        holds: path_holds(path, received.bare_path()),
        span: path.span,
    }
}

fn check(condition: &Condition, received: &Received<'_>) -> Check {
    let (comparison, value) = match &condition.test {
        Test::Present => (Comparison::Present, ""),
        Test::Exact(value) => (Comparison::Exact, value.as_str()),
        Test::Prefix(value) => (Comparison::Prefix, value.as_str()),
        Test::Regex(pattern) => (Comparison::Regex, pattern.source()),
    };
    let subject = match &condition.subject {
        Subject::Header(name) => CheckSubject::Header(name.clone()),
        Subject::Query(name) => CheckSubject::Query(name.clone()),
        Subject::Claim(path) => CheckSubject::Claim(path.join(".")),
    };
    Check {
        subject,
        comparison,
        value: value.to_owned(),
        invert: condition.invert,
        ignore_case: false,
        seen: seen_value(&condition.subject, received).map(|value| value.into_owned()),
        holds: condition_holds(condition, received),
        span: condition.span,
    }
}

impl Comparison {
    /// The word of the configuration for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Comparison::Present => "present",
            Comparison::Exact => "exact",
            Comparison::Prefix => "prefix",
            Comparison::SegmentPrefix => "path-prefix",
            Comparison::Regex => "regex",
        }
    }
}

impl Check {
    /// Whether it asks for nothing: every request has a path that begins with `/`.
    #[must_use]
    pub fn asks_nothing(&self) -> bool {
        self.subject == CheckSubject::Path && self.comparison == Comparison::Prefix && self.value == "/"
    }

    /// What it looks at, in words.
    #[must_use]
    pub fn subject_text(&self) -> String {
        match &self.subject {
            CheckSubject::Path => "path".to_owned(),
            CheckSubject::Header(name) => match name.strip_prefix(':') {
                Some(pseudo) => pseudo.to_owned(),
                None => format!("header `{name}`"),
            },
            CheckSubject::Query(name) => format!("query parameter `{name}`"),
            CheckSubject::Claim(path) => format!("claim `{path}`"),
        }
    }

    /// What it asks for, in words: "path begins with `/api`".
    #[must_use]
    pub fn text(&self) -> String {
        let not = if self.invert { "not " } else { "" };
        let subject = self.subject_text();
        let case = if self.ignore_case { " in any case" } else { "" };
        match (self.comparison, self.invert) {
            (Comparison::Present, false) => format!("{subject} is there"),
            (Comparison::Present, true) => format!("{subject} is absent"),
            (Comparison::Exact, _) => format!("{subject} is {not}`{}`{case}", self.value),
            (Comparison::Prefix, false) => format!("{subject} begins with `{}`{case}", self.value),
            (Comparison::Prefix, true) => format!("{subject} does not begin with `{}`", self.value),
            (Comparison::SegmentPrefix, _) => format!("{subject} is below `{}`{case}", self.value),
            (Comparison::Regex, false) => format!("{subject} matches `{}`", self.value),
            (Comparison::Regex, true) => format!("{subject} does not match `{}`", self.value),
        }
    }

    /// What it saw, in words: "it is `/reviews`".
    #[must_use]
    pub fn seen_text(&self) -> String {
        match &self.seen {
            None => "it is absent".to_owned(),
            Some(seen) if seen.is_empty() => "it is empty".to_owned(),
            Some(seen) => format!("it is `{seen}`"),
        }
    }
}
