//! What the mesh itself would have written about a run: access logs, standard metrics and traces, in
//! the formats that existing dashboards and scripts read.
//!
//! | file | noun |
//! |---|---|
//! | `access_log` | Envoy's access log, text and JSON |
//! | `metrics` | Istio's standard metrics, Prometheus and OpenMetrics |
//! | `traces` | spans, OTLP JSON and Jaeger's JSON |
//! | `clock`, `names` | what they have in common |

mod access_log;
mod clock;
mod metrics;
mod names;
mod traces;

pub use access_log::{access_log_json, access_log_line};
pub use clock::Epoch;
pub use metrics::{Exposition, Metrics};
pub use traces::{JaegerTraces, otlp_line};
