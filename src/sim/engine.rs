//! The event loop: one thread, one queue, one event at a time.
//!
//! What follows from an event at once (an answer that a proxy gives itself, the application that
//! goes on because of it) is done before the next event, in the order in which it came about.

use std::collections::VecDeque;

use super::actor::Actor;
use super::atlas::{Atlas, ByShape};
use super::call::Ended;
use super::control::{Control, Progress};
use super::event::{Event, INDEX_MAX};
use super::frame::{Call, Visit};
use super::guard::Guards;
use super::limit::Limiter;
use super::link::Link;
use super::plan::Plan;
use super::pool::Connection;
use super::queue::Queue;
use super::script::Delay;
use super::slab::Slab;
use super::source::Source;
use super::stage::Place;
use crate::balance::Balancer;
use crate::draw::{Draw, KeyStream};
use crate::record::{Directory, Observation, Recorder};
use crate::scenario::CancelPropagation;
use crate::time::Instant;

/// How often the engine looks up from its work, in events.
const CHECK_EVERY: u64 = 4_096;

/// More calls and visits than this at once are a mistake of the scenario, and would fill the memory.
pub(super) const IN_FLIGHT_MAX: usize = 4_000_000;
const _: () = assert!(IN_FLIGHT_MAX < INDEX_MAX as usize);

/// Calls below calls beyond this are a circle.
pub(super) const DEPTH_MAX: u16 = 200;

/// Requests that one closed-loop client may send without the clock moving.
pub(super) const AT_ONE_INSTANT_MAX: u64 = 1_000_000;

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Nothing is due any more, or the scenario's end came.
    Done,
    /// Somebody stopped it.
    Stopped,
    /// The recorder has what it wanted.
    Satisfied,
    /// Too much in flight.
    Crowded,
    /// Calls below calls without end.
    Deep,
    /// Requests without end while the clock stands still.
    Stuck,
}

/// What a run leaves besides what was recorded.
#[derive(Debug)]
pub struct Outcome {
    /// Why it ended.
    pub ending: Ending,
    /// Virtual time at its end.
    pub ended_at: Instant,
    /// Events that were handled.
    pub events: u64,
    /// Client requests without an answer, warm-up excluded.
    pub unfinished: u64,
    /// What the numbers in observations stand for.
    pub directory: Directory,
}

/// A run in progress.
pub(super) struct Engine<'p, 'r, R> {
    pub(super) plan: &'p Plan,
    pub(super) queue: Queue,
    pub(super) atlas: Atlas<'p>,
    pub(super) calls: Slab<Call>,
    pub(super) visits: Slab<Visit>,
    /// Connections of pools.
    pub(super) connections: Slab<Connection>,
    /// Servers whose actions are written down.
    pub(super) actors: Vec<Actor>,
    pub(super) sources: Vec<Source>,
    /// Shapes of listed requests.
    pub(super) listed: Vec<u32>,
    /// Closed-loop users of all sources: source, and number within it.
    pub(super) seats: Vec<(u32, u32)>,
    /// Pods, then hosts outside of the mesh.
    pub(super) places: Vec<Place>,
    /// Balancers by pod and cluster.
    pub(super) balancers: Vec<Vec<Option<Balancer>>>,
    /// Connection pools and outlier detectors by pod and cluster.
    pub(super) links: Vec<Vec<Link>>,
    pub(super) hops: ByShape,
    pub(super) scripts: ByShape,
    /// Authorization at the called pods.
    pub(super) guards: Guards,
    pub(super) limiter: Limiter,
    pub(super) ended: VecDeque<Ended>,
    pub(super) hop_latency: Delay,
    pub(super) cancels_callees: bool,
    pub(super) cancels_proxies: bool,
    /// Draws that belong to no request.
    pub(super) own_draw: Draw,
    pub(super) stage: u32,
    pub(super) config_arrivals: Vec<(u32, u32)>,
    pub(super) events: u64,
    pub(super) finished: u64,
    pub(super) unfinished: u64,
    ending: Option<Ending>,
    /// The number of events after which the engine looks up from its work.
    look_up_at: u64,
    recorder: &'r mut R,
}

/// The random stream of what belongs to no request; those of clients are hashes of names.
const OWN_STREAM: u64 = 0;

