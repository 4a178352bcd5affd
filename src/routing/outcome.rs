//! Every outcome that a request may have, with its exact probability.
//!
//! What is left to chance are three draws: whether a fault delays, whether a fault aborts, and the
//! stream's value, which picks the destination (modulo the sum of the weights) and decides all
//! mirrors (modulo a million). The first two are independent of everything; the last is one number
//! read in two moduli, so destination and mirrors are enumerated together.

use super::authentication::at_routes;
use super::connection::{Conn, listen};
use super::decision::{Course, Decision};
use super::flag::Flags;
use super::forwarded::{Forwarded, forwarded};
use super::path::BadPath;
use super::received::Received;
use super::reply::{Answering, Reply};
use super::request::{Chances, Dial, Request};
use super::selection::{Selection, Verdict, select_received};
use crate::mesh::cluster::Cluster;
use crate::mesh::route::{Fault, Forward, PerMillion};
use crate::mesh::{ClusterId, Mesh, Proxy, ProxyId};
use crate::time::Duration;

/// A probability as a reduced fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Probability {
    /// Numerator.
    pub numerator: u128,
    /// Denominator; never zero.
    pub denominator: u128,
}

impl Probability {
    /// Certainty.
    pub const ONE: Probability = Probability { numerator: 1, denominator: 1 };

    /// `numerator` of `denominator`, reduced.
    #[must_use]
    pub fn new(numerator: u128, denominator: u128) -> Self {
        let common = gcd(numerator, denominator).max(1);
        Probability { numerator: numerator / common, denominator: (denominator / common).max(1) }
    }

    /// As a floating-point number, for display.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }
}

impl std::ops::Add for Probability {
    type Output = Probability;

    fn add(self, other: Probability) -> Probability {
        let common = gcd(self.denominator, other.denominator);
        let denominator = self.denominator / common * other.denominator;
        let (left, right) = (denominator / self.denominator, denominator / other.denominator);
        Probability::new(self.numerator * left + other.numerator * right, denominator)
    }
}

impl std::fmt::Display for Probability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.numerator, self.denominator)
    }
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// One outcome, upstreams answering 200 as a stub.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Outcome {
    /// Fault delay before it.
    pub delay: Option<Duration>,
    /// Response flags.
    pub flags: Flags,
    /// Response code details.
    pub details: &'static str,
    /// The chosen cluster if the proxy has it, reached or not.
    pub cluster: Option<String>,
    /// What the upstream sees, if it is reached.
    pub upstream: Option<Forwarded>,
    /// What the client gets.
    pub reply: Reply,
    /// Copies.
    pub mirrored: Vec<Mirrored>,
}

/// A copy of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mirrored {
    /// Where it goes.
    pub cluster: String,
    /// What the mirror sees.
    pub request: Forwarded,
}

/// What the upstream answers where outcomes are enumerated.
#[must_use]
pub fn stub_answer() -> Reply {
    Reply { status: 200, headers: super::Headers(vec![("x-powered-by".to_owned(), "stub".to_owned())]), body: b"ok".to_vec() }
}

/// Every distinct outcome of a request with its exact probability, in the order of draws; the
/// probabilities add up to one. Empty if the connection is not taken as HTTP.
#[must_use]
pub fn outcomes(mesh: &Mesh, proxy: ProxyId, dial: &Dial, request: &Request) -> Vec<(Outcome, Probability)> {
    let configured = &mesh.proxies[proxy.index()];
    let Conn::Http(http) = listen(configured, dial, &request.authority) else { return Vec::new() };
    let seen = at_routes(configured, request);
    let (received, malformed) = match Received::authenticated(configured.spec.kind, &seen) {
        Ok(received) => (received, None),
        // Nobody has said yet by which scheme it came.
        Err(why) => (Received { scheme: "", ..Received::as_sent(configured.spec.kind, request) }, Some(why)),
    };
    let selection = match malformed {
        Some(why) if !finds_a_route_all_the_same(request, why) => {
            Selection { table: http.table, verdict: Verdict::Malformed(why), cors: Default::default() }
        }
        _ => select_received(configured, http.table, &received),
    };
    let mut distinct: Vec<(Outcome, Probability)> = Vec::new();
    for (chances, probability) in possible_chances(configured, selection) {
        let mut decision = selection.draw(configured, chances).checked(configured);
        if let Some(why) = malformed {
            decision = Decision { delay: None, course: Course::Malformed(why), ..decision };
        }
        let outcome = play(mesh, proxy, &received, &decision);
        match distinct.iter_mut().find(|(known, _)| *known == outcome) {
            Some((_, sum)) => *sum = *sum + probability,
            None => distinct.push((outcome, probability)),
        }
    }
    distinct
}

