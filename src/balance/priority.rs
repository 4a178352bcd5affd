//! How requests are shared among priorities (Envoy: `LoadBalancerBase::recalculatePerPriorityState`,
//! `recalculatePerPriorityPanic`, `choosePriority`).

/// With this factor, in percent, a priority with 72 % of its hosts in service counts as whole.
const OVERPROVISIONING: u64 = 140;

/// Tries of a request after which the priorities it has tried are avoided, and after each further
/// so many (Istio: `PreviousPrioritiesConfig.update_frequency`).
const TRIES_BEFORE_OTHERS: usize = 2;

/// How many hosts of a priority there are, and how many are in service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// In service.
    pub healthy: u32,
    /// All.
    pub all: u32,
}

/// What a priority is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Its part of the requests. The parts of all priorities add up to 100.
    pub percent: u32,
    /// Whether all its hosts are used, in service or not.
    pub panics: bool,
}

impl Health {
    /// 0 to 100.
    fn availability(self) -> u64 {
        (OVERPROVISIONING * u64::from(self.healthy)).checked_div(u64::from(self.all)).unwrap_or(0).min(100)
    }

    fn panics(self, threshold_percent: u32) -> bool {
        u64::from(self.healthy) * 100 < u64::from(threshold_percent) * u64::from(self.all)
            || self.all == 0 && threshold_percent > 0
    }
}

/// The load of each priority, for a threshold in percent below which a priority panics.
#[must_use]
pub(super) fn loads(levels: &[Health], threshold_percent: u32) -> Vec<Load> {
    let available: Vec<u64> = levels.iter().map(|level| level.availability()).collect();
    let total = available.iter().sum::<u64>().min(100);
    let threshold = threshold_percent.min(100);
    let mut loads = vec![Load::default(); levels.len()];
    if total > 0 {
        let rest = distribute(&available, total, &mut loads);
        // What rounding leaves goes to the first that has any host in service.
        if let Some(first) = available.iter().position(|available| *available > 0) {
            loads[first].percent += rest;
        }
    }
    if total == 0 && threshold == 0 {
        if let Some(first) = loads.first_mut() {
            first.percent = 100;
        }
        return loads;
    }
    for (load, level) in loads.iter_mut().zip(levels) {
        load.panics = total < 100 && level.panics(threshold);
    }
    if loads.iter().all(|load| load.panics) {
        by_size(levels, &mut loads);
    }
    loads
}

/// Gives each priority as much as it is available for; what is left.
fn distribute(available: &[u64], total: u64, loads: &mut [Load]) -> u32 {
    let mut rest = 100;
    for (load, available) in loads.iter_mut().zip(available) {
        let percent = u32::try_from(available * 100 / total).unwrap_or(100).min(rest);
        load.percent += percent;
        rest -= percent;
    }
    rest
}

/// When all priorities panic, each is used by its number of hosts.
fn by_size(levels: &[Health], loads: &mut [Load]) {
    let hosts: u64 = levels.iter().map(|level| u64::from(level.all)).sum();
    let Some(first) = levels.iter().position(|level| level.all > 0) else {
        if let Some(first) = loads.first_mut() {
            first.percent = 100;
        }
        return;
    };
    let mut rest = 100;
    for (load, level) in loads.iter_mut().zip(levels) {
        load.percent = (100 * u64::from(level.all) / hosts) as u32;
        rest -= load.percent;
    }
    loads[first].percent += rest;
}

/// The percentages of a retry that avoids priorities it has tried (Envoy:
/// `PreviousPrioritiesRetryPriority`), for the priorities of its tries so far; `None` if they are the
/// usual ones.
#[must_use]
pub(super) fn retry_percentages(levels: &[Health], tried: &[usize]) -> Option<Vec<u32>> {
    let mut left: Vec<u64> = levels.iter().map(|level| level.availability()).collect();
    let whole = left.clone();
    let mut counted = 0;
    let mut adjusted = None;
    for upto in 1..=tried.len() {
        let attempts = &tried[counted..upto];
        if attempts.len() < TRIES_BEFORE_OTHERS {
            adjusted = None;
            continue;
        }
        if !attempts.len().is_multiple_of(TRIES_BEFORE_OTHERS) {
            continue;
        }
        for priority in attempts {
            if let Some(available) = left.get_mut(*priority) {
                *available = 0;
            }
        }
        if left.iter().all(|available| *available == 0) {
            // Everything was tried: it begins anew.
            left.clone_from(&whole);
            counted = upto;
        }
        let total = left.iter().sum::<u64>().min(100);
        if total == 0 {
            return None;
        }
        let mut loads = vec![Load::default(); levels.len()];
        let mut rest = 100;
        while rest > 0 {
            for (load, available) in loads.iter_mut().zip(&left) {
                let percent = ((available * 100 / total) as u32).min(rest);
                load.percent += percent;
                rest -= percent;
            }
        }
        adjusted = Some(loads.iter().map(|load| load.percent).collect());
    }
    adjusted
}

