//! cgroup v2: one directory. Kernel: Documentation/admin-guide/cgroup-v2.rst.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};

use super::CgroupError;
use super::setting::{Setting, unsupported, write};

/// The controllers that limits or statistics need.
const WANTED: [&str; 6] = ["cpu", "cpuset", "io", "memory", "pids", "hugetlb"];

/// Makes the directory. With `controllers`, each ancestor passes on to it what the host offers.
pub(super) fn make(dir: &Path, name: &Path, controllers: bool) -> Result<(), CgroupError> {
    let wrap = |source| CgroupError::Make { path: dir.to_owned(), source };
    let depth = name.components().count();
    let mut levels: Vec<&Path> = dir.ancestors().take(depth + 1).collect();
    levels.reverse();
    for pair in levels.windows(2) {
        if let [parent, level] = pair {
            if controllers {
                pass_on(parent).map_err(wrap)?;
            }
            match fs::create_dir(level) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                other => other.map_err(wrap)?,
            }
        }
    }
    Ok(())
}

/// Enables the wanted controllers for the children of `parent`. Only what is missing is written: a write that
/// changes something is slow in the kernel.
fn pass_on(parent: &Path) -> std::io::Result<()> {
    let offered = fs::read_to_string(parent.join("cgroup.controllers"))?;
    if offered.trim().is_empty() {
        return Ok(());
    }
    let enabled = fs::read_to_string(parent.join("cgroup.subtree_control"))?;
    let has = |list: &str, name: &str| list.split_whitespace().any(|word| word == name);
    for name in WANTED.iter().filter(|name| has(&offered, name) && !has(&enabled, name)) {
        match write(&parent.join("cgroup.subtree_control"), &format!("+{name}")) {
            // Busy: the parent holds processes itself. A limit that needs the controller will say so by its field.
            Err(error)
                if matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EINVAL | libc::EOPNOTSUPP)) => {}
            other => other?,
        }
    }
    Ok(())
}

/// The limits as v2 settings.
pub(super) fn settings(resources: &LinuxResources) -> Result<Vec<Setting>, CgroupError> {
    let mut settings = Vec::new();
    if let Some(memory) = resources.memory() {
        memory_settings(memory, &mut settings)?;
    }
    if let Some(cpu) = resources.cpu() {
        cpu_settings(cpu, &mut settings)?;
    }
    if let Some(pids) = resources.pids() {
        settings.push(Setting::new("pids", "pids.max", limit_or_max(pids.limit()), "pids.limit"));
    }
    if let Some(block_io) = resources.block_io() {
        block_io_settings(block_io, &mut settings)?;
    }
    for limit in resources.hugepage_limits().iter().flatten() {
        let file = format!("hugetlb.{}.max", page_size(limit.page_size())?);
        settings.push(Setting::new("hugetlb", file, limit.limit(), "hugepageLimits"));
    }
    if resources.network().is_some() {
        return Err(unsupported("network", "cgroup v2 has no net_cls and net_prio"));
    }
    if resources.rdma().as_ref().is_some_and(|rdma| !rdma.is_empty()) {
        return Err(unsupported("rdma", "the rdma controller is not handled"));
    }
    for (file, value) in resources.unified().iter().flatten() {
        if file.contains('/') || !file.contains('.') || file.starts_with("cgroup.") {
            return Err(CgroupError::Unsupported {
                field: format!("linux.resources.unified.{file}"),
                reason: "it does not name a controller's file",
            });
        }
        for line in value.lines() {
            settings.push(Setting::new("unified", file.as_str(), line, &format!("unified.{file}")));
        }
    }
    Ok(settings)
}

fn memory_settings(memory: &LinuxMemory, settings: &mut Vec<Setting>) -> Result<(), CgroupError> {
    refuse_kernel_memory(memory)?;
    if memory.swappiness().is_some() {
        return Err(unsupported("memory.swappiness", "cgroup v2 has no such setting"));
    }
    if memory.disable_oom_killer() == Some(true) {
        return Err(unsupported("memory.disableOOMKiller", "cgroup v2 has no such setting"));
    }
    let mut push =
        |file: &str, value: String, field| settings.push(Setting::new("memory", file, value, field));
    if let Some(limit) = memory.limit() {
        push("memory.max", bytes_or_max(limit), "memory.limit");
    }
    // The configuration counts memory and swap together, v2 counts swap alone.
    match (memory.swap(), memory.limit()) {
        (None, _) => {}
        (Some(swap), _) if swap < 0 => push("memory.swap.max", "max".to_owned(), "memory.swap"),
        (Some(swap), Some(limit)) if swap >= limit && limit >= 0 => {
            push("memory.swap.max", (swap - limit).to_string(), "memory.swap");
        }
        (Some(_), Some(_)) => return Err(unsupported("memory.swap", "it is smaller than memory.limit")),
        (Some(_), None) => return Err(unsupported("memory.swap", "it needs memory.limit beside it")),
    }
    if let Some(reservation) = memory.reservation() {
        push("memory.low", bytes_or_max(reservation), "memory.reservation");
    }
    Ok(())
}

