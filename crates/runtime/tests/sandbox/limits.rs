//! Limits, seen from inside and felt.

use serde_json::json;

use crate::bundle::Bundle;

/// Reads a v1 file or, on cgroup v2, the other one.
fn read(v1: &str, v2: &str) -> String {
    format!("cat /sys/fs/cgroup/{v1} 2>/dev/null || cat /sys/fs/cgroup/{v2}")
}

fn is_v2() -> bool {
    std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

#[test]
fn limits_are_what_was_asked() {
    let script = [
        read("memory/memory.limit_in_bytes", "memory.max"),
        read("pids/pids.max", "pids.max"),
        read("cpu/cpu.cfs_quota_us", "cpu.max"),
        read("cpu/cpu.shares", "cpu.weight"),
        read("cpuset/cpuset.cpus", "cpuset.cpus"),
    ]
    .join("; ");
    let bundle = Bundle::sh(&script)
        .with("/linux/resources/memory", json!({"limit": 67_108_864}))
        .with("/linux/resources/pids", json!({"limit": 50}))
        .with(
            "/linux/resources/cpu",
            json!({"quota": 50_000, "period": 100_000, "shares": 512, "cpus": "0"}),
        );
    let (quota, shares) = if is_v2() { ("50000 100000", "20") } else { ("50000", "512") };
    assert_eq!(bundle.stdout(), format!("67108864\n50\n{quota}\n{shares}\n0\n"));
}

#[test]
fn too_much_memory_is_killed() {
    let bundle =
        Bundle::sh("tail /dev/zero; echo $?").with("/linux/resources/memory", json!({"limit": 16_777_216}));
    assert!(bundle.run().stdout.contains("137"));
}

#[test]
fn too_many_processes_are_refused() {
    let bundle = Bundle::sh("for i in $(seq 20); do sleep 1 & done; echo unreachable")
        .with("/linux/resources/pids", json!({"limit": 5}));
    let outcome = bundle.run();
    assert!(outcome.stderr.contains("can't fork"), "{outcome:?}");
}

#[test]
fn a_limit_that_cannot_be_applied_is_named_and_leaves_nothing() {
    let error = Bundle::sh("true").with("/linux/resources/cpu", json!({"cpus": "4000"})).failure();
    assert!(error.contains("linux.resources.cpu.cpus"), "{error}");
    if !is_v2() {
        let error =
            Bundle::sh("true").with("/linux/resources/unified", json!({"memory.high": "1"})).failure();
        assert!(error.contains("linux.resources.unified"), "{error}");
    }
}

#[test]
fn the_group_is_gone_after_the_run() {
    let bundle = Bundle::sh("true");
    bundle.stdout();
    assert!(bundle.cgroups().is_empty());
    assert!(!bundle.state_dir().exists());
}
