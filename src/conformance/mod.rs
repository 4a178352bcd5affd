//! Measured cases: reading them, answering them, comparing.

mod policy;

pub use policy::effective_policy;
