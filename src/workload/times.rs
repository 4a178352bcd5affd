//! Times that vary, in the form in which they are drawn.

use crate::draw::{below, exponential_ns};
use crate::scenario::Spread;
use crate::time::Duration;

/// A time that may vary, as a function of one uniform number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Times {
    /// Always the same; nothing is drawn.
    Constant(Duration),
    /// Exponential with this mean.
    Exponential(Duration),
    /// Uniform on whole nanoseconds, both ends included.
    Uniform(Duration, Duration),
    /// Cumulative shares in parts per million, ascending, with their times.
    Choice(Vec<(u64, Duration)>),
}

impl Times {
    /// The form of a spread.
    #[must_use]
    pub fn of(spread: &Spread) -> Times {
        match spread {
            Spread::Constant(time) => Times::Constant(*time),
            Spread::Exponential(mean) => Times::Exponential(*mean),
            Spread::Uniform(low, high) if low == high => Times::Constant(*low),
            Spread::Uniform(low, high) => Times::Uniform(*low, *high),
            Spread::Choice(choices) => Times::Choice(
                choices
                    .iter()
                    .scan(0, |sum, (share, time)| {
                        *sum += u64::from(share.per_million);
                        Some((*sum, *time))
                    })
                    .collect(),
            ),
        }
    }

    /// The time for a uniform `value`.
    #[must_use]
    pub fn at(&self, value: u64) -> Duration {
        match self {
            Times::Constant(time) => *time,
            Times::Exponential(mean) => Duration::from_nanos(exponential_ns(value, mean.nanos())),
            Times::Uniform(low, high) => {
                // A span of all 64 bits would overflow; it is also more than any clock.
                let span = (high.nanos() - low.nanos()).saturating_add(1);
                Duration::from_nanos(low.nanos() + below(value, span))
            }
            Times::Choice(choices) => {
                let total = choices.last().map_or(1, |(sum, _)| *sum);
                let at = below(value, total);
                choices.iter().find(|(sum, _)| at < *sum).map_or(Duration::ZERO, |(_, time)| *time)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Share;

    #[test]
    fn a_choice_walks_its_shares_in_the_order_they_are_written() {
        let share = |per_million| Share { per_million };
        let times = Times::of(&Spread::Choice(vec![(share(250_000), Duration::from_secs(7)), (share(750_000), Duration::ZERO)]));
        for (value, seconds) in [(0, 7), (249_999, 7), (250_000, 0), (999_999, 0), (1_000_000, 7)] {
            assert_eq!(times.at(value), Duration::from_secs(seconds), "{value}");
        }
    }

    #[test]
    fn a_uniform_time_reaches_both_ends() {
        let times = Times::Uniform(Duration::from_nanos(5), Duration::from_nanos(7));
        let drawn: Vec<u64> = (0..4).map(|value| times.at(value).nanos()).collect();
        assert_eq!(drawn, [5, 6, 7, 5]);
    }
}
