//! Values of a few characters with rules of their own.

use serde_json::{Map as Json, Value as JsonValue, json};

use crate::source::Span;
use crate::yaml::{Cx, Decode, Node, Value};

/// A port by number or by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortRef {
    /// A port number.
    Number(i64, Span),
    /// The name of a container port.
    Name(String, Span),
}

impl Decode for PortRef {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &node.value {
            Value::Int(number, _) => Some(PortRef::Number(*number, node.span)),
            Value::Str(name) => Some(PortRef::Name(name.clone(), node.span)),
            _ => {
                cx.wrong_type(node, "a port number or the name of a port");
                None
            }
        }
    }

    fn schema(_: &mut Json<String, JsonValue>) -> JsonValue {
        json!({"type": ["integer", "string"]})
    }
}

/// A point in calendar time, kept as RFC 3339 text normalised to UTC so that it orders as text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub String);

impl Decode for Timestamp {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &node.value {
            Value::Str(text) => {
                let utc = utc(text);
                if utc.is_none() {
                    cx.invalid(node.span, format_args!("`{text}` is no time; write it as `2026-01-31T12:00:00Z`"));
                }
                utc.map(Timestamp)
            }
            _ => {
                cx.wrong_type(node, "a time such as `2026-01-31T12:00:00Z`, as a string");
                None
            }
        }
    }

    fn schema(_: &mut Json<String, JsonValue>) -> JsonValue {
        json!({"type": "string", "format": "date-time"})
    }
}

/// Reads RFC 3339 and writes it in UTC with whole seconds, as the API server stores it.
fn utc(text: &str) -> Option<String> {
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let is = |index: usize, wanted: &str| text.get(index..=index).is_some_and(|c| wanted.contains(c));
    let separated = is(4, "-") && is(7, "-") && is(10, "Tt") && is(13, ":") && is(16, ":");
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let zone = text.get(19..)?;
    let zone = match zone.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => zone,
    };
    let in_range =
        (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day) && hour < 24 && minute < 60 && second < 60;
    let minutes = day_number(year, month, day) * 1440 + hour * 60 + minute - offset_minutes(zone)?;
    let (year, month, day) = date(minutes.div_euclid(1440));
    let minute = minutes.rem_euclid(1440);
    (separated && in_range && (0..=9999).contains(&year))
        .then(|| format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{second:02}Z", minute / 60, minute % 60))
}

/// `Z` or `+01:00`, in minutes.
fn offset_minutes(zone: &str) -> Option<i64> {
    let sign = match zone.as_bytes() {
        [b'Z' | b'z'] => return Some(0),
        [b'+', _, _, b':', _, _] => 1,
        [b'-', _, _, b':', _, _] => -1,
        _ => return None,
    };
    let (hours, minutes): (i64, i64) = (zone[1..3].parse().ok()?, zone[4..6].parse().ok()?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1 March of the year 0 of the proleptic Gregorian calendar.
fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * month + 2) / 5 + day - 1
}

/// The date of a day number.
fn date(days: i64) -> (i64, i64, i64) {
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// A boolean that tells "absent" from "false" (protobuf's `BoolValue`).
pub type OptionalBool = Option<crate::source::Spanned<bool>>;
