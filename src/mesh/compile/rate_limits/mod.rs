//! Rate limits: the EnvoyFilters by which people set them up, and what the rate limit service was
//! told.
//!
//! | file | what it is about |
//! |---|---|
//! | `filters` | which EnvoyFilters are for a proxy, and what they give it |
//! | `patch` | one patch |
//! | `protobuf` | messages of Envoy's configuration: limits, buckets, actions |
//! | `service` | ConfigMaps of the rate limit service |

mod filters;
mod patch;
mod protobuf;
mod service;

pub(in crate::mesh) use filters::EnvoyFilters;
