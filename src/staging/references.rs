//! Whether what a scenario names exists in its mesh, at any time of the timeline.

use super::near::with_near;
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::mesh::Mesh;
use crate::mesh::registry::{Service, Workload};
use crate::scenario::{App, Handler, Scenario};
use crate::source::Spanned;
use crate::workload::Url;

/// What the scenario names, and where it is looked up.
pub(super) struct Lookup<'a> {
    pub(super) scenario: &'a Scenario,
    /// Applications in order of precedence, with the place in `readyMade` that brought them in; the
    /// scenario's own have none.
    pub(super) apps: &'a [(App, Option<Spanned<String>>)],
    /// Every state of the mesh.
    pub(super) meshes: &'a [&'a Mesh],
}

/// All findings about names.
pub(super) fn check(lookup: &Lookup<'_>) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    lookup.clients(&mut findings);
    lookup.apps(&mut findings);
    lookup.calls(&mut findings);
    lookup.expectations(&mut findings);
    findings
}

/// Whether `written` names this workload: `name` or `name.namespace`.
pub(super) fn is_workload(workload: &Workload, written: &str) -> bool {
    written == workload.name
        || written.strip_prefix(&workload.name).and_then(|rest| rest.strip_prefix('.')) == Some(&workload.namespace)
}

/// Whether `written` names this service as seen from a namespace; from any if none is given.
pub(super) fn is_service(service: &Service, written: &str, namespace: Option<&str>) -> bool {
    if written.eq_ignore_ascii_case(&service.host) {
        return true;
    }
    let Some(rest) = written.strip_prefix(&service.name).filter(|_| service.kubernetes) else { return false };
    let in_namespace =
        |rest: &str| rest.strip_prefix('.').and_then(|rest| rest.strip_prefix(&service.namespace)).map(str::to_owned);
    rest.is_empty() && namespace.is_none_or(|namespace| namespace == service.namespace)
        || in_namespace(rest).is_some_and(|rest| rest.is_empty() || rest == ".svc")
}

