//! Retry policies as the engine asks them (Envoy: `RetryStateImpl`).

use super::frame::Denial;
use super::queue::LaneId;
use crate::draw::below;
use crate::mesh::route::RetryPolicy;
use crate::time::Duration;
use crate::workload::Action;

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
    /// Whether an answer is retried that says that it was refused to limit a rate.
    limited_rates: bool,
    /// Values of `grpc-status`, as bits.
    grpc: u32,
}

/// How a try comes to nothing, as far as policies tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// There was no connection, so that the request was never sent.
    Connect,
    /// The connection ended, or the proxy ended the try.
    Reset,
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
                // A request that was never sent.
                "connect-failure" | "reset-before-request" => on.connect_failures = true,
                "envoy-ratelimited" => on.limited_rates = true,
                "cancelled" => on.grpc |= 1 << 1,
                "deadline-exceeded" => on.grpc |= 1 << 4,
                "resource-exhausted" => on.grpc |= 1 << 8,
                "internal" => on.grpc |= 1 << 13,
                "unavailable" => on.grpc |= 1 << 14,
                "retriable-4xx" => on.conflict = true,
                "retriable-status-codes" => on.codes = true,
                // What is left needs streams of HTTP/2 or 3 that are refused, or names of headers
                // that no object of the mesh can give.
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

    /// Whether an answer is retried, given its headers.
    pub(super) fn on_answer(&self, status: u16, answer: &Action) -> bool {
        if answer.header("x-envoy-ratelimited").is_some() {
            return self.on.limited_rates;
        }
        self.on_status(status) || answer.grpc_status().is_some_and(|code| self.on_grpc(code))
    }

    /// Whether an answer is retried that turns the request away.
    pub(super) fn on_denial(&self, denial: &Denial) -> bool {
        if denial.says_limited {
            return self.on.limited_rates;
        }
        self.on_status(denial.status) || denial.grpc.is_some_and(|code| self.on_grpc(code))
    }

    fn on_grpc(&self, code: u32) -> bool {
        code < 32 && self.on.grpc & (1 << code) != 0
    }

    /// Whether a try that came to nothing is retried. To a policy a timeout is a reset as well.
    pub(super) fn on_failure(&self, failure: Failure) -> bool {
        match failure {
            Failure::Connect => self.on.connect_failures,
            Failure::Reset => self.on.resets,
        }
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
            assert_eq!((plan.on_failure(Failure::Connect), plan.on_failure(Failure::Reset)), (connect, timeout), "{on}");
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
