//! Arrivals and request mixes: who sends which request, and when. All of it is a function of
//! numbers that the caller draws; nothing here keeps a generator.

mod arrivals;
mod mix;
mod times;
mod url;

pub use arrivals::{Arrival, Window};
pub use mix::Mix;
pub use times::Times;
pub use url::{Url, UrlError, UrlKind};