/// Before a request that is refused is answered, its route is looked up, so that the route can change
/// the answer. None is found as long as the proxy has not said how the request reached it, which happens
/// later; but the client may say so itself.
fn finds_a_route_all_the_same(request: &Request, why: BadPath) -> bool {
    why == BadPath::NotNormalisable && request.lines("x-forwarded-proto").any(|line| !line.is_empty())
}

/// The outcome of one decision.
#[must_use]
pub fn play(mesh: &Mesh, proxy: ProxyId, received: &Received<'_>, decision: &Decision) -> Outcome {
    let proxy = &mesh.proxies[proxy.index()];
    let answering = Answering { proxy, profile: &mesh.profile, received, decision };
    let own = answering.own_reply();
    let upstream = own.is_none().then(|| forwarded(proxy, received, decision)).flatten();
    Outcome {
        delay: decision.delay,
        flags: decision.flags(&mesh.profile),
        details: decision.details(),
        cluster: decision
            .leg(proxy)
            .filter(|leg| proxy.clusters.get(leg.cluster.id).is_some())
            .map(|leg| leg.cluster.name.clone()),
        mirrored: upstream.as_ref().map_or_else(Vec::new, |request| mirrored(mesh, proxy, decision, request)),
        upstream,
        reply: own.unwrap_or_else(|| answering.finish(stub_answer())),
    }
}

/// The copies that arrive: those for clusters that have an endpoint.
fn mirrored(mesh: &Mesh, proxy: &Proxy, decision: &Decision, request: &Forwarded) -> Vec<Mirrored> {
    let copy = Forwarded { authority: request.mirror_authority(mesh.profile.shadow_suffix), ..request.clone() };
    let arrives = |id: ClusterId| proxy.clusters.get(id).is_some_and(Cluster::has_somewhere_to_go);
    let reached = decision.mirrors(proxy).filter(|mirror| arrives(mirror.cluster.id));
    reached.map(|mirror| Mirrored { cluster: mirror.cluster.name.clone(), request: copy.clone() }).collect()
}

/// A representative of each class of draws that are treated alike, with the share of the class.
fn possible_chances(proxy: &Proxy, selection: Selection) -> Vec<(Chances, Probability)> {
    let fault = selection.route(proxy).and_then(|route| route.fault.as_ref());
    let delays = two_sides(fault.and_then(delay_share));
    let aborts = two_sides(fault.and_then(abort_share));
    let streams = selection.forward(proxy).map_or_else(|| vec![(0, Probability::ONE)], streams);
    let mut all = Vec::with_capacity(delays.len() * aborts.len() * streams.len());
    for &(delay, p) in &delays {
        for &(abort, q) in &aborts {
            for &(stream, r) in &streams {
                let numerator = p.numerator * q.numerator * r.numerator;
                let denominator = p.denominator * q.denominator * r.denominator;
                all.push((Chances { stream, delay, abort }, Probability::new(numerator, denominator)));
            }
        }
    }
    all
}

fn delay_share(fault: &Fault) -> Option<PerMillion> {
    fault.delay.map(|delay| delay.share)
}

fn abort_share(fault: &Fault) -> Option<PerMillion> {
    fault.abort.map(|abort| abort.share)
}

const MILLION: u64 = 1_000_000;

/// A draw below the share and one at or above it, those with a chance.
fn two_sides(share: Option<PerMillion>) -> Vec<(u64, Probability)> {
    let share = share.map_or(0, |share| u64::from(share.0).min(MILLION));
    let side = |draw: u64, of: u64| (of > 0).then(|| (draw, Probability::new(u128::from(of), u128::from(MILLION))));
    [side(share, MILLION - share), side(0, share)].into_iter().flatten().collect()
}

