//! Statistics of cgroup v1.

use super::{
    BlockIo, BlockIoEntry, Cgroup, Cpu, CpuSet, CpuUsage, HugePages, Memory, MemoryEntry, Pids, Stats,
};
use super::{Throttling, list, page_sizes};
use crate::cgroup::files::{Files, pairs};

pub(super) fn read(cgroup: &Cgroup) -> Stats {
    let throttling = cgroup.files("cpu").map(|files| throttling(&files)).unwrap_or_default();
    let usage = cgroup.files("cpuacct").map(|files| cpu_usage(&files)).unwrap_or_default();
    Stats {
        cpu: Cpu { usage, throttling, psi: None },
        cpuset: cgroup.files("cpuset").map(|files| cpuset(&files)).unwrap_or_default(),
        memory: cgroup.files("memory").map(|files| memory(&files)).unwrap_or_default(),
        pids: cgroup.files("pids").map(|files| pids(&files)).unwrap_or_default(),
        blkio: cgroup.files("blkio").map(|files| block_io(&files)).unwrap_or_default(),
        hugetlb: cgroup.files("hugetlb").map(|files| huge_pages(&files)).unwrap_or_default(),
        ..Stats::default()
    }
}

/// pids.current and pids.max are the same on v1 and v2.
pub(super) fn pids(files: &Files) -> Pids {
    let limit = files.number("pids.max").filter(|limit| *limit != u64::MAX);
    Pids { current: files.number("pids.current").unwrap_or(0), limit: limit.unwrap_or(0) }
}

fn throttling(files: &Files) -> Throttling {
    let mut throttling = Throttling::default();
    for (name, value) in pairs(&files.text("cpu.stat").unwrap_or_default()) {
        match name {
            "nr_periods" => throttling.periods = value,
            "nr_throttled" => throttling.throttled_periods = value,
            "throttled_time" => throttling.throttled_time = value,
            _ => {}
        }
    }
    throttling
}

/// The kernel's clock ticks in cpuacct.stat are hundredths of a second on every architecture (`USER_HZ`).
const NS_PER_TICK: u64 = 10_000_000;

fn cpu_usage(files: &Files) -> CpuUsage {
    let mut usage = CpuUsage { total: files.number("cpuacct.usage").unwrap_or(0), ..CpuUsage::default() };
    for (name, ticks) in pairs(&files.text("cpuacct.stat").unwrap_or_default()) {
        match name {
            "user" => usage.user = ticks.saturating_mul(NS_PER_TICK),
            "system" => usage.kernel = ticks.saturating_mul(NS_PER_TICK),
            _ => {}
        }
    }
    let percpu = files.text("cpuacct.usage_percpu").unwrap_or_default();
    usage.percpu = percpu.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    // Columns: cpu user system.
    for line in files.text("cpuacct.usage_all").unwrap_or_default().lines().skip(1) {
        let mut columns = line.split_whitespace().filter_map(|word| word.parse().ok());
        if let (Some(user), Some(kernel)) = (columns.nth(1), columns.next()) {
            usage.percpu_user.push(user);
            usage.percpu_kernel.push(kernel);
        }
    }
    usage
}

fn cpuset(files: &Files) -> CpuSet {
    let number = |file: &str| files.number(file).unwrap_or(0);
    let level = files.text("cpuset.sched_relax_domain_level").ok();
    CpuSet {
        cpus: list(&files.text("cpuset.cpus").unwrap_or_default()),
        cpu_exclusive: number("cpuset.cpu_exclusive"),
        mems: list(&files.text("cpuset.mems").unwrap_or_default()),
        mem_hardwall: number("cpuset.mem_hardwall"),
        mem_exclusive: number("cpuset.mem_exclusive"),
        memory_migrate: number("cpuset.memory_migrate"),
        memory_spread_page: number("cpuset.memory_spread_page"),
        memory_spread_slab: number("cpuset.memory_spread_slab"),
        memory_pressure: number("cpuset.memory_pressure"),
        sched_load_balance: number("cpuset.sched_load_balance"),
        sched_relax_domain_level: level.and_then(|text| text.trim().parse().ok()).unwrap_or(0),
    }
}

fn memory(files: &Files) -> Memory {
    let entry = |kind: &str| MemoryEntry {
        limit: files.number(&format!("memory.{kind}limit_in_bytes")).unwrap_or(0),
        usage: files.number(&format!("memory.{kind}usage_in_bytes")).unwrap_or(0),
        max: files.number(&format!("memory.{kind}max_usage_in_bytes")).unwrap_or(0),
        failcnt: files.number(&format!("memory.{kind}failcnt")).unwrap_or(0),
    };
    let text = files.text("memory.stat").unwrap_or_default();
    let raw: std::collections::BTreeMap<_, _> =
        pairs(&text).map(|(name, value)| (name.to_owned(), value)).collect();
    Memory {
        cache: raw.get("cache").copied().unwrap_or(0),
        usage: entry(""),
        swap: entry("memsw."),
        kernel: entry("kmem."),
        kernel_tcp: entry("kmem.tcp."),
        raw,
        ..Memory::default()
    }
}

/// BFQ's counters where that scheduler is in use, else those of throttling, which see every request.
fn block_io(files: &Files) -> BlockIo {
    let read = |counter: &str| {
        let of =
            |kind: &str| device_counters(&files.text(&format!("blkio.{kind}.{counter}")).unwrap_or_default());
        let entries = of("bfq");
        if entries.is_empty() { of("throttle") } else { entries }
    };
    BlockIo {
        io_service_bytes_recursive: read("io_service_bytes_recursive"),
        io_serviced_recursive: read("io_serviced_recursive"),
        psi: None,
    }
}

/// Lines `8:0 Read 4096`; the sum in the last line has no device.
fn device_counters(text: &str) -> Vec<BlockIoEntry> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (major, minor) = words.next()?.split_once(':')?;
            let op = words.next()?.to_owned();
            let value = words.next()?.parse().ok()?;
            Some(BlockIoEntry { major: major.parse().ok()?, minor: minor.parse().ok()?, op, value })
        })
        .collect()
}

fn huge_pages(files: &Files) -> std::collections::BTreeMap<String, HugePages> {
    let of = |size: &str| {
        let number = |what: &str| files.number(&format!("hugetlb.{size}.{what}"));
        Some(HugePages {
            usage: number("usage_in_bytes")?,
            max: number("max_usage_in_bytes").unwrap_or(0),
            failcnt: number("failcnt").unwrap_or(0),
        })
    };
    page_sizes().into_iter().filter_map(|size| of(&size).map(|pages| (size, pages))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_devices_are_read_without_their_sum() {
        let entries = device_counters("254:0 Read 4096\n254:0 Total 4096\nTotal 4096\n");
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0], BlockIoEntry { major: 254, minor: 0, op: "Read".into(), value: 4096 });
    }
}
