//! cgroup v2: one directory. Kernel: Documentation/admin-guide/cgroup-v2.rst.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};

use super::CgroupError;
use super::convert::{
    bytes_or_max, io_weight, page_size, process_limit_or_max, rdma_settings, refuse_block_io, refuse_memory,
    swap_alone, weight_of_shares,
};
use super::files::Files;
use super::setting::{Setting, Value, unsupported};

/// The controllers that limits or statistics need.
const WANTED: [&str; 6] = ["cpu", "cpuset", "io", "memory", "pids", "hugetlb"];

/// Makes the directory. With `controllers`, each ancestor passes on to it what the host offers of the usual ones and
/// what `resources` needs beside them.
pub(super) fn make(
    dir: &Path,
    name: &Path,
    controllers: bool,
    resources: Option<&LinuxResources>,
) -> Result<(), CgroupError> {
    let wrap = |source| CgroupError::Make { path: dir.to_owned(), source };
    let mut wanted: Vec<&str> = WANTED.to_vec();
    if let Some(resources) = resources {
        let unified = resources.unified().iter().flatten();
        wanted.extend(unified.filter_map(|(file, _)| file.split_once('.')).map(|(controller, _)| controller));
        wanted.extend(resources.rdma().iter().map(|_| "rdma"));
        wanted.sort_unstable();
        wanted.dedup();
    }
    let depth = name.components().count();
    let mut levels: Vec<&Path> = dir.ancestors().take(depth + 1).collect();
    levels.reverse();
    for pair in levels.windows(2) {
        if let [parent, level] = pair {
            if controllers {
                pass_on(parent, &wanted).map_err(wrap)?;
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
fn pass_on(parent: &Path, wanted: &[&str]) -> std::io::Result<()> {
    const FILE: &str = "cgroup.subtree_control";
    let files = Files::open(parent)?;
    let offered = files.text("cgroup.controllers")?;
    if offered.trim().is_empty() {
        return Ok(());
    }
    let enabled = files.text(FILE)?;
    let has = |list: &str, name: &str| list.split_whitespace().any(|word| word == name);
    let missing: Vec<String> = wanted
        .iter()
        .filter(|name| has(&offered, name) && !has(&enabled, name))
        .map(|name| format!("+{name}"))
        .collect();
    if missing.is_empty() || files.write(FILE, &missing.join(" ")).is_ok() {
        return Ok(());
    }
    for name in missing {
        match files.write(FILE, &name) {
            // Busy: the parent holds processes itself. Denied: it is not ours. A limit that needs the controller
            // will say so by its field.
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(
                        libc::EBUSY
                            | libc::EINVAL
                            | libc::EOPNOTSUPP
                            | libc::EACCES
                            | libc::EPERM
                            | libc::EROFS
                    )
                ) => {}
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
        settings.push(Setting::new("pids", "pids.max", process_limit_or_max(pids.limit()), "pids.limit"));
    }
    if let Some(block_io) = resources.block_io() {
        block_io_settings(block_io, &mut settings)?;
    }
    for limit in resources.hugepage_limits().iter().flatten() {
        let size = page_size(limit.page_size())?;
        let limit = bytes_or_max(limit.limit());
        let setting = |file| Setting::new("hugetlb", file, &limit, "hugepageLimits");
        settings.push(setting(format!("hugetlb.{size}.max")));
        settings.push(setting(format!("hugetlb.{size}.rsvd.max")).optional());
    }
    if let Some(network) = resources.network() {
        const REASON: &str = "cgroup v2 has no net_cls and net_prio";
        if network.class_id().is_some_and(|id| id != 0) {
            return Err(unsupported("network.classID", REASON));
        }
        if network.priorities().as_ref().is_some_and(|list| !list.is_empty()) {
            return Err(unsupported("network.priorities", REASON));
        }
    }
    rdma_settings(resources, &mut settings)?;
    unified_settings(resources, &mut settings)?;
    Ok(settings)
}

/// Files by name: each must be a controller's own, in the group's directory.
fn unified_settings(resources: &LinuxResources, settings: &mut Vec<Setting>) -> Result<(), CgroupError> {
    let mut files: Vec<_> = resources.unified().iter().flatten().collect();
    files.sort_unstable();
    for (file, value) in files {
        let refuse = |reason| unsupported(&format!("unified.{file}"), reason);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
        let controller = file.split_once('.').map_or("", |(controller, _)| controller);
        if controller.is_empty() || controller == "cgroup" || !file.bytes().all(plain) {
            return Err(refuse("it does not name a controller's file"));
        }
        if value.contains('\0') {
            return Err(refuse("its value has a null character"));
        }
        for line in value.lines().filter(|line| !line.trim().is_empty()) {
            settings.push(Setting::new(controller, file, line.trim(), &format!("unified.{file}")));
        }
    }
    Ok(())
}

fn memory_settings(memory: &LinuxMemory, settings: &mut Vec<Setting>) -> Result<(), CgroupError> {
    refuse_memory(memory)?;
    if memory.swappiness().is_some() {
        return Err(unsupported("memory.swappiness", "cgroup v2 has no such setting"));
    }
    if memory.disable_oom_killer() == Some(true) {
        return Err(unsupported("memory.disableOOMKiller", "cgroup v2 has no such setting"));
    }
    let setting = |file, value, field| Setting::new("memory", file, bytes_or_max(value), field);
    if let Some(swap) = swap_alone(memory)? {
        let limit = setting("memory.swap.max", swap, "memory.swap");
        // A kernel that counts no swap has none to use, and none to limit.
        settings.push(if swap <= 0 { limit.optional() } else { limit });
    }
    // 0 means unset, as callers in Go leave it.
    if let Some(limit) = memory.limit().filter(|limit| *limit != 0) {
        settings.push(setting("memory.max", limit, "memory.limit"));
    }
    if let Some(reservation) = memory.reservation().filter(|reservation| *reservation != 0) {
        settings.push(setting("memory.low", reservation, "memory.reservation"));
    }
    Ok(())
}

/// `memory.checkBeforeUpdate`: a limit below what is in use is refused, as v1 does of itself, where v2 would kill.
pub(super) fn check_usage(dir: &Path, memory: &LinuxMemory) -> Result<(), CgroupError> {
    if memory.check_before_update() != Some(true) {
        return Ok(());
    }
    let usage_bytes = Files::open(dir).ok().and_then(|files| files.number("memory.current")).unwrap_or(0);
    for (limit, field) in [(memory.limit(), "memory.limit"), (memory.swap(), "memory.swap")] {
        let limit = limit.filter(|limit| *limit > 0).and_then(|limit| u64::try_from(limit).ok());
        if let Some(limit_bytes) = limit.filter(|limit| *limit < usage_bytes) {
            return Err(CgroupError::InUse {
                field: format!("linux.resources.{field}"),
                limit_bytes,
                usage_bytes,
            });
        }
    }
    Ok(())
}

fn cpu_settings(cpu: &LinuxCpu, settings: &mut Vec<Setting>) -> Result<(), CgroupError> {
    const REASON: &str = "cgroup v2 has no such setting";
    if cpu.realtime_runtime().is_some_and(|runtime| runtime != 0) {
        return Err(unsupported("cpu.realtimeRuntime", REASON));
    }
    if cpu.realtime_period().is_some_and(|period| period != 0) {
        return Err(unsupported("cpu.realtimePeriod", REASON));
    }
    let mut push = |controller, file: &str, value: Option<Value>, field| {
        settings.extend(value.map(|value| Setting::new_value(controller, file, value, field)));
    };
    let text = |value: &Option<String>| value.clone().filter(|text| !text.is_empty()).map(Value::Text);
    let shares = cpu.shares().filter(|shares| *shares > 0);
    push("cpu", "cpu.weight", shares.map(|shares| weight_of_shares(shares).into()), "cpu.shares");
    let period = cpu.period().filter(|period| *period > 0);
    let quota = cpu.quota().filter(|quota| *quota != 0).map(bytes_or_max);
    let max = match (quota, period) {
        (Some(quota), Some(period)) => Some(Value::Text(format!("{quota} {period}"))),
        (Some(quota), None) => Some(Value::Text(quota)),
        (None, Some(period)) => Some(Value::AfterFirstWord(period.to_string())),
        (None, None) => None,
    };
    push("cpu", "cpu.max", max, "cpu.quota");
    push("cpu", "cpu.max.burst", cpu.burst().map(Value::from), "cpu.burst");
    push("cpu", "cpu.idle", cpu.idle().map(Value::from), "cpu.idle");
    push("cpuset", "cpuset.cpus", text(cpu.cpus()), "cpu.cpus");
    push("cpuset", "cpuset.mems", text(cpu.mems()), "cpu.mems");
    Ok(())
}

fn block_io_settings(block_io: &LinuxBlockIo, settings: &mut Vec<Setting>) -> Result<(), CgroupError> {
    refuse_block_io(block_io)?;
    // Where the BFQ scheduler is there its own file counts, with v1's scale.
    if let Some(weight) = block_io.weight().filter(|weight| *weight != 0) {
        let field = "blockIO.weight";
        let io = Setting::new("io", "io.weight", format!("default {}", io_weight(weight)), field);
        settings.push(Setting::new("io", "io.bfq.weight", weight, field).or(io));
    }
    for device in block_io.weight_device().iter().flatten() {
        let (field, weight) = ("blockIO.weightDevice", device.weight().unwrap_or(0));
        let id = format!("{}:{}", device.major(), device.minor());
        let io = Setting::new("io", "io.weight", format!("{id} {}", io_weight(weight)), field);
        settings.push(Setting::new("io", "io.bfq.weight", format!("{id} {weight}"), field).or(io));
    }
    for (key, devices, field) in [
        ("rbps", block_io.throttle_read_bps_device(), "blockIO.throttleReadBpsDevice"),
        ("wbps", block_io.throttle_write_bps_device(), "blockIO.throttleWriteBpsDevice"),
        ("riops", block_io.throttle_read_iops_device(), "blockIO.throttleReadIOPSDevice"),
        ("wiops", block_io.throttle_write_iops_device(), "blockIO.throttleWriteIOPSDevice"),
    ] {
        for device in devices.iter().flatten() {
            // 0 takes the limit away, as on v1.
            let rate = if device.rate() == 0 { "max".to_owned() } else { device.rate().to_string() };
            let value = format!("{}:{} {key}={rate}", device.major(), device.minor());
            settings.push(Setting::new("io", "io.max", value, field));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(resources: serde_json::Value) -> Result<Vec<(String, Value)>, String> {
        let resources: LinuxResources = serde_json::from_value(resources).unwrap();
        let settings = settings(&resources).map_err(|error| error.to_string())?;
        Ok(settings.into_iter().map(|setting| (setting.file, setting.value)).collect())
    }

    fn file(name: &str, value: &str) -> (String, Value) {
        (name.to_owned(), Value::Text(value.to_owned()))
    }

    #[test]
    fn swap_is_written_before_memory_and_alone() {
        let found =
            written(serde_json::json!({"memory": {"limit": 100, "swap": 150, "reservation": -1}})).unwrap();
        let wanted = [file("memory.swap.max", "50"), file("memory.max", "100"), file("memory.low", "max")];
        assert_eq!(found, wanted);
    }

    #[test]
    fn zero_is_not_a_limit_but_nothing_said() {
        let resources = serde_json::json!({
            "memory": {"limit": 0, "swap": 0, "reservation": 0, "kernel": 0, "kernelTCP": -1},
            "cpu": {"shares": 0, "quota": 0, "period": 0, "realtimeRuntime": 0, "realtimePeriod": 0, "cpus": "", "mems": ""},
            "blockIO": {"weight": 0, "leafWeight": 0}, "network": {}, "rdma": {}, "unified": {}, "hugepageLimits": [],
        });
        assert_eq!(written(resources).unwrap(), []);
    }

    #[test]
    fn a_quota_leaves_the_period_and_a_period_the_quota() {
        assert_eq!(written(serde_json::json!({"cpu": {"quota": 5000}})).unwrap(), [file("cpu.max", "5000")]);
        assert_eq!(written(serde_json::json!({"cpu": {"quota": -1}})).unwrap(), [file("cpu.max", "max")]);
        let period = written(serde_json::json!({"cpu": {"period": 5000}})).unwrap();
        assert_eq!(period, [("cpu.max".to_owned(), Value::AfterFirstWord("5000".to_owned()))]);
    }

    #[test]
    fn a_unified_key_cannot_leave_the_group_or_steer_it() {
        for key in [
            "../memory.max",
            "/x.y",
            "..",
            ".",
            "cgroup.procs",
            "cgroup.freeze",
            "memory",
            "memory.max/..",
            "",
        ] {
            let error = written(serde_json::json!({"unified": {key: "1"}})).unwrap_err();
            assert!(error.contains(&format!("linux.resources.unified.{key} is not supported")), "{error}");
        }
        let lines =
            written(serde_json::json!({"unified": {"io.max": "259:0 rbps=1\n253:0 rbps=2\n"}})).unwrap();
        assert_eq!(lines, [file("io.max", "259:0 rbps=1"), file("io.max", "253:0 rbps=2")]);
    }

    #[test]
    fn what_v2_does_not_have_is_refused_by_name() {
        for (resources, field) in [
            (serde_json::json!({"memory": {"kernel": 1 << 20}}), "memory.kernel"),
            (serde_json::json!({"memory": {"kernelTCP": 1 << 20}}), "memory.kernelTCP"),
            (serde_json::json!({"memory": {"swappiness": 0}}), "memory.swappiness"),
            (serde_json::json!({"memory": {"disableOOMKiller": true}}), "memory.disableOOMKiller"),
            (serde_json::json!({"memory": {"useHierarchy": false}}), "memory.useHierarchy"),
            (serde_json::json!({"cpu": {"realtimeRuntime": 1}}), "cpu.realtimeRuntime"),
            (serde_json::json!({"cpu": {"realtimePeriod": 1}}), "cpu.realtimePeriod"),
            (serde_json::json!({"blockIO": {"leafWeight": 10}}), "blockIO.leafWeight"),
            (serde_json::json!({"network": {"classID": 10}}), "network.classID"),
            (
                serde_json::json!({"network": {"priorities": [{"name": "x", "priority": 1}]}}),
                "network.priorities",
            ),
            (serde_json::json!({"rdma": {"a b": {"hcaHandles": 1}}}), "rdma"),
            (serde_json::json!({"rdma": {"mlx5_1": {}}}), "rdma"),
            (serde_json::json!({"hugepageLimits": [{"pageSize": "../2MB", "limit": 1}]}), "hugepageLimits"),
        ] {
            let error = written(resources).unwrap_err();
            assert!(error.contains(&format!("linux.resources.{field}")), "{error}");
        }
    }
}
