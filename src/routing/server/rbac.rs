//! What RBAC filters decide (Envoy: `RoleBasedAccessControlEngineImpl`).

use super::call::Facts;
use crate::mesh::authorization::{Clause, Condition, RbacAction, RbacFilter, RbacRule, RuleSet};

/// What the rules of a filter say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Engine {
    /// The first rule that matches.
    pub matched: Option<usize>,
    /// Whether they let the request pass.
    pub allows: bool,
}

/// What a filter came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FilterOutcome<'m> {
    /// The filter.
    pub filter: &'m RbacFilter,
    /// By the rules that count.
    pub enforced: Option<Engine>,
    /// By the rules of dry runs.
    pub shadow: Option<Engine>,
}

impl<'m> FilterOutcome<'m> {
    /// Whether the request ends here.
    #[must_use]
    pub fn denies(&self) -> bool {
        self.enforced.is_some_and(|engine| !engine.allows)
    }

    /// The rule that counts and matches.
    #[must_use]
    pub fn rule(&self) -> Option<&'m RbacRule> {
        self.filter.enforced.as_ref()?.rules.get(self.enforced?.matched?)
    }

    /// The rule of a dry run that matches.
    #[must_use]
    pub fn shadow_rule(&self) -> Option<&'m RbacRule> {
        self.filter.shadow.as_ref()?.rules.get(self.shadow?.matched?)
    }
}

/// Asks the filters one after the other, until one denies.
pub(super) fn ask<'m>(filters: &'m [RbacFilter], facts: &Facts<'_>) -> Vec<FilterOutcome<'m>> {
    let mut outcomes = Vec::with_capacity(filters.len());
    for filter in filters {
        let engine = |rules: &Option<RuleSet>| rules.as_ref().map(|rules| engine(&filter.action, rules, facts));
        let outcome = FilterOutcome { filter, enforced: engine(&filter.enforced), shadow: engine(&filter.shadow) };
        outcomes.push(outcome);
        if outcome.denies() {
            break;
        }
    }
    outcomes
}

fn engine(action: &RbacAction, rules: &RuleSet, facts: &Facts<'_>) -> Engine {
    let matched = rules.rules.iter().position(|rule| rule_holds(rule, facts));
    let allows = match action {
        RbacAction::Allow => matched.is_some(),
        RbacAction::Deny => matched.is_none(),
        // What an external authorizer says is not known, and assumed to be yes.
        RbacAction::Audit | RbacAction::External(_) => true,
    };
    Engine { matched, allows }
}

fn rule_holds(rule: &RbacRule, facts: &Facts<'_>) -> bool {
    any(&rule.permissions, facts) && any(&rule.principals, facts)
}

pub(super) fn any(clauses: &[Clause], facts: &Facts<'_>) -> bool {
    clauses.iter().any(|clause| clause.conditions.iter().all(|condition| holds(condition, facts)))
}

pub(super) fn holds(condition: &Condition, facts: &Facts<'_>) -> bool {
    condition.tests.iter().any(|(test, _)| facts.holds(test)) != condition.negated
}
