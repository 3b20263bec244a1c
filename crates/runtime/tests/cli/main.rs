//! The command line as conmon, containerd's shim and people use it: flags, exit codes, messages and JSON.
//!
//! As the sandbox tests, with which they share the bundle: root, a static busybox, cgroup v1, v2 or hybrid.
#![allow(clippy::tests_outside_test_module, reason = "this whole crate is tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

#[allow(dead_code, reason = "shared with the sandbox tests, which use the rest")]
#[path = "../sandbox/bundle.rs"]
mod bundle;
mod codes;
mod creating;
mod exec_options;
mod foreground;
mod json;
mod limits;
mod listing;
mod logging;
mod signals;
mod spec;
