//! Cycles of calls: a request that would call itself again and again, until the end of time.
//!
//! A node is one handler at one workload, an edge a call that may reach it. Where a service has
//! several workloads, rules may keep the call away from the one that closes the cycle; such a cycle
//! is worth a warning only.

use std::collections::BTreeSet;

use super::references::{calls_of, is_service};
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::mesh::Mesh;
use crate::mesh::registry::Service;
use crate::scenario::{App, Call};
use crate::source::{Span, Spanned};
use crate::workload::{Url, UrlKind};

/// A handler at a workload, or at a host outside of the mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Node {
    /// Index of the workload; `None` outside of the mesh.
    workload: Option<usize>,
    app: usize,
    handler: usize,
}

/// A call that may reach a handler.
#[derive(Debug, Clone, Copy)]
struct Edge {
    to: Node,
    call: Span,
    /// Whether nothing else can be reached by the call.
    certain: bool,
}

/// Takes a cycle: its nodes with the edge that leaves each of them.
type Report<'r> = dyn FnMut(&[(Node, Edge)]) + 'r;

/// All cycles, each once, wherever it is entered.
pub(super) fn cycles(apps: &[(App, Option<Spanned<String>>)], meshes: &[&Mesh]) -> Vec<Diagnostic> {
    let mut found: BTreeSet<Vec<String>> = BTreeSet::new();
    let mut findings = Vec::new();
    for mesh in meshes {
        let graph = Graph { apps, mesh };
        let mut done = BTreeSet::new();
        for node in graph.nodes() {
            graph.walk(node, &mut Vec::new(), &mut done, &mut |cycle| {
                let names: Vec<String> = cycle.iter().map(|(node, _)| graph.name(*node)).collect();
                let mut key = names.clone();
                key.sort_unstable();
                if found.insert(key) {
                    findings.push(finding(names, cycle));
                }
            });
        }
    }
    findings
}

fn finding(mut names: Vec<String>, cycle: &[(Node, Edge)]) -> Diagnostic {
    names.extend(names.first().cloned());
    let (_, last) = cycle[cycle.len() - 1];
    let certain = cycle.iter().all(|(_, edge)| edge.certain);
    let message = format!("the calls go in a circle: {}", names.join(" → "));
    let mut finding = Diagnostic::new(Code::ScenarioInvalid, message).labelled(last.call, "closes the circle");
    for (_, edge) in &cycle[..cycle.len() - 1] {
        finding = finding.also(edge.call, "");
    }
    if certain {
        return finding.effect("a request would never be answered");
    }
    finding.severity = Severity::Warning;
    finding.effect("a request is never answered unless routes keep it out of the circle")
}

struct Graph<'a> {
    apps: &'a [(App, Option<Spanned<String>>)],
    mesh: &'a Mesh,
}

impl Graph<'_> {
    fn nodes(&self) -> Vec<Node> {
        let workloads = (0..self.mesh.workloads.len()).filter_map(|w| Some((w, self.app_of(w)?)));
        workloads
            .flat_map(|(w, app)| {
                (0..self.apps[app].0.handlers.len()).map(move |handler| Node { workload: Some(w), app, handler })
            })
            .collect()
    }

    fn app_of(&self, workload: usize) -> Option<usize> {
        let workload = &self.mesh.workloads[workload];
        self.apps.iter().position(|(app, _)| app.fits_workload(&workload.name, &workload.namespace, &workload.labels))
    }

    fn name(&self, node: Node) -> String {
        match node.workload {
            Some(workload) => self.mesh.workloads[workload].name.clone(),
            None => self.apps[node.app].0.hosts.first().map(|host| host.value.clone()).unwrap_or_default(),
        }
    }

    /// Depth first; `way` holds the nodes from the start with the edge that leaves each of them.
    fn walk(&self, node: Node, way: &mut Vec<(Node, Edge)>, done: &mut BTreeSet<Node>, report: &mut Report<'_>) {
        if let Some(start) = way.iter().position(|(earlier, _)| *earlier == node) {
            report(&way[start..]);
            return;
        }
        if done.contains(&node) {
            return;
        }
        for edge in self.edges(node) {
            way.push((node, edge));
            self.walk(edge.to, way, done, report);
            way.pop();
        }
        done.insert(node);
    }

    fn edges(&self, node: Node) -> Vec<Edge> {
        let handler = &self.apps[node.app].0.handlers[node.handler];
        let calls = calls_of(handler).filter(|call| call.share.is_none_or(|share| share.per_million > 0));
        calls.flat_map(|call| self.reached(node, call)).collect()
    }

    fn reached(&self, from: Node, call: &Call) -> Vec<Edge> {
        let Ok(url) = Url::parse(&call.url) else { return Vec::new() };
        let method = call.method.as_ref().map_or("GET", |method| method.value.as_str());
        let handler_of = |app: usize| {
            let handlers = &self.apps[app].0.handlers;
            match url.kind {
                UrlKind::Tcp => (!handlers.is_empty()).then_some(0),
                UrlKind::Http | UrlKind::Https => handlers.iter().position(|h| h.takes(method, &url.path)),
            }
        };
        let namespace = from.workload.map(|w| self.mesh.workloads[w].namespace.as_str());
        let service = self.mesh.services.iter().find(|service| is_service(service, url.host(), namespace));
        let backends: Vec<(Option<usize>, usize)> = match service.filter(|service| !service.selector.is_empty()) {
            Some(service) => self.behind(service).into_iter().filter_map(|w| Some((Some(w), self.app_of(w)?))).collect(),
            None => self.apps.iter().position(|(app, _)| app.fits_host(url.host())).map(|app| (None, app)).into_iter().collect(),
        };
        let certain = backends.len() == 1;
        backends
            .into_iter()
            .filter_map(|(workload, app)| {
                Some(Edge { to: Node { workload, app, handler: handler_of(app)? }, call: call.url.span, certain })
            })
            .collect()
    }

    fn behind(&self, service: &Service) -> Vec<usize> {
        (0..self.mesh.workloads.len())
            .filter(|index| {
                let workload = &self.mesh.workloads[*index];
                workload.namespace == service.namespace && service.selector.iter().all(|pair| workload.labels.contains(pair))
            })
            .collect()
    }
}
