//! Statistics of cgroup v2.

use super::{
    BlockIo, BlockIoEntry, Cgroup, Cpu, CpuSet, CpuUsage, HugePages, Memory, MemoryEntry, MemoryEvents,
};
use super::{Pressure, PressureLine, Stats, Throttling, list, page_sizes};
use crate::cgroup::files::{Files, pairs};

pub(super) fn read(cgroup: &Cgroup) -> Stats {
    let Some(files) = cgroup.unified.as_deref().and_then(|dir| Files::open(dir).ok()) else {
        return Stats::default();
    };
    Stats {
        cpu: cpu(&files),
        cpuset: CpuSet {
            cpus: list(&files.text("cpuset.cpus.effective").unwrap_or_default()),
            mems: list(&files.text("cpuset.mems.effective").unwrap_or_default()),
            ..CpuSet::default()
        },
        memory: memory(&files),
        pids: super::v1::pids(&files),
        blkio: block_io(&files),
        hugetlb: huge_pages(&files),
        ..Stats::default()
    }
}

fn cpu(files: &Files) -> Cpu {
    let mut cpu = Cpu { psi: pressure(files, "cpu.pressure"), ..Cpu::default() };
    let CpuUsage { total, kernel, user, .. } = &mut cpu.usage;
    let Throttling { periods, throttled_periods, throttled_time } = &mut cpu.throttling;
    for (name, value) in pairs(&files.text("cpu.stat").unwrap_or_default()) {
        let nanoseconds = value.saturating_mul(1000);
        match name {
            "usage_usec" => *total = nanoseconds,
            "user_usec" => *user = nanoseconds,
            "system_usec" => *kernel = nanoseconds,
            "nr_periods" => *periods = value,
            "nr_throttled" => *throttled_periods = value,
            "throttled_usec" => *throttled_time = nanoseconds,
            _ => {}
        }
    }
    cpu
}

fn memory(files: &Files) -> Memory {
    let text = files.text("memory.stat").unwrap_or_default();
    let raw: std::collections::BTreeMap<_, _> =
        pairs(&text).map(|(name, value)| (name.to_owned(), value)).collect();
    let events = events(&files.text("memory.events").unwrap_or_default());
    let entry = |kind: &str| {
        Some(MemoryEntry {
            usage: files.number(&format!("memory.{kind}current"))?,
            limit: files.number(&format!("memory.{kind}max")).unwrap_or(u64::MAX),
            max: files.number(&format!("memory.{kind}peak")).unwrap_or(0),
            failcnt: 0,
        })
    };
    let usage = MemoryEntry { failcnt: events.max, ..entry("").unwrap_or_default() };
    // v1 counts memory and swap together, and that is what readers of these figures expect.
    let swap = entry("swap.").map(|swap| MemoryEntry {
        usage: swap.usage.saturating_add(usage.usage),
        limit: swap.limit.saturating_add(usage.limit),
        max: 0,
        failcnt: 0,
    });
    Memory {
        cache: raw.get("file").copied().unwrap_or(0),
        usage,
        swap: swap.unwrap_or_default(),
        raw,
        psi: pressure(files, "memory.pressure"),
        event_count: events,
        ..Memory::default()
    }
}

fn events(text: &str) -> MemoryEvents {
    let mut events = MemoryEvents::default();
    for (name, value) in pairs(text) {
        match name {
            "low" => events.low = value,
            "high" => events.high = value,
            "max" => events.max = value,
            "oom" => events.oom = value,
            "oom_kill" => events.oom_kill = value,
            "oom_group_kill" => events.oom_group_kill = value,
            _ => {}
        }
    }
    events
}

fn block_io(files: &Files) -> BlockIo {
    let mut block_io = BlockIo { psi: pressure(files, "io.pressure"), ..BlockIo::default() };
    for line in files.text("io.stat").unwrap_or_default().lines() {
        let mut words = line.split_whitespace();
        let Some((major, minor)) = words.next().and_then(|device| device.split_once(':')) else { continue };
        let (Ok(major), Ok(minor)) = (major.parse(), minor.parse()) else { continue };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let (list, op) = match key {
                "rbytes" => (&mut block_io.io_service_bytes_recursive, "Read"),
                "wbytes" => (&mut block_io.io_service_bytes_recursive, "Write"),
                "dbytes" => (&mut block_io.io_service_bytes_recursive, "Discard"),
                "rios" => (&mut block_io.io_serviced_recursive, "Read"),
                "wios" => (&mut block_io.io_serviced_recursive, "Write"),
                "dios" => (&mut block_io.io_serviced_recursive, "Discard"),
                _ => continue,
            };
            list.push(BlockIoEntry { major, minor, op: op.to_owned(), value: value.parse().unwrap_or(0) });
        }
    }
    block_io
}

fn huge_pages(files: &Files) -> std::collections::BTreeMap<String, HugePages> {
    let of = |size: &str| {
        let events = files.text(&format!("hugetlb.{size}.events")).unwrap_or_default();
        Some(HugePages {
            usage: files.number(&format!("hugetlb.{size}.current"))?,
            max: 0,
            failcnt: pairs(&events).find_map(|(name, value)| (name == "max").then_some(value)).unwrap_or(0),
        })
    };
    page_sizes().into_iter().filter_map(|size| of(&size).map(|pages| (size, pages))).collect()
}

/// Lines `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`. None: the kernel does not keep them.
fn pressure(files: &Files, file: &str) -> Option<Pressure> {
    let text = files.text(file).ok()?;
    let line = |kind: &str| {
        let mut line = PressureLine::default();
        let words = text.lines().find_map(|line| line.strip_prefix(kind))?;
        for (key, value) in words.split_whitespace().filter_map(|word| word.split_once('=')) {
            match key {
                "avg10" => line.avg10 = value.parse().ok()?,
                "avg60" => line.avg60 = value.parse().ok()?,
                "avg300" => line.avg300 = value.parse().ok()?,
                "total" => line.total = value.parse().ok()?,
                _ => {}
            }
        }
        Some(line)
    };
    Some(Pressure { some: line("some")?, full: line("full").unwrap_or_default() })
}
