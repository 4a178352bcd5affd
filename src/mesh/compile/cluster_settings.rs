//! Single settings of a cluster, from the blocks of its policy (Istio: `cluster_traffic_policy.go`).

use super::context::{Context, labels, selects};
use super::policy::Policy;
use crate::mesh::ProxyKind;
use crate::mesh::cluster::{
    Balancer, ConnectionSettings, Discovery, Limits, OutlierPolicy, RetryBudget, UpstreamProtocol, WarmUp,
};
use crate::mesh::profile::{DefaultBalancer, Profile};
use crate::mesh::registry::{Protocol, ServicePort};
use crate::resource::mesh_config::MeshConfig;
use crate::resource::networking::{
    ConnectionPoolSettings, LoadBalancerSettings, LocalityLbSetting, OutlierDetection, RetryBudget as RetryBudgetSettings,
    Subset, TrafficPolicy,
};
use crate::source::Spanned;
use crate::time::Duration;

/// Connect timeout where nothing says otherwise (`MeshConfig.connectTimeout`).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Fewest entries of a ring where the rule names no algorithm; Istio writes Envoy's default out.
const RING_SIZE_MIN: u64 = 1024;

/// Largest share of active and pending requests that may be retries, in percent, and retries that are always allowed.
const RETRY_BUDGET: (f64, u32) = (20.0, 3);

/// Smallest share of its weight that a warming endpoint gets, in percent, and the curve's exponent.
const WARM_UP: (f64, f64) = (10.0, 1.0);

/// A number that counts only if it is above zero; zero means "not set" throughout these blocks.
fn positive(number: Option<&Spanned<i64>>) -> Option<u32> {
    number.and_then(|n| u32::try_from(n.value).ok()).filter(|n| *n > 0)
}

/// A number whose zero means zero.
fn count(number: Option<&Spanned<i64>>) -> Option<u32> {
    number.and_then(|n| u32::try_from(n.value).ok())
}

fn duration(time: Option<&Spanned<Duration>>) -> Option<Duration> {
    time.map(|t| t.value)
}

/// Whether a balancer sends to the address that the client dialled.
pub(super) fn is_passthrough(load_balancer: Option<&LoadBalancerSettings>) -> bool {
    load_balancer.and_then(|lb| lb.simple.as_ref()).is_some_and(|simple| simple.value == "PASSTHROUGH")
}

/// The labels of a subset.
pub(super) fn subset_labels(subset: &Subset) -> Vec<(String, String)> {
    labels(&subset.labels)
}

/// Whether a gateway with these labels has a server that passes TLS through by cluster name.
pub(super) fn passes_through(cx: &Context<'_>, gateway: &[(String, String)]) -> bool {
    let serves = cx.istio_gateways.iter().filter(|item| {
        let wanted = item.spec.selector.as_ref().map(labels).unwrap_or_default();
        selects(&wanted, gateway)
    });
    let modes = serves.flat_map(|item| &item.spec.servers).filter_map(|server| server.tls.as_ref()?.mode.as_ref());
    modes.into_iter().any(|mode| mode.value == "AUTO_PASSTHROUGH")
}

/// The connection pool: the policy's, else the mesh's.
pub(super) fn connection_pool<'a>(mesh: &'a MeshConfig, policy: &Policy<'a>) -> Option<&'a ConnectionPoolSettings> {
    policy.connection_pool.or_else(|| mesh.default_traffic_policy.as_ref()?.connection_pool.as_ref())
}

/// Outlier detection: the policy's, else the mesh's.
pub(super) fn outlier_detection<'a>(mesh: &'a MeshConfig, policy: &Policy<'a>) -> Option<&'a OutlierDetection> {
    policy.outlier.or_else(|| mesh.default_traffic_policy.as_ref()?.outlier_detection.as_ref())
}

/// The locality setting that the policy itself has.
pub(super) fn own_locality_setting<'a>(policy: &Policy<'a>) -> Option<&'a LocalityLbSetting> {
    policy.load_balancer.and_then(|lb| lb.locality_lb_setting.as_ref())
}

/// All locality settings of a policy.
pub(super) fn locality_settings(policy: &TrafficPolicy) -> impl Iterator<Item = &LocalityLbSetting> {
    let of_ports = policy.port_level_settings.iter().filter_map(|entry| entry.load_balancer.as_ref());
    policy.load_balancer.iter().chain(of_ports).filter_map(|settings| settings.locality_lb_setting.as_ref())
}

/// The locality setting that applies: the policy's in place of the mesh's, unless it is off. A mesh
/// that says nothing has localities on.
pub(super) fn locality_setting<'a>(mesh: &'a MeshConfig, policy: &Policy<'a>) -> Option<&'a LocalityLbSetting> {
    static ON: LocalityLbSetting = LocalityLbSetting {
        span: crate::source::Span::NOWHERE,
        distribute: Vec::new(),
        failover: Vec::new(),
        failover_priority: Vec::new(),
        enabled: None,
    };
    let setting = own_locality_setting(policy).or(mesh.locality_lb_setting.as_ref()).unwrap_or(&ON);
    let is_on = setting.enabled.is_none_or(|enabled| enabled.value);
    is_on.then_some(setting)
}

