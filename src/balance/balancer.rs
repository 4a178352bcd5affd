//! What one proxy remembers of a cluster between picks (Envoy: `RoundRobinLoadBalancer`,
//! `LeastRequestLoadBalancer`, `RandomLoadBalancer`, `ThreadAwareLoadBalancerBase`). Positions and
//! schedules belong to one worker thread; busy hosts and their ages to the proxy. All of it outlives
//! changes of the hosts, except schedules, which are made anew.

use super::host_set::{Group, Host, HostSet, Level, Policy};
use super::priority;
use super::schedule::Schedule;
use crate::draw::{Draw, Purpose, below};
use crate::time::Instant;

/// The state of one cluster at one proxy.
#[derive(Debug, Clone)]
pub struct Balancer {
    /// Draws where positions and schedules start.
    draw: Draw,
    workers: Vec<Worker>,
    /// Requests that are outstanding, by host.
    busy: Vec<u32>,
    ages: Ages,
}

/// Since when hosts are known to be in service; kept where hosts start slowly.
#[derive(Debug, Clone, Default)]
struct Ages {
    /// The state of hosts that they are up to date with.
    set: Option<u32>,
    since: Vec<(u32, Instant)>,
    /// The latest of them, of hosts that are still there or not.
    latest: Instant,
}

#[derive(Debug, Clone)]
struct Worker {
    seed: u64,
    /// The state of hosts that schedules are for.
    set: Option<u32>,
    /// How often the hosts have changed.
    generation: u64,
    /// Whether some host was new when the schedules were made.
    slow_start: bool,
    sources: Vec<Source>,
    /// Schedules of localities, by priority.
    localities: Vec<(usize, Schedule)>,
}

/// Hosts that are picked from, with the turn they are at.
#[derive(Debug, Clone)]
struct Source {
    key: SourceKey,
    next: u64,
    schedule: Option<Schedule>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SourceKey {
    priority: usize,
    kind: SourceKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SourceKind {
    Healthy,
    All,
    Locality(u32),
}

/// What a pick is for.
#[derive(Debug, Clone, Copy)]
pub struct Pick<'a> {
    /// The request's draw.
    pub draw: Draw,
    /// Number of the try, from 0.
    pub attempt: u32,
    /// Worker thread.
    pub worker: usize,
    /// The present.
    pub now: Instant,
    /// The request's hash, if there is one.
    pub hash: Option<u64>,
    /// How often a tried host is picked anew.
    pub repicks: u32,
    /// Hosts that were tried.
    pub tried: &'a [u32],
    /// Whether priorities of tried hosts are avoided too.
    pub avoids_priorities: bool,
}

/// Picks are drawn by try and re-pick; a request has fewer re-picks than this.
const PICKS_PER_TRY: u64 = 1 << 16;

/// Draws that choose a priority.
const PRIORITY: u64 = 1 << 42;

impl Pick<'_> {
    fn place(&self, repick: u32) -> u64 {
        u64::from(self.attempt) * PICKS_PER_TRY + u64::from(repick) * 2
    }

    fn value(&self, repick: u32, nth: u64) -> u64 {
        self.draw.nth(Purpose::Balance, self.place(repick) + nth)
    }

    fn priority(&self, set: &HostSet, repick: u32, retry: Option<&[u32]>) -> usize {
        if set.levels.len() < 2 {
            return 0;
        }
        let value = match set.rules.policy {
            // One random number decides both.
            Policy::Random => self.value(repick, 0),
            _ => self.draw.nth(Purpose::Balance, PRIORITY | self.place(repick)),
        };
        match retry {
            Some(percentages) => priority::choose(percentages.iter().copied(), value),
            None => priority::choose(set.percentages(), value),
        }
    }

    fn rejects(&self, host: &Host) -> bool {
        self.tried.contains(&host.id)
    }
}

impl Balancer {
    /// A balancer whose starting positions come from this draw.
    #[must_use]
    pub fn new(draw: Draw) -> Balancer {
        Balancer { draw, workers: Vec::new(), busy: Vec::new(), ages: Ages::default() }
    }

    /// Picks a host, by position in the set; `None` if there is none in service. Tried hosts are
    /// picked again when the picks run out.
    pub fn pick(&mut self, set: &HostSet, pick: &Pick<'_>) -> Option<usize> {
        if set.policy().hashes() {
            return pick_by_hash(set, pick);
        }
        let retry = if pick.avoids_priorities { set.retry_percentages(pick.tried) } else { None };
        let mut picked = None;
        for repick in 0..=pick.repicks {
            let priority = pick.priority(set, repick, retry.as_deref());
            picked = self.pick_once(set, priority, pick, repick);
            if !picked.is_some_and(|host| pick.rejects(&set.hosts[host])) {
                break;
            }
        }
        picked
    }

