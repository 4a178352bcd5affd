//! What can be wrong with a scenario by itself, before any mesh file is read: numbers that cannot
//! be acted out, choices that exclude each other, ends that are missing, parts without effect.
//!
//! Names of things in the mesh are [`references`](super::references)' business.

use super::near::with_near;
use crate::diagnostic::{Code, Diagnostic};
use crate::scenario::{
    App, Call, CallStep, Client, ClosedLoop, Expectation, Handler, Outcome, READY_MADE, Reply, RequestTemplate, Scenario, Spread,
    Traffic, ready_made,
};
use crate::source::{Span, Spanned};
use crate::text::grouped;
use crate::time::Duration;
use crate::workload::Url;
use crate::yaml::Map;

/// More requests than this of one client are taken for a slip of the pen.
const REQUESTS_MAX: u64 = 1_000_000_000;
/// More concurrent users than this as well.
const CONCURRENT_USERS_MAX: u32 = 1_000_000;
/// Worker threads of one proxy.
const PROXY_WORKERS_MAX: u32 = 1_024;
/// Repetitions of one call step.
const TIMES_MAX: u32 = 1_000_000;

/// All findings about a scenario by itself, applications included.
pub(super) fn check(scenario: &Scenario) -> Vec<Diagnostic> {
    let mut check = Check { scenario, findings: Vec::new() };
    check.whole();
    for app in &scenario.apps {
        check.app(app);
    }
    check.clients();
    check.timeline();
    check.expectations();
    check.findings
}

struct Check<'a> {
    scenario: &'a Scenario,
    findings: Vec<Diagnostic>,
}

