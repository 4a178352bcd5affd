//! What is due, in the order in which it happens.
//!
//! 1. Events leave by time.
//! 2. Events of equal time leave in the order in which they were scheduled.
//! 3. Nothing is scheduled before the time of the event that left last (an earlier time counts as
//!    that one), so the clock never goes back.
//! 4. A cancelled timer never leaves, and costs nothing from then on.
//!
//! There are two stores. Delays that vary go to a heap. Delays that are always the same go to a lane
//! for each length: their deadlines ascend, so that a lane is a list with pushes at its end, and
//! removal from the middle makes cancelling free of leftovers. Timeouts hardly ever fire; in a heap
//! they would be most of it.

pub use super::event::Event;
use super::heap::Heap;
use super::slab::{NONE, Slab};
use crate::time::{Duration, Instant};

/// A lane: all timers of one duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneId(u32);

/// A timer that is running in a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerId(u32);

impl TimerId {
    /// No timer.
    pub const NONE: TimerId = TimerId(NONE);
}

#[derive(Debug)]
struct Lane {
    duration: Duration,
    first: u32,
    last: u32,
}

#[derive(Debug)]
struct Timer {
    key: u128,
    before: u32,
    after: u32,
    lane: u32,
}

/// The queue.
#[derive(Debug)]
pub struct Queue {
    now: Instant,
    sequence: u32,
    heap: Heap,
    lanes: Vec<Lane>,
    /// The key of each lane's first timer, `u128::MAX` if it has none.
    heads: Vec<u128>,
    /// The lane whose head is the smallest, and that head.
    soonest: (u32, u128),
    timers: Slab<Timer>,
}

const NEVER: u128 = u128::MAX;

/// Time, then order of scheduling; the event itself fills the rest and never decides.
fn key(at: Instant, sequence: u32, event: Event) -> u128 {
    (u128::from(at.nanos()) << 64) | (u128::from(sequence) << 32) | u128::from(event.pack())
}

fn time_of(key: u128) -> Instant {
    Instant::from_nanos((key >> 64) as u64)
}

impl Default for Queue {
    fn default() -> Self {
        Self::new()
    }
}

impl Queue {
    /// An empty queue at time zero.
    #[must_use]
    pub fn new() -> Self {
        Queue {
            now: Instant::ZERO,
            sequence: 0,
            heap: Heap::default(),
            lanes: Vec::new(),
            heads: Vec::new(),
            soonest: (0, NEVER),
            timers: Slab::new(),
        }
    }

