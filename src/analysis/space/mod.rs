//! Sets of requests as conditions say them: in common, left over, empty, and a request that is in
//! them.
//!
//! A request to one route table is a point in a few independent [`Dimension`]s: path, method,
//! authority, each header, each query parameter. A route's conditions are a [`Conjunction`] of
//! literals, each about one dimension, and a literal asks for a text out of a set of texts, which is
//! a regular language. Hence every question about routes is one about regular languages in single
//! dimensions, and [`Space`] answers it:
//!
//! - [`Space::route`], [`Space::domain`] and [`Space::secure`] turn what a proxy was given into
//!   conjunctions.
//! - [`Space::find`] gives values that meet some conjunctions and none of others, or the proof that
//!   there are none: "what reaches the third route" is *within* the third and *outside* of the first
//!   two.
//! - [`Space::intersect`], [`Space::subtract`] and [`Space::is_empty`] work on [`Cell`]s, the normal
//!   form with one part for each dimension. Subtracting gives disjoint cells.
//! - [`Way`]s are how requests come to a route table at all; [`Way::request`] makes a request of
//!   values, and [`Way::confirms`] asks the routing core whether it arrives where it should.
//! - [`Reaches`] puts it together: what reaches each route of a table.
//!
//! # What is certain
//!
//! Sets may be larger than the truth and never smaller, so [`Found::Empty`] is a proof. Where they
//! are larger (conditions on claims of tokens, on `:path`), or where an automaton would be too big,
//! the answer is [`Found::Undecided`] with the reason. Values in [`Found::Values`] are only called
//! a witness once the routing core has confirmed them.
//!
//! Headers are compared as the proxy does it: each line of most headers for itself, the joined lines
//! of some. A condition is met by *some* line, an inverted one by *no* line, which is why a literal
//! asks for [`Ask::Some`] or [`Ask::None`] and why several conditions on one header can be met by
//! several lines.

mod automaton;
mod cell;
mod conditions;
mod dimension;
mod language;
#[cfg(test)]
mod laws;
mod partition;
mod reach;
mod sets;
mod way;

pub use cell::{Ask, Cell, Conjunction, DimensionId, LanguageId, Literal, Values};
pub use conditions::Arrival;
pub use dimension::Dimension;
pub use partition::{Partition, partition};
pub use reach::{Reach, Reaches, needs_token};
pub use sets::{Found, Space};
pub use way::{Way, Witness, ways, ways_to};
