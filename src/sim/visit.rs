//! A request at a pod: it waits for a slot, is worked on, makes calls, and is answered. The
//! application does not notice when its caller leaves.

use super::call::{Ended, NewCall};
use super::engine::Engine;
use super::event::Event;
use super::frame::{Caller, Denial, Reception, Site, Visit, VisitState};
use super::slab::NONE;
use crate::draw::{Draw, Purpose, below};
use crate::mesh::cluster::TlsMode;
use crate::mesh::transport::Arrival;
use crate::record::{CallId, FlagSet, Observation, PartyId, PlaceId, Recorder, VisitId};

/// A visit's random numbers for its application: calls by position, the answer apart from them.
const REPLY: u64 = 1 << 40;

/// Repetitions and attempts that draws tell apart.
const fn site_edge(site: Site) -> u64 {
    ((site.attempt as u64) << 48) | ((site.repetition as u64) << 16) | site.call as u64
}

impl<R: Recorder> Engine<'_, '_, R> {
    /// A request reaches its pod.
    pub(super) fn delivery(&mut self, visit: u32) {
        let Visit { pod, port, call, request, source, hop, leg, state, tls, .. } = self.visits[visit];
        if state == VisitState::Dropped {
            self.visits.remove(visit);
            return;
        }
        let by_actor = self.reception_by_actor(visit);
        let reception = by_actor.unwrap_or_else(|| self.reception(pod, port, hop, tls));
        let reception = self.guarded(visit, reception);
        if reception != Reception::Open {
            self.visits[visit].reception = reception;
            if let Reception::Denied(denial) = reception {
                self.tell_denial(visit, denial);
            }
            self.travel_back(visit);
            return;
        }
        let workload = self.atlas.reached(pod);
        let way = &self.atlas.hops[hop as usize];
        let (hop, service) = (way.id, way.leg(leg).map_or(crate::record::CalledId(0), |leg| leg.service));
        let (visit_id, call_id) = (VisitId(visit), CallId(call));
        self.observe(Observation::Arrived { request, call: call_id, visit: visit_id, source, hop, service, workload });
        let (place, mirror) = (PlaceId(pod), self.visits[visit].mirror);
        self.detail(|_| Observation::Reached { request, call: call_id, visit: visit_id, hop, place, mirror });
        if call == NONE || self.has_complete_body(call) {
            self.received(visit);
        } else {
            self.visits[visit].state = VisitState::Receiving;
        }
    }

    /// What the server's proxy writes down of a request that it turns away.
    fn tell_denial(&mut self, visit: u32, denial: Denial) {
        self.detail(|engine| {
            let Visit { pod, call, request, source, hop, leg, .. } = engine.visits[visit];
            let way = &engine.atlas.hops[hop as usize];
            Observation::TurnedAway {
                request,
                call: CallId(call),
                source,
                hop: way.id,
                service: way.leg(leg).map_or(crate::record::CalledId(0), |leg| leg.service),
                workload: engine.atlas.reached(pod),
                place: PlaceId(pod),
                status: denial.status,
                flags: denial.flag.into_iter().fold(FlagSet::default(), FlagSet::with),
                details: denial.details,
            }
        });
    }

    /// A request has arrived as a whole; nothing happens if not even its beginning has.
    pub(super) fn received(&mut self, visit: u32) {
        let Visit { pod, state, .. } = self.visits[visit];
        if !matches!(state, VisitState::Coming | VisitState::Receiving) {
            return;
        }
        if self.places[pod as usize].actor == NONE {
            self.admit(visit, pod);
        } else {
            self.act(visit);
        }
    }

    /// Whether a pod takes a request.
    fn reception(&self, pod: u32, port: u16, hop: u32, tls: Option<TlsMode>) -> Reception {
        if pod as usize >= self.plan.population.pods.len() {
            return Reception::Open;
        }
        let Some(standing) = self.standing(pod) else { return Reception::Refused };
        match self.meeting(pod, port, tls) {
            Arrival::Accepted => {}
            Arrival::Terminated => return Reception::Closed,
            Arrival::HandshakeFailed => return Reception::NoHandshake,
        }
        let own = self.atlas.app_of(pod).map_or(&[][..], |app| self.plan.apps[app].ports.as_slice());
        // Without any declaration nothing is known about the ports.
        let is_open = standing.ports.is_empty() && own.is_empty()
            || standing.ports.contains(&port)
            || own.iter().any(|own| own.value == port);
        match is_open {
            true => Reception::Open,
            // The server's proxy takes the connection and answers for the application.
            false if standing.proxied && self.atlas.hops[hop as usize].reads == super::hop::Reads::Http => {
                Reception::AnsweredByProxy
            }
            false => Reception::Refused,
        }
    }

