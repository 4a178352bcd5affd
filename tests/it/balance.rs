//! Balancers against a real Envoy.
//!
//! `envoy-1.40.json` was measured on Envoy 1.40 with a static configuration and one worker: clusters
//! of hosts on 127.0.0.x that answer with their own address. Rings and tables are what its trace log
//! prints when it builds them, picks are what clients saw, in order. Hosts are single characters, `0`
//! to `9` and `a` on.

use meshsim::balance::{
    Balancer, Client, Host, HostSet, Locality, Maglev, Pick, Policy, RequestHash, Ring, Rules, Schedule, SlowStart,
};
use meshsim::draw::{Draw, KeyStream};
use meshsim::mesh::ProxyKind;
use meshsim::mesh::route::HashPolicy;
use meshsim::routing::{Request, Scheme};
use meshsim::time::{Duration, Instant};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Measured {
    clusters: Vec<MeasuredCluster>,
    requests: Vec<MeasuredRequest>,
    tries: Vec<MeasuredTries>,
}

#[derive(Deserialize)]
struct MeasuredCluster {
    name: String,
    policy: String,
    size: Option<u64>,
    localities: Vec<MeasuredLocality>,
    locality_weighted: bool,
    slow_start_s: Option<u64>,
    ring: Option<String>,
    ring_size: Option<usize>,
    ring_starts: Option<Vec<u64>>,
    table: Option<String>,
    users: Option<String>,
    picks: Option<String>,
}

#[derive(Deserialize)]
struct MeasuredLocality {
    priority: u32,
    weight: u32,
    hosts: Vec<MeasuredHost>,
}

#[derive(Deserialize)]
struct MeasuredHost {
    address: String,
    weight: u32,
    ready: bool,
}

#[derive(Deserialize)]
struct MeasuredRequest {
    path: String,
    headers: Vec<(String, String)>,
    gateway: bool,
    client: String,
    host: usize,
    cookie: Option<String>,
}

#[derive(Deserialize)]
struct MeasuredTries {
    cluster: String,
    user: String,
    hosts: String,
}

fn measured() -> Measured {
    serde_json::from_str(include_str!("../data/balance/envoy-1.40.json")).unwrap()
}

impl MeasuredCluster {
    fn rules(&self) -> Rules {
        Rules {
            policy: match self.policy.as_str() {
                "RING_HASH" => Policy::ring(self.size),
                "MAGLEV" => Policy::maglev(self.size),
                "ROUND_ROBIN" => Policy::RoundRobin,
                "LEAST_REQUEST" => Policy::LeastRequest,
                other => panic!("{other}"),
            },
            panic_percent: 0,
            locality_weighted: self.locality_weighted,
            slow_start: self.slow_start_s.map(|window| SlowStart {
                window: Duration::from_secs(window),
                least: 0.1,
                aggression: 1.0,
            }),
        }
    }

    fn set(&self) -> HostSet {
        let mut id = 0..;
        let mut host = |host: &MeasuredHost| Host {
            id: id.next().unwrap(),
            address: host.address.clone(),
            weight: host.weight,
            ready: host.ready,
        };
        let localities: Vec<Locality> = self
            .localities
            .iter()
            .map(|locality| Locality {
                priority: locality.priority,
                weight: locality.weight,
                hosts: locality.hosts.iter().map(&mut host).collect(),
            })
            .collect();
        HostSet::new(0, self.rules(), &localities, |_| false)
    }

    /// Keys and shares of the hosts of the only priority.
    fn shares(&self) -> Vec<(String, f64)> {
        let sum: u32 = if self.locality_weighted { self.localities.iter().map(|locality| locality.weight).sum() } else { 1 };
        let shares = self.localities.iter().flat_map(|locality| {
            let own = if self.locality_weighted { locality.weight } else { 1 };
            let hosts: u32 = locality.hosts.iter().map(|host| host.weight).sum();
            locality.hosts.iter().map(move |host| {
                (host.address.clone(), f64::from(host.weight) * (f64::from(own) / f64::from(sum)) / f64::from(hosts))
            })
        });
        shares.collect()
    }
}

fn letter(host: usize) -> char {
    char::from_digit(host as u32, 36).unwrap()
}

fn draw(index: u64) -> Draw {
    KeyStream::new(1, 1).draw(index)
}

