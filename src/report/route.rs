//! Why one request goes where it goes: a tree for people, JSON for tools.
//!
//! Both are made from one [`page`](self::page): what is printed and what is serialised cannot
//! disagree.

mod forwarding;
mod limits;
mod page;
mod server;
#[cfg(test)]
mod tests;
mod tree;

use crate::mesh::{Mesh, ProxyId};
use crate::routing::server::Caller;
use crate::routing::{Chances, Dial, Request};
use crate::source::Sources;
use crate::text::Style;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct RouteQuestion<'a> {
    /// The texts that places point into.
    pub sources: &'a Sources,
    /// The mesh.
    pub mesh: &'a Mesh,
    /// The proxy that sends the request.
    pub proxy: ProxyId,
    /// What is dialled.
    pub dial: &'a Dial,
    /// The request.
    pub request: &'a Request,
    /// Which outcomes are shown.
    pub outcomes: ShownOutcomes,
    /// What is known of the caller.
    pub caller: &'a Caller,
    /// Whether the server's side is shown.
    pub server: bool,
}

/// Which outcomes are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShownOutcomes {
    /// None: shares are shown with the destinations.
    None,
    /// All, with their probabilities.
    All,
    /// The one that these draws give.
    One(Chances),
}

/// The explanation as a tree.
#[must_use]
pub fn route(question: &RouteQuestion<'_>, style: Style) -> String {
    tree::tree(&page::Page::new(question)).render(style)
}

/// The explanation as JSON, with a version of its schema.
#[must_use]
pub fn route_json(question: &RouteQuestion<'_>) -> String {
    // Structs of strings and numbers always serialise.
    let mut text = serde_json::to_string_pretty(&page::Page::new(question)).unwrap_or_default();
    text.push('\n');
    text
}
