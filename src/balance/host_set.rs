//! What a cluster offers at one moment, and how a host of it is picked (Envoy: `PrioritySet`,
//! `HostSet`).

use std::cell::OnceCell;
use std::sync::Arc;

use super::maglev::{Maglev, TABLE_SIZE};
use super::priority::{self, Health, Load};
use super::ring::{RING_MIN, Ring};
use super::slow_start::SlowStart;

/// How a host is picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// In turn, or by weight.
    RoundRobin,
    /// The less busy of two, or by weight over what is busy.
    LeastRequest,
    /// Any.
    Random,
    /// By hash, on a ring of at least so many entries.
    RingHash(u64),
    /// By hash, in a table of this size.
    Maglev(u64),
}

/// What a cluster says about balancing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// How a host is picked.
    pub policy: Policy,
    /// A priority with fewer hosts in service, in percent, may use all of them.
    pub panic_percent: u32,
    /// Whether localities have weights.
    pub locality_weighted: bool,
    /// Slow start; only balancers that weigh hosts have one.
    pub slow_start: Option<SlowStart>,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Tells hosts apart, small.
    pub id: u32,
    /// `ip:port`, which hash balancers hash.
    pub address: String,
    /// Weight, above zero.
    pub weight: u32,
    /// Whether it is ready, as far as the control plane knows.
    pub ready: bool,
}

/// Hosts of one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locality {
    /// 0 is the first choice.
    pub priority: u32,
    /// Weight among localities of its priority.
    pub weight: u32,
    /// Hosts in order.
    pub hosts: Vec<Host>,
}

/// A state of a cluster's hosts: who is there, and who is in service. Hosts are numbered through all
/// localities, in order.
#[derive(Debug, Clone)]
pub struct HostSet {
    /// Tells one state from another.
    pub(super) number: u32,
    pub(super) rules: Rules,
    pub(super) hosts: Arc<[Host]>,
    pub(super) levels: Vec<Level>,
    healths: Vec<Health>,
}

/// The hosts of one priority.
#[derive(Debug, Clone)]
pub(super) struct Level {
    pub(super) load: Load,
    /// Hosts in service, or all if the priority panics.
    pub(super) hosts: Group,
    /// All hosts.
    members: Vec<u32>,
    /// Localities with hosts in service, if localities are weighed: position among the priority's
    /// localities, weight, hosts.
    pub(super) localities: Vec<(u32, f64, Group)>,
    /// Hosts with their parts of the hashes.
    shares: Vec<(u32, f64)>,
    lookup: OnceCell<Lookup>,
}

/// Hosts among which one is picked.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub(super) hosts: Vec<u32>,
    /// Whether weights differ.
    pub(super) weighted: bool,
}

#[derive(Debug, Clone)]
enum Lookup {
    Ring(Ring),
    Maglev(Maglev),
}

/// A locality's hosts in service count this much more, in percent.
const LOCALITY_OVERPROVISIONING: f64 = 140.0;

impl Policy {
    /// Ring hash with a least size, if one is given.
    #[must_use]
    pub fn ring(size_min: Option<u64>) -> Policy {
        Policy::RingHash(size_min.unwrap_or(RING_MIN))
    }

    /// Maglev with a table size, if one is given.
    #[must_use]
    pub fn maglev(size: Option<u64>) -> Policy {
        Policy::Maglev(size.unwrap_or(TABLE_SIZE))
    }

    /// Whether a request's hash decides.
    #[must_use]
    pub const fn hashes(self) -> bool {
        matches!(self, Policy::RingHash(_) | Policy::Maglev(_))
    }
}

impl HostSet {
    /// The state of these hosts while some are out of service, told by id. `number` tells states of
    /// one cluster apart.
    #[must_use]
    pub fn new(number: u32, rules: Rules, localities: &[Locality], is_out: impl Fn(u32) -> bool) -> HostSet {
        let hosts: Arc<[Host]> = localities.iter().flat_map(|locality| locality.hosts.iter().cloned()).collect();
        HostSet::narrowed(number, rules, hosts, localities, is_out)
    }

    /// The state of the same hosts with others out of service.
    #[must_use]
    pub fn without(&self, number: u32, localities: &[Locality], is_out: impl Fn(u32) -> bool) -> HostSet {
        HostSet::narrowed(number, self.rules, Arc::clone(&self.hosts), localities, is_out)
    }

