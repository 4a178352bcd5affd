//! Outlier detection: a proxy stops using endpoints that answered badly several times in a row
//! (Envoy: `outlier_detection_impl.cc`). Endpoints are ejected at once and return at ticks of the
//! interval, counted from the start of the run.

use crate::mesh::Profile;
use crate::mesh::cluster::OutlierPolicy;
use crate::time::{Duration, Instant};

/// No ejection lasts longer, unless the base time does.
const EJECTION_MAX: Duration = Duration::from_secs(300);

/// The detectors of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OutlierPlan {
    /// Consecutive errors that eject; 0 is never.
    server_errors: u32,
    gateway_errors: u32,
    local_errors: u32,
    /// Whether errors without an answer have a count of their own.
    splits_local: bool,
    interval: Duration,
    base: Duration,
    percent_max: u32,
    always_one: bool,
    /// Healthy share in percent below which all endpoints are used.
    pub(super) panic_percent: u32,
}

/// What a try tells about its endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// It has a connection.
    Connected,
    /// It answered.
    Status(u16),
    /// There was no connection, or it broke.
    Broken,
    /// It took too long.
    Late,
}

/// What one proxy knows of the endpoints of one cluster.
#[derive(Debug, Clone, Default)]
pub(super) struct Watch {
    hosts: Vec<HostWatch>,
    /// Pods that are ejected, in ascending order.
    ejected: Vec<Ejection>,
    /// Pods that balancers leave out: those that were ejected when they were told last.
    known: Vec<u32>,
    /// What balancers were told, by priority.
    news: Vec<News>,
    /// Decides which of several hosts returns first at one tick: proxies keep hosts in no order.
    order: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ejection {
    pod: u32,
    priority: u32,
    until: Instant,
}

/// Balancers learn of changes of health within one priority at once, unless they were told of another
/// change less than a [merge window](MERGE_WINDOW) ago: then all further changes are told together, a
/// window after the first of them (Envoy: `ClusterManagerImpl::scheduleUpdate`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct News {
    priority: u32,
    told_at: Option<Instant>,
    due: Option<Instant>,
}

/// Spreads the bits of a number (the golden ratio, as in Fibonacci hashing).
const ODD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Envoy's default `update_merge_window`.
const MERGE_WINDOW: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Default)]
struct HostWatch {
    pod: u32,
    priority: u32,
    server_errors: u32,
    gateway_errors: u32,
    local_errors: u32,
    /// How many base times the next ejection lasts, less one.
    multiplier: u64,
    returned_at: Option<Instant>,
}

impl OutlierPlan {
    pub(super) fn of(policy: &OutlierPolicy, panic_percent: Option<u32>, profile: &Profile) -> OutlierPlan {
        OutlierPlan {
            server_errors: policy.consecutive_5xx.unwrap_or(5),
            gateway_errors: policy.consecutive_gateway.unwrap_or(0),
            local_errors: if policy.split_local_origin { policy.consecutive_local_origin.unwrap_or(5) } else { 0 },
            splits_local: policy.split_local_origin,
            interval: policy.interval.unwrap_or(Duration::from_secs(10)),
            base: policy.base_ejection_time.unwrap_or(Duration::from_secs(30)),
            percent_max: policy.max_ejection_percent.unwrap_or(10),
            always_one: profile.always_eject_one,
            panic_percent: panic_percent.unwrap_or(50),
        }
    }

    fn ticks(&self, at: Instant) -> u64 {
        at.nanos() / self.interval.nanos().max(1)
    }

    /// The first tick at or after an instant.
    fn tick_from(&self, at: Instant) -> Instant {
        let interval = self.interval.nanos().max(1);
        Instant::from_nanos(at.nanos().div_ceil(interval).saturating_mul(interval))
    }
}

impl Watch {
    /// Takes a random number for what is left to chance, once.
    pub(super) fn shuffle(&mut self, draw: impl FnOnce() -> u64) {
        self.order.get_or_insert_with(draw);
    }

    /// Pods that balancers leave out now, in ascending order.
    pub(super) fn known_ejected(&mut self, now: Instant) -> &[u32] {
        self.catch_up(now);
        &self.known
    }

    /// Acts out what was due up to now, in the order in which it was due.
    fn catch_up(&mut self, now: Instant) {
        loop {
            let turn = |pod: u32| (self.order.unwrap_or(0) ^ u64::from(pod)).wrapping_mul(ODD);
            let ejected = self.ejected.iter().enumerate();
            let returning = ejected.map(|(at, ejection)| (ejection.until, turn(ejection.pod), at)).min();
            let telling = self.news.iter().enumerate().filter_map(|(at, news)| Some((news.due?, at))).min();
            match (returning.filter(|(at, ..)| *at <= now), telling.filter(|(at, _)| *at <= now)) {
                (None, None) => return,
                (Some((at, _, index)), told) if told.is_none_or(|(due, _)| at <= due) => {
                    let Ejection { pod, priority, .. } = self.ejected.remove(index);
                    if let Some(host) = self.hosts.iter_mut().find(|host| host.pod == pod) {
                        host.forget();
                        host.returned_at = Some(at);
                    }
                    self.changed(priority, at);
                }
                (_, Some((due, index))) => {
                    self.news[index].due = None;
                    self.tell(index, due);
                }
                (Some(_), None) => return,
            }
        }
    }