    fn admit(&mut self, visit: u32, pod: u32) {
        let place = &mut self.places[pod as usize];
        if place.busy < place.slots {
            place.busy += 1;
            self.begin_work(visit);
            return;
        }
        if place.waiting.len() < place.room as usize {
            place.waiting.push_back(visit);
            self.visits[visit].state = VisitState::Queued;
            self.detail(|engine| Observation::Queued { visit: VisitId(visit), request: engine.visits[visit].request });
            return;
        }
        // The application turns it away.
        self.visits[visit].status = 503;
        self.visit_ended(visit);
        self.travel_back(visit);
    }

    fn begin_work(&mut self, visit: u32) {
        self.detail(|engine| Observation::WorkBegan { visit: VisitId(visit), request: engine.visits[visit].request });
        let Visit { pod, hop, leg, shape, draw, .. } = self.visits[visit];
        let shape = match shape {
            NONE => self.atlas.hops[hop as usize].leg(leg).map_or(0, |leg| leg.shape),
            changed => changed,
        };
        let script = match self.scripts.get(pod, shape) {
            Some(script) => script,
            None => {
                let script = self.atlas.script_for(pod, shape, &mut self.queue);
                self.scripts.set(pod, shape, script);
                script
            }
        };
        self.visits[visit].script = script;
        self.visits[visit].state = VisitState::Working;
        let work = &self.atlas.script(script).work;
        if *work == super::script::Delay::None {
            self.work_done(visit);
            return;
        }
        Self::after(&mut self.queue, work, || draw.value(Purpose::ServiceTime), Event::WorkDone(visit));
    }

    pub(super) fn work_done(&mut self, visit: u32) {
        if self.visits[visit].state == VisitState::Dropped {
            self.visits.remove(visit);
            return;
        }
        self.visits[visit].state = VisitState::Calling;
        self.go_on(visit);
    }

    /// Does steps until one has calls to wait for, or there are no more.
    fn go_on(&mut self, visit: u32) {
        loop {
            let Visit { script, step, repetition, status, .. } = self.visits[visit];
            let Some(plan) = self.atlas.script(script).steps.get(step as usize).copied().filter(|_| status == 0) else {
                self.reply(visit);
                return;
            };
            if repetition >= plan.times || plan.first == plan.end {
                self.visits[visit].step += 1;
                self.visits[visit].repetition = 0;
                continue;
            }
            self.visits[visit].repetition += 1;
            for call in plan.first..plan.end {
                self.make_call(visit, Site { call, attempt: 0, repetition });
            }
            if self.visits[visit].pending > 0 {
                return;
            }
        }
    }

    fn make_call(&mut self, visit: u32, site: Site) {
        let Visit { script, draw, pod, request, depth, .. } = self.visits[visit];
        let plan = &self.atlas.script(script).calls[usize::from(site.call)];
        let draw = draw.child(site_edge(site));
        if site.attempt == 0
            && plan.share.is_some_and(|share| below(draw.value(Purpose::Application), 1_000_000) >= u64::from(share))
        {
            return;
        }
        let (shape, timeout) = (plan.shape, plan.timeout);
        if site.attempt == 0 {
            self.visits[visit].pending += 1;
        }
        let clients = self.atlas.directory.parties.len() - self.plan.population.workloads.len();
        let source = match self.plan.population.pods.get(pod as usize) {
            Some(pod) => PartyId(clients as u32 + pod.workload),
            // Nobody outside of the mesh calls back.
            None => PartyId(0),
        };
        let caller = Caller::App { visit, site };
        self.start_call(NewCall {
            request,
            draw,
            caller,
            pod,
            source,
            visit: VisitId(visit),
            shape,
            timeout,
            body: None,
            is_long: false,
            depth: depth + 1,
        });
    }

    /// One of a visit's calls has ended.
    pub(super) fn call_ended(&mut self, visit: u32, site: Site, ended: &Ended) {
        let plan = &self.atlas.script(self.visits[visit].script).calls[usize::from(site.call)];
        let succeeded = !ended.timed_out && plan.succeeded(ended.status, ended.labels);
        if !succeeded && site.attempt + 1 < plan.attempts {
            self.make_call(visit, Site { attempt: site.attempt + 1, ..site });
            return;
        }
        let after = match (succeeded, ended.timed_out) {
            (true, _) => plan.on_success,
            (false, true) => plan.on_timeout,
            (false, false) => plan.on_failure,
        };
        let passed = if succeeded && plan.pass_labels { ended.labels } else { Default::default() };
        let frame = &mut self.visits[visit];
        frame.labels = frame.labels.and(after.labels).and(passed);
        if frame.status == 0 {
            // Of calls made at once, the first that ends the handler decides; the others are waited for.
            frame.status = after.status(ended.status).unwrap_or(0);
        }
        frame.pending -= 1;
        if frame.pending == 0 {
            self.go_on(visit);
        }
    }

