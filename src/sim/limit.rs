//! Rate limits at work: the token buckets of each proxy, and the counters of the rate limit service,
//! which all proxies share.
//!
//! Asking the service takes no time here. Its windows begin at whole multiples of their length from
//! the start of the run.

use std::ops::RangeInclusive;
use std::sync::Arc;

use indexmap::IndexMap;
use rustc_hash::FxHashMap;

use super::call::End;
use super::engine::Engine;
use super::frame::Denial;
use crate::draw::{Draw, Purpose};
use crate::mesh::rate_limit::{ChainPlace, GlobalLimit, Limit, LocalLimit, ServiceLimit, TokenBucket};
use crate::mesh::route::PerMillion;
use crate::mesh::{Profile, Proxy};
use crate::record::{LocalBody, Recorder};
use crate::routing::limits::{LimitLevel, LimitPosition, MetLimit, limits_met};
use crate::routing::{Flag, Received, included};
use crate::time::Instant;

/// The limits that one kind of request meets on its way through a proxy, in the order of the filters.
pub(super) type Limits = Arc<[LimitPlan]>;

/// A limit, as one kind of request meets it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LimitPlan {
    pub(super) place: ChainPlace,
    rule: Rule,
    refusal: Refusal,
}

#[derive(Debug, Clone, PartialEq)]
enum Rule {
    /// A token from each of these buckets, in this order.
    Local { buckets: Vec<(u32, TokenBucket)>, enabled: PerMillion, enforced: PerMillion, continuous: bool },
    /// A place in the window of each of these counters.
    Global { counters: Vec<(u32, ServiceLimit)> },
    /// The service does not answer.
    Unanswered,
}

/// How a request is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    status: u16,
    flag: Flag,
    details: &'static str,
    body: LocalBody,
    /// What clients are told that speak gRPC; `None` if this one does not.
    grpc: Option<u32>,
    says_limited: bool,
}

impl Refusal {
    /// What the caller's proxy gets to see of it.
    pub(super) fn as_denial(&self) -> Denial {
        let status = if self.grpc.is_some() { 200 } else { self.status };
        let Refusal { grpc, says_limited, flag, details, .. } = *self;
        Denial { status, grpc, says_limited, flag: Some(flag), details }
    }
}

/// Who works limits out, once for each kind of request.
#[derive(Debug, Default)]
pub(super) struct LimitPlanner {
    /// Names of buckets and counters, by number.
    names: IndexMap<String, (), rustc_hash::FxBuildHasher>,
}

/// What is remembered of all limits.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    /// Buckets by pod and number.
    buckets: FxHashMap<(u32, u32), Level>,
    /// The window that a counter is in, and the requests in it.
    counters: FxHashMap<u32, (u64, u64)>,
}

/// What is in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Level {
    /// Tokens times the nanoseconds of the interval, so that parts of tokens are exact.
    parts: u128,
    /// Since when.
    at: Instant,
}

impl Level {
    /// What has come back by now.
    fn refill(&mut self, bucket: &TokenBucket, now: Instant, continuous: bool) {
        let interval = u128::from(bucket.interval.nanos());
        let since = u128::from(now.nanos().saturating_sub(self.at.nanos()));
        // Old releases put tokens back by a timer, at the end of each interval.
        let counted = if continuous { since } else { since - since % interval };
        self.at = Instant::from_nanos(self.at.nanos().saturating_add(counted as u64));
        let most = u128::from(bucket.most) * interval;
        self.parts = (self.parts + counted * u128::from(bucket.per_fill)).min(most);
    }

    fn take(&mut self, bucket: &TokenBucket) -> bool {
        let one = u128::from(bucket.interval.nanos());
        let left = self.parts.checked_sub(one);
        self.parts = left.unwrap_or(self.parts);
        left.is_some()
    }
}

/// Who is limited: a proxy's configuration, and the filter chain by which requests come.
#[derive(Debug, Clone)]
pub(super) struct Limited<'a> {
    pub(super) proxy: &'a Proxy,
    pub(super) profile: &'a Profile,
    pub(super) at: LimitPosition,
    /// Whether they come by mutual TLS: each filter chain has filters of its own.
    pub(super) mutual_tls: bool,
}

impl LimitPlanner {
    /// The limits that a request meets.
    pub(super) fn plan(&mut self, who: &Limited<'_>, request: &Received<'_>) -> Limits {
        let Some(limits) = &who.proxy.limits else { return Limits::from([]) };
        let met = limits_met(limits, &who.at, request);
        met.iter().map(|met| self.one(who, met, request)).collect()
    }

