//! How a proxy picks the endpoint of a request, as Envoy does it to the bit: pure algorithms, told
//! every random number.
//!
//! - [`HostSet`] is what a cluster offers at one moment: hosts by priority and locality, with those
//!   that are out of service left out, and each priority's share of the requests.
//! - [`Balancer`] is what one proxy remembers between picks: positions, schedules, busy hosts, ages.
//! - [`Schedule`] picks in proportion to weights; [`Ring`] and [`Maglev`] find a host for a hash.
//! - [`RequestHash`] is what a route's hash policies make of a request.
//!
//! Weights and deadlines are `f64` here, unlike everywhere else: the order of picks follows from how
//! Envoy rounds, and additions and divisions round alike on every machine.

mod balancer;
mod cluster;
mod host_set;
mod maglev;
mod priority;
mod request_hash;
mod ring;
mod schedule;
mod slow_start;

pub use balancer::{Balancer, Pick};
pub use host_set::{Host, HostSet, Locality, Policy, Rules};
pub use maglev::{Maglev, TABLE_SIZE};
pub use priority::{Health, Load};
pub use request_hash::{Client, RequestHash};
pub use ring::{RING_MAX, RING_MIN, Ring};
pub use schedule::Schedule;
pub use slow_start::SlowStart;
