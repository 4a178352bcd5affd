//! Conditions on texts and headers, and the routing core's conditions that mean the same.

use std::fmt::Write as _;

use crate::diagnostic::{Code, Diagnostic};
use crate::mesh::pattern::Pattern;
use crate::mesh::route::{Condition, Subject, Test};
use crate::source::{Span, Spanned};
use crate::yaml::{Cx, Decode, Node};

type Text = Option<Spanned<String>>;

crate::record! {
    /// A condition on a header (Envoy: `HeaderMatcher`). Without any test, the header must be there.
    pub struct HeaderMatcher {
        /// Name.
        pub name: Spanned<String> = "name",
        /// A test of the value.
        pub string_match: Option<StringMatcher> = "string_match",
        /// A whole number: from `start`, below `end`.
        pub range_match: Option<Int64Range> = "range_match",
        /// Whether the header must be there.
        pub present_match: Option<bool> = "present_match",
        /// The whole value; the older form.
        pub exact_match: Text = "exact_match",
        /// A regular expression; the older form.
        pub safe_regex_match: Option<SafeRegex> = "safe_regex_match",
        /// The beginning; the older form.
        pub prefix_match: Text = "prefix_match",
        /// The end; the older form.
        pub suffix_match: Text = "suffix_match",
        /// A part; the older form.
        pub contains_match: Text = "contains_match",
        /// Whether the answer is turned round.
        pub invert_match: Option<bool> = "invert_match",
        /// Whether an absent header counts as an empty one.
        pub treat_missing_header_as_empty: Option<bool> = "treat_missing_header_as_empty",
    }

    /// A condition on a query parameter (Envoy: `QueryParameterMatcher`).
    pub struct QueryParameterMatcher {
        /// Name.
        pub name: Spanned<String> = "name",
        /// A test of the value.
        pub string_match: Option<StringMatcher> = "string_match",
        /// Whether it must be there.
        pub present_match: Option<bool> = "present_match",
    }

    /// A test of a text (Envoy: `StringMatcher`).
    pub struct StringMatcher {
        /// The whole value.
        pub exact: Text = "exact",
        /// The beginning.
        pub prefix: Text = "prefix",
        /// The end.
        pub suffix: Text = "suffix",
        /// A part.
        pub contains: Text = "contains",
        /// A regular expression for all of it.
        pub safe_regex: Option<SafeRegex> = "safe_regex",
        /// An extension's own test.
        pub custom: Option<Node> = "custom",
        /// Whether case does not matter.
        pub ignore_case: Option<bool> = "ignore_case",
    }

    /// A regular expression.
    pub struct SafeRegex {
        /// The pattern.
        pub regex: Spanned<String> = "regex",
    }
    irrelevant "google_re2";

    /// Whole numbers from `start`, below `end`.
    pub struct Int64Range {
        /// The first.
        pub start: Option<Whole> = "start",
        /// One past the last.
        pub end: Option<Whole> = "end",
    }
}

/// A whole number; JSON of messages writes those of 64 bits as strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Whole(pub i64);

impl Decode for Whole {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match node.as_str().and_then(|text| text.parse().ok()) {
            Some(number) => Some(Whole(number)),
            None => i64::decode(node, cx).map(Whole),
        }
    }

    fn schema(definitions: &mut serde_json::Map<String, serde_json::Value>) -> serde_json::Value {
        i64::schema(definitions)
    }
}

/// Why something cannot be had of the routing core, and where it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Why.
    pub(super) why: String,
    /// Where.
    pub(super) span: Span,
    is_invalid: bool,
}

impl Refusal {
    /// Envoy takes it, and it is not modelled here.
    pub(super) fn not_modelled(what: &str, span: Span) -> Self {
        Refusal { why: format!("{what} is not modelled"), span, is_invalid: false }
    }

    /// Envoy refuses it.
    pub(super) fn invalid(why: &str, span: Span) -> Self {
        Refusal { why: why.to_owned(), span, is_invalid: true }
    }

    /// The finding that says so.
    pub(super) fn finding(&self) -> Diagnostic {
        if self.is_invalid {
            return Diagnostic::new(Code::TestInvalid, format!("{}; Envoy refuses the configuration", self.why)).at(self.span);
        }
        let why = format!("{}; tests whose request comes to it are not judged", self.why);
        Diagnostic::new(Code::NotModelled, why).at(self.span)
    }
}

impl SafeRegex {
    /// The pattern compiled.
    pub(super) fn pattern(&self) -> Result<Pattern, Refusal> {
        let invalid = |error| Refusal::invalid(&format!("`{}`: {error}", self.regex.value), self.regex.span);
        Pattern::new(&self.regex.value).map_err(invalid)
    }
}

impl StringMatcher {
    /// The core's test.
    pub(super) fn test(&self) -> Result<Test, Refusal> {
        if let Some(custom) = &self.custom {
            return Err(Refusal::not_modelled("a custom string matcher", custom.span));
        }
        let ignore = self.ignore_case.unwrap_or(false);
        let made = |before: &str, text: &str, after: &str| {
            let case = if ignore { "(?i)" } else { "" };
            any_text(&format!("{case}{before}{}{after}", regex::escape(text)), self.span)
        };
        match (&self.exact, &self.prefix, &self.suffix, &self.contains, &self.safe_regex) {
            (Some(text), ..) if ignore => made("", &text.value, ""),
            (Some(text), ..) => Ok(Test::Exact(text.value.clone())),
            (_, Some(text), ..) if ignore => made("", &text.value, ANY),
            (_, Some(text), ..) => Ok(Test::Prefix(text.value.clone())),
            (_, _, Some(text), ..) => made(ANY, &text.value, ""),
            (_, _, _, Some(text), _) => made(ANY, &text.value, ANY),
            (_, _, _, _, Some(regex)) => Ok(Test::Regex(regex.pattern()?)),
            _ => Err(Refusal::invalid("a string matcher asks for nothing", self.span)),
        }
    }
}

