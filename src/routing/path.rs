//! Normalisation of the request path, before anything is matched and as the upstream sees it
//! (Envoy: `normalize_path`, Istio's path normalisation `BASE`).
//!
//! Dot segments are resolved, escapes of unreserved characters are decoded, backslashes become
//! slashes and a few characters are escaped. `%2F`, `%20`, double slashes and the query stay as sent.

use std::borrow::Cow;

use super::flag::Flag;

/// Why a path is answered 400 before routing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BadPath {
    /// It holds a fragment or an escaped NUL (details `path_normalization_failed`).
    NotNormalisable,
    /// It cannot be a request target: not absolute, or with blanks or characters beyond ASCII
    /// (details `http1.codec_error`, flag DPE).
    NotATarget,
}

impl BadPath {
    /// The flag that access logs show.
    #[must_use]
    pub const fn flag(self) -> Option<Flag> {
        match self {
            BadPath::NotNormalisable => None,
            BadPath::NotATarget => Some(Flag::DownstreamProtocolError),
        }
    }

    /// The response code details.
    #[must_use]
    pub const fn details(self) -> &'static str {
        match self {
            BadPath::NotNormalisable => "path_normalization_failed",
            BadPath::NotATarget => "http1.codec_error",
        }
    }
}

/// The path, with its query, after normalisation. Borrowed if nothing changed.
///
/// # Errors
/// The request is answered 400 instead.
pub fn normalise(path: &str) -> Result<Cow<'_, str>, BadPath> {
    if !path.starts_with('/') || path.bytes().any(|b| b <= b' ' || b >= 0x7f) {
        return Err(BadPath::NotATarget);
    }
    if path.contains('#') {
        return Err(BadPath::NotNormalisable);
    }
    let (bare, query) = split_query(path);
    if !needs_work(bare) {
        return Ok(Cow::Borrowed(path));
    }
    let mut out = canonical(bare)?;
    out.push_str(query);
    Ok(Cow::Owned(out))
}

/// The path before `?`, and the rest with it.
#[must_use]
pub fn split_query(path: &str) -> (&str, &str) {
    path.split_at(path.find('?').unwrap_or(path.len()))
}

fn needs_work(path: &str) -> bool {
    path.bytes().any(|b| matches!(b, b'%' | b'\\') || is_escaped(b)) || path.contains("/.")
}

