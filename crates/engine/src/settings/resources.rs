//! Limits on memory, processors and processes.

use serde::{Deserialize, Serialize};

/// Processes a sandbox may have unless asked otherwise, as podman gives.
pub const DEFAULT_PIDS_LIMIT: i64 = 2048;

/// Limits on memory, processors and processes; no limit where a field is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Memory and swap together, in bytes; -1 means unlimited swap.
    pub memory_swap_bytes: Option<i64>,
    /// Memory below which the kernel tries to keep it, in bytes.
    pub memory_reservation_bytes: Option<u64>,
    /// Processors, also fractions of one.
    pub cpus: Option<f64>,
    /// Weight against other groups, 2 to 262144.
    pub cpu_shares: Option<u64>,
    /// Processors it may run on, such as `0-2,4`.
    pub cpuset_cpus: Option<String>,
    /// Memory nodes it may use, such as `0,1`.
    pub cpuset_mems: Option<String>,
    /// Processes and threads; 0 and -1 mean unlimited.
    pub pids_limit: Option<i64>,
    /// Weight of its block I/O, 10 to 1000.
    pub blkio_weight: Option<u16>,
    /// Preference when the host runs out of memory, -1000 (never) to 1000 (first).
    pub oom_score_adj: Option<i32>,
}

impl Resources {
    /// Memory and swap together that are set, in bytes. As docker and podman have it: swap as large as the memory
    /// besides, unless said otherwise.
    pub fn effective_swap_bytes(&self) -> Option<i64> {
        let twice = |bytes: u64| i64::try_from(bytes.saturating_mul(2)).unwrap_or(i64::MAX);
        self.memory_swap_bytes.or(self.memory_bytes.map(twice))
    }
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            memory_bytes: None,
            memory_swap_bytes: None,
            memory_reservation_bytes: None,
            cpus: None,
            cpu_shares: None,
            cpuset_cpus: None,
            cpuset_mems: None,
            pids_limit: Some(DEFAULT_PIDS_LIMIT),
            blkio_weight: None,
            oom_score_adj: None,
        }
    }
}
