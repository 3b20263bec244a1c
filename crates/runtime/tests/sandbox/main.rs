//! The runtime's tests, each through the `gaufre-oci` binary and judged from inside the container.
//!
//! Self-contained: the runtime is `$GAUFRE_OCI` (else the one just built), the container's only program is the static
//! busybox `$GAUFRE_BUSYBOX` (else /bin/busybox) and this very executable. They run as root, on cgroup v1, v2 and hybrid.
#![allow(clippy::tests_outside_test_module, reason = "this whole crate is tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod apparmor;
mod attacks;
mod bundle;
mod chroot;
mod delegated;
mod exec;
mod files;
mod flags;
mod hidden;
mod hooks;
mod host_mounts;
mod identity;
mod landlock;
mod lifecycle;
mod limits;
mod mounts;
mod net_devices;
mod probe;
mod process;
mod raced_proc;
mod races;
mod refusals;
mod rootless;
mod seccomp;
mod selinux;
mod shared_groups;
mod systemd;
mod systemd_user;
mod terminal;
mod users;
mod watched;
