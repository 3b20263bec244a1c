//! Attacks that hit well-known runtimes, each tried.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use crate::bundle::Bundle;
use crate::probe::probing;

/// CVE-2019-5736.
#[test]
fn an_entrypoint_of_proc_self_exe_cannot_write_to_the_runtime() {
    // The runtime itself becomes the workload; it prints its version, from a file nobody can write to.
    let bundle = Bundle::sh("").with("/process/args", json!(["/proc/self/exe", "--version"]));
    assert!(bundle.stdout().contains("gaufre-oci version"));
    let bundle = Bundle::sh("sleep 60");
    bundle.create();
    // Still the runtime's own program: not writable, whoever asks.
    let exe = format!("/proc/{}/exe", bundle.pid());
    let error = fs::OpenOptions::new().write(true).open(exe).unwrap_err();
    assert!(matches!(error.raw_os_error(), Some(libc::EROFS | libc::EPERM | libc::ETXTBSY)), "{error}");
    let bundle = probing("writes_to_the_runtime");
    let outcome = bundle.run();
    // Its own executable is busy, the runtime's out of reach.
    assert!(outcome.stdout.contains("none opened"), "{outcome:?}");
}

/// CVE-2024-21626.
#[test]
fn a_cwd_through_a_descriptor_is_refused() {
    for cwd in ["/proc/self/fd/3", "/proc/self/fd/7/../../..", "/proc/1/cwd", "/proc/self/root"] {
        let error = Bundle::sh("pwd; ls").with("/process/cwd", json!(cwd)).failure();
        assert!(error.contains("working directory"), "{cwd}: {error}");
    }
    let bundle = Bundle::sh("sleep 60");
    bundle.start();
    assert_ne!(bundle.try_verb(&["exec", "--cwd", "/proc/self/fd/5", &bundle.id, "true"]).code, 0);
}

/// CVE-2025-31133.
#[test]
fn a_dev_null_of_the_image_never_serves_as_a_mask() {
    let bundle = Bundle::sh("cat /masked; wc -c < /masked");
    fs::write(bundle.rootfs().join("masked"), "secret").unwrap();
    symlink("/proc/sysrq-trigger", bundle.rootfs().join("dev/null")).unwrap();
    let mut bundle = bundle.with("/linux/maskedPaths", json!(["/masked"]));
    // Without a fresh /dev the image's own counts: the default device is refused rather than the link followed.
    let error = {
        bundle.spec["mounts"].as_array_mut().unwrap().retain(|mount| mount["destination"] == "/proc");
        bundle.failure()
    };
    assert!(error.contains("/dev/null"), "{error}");
    fs::remove_file(bundle.rootfs().join("dev/null")).unwrap();
    assert_eq!(bundle.stdout(), "0\n");
}

/// A masked file is the host's null device: what is done to it must not be done to the host.
#[test]
fn the_mode_of_a_masked_file_cannot_be_changed_and_the_host_s_null_device_keeps_its_own() {
    let script = "chmod 0600 /masked; chown 7:7 /masked; echo x > /masked && cat /masked && echo works";
    let bundle = Bundle::sh(script).with("/linux/maskedPaths", json!(["/masked"]));
    fs::write(bundle.rootfs().join("masked"), "secret").unwrap();
    let outcome = null_device_is_unharmed(|| bundle.run());
    assert_eq!(outcome.stdout, "works\n", "{outcome:?}");
    assert_eq!(outcome.stderr.matches("Read-only file system").count(), 2, "{outcome:?}");
}

/// Standard streams from /dev/null are the container's own null device, in the first process and in an exec'd one.
#[test]
fn the_mode_of_the_host_s_null_device_cannot_be_changed_through_a_standard_stream() {
    let script = "for n in 0 1 2; do [ /dev/null -ef /proc/self/fd/$n ] || echo $n differs >> /tmp/report; done; \
        cat; echo x; chmod 0612 /proc/self/fd/0; stat -c %a /dev/null >> /tmp/report; \
        flags=$(grep -h flags: /proc/$$/fdinfo/0 /proc/$$/fdinfo/1); echo \"$flags\" >> /tmp/report; sleep 60";
    let bundle = Bundle::sh(script);
    let null =
        || std::process::Stdio::from(fs::File::options().read(true).write(true).open("/dev/null").unwrap());
    let read_only = || std::process::Stdio::from(fs::File::open("/dev/null").unwrap());
    let report = bundle.rootfs().join("tmp/report");
    let expected = "612\nflags:\t0100000\nflags:\t0100002\n";
    null_device_is_unharmed(|| {
        let mut create = bundle.oci(&["create", &bundle.id]);
        assert!(create.stdin(read_only()).stdout(null()).stderr(null()).status().unwrap().success());
        bundle.must(&["start", &bundle.id]);
        let complete = || fs::read_to_string(&report).unwrap_or_default().matches('\n').count() >= 3;
        crate::bundle::eventually("the report of the first process", complete);
        assert_eq!(fs::read_to_string(&report).unwrap(), expected);
        fs::remove_file(&report).unwrap();
        let script = script.strip_suffix("; sleep 60").unwrap();
        let mut exec = bundle.oci(&["exec", &bundle.id, "sh", "-c", script]);
        assert!(exec.stdin(read_only()).stdout(null()).stderr(null()).status().unwrap().success());
        assert_eq!(fs::read_to_string(&report).unwrap(), expected);
    });
}