    fn one(&mut self, who: &Limited<'_>, met: &MetLimit<'_>, request: &Received<'_>) -> LimitPlan {
        let (rule, mut refusal) = match (&met.filter.limit, met.local) {
            (Limit::Global(limit), _) => self.global(who, met, limit),
            (Limit::Local(own), local) => self.local(who, met, local.unwrap_or(own)),
        };
        refusal.grpc = refusal.grpc.filter(|_| request.is_grpc());
        LimitPlan { place: met.filter.place, rule, refusal }
    }

    fn number(&mut self, name: String) -> u32 {
        self.names.insert_full(name, ()).0 as u32
    }

    fn local(&mut self, who: &Limited<'_>, met: &MetLimit<'_>, limit: &LocalLimit) -> (Rule, Refusal) {
        let chain = format!("{:?} {} {}", who.at.traffic, who.at.port, who.mutual_tls);
        let route = match met.level {
            LimitLevel::Filter => String::new(),
            LimitLevel::VirtualHost => format!("{:?}", who.at.virtual_host),
            LimitLevel::Route => format!("{:?} {:?}", who.at.virtual_host, who.at.route),
        };
        let span = met.origin.span;
        let mut number = |bucket: &TokenBucket, entries: &[(String, String)]| {
            (self.number(format!("{chain} {route} {span:?} {bucket:?} {entries:?}")), *bucket)
        };
        let matched = limit.matched(&met.descriptors);
        let mut buckets: Vec<(u32, TokenBucket)> = matched.map(|own| number(&own.bucket, &own.entries)).collect();
        // The scarcest first, in whole tokens for each second.
        let rate = |bucket: &TokenBucket| u64::from(bucket.per_fill) / (bucket.interval.millis() / 1_000).max(1);
        buckets.sort_by_key(|(_, bucket)| rate(bucket));
        buckets.extend(limit.default_bucket(!buckets.is_empty()).map(|bucket| number(bucket, &[])));
        let rule = Rule::Local {
            buckets,
            enabled: limit.enabled,
            enforced: limit.enforced,
            continuous: who.profile.continuous_token_buckets,
        };
        let refusal = Refusal {
            status: limit.status,
            flag: Flag::RateLimited,
            details: "local_rate_limited",
            body: LocalBody::Text("local_rate_limited"),
            grpc: Some(u32::from(limit.grpc_status)),
            says_limited: limit.headers.iter().any(|(name, _)| name == "x-envoy-ratelimited"),
        };
        (rule, refusal)
    }

    fn global(&mut self, who: &Limited<'_>, met: &MetLimit<'_>, limit: &GlobalLimit) -> (Rule, Refusal) {
        let refusal = Refusal {
            status: limit.status,
            flag: Flag::RateLimited,
            details: "request_rate_limited",
            body: LocalBody::None,
            grpc: Some(u32::from(limit.grpc_status)),
            says_limited: true,
        };
        if !limit.is_answered(&who.proxy.clusters) {
            let failed = Refusal {
                status: 500,
                flag: Flag::RateLimitServiceError,
                details: "rate_limiter_error",
                grpc: Some(2),
                says_limited: false,
                ..refusal
            };
            let rule = if limit.denies_on_failure { Rule::Unanswered } else { Rule::Global { counters: Vec::new() } };
            return (rule, failed);
        }
        let mut counters = Vec::new();
        for entries in &met.descriptors {
            if let Some(found) = limit.service.as_ref().and_then(|service| service.limit(entries)) {
                counters.push((self.number(format!("service {} {entries:?} {:?}", limit.domain, found.unit)), found));
            }
        }
        (Rule::Global { counters }, refusal)
    }
}

