//! When requests are sent.

use super::times::Times;
use crate::draw::{below, exponential_ns};
use crate::time::{Duration, Instant};

/// How requests of one window arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// All at its beginning.
    AtOnce,
    /// At equal distances, the first at once.
    Constant(Duration),
    /// With exponential gaps of this mean, also before the first.
    Poisson(Duration),
    /// Each somewhere in its own slot of this length.
    Uniform(Duration),
    /// By users who each send the next request some time after the answer.
    Closed {
        /// How many users.
        users: u32,
        /// Pause after an answer.
        think: Times,
    },
}

/// A stretch of time in which a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// How requests arrive.
    pub arrival: Arrival,
    /// Beginning.
    pub begins: Instant,
    /// No request is sent at this instant or later; `None` if the number of requests ends it.
    pub ends: Option<Instant>,
    /// Number of requests; `None` if only time ends it.
    pub requests: Option<u64>,
}

impl Window {
    /// When request `index` (from 0) of an open loop is sent, given when the one before was sent and
    /// a uniform `value` of its own. `None` if the window is over, or closed-loop users send.
    #[must_use]
    pub fn time_of(&self, index: u64, before: Instant, value: u64) -> Option<Instant> {
        if !self.has(index) {
            return None;
        }
        let at = match &self.arrival {
            Arrival::AtOnce => self.begins,
            Arrival::Constant(gap) => self.begins + gap.times(index),
            Arrival::Uniform(gap) => self.begins + gap.times(index) + Duration::from_nanos(below(value, gap.nanos())),
            Arrival::Poisson(mean) => before + Duration::from_nanos(exponential_ns(value, mean.nanos())),
            Arrival::Closed { .. } => return None,
        };
        self.is_open(at).then_some(at)
    }

    /// Whether the window has a request with this index, as far as its number of requests goes.
    #[must_use]
    pub fn has(&self, index: u64) -> bool {
        self.requests.is_none_or(|requests| index < requests)
    }

    /// Whether requests are still sent at this instant.
    #[must_use]
    pub fn is_open(&self, at: Instant) -> bool {
        self.ends.is_none_or(|ends| at < ends)
    }

    /// Whether a number must be drawn for each arrival.
    #[must_use]
    pub fn draws(&self) -> bool {
        matches!(self.arrival, Arrival::Poisson(_) | Arrival::Uniform(_))
    }

    /// How many requests are sent at most; `None` if that depends on chance or on answers.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        let within = |gap: Duration| {
            let span = self.ends?.since(self.begins).nanos();
            Some(span.div_ceil(gap.nanos().max(1)))
        };
        let by_time = match &self.arrival {
            Arrival::Constant(gap) | Arrival::Uniform(gap) => within(*gap),
            Arrival::AtOnce | Arrival::Poisson(_) | Arrival::Closed { .. } => None,
        };
        match (self.requests, by_time) {
            (Some(number), Some(timed)) => Some(number.min(timed)),
            (number, timed) => number.or(timed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(arrival: Arrival) -> Window {
        let begins = Instant::from_nanos(1_000);
        Window { arrival, begins, ends: Some(Instant::from_nanos(1_030)), requests: None }
    }

    fn times(window: &Window, value: u64) -> Vec<u64> {
        let mut before = window.begins;
        let mut times = Vec::new();
        while let Some(at) = window.time_of(times.len() as u64, before, value) {
            before = at;
            times.push(at.nanos());
        }
        times
    }

    #[test]
    fn constant_arrivals_begin_at_once_and_end_before_the_end() {
        let window = window(Arrival::Constant(Duration::from_nanos(10)));
        assert_eq!(times(&window, 0), [1_000, 1_010, 1_020]);
        assert_eq!(window.count(), Some(3));
    }

    #[test]
    fn uniform_arrivals_stay_in_their_slots() {
        assert_eq!(times(&window(Arrival::Uniform(Duration::from_nanos(10))), 17), [1_007, 1_017, 1_027]);
    }

    #[test]
    fn the_number_of_requests_ends_a_window_before_its_time_does() {
        let window = Window { requests: Some(2), ..window(Arrival::Constant(Duration::from_nanos(1))) };
        assert_eq!(times(&window, 0).len(), 2);
        assert_eq!(window.count(), Some(2));
        let none = Window { requests: Some(0), ..window };
        assert!(times(&none, 0).is_empty());
    }
}
