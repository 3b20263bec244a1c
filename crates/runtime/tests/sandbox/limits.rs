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
    let (quota, shares) = if is_v2() { ("50000 100000", "59") } else { ("50000", "512") };
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

/// The file of a controller in a running sandbox's group, on the host.
fn host_file(bundle: &Bundle, v1: &str, v2: &str) -> String {
    let (controller, file) = v1.split_once('/').unwrap();
    let dirs = bundle.cgroups();
    let dir = if is_v2() {
        dirs.first()
    } else {
        dirs.iter().find(|dir| dir.starts_with(format!("/sys/fs/cgroup/{controller}")))
    };
    let path = dir.unwrap().join(if is_v2() { v2 } else { file });
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}")).trim().to_owned()
}

#[test]
fn an_update_changes_what_it_names_and_leaves_the_rest() {
    let bundle = Bundle::sh("sleep 60")
        .with("/linux/resources/memory", json!({"limit": 67_108_864, "swap": 67_108_864}))
        .with("/linux/resources/cpu", json!({"quota": 50_000, "period": 100_000, "shares": 1024}));
    bundle.start();
    let update = |resources: serde_json::Value| {
        let path = bundle.dir.path().join("resources.json");
        std::fs::write(&path, resources.to_string()).unwrap();
        bundle.try_verb(&["update", "--resources", path.to_str().unwrap(), &bundle.id])
    };
    // Up and down: each time another file has to come first.
    for mib in [128_u64, 32, 64] {
        let bytes = mib << 20;
        let outcome = update(json!({"memory": {"limit": bytes, "swap": bytes}}));
        assert_eq!(outcome.code, 0, "{outcome:?}");
        assert_eq!(host_file(&bundle, "memory/memory.limit_in_bytes", "memory.max"), bytes.to_string());
    }
    for (cpu, v1_quota, v1_period, v2) in [
        (json!({"period": 200_000}), "50000", "200000", "50000 200000"),
        (json!({"quota": 20_000}), "20000", "200000", "20000 200000"),
        (json!({"quota": -1}), "-1", "200000", "max 200000"),
    ] {
        let outcome = update(json!({"cpu": cpu}));
        assert_eq!(outcome.code, 0, "{outcome:?}");
        if is_v2() {
            assert_eq!(host_file(&bundle, "cpu/", "cpu.max"), v2);
        } else {
            assert_eq!(host_file(&bundle, "cpu/cpu.cfs_quota_us", ""), v1_quota);
            assert_eq!(host_file(&bundle, "cpu/cpu.cfs_period_us", ""), v1_period);
        }
    }
    let weight = host_file(&bundle, "cpu/cpu.shares", "cpu.weight");
    assert_eq!(weight, if is_v2() { "100" } else { "1024" });
    let outcome = update(json!({"memory": {"limit": 4096, "swap": 4096, "checkBeforeUpdate": true}}));
    assert_ne!(outcome.code, 0);
    assert!(outcome.stderr.contains("linux.resources.memory"), "{outcome:?}");
    assert_eq!(bundle.status(), "running");
}

#[test]
fn no_process_can_make_another_with_a_limit_of_none() {
    let bundle = Bundle::sh("cat /nothing & echo made");
    // The first process is the one that may be.
    let outcome = bundle.with("/linux/resources/pids", json!({"limit": 0})).run();
    assert!(outcome.code != 0 && !outcome.stdout.contains("made"), "{outcome:?}");
    let bundle = Bundle::sh("cat /proc/self/comm").with("/linux/resources/pids", json!({}));
    assert_eq!(bundle.stdout(), "cat\n");
}

#[test]
fn device_rules_hold_and_an_update_replaces_them() {
    let every = serde_json::to_value(gaufre_runtime::available_capabilities()).unwrap();
    let bundle = Bundle::sh("sleep 60")
        .with("/process/capabilities", json!({"bounding": every, "permitted": every, "effective": every}))
        .with("/linux/seccomp", serde_json::Value::Null);
    bundle.start();
    let mut open = |number: &str| {
        let script =
            format!("mknod /tmp/{number} c 1 {number}; dd if=/tmp/{number} count=0 2>&1 && echo allowed");
        bundle.exec(&script).stdout.contains("allowed")
    };
    // The container's own full device, the host's messages and memory: any node can be made, not any opened.
    assert_eq!(["7", "11", "1"].map(&mut open), [true, false, false]);
    for (rules, allowed) in [
        (
            json!([{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "r"}]),
            true,
        ),
        (json!([{"allow": false, "access": "rwm"}]), false),
    ] {
        let path = bundle.dir.path().join("resources.json");
        std::fs::write(&path, json!({"devices": rules}).to_string()).unwrap();
        bundle.must(&["update", "--resources", path.to_str().unwrap(), &bundle.id]);
        // Were the rules from before in force beside the new ones, the narrower would win.
        assert_eq!(["7", "11", "1"].map(&mut open), [true, allowed, false]);
    }
}