    fn pick_once(&mut self, set: &HostSet, priority: usize, pick: &Pick<'_>, repick: u32) -> Option<usize> {
        let level = set.levels.get(priority)?;
        let weighs = !level.localities.is_empty() || level.hosts.weighted || set.rules.slow_start.is_some();
        if level.localities.is_empty() && (!weighs || set.rules.policy == Policy::Random) {
            let kind = if level.load.panics { SourceKind::All } else { SourceKind::Healthy };
            return self.pick_unweighted(set, &level.hosts, SourceKey { priority, kind }, pick, repick);
        }
        self.refresh(set, pick);
        let (key, group) = self.source(level, priority, pick);
        if set.rules.policy == Policy::Random || !self.is_scheduled(group, pick.worker) {
            return self.pick_unweighted(set, group, key, pick, repick);
        }
        self.pick_weighted(set, group, key, pick)
    }

    /// The hosts to pick from: those of a locality, if localities have weights.
    fn source<'s>(&mut self, level: &'s Level, priority: usize, pick: &Pick<'_>) -> (SourceKey, &'s Group) {
        if level.localities.is_empty() {
            let kind = if level.load.panics { SourceKind::All } else { SourceKind::Healthy };
            return (SourceKey { priority, kind }, &level.hosts);
        }
        let draw = self.draw;
        let worker = self.worker(pick.worker);
        let known = worker.localities.iter().position(|(of, _)| *of == priority);
        let known = known.unwrap_or_else(|| {
            let weights: Vec<f64> = level.localities.iter().map(|(_, weight, _)| *weight).collect();
            let place = locality_phase(worker.generation, priority, pick.worker);
            let phase = draw.nth(Purpose::BalanceStart, place) as u32;
            worker.localities.push((priority, Schedule::new(&weights, phase)));
            worker.localities.len() - 1
        });
        let picked = worker.localities[known].1.pick(|at| level.localities[at].1).unwrap_or(0);
        let (locality, _, group) = &level.localities[picked];
        (SourceKey { priority, kind: SourceKind::Locality(*locality) }, group)
    }

    fn pick_unweighted(&mut self, set: &HostSet, group: &Group, key: SourceKey, pick: &Pick<'_>, repick: u32) -> Option<usize> {
        let count = group.hosts.len() as u64;
        if count == 0 {
            return None;
        }
        let at = match set.rules.policy {
            Policy::RoundRobin => self.worker(pick.worker).take_turn(key) % count,
            // Two draws with replacement; the first stays unless the second is strictly less busy.
            Policy::LeastRequest if count > 1 => {
                let (first, second) = (below(pick.value(repick, 0), count), below(pick.value(repick, 1), count));
                let busy = |at: u64| self.busy_at(set.hosts[group.hosts[at as usize] as usize].id);
                if busy(second) < busy(first) { second } else { first }
            }
            Policy::LeastRequest => 0,
            Policy::Random | Policy::RingHash(_) | Policy::Maglev(_) => below(pick.value(repick, 0), count),
        };
        Some(group.hosts[at as usize] as usize)
    }

    /// Whether hosts are picked by a schedule: that is decided when the schedules are made.
    fn is_scheduled(&self, group: &Group, worker: usize) -> bool {
        let slow_start = self.workers.get(worker).is_some_and(|worker| worker.slow_start);
        group.hosts.len() > 1 && (group.weighted || slow_start)
    }

    fn pick_weighted(&mut self, set: &HostSet, group: &Group, key: SourceKey, pick: &Pick<'_>) -> Option<usize> {
        let Balancer { workers, busy, ages, .. } = self;
        let weight = |at: usize| {
            let host = &set.hosts[group.hosts[at] as usize];
            let busy = busy.get(host.id as usize).copied().unwrap_or(0);
            weight(set, host, busy, ages, pick.now)
        };
        let worker = workers.get_mut(pick.worker)?;
        let seed = worker.seed as u32;
        let schedule = worker.source(key).schedule.get_or_insert_with(|| {
            let weights: Vec<f64> = (0..group.hosts.len()).map(weight).collect();
            Schedule::new(&weights, seed)
        });
        schedule.pick(weight).map(|at| group.hosts[at] as usize)
    }

    /// Takes note of a state of the hosts, if it is another than before. Where hosts start slowly,
    /// their time starts here; elsewhere this may wait until the next pick.
    pub fn learn(&mut self, set: &HostSet, now: Instant) {
        if set.rules.slow_start.is_none() || self.ages.set == Some(set.number) {
            return;
        }
        let is_first = self.ages.set.is_none();
        self.ages.set = Some(set.number);
        if is_first {
            self.ages.latest = now;
        }
        self.ages.since.retain(|(id, _)| set.hosts.iter().any(|host| host.id == *id));
        let in_service = set.levels.iter().flat_map(|level| &level.hosts.hosts).map(|host| &set.hosts[*host as usize]);
        for host in in_service.filter(|host| host.ready) {
            if self.ages.since(host.id).is_none() {
                self.ages.since.push((host.id, now));
                self.ages.latest = self.ages.latest.max(now);
            }
        }
    }

    /// Makes schedules anew after a change of the hosts.
    fn refresh(&mut self, set: &HostSet, pick: &Pick<'_>) {
        self.learn(set, pick.now);
        let slow_start = set.rules.slow_start.is_some_and(|slow_start| self.ages.is_recent(&slow_start, pick.now));
        let worker = self.worker(pick.worker);
        if worker.set != Some(set.number) {
            worker.set = Some(set.number);
            worker.generation += 1;
            worker.slow_start = slow_start;
            worker.localities.clear();
            worker.sources.iter_mut().for_each(|source| source.schedule = None);
        }
    }

    fn worker(&mut self, number: usize) -> &mut Worker {
        while self.workers.len() <= number {
            self.workers.push(Worker {
                seed: self.draw.nth(Purpose::BalanceStart, self.workers.len() as u64),
                set: None,
                generation: 0,
                slow_start: false,
                sources: Vec::new(),
                localities: Vec::new(),
            });
        }
        &mut self.workers[number]
    }

    /// A request to a host begins.
    pub fn began(&mut self, id: u32) {
        let index = id as usize;
        if self.busy.len() <= index {
            self.busy.resize(index + 1, 0);
        }
        self.busy[index] += 1;
    }

    /// A request to a host has ended.
    pub fn ended(&mut self, id: u32) {
        if let Some(busy) = self.busy.get_mut(id as usize) {
            *busy = busy.saturating_sub(1);
        }
    }

    fn busy_at(&self, id: u32) -> u32 {
        self.busy.get(id as usize).copied().unwrap_or(0)
    }
}