impl<'p, 'r, R: Recorder> Engine<'p, 'r, R> {
    pub(super) fn new(plan: &'p Plan, recorder: &'r mut R) -> Self {
        let mut queue = Queue::new();
        let hop_latency = Delay::of(&plan.hop_latency, &mut queue);
        let mut engine = Engine {
            plan,
            atlas: Atlas::new(plan),
            calls: Slab::new(),
            visits: Slab::new(),
            connections: Slab::new(),
            actors: Vec::new(),
            sources: Vec::new(),
            listed: Vec::new(),
            seats: Vec::new(),
            places: Vec::new(),
            balancers: Vec::new(),
            links: Vec::new(),
            hops: ByShape::default(),
            scripts: ByShape::default(),
            guards: Guards::of(plan),
            limiter: Limiter::default(),
            ended: VecDeque::new(),
            hop_latency,
            cancels_callees: plan.cancel == CancelPropagation::Full,
            cancels_proxies: plan.cancel != CancelPropagation::None,
            own_draw: KeyStream::new(plan.seed, OWN_STREAM).draw(0),
            stage: 0,
            config_arrivals: Vec::new(),
            events: 0,
            finished: 0,
            unfinished: 0,
            ending: None,
            look_up_at: 0,
            queue,
            recorder,
        };
        engine.enter_first_stage();
        engine.open_sources();
        engine.open_list();
        engine
    }

    /// Runs to the end.
    pub(super) fn run(mut self, control: &Control) -> Outcome {
        let until = self.plan.until.unwrap_or(Instant::from_nanos(u64::MAX));
        let (ending, ended_at) = loop {
            if self.events >= self.look_up_at {
                self.look_up_at = self.events + CHECK_EVERY;
                control.report(Progress { now: self.queue.now(), finished: self.finished });
                if let Some(ending) = self.look_up(control) {
                    break (ending, self.queue.now());
                }
            }
            if let Some(ended) = self.ended.pop_front() {
                self.events += 1;
                self.after_call(ended);
                continue;
            }
            match self.queue.next_at() {
                Some(next) if next <= until => {}
                next => break (Ending::Done, next.map_or(self.queue.now(), |_| until)),
            }
            let Some((_, event)) = self.queue.pop() else { break (Ending::Done, self.queue.now()) };
            self.events += 1;
            self.dispatch(event);
        };
        self.atlas.name_places();
        Outcome { ending, ended_at, events: self.events, unfinished: self.unfinished, directory: self.atlas.directory }
    }

    fn look_up(&self, control: &Control) -> Option<Ending> {
        if self.ending.is_some() {
            return self.ending;
        }
        if control.is_stopped() {
            return Some(Ending::Stopped);
        }
        if self.recorder.is_satisfied() {
            return Some(Ending::Satisfied);
        }
        (self.calls.live() + self.visits.live() > IN_FLIGHT_MAX).then_some(Ending::Crowded)
    }

    fn dispatch(&mut self, event: Event) {
        match event {
            Event::Arrival(source) => self.arrival(source),
            Event::UserReady(user) => self.user_ready(user),
            Event::Delivery(visit) => self.delivery(visit),
            Event::WorkDone(visit) => self.work_done(visit),
            Event::ReplyReady(visit) => self.reply_ready(visit),
            Event::Answer(visit) => self.answer(visit),
            Event::FaultOver(call) => self.fault_over(call),
            Event::BackOffOver(call) => self.back_off_over(call),
            Event::CallerTimeout(call) => self.caller_timeout(call),
            Event::RouteTimeout(call) => self.route_timeout(call),
            Event::TryTimeout(call) => self.try_timeout(call),
            Event::StageBegins(stage) => self.enter_stage(stage),
            Event::ConfigArrives(arrival) => self.config_arrives(arrival),
            Event::Listed(number) => self.send_listed(number),
            Event::BodyComplete(call) => self.body_complete(call),
            Event::Connected(connection) => self.connected(connection),
            Event::ConnectRefused(connection) => self.connect_refused(connection),
            Event::ConnectTimeout(connection) => self.connect_timeout(connection),
            Event::Down(place) => self.close_connections(place),
        }
    }

    /// Tells the recorder.
    #[inline]
    pub(super) fn observe(&mut self, what: Observation) {
        self.recorder.observe(self.queue.now(), &what);
    }

    /// Tells a recorder that wants detail.
    #[inline]
    pub(super) fn detail(&mut self, what: impl FnOnce(&Self) -> Observation) {
        if R::DETAIL {
            let what = what(self);
            self.recorder.observe(self.queue.now(), &what);
        }
    }

    /// Schedules an event after a delay; `value` is drawn only if the delay varies.
    #[inline]
    pub(super) fn after(queue: &mut Queue, delay: &Delay, value: impl FnOnce() -> u64, event: Event) {
        match delay {
            Delay::None => queue.after(crate::time::Duration::ZERO, event),
            Delay::Same(lane) => {
                queue.start(*lane, event);
            }
            Delay::Varying(times) => queue.after(times.at(value()), event),
        }
    }

    /// Ends the run before the next event.
    pub(super) fn end(&mut self, ending: Ending) {
        self.ending.get_or_insert(ending);
        self.look_up_at = 0;
    }
}
