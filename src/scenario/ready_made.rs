//! Ready-made applications, written in the scenario's own format.

/// The names of the ready-made applications with the text of each, by era where it matters: the
/// text for releases whose reviews service survives a ratings timeout, and the one before.
pub const READY_MADE: &[(&str, &str, &str)] = &[];

/// The text of a ready-made application.
#[must_use]
pub fn ready_made(name: &str, reviews_catches_ratings_timeout: bool) -> Option<&'static str> {
    let (_, modern, old) = READY_MADE.iter().find(|(n, _, _)| *n == name)?;
    Some(if reviews_catches_ratings_timeout { modern } else { old })
}
