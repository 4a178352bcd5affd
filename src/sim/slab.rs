//! Frames by number: freed numbers are used again, so that memory follows the work in flight and
//! nothing is allocated once it has grown.

/// Stands for "no frame".
pub(super) const NONE: u32 = u32::MAX;

/// Frames of one kind.
#[derive(Debug)]
pub(super) struct Slab<T> {
    frames: Vec<T>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Slab { frames: Vec::new(), free: Vec::new() }
    }

    pub(super) fn insert(&mut self, frame: T) -> u32 {
        if let Some(index) = self.free.pop() {
            self.frames[index as usize] = frame;
            return index;
        }
        let index = u32::try_from(self.frames.len()).expect("the engine stops long before 2^32 frames");
        self.frames.push(frame);
        index
    }

    /// Gives the number back; the frame stays readable until it is used again.
    pub(super) fn remove(&mut self, index: u32) {
        self.free.push(index);
    }

    /// One more than the largest number that was ever given.
    pub(super) fn len(&self) -> u32 {
        self.frames.len() as u32
    }

    pub(super) fn live(&self) -> usize {
        self.frames.len() - self.free.len()
    }
}

impl<T> std::ops::Index<u32> for Slab<T> {
    type Output = T;
    fn index(&self, index: u32) -> &T {
        &self.frames[index as usize]
    }
}

impl<T> std::ops::IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, index: u32) -> &mut T {
        &mut self.frames[index as usize]
    }
}
