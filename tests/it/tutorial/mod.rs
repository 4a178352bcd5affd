//! The five tutorial systems: what each tutorial states, one test for one statement.
//!
//! A statement has an id (`A01` to `A50`: the voting app, `K`: the website canary, `N`: nginx, `B` and
//! `R`: Bookinfo) and is either a test that begins with the id (`a13_…`) or a row of
//! [`PRESENTATION_ONLY`]. Ids that end in `d` are consequences that a tutorial does not state.

mod a;
mod b;
mod cascade;
mod checks;
mod golden;
mod k;
mod n;
mod r;
