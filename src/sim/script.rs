//! What an application does with one kind of request: its handler with everything looked up that
//! does not depend on chance.

use smallvec::SmallVec;

use super::queue::{LaneId, Queue};
use super::shape::{Shape, Shapes, headers};
use crate::record::Labels;
use crate::scenario::{App, Call, CallStep, Handler, Outcome, Reply, Spread};
use crate::time::Duration;
use crate::workload::{Times, Url};

/// A delay: none, always the same, or drawn.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Delay {
    None,
    Same(LaneId),
    Varying(Times),
}

impl Delay {
    pub(super) fn of(spread: &Spread, queue: &mut Queue) -> Delay {
        match Times::of(spread) {
            Times::Constant(Duration::ZERO) => Delay::None,
            Times::Constant(time) => Delay::Same(queue.lane(time)),
            times => Delay::Varying(times),
        }
    }
}

/// A handler for one kind of request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Script {
    pub(super) work: Delay,
    pub(super) steps: Vec<Step>,
    pub(super) calls: Vec<CallPlan>,
    pub(super) replies: Vec<ReplyPlan>,
}

/// A step: some calls at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// First of its calls.
    pub(super) first: u16,
    /// One past the last.
    pub(super) end: u16,
    /// How often it is done.
    pub(super) times: u32,
}

/// A call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CallPlan {
    pub(super) shape: u32,
    pub(super) timeout: Option<LaneId>,
    pub(super) attempts: u16,
    success: SmallVec<[u16; 2]>,
    /// Any of these makes an answer a failure.
    failure_labels: Labels,
    pub(super) pass_labels: bool,
    pub(super) on_success: After,
    pub(super) on_failure: After,
    pub(super) on_timeout: After,
    /// Share of requests that make it, in parts per million; `None` is all.
    pub(super) share: Option<u32>,
}

impl CallPlan {
    pub(super) fn succeeded(&self, status: u16, labels: Labels) -> bool {
        let by_status = if self.success.is_empty() { status == 200 } else { self.success.contains(&status) };
        by_status && !labels.intersects(self.failure_labels)
    }
}

/// What happens after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct After {
    pub(super) labels: Labels,
    status: Option<u16>,
    status_of_call_or: Option<u16>,
}

impl After {
    /// The status with which the handler ends early, given the status of the call (0 for none).
    pub(super) fn status(&self, of_call: u16) -> Option<u16> {
        self.status.or_else(|| self.status_of_call_or.map(|otherwise| if of_call == 0 { otherwise } else { of_call }))
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ReplyPlan {
    /// Parts per million; `None` is the rest.
    pub(super) share: Option<u32>,
    pub(super) status: u16,
    pub(super) labels: Labels,
    pub(super) delay: Delay,
    /// Length of the periods of which it has every second one.
    pub(super) every_other: Option<Duration>,
}

/// Looks up words among the scenario's labels.
pub(super) type LabelOf<'a> = &'a dyn Fn(&str) -> Labels;

/// What is needed to write scripts.
pub(super) struct Writer<'a> {
    pub(super) shapes: &'a mut Shapes,
    pub(super) queue: &'a mut Queue,
    pub(super) label: LabelOf<'a>,
}

impl Writer<'_> {
    /// The script of an application for requests of this shape.
    pub(super) fn script(&mut self, app: Option<&App>, shape: u32) -> Script {
        let Some(app) = app.filter(|app| !app.handlers.is_empty()) else { return Script::answering(200) };
        let incoming = self.shapes.get(shape).clone();
        match app.handlers.iter().find(|handler| handler.takes(&incoming.request.method, &incoming.request.path)) {
            Some(handler) => self.of_handler(handler, &incoming),
            None => Script::answering(404),
        }
    }

    fn of_handler(&mut self, handler: &Handler, incoming: &Shape) -> Script {
        let mut script = Script::answering(200);
        script.work = Delay::of(&handler.service_time, self.queue);
        for step in &handler.calls {
            self.add_step(&mut script, step, incoming);
        }
        script.replies = handler.reply.iter().map(|reply| self.reply(reply)).collect();
        script
    }

    fn add_step(&mut self, script: &mut Script, step: &CallStep, incoming: &Shape) {
        let first = script.calls.len();
        let calls = step.call.iter().chain(&step.parallel);
        script.calls.extend(calls.filter_map(|call| self.call(call, incoming)));
        let number = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        script.steps.push(Step {
            first: number(first),
            end: number(script.calls.len()),
            times: step.times.as_ref().map_or(1, |times| times.value),
        });
    }