/// The priority for a random value, by percentages.
#[must_use]
pub(super) fn choose(percentages: impl Iterator<Item = u32>, value: u64) -> usize {
    let at = (value % 100) as u32 + 1;
    let mut sum = 0;
    for (priority, percent) in percentages.enumerate() {
        sum += percent;
        if at <= sum {
            return priority;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(counts: &[(u32, u32)]) -> Vec<Health> {
        counts.iter().map(|(healthy, all)| Health { healthy: *healthy, all: *all }).collect()
    }

    #[test]
    fn the_next_priority_helps_out_below_72_percent() {
        for (counts, percentages) in [
            (&[(4, 4), (1, 1)][..], &[100, 0][..]),
            (&[(3, 4), (1, 1)], &[100, 0]),
            (&[(2, 4), (1, 1)], &[70, 30]),
            (&[(1, 2), (2, 2)], &[70, 30]),
            (&[(2, 3), (1, 1)], &[93, 7]),
            (&[(0, 1), (1, 1), (1, 1)], &[0, 100, 0]),
            (&[(0, 1), (0, 1), (0, 1)], &[100, 0, 0]),
            // 46 and 46 of 92: rounded down to 50 each.
            (&[(1, 3), (1, 3)], &[50, 50]),
            // 28, 28 and 28 of 84: 33 each, and one for the first.
            (&[(1, 5), (1, 5), (1, 5)], &[34, 33, 33]),
            (&[(0, 0), (1, 1)], &[0, 100]),
            (&[(0, 0)], &[100]),
        ] {
            let loads = loads(&levels(counts), 0);
            assert_eq!(loads.iter().map(|load| load.percent).collect::<Vec<_>>(), percentages, "{counts:?}");
            assert!(loads.iter().all(|load| !load.panics), "{counts:?}");
        }
    }

    #[test]
    fn priorities_panic_below_the_threshold_unless_others_suffice() {
        for (counts, threshold, expected) in [
            (&[(1, 2)][..], 50, &[(100, false)][..]),
            (&[(1, 3)], 50, &[(100, true)]),
            (&[(0, 3)], 50, &[(100, true)]),
            (&[(0, 3)], 0, &[(100, false)]),
            (&[(1, 3), (3, 3)], 50, &[(46, false), (54, false)]),
            (&[(1, 4), (1, 2)], 50, &[(35, false), (65, false)]),
            (&[(1, 5), (2, 4)], 50, &[(29, true), (71, false)]),
            (&[(1, 9), (1, 3)], 50, &[(75, true), (25, true)]),
        ] {
            let loads: Vec<(u32, bool)> =
                loads(&levels(counts), threshold).iter().map(|load| (load.percent, load.panics)).collect();
            assert_eq!(loads, expected, "{counts:?} at {threshold}");
        }
    }

    #[test]
    fn retries_avoid_the_priorities_of_every_second_try() {
        let healthy = levels(&[(2, 2), (2, 2), (2, 2)]);
        for (tried, percentages) in [
            (&[0][..], None),
            (&[0, 0], Some(&[0, 100, 0][..])),
            (&[0, 0, 1], Some(&[0, 100, 0])),
            (&[0, 0, 1, 1], Some(&[0, 0, 100])),
            (&[0, 0, 1, 1, 2], Some(&[0, 0, 100])),
            (&[0, 0, 1, 1, 2, 2], Some(&[100, 0, 0])),
            (&[0, 0, 1, 1, 2, 2, 0], None),
        ] {
            assert_eq!(retry_percentages(&healthy, tried).as_deref(), percentages, "{tried:?}");
        }
        assert_eq!(retry_percentages(&levels(&[(1, 1)]), &[0, 0]).as_deref(), Some(&[100][..]), "there is no other");
        assert_eq!(retry_percentages(&levels(&[(0, 1), (0, 1)]), &[0, 0]), None);
        assert_eq!(retry_percentages(&levels(&[(2, 2), (1, 4), (1, 4)]), &[0, 0]).as_deref(), Some(&[0, 50, 50][..]));
    }

    #[test]
    fn a_value_falls_to_a_priority_by_its_last_two_digits() {
        for (value, priority) in [(0, 0), (69, 0), (70, 1), (99, 1), (100, 0), (170, 1)] {
            assert_eq!(choose([70, 30].into_iter(), value), priority, "{value}");
        }
        assert_eq!(choose([0, 0, 100].into_iter(), 0), 2);
    }
}
