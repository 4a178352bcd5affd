//! Route tables: what a proxy's HTTP connection manager is given. The shape is Envoy's
//! `RouteConfiguration`, with strings that name clusters resolved to ids.

use std::sync::Arc;

use super::ids::{ClusterId, Origin};
use super::pattern::Pattern;
use crate::time::Duration;

/// A share in parts per million, as Istio writes percentages into Envoy's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PerMillion(pub u32);

impl PerMillion {
    /// Always.
    pub const ALL: PerMillion = PerMillion(1_000_000);
}

/// One route table (Envoy: `RouteConfiguration`).
#[derive(Debug, Clone, PartialEq)]
pub struct RouteTable {
    /// Name, such as `9080` or `http.8080`.
    pub name: String,
    /// Virtual hosts; the order matters only to readers.
    pub virtual_hosts: Vec<VirtualHost>,
    /// Whether the port of the Host header takes part in the search for a virtual host.
    pub ignore_port_in_host_matching: bool,
    /// Exact domains in alphabetical order.
    exact: Vec<DomainId>,
    /// Domains with a wildcard, in the order they were written.
    wild: Vec<DomainId>,
}

/// One domain of a route table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct DomainId {
    virtual_host: u32,
    domain: u32,
}

impl RouteTable {
    /// A table of these virtual hosts. The index of domains is made here, so the virtual hosts must
    /// not be changed afterwards.
    #[must_use]
    pub fn new(name: String, virtual_hosts: Vec<VirtualHost>, ignore_port_in_host_matching: bool) -> Self {
        let number = |position: usize| u32::try_from(position).expect("fewer than 2^32 domains");
        let ids = virtual_hosts.iter().enumerate().flat_map(|(host, virtual_host)| {
            let domains = virtual_host.domains.iter().enumerate();
            domains
                .map(move |(domain, text)| (text.contains('*'), DomainId { virtual_host: number(host), domain: number(domain) }))
        });
        let (mut exact, mut wild) = (Vec::new(), Vec::new());
        for (is_wild, id) in ids {
            if is_wild { wild.push(id) } else { exact.push(id) }
        }
        let mut table = RouteTable { name, virtual_hosts, ignore_port_in_host_matching, exact: Vec::new(), wild };
        // A stable sort: of equal domains the first virtual host's stays first.
        exact.sort_by(|a, b| table.domain(*a).cmp(&table.domain(*b)));
        table.exact = exact;
        table
    }

    fn domain(&self, id: DomainId) -> Option<&str> {
        let host = self.virtual_hosts.get(id.virtual_host as usize)?;
        host.domains.get(id.domain as usize).map(String::as_str)
    }

    /// The virtual host that lists exactly this domain.
    #[must_use]
    pub fn with_domain(&self, domain: &str) -> Option<(usize, &str)> {
        let at = self.exact.partition_point(|id| self.domain(*id) < Some(domain));
        let id = *self.exact.get(at)?;
        self.domain(id).filter(|found| *found == domain).map(|found| (id.virtual_host as usize, found))
    }

    /// Domains with a wildcard and their virtual hosts.
    pub fn wildcards(&self) -> impl Iterator<Item = (usize, &str)> {
        self.wild.iter().filter_map(|id| Some((id.virtual_host as usize, self.domain(*id)?)))
    }
}

/// One virtual host.
#[derive(Debug, Clone, PartialEq)]
pub struct VirtualHost {
    /// Name, such as `reviews.default.svc.cluster.local:9080`.
    pub name: String,
    /// Domains, lower-case: exact, `*.suffix`, `*-suffix`, `prefix.*` or `*`.
    pub domains: Vec<String>,
    /// Routes in order; the first that matches is taken.
    /// Shared by proxies that have the same.
    pub routes: Arc<[Route]>,
    /// Whether every request that did not come by TLS is redirected to HTTPS (`httpsRedirect`).
    pub require_tls: bool,
    /// What made it.
    pub origin: Origin,
}

/// One route.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Name, such as `default` or `rule.match`; empty if there is none.
    pub name: String,
    /// When it applies.
    pub matcher: RouteMatch,
    /// What it does.
    pub action: Action,
    /// Fault injection, before anything else happens.
    pub fault: Option<Fault>,
    /// CORS policy.
    pub cors: Option<Cors>,
    /// Operations on request headers.
    pub request_headers: HeaderOps,
    /// Operations on response headers.
    pub response_headers: HeaderOps,
    /// The rule and match block it comes from.
    pub origin: Origin,
}

/// The conditions of a route; all must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteMatch {
    /// The path, without query.
    pub path: PathMatch,
    /// Headers (pseudo-headers included), query parameters and claims.
    pub conditions: Vec<Condition>,
}

/// A condition on the path.
#[derive(Debug, Clone, PartialEq)]
pub struct PathMatch {
    /// How it compares.
    pub test: PathTest,
    /// Whether case is ignored; a regex never ignores it.
    pub ignore_case: bool,
    /// Where it is written.
    pub span: crate::source::Span,
}

