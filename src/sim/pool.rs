//! Connection pools with their circuit breakers: how many connections, waiting requests, active
//! requests and retries one proxy allows itself towards one cluster (Envoy: `ConnPoolImplBase`,
//! `ResourceManagerImpl`). Making a connection takes no time here.

use std::collections::VecDeque;

use crate::mesh::cluster::{Cluster, UpstreamProtocol};

/// The limits of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Breakers {
    connections_max: u32,
    pending_max: u32,
    requests_max: u32,
    retries_max: u32,
    /// Whether one connection carries any number of requests (HTTP/2).
    multiplexed: bool,
    /// Whether a connection is closed after one request.
    single_use: bool,
}

/// What becomes of a request at the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is sent.
    Go,
    /// It waits for a connection.
    Wait,
    /// A circuit breaker refuses it.
    Overflow,
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

/// The connections to one endpoint.
#[derive(Debug, Clone, Default)]
struct HostPool {
    pod: u32,
    open: u32,
    busy: u32,
    /// Calls that wait, first come first served.
    queue: VecDeque<u32>,
}

impl Breakers {
    /// The limits of a cluster; `None` if it has none.
    pub(super) fn of(cluster: &Cluster) -> Option<Breakers> {
        let limits = cluster.limits;
        let all = [limits.connections_max, limits.pending_max, limits.requests_max, limits.retries_max];
        all.iter().any(|limit| *limit != u32::MAX).then_some(Breakers {
            connections_max: limits.connections_max,
            pending_max: limits.pending_max,
            requests_max: limits.requests_max,
            retries_max: limits.retries_max,
            multiplexed: cluster.connection.protocol == UpstreamProtocol::Http2,
            single_use: cluster.connection.requests_per_connection_max == 1,
        })
    }
}

impl Pool {
    fn host(&mut self, pod: u32) -> usize {
        let known = self.hosts.iter().position(|host| host.pod == pod);
        known.unwrap_or_else(|| {
            self.hosts.push(HostPool { pod, ..HostPool::default() });
            self.hosts.len() - 1
        })
    }

    /// A call wants to go to a pod.
    pub(super) fn admit(&mut self, limits: &Breakers, pod: u32, call: u32) -> Admission {
        let host = self.host(pod);
        if limits.multiplexed || self.connect(limits, host) {
            if self.active >= limits.requests_max {
                return Admission::Overflow;
            }
            self.take(host);
            return Admission::Go;
        }
        if self.pending >= limits.pending_max {
            return Admission::Overflow;
        }
        self.pending += 1;
        self.hosts[host].queue.push_back(call);
        Admission::Wait
    }

    /// Whether an endpoint has a connection to spare, opened now if that is allowed. An endpoint
    /// without any connection always gets one, whatever the limit says.
    fn connect(&mut self, limits: &Breakers, host: usize) -> bool {
        let own = &mut self.hosts[host];
        if own.open > own.busy {
            return true;
        }
        if self.connections >= limits.connections_max && own.open > 0 {
            return false;
        }
        own.open += 1;
        self.connections += 1;
        true
    }

    fn take(&mut self, host: usize) {
        self.active += 1;
        self.hosts[host].busy += 1;
    }

    /// A request at a pod is over. `reusable` says whether its connection is still good.
    pub(super) fn release(&mut self, limits: &Breakers, pod: u32, reusable: bool) {
        let host = self.host(pod);
        self.active -= 1;
        self.hosts[host].busy -= 1;
        if !limits.multiplexed && (!reusable || limits.single_use) {
            self.hosts[host].open -= 1;
            self.connections -= 1;
        }
    }

    /// The next call that waits for a pod and can go, if there is one: whether it is sent, or
    /// refused at last because there are too many active requests.
    pub(super) fn next(&mut self, limits: &Breakers, pod: u32) -> Option<(u32, Admission)> {
        let host = self.host(pod);
        if self.hosts[host].queue.is_empty() || !self.connect(limits, host) {
            return None;
        }
        let call = self.hosts[host].queue.pop_front()?;
        self.pending -= 1;
        if self.active >= limits.requests_max {
            return Some((call, Admission::Overflow));
        }
        self.take(host);
        Some((call, Admission::Go))
    }

    /// A call no longer waits.
    pub(super) fn give_up(&mut self, pod: u32, call: u32) {
        let host = self.host(pod);
        let before = self.hosts[host].queue.len();
        self.hosts[host].queue.retain(|waiting| *waiting != call);
        self.pending -= (before - self.hosts[host].queue.len()) as u32;
    }

    /// Whether one more retry is allowed; it is counted until it ends.
    pub(super) fn begin_retry(&mut self, limits: &Breakers) -> bool {
        let allowed = self.retries < limits.retries_max;
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

    fn limits(connections: u32, pending: u32, requests: u32) -> Breakers {
        Breakers {
            connections_max: connections,
            pending_max: pending,
            requests_max: requests,
            retries_max: 1,
            multiplexed: false,
            single_use: false,
        }
    }

    #[test]
    fn one_connection_and_one_place_to_wait_refuse_the_third() {
        let (limits, mut pool) = (limits(1, 1, u32::MAX), Pool::default());
        let admitted = [0, 1, 2].map(|call| pool.admit(&limits, 7, call));
        assert_eq!(admitted, [Admission::Go, Admission::Wait, Admission::Overflow]);
        pool.release(&limits, 7, true);
        assert_eq!(pool.next(&limits, 7), Some((1, Admission::Go)));
        assert_eq!(pool.next(&limits, 7), None);
    }

    #[test]
    fn every_endpoint_may_have_one_connection() {
        let (limits, mut pool) = (limits(1, 0, u32::MAX), Pool::default());
        let admitted = [(7, 0), (8, 1), (7, 2)].map(|(pod, call)| pool.admit(&limits, pod, call));
        assert_eq!(admitted, [Admission::Go, Admission::Go, Admission::Overflow]);
    }

    #[test]
    fn waiting_requests_are_not_active_and_may_be_refused_when_their_turn_comes() {
        let (limits, mut pool) = (limits(1, 5, 1), Pool::default());
        assert_eq!(pool.admit(&limits, 7, 0), Admission::Go);
        assert_eq!(pool.admit(&limits, 7, 1), Admission::Wait);
        assert_eq!(pool.admit(&limits, 8, 2), Admission::Overflow, "another endpoint, and one request is active");
        pool.give_up(7, 1);
        pool.release(&limits, 7, false);
        assert_eq!(pool.next(&limits, 7), None);
        assert_eq!(pool.admit(&limits, 8, 3), Admission::Go);
    }

    #[test]
    fn retries_have_a_limit_of_their_own() {
        let (limits, mut pool) = (limits(1, 1, 1), Pool::default());
        assert!(pool.begin_retry(&limits));
        assert!(!pool.begin_retry(&limits));
        pool.end_retry();
        assert!(pool.begin_retry(&limits));
    }
}