fn first_try(index: u64) -> Pick<'static> {
    Pick {
        draw: draw(index),
        attempt: 0,
        worker: 0,
        now: Instant::ZERO,
        hash: None,
        repicks: 0,
        tried: &[],
        avoids_priorities: false,
    }
}

#[test]
fn rings_are_envoys() {
    let mut compared = 0;
    for cluster in &measured().clusters {
        let Some(size) = cluster.ring_size else { continue };
        let shares = cluster.shares();
        let hosts: Vec<(&str, f64)> = shares.iter().map(|(address, share)| (address.as_str(), *share)).collect();
        let ring = Ring::new(&hosts, cluster.size.unwrap_or(1024));
        assert_eq!(ring.len(), size, "{}", cluster.name);
        let entries = cluster.ring.iter().flat_map(|ring| ring.chars());
        for (at, host) in entries.enumerate() {
            assert_eq!(ring.host(0, at as u32).map(|host| letter(host as usize)), Some(host), "entry {at} of {}", cluster.name);
        }
        for (at, hash) in cluster.ring_starts.iter().flatten().enumerate() {
            assert_eq!(ring.host(*hash, 0), ring.host(0, at as u32), "{}", cluster.name);
            assert_eq!(ring.host(*hash + 1, 0), ring.host(0, at as u32 + 1), "{}", cluster.name);
        }
        compared += 1;
    }
    assert!(compared >= 5);
}

#[test]
fn maglev_tables_are_envoys() {
    let mut compared = 0;
    for cluster in &measured().clusters {
        let Some(places) = &cluster.table else { continue };
        let shares = cluster.shares();
        let hosts: Vec<(&str, f64)> = shares.iter().map(|(address, share)| (address.as_str(), *share)).collect();
        let table = Maglev::new(&hosts, cluster.size.unwrap_or(65_537));
        assert_eq!(table.places().iter().map(|host| letter(*host as usize)).collect::<String>(), *places, "{}", cluster.name);
        compared += 1;
    }
    assert!(compared >= 2);
}

fn request(path: &str, headers: &[(String, String)]) -> Request {
    Request {
        method: "GET".to_owned(),
        scheme: Scheme::Http,
        authority: "a".to_owned(),
        path: path.to_owned(),
        headers: headers.iter().map(|(name, value)| (name.clone(), value.trim().to_owned())).collect(),
    }
}

fn hash_of_user(user: &str) -> Option<u64> {
    let request = request("/", &[("x-user".to_owned(), user.to_owned())]);
    RequestHash::of(&[HashPolicy::Header("x-user".to_owned())], ProxyKind::Sidecar, &request, &request).told()
}

#[test]
fn users_meet_the_host_that_they_meet_in_envoy() {
    let mut compared = 0;
    for cluster in &measured().clusters {
        let Some(users) = &cluster.users else { continue };
        let set = cluster.set();
        for (number, expected) in users.chars().enumerate() {
            let host = set.host_for(hash_of_user(&format!("user-{number}")).unwrap());
            assert_eq!(host.map(letter), Some(expected), "user-{number} of {}", cluster.name);
            compared += 1;
        }
    }
    assert!(compared >= 600);
}

/// What the routes of the measurement hash.
fn policies(path: &str) -> Vec<HashPolicy> {
    let header = |name: &str| HashPolicy::Header(name.to_owned());
    let cookie = |ttl| HashPolicy::Cookie { name: "sid".to_owned(), path: String::new(), ttl, attributes: Vec::new() };
    let query = || HashPolicy::Query("q".to_owned());
    match path.split(['?', '/']).nth(1).unwrap() {
        "header" => vec![header("x-user")],
        "accept" => vec![header("accept")],
        "pathheader" => vec![header(":path")],
        "cookie" => vec![cookie(None)],
        "gencookie" => vec![cookie(Some(Duration::from_secs(60)))],
        "query" => vec![query()],
        "ip" => vec![HashPolicy::SourceIp],
        "two" => vec![header("x-user"), query()],
        "twice" => vec![header("x-user"), header("x-user")],
        "three" => vec![header("x-user"), HashPolicy::SourceIp, cookie(None)],
        other => panic!("{other}"),
    }
}

