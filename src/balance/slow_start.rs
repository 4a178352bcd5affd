//! Slow start: how much of its weight a new host has (Envoy:
//! `EdfLoadBalancerBase::applySlowStartFactor`).

use crate::time::Duration;

/// A slow start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlowStart {
    /// How long it lasts.
    pub window: Duration,
    /// The least part of its weight that a host has, from 0 to 1.
    pub least: f64,
    /// The curve: 1 is a straight line, more rises faster at first.
    pub aggression: f64,
}

impl SlowStart {
    /// The part of its weight that a host of this age has.
    #[must_use]
    pub fn factor(&self, age: Duration) -> f64 {
        if age.millis() >= self.window.millis() {
            return 1.0;
        }
        let passed = age.millis().max(1) as f64 / self.window.millis() as f64;
        let risen =
            if self.aggression == 1.0 || self.aggression <= 0.0 { passed } else { libm::pow(passed, 1.0 / self.aggression) };
        risen.max(self.least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_rise_from_the_least_part_to_the_whole() {
        let start = |aggression| SlowStart { window: Duration::from_secs(100), least: 0.1, aggression };
        for (aggression, age_s, factor) in
            [(1.0, 0, 0.1), (1.0, 10, 0.1), (1.0, 50, 0.5), (1.0, 100, 1.0), (1.0, 500, 1.0), (2.0, 25, 0.5), (0.5, 50, 0.25)]
        {
            assert_eq!(start(aggression).factor(Duration::from_secs(age_s)), factor, "{aggression} after {age_s} s");
        }
    }
}