const ANY: &str = "(?s:.*)";

fn any_text(source: &str, span: Span) -> Result<Test, Refusal> {
    Pattern::new(source).map(Test::Regex).map_err(|error| Refusal::invalid(&error.to_string(), span))
}

impl HeaderMatcher {
    /// The core's condition.
    pub(super) fn condition(&self) -> Result<Condition, Refusal> {
        let old = StringMatcher {
            span: self.span,
            exact: self.exact_match.clone(),
            prefix: self.prefix_match.clone(),
            suffix: self.suffix_match.clone(),
            contains: self.contains_match.clone(),
            safe_regex: self.safe_regex_match.clone(),
            ..StringMatcher::default()
        };
        let has_old = old != StringMatcher { span: self.span, ..StringMatcher::default() };
        let test = match (&self.string_match, &self.range_match) {
            (Some(matcher), _) => matcher.test()?,
            (None, Some(range)) => {
                any_text(&decimal_range(range.start.unwrap_or_default().0, range.end.unwrap_or_default().0), range.span)?
            }
            (None, None) if has_old => old.test()?,
            (None, None) => Test::Present,
        };
        let absent = matches!(test, Test::Present) && self.present_match == Some(false);
        Ok(Condition {
            subject: Subject::Header(self.name.value.to_ascii_lowercase()),
            test,
            invert: self.invert_match.unwrap_or(false) != absent,
            missing_as_empty: self.treat_missing_header_as_empty.unwrap_or(false),
            span: self.span,
        })
    }
}

impl QueryParameterMatcher {
    /// The core's condition.
    pub(super) fn condition(&self) -> Result<Condition, Refusal> {
        let test = self.string_match.as_ref().map_or(Ok(Test::Present), StringMatcher::test)?;
        let invert = matches!(test, Test::Present) && self.present_match == Some(false);
        let subject = Subject::Query(self.name.value.clone());
        Ok(Condition { subject, test, invert, missing_as_empty: false, span: self.span })
    }
}

/// A pattern for the decimal numbers from `start` below `end`, as they may be written: with a sign and
/// with leading zeros. Without any number, a pattern that nothing matches.
fn decimal_range(start: i64, end: i64) -> String {
    let mut parts = Vec::new();
    if end > start {
        let last = end - 1;
        if last >= 0 {
            parts.push(format!("\\+?0*(?:{})", magnitudes(start.max(0).unsigned_abs(), last.unsigned_abs())));
        }
        if start < 0 {
            parts.push(format!("-0*(?:{})", magnitudes(last.min(-1).unsigned_abs(), start.unsigned_abs())));
        }
        if start <= 0 && last >= 0 {
            parts.push("-0+".to_owned());
        }
    }
    if parts.is_empty() { "[^\\s\\S]".to_owned() } else { parts.join("|") }
}

/// Alternatives for the numbers from `low` to `high`, written without leading zeros.
fn magnitudes(low: u64, high: u64) -> String {
    let mut parts = Vec::new();
    let mut from = low;
    loop {
        // The longest run of numbers with one beginning and free digits after it.
        let mut step: u64 = 1;
        while let Some(next) = step.checked_mul(10)
            && from.is_multiple_of(next)
            && from.checked_add(next - 1).is_some_and(|end| end <= high)
            && from > 0
        {
            step = next;
        }
        let free = step.to_string().len() - 1;
        let digit = from / step % 10;
        let room = (high - from) / step;
        let last_digit = digit + room.min(9 - digit);
        // A run that ends inside of `high` is complete, because `step` is the largest that fits.
        let begin = from / step / 10;
        let begin = if begin == 0 { String::new() } else { begin.to_string() };
        let whole = (high - from + 1) / step;
        let last_digit = last_digit.min(digit + whole - 1);
        let mut part = begin;
        let _ = write!(part, "[{digit}-{last_digit}]");
        if free > 0 {
            let _ = write!(part, "[0-9]{{{free}}}");
        }
        parts.push(part);
        let Some(next) = from.checked_add((last_digit - digit + 1) * step) else { break };
        if next > high {
            break;
        }
        from = next;
    }
    parts.join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_takes_exactly_its_numbers() {
        for (start, end) in [(0, 100), (1, 1), (7, 12), (99, 1001), (-5, 3), (-120, -99), (5, 1), (0, 1), (-1, 0), (395, 20_407)]
        {
            let pattern = Pattern::new(&decimal_range(start, end)).unwrap();
            for number in -1_300..21_000 {
                assert_eq!(pattern.matches(&number.to_string()), (start..end).contains(&number), "{number} in {start}..{end}");
            }
        }
        let all = Pattern::new(&decimal_range(i64::MIN, i64::MAX)).unwrap();
        let spellings = [("+7", true), ("007", true), ("-0", true), ("", false), ("7a", false), ("9223372036854775806", true)];
        for (text, holds) in [spellings.as_slice(), &[("9223372036854775807", false), ("-9223372036854775808", true)]].concat() {
            assert_eq!(all.matches(text), holds, "{text}");
        }
    }
}
