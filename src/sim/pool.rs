//! Connection pools with their circuit breakers: how many connections, waiting requests, active
//! requests and retries one proxy allows itself towards one cluster (Envoy: `ConnPoolImplBase`,
//! `ResourceManagerImpl`). Limits count over all worker threads; connections belong to one worker
//! and one endpoint.

use std::collections::VecDeque;

use smallvec::SmallVec;

use crate::mesh::cluster::{Cluster, UpstreamProtocol};
use crate::record::RequestId;
use crate::time::{Duration, Instant};

use super::queue::TimerId;

/// How a proxy connects to the endpoints of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PoolPlan {
    connections_max: u32,
    pending_max: u32,
    requests_max: u32,
    retries: RetryLimit,
    /// Whether one connection carries any number of requests (HTTP/2).
    multiplexed: bool,
    /// Requests that one connection carries in its life; 0 is any number.
    requests_per_connection: u32,
    idle_max: Option<Duration>,
    life_max: Option<Duration>,
    /// How long an attempt to connect may take.
    pub(super) connect_timeout: Duration,
}

/// How many retries may be under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RetryLimit {
    /// This many.
    Fixed(u32),
    /// A share (in parts per million) of the requests that are active or wait, but at least `least`.
    Budget { per_million: u64, least: u32 },
}

/// What becomes of a request at the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is sent, on this connection where connections are counted.
    Go(Option<u32>),
    /// It waits for a connection.
    Wait,
    /// There is a connection, and too many requests are active.
    Crowded,
    /// Too many wait already.
    Full,
}

/// The connections of one worker to one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HostKey {
    /// The endpoint.
    pub(super) place: u32,
    /// The worker thread.
    pub(super) worker: u32,
}

/// A connection of a pool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connection {
    /// The pod whose proxy has it.
    pub(super) pod: u32,
    /// The endpoints, for their plan and cluster.
    pub(super) target: u32,
    pub(super) host: HostKey,
    /// The request that it was opened for.
    pub(super) request: RequestId,
    pub(super) state: ConnectionState,
    /// Requests it has carried to their end.
    pub(super) carried: u32,
    pub(super) opened_at: Instant,
    /// The connect timeout.
    pub(super) timer: TimerId,
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionState {
    /// Not there yet.
    Opening,
    /// Open, without a request.
    Idle,
    /// It carries this call.
    Busy(u32),
    /// Closed.
    Gone,
}

/// The pool of one proxy and cluster, over all its endpoints.
#[derive(Debug, Clone, Default)]
pub(super) struct Pool {
    connections: u32,
    pending: u32,
    active: u32,
    retries: u32,
    hosts: Vec<HostPool>,
}

#[derive(Debug, Clone)]
struct HostPool {
    key: HostKey,
    opening: u32,
    busy: u32,
    /// Idle connections, the one that is used next at the end, with the instants they close at.
    idle: Vec<(u32, Instant)>,
    /// Calls that wait, first come first served.
    queue: VecDeque<u32>,
}

/// Connections that have closed unnoticed.
pub(super) type Closed = SmallVec<[u32; 2]>;

const FOR_EVER: Instant = Instant::from_nanos(u64::MAX);

impl PoolPlan {
    /// The plan for a cluster; `None` if it limits nothing and `always` does not ask for one.
    pub(super) fn of(cluster: &Cluster, always: bool) -> Option<PoolPlan> {
        let limits = cluster.limits;
        let all = [limits.connections_max, limits.pending_max, limits.requests_max, limits.retries_max];
        let is_limited = cluster.retry_budget.is_some() || all.iter().any(|limit| *limit != u32::MAX);
        let retries = match cluster.retry_budget {
            Some(budget) => RetryLimit::Budget {
                per_million: (budget.percent * 10_000.0).round().clamp(0.0, 1e6) as u64,
                least: budget.concurrency_min,
            },
            None => RetryLimit::Fixed(limits.retries_max),
        };
        (is_limited || always).then_some(PoolPlan {
            connections_max: limits.connections_max,
            pending_max: limits.pending_max,
            requests_max: limits.requests_max,
            retries,
            multiplexed: cluster.connection.protocol == UpstreamProtocol::Http2,
            requests_per_connection: cluster.connection.requests_per_connection_max,
            idle_max: cluster.connection.idle_timeout.filter(|limit| !limit.is_zero()),
            life_max: cluster.connection.duration_max.filter(|limit| !limit.is_zero()),
            connect_timeout: cluster.connect_timeout,
        })
    }

