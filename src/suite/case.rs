//! One request with what is claimed about it, and what came of the claims.

use std::sync::Arc;

use super::config_validator::RuleClaims;
use super::coverage::Trace;
use super::format::Expect;
use super::question::Question;
use super::router_check::{RouteClaims, Routes};
use crate::source::Span;

/// One request with what is claimed about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// What it shows, with what tells it from the other requests of its test.
    pub name: String,
    /// Where it is written.
    pub span: Span,
    /// The request.
    pub question: Question,
    /// What is claimed.
    pub claims: Claims,
}

impl Case {
    /// The same case about these routes instead of those of a mesh, if its format can ask that.
    #[must_use]
    pub fn about(self, routes: &Arc<Routes>) -> Self {
        match self.claims {
            Claims::Route(claims) => Case { claims: Claims::Route(Box::new(claims.about(routes))), ..self },
            claims => Case { claims, ..self },
        }
    }
}

/// What is claimed about a request, by the format it was written in.
#[derive(Debug, Clone, PartialEq)]
pub enum Claims {
    /// This program's own.
    Own(Box<Expect>),
    /// `istio-config-validator`: which rule takes it.
    Rule(Box<RuleClaims>),
    /// `router_check_tool`: what the route does.
    Route(Box<RouteClaims>),
}

/// A claim that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it is about: `destinations`, `timeout`.
    pub what: String,
    /// What was claimed.
    pub expected: String,
    /// What is.
    pub actual: String,
    /// Where the claim is written.
    pub span: Span,
    /// What would have to stand there instead, if that is one scalar.
    pub correction: Option<String>,
}

/// What came of a case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Claims that do not hold.
    pub failures: Vec<Failure>,
    /// Conditions that the claims' format cannot decide, with where they are written.
    pub undecided: Vec<(String, Span)>,
    /// Why what becomes of the request cannot be told, and where that is written.
    pub not_judged: Option<(String, Span)>,
    /// The route that took the request: its object and place, for people.
    pub route: Option<Span>,
    /// What was looked at.
    pub trace: Trace,
}

impl Verdict {
    /// Whether every claim was judged and holds.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures.is_empty() && self.not_judged.is_none()
    }

    /// Notes a claim: it holds if both sides are equal.
    pub(super) fn claim(&mut self, what: &str, expected: impl Into<String>, actual: impl Into<String>, span: Span) {
        let (expected, actual) = (expected.into(), actual.into());
        if expected != actual {
            let correction = Some(actual.clone());
            self.failures.push(Failure { what: what.to_owned(), expected, actual, span, correction });
        }
    }

    /// Notes a claim that does not hold and that no single value would mend.
    pub(super) fn fail(&mut self, what: &str, expected: impl Into<String>, actual: impl Into<String>, span: Span) {
        let (expected, actual) = (expected.into(), actual.into());
        self.failures.push(Failure { what: what.to_owned(), expected, actual, span, correction: None });
    }
}
