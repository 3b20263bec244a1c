//! SELinux on Debian's own policy, enforcing, as the test VM boots with it.
//!
//! That policy has no types for containers. `udev_t` serves as well: a confined type, to which the kernel's own, which
//! everything in the VM has from its init, may change.

use std::path::{Path, PathBuf};

use rustix::buffer::spare_capacity;
use rustix::fs::XattrFlags;
use serde_json::json;

use crate::bundle::Bundle;

/// With categories, as containers have them; the policy alone would not give them.
const LABEL: &str = "system_u:system_r:udev_t:s0:c123,c456";
const MOUNT_LABEL: &str = "system_u:object_r:tmp_t:s0:c123,c456";

fn set_label(path: &Path, label: &str) {
    rustix::fs::lsetxattr(path, "security.selinux", label.as_bytes(), XattrFlags::empty()).unwrap();
}

fn label_of(path: &Path) -> String {
    let mut label = Vec::with_capacity(256);
    rustix::fs::lgetxattr(path, "security.selinux", spare_capacity(&mut label)).unwrap();
    String::from_utf8(label).unwrap()
}

/// A bundle that says its label and reads a file that `udev_t` may not.
fn labelled(label: Option<&str>) -> Bundle {
    let bundle = Bundle::sh("tr -d '\\0' < /proc/self/attr/current; echo; cat /secret");
    let root = bundle.rootfs();
    std::os::unix::fs::symlink("busybox", root.join("bin/tr")).unwrap();
    std::fs::write(root.join("secret"), "readable\n").unwrap();
    set_label(&root, "system_u:object_r:root_t:s0");
    set_label(&root.join("bin"), "system_u:object_r:bin_t:s0");
    // Where the configuration asks for nothing, the policy must not do it by itself either.
    let program = if label.is_some() { "udev_exec_t" } else { "bin_t" };
    set_label(&root.join("bin/busybox"), &format!("system_u:object_r:{program}:s0"));
    set_label(&root.join("secret"), "system_u:object_r:shadow_t:s0");
    // With it the policy does not let the label change.
    let bundle = bundle.with("/process/noNewPrivileges", json!(false));
    match label {
        Some(label) => bundle.with("/process/selinuxLabel", json!(label)),
        None => bundle,
    }
}

#[test]
#[ignore = "needs SELinux with Debian's policy: it runs in the test VM"]
fn the_process_has_the_asked_label_and_the_policy_confines_it() {
    let enforcing = std::fs::read_to_string("/sys/fs/selinux/enforce").expect("SELinux is not enabled");
    assert_eq!(enforcing, "1");
    let bundle = labelled(None);
    assert_eq!(bundle.stdout(), "system_u:system_r:kernel_t:s0\nreadable\n");
    let bundle = labelled(Some(LABEL));
    let outcome = bundle.run();
    assert_eq!((outcome.code, outcome.stdout), (1, format!("{LABEL}\n")), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("Permission denied"), "{}", outcome.stderr);
    let error = labelled(Some("system_u:system_r:no_such_t:s0")).failure();
    assert!(error.contains("process.selinuxLabel") && error.contains("no_such_t"), "{error}");
}

#[test]
#[ignore = "needs SELinux with Debian's policy: it runs in the test VM"]
fn mounts_have_the_asked_label_but_for_the_kernel_s_own() {
    let bundle = labelled(Some(LABEL)).with("/linux/mountLabel", json!(MOUNT_LABEL));
    bundle.create();
    let root = PathBuf::from(format!("/proc/{}/root", bundle.pid()));
    for labelled in ["dev", "dev/null", "dev/shm", "dev/pts"] {
        assert_eq!(label_of(&root.join(labelled)), format!("{MOUNT_LABEL}\0"), "{labelled}");
    }
    assert_eq!(label_of(&root.join("proc/meminfo")), "system_u:object_r:proc_t:s0\0");
}
