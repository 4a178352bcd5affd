//! Simulated instants and durations, in whole nanoseconds.
//!
//! Nothing here reads a clock: time exists only inside a simulation. Arithmetic saturates, so a
//! scenario that runs for longer than a `u64` of nanoseconds (584 years) stops advancing instead of
//! wrapping.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

/// A length of simulated time in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration(u64);

/// A point in simulated time: nanoseconds since the simulation began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Duration {
    /// No time at all. Envoy reads a zero timeout as "no timeout".
    pub const ZERO: Duration = Duration(0);
    /// The longest representable duration.
    pub const MAX: Duration = Duration(u64::MAX);

    /// A duration of whole nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Duration(nanos)
    }

    /// A duration of whole microseconds, saturating.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Duration(micros.saturating_mul(1_000))
    }

    /// A duration of whole milliseconds, saturating.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Duration(millis.saturating_mul(1_000_000))
    }

    /// A duration of whole seconds, saturating.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Duration(secs.saturating_mul(1_000_000_000))
    }

    /// The duration in nanoseconds.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// The duration in whole milliseconds, rounded down as Envoy's access log does.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Whether the duration is zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The duration `factor` times as long, saturating.
    #[must_use]
    pub const fn times(self, factor: u64) -> Self {
        Duration(self.0.saturating_mul(factor))
    }

    /// Reads a duration as Go's `time.ParseDuration` does (`1h30m`, `500ms`, `.5s`, `0`), which is
    /// the syntax of every duration in Istio's API.
    ///
    /// # Errors
    /// The text is no Go duration, is negative, or does not fit into 64 bits of nanoseconds.
    pub fn parse_go(text: &str) -> Result<Self, DurationError> {
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Ok(Self::ZERO);
        }
        if rest.is_empty() {
            return Err(DurationError::NotADuration);
        }
        let mut total_ns: u128 = 0;
        let mut left = rest;
        while !left.is_empty() {
            let digits = left.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(left.len());
            let (number, after) = left.split_at(digits);
            let unit_length = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
            let (unit, next) = after.split_at(unit_length);
            total_ns = total_ns.saturating_add(in_nanos(number, unit)?);
            left = next;
        }
        if negative && total_ns > 0 {
            return Err(DurationError::Negative);
        }
        u64::try_from(total_ns).map(Duration).map_err(|_| DurationError::TooLong)
    }
}

fn in_nanos(number: &str, unit: &str) -> Result<u128, DurationError> {
    let unit_ns: u128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "" => return Err(DurationError::MissingUnit),
        other => return Err(DurationError::UnknownUnit(other.to_owned())),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return Err(DurationError::NotADuration);
    }
    let parse = |digits: &str| -> Result<u128, DurationError> {
        if digits.is_empty() { Ok(0) } else { digits.parse().map_err(|_| DurationError::TooLong) }
    };
    // Eighteen digits are exact in 128 bits for every unit; further ones are below a nanosecond.
    let fraction = &fraction[..fraction.len().min(18)];
    let scale = 10_u128.pow(u32::try_from(fraction.len()).unwrap_or(0));
    let whole_ns = parse(whole)?.checked_mul(unit_ns).ok_or(DurationError::TooLong)?;
    Ok(whole_ns.saturating_add(parse(fraction)? * unit_ns / scale))
}

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// The text has another shape altogether.
    #[error("not a duration; write a number and a unit, such as `500ms`, `2s` or `1h30m`")]
    NotADuration,
    /// A number stands without a unit.
    #[error("a number without a unit; use one of ns, us, ms, s, m, h")]
    MissingUnit,
    /// The unit is not one of Go's.
    #[error("unknown unit `{0}`; Go durations have ns, us, ms, s, m, h (write a day as `24h`)")]
    UnknownUnit(String),
    /// The duration is below zero.
    #[error("a duration cannot be negative")]
    Negative,
    /// The duration does not fit.
    #[error("longer than 584 years")]
    TooLong,
}

impl fmt::Display for Duration {
    /// Envoy's spelling: seconds with three decimals or none (`0s`, `1.500s`), more where needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (secs, nanos) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        match nanos {
            0 => write!(f, "{secs}s"),
            n if n % 1_000_000 == 0 => write!(f, "{secs}.{:03}s", n / 1_000_000),
            n if n % 1_000 == 0 => write!(f, "{secs}.{:06}s", n / 1_000),
            n => write!(f, "{secs}.{n:09}s"),
        }
    }
}

impl Instant {
    /// The beginning of a simulation.
    pub const ZERO: Instant = Instant(0);

    /// The instant so many nanoseconds after the beginning.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Instant(nanos)
    }

    /// Nanoseconds since the beginning.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// The time since `earlier`, zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Instant) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Duration(self.0).fmt(f)
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, rhs: Duration) -> Instant {
        Instant(self.0.saturating_add(rhs.0))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, rhs: Duration) {
        *self = *self + rhs;
    }
}

impl Add for Duration {
    type Output = Duration;
    fn add(self, rhs: Duration) -> Duration {
        Duration(self.0.saturating_add(rhs.0))
    }
}

impl Sub for Duration {
    type Output = Duration;
    fn sub(self, rhs: Duration) -> Duration {
        Duration(self.0.saturating_sub(rhs.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanos) in [
            ("0", 0),
            ("+0", 0),
            ("-0s", 0),
            ("7s", 7_000_000_000),
            ("500ms", 500_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("1us", 1_000),
            ("1µs", 1_000),
            ("0.1ns", 0),
        ] {
            assert_eq!(Duration::parse_go(text), Ok(Duration(nanos)), "{text}");
        }
        for text in ["", "s", "1", "1d", "7 s", "7sec", "-1s", "1..5s", ".s", "999999999h", "PT7S"] {
            assert!(Duration::parse_go(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_print_as_envoy_prints_them() {
        for (nanos, text) in
            [(0, "0s"), (1_000_000_000, "1s"), (1_500_000_000, "1.500s"), (45_000_000, "0.045s"), (1, "0.000000001s")]
        {
            assert_eq!(Duration(nanos).to_string(), text);
        }
    }
}