    /// Whether a connection can carry another request.
    pub(super) fn is_good_for_more(&self, connection: &Connection, now: Instant) -> bool {
        let has_turns = self.requests_per_connection == 0 || connection.carried < self.requests_per_connection;
        has_turns && self.life_max.is_none_or(|limit| connection.opened_at + limit > now)
    }

    /// When a connection that becomes idle now is closed.
    fn closes_at(&self, connection: &Connection, now: Instant) -> Instant {
        let idle = self.idle_max.map_or(FOR_EVER, |limit| now + limit);
        self.life_max.map_or(idle, |limit| idle.min(connection.opened_at + limit))
    }
}

impl Pool {
    fn host(&mut self, key: HostKey) -> &mut HostPool {
        let known = self.hosts.iter().position(|host| host.key == key);
        let at = known.unwrap_or_else(|| {
            self.hosts.push(HostPool { key, opening: 0, busy: 0, idle: Vec::new(), queue: VecDeque::new() });
            self.hosts.len() - 1
        });
        &mut self.hosts[at]
    }

    /// Forgets idle connections that have been closed by now.
    pub(super) fn sweep(&mut self, plan: &PoolPlan, now: Instant) -> Closed {
        let mut closed = Closed::new();
        if plan.idle_max.is_some() || plan.life_max.is_some() {
            for host in &mut self.hosts {
                host.idle.retain(|(connection, closes_at)| {
                    let stays = *closes_at > now;
                    if !stays {
                        closed.push(*connection);
                    }
                    stays
                });
            }
            self.connections -= closed.len() as u32;
        }
        closed
    }

    /// A call wants to go to an endpoint.
    pub(super) fn admit(&mut self, plan: &PoolPlan, key: HostKey, call: u32) -> Admission {
        let crowded = self.active >= plan.requests_max;
        if plan.multiplexed {
            self.active += u32::from(!crowded);
            return if crowded { Admission::Crowded } else { Admission::Go(None) };
        }
        if !self.host(key).idle.is_empty() {
            return if crowded { Admission::Crowded } else { self.take(key) };
        }
        if self.pending >= plan.pending_max {
            return Admission::Full;
        }
        self.pending += 1;
        self.host(key).queue.push_back(call);
        Admission::Wait
    }

    fn take(&mut self, key: HostKey) -> Admission {
        let host = self.host(key);
        let connection = host.idle.pop().map(|(connection, _)| connection);
        host.busy += 1;
        self.active += 1;
        Admission::Go(connection)
    }

    /// Whether a connection to an endpoint should be opened: more calls wait than attempts are under
    /// way, and the limit allows it or the endpoint has no connection at all.
    pub(super) fn wants_connection(&mut self, plan: &PoolPlan, key: HostKey) -> bool {
        let within_limit = self.connections < plan.connections_max;
        let host = self.host(key);
        let has_none = host.opening == 0 && host.busy == 0 && host.idle.is_empty();
        host.queue.len() > host.opening as usize && (within_limit || has_none)
    }

    /// An attempt to connect begins.
    pub(super) fn begin_connecting(&mut self, key: HostKey) {
        self.connections += 1;
        self.host(key).opening += 1;
    }

    /// An attempt to connect has succeeded.
    pub(super) fn connected(&mut self, plan: &PoolPlan, number: u32, connection: &Connection, now: Instant) {
        let host = self.host(connection.host);
        host.opening -= 1;
        host.idle.push((number, plan.closes_at(connection, now)));
    }

