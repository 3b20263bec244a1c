//! --no-new-keyring and --no-pivot, by what a container sees.

use std::fs::{self, File};
use std::os::fd::AsFd;

use rustix::mount::{UnmountFlags, unmount};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Value, json};

use crate::bundle::{Bundle, Outcome};
use crate::probe::{keyring_in, probing, session_keyring};
use crate::raced_proc::unshare;

fn run_with(bundle: &Bundle, flag: Option<&str>) -> Outcome {
    let mut words = vec!["run"];
    words.extend(flag);
    words.push(&bundle.id);
    bundle.try_in_bundle(&words)
}

#[test]
fn with_no_new_keyring_the_container_has_its_creator_s_session_keyring() {
    let Some(creator_s) = session_keyring() else {
        eprintln!("NOT TESTED: this host does not let keyctl(2) be used");
        return;
    };
    let bundle = probing("names_its_session_keyring").with("/linux/seccomp", Value::Null);
    let keyring = |flag| keyring_in(&run_with(&bundle, flag).stdout);
    assert_eq!(keyring(Some("--no-new-keyring")), creator_s);
    assert_ne!(keyring(None), creator_s);
}

/// Runs inside a container that may unmount: what is there, in its mount namespace, when its root is gone?
#[test]
#[ignore = "runs inside a container"]
fn looks_beneath_its_root() {
    let host_s = std::env::var("OF_THE_HOST").unwrap();
    assert!(!fs::exists(&host_s).unwrap());
    let namespace = File::open("/proc/self/ns/mnt").unwrap();
    unmount("/", UnmountFlags::DETACH).unwrap();
    // Threads that share their root enter no other one.
    unshare(libc::CLONE_FS);
    // Who enters a mount namespace is put at what its root is by now.
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount)).unwrap();
    println!("beneath=<{}>", fs::exists(host_s).unwrap());
}

/// Why --no-pivot is for hosts only that cannot do otherwise.
#[test]
fn with_no_pivot_the_host_s_root_stays_beneath_that_of_the_container() {
    let mut bundle = probing("flags::looks_beneath_its_root").with("/linux/seccomp", Value::Null);
    for set in ["bounding", "effective", "permitted"] {
        bundle.spec["process"]["capabilities"][set] = json!(["CAP_SYS_ADMIN", "CAP_SYS_CHROOT"]);
    }
    let variable = format!("OF_THE_HOST={}", bundle.dir.path().display());
    bundle.spec["process"]["env"].as_array_mut().unwrap().push(json!(variable));
    for (flag, beneath) in [(None, "beneath=<false>"), (Some("--no-pivot"), "beneath=<true>")] {
        let outcome = run_with(&bundle, flag);
        assert!(outcome.stdout.contains(beneath), "{flag:?}: {outcome:?}");
    }
}