#[test]
fn requests_hash_to_what_they_hash_to_in_envoy() {
    let measured = measured();
    let cluster = |name: &str| measured.clusters.iter().find(|cluster| cluster.name == name).unwrap().set();
    let (ring, maglev) = (cluster("ring"), cluster("maglev"));
    for sent in &measured.requests {
        let (kind, port) = if sent.gateway { (ProxyKind::Gateway, 18_491) } else { (ProxyKind::Sidecar, 18_490) };
        let (ip, own_port) = sent.client.split_once(':').unwrap();
        let client = Client { ip, port: own_port.parse().unwrap(), dialled: &format!("127.0.0.1:{port}") };
        let request = request(&sent.path, &sent.headers);
        let hash = RequestHash::of(&policies(&sent.path), kind, &request, &request);
        let set = if sent.path.starts_with("/three") { &maglev } else { &ring };
        let shown = format!("{} {:?} of {}", sent.path, sent.headers, sent.client);
        assert_eq!(hash.value(&client).and_then(|hash| set.host_for(hash)), Some(sent.host), "{shown}");
        assert_eq!(hash.is_of_connection(), sent.cookie.is_some(), "{shown}");
        if let Some(cookie) = &sent.cookie {
            assert_eq!(client.cookie(), *cookie, "{shown}");
        }
    }
    assert!(measured.requests.len() > 90);
}

/// Six tries after the first, each of which avoids tried hosts in up to six picks.
#[test]
fn retries_look_along_the_ring_and_elsewhere_in_the_table() {
    let measured = measured();
    for tries in &measured.tries {
        let set = measured.clusters.iter().find(|cluster| cluster.name == tries.cluster).unwrap().set();
        let mut balancer = Balancer::new(draw(0));
        let mut tried = Vec::new();
        for (attempt, expected) in (0_u32..).zip(tries.hosts.chars()) {
            let repicks = if attempt > 0 { 5 } else { 0 };
            let pick = Pick { attempt, repicks, tried: &tried, hash: hash_of_user(&tries.user), ..first_try(0) };
            let host = balancer.pick(&set, &pick).unwrap();
            assert_eq!(letter(host), expected, "try {attempt} of {} in {}", tries.user, tries.cluster);
            tried.push(host as u32);
        }
    }
    assert!(measured.tries.len() > 20);
}

/// Where Envoy's schedule stood is not known: some of our phases must give its picks.
#[test]
fn picks_in_turn_and_by_weight_are_envoys_from_some_phase_on() {
    let mut compared = 0;
    for cluster in &measured().clusters {
        let Some(picks) = &cluster.picks else { continue };
        let set = cluster.set();
        let from_phase = |phase: u64| {
            let mut balancer = Balancer::new(draw(phase));
            (0..picks.len() as u64).map(|index| balancer.pick(&set, &first_try(index)).map_or('-', letter)).collect::<String>()
        };
        assert!((0..20_000).any(|phase| from_phase(phase) == *picks), "{}: {picks}", cluster.name);
        compared += 1;
    }
    assert!(compared >= 8);
}

/// One random number decides the priority and the host, so that the hosts of a second priority that
/// gets 30 % are not alike: measured 23 to 44 and 51 to 73 picks of 3000.
#[test]
fn random_picks_share_their_number_with_the_priority() {
    let host = |id: u32, ready| Host { id, address: format!("10.0.0.{id}:80"), weight: 1, ready };
    let localities = [
        Locality { priority: 0, weight: 1, hosts: vec![host(0, true), host(1, false)] },
        Locality { priority: 1, weight: 1, hosts: (2..22).map(|id| host(id, true)).collect() },
    ];
    let rules = Rules { policy: Policy::Random, panic_percent: 0, locality_weighted: false, slow_start: None };
    let set = HostSet::new(0, rules, &localities, |_| false);
    let mut balancer = Balancer::new(draw(0));
    let mut counts = [0; 22];
    for index in 0..100_000 {
        counts[balancer.pick(&set, &first_try(index)).unwrap()] += 1;
    }
    let near = |count: i32, expected: i32| (count - expected).abs() < 150;
    assert!(near(counts[0] / 10, 7_000) && counts[1] == 0);
    assert!(counts[2..12].iter().all(|count| near(*count, 1_000)), "{counts:?}");
    assert!(counts[12..].iter().all(|count| near(*count, 2_000)), "{counts:?}");
}

