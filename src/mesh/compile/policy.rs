//! The traffic policy of one cluster, merged from a DestinationRule, its subset and their settings
//! for the port (Istio: `GetPortLevelTrafficPolicy`, `MergeSubsetTrafficPolicy`).

use super::destination_rule::{Part, Rule};
use crate::resource::networking::{
    ClientTlsSettings, ConnectionPoolSettings, LoadBalancerSettings, OutlierDetection, PortTrafficPolicy, RetryBudget, Subset,
    TrafficPolicy,
};

/// A merged policy; absent blocks are left to defaults.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Policy<'a> {
    pub(super) load_balancer: Option<&'a LoadBalancerSettings>,
    pub(super) connection_pool: Option<&'a ConnectionPoolSettings>,
    pub(super) outlier: Option<&'a OutlierDetection>,
    pub(super) tls: Option<&'a ClientTlsSettings>,
    pub(super) retry_budget: Option<&'a RetryBudget>,
}

impl<'a> Policy<'a> {
    /// The policy of a rule for a port. An entry for the port replaces everything else, also the
    /// blocks that it does not have.
    pub(super) fn of_rule(rule: Option<&Rule<'a>>, port: u16) -> Self {
        let Some(Part { value: policy, .. }) = rule.and_then(|rule| rule.traffic_policy) else { return Policy::default() };
        port_level(policy, port).map_or_else(|| Policy::whole(policy), Policy::of_port)
    }

    /// The policy with a subset's blocks in place of its own. A subset's entry for the port replaces
    /// all four blocks, else only those that the subset has.
    pub(super) fn with_subset(self, subset: &'a Subset, port: u16) -> Self {
        let Some(policy) = &subset.traffic_policy else { return self };
        if let Some(entry) = port_level(policy, port) {
            return Policy { retry_budget: self.retry_budget, ..Policy::of_port(entry) };
        }
        let own = Policy::whole(policy);
        Policy {
            load_balancer: own.load_balancer.or(self.load_balancer),
            connection_pool: own.connection_pool.or(self.connection_pool),
            outlier: own.outlier.or(self.outlier),
            tls: own.tls.or(self.tls),
            retry_budget: own.retry_budget.or(self.retry_budget),
        }
    }

    fn whole(policy: &'a TrafficPolicy) -> Self {
        Policy {
            load_balancer: policy.load_balancer.as_ref(),
            connection_pool: policy.connection_pool.as_ref(),
            outlier: policy.outlier_detection.as_ref(),
            tls: policy.tls.as_ref(),
            retry_budget: policy.retry_budget.as_ref(),
        }
    }

    fn of_port(entry: &'a PortTrafficPolicy) -> Self {
        Policy {
            load_balancer: entry.load_balancer.as_ref(),
            connection_pool: entry.connection_pool.as_ref(),
            outlier: entry.outlier_detection.as_ref(),
            tls: entry.tls.as_ref(),
            retry_budget: None,
        }
    }
}

/// The TLS settings that endpoints are marked by (Istio: `tlsModeForDestinationRule`). Unlike in the
/// policy of the cluster, an entry for the port that has none leaves the others in force.
pub(super) fn tls_of_marks<'a>(rule: Option<&Rule<'a>>, subset: Option<&'a Subset>, port: u16) -> Option<&'a ClientTlsSettings> {
    let of = |policy: &'a TrafficPolicy| {
        let entries = policy.port_level_settings.iter().filter(|entry| is_for(entry, port));
        entries.filter_map(|entry| entry.tls.as_ref()).next().or(policy.tls.as_ref())
    };
    let own = subset.and_then(|subset| subset.traffic_policy.as_ref()).and_then(of);
    own.or_else(|| rule?.traffic_policy.and_then(|part| of(part.value)))
}

/// The first entry of a policy for a port.
fn port_level(policy: &TrafficPolicy, port: u16) -> Option<&PortTrafficPolicy> {
    policy.port_level_settings.iter().find(|entry| is_for(entry, port))
}

fn is_for(entry: &PortTrafficPolicy, port: u16) -> bool {
    let number = entry.port.as_ref().and_then(|selector| selector.number.as_ref());
    number.is_some_and(|number| number.value == i64::from(port))
}
