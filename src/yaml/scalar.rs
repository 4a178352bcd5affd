//! The typing of plain scalars: which unquoted words are booleans, numbers or nothing.
//!
//! The table is that of goyaml v2, which kubectl and istiod read YAML with: booleans of YAML 1.1
//! (`y`, `on`, ...), octal with a leading zero, underscores in numbers. Timestamps stay strings, as
//! they do on the way to JSON.

use super::node::Value;

/// Types a plain scalar without a tag.
pub(super) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Value::Bool(true, text.to_owned()),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Value::Bool(false, text.to_owned())
        }
        ".nan" | ".NaN" | ".NAN" => Value::Float(f64::NAN, text.to_owned()),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Value::Float(f64::INFINITY, text.to_owned()),
        "-.inf" | "-.Inf" | "-.INF" => Value::Float(f64::NEG_INFINITY, text.to_owned()),
        _ => number(text).unwrap_or_else(|| Value::Str(text.to_owned())),
    }
}

fn number(text: &str) -> Option<Value> {
    match text.as_bytes().first()? {
        b'0'..=b'9' | b'+' | b'-' => {
            let digits = text.replace('_', "");
            integer(&digits).map(|number| whole(number, text)).or_else(|| float(&digits, text))
        }
        // Underscores are for numbers that start with a digit or a sign.
        b'.' => float(text, text),
        _ => None,
    }
}

/// Go's `strconv.ParseInt` with base 0: the prefix chooses the base.
fn integer(digits: &str) -> Option<i128> {
    let (negative, magnitude) = match digits.as_bytes().first()? {
        b'-' => (true, &digits[1..]),
        b'+' => (false, &digits[1..]),
        _ => (false, digits),
    };
    let (base, rest) = match magnitude.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &magnitude[2..]),
        [b'0', b'o' | b'O', ..] => (8, &magnitude[2..]),
        [b'0', b'b' | b'B', ..] => (2, &magnitude[2..]),
        [b'0', _, ..] => (8, &magnitude[1..]),
        _ => (10, magnitude),
    };
    // `from_str_radix` takes a second sign; Go does not.
    if !rest.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let number = i128::from(u64::from_str_radix(rest, base).ok()?);
    Some(if negative { -number } else { number })
}

fn whole(number: i128, text: &str) -> Value {
    i64::try_from(number)
        .map_or_else(|_| Value::Float(number as f64, text.to_owned()), |fitting| Value::Int(fitting, text.to_owned()))
}

fn float(digits: &str, text: &str) -> Option<Value> {
    if !digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-')) {
        return None;
    }
    let value: f64 = digits.parse().ok().filter(|value: &f64| value.is_finite())?;
    // JSON has one kind of number: `80.0` reaches the API server as `80` and is a good port.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    Some(if value.fract() == 0.0 && value.abs() <= EXACT_MAX {
        Value::Int(value as i64, text.to_owned())
    } else {
        Value::Float(value, text.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(number: i64, text: &str) -> Value {
        Value::Int(number, text.to_owned())
    }

    #[test]
    fn plain_scalars_have_the_types_that_kubectl_gives_them() {
        for (text, number) in [
            ("0", 0),
            ("-7", -7),
            ("+7", 7),
            ("0777", 511),
            ("0o777", 511),
            ("0400", 256),
            ("0x1F", 31),
            ("-0x1F", -31),
            ("0b101", 5),
            ("1_000", 1000),
            ("1.0", 1),
            ("80.", 80),
            ("1e3", 1000),
            // no octal number, so a float that happens to be whole
            ("08", 8),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(plain(text), int(number, text), "{text}");
        }
        for (text, number) in
            [("1.5", 1.5), (".5", 0.5), ("-1.5e-3", -0.0015), ("18446744073709551615", 18_446_744_073_709_551_615.0)]
        {
            assert_eq!(plain(text), Value::Float(number, text.to_owned()), "{text}");
        }
        for text in ["y", "Yes", "on", "True"] {
            assert_eq!(plain(text), Value::Bool(true, text.to_owned()), "{text}");
        }
        for text in ["n", "No", "OFF", "false"] {
            assert_eq!(plain(text), Value::Bool(false, text.to_owned()), "{text}");
        }
        for text in ["", "~", "null"] {
            assert_eq!(plain(text), Value::Null, "{text}");
        }
        for text in [
            "yEs",
            "nULL",
            "oN",
            "v1",
            "1.2.3",
            "2024-01-01",
            "2024-01-01T00:00:00Z",
            "0x",
            "+-1",
            "--1",
            "_1",
            "._5",
            "1e999",
            ".",
            "-",
            "10m",
            "1:30",
            "0xZZ",
            "0o8",
            "inf",
            "nan",
            "<<",
            "=",
            "1__",
            "é",
        ] {
            let expected = if text == "1__" { int(1, text) } else { Value::Str(text.to_owned()) };
            assert_eq!(plain(text), expected, "{text}");
        }
    }
}
