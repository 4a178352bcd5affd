//! Counters by key, for keys of which few occur at a time: a small table of the recent ones answers
//! most look-ups without hashing.

use std::hash::Hash;

use rustc_hash::FxHashMap;

const RECENT: usize = 64;

/// Values by key.
#[derive(Debug, Clone)]
pub(super) struct Cells<K, V> {
    numbers: FxHashMap<K, u32>,
    cells: Vec<(K, V)>,
    recent: [u32; RECENT],
}

impl<K, V> Default for Cells<K, V> {
    fn default() -> Self {
        Cells { numbers: FxHashMap::default(), cells: Vec::new(), recent: [u32::MAX; RECENT] }
    }
}

impl<K: Copy + Eq + Hash, V: Default> Cells<K, V> {
    /// The value of a key, at first the default one. Keys that alternate should have different hints.
    pub(super) fn at(&mut self, key: K, hint: u32) -> &mut V {
        let recent = hint as usize % RECENT;
        let number = self.recent[recent] as usize;
        let number = match self.cells.get(number) {
            Some((known, _)) if *known == key => number,
            _ => {
                let number = self.number(key);
                self.recent[recent] = number;
                number as usize
            }
        };
        &mut self.cells[number].1
    }

    fn number(&mut self, key: K) -> u32 {
        let next = u32::try_from(self.cells.len()).expect("keys come from the configuration, which is small");
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            self.cells.push((key, V::default()));
        }
        number
    }

    /// Keys and values in the order in which the keys were met.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.cells.iter().map(|(key, value)| (key, value))
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.cells.iter_mut().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_value_whatever_its_hint() {
        let mut cells: Cells<u64, u64> = Cells::default();
        for round in 0..3 {
            for key in 0..200 {
                *cells.at(key, round * 7 + key as u32) += key;
            }
        }
        let values: Vec<(u64, u64)> = cells.iter().map(|(key, value)| (*key, *value)).collect();
        assert_eq!(values, (0..200).map(|key| (key, 3 * key)).collect::<Vec<_>>());
    }
}
