//! Traffic policies of DestinationRules (`validateTrafficPolicy` and what it calls).

use super::names;
use super::review::Review;
use crate::resource::networking::{
    ClientTlsSettings, ConnectionPoolSettings, ConsistentHash, HttpSettings, LoadBalancerSettings, LocalityFailover,
    LocalityLbSetting, OutlierDetection, TcpSettings, TrafficPolicy, ZoneAwareLbSetting,
};
use crate::source::{Span, Spanned};

pub(super) fn check(policy: &TrafficPolicy, review: &mut Review<'_>) {
    let empty = policy.outlier_detection.is_none()
        && policy.connection_pool.is_none()
        && policy.load_balancer.is_none()
        && policy.tls.is_none()
        && policy.port_level_settings.is_empty()
        && policy.tunnel.is_none()
        && policy.proxy_protocol.is_none()
        && policy.retry_budget.is_none();
    if empty {
        review.reject(policy.span, "a traffic policy must have at least one field");
        return;
    }
    if policy.tunnel.is_some() && policy.proxy_protocol.is_some() {
        review.reject(policy.span, "`tunnel` excludes `proxyProtocol`");
    }
    blocks(&policy.outlier_detection, &policy.connection_pool, &policy.load_balancer, &policy.tls, review);
    tunnel(policy, review);
    // Warnings below this level are lost.
    let outer = std::mem::replace(&mut review.errors_only, true);
    for entry in &policy.port_level_settings {
        if entry.port.is_none() {
            review.reject(entry.span, "a port-level policy needs a port");
        }
        let empty = entry.outlier_detection.is_none()
            && entry.connection_pool.is_none()
            && entry.load_balancer.is_none()
            && entry.tls.is_none();
        if empty {
            review.reject(entry.span, "a port-level policy must have at least one field besides its port");
        }
        blocks(&entry.outlier_detection, &entry.connection_pool, &entry.load_balancer, &entry.tls, review);
    }
    review.errors_only = outer;
}

fn blocks(
    outlier_detection: &Option<OutlierDetection>,
    pool: &Option<ConnectionPoolSettings>,
    balancer: &Option<LoadBalancerSettings>,
    tls: &Option<ClientTlsSettings>,
    review: &mut Review<'_>,
) {
    if let Some(detection) = outlier_detection {
        outlier(detection, review);
    }
    if let Some(pool) = pool {
        connection_pool(pool, review);
    }
    if let Some(settings) = balancer {
        load_balancer(settings, outlier_detection.is_some(), review);
    }
    if let Some(settings) = tls {
        client_tls(settings, review);
    }
}

fn tunnel(policy: &TrafficPolicy, review: &mut Review<'_>) {
    let Some(tunnel) = &policy.tunnel else { return };
    let text = |t: &Option<Spanned<String>>| t.as_ref().map_or(String::new(), |t| t.value.clone());
    let protocol = text(&tunnel.protocol);
    review.require(matches!(protocol.as_str(), "" | "CONNECT" | "POST"), tunnel.span, "a tunnel's protocol is CONNECT or POST");
    let host = text(&tunnel.target_host);
    let valid = names::is_address(&host) || names::wrong_domain(&host).is_none();
    review.require(valid, tunnel.span, "a tunnel's target host is a domain name or an address");
    let port = tunnel.target_port.as_ref().map_or(0, |p| p.value);
    review.require((1..=65535).contains(&port), tunnel.span, "a tunnel's target port lies between 1 and 65535");
}

fn outlier(detection: &OutlierDetection, review: &mut Review<'_>) {
    review.whole_milliseconds(detection.base_ejection_time.as_ref(), "`baseEjectionTime`");
    review.whole_milliseconds(detection.interval.as_ref(), "`interval`");
    if let Some(count) = detection.consecutive_errors.as_ref().filter(|c| c.value != 0) {
        review.warn(
            count.span,
            "`consecutiveErrors` is ignored since 1.7; use `consecutive5xxErrors` or `consecutiveGatewayErrors`",
        );
    }
    let split = detection.split_external_local_origin_errors.as_ref().is_some_and(|s| s.value);
    if let Some(count) = detection.consecutive_local_origin_failures.as_ref().filter(|c| c.value > 0 && !split) {
        review.reject(count.span, "`consecutiveLocalOriginFailures` needs `splitExternalLocalOriginErrors: true`");
    }
    for percent in [&detection.max_ejection_percent, &detection.min_health_percent].into_iter().flatten() {
        let valid = (0..=100).contains(&percent.value);
        review.require(valid, percent.span, format!("a percentage lies between 0 and 100, not at {}", percent.value));
    }
}

