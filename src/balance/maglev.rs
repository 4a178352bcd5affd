//! Maglev (Envoy: `MaglevTable`, after Eisenbud et al., NSDI 2016, listing 1).

use xxhash_rust::xxh64::xxh64;

/// Size of a table, unless it is told otherwise.
pub const TABLE_SIZE: u64 = 65_537;

/// A table in which every place belongs to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maglev(Vec<u32>);

/// No host yet.
const FREE: u32 = u32::MAX;

/// A host while the table is filled: it takes the next free place of its own permutation.
struct Filler {
    host: u32,
    offset: u64,
    skip: u64,
    weight: f64,
    target: f64,
    next: u64,
}

impl Maglev {
    /// The table of hosts with these keys and weights. `size` is prime.
    #[must_use]
    pub fn new(hosts: &[(&str, f64)], size: u64) -> Maglev {
        let heaviest = hosts.iter().fold(0.0_f64, |most, (_, weight)| most.max(*weight));
        if heaviest <= 0.0 || size < 2 {
            return Maglev(Vec::new());
        }
        let mut fillers: Vec<Filler> = sorted(hosts)
            .map(|(host, key, weight)| Filler {
                host,
                offset: xxh64(key.as_bytes(), 0) % size,
                skip: xxh64(key.as_bytes(), 1) % (size - 1) + 1,
                weight,
                target: 0.0,
                next: 0,
            })
            .collect();
        let mut table = vec![FREE; size as usize];
        let mut left = size;
        let mut round: u32 = 1;
        while left > 0 {
            for filler in &mut fillers {
                if left == 0 {
                    break;
                }
                if f64::from(round) * filler.weight < filler.target {
                    continue;
                }
                filler.target += heaviest;
                let place = filler.free_place(&table, size);
                table[place] = filler.host;
                left -= 1;
            }
            round += 1;
        }
        Maglev(table)
    }

    /// The host of a hash; each further attempt looks at another place.
    #[must_use]
    pub fn host(&self, hash: u64, attempt: u32) -> Option<u32> {
        let hash = if attempt > 0 { hash ^ u64::from(attempt).wrapping_neg() } else { hash };
        let at = hash.checked_rem(self.0.len() as u64)?;
        Some(self.0[at as usize])
    }

    /// The host of every place.
    #[must_use]
    pub fn places(&self) -> &[u32] {
        &self.0
    }
}

/// Hosts in the order of their keys, which fills a table alike whatever order they are told in.
fn sorted<'a>(hosts: &[(&'a str, f64)]) -> impl Iterator<Item = (u32, &'a str, f64)> {
    let mut sorted: Vec<(u32, &str, f64)> = (0_u32..).zip(hosts).map(|(host, (key, weight))| (host, *key, *weight)).collect();
    sorted.sort_by_key(|(_, key, _)| *key);
    sorted.into_iter()
}

impl Filler {
    fn free_place(&mut self, table: &[u32], size: u64) -> usize {
        loop {
            let place = (self.offset + self.skip * self.next) % size;
            self.next += 1;
            if table[place as usize] == FREE {
                return place as usize;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(hosts: &[(&str, f64)], size: u64) -> Vec<usize> {
        let table = Maglev::new(hosts, size);
        (0..hosts.len() as u32).map(|host| table.places().iter().filter(|place| **place == host).count()).collect()
    }

    #[test]
    fn places_are_shared_out_by_weight() {
        assert_eq!(
            counts(&[("a:1", 0.25), ("b:1", 0.25), ("c:1", 0.25), ("d:1", 0.25)], 65_537),
            [16_385, 16_384, 16_384, 16_384]
        );
        assert_eq!(counts(&[("a:1", 0.75), ("b:1", 0.25)], 101), [75, 26]);
        assert_eq!(counts(&[("a:1", 1.0)], 7), [7]);
    }

    #[test]
    fn a_table_does_not_depend_on_the_order_of_hosts() {
        let one = Maglev::new(&[("a:1", 0.5), ("b:1", 0.5)], 11);
        let other = Maglev::new(&[("b:1", 0.5), ("a:1", 0.5)], 11);
        let turned: Vec<u32> = other.places().iter().map(|host| 1 - host).collect();
        assert_eq!(one.places(), turned);
        assert_eq!(Maglev::new(&[], 11).host(3, 0), None);
    }

    #[test]
    fn further_attempts_look_elsewhere() {
        let table = Maglev((0..7).collect());
        assert_eq!(
            [0, 1, 2].map(|attempt| table.host(3, attempt)),
            [Some(3), Some(((u64::MAX ^ 3) % 7) as u32), Some((((u64::MAX - 1) ^ 3) % 7) as u32)]
        );
    }
}
