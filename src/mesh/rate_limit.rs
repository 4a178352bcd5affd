//! Rate limits of proxies, which people write as EnvoyFilters: filters in the chain of HTTP filters,
//! and what virtual hosts and routes say to them (Envoy: `envoy.filters.http.local_ratelimit`,
//! `envoy.filters.http.ratelimit`).

use std::sync::Arc;

use super::clusters::Clusters;
use super::ids::Origin;
use super::pattern::Pattern;
use super::route::PerMillion;
use crate::time::Duration;

/// The rate limits of one proxy.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RateLimits {
    /// Filters, in the order of the chain.
    pub filters: Vec<LimitFilter>,
    /// What is said for virtual hosts and routes, in the order in which it was written.
    pub routes: Vec<RouteLimits>,
}

/// Which listeners of a proxy something is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Traffic {
    /// What arrives at a sidecar for its workload.
    Inbound,
    /// What a sidecar's workload sends.
    Outbound,
    /// What arrives at a gateway.
    Gateway,
}

/// Where a filter stands in the chain, as far as that makes a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChainPlace {
    /// Before tokens are read.
    First,
    /// Between tokens and the rules of authorization policies.
    AfterTokens,
    /// After policies, before faults.
    AfterPolicies,
    /// After faults, before the router.
    Last,
}

impl Traffic {
    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Traffic::Inbound => "inbound",
            Traffic::Outbound => "outbound",
            Traffic::Gateway => "at the gateway",
        }
    }
}

impl ChainPlace {
    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            ChainPlace::First => "before tokens and policies",
            ChainPlace::AfterTokens => "between tokens and policies",
            ChainPlace::AfterPolicies => "between policies and faults",
            ChainPlace::Last => "before the router",
        }
    }
}

/// A filter that limits rates.
#[derive(Debug, Clone, PartialEq)]
pub struct LimitFilter {
    /// Listeners it is in; `None` for all.
    pub traffic: Option<Traffic>,
    /// The port of the listener; `None` for all.
    pub port: Option<u16>,
    /// Where it stands.
    pub place: ChainPlace,
    /// What it does.
    pub limit: Limit,
    /// The patch.
    pub origin: Origin,
}

/// What a filter does.
#[derive(Debug, Clone, PartialEq)]
pub enum Limit {
    /// Counts by itself.
    Local(LocalLimit),
    /// Asks a service.
    Global(GlobalLimit),
}

/// A local limit.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalLimit {
    /// What requests are taken from that no descriptor is for; without it they are let through.
    pub bucket: Option<TokenBucket>,
    /// How many requests are looked at.
    pub enabled: PerMillion,
    /// How many of these are turned away if there is no token for them.
    pub enforced: PerMillion,
    /// The status of the answer.
    pub status: u16,
    /// Headers that the answer gets.
    pub headers: Vec<(String, String)>,
    /// Buckets for some requests.
    pub descriptors: Vec<LocalDescriptor>,
    /// Whether a request with a descriptor takes a token of `bucket` too.
    pub takes_default_too: bool,
    /// What `grpc-status` says to those who are turned away.
    pub grpc_status: u8,
    /// Actions of its own, which count instead of those of routes.
    pub actions: Vec<Vec<LimitAction>>,
}

/// Tokens, one for each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenBucket {
    /// How many it holds; it is full at first.
    pub most: u32,
    /// How many come back in each interval.
    pub per_fill: u32,
    /// The interval.
    pub interval: Duration,
}

/// A bucket for requests with these entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalDescriptor {
    /// Key and value of each entry.
    pub entries: Vec<(String, String)>,
    /// The bucket.
    pub bucket: TokenBucket,
}

/// A limit that a service keeps.
#[derive(Debug, Clone, PartialEq)]
pub struct GlobalLimit {
    /// The domain that the service is asked about.
    pub domain: String,
    /// Whether requests are turned away while the service does not answer.
    pub denies_on_failure: bool,
    /// The cluster by which the service is reached.
    pub cluster: String,
    /// What the service was told about the domain; `None` if there is nothing about it.
    pub service: Option<Arc<LimitService>>,
    /// The status of the answer.
    pub status: u16,
    /// What `grpc-status` says to those who are turned away.
    pub grpc_status: u8,
}

