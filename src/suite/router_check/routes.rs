//! A route configuration as a route table of the routing core.

use super::configuration::{Extension, Route as Written, RouteConfiguration, RouteMatch as WrittenMatch, TlsRequirement};
use super::matchers::Refusal;
use super::settlement::{self, Message};
use super::snake_case::snake_case;
use super::template::PathTemplate;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::mesh::Origin;
use crate::mesh::pattern::Pattern;
use crate::mesh::route::{Condition, PathMatch, PathTest, Route, RouteMatch, RouteTable, Subject, Test, VirtualHost};
use crate::source::Span;
use crate::yaml::{Cx, Decode, Document};

/// A route configuration, and what the routing core makes of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Routes {
    /// As it was written.
    pub(super) written: RouteConfiguration,
    /// The same virtual hosts with the same routes; conditions that only a test can settle are left out.
    pub(in crate::suite) table: RouteTable,
    /// For each route what its conditions ask for and is not modelled.
    pub(super) refused: Vec<Vec<Vec<Refusal>>>,
}

impl Routes {
    /// Reads a document. What is not modelled is a warning: tests whose request comes to it are not
    /// judged. What Envoy would refuse is an error.
    #[must_use]
    pub fn read(document: &Document) -> (Self, Vec<Diagnostic>) {
        let mut findings = Vec::new();
        let root = snake_case(&document.root, &[]);
        let written = RouteConfiguration::decode(&root, &mut Cx::new(&mut findings)).unwrap_or_default();
        for finding in findings.iter_mut().filter(|finding| finding.code == Code::UnknownField) {
            finding.severity = Severity::Error;
        }
        if written.virtual_hosts.is_empty() && written.vhds.is_none() && findings.is_empty() {
            let why = "a route configuration has `virtual_hosts`";
            findings.push(Diagnostic::new(Code::TestInvalid, why).at(document.root.span));
        }
        repeated_domains(&written, &mut findings);
        let (mut hosts, mut refused) = (Vec::new(), Vec::new());
        for host in &written.virtual_hosts {
            let read: Vec<(Route, Vec<Refusal>)> = host.routes.iter().map(|route| of_route(&written, host, route)).collect();
            let (routes, refusals): (Vec<Route>, Vec<Vec<Refusal>>) = read.into_iter().unzip();
            hosts.push(VirtualHost {
                name: host.name.value.clone(),
                domains: host.domains.iter().map(|domain| domain.value.to_ascii_lowercase()).collect(),
                routes: routes.into(),
                require_tls: host.require_tls == Some(TlsRequirement::All),
                origin: Origin { object: None, span: host.span },
            });
            refused.push(refusals);
        }
        for (host, refusals) in written.virtual_hosts.iter().zip(&refused) {
            let clusters = host.virtual_clusters.iter().flat_map(|cluster| &cluster.headers);
            let clusters = clusters.filter_map(|matcher| matcher.condition().err());
            let actions = host.routes.iter().flat_map(settlement::not_modelled);
            let tree = host.matcher.iter().map(|tree| Refusal::not_modelled("a tree of matchers", tree.span));
            findings
                .extend(refusals.iter().flatten().cloned().chain(clusters).chain(actions).chain(tree).map(|one| one.finding()));
        }
        let name = written.name.as_ref().map_or_else(String::new, |name| name.value.clone());
        let table = RouteTable::new(name, hosts, written.ignore_port_in_host_matching.unwrap_or(false));
        (Routes { written, table, refused }, findings)
    }
}

/// Envoy takes no domain twice, in whatever case.
fn repeated_domains(written: &RouteConfiguration, findings: &mut Vec<Diagnostic>) {
    let mut seen: Vec<String> = Vec::new();
    for domain in written.virtual_hosts.iter().flat_map(|host| &host.domains) {
        let name = domain.value.to_ascii_lowercase();
        if seen.contains(&name) {
            let why = format!("domain `{name}` is there twice; Envoy refuses the configuration");
            findings.push(Diagnostic::new(Code::TestInvalid, why).at(domain.span));
        }
        seen.push(name);
    }
}