    /// An attempt to connect has failed, and with it all calls that wait for the endpoint. They still
    /// count as waiting until each has given up.
    pub(super) fn failed(&mut self, key: HostKey) -> Vec<u32> {
        self.connections -= 1;
        let host = self.host(key);
        host.opening -= 1;
        std::mem::take(&mut host.queue).into()
    }

    /// The next call that waits for an endpoint and has a connection.
    pub(super) fn next(&mut self, plan: &PoolPlan, key: HostKey) -> Option<(u32, Admission)> {
        let crowded = self.active >= plan.requests_max;
        let host = self.host(key);
        if host.idle.is_empty() {
            return None;
        }
        let call = host.queue.pop_front()?;
        self.pending -= 1;
        Some((call, if crowded { Admission::Crowded } else { self.take(key) }))
    }

    /// A request on a connection is over, and the connection can carry another.
    pub(super) fn release(&mut self, plan: &PoolPlan, number: u32, connection: &Connection, now: Instant) {
        self.active -= 1;
        let host = self.host(connection.host);
        host.busy -= 1;
        host.idle.push((number, plan.closes_at(connection, now)));
    }

    /// A request is over that had no connection of its own.
    pub(super) fn release_shared(&mut self) {
        self.active -= 1;
    }

    /// A connection is closed that carried a request.
    pub(super) fn lose_busy(&mut self, key: HostKey) {
        self.active -= 1;
        self.connections -= 1;
        self.host(key).busy -= 1;
    }

    /// An idle connection is closed.
    pub(super) fn lose_idle(&mut self, key: HostKey, number: u32) {
        self.connections -= 1;
        self.host(key).idle.retain(|(known, _)| *known != number);
    }

    /// A call no longer waits.
    pub(super) fn give_up(&mut self, key: HostKey, call: u32) {
        self.host(key).queue.retain(|waiting| *waiting != call);
        self.pending -= 1;
    }

    /// Whether one more retry is allowed; it is counted until it ends. The request that failed still
    /// counts as active or waiting.
    pub(super) fn begin_retry(&mut self, plan: &PoolPlan) -> bool {
        let limit = match plan.retries {
            RetryLimit::Fixed(limit) => u64::from(limit),
            RetryLimit::Budget { per_million, least } => {
                ((u64::from(self.active) + u64::from(self.pending)) * per_million / 1_000_000).max(u64::from(least))
            }
        };
        let allowed = u64::from(self.retries) < limit;
        self.retries += u32::from(allowed);
        allowed
    }