/// Time to connect.
pub(super) fn connect_timeout(mesh: &MeshConfig, pool: Option<&ConnectionPoolSettings>) -> Duration {
    let own = pool.and_then(|pool| pool.tcp.as_ref()).and_then(|tcp| tcp.connect_timeout.as_ref());
    duration(own.or(mesh.connect_timeout.as_ref())).unwrap_or(CONNECT_TIMEOUT)
}

/// Circuit-breaking limits.
pub(super) fn limits(pool: Option<&ConnectionPoolSettings>, profile: &Profile) -> Limits {
    let tcp = pool.and_then(|pool| pool.tcp.as_ref());
    let http = pool.and_then(|pool| pool.http.as_ref());
    let limit = |own: Option<&Spanned<i64>>| positive(own).unwrap_or(profile.default_limit);
    Limits {
        connections_max: limit(tcp.and_then(|tcp| tcp.max_connections.as_ref())),
        pending_max: limit(http.and_then(|http| http.http1_max_pending_requests.as_ref())),
        requests_max: limit(http.and_then(|http| http.http2_max_requests.as_ref())),
        retries_max: limit(http.and_then(|http| http.max_retries.as_ref())),
    }
}

/// Connection settings beyond the limits.
pub(super) fn connection(
    pool: Option<&ConnectionPoolSettings>,
    port: &ServicePort,
    kind: ProxyKind,
    mesh: &MeshConfig,
) -> ConnectionSettings {
    let tcp = pool.and_then(|pool| pool.tcp.as_ref());
    let http = pool.and_then(|pool| pool.http.as_ref());
    let protocol = upstream_protocol(pool, port, kind, mesh);
    let idle = http.and_then(|http| http.idle_timeout.as_ref()).or(tcp.and_then(|tcp| tcp.idle_timeout.as_ref()));
    // These fields exist on HTTP/2 clusters only, upgraded ones included; keeping the client's protocol
    // replaces them.
    let has_http2_options = protocol == UpstreamProtocol::Http2;
    let requests_per_connection_max = positive(http.and_then(|http| http.max_requests_per_connection.as_ref())).unwrap_or(0);
    let duration_max = duration(tcp.and_then(|tcp| tcp.max_connection_duration.as_ref()));
    let streams_max = positive(http.and_then(|http| http.max_concurrent_streams.as_ref()));
    let keep_alive = http.and_then(|http| http.http2_keep_alive.as_ref());
    ConnectionSettings {
        requests_per_connection_max,
        idle_timeout: duration(idle),
        duration_max,
        streams_max: streams_max.filter(|_| has_http2_options),
        has_http_options: requests_per_connection_max > 0
            || idle.is_some()
            || duration_max.is_some()
            || streams_max.is_some()
            || keep_alive.is_some(),
        http2_keep_alive: keep_alive
            .filter(|_| has_http2_options)
            .map(|keep_alive| (duration(keep_alive.interval.as_ref()), duration(keep_alive.timeout.as_ref()))),
        protocol,
        tcp_keepalive: tcp.and_then(|tcp| tcp.tcp_keepalive.as_ref()).map(|keepalive| {
            (positive(keepalive.probes.as_ref()), duration(keepalive.time.as_ref()), duration(keepalive.interval.as_ref()))
        }),
    }
}

const fn is_http2(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::Http2 | Protocol::Grpc | Protocol::GrpcWeb)
}

fn upstream_protocol(
    pool: Option<&ConnectionPoolSettings>,
    port: &ServicePort,
    kind: ProxyKind,
    mesh: &MeshConfig,
) -> UpstreamProtocol {
    let http = pool.and_then(|pool| pool.http.as_ref());
    let upgrade = http.and_then(|http| http.h2_upgrade_policy.as_ref()).map_or("DEFAULT", |policy| policy.value.as_str());
    let by_mesh = mesh.h2_upgrade_policy.as_ref().is_some_and(|policy| policy.value == "UPGRADE");
    let upgraded = match upgrade {
        "UPGRADE" => true,
        "DO_NOT_UPGRADE" => false,
        _ => by_mesh && port.protocol.is_http(),
    };
    let keeps_client = http.and_then(|http| http.use_client_protocol).is_some_and(|keeps| keeps.value);
    // Only sidecars find out what a client speaks.
    let sniffs = port.protocol == Protocol::Sniffed && kind == ProxyKind::Sidecar;
    match () {
        () if keeps_client => UpstreamProtocol::Downstream,
        // An upgrade does not change what detection has settled.
        () if sniffs => UpstreamProtocol::Downstream,
        () if upgraded || is_http2(port.protocol) => UpstreamProtocol::Http2,
        () => UpstreamProtocol::Default,
    }
}

