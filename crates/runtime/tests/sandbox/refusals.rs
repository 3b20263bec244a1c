//! What is not honoured is refused by name.

use serde_json::json;

use crate::bundle::Bundle;

#[test]
fn fields_that_are_not_honoured_are_named() {
    for (pointer, value, name) in [
        ("/process/selinuxLabel", json!("x"), "process.selinuxLabel"),
        ("/linux/intelRdt", json!({"closID": "x"}), "linux.intelRdt"),
        ("/linux/netDevices", json!({"a/b": {}}), "linux.netDevices"),
        ("/linux/netDevices", json!({"no-such-device": {}}), "no network device no-such-device"),
        ("/linux/uidMappings", json!([{"hostID": 0, "containerID": 0, "size": 1}]), "uidMappings"),
        ("/linux/timeOffsets", json!({"monotonic": {"secs": 1}}), "linux.timeOffsets"),
        ("/process/scheduler", json!({"policy": "SCHED_ISO"}), "process.scheduler"),
        ("/process/execCPUAffinity", json!({"initial": "x"}), "execCPUAffinity"),
        ("/linux/memoryPolicy", json!({"mode": "MPOL_BIND", "nodes": "x"}), "linux.memoryPolicy"),
        ("/process/commandLine", json!("x"), "process.commandLine"),
        ("/linux/rootfsPropagation", json!("sideways"), "sideways"),
        ("/process/cwd", json!("relative"), "process.cwd"),
        ("/process/args", json!([]), "process.args"),
        ("/process/env", json!(["novalue"]), "process.env"),
        ("/process/oomScoreAdj", json!(5000), "process.oomScoreAdj"),
        ("/ociVersion", json!("3.0"), "ociVersion"),
    ] {
        let error = Bundle::sh("true").with(pointer, value).failure();
        assert!(error.contains(name), "{pointer}: {error}");
    }
}

#[test]
fn a_mount_option_that_is_not_honoured_is_named() {
    let mount = json!({"destination": "/x", "type": "tmpfs", "source": "x", "options": ["copy-symlink"]});
    let error = Bundle::sh("true").mount(mount).failure();
    assert!(error.contains("copy-symlink") && error.contains("/x"), "{error}");
}

#[test]
fn a_mount_over_the_root_itself_is_refused() {
    for destination in ["/", "/tmp/..", "/self"] {
        for kind in ["tmpfs", "bind"] {
            let bundle = Bundle::sh("true");
            std::os::unix::fs::symlink("/", bundle.rootfs().join("self")).unwrap();
            let mount = json!({"destination": destination, "type": kind, "source": "rootfs"});
            let error = bundle.mount(mount).failure();
            assert!(error.contains(destination) && error.contains("cover the root"), "{kind}: {error}");
        }
    }
}

#[test]
fn a_mount_over_a_part_of_procfs_or_sysfs_is_refused_also_where_the_image_leads_it_there() {
    for (destination, source) in [
        ("/proc", "dir"),
        ("/proc/self/attr", "dir"),
        ("/proc/sys", "dir"),
        ("/proc/version", "file"),
        ("/sys", "dir"),
        ("/sys/kernel", "dir"),
        ("/data", "dir"),
        ("/data", "/sys/kernel"),
        ("/linked", "file"),
    ] {
        let bundle = Bundle::sh("true");
        std::fs::create_dir(bundle.dir.path().join("dir")).unwrap();
        std::fs::write(bundle.dir.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink("/sys/kernel", bundle.rootfs().join("data")).unwrap();
        std::os::unix::fs::symlink("/proc/self/attr/exec", bundle.rootfs().join("linked")).unwrap();
        let bind = json!({"destination": destination, "type": "bind", "source": source});
        let error = bundle.mount(bind).failure();
        assert!(error.contains(destination) && error.contains("would cover a part"), "{error}");
    }
    for destination in ["/proc/sys", "/sys/kernel", "/data"] {
        for kind in ["tmpfs", "ramfs"] {
            let bundle = Bundle::sh("true");
            std::os::unix::fs::symlink("/proc/self/attr", bundle.rootfs().join("data")).unwrap();
            let new = json!({"destination": destination, "type": kind, "source": kind});
            let error = bundle.mount(new).failure();
            assert!(error.contains(destination) && error.contains("would cover a part"), "{error}");
        }
    }
}

#[test]
fn a_remount_does_not_follow_a_link_of_the_image() {
    let remount = |destination: &str| {
        let bundle = Bundle::sh("grep ' /sys ' /proc/mounts");
        std::os::unix::fs::symlink("/sys", bundle.rootfs().join("data")).unwrap();
        bundle.mount(json!({"destination": destination, "type": "none", "options": ["remount", "rw"]}))
    };
    let error = remount("/data").failure();
    assert!(error.contains("/data in the container"), "{error}");
    assert!(remount("/sys").stdout().contains(" rw,"));
}

#[test]
fn files_of_proc_that_only_tell_may_be_replaced_and_kernel_file_systems_shown_in_sys() {
    let bundle =
        Bundle::sh("cat /proc/uptime /proc/stat; ls /sys/fs/cgroup > /dev/null && ls -d /sys/kernel/mm");
    std::fs::write(bundle.dir.path().join("file"), "replaced\n").unwrap();
    let mut bundle = bundle;
    for (destination, source) in [
        ("/proc/uptime", "file"),
        ("/proc/stat", "file"),
        ("/sys/kernel", "/sys/kernel"),
        ("/sys/fs/cgroup", "/sys/fs/cgroup"),
    ] {
        let mount =
            json!({"destination": destination, "type": "bind", "source": source, "options": ["rbind", "ro"]});
        bundle = bundle.mount(mount);
    }
    assert_eq!(bundle.stdout(), "replaced\nreplaced\n/sys/kernel/mm\n");
}

#[test]
fn a_missing_bind_source_is_named_and_leaves_nothing() {
    let mount = json!({"destination": "/x", "type": "bind", "source": "/no/such/thing", "options": ["bind"]});
    let error = Bundle::sh("true").mount(mount).failure();
    assert!(error.contains("/no/such/thing"), "{error}");
}
