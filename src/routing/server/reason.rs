//! Why a rule does not match.

use super::call::{Facts, ServerCall};
use super::rbac::{any, holds};
use crate::mesh::Proxy;
use crate::mesh::authorization::{Clause, RbacRule};
use crate::routing::authentication::authenticate;
use crate::source::Span;

/// The first condition of a rule that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The field, as it is written.
    pub field: String,
    /// Its values; none for a policy without rules.
    pub wanted: Vec<String>,
    /// What was there instead.
    pub saw: String,
    /// Where the values are written.
    pub span: Span,
}

/// Why a rule does not match a call that a filter chain of this kind took; `None` if it does. Of
/// several sources or operations the one is named that held longest.
#[must_use]
pub fn failure(proxy: &Proxy, call: &ServerCall, mutual_tls: bool, http: bool, rule: &RbacRule) -> Option<Failure> {
    let arrived = Facts::new(proxy, call, mutual_tls, http).ok()?;
    let issuers = &proxy.inbound.authorization.issuers;
    let seen = arrived.received().and_then(|received| authenticate(issuers, received.request).ok());
    let facts = seen.as_ref().map_or_else(|| arrived.clone(), |seen| arrived.after(proxy, seen));
    if rule.permissions.is_empty() {
        let span = rule.origin.span;
        return Some(Failure {
            field: "rules".to_owned(),
            wanted: Vec::new(),
            saw: "a policy without rules matches nothing".to_owned(),
            span,
        });
    }
    let side = [&rule.permissions, &rule.principals].into_iter().find(|clauses| !any(clauses, &facts))?;
    side.iter().map(|clause| first_failure(clause, &facts)).max_by_key(|(held, _)| *held).map(|(_, failure)| failure)?
}

/// How many conditions of a clause hold, and the first that does not.
fn first_failure(clause: &Clause, facts: &Facts<'_>) -> (usize, Option<Failure>) {
    let failing = clause.conditions.iter().position(|condition| !holds(condition, facts));
    let failure = failing.map(|index| {
        let condition = &clause.conditions[index];
        Failure {
            field: condition.field.clone(),
            wanted: condition.tests.iter().map(|(_, written)| written.clone()).collect(),
            saw: condition.tests.first().map_or_else(String::new, |(test, _)| facts.saw(test)),
            span: condition.span,
        }
    });
    (failing.unwrap_or(clause.conditions.len()), failure)
}
