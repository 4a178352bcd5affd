//! What the user wrote: Kubernetes, Istio and Gateway API objects.
//!
//! This is the abstract syntax: it keeps order, spans and nonsense, resolves nothing and compares
//! nothing. [`mesh`](crate::mesh) says what it means.

mod decode;
pub mod gateway_api;
mod kinds;
pub mod kubernetes;
pub mod mesh_config;
pub mod meta;
pub mod networking;
mod object;
pub mod scalar;
mod schema;
pub mod security;

pub use decode::{Decoder, Objects, decode, decode_mesh_config};
pub use kinds::Body;
pub use object::Object;
pub use scalar::{PortRef, Timestamp};
