//! Distributions of times in bounded memory: exact while there are few distinct values, else
//! logarithmic buckets.

use hdrhistogram::Histogram;
use rustc_hash::FxHashMap;

use super::report::Latency;
use crate::time::Duration;

/// Distinct values that are kept exactly.
const DISTINCT_MAX: usize = 4096;

/// Two significant digits: buckets are at most 1 % wide.
const DIGITS: u8 = 2;

/// A distribution of times that is being recorded.
#[derive(Debug, Clone, Default)]
pub struct Distribution {
    count: u64,
    sum_ns: u128,
    min: Option<Duration>,
    max: Duration,
    last: Option<(Duration, u64)>,
    exact: FxHashMap<Duration, u64>,
    buckets: Option<Box<Histogram<u64>>>,
}

impl Distribution {
    /// Adds one time.
    pub fn record(&mut self, time: Duration) {
        self.count += 1;
        self.sum_ns += u128::from(time.nanos());
        self.min = Some(self.min.map_or(time, |min| min.min(time)));
        self.max = self.max.max(time);
        // Runs of one value are common where nothing varies; they cost no look-up.
        match &mut self.last {
            Some((value, times)) if *value == time => *times += 1,
            last => {
                let ended = last.replace((time, 1));
                self.store(ended);
            }
        }
    }

    fn store(&mut self, run: Option<(Duration, u64)>) {
        let Some((value, times)) = run else { return };
        if let Some(buckets) = &mut self.buckets {
            add(buckets, value, times);
            return;
        }
        *self.exact.entry(value).or_default() += times;
        if self.exact.len() > DISTINCT_MAX {
            let mut buckets = Histogram::new(DIGITS).expect("two digits are a valid precision");
            self.exact.drain().for_each(|(value, times)| add(&mut buckets, value, times));
            self.exact.shrink_to_fit();
            self.buckets = Some(Box::new(buckets));
        }
    }

    /// The distribution so far.
    #[must_use]
    pub fn latency(&self) -> Latency {
        let mut whole = self.clone();
        whole.store(self.last);
        let buckets = match &whole.buckets {
            Some(histogram) => histogram
                .iter_recorded()
                .map(|step| (Duration::from_nanos(step.value_iterated_to()).min(self.max), step.count_since_last_iteration()))
                .collect(),
            None => {
                let mut exact: Vec<(Duration, u64)> = whole.exact.into_iter().collect();
                exact.sort_unstable();
                exact
            }
        };
        Latency { count: self.count, sum_ns: self.sum_ns, min: self.min.unwrap_or_default(), max: self.max, buckets }
    }
}

fn add(buckets: &mut Histogram<u64>, value: Duration, times: u64) {
    // Half of the range is still 292 years, and every such value has a bucket.
    let value = value.nanos().min(u64::MAX / 2);
    buckets.record_n(value, times).expect("a histogram that grows takes every value");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(values: impl IntoIterator<Item = u64>) -> Latency {
        let mut distribution = Distribution::default();
        values.into_iter().for_each(|nanos| distribution.record(Duration::from_nanos(nanos)));
        distribution.latency()
    }

    #[test]
    fn few_distinct_times_are_kept_exactly() {
        let latency = recorded([6_000_000_000, 0, 6_000_000_000, 0, 0]);
        let expected = [(Duration::ZERO, 3), (Duration::from_secs(6), 2)];
        assert_eq!(latency.buckets, expected);
        assert_eq!((latency.count, latency.min, latency.max), (5, Duration::ZERO, Duration::from_secs(6)));
        assert_eq!(latency.percentile(50), Duration::ZERO);
        assert_eq!(latency.percentile(61), Duration::from_secs(6));
    }

    #[test]
    fn many_distinct_times_are_kept_within_one_percent() {
        let values: Vec<u64> = (1..=100_000_u64).map(|n| n * n).collect();
        let latency = recorded(values.iter().copied());
        assert_eq!(latency.count, 100_000);
        assert_eq!(latency.buckets.iter().map(|(_, count)| count).sum::<u64>(), 100_000);
        for percent in [1, 50, 90, 99, 100] {
            let exact = values[(values.len() * percent as usize).div_ceil(100) - 1] as f64;
            let found = latency.percentile(percent).nanos() as f64;
            assert!((found - exact).abs() <= exact * 0.01, "p{percent}: {found} for {exact}");
        }
        assert_eq!(latency.percentile(100), latency.max);
    }

    #[test]
    fn an_empty_distribution_has_no_times() {
        assert_eq!(recorded([]), Latency::default());
    }
}
