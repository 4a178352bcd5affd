//! Requests that are written down one by one, each with its instant.

use crate::routing::Request;
use crate::time::{Duration, Instant};

/// One request of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRequest {
    /// When it is sent.
    pub at: Instant,
    /// Whose proxy it goes through: a workload or a described proxy, `name` or `name.namespace`.
    pub from: String,
    /// Its name; requests of one name are repetitions.
    pub name: String,
    /// Number among the repetitions, from 1.
    pub number: u64,
    /// Port that is dialled.
    pub port: u16,
    /// What is sent.
    pub request: Request,
    /// Length of its body in bytes.
    pub body_bytes: u64,
    /// How long after its headers the body is complete.
    pub body_after: Duration,
    /// How long after its beginning the client hangs up, if it does.
    pub abort_after: Option<Duration>,
    /// The client connection it shares with others; `None` if it has its own.
    pub connection: Option<String>,
}
