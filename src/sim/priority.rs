//! Priorities of endpoints: how requests are shared among them while some endpoints are ejected
//! (Envoy: `LoadBalancerBase::recalculatePerPriorityState`).

use std::collections::BTreeMap;

use super::balance::{Member, Target};

/// A healthy share of 72 % and more counts as all: Envoy's overprovisioning factor, in percent.
const OVERPROVISIONING: usize = 140;

/// A part of the requests, and the endpoints it goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) percent: u32,
    pub(super) target: u32,
}

struct Group {
    all: Vec<Member>,
    healthy: Vec<Member>,
}

/// The members that are left, by priority, with the percentage of requests that each group gets.
pub(super) fn shares(target: &Target, ejected: &[u32]) -> Vec<(u32, Vec<Member>)> {
    let mut groups: BTreeMap<u32, Group> = BTreeMap::new();
    for (at, member) in target.members.iter().enumerate() {
        let priority = target.priorities.get(at).copied().unwrap_or(0);
        let group = groups.entry(priority).or_insert_with(|| Group { all: Vec::new(), healthy: Vec::new() });
        group.all.push(*member);
        if ejected.binary_search(&member.pod).is_err() {
            group.healthy.push(*member);
        }
    }
    let health = |group: &Group| (group.healthy.len() * OVERPROVISIONING / group.all.len()).min(100);
    let total = groups.values().map(health).sum::<usize>().min(100);
    let panic = target.outlier.map_or(0, |plan| plan.panic_percent as usize);
    if total == 0 {
        let all = groups.into_values().next().map(|group| group.all).filter(|_| panic > 0);
        return vec![(100, all.unwrap_or_default())];
    }
    let mut rest = 100;
    let mut shares = Vec::new();
    for group in groups.into_values() {
        let percent = (health(&group) * 100 / total).min(rest);
        rest -= percent;
        let panics = total < 100 && group.healthy.len() * 100 < panic * group.all.len();
        if percent > 0 {
            shares.push((percent as u32, if panics { group.all } else { group.healthy }));
        }
    }
    // What rounding leaves goes to the first.
    if let Some((percent, _)) = shares.first_mut() {
        *percent += rest as u32;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::balance::Policy;

    fn target(priorities: &[u32]) -> Target {
        let members = (0..priorities.len()).map(|pod| Member { pod: pod as u32, port: 80, weight: 1, tls: None });
        Target {
            policy: Policy::RoundRobin,
            cluster: 0,
            members: members.collect(),
            weighted: false,
            number: 0,
            breakers: None,
            outlier: None,
            priorities: priorities.to_vec(),
        }
    }

    fn percentages(priorities: &[u32], ejected: &[u32]) -> Vec<(u32, usize)> {
        shares(&target(priorities), ejected).iter().map(|(percent, members)| (*percent, members.len())).collect()
    }

    #[test]
    fn the_next_priority_helps_out_below_72_percent() {
        assert_eq!(percentages(&[0, 0, 0, 0, 1], &[]), [(100, 4)]);
        assert_eq!(percentages(&[0, 0, 0, 0, 1], &[0]), [(100, 3)]);
        assert_eq!(percentages(&[0, 0, 0, 0, 1], &[0, 1]), [(70, 2), (30, 1)]);
        assert_eq!(percentages(&[0, 1, 2], &[0]), [(100, 1)]);
        assert_eq!(percentages(&[0, 1, 2], &[0, 1, 2]), [(100, 0)]);
    }
}
