//! Picks in proportion to weights (Envoy: `EdfScheduler`).

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// A schedule by earliest deadline: an entry is due again after `1 / weight`. Of entries that are
/// due at one time, the one that was put back first goes first.
#[derive(Debug, Clone, Default)]
pub struct Schedule {
    now: f64,
    inserted: u64,
    due: BinaryHeap<Reverse<Due>>,
}

#[derive(Debug, Clone, Copy)]
struct Due {
    deadline: f64,
    order: u64,
    entry: usize,
}

/// Envoy emulates fewer picks than this when a schedule begins.
const FIRST_PICKS_MAX: u32 = u32::MAX / 10;

/// What is added to weights while picks are emulated, so that weights that are multiples of each
/// other come out in the order of real picks.
const EPSILON: f64 = 1e-13;

impl Schedule {
    /// A schedule in the state after some picks. `weights` are above zero.
    #[must_use]
    pub fn new(weights: &[f64], picks: u32) -> Schedule {
        if weights.is_empty() {
            return Schedule::default();
        }
        let picks = picks % FIRST_PICKS_MAX;
        let sum = weights.iter().fold(0.0, |sum, weight| sum + (weight + EPSILON));
        let mut schedule = Schedule { inserted: weights.len() as u64, ..Schedule::default() };
        let mut made: u32 = 0;
        for (entry, weight) in weights.iter().enumerate() {
            let weight = weight + EPSILON;
            let mut own = (weight * f64::from(picks) / sum) as u32;
            if own > 0 && f64::from(own) / weight >= f64::from(picks) / sum {
                own -= 1;
            }
            schedule.now = schedule.now.max(f64::from(own) / weight);
            let deadline = f64::from(own + 1) / weight;
            schedule.due.push(Reverse(Due { deadline, order: entry as u64, entry }));
            made += own;
        }
        for _ in made..picks {
            schedule.pick(|entry| weights[entry]);
        }
        schedule
    }

    /// The entry that is due first; it is put back by the weight it has now. `None` if there are no
    /// entries.
    pub fn pick(&mut self, weight: impl FnOnce(usize) -> f64) -> Option<usize> {
        let Reverse(first) = self.due.pop()?;
        self.now = first.deadline;
        let deadline = self.now + 1.0 / weight(first.entry);
        self.due.push(Reverse(Due { deadline, order: self.inserted, entry: first.entry }));
        self.inserted += 1;
        Some(first.entry)
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        self.deadline.total_cmp(&other.deadline).then(self.order.cmp(&other.order))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Due {}

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(weights: &[f64], first: u32, number: usize) -> Vec<usize> {
        let mut schedule = Schedule::new(weights, first);
        (0..number).map(|_| schedule.pick(|entry| weights[entry]).unwrap()).collect()
    }

    #[test]
    fn heavier_entries_come_as_often_as_their_weight_says() {
        for (weights, first, expected) in [
            (&[3.0, 1.0, 1.0][..], 0, &[0, 0, 1, 2, 0, 0, 0, 1, 2, 0][..]),
            (&[3.0, 1.0, 1.0], 3, &[2, 0, 0, 0, 1]),
            (&[1.0, 1.0, 1.0], 4, &[1, 2, 0]),
            (&[1.0, 2.0], 0, &[1, 0, 1, 1, 0, 1]),
            (&[5.0], 7, &[0, 0]),
        ] {
            assert_eq!(picks(weights, first, expected.len()), expected, "{weights:?} after {first}");
        }
    }

    #[test]
    fn a_weight_counts_from_the_next_time_its_entry_is_put_back() {
        let mut schedule = Schedule::new(&[1.0, 1.0], 0);
        let mut pick = |weight: f64| schedule.pick(|_| weight).unwrap();
        assert_eq!((pick(0.25), pick(1.0), pick(1.0), pick(1.0)), (0, 1, 1, 1));
        assert_eq!(pick(1.0), 1, "both are due at 5, and 1 was put back at 4, after 0");
        assert_eq!(Schedule::new(&[], 3).pick(|_| 1.0), None);
    }
}
