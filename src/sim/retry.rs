//! Retry policies as the engine asks them (Envoy: `RetryStateImpl`).

use super::queue::LaneId;
use crate::draw::below;
use crate::mesh::route::RetryPolicy;
use crate::time::Duration;

/// Envoy's default base interval.
const BASE: Duration = Duration::from_millis(25);

/// Envoy's longest interval, in base intervals.
const INTERVALS_MAX: u64 = 10;

/// The conditions of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Conditions {
    server_errors: bool,
    gateway_errors: bool,
    conflict: bool,
    codes: bool,
    resets: bool,
    connect_failures: bool,
}

/// A retry policy.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RetryPlan {
    on: Conditions,
    codes: Vec<u16>,
    /// Retries after the first try.
    pub(super) attempts: u32,
    /// Timeout of each try; none if the route's timeout is not longer (it would always fire first).
    pub(super) per_try: Option<LaneId>,
    /// How often a host is picked anew to avoid tried ones; `None` if they are not avoided.
    pub(super) avoid_tried: Option<u32>,
    base: Duration,
}

impl RetryPlan {
    pub(super) fn of(policy: &RetryPolicy, per_try: Option<LaneId>) -> RetryPlan {
        let mut on = Conditions::default();
        for token in policy.on.split(',').map(str::trim) {
            match token {
                "5xx" => (on.server_errors, on.resets, on.connect_failures) = (true, true, true),
                "gateway-error" => (on.gateway_errors, on.resets, on.connect_failures) = (true, true, true),
                "reset" => (on.resets, on.connect_failures) = (true, true),
                "connect-failure" => on.connect_failures = true,
                "retriable-4xx" => on.conflict = true,
                "retriable-status-codes" => on.codes = true,
                // What is left needs gRPC trailers, HTTP/2 resets or response headers, none of which
                // an application here has.
                _ => {}
            }
        }
        RetryPlan {
            on,
            codes: policy.codes.clone(),
            attempts: policy.attempts,
            per_try,
            avoid_tried: policy.avoids_tried_hosts.then_some(policy.host_picks_max),
            base: policy.back_off_base.unwrap_or(BASE),
        }
    }

    /// Whether an answer with this status is retried.
    pub(super) fn on_status(&self, status: u16) -> bool {
        (self.on.server_errors && (500..600).contains(&status))
            || (self.on.gateway_errors && (502..=504).contains(&status))
            || (self.on.conflict && status == 409)
            || (self.on.codes && self.codes.contains(&status))
    }

    /// Whether a connection that could not be made is retried.
    pub(super) fn on_connect_failure(&self) -> bool {
        self.on.connect_failures
    }

    /// Whether a try is retried that timed out or was closed: to the policy both are resets.
    pub(super) fn on_reset(&self) -> bool {
        self.on.resets
    }

    /// The pause before retry `nth` (from 0), for a uniform `value`: full jitter below an interval
    /// that doubles, in whole milliseconds as Envoy's timers count.
    pub(super) fn back_off(&self, nth: u32, value: u64) -> Duration {
        let longest = self.base.times(INTERVALS_MAX);
        let interval = self.base.times(1_u64.checked_shl(nth).unwrap_or(u64::MAX)).min(longest);
        Duration::from_millis(below(value, interval.millis().max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(on: &str, codes: &[u16]) -> RetryPlan {
        let policy = RetryPolicy {
            on: on.to_owned(),
            codes: codes.to_vec(),
            attempts: 2,
            per_try_timeout: None,
            avoids_tried_hosts: true,
            host_picks_max: 5,
            retry_remote_localities: false,
            back_off_base: None,
        };
        RetryPlan::of(&policy, None)
    }

    /// The table measured on Envoy 1.40.
    #[test]
    fn each_condition_covers_what_it_covers_in_envoy() {
        let istio = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
        for (on, codes, statuses, connect, timeout) in [
            (istio, &[503][..], &[503][..], true, false),
            (istio, &[], &[], true, false),
            ("5xx", &[], &[500, 502, 503, 504], true, true),
            ("gateway-error", &[], &[502, 503, 504], true, true),
            ("reset", &[], &[], true, true),
            ("connect-failure", &[], &[], true, false),
            ("retriable-4xx", &[], &[409], false, false),
            ("retriable-status-codes", &[429], &[429], false, false),
            ("refused-stream", &[], &[], false, false),
        ] {
            let plan = plan(on, codes);
            let retried: Vec<u16> =
                [200, 404, 409, 429, 500, 502, 503, 504].into_iter().filter(|status| plan.on_status(*status)).collect();
            assert_eq!(retried, statuses, "{on}");
            assert_eq!((plan.on_connect_failure(), plan.on_reset()), (connect, timeout), "{on}");
        }
    }

    #[test]
    fn the_back_off_doubles_up_to_ten_times_its_base() {
        let plan = plan("5xx", &[]);
        let longest: Vec<u64> = (0..6).map(|nth| (0..1_000).map(|v| plan.back_off(nth, v).millis()).max().unwrap()).collect();
        assert_eq!(longest, [24, 49, 99, 199, 249, 249]);
        assert_eq!(plan.back_off(200, 249), Duration::from_millis(249));
    }
}
