//! The runtime under those who drive it: podman with conmon, and containerd with its runc shim. Debian's own will do.
//!
//! As root, with a static busybox. A driver that is missing is a failure that names it.
#![allow(clippy::tests_outside_test_module, reason = "this whole crate is tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod containerd;
mod daemon;
mod podman;
mod rootfs;
mod run;
mod terminal;

use run::{eventually, must, output};
