//! Requests by the routes they take here and there.

use super::delta::{Change, Delta, Side, Undecided, facets};
use super::entries::{Entry, entries};
use super::likeness::Pair;
use super::regions::{self, Region};
use super::results::{self, Likeness};
use crate::analysis::space::{Arrival, Conjunction, Found, Space, Values, Way, Witness};
use crate::mesh::RouteTableId;
use crate::mesh::route::{Subject, VirtualHost};
use crate::routing::{Facet, Treatment};

/// Pairs of routes that are looked at in one pair of virtual hosts.
const PAIRS_MAX: usize = 250_000;

/// Two route tables that the same connections come to.
#[derive(Debug, Clone)]
pub(super) struct Tables<'m> {
    pub(super) pair: Pair<'m>,
    pub(super) base: RouteTableId,
    pub(super) head: RouteTableId,
    pub(super) arrival: Arrival,
}

impl<'m> Tables<'m> {
    /// Compares what becomes of every request. `ways` are those into the first table that this arrival
    /// has, then those into the second.
    pub(super) fn compare(&self, space: &mut Space, ways: &dyn Fn() -> Option<Way>, delta: &mut Delta) {
        let base = &self.pair.base.route_tables[self.base.index()];
        let head = &self.pair.head.route_tables[self.head.index()];
        let regions = regions::unlike(space, self.pair, base, head);
        if regions.is_empty() {
            return;
        }
        // Connections that nobody can open make no difference.
        let Some(way) = ways() else { return };
        for region in &regions {
            let host = |table: &'m [VirtualHost], index: Option<usize>| index.map(|index| (index, &table[index]));
            let one = entries(space, self.arrival, host(&base.virtual_hosts, region.base));
            let other = entries(space, self.arrival, host(&head.virtual_hosts, region.head));
            self.region(space, &way, region, &one, &other, delta);
        }
    }

