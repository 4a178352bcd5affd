//! Virtual time on a calendar.

use jiff::Timestamp;

use crate::time::{Duration, Instant};

/// The time of day at which a run's clock starts. Nothing reads a real clock: it is the beginning of
/// 1970 unless somebody says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Epoch {
    nanos: i128,
}

impl Epoch {
    /// Reads a time such as `2026-01-31T12:00:00Z`.
    ///
    /// # Errors
    /// Not a time of RFC 3339.
    pub fn parse(text: &str) -> Result<Self, String> {
        let at: Timestamp = text.parse().map_err(|_| format!("`{text}` is no time such as 2026-01-31T12:00:00Z"))?;
        Ok(Epoch { nanos: at.as_nanosecond() })
    }

    /// An instant as `2026-01-31T12:00:00.000Z`.
    pub(super) fn at(self, instant: Instant) -> String {
        match Timestamp::from_nanosecond(self.nanos + i128::from(instant.nanos())) {
            Ok(at) => format!("{at:.3}"),
            // Later than the year 9999, which no calendar of a log can say.
            Err(_) => "-".to_owned(),
        }
    }

    /// An instant in nanoseconds since 1970.
    pub(super) fn nanos(self, instant: Instant) -> i128 {
        self.nanos + i128::from(instant.nanos())
    }
}

/// Whole milliseconds, rounded down as Envoy does.
pub(super) fn milliseconds(duration: Duration) -> u64 {
    duration.nanos() / 1_000_000
}

/// A sum of nanoseconds in milliseconds, with every digit that it has.
pub(super) fn milliseconds_of(nanos: u128) -> String {
    let (whole, rest) = (nanos / 1_000_000, nanos % 1_000_000);
    if rest == 0 { whole.to_string() } else { format!("{whole}.{rest:06}").trim_end_matches('0').to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_told_from_the_epoch() {
        let second = Instant::ZERO + Duration::from_millis(1_500);
        assert_eq!(Epoch::default().at(second), "1970-01-01T00:00:01.500Z");
        let epoch = Epoch::parse("2026-01-31T12:00:00Z").expect("a time");
        assert_eq!(epoch.at(second), "2026-01-31T12:00:01.500Z");
        assert_eq!(epoch.at(Instant::from_nanos(u64::MAX)), "2610-08-22T11:34:33.709Z");
        assert!(Epoch::parse("yesterday").is_err());
    }
}
