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
    ejected: Vec<u32>,
    /// When they return, in the same order.
    until: Vec<Instant>,
}

#[derive(Debug, Clone, Default)]
struct HostWatch {
    pod: u32,
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
    /// Pods that are ejected now, in ascending order.
    pub(super) fn ejected(&mut self, now: Instant) -> &[u32] {
        while let Some(over) = self.until.iter().position(|until| *until <= now) {
            let (pod, returned_at) = (self.ejected.remove(over), self.until.remove(over));
            if let Some(host) = self.hosts.iter_mut().find(|host| host.pod == pod) {
                host.forget();
                host.returned_at = Some(returned_at);
            }
        }
        &self.ejected
    }

    /// Learns from a try at a pod; whether that ejects it. `hosts` is how many endpoints the cluster
    /// has in all.
    pub(super) fn learn(&mut self, plan: &OutlierPlan, pod: u32, sign: Sign, hosts: usize, now: Instant) -> bool {
        let place = self.ejected(now).binary_search(&pod);
        let at = self.hosts.iter().position(|host| host.pod == pod);
        let at = at.unwrap_or_else(|| {
            self.hosts.push(HostWatch { pod, ..HostWatch::default() });
            self.hosts.len() - 1
        });
        let (true, Err(place)) = (self.hosts[at].counts(plan, sign), place) else { return false };
        let within_percent = 100 * (self.ejected.len() + 1) <= plan.percent_max as usize * hosts;
        let allowed = within_percent || plan.always_one && self.ejected.is_empty();
        if !allowed {
            // Another full row of errors is needed.
            self.hosts[at].forget();
            return false;
        }
        let longest = plan.base.max(EJECTION_MAX);
        let lasts = plan.base.times(self.hosts[at].grow(plan, now)).min(longest);
        self.ejected.insert(place, pod);
        self.until.insert(place, plan.tick_from(now + lasts));
        true
    }
}

impl HostWatch {
    /// Counts a sign; whether it completes a row that ejects.
    fn counts(&mut self, plan: &OutlierPlan, sign: Sign) -> bool {
        if plan.splits_local {
            match sign {
                Sign::Status(_) => self.local_errors = 0,
                Sign::Broken | Sign::Late => {
                    self.local_errors += 1;
                    return self.local_errors == plan.local_errors;
                }
            }
        }
        let status = match sign {
            Sign::Status(status) => status,
            Sign::Broken => 503,
            Sign::Late => 504,
        };
        if !(500..600).contains(&status) {
            self.forget();
            return false;
        }
        self.server_errors += 1;
        self.gateway_errors = if (502..=504).contains(&status) { self.gateway_errors + 1 } else { 0 };
        self.server_errors == plan.server_errors || self.gateway_errors == plan.gateway_errors && self.gateway_errors > 0
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
        watch.learn(plan, 7, Sign::Status(500), 1, at(now)).then(|| watch.until[0].nanos() / 1_000_000_000)
    }

    #[test]
    fn errors_in_a_row_eject_and_a_success_between_them_does_not() {
        let (plan, mut watch) = (plan(2, 100, false), Watch::default());
        for (status, ejected) in [(500, false), (200, false), (503, false), (500, true)] {
            assert_eq!(watch.learn(&plan, 7, Sign::Status(status), 2, at(3)), ejected, "{status}");
        }
        assert_eq!(watch.ejected(at(39)), [7]);
        assert!(watch.ejected(at(40)).is_empty(), "33 s, and on to the next tick");
    }

    #[test]
    fn ten_percent_of_a_small_cluster_is_nobody_since_envoy_1_28() {
        for (always_one, ejected) in [(false, [false, false]), (true, [true, false])] {
            let (plan, mut watch) = (plan(1, 10, always_one), Watch::default());
            let signs = [(7, Sign::Broken), (8, Sign::Late)];
            assert_eq!(signs.map(|(pod, sign)| watch.learn(&plan, pod, sign, 3, at(0))), ejected);
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
        assert!(!watch.learn(&plan, 7, Sign::Broken, 1, at(0)));
        assert!(watch.learn(&plan, 7, Sign::Broken, 1, at(0)));
    }
}
