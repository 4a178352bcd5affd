//! Where one request goes, and why: pure functions of a compiled proxy, a request and the random
//! numbers it is told.
//!
//! [`listen`] finds what takes a connection, [`select`] the virtual host and route (a function of the
//! request's shape, so a caller may remember it), [`Selection::draw`] plays out weights, faults and
//! mirrors. [`decide`] is all three.

pub mod authentication;
pub mod connection;
pub mod cors;
mod decision;
pub mod explanation;
mod flag;
mod forwarded;
mod headers;
mod host;
pub mod limits;
pub mod matching;
mod outcome;
mod path;
mod received;
mod redirect;
mod reply;
mod request;
mod rewrite;
mod selection;
mod sender;
pub mod server;
mod table;
pub mod token;
#[cfg(test)]
mod testing;
mod treatment;

pub use connection::{Conn, HttpConn, TcpConn, listen, resolve};
pub use cors::CorsRole;
pub use decision::{Course, Decision, decide, included};
pub use explanation::{Explanation, explain};
pub use flag::{Flag, Flags};
pub use forwarded::{Forwarded, forwarded, forwarded_with, mirror_authority};
pub use headers::Headers;
pub use host::{DomainKind, FoundHost, find_host, without_port};
pub use outcome::{Mirrored, Outcome, Probability, outcomes, play, stub_answer};
pub use path::{BadPath, normalise, split_query};
pub use received::Received;
pub use redirect::location;
pub use reply::{Answering, Reply};
pub use request::{Chances, ClientTls, Dial, Inside, Opening, Request, Scheme};
pub use selection::{Selection, Verdict, select, select_received};
pub use sender::{listed, named, sender};
pub use table::{proxy_and_table_for, table_for};
pub use treatment::{Facet, Treatment, destination_name, share_text};
