//! What the API server's schema says about an object: the structural rules and CEL expressions of
//! the custom resource definitions of Istio and the Gateway API.
//!
//! Types, words and unknown fields are the decoder's business; here stand bounds, required fields,
//! exclusive fields and relations. The rules are tables (`rules`), the interpreter is small
//! (`check`), and what no table can say is a named function (`relations`).

mod check;
mod relations;
mod rules;

pub(super) use check::check;