impl Check<'_> {
    fn invalid(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.add(Diagnostic::new(Code::ScenarioInvalid, message).at(span))
    }

    fn unused(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.add(Diagnostic::new(Code::ScenarioUnused, message).at(span))
    }

    /// Reports a name that is not among those that exist.
    fn unknown<'n>(&mut self, name: &Spanned<String>, what: &str, known: impl IntoIterator<Item = &'n str>) {
        let finding = Diagnostic::new(Code::ScenarioReference, format!("there is no {what} `{}`", name.value)).at(name.span);
        self.add(with_near(finding, &name.value, known));
    }

    fn add(&mut self, finding: Diagnostic) -> &mut Diagnostic {
        self.findings.push(finding);
        self.findings.last_mut().expect("a finding was pushed just before")
    }

    fn whole(&mut self) {
        let scenario = self.scenario;
        if let Some(workers) = &scenario.proxy_workers
            && !(1..=PROXY_WORKERS_MAX).contains(&workers.value)
        {
            self.invalid(workers.span, format!("`proxyWorkers` must be from 1 to {PROXY_WORKERS_MAX}, not {}", workers.value));
        }
        for name in &scenario.ready_made {
            if ready_made(name, true).is_none() {
                self.unknown(name, "ready-made application", READY_MADE.iter().map(|(name, _, _)| *name));
            }
        }
        if let Some(until) = scenario.until.as_ref().filter(|until| until.is_zero()) {
            self.invalid(until.span, "`until` must be later than the beginning");
        }
        if let Some(waterfall) = &scenario.waterfall {
            self.client_user_phase(Some(&waterfall.client), waterfall.user.as_ref(), waterfall.phase.as_ref());
            if let Some(request) = waterfall.request.as_ref().filter(|n| n.value == 0) {
                self.invalid(request.span, "requests are counted from 1");
            }
        }
    }

    // ---- applications

    fn app(&mut self, app: &App) {
        if app.workloads.is_empty() && app.hosts.is_empty() {
            self.unused(app.span, "the application is for nothing: it has neither `workloads` nor `hosts`");
        }
        for pattern in &app.workloads {
            let pairs_fit = pattern.split(',').all(|pair| pair.split_once('=').is_some_and(|(key, _)| !key.trim().is_empty()));
            if pattern.is_empty() || pattern.contains('=') && !pairs_fit {
                let message = format!("`{}` is neither a name nor labels such as `app=reviews,version=v3`", pattern.value);
                self.invalid(pattern.span, message);
            }
        }
        if let Some(concurrency) = app.concurrency.as_ref().filter(|c| c.value == 0) {
            self.invalid(concurrency.span, "with a concurrency of 0 no request is ever handled");
        }
        if let (Some(queue), None) = (&app.queue, &app.concurrency) {
            self.unused(queue.span, "`queue` has no effect without `concurrency`");
        }
        let mut catch_all: Option<Span> = None;
        for handler in &app.handlers {
            if let Some(earlier) = catch_all {
                let finding = Diagnostic::new(Code::ScenarioUnused, "no request reaches this handler")
                    .at(handler.span)
                    .also(earlier, "takes every request");
                self.add(finding);
            }
            let takes_all = handler.path.as_ref().is_none_or(|p| p.value == "/" && handler.exact != Some(true));
            if takes_all && handler.method.is_none() {
                catch_all.get_or_insert(handler.span);
            }
            self.handler(handler);
        }
    }

    fn handler(&mut self, handler: &Handler) {
        if let Some(path) = handler.path.as_ref().filter(|p| !p.starts_with('/')) {
            self.invalid(path.span, format!("a path begins with `/`, `{}` does not", path.value));
        }
        if let (Some(_), None) = (handler.exact, &handler.path) {
            self.unused(handler.span, "`exact` has no effect without `path`");
        }
        for step in &handler.calls {
            self.step(step);
        }
        let total: u64 = handler.reply.iter().filter_map(|r| r.share).map(|s| u64::from(s.per_million)).sum();
        if total > 1_000_000 {
            self.invalid(handler.span, "the shares of the answers add up to more than 100%");
        }
        let mut rest: Option<Span> = None;
        for reply in &handler.reply {
            if let Some(earlier) = rest {
                let finding = Diagnostic::new(Code::ScenarioUnused, "this answer is never given")
                    .at(reply.span)
                    .also(earlier, "takes whatever the shares leave");
                self.add(finding);
            }
            if reply.share.is_none() && reply.every_other.is_none() {
                rest.get_or_insert(reply.span);
            }
            self.reply(reply);
        }
    }

    fn reply(&mut self, reply: &Reply) {
        self.status(reply.status.as_ref());
        if let Some(period) = reply.every_other.as_ref().filter(|p| p.is_zero()) {
            self.invalid(period.span, "a period of zero never passes");
        }
    }

    fn step(&mut self, step: &CallStep) {
        match (&step.call, step.parallel.as_slice()) {
            (Some(call), []) => self.call(call),
            (None, []) => {
                self.invalid(step.span, "the step calls nobody: give `call` or `parallel`");
            }
            (None, calls) => calls.iter().for_each(|call| self.call(call)),
            (Some(_), _) => {
                self.invalid(step.span, "give `call` or `parallel`, not both");
            }
        }
        match &step.times {
            Some(times) if times.value == 0 => {
                self.unused(times.span, "the step is done 0 times");
            }
            Some(times) if times.value > TIMES_MAX => {
                self.invalid(times.span, format!("a step can be done {TIMES_MAX} times at most"));
            }
            _ => {}
        }
    }

    fn call(&mut self, call: &Call) {
        self.url(&call.url);
        if let Some(timeout) = call.timeout.as_ref().filter(|t| t.is_zero()) {
            self.zero_timeout(timeout.span);
        }
        if let Some(attempts) = call.attempts.as_ref().filter(|a| a.value == 0) {
            self.invalid(attempts.span, "with 0 attempts the call is never made; leave the call out, or say `share: 0%`");
        }
        for status in &call.success {
            self.status(Some(status));
        }
        self.templates(&call.headers);
        for outcome in [&call.on_success, &call.on_failure, &call.on_timeout].into_iter().flatten() {
            self.outcome(outcome);
        }
        if let (Some(outcome), None) = (&call.on_timeout, &call.timeout) {
            self.unused(outcome.span, "`onTimeout` has no effect without `timeout`");
        }
    }

    fn outcome(&mut self, outcome: &Outcome) {
        self.status(outcome.status.as_ref());
        self.status(outcome.status_of_call_or.as_ref());
        if let (Some(_), Some(second)) = (&outcome.status, &outcome.status_of_call_or) {
            self.invalid(second.span, "give `status` or `statusOfCallOr`, not both");
        }
    }

    fn status(&mut self, status: Option<&Spanned<u16>>) {
        if let Some(status) = status.filter(|s| !(200..=599).contains(&s.value)) {
            self.invalid(status.span, format!("a final status is from 200 to 599, not {}", status.value));
        }
    }

    fn zero_timeout(&mut self, span: Span) {
        self.invalid(span, "a timeout of zero would end every request before it is sent").help =
            Some("leave it out to wait for as long as it takes".to_owned());
    }

    fn templates(&mut self, headers: &Map<Spanned<String>>) {
        for (_, value) in headers.iter() {
            let Some(inner) = value.strip_prefix('{').and_then(|v| v.strip_suffix('}')) else { continue };
            let known = inner.strip_prefix("cookie:").or(inner.strip_prefix("header:")).is_some_and(|name| !name.is_empty());
            if !known {
                self.invalid(value.span, format!("`{}` is neither `{{cookie:NAME}}` nor `{{header:NAME}}`", value.value));
            }
        }
    }

    fn url(&mut self, url: &Spanned<String>) {
        if let Err(why) = Url::parse(url) {
            self.invalid(url.span, format!("`{}`: {why}", url.value));
        }
    }

    // ---- clients

    fn clients(&mut self) {
        let scenario = self.scenario;
        if scenario.clients.is_empty() {
            self.unused(scenario.span, "the scenario has no clients, so no request is sent");
        }
        self.distinct(scenario.clients.iter().map(|c| &c.name), "clients");
        for client in &scenario.clients {
            self.client(client);
        }
    }

    fn distinct<'n>(&mut self, names: impl Iterator<Item = &'n Spanned<String>>, what: &str) {
        let mut seen: Vec<&Spanned<String>> = Vec::new();
        for name in names {
            match seen.iter().find(|earlier| earlier.value == name.value) {
                Some(earlier) => {
                    let finding = Diagnostic::new(Code::ScenarioInvalid, format!("two {what} are called `{}`", name.value))
                        .labelled(name.span, "again here")
                        .also(earlier.span, "first here");
                    self.add(finding);
                }
                None => seen.push(name),
            }
        }
    }

    fn client(&mut self, client: &Client) {
        let requests: Vec<&RequestTemplate> = client.request.iter().chain(&client.requests).collect();
        match (&client.request, client.requests.as_slice()) {
            (None, []) => {
                self.invalid(client.span, format!("client `{}` has no request: give `request` or `requests`", client.name.value));
            }
            (Some(_), [second, ..]) => {
                self.invalid(second.span, "give `request` or `requests`, not both");
            }
            _ => {}
        }
        for request in requests {
            self.url(&request.url);
        }
        if let Some(timeout) = client.timeout.as_ref().filter(|t| t.is_zero()) {
            self.zero_timeout(timeout.span);
        }
        self.users(client);
        for phase in &client.phases {
            self.phase(phase);
        }
        self.traffic(client);
    }

    fn users(&mut self, client: &Client) {
        self.distinct(client.users.iter().map(|u| &u.name), "classes of users");
        let in_turn = client.users.iter().filter_map(|u| u.in_turn.as_ref());
        if in_turn.clone().next().is_some() {
            for user in client.users.iter().filter(|u| u.in_turn.is_none()) {
                self.invalid(
                    user.span,
                    format!("either all classes of users have `inTurn` or none; `{}` has not", user.name.value),
                );
            }
            for user in &client.users {
                if let Some(weight) = &user.weight {
                    self.unused(weight.span, "`weight` has no effect beside `inTurn`");
                }
            }
        }
        let shares = client.users.iter().map(|u| match (&u.in_turn, &u.weight) {
            (Some(count), _) => count.value,
            (None, Some(weight)) => weight.value,
            (None, None) => 1,
        });
        if !client.users.is_empty() && shares.clone().all(|share| share == 0) {
            self.invalid(client.users[0].span, format!("no class of users of client `{}` gets any request", client.name.value));
            return;
        }
        for (user, _) in client.users.iter().zip(shares).filter(|(_, share)| *share == 0) {
            self.unused(user.span, format!("class `{}` gets no request", user.name.value));
        }
    }

    fn traffic(&mut self, client: &Client) {
        let traffic = &client.traffic;
        match (&traffic.rate, &traffic.closed_loop) {
            (Some(_), Some(closed)) => {
                self.invalid(closed.span, "give `rate` or `closedLoop`, not both");
            }
            (None, Some(closed)) => self.closed_loop(closed, traffic),
            (None, None) if traffic.requests.is_none() => {
                self.invalid(
                    traffic.span,
                    "without `rate` or `closedLoop` all requests are sent at once; say how many `requests`",
                );
            }
            _ => {}
        }
        if let (Some(_), None) = (traffic.arrivals, &traffic.rate) {
            self.unused(traffic.span, "`arrivals` has no effect without `rate`");
        }
        match &traffic.requests {
            Some(requests) if requests.value == 0 => {
                self.unused(requests.span, format!("client `{}` sends no requests", client.name.value));
            }
            Some(requests) if requests.value > REQUESTS_MAX => {
                self.invalid(requests.span, too_many(requests.value, REQUESTS_MAX, "requests"));
            }
            Some(_) => {}
            None => self.endless(client),
        }
        if let Some(duration) = traffic.duration.as_ref().filter(|d| d.is_zero()) {
            self.unused(duration.span, format!("client `{}` sends for no time at all", client.name.value));
        }
        let ends = [traffic.duration.as_ref(), self.scenario.until.as_ref()].into_iter().flatten();
        if let Some(warm_up) = &client.warm_up
            && let Some(end) = ends.min_by_key(|end| end.value)
            && warm_up.value >= end.value
        {
            self.unused(
                warm_up.span,
                format!("the warm-up of client `{}` takes the whole run, so nothing is counted", client.name.value),
            );
        }
    }

    fn closed_loop(&mut self, closed: &ClosedLoop, traffic: &Traffic) {
        if closed.users.value == 0 {
            self.invalid(closed.users.span, "a closed loop without users sends nothing");
        }
        if closed.users.value > CONCURRENT_USERS_MAX {
            let message = too_many(u64::from(closed.users.value), u64::from(CONCURRENT_USERS_MAX), "concurrent users");
            self.invalid(closed.users.span, message);
        }
        if traffic.requests.is_none() && closed.think == Spread::default() {
            self.invalid(closed.span, "a closed loop needs `requests` or `think`: answers that take no time would have no end");
        }
    }

    /// Reports traffic without number of requests that nothing ends, or that is too much.
    fn endless(&mut self, client: &Client) {
        let traffic = &client.traffic;
        if traffic.rate.is_none() && traffic.closed_loop.is_none() {
            return;
        }
        let timeline_end = self.timeline_end();
        let end = match (traffic.duration.as_ref(), self.scenario.until.as_ref().map(|u| u.value).or(timeline_end)) {
            (Some(duration), _) => duration.value,
            (None, Some(end)) => end,
            (None, None) => {
                self.invalid(
                    traffic.span,
                    format!(
                        "the traffic of client `{}` never ends: give it `requests` or `duration`, the last phase `for`, or the scenario `until`",
                        client.name.value
                    ),
                );
                return;
            }
        };
        if let Some(rate) = traffic.rate.filter(|rate| end.nanos() / rate.gap_ns > REQUESTS_MAX) {
            let requests = too_many(end.nanos() / rate.gap_ns, REQUESTS_MAX, "requests");
            self.invalid(traffic.span, format!("client `{}` would send {requests}", client.name.value));
        }
    }

    /// The end of the last phase, if it has one.
    fn timeline_end(&self) -> Option<Duration> {
        let mut clock = Duration::ZERO;
        let mut closed = false;
        for step in &self.scenario.timeline {
            let begins = step.at.as_ref().map_or(clock, |at| at.value);
            clock = clock.max(step.lasts.as_ref().map_or(begins, |lasts| begins + lasts.value));
            closed = step.lasts.is_some() || closed && step.phase.is_none();
        }
        closed.then_some(clock)
    }

    // ---- timeline and expectations

    fn timeline(&mut self) {
        let scenario = self.scenario;
        self.distinct(scenario.timeline.iter().filter_map(|s| s.phase.as_ref()), "phases");
        for step in &scenario.timeline {
            if let Some(lasts) = step.lasts.as_ref().filter(|d| d.is_zero()) {
                self.invalid(lasts.span, "a phase lasts longer than zero");
            }
            let changes = step.apply.len() + step.delete.len() + step.scale.len() + step.patch.len();
            if changes == 0 && step.phase.is_none() && step.lasts.is_none() {
                self.unused(step.span, "the step does nothing");
            }
        }
    }

    fn phase_names(&self) -> impl Iterator<Item = &str> + use<'_> {
        self.scenario.timeline.iter().filter_map(|s| s.phase.as_ref()).map(|p| p.value.as_str())
    }

    fn phase(&mut self, name: &Spanned<String>) {
        if !self.phase_names().any(|phase| phase == name.value) {
            let scenario = self.scenario;
            self.unknown(name, "phase", scenario.timeline.iter().filter_map(|s| s.phase.as_ref()).map(|p| p.value.as_str()));
        }
    }

    fn client_user_phase(
        &mut self,
        client: Option<&Spanned<String>>,
        user: Option<&Spanned<String>>,
        phase: Option<&Spanned<String>>,
    ) {
        let scenario = self.scenario;
        let named = client.and_then(|name| scenario.clients.iter().find(|c| c.name.value == name.value));
        if let (Some(name), None) = (client, named) {
            self.unknown(name, "client", scenario.clients.iter().map(|c| c.name.value.as_str()));
        }
        if let Some(user) = user
            && (client.is_none() || named.is_some())
        {
            let classes = scenario.clients.iter().filter(|c| named.is_none_or(|n| n.name.value == c.name.value));
            let classes: Vec<&str> = classes.flat_map(|c| &c.users).map(|u| u.name.value.as_str()).collect();
            if !classes.contains(&user.value.as_str()) {
                let what =
                    named.map_or("class of users".to_owned(), |c| format!("class of users of client `{}` called", c.name.value));
                self.unknown(user, &what, classes);
            }
        }
        if let Some(phase) = phase {
            self.phase(phase);
        }
    }

    fn expectations(&mut self) {
        let scenario = self.scenario;
        for expectation in &scenario.expect {
            let of = &expectation.of;
            self.client_user_phase(of.client.as_ref(), of.user.as_ref(), of.phase.as_ref());
            if !expects_something(expectation) {
                self.unused(expectation.span, "the expectation says what it is about and not what must hold");
            }
            match expectation.within.as_slice() {
                [] => {}
                [low, high] if low.value <= high.value => {}
                [first, ..] => {
                    self.invalid(first.span, "`within` is a pair of counts, [LOW, HIGH]");
                }
            }
            for (status, _) in &expectation.statuses.0 {
                if status.parse::<u16>().is_err() {
                    self.invalid(status.span, format!("`{}` is no status", status.value));
                }
            }
        }
    }
}

fn too_many(count: u64, most: u64, what: &str) -> String {
    format!("{} {what}, more than the {} that can be acted out", grouped(count), grouped(most))
}

fn expects_something(expectation: &Expectation) -> bool {
    let latency = expectation.latency.as_ref();
    expectation.count.is_some()
        || expectation.share.is_some()
        || !expectation.within.is_empty()
        || expectation.status.is_some()
        || !expectation.statuses.is_empty()
        || !expectation.labels.is_empty()
        || expectation.flags.is_some()
        || latency.is_some_and(|l| [&l.all, &l.max, &l.min, &l.p50, &l.p99].into_iter().any(Option::is_some))
}
