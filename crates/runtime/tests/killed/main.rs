//! `kill -9` of the runtime as it enters each of its system calls while it makes a container, of the container's process
//! as it enters each of its own, and of the runtime while that process is there: afterwards `delete` leaves nothing, and
//! another container of the same name can be made.
//!
//! As the sandbox tests, with which they share the bundle: root, a static busybox, cgroup v1, v2 or hybrid. Every how many
//! system calls somebody is killed is in `$GAUFRE_KILL_STEP` (97; 1 for all of them), the first one is chosen by chance.
//!
//! They happen in a mount and a PID namespace made for them, so that whatever is there in the end is theirs.
#![allow(clippy::tests_outside_test_module, reason = "this whole crate is tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

#[allow(dead_code, reason = "shared with the sandbox tests, which use the rest")]
#[path = "../sandbox/bundle.rs"]
mod bundle;
mod kinds;
#[path = "../runs/left.rs"]
#[allow(dead_code, reason = "shared with the tests of many runs, which use the rest")]
mod left;
mod traced;

use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use kinds::Kind;
use left::Left;
use traced::{Moment, Who, killed_at};

/// Mounts spread here, as on a host that systemd has booted: what a container would let out is seen.
const PREPARE: &str = "mount --make-rshared / && mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /dev/shm && exec \"$0\" \"$@\"";

#[test]
fn whoever_is_killed_at_whatever_step_of_create_delete_leaves_nothing() {
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", PREPARE]);
    unshare.arg(std::env::current_exe().unwrap());
    unshare.args(["--ignored", "--exact", "step_by_step", "--nocapture", "--test-threads=1"]);
    assert!(unshare.status().unwrap().success(), "see above");
}

#[test]
#[ignore = "runs in namespaces of its own"]
fn step_by_step() {
    let step = std::env::var("GAUFRE_KILL_STEP").map_or(97, |text| text.parse().unwrap());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let first = 1 + now.subsec_nanos() as usize % step;
    println!("killed at system call {first}, and at each {step}th from there on");
    for kind in Kind::all() {
        // The one in the middle comes first where there is one.
        let children = if kind.has_middle { &[Who::Child(0), Who::Child(1)][..] } else { &[Who::Child(0)] };
        kill_at_each(&kind, Who::Caller, Who::Caller, (first, step));
        for child in children {
            // The one in the middle does little.
            let (first, step) = if children.last() == Some(child) { (first, step) } else { (1, step.min(5)) };
            kill_at_each(&kind, *child, *child, (first, step));
            kill_at_each(&kind, Who::Caller, *child, (first, step));
        }
        kind.other_is_well();
    }
}

fn kill_at_each(kind: &Kind, killed: Who, watched: Who, (first, step): (usize, usize)) {
    let places = kind.places();
    let before = Left::now(&places);
    let started = Instant::now();
    let mut kills = 0;
    for call in (first..).step_by(step) {
        let ended = killed_at(kind.create(), Moment { killed, watched, call });
        let Some(number) = ended.at else {
            assert!(ended.succeeded, "{}: {}", kind.name, kind.log());
            kind.bundle.must(&["delete", &kind.bundle.id]);
            kind.forgets_pid_file();
            break;
        };
        let what = format!(
            "{}, {killed:?} was killed as {watched:?} entered its system call {call}, number {number}",
            kind.name
        );
        println!("{what}");
        kills += 1;
        let left_to_itself = !kind.bundle.state_dir().exists();
        assert!(killed == Who::Caller || ended.succeeded != left_to_itself, "{what}: {}", kind.log());
        // Both ways, at every second of the steps that CI makes too.
        kind.deletes(kills % 2 == 0);
        kind.forgets_pid_file();
        kind.forgets_terminals();
        before.is_all_there_is_after(&what);
        kind.makes_one_and_deletes_it();
    }
    before.is_all_there_is_after(kind.name);
    let time = started.elapsed().as_secs_f64();
    println!("{}: {killed:?} was killed {kills} times as {watched:?} went on, {time:.1} s", kind.name);
}