/// How a path is compared.
#[derive(Debug, Clone, PartialEq)]
pub enum PathTest {
    /// The whole path.
    Exact(String),
    /// The beginning of the text; `/` holds always.
    Prefix(String),
    /// The beginning, ending at a `/` or at the end (Gateway API); written without trailing slash.
    SegmentPrefix(String),
    /// The whole path matches.
    Regex(Pattern),
}

/// A condition on something other than the path.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// What is looked at.
    pub subject: Subject,
    /// What is asked of it.
    pub test: Test,
    /// Whether the answer is turned round (`withoutHeaders`).
    pub invert: bool,
    /// Whether an absent header counts as an empty one (`withoutHeaders` with a value).
    pub missing_as_empty: bool,
    /// Where it is written.
    pub span: crate::source::Span,
}

/// What a condition looks at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A header by lower-case name; `:method`, `:scheme` and `:authority` are headers too.
    Header(String),
    /// The first value of a query parameter, as written.
    Query(String),
    /// A claim of the request's token, by path.
    Claim(Vec<String>),
}

/// What is asked of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// It is there.
    Present,
    /// It is this.
    Exact(String),
    /// It begins with this.
    Prefix(String),
    /// All of it matches.
    Regex(Pattern),
}

/// What a route does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Forward to a cluster.
    Forward(Box<Forward>),
    /// Answer with a redirect.
    Redirect(Box<Redirect>),
    /// Answer directly.
    Direct(DirectResponse),
}

/// Forwarding.
#[derive(Debug, Clone, PartialEq)]
pub struct Forward {
    /// Destinations; one or more.
    pub legs: Legs,
    /// Whole-request timeout; zero means none.
    pub timeout: Duration,
    /// Retries; `None` means none.
    pub retries: Option<RetryPolicy>,
    /// Copies.
    pub mirrors: Vec<Mirror>,
    /// What consistent-hash balancers hash, in order.
    pub hash: Vec<HashPolicy>,
    /// Change of path.
    pub path_rewrite: Option<PathRewrite>,
    /// Change of authority.
    pub authority_rewrite: Option<String>,
    /// The status when the chosen cluster does not exist: 503, or 500 for Gateway API routes.
    pub cluster_not_found_status: u16,
}

/// Weighted destinations. Never empty, and the weights never add up to zero.
#[derive(Debug, Clone, PartialEq)]
pub struct Legs {
    legs: Vec<Leg>,
    total_weight: u64,
}

impl Legs {
    /// One destination; its weight does not matter and counts 100.
    #[must_use]
    pub fn lone(leg: Leg) -> Self {
        Legs { legs: vec![Leg { weight: 100, ..leg }], total_weight: 100 }
    }

    /// Several destinations; those of weight 0 are dropped, as Istio does. `None` if none is left.
    #[must_use]
    pub fn weighted(legs: Vec<Leg>) -> Option<Self> {
        let legs: Vec<Leg> = legs.into_iter().filter(|leg| leg.weight > 0).collect();
        let total_weight = legs.iter().map(|leg| u64::from(leg.weight)).sum();
        (total_weight > 0).then_some(Legs { legs, total_weight })
    }

    /// The destinations in the order they were written.
    #[must_use]
    pub fn all(&self) -> &[Leg] {
        &self.legs
    }

    /// The sum of the weights.
    #[must_use]
    pub fn total_weight(&self) -> u64 {
        self.total_weight
    }

    /// The destination for a random value: `value % total`, the first whose cumulative weight is
    /// above it (Envoy: `WeightedClusterSpecifierPlugin`).
    #[must_use]
    pub fn pick(&self, value: u64) -> usize {
        if self.legs.len() == 1 {
            return 0;
        }
        let mut left = value % self.total_weight;
        for (index, leg) in self.legs.iter().enumerate() {
            match left.checked_sub(u64::from(leg.weight)) {
                None => return index,
                Some(rest) => left = rest,
            }
        }
        unreachable!("a value below the sum of the weights falls into one of them")
    }
}

/// One destination.
#[derive(Debug, Clone, PartialEq)]
pub struct Leg {
    /// Which cluster.
    pub cluster: ClusterRef,
    /// Relative weight.
    pub weight: u32,
    /// Operations on request headers, before the route's.
    pub request_headers: HeaderOps,
    /// Operations on response headers, before the route's.
    pub response_headers: HeaderOps,
    /// Change of authority for this destination.
    pub authority_rewrite: Option<String>,
    /// Where it is written.
    pub origin: Origin,
}

/// A cluster by name and id. One that the proxy does not have answers 503 NC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterRef {
    /// Name, such as `outbound|9080|v1|reviews.default.svc.cluster.local`.
    pub name: String,
    /// Its id in the mesh; the proxy may have no such cluster.
    pub id: ClusterId,
}

