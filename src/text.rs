//! Words and numbers for people: plural, grouped digits, durations, percentages, bars, tables,
//! ink, error chains.
//!
//! Renderers share these so that a count, a time or a share reads the same wherever it is printed.
//! What a report says is up to `report`; nothing here knows about meshes. XML is escaped by the
//! drawing crate, and shell words by `shlex`.

mod table;
mod tree;

use std::fmt::Write as _;

use anstyle::{AnsiColor, Effects};
use unicode_width::UnicodeWidthStr;

use crate::time::{Duration, Instant};

pub use table::{Cell, Column, Table};
pub use tree::Tree;

/// What a piece of text is, so that a terminal can tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ink {
    /// Ordinary text.
    #[default]
    Plain,
    /// Headings and what to read first.
    Strong,
    /// What one may skip.
    Faint,
    /// Held, succeeded.
    Good,
    /// Failed.
    Bad,
    /// Deserves a look.
    Odd,
    /// Names and commands to copy.
    Name,
}

/// How text is laid out. Colour and width are decided by whoever knows the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether ANSI colours are written.
    pub colour: bool,
    /// Columns.
    pub width: usize,
}

impl Style {
    /// Eighty columns without colour.
    pub const PLAIN: Style = Style { colour: false, width: 80 };

    /// The text in this ink.
    #[must_use]
    pub fn paint(self, ink: Ink, text: &str) -> String {
        let style = match ink {
            _ if !self.colour || text.is_empty() => return text.to_owned(),
            Ink::Plain => return text.to_owned(),
            Ink::Strong => anstyle::Style::new().effects(Effects::BOLD),
            Ink::Faint => anstyle::Style::new().effects(Effects::DIMMED),
            Ink::Good => AnsiColor::Green.on_default(),
            Ink::Bad => AnsiColor::Red.on_default().effects(Effects::BOLD),
            Ink::Odd => AnsiColor::Yellow.on_default(),
            Ink::Name => AnsiColor::Cyan.on_default(),
        };
        format!("{style}{text}{style:#}")
    }
}

/// Columns that a text takes on a terminal.
#[must_use]
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// `1 request`, `2 requests`, `10 000 requests`; words in -s, -x, -ch and -y get their endings.
#[must_use]
pub fn plural(count: u64, noun: &str) -> String {
    if count == 1 {
        return format!("1 {noun}");
    }
    let many = match noun.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ if noun.ends_with('s') || noun.ends_with('x') || noun.ends_with("ch") => format!("{noun}es"),
        _ => format!("{noun}s"),
    };
    format!("{} {many}", grouped(count))
}

/// Digits in groups of three: `7`, `1 000`, `12 345 678`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// A duration with the unit that fits: `0 s`, `850 ns`, `12 ms`, `12.3 ms`, `6.000 s`, `90.000 s`,
/// `5 min`, `1 h 30 min`.
#[must_use]
pub fn duration(value: Duration) -> String {
    const MICRO: u64 = 1_000;
    const MILLI: u64 = 1_000 * MICRO;
    const SECOND: u64 = 1_000 * MILLI;
    const MINUTE: u64 = 60 * SECOND;
    let ns = value.nanos();
    // Rounding must not leave a unit full (`1000 ms`), hence the half of the last digit in the bounds.
    match ns {
        0 => "0 s".to_owned(),
        1..MICRO => format!("{ns} ns"),
        _ if ns < MILLI - MICRO / 20 => with_unit(ns, MICRO, "µs"),
        _ if ns < SECOND - MILLI / 20 => with_unit(ns, MILLI, "ms"),
        _ if ns < 2 * MINUTE || !ns.is_multiple_of(SECOND) => format!("{} s", thousandths(ns, SECOND)),
        _ if !ns.is_multiple_of(MINUTE) => format!("{} min {:02} s", ns / MINUTE, ns % MINUTE / SECOND),
        _ if ns < 120 * MINUTE => format!("{} min", ns / MINUTE),
        _ if ns.is_multiple_of(60 * MINUTE) => format!("{} h", grouped(ns / (60 * MINUTE))),
        _ => format!("{} h {:02} min", grouped(ns / (60 * MINUTE)), ns / MINUTE % 60),
    }
}

/// A point in time as seconds: `0.000 s`, `61.204 s`.
#[must_use]
pub fn clock(at: Instant) -> String {
    format!("{} s", thousandths(at.nanos(), 1_000_000_000))
}

/// Three digits at most: `12.3`, `123`, and no `.0`.
fn with_unit(ns: u64, unit: u64, name: &str) -> String {
    let tenths = (ns + unit / 20) / (unit / 10);
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole} {name}"),
        (whole, _) if whole >= 100 => format!("{} {name}", (ns + unit / 2) / unit),
        (whole, tenth) => format!("{whole}.{tenth} {name}"),
    }
}

fn thousandths(ns: u64, unit: u64) -> String {
    let rounded = ns.saturating_add(unit / 2_000) / (unit / 1_000);
    format!("{}.{:03}", rounded / 1_000, rounded % 1_000)
}

