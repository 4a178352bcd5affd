//! What the API server's schema says about an object: the structural rules and CEL expressions of
//! the custom resource definitions of Istio and the Gateway API.
//!
//! The rules are two texts, `istio.schema` and `gateway_api.schema`, in a notation of their own
//! (`definition`); the interpreter is small (`check`), and what needs code, mostly CEL expressions,
//! is a named function (`relations`).

mod check;
mod definition;
mod relations;

pub(super) use check::check;
