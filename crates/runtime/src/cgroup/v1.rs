//! cgroup v1: one directory in each hierarchy. Kernel: Documentation/admin-guide/cgroup-v1.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};

use super::CgroupError;
use super::devices;
use super::setting::{Setting, unsupported, write};

/// Makes the directory, and for cpuset gives each new level its parent's processors and memory nodes: a v1 cpuset
/// starts empty, and nothing can enter an empty one.
pub(super) fn make(dir: &Path, name: &Path, controllers: &[String]) -> Result<(), CgroupError> {
    let wrap = |source| CgroupError::Make { path: dir.to_owned(), source };
    if !controllers.iter().any(|name| name == "cpuset") {
        return match fs::create_dir(dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => fs::create_dir_all(dir).map_err(wrap),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            other => other.map_err(wrap),
        };
    }
    let depth = name.components().count();
    let mut levels: Vec<&Path> = dir.ancestors().take(depth).collect();
    levels.reverse();
    for level in levels {
        match fs::create_dir(level) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            other => other.map_err(wrap)?,
        }
        for file in ["cpuset.cpus", "cpuset.mems"] {
            inherit(level, file).map_err(wrap)?;
        }
    }
    Ok(())
}

fn inherit(level: &Path, file: &str) -> std::io::Result<()> {
    if !fs::read_to_string(level.join(file))?.trim().is_empty() {
        return Ok(());
    }
    let parent = level.parent().unwrap_or(level);
    write(&level.join(file), fs::read_to_string(parent.join(file))?.trim())
}

/// The limits as v1 settings, in the order in which they have to be written.
pub(super) fn settings(resources: &LinuxResources) -> Result<Vec<Setting>, CgroupError> {
    let mut settings = Vec::new();
    if let Some(memory) = resources.memory() {
        memory_settings(memory, &mut settings)?;
    }
    if let Some(cpu) = resources.cpu() {
        cpu_settings(cpu, &mut settings);
    }
    if let Some(pids) = resources.pids() {
        settings.push(Setting::new("pids", "pids.max", super::v2::limit_or_max(pids.limit()), "pids.limit"));
    }
    if let Some(block_io) = resources.block_io() {
        block_io_settings(block_io, &mut settings)?;
    }
    for limit in resources.hugepage_limits().iter().flatten() {
        let file = format!("hugetlb.{}.limit_in_bytes", super::v2::page_size(limit.page_size())?);
        settings.push(Setting::new("hugetlb", file, limit.limit(), "hugepageLimits"));
    }
    if resources.network().is_some() {
        return Err(unsupported("network", "net_cls and net_prio are not handled"));
    }
    if resources.rdma().as_ref().is_some_and(|rdma| !rdma.is_empty()) {
        return Err(unsupported("rdma", "the rdma controller is not handled"));
    }
    if resources.unified().as_ref().is_some_and(|unified| !unified.is_empty()) {
        return Err(unsupported("unified", "this host has its controllers on cgroup v1"));
    }
    for rule in resources.devices().iter().flat_map(|rules| devices::effective(rules)) {
        let file = if rule.allow() { "devices.allow" } else { "devices.deny" };
        settings.push(Setting::new("devices", file, devices::v1_value(&rule)?, "devices"));
    }
    Ok(settings)
}

fn memory_settings(memory: &LinuxMemory, settings: &mut Vec<Setting>) -> Result<(), CgroupError> {
    super::v2::refuse_kernel_memory(memory)?;
    let mut push =
        |file: &str, value: String, field| settings.push(Setting::new("memory", file, value, field));
    if let Some(limit) = memory.limit() {
        push("memory.limit_in_bytes", limit.to_string(), "memory.limit");
    }
    if let Some(swap) = memory.swap() {
        push("memory.memsw.limit_in_bytes", swap.to_string(), "memory.swap");
    }
    if let Some(reservation) = memory.reservation() {
        push("memory.soft_limit_in_bytes", reservation.to_string(), "memory.reservation");
    }
    if let Some(swappiness) = memory.swappiness() {
        push("memory.swappiness", swappiness.to_string(), "memory.swappiness");
    }
    if memory.disable_oom_killer() == Some(true) {
        push("memory.oom_control", "1".to_owned(), "memory.disableOOMKiller");
    }
    Ok(())
}

fn cpu_settings(cpu: &LinuxCpu, settings: &mut Vec<Setting>) {
    let mut push = |controller, file: &str, value: Option<String>, field| {
        settings.extend(value.map(|value| Setting::new(controller, file, value, field)));
    };
    push("cpu", "cpu.shares", cpu.shares().map(|n| n.to_string()), "cpu.shares");
    push("cpu", "cpu.cfs_period_us", cpu.period().map(|n| n.to_string()), "cpu.period");
    push("cpu", "cpu.cfs_quota_us", cpu.quota().map(|n| n.to_string()), "cpu.quota");
    push("cpu", "cpu.cfs_burst_us", cpu.burst().map(|n| n.to_string()), "cpu.burst");
    push("cpu", "cpu.idle", cpu.idle().map(|n| n.to_string()), "cpu.idle");
    push("cpu", "cpu.rt_period_us", cpu.realtime_period().map(|n| n.to_string()), "cpu.realtimePeriod");
    push("cpu", "cpu.rt_runtime_us", cpu.realtime_runtime().map(|n| n.to_string()), "cpu.realtimeRuntime");
    push("cpuset", "cpuset.cpus", cpu.cpus().clone(), "cpu.cpus");
    push("cpuset", "cpuset.mems", cpu.mems().clone(), "cpu.mems");
}

fn block_io_settings(block_io: &LinuxBlockIo, settings: &mut Vec<Setting>) -> Result<(), CgroupError> {
    super::v2::refuse_block_io(block_io)?;
    if let Some(weight) = block_io.weight() {
        settings.push(Setting::new("blkio", "blkio.weight", weight, "blockIO.weight"));
    }
    for (file, devices, field) in [
        (
            "blkio.throttle.read_bps_device",
            block_io.throttle_read_bps_device(),
            "blockIO.throttleReadBpsDevice",
        ),
        (
            "blkio.throttle.write_bps_device",
            block_io.throttle_write_bps_device(),
            "blockIO.throttleWriteBpsDevice",
        ),
        (
            "blkio.throttle.read_iops_device",
            block_io.throttle_read_iops_device(),
            "blockIO.throttleReadIOPSDevice",
        ),
        (
            "blkio.throttle.write_iops_device",
            block_io.throttle_write_iops_device(),
            "blockIO.throttleWriteIOPSDevice",
        ),
    ] {
        for device in devices.iter().flatten() {
            let value = format!("{}:{} {}", device.major(), device.minor(), device.rate());
            settings.push(Setting::new("blkio", file, value, field));
        }
    }
    Ok(())
}
