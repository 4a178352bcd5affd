//! Rules become routes (Istio: `core/route`).
//!
//! | file | noun |
//! |---|---|
//! | `scope` | what translating a rule must know of the proxy, port and gateway it is for |
//! | `rule` | a rule and one of its match blocks: one route |
//! | `matches` | conditions, settled now or checked per request |
//! | `destinations` | clusters, weights, mirrors, hashes |
//! | `headers`, `redirects`, `retries`, `faults`, `cors` | the other parts of a rule |
//! | `defaults` | routes that nobody wrote |

mod cors;
mod defaults;
mod destinations;
mod faults;
mod headers;
mod matches;
mod redirects;
mod retries;
mod rule;
mod scope;

pub(super) use defaults::{UnknownHosts, catch_all_virtual_host, service_route};
pub(super) use destinations::{SeenService, cluster_name, destination_cluster};
pub use matches::conditions_of;
pub(super) use matches::{is_catch_all, takes_everything};
pub(super) use redirects::PREFIX_MARK;
pub(super) use rule::routes;
pub(super) use scope::{ClusterNames, HashLookup, RouteScope};
