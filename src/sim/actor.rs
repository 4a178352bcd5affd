//! Servers whose actions are written down: which action is next, and what comes of it.

use super::engine::Engine;
use super::event::Event;
use super::frame::{Reception, Seat, Visit, VisitState};
use super::link::Socket;
use super::slab::NONE;
use crate::record::Recorder;
use crate::time::Instant;
use crate::workload::{Action, Behaviour, Course};

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whereabouts {
    /// It is this pod of the first state of the mesh.
    Pod(crate::mesh::PodId),
    /// It is a host outside of the mesh.
    Host(String),
}

/// A behaviour with its actions numbered.
#[derive(Debug, Clone)]
pub(super) struct BehaviourPlan {
    pub(super) whereabouts: Whereabouts,
    behaviour: Behaviour,
    /// The number of the first action of each sequence; the one that is repeated comes last.
    first: Vec<u32>,
}

/// A server while it acts.
#[derive(Debug, Clone)]
pub(super) struct Actor {
    /// Which behaviour.
    plan: u32,
    /// How many actions of each sequence are used up.
    used: Vec<u32>,
}

impl BehaviourPlan {
    /// Numbers the actions of a behaviour, after those that are numbered already.
    pub(super) fn new(whereabouts: Whereabouts, behaviour: Behaviour, actions: &mut Vec<Action>) -> BehaviourPlan {
        let mut first = Vec::new();
        for number in 0..=behaviour.by_path.len() {
            let sequence = behaviour.sequence(number);
            first.push(u32::try_from(actions.len()).unwrap_or(NONE));
            actions.extend(sequence.script.iter().chain([&sequence.then]).cloned());
        }
        BehaviourPlan { whereabouts, behaviour, first }
    }

    /// The instants at which the server goes down.
    pub(super) fn falls(&self) -> impl Iterator<Item = Instant> {
        self.behaviour.down.iter().map(|(from, _)| *from)
    }

    fn number(&self, sequence: usize, used: u32) -> u32 {
        let longest = self.behaviour.sequence(sequence).script.len() as u32;
        self.first[sequence] + used.min(longest)
    }
}

impl Actor {
    pub(super) fn new(plan: u32, behaviour: &BehaviourPlan) -> Actor {
        Actor { plan, used: vec![0; behaviour.first.len()] }
    }
}

impl<R: Recorder> Engine<'_, '_, R> {
    /// What a server's socket says now. An action that concerns connecting is used up by the attempt.
    pub(super) fn socket(&mut self, place: u32) -> Socket {
        let Some(actor) = self.places.get(place as usize).map(|place| place.actor).filter(|actor| *actor != NONE) else {
            let refuses = (place as usize) < self.plan.population.pods.len() && self.standing(place).is_none();
            return if refuses { Socket::Refuses } else { Socket::Listens };
        };
        let actor = &mut self.actors[actor as usize];
        let plan = &self.plan.behaviours[actor.plan as usize];
        if plan.behaviour.is_down(self.queue.now()) {
            return Socket::Refuses;
        }
        let others = plan.behaviour.by_path.len();
        let socket = match self.plan.actions[plan.number(others, actor.used[others]) as usize].course {
            Course::Refuses => Socket::Refuses,
            Course::Ignores => Socket::Ignores,
            _ => return Socket::Listens,
        };
        actor.used[others] += 1;
        socket
    }

    /// How a server whose actions are written down receives a visit. Where the visit's call has a
    /// connection, that has been taken already.
    pub(super) fn reception_by_actor(&mut self, visit: u32) -> Option<Reception> {
        let Visit { pod, call, .. } = self.visits[visit];
        if self.places[pod as usize].actor == NONE {
            return None;
        }
        let is_taken = call == NONE || matches!(self.calls[call].seat, Seat::Taken(_));
        Some(if is_taken || self.socket(pod) == Socket::Listens { Reception::Open } else { Reception::Refused })
    }

    /// A complete request is at a server: it does what comes next.
    pub(super) fn act(&mut self, visit: u32) {
        let Visit { pod, hop, leg, call, .. } = self.visits[visit];
        let shape = self.atlas.hops[hop as usize].leg(leg).map_or(0, |leg| leg.shape);
        let path = &self.atlas.shapes.get(shape).request.path;
        let actor = &mut self.actors[self.places[pod as usize].actor as usize];
        let plan = &self.plan.behaviours[actor.plan as usize];
        let sequence = plan.behaviour.sequence_for(path);
        let number = plan.number(sequence, actor.used[sequence]);
        actor.used[sequence] += 1;
        let action = &self.plan.actions[number as usize];
        let frame = &mut self.visits[visit];
        (frame.action, frame.status, frame.state) = (number, action.status, VisitState::Working);
        for status in &action.informational {
            if call != NONE {
                self.inform(call, *status);
            }
        }
        if action.delay.is_zero() {
            self.act_out(visit);
        } else {
            self.queue.after(action.delay, Event::ReplyReady(visit));
        }
    }

    /// A server's action takes effect.
    pub(super) fn act_out(&mut self, visit: u32) {
        if !self.answers_in_parts(visit) || self.visits[visit].call == NONE {
            self.visit_ended(visit);
        }
        self.travel_back(visit);
    }

    /// Whether a server sends the beginning of its answer before the rest.
    pub(super) fn answers_in_parts(&self, visit: u32) -> bool {
        let action = self.plan.actions.get(self.visits[visit].action as usize);
        action.is_some_and(|action| matches!(action.course, Course::Stalls(_) | Course::BreaksOff(_)))
    }
}
