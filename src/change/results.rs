//! Changes of path that come to the same, although routes say them differently: a prefix that is
//! replaced and a path that is replaced, where only one path is in question.

use crate::mesh::Proxy;
use crate::mesh::pattern::Pattern;
use crate::mesh::route::{Action, PathMatch, PathRewrite, PathTest, RedirectPath, Route};
use crate::routing::Treatment;
use crate::source::Span;

/// How the paths that two routes make of the requests of both compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Likeness {
    /// They are the same.
    Same,
    /// They are the same on this path and on no other.
    OnlyOn(String),
    /// They differ on every path.
    Different,
    /// They differ or do not.
    Unknown,
}

/// What a route makes of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect<'r> {
    /// This in place of its beginning, which is this text.
    Replaced { beginning: &'r str, ignore_case: bool, new: &'r str },
    /// This, whatever it was.
    Constant(&'r str),
    /// What an expression makes of it.
    Pattern(&'r Pattern, &'r str),
}

/// Whether two routes do the same with a request but for what they make of its path.
pub(super) fn same_but_path(base: &Proxy, one: &Route, head: &Proxy, other: &Route) -> bool {
    let without = |proxy: &Proxy, route: &Route| {
        let mut route = route.clone();
        match &mut route.action {
            Action::Forward(forward) => forward.path_rewrite = None,
            Action::Redirect(redirect) => redirect.path = None,
            Action::Direct(_) => {}
        }
        Treatment::of_route(proxy, &route)
    };
    without(base, one) == without(head, other)
}

/// Compares what two routes make of the paths that both match.
pub(super) fn compare(one: &Route, other: &Route) -> Likeness {
    if rewrites(one) != rewrites(other) {
        return Likeness::Different;
    }
    let (Some(before), Some(after)) = (effect(one), effect(other)) else { return Likeness::Unknown };
    let (before, after) = (below(before, other), below(after, one));
    let exact = [one, other].into_iter().find_map(|route| match &route.matcher.path {
        PathMatch { test: PathTest::Exact(path), ignore_case: false, .. } => Some(path.as_str()),
        _ => None,
    });
    if let Some(path) = exact {
        return match (result(&before, path), result(&after, path)) {
            (Some(before), Some(after)) if before == after => Likeness::Same,
            (Some(_), Some(_)) => Likeness::Different,
            _ => Likeness::Unknown,
        };
    }
    match (before, after) {
        (Effect::Constant(before), Effect::Constant(after)) => different_unless(before == after),
        (Effect::Constant(whole), replaced @ Effect::Replaced { .. })
        | (replaced @ Effect::Replaced { .. }, Effect::Constant(whole)) => only(whole, &replaced),
        (
            Effect::Replaced { beginning: a, ignore_case: a_folds, new: before },
            Effect::Replaced { beginning: b, ignore_case: b_folds, new: after },
        ) => {
            let ((short, before), (long, folds, after)) =
                if a.len() <= b.len() { ((a, before), (b, b_folds, after)) } else { ((b, after), (a, a_folds, before)) };
            match long.get(short.len()..) {
                // What only the longer one replaces stays as it is with the shorter one.
                Some(between) if between.is_empty() || !folds => different_unless(format!("{before}{between}") == after),
                _ => Likeness::Unknown,
            }
        }
        (Effect::Pattern(one, before), Effect::Pattern(other, after)) if one == other && before == after => Likeness::Same,
        _ => Likeness::Unknown,
    }
}

/// What the removal of a segment (Gateway API's replacement of a prefix by `/`) makes of paths that begin
/// with the segment and a slash, as the other route asks.
fn below<'r>(effect: Effect<'r>, other: &'r Route) -> Effect<'r> {
    let Effect::Pattern(pattern, r"/\2") = effect else { return effect };
    let PathMatch { test: PathTest::Prefix(asked), ignore_case: false, .. } = &other.matcher.path else { return effect };
    let quoted = pattern.source().strip_prefix('^').and_then(|source| source.strip_suffix("(/?)(.*)"));
    let Some(quoted) = quoted else { return effect };
    let beginning = asked.match_indices('/').map(|(at, _)| &asked[..=at]);
    let mut removed = beginning.filter(|beginning| quoted_alike(quoted, &beginning[..beginning.len() - 1]));
    removed.next().map_or(effect, |beginning| Effect::Replaced { beginning, ignore_case: false, new: "/" })
}

/// Whether a pattern is a text with backslashes before characters that mean something.
fn quoted_alike(quoted: &str, text: &str) -> bool {
    Pattern::new(quoted).is_ok_and(|pattern| pattern.matches(text)) && quoted.replace('\\', "") == text
}

/// Whether the upstream is told of another path, be it the same (`x-envoy-original-path`).
fn rewrites(route: &Route) -> bool {
    matches!(&route.action, Action::Forward(forward) if forward.path_rewrite.is_some())
}

fn different_unless(same: bool) -> Likeness {
    if same { Likeness::Same } else { Likeness::Different }
}

/// The path on which a replaced beginning gives this whole path.
fn only(whole: &str, replaced: &Effect<'_>) -> Likeness {
    let Effect::Replaced { beginning, ignore_case, new } = replaced else { return Likeness::Unknown };
    match whole.strip_prefix(new) {
        _ if *ignore_case => Likeness::Unknown,
        Some(rest) => Likeness::OnlyOn(format!("{beginning}{rest}")),
        None => Likeness::Different,
    }
}

