//! cgroup v1: one directory in each hierarchy. Kernel: Documentation/admin-guide/cgroup-v1.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxNetwork, LinuxResources};

use super::convert::{page_size, process_limit_or_max, rdma_settings, refuse_block_io, refuse_memory};
use super::files::Files;
use super::setting::{Setting, unsupported};
use super::{CgroupError, devices};

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
        inherit(level).map_err(wrap)?;
    }
    Ok(())
}

fn inherit(level: &Path) -> std::io::Result<()> {
    let files = Files::open(level)?;
    let mut parent = None;
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if files.text(file)?.trim().is_empty() {
            let parent = match &mut parent {
                Some(parent) => parent,
                none => none.insert(Files::open(level.parent().unwrap_or(level))?),
            };
            files.write(file, parent.text(file)?.trim())?;
        }
    }
    Ok(())
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
        settings.push(Setting::new("pids", "pids.max", process_limit_or_max(pids.limit()), "pids.limit"));
    }
    if let Some(block_io) = resources.block_io() {
        block_io_settings(block_io, &mut settings)?;
    }
    for limit in resources.hugepage_limits().iter().flatten() {
        let size = page_size(limit.page_size())?;
        let setting = |file| Setting::new("hugetlb", file, limit.limit(), "hugepageLimits");
        settings.push(setting(format!("hugetlb.{size}.limit_in_bytes")));
        settings.push(setting(format!("hugetlb.{size}.rsvd.limit_in_bytes")).optional());
    }
    if let Some(network) = resources.network() {
        network_settings(network, &mut settings)?;
    }
    rdma_settings(resources, &mut settings)?;
    if let Some((file, _)) = resources.unified().iter().flatten().next() {
        return Err(unsupported(&format!("unified.{file}"), "this host has its controllers on cgroup v1"));
    }
    for rule in resources.devices().iter().flat_map(|rules| devices::effective(rules)) {
        let file = if rule.allow() { "devices.allow" } else { "devices.deny" };
        settings.push(Setting::new("devices", file, devices::v1_value(&rule)?, "devices"));
    }
    Ok(settings)
}

/// 0 means unset, as callers in Go leave it.
fn memory_settings(memory: &LinuxMemory, settings: &mut Vec<Setting>) -> Result<(), CgroupError> {
    refuse_memory(memory)?;
    let mut push = |file: &str, value: i64, field| settings.push(Setting::new("memory", file, value, field));
    let set = |value: Option<i64>| value.filter(|value| *value != 0);
    if let Some(limit) = set(memory.limit()) {
        push("memory.limit_in_bytes", limit, "memory.limit");
    }
    if let Some(swap) = set(memory.swap()) {
        push("memory.memsw.limit_in_bytes", swap, "memory.swap");
    }
    if let Some(reservation) = set(memory.reservation()) {
        push("memory.soft_limit_in_bytes", reservation, "memory.reservation");
    }
    if let Some(swappiness) = memory.swappiness() {
        settings.push(Setting::new("memory", "memory.swappiness", swappiness, "memory.swappiness"));
    }
    if let Some(disable) = memory.disable_oom_killer() {
        let field = "memory.disableOOMKiller";
        settings.push(Setting::new("memory", "memory.oom_control", u8::from(disable), field));
    }
    if memory.limit().is_some_and(|limit| limit < 0) && set(memory.swap()).is_none() {
        // Memory alone cannot pass the limit of memory and swap.
        let both = Setting::new("memory", "memory.memsw.limit_in_bytes", -1, "memory.limit");
        settings.push(both.optional());
    }
    Ok(())
}

fn cpu_settings(cpu: &LinuxCpu, settings: &mut Vec<Setting>) {
    let mut push = |controller, file: &str, value: Option<String>, field| {
        settings.extend(value.map(|value| Setting::new(controller, file, value, field)));
    };
    let text = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
    let set = |value: Option<u64>| value.filter(|value| *value != 0).map(|value| value.to_string());
    let signed = |value: Option<i64>| value.filter(|value| *value != 0).map(|value| value.to_string());
    push("cpu", "cpu.shares", set(cpu.shares()), "cpu.shares");
    push("cpu", "cpu.cfs_period_us", set(cpu.period()), "cpu.period");
    push("cpu", "cpu.cfs_quota_us", signed(cpu.quota()), "cpu.quota");
    push("cpu", "cpu.cfs_burst_us", cpu.burst().map(|burst| burst.to_string()), "cpu.burst");
    push("cpu", "cpu.idle", cpu.idle().map(|idle| idle.to_string()), "cpu.idle");
    push("cpu", "cpu.rt_period_us", set(cpu.realtime_period()), "cpu.realtimePeriod");
    push("cpu", "cpu.rt_runtime_us", signed(cpu.realtime_runtime()), "cpu.realtimeRuntime");
    push("cpuset", "cpuset.cpus", text(cpu.cpus()), "cpu.cpus");
    push("cpuset", "cpuset.mems", text(cpu.mems()), "cpu.mems");
}

