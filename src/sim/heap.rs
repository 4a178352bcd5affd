//! A 4-ary min-heap of 16-byte keys. Half as deep as a binary heap and the four children of a node
//! share a cache line, which is what the event loop spends its time on.

/// A heap; the smallest key leaves first. Keys are distinct.
#[derive(Debug, Default)]
pub(super) struct Heap {
    keys: Vec<u128>,
}

impl Heap {
    pub(super) fn peek(&self) -> Option<u128> {
        self.keys.first().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn push(&mut self, key: u128) {
        let mut hole = self.keys.len();
        self.keys.push(key);
        while hole > 0 {
            let parent = (hole - 1) / 4;
            if self.keys[parent] <= key {
                break;
            }
            self.keys[hole] = self.keys[parent];
            hole = parent;
        }
        self.keys[hole] = key;
    }

    pub(super) fn pop(&mut self) -> Option<u128> {
        let last = self.keys.pop()?;
        let Some(&least) = self.keys.first() else { return Some(last) };
        let count = self.keys.len();
        let mut hole = 0;
        loop {
            let first = hole * 4 + 1;
            if first >= count {
                break;
            }
            let children = &self.keys[first..(first + 4).min(count)];
            let mut child = 0;
            for (index, key) in children.iter().enumerate().skip(1) {
                if *key < children[child] {
                    child = index;
                }
            }
            if children[child] >= last {
                break;
            }
            self.keys[hole] = children[child];
            hole = first + child;
        }
        self.keys[hole] = last;
        Some(least)
    }

    /// All keys, in no order. Callers may change them if the order among them stays the same.
    pub(super) fn keys_mut(&mut self) -> &mut [u128] {
        &mut self.keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_leave_in_ascending_order(keys in proptest::collection::btree_set(any::<u128>(), 0..200)) {
            let mut heap = Heap::default();
            // Sets iterate in order; pushing them backwards is the hard case.
            keys.iter().rev().for_each(|key| heap.push(*key));
            let left: Vec<u128> = std::iter::from_fn(|| heap.pop()).collect();
            prop_assert_eq!(left, keys.into_iter().collect::<Vec<_>>());
        }
    }
}