fn effect(route: &Route) -> Option<Effect<'_>> {
    let by_prefix = |new| match &route.matcher.path.test {
        PathTest::Prefix(beginning) | PathTest::SegmentPrefix(beginning) => {
            Effect::Replaced { beginning, ignore_case: route.matcher.path.ignore_case, new }
        }
        PathTest::Exact(_) | PathTest::Regex(_) => Effect::Constant(new),
    };
    let kept = Effect::Replaced { beginning: "", ignore_case: false, new: "" };
    match &route.action {
        Action::Forward(forward) => Some(match &forward.path_rewrite {
            None => kept,
            Some(PathRewrite::Prefix(new)) => by_prefix(new),
            Some(PathRewrite::Regex { pattern, substitution }) => by_pattern(pattern, substitution),
        }),
        Action::Redirect(redirect) => match &redirect.path {
            None => Some(kept),
            // A path with a query drops the request's own.
            Some(RedirectPath::Full(path)) => (!path.contains('?')).then_some(Effect::Constant(path)),
            Some(RedirectPath::Prefix(new)) => Some(by_prefix(new)),
            Some(RedirectPath::Regex { pattern, substitution }) => Some(by_pattern(pattern, substitution)),
        },
        Action::Direct(_) => None,
    }
}

/// An expression for every path leaves nothing of it.
fn by_pattern<'r>(pattern: &'r Pattern, substitution: &'r str) -> Effect<'r> {
    let takes_all = matches!(pattern.source(), "/.*" | "^/.*" | "^/.*$" | "/.*$" | "^.*$");
    if takes_all && !substitution.contains('\\') {
        Effect::Constant(substitution)
    } else {
        Effect::Pattern(pattern, substitution)
    }
}

/// What becomes of one path.
fn result(effect: &Effect<'_>, path: &str) -> Option<String> {
    match effect {
        Effect::Constant(whole) => Some((*whole).to_owned()),
        Effect::Replaced { beginning, new, .. } => path.get(beginning.len()..).map(|rest| format!("{new}{rest}")),
        Effect::Pattern(pattern, substitution) => Some(pattern.replace_all(path, substitution)),
    }
}

/// What two routes make of a path, if both are known.
pub(super) fn on(path: &str, one: &Route, other: &Route) -> Option<(String, String)> {
    Some((result(&effect(one)?, path)?, result(&effect(other)?, path)?))
}

/// A condition for one path alone.
pub(super) fn exactly(path: &str) -> crate::mesh::route::RouteMatch {
    let path = PathMatch { test: PathTest::Exact(path.to_owned()), ignore_case: false, span: Span::NOWHERE };
    crate::mesh::route::RouteMatch { path, conditions: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::Origin;
    use crate::mesh::route::{HeaderOps, Redirect, RouteMatch};

    fn route(test: PathTest, path: Option<RedirectPath>) -> Route {
        Route {
            name: String::new(),
            matcher: RouteMatch { path: PathMatch { test, ignore_case: false, span: Span::NOWHERE }, conditions: Vec::new() },
            action: Action::Redirect(Box::new(Redirect { status: 301, path, ..Redirect::default() })),
            fault: None,
            cors: None,
            request_headers: HeaderOps::default(),
            response_headers: HeaderOps::default(),
            origin: Origin::default(),
        }
    }

    #[test]
    fn replaced_beginnings_and_whole_paths_are_compared_by_what_comes_of_them() {
        let exact = |text: &str| PathTest::Exact(text.to_owned());
        let prefix = |text: &str| PathTest::Prefix(text.to_owned());
        let begins = |text: &str| Some(RedirectPath::Prefix(text.to_owned()));
        let whole = |text: &str| Some(RedirectPath::Full(text.to_owned()));
        let by = |pattern: &str, text: &str| {
            Some(RedirectPath::Regex { pattern: Pattern::new(pattern).unwrap(), substitution: text.to_owned() })
        };
        for (one, other, likeness) in [
            (route(exact("/a"), begins("/b")), route(prefix("/a"), begins("/b")), Likeness::Same),
            (route(exact("/a"), whole("/b")), route(prefix("/"), begins("/b/")), Likeness::Different),
            (route(exact("/a/"), whole("/b/")), route(prefix("/a"), begins("/b")), Likeness::Same),
            (route(prefix("/a/"), begins("/b/")), route(prefix("/a"), begins("/b")), Likeness::Same),
            (route(prefix("/a/"), begins("/")), route(prefix("/a"), begins("/")), Likeness::Different),
            (route(prefix("/a"), None), route(prefix("/a"), begins("/a")), Likeness::Same),
            (route(prefix("/a"), whole("/b")), route(prefix("/a"), begins("/b")), Likeness::OnlyOn("/a".to_owned())),
            (route(prefix("/a"), whole("/c")), route(prefix("/a"), begins("/b")), Likeness::Different),
            (route(prefix("/a"), whole("/b")), route(prefix("/"), by("/.*", "/b")), Likeness::Same),
            (route(exact("/a/x"), by("^/a/(.)", r"/\1")), route(exact("/a/x"), whole("/x")), Likeness::Same),
            (route(prefix("/a"), by("^/a", "/b")), route(prefix("/a"), begins("/b")), Likeness::Unknown),
            (route(prefix("/a.b/"), begins("/")), route(prefix("/"), by(r"^/a\.b(/?)(.*)", r"/\2")), Likeness::Same),
            (route(prefix("/a.b/c/"), begins("/c/")), route(prefix("/"), by(r"^/a\.b(/?)(.*)", r"/\2")), Likeness::Same),
            (route(prefix("/a.b"), begins("/")), route(prefix("/"), by(r"^/a\.b(/?)(.*)", r"/\2")), Likeness::Unknown),
            (route(prefix("/a"), whole("/b?q")), route(prefix("/a"), begins("/b")), Likeness::Unknown),
        ] {
            assert_eq!(compare(&one, &other), likeness, "{one:?} {other:?}");
            assert_eq!(compare(&other, &one), likeness, "{other:?} {one:?}");
        }
    }
}