#[test]
fn statistics_are_those_of_the_group() {
    let bundle = Bundle::sh("while :; do :; done")
        .with("/linux/resources/memory", json!({"limit": 67_108_864}))
        .with("/linux/resources/pids", json!({"limit": 50}))
        .with("/linux/resources/cpu", json!({"quota": 90_000, "period": 100_000}));
    bundle.start();
    let stats = || {
        let event: serde_json::Value =
            serde_json::from_str(&bundle.must(&["events", "--stats", &bundle.id])).unwrap();
        event["data"].clone()
    };
    crate::bundle::eventually("a period has passed", || {
        stats()["cpu"]["throttling"]["periods"].as_u64() > Some(0)
    });
    let stats = stats();
    assert_eq!(stats["memory"]["usage"]["limit"], 67_108_864, "{stats}");
    assert!(stats["memory"]["usage"]["usage"].as_u64() > Some(0), "{stats}");
    assert!(stats["memory"]["raw"].as_object().is_some_and(|raw| raw.len() > 10), "{stats}");
    assert_eq!(stats["pids"]["limit"], 50);
    assert!(stats["pids"]["current"].as_u64() > Some(0));
    assert!(stats["cpu"]["usage"]["total"].as_u64() > Some(0), "{stats}");
}

#[test]
fn a_field_that_this_host_cannot_honour_is_named_and_leaves_nothing() {
    let mut refused = vec![
        ("memory", json!({"kernel": 1 << 20}), "memory.kernel"),
        ("memory", json!({"useHierarchy": false}), "memory.useHierarchy"),
        ("memory", json!({"swappiness": 101}), "memory.swappiness"),
        ("blockIO", json!({"leafWeight": 10}), "blockIO.leafWeight"),
        ("hugepageLimits", json!([{"pageSize": "3MB", "limit": 1}]), "hugepageLimits"),
        ("rdma", json!({"mlx5_1": {"hcaHandles": 3}}), "rdma"),
    ];
    if is_v2() {
        refused.extend([
            ("memory", json!({"swappiness": 10}), "memory.swappiness"),
            ("memory", json!({"disableOOMKiller": true}), "memory.disableOOMKiller"),
            ("memory", json!({"limit": 1 << 20, "swap": 1 << 19}), "memory.swap"),
            ("cpu", json!({"realtimeRuntime": 1000}), "cpu.realtimeRuntime"),
            ("network", json!({"classID": 5}), "network.classID"),
            ("unified", json!({"coffee.max": "1"}), "unified.coffee.max"),
            ("unified", json!({"../memory.max": "1"}), "unified.../memory.max"),
        ]);
    } else {
        refused.push(("unified", json!({"memory.high": "1"}), "unified.memory.high"));
    }
    for (key, value, field) in refused {
        let error = Bundle::sh("true").with(&format!("/linux/resources/{key}"), value).failure();
        assert!(error.contains(&format!("linux.resources.{field}")), "{error}");
    }
}

#[test]
fn files_of_the_unified_hierarchy_are_written_by_name() {
    if !is_v2() {
        // Refused there, as the test before says.
        return;
    }
    let bundle = Bundle::sh("cat /sys/fs/cgroup/memory.high /sys/fs/cgroup/memory.oom.group")
        .with("/linux/resources/unified", json!({"memory.high": "33554432", "memory.oom.group": "1"}));
    assert_eq!(bundle.stdout(), "33554432\n1\n");
}

/// A hybrid host without its v2 hierarchy is one of v1 alone, whose freezer holds back even SIGKILL.
#[test]
fn on_v1_alone_a_container_can_be_paused_go_on_and_be_deleted_while_paused() {
    if is_v2() {
        return;
    }
    let bundle = Bundle::sh("while :; do sleep 0.01; done");
    let on_v1 = |words: &[&str]| {
        let plain = bundle.oci(words);
        let script = "umount -l /sys/fs/cgroup/unified 2>/dev/null; exec \"$@\"";
        let mut command = std::process::Command::new("unshare");
        command.args(["-m", "--propagation", "private", "sh", "-c", script, "sh"]);
        command.arg(plain.get_program()).args(plain.get_args()).current_dir(bundle.dir.path());
        let log = std::fs::File::create(bundle.dir.path().join("log")).unwrap();
        let status =
            command.stdin(std::process::Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).status();
        let log = std::fs::read_to_string(bundle.dir.path().join("log")).unwrap();
        assert!(status.unwrap().success(), "{words:?}: {log}");
        log
    };
    on_v1(&["create", &bundle.id]);
    on_v1(&["start", &bundle.id]);
    for _ in 0..20 {
        on_v1(&["pause", &bundle.id]);
        assert_eq!(host_file(&bundle, "freezer/freezer.state", ""), "FROZEN");
        on_v1(&["resume", &bundle.id]);
        assert_eq!(host_file(&bundle, "freezer/freezer.state", ""), "THAWED");
    }
    on_v1(&["pause", &bundle.id]);
    assert!(on_v1(&["state", &bundle.id]).contains("paused"));
    on_v1(&["delete", "-f", &bundle.id]);
    assert!(bundle.cgroups().is_empty());
}
