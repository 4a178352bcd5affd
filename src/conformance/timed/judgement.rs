//! Whether values of ours and a measured range can be of one distribution; the rule is explained in
//! the [module](super).

use serde_json::{Value as Json, json};

use super::super::difference::Difference;

/// How often every case was measured.
pub(super) const RUNS: f64 = 5.0;

/// What is rarer than this does not happen.
const INCREDIBLE: f64 = 1e-6;

/// How far ours reach, in standard deviations from their mean.
const REACH: f64 = 4.5;

/// Compares the figures of one case.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judge {
    /// Whether a law says what chance decides.
    pub(super) has_law: bool,
    /// By how many milliseconds measured times may be off.
    pub(super) tolerance_ms: f64,
}

/// Whether something that happens with this probability can have happened so many times in a row.
pub(super) fn is_credible(probability: f64, times: f64) -> bool {
    probability > 0.0 && libm::log(probability) * times >= libm::log(INCREDIBLE)
}

impl Judge {
    /// Compares a figure of which `drawn` values were measured: the range in which they lay, or the
    /// only value. What was not measured agrees with anything.
    pub(super) fn range(&self, field: &str, expected: &Json, ours: &[f64], drawn: f64, slack: f64) -> Option<Difference> {
        if expected.is_null() {
            return None;
        }
        let Some((least, most)) = ends(expected).filter(|_| !ours.is_empty()) else {
            return Some(Difference::new(field, Some(expected), None));
        };
        let differs = || Some(Difference::new(field, Some(expected), Some(&shown(ours))));
        let inside = ours.iter().filter(|value| (least - slack..=most + slack).contains(*value)).count();
        if !is_credible(inside as f64 / ours.len() as f64, drawn) {
            return differs();
        }
        if self.has_law {
            let (low, high) = reach(ours);
            if least < low - slack || most > high + slack {
                return differs();
            }
        }
        None
    }

    /// Compares durations in milliseconds.
    pub(super) fn time(&self, field: &str, expected: &Json, ours: &[f64], drawn: f64) -> Option<Difference> {
        self.range(field, expected, ours, drawn, self.tolerance_ms)
    }

    /// Compares a number that each run has once.
    pub(super) fn count(&self, field: &str, expected: &Json, ours: &[f64]) -> Option<Difference> {
        self.range(field, expected, ours, RUNS, 0.0)
    }
}

/// The ends of a measured range; a lone number is both.
fn ends(value: &Json) -> Option<(f64, f64)> {
    match value {
        Json::Array(pair) => Some((pair.first()?.as_f64()?, pair.last()?.as_f64()?)),
        one => one.as_f64().map(|one| (one, one)),
    }
}

/// The ends of what values like these can be.
fn reach(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count;
    let reach = REACH * variance.sqrt();
    let (least, most) = extremes(values);
    (least.min(mean - reach), most.max(mean + reach))
}

fn extremes(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| (least.min(*value), most.max(*value)))
}

/// The ends of ours, for people.
fn shown(values: &[f64]) -> Json {
    let (least, most) = extremes(values);
    let number = |value: f64| if value.fract() == 0.0 { json!(value as i64) } else { json!(value) };
    if least == most { number(least) } else { json!([number(least), number(most)]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_accepted(has_law: bool, expected: Json, ours: &[f64], slack: f64) -> bool {
        Judge { has_law, tolerance_ms: 0.0 }.range("f", &expected, ours, RUNS, slack).is_none()
    }

    #[test]
    fn without_chance_a_value_is_in_the_range_or_not() {
        assert!(is_accepted(false, json!([3, 5]), &[4.0; 9], 0.0));
        assert!(is_accepted(false, json!(5), &[5.0; 9], 0.0));
        assert!(!is_accepted(false, json!([3, 5]), &[6.0; 9], 0.0));
        assert!(is_accepted(false, json!([3, 5]), &[6.0; 9], 1.0));
    }

    #[test]
    fn chance_is_judged_by_how_credible_the_range_is() {
        // Two coins: 0, 1, 1, 2 heads.
        let ours = [0.0, 1.0, 1.0, 2.0];
        assert!(is_accepted(true, json!([0, 1]), &ours, 0.0));
        assert!(is_accepted(true, json!([1, 1]), &ours, 0.0), "once in 32");
        let rare: Vec<f64> = std::iter::once(1.0).chain([2.0; 99]).collect();
        assert!(!is_accepted(true, json!(1), &rare, 0.0), "five times what comes once in a hundred");
        assert!(!is_accepted(true, json!([90, 110]), &[100.0; 9], 0.0), "ours knows no chance at all");
    }
}