impl Limiter {
    /// Whether a request of a pod passes a limit. Buckets that nobody has touched are full, and were
    /// made at `made`.
    fn passes(&mut self, plan: &LimitPlan, pod: u32, now: Instant, made: Instant, draw: &dyn Fn(u64) -> u64) -> bool {
        let share = |share: PerMillion, nth: u64| match share {
            PerMillion(0) => false,
            PerMillion::ALL => true,
            share => included(share, draw(nth)),
        };
        match &plan.rule {
            Rule::Unanswered => false,
            Rule::Local { buckets, enabled, enforced, continuous } => {
                if !share(*enabled, 0) {
                    return true;
                }
                let mut take = |(number, bucket): &(u32, TokenBucket)| {
                    let full = u128::from(bucket.most) * u128::from(bucket.interval.nanos());
                    let level = self.buckets.entry((pod, *number)).or_insert(Level { parts: full, at: made });
                    level.refill(bucket, now, *continuous);
                    level.take(bucket)
                };
                buckets.iter().all(&mut take) || !share(*enforced, 1)
            }
            Rule::Global { counters } => {
                let mut passes = true;
                for (number, limit) in counters {
                    let Some(most) = limit.requests else { continue };
                    let window = now.nanos() / limit.unit.length().nanos();
                    let (last, count) = self.counters.entry(*number).or_default();
                    if *last != window {
                        (*last, *count) = (window, 0);
                    }
                    *count += 1;
                    passes &= *count <= u64::from(most);
                }
                passes
            }
        }
    }
}

impl<R: Recorder> Engine<'_, '_, R> {
    /// Asks the limits at some places of a pod's filter chain; the first that is reached turns the
    /// request away.
    pub(super) fn limited(
        &mut self,
        pod: u32,
        limits: &Limits,
        places: RangeInclusive<ChainPlace>,
        draw: Draw,
    ) -> Option<Refusal> {
        let now = self.queue.now();
        let config = self.places.get(pod as usize).map_or(0, |place| place.config);
        let made = self.plan.population.stages[config as usize].at;
        for (index, plan) in (0_u64..).zip(limits.iter()).filter(|(_, plan)| places.contains(&plan.place)) {
            if !self.limiter.passes(plan, pod, now, made, &|nth| draw.nth(Purpose::RateLimit, 2 * index + nth)) {
                return Some(plan.refusal);
            }
        }
        None
    }

    /// Whether the caller's own proxy turns a call away, which then has ended.
    pub(super) fn turns_away(&mut self, call: u32, places: RangeInclusive<ChainPlace>) -> bool {
        let frame = &self.calls[call];
        let (pod, draw) = (frame.pod, frame.draw);
        let limits = &self.atlas.hops[frame.hop as usize].limits;
        if limits.is_empty() {
            return false;
        }
        let limits = Limits::clone(limits);
        let Some(refusal) = self.limited(pod, &limits, places, draw) else { return false };
        self.raise(call, refusal.flag);
        self.finish(call, End::local(refusal.status, refusal.details, refusal.body));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    const FOUR_IN_FOUR: TokenBucket = TokenBucket { most: 4, per_fill: 4, interval: Duration::from_millis(4_000) };

    /// Which of the requests at these instants (in milliseconds) find a token.
    fn taken(bucket: &TokenBucket, continuous: bool, at: &[u64]) -> Vec<bool> {
        let mut level = Level { parts: u128::from(bucket.most) * u128::from(bucket.interval.nanos()), at: Instant::ZERO };
        let mut take = |millis: &u64| {
            level.refill(bucket, Instant::ZERO + Duration::from_millis(*millis), continuous);
            level.take(bucket)
        };
        at.iter().map(&mut take).collect()
    }

    /// As measured on Envoy 1.40: after a burst, one token each second.
    #[test]
    fn tokens_come_back_one_by_one() {
        let at = [0, 0, 0, 0, 0, 340, 656, 999, 1_000, 1_327, 1_999, 2_000, 4_000, 4_000, 9_000, 9_000, 9_000, 9_000, 9_000];
        let found = taken(&FOUR_IN_FOUR, true, &at);
        let expected = [
            true, true, true, true, false, false, false, false, true, false, false, true, true, true, true, true, true, true,
            false,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn by_a_timer_they_came_back_at_once() {
        let at = [0, 0, 0, 0, 1_000, 3_999, 4_000, 4_000, 4_000, 4_000, 4_000, 7_999, 8_000];
        let found = taken(&FOUR_IN_FOUR, false, &at);
        assert_eq!(found, [true, true, true, true, false, false, true, true, true, true, false, false, true]);
    }

    #[test]
    fn a_bucket_holds_no_more_than_it_holds() {
        let bucket = TokenBucket { most: 2, per_fill: 5, interval: Duration::from_millis(1_000) };
        assert_eq!(taken(&bucket, true, &[0, 10_000, 10_000, 10_000]), [true, true, true, false]);
        assert_eq!(taken(&bucket, false, &[0, 10_000, 10_000, 10_000]), [true, true, true, false]);
    }
}
