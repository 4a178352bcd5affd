//! What a change of configuration does to traffic.
//!
//! [`compare`] takes two compiled meshes. Proxies are paired by name; for each way into a pair of route
//! tables, the requests are partitioned by what either table would do with them: first by virtual
//! host, then by the first route that matches here and there. Where such a class is not empty and is
//! treated differently, a request in it is the witness, and the routing core has confirmed on both
//! sides that it takes these routes. Where all classes are empty or treated alike, nothing changes,
//! and that is a proof: classes may be larger than the truth and never smaller (see
//! [`space`](crate::analysis::space)). What could not be decided is said.
//!
//! | file | noun |
//! |---|---|
//! | `delta` | what is different, as data |
//! | `pairing` | which proxies, listeners and route tables are compared with each other |
//! | `regions` | virtual hosts here and there that the same requests choose |
//! | `classes` | requests by the routes they take here and there |
//! | `entries` | a virtual host as a list of conditions with what is done about them |
//! | `likeness` | routes that do the same, seen without words |
//! | `results` | changes of path that come to the same, said differently |
//! | `destinations` | clusters whose policy or endpoints differ |
//! | `server_side` | what proxies let in |
//! | `callers` | calls at a server, by what its policies ask of them |
//! | `order` | in which order a change can be applied without a gap |

mod callers;
mod classes;
mod delta;
mod destinations;
mod entries;
mod likeness;
mod order;
mod pairing;
mod regions;
mod results;
mod server_side;

pub use delta::{
    CallChange, Change, ConnectionChange, Delta, DestinationChange, FacetChange, FindingDelta, ServerChange, Side, Undecided,
    findings_delta,
};
pub use entries::{Entry, entries};
pub use order::{ObjectChange, Order, Step, Window, WindowCause, changed_objects, order};
pub use pairing::compare;
