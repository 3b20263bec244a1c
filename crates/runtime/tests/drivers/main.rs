//! The runtime under those who drive it: podman with conmon, and containerd with its runc shim. Debian's own will do.
//!
//! As root, with a static busybox. A driver that is missing is a failure that names it.
#![allow(clippy::tests_outside_test_module, reason = "this whole crate is tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod containerd;
mod podman;
mod rootfs;
mod terminal;

use std::process::{Command, Output};

/// Runs a command of a driver to its end.
fn output(command: &mut Command) -> Output {
    let name = command.get_program().to_owned();
    command.output().unwrap_or_else(|error| panic!("{} is needed: {error}", name.display()))
}

/// Standard output of a command that must succeed.
fn must(command: &mut Command) -> String {
    let output = output(command);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {stdout}{stderr}");
    stdout.into_owned()
}

/// Waits until something holds, at most thirty seconds: drivers are slow.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "{what}: not within thirty seconds");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