fn hosts(weights: &[u32]) -> Vec<Host> {
    let host = |(id, weight): (u32, &u32)| Host { id, address: format!("10.1.0.{id}:8080"), weight: *weight, ready: true };
    (0..).zip(weights).map(host).collect()
}

fn flat(policy: Policy, weights: &[u32]) -> (Rules, [Locality; 1]) {
    let rules = Rules { policy, panic_percent: 0, locality_weighted: false, slow_start: None };
    (rules, [Locality { priority: 0, weight: 1, hosts: hosts(weights) }])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_schedule_keeps_every_entry_within_one_pick_of_its_share(
        weights in prop::collection::vec(1_u32..20, 1..8),
        phase in any::<u32>(),
        rounds in 1_u32..6,
    ) {
        let floats: Vec<f64> = weights.iter().map(|weight| f64::from(*weight)).collect();
        let sum: u32 = weights.iter().sum();
        let mut schedule = Schedule::new(&floats, phase);
        let mut counts = vec![0_i64; weights.len()];
        for _ in 0..sum * rounds {
            counts[schedule.pick(|entry| floats[entry]).unwrap()] += 1;
        }
        for (count, weight) in counts.iter().zip(&weights) {
            prop_assert!((count - i64::from(weight * rounds)).abs() <= 1, "{counts:?} of {weights:?}");
        }
    }

    #[test]
    fn round_robin_visits_all_alike_and_in_order(count in 1_usize..12, seed in any::<u64>()) {
        let (rules, localities) = flat(Policy::RoundRobin, &vec![1; count]);
        let set = HostSet::new(0, rules, &localities, |_| false);
        let mut balancer = Balancer::new(draw(seed % 1_000));
        let picks: Vec<usize> = (0..3 * count as u64).map(|index| balancer.pick(&set, &first_try(index)).unwrap()).collect();
        for pair in picks.windows(2) {
            prop_assert_eq!((pair[0] + 1) % count, pair[1]);
        }
    }

    #[test]
    fn a_host_that_leaves_takes_few_other_keys_with_it(
        count in 3_u32..9,
        gone in any::<prop::sample::Index>(),
        maglev in any::<bool>(),
    ) {
        let policy = if maglev { Policy::maglev(None) } else { Policy::ring(None) };
        let (rules, localities) = flat(policy, &vec![1; count as usize]);
        let gone = gone.index(count as usize);
        let whole = HostSet::new(0, rules, &localities, |_| false);
        let left = whole.without(1, &localities, |id| id as usize == gone);
        let keys: Vec<u64> = (0..2_000).map(|key| hash_of_user(&key.to_string()).unwrap()).collect();
        let mut moved = 0;
        for key in keys {
            let (before, after) = (whole.host_for(key).unwrap(), left.host_for(key).unwrap());
            prop_assert!(after != gone);
            moved += u32::from(before != gone && before != after);
        }
        // A smaller ring gives every host more entries, and a table has to fill the gaps.
        prop_assert!(moved * count <= 2_500, "{moved}");
    }

    #[test]
    fn whoever_is_in_service_is_picked_and_nobody_else(
        policy in prop::sample::select(vec![Policy::RoundRobin, Policy::LeastRequest, Policy::Random, Policy::ring(Some(256)), Policy::maglev(Some(499))]),
        weights in prop::collection::vec(1_u32..4, 1..7),
        out in prop::collection::vec(any::<bool>(), 7),
        seed in 0_u64..1_000,
    ) {
        let (rules, localities) = flat(policy, &weights);
        let set = HostSet::new(0, rules, &localities, |id| out[id as usize]);
        let mut balancer = Balancer::new(draw(seed));
        let mut seen = vec![false; weights.len()];
        for index in 0..600 {
            if let Some(host) = balancer.pick(&set, &first_try(seed * 600 + index)) {
                seen[host] = true;
            }
        }
        for (host, seen) in seen.iter().enumerate() {
            prop_assert_eq!(*seen, !out[host], "host {}", host);
        }
    }

    #[test]
    fn localities_get_their_weights_while_they_are_whole(
        weights in prop::collection::vec(1_u32..10, 2..4),
        sizes in prop::collection::vec(1_usize..4, 4),
        seed in 0_u64..1_000,
    ) {
        let mut id = 0..;
        let localities: Vec<Locality> = weights.iter().zip(&sizes).map(|(weight, size)| Locality {
            priority: 0,
            weight: *weight,
            hosts: (0..*size).map(|_| Host { id: id.next().unwrap(), address: String::new(), weight: 1, ready: true }).collect(),
        }).collect();
        let rules = Rules { policy: Policy::RoundRobin, panic_percent: 0, locality_weighted: true, slow_start: None };
        let set = HostSet::new(0, rules, &localities, |_| false);
        let mut balancer = Balancer::new(draw(seed));
        let sum: u32 = weights.iter().sum();
        let mut counts = vec![0_u32; id.next().unwrap() as usize];
        for index in 0..u64::from(sum) * 4 {
            counts[balancer.pick(&set, &first_try(index)).unwrap()] += 1;
        }
        let mut rest = &counts[..];
        for (weight, locality) in weights.iter().zip(&localities) {
            let (own, others) = rest.split_at(locality.hosts.len());
            rest = others;
            prop_assert!(own.iter().sum::<u32>().abs_diff(weight * 4) <= 1, "{counts:?} of {weights:?}");
        }
    }
}

