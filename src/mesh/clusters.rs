//! The clusters of a proxy, by name and by id.

use std::ops::Index;
use std::sync::Arc;

use super::cluster::Cluster;
use super::ids::ClusterId;

/// Where a proxy has no cluster of that id.
const ABSENT: u32 = u32::MAX;

/// Clusters sorted by name. Ids are the same for all proxies of a mesh, so that routes can be shared
/// by proxies that have different clusters.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Clusters {
    by_name: Vec<(ClusterId, Arc<Cluster>)>,
    /// Positions by id.
    positions: Vec<u32>,
}

impl Clusters {
    /// Of clusters that are sorted by name and have these ids.
    ///
    /// # Panics
    /// Where there are 2^32 of them.
    #[must_use]
    pub fn new(by_name: Vec<(ClusterId, Arc<Cluster>)>) -> Self {
        let len = by_name.iter().map(|(id, _)| id.index() + 1).max().unwrap_or(0);
        let mut positions = vec![ABSENT; len];
        for (position, (id, _)) in by_name.iter().enumerate() {
            positions[id.index()] = u32::try_from(position).expect("fewer than 2^32 clusters");
        }
        Clusters { by_name, positions }
    }

    /// The cluster with this id, if the proxy has it.
    #[must_use]
    pub fn get(&self, id: ClusterId) -> Option<&Cluster> {
        let position = *self.positions.get(id.index()).filter(|position| **position != ABSENT)?;
        Some(&self.by_name[position as usize].1)
    }

    /// The cluster with this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Cluster> {
        let at = self.by_name.binary_search_by(|(_, cluster)| cluster.name.as_str().cmp(name)).ok()?;
        Some(&self.by_name[at].1)
    }

    /// All of them, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Cluster>> {
        self.by_name.iter().map(|(_, cluster)| cluster)
    }

    /// All of them with their ids, sorted by name.
    pub fn with_ids(&self) -> impl Iterator<Item = (ClusterId, &Cluster)> {
        self.by_name.iter().map(|(id, cluster)| (*id, &**cluster))
    }
}

impl Index<ClusterId> for Clusters {
    type Output = Cluster;

    /// The cluster with this id.
    ///
    /// # Panics
    /// Where the proxy has no such cluster: ask [`Clusters::get`] where that may be.
    fn index(&self, id: ClusterId) -> &Cluster {
        self.get(id).expect("the proxy has the cluster")
    }
}