/// The weight of a host now: least request divides it by what is outstanding.
fn weight(set: &HostSet, host: &Host, busy: u32, ages: &Ages, now: Instant) -> f64 {
    let mut weight = f64::from(host.weight);
    if set.rules.policy == Policy::LeastRequest {
        weight /= f64::from(busy) + 1.0;
    }
    match (set.rules.slow_start, ages.since(host.id)) {
        (Some(slow_start), Some(since)) if ages.is_recent(&slow_start, now) => weight * slow_start.factor(now.since(since)),
        _ => weight,
    }
}

/// Each attempt of a pick looks further along the ring, or elsewhere in the table.
fn pick_by_hash(set: &HostSet, pick: &Pick<'_>) -> Option<usize> {
    // Without a hash any will do.
    let hash = pick.hash.unwrap_or_else(|| pick.value(0, 0));
    let mut picked = None;
    for attempt in 0..=pick.repicks {
        picked = set.find(hash, attempt);
        if !picked.is_some_and(|host| pick.rejects(&set.hosts[host])) {
            break;
        }
    }
    picked
}

/// After every change of the hosts, localities begin at another phase.
fn locality_phase(generation: u64, priority: usize, worker: usize) -> u64 {
    (generation & 0xffff_ffff) << 16 | (priority as u64 & 0x3f) << 10 | (worker as u64 & 0x3ff)
}

impl Ages {
    fn since(&self, id: u32) -> Option<Instant> {
        self.since.iter().find(|(known, _)| *known == id).map(|(_, since)| *since)
    }

    /// Whether a host was new within the window.
    fn is_recent(&self, slow_start: &super::SlowStart, now: Instant) -> bool {
        now.since(self.latest).millis() <= slow_start.window.millis()
    }
}

impl Worker {
    fn source(&mut self, key: SourceKey) -> &mut Source {
        let at = self.sources.iter().position(|source| source.key == key).unwrap_or_else(|| {
            self.sources.push(Source { key, next: self.seed, schedule: None });
            self.sources.len() - 1
        });
        &mut self.sources[at]
    }

    fn take_turn(&mut self, key: SourceKey) -> u64 {
        let source = self.source(key);
        let turn = source.next;
        source.next = turn.wrapping_add(1);
        turn
    }
}