/// A connection pool (`validateConnectionPool`).
pub(super) fn connection_pool(pool: &ConnectionPoolSettings, review: &mut Review<'_>) {
    if pool.tcp.is_none() && pool.http.is_none() {
        review.reject(pool.span, "a connection pool must have `tcp` or `http`");
    }
    if let Some(http) = &pool.http {
        http_pool(http, review);
    }
    if let Some(tcp) = &pool.tcp {
        tcp_pool(tcp, review);
    }
}

fn not_negative(number: &Option<Spanned<i64>>, what: &str, review: &mut Review<'_>) {
    if let Some(number) = number.as_ref().filter(|n| n.value < 0) {
        review.reject(number.span, format!("`{what}` may not be negative"));
    }
}

fn http_pool(http: &HttpSettings, review: &mut Review<'_>) {
    not_negative(&http.http1_max_pending_requests, "http1MaxPendingRequests", review);
    not_negative(&http.http2_max_requests, "http2MaxRequests", review);
    not_negative(&http.max_requests_per_connection, "maxRequestsPerConnection", review);
    not_negative(&http.max_retries, "maxRetries", review);
    not_negative(&http.max_concurrent_streams, "maxConcurrentStreams", review);
    review.whole_milliseconds(http.idle_timeout.as_ref(), "`idleTimeout`");
    if let Some(keep_alive) = &http.http2_keep_alive {
        for (time, what) in [(&keep_alive.interval, "`interval`"), (&keep_alive.timeout, "`timeout`")] {
            review.require(time.is_some(), keep_alive.span, format!("`http2KeepAlive` needs {what}"));
            review.whole_milliseconds(time.as_ref(), what);
        }
    }
    let upgrades = http.h2_upgrade_policy.as_ref().is_some_and(|p| p.value == "UPGRADE");
    if upgrades && http.use_client_protocol.as_ref().is_some_and(|u| u.value) {
        review.reject(http.span, "`h2UpgradePolicy: UPGRADE` excludes `useClientProtocol`");
    }
}

fn tcp_pool(tcp: &TcpSettings, review: &mut Review<'_>) {
    not_negative(&tcp.max_connections, "maxConnections", review);
    review.whole_milliseconds(tcp.connect_timeout.as_ref(), "`connectTimeout`");
    review.whole_milliseconds(tcp.max_connection_duration.as_ref(), "`maxConnectionDuration`");
    if let Some(keepalive) = &tcp.tcp_keepalive {
        review.whole_milliseconds(keepalive.time.as_ref(), "`time`");
        review.whole_milliseconds(keepalive.interval.as_ref(), "`interval`");
    }
    // Below a millisecond counts as 0, which switches the timeout off.
    review.whole_milliseconds(tcp.idle_timeout.as_ref().filter(|t| t.millis() > 0), "`idleTimeout`");
}

fn load_balancer(settings: &LoadBalancerSettings, outlier_detection: bool, review: &mut Review<'_>) {
    if let Some(hash) = &settings.consistent_hash {
        consistent_hash(hash, review);
    }
    if let Some(setting) = &settings.locality_lb_setting {
        locality(setting, outlier_detection, review);
    }
    if let Some(setting) = &settings.zone_aware_lb_setting {
        let alone = settings.locality_lb_setting.is_none();
        review.require(alone, setting.span, "`zoneAwareLbSetting` excludes `localityLbSetting`");
        zone_aware(setting, outlier_detection, review);
    }
    let Some(warmup) = &settings.warmup else { return };
    match &warmup.duration {
        None => review.reject(warmup.span, "`warmup` needs a duration"),
        Some(duration) => review.whole_milliseconds(Some(duration), "`duration`"),
    }
    if let Some(percent) = warmup.minimum_percent.as_ref().filter(|p| p.value > 100.0) {
        review.reject(percent.span, "`minimumPercent` is at most 100");
    }
    if let Some(aggression) = warmup.aggression.as_ref().filter(|a| a.value <= 0.0) {
        review.reject(aggression.span, "`aggression` is greater than 0");
    }
}