/// What the rate limit service (github.com/envoyproxy/ratelimit) was told about one domain.
#[derive(Debug, Clone, PartialEq)]
pub struct LimitService {
    /// Descriptors of the first level.
    pub descriptors: Vec<ServiceDescriptor>,
    /// The ConfigMap.
    pub origin: Origin,
}

/// A descriptor of the service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceDescriptor {
    /// Key.
    pub key: String,
    /// Value; `None` for any value, each of which is counted by itself.
    pub value: Option<String>,
    /// The limit.
    pub limit: Option<ServiceLimit>,
    /// What comes below it.
    pub descriptors: Vec<ServiceDescriptor>,
}

/// So many requests in each window of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ServiceLimit {
    /// Requests; `None` is any number.
    pub requests: Option<u32>,
    /// The window: `second`, `minute` and so on.
    pub unit: TimeUnit,
}

/// A window of the service. Windows begin at whole multiples of their length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeUnit {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// Thirty days.
    Month,
    /// 365 days.
    Year,
}

impl TimeUnit {
    /// The unit that a word means, in any letter case.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        let all = [Self::Second, Self::Minute, Self::Hour, Self::Day, Self::Month, Self::Year];
        all.into_iter().find(|unit| unit.word().eq_ignore_ascii_case(word))
    }

    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            TimeUnit::Second => "second",
            TimeUnit::Minute => "minute",
            TimeUnit::Hour => "hour",
            TimeUnit::Day => "day",
            TimeUnit::Month => "month",
            TimeUnit::Year => "year",
        }
    }

    /// Its length.
    #[must_use]
    pub const fn length(self) -> Duration {
        const DAY: u64 = 24 * 60 * 60 * 1_000;
        Duration::from_millis(match self {
            TimeUnit::Second => 1_000,
            TimeUnit::Minute => 60_000,
            TimeUnit::Hour => 3_600_000,
            TimeUnit::Day => DAY,
            TimeUnit::Month => 30 * DAY,
            TimeUnit::Year => 365 * DAY,
        })
    }
}

impl LocalLimit {
    /// The buckets of descriptors that a request has.
    pub fn matched<'l>(&'l self, descriptors: &'l [Vec<(String, String)>]) -> impl Iterator<Item = &'l LocalDescriptor> {
        self.descriptors.iter().filter(|own| descriptors.contains(&own.entries))
    }

    /// The bucket of its own, if a request takes a token of it that matches descriptors or does not.
    #[must_use]
    pub fn default_bucket(&self, matches: bool) -> Option<&TokenBucket> {
        self.bucket.as_ref().filter(|_| !matches || self.takes_default_too)
    }
}

impl GlobalLimit {
    /// Whether the service answers a proxy with these clusters: an endpoint of it is healthy.
    #[must_use]
    pub fn is_answered(&self, clusters: &Clusters) -> bool {
        clusters.named(&self.cluster).is_some_and(|cluster| cluster.endpoints().any(|one| one.healthy))
    }
}

impl LimitService {
    /// The limit for the entries of a request: the one at the last entry, each entry looked up by key
    /// and value and then by key alone.
    #[must_use]
    pub fn limit(&self, entries: &[(String, String)]) -> Option<ServiceLimit> {
        let mut level = &self.descriptors;
        for (index, (key, value)) in entries.iter().enumerate() {
            let named = || level.iter().filter(|descriptor| descriptor.key == *key);
            let found = named().find(|descriptor| descriptor.value.as_ref() == Some(value));
            let found = found.or_else(|| named().find(|descriptor| descriptor.value.is_none()))?;
            if index + 1 == entries.len() {
                return found.limit;
            }
            level = &found.descriptors;
        }
        None
    }
}

/// What is said to the filters for some virtual hosts or routes.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteLimits {
    /// Which listeners' routes; `None` for all.
    pub traffic: Option<Traffic>,
    /// The port of the route table; `None` for all.
    pub port: Option<u16>,
    /// The name of the route table; `None` for all.
    pub table: Option<String>,
    /// The name of the virtual host; `None` for all.
    pub virtual_host: Option<String>,
    /// For which routes it is; `None` if it is for the virtual host as a whole.
    pub routes: Option<RouteChoice>,
    /// A local limit instead of the filter's, with a bucket of its own.
    pub local: Option<LocalLimit>,
    /// What the filters are told about a request.
    pub actions: Vec<Vec<LimitAction>>,
    /// The patch.
    pub origin: Origin,
}

