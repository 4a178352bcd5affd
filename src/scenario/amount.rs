//! Amounts with a syntax of their own: shares, rates and spreads of time.

use serde_json::{Map as Json, Value as JsonValue, json};

use crate::time::Duration;
use crate::yaml::{Cx, Decode, Node, Value};

/// A share, in parts per million. Written as `25%`, `12.5%`, or a fraction `1/3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Share {
    /// Parts per million.
    pub per_million: u32,
}

impl Share {
    /// Reads `25%`, `12.5%` or `1/3`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Share> {
        let per_million = if let Some(percent) = text.strip_suffix('%') {
            let (whole, fraction) = percent.trim().split_once('.').unwrap_or((percent.trim(), ""));
            if fraction.len() > 4 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            let fraction: u64 = format!("{fraction:0<4}").parse().ok()?;
            whole.parse::<u64>().ok()?.checked_mul(10_000)?.checked_add(fraction)?
        } else {
            let (part, whole) = text.split_once('/')?;
            let (part, whole): (u64, u64) = (part.trim().parse().ok()?, whole.trim().parse().ok()?);
            part.checked_mul(1_000_000)?.checked_div(whole)?
        };
        (per_million <= 1_000_000).then_some(Share { per_million: per_million as u32 })
    }
}

impl Decode for Share {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let share = node.as_str().and_then(Share::parse);
        if share.is_none() {
            cx.wrong_type(node, "a share between 0% and 100%, such as `25%` or `1/3`, as a string");
        }
        share
    }

    fn schema(_: &mut Json<String, JsonValue>) -> JsonValue {
        json!({"type": "string", "examples": ["25%", "0.5%", "1/3"]})
    }
}

/// A rate of requests. Written as `100/s`, `30/m` or `5/h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Mean time between two requests, in nanoseconds; never zero.
    pub gap_ns: u64,
}

impl Decode for Rate {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let parse = |text: &str| {
            let (count, unit) = text.split_once('/')?;
            let count: u64 = count.trim().parse().ok().filter(|c| *c > 0)?;
            let unit_ns: u64 = match unit.trim() {
                "s" => 1_000_000_000,
                "m" => 60_000_000_000,
                "h" => 3_600_000_000_000,
                _ => return None,
            };
            (count <= unit_ns).then_some(Rate { gap_ns: unit_ns / count })
        };
        let rate = node.as_str().and_then(parse);
        if rate.is_none() {
            cx.wrong_type(node, "a rate such as `100/s`, `30/m` or `5/h`, as a string");
        }
        rate
    }

    fn schema(_: &mut Json<String, JsonValue>) -> JsonValue {
        json!({"type": "string", "pattern": "^[1-9][0-9]*/(s|m|h)$", "examples": ["100/s"]})
    }
}

/// A time that may vary. Written as a duration (`5ms`, always the same), or as one of
/// `{exponential: 5ms}` (the mean), `{uniform: [1ms, 5ms]}`, `{choice: [{share: 50%, of: 7s}, {share: 50%, of: 0s}]}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spread {
    /// Always the same.
    Constant(Duration),
    /// Exponential with this mean.
    Exponential(Duration),
    /// Uniform between two times, both included.
    Uniform(Duration, Duration),
    /// One of several, by share; the shares add up to 100 %.
    Choice(Vec<(Share, Duration)>),
}

impl Default for Spread {
    fn default() -> Self {
        Spread::Constant(Duration::ZERO)
    }
}

crate::record! {
    /// A time that varies: exactly one of the fields.
    pub struct SpreadRecord {
        /// The mean of an exponential time.
        pub exponential: Option<Duration> = "exponential",
        /// The two ends of a uniform time.
        pub uniform: Vec<Duration> = "uniform",
        /// One of several times.
        pub choice: Vec<SpreadChoice> = "choice",
    }

    /// One of several times.
    pub struct SpreadChoice {
        /// How often; the shares of a choice add up to 100 %.
        pub share: Share = "share",
        /// The time.
        pub of: Duration = "of",
    }
}

impl Decode for Spread {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if !matches!(node.value, Value::Map(_)) {
            return Duration::decode(node, cx).map(Spread::Constant);
        }
        let record = SpreadRecord::decode(node, cx)?;
        let total: u64 = record.choice.iter().map(|c| u64::from(c.share.per_million)).sum();
        match (record.exponential, record.uniform.as_slice(), record.choice.as_slice()) {
            (Some(mean), [], []) => Some(Spread::Exponential(mean)),
            (None, [low, high], []) if low <= high => Some(Spread::Uniform(*low, *high)),
            // Thirds do not add up to a million exactly.
            (None, [], choices) if !choices.is_empty() && total.abs_diff(1_000_000) <= choices.len() as u64 => {
                Some(Spread::Choice(choices.iter().map(|c| (c.share, c.of)).collect()))
            }
            _ => {
                cx.invalid(
                    node.span,
                    "give exactly one of `exponential: MEAN`, `uniform: [LOW, HIGH]` or `choice` with shares that add up to 100%",
                );
                None
            }
        }
    }

    fn absent() -> Option<Self> {
        Some(Spread::default())
    }

    fn schema(definitions: &mut Json<String, JsonValue>) -> JsonValue {
        json!({"anyOf": [Duration::schema(definitions), SpreadRecord::schema(definitions)]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percentages_or_fractions_up_to_all() {
        for (text, per_million) in [
            ("25%", Some(250_000)),
            ("0.5%", Some(5_000)),
            ("1/3", Some(333_333)),
            ("100%", Some(1_000_000)),
            ("101%", None),
            ("-1%", None),
            ("0.00001%", None),
            ("1/0", None),
            ("25", None),
        ] {
            assert_eq!(Share::parse(text).map(|s| s.per_million), per_million, "{text}");
        }
    }
}