/// Table sizes of Maglev are primes below this one.
const MAGLEV_TABLE_BOUND: i64 = 5_000_011;

fn consistent_hash(hash: &ConsistentHash, review: &mut Review<'_>) {
    if let Some(cookie) = &hash.http_cookie {
        review.require(cookie.name.as_ref().is_some_and(|n| !n.is_empty()), cookie.span, "a hash cookie needs a name");
        for (index, attribute) in cookie.attributes.iter().enumerate() {
            let name =
                |a: &crate::resource::networking::CookieAttribute| a.name.as_ref().map(|n| n.value.clone()).unwrap_or_default();
            review.require(!name(attribute).is_empty(), attribute.span, "an attribute of a cookie needs a name");
            let twice = cookie.attributes[..index].iter().any(|earlier| name(earlier) == name(attribute));
            review.require(!twice, attribute.span, "an attribute of a cookie stands twice");
        }
    }
    if let Some(size) = hash.minimum_ring_size.as_ref().filter(|s| s.value != 0) {
        review.warn(size.span, "`minimumRingSize` is deprecated here; use `ringHash.minimumRingSize`");
        if hash.ring_hash.is_some() || hash.maglev.is_some() {
            review.reject(size.span, "`minimumRingSize` excludes `ringHash` and `maglev`");
        }
    }
    if let Some(maglev) = &hash.maglev {
        let size = maglev.table_size.as_ref().map_or(0, |s| s.value);
        let valid = size < MAGLEV_TABLE_BOUND && is_prime(size);
        review.require(
            valid,
            maglev.span,
            format!("the size of a Maglev table is a prime below {MAGLEV_TABLE_BOUND}, not {size}"),
        );
    }
}

/// Whether Envoy's own test calls the number a prime; 1 passes it.
fn is_prime(number: i64) -> bool {
    number >= 1 && (2..).take_while(|d| d * d <= number).all(|d| number % d != 0)
}

const TOPOLOGY_LABELS: &[&str] = &["topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"];

/// Locality load balancing (`ValidateLocalityLbSetting`).
pub(super) fn locality(setting: &LocalityLbSetting, outlier_detection: bool, review: &mut Review<'_>) {
    if !setting.distribute.is_empty() && !setting.failover.is_empty() {
        review.reject(setting.span, "`distribute` excludes `failover`");
        return;
    }
    if !setting.failover.is_empty() {
        for label in setting.failover_priority.iter().filter(|l| TOPOLOGY_LABELS.contains(&l.value.as_str())) {
            review.reject(label.span, format!("`failover` excludes `{}` in `failoverPriority`", label.value));
        }
    }
    let from: Vec<(&str, Span)> =
        setting.distribute.iter().map(|d| (d.from.as_ref().map_or("", |f| f.value.as_str()), d.span)).collect();
    overlaps(&from, review);
    for entry in &setting.distribute {
        let to: Vec<(&str, Span)> = entry.to.0.iter().map(|(key, _)| (key.value.as_str(), key.span)).collect();
        overlaps(&to, review);
        for (_, weight) in entry.to.0.iter().filter(|(_, w)| !(1..=100).contains(&w.value)) {
            review.reject(weight.span, format!("the weight of a locality lies between 1 and 100, not at {}", weight.value));
        }
        let sum: i64 = entry.to.0.iter().map(|(_, weight)| weight.value).sum();
        review.require(sum == 100, entry.span, format!("the weights of a distribution add up to 100, not to {sum}"));
    }
    failover(&setting.failover, &setting.failover_priority, setting.span, outlier_detection, review);
}

/// Zone-aware routing (`ValidateZoneAwareLbSetting`).
fn zone_aware(setting: &ZoneAwareLbSetting, outlier_detection: bool, review: &mut Review<'_>) {
    for label in setting.failover_priority.iter().filter(|l| TOPOLOGY_LABELS.contains(&l.value.as_str())) {
        review.reject(label.span, format!("`{}` is no priority here: regions and zones are handled by themselves", label.value));
    }
    failover(&setting.failover, &setting.failover_priority, setting.span, outlier_detection, review);
}