/// How an endpoint is picked. A hash replaces whatever `simple` says.
pub(super) fn balancer(settings: Option<&LoadBalancerSettings>, discovery: Discovery, profile: &Profile) -> Balancer {
    if discovery == Discovery::OriginalDst {
        return Balancer::Passthrough;
    }
    let size = |number: &Option<Spanned<i64>>| number.as_ref().and_then(|n| u64::try_from(n.value).ok()).filter(|n| *n > 0);
    if let Some(hash) = settings.and_then(|s| s.consistent_hash.as_ref()) {
        return match (&hash.maglev, &hash.ring_hash) {
            (Some(maglev), _) => Balancer::Maglev { table: size(&maglev.table_size) },
            (None, Some(ring)) => Balancer::RingHash { ring_min: size(&ring.minimum_ring_size) },
            (None, None) => Balancer::RingHash { ring_min: Some(size(&hash.minimum_ring_size).unwrap_or(RING_SIZE_MIN)) },
        };
    }
    match settings.and_then(|s| s.simple.as_ref()).map(|simple| simple.value.as_str()) {
        Some("ROUND_ROBIN") => Balancer::RoundRobin,
        Some("LEAST_REQUEST" | "LEAST_CONN") => Balancer::LeastRequest,
        Some("RANDOM") => Balancer::Random,
        _ => match profile.default_balancer {
            DefaultBalancer::RoundRobin => Balancer::RoundRobin,
            DefaultBalancer::LeastRequest => Balancer::LeastRequest,
        },
    }
}

/// Outlier detection in Envoy's terms.
pub(super) fn outlier_policy(settings: &OutlierDetection, profile: &Profile) -> OutlierPolicy {
    let legacy = settings.consecutive_errors.as_ref().filter(|_| profile.consecutive_errors);
    let splits = settings.split_external_local_origin_errors.is_some_and(|split| split.value);
    OutlierPolicy {
        consecutive_5xx: match legacy {
            Some(_) => Some(0),
            None => count(settings.consecutive_5xx_errors.as_ref()),
        },
        consecutive_gateway: count(legacy.or(settings.consecutive_gateway_errors.as_ref())),
        split_local_origin: splits,
        consecutive_local_origin: positive(settings.consecutive_local_origin_failures.as_ref()).filter(|_| splits),
        interval: duration(settings.interval.as_ref()),
        base_ejection_time: duration(settings.base_ejection_time.as_ref()),
        max_ejection_percent: positive(settings.max_ejection_percent.as_ref()),
    }
}

/// Healthy share in percent below which all endpoints are used; `None` is Envoy's 50.
pub(super) fn panic_threshold(outlier: Option<&OutlierDetection>, profile: &Profile) -> Option<u32> {
    match outlier {
        Some(settings) if profile.panic_off => Some(count(settings.min_health_percent.as_ref()).unwrap_or(0)),
        Some(settings) => positive(settings.min_health_percent.as_ref()),
        None => profile.unready_endpoints.then_some(0),
    }
}

/// Slow start; only balancers that weigh endpoints have one.
pub(super) fn warm_up(settings: Option<&LoadBalancerSettings>, discovery: Discovery) -> Option<WarmUp> {
    let settings = settings?;
    let simple = settings.simple.as_ref().map_or("UNSPECIFIED", |simple| simple.value.as_str());
    let weighs = matches!(simple, "UNSPECIFIED" | "ROUND_ROBIN" | "LEAST_REQUEST" | "LEAST_CONN");
    if !weighs || discovery == Discovery::OriginalDst || settings.consistent_hash.is_some() {
        return None;
    }
    let (minimum, aggression) = WARM_UP;
    if let Some(warm_up) = &settings.warmup {
        return Some(WarmUp {
            window: duration(warm_up.duration.as_ref())?,
            minimum_percent: Some(warm_up.minimum_percent.map_or(minimum, |percent| percent.value)),
            aggression: Some(warm_up.aggression.map_or(aggression, |aggression| aggression.value)),
        });
    }
    let window = duration(settings.warmup_duration_secs.as_ref())?;
    Some(WarmUp { window, minimum_percent: None, aggression: None })
}

/// Retry budget with its defaults.
pub(super) fn retry_budget(settings: &RetryBudgetSettings) -> RetryBudget {
    let (percent, concurrency_min) = RETRY_BUDGET;
    let own = settings.percent.as_ref().map(|percent| percent.value);
    RetryBudget {
        percent: own.unwrap_or(percent),
        concurrency_min: positive(settings.min_retry_concurrency.as_ref()).unwrap_or(concurrency_min),
        interval: duration(settings.budget_interval.as_ref()),
    }
}