fn cpu_settings(cpu: &LinuxCpu, settings: &mut Vec<Setting>) -> Result<(), CgroupError> {
    if cpu.realtime_runtime().is_some() || cpu.realtime_period().is_some() {
        return Err(unsupported("cpu.realtimeRuntime", "cgroup v2 has no such setting"));
    }
    let mut push = |controller, file: &str, value: Option<String>, field| {
        settings.extend(value.map(|value| Setting::new(controller, file, value, field)));
    };
    let weight = cpu.shares().filter(|shares| *shares > 0).map(|shares| weight_of_shares(shares).to_string());
    push("cpu", "cpu.weight", weight, "cpu.shares");
    let max = (cpu.quota().is_some() || cpu.period().is_some()).then(|| {
        let quota =
            cpu.quota().filter(|quota| *quota > 0).map_or("max".to_owned(), |quota| quota.to_string());
        format!("{quota} {}", cpu.period().unwrap_or(100_000))
    });
    push("cpu", "cpu.max", max, "cpu.quota");
    push("cpu", "cpu.max.burst", cpu.burst().map(|n| n.to_string()), "cpu.burst");
    push("cpu", "cpu.idle", cpu.idle().map(|n| n.to_string()), "cpu.idle");
    push("cpuset", "cpuset.cpus", cpu.cpus().clone(), "cpu.cpus");
    push("cpuset", "cpuset.mems", cpu.mems().clone(), "cpu.mems");
    Ok(())
}

/// v1's shares, 2 to 262144, on v2's scale of 1 to 10000, as every runtime maps them.
fn weight_of_shares(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

fn block_io_settings(block_io: &LinuxBlockIo, settings: &mut Vec<Setting>) -> Result<(), CgroupError> {
    refuse_block_io(block_io)?;
    if let Some(weight) = block_io.weight() {
        let weight = 1 + (u64::from(weight).clamp(10, 1000) - 10) * 9999 / 990;
        settings.push(Setting::new("io", "io.weight", format!("default {weight}"), "blockIO.weight"));
    }
    for (key, devices, field) in [
        ("rbps", block_io.throttle_read_bps_device(), "blockIO.throttleReadBpsDevice"),
        ("wbps", block_io.throttle_write_bps_device(), "blockIO.throttleWriteBpsDevice"),
        ("riops", block_io.throttle_read_iops_device(), "blockIO.throttleReadIOPSDevice"),
        ("wiops", block_io.throttle_write_iops_device(), "blockIO.throttleWriteIOPSDevice"),
    ] {
        for device in devices.iter().flatten() {
            let value = format!("{}:{} {key}={}", device.major(), device.minor(), device.rate());
            settings.push(Setting::new("io", "io.max", value, field));
        }
    }
    Ok(())
}

/// What neither version honours.
pub(super) fn refuse_block_io(block_io: &LinuxBlockIo) -> Result<(), CgroupError> {
    if block_io.leaf_weight().is_some() {
        return Err(unsupported("blockIO.leafWeight", "current kernels have no such setting"));
    }
    if block_io.weight_device().as_ref().is_some_and(|devices| !devices.is_empty()) {
        return Err(unsupported("blockIO.weightDevice", "weights for one device are not handled"));
    }
    Ok(())
}

/// What neither version honours.
pub(super) fn refuse_kernel_memory(memory: &LinuxMemory) -> Result<(), CgroupError> {
    if memory.kernel().is_some() || memory.kernel_tcp().is_some() {
        return Err(unsupported("memory.kernel", "kernel memory has no limit of its own any more"));
    }
    if memory.check_before_update() == Some(true) {
        return Err(unsupported("memory.checkBeforeUpdate", "it is not handled"));
    }
    Ok(())
}

/// A count where everything from zero down means no limit.
pub(super) fn limit_or_max(limit: i64) -> String {
    if limit > 0 { limit.to_string() } else { "max".to_owned() }
}

fn bytes_or_max(bytes: i64) -> String {
    if bytes < 0 { "max".to_owned() } else { bytes.to_string() }
}

/// A huge page's size as file names have it, refused where it could be anything else.
pub(super) fn page_size(size: &str) -> Result<&str, CgroupError> {
    if !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(size);
    }
    Err(unsupported("hugepageLimits", "it names no page size"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::{LinuxMemoryBuilder, LinuxResourcesBuilder};

    #[test]
    fn shares_map_to_the_ends_of_the_weight_scale() {
        assert_eq!(weight_of_shares(2), 1);
        assert_eq!(weight_of_shares(1024), 39);
        assert_eq!(weight_of_shares(262_144), 10_000);
    }

    #[test]
    fn swap_is_counted_without_the_memory() {
        let memory = LinuxMemoryBuilder::default().limit(100).swap(150).build().unwrap();
        let resources = LinuxResourcesBuilder::default().memory(memory).build().unwrap();
        let values: Vec<_> = settings(&resources).unwrap().into_iter().map(|s| (s.file, s.value)).collect();
        assert_eq!(values, [("memory.max".into(), "100".into()), ("memory.swap.max".into(), "50".into())]);
    }

    #[test]
    fn a_unified_key_cannot_leave_the_group() {
        let unified = [("../memory.max".to_owned(), "1".to_owned())];
        let resources = LinuxResourcesBuilder::default()
            .unified(unified.into_iter().collect::<std::collections::HashMap<_, _>>())
            .build()
            .unwrap();
        assert!(settings(&resources).unwrap_err().to_string().contains("unified.../memory.max"));
    }
}
