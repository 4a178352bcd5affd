//! What really becomes of a request, in the terms of claims.

use super::destination::DestinationPattern;
use super::question::Asked;
use crate::draw::KeyStream;
use crate::mesh::{Mesh, Proxy};
use crate::routing::{Chances, Conn, Explanation, Outcome, Probability, Selection, Treatment, decide, explain, outcomes};

/// What becomes of a request.
pub(super) struct Observation<'m> {
    pub(super) mesh: &'m Mesh,
    pub(super) proxy: &'m Proxy,
    asked: &'m Asked,
    pub(super) explanation: Explanation<'m>,
    /// Every outcome with its probability; empty without HTTP.
    pub(super) outcomes: Vec<(Outcome, Probability)>,
}

impl<'m> Observation<'m> {
    pub(super) fn new(mesh: &'m Mesh, asked: &'m Asked) -> Self {
        Observation {
            mesh,
            proxy: &mesh.proxies[asked.proxy.index()],
            asked,
            explanation: explain(mesh, asked.proxy, &asked.dial, &asked.request),
            outcomes: outcomes(mesh, asked.proxy, &asked.dial, &asked.request),
        }
    }

    pub(super) fn connection(&self) -> &'static str {
        match self.explanation.connection {
            Conn::Refused => "refused",
            Conn::Http(_) => "http",
            Conn::Tcp(_) => "tcp",
            Conn::Ended(_) => "ended",
        }
    }

    /// What was found in the route table; `None` without HTTP.
    pub(super) fn selection(&self) -> Option<Selection> {
        self.explanation.http.as_ref().map(|http| http.selection)
    }

    pub(super) fn treatment(&self) -> Option<Treatment> {
        self.selection().map(|selection| Treatment::of(self.proxy, selection))
    }

    /// Clusters with their shares, before faults and whether or not they exist; equal ones are added up.
    pub(super) fn destinations(&self) -> Vec<(String, Probability)> {
        let legs: Vec<(String, u32)> = match &self.explanation.connection {
            Conn::Tcp(tcp) => tcp.legs.iter().map(|(cluster, weight)| (cluster.name.clone(), *weight)).collect(),
            _ => self.selection().and_then(|selection| selection.forward(self.proxy)).map_or_else(Vec::new, |forward| {
                forward.legs.all().iter().map(|leg| (leg.cluster.name.clone(), leg.weight)).collect()
            }),
        };
        let total: u128 = legs.iter().map(|(_, weight)| u128::from(*weight)).sum();
        added_up(legs.into_iter().map(|(name, weight)| (name, Probability::new(u128::from(weight), total.max(1)))))
    }

    /// Statuses with their shares, upstreams answering 200.
    pub(super) fn statuses(&self) -> Vec<(u16, Probability)> {
        let mut sums = added_up(self.outcomes.iter().map(|(outcome, share)| (outcome.reply.status, *share)));
        sums.sort_by_key(|(status, _)| *status);
        sums
    }

    /// How many of `count` drawn requests have a destination that each pattern means.
    pub(super) fn sampled(&self, count: u64, patterns: &[DestinationPattern]) -> Vec<u64> {
        let mut hits = vec![0; patterns.len()];
        let mut stream = KeyStream::new(1, 0);
        for index in 0..count {
            let chances = Chances::of(stream.draw(index));
            let decision = decide(self.mesh, self.asked.proxy, &self.asked.dial, &self.asked.request, chances);
            let Some(leg) = decision.as_ref().and_then(|decision| decision.leg(self.proxy)) else { continue };
            let is_meant = |pattern: &DestinationPattern| pattern.is_meant(&leg.cluster.name, &self.proxy.spec);
            if let Some(at) = patterns.iter().position(is_meant) {
                hits[at] += 1;
            }
        }
        hits
    }
}

/// Shares of equal keys added up, in the order of their first appearance.
pub(super) fn added_up<K: PartialEq>(items: impl Iterator<Item = (K, Probability)>) -> Vec<(K, Probability)> {
    let mut sums: Vec<(K, Probability)> = Vec::new();
    for (key, share) in items {
        match sums.iter_mut().find(|(known, _)| *known == key) {
            Some((_, sum)) => *sum = *sum + share,
            None => sums.push((key, share)),
        }
    }
    sums
}