    fn region(
        &self,
        space: &mut Space,
        way: &Way,
        region: &Region<'m>,
        one: &[Entry<'m>],
        other: &[Entry<'m>],
        delta: &mut Delta,
    ) {
        let same = self.common_prefix(one, other);
        if (one.len() - same) * (other.len() - same) > PAIRS_MAX {
            let why = "two virtual hosts have too many different routes".to_owned();
            let (before, after) = (one[same].place(), other[same].place());
            delta.undecided.push(Undecided { host: region.name.to_owned(), before, after, why });
            return;
        }
        let count = if looks_at_authority(one) || looks_at_authority(other) { region.domains.len() } else { 1 };
        let treatments =
            |entries: &[Entry<'m>], proxy| -> Vec<Treatment> { entries.iter().map(|entry| entry.treatment(proxy)).collect() };
        let (before, after) = (treatments(one, self.pair.base), treatments(other, self.pair.head));
        let mut changes: Vec<Change> = Vec::new();
        for (i, base) in one.iter().enumerate().skip(same) {
            for (j, head) in other.iter().enumerate().skip(same) {
                if before[i] == after[j] {
                    continue;
                }
                let mut outside = earlier(&one[..i], &other[..j]);
                // Where routes differ only in how they say what becomes of the path.
                let is_of_path = |facet: Facet| matches!(facet, Facet::Answer | Facet::Rewrite);
                let only_path = before[i].differences(&after[j]).into_iter().all(|(facet, ..)| is_of_path(facet));
                let likeness = if only_path { self.path_likeness(base, head) } else { None };
                let same_on = match &likeness {
                    Some(Likeness::Same) => continue,
                    Some(Likeness::OnlyOn(path)) => Some(space.route(self.arrival, &results::exactly(path))),
                    Some(Likeness::Different | Likeness::Unknown) | None => None,
                };
                outside.extend(&same_on);
                for domain in region.domains.iter().take(count) {
                    let within = [domain, &base.conditions, &head.conditions];
                    let found = match space.find(&within, &outside) {
                        Found::Empty => continue,
                        Found::Undecided(why) => Err(why),
                        Found::Values(values) => self.confirmed(way, &values, base, head),
                    };
                    let found = found.and_then(|witness| match &likeness {
                        Some(Likeness::Unknown) if comes_to_the_same(&witness, base, head) => {
                            Err(format!("the paths that they make of `{}` are the same", witness.request.path))
                        }
                        _ => Ok(witness),
                    });
                    match found {
                        Ok(witness) => {
                            let change = Change {
                                proxies: vec![self.pair.head.spec.name.clone()],
                                host: region.name.to_owned(),
                                witness,
                                facets: facets(&before[i], &after[j]),
                                before: Side { place: base.place(), treatment: before[i].clone() },
                                after: Side { place: head.place(), treatment: after[j].clone() },
                                further: 0,
                            };
                            match changes.iter_mut().find(|own| own.says_the_same(&change)) {
                                Some(own) => own.further += 1,
                                None => changes.push(change),
                            }
                            break;
                        }
                        Err(why) => delta.undecided.push(Undecided {
                            host: region.name.to_owned(),
                            before: base.place(),
                            after: head.place(),
                            why,
                        }),
                    }
                }
            }
        }
        delta.changes.extend(changes);
    }

    /// How many entries at the start are the same on both sides, which settles their requests.
    fn common_prefix(&self, one: &[Entry<'m>], other: &[Entry<'m>]) -> usize {
        let both = one.iter().zip(other);
        let is_same = |(base, head): &(&Entry<'m>, &Entry<'m>)| {
            base.conditions == head.conditions
                && match (base.route, head.route) {
                    (Some(base), Some(head)) => self.pair.same_treatments(base, head),
                    _ => base.treatment(self.pair.base) == head.treatment(self.pair.head),
                }
        };
        let same = both.take_while(is_same).count();
        // The last entry takes everything, so something is always left to look at.
        same.min(one.len().min(other.len()).saturating_sub(1))
    }

    /// How two routes compare that differ in what they make of the path and in nothing else.
    fn path_likeness(&self, base: &Entry<'_>, head: &Entry<'_>) -> Option<Likeness> {
        let (one, other) = (base.route?, head.route?);
        results::same_but_path(self.pair.base, one, self.pair.head, other).then(|| results::compare(one, other))
    }

    /// A request with these values, if the routing core agrees on both sides.
    fn confirmed(&self, way: &Way, values: &Values, base: &Entry<'_>, head: &Entry<'_>) -> Result<Witness, String> {
        let proxy = if way.table == self.base { self.pair.base } else { self.pair.head };
        let witness = way.witness(proxy, values).ok_or("only requests that cannot be written down would differ")?;
        let verdict = |proxy, table| crate::routing::select(proxy, table, &witness.request).verdict;
        let agrees = verdict(self.pair.base, self.base) == base.verdict && verdict(self.pair.head, self.head) == head.verdict;
        agrees.then_some(witness).ok_or_else(|| "the request that should differ takes other routes".to_owned())
    }
}

/// Whether both routes make the same of the path of a request.
fn comes_to_the_same(witness: &Witness, base: &Entry<'_>, head: &Entry<'_>) -> bool {
    let path = crate::routing::split_query(&witness.request.path).0;
    let made = base.route.zip(head.route).and_then(|(one, other)| results::on(path, one, other));
    made.is_some_and(|(before, after)| before == after)
}

/// The conditions of earlier entries, each once.
fn earlier<'e>(one: &'e [Entry<'_>], other: &'e [Entry<'_>]) -> Vec<&'e Conjunction> {
    let mut all: Vec<&Conjunction> = Vec::with_capacity(one.len() + other.len());
    for entry in one.iter().chain(other) {
        if !entry.conditions.never && !all.contains(&&entry.conditions) {
            all.push(&entry.conditions);
        }
    }
    all
}

fn looks_at_authority(entries: &[Entry<'_>]) -> bool {
    let conditions = entries.iter().filter_map(|entry| entry.route).flat_map(|route| &route.matcher.conditions);
    conditions
        .into_iter()
        .any(|condition| matches!(&condition.subject, Subject::Header(name) if name == ":authority" || name == "host"))
}
