//! How a proxy picks an endpoint (Envoy: `RoundRobinLoadBalancer`, `LeastRequestLoadBalancer`,
//! `RandomLoadBalancer`, `EdfScheduler`). The state belongs to one proxy and one cluster, positions
//! also to one worker thread; it outlives changes of the endpoints.

use super::outlier::OutlierPlan;
use super::pool::Breakers;
use crate::draw::{Draw, Purpose, below};
use crate::mesh::cluster::TlsMode;

/// How an endpoint is picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    RoundRobin,
    LeastRequest,
    Random,
}

/// One endpoint of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    /// The pod, which is also the identity by which tried and busy endpoints are told apart.
    pub(super) pod: u32,
    pub(super) port: u16,
    pub(super) weight: u32,
    /// The TLS that the caller's proxy adds towards it.
    pub(super) tls: Option<TlsMode>,
}

impl Member {
    /// No endpoint yet.
    pub(super) const NOWHERE: Member = Member { pod: u32::MAX, port: 0, weight: 0, tls: None };
}

/// The endpoints that a cluster offers, and how one is picked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Target {
    pub(super) policy: Policy,
    /// The balancer state it uses: clusters of one name share it over time.
    pub(super) cluster: u32,
    pub(super) members: Vec<Member>,
    /// Whether members have different weights.
    pub(super) weighted: bool,
    /// Tells one set of endpoints from another.
    pub(super) number: u32,
    /// Circuit breakers, if there are any.
    pub(super) breakers: Option<Breakers>,
    /// Outlier detection, if there is any.
    pub(super) outlier: Option<OutlierPlan>,
    /// The priority of each member, where there are several.
    pub(super) priorities: Vec<u32>,
}

/// Deadlines of an earliest-deadline-first schedule are in these parts of a pick of weight one.
const TICK: u64 = 1 << 32;

/// Picks in proportion to weights.
#[derive(Debug, Clone)]
struct Schedule {
    /// The set of endpoints it was made for.
    target: u32,
    /// Deadline, order of insertion, and position, of each member.
    entries: Vec<(u64, u64, usize)>,
    inserted: u64,
}

/// The state of one cluster at one proxy.
#[derive(Debug, Clone, Default)]
pub(super) struct Balancer {
    /// The next position of each worker.
    next: Vec<Option<u64>>,
    /// Requests that are outstanding, by pod.
    busy: Vec<u32>,
    schedules: Vec<Option<Schedule>>,
}

/// Picks are drawn by try and re-pick; a request has fewer re-picks than this.
const PICKS_PER_TRY: u64 = 1 << 16;

/// What a pick is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pick {
    /// The call's draw.
    pub(super) draw: Draw,
    /// Number of the try, from 0.
    pub(super) attempt: u32,
    /// Number of the re-pick, from 0.
    pub(super) repick: u32,
    /// Worker thread.
    pub(super) worker: usize,
    /// Where a position starts that has not been used yet.
    pub(super) start: u64,
}

impl Pick {
    fn value(&self, nth: u64) -> u64 {
        let place = u64::from(self.attempt) * PICKS_PER_TRY + u64::from(self.repick) * 2 + nth;
        self.draw.nth(Purpose::Balance, place)
    }
}

impl Balancer {
    /// Picks a member; `None` if there are none.
    pub(super) fn pick(&mut self, target: &Target, pick: &Pick) -> Option<usize> {
        let count = target.members.len() as u64;
        let position = match (target.policy, count) {
            (_, 0) => return None,
            (Policy::Random, _) => below(pick.value(0), count) as usize,
            (_, _) if target.weighted => self.pick_weighted(target, pick),
            (Policy::RoundRobin, _) => self.pick_next(count, pick),
            (Policy::LeastRequest, 1) => 0,
            (Policy::LeastRequest, _) => self.pick_less_busy(target, count, pick),
        };
        Some(position)
    }

    fn pick_next(&mut self, count: u64, pick: &Pick) -> usize {
        let next = slot(&mut self.next, pick.worker).get_or_insert(pick.start);
        let position = *next % count;
        *next = next.wrapping_add(1);
        position as usize
    }

    /// Two draws with replacement; the first stays unless the second is strictly less busy.
    fn pick_less_busy(&self, target: &Target, count: u64, pick: &Pick) -> usize {
        let first = below(pick.value(0), count) as usize;
        let second = below(pick.value(1), count) as usize;
        let busy = |position: usize| self.busy_at(target.members[position].pod);
        if busy(second) < busy(first) { second } else { first }
    }

    fn pick_weighted(&mut self, target: &Target, pick: &Pick) -> usize {
        let busy = std::mem::take(&mut self.busy);
        // Least request divides a weight by the requests that are outstanding.
        let cost = |member: &Member| {
            let outstanding = match target.policy {
                Policy::LeastRequest => u64::from(busy.get(member.pod as usize).copied().unwrap_or(0)),
                Policy::RoundRobin | Policy::Random => 0,
            };
            TICK.saturating_mul(outstanding + 1) / u64::from(member.weight.max(1))
        };
        let schedule = slot(&mut self.schedules, pick.worker);
        if schedule.as_ref().is_none_or(|schedule| schedule.target != target.number) {
            let mut fresh = Schedule::new(target, cost);
            for _ in 0..below(pick.start, target.members.len() as u64) {
                fresh.pick(target, cost);
            }
            *schedule = Some(fresh);
        }
        let position = schedule.as_mut().map_or(0, |schedule| schedule.pick(target, cost));
        self.busy = busy;
        position
    }

