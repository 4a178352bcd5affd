//! What a server does with successive requests, where that is written down action by action instead
//! of following from an application.

use crate::time::{Duration, Instant};

/// A server that does what is written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Behaviour {
    /// For requests to exactly these paths; others follow `otherwise`.
    pub by_path: Vec<(String, Sequence)>,
    /// For all other requests.
    pub otherwise: Sequence,
    /// When nothing listens: from the first instant up to the second. Open connections are closed
    /// when it begins.
    pub down: Vec<(Instant, Instant)>,
}

/// Actions for successive requests: each is used once, the last is repeated.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sequence {
    /// First these, in turn.
    pub script: Vec<Action>,
    /// Then this, for ever.
    pub then: Action,
}

/// What happens to one request, or to the connection that it would need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// Time between the arrival of the complete request and what follows.
    pub delay: Duration,
    /// Informational answers that are sent at once.
    pub informational: Vec<u16>,
    /// Status of the answer.
    pub status: u16,
    /// Headers of the answer, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Length of the body of the answer.
    pub body_bytes: u64,
    /// How it goes on.
    pub course: Course,
}

/// How a server deals with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Course {
    /// It answers and keeps the connection.
    #[default]
    Answers,
    /// It answers and closes the connection.
    AnswersAndCloses,
    /// It sends headers, and the rest of the answer this much later.
    Stalls(Duration),
    /// It sends headers, and breaks the connection off this much later.
    BreaksOff(Duration),
    /// It ends the connection instead of answering.
    HangsUp,
    /// It sends bytes that are no answer.
    Babbles,
    /// Nothing listens.
    Refuses,
    /// Attempts to connect are never answered.
    Ignores,
}

impl Default for Action {
    fn default() -> Self {
        Action {
            delay: Duration::ZERO,
            informational: Vec::new(),
            status: 200,
            headers: Vec::new(),
            body_bytes: 2,
            course: Course::Answers,
        }
    }
}

impl Action {
    /// The value of a header of the answer.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The value of `grpc-status`.
    #[must_use]
    pub fn grpc_status(&self) -> Option<u32> {
        self.header("grpc-status")?.trim().parse().ok()
    }
}

impl Sequence {
    /// The action for the request with this number, from 0.
    #[must_use]
    pub fn action(&self, nth: usize) -> &Action {
        self.script.get(nth).unwrap_or(&self.then)
    }
}

impl Behaviour {
    /// The number of the sequence for a path: its position in `by_path`, or the number of paths for
    /// all others. A query does not count, unless it is written.
    #[must_use]
    pub fn sequence_for(&self, path: &str) -> usize {
        let bare = path.split_once('?').map_or(path, |(bare, _)| bare);
        let at = |wanted: &str| self.by_path.iter().position(|(known, _)| known == wanted);
        at(path).or_else(|| at(bare)).unwrap_or(self.by_path.len())
    }

    /// A sequence by its number.
    #[must_use]
    pub fn sequence(&self, number: usize) -> &Sequence {
        self.by_path.get(number).map_or(&self.otherwise, |(_, sequence)| sequence)
    }

    /// Whether nothing listens at an instant.
    #[must_use]
    pub fn is_down(&self, at: Instant) -> bool {
        self.down.iter().any(|(from, to)| *from <= at && at < *to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_its_own_sequence_and_the_last_action_is_repeated() {
        let status = |status| Action { status, ..Action::default() };
        let behaviour = Behaviour {
            by_path: vec![("/a".to_owned(), Sequence { script: vec![status(503)], then: status(201) })],
            ..Behaviour::default()
        };
        let answers = |path: &str| {
            let sequence = behaviour.sequence(behaviour.sequence_for(path));
            [0, 1, 2].map(|nth| sequence.action(nth).status)
        };
        assert_eq!(answers("/a"), [503, 201, 201]);
        assert_eq!(answers("/a?b=1"), [503, 201, 201]);
        assert_eq!(answers("/b"), [200, 200, 200]);
    }
}