/// A retry policy in Envoy's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Conditions, comma-separated, as the proxy is given them.
    pub on: String,
    /// Statuses of `retriable-status-codes`.
    pub codes: Vec<u16>,
    /// Retries after the first try.
    pub attempts: u32,
    /// Timeout of each try.
    pub per_try_timeout: Option<Duration>,
    /// Whether hosts that were tried are avoided (`previous_hosts`).
    pub avoids_tried_hosts: bool,
    /// How often a host is picked anew to avoid tried ones (`host_selection_retry_max_attempts`).
    pub host_picks_max: u32,
    /// Whether tried priorities are avoided (`retryRemoteLocalities`).
    pub retry_remote_localities: bool,
    /// Base interval of the back-off, if it is not Envoy's 25 ms.
    pub back_off_base: Option<Duration>,
}

/// A mirror.
#[derive(Debug, Clone, PartialEq)]
pub struct Mirror {
    /// Where to.
    pub cluster: ClusterRef,
    /// Share of requests.
    pub share: PerMillion,
    /// Where it is written.
    pub origin: Origin,
}

/// What to hash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HashPolicy {
    /// A header, lower-case.
    Header(String),
    /// A cookie.
    Cookie {
        /// Name.
        name: String,
        /// Path of a generated cookie; empty for none.
        path: String,
        /// Life of a generated cookie; `None` means that none is generated.
        ttl: Option<Duration>,
        /// Further attributes of a generated cookie.
        attributes: Vec<(String, String)>,
    },
    /// The client's address.
    SourceIp,
    /// A property of the connection that is switched off: never anything to hash.
    Nothing,
    /// A query parameter.
    Query(String),
}

/// A change of path.
#[derive(Debug, Clone, PartialEq)]
pub enum PathRewrite {
    /// Replaces the matched prefix, or the whole path if the match is exact or a regex.
    Prefix(String),
    /// Replaces every match; `\1` is a group.
    Regex {
        /// What is replaced.
        pattern: Pattern,
        /// What with.
        substitution: String,
    },
}

/// A redirect (Envoy: `RedirectAction`); the default one leads to where the request already is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Redirect {
    /// Status.
    pub status: u16,
    /// New path.
    pub path: Option<RedirectPath>,
    /// New host, possibly with a port.
    pub host: Option<String>,
    /// New port.
    pub port: Option<u16>,
    /// New scheme.
    pub scheme: Option<String>,
}

/// The new path of a redirect.
#[derive(Debug, Clone, PartialEq)]
pub enum RedirectPath {
    /// The whole path; the query is kept unless this has one.
    Full(String),
    /// In place of the matched prefix.
    Prefix(String),
    /// By regular expression.
    Regex {
        /// What is replaced.
        pattern: Pattern,
        /// What with.
        substitution: String,
    },
}

/// A direct answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectResponse {
    /// Status.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
}

/// Fault injection. Delay first, then abort; independent draws.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Delay.
    pub delay: Option<FaultDelay>,
    /// Abort.
    pub abort: Option<FaultAbort>,
    /// Where it is written.
    pub origin: Origin,
}

/// A delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultDelay {
    /// How long.
    pub fixed: Duration,
    /// Share of requests.
    pub share: PerMillion,
}

/// An abort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultAbort {
    /// With what.
    pub status: AbortStatus,
    /// Share of requests.
    pub share: PerMillion,
}

/// The status of an abort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AbortStatus {
    /// An HTTP status.
    Http(u16),
    /// A gRPC status.
    Grpc(u8),
}

/// A CORS policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Cors {
    /// Origins.
    pub allow_origins: Vec<Test>,
    /// Joined with commas, as preflight answers print them; empty for none.
    pub allow_methods: String,
    /// The same.
    pub allow_headers: String,
    /// The same, on every answer.
    pub expose_headers: String,
    /// Seconds as text; empty for none.
    pub max_age: String,
    /// Whether credentials are allowed.
    pub allow_credentials: bool,
    /// Whether a preflight from a foreign origin goes to the upstream (else it is answered here).
    pub forward_unmatched_preflights: bool,
}

/// Operations on headers: removes, then sets, then adds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderOps {
    /// Names to remove, lower-case.
    pub remove: Vec<String>,
    /// Overwrites; values may hold Envoy's `%COMMANDS%`.
    pub set: Vec<(String, String)>,
    /// Appends.
    pub add: Vec<(String, String)>,
}

impl HeaderOps {
    /// Whether nothing is done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leg(weight: u32) -> Leg {
        Leg {
            cluster: ClusterRef { name: format!("c{weight}"), id: crate::mesh::ClusterId(0) },
            weight,
            request_headers: HeaderOps::default(),
            response_headers: HeaderOps::default(),
            authority_rewrite: None,
            origin: Origin::default(),
        }
    }

    #[test]
    fn weights_are_walked_in_listed_order() {
        let legs = Legs::weighted(vec![leg(80), leg(0), leg(20)]).unwrap();
        for (value, index) in [(0, 0), (79, 0), (80, 1), (99, 1), (100, 0), (180, 1), (u64::MAX, 0)] {
            assert_eq!(legs.pick(value), index, "{value}");
        }
        assert!(Legs::weighted(vec![leg(0), leg(0)]).is_none());
        assert_eq!(Legs::lone(leg(0)).total_weight(), 100);
    }
}
