//! Arrivals and request mixes: who sends which request when.

mod url;

pub use url::{Url, UrlError, UrlKind};
