//! Expectations: what must have happened.

use super::amount::Share;
use crate::source::Spanned;
use crate::time::Duration;
use crate::yaml::Map;

crate::record! {
    /// One expectation: some of the traffic, and what must hold for it. Every field that is there
    /// must hold.
    pub struct Expectation {
        /// What it says, in one sentence; made from the fields if absent.
        pub name: Option<Spanned<String>> = "name",
        /// Which requests or calls.
        pub of: Of = "of",
        /// How many there were.
        pub count: Option<Between> = "count",
        /// Which share these are of the traffic of the same filter without `version`, `workload`,
        /// `label`, `status` and `flags`, or without `service` if it has none of them. Met if the
        /// observed count lies within five standard deviations; 0% and 100% are exact.
        pub share: Option<Share> = "share",
        /// The observed count must lie in here, ends included, instead of within five deviations.
        pub within: Vec<Spanned<u64>> = "within",
        /// Every one had this status.
        pub status: Option<Spanned<u16>> = "status",
        /// Shares by status, each within five standard deviations; 0% and 100% are exact.
        pub statuses: Map<Share> = "statuses",
        /// Every one had these labels (and perhaps others).
        pub labels: Vec<Spanned<String>> = "labels",
        /// Every one had these response flags, such as `UT` or `DI,FI`; `-` for none.
        pub flags: Option<Spanned<String>> = "flags",
        /// How long they took.
        pub latency: Option<LatencyExpectation> = "latency",
    }

    /// Which requests or calls. Without `source`, `service`, `version` and `workload` these are the
    /// requests of clients; with any of them, the calls between services. Calls are counted as the
    /// caller saw them, except with `version` or `workload` alone, where requests that arrived are
    /// counted, retries and all.
    pub struct Of {
        /// Client.
        pub client: Option<Spanned<String>> = "client",
        /// Class of users.
        pub user: Option<Spanned<String>> = "user",
        /// Phase.
        pub phase: Option<Spanned<String>> = "phase",
        /// Workload that calls (`name` or `name.namespace`), or a client.
        pub source: Option<Spanned<String>> = "source",
        /// Service that is called: short name, `name.namespace` or full host.
        pub service: Option<Spanned<String>> = "service",
        /// Version (label `version`) of the pod that was reached.
        pub version: Option<Spanned<String>> = "version",
        /// Workload that was reached.
        pub workload: Option<Spanned<String>> = "workload",
        /// With this label.
        pub label: Option<Spanned<String>> = "label",
        /// With this status.
        pub status: Option<Spanned<u16>> = "status",
        /// With these response flags.
        pub flags: Option<Spanned<String>> = "flags",
    }

    /// How long requests took.
    pub struct LatencyExpectation {
        /// Every one took exactly this, give or take `tolerance`.
        pub all: Option<Spanned<Duration>> = "all",
        /// None took longer.
        pub max: Option<Spanned<Duration>> = "max",
        /// None was faster.
        pub min: Option<Spanned<Duration>> = "min",
        /// The median.
        pub p50: Option<Spanned<Duration>> = "p50",
        /// The 99th percentile.
        pub p99: Option<Spanned<Duration>> = "p99",
        /// How far off is still right; 1 ms if absent.
        pub tolerance: Option<Spanned<Duration>> = "tolerance",
    }
}

/// A count: a number, or `[low, high]`, ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Between {
    /// Fewest.
    pub low: u64,
    /// Most.
    pub high: u64,
}

impl crate::yaml::Decode for Between {
    fn decode(node: &crate::yaml::Node, cx: &mut crate::yaml::Cx<'_>) -> Option<Self> {
        if !matches!(node.value, crate::yaml::Value::Seq(_)) {
            return u64::decode(node, cx).map(|n| Between { low: n, high: n });
        }
        match Vec::<u64>::decode(node, cx)?.as_slice() {
            [low, high] if low <= high => Some(Between { low: *low, high: *high }),
            _ => {
                cx.invalid(node.span, "give a number, or [LOW, HIGH]");
                None
            }
        }
    }

    fn schema(_: &mut serde_json::Map<String, serde_json::Value>) -> serde_json::Value {
        serde_json::json!({"anyOf": [
            {"type": "integer", "minimum": 0},
            {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 2, "maxItems": 2},
        ]})
    }
}