/// A share from counts: `74.89%`, `0%`, `100%`. Anything between never rounds to 0 % or 100 %.
#[must_use]
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let (part, whole) = (u128::from(part), u128::from(whole));
    match (part * 10_000 + whole / 2) / whole {
        _ if part == 0 => "0%".to_owned(),
        _ if part == whole => "100%".to_owned(),
        0 => "<0.01%".to_owned(),
        10_000 => ">99.99%".to_owned(),
        hundredths => format!("{}.{:02}%", hundredths / 100, hundredths % 100),
    }
}

/// A share between 0 and 1 as a percentage with up to two decimals: `75%`, `33.33%`.
#[must_use]
pub fn share(value: f64) -> String {
    // Adding zero takes the sign from a negative one.
    let text = format!("{:.2}", value * 100.0 + 0.0);
    let text = text.strip_suffix(".00").unwrap_or(&text);
    format!("{text}%")
}

/// A horizontal bar of block characters, in eighths of a column; something above zero is visible.
#[must_use]
pub fn bar(part: u64, whole: u64, columns: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if whole == 0 || part == 0 {
        return String::new();
    }
    let eighths = u128::from(part.min(whole)) * (columns as u128 * 8) / u128::from(whole);
    let eighths = usize::try_from(eighths).unwrap_or(columns * 8).max(1);
    let mut out = "█".repeat(eighths / 8);
    out.push_str(EIGHTHS[eighths % 8]);
    out
}

/// The text cut to a number of columns; a cut is marked by `…`.
#[must_use]
pub fn shortened(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        if width(&out) + width(c.encode_utf8(&mut [0; 4])) + 1 > columns {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

/// The text broken at spaces into lines of a number of columns; a longer word stands alone.
#[must_use]
pub fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// An error with its causes on one line: `cannot read a.yaml: permission denied`.
#[must_use]
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Some errors already print their cause; saying it twice helps nobody.
        let text = error.to_string();
        if !out.ends_with(&text) {
            let _ = write!(out, ": {text}");
        }
        cause = error.source();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nouns_agree_with_their_numbers() {
        for (count, noun, text) in [
            (0, "request", "0 requests"),
            (1, "request", "1 request"),
            (10_000, "request", "10 000 requests"),
            (2, "retry", "2 retries"),
            (2, "delay", "2 delays"),
            (2, "process", "2 processes"),
            (2, "branch", "2 branches"),
        ] {
            assert_eq!(plural(count, noun), text);
        }
    }

    #[test]
    fn digits_come_in_groups_of_three() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1 000"), (1_234_567, "1 234 567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn durations_have_the_unit_that_fits() {
        for (ns, text) in [
            (0, "0 s"),
            (850, "850 ns"),
            (1_000, "1 µs"),
            (12_340, "12.3 µs"),
            (999_999, "1 ms"),
            (12_000_000, "12 ms"),
            (2_960_000, "3 ms"),
            (123_400_000, "123 ms"),
            (999_960_000, "1.000 s"),
            (6_000_000_000, "6.000 s"),
            (90_000_000_000, "90.000 s"),
            (120_000_000_000, "2 min"),
            (125_000_000_000, "2 min 05 s"),
            (125_500_000_000, "125.500 s"),
            (5_400_000_000_000, "90 min"),
            (9_000_000_000_000, "2 h 30 min"),
            (7_200_000_000_000, "2 h"),
        ] {
            assert_eq!(duration(Duration::from_nanos(ns)), text, "{ns}");
        }
        assert_eq!(clock(Instant::from_nanos(61_204_499_999)), "61.204 s");
    }

    #[test]
    fn a_share_rounds_to_all_or_nothing_only_when_it_is_that() {
        for (part, whole, text) in [
            (0, 0, "–"),
            (0, 10, "0%"),
            (10, 10, "100%"),
            (1, 3, "33.33%"),
            (1, 1_000_000, "<0.01%"),
            (999_999, 1_000_000, ">99.99%"),
            (u64::MAX - 1, u64::MAX, ">99.99%"),
        ] {
            assert_eq!(percent(part, whole), text);
        }
        assert_eq!([share(0.75), share(1.0 / 3.0), share(-0.0)], ["75%", "33.33%", "0%"]);
    }

    #[test]
    fn bars_are_in_eighths_and_never_vanish() {
        for (part, whole, text) in [(0, 10, ""), (10, 10, "████"), (5, 10, "██"), (1, 1_000, "▏"), (20, 10, "████"), (3, 8, "█▌")]
        {
            assert_eq!(bar(part, whole, 4), text);
        }
    }

    #[test]
    fn long_texts_are_cut_or_broken() {
        assert_eq!(shortened("reviews", 7), "reviews");
        assert_eq!(shortened("reviews-v2", 7), "review…");
        assert_eq!(wrapped("the page takes six seconds", 10), ["the page", "takes six", "seconds"]);
    }

    #[test]
    fn causes_are_told_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read `a.yaml`")]
        struct Outer(#[source] std::io::Error);
        assert_eq!(error_chain(&Outer(std::io::Error::other("disk on fire"))), "cannot read `a.yaml`: disk on fire");
    }

    #[test]
    fn ink_shows_only_where_colour_is_wanted() {
        let colour = Style { colour: true, width: 80 };
        assert_eq!(Style::PLAIN.paint(Ink::Bad, "no"), "no");
        assert_eq!(colour.paint(Ink::Plain, "as is"), "as is");
        assert_eq!(colour.paint(Ink::Good, "yes"), "\u{1b}[32myes\u{1b}[0m");
    }
}
