//! Mounts, masks, devices.

use std::fs;

use serde_json::json;

use crate::bundle::Bundle;

#[test]
fn proc_dev_and_sys_are_the_container_s_own() {
    let out = Bundle::sh("cat /proc/mounts; ls /dev; readlink /dev/fd").stdout();
    for line in [
        "proc /proc proc rw,nosuid,nodev,noexec",
        "tmpfs /dev tmpfs rw,nosuid,noexec",
        "devpts /dev/pts devpts rw,nosuid,noexec",
        "shm /dev/shm tmpfs rw,nosuid,nodev,noexec",
        "mqueue /dev/mqueue mqueue rw,nosuid,nodev,noexec",
        "sysfs /sys sysfs ro,nosuid,nodev,noexec",
    ] {
        assert!(out.contains(line), "no \"{line}\" in\n{out}");
    }
    for device in ["full", "null", "ptmx", "random", "stderr", "tty", "urandom", "zero"] {
        assert!(out.lines().any(|line| line == device), "no {device} in\n{out}");
    }
    assert!(out.contains("/proc/self/fd"));
}

#[test]
fn masked_paths_are_empty_and_read_only_paths_cannot_be_written() {
    let script = "cat /proc/timer_list /proc/keys /masked; ls /sys/firmware /empty; \
        echo 1 > /proc/sys/kernel/hostname; echo 1 > /proc/irq/default_smp_affinity; touch /fixed/x; touch /free/y; ls /free";
    let bundle = Bundle::sh(script);
    for dir in ["empty/secret", "fixed", "free"] {
        fs::create_dir_all(bundle.rootfs().join(dir)).unwrap();
    }
    fs::write(bundle.rootfs().join("masked"), "secret").unwrap();
    let bundle = bundle
        .with(
            "/linux/maskedPaths",
            json!(["/proc/timer_list", "/proc/keys", "/sys/firmware", "/masked", "/empty", "/no"]),
        )
        .with("/linux/readonlyPaths", json!(["/proc/sys", "/proc/irq", "/fixed", "/no"]));
    let outcome = bundle.run();
    assert_eq!(outcome.stdout, "/empty:\n\n/sys/firmware:\ny\n", "{outcome:?}");
    assert_eq!(outcome.stderr.matches("Read-only file system").count(), 3, "{outcome:?}");
}

#[test]
fn the_root_is_read_only_on_request_and_mounts_below_it_are_not() {
    let bundle = Bundle::sh("touch /x; touch /dev/shm/y && echo made").with("/root/readonly", json!(true));
    let outcome = bundle.run();
    assert!(outcome.stderr.contains("Read-only"), "{outcome:?}");
    assert_eq!(outcome.stdout, "made\n");
}

#[test]
fn a_bind_mount_shows_the_host_s_file_with_the_asked_attributes() {
    let bundle =
        Bundle::sh("cat /a/b/file; cat /new/dir/f; touch /new/dir/g; grep ' /new/dir ' /proc/mounts");
    let dir = bundle.dir.path().join("source");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("f"), "from the host\n").unwrap();
    let bundle = bundle
        .mount(json!({"destination": "/a/b/file", "type": "bind", "source": dir.join("f"), "options": ["bind"]}))
        .mount(json!({"destination": "/new/dir", "type": "bind", "source": "source", "options": ["rbind", "ro", "nosuid"]}));
    let outcome = bundle.run();
    assert!(outcome.stdout.starts_with("from the host\nfrom the host\n"), "{outcome:?}");
    assert!(outcome.stderr.contains("Read-only"), "{outcome:?}");
    assert!(outcome.stdout.contains("ro,nosuid"), "{outcome:?}");
}

#[test]
fn a_tmpfs_has_the_asked_size_mode_and_owner() {
    let options = ["size=64k", "mode=0750", "uid=7", "gid=8", "noexec"];
    let bundle = Bundle::sh(
        "stat -c '%a %u %g' /t; dd if=/dev/zero of=/t/x bs=1k count=100 2>&1 | grep -c 'No space'",
    )
    .mount(json!({"destination": "/t", "type": "tmpfs", "source": "tmpfs", "options": options}));
    assert_eq!(bundle.stdout(), "750 7 8\n1\n");
}

#[test]
fn a_read_only_tmpfs_still_holds_the_mounts_below_it() {
    let bundle = Bundle::sh("touch /t/x 2>/dev/null; touch /t/in/y && ls /t /t/in")
        .mount(json!({"destination": "/t", "type": "tmpfs", "source": "tmpfs", "options": ["ro"]}))
        .mount(json!({"destination": "/t/in", "type": "tmpfs", "source": "tmpfs"}));
    assert_eq!(bundle.stdout(), "/t:\nin\n\n/t/in:\ny\n");
}

#[test]
fn an_asked_device_is_made_and_others_stay_out_of_reach() {
    let rules = json!([{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "m"}]);
    let script = "stat -c '%F %t:%T %a %u' /dev/own; echo x > /dev/null && echo null works; \
        mknod /tmp/disk b 7 0; cat /tmp/disk; cat /dev/own";
    let capabilities = json!(["CAP_MKNOD", "CAP_DAC_OVERRIDE"]);
    let bundle = Bundle::sh(script)
        .with("/linux/resources/devices", rules)
        .with(
            "/linux/devices",
            json!([{"path": "/dev/own", "type": "c", "major": 10, "minor": 229, "fileMode": 384, "uid": 5}]),
        )
        .with(
            "/process/capabilities",
            json!({"bounding": capabilities, "effective": capabilities, "permitted": capabilities}),
        );
    let outcome = bundle.run();
    assert_eq!(outcome.stdout, "character special file a:e5 600 5\nnull works\n", "{outcome:?}");
    let refused = outcome.stderr.matches("Operation not permitted").count();
    assert!(refused >= 2, "{outcome:?}");
}

#[test]
fn a_device_that_exists_with_another_mode_or_owner_than_asked_for_is_refused() {
    use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
    let device = json!({"path": "/nodes/own", "type": "c", "major": 10, "minor": 229});
    let asking = |field: &str, value: u32| {
        let mut device = device.clone();
        device[field] = json!(value);
        let bundle = Bundle::sh("stat -c %a:%u /nodes/own").with("/linux/devices", json!([device]));
        fs::create_dir(bundle.rootfs().join("nodes")).unwrap();
        let node = bundle.rootfs().join("nodes/own");
        mknodat(CWD, node, FileType::CharacterDevice, Mode::from_raw_mode(0o600), makedev(10, 229)).unwrap();
        bundle
    };
    for (field, value) in [("fileMode", 0o666), ("uid", 5), ("gid", 5)] {
        let error = asking(field, value).failure();
        assert!(error.contains("/nodes/own exists") && error.contains("600"), "{field}: {error}");
    }
    for (field, value) in [("fileMode", 0o600), ("uid", 0)] {
        assert_eq!(asking(field, value).stdout(), "600:0\n");
    }
}

#[test]
fn mounts_of_the_container_do_not_reach_the_host() {
    let bundle = Bundle::sh("sleep 60");
    bundle.start();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let dir = bundle.dir.path().to_string_lossy().into_owned();
    assert!(!mounts.lines().any(|line| line.contains(&dir)), "{mounts}");
}