/// Routes of a virtual host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteChoice {
    /// Name; `None` for all.
    pub name: Option<String>,
    /// What they do; `None` for anything.
    pub action: Option<RouteKind>,
}

/// What a route does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RouteKind {
    /// It forwards.
    Route,
    /// It redirects.
    Redirect,
    /// It answers by itself.
    DirectResponse,
}

/// An entry of a descriptor in the making. Without it there is no descriptor.
#[derive(Debug, Clone, PartialEq)]
pub enum LimitAction {
    /// The value of a header.
    RequestHeader {
        /// Its name.
        header: String,
        /// Key of the entry.
        key: String,
        /// Whether the entry is left out if the header is absent, instead of the descriptor.
        skips_if_absent: bool,
    },
    /// Always the same.
    GenericKey {
        /// Key of the entry.
        key: String,
        /// Its value.
        value: String,
    },
    /// A value if headers match.
    HeaderValueMatch {
        /// Key of the entry.
        key: String,
        /// Its value.
        value: String,
        /// Whether they must match, or must not.
        expects_match: bool,
        /// All of these.
        headers: Vec<HeaderMatch>,
    },
    /// The address of the client.
    RemoteAddress,
    /// The cluster that the request goes to.
    DestinationCluster,
}

/// A condition on a header.
#[derive(Debug, Clone, PartialEq)]
pub struct HeaderMatch {
    /// Its name, lower-case.
    pub name: String,
    /// What it must be.
    pub test: HeaderTest,
    /// Whether it must not.
    pub inverted: bool,
}

/// What a header must be.
#[derive(Debug, Clone, PartialEq)]
pub enum HeaderTest {
    /// There.
    Present,
    /// This.
    Exact(String),
    /// Something that begins with this.
    Prefix(String),
    /// Something that ends with this.
    Suffix(String),
    /// Something with this in it.
    Contains(String),
    /// Something all of which matches.
    Matches(Pattern),
}

impl HeaderTest {
    /// Whether a value passes.
    #[must_use]
    pub fn holds(&self, value: &str) -> bool {
        match self {
            HeaderTest::Present => true,
            HeaderTest::Exact(text) => value == text,
            HeaderTest::Prefix(text) => value.starts_with(text.as_str()),
            HeaderTest::Suffix(text) => value.ends_with(text.as_str()),
            HeaderTest::Contains(text) => value.contains(text.as_str()),
            HeaderTest::Matches(pattern) => pattern.matches(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_looks_an_entry_up_by_value_and_then_by_key() {
        let leaf = |key: &str, value: Option<&str>, requests| ServiceDescriptor {
            key: key.to_owned(),
            value: value.map(str::to_owned),
            limit: Some(ServiceLimit { requests: Some(requests), unit: TimeUnit::Minute }),
            descriptors: Vec::new(),
        };
        let nested = ServiceDescriptor { limit: None, descriptors: vec![leaf("USER", None, 7)], ..leaf("PATH", Some("/n"), 0) };
        let descriptors = vec![leaf("PATH", None, 100), leaf("PATH", Some("/a"), 1), nested];
        let service = LimitService { descriptors, origin: Origin::default() };
        let entry = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        for (entries, expected) in [
            (vec![entry("PATH", "/a")], Some(1)),
            (vec![entry("PATH", "/b")], Some(100)),
            (vec![entry("OTHER", "/a")], None),
            (vec![entry("PATH", "/n")], None),
            (vec![entry("PATH", "/n"), entry("USER", "x")], Some(7)),
            (vec![entry("PATH", "/a"), entry("USER", "x")], None),
            (vec![], None),
        ] {
            assert_eq!(service.limit(&entries).and_then(|limit| limit.requests), expected, "{entries:?}");
        }
    }

    #[test]
    fn units_are_words_in_any_letter_case() {
        assert_eq!(TimeUnit::of_word("MINUTE"), Some(TimeUnit::Minute));
        assert_eq!(TimeUnit::of_word("fortnight"), None);
        assert_eq!(TimeUnit::Day.length(), Duration::from_millis(86_400_000));
    }
}
