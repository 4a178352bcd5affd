//! The server side of a request: which inbound filter chain takes the connection, and who is let
//! through, with the reason.
//!
//! [`visits`] lists the servers that a request reaches. [`serve`] is a pure function of a compiled proxy and what arrives. [`failure`] says of a rule that
//! did not match which condition failed first.

mod call;
mod rbac;
mod reason;
mod serve;
#[cfg(test)]
mod tests;
mod visit;

pub use call::{CallerTls, Content, ServerCall};
pub use rbac::{Engine, FilterOutcome};
pub use reason::{Failure, failure};
pub use serve::{Served, ServerAnswer, ServerEnd, admitted, serve};
pub use visit::{Caller, Certificate, SOMEWHERE, Visit, append_client, visits};
