//! Which class of users a request belongs to.

use crate::draw::below;

/// Classes of users, by chance or in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mix {
    /// Cumulative weights (or numbers in turn), ascending.
    sums: Vec<u64>,
    in_turn: bool,
}

impl Mix {
    /// Classes by relative weight. `None` if all weights are zero.
    #[must_use]
    pub fn by_weight(weights: &[u64]) -> Option<Mix> {
        Self::of(weights, false)
    }

    /// Classes that take turns, each with so many requests. `None` if all numbers are zero.
    #[must_use]
    pub fn in_turn(counts: &[u64]) -> Option<Mix> {
        Self::of(counts, true)
    }

    fn of(parts: &[u64], in_turn: bool) -> Option<Mix> {
        let mut sum: u64 = 0;
        let mut sums = Vec::with_capacity(parts.len());
        for part in parts {
            sum = sum.checked_add(*part)?;
            sums.push(sum);
        }
        (sum > 0).then_some(Mix { sums, in_turn })
    }

    /// The class of request number `index` (from 0), for a uniform `value`.
    #[must_use]
    pub fn class(&self, index: u64, value: u64) -> usize {
        let Some(total) = self.sums.last() else { return 0 };
        let at = below(if self.in_turn { index } else { value }, *total);
        self.sums.partition_point(|sum| *sum <= at)
    }

    /// Whether a class is left to chance, so that a number must be drawn for it.
    #[must_use]
    pub fn draws(&self) -> bool {
        !self.in_turn && self.sums.len() > 1
    }

    /// The planned share of a class, 0 to 1.
    #[must_use]
    pub fn share(&self, class: usize) -> f64 {
        let below = class.checked_sub(1).map_or(0, |before| self.sums[before]);
        let total = self.sums.last().copied().unwrap_or(1);
        (self.sums[class] - below) as f64 / total as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_in_turn_come_in_runs_of_their_number() {
        let mix = Mix::in_turn(&[2, 0, 1]).unwrap();
        let classes: Vec<usize> = (0..7).map(|index| mix.class(index, 99)).collect();
        assert_eq!(classes, [0, 0, 2, 0, 0, 2, 0]);
    }

    #[test]
    fn classes_by_weight_divide_the_values() {
        let mix = Mix::by_weight(&[1, 3]).unwrap();
        let classes: Vec<usize> = (0..5).map(|value| mix.class(0, value)).collect();
        assert_eq!(classes, [0, 1, 1, 1, 0]);
        assert!((mix.share(1) - 0.75).abs() < 1e-12);
        assert!(Mix::by_weight(&[0, 0]).is_none());
        assert!(Mix::by_weight(&[u64::MAX, 1]).is_none());
    }
}