    fn call(&mut self, call: &Call, incoming: &Shape) -> Option<CallPlan> {
        // A plan with a malformed address has a finding and is not run.
        let url = Url::parse(&call.url).ok()?;
        let on_failure = self.after(call.on_failure.as_ref());
        Some(CallPlan {
            shape: self.shapes.number(Shape::new(&url, call.method.as_deref().map(String::as_str), outgoing(call, incoming))),
            timeout: call.timeout.as_ref().filter(|timeout| !timeout.is_zero()).map(|timeout| self.queue.lane(timeout.value)),
            attempts: call.attempts.as_ref().map_or(1, |attempts| u16::try_from(attempts.value).unwrap_or(u16::MAX)).max(1),
            success: call.success.iter().map(|status| status.value).collect(),
            failure_labels: self.labels(&call.failure_labels),
            pass_labels: call.pass_labels.unwrap_or(true),
            on_success: self.after(call.on_success.as_ref()),
            on_failure,
            on_timeout: call.on_timeout.as_ref().map_or(on_failure, |after| self.after(Some(after))),
            share: call.share.map(|share| share.per_million).filter(|share| *share < 1_000_000),
        })
    }

    fn after(&self, outcome: Option<&Outcome>) -> After {
        let Some(outcome) = outcome else { return After::default() };
        After {
            labels: self.labels(&outcome.labels),
            status: outcome.status.as_ref().map(|status| status.value),
            status_of_call_or: outcome.status_of_call_or.as_ref().map(|status| status.value),
        }
    }

    fn reply(&mut self, reply: &Reply) -> ReplyPlan {
        ReplyPlan {
            share: reply.share.map(|share| share.per_million),
            status: reply.status.as_ref().map_or(200, |status| status.value),
            labels: self.labels(&reply.labels),
            delay: Delay::of(&reply.delay, self.queue),
            every_other: reply.every_other.as_ref().map(|period| period.value).filter(|period| !period.is_zero()),
        }
    }

    fn labels(&self, words: &[crate::source::Spanned<String>]) -> Labels {
        words.iter().map(|word| (self.label)(word)).fold(Labels::default(), Labels::and)
    }
}

impl Script {
    /// An application that answers at once.
    pub(super) fn answering(status: u16) -> Script {
        let reply = ReplyPlan { share: None, status, labels: Labels::default(), delay: Delay::None, every_other: None };
        Script { work: Delay::None, steps: Vec::new(), calls: Vec::new(), replies: vec![reply] }
    }

    /// A gateway that is called from within the mesh: the request goes on as its own proxy routes it,
    /// and the answer comes back as it is.
    pub(super) fn passing_on(shape: u32) -> Script {
        let call = CallPlan {
            shape,
            timeout: None,
            attempts: 1,
            success: SmallVec::new(),
            failure_labels: Labels::default(),
            pass_labels: true,
            on_success: After::default(),
            on_failure: After { status_of_call_or: Some(503), ..After::default() },
            on_timeout: After::default(),
            share: None,
        };
        Script { steps: vec![Step { first: 0, end: 1, times: 1 }], calls: vec![call], ..Script::answering(200) }
    }
}

/// The headers of a call: those that are passed on, then those that are set.
fn outgoing(call: &Call, incoming: &Shape) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for name in &call.forward {
        let name = name.trim().to_ascii_lowercase();
        all.extend(incoming.request.lines(&name).map(|value| (name.clone(), value.to_owned())));
    }
    let set = call.headers.0.iter().filter_map(|(name, value)| Some((name.as_str(), filled(value, incoming)?)));
    for (name, value) in headers(set, []) {
        all.retain(|(known, _)| *known != name);
        all.push((name, value));
    }
    all
}

/// A header's value, with `{cookie:NAME}` and `{header:NAME}` taken from the incoming request.
fn filled<'a>(value: &'a str, incoming: &'a Shape) -> Option<&'a str> {
    let Some(inner) = value.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else { return Some(value) };
    match inner.split_once(':') {
        Some(("cookie", name)) => incoming.cookie(name.trim()),
        Some(("header", name)) => incoming.request.header(&name.trim().to_ascii_lowercase()),
        _ => Some(value),
    }
}