    /// The health of an endpoint has changed.
    fn changed(&mut self, priority: u32, at: Instant) {
        let known = self.news.iter().position(|news| news.priority == priority);
        let index = known.unwrap_or_else(|| {
            self.news.push(News { priority, told_at: None, due: None });
            self.news.len() - 1
        });
        let news = self.news[index];
        // Envoy compares whole milliseconds.
        if news.told_at.is_none_or(|told_at| at.since(told_at).millis() > MERGE_WINDOW.millis()) {
            self.news[index].due = None;
            self.tell(index, at);
        } else if news.due.is_none() {
            self.news[index].due = Some(at + MERGE_WINDOW);
        }
    }

    /// Balancers learn who is ejected in a priority.
    fn tell(&mut self, index: usize, at: Instant) {
        let priority = self.news[index].priority;
        self.news[index].told_at = Some(at);
        let is_of_it = |pod: &u32| self.hosts.iter().any(|host| host.pod == *pod && host.priority == priority);
        let mut known: Vec<u32> = self.known.iter().copied().filter(|pod| !is_of_it(pod)).collect();
        known.extend(self.ejected.iter().filter(|ejection| ejection.priority == priority).map(|ejection| ejection.pod));
        known.sort_unstable();
        self.known = known;
    }

    /// Learns from a try at a pod; whether that ejects it. `hosts` is how many endpoints the cluster
    /// has in all.
    pub(super) fn learn(&mut self, plan: &OutlierPlan, pod: u32, priority: u32, sign: Sign, hosts: usize, now: Instant) -> bool {
        self.catch_up(now);
        let place = self.ejected.binary_search_by_key(&pod, |ejection| ejection.pod);
        let at = self.hosts.iter().position(|host| host.pod == pod);
        let at = at.unwrap_or_else(|| {
            self.hosts.push(HostWatch { pod, priority, ..HostWatch::default() });
            self.hosts.len() - 1
        });
        let mut ejects = false;
        for detector in self.hosts[at].counts(plan, sign).into_iter().flatten() {
            if place.is_ok() {
                continue;
            }
            // Another full row of errors is needed, whether the endpoint is ejected or not.
            *self.hosts[at].count(detector) = 0;
            let within_percent = 100 * (self.ejected.len() + 1) <= plan.percent_max as usize * hosts;
            ejects |= within_percent || plan.always_one && self.ejected.is_empty();
        }
        let (true, Err(place)) = (ejects, place) else { return false };
        let longest = plan.base.max(EJECTION_MAX);
        let lasts = plan.base.times(self.hosts[at].grow(plan, now)).min(longest);
        self.ejected.insert(place, Ejection { pod, priority, until: plan.tick_from(now + lasts) });
        self.changed(priority, now);
        true
    }
}

/// A row of errors that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detector {
    Server,
    Gateway,
    Local,
}

impl HostWatch {
    fn count(&mut self, detector: Detector) -> &mut u32 {
        match detector {
            Detector::Server => &mut self.server_errors,
            Detector::Gateway => &mut self.gateway_errors,
            Detector::Local => &mut self.local_errors,
        }
    }

    /// Counts a sign; the rows of errors that it completes.
    fn counts(&mut self, plan: &OutlierPlan, sign: Sign) -> [Option<Detector>; 2] {
        let status = match (sign, plan.splits_local) {
            (Sign::Connected, true) => {
                self.local_errors = 0;
                return [None; 2];
            }
            (Sign::Broken | Sign::Late, true) => {
                self.local_errors += 1;
                return [(self.local_errors == plan.local_errors).then_some(Detector::Local), None];
            }
            (Sign::Connected, false) => return [None; 2],
            (Sign::Status(status), _) => status,
            (Sign::Broken, false) => 503,
            (Sign::Late, false) => 504,
        };
        if !(500..600).contains(&status) {
            (self.server_errors, self.gateway_errors) = (0, 0);
            return [None; 2];
        }
        self.server_errors += 1;
        self.gateway_errors = if (502..=504).contains(&status) { self.gateway_errors + 1 } else { 0 };
        let gateway = self.gateway_errors > 0 && self.gateway_errors == plan.gateway_errors;
        let server = self.server_errors == plan.server_errors;
        [gateway.then_some(Detector::Gateway), server.then_some(Detector::Server)]
    }

    fn forget(&mut self) {
        (self.server_errors, self.gateway_errors, self.local_errors) = (0, 0, 0);
    }

