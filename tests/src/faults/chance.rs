//! Chance that can be repeated from its seed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Marsaglia's xorshift with 64 bits of state: good enough to scatter instants.
#[derive(Debug)]
pub struct Chance(u64);

impl Chance {
    /// Begins a sequence.
    pub fn new(seed: u64) -> Self {
        // State 0 would stay 0.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// `$GAUFRE_SOAK_SEED`, or one by the clock.
    pub fn seed() -> u64 {
        let by_clock =
            || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| u64::from(now.subsec_nanos()));
        std::env::var("GAUFRE_SOAK_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(by_clock)
    }

    /// A number from 0 to one less than `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap_or(1)).unwrap_or(0)
    }

    /// A time from nothing to `most`.
    pub fn up_to(&mut self, most: Duration) -> Duration {
        let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX).max(1);
        Duration::from_micros(self.next() % micros)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