#[test]
fn new_hosts_start_slowly_and_hosts_that_return_do_not() {
    let slow_start = Some(SlowStart { window: Duration::from_secs(100), least: 0.1, aggression: 1.0 });
    let (rules, localities) = flat(Policy::RoundRobin, &[1, 1, 1]);
    let rules = Rules { slow_start, ..rules };
    let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
    let two = HostSet::new(0, rules, &localities, |id| id == 2);
    let three = HostSet::new(1, rules, &localities, |_| false);
    let mut balancer = Balancer::new(draw(0));
    let share_of_third = |balancer: &mut Balancer, set: &HostSet, seconds: u64| {
        let picks = (0..2_100).map(|index| balancer.pick(set, &Pick { now: at(seconds), ..first_try(index) }).unwrap());
        picks.filter(|host| *host == 2).count()
    };
    balancer.learn(&two, at(0));
    assert_eq!(share_of_third(&mut balancer, &two, 500), 0);
    for (seconds, share) in [(1_000, 100), (1_005, 100), (1_050, 420), (1_200, 700)] {
        let share_is = share_of_third(&mut balancer, &three, seconds);
        assert!(share_is.abs_diff(share) <= 4, "{share_is} at {seconds} s");
    }
    assert_eq!(share_of_third(&mut balancer, &two, 1_210), 0, "ejected");
    let back = HostSet::new(2, rules, &localities, |_| false);
    assert!(share_of_third(&mut balancer, &back, 1_220).abs_diff(700) <= 1, "what was known before is not new");
}

#[test]
fn least_request_draws_twice_and_prefers_the_less_busy() {
    let (rules, localities) = flat(Policy::LeastRequest, &[1, 1]);
    let set = HostSet::new(0, rules, &localities, |_| false);
    let mut balancer = Balancer::new(draw(0));
    let firsts = |balancer: &mut Balancer| (0..4_000).filter(|index| balancer.pick(&set, &first_try(*index)) == Some(0)).count();
    balancer.began(0);
    // Only both draws on the busy one leave it there: a quarter.
    let busy = firsts(&mut balancer);
    assert!((900..1_100).contains(&busy), "{busy}");
    balancer.ended(0);
    let even = firsts(&mut balancer);
    assert!((1_850..2_150).contains(&even), "{even}");
}

#[test]
fn workers_and_proxies_take_turns_of_their_own() {
    let (rules, localities) = flat(Policy::RoundRobin, &[1; 5]);
    let set = HostSet::new(0, rules, &localities, |_| false);
    let mut one = Balancer::new(draw(3));
    let picks = |balancer: &mut Balancer, worker| -> Vec<usize> {
        (0..5).map(|index| balancer.pick(&set, &Pick { worker, ..first_try(index) }).unwrap()).collect()
    };
    let alone = picks(&mut one.clone(), 0);
    assert_eq!(picks(&mut one, 7).len(), 5);
    assert_eq!(picks(&mut one, 0), alone, "another worker does not matter");
    let starts: std::collections::BTreeSet<usize> = (0..50).map(|proxy| picks(&mut Balancer::new(draw(proxy)), 0)[0]).collect();
    assert_eq!(starts.len(), 5);
}
