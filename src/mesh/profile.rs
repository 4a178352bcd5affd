//! What changed between releases of Istio. Code asks a [`Profile`] for a behaviour, never for a
//! version number; the one table of versions stands here.

/// The behaviour of one release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The release, such as `1.1` or `latest`.
    pub name: &'static str,
    /// The balancer of clusters that no DestinationRule gives one (LEAST_REQUEST since 1.14).
    pub default_balancer: DefaultBalancer,
    /// Retries of routes without a retry policy (none in 1.0).
    pub default_retries: DefaultRetries,
    /// `retry_on` of explicit policies that name no condition.
    pub explicit_retry_on: &'static str,
    /// Statuses that default retries cover (503 until 1.23).
    pub retry_codes: &'static [u16],
    /// Whether retries avoid tried hosts, and the number of re-picks (none in 1.0, 3 in 1.1, 5).
    pub host_picks_max: u32,
    /// Whether the weights of several destinations must add up to 100 (until 1.14).
    pub weights_sum_to_100: bool,
    /// Whether shares are whole percent read from `percent` (1.0).
    pub whole_percentages: bool,
    /// Response flag of a route to a cluster that does not exist (`NR` before Envoy 1.18).
    pub unknown_cluster_flag: &'static str,
    /// Whether unknown destinations are blocked by default (1.0).
    pub registry_only_by_default: bool,
    /// Status of blocked HTTP destinations (404 in 1.0, 502 since).
    pub blocked_status: u16,
    /// Whether mutual TLS is automatic (since 1.5).
    pub auto_mtls: bool,
    /// Whether the TLS check tells certificates of one's own from plaintext (since 1.2).
    pub tls_check_names_own_certificates: bool,
    /// Whether services whose port has no known protocol are sniffed (since 1.3; TCP before).
    pub protocol_sniffing: bool,
    /// Whether the Bookinfo reviews service survives a ratings timeout (samples since 1.3).
    pub reviews_catches_ratings_timeout: bool,
    /// Whether panic mode is off where outlier detection asks for no minimum (since 1.3).
    pub panic_off: bool,
    /// Limits of clusters whose policy names none: connections, pending requests, requests, retries
    /// (1024 until 1.3, none since).
    pub default_limit: u32,
    /// Whether `consecutiveErrors` is the threshold of gateway failures, with the 5xx detector off
    /// (until 1.6; ignored since).
    pub consecutive_errors: bool,
    /// Whether proxies are told of endpoints that are not ready, and never send to them (since 1.31;
    /// before, they were not told).
    pub unready_endpoints: bool,
    /// Whether a single ejection is allowed beyond the percentage (Envoy until 1.27).
    pub always_eject_one: bool,
    /// Whether tokens of local rate limits come back one by one (since 1.24; all at once by a timer
    /// before).
    pub continuous_token_buckets: bool,
    /// Whether a mirrored request's host gets the suffix `-shadow` (until 1.27).
    pub shadow_suffix: bool,
}

/// See [`Profile::default_balancer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultBalancer {
    /// Until 1.13.
    RoundRobin,
    /// Since 1.14.
    LeastRequest,
}

/// See [`Profile::default_retries`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefaultRetries {
    /// Retries after the first try; 0 is none.
    pub attempts: u32,
    /// Conditions.
    pub on: &'static str,
}

const ON_1_1: &str = "connect-failure,refused-stream,unavailable,cancelled,resource-exhausted,retriable-status-codes";
const ON_LATEST: &str = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";

const V1_0: Profile = Profile {
    name: "1.0",
    default_balancer: DefaultBalancer::RoundRobin,
    default_retries: DefaultRetries { attempts: 0, on: "" },
    explicit_retry_on: "5xx,connect-failure,refused-stream",
    retry_codes: &[],
    host_picks_max: 0,
    weights_sum_to_100: true,
    whole_percentages: true,
    unknown_cluster_flag: "NR",
    registry_only_by_default: true,
    blocked_status: 404,
    auto_mtls: false,
    tls_check_names_own_certificates: false,
    protocol_sniffing: false,
    reviews_catches_ratings_timeout: false,
    panic_off: false,
    default_limit: 1024,
    consecutive_errors: true,
    unready_endpoints: false,
    always_eject_one: true,
    shadow_suffix: true,
    continuous_token_buckets: false,
};

