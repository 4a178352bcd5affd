//! What the analytics of the ready-made voting app print. Their words differ between versions, which
//! is how a reader of the page tells who answered.

/// The line of results for these votes: plain counts by analytics 1.0, counts with totals and
/// percentages by every later version.
///
/// Each percentage is rounded alone, half up (JavaScript: `toFixed(0)`), so that both together may
/// be 101 %.
#[must_use]
pub fn results_text(analytics_version: &str, cats: u64, dogs: u64) -> String {
    if analytics_version == "1.0" {
        return format!("Cats: {cats} | Dogs: {dogs}");
    }
    let total = cats.saturating_add(dogs);
    let percent = |votes: u64| match u128::from(total) {
        0 => 0,
        total => (200 * u128::from(votes) + total) / (2 * total),
    };
    format!("Cats: {cats}/{total} ({}%) | Dogs: {dogs}/{total} ({}%)", percent(cats), percent(dogs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_percentage_is_rounded_alone_and_half_up() {
        assert_eq!(results_text("1.1", 1, 7), "Cats: 1/8 (13%) | Dogs: 7/8 (88%)");
        assert_eq!(results_text("1.1", 0, 0), "Cats: 0/0 (0%) | Dogs: 0/0 (0%)");
        assert_eq!(results_text("1.0", 2, 4), "Cats: 2 | Dogs: 4");
    }
}
