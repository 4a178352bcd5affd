//! What one event costs in the queue, by how much is due and how.

use criterion::{Criterion, criterion_group, criterion_main};
use meshsim::draw::{KeyStream, Purpose, exponential_ns};
use meshsim::sim::queue::{Event, Queue, TimerId};
use meshsim::time::Duration;

/// Out with the next event, in with one after a random time, while `due` are due.
fn hold(criterion: &mut Criterion) {
    for due in [100_u32, 10_000, 1_000_000] {
        let mut queue = Queue::new();
        let draw = KeyStream::new(1, 1).draw(0);
        let mut nth = 0;
        let mut delay = || {
            nth += 1;
            Duration::from_nanos(exponential_ns(draw.nth(Purpose::Network, nth), 1_000_000))
        };
        for frame in 0..due {
            queue.after(delay(), Event::Answer(frame));
        }
        criterion.bench_function(&format!("hold/{due}"), |bencher| {
            bencher.iter(|| {
                let popped = queue.pop();
                queue.after(delay(), Event::Answer(0));
                popped
            });
        });
    }
}

/// A timeout that is started and nearly always cancelled costs the same however long it is.
fn timeouts(criterion: &mut Criterion) {
    for length in [Duration::from_millis(4), Duration::from_secs(15)] {
        let mut queue = Queue::new();
        let lane = queue.lane(length);
        let mut running = [TimerId::NONE; 16];
        let mut next = 0;
        criterion.bench_function(&format!("timeout/{length}"), |bencher| {
            bencher.iter(|| {
                queue.cancel(running[next]);
                running[next] = queue.start(lane, Event::TryTimeout(0));
                next = (next + 1) % running.len();
                queue.after(Duration::from_nanos(1_000), Event::Answer(0));
                queue.pop()
            });
        });
    }
}

criterion_group!(benches, hold, timeouts);
criterion_main!(benches);
