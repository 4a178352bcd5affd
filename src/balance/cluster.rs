//! A cluster of the mesh, as balancers see it.

use super::host_set::{Host, HostSet, Locality, Policy, Rules};
use super::slow_start::SlowStart;
use crate::mesh::cluster::{Balancer, Cluster, Endpoint, LocalityEndpoints};

/// Envoy's panic threshold and least weight of a slow start, where nothing else is said.
const PANIC_PERCENT: u32 = 50;
const SLOW_START_LEAST_PERCENT: f64 = 10.0;

impl Rules {
    /// What a cluster says about balancing.
    #[must_use]
    pub fn of(cluster: &Cluster) -> Rules {
        Rules {
            policy: match cluster.balancer {
                Balancer::RoundRobin => Policy::RoundRobin,
                Balancer::LeastRequest => Policy::LeastRequest,
                Balancer::Random | Balancer::Passthrough => Policy::Random,
                Balancer::RingHash { ring_min } => Policy::ring(ring_min),
                Balancer::Maglev { table } => Policy::maglev(table),
            },
            panic_percent: cluster.panic_threshold_percent.unwrap_or(PANIC_PERCENT),
            locality_weighted: cluster.locality_weighted,
            slow_start: cluster.warm_up.map(|warm_up| SlowStart {
                window: warm_up.window,
                least: warm_up.minimum_percent.unwrap_or(SLOW_START_LEAST_PERCENT) / 100.0,
                aggression: warm_up.aggression.unwrap_or(1.0),
            }),
        }
    }
}

impl Host {
    /// An endpoint, under a number that tells it from others.
    #[must_use]
    pub fn of(endpoint: &Endpoint, id: u32) -> Host {
        Host { id, address: endpoint.address.clone(), weight: endpoint.weight.max(1), ready: endpoint.healthy }
    }
}

impl Locality {
    /// A locality with its hosts.
    #[must_use]
    pub fn of(locality: &LocalityEndpoints, hosts: Vec<Host>) -> Locality {
        Locality { priority: locality.priority, weight: locality.weight, hosts }
    }

    /// Localities in the order in which a proxy weighs them: its own first, the others by name.
    #[must_use]
    pub fn ordered<'c>(cluster: &'c Cluster, own: &str) -> Vec<&'c LocalityEndpoints> {
        let mut all: Vec<&LocalityEndpoints> = cluster.localities.iter().collect();
        if cluster.locality_weighted {
            all.sort_by_key(|locality| locality.locality != own);
        }
        all
    }
}

impl HostSet {
    /// The endpoints of a cluster while none is ejected, for a proxy in this locality.
    #[must_use]
    pub fn of(cluster: &Cluster, own: &str) -> HostSet {
        let mut id = 0..;
        let mut host = |endpoint: &Endpoint| Host::of(endpoint, id.next().unwrap_or(u32::MAX));
        let localities: Vec<Locality> = Locality::ordered(cluster, own)
            .into_iter()
            .map(|locality| Locality::of(locality, locality.endpoints.iter().map(&mut host).collect()))
            .collect();
        HostSet::new(0, Rules::of(cluster), &localities, |_| false)
    }
}
