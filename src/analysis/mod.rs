//! What can be known without running anything.

mod tls_check;

pub use tls_check::{TlsCheckRow, tls_check};
