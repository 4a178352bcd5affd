//! What a proxy remembers of a cluster besides its balancer's turn: its connections and its bad
//! endpoints. Clusters without limits and without outlier detection cost nothing here.

use super::attempt::Broken;
use super::call::slot;
use super::engine::Engine;
use super::event::Event;
use super::frame::{Call, Seat};
use super::outlier::{Sign, Watch};
use super::pool::{Admission, Connection, ConnectionState, HostKey, Pool, PoolPlan};
use super::queue::TimerId;
use crate::draw::Purpose;
use crate::record::{Observation, PlaceId, Recorder};
use crate::time::{Duration, Instant};

/// One proxy's memory of one cluster.
#[derive(Debug, Default)]
pub(super) struct Link {
    pool: Pool,
    watch: Watch,
}

impl Link {
    /// Endpoints that balancers leave out now because they are ejected, in ascending order.
    pub(super) fn ejected(&mut self, now: Instant) -> &[u32] {
        self.watch.known_ejected(now)
    }
}

/// What a server's socket says to somebody who connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Socket {
    /// It takes the connection.
    Listens,
    /// Nothing listens.
    Refuses,
    /// It never answers.
    Ignores,
}

impl<R: Recorder> Engine<'_, '_, R> {
    /// The pool that a call uses: its plan, the cluster, and the host's part of it.
    fn pool_of(&self, call: u32) -> Option<(PoolPlan, u32, HostKey)> {
        let target = &self.atlas.targets[self.target_of(call)? as usize];
        let host = HostKey { place: self.calls[call].member.pod, worker: self.worker_of(call) as u32 };
        Some((target.pool?, target.cluster, host))
    }

    fn pool(&mut self, pod: u32, cluster: u32) -> &mut Pool {
        &mut slot(&mut self.links, pod, cluster).pool
    }

    /// A call asks the pool for a connection to the endpoint it has picked.
    pub(super) fn board(&mut self, call: u32) {
        let Some((plan, cluster, host)) = self.pool_of(call) else {
            self.depart(call);
            return;
        };
        let (pod, now) = (self.calls[call].pod, self.queue.now());
        let pool = self.pool(pod, cluster);
        let closed = pool.sweep(&plan, now);
        let admission = pool.admit(&plan, host, call);
        for connection in closed {
            self.forget_connection(connection);
        }
        self.seated(call, admission);
        if admission == Admission::Wait {
            self.open_connections(call, &plan, cluster, host);
        }
    }

    fn seated(&mut self, call: u32, admission: Admission) {
        self.calls[call].seat = match admission {
            Admission::Go(Some(connection)) => {
                self.connections[connection].state = ConnectionState::Busy(call);
                Seat::Taken(connection)
            }
            Admission::Go(None) => Seat::Shared,
            Admission::Wait => Seat::Waiting,
            Admission::Crowded | Admission::Full => Seat::None,
        };
        match admission {
            Admission::Go(_) => self.depart(call),
            Admission::Wait => {}
            Admission::Crowded => self.overflow(call),
            Admission::Full => {
                // The log names no endpoint for a request that never had a connection in view.
                self.picked(call, PlaceId::NONE);
                self.overflow(call);
            }
        }
    }

    /// Opens a connection if somebody waits in vain.
    fn open_connections(&mut self, call: u32, plan: &PoolPlan, cluster: u32, host: HostKey) {
        let Call { pod, request, .. } = self.calls[call];
        let Some(target) = self.target_of(call) else { return };
        if !self.pool(pod, cluster).wants_connection(plan, host) {
            return;
        }
        self.pool(pod, cluster).begin_connecting(host);
        let number = self.connections.insert(Connection {
            pod,
            target,
            host,
            request,
            state: ConnectionState::Opening,
            carried: 0,
            opened_at: self.queue.now(),
            timer: TimerId::NONE,
        });
        // Connecting takes no time. Listed requests of one instant arrive together, though, before a
        // connection can be there for the first of them; and a refusal is only heard of afterwards.
        match self.socket(host.place) {
            Socket::Listens if self.plan.listed.is_empty() => self.connected(number),
            Socket::Listens => self.queue.after(Duration::ZERO, Event::Connected(number)),
            Socket::Refuses => self.queue.after(Duration::ZERO, Event::ConnectRefused(number)),
            Socket::Ignores if plan.connect_timeout.is_zero() => {}
            Socket::Ignores => {
                let lane = self.queue.lane(plan.connect_timeout);
                self.connections[number].timer = self.queue.start(lane, Event::ConnectTimeout(number));
            }
        }
    }

    pub(super) fn connect_refused(&mut self, number: u32) {
        self.not_connected(number, Broken::Refused);
    }

    pub(super) fn connected(&mut self, number: u32) {
        let connection = self.connections[number];
        let Some((plan, cluster)) = self.plan_of(&connection) else { return };
        self.connections[number].state = ConnectionState::Idle;
        let now = self.queue.now();
        self.pool(connection.pod, cluster).connected(&plan, number, &connection, now);
        self.detail(|_| Observation::Connected { request: connection.request, place: PlaceId(connection.host.place) });
        self.serve(connection.pod, cluster, &plan, connection.host);
    }

