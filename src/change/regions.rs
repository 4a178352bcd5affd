//! Virtual hosts here and there that the same requests choose.
//!
//! Authorities are partitioned by the domain that finds their virtual host in either table. An exact
//! domain is one authority (with any port, where ports are ignored), so the other table is asked for
//! it; wildcards, and what no domain is for, meet pairwise.

use rustc_hash::FxHashMap;

use super::likeness::Pair;
use crate::analysis::space::{Conjunction, Space};
use crate::mesh::route::RouteTable;
use crate::routing::{find_host, without_port};

/// The part of a table that some authorities choose: a virtual host by one of its domains, or nothing.
type Part<'m> = Option<(usize, &'m str)>;

/// Authorities that choose one part of the first table and one of the second.
#[derive(Debug, Clone)]
pub(super) struct Region<'m> {
    /// The virtual host of the first table.
    pub(super) base: Option<usize>,
    /// The virtual host of the second table.
    pub(super) head: Option<usize>,
    /// The authorities, as alternatives.
    pub(super) domains: Vec<Conjunction>,
    /// One of the domains, for people.
    pub(super) name: &'m str,
}

/// The regions whose virtual hosts are not the same. May name regions without any authority.
pub(super) fn unlike<'m>(space: &mut Space, pair: Pair<'m>, base: &'m RouteTable, head: &'m RouteTable) -> Vec<Region<'m>> {
    let mut known: FxHashMap<(Option<usize>, Option<usize>), bool> = FxHashMap::default();
    let mut is_like = |one: Part<'m>, other: Part<'m>| {
        let key = (one.map(|(host, _)| host), other.map(|(host, _)| host));
        *known.entry(key).or_insert_with(|| match key {
            (None, None) => true,
            (Some(one), Some(other)) => pair.same_hosts(&base.virtual_hosts[one], &head.virtual_hosts[other]),
            (Some(_), None) | (None, Some(_)) => false,
        })
    };
    let mut found: Vec<(Part<'m>, Part<'m>)> = Vec::new();
    for (one, other) in meetings(base, head) {
        if !is_like(one, other) {
            found.push((one, other));
        }
    }
    let mut regions: Vec<Region<'m>> = Vec::new();
    for (one, other) in found {
        let (own, theirs) = (one.map(|(host, _)| host), other.map(|(host, _)| host));
        let authorities = domain(space, base, one).and(&domain(space, head, other));
        if authorities.never {
            continue;
        }
        match regions.iter_mut().find(|region| (region.base, region.head) == (own, theirs)) {
            Some(region) => region.domains.push(authorities),
            None => {
                // A whole name says more than a wildcard.
                let names = [other, one].into_iter().flatten().map(|(_, domain)| domain);
                let name = names.clone().find(|domain| !domain.contains('*')).or_else(|| names.clone().next()).unwrap_or("*");
                regions.push(Region { base: own, head: theirs, domains: vec![authorities], name });
            }
        }
    }
    regions
}

fn domain(space: &mut Space, table: &RouteTable, part: Part<'_>) -> Conjunction {
    match part {
        Some((host, domain)) => space.domain(table, host, domain),
        None => space.no_domain(table),
    }
}

/// The pairs of parts that may have authorities in common.
fn meetings<'m>(base: &'m RouteTable, head: &'m RouteTable) -> Vec<(Part<'m>, Part<'m>)> {
    let exact = |table: &'m RouteTable| -> Vec<(usize, &'m str)> {
        let hosts = table.virtual_hosts.iter().enumerate();
        let domains = hosts.flat_map(|(host, own)| own.domains.iter().map(move |domain| (host, domain.as_str())));
        // Of equal domains the first virtual host has it.
        domains.filter(|(host, domain)| table.with_domain(domain).is_some_and(|(first, _)| first == *host)).collect()
    };
    let wild = |table: &'m RouteTable| -> Vec<Part<'m>> { table.wildcards().map(Some).chain([None]).collect() };
    let mut all = Vec::new();
    if base.ignore_port_in_host_matching == head.ignore_port_in_host_matching {
        let in_table = |table: &'m RouteTable, domain: &str| find_host(table, domain).map(|found| (found.index, found.domain));
        for (host, domain) in exact(base) {
            all.push((Some((host, domain)), in_table(head, domain)));
        }
        for (host, domain) in exact(head).into_iter().filter(|(_, domain)| base.with_domain(domain).is_none()) {
            all.push((in_table(base, domain), Some((host, domain))));
        }
    } else {
        let (ours, theirs) = (exact(base), exact(head));
        for (host, domain) in &ours {
            let same = theirs.iter().filter(|(_, other)| without_port(other) == without_port(domain));
            let others = same.map(|part| Some(*part)).chain(wild(head));
            all.extend(others.map(|other| (Some((*host, *domain)), other)));
        }
        for (host, domain) in &theirs {
            all.extend(wild(base).into_iter().map(|one| (one, Some((*host, *domain)))));
        }
    }
    for one in wild(base) {
        all.extend(wild(head).into_iter().map(|other| (one, other)));
    }
    all
}