fn block_io_settings(block_io: &LinuxBlockIo, settings: &mut Vec<Setting>) -> Result<(), CgroupError> {
    refuse_block_io(block_io)?;
    // CFQ's file is gone since Linux 5.0; BFQ's has the same scale.
    let mut weight = |file: &str, value: &str, field| {
        let bfq = Setting::new("blkio", format!("blkio.bfq.{file}"), value, field);
        settings.push(Setting::new("blkio", format!("blkio.{file}"), value, field).or(bfq));
    };
    if let Some(value) = block_io.weight().filter(|weight| *weight != 0) {
        weight("weight", &value.to_string(), "blockIO.weight");
    }
    for device in block_io.weight_device().iter().flatten() {
        let value = format!("{}:{} {}", device.major(), device.minor(), device.weight().unwrap_or(0));
        weight("weight_device", &value, "blockIO.weightDevice");
    }
    for (file, devices, field) in [
        ("read_bps", block_io.throttle_read_bps_device(), "blockIO.throttleReadBpsDevice"),
        ("write_bps", block_io.throttle_write_bps_device(), "blockIO.throttleWriteBpsDevice"),
        ("read_iops", block_io.throttle_read_iops_device(), "blockIO.throttleReadIOPSDevice"),
        ("write_iops", block_io.throttle_write_iops_device(), "blockIO.throttleWriteIOPSDevice"),
    ] {
        for device in devices.iter().flatten() {
            let value = format!("{}:{} {}", device.major(), device.minor(), device.rate());
            settings.push(Setting::new("blkio", format!("blkio.throttle.{file}_device"), value, field));
        }
    }
    Ok(())
}

fn network_settings(network: &LinuxNetwork, settings: &mut Vec<Setting>) -> Result<(), CgroupError> {
    if let Some(class) = network.class_id().filter(|class| *class != 0) {
        settings.push(Setting::new("net_cls", "net_cls.classid", class, "network.classID"));
    }
    for interface in network.priorities().iter().flatten() {
        let name = interface.name();
        if name.is_empty() || name.bytes().any(|byte| byte.is_ascii_whitespace()) {
            return Err(unsupported("network.priorities", "an interface's name has white space or is empty"));
        }
        let value = format!("{name} {}", interface.priority());
        settings.push(Setting::new("net_prio", "net_prio.ifpriomap", value, "network.priorities"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(resources: serde_json::Value) -> Result<Vec<String>, String> {
        let resources: LinuxResources = serde_json::from_value(resources).unwrap();
        let settings = settings(&resources).map_err(|error| error.to_string())?;
        Ok(settings.into_iter().map(|setting| format!("{}={:?}", setting.file, setting.value)).collect())
    }

    #[test]
    fn zero_is_not_a_limit_but_nothing_said() {
        let resources = serde_json::json!({
            "memory": {"limit": 0, "swap": 0, "reservation": 0, "kernel": 0, "kernelTCP": -1},
            "cpu": {"shares": 0, "quota": 0, "period": 0, "realtimeRuntime": 0, "realtimePeriod": 0, "cpus": "", "mems": ""},
            "blockIO": {"weight": 0}, "network": {"classID": 0}, "unified": {}, "devices": [],
        });
        assert_eq!(written(resources).unwrap(), [""; 0]);
    }

    #[test]
    fn no_limit_on_memory_lifts_that_on_memory_and_swap_too() {
        let found = written(serde_json::json!({"memory": {"limit": -1}})).unwrap();
        let wanted = ["memory.limit_in_bytes=Text(\"-1\")", "memory.memsw.limit_in_bytes=Text(\"-1\")"];
        assert_eq!(found, wanted);
    }

    #[test]
    fn classes_and_priorities_of_network_traffic_have_files_of_their_own() {
        let network =
            serde_json::json!({"classID": 1_048_577, "priorities": [{"name": "eth0", "priority": 5}]});
        let found = written(serde_json::json!({"network": network})).unwrap();
        assert_eq!(found, ["net_cls.classid=Text(\"1048577\")", "net_prio.ifpriomap=Text(\"eth0 5\")"]);
        let network = serde_json::json!({"priorities": [{"name": "eth0 1\neth1", "priority": 5}]});
        assert!(written(serde_json::json!({"network": network})).unwrap_err().contains("network.priorities"));
    }

    #[test]
    fn unified_files_are_refused_by_name() {
        let error = written(serde_json::json!({"unified": {"memory.high": "1"}})).unwrap_err();
        assert!(error.contains("linux.resources.unified.memory.high"), "{error}");
    }
}