    /// Whether the next pick of a worker asks where to start.
    pub(super) fn needs_start(&self, target: &Target, worker: usize) -> bool {
        match (target.weighted, target.policy) {
            (_, Policy::Random) | (false, Policy::LeastRequest) => false,
            (false, Policy::RoundRobin) => self.next.get(worker).copied().flatten().is_none(),
            (true, Policy::RoundRobin | Policy::LeastRequest) => {
                let schedule = self.schedules.get(worker).and_then(Option::as_ref);
                schedule.is_none_or(|schedule| schedule.target != target.number)
            }
        }
    }

    /// A request to a pod begins.
    pub(super) fn began(&mut self, pod: u32) {
        let index = pod as usize;
        if self.busy.len() <= index {
            self.busy.resize(index + 1, 0);
        }
        self.busy[index] += 1;
    }

    pub(super) fn ended(&mut self, pod: u32) {
        if let Some(busy) = self.busy.get_mut(pod as usize) {
            *busy = busy.saturating_sub(1);
        }
    }

    fn busy_at(&self, pod: u32) -> u32 {
        self.busy.get(pod as usize).copied().unwrap_or(0)
    }
}

fn slot<T: Default>(slots: &mut Vec<T>, index: usize) -> &mut T {
    if slots.len() <= index {
        slots.resize_with(index + 1, T::default);
    }
    &mut slots[index]
}

impl Schedule {
    fn new(target: &Target, cost: impl Fn(&Member) -> u64) -> Schedule {
        let entries = target.members.iter().enumerate().map(|(at, member)| (cost(member), at as u64, at)).collect();
        Schedule { target: target.number, entries, inserted: target.members.len() as u64 }
    }

    fn pick(&mut self, target: &Target, cost: impl Fn(&Member) -> u64) -> usize {
        let Some(earliest) = self.entries.iter_mut().min() else { return 0 };
        let (deadline, _, position) = *earliest;
        *earliest = (deadline.saturating_add(cost(&target.members[position])), self.inserted, position);
        self.inserted += 1;
        if deadline > u64::MAX / 2 {
            // Only differences matter.
            self.entries.iter_mut().for_each(|entry| entry.0 -= deadline);
        }
        position
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::KeyStream;

    fn target(policy: Policy, weights: &[u32]) -> Target {
        let members =
            weights.iter().enumerate().map(|(pod, weight)| Member { pod: pod as u32, port: 80, weight: *weight, tls: None });
        let weighted = weights.windows(2).any(|pair| pair[0] != pair[1]);
        Target {
            policy,
            cluster: 0,
            members: members.collect(),
            weighted,
            number: 0,
            breakers: None,
            outlier: None,
            priorities: Vec::new(),
        }
    }

    fn picks(target: &Target, balancer: &mut Balancer, number: u64, start: u64) -> Vec<usize> {
        let mut keys = KeyStream::new(1, 1);
        (0..number)
            .map(|index| {
                let pick = Pick { draw: keys.draw(index), attempt: 0, repick: 0, worker: 0, start };
                balancer.pick(target, &pick).unwrap()
            })
            .collect()
    }

    #[test]
    fn round_robin_is_a_strict_cycle_from_its_start_and_outlives_its_endpoints() {
        let mut balancer = Balancer::default();
        assert_eq!(picks(&target(Policy::RoundRobin, &[1, 1, 1]), &mut balancer, 5, 7), [1, 2, 0, 1, 2]);
        assert_eq!(picks(&target(Policy::RoundRobin, &[1, 1]), &mut balancer, 3, 0), [0, 1, 0]);
    }

    #[test]
    fn weighted_round_robin_has_envoys_period() {
        let picked = picks(&target(Policy::RoundRobin, &[3, 1, 1]), &mut Balancer::default(), 10, 0);
        assert_eq!(picked, [0, 0, 0, 1, 2, 0, 0, 0, 1, 2]);
    }

    #[test]
    fn least_request_draws_twice_and_prefers_the_less_busy() {
        let target = target(Policy::LeastRequest, &[1, 1]);
        let mut balancer = Balancer::default();
        balancer.began(0);
        let picked = picks(&target, &mut balancer, 4_000, 0);
        // Only both draws on the busy one leave it there: a quarter.
        let busy = picked.iter().filter(|position| **position == 0).count();
        assert!((900..1_100).contains(&busy), "{busy}");
        balancer.ended(0);
        let even = picks(&target, &mut balancer, 4_000, 0).iter().filter(|position| **position == 0).count();
        assert!((1_850..2_150).contains(&even), "{even}");
    }

    #[test]
    fn without_endpoints_nothing_is_picked() {
        let pick = Pick { draw: KeyStream::new(1, 1).draw(0), attempt: 0, repick: 0, worker: 0, start: 0 };
        assert_eq!(Balancer::default().pick(&target(Policy::Random, &[]), &pick), None);
    }
}
