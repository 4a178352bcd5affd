//! Claims about all requests of some kind, proven or refuted.
//!
//! An invariant is a line:
//!
//! ```text
//! requests to /admin never leave namespace ops
//! host reviews always reaches subset v1 unless header end-user is jason
//! requests from productpage-v1 for host ratings with method DELETE never reach ratings
//! ```
//!
//! It begins with `requests` or with `host HOST`, then says which requests, then what must hold:
//!
//! | which requests | |
//! |---|---|
//! | `to PATH` | this path and everything below it |
//! | `to exactly PATH`, `to paths matching REGEX` | this path; paths all of which match |
//! | `for host HOST` | the virtual host that is found for this host |
//! | `with method METHOD` | |
//! | `with header NAME`, `with query NAME` | it is there; or `is VALUE`, `begins with VALUE`, `matching REGEX` |
//! | `without header NAME` | |
//! | `from PROXY`, `from namespace NAMESPACE`, `from gateways` | who sends |
//!
//! | what must hold | |
//! |---|---|
//! | `never reach DESTINATION` | copies included |
//! | `always reach DESTINATION`, `always reach subset SUBSET` | every request, faults included |
//! | `never leave namespace NAMESPACE` | forwarded requests and copies stay at its services |
//! | `never fail` | the proxy itself answers no error |
//! | `never get STATUS`, `always get STATUS` | upstreams answer 200 |
//!
//! `unless` and conditions joined by `and` take requests out. Verbs may have their ending, values may be
//! quoted, and `#` begins a comment. Requests for a host that a proxy has no virtual host for are no
//! business of its rules, and of no invariant.
//!
//! The proof is the one of [`change`](mod@crate::change): for every route that breaks the claim, the
//! requests that take it and are meant by the invariant are shown to be none, or one of them is the
//! witness.

mod claim;
mod parse;
mod proof;

pub use claim::{Claim, Invariant, Scope};
pub use parse::parse;
pub use proof::{Counterexample, Proof, prove};
