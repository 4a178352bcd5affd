//! Ring hash (Envoy: `RingHashLoadBalancer::Ring`, after libketama).

use xxhash_rust::xxh64::xxh64;

/// Fewest entries of a ring, unless it is told otherwise.
pub const RING_MIN: u64 = 1024;

/// Most entries of a ring.
pub const RING_MAX: u64 = 8 * 1024 * 1024;

/// A ring of hashes, each with the host it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring(Vec<(u64, u32)>);

impl Ring {
    /// The ring of hosts with these keys and weights; weights add up to 1 at most. The lightest host
    /// gets a whole number of entries, and the others as many as their weights are heavier.
    #[must_use]
    pub fn new(hosts: &[(&str, f64)], size_min: u64) -> Ring {
        let lightest = hosts.iter().fold(1.0_f64, |least, (_, weight)| least.min(*weight));
        let scale = (libm::ceil(lightest * size_min as f64) / lightest).min(RING_MAX as f64);
        let mut ring = Vec::with_capacity(if hosts.is_empty() { 0 } else { libm::ceil(scale) as usize });
        let (mut entries, mut wanted) = (0.0, 0.0);
        let mut key = String::new();
        for (host, (address, weight)) in (0_u32..).zip(hosts) {
            wanted += scale * weight;
            let mut number = 0_u64;
            while entries < wanted {
                key.clear();
                key.push_str(address);
                key.push('_');
                key.push_str(&number.to_string());
                ring.push((xxh64(key.as_bytes(), 0), host));
                number += 1;
                entries += 1.0;
            }
        }
        ring.sort_by_key(|(hash, _)| *hash);
        Ring(ring)
    }

    /// The host of the first entry from a hash on; each further attempt takes one entry later.
    #[must_use]
    pub fn host(&self, hash: u64, attempt: u32) -> Option<u32> {
        let first = self.0.partition_point(|(entry, _)| *entry < hash) as u64;
        let size = self.0.len() as u64;
        let at = (first.checked_rem(size)? + u64::from(attempt)) % size;
        Some(self.0[at as usize].1)
    }

    /// Entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_as_large_as_the_lightest_host_needs() {
        let third = 1.0 / 3.0;
        for (weights, size_min, size) in [
            (&[third, third, third][..], 1024, 1026),
            (&[0.5, 0.5], 1024, 1024),
            (&[0.75, 0.25], 1024, 1024),
            (&[0.5, 0.5], 3, 4),
            (&[1.0], 1, 1),
            (&[], 1024, 0),
        ] {
            let hosts: Vec<(&str, f64)> = ["a:1", "b:1", "c:1"].into_iter().zip(weights.iter().copied()).collect();
            assert_eq!(Ring::new(&hosts, size_min).len(), size, "{weights:?} of {size_min}");
        }
        assert_eq!(Ring::new(&[], 1024).host(7, 0), None);
    }

    #[test]
    fn a_hash_belongs_to_the_next_entry_and_the_last_is_followed_by_the_first() {
        let ring = Ring(vec![(10, 0), (20, 1), (30, 2)]);
        for (hash, attempt, host) in
            [(0, 0, 0), (10, 0, 0), (11, 0, 1), (30, 0, 2), (31, 0, 0), (20, 1, 2), (20, 2, 0), (20, 7, 2)]
        {
            assert_eq!(ring.host(hash, attempt), Some(host), "{hash}, attempt {attempt}");
        }
    }
}