/// Representatives of the stream values that pick the same destination and the same mirrors.
fn streams(forward: &Forward) -> Vec<(u64, Probability)> {
    let total = forward.legs.total_weight();
    let mirror_cuts = cuts(forward.mirrors.iter().map(|mirror| u64::from(mirror.share.0)), MILLION);
    let mut start = 0;
    let mut all = Vec::new();
    for leg in forward.legs.all() {
        let weights = (start, start + u64::from(leg.weight));
        start = weights.1;
        for mirrors in mirror_cuts.windows(2) {
            let residues = Residues { weights, total, mirrors: (mirrors[0], mirrors[1]) };
            if let Some((stream, count)) = residues.first_and_count() {
                let classes = u128::from(total) / u128::from(residues.common()) * u128::from(MILLION);
                all.push((stream, Probability::new(count, classes)));
            }
        }
    }
    all
}

/// Borders of the ranges that `points` cut `0..end` into.
fn cuts(points: impl Iterator<Item = u64>, end: u64) -> Vec<u64> {
    let mut all: Vec<u64> = points.filter(|point| *point < end).chain([0, end]).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The values that fall into one range modulo the sum of weights and into another modulo a million.
struct Residues {
    weights: (u64, u64),
    total: u64,
    mirrors: (u64, u64),
}

impl Residues {
    /// The greatest common divisor of both moduli: residues go together iff they agree modulo it.
    fn common(&self) -> u64 {
        u64::try_from(gcd(u128::from(self.total), u128::from(MILLION))).unwrap_or(1)
    }

    /// The number of values below the least common multiple of the moduli, and one of them.
    fn first_and_count(&self) -> Option<(u64, u128)> {
        let common = self.common();
        // Both counts are constant between these residues.
        let ends = [self.weights.0, self.weights.1, self.mirrors.0, self.mirrors.1].map(|end| end % common);
        let mut count = 0;
        let mut first = None;
        for class in cuts(ends.into_iter(), common).windows(2) {
            let pairs =
                u128::from(count_in(self.weights, class[0], common)) * u128::from(count_in(self.mirrors, class[0], common));
            count += pairs * u128::from(class[1] - class[0]);
            if pairs > 0 && first.is_none() {
                first = Some(self.combine(first_in(self.weights, class[0], common), first_in(self.mirrors, class[0], common)));
            }
        }
        first.map(|first| (first, count))
    }

    /// A value with these residues (Chinese remainders).
    fn combine(&self, weight: u64, mirror: u64) -> u64 {
        let (total, million) = (u128::from(self.total), u128::from(MILLION));
        let common = u128::from(self.common());
        let step = million / common;
        let gap = (u128::from(mirror) + million - u128::from(weight) % million) % million / common;
        let turns = gap * inverse(total / common % step, step) % step.max(1);
        u64::try_from(u128::from(weight) + total * turns).unwrap_or(weight)
    }
}

/// How many numbers of a half-open range have this residue.
const fn count_in((start, end): (u64, u64), residue: u64, modulus: u64) -> u64 {
    count_below(end, residue, modulus) - count_below(start, residue, modulus)
}

const fn count_below(end: u64, residue: u64, modulus: u64) -> u64 {
    end / modulus + (end % modulus > residue) as u64
}

const fn first_in((start, _): (u64, u64), residue: u64, modulus: u64) -> u64 {
    start + (residue + modulus - start % modulus) % modulus
}

/// The inverse of `a` modulo `m`, which have no common divisor; 0 if `m` is 1.
fn inverse(a: u128, m: u128) -> u128 {
    let (mut r0, mut r1) = (m as i128, (a % m.max(1)) as i128);
    let (mut t0, mut t1) = (0_i128, 1_i128);
    while r1 != 0 {
        let quotient = r0 / r1;
        (r0, r1) = (r1, r0 - quotient * r1);
        (t0, t1) = (t1, t0 - quotient * t1);
    }
    if m <= 1 { 0 } else { t0.rem_euclid(m as i128) as u128 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::testing::{client, dial, mesh_with_rules, request};

    fn shares(rules: &str) -> Vec<(String, String)> {
        let mesh = mesh_with_rules(rules);
        let all = outcomes(&mesh, client(&mesh), &dial(), &request("GET", "/", &[]));
        let sum = all.iter().fold(Probability::new(0, 1), |sum, (_, probability)| sum + *probability);
        assert_eq!(sum, Probability::ONE, "{rules}");
        let what = |outcome: &Outcome| {
            let subset = outcome.cluster.as_deref().and_then(|name| name.split('|').nth(2)).unwrap_or("none");
            format!("{subset} {} {}", outcome.flags, outcome.mirrored.len())
        };
        all.iter().map(|(outcome, probability)| (what(outcome), probability.to_string())).collect()
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    fn to(subset: &str, weight: u32) -> String {
        format!("{{destination: {{host: app, subset: {subset}}}, weight: {weight}}}")
    }

    #[test]
    fn every_outcome_has_its_exact_probability() {
        let abort = "fault: {abort: {httpStatus: 503, percentage: {value: 0.1}}}";
        let both = "fault: {delay: {fixedDelay: 1s, percentage: {value: 50}}, abort: {httpStatus: 503, percentage: {value: 50}}}";
        for (rules, expected) in [
            (format!("[{{route: [{}, {}]}}]", to("v1", 1), to("v2", 2)), pairs(&[("v1 - 0", "1/3"), ("v2 - 0", "2/3")])),
            (format!("[{{route: [{}, {}]}}]", to("v1", 90), to("v9", 10)), pairs(&[("v1 - 0", "9/10"), ("none NC 0", "1/10")])),
            (format!("[{{{abort}, route: [{}]}}]", to("v1", 1)), pairs(&[("v1 - 0", "999/1000"), ("v1 FI 0", "1/1000")])),
            (
                format!("[{{{both}, route: [{}]}}]", to("v1", 1)),
                pairs(&[("v1 - 0", "1/4"), ("v1 FI 0", "1/4"), ("v1 DI 0", "1/4"), ("v1 DI,FI 0", "1/4")]),
            ),
            ("[{match: [{uri: {prefix: /other}}], redirect: {uri: /x}}]".to_owned(), pairs(&[("none NR 0", "1/1")])),
        ] {
            assert_eq!(shares(&rules), expected, "{rules}");
        }
    }

    #[test]
    fn destinations_and_mirrors_are_read_from_one_number() {
        // Of 10 000 numbers, those below 50 in the last two digits take v1; a mirror of 0.005 % takes
        // the first 50 of a million: all of them are v1's.
        let mirror = "mirror: {host: app, subset: v2}, mirrorPercentage: {value: 0.005}";
        let rules = format!("[{{{mirror}, route: [{}, {}]}}]", to("v1", 50), to("v2", 50));
        assert_eq!(shares(&rules), pairs(&[("v1 - 1", "1/20000"), ("v1 - 0", "9999/20000"), ("v2 - 0", "1/2")]));
        // Sums of weights without a common divisor with a million make them independent.
        let rules = format!("[{{{mirror}, route: [{}, {}]}}]", to("v1", 1), to("v2", 2));
        assert_eq!(
            shares(&rules),
            pairs(&[("v1 - 1", "1/60000"), ("v1 - 0", "19999/60000"), ("v2 - 1", "1/30000"), ("v2 - 0", "19999/30000")])
        );
    }

    #[test]
    fn the_representative_of_a_class_of_draws_belongs_to_it() {
        for (weights, total, mirrors) in [
            ((0, 50), 100, (0, 50)),
            ((50, 100), 100, (999_950, 1_000_000)),
            ((1, 3), 3, (7, 8)),
            ((2, 3), 7, (123_456, 123_457)),
            ((10, 11), 250, (35, 36)),
            ((0, 1), 1, (999_999, 1_000_000)),
            ((4_000_000_000, 4_294_967_295), 4_294_967_295, (1, 2)),
        ] {
            let residues = Residues { weights, total, mirrors };
            match residues.first_and_count() {
                Some((stream, count)) => {
                    assert!((weights.0..weights.1).contains(&(stream % total)), "{weights:?} {total} {mirrors:?} {stream}");
                    assert!((mirrors.0..mirrors.1).contains(&(stream % MILLION)), "{weights:?} {total} {mirrors:?} {stream}");
                    assert!(count > 0);
                }
                // 10 and 35 differ modulo 250, which divides a million.
                None => assert_eq!((total, mirrors), (250, (35, 36))),
            }
        }
    }
}