/// Checks that the host's /dev/null is as before, and makes it so for the tests to come where it is not.
fn null_device_is_unharmed<T>(attack: impl FnOnce() -> T) -> T {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let owner_and_mode = || {
        let meta = fs::symlink_metadata("/dev/null").unwrap();
        (meta.uid(), meta.gid(), meta.mode())
    };
    let before = owner_and_mode();
    let result = attack();
    let after = owner_and_mode();
    if after != before {
        std::os::unix::fs::chown("/dev/null", Some(before.0), Some(before.1)).unwrap();
        fs::set_permissions("/dev/null", fs::Permissions::from_mode(before.2 & 0o7777)).unwrap();
    }
    assert_eq!(after, before, "the host's null device was changed");
    result
}

/// CVE-2025-52565.
#[test]
fn a_console_that_is_a_link_is_refused() {
    let bundle = Bundle::sh("tty").with("/process/terminal", json!(true));
    let dev = bundle.dir.path().join("dev");
    fs::create_dir(&dev).unwrap();
    symlink("/proc/sys/kernel/core_pattern", dev.join("console")).unwrap();
    fs::create_dir(dev.join("pts")).unwrap();
    let mut bundle = bundle;
    bundle.spec["mounts"].as_array_mut().unwrap()[1] =
        json!({"destination": "/dev", "type": "bind", "source": dev, "options": ["bind"]});
    bundle.spec["mounts"]
        .as_array_mut()
        .unwrap()
        .retain(|mount| !["/dev/shm", "/dev/mqueue"].iter().any(|path| mount["destination"] == *path));
    let error = bundle.failure();
    assert!(error.contains("/dev/console"), "{error}");
}

/// CVE-2025-52881: what the container would put over /proc does not matter to what the runtime writes.
#[test]
fn a_false_proc_never_receives_the_runtime_s_writes() {
    let bundle = Bundle::sh("cat /proc/sys/net/ipv4/ip_forward; cat /real/sys/net/ipv4/ip_forward")
        .with("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}))
        .with("/linux/maskedPaths", json!([]))
        .with("/linux/readonlyPaths", json!([]));
    let fake = bundle.dir.path().join("fake");
    fs::create_dir_all(fake.join("sys/net/ipv4")).unwrap();
    fs::write(fake.join("sys/net/ipv4/ip_forward"), "untouched\n").unwrap();
    fs::create_dir_all(fake.join("self")).unwrap();
    let mut bundle = bundle.mount(json!({"destination": "/real", "type": "proc", "source": "proc"}));
    bundle.spec["mounts"].as_array_mut().unwrap()[0] =
        json!({"destination": "/proc", "type": "bind", "source": fake, "options": ["bind"]});
    assert_eq!(bundle.stdout(), "untouched\n1\n");
}

/// CVE-2019-19921, CVE-2023-27561.
#[test]
fn proc_sys_and_dev_as_links_are_refused() {
    for name in ["proc", "sys", "dev"] {
        let bundle = Bundle::sh("true");
        let path = bundle.rootfs().join(name);
        fs::remove_dir(&path).unwrap();
        symlink("/tmp", &path).unwrap();
        let error = bundle.failure();
        assert!(error.contains(&format!("/{name}")) && error.contains("symbolic link"), "{error}");
    }
}

#[test]
fn a_mount_target_through_an_absolute_link_stays_in_the_root() {
    let bundle = Bundle::sh("cat /etc/run/file");
    let victim = bundle.dir.path().join("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(bundle.dir.path().join("f"), "content\n").unwrap();
    // Means /victim-path inside the container, not the host's directory.
    symlink("/inner", bundle.rootfs().join("etc/run")).unwrap();
    fs::create_dir(bundle.rootfs().join("inner")).unwrap();
    symlink(&victim, bundle.rootfs().join("out")).unwrap();
    let bundle = bundle
        .mount(json!({"destination": "/etc/run/file", "type": "bind", "source": "f", "options": ["bind"]}));
    assert_eq!(bundle.stdout(), "content\n");
    let bundle =
        bundle.mount(json!({"destination": "/out/file", "type": "bind", "source": "f", "options": ["bind"]}));
    bundle.run();
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 0, "something was made outside the root");
}

/// Without a fresh /dev nothing of the host is redirected, deleted or given away.
#[test]
fn the_host_s_dev_bound_into_the_container_is_left_alone() {
    let before = fs::symlink_metadata("/dev/ptmx").unwrap();
    let mut bundle = Bundle::sh("ls -l /dev/null");
    bundle.spec["mounts"]
        .as_array_mut()
        .unwrap()
        .retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
    let bundle = bundle
        .mount(json!({"destination": "/dev", "type": "bind", "source": "/dev", "options": ["rbind"]}))
        .with("/process/user", json!({"uid": 1000, "gid": 1000}));
    bundle.stdout();
    use std::os::unix::fs::MetadataExt;
    let after = fs::symlink_metadata("/dev/ptmx").unwrap();
    assert_eq!((before.ino(), before.uid(), before.mode()), (after.ino(), after.uid(), after.mode()));
    assert_eq!(fs::symlink_metadata("/dev/null").unwrap().uid(), 0);
}

/// The classic way out of a privileged cgroup v1.
#[test]
fn release_agent_cannot_be_written() {
    let script = "for f in /sys/fs/cgroup/*/release_agent /sys/fs/cgroup/release_agent; do [ -e $f ] && echo x > $f; done; \
        mount -t cgroup -o memory x /tmp && echo mounted; mount -t tmpfs x /tmp && echo mounted; echo done";
    let outcome = Bundle::sh(script).run();
    assert_eq!(outcome.stdout, "done\n", "{outcome:?}");
}