    pub(super) fn end_retry(&mut self) {
        self.retries -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::GroupId;

    const HOST: HostKey = HostKey { place: 7, worker: 0 };

    fn plan(connections: u32, pending: u32, requests: u32) -> PoolPlan {
        PoolPlan {
            connections_max: connections,
            pending_max: pending,
            requests_max: requests,
            retries: RetryLimit::Fixed(1),
            multiplexed: false,
            requests_per_connection: 0,
            idle_max: None,
            life_max: None,
            connect_timeout: Duration::from_secs(10),
        }
    }

    fn connection(host: HostKey) -> Connection {
        let request = RequestId { group: GroupId(0), number: 1, counted: true };
        Connection {
            pod: 0,
            target: 0,
            host,
            request,
            state: ConnectionState::Opening,
            carried: 0,
            opened_at: Instant::ZERO,
            timer: TimerId::NONE,
        }
    }

    fn connect(pool: &mut Pool, plan: &PoolPlan, host: HostKey, number: u32) {
        assert!(pool.wants_connection(plan, host));
        pool.begin_connecting(host);
        pool.connected(plan, number, &connection(host), Instant::ZERO);
    }

    #[test]
    fn one_connection_and_one_place_to_wait_refuse_the_third() {
        let (plan, mut pool) = (plan(1, 1, u32::MAX), Pool::default());
        assert_eq!(pool.admit(&plan, HOST, 0), Admission::Wait);
        connect(&mut pool, &plan, HOST, 40);
        assert_eq!(pool.next(&plan, HOST), Some((0, Admission::Go(Some(40)))));
        assert_eq!([1, 2].map(|call| pool.admit(&plan, HOST, call)), [Admission::Wait, Admission::Full]);
        assert!(!pool.wants_connection(&plan, HOST), "the limit is reached");
        pool.release(&plan, 40, &connection(HOST), Instant::ZERO);
        assert_eq!(pool.next(&plan, HOST), Some((1, Admission::Go(Some(40)))));
        assert_eq!(pool.next(&plan, HOST), None);
    }

    #[test]
    fn every_endpoint_may_have_one_connection() {
        let (plan, mut pool) = (plan(1, 9, u32::MAX), Pool::default());
        for (number, place) in [(40, 7), (41, 8)] {
            let host = HostKey { place, worker: 0 };
            assert_eq!(pool.admit(&plan, host, number), Admission::Wait);
            connect(&mut pool, &plan, host, number);
            assert_eq!(pool.next(&plan, host), Some((number, Admission::Go(Some(number)))));
        }
        assert_eq!(pool.admit(&plan, HOST, 2), Admission::Wait);
        assert!(!pool.wants_connection(&plan, HOST));
    }

    #[test]
    fn waiting_requests_are_not_active_and_may_be_refused_when_their_turn_comes() {
        let (plan, mut pool) = (plan(9, 5, 1), Pool::default());
        assert_eq!([0, 1].map(|call| pool.admit(&plan, HOST, call)), [Admission::Wait; 2]);
        [40, 41].into_iter().for_each(|number| connect(&mut pool, &plan, HOST, number));
        assert_eq!(pool.next(&plan, HOST), Some((0, Admission::Go(Some(41)))));
        assert_eq!(pool.next(&plan, HOST), Some((1, Admission::Crowded)));
        pool.lose_busy(HOST);
        assert_eq!(pool.admit(&plan, HOST, 2), Admission::Go(Some(40)));
    }

    #[test]
    fn a_failed_attempt_takes_everybody_with_it_who_waits() {
        let (plan, mut pool) = (plan(9, 5, 9), Pool::default());
        for call in [0, 1] {
            assert_eq!(pool.admit(&plan, HOST, call), Admission::Wait);
            assert!(pool.wants_connection(&plan, HOST));
            pool.begin_connecting(HOST);
        }
        assert_eq!(pool.failed(HOST), [0, 1]);
        [0, 1].into_iter().for_each(|call| pool.give_up(HOST, call));
        assert_eq!(pool.admit(&plan, HOST, 2), Admission::Wait);
        assert!(!pool.wants_connection(&plan, HOST), "the other attempt is still under way");
    }

    #[test]
    fn retries_have_a_limit_of_their_own_or_a_budget() {
        let (mut plan, mut pool) = (plan(1, 1, 1), Pool::default());
        assert_eq!([pool.begin_retry(&plan), pool.begin_retry(&plan)], [true, false]);
        pool.end_retry();
        pool.active = 9;
        plan.retries = RetryLimit::Budget { per_million: 250_000, least: 1 };
        assert_eq!([0, 1, 2].map(|_| pool.begin_retry(&plan)), [true, true, false], "a quarter of nine is two");
    }

    #[test]
    fn idle_connections_close_when_their_time_is_over() {
        let (mut plan, mut pool) = (plan(1, 1, 1), Pool::default());
        plan.idle_max = Some(Duration::from_secs(1));
        assert_eq!(pool.admit(&plan, HOST, 0), Admission::Wait);
        connect(&mut pool, &plan, HOST, 40);
        assert!(pool.sweep(&plan, Instant::from_nanos(999_999_999)).is_empty());
        assert_eq!(pool.sweep(&plan, Instant::from_nanos(1_000_000_000)).as_slice(), [40]);
    }
}
