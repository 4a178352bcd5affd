//! Arrivals and request mixes: who sends which request, and when; and what servers do whose actions
//! are written down. All of it is a function of numbers that the caller draws; nothing here keeps a
//! generator.

mod arrivals;
mod behaviour;
mod listed;
mod mix;
mod times;
mod url;

pub use arrivals::{Arrival, Window};
pub use behaviour::{Action, Behaviour, Course, Sequence};
pub use listed::ListedRequest;
pub use mix::Mix;
pub use times::Times;
pub use url::{Url, UrlError, UrlKind};
