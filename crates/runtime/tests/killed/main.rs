//! `kill -9` of the runtime as it enters each of its system calls while it makes a container, of the container's process
//! as it enters each of its own, and of the runtime while that process is there: afterwards `delete` leaves nothing, and
//! another container of the same name can be made. The same for a runtime that starts a container, or deletes it.
//!
//! As the sandbox tests, with which they share the bundle: root, a static busybox, cgroup v1, v2 or hybrid. Every how many
//! system calls somebody is killed is in `$GAUFRE_KILL_STEP` (1 for all of them), the first one is chosen by chance. `$GAUFRE_KILL_KIND` leaves all ways
//! through `create` out but those in whose name it is.
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

use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bundle::eventually;
use kinds::Kind;
use left::{Left, Places};
use serde_json::json;
use traced::{Moment, Who, killed_at};

/// Mounts spread here, as on a host that systemd has booted: what a container would let out is seen.
const PREPARE: &str = "mount --make-rshared / && mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /dev/shm && exec \"$0\" \"$@\"";

#[test]
fn whoever_is_killed_at_whatever_step_of_create_leaves_what_delete_removes() {
    in_namespaces("create_step_by_step");
}

#[test]
fn a_start_killed_at_whatever_step_has_happened_or_not() {
    in_namespaces("start_step_by_step");
}

#[test]
fn a_delete_killed_at_whatever_step_is_completed_by_another() {
    in_namespaces("delete_step_by_step");
}

#[test]
fn an_exec_killed_at_whatever_step_leaves_no_process_in_the_container() {
    in_namespaces("exec_step_by_step");
}

/// Runs the test `name` as the first process of a PID namespace.
fn in_namespaces(name: &str) {
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", PREPARE]);
    unshare.arg(std::env::current_exe().unwrap());
    unshare.args(["--ignored", "--exact", name, "--nocapture", "--test-threads=1"]);
    assert!(unshare.status().unwrap().success(), "see above");
}

/// The first system call at which somebody is killed, and how many later the next one.
fn steps(otherwise: usize) -> (usize, usize) {
    let step = std::env::var("GAUFRE_KILL_STEP").map_or(otherwise, |text| text.parse().unwrap());
    let step = step.min(otherwise);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let first = 1 + now.subsec_nanos() as usize % step;
    println!("killed at system call {first}, and at each {step}th from there on");
    (first, step)
}

#[test]
#[ignore = "runs in namespaces of its own"]
fn create_step_by_step() {
    let (first, step) = steps(97);
    let only = std::env::var("GAUFRE_KILL_KIND").unwrap_or_default();
    for kind in Kind::all().into_iter().filter(|kind| kind.name.contains(&only)) {
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

#[test]
#[ignore = "runs in namespaces of its own"]
fn start_step_by_step() {
    let (first, step) = steps(13);
    let mut kills = 0;
    for call in (first..).step_by(step) {
        let bundle = kinds::bundle("echo > /started; sleep 86400");
        bundle.create();
        let mut start = bundle.bare(&["start", &bundle.id]);
        start.stderr(Stdio::null());
        let moment = Moment { killed: Who::Caller, watched: Who::Caller, call };
        let Some(number) = killed_at(start, moment).at else { break };
        let what = format!("killed as it entered its system call {call}, number {number}");
        kills += 1;
        // A start that was cut off after it had let the process go is seen as such only when that has executed.
        if bundle.status() == "created" {
            let again = bundle.try_verb(&["start", &bundle.id]);
            assert!(again.code == 0 || again.stderr.ends_with(": it is running\n"), "{what}: {again:?}");
        }
        eventually("it has started", || bundle.rootfs().join("started").exists());
        assert_eq!(bundle.status(), "running", "{what}");
    }
    println!("start was killed {kills} times");
    assert!(kills > 1, "it has more system calls than that");
}

#[test]
#[ignore = "runs in namespaces of its own"]
fn delete_step_by_step() {
    let (first, step) = steps(13);
    for kind in Kind::all() {
        let places = kind.places();
        let before = Left::now(&places);
        let mut kills = 0;
        for call in (first..).step_by(step) {
            assert!(kind.create().status().unwrap().success(), "{}: {}", kind.name, kind.log());
            kind.forgets_pid_file();
            kind.forgets_terminals();
            let delete = kind.bundle.bare(&["delete", "--force", &kind.bundle.id]);
            let moment = Moment { killed: Who::Caller, watched: Who::Caller, call };
            let Some(number) = killed_at(delete, moment).at else { break };
            kills += 1;
            kind.bundle.must(&["delete", "--force", &kind.bundle.id]);
            let what = format!("{}, delete was killed at its system call {call}, number {number}", kind.name);
            before.is_all_there_is_after(&what);
        }
        println!("{}: delete was killed {kills} times", kind.name);
        before.is_all_there_is_after(kind.name);
        kind.other_is_well();
        assert!(kills > 1, "it has more system calls than that");
    }
}

#[test]
#[ignore = "runs in namespaces of its own"]
fn exec_step_by_step() {
    let (first, step) = steps(41);
    // Its first process inherits what the runtime leaves, and reaps it.
    let running = || kinds::bundle("sleep 86400 & while :; do wait; done");
    let mut watched = running();
    // Who may trace any process is not shown one that has descriptors of ours: one in the middle prepares everything.
    watched.spec["process"]["capabilities"]["bounding"] = json!(["CAP_SYS_PTRACE"]);
    for (bundle, children) in [(running(), 1), (watched, 2)] {
        bundle.start();
        eventually("it is there", || bundle.exec("ps -o comm").stdout.contains("sleep"));
        let places = Places { id: bundle.id.clone(), dirs: vec![bundle.dir.path().to_owned()] };
        let before = Left::now(&places);
        let mut pairs = vec![(Who::Caller, Who::Caller)];
        for child in (0..children).map(Who::Child) {
            pairs.extend([(child, child), (Who::Caller, child)]);
        }
        for (killed, watched) in pairs {
            let mut kills = 0;
            for call in (first..).step_by(step) {
                let mut exec = bundle.bare(&["exec", &bundle.id, "true"]);
                exec.stdout(Stdio::null()).stderr(Stdio::null());
                let Some(number) = killed_at(exec, Moment { killed, watched, call }).at else { break };
                kills += 1;
                before.is_all_there_is_after(&format!(
                    "{killed:?} was killed as {watched:?} of {children} entered its system call {call}, number {number}"
                ));
                assert_eq!(bundle.must(&["exec", &bundle.id, "echo", "well"]), "well\n");
            }
            println!("exec: {killed:?} was killed {kills} times as {watched:?} of {children} went on");
        }
        before.is_all_there_is();
        assert_eq!(bundle.status(), "running");
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
