//! Where one request goes, and why: pure functions of a compiled proxy, a request and the random
//! numbers it is told.

mod request;

pub use request::{Chances, Dial, Request, Scheme};
