//! Changes of path and authority on the way to the upstream (Envoy:
//! `RouteEntryImplBase::finalizeRequestHeaders`).

use super::received::Received;
use crate::mesh::route::{PathRewrite, PathTest, RouteMatch};

/// The path, with query, after a rewrite.
#[must_use]
pub(super) fn rewritten(rewrite: &PathRewrite, matcher: &RouteMatch, received: &Received<'_>) -> String {
    let bare = received.bare_path();
    match rewrite {
        PathRewrite::Prefix(prefix) => with_query(&replace_prefix(matcher, prefix, bare), received),
        PathRewrite::Regex { pattern, substitution } => with_query(&pattern.replace_all(bare, substitution), received),
    }
}

/// Puts `replacement` in the place of exactly the text that the prefix matched; an exact or regex
/// match is the whole path. No slash is added or removed.
pub(super) fn replace_prefix(matcher: &RouteMatch, replacement: &str, bare_path: &str) -> String {
    let matched = match &matcher.path.test {
        PathTest::Prefix(prefix) | PathTest::SegmentPrefix(prefix) => prefix.len(),
        PathTest::Exact(_) | PathTest::Regex(_) => bare_path.len(),
    };
    format!("{replacement}{}", bare_path.get(matched..).unwrap_or_default())
}

pub(super) fn with_query(path: &str, received: &Received<'_>) -> String {
    format!("{path}{}", received.query())
}