    fn narrowed(number: u32, rules: Rules, hosts: Arc<[Host]>, localities: &[Locality], is_out: impl Fn(u32) -> bool) -> HostSet {
        let in_service: Vec<bool> = hosts.iter().map(|host| host.ready && !is_out(host.id)).collect();
        let mut drafts: Vec<Draft> = Vec::new();
        let mut first = 0;
        for locality in localities {
            let all: Vec<u32> = (first..first + locality.hosts.len() as u32).collect();
            first += locality.hosts.len() as u32;
            let healthy = all.iter().copied().filter(|host| in_service[*host as usize]).collect();
            let part = Part { weight: locality.weight, all, healthy };
            match drafts.iter_mut().find(|draft| draft.priority == locality.priority) {
                Some(draft) => draft.parts.push(part),
                None => drafts.push(Draft { priority: locality.priority, parts: vec![part] }),
            }
        }
        drafts.sort_by_key(|draft| draft.priority);
        let healths: Vec<Health> = drafts.iter().map(Draft::health).collect();
        let loads = priority::loads(&healths, rules.panic_percent);
        let levels = drafts.iter().zip(loads).map(|(draft, load)| draft.level(load, &rules, &hosts)).collect();
        HostSet { number, rules, hosts, levels, healths }
    }

    /// What tells it from other states.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// How a host is picked.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.rules.policy
    }

    /// All hosts, in service or not.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The part of each priority, in percent.
    pub fn loads(&self) -> impl Iterator<Item = Load> {
        self.levels.iter().map(|level| level.load)
    }

    /// The hosts that a priority uses.
    pub fn used(&self, priority: usize) -> impl Iterator<Item = usize> {
        self.levels.get(priority).into_iter().flat_map(|level| level.hosts.hosts.iter().map(|host| *host as usize))
    }

    /// The host, if there is no choice.
    #[must_use]
    pub fn only(&self) -> Option<usize> {
        match self.levels.as_slice() {
            [level] => match level.hosts.hosts.as_slice() {
                [host] => Some(*host as usize),
                _ => None,
            },
            _ => None,
        }
    }

    /// The part of the requests that each host gets in the long run, while all are equally busy.
    #[must_use]
    pub fn expected(&self) -> Vec<f64> {
        let mut parts = vec![0.0; self.hosts.len()];
        for level in &self.levels {
            let load = f64::from(level.load.percent) / 100.0;
            let sum: f64 = level.localities.iter().map(|(_, weight, _)| weight).sum();
            if level.localities.is_empty() {
                self.share_out(&level.hosts, load, &mut parts);
            }
            for (_, weight, group) in &level.localities {
                self.share_out(group, load * weight / sum, &mut parts);
            }
        }
        parts
    }

    fn share_out(&self, group: &Group, whole: f64, parts: &mut [f64]) {
        let weight = |host: &u32| match self.rules.policy {
            Policy::Random => 1.0,
            _ => f64::from(self.hosts[*host as usize].weight),
        };
        let sum: f64 = group.hosts.iter().map(weight).sum();
        group.hosts.iter().for_each(|host| parts[*host as usize] += whole * weight(host) / sum);
    }

    /// The host for a hash, without other attempts.
    #[must_use]
    pub fn host_for(&self, hash: u64) -> Option<usize> {
        self.find(hash, 0)
    }

    /// The host for a hash at an attempt of one pick.
    pub(super) fn find(&self, hash: u64, attempt: u32) -> Option<usize> {
        let level = self.levels.get(priority::choose(self.percentages(), hash))?;
        let place = match level.lookup.get_or_init(|| self.lookup(level)) {
            Lookup::Ring(ring) => ring.host(hash, attempt),
            Lookup::Maglev(table) => table.host(hash, attempt),
        };
        Some(level.shares[place? as usize].0 as usize)
    }

    fn lookup(&self, level: &Level) -> Lookup {
        let hosts: Vec<(&str, f64)> =
            level.shares.iter().map(|(host, share)| (self.hosts[*host as usize].address.as_str(), *share)).collect();
        match self.rules.policy {
            Policy::Maglev(size) => Lookup::Maglev(Maglev::new(&hosts, size)),
            Policy::RingHash(size_min) => Lookup::Ring(Ring::new(&hosts, size_min)),
            Policy::RoundRobin | Policy::LeastRequest | Policy::Random => Lookup::Ring(Ring::new(&hosts, RING_MIN)),
        }
    }

    /// Forgets what can be worked out again and takes much room.
    pub fn forget_lookups(&mut self) {
        self.levels.iter_mut().for_each(|level| level.lookup = OnceCell::new());
    }

    pub(super) fn percentages(&self) -> impl Iterator<Item = u32> {
        self.levels.iter().map(|level| level.load.percent)
    }

    /// The percentages of a retry that avoids the priorities of the hosts it has tried; `None` if
    /// they are the usual ones.
    pub(super) fn retry_percentages(&self, tried: &[u32]) -> Option<Vec<u32>> {
        let priority_of = |id: &u32| {
            let host = self.hosts.iter().position(|host| host.id == *id)? as u32;
            self.levels.iter().position(|level| level.members.contains(&host))
        };
        let tried: Vec<usize> = tried.iter().filter_map(priority_of).collect();
        priority::retry_percentages(&self.healths, &tried)
    }
}

