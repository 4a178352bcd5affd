//! AuthorizationPolicies and RequestAuthentications: which of them a proxy has, and the filters
//! that they become (Istio: `security/authz/builder`, `security/authz/model`).
//!
//! | file | what it is about |
//! |---|---|
//! | `policies` | which policies are for a proxy |
//! | `filters` | from policies to filters, one for each action |
//! | `rule` | from a rule to what an RBAC filter compares, with HTTP or without |
//! | `questions` | what values of fields ask |
//! | `issuers` | whose tokens are read |

mod filters;
mod issuers;
mod policies;
mod rule;
mod questions;

pub(in crate::mesh) use policies::AuthorizationPolicies;