fn failover(
    regions: &[LocalityFailover],
    priority: &[Spanned<String>],
    span: Span,
    outlier_detection: bool,
    review: &mut Review<'_>,
) {
    for entry in regions {
        let text = |t: &Option<Spanned<String>>| t.as_ref().map(|t| t.value.clone()).unwrap_or_default();
        let (from, to) = (text(&entry.from), text(&entry.to));
        review.require(from != to, entry.span, "a region cannot fail over to itself");
        let plain = |region: &str| !region.contains('*') && !region.contains('/');
        review.require(plain(&from) && plain(&to), entry.span, "failover names regions, without zone and wildcard");
    }
    if !outlier_detection && (!regions.is_empty() || !priority.is_empty()) {
        review.warn(span, "failover has no effect without `outlierDetection`");
    }
}

/// Localities in the order they are written: none may lie within an earlier one, or be the same
/// (`validateLocalities`). What is written as a wildcard counts as a zone or subzone of that name.
fn overlaps(localities: &[(&str, Span)], review: &mut Review<'_>) {
    let mut seen: Vec<Vec<&str>> = Vec::new();
    for (locality, span) in localities {
        let wildcards = locality.matches('*').count();
        if wildcards > 1 || (wildcards == 1 && !locality.ends_with('*')) {
            review.reject(*span, format!("the wildcard of the locality `{locality}` must stand at its end"));
            return;
        }
        let parts: Vec<&str> = locality.splitn(3, '/').collect();
        if parts.contains(&"") {
            review.reject(*span, format!("`{locality}` is not a locality: write `region/zone/subzone`"));
            return;
        }
        if seen.iter().any(|earlier| covers_locality(earlier, &parts)) {
            review.reject(*span, format!("the locality `{locality}` overlaps with an earlier one"));
            return;
        }
        seen.push(parts);
    }
}

/// Whether a locality stands in the way of a later one.
fn covers_locality(earlier: &[&str], later: &[&str]) -> bool {
    match (earlier, later) {
        (["*", ..], _) => true,
        ([region, ..], [other]) => region == other,
        ([region], [other, ..]) | ([region, "*", ..], [other, ..]) => region == other,
        ([region, zone, ..], [other, other_zone]) => (region, zone) == (other, other_zone),
        ([region, zone], [other, other_zone, _]) | ([region, zone, "*"], [other, other_zone, _]) => {
            (region, zone) == (other, other_zone)
        }
        _ => earlier == later,
    }
}

fn client_tls(settings: &ClientTlsSettings, review: &mut Review<'_>) {
    let given = |t: &Option<Spanned<String>>| t.as_ref().is_some_and(|t| !t.is_empty());
    let mode = settings.mode.as_ref().map_or("DISABLE", |m| m.value.as_str());
    let credential = given(&settings.credential_name);
    if let Some(name) = settings.credential_name.as_ref()
        && let Some(place) = name.strip_prefix("configmap://")
    {
        let parts: Vec<&str> = place.split('/').collect();
        let own = matches!(parts.as_slice(), [namespace, config_map, ..] if !config_map.is_empty() && *namespace == review.object.namespace);
        review.require(
            own,
            name.span,
            "a ConfigMap as credential is written `configmap://NAMESPACE/NAME`, with the own namespace",
        );
    }
    if credential && matches!(mode, "SIMPLE" | "MUTUAL") {
        let files = [&settings.client_certificate, &settings.private_key, &settings.ca_certificates, &settings.ca_crl];
        review.require(!files.iter().any(|f| given(f)), settings.span, "`credentialName` excludes certificate files");
    }
    if settings.insecure_skip_verify.as_ref().is_some_and(|s| s.value) {
        let verifies = match mode {
            "SIMPLE" => given(&settings.ca_certificates) || credential || !settings.subject_alt_names.is_empty(),
            "MUTUAL" => given(&settings.ca_certificates) || !settings.subject_alt_names.is_empty(),
            _ => false,
        };
        review.require(!verifies, settings.span, "`insecureSkipVerify` excludes what the server would be verified by");
    }
    if mode == "MUTUAL" && !credential {
        review.require(given(&settings.client_certificate), settings.span, "mode MUTUAL needs `clientCertificate`");
        review.require(given(&settings.private_key), settings.span, "mode MUTUAL needs `privateKey`");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes_are_told_from_products() {
        for (number, prime) in [(0, false), (1, true), (2, true), (65537, true), (65536, false), (4_999_999, true)] {
            assert_eq!(is_prime(number), prime, "{number}");
        }
    }
}