/// A priority in the making.
struct Draft {
    priority: u32,
    parts: Vec<Part>,
}

/// A locality of a priority.
struct Part {
    weight: u32,
    all: Vec<u32>,
    healthy: Vec<u32>,
}

impl Draft {
    fn health(&self) -> Health {
        let sum = |count: fn(&Part) -> usize| self.parts.iter().map(count).sum::<usize>() as u32;
        Health { healthy: sum(|part| part.healthy.len()), all: sum(|part| part.all.len()) }
    }

    fn level(&self, load: Load, rules: &Rules, hosts: &[Host]) -> Level {
        let group = |numbers: Vec<u32>| Group::new(numbers, hosts);
        let used = |part: &Part| if load.panics { part.all.clone() } else { part.healthy.clone() };
        let localities = (0..)
            .zip(&self.parts)
            .filter(|_| rules.locality_weighted && !load.panics)
            .map(|(at, part)| (at, part.effective_weight(), group(part.healthy.clone())))
            .filter(|(_, weight, _)| *weight > 0.0)
            .collect();
        let all_used = group(self.parts.iter().flat_map(used).collect());
        let shares = match (rules.policy.hashes(), rules.locality_weighted) {
            (false, _) => Vec::new(),
            (true, false) => normalised(&all_used.hosts, 1.0, hosts).collect(),
            (true, true) => {
                let sum: u64 = self.parts.iter().map(|part| u64::from(part.weight)).sum();
                let weighed = self.parts.iter().filter(|part| part.weight > 0);
                weighed.flat_map(|part| normalised(&used(part), f64::from(part.weight) / sum as f64, hosts)).collect()
            }
        };
        let members = self.parts.iter().flat_map(|part| part.all.iter().copied()).collect();
        Level { load, hosts: all_used, localities, members, shares, lookup: OnceCell::new() }
    }
}

/// Hosts with their parts of a whole, by weight. The order of operations is Envoy's.
fn normalised(numbers: &[u32], whole: f64, hosts: &[Host]) -> impl Iterator<Item = (u32, f64)> + use<> {
    let weight = |number: &u32| hosts[*number as usize].weight;
    let sum: u64 = numbers.iter().map(|number| u64::from(weight(number))).sum();
    let shares: Vec<(u32, f64)> =
        numbers.iter().map(|number| (*number, f64::from(weight(number)) * whole / sum as f64)).collect();
    shares.into_iter()
}

impl Part {
    /// What is left of the locality's weight while hosts of it are out of service.
    fn effective_weight(&self) -> f64 {
        if self.all.is_empty() {
            return 0.0;
        }
        let available = self.healthy.len() as f64 / self.all.len() as f64;
        f64::from(self.weight) * (LOCALITY_OVERPROVISIONING / 100.0 * available).min(1.0)
    }
}

impl Group {
    fn new(numbers: Vec<u32>, hosts: &[Host]) -> Group {
        let weight = |number: &u32| hosts[*number as usize].weight;
        let weighted = numbers.windows(2).any(|pair| weight(&pair[0]) != weight(&pair[1]));
        Group { hosts: numbers, weighted }
    }
}