    /// The time of the event that left last.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// How many events are due.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len() + self.timers.live()
    }

    /// Whether nothing is due.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The lane for delays of this length.
    pub fn lane(&mut self, duration: Duration) -> LaneId {
        let found = self.lanes.iter().position(|lane| lane.duration == duration);
        let index = found.unwrap_or_else(|| {
            self.lanes.push(Lane { duration, first: NONE, last: NONE });
            self.heads.push(NEVER);
            self.lanes.len() - 1
        });
        LaneId(u32::try_from(index).expect("durations come from the configuration, which is small"))
    }

    /// The delay of a lane.
    #[must_use]
    pub fn duration(&self, lane: LaneId) -> Duration {
        self.lanes[lane.0 as usize].duration
    }

    /// Schedules an event at an instant.
    pub fn at(&mut self, at: Instant, event: Event) {
        let sequence = self.next_sequence();
        self.heap.push(key(at.max(self.now), sequence, event));
    }

    /// Schedules an event after a delay.
    pub fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now + delay, event);
    }

    /// Schedules an event after the delay of a lane.
    pub fn start(&mut self, lane: LaneId, event: Event) -> TimerId {
        let sequence = self.next_sequence();
        let list = &mut self.lanes[lane.0 as usize];
        let key = key(self.now + list.duration, sequence, event);
        let before = list.last;
        let timer = self.timers.insert(Timer { key, before, after: NONE, lane: lane.0 });
        list.last = timer;
        if before == NONE {
            list.first = timer;
            self.heads[lane.0 as usize] = key;
            if key < self.soonest.1 {
                self.soonest = (lane.0, key);
            }
        } else {
            self.timers[before].after = timer;
        }
        TimerId(timer)
    }

    /// Cancels a timer that has not left yet.
    pub fn cancel(&mut self, timer: TimerId) {
        if timer != TimerId::NONE {
            self.unlink(timer.0);
        }
    }

    /// When the next event is due.
    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        let key = self.heap.peek().unwrap_or(NEVER).min(self.soonest.1);
        (key != NEVER).then(|| time_of(key))
    }

    /// Takes out what is due next.
    pub fn pop(&mut self) -> Option<(Instant, Event)> {
        let in_heap = self.heap.peek().unwrap_or(NEVER);
        let key = if in_heap < self.soonest.1 {
            self.heap.pop()?
        } else if self.soonest.1 == NEVER {
            return None;
        } else {
            let (lane, key) = self.soonest;
            self.unlink(self.lanes[lane as usize].first);
            key
        };
        self.now = time_of(key);
        Some((self.now, Event::unpack(key as u32)))
    }

    fn unlink(&mut self, timer: u32) {
        let Timer { before, after, lane, .. } = self.timers[timer];
        self.timers.remove(timer);
        if after == NONE {
            self.lanes[lane as usize].last = before;
        } else {
            self.timers[after].before = before;
        }
        if before != NONE {
            self.timers[before].after = after;
            return;
        }
        self.lanes[lane as usize].first = after;
        self.heads[lane as usize] = if after == NONE { NEVER } else { self.timers[after].key };
        if lane == self.soonest.0 {
            self.find_soonest();
        }
    }

    fn find_soonest(&mut self) {
        let mut soonest = (0, NEVER);
        for (lane, head) in self.heads.iter().enumerate() {
            if *head < soonest.1 {
                soonest = (lane as u32, *head);
            }
        }
        self.soonest = soonest;
    }

    fn next_sequence(&mut self) -> u32 {
        if self.sequence == u32::MAX {
            self.renumber();
        }
        self.sequence += 1;
        self.sequence
    }

    /// Numbers everything that is due anew, in order, before the numbers run out: a number that
    /// wrapped round would break rule 2.
    #[cold]
    fn renumber(&mut self) {
        let mut sequence: u32 = 0;
        let mut next = |key: u128| {
            sequence += 1;
            (key & !(u128::from(u32::MAX) << 32)) | (u128::from(sequence) << 32)
        };
        let mut places: Vec<(u128, Option<u32>)> = self.heap.keys_mut().iter().map(|key| (*key, None)).collect();
        for lane in &self.lanes {
            let mut timer = lane.first;
            while timer != NONE {
                places.push((self.timers[timer].key, Some(timer)));
                timer = self.timers[timer].after;
            }
        }
        places.sort_unstable_by_key(|place| place.0);
        let mut in_heap = Vec::with_capacity(self.heap.len());
        for (old, timer) in places {
            match timer {
                Some(timer) => self.timers[timer].key = next(old),
                None => in_heap.push(next(old)),
            }
        }
        // Ascending keys are a heap.
        self.heap.keys_mut().copy_from_slice(&in_heap);
        for (lane, head) in self.lanes.iter().zip(&mut self.heads) {
            *head = if lane.first == NONE { NEVER } else { self.timers[lane.first].key };
        }
        self.find_soonest();
        self.sequence = sequence;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain(queue: &mut Queue) -> Vec<(u64, Event)> {
        std::iter::from_fn(|| queue.pop()).map(|(at, event)| (at.nanos(), event)).collect()
    }

    #[test]
    fn equal_times_leave_in_the_order_they_were_scheduled() {
        let mut queue = Queue::new();
        let lane = queue.lane(Duration::from_nanos(5));
        queue.after(Duration::from_nanos(5), Event::Answer(0));
        queue.start(lane, Event::RouteTimeout(1));
        queue.after(Duration::from_nanos(5), Event::Answer(2));
        queue.start(lane, Event::RouteTimeout(3));
        queue.after(Duration::from_nanos(4), Event::Answer(4));
        let order: Vec<Event> = drain(&mut queue).into_iter().map(|(_, event)| event).collect();
        let expected = [Event::Answer(4), Event::Answer(0), Event::RouteTimeout(1), Event::Answer(2), Event::RouteTimeout(3)];
        assert_eq!(order, expected);
    }

    #[test]
    fn a_cancelled_timer_leaves_nothing_behind() {
        let mut queue = Queue::new();
        let lane = queue.lane(Duration::from_secs(15));
        let timers: Vec<TimerId> = (0..4).map(|index| queue.start(lane, Event::TryTimeout(index))).collect();
        for timer in [timers[1], timers[0], timers[3]] {
            queue.cancel(timer);
        }
        assert_eq!(queue.len(), 1);
        assert_eq!(drain(&mut queue), [(15_000_000_000, Event::TryTimeout(2))]);
    }

    #[test]
    fn order_survives_the_end_of_the_sequence_numbers() {
        let mut queue = Queue::new();
        queue.sequence = u32::MAX - 3;
        let lane = queue.lane(Duration::from_nanos(9));
        for index in 0..8 {
            if index % 2 == 0 {
                queue.start(lane, Event::TryTimeout(index));
            } else {
                queue.after(Duration::from_nanos(9), Event::Answer(index));
            }
        }
        let numbers: Vec<u32> = drain(&mut queue)
            .into_iter()
            .map(|(_, event)| match event {
                Event::TryTimeout(index) | Event::Answer(index) => index,
                other => panic!("{other:?} was not scheduled"),
            })
            .collect();
        assert_eq!(numbers, (0..8).collect::<Vec<_>>());
    }

    #[test]
    fn the_clock_stops_at_its_end_instead_of_going_back() {
        let mut queue = Queue::new();
        queue.at(Instant::from_nanos(u64::MAX - 1), Event::Answer(0));
        queue.pop();
        queue.after(Duration::from_secs(60), Event::Answer(1));
        assert_eq!(queue.pop(), Some((Instant::from_nanos(u64::MAX), Event::Answer(1))));
    }

    proptest! {
        /// The two stores together behave as one sorted list.
        #[test]
        fn the_queue_equals_a_sorted_list(
            steps in proptest::collection::vec((0_u8..4, 0_u64..50, any::<prop::sample::Index>()), 1..300)
        ) {
            let mut queue = Queue::new();
            let lanes: Vec<LaneId> = [0, 7, 20].map(|nanos| queue.lane(Duration::from_nanos(nanos))).to_vec();
            let mut model: Vec<(u64, u32)> = Vec::new();
            let mut timers: Vec<(TimerId, u32)> = Vec::new();
            for (number, (step, delay, pick)) in steps.into_iter().enumerate() {
                let number = number as u32;
                match step {
                    0 => {
                        queue.after(Duration::from_nanos(delay), Event::Answer(number));
                        model.push((queue.now().nanos() + delay, number));
                    }
                    1 => {
                        let lane = *pick.get(&lanes);
                        model.push((queue.now().nanos() + queue.duration(lane).nanos(), number));
                        timers.push((queue.start(lane, Event::Answer(number)), number));
                    }
                    2 if !timers.is_empty() => {
                        let (timer, cancelled) = timers.swap_remove(pick.index(timers.len()));
                        queue.cancel(timer);
                        model.retain(|(_, number)| *number != cancelled);
                    }
                    _ => {
                        model.sort_unstable();
                        let expected = (!model.is_empty()).then(|| model.remove(0));
                        let popped = queue.pop().map(|(at, event)| match event {
                            Event::Answer(number) => (at.nanos(), number),
                            other => panic!("{other:?} was not scheduled"),
                        });
                        prop_assert_eq!(popped, expected);
                        timers.retain(|(_, number)| Some(*number) != expected.map(|e| e.1));
                    }
                }
            }
        }
    }
}