    fn reply(&mut self, visit: u32) {
        let Visit { script, draw, status, .. } = self.visits[visit];
        if status != 0 {
            self.leave(visit);
            return;
        }
        let Some(index) = self.choose_reply(script, draw) else {
            self.visits[visit].status = 200;
            self.leave(visit);
            return;
        };
        let reply = &self.atlas.script(script).replies[index];
        let frame = &mut self.visits[visit];
        frame.status = reply.status;
        frame.labels = frame.labels.and(reply.labels);
        if reply.delay == super::script::Delay::None {
            self.leave(visit);
            return;
        }
        frame.state = VisitState::Working;
        Self::after(&mut self.queue, &reply.delay, || draw.nth(Purpose::ServiceTime, 1), Event::ReplyReady(visit));
    }

    /// One of the answers, by share; those whose period it is not leave theirs to the rest.
    fn choose_reply(&self, script: u32, draw: Draw) -> Option<usize> {
        let replies = &self.atlas.script(script).replies;
        if let [reply] = replies.as_slice()
            && reply.share.is_none()
            && reply.every_other.is_none()
        {
            return Some(0);
        }
        let mut at = below(draw.nth(Purpose::Application, REPLY), 1_000_000);
        for (index, reply) in replies.iter().enumerate() {
            let in_its_period = reply.every_other.is_none_or(|period| self.queue.now().nanos() / period.nanos() % 2 == 1);
            if !in_its_period {
                continue;
            }
            match reply.share.map(|share| at.checked_sub(u64::from(share))) {
                None | Some(None) => return Some(index),
                Some(Some(rest)) => at = rest,
            }
        }
        None
    }

    pub(super) fn reply_ready(&mut self, visit: u32) {
        if self.visits[visit].state == VisitState::Dropped {
            self.visits.remove(visit);
            return;
        }
        if self.visits[visit].action == NONE {
            self.leave(visit);
        } else {
            self.act_out(visit);
        }
    }

    /// The answer leaves the pod, and the next in line takes the slot.
    fn leave(&mut self, visit: u32) {
        self.visit_ended(visit);
        let pod = self.visits[visit].pod;
        self.travel_back(visit);
        self.free_slot(pod);
    }

    fn free_slot(&mut self, pod: u32) {
        let place = &mut self.places[pod as usize];
        match place.waiting.pop_front() {
            Some(next) => self.begin_work(next),
            None => place.busy -= 1,
        }
    }

    pub(super) fn visit_ended(&mut self, visit: u32) {
        self.detail(|engine| {
            let Visit { request, status, call, mirror, .. } = engine.visits[visit];
            Observation::VisitEnded { visit: VisitId(visit), request, status, orphaned: call == NONE && !mirror }
        });
    }

    /// Gives a visit up wherever it is, with everything it waits for.
    pub(super) fn drop_visit(&mut self, visit: u32) {
        let Visit { state, pod, action, .. } = self.visits[visit];
        match state {
            VisitState::Coming => self.visits[visit].state = VisitState::Dropped,
            // Its answer arrives at nobody.
            VisitState::Returning | VisitState::Streaming | VisitState::Dropped => {}
            VisitState::Receiving => {
                self.visit_ended(visit);
                self.visits.remove(visit);
            }
            VisitState::Queued => {
                self.places[pod as usize].waiting.retain(|waiting| *waiting != visit);
                self.visit_ended(visit);
                self.visits.remove(visit);
            }
            VisitState::Working => {
                self.visits[visit].state = VisitState::Dropped;
                self.visit_ended(visit);
                if action == NONE {
                    self.free_slot(pod);
                }
            }
            VisitState::Calling => {
                while self.visits[visit].first_call != NONE {
                    self.hang_up(self.visits[visit].first_call);
                }
                // Calls that ended at this very instant must not find the visit again.
                self.ended.retain(|ended| !matches!(ended.caller, Caller::App { visit: of, .. } if of == visit));
                self.visit_ended(visit);
                self.visits.remove(visit);
                self.free_slot(pod);
            }
        }
    }

    /// Remembers whose call it is, where callees are cancelled.
    pub(super) fn adopt(&mut self, call: u32, caller: Caller) {
        if let (true, Caller::App { visit, .. }) = (self.cancels_callees, caller) {
            self.calls[call].sibling = std::mem::replace(&mut self.visits[visit].first_call, call);
        }
    }

    /// Forgets whose call it is.
    pub(super) fn disown(&mut self, call: u32) {
        let caller = std::mem::replace(&mut self.calls[call].caller, Caller::Nobody);
        let (true, Caller::App { visit, .. }) = (self.cancels_callees, caller) else { return };
        let sibling = self.calls[call].sibling;
        let mut at = self.visits[visit].first_call;
        if at == call {
            self.visits[visit].first_call = sibling;
            return;
        }
        while at != NONE {
            if self.calls[at].sibling == call {
                self.calls[at].sibling = sibling;
                return;
            }
            at = self.calls[at].sibling;
        }
    }
}