fn of_route(
    configuration: &RouteConfiguration,
    host: &super::configuration::VirtualHost,
    route: &Written,
) -> (Route, Vec<Refusal>) {
    let mut refused = Vec::new();
    let matcher = of_match(&route.matches, &mut refused);
    (settlement::settled(configuration, host, route, matcher, &Message::default()), refused)
}

fn of_match(written: &WrittenMatch, refused: &mut Vec<Refusal>) -> RouteMatch {
    let mut conditions = Vec::new();
    for condition in written.headers.iter().map(super::matchers::HeaderMatcher::condition) {
        take(condition, &mut conditions, refused);
    }
    for condition in written.query_parameters.iter().map(super::matchers::QueryParameterMatcher::condition) {
        take(condition, &mut conditions, refused);
    }
    if let Some(connect) = &written.connect_matcher {
        conditions.push(header(":method", Test::Exact("CONNECT".to_owned()), connect.span));
    }
    if let Some(grpc) = &written.grpc {
        match Pattern::new("application/grpc([+;].*)?") {
            Ok(pattern) => conditions.push(header("content-type", Test::Regex(pattern), grpc.span)),
            Err(error) => refused.push(Refusal::not_modelled(&error.to_string(), grpc.span)),
        }
    }
    for (what, node) in [
        ("a condition on cookies", &written.cookies),
        ("a condition on the client's certificate", &written.tls_context),
        ("a condition on what filters keep", &written.filter_state),
    ] {
        refused.extend(node.iter().map(|node| Refusal::not_modelled(what, node.span)));
    }
    RouteMatch { path: of_path(written, refused), conditions }
}

fn header(name: &str, test: Test, span: Span) -> Condition {
    Condition { subject: Subject::Header(name.to_owned()), test, invert: false, missing_as_empty: false, span }
}

fn take(condition: Result<Condition, Refusal>, conditions: &mut Vec<Condition>, refused: &mut Vec<Refusal>) {
    match condition {
        Ok(condition) => conditions.push(condition),
        Err(refusal) => refused.push(refusal),
    }
}

fn of_path(written: &WrittenMatch, refused: &mut Vec<Refusal>) -> PathMatch {
    let any = || (PathTest::Prefix("/".to_owned()), written.span);
    let (test, span) = if let Some(prefix) = &written.prefix {
        (PathTest::Prefix(prefix.value.clone()), prefix.span)
    } else if let Some(path) = &written.path {
        (PathTest::Exact(path.value.clone()), path.span)
    } else if let Some(prefix) = &written.path_separated_prefix {
        (PathTest::SegmentPrefix(prefix.value.clone()), prefix.span)
    } else if let Some(regex) = &written.safe_regex {
        match regex.pattern() {
            Ok(pattern) => (PathTest::Regex(pattern), regex.span),
            Err(refusal) => {
                refused.push(refusal);
                any()
            }
        }
    } else if let Some(policy) = &written.path_match_policy {
        match template(policy) {
            Ok(template) => (PathTest::Regex(template.pattern), policy.span),
            Err(refusal) => {
                refused.push(refusal);
                any()
            }
        }
    } else if written.connect_matcher.is_some() {
        (PathTest::Prefix(String::new()), written.span)
    } else {
        refused.push(Refusal::invalid("a route's match says nothing of the path", written.span));
        any()
    };
    PathMatch { test, ignore_case: written.case_sensitive == Some(false), span }
}

/// The template of an extension that matches paths.
pub(super) fn template(policy: &Extension) -> Result<PathTemplate, Refusal> {
    let text = policy.typed_config.as_ref().and_then(|config| config.path_template.as_ref());
    let Some(text) = text else {
        return Err(Refusal::not_modelled("an extension that matches paths", policy.span));
    };
    PathTemplate::parse(&text.value).map_err(|why| Refusal::invalid(&why, text.span))
}