    pub(super) fn connect_timeout(&mut self, number: u32) {
        self.connections[number].timer = TimerId::NONE;
        self.not_connected(number, Broken::ConnectTimeout);
    }

    /// An attempt to connect has failed: so have all requests that wait for this endpoint, whichever
    /// attempt was made for them.
    fn not_connected(&mut self, number: u32, why: Broken) {
        let connection = self.connections[number];
        let Some((_, cluster)) = self.plan_of(&connection) else { return };
        let waiting = self.pool(connection.pod, cluster).failed(connection.host);
        self.forget_connection(number);
        for call in waiting {
            self.broken(call, why);
        }
    }

    fn plan_of(&self, connection: &Connection) -> Option<(PoolPlan, u32)> {
        let target = &self.atlas.targets[connection.target as usize];
        Some((target.pool?, target.cluster))
    }

    fn forget_connection(&mut self, number: u32) {
        let timer = std::mem::replace(&mut self.connections[number].timer, TimerId::NONE);
        self.queue.cancel(timer);
        self.connections[number].state = ConnectionState::Gone;
        self.connections.remove(number);
    }

    /// Whoever waits gets what is idle.
    fn serve(&mut self, pod: u32, cluster: u32, plan: &PoolPlan, host: HostKey) {
        while let Some((call, admission)) = self.pool(pod, cluster).next(plan, host) {
            self.seated(call, admission);
        }
    }

    /// A call gives back what it holds of its pool; whoever waits is next. `reusable` says whether
    /// its connection is still good.
    pub(super) fn unboard(&mut self, call: u32, reusable: bool) {
        let seat = std::mem::replace(&mut self.calls[call].seat, Seat::None);
        if seat == Seat::None {
            return;
        }
        let Some((plan, cluster, host)) = self.pool_of(call) else { return };
        let (pod, now) = (self.calls[call].pod, self.queue.now());
        match seat {
            Seat::None => {}
            Seat::Waiting => self.pool(pod, cluster).give_up(host, call),
            Seat::Shared => self.pool(pod, cluster).release_shared(),
            Seat::Taken(number) => {
                self.connections[number].carried += 1;
                let connection = self.connections[number];
                if reusable && plan.is_good_for_more(&connection, now) {
                    self.connections[number].state = ConnectionState::Idle;
                    self.pool(pod, cluster).release(&plan, number, &connection, now);
                } else {
                    self.pool(pod, cluster).lose_busy(host);
                    self.forget_connection(number);
                    self.open_connections(call, &plan, cluster, host);
                }
            }
        }
        self.serve(pod, cluster, &plan, host);
    }

    /// A server closes all its connections.
    pub(super) fn close_connections(&mut self, place: u32) {
        for number in 0..self.connections.len() {
            let connection = self.connections[number];
            if connection.host.place != place {
                continue;
            }
            match connection.state {
                ConnectionState::Idle => {
                    if let Some((_, cluster)) = self.plan_of(&connection) {
                        self.pool(connection.pod, cluster).lose_idle(connection.host, number);
                    }
                    self.forget_connection(number);
                }
                ConnectionState::Busy(call) => self.broken(call, Broken::Closed),
                ConnectionState::Opening | ConnectionState::Gone => {}
            }
        }
    }

    /// Whether a retry is within the limit; it is counted until its try has ended.
    pub(super) fn may_retry(&mut self, call: u32) -> bool {
        let Some((plan, cluster, _)) = self.pool_of(call) else { return true };
        let pod = self.calls[call].pod;
        let allowed = self.pool(pod, cluster).begin_retry(&plan);
        self.calls[call].retrying = allowed;
        allowed
    }

    /// A retry's try has ended, or the retry will not happen.
    pub(super) fn end_retry(&mut self, call: u32) {
        if !std::mem::replace(&mut self.calls[call].retrying, false) {
            return;
        }
        if let Some((_, cluster, _)) = self.pool_of(call) {
            let pod = self.calls[call].pod;
            self.pool(pod, cluster).end_retry();
        }
    }

    /// The outlier detector learns how a try ended.
    pub(super) fn learn(&mut self, call: u32, sign: Sign) {
        let Some(target) = self.target_of(call) else { return };
        let target = &self.atlas.targets[target as usize];
        let Some(plan) = target.outlier else { return };
        let frame = &self.calls[call];
        let pod = frame.member.pod;
        let here = target.localities.iter().find(|locality| locality.hosts.iter().any(|host| host.id == pod));
        let priority = here.map_or(0, |locality| locality.priority);
        let watch = &mut slot(&mut self.links, frame.pod, target.cluster).watch;
        let (own_draw, cluster) = (self.own_draw, u64::from(target.cluster));
        watch.shuffle(|| own_draw.child(u64::from(frame.pod)).nth(Purpose::HostOrder, cluster));
        watch.learn(&plan, pod, priority, sign, target.members.len(), self.queue.now());
    }
}
