//! How fast a body arrives: one that comes byte by byte is never silent, and yet never comes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::Response;

use super::endpoint::{classify, silent};
use super::options::Timeouts;
use super::request_error::RequestError;

/// A transfer that is slower than this over the whole of a window (bytes per second) counts as stalled.
const LEAST_RATE: u64 = 1024;

/// Reads one body and measures it, by the time that was spent on waiting for the registry: how long the reader takes
/// for what has arrived does not count.
pub(super) struct Pace {
    timeouts: Timeouts,
    waited: Duration,
    arrived_bytes: u64,
}

impl Pace {
    pub(super) fn new(timeouts: Timeouts) -> Self {
        Self { timeouts, waited: Duration::ZERO, arrived_bytes: 0 }
    }

    /// The next piece; none at the body's end. Fails where nothing comes, or too little for a whole window.
    pub(super) async fn next_chunk(
        &mut self,
        response: &mut Response,
        registry: &str,
        what: &str,
    ) -> Result<Option<Bytes>, RequestError> {
        let idle = self.timeouts.idle;
        let asked = Instant::now();
        let chunk = tokio::time::timeout(idle, response.chunk())
            .await
            .map_err(|_| silent(registry, what, idle))?
            .map_err(|error| classify(error, registry, what, &self.timeouts))?;
        if let Some(chunk) = &chunk {
            self.count(asked.elapsed(), chunk.len() as u64).map_err(|bytes| RequestError::Slow {
                registry: registry.to_owned(),
                what: what.to_owned(),
                bytes,
                seconds: self.window().as_secs_f32(),
            })?;
        }
        Ok(chunk)
    }

    /// Fails at the end of a window in which too little has arrived, with what that was (bytes).
    fn count(&mut self, waited: Duration, bytes: u64) -> Result<(), u64> {
        self.waited += waited;
        self.arrived_bytes += bytes;
        if self.waited < self.window() {
            return Ok(());
        }
        let least_bytes = self.waited.as_millis() * u128::from(LEAST_RATE) / 1000;
        let arrived_bytes = std::mem::take(&mut self.arrived_bytes);
        self.waited = Duration::ZERO;
        if u128::from(arrived_bytes) < least_bytes { Err(arrived_bytes) } else { Ok(()) }
    }

    /// A minute by default; it grows with the patience that the user asks for.
    fn window(&self) -> Duration {
        self.timeouts.idle * 2
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{LEAST_RATE, Pace};
    use crate::registry::options::Timeouts;

    #[test]
    fn only_a_whole_window_below_the_least_rate_is_too_slow() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(Timeouts::default());
        for _ in 0..600 {
            assert_eq!(pace.count(second, LEAST_RATE), Ok(()), "slow, but steady");
        }
        for _ in 0..59 {
            assert_eq!(pace.count(second, 1), Ok(()));
        }
        assert_eq!(pace.count(second, 1), Err(60));
        for _ in 0..59 {
            assert_eq!(pace.count(second, 0), Ok(()), "a new window");
        }
        assert_eq!(pace.count(second, 60 * LEAST_RATE), Ok(()), "a pause that was made up for");
    }
}