impl Lookup<'_> {
    fn workloads(&self) -> impl Iterator<Item = &Workload> {
        self.meshes.iter().flat_map(|mesh| &mesh.workloads)
    }

    fn services(&self) -> impl Iterator<Item = &Service> {
        self.meshes.iter().flat_map(|mesh| &mesh.services)
    }

    /// Names of proxies without their namespaces.
    fn proxies(&self) -> impl Iterator<Item = &str> {
        self.meshes.iter().flat_map(|mesh| &mesh.proxies).map(|proxy| {
            let name = proxy.spec.name.as_str();
            name.strip_suffix(&proxy.spec.namespace).and_then(|short| short.strip_suffix('.')).unwrap_or(name)
        })
    }

    fn clients(&self, findings: &mut Vec<Diagnostic>) {
        for client in &self.scenario.clients {
            let from = &client.from;
            let exists = self.meshes.iter().any(|mesh| mesh.proxy_named(from).is_some())
                || self.workloads().any(|workload| is_workload(workload, from));
            if exists {
                continue;
            }
            let message = format!("there is no gateway or workload `{}` for client `{}`", from.value, client.name.value);
            let finding = Diagnostic::new(Code::ScenarioReference, message).at(from.span);
            let known: Vec<&str> = distinct(self.proxies().chain(self.workloads().map(|w| w.name.as_str())));
            findings.push(with_near(finding, from, known));
        }
    }

    fn apps(&self, findings: &mut Vec<Diagnostic>) {
        let mut used = vec![false; self.apps.len()];
        for workload in self.workloads() {
            let first =
                self.apps.iter().position(|(app, _)| app.fits_workload(&workload.name, &workload.namespace, &workload.labels));
            if let Some(first) = first {
                used[first] = true;
            }
        }
        // Hosts outside of the mesh need not be registered; that somebody calls them is enough.
        let callers = self.apps.iter().zip(&used).filter(|(_, used)| **used).map(|((app, _), _)| app);
        let hosts: Vec<&str> = self.services().map(|s| s.host.as_str()).chain(called_hosts(callers)).collect();
        for ((app, _), used) in self.apps.iter().zip(&mut used) {
            *used |= hosts.iter().any(|host| app.fits_host(host));
        }
        for ((app, _), _) in self.apps.iter().zip(&used).filter(|((_, origin), used)| origin.is_none() && !**used) {
            findings.push(self.unused_app(app));
        }
        for name in &self.scenario.ready_made {
            let from_here = |origin: &Option<Spanned<String>>| origin.as_ref().is_some_and(|o| o.span == name.span);
            let mut brought = self.apps.iter().zip(&used).filter(|((_, origin), _)| from_here(origin)).peekable();
            if brought.peek().is_some() && brought.all(|(_, used)| !*used) {
                let message = format!("no workload of the mesh uses the ready-made application `{}`", name.value);
                findings.push(Diagnostic::new(Code::ScenarioUnused, message).at(name.span));
            }
        }
    }

    fn unused_app(&self, app: &App) -> Diagnostic {
        let shadowed = self.workloads().find(|w| app.fits_workload(&w.name, &w.namespace, &w.labels));
        let Some(pattern) = app.workloads.first().or(app.hosts.first()) else {
            return Diagnostic::new(Code::ScenarioUnused, "the application is for nothing").at(app.span);
        };
        if let Some(workload) = shadowed {
            let message = format!("an application before this one takes every workload it is for, such as `{}`", workload.name);
            return Diagnostic::new(Code::ScenarioUnused, message).at(app.span);
        }
        let message = format!("no workload of the mesh is `{}`, so the application is not used", pattern.value);
        let finding = Diagnostic::new(Code::ScenarioUnused, message).at(pattern.span);
        with_near(finding, pattern, distinct(self.workloads().map(|w| w.name.as_str())))
    }

    /// Calls of the scenario's own applications to names without a dot that nobody has. Other names
    /// may lie outside of the mesh on purpose.
    fn calls(&self, findings: &mut Vec<Diagnostic>) {
        let own = self.apps.iter().filter(|(_, origin)| origin.is_none());
        for call in own.flat_map(|(app, _)| &app.handlers).flat_map(calls_of) {
            let Ok(url) = Url::parse(&call.url) else { continue };
            let host = url.host();
            let is_hosted = self.apps.iter().any(|(app, _)| app.fits_host(host));
            if host.contains('.') || is_hosted || self.services().any(|service| is_service(service, host, None)) {
                continue;
            }
            let mut finding = Diagnostic::new(Code::ScenarioReference, format!("there is no service `{host}`")).at(call.url.span);
            finding.severity = Severity::Warning;
            let finding = finding.effect("the call fails as it would in the mesh");
            findings.push(with_near(finding, host, distinct(self.services().map(|s| s.name.as_str()))));
        }
    }

    fn expectations(&self, findings: &mut Vec<Diagnostic>) {
        let mut unknown = |name: &Spanned<String>, what: &str, known: Vec<&str>| {
            let message = format!("there is no {what} `{}`", name.value);
            findings.push(with_near(Diagnostic::new(Code::ScenarioReference, message).at(name.span), name, known));
        };
        let workload_names = || distinct(self.workloads().map(|w| w.name.as_str()));
        let versions = || {
            let of_workloads = self.workloads().flat_map(|w| &w.labels).filter(|(key, _)| key == "version");
            distinct(of_workloads.map(|(_, value)| value.as_str()))
        };
        let labels = self.labels();
        for expectation in &self.scenario.expect {
            let of = &expectation.of;
            if let Some(source) = &of.source {
                let is_client = self.scenario.clients.iter().any(|client| client.name.value == source.value);
                let is_proxy = self.meshes.iter().any(|mesh| mesh.proxy_named(source).is_some());
                if !is_client && !is_proxy && !self.workloads().any(|workload| is_workload(workload, source)) {
                    let clients = self.scenario.clients.iter().map(|client| client.name.value.as_str());
                    unknown(source, "workload or client", distinct(workload_names().into_iter().chain(clients)));
                }
            }
            if let Some(service) = &of.service {
                let is_called = called_hosts(self.apps.iter().map(|(app, _)| app)).any(|host| host == service.value);
                if !is_called && !self.services().any(|s| is_service(s, service, None)) {
                    unknown(service, "service", distinct(self.services().map(|s| s.name.as_str())));
                }
            }
            if let Some(workload) = of.workload.as_ref().filter(|name| !self.workloads().any(|w| is_workload(w, name))) {
                unknown(workload, "workload", workload_names());
            }
            if let Some(version) = of.version.as_ref().filter(|version| !versions().contains(&version.value.as_str())) {
                unknown(version, "version", versions());
            }
            for label in of.label.iter().chain(&expectation.labels) {
                if !labels.contains(&label.value.as_str()) {
                    unknown(label, "label", labels.clone());
                }
            }
        }
    }

    /// Every label that an application gives.
    fn labels(&self) -> Vec<&str> {
        let handlers = || self.apps.iter().flat_map(|(app, _)| &app.handlers);
        let replies = handlers().flat_map(|handler| &handler.reply).flat_map(|reply| &reply.labels);
        let outcomes = handlers()
            .flat_map(calls_of)
            .flat_map(|call| [&call.on_success, &call.on_failure, &call.on_timeout])
            .flatten()
            .flat_map(|outcome| &outcome.labels);
        distinct(replies.chain(outcomes).map(|label| label.value.as_str()))
    }
}

/// Hosts that applications call, as they write them.
fn called_hosts<'a>(apps: impl Iterator<Item = &'a App>) -> impl Iterator<Item = &'a str> {
    apps.flat_map(|app| &app.handlers).flat_map(calls_of).map(|call| {
        let (_, rest) = call.url.split_once("://").unwrap_or(("", &call.url));
        rest.split(['/', '?', ':']).next().unwrap_or(rest)
    })
}

/// All calls of a handler, in order.
pub(super) fn calls_of(handler: &Handler) -> impl Iterator<Item = &crate::scenario::Call> {
    handler.calls.iter().flat_map(|step| step.call.iter().chain(&step.parallel))
}

fn distinct<'n>(names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}
