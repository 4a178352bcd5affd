//! Randomness addressed by what it decides.
//!
//! A draw is a pure function of (seed, stream, request, hop path, attempt, purpose). There is no
//! generator to pass around and no order of drawing to keep, so a new rule or fault moves no other
//! request's luck, and two configurations can be compared request by request (common random
//! numbers).
//!
//! Two steps: each request has a 128-bit key, taken from a ChaCha8 keystream at a position given by
//! the request's number (the stream is portable and documented, and keys can be taken in order at a
//! few nanoseconds each or out of order by seeking); each draw of the request is one block of
//! Philox2x64-10 under that key, with the address of the decision as the counter (Salmon et al.,
//! SC 2011; the known answers are in the tests).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a random number decides. Each purpose is an independent draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Purpose {
    /// Envoy's per-stream random value: picks the weighted cluster and decides mirrors.
    Stream = 1,
    /// Whether a fault delay applies.
    FaultDelay = 2,
    /// Whether a fault abort applies.
    FaultAbort = 3,
    /// The endpoint pick of a load balancer, and its further picks.
    Balance = 4,
    /// The retry back-off.
    BackOff = 5,
    /// An application's service time.
    ServiceTime = 6,
    /// A network delay.
    Network = 7,
    /// An arrival: the gap to the next request of a client.
    Arrival = 8,
    /// Which user class a request belongs to.
    UserClass = 9,
    /// An application's own random behaviour (a faulty version, for instance).
    Application = 10,
    /// The starting position of a round-robin balancer.
    BalanceStart = 11,
    /// A proxy's configuration propagation delay.
    Propagation = 12,
    /// The order in which a proxy goes through the hosts of a cluster.
    HostOrder = 13,
    /// Identifiers of a request in logs and traces.
    Identity = 14,
    /// Whether a rate limit counts.
    RateLimit = 15,
}

/// The source of all keys of one random stream.
#[derive(Debug, Clone)]
pub struct KeyStream {
    rng: ChaCha8Rng,
    next: u64,
}

/// The random identity of one request (or of any other thing that draws).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    key: u64,
    place: u64,
}

impl KeyStream {
    /// The stream with this number under this seed. Streams of one seed are independent.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        KeyStream { rng, next: 0 }
    }

    /// The draw of request `index`; fast when indices are asked for in ascending order.
    pub fn draw(&mut self, index: u64) -> Draw {
        if index != self.next {
            self.rng.set_word_pos(u128::from(index) * 4);
        }
        self.next = index + 1;
        Draw { key: self.rng.next_u64(), place: self.rng.next_u64() }
    }
}

impl Draw {
    /// The draw of the `edge`-th thing below this one: a downstream call, an attempt, a re-pick.
    #[must_use]
    pub fn child(self, edge: u64) -> Draw {
        let (place, _) = philox2x64(self.place, edge, self.key ^ 0x5ca1_ab1e_0ddb_a11d);
        Draw { key: self.key, place }
    }

    /// The random number for one purpose: uniform on all `u64`.
    #[must_use]
    pub fn value(self, purpose: Purpose) -> u64 {
        self.nth(purpose, 0)
    }

    /// The `n`-th random number for one purpose.
    #[must_use]
    pub fn nth(self, purpose: Purpose, n: u64) -> u64 {
        philox2x64(self.place, (n << 16) | purpose as u64, self.key).0
    }
}

/// A value below `bound` from a uniform `value`, as `value % bound`: the way Envoy bounds its
/// random numbers. `bound` of 0 gives 0.
#[must_use]
pub const fn below(value: u64, bound: u64) -> u64 {
    if bound == 0 { 0 } else { value % bound }
}

/// An exponential variate with the given mean, from a uniform `value`. The one place where a
/// non-uniform time is drawn; `libm` because the platform's `ln` is not bit-equal everywhere.
#[must_use]
pub fn exponential_ns(value: u64, mean_ns: u64) -> u64 {
    // 53 bits, shifted by half a step so that the logarithm is never taken of zero.
    let uniform = ((value >> 11) as f64 + 0.5) * (1.0 / (1_u64 << 53) as f64);
    (-libm::log(uniform) * mean_ns as f64) as u64
}

fn philox2x64(counter0: u64, counter1: u64, key: u64) -> (u64, u64) {
    const MULTIPLIER: u64 = 0xD2B7_4407_B1CE_6E93;
    const WEYL: u64 = 0x9E37_79B9_7F4A_7C15;
    let (mut c0, mut c1, mut k) = (counter0, counter1, key);
    for _ in 0..10 {
        let product = u128::from(c0) * u128::from(MULTIPLIER);
        (c0, c1) = ((product >> 64) as u64 ^ k ^ c1, product as u64);
        k = k.wrapping_add(WEYL);
    }
    (c0, c1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_its_published_answers() {
        // Random123 kat_vectors, philox2x64 10.
        assert_eq!(philox2x64(0, 0, 0), (0xca00_a045_9843_d731, 0x66c2_4222_c9a8_45b5));
        assert_eq!(philox2x64(u64::MAX, u64::MAX, u64::MAX), (0x65b0_21d6_0cd8_310f, 0x4d02_f322_2f86_df20));
        assert_eq!(
            philox2x64(0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d0),
            (0x0a5e_742c_2997_341c, 0xb0f8_83d3_8000_de5d)
        );
    }

    #[test]
    fn keys_do_not_depend_on_the_order_of_asking() {
        let mut forward = KeyStream::new(7, 1);
        let in_order: Vec<Draw> = (0..64).map(|i| forward.draw(i)).collect();
        let mut backward = KeyStream::new(7, 1);
        for i in (0..64).rev() {
            assert_eq!(backward.draw(i), in_order[usize::try_from(i).unwrap()]);
        }
    }

    #[test]
    fn purposes_and_children_draw_independently() {
        let draw = KeyStream::new(7, 1).draw(0);
        assert_ne!(draw.value(Purpose::Stream), draw.value(Purpose::FaultDelay));
        assert_ne!(draw.value(Purpose::Stream), draw.child(0).value(Purpose::Stream));
        assert_ne!(draw.child(0), draw.child(1));
    }
}
