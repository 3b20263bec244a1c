//! A root file system of busybox alone.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

const APPLETS: &str = "sh sleep true cat echo tty stty kill id";

pub(crate) fn make(rootfs: &Path) {
    for name in ["bin", "proc", "sys", "dev", "etc", "tmp", "run"] {
        fs::create_dir_all(rootfs.join(name)).unwrap();
    }
    let busybox = std::env::var("GAUFRE_BUSYBOX").unwrap_or("/bin/busybox".into());
    // In a process of its own: one that another test forks would hold a copy of ours open for writing for a moment.
    let copied = Command::new("cp").arg(&busybox).arg(rootfs.join("bin/busybox")).status().unwrap();
    assert!(copied.success(), "a static busybox is needed (package busybox-static)");
    for applet in APPLETS.split_whitespace() {
        symlink("busybox", rootfs.join("bin").join(applet)).unwrap();
    }
}

/// The runtime under test.
pub(crate) fn runtime() -> String {
    std::env::var("GAUFRE_OCI").unwrap_or(env!("CARGO_BIN_EXE_gaufre-oci").into())
}
