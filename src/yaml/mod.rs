//! Documents with spans: text in, trees of [`Node`]s out, and records from trees.
//!
//! The only user of the YAML crates. [`parse`] turns one text into documents, keeps going after a
//! broken one, and types scalars as kubectl does; [`decode`] turns trees into records.

pub mod decode;
mod embedded;
mod node;
mod parse;
mod scalar;
mod tree;

pub use decode::{Cx, Decode, Map, description, nearest};
pub(crate) use decode::{with_type_fix, with_word_fix};
pub use embedded::{Literal, parse_embedded};
pub use node::{Node, Value};
pub use parse::{Comment, Document, Limits, parse, parse_each};
