//! Changes of the mesh while a run goes on: pods come and go at once, proxies learn of it one by
//! one.

use std::collections::VecDeque;

use super::actor::{Actor, Whereabouts};
use super::atlas::Way;
use super::engine::Engine;
use super::event::Event;
use super::population::Standing;
use super::slab::NONE;
use super::sources::name_hash;
use crate::draw::Purpose;
use crate::mesh::cluster::TlsMode;
use crate::mesh::transport::{Arrival, arrival};
use crate::record::Recorder;

/// A pod or a host outside of the mesh while it runs.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The state of the mesh that its proxy knows.
    pub(super) config: u32,
    /// Requests that are being worked on.
    pub(super) busy: u32,
    /// Visits that wait for a slot.
    pub(super) waiting: VecDeque<u32>,
    /// Requests that it handles at once.
    pub(super) slots: u32,
    /// Requests that may wait.
    pub(super) room: u32,
    /// The actor, where actions are written down.
    pub(super) actor: u32,
}

impl<R: Recorder> Engine<'_, '_, R> {
    pub(super) fn enter_first_stage(&mut self) {
        self.make_places();
        (0..self.plan.population.pods.len() as u32).for_each(|pod| self.greet_hosts(pod));
        let stages = &self.plan.population.stages;
        for (index, stage) in (0_u32..).zip(stages).skip(1) {
            self.queue.at(stage.at, Event::StageBegins(index));
        }
    }

    /// Makes room for pods and hosts that were not known before.
    pub(super) fn make_places(&mut self) {
        for number in self.places.len()..self.atlas.places() {
            let app = self.atlas.app_of(number as u32).map(|app| &self.plan.apps[app]);
            let number_of = |written: Option<u32>| written.unwrap_or(u32::MAX);
            self.places.push(Place {
                config: self.stage,
                slots: number_of(app.and_then(|app| app.concurrency.as_ref()).map(|slots| slots.value)),
                room: number_of(app.and_then(|app| app.queue.as_ref()).map(|room| room.value)),
                actor: NONE,
                ..Place::default()
            });
            self.cast(number as u32);
        }
    }

    /// Gives a place its actor, if its actions are written down.
    fn cast(&mut self, place: u32) {
        let plan = self.plan;
        let pods = plan.population.pods.len();
        let is_here = |whereabouts: &Whereabouts| match whereabouts {
            Whereabouts::Pod(pod) => plan.place_of(*pod) == Some(place),
            Whereabouts::Host(host) => {
                (place as usize).checked_sub(pods).and_then(|at| self.atlas.hosts_outside().nth(at)) == Some(host)
            }
        };
        let Some(number) = plan.behaviours.iter().position(|behaviour| is_here(&behaviour.whereabouts)) else { return };
        self.places[place as usize].actor = self.actors.len() as u32;
        self.actors.push(Actor::new(number as u32, &plan.behaviours[number]));
        for at in plan.behaviours[number].falls() {
            self.queue.at(at, Event::Down(place));
        }
    }

    pub(super) fn enter_stage(&mut self, stage: u32) {
        let before = self.stage;
        self.stage = stage;
        for pod in 0..self.plan.population.pods.len() as u32 {
            let stages = &self.plan.population.stages;
            let stood = stages[before as usize].standings[pod as usize].is_some();
            if stages[stage as usize].standings[pod as usize].is_none() {
                continue;
            }
            let delay = self.plan.propagation.at(self.propagation_draw(pod, stage));
            if !stood || delay.is_zero() {
                self.take_config(pod, stage);
                continue;
            }
            let arrival = self.config_arrivals.len() as u32;
            self.config_arrivals.push((pod, stage));
            self.queue.after(delay, Event::ConfigArrives(arrival));
        }
    }

    pub(super) fn config_arrives(&mut self, arrival: u32) {
        let (pod, stage) = self.config_arrivals[arrival as usize];
        // An older push that was overtaken changes nothing.
        if stage > self.places[pod as usize].config {
            self.take_config(pod, stage);
        }
    }

    fn take_config(&mut self, pod: u32, stage: u32) {
        self.places[pod as usize].config = stage;
        self.hops.forget(pod);
        self.greet_hosts(pod);
    }

    fn propagation_draw(&self, pod: u32, stage: u32) -> u64 {
        let name = &self.plan.population.pods[pod as usize].name;
        self.own_draw.child(name_hash(&[name])).child(u64::from(stage)).value(Purpose::Propagation)
    }

    /// What a pod is now; `None` if it is gone. Hosts outside are not part of this.
    pub(super) fn standing(&self, pod: u32) -> Option<&Standing> {
        self.plan.population.stages[self.stage as usize].standings.get(pod as usize)?.as_ref()
    }

    /// How a pod takes a connection with this TLS, by what its proxy has been told.
    pub(super) fn meeting(&self, pod: u32, port: u16, tls: Option<TlsMode>) -> Arrival {
        let config = self.places.get(pod as usize).map_or(0, |place| place.config);
        let stage = &self.plan.population.stages[config as usize];
        let standing = stage.standings.get(pod as usize).and_then(Option::as_ref);
        let workload = standing.and_then(|standing| standing.workload);
        workload.map_or(Arrival::Accepted, |workload| arrival(tls, &stage.mesh.workloads[workload.index()], port))
    }

    /// The way of requests of a shape from a pod.
    pub(super) fn hop(&mut self, pod: u32, shape: u32) -> u32 {
        if let Some(hop) = self.hops.get(pod, shape) {
            return hop;
        }
        let config = self.places[pod as usize].config;
        let stage = &self.plan.population.stages[config as usize];
        let workload = self.plan.population.pods.get(pod as usize).map_or(0, |pod| pod.workload);
        let standing = stage.standings.get(pod as usize).and_then(Option::as_ref);
        let way = standing.and_then(|standing| standing.proxy).map_or(Way::Plain(workload), Way::Proxy);
        let hop = self.atlas.hop_for(config, way, shape, &mut self.queue);
        self.hops.set(pod, shape, hop);
        self.make_places();
        hop
    }
}
