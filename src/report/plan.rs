//! When the shares that a route plans are worth showing.

use crate::record::SplitPoint;

/// The planned shares, if they say something about all calls. A route that pins one version is a plan
/// only while everybody takes it: where users are told apart, the route that most of them take says
/// nothing about the others.
pub(super) fn planned(point: &SplitPoint) -> Option<&[f64]> {
    let planned = point.planned.as_deref()?;
    let weighted = planned.iter().filter(|share| **share > 0.0).count() > 1;
    let near = |exact: &[f64]| exact.iter().zip(planned).all(|(exact, planned)| (exact - planned).abs() < 1e-9);
    (weighted || point.exact.as_deref().is_none_or(near)).then_some(planned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_version_is_a_plan_only_while_everybody_takes_it() {
        for (shares, exact, shown) in [
            ([0.9, 0.1], Some([0.9, 0.1]), true),
            ([0.9, 0.1], Some([0.8, 0.2]), true),
            ([1.0, 0.0], Some([1.0, 0.0]), true),
            ([1.0, 0.0], Some([0.9, 0.1]), false),
            ([1.0, 0.0], None, true),
        ] {
            let point = SplitPoint {
                begins: crate::time::Instant::ZERO,
                ends: crate::time::Instant::ZERO,
                phase: 0,
                planned: Some(shares.to_vec()),
                exact: exact.map(|exact: [f64; 2]| exact.to_vec()),
                observed: Vec::new(),
                intervals: Vec::new(),
            };
            assert_eq!(planned(&point).is_some(), shown, "{shares:?} {exact:?}");
        }
    }
}
