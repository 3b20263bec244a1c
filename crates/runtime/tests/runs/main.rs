//! Many runs, one after another and many at a time: none hangs, and nothing is left of any.
//!
//! As the sandbox tests, with which they share the bundle: root, a static busybox, cgroup v1, v2 or hybrid. How many
//! runs there are is in `$GAUFRE_RUNS` (500), how many at a time in `$GAUFRE_RUNS_AT_A_TIME` (20).
//!
//! They happen in a mount and a PID namespace made for them, so that whatever is there in the end is theirs.
#![allow(clippy::tests_outside_test_module, reason = "this whole crate is tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

#[allow(dead_code, reason = "shared with the sandbox tests, which use the rest")]
#[path = "../sandbox/bundle.rs"]
mod bundle;
mod kinds;
mod left;

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use kinds::Kinds;
use left::Left;

/// Mounts spread here, as on a host that systemd has booted: what a container would let out is seen.
const PREPARE: &str = "mount --make-rshared / && mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /dev/shm && exec \"$0\" \"$@\"";

#[test]
fn runs_in_a_row_do_not_hang_and_leave_nothing() {
    in_namespaces("in_a_row");
}

#[test]
fn runs_at_a_time_do_not_hang_and_leave_nothing() {
    in_namespaces("at_a_time");
}

#[test]
#[ignore = "runs in namespaces of its own"]
fn in_a_row() {
    soak(1);
}

#[test]
#[ignore = "runs in namespaces of its own"]
fn at_a_time() {
    soak(number("GAUFRE_RUNS_AT_A_TIME", 20));
}

fn number(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

/// Runs the test `name` as the first process of a PID namespace.
fn in_namespaces(name: &str) {
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", PREPARE]);
    unshare.arg(std::env::current_exe().unwrap());
    unshare.args(["--ignored", "--exact", name, "--nocapture", "--test-threads=1"]);
    assert!(unshare.status().unwrap().success(), "see above");
}

fn soak(at_a_time: usize) {
    let total = number("GAUFRE_RUNS", 500);
    let kinds = Kinds::new();
    // The first of each kind makes what there is only one of: the parent of all groups, mount points in the root.
    (0..kinds.len()).for_each(|index| kinds.run(index));
    let before = Left::now(&kinds.places);
    let started = Instant::now();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let work = || {
            loop {
                match next.fetch_add(1, Ordering::Relaxed) {
                    index if index < total => kinds.run(index),
                    _ => return,
                }
            }
        };
        (0..at_a_time).for_each(|_| drop(scope.spawn(work)));
    });
    println!("{total} runs, {at_a_time} at a time: {:.1} s", started.elapsed().as_secs_f64());
    before.is_all_there_is();
}