const V1_1: Profile = Profile {
    name: "1.1",
    default_retries: DefaultRetries { attempts: 2, on: ON_1_1 },
    explicit_retry_on: ON_1_1,
    retry_codes: &[503],
    host_picks_max: 3,
    whole_percentages: false,
    registry_only_by_default: false,
    blocked_status: 502,
    ..V1_0
};

const V1_2: Profile = Profile { name: "1.2", tls_check_names_own_certificates: true, host_picks_max: 5, ..V1_1 };

const V1_3: Profile =
    Profile { name: "1.3", protocol_sniffing: true, reviews_catches_ratings_timeout: true, panic_off: true, ..V1_2 };

const V1_4: Profile = Profile { name: "1.4", default_limit: u32::MAX, ..V1_3 };

const V1_5: Profile = Profile { name: "1.5", auto_mtls: true, ..V1_4 };

const V1_6: Profile =
    Profile { name: "1.6", default_retries: DefaultRetries { attempts: 2, on: ON_LATEST }, explicit_retry_on: ON_LATEST, ..V1_5 };

const V1_7: Profile = Profile { name: "1.7", consecutive_errors: false, ..V1_6 };

// Envoy 1.18 tells unknown clusters (NC) from missing routes (NR).
const V1_10: Profile = Profile { name: "1.10", unknown_cluster_flag: "NC", ..V1_7 };

const V1_14: Profile = Profile { name: "1.14", default_balancer: DefaultBalancer::LeastRequest, ..V1_10 };

const V1_15: Profile = Profile { name: "1.15", weights_sum_to_100: false, ..V1_14 };

// Envoy 1.28: no first ejection beyond the percentage; the shadow suffix is off by default.
const V1_20: Profile = Profile { name: "1.20", always_eject_one: false, ..V1_15 };

// Envoy 1.32: token buckets without timers.
const V1_24: Profile = Profile { name: "1.24", retry_codes: &[], continuous_token_buckets: true, ..V1_20 };

const V1_28: Profile = Profile { name: "1.28", shadow_suffix: false, ..V1_24 };

const V1_31: Profile = Profile { name: "1.31", unready_endpoints: true, ..V1_28 };

const LATEST: Profile = Profile { name: "latest", ..V1_31 };

/// Releases at which something changed, ascending, with the minor version they begin at.
const TABLE: &[(u32, Profile)] = &[
    (0, V1_0),
    (1, V1_1),
    (2, V1_2),
    (3, V1_3),
    (4, V1_4),
    (5, V1_5),
    (6, V1_6),
    (7, V1_7),
    (10, V1_10),
    (14, V1_14),
    (15, V1_15),
    (20, V1_20),
    (24, V1_24),
    (28, V1_28),
    (31, V1_31),
];

impl Profile {
    /// The newest behaviour.
    #[must_use]
    pub fn latest() -> Profile {
        LATEST
    }

    /// The behaviour of a release: `latest`, or `1.0`, `1.17`, `1.24.3`, with or without a leading
    /// `istio-` and a trailing `+`. `None` if it is no such release.
    #[must_use]
    pub fn of_version(version: &str) -> Option<Profile> {
        let version = version.strip_prefix("istio-").unwrap_or(version).trim_end_matches('+');
        if version == "latest" {
            return Some(LATEST);
        }
        let mut parts = version.split('.');
        let (Some("1"), Some(minor), patch, None) = (parts.next(), parts.next(), parts.next(), parts.next()) else { return None };
        if patch.is_some_and(|p| p.parse::<u32>().is_err()) {
            return None;
        }
        let minor: u32 = minor.parse().ok()?;
        TABLE.iter().rev().find(|(from, _)| *from <= minor).map(|(_, profile)| profile.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_the_behaviour_of_the_last_change_before_it() {
        for (version, name) in [
            ("1.0", "1.0"),
            ("1.4.2", "1.4"),
            ("1.8", "1.7"),
            ("istio-1.13", "1.10"),
            ("1.99", "1.31"),
            ("istio-1.24+", "1.24"),
            ("latest", "latest"),
        ] {
            assert_eq!(Profile::of_version(version).unwrap().name, name);
        }
        for version in ["", "1", "2.0", "1.x", "1.2.3.4", "1.2.x"] {
            assert!(Profile::of_version(version).is_none(), "{version}");
        }
    }
}
