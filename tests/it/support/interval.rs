//! Where a count must lie if each of `n` requests takes part by itself with probability `p`. The ends
//! leave out one correct run in a million on both sides together.

use std::ops::RangeInclusive;

/// The interval for a share given in percent; a third is 33.
pub(crate) fn of(percent: u32, n: u64) -> RangeInclusive<u64> {
    let (_, ranges) = TABLE.iter().find(|(p, _)| *p == percent).expect("a share of the table");
    let column = [100, 1000, 10_000, 100_000].iter().position(|size| *size == n).expect("a size of the table");
    let (low, high) = ranges[column];
    low..=high
}

/// The interval for any share in parts per million: the mean and five standard deviations either way.
pub(crate) fn five_deviations(per_million: u32, n: u64) -> RangeInclusive<u64> {
    let (p, n) = (f64::from(per_million) / 1e6, n as f64);
    let (mean, deviation) = (n * p, (n * p * (1.0 - p)).sqrt());
    (mean - 5.0 * deviation).max(0.0).floor() as u64..=(mean + 5.0 * deviation).min(n).ceil() as u64
}

type Row = (u32, [(u64, u64); 4]);

const TABLE: &[Row] = &[
    (10, [(0, 27), (57, 149), (856, 1150), (9539, 10467)]),
    (20, [(3, 41), (141, 264), (1807, 2198), (19384, 20621)]),
    (25, [(6, 48), (185, 319), (2290, 2714), (24332, 25672)]),
    (30, [(10, 53), (231, 372), (2777, 3226), (29293, 30710)]),
    (33, [(12, 57), (262, 407), (3104, 3565), (32605, 34064)]),
    (50, [(26, 74), (423, 577), (4755, 5245), (49227, 50773)]),
    (70, [(47, 90), (628, 769), (6774, 7223), (69290, 70707)]),
    (80, [(59, 97), (736, 859), (7802, 8193), (79379, 80616)]),
    (90, [(73, 100), (851, 943), (8850, 9144), (89533, 90461)]),
];
