//! Clients at work: when a request is due, it is drawn and sent; in a closed loop the answer brings
//! about the next.

use super::call::NewCall;
use super::engine::{AT_ONE_INSTANT_MAX, Ending, Engine};
use super::event::Event;
use super::frame::Caller;
use super::queue::LaneId;
use super::slab::NONE;
use crate::draw::{Draw, KeyStream, Purpose, below};
use crate::record::{FlagSet, GroupId, Observation, Outcome, Recorder, RequestId, VisitId};
use crate::time::{Duration, Instant};
use crate::workload::Arrival;

/// A source while it sends.
#[derive(Debug)]
pub(super) struct Source {
    keys: KeyStream,
    /// Shapes by class of users and template.
    shapes: Vec<Vec<u32>>,
    timeout: Option<LaneId>,
    /// The index of the next request.
    next: u64,
    /// The draw of the next request of an open loop.
    next_draw: Draw,
    /// When the last request was sent, and how many were sent at that instant.
    last: Instant,
    at_once: u64,
    /// How often each user of a closed loop has sent.
    users: Vec<u64>,
}

/// Closed-loop requests are drawn by user and turn; a user has fewer turns than this.
const TURNS_MAX: u64 = 1 << 40;

/// The random stream of listed requests; those of clients are hashes of names.
const LISTED: u64 = 1;

/// Draws of a request that are not balancer picks of its first hop: the pod it enters at, its worker.
const ENTRY: u64 = 1 << 40;

impl<R: Recorder> Engine<'_, '_, R> {
    pub(super) fn open_sources(&mut self) {
        for (number, plan) in (0_u32..).zip(&self.plan.sources) {
            let shapes =
                plan.shapes.iter().map(|of_user| of_user.iter().map(|shape| self.atlas.shapes.number(shape.clone())).collect());
            let mut keys = KeyStream::new(self.plan.seed, plan.stream);
            let source = Source {
                shapes: shapes.collect(),
                timeout: plan.timeout.map(|timeout| self.queue.lane(timeout)),
                next: 0,
                next_draw: keys.draw(0),
                keys,
                last: plan.window.begins,
                at_once: 0,
                users: Vec::new(),
            };
            self.sources.push(source);
            match plan.window.arrival {
                Arrival::Closed { users, .. } => self.seat_users(number, users),
                _ => self.schedule_next(number),
            }
        }
    }

    /// Users of closed loops are numbered across all sources.
    fn seat_users(&mut self, source: u32, users: u32) {
        let window = &self.plan.sources[source as usize].window;
        // More users than requests would have nothing to send.
        let users = window.requests.map_or(users, |requests| users.min(u32::try_from(requests).unwrap_or(u32::MAX)));
        self.sources[source as usize].users = vec![0; users as usize];
        for user in 0..users {
            let seat = self.seats.len() as u32;
            self.seats.push((source, user));
            self.queue.at(window.begins, Event::UserReady(seat));
        }
    }

    fn schedule_next(&mut self, number: u32) {
        let window = &self.plan.sources[number as usize].window;
        let source = &mut self.sources[number as usize];
        let value = if window.draws() { source.next_draw.value(Purpose::Arrival) } else { 0 };
        if let Some(at) = window.time_of(source.next, source.last, value) {
            source.last = at;
            self.queue.at(at, Event::Arrival(number));
        }
    }

    /// The next open-loop request of a source is due.
    pub(super) fn arrival(&mut self, number: u32) {
        let source = &mut self.sources[number as usize];
        let (index, draw) = (source.next, source.next_draw);
        source.next += 1;
        source.next_draw = source.keys.draw(source.next);
        self.schedule_next(number);
        self.send(number, NONE, index, draw);
    }

    /// A closed-loop user is ready.
    pub(super) fn user_ready(&mut self, seat: u32) {
        let (number, user) = self.seats[seat as usize];
        let now = self.queue.now();
        let window = &self.plan.sources[number as usize].window;
        let source = &mut self.sources[number as usize];
        if !window.has(source.next) || !window.is_open(now) {
            return;
        }
        source.at_once = if source.last == now { source.at_once + 1 } else { 0 };
        source.last = now;
        if source.at_once > AT_ONE_INSTANT_MAX && window.requests.is_none() {
            self.end(Ending::Stuck);
            return;
        }
        let index = source.next;
        source.next += 1;
        let turn = &mut source.users[user as usize];
        let draw = source.keys.draw(u64::from(user) * TURNS_MAX + *turn);
        *turn += 1;
        self.send(number, seat, index, draw);
    }

