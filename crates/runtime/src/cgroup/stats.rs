//! What a group uses.

use std::fs;
use std::path::Path;

use serde::Serialize;

use super::Cgroup;

/// What a group uses and may use. None: the host has no such controller, or there is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Memory in use, in bytes.
    pub memory_bytes: Option<u64>,
    /// Memory limit, in bytes.
    pub memory_limit_bytes: Option<u64>,
    /// How often the group's processes were killed for want of memory.
    pub oom_kills: Option<u64>,
    /// Processor time used, in nanoseconds.
    pub cpu_ns: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Limit of processes and threads.
    pub pids_limit: Option<u64>,
}

impl Cgroup {
    /// Reads the group's statistics. What cannot be read is None.
    pub fn stats(&self) -> Stats {
        let number = |controller: &str, file: &str| read_number(&self.controller_dir(controller)?.join(file));
        let field = |controller: &str, file: &str, key: &str| {
            read_field(&self.controller_dir(controller)?.join(file), key)
        };
        let pids = (number("pids", "pids.current"), number("pids", "pids.max"));
        if self.is_v2() {
            return Stats {
                memory_bytes: number("memory", "memory.current"),
                memory_limit_bytes: number("memory", "memory.max"),
                oom_kills: field("memory", "memory.events", "oom_kill"),
                cpu_ns: field("cpu", "cpu.stat", "usage_usec").map(|micros| micros.saturating_mul(1000)),
                pids: pids.0,
                pids_limit: pids.1,
            };
        }
        // v1 says "no limit" by the largest multiple of a page.
        let no_limit = i64::MAX.cast_unsigned() >> 16 << 16;
        Stats {
            memory_bytes: number("memory", "memory.usage_in_bytes"),
            memory_limit_bytes: number("memory", "memory.limit_in_bytes").filter(|limit| *limit < no_limit),
            oom_kills: field("memory", "memory.oom_control", "oom_kill"),
            cpu_ns: number("cpuacct", "cpuacct.usage"),
            pids: pids.0,
            pids_limit: pids.1,
        }
    }
}

fn read_number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn read_field(path: &Path, key: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok())
}