    /// The multiplier of an ejection that begins now: one more than the last, less one for each tick
    /// at which the endpoint had been back for an interval.
    fn grow(&mut self, plan: &OutlierPlan, now: Instant) -> u64 {
        if let Some(returned_at) = self.returned_at {
            let calm = plan.ticks(now).saturating_sub(plan.ticks(returned_at));
            self.multiplier = self.multiplier.saturating_sub(calm);
        }
        let longest = plan.base.max(EJECTION_MAX).nanos();
        if self.multiplier.saturating_mul(plan.base.nanos()) < longest.saturating_add(plan.base.nanos()) {
            self.multiplier += 1;
        }
        self.multiplier
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(server_errors: u32, percent_max: u32, always_one: bool) -> OutlierPlan {
        OutlierPlan {
            server_errors,
            gateway_errors: 0,
            local_errors: 0,
            splits_local: false,
            interval: Duration::from_secs(10),
            base: Duration::from_secs(30),
            percent_max,
            always_one,
            panic_percent: 0,
        }
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    /// When the pod comes back, if it is ejected.
    fn returns(watch: &mut Watch, plan: &OutlierPlan, now: u64) -> Option<u64> {
        watch.learn(plan, 7, 0, Sign::Status(500), 1, at(now)).then(|| watch.ejected[0].until.nanos() / 1_000_000_000)
    }

    #[test]
    fn errors_in_a_row_eject_and_a_success_between_them_does_not() {
        let (plan, mut watch) = (plan(2, 100, false), Watch::default());
        for (status, ejected) in [(500, false), (200, false), (503, false), (500, true)] {
            assert_eq!(watch.learn(&plan, 7, 0, Sign::Status(status), 2, at(3)), ejected, "{status}");
        }
        assert_eq!(watch.known_ejected(at(39)), [7]);
        assert!(watch.known_ejected(at(40)).is_empty(), "33 s, and on to the next tick");
    }

    #[test]
    fn ten_percent_of_a_small_cluster_is_nobody_since_envoy_1_28() {
        for (always_one, ejected) in [(false, [false, false]), (true, [true, false])] {
            let (plan, mut watch) = (plan(1, 10, always_one), Watch::default());
            let signs = [(7, Sign::Broken), (8, Sign::Late)];
            assert_eq!(signs.map(|(pod, sign)| watch.learn(&plan, pod, 0, sign, 3, at(0))), ejected);
        }
    }

    #[test]
    fn ejections_grow_while_they_repeat_and_shrink_in_quiet_times() {
        let (plan, mut watch) = (plan(1, 100, false), Watch::default());
        assert_eq!(returns(&mut watch, &plan, 0), Some(30));
        assert_eq!(returns(&mut watch, &plan, 31), Some(100), "two base times, and on to the next tick");
        assert_eq!(returns(&mut watch, &plan, 125), Some(160), "two ticks of peace take two away");
    }

    #[test]
    fn broken_connections_may_have_a_count_of_their_own() {
        let mut plan = plan(1, 100, false);
        (plan.splits_local, plan.local_errors) = (true, 2);
        let mut watch = Watch::default();
        assert!(!watch.learn(&plan, 7, 0, Sign::Broken, 1, at(0)));
        assert!(watch.learn(&plan, 7, 0, Sign::Broken, 1, at(0)));
    }
    #[test]
    fn a_connection_clears_the_local_count_and_answers_do_not_touch_it() {
        let mut plan = plan(9, 100, false);
        (plan.splits_local, plan.local_errors) = (true, 2);
        let mut watch = Watch::default();
        let signs = [Sign::Broken, Sign::Connected, Sign::Broken, Sign::Status(200), Sign::Broken];
        assert_eq!(signs.map(|sign| watch.learn(&plan, 7, 0, sign, 1, at(0))), [false, false, false, false, true]);
    }

    #[test]
    fn changes_within_a_second_are_told_together_a_second_later() {
        let (plan, mut watch) = (plan(1, 100, false), Watch::default());
        let after = |millis| Instant::ZERO + Duration::from_millis(millis);
        for (pod, millis) in [(7, 20), (8, 40), (9, 700)] {
            assert!(watch.learn(&plan, pod, 0, Sign::Status(500), 4, after(millis)));
        }
        for (millis, known) in [(700, &[7][..]), (1_039, &[7]), (1_040, &[7, 8, 9])] {
            assert_eq!(watch.known_ejected(after(millis)), known, "{millis}");
        }
    }

    #[test]
    fn hosts_that_return_at_one_tick_are_seen_one_after_the_other() {
        let (plan, mut watch) = (plan(1, 100, false), Watch::default());
        assert!(watch.learn(&plan, 7, 0, Sign::Status(500), 2, at(1)));
        assert!(watch.learn(&plan, 8, 0, Sign::Status(500), 2, at(5)));
        assert_eq!(watch.known_ejected(at(39)), [7, 8]);
        assert_eq!(watch.known_ejected(at(40)), [8]);
        assert!(watch.known_ejected(at(41)).is_empty());
    }
}
