//! What a group uses, in the shape in which `events --stats` of runc prints it: the field names are its, so that what
//! reads them there reads them here (runc: types/events.go).

mod v1;
mod v2;

use std::collections::BTreeMap;

use serde::Serialize;

use super::Cgroup;
use super::files::{Files, pairs};

/// What a group uses and may use. Zero, or an empty list, stands for what this host does not count; a limit of
/// `u64::MAX` for none on cgroup v2 (v1 has a number of its own for that).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Processor time.
    pub cpu: Cpu,
    /// Processors and memory nodes.
    pub cpuset: CpuSet,
    /// Memory.
    pub memory: Memory,
    /// Processes and threads.
    pub pids: Pids,
    /// Block devices.
    pub blkio: BlockIo,
    /// Huge pages, by size.
    pub hugetlb: BTreeMap<String, HugePages>,
    /// Always empty: resource control groups are not made.
    pub intel_rdt: BTreeMap<String, String>,
    /// Always null: network interfaces are not the runtime's.
    pub network_interfaces: Option<()>,
}

/// Processor time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cpu {
    /// How much was used.
    pub usage: CpuUsage,
    /// How much was withheld by the quota.
    pub throttling: Throttling,
    /// How long processes waited for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// Processor time used, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CpuUsage {
    /// All of it.
    #[serde(skip_serializing_if = "is_zero")]
    pub total: u64,
    /// By processor.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu: Vec<u64>,
    /// By processor, in the kernel.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_kernel: Vec<u64>,
    /// By processor, in user space.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_user: Vec<u64>,
    /// In the kernel.
    pub kernel: u64,
    /// In user space.
    pub user: u64,
}

/// What the quota did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttling {
    /// Periods that passed.
    #[serde(skip_serializing_if = "is_zero")]
    pub periods: u64,
    /// Those in which the quota was used up.
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_periods: u64,
    /// How long, in nanoseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_time: u64,
}

/// Processors and memory nodes that may be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CpuSet {
    /// Processors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u16>,
    /// cpuset.cpu_exclusive of v1.
    pub cpu_exclusive: u64,
    /// Memory nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mems: Vec<u16>,
    /// cpuset.mem_hardwall of v1.
    pub mem_hardwall: u64,
    /// cpuset.mem_exclusive of v1.
    pub mem_exclusive: u64,
    /// cpuset.memory_migrate of v1.
    pub memory_migrate: u64,
    /// cpuset.memory_spread_page of v1.
    pub memory_spread_page: u64,
    /// cpuset.memory_spread_slab of v1.
    pub memory_spread_slab: u64,
    /// cpuset.memory_pressure of v1.
    pub memory_pressure: u64,
    /// cpuset.sched_load_balance of v1.
    pub sched_load_balance: u64,
    /// cpuset.sched_relax_domain_level of v1.
    pub sched_relax_domain_level: i64,
}

/// Memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Memory {
    /// Page cache, in bytes.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache: u64,
    /// Memory.
    pub usage: MemoryEntry,
    /// Memory and swap together, as v1 counts.
    pub swap: MemoryEntry,
    /// Kernel memory (v1).
    pub kernel: MemoryEntry,
    /// Buffers of TCP (v1).
    #[serde(rename = "kernelTCP")]
    pub kernel_tcp: MemoryEntry,
    /// memory.stat, name by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
    /// How long processes waited for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
    /// memory.events of v2.
    pub event_count: MemoryEvents,
}

/// One kind of memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MemoryEntry {
    /// What may be used.
    pub limit: u64,
    /// What is used.
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: u64,
    /// The most that was ever used.
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
}

/// memory.events of cgroup v2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MemoryEvents {
    /// Reclaimed although below memory.low.
    #[serde(skip_serializing_if = "is_zero")]
    pub low: u64,
    /// Held back above memory.high.
    #[serde(skip_serializing_if = "is_zero")]
    pub high: u64,
    /// Hit memory.max.
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    /// Ran out of memory.
    #[serde(skip_serializing_if = "is_zero")]
    pub oom: u64,
    /// Processes killed for it.
    #[serde(skip_serializing_if = "is_zero")]
    pub oom_kill: u64,
    /// Groups killed for it.
    #[serde(skip_serializing_if = "is_zero")]
    pub oom_group_kill: u64,
}

/// Processes and threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pids {
    /// How many there are.
    #[serde(skip_serializing_if = "is_zero")]
    pub current: u64,
    /// How many there may be; 0: as many as there may.
    #[serde(skip_serializing_if = "is_zero")]
    pub limit: u64,
}

/// Block devices.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockIo {
    /// Bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_bytes_recursive: Vec<BlockIoEntry>,
    /// Operations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_serviced_recursive: Vec<BlockIoEntry>,
    /// How long processes waited for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// One counter of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BlockIoEntry {
    /// Its major number.
    #[serde(skip_serializing_if = "is_zero")]
    pub major: u64,
    /// Its minor number.
    #[serde(skip_serializing_if = "is_zero")]
    pub minor: u64,
    /// `Read`, `Write` and so on.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub op: String,
    /// The count.
    #[serde(skip_serializing_if = "is_zero")]
    pub value: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HugePages {
    /// What is used.
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: u64,
    /// The most that was ever used.
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
}

/// Pressure stall information: Documentation/accounting/psi.rst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Pressure {
    /// At least one process waited.
    pub some: PressureLine,
    /// All waited.
    pub full: PressureLine,
}

/// Per cent of the time, and the sum in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PressureLine {
    /// Over ten seconds.
    pub avg10: f64,
    /// Over a minute.
    pub avg60: f64,
    /// Over five minutes.
    pub avg300: f64,
    /// Microseconds.
    pub total: u64,
}

impl Cgroup {
    /// Reads the group's statistics.
    pub fn stats(&self) -> Stats {
        if self.is_v2() { v2::read(self) } else { v1::read(self) }
    }

    /// How often processes of the group were killed for want of memory; None where memory is not controlled.
    pub fn oom_kills(&self) -> Option<u64> {
        let file = if self.is_v2() { "memory.events" } else { "memory.oom_control" };
        let text = self.files("memory")?.text(file).ok()?;
        pairs(&text).find_map(|(name, value)| (name == "oom_kill").then_some(value))
    }

    fn files(&self, controller: &str) -> Option<Files> {
        Files::open(self.controller_dir(controller)?).ok()
    }
}

/// `0-2,5` as numbers.
fn list(text: &str) -> Vec<u16> {
    let ranges = text.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse::<u16>().ok()?..=last.parse::<u16>().ok()?)
    });
    ranges.flatten().collect()
}

/// The sizes of huge pages that this machine has, as file names have them: `2MB`.
fn page_sizes() -> Vec<String> {
    let entries = std::fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let kib: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
            Some(match kib {
                kib if kib >= 1 << 20 => format!("{}GB", kib >> 20),
                kib if kib >= 1 << 10 => format!("{}MB", kib >> 10),
                kib => format!("{kib}KB"),
            })
        })
        .collect()
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_spelled_out() {
        assert_eq!(list("0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(list("\n"), [0_u16; 0]);
    }

    #[test]
    fn what_is_not_counted_is_not_printed() {
        let json = serde_json::to_value(Stats::default()).unwrap();
        assert_eq!(json["cpu"]["usage"], serde_json::json!({"kernel": 0, "user": 0}));
        assert_eq!(json["memory"]["usage"], serde_json::json!({"limit": 0, "failcnt": 0}));
        assert!(json["network_interfaces"].is_null());
    }
}