    fn send(&mut self, number: u32, seat: u32, index: u64, draw: Draw) {
        let plan = &self.plan.sources[number as usize];
        let class = plan.mix.as_ref().map_or(0, |mix| {
            let value = if mix.draws() { draw.value(Purpose::UserClass) } else { 0 };
            mix.class(index, value)
        });
        let templates = &self.sources[number as usize].shapes[class];
        let shape = templates[(index % templates.len() as u64) as usize];
        let request = RequestId {
            group: GroupId(plan.first_group.0 + class as u32),
            number: index + 1,
            counted: self.queue.now() >= plan.counts_from,
        };
        self.observe(Observation::RequestSent { request });
        self.unfinished += u64::from(request.counted);
        let caller = Caller::Client { source: number, user: seat };
        let Some(pod) = self.entry(number, draw) else {
            self.refuse(request, caller);
            return;
        };
        let timeout = self.sources[number as usize].timeout;
        self.start_call(NewCall {
            request,
            draw,
            caller,
            pod,
            source: plan.party,
            visit: VisitId::NONE,
            shape,
            timeout,
            body: None,
            is_long: false,
            depth: 0,
        });
    }

    /// Schedules the requests of the list, those of one instant in the order of the list.
    pub(super) fn open_list(&mut self) {
        let shapes = self.plan.listed.iter().map(|listed| self.atlas.shapes.number(listed.shape.clone()));
        self.listed = shapes.collect();
        for (number, listed) in (0_u32..).zip(&self.plan.listed) {
            self.queue.at(listed.at, Event::Listed(number));
        }
    }

    /// A request of the list is due.
    pub(super) fn send_listed(&mut self, number: u32) {
        let plan = &self.plan.listed[number as usize];
        let mut keys = KeyStream::new(self.plan.seed, LISTED);
        let draw = keys.draw(u64::from(number));
        let request = plan.request;
        self.observe(Observation::RequestSent { request });
        self.unfinished += 1;
        let timeout = plan.abort_after.map(|after| self.queue.lane(after));
        let body = plan.body_after.map(|after| self.queue.lane(after));
        let caller = Caller::Client { source: NONE, user: plan.connection };
        let shape = self.listed[number as usize];
        self.start_call(NewCall {
            request,
            draw,
            caller,
            pod: plan.pod,
            source: plan.party,
            visit: VisitId::NONE,
            shape,
            timeout,
            body,
            is_long: plan.is_long,
            depth: 0,
        });
    }

    /// The pod whose proxy a request goes through: any of those that are there.
    fn entry(&self, number: u32, draw: Draw) -> Option<u32> {
        let pods = &self.plan.sources[number as usize].pods;
        match pods.as_slice() {
            [pod] => self.standing(*pod).map(|_| *pod),
            pods => {
                let standing = || pods.iter().copied().filter(|pod| self.standing(*pod).is_some());
                let count = standing().count() as u64;
                let nth = below(draw.nth(Purpose::Balance, ENTRY), count);
                standing().nth(nth as usize)
            }
        }
    }

    /// Nobody is there to take the request.
    fn refuse(&mut self, request: RequestId, caller: Caller) {
        let began = self.queue.now();
        self.ended.push_back(super::call::Ended {
            caller,
            request,
            status: 0,
            flags: FlagSet::default(),
            labels: Default::default(),
            timed_out: false,
            began,
        });
    }

    /// A client has its answer.
    pub(super) fn answered(&mut self, number: u32, seat: u32, request: RequestId, outcome: Outcome, began: Instant) {
        self.finished += 1;
        self.unfinished -= u64::from(request.counted);
        self.observe(Observation::RequestEnded { request, outcome, began });
        if seat == NONE || number == NONE {
            return;
        }
        let Arrival::Closed { think, .. } = &self.plan.sources[number as usize].window.arrival else { return };
        let (_, user) = self.seats[seat as usize];
        let turn = self.sources[number as usize].users[user as usize];
        let draw = self.own_draw.child(self.plan.sources[number as usize].stream).child(u64::from(user)).child(turn);
        let pause: Duration = think.at(draw.value(Purpose::Arrival));
        self.queue.after(pause, Event::UserReady(seat));
    }
}