/// Characters that are sent escaped.
const fn is_escaped(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>' | b'`' | b'{' | b'|' | b'}' | b'^')
}

/// Characters whose escapes are decoded.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~')
}

fn canonical(path: &str) -> Result<String, BadPath> {
    let path = without_dot_parameters(path);
    let mut out = String::with_capacity(path.len() + 8);
    let mut rest = path.as_bytes();
    let mut broken_escape = None;
    while let Some((&byte, tail)) = rest.split_first() {
        if let Some(after_dot) = dot(rest) {
            rest = match segment_after_dot(&out, after_dot) {
                Segment::Name => {
                    out.push('.');
                    after_dot
                }
                Segment::Current(next) => next,
                Segment::Parent(next) => {
                    back_up(&mut out);
                    next
                }
            };
            continue;
        }
        rest = tail;
        match byte {
            b'\\' => out.push('/'),
            b'%' => match escape(tail) {
                Some(0) => return Err(BadPath::NotNormalisable),
                Some(decoded) if is_unreserved(decoded) => {
                    out.push(char::from(decoded));
                    rest = &tail[2..];
                    protect(&mut out, broken_escape, rest);
                }
                Some(_) => out.push('%'),
                None => {
                    broken_escape = Some(out.len());
                    out.push('%');
                }
            },
            _ if is_escaped(byte) => {
                out.push('%');
                out.push(char::from(b"0123456789ABCDEF"[usize::from(byte >> 4)]));
                out.push(char::from(b"0123456789ABCDEF"[usize::from(byte & 15)]));
            }
            _ => out.push(char::from(byte)),
        }
    }
    Ok(out)
}

/// Drops parameters of segments that are plain dots: `/..;x=1/` is `/../`. Dots written as `%2e` and
/// slashes written as backslashes do not count here.
fn without_dot_parameters(path: &str) -> Cow<'_, str> {
    let is_dots = |segment: &str| segment.starts_with(".;") || segment.starts_with("..;");
    if !path.split('/').any(is_dots) {
        return Cow::Borrowed(path);
    }
    let bare =
        |segment: &str| if is_dots(segment) { segment.split(';').next().unwrap_or("").to_owned() } else { segment.to_owned() };
    Cow::Owned(path.split('/').map(bare).collect::<Vec<_>>().join("/"))
}

/// Escapes a broken `%` before it, where a character that was just decoded would complete it to an
/// escape of its own (`%%361` must not become `%61`).
fn protect(out: &mut String, broken_escape: Option<usize>, rest: &[u8]) {
    let Some(percent) = broken_escape else { return };
    let completed = match out.as_bytes().get(percent + 1..) {
        Some(&[first]) => rest.first().is_some_and(u8::is_ascii_hexdigit) && first.is_ascii_hexdigit(),
        Some(&[first, second]) => first.is_ascii_hexdigit() && second.is_ascii_hexdigit(),
        _ => false,
    };
    if completed {
        out.insert_str(percent + 1, "25");
    }
}

/// What follows a dot, written plainly or as `%2e`, if `rest` begins with one.
fn dot(rest: &[u8]) -> Option<&[u8]> {
    match rest {
        [b'.', tail @ ..] | [b'%', b'2', b'e' | b'E', tail @ ..] => Some(tail),
        _ => None,
    }
}

/// The byte that two hexadecimal digits stand for.
fn escape(digits: &[u8]) -> Option<u8> {
    let digit = |index: usize| digits.get(index).and_then(|b| char::from(*b).to_digit(16));
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

/// What a segment that begins with a dot is.
enum Segment<'a> {
    /// A name.
    Name,
    /// `.`; what follows it.
    Current(&'a [u8]),
    /// `..`; what follows it.
    Parent(&'a [u8]),
}

fn segment_after_dot<'a>(out: &str, after_dot: &'a [u8]) -> Segment<'a> {
    if !out.ends_with('/') {
        return Segment::Name;
    }
    if let Some(next) = segment_end(after_dot) {
        return Segment::Current(next);
    }
    match dot(after_dot).and_then(segment_end) {
        Some(next) => Segment::Parent(next),
        None => Segment::Name,
    }
}

/// What follows the segment if it ends here.
fn segment_end(rest: &[u8]) -> Option<&[u8]> {
    match rest {
        [] => Some(rest),
        [b'/' | b'\\', tail @ ..] => Some(tail),
        _ => None,
    }
}

/// Removes the last segment; the root stays.
fn back_up(out: &mut String) {
    let without_slash = &out[..out.len() - 1];
    let keep = without_slash.rfind('/').map_or(1, |slash| slash + 1);
    out.truncate(keep);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised_before_anything_is_matched() {
        for (sent, seen) in [
            ("/a/./b", "/a/b"),
            ("/a/%2E/b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/%2e%2e/b", "/b"),
            ("/a/..;/b", "/b"),
            ("/x/v;p=1/y/..;q=2/z", "/x/v;p=1/z"),
            ("/foo/..", "/"),
            ("/../x", "/x"),
            ("/foo/.", "/foo/"),
            ("/a//b", "/a//b"),
            ("//", "//"),
            ("/a%2Fb", "/a%2Fb"),
            ("/a%2fb", "/a%2fb"),
            ("/a%5Cb", "/a%5Cb"),
            ("/a\\b", "/a/b"),
            ("/%61bc", "/abc"),
            ("/%7Ea", "/~a"),
            ("/a|b", "/a%7Cb"),
            ("/a\"b", "/a%22b"),
            ("/a<b>", "/a%3Cb%3E"),
            ("/a%20b%25%zz%", "/a%20b%25%zz%"),
            ("/a%2Eb.c", "/a.b.c"),
            ("/.a/..b/...", "/.a/..b/..."),
            ("/a/.;x/b", "/a/b"),
            ("/a/..;\\b", "/"),
            ("/a/..;a;b/c", "/c"),
            ("/a/..;x?y", "/?y"),
            ("/a/%2e;p/b", "/a/.;p/b"),
            ("/a/%2e%2e;/b", "/a/..;/b"),
            ("/a/..%3b/b", "/a/..%3b/b"),
            ("/a//../b", "/a/b"),
            ("/a\\..\\b", "/b"),
            ("/%2561", "/%2561"),
            ("/%%361", "/%2561"),
            ("/a%5c../b", "/a%5c../b"),
            ("/a^`{}b", "/a%5E%60%7B%7Db"),
            ("/p?x=%2e%2e/../b&y=//\\", "/p?x=%2e%2e/../b&y=//\\"),
        ] {
            assert_eq!(normalise(sent).unwrap(), seen, "{sent}");
        }
    }

    #[test]
    fn some_paths_are_answered_400() {
        for (sent, why) in [
            ("/a#b", BadPath::NotNormalisable),
            ("/a%00b", BadPath::NotNormalisable),
            ("/a b", BadPath::NotATarget),
            ("/ä", BadPath::NotATarget),
            ("*", BadPath::NotATarget),
            ("", BadPath::NotATarget),
        ] {
            assert_eq!(normalise(sent), Err(why), "{sent}");
        }
    }

    #[test]
    fn unchanged_paths_are_borrowed() {
        assert!(matches!(normalise("/reviews/0?x=1"), Ok(Cow::Borrowed(_))));
    }
}
