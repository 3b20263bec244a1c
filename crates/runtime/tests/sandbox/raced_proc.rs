//! CVE-2025-52881: somebody mounts things over the host's /proc, or over files in it, so that what the runtime writes there
//! goes elsewhere, or nowhere. All in a mount namespace of the test's own.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, unmount,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::json;

use crate::bundle::Bundle;
use crate::races::{Verdicts, raced};

const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";
const SHMMNI: &str = "/proc/sys/kernel/shmmni";
const SCORE: &str = "oom_score_adj";
/// What the container sees where all that was asked for was set.
const ALL_SET: &str = "1\n77\n321\n";

fn writing() -> Bundle {
    Bundle::sh(&format!("cat {FORWARD} {SHMMNI} /proc/$$/{SCORE}"))
        .with("/linux/sysctl", json!({"net.ipv4.ip_forward": "1", "kernel.shmmni": "77"}))
        .with("/process/oomScoreAdj", json!(321))
}

/// What somebody puts over what.
struct Covers {
    fakes: PathBuf,
}

impl Covers {
    fn new(bundle: &Bundle) -> Self {
        let fakes = bundle.dir.path().join("fakes");
        for dir in ["sys/net/ipv4", "sys/kernel", "self/attr"] {
            fs::create_dir_all(fakes.join(dir)).unwrap();
        }
        let covers = Self { fakes };
        covers.files().for_each(|file| fs::write(file, "untouched").unwrap());
        covers
    }

    fn files(&self) -> impl Iterator<Item = PathBuf> {
        let names = ["sys/net/ipv4/ip_forward", "sys/kernel/shmmni", "self/oom_score_adj", "self/attr/exec"];
        names.into_iter().map(|name| self.fakes.join(name))
    }

    /// Puts the one of this number over its place, which it gives. Numbers begin again from 0 after the last.
    fn put(&self, index: usize) -> &'static str {
        match index % Self::COUNT {
            0 => cover("/proc", &self.fakes),
            1 => {
                mount("tmpfs", "/proc", "tmpfs", MountFlags::empty(), None).unwrap();
                "/proc"
            }
            2 => cover("/proc/sys", &self.fakes.join("sys")),
            3 => cover(SHMMNI, &self.fakes.join("sys/kernel/shmmni")),
            // A file of procfs that takes whatever is written, and forgets it.
            _ => cover(SHMMNI, Path::new("/proc/1/sched")),
        }
    }

    const COUNT: usize = 5;

    fn are_untouched(&self) {
        self.files().for_each(|file| assert_eq!(fs::read_to_string(file).unwrap(), "untouched"));
    }
}

fn cover(place: &'static str, with: &Path) -> &'static str {
    mount_bind(with, place).unwrap();
    place
}

/// Runs `act` in a thread with a mount namespace of its own, from which nothing spreads.
fn in_own_mounts(act: impl FnOnce() + Send) {
    let enter_and_act = || {
        unshare(libc::CLONE_NEWNS);
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        act();
    };
    std::thread::scope(|scope| scope.spawn(enter_and_act).join())
        .unwrap_or_else(|cause| std::panic::resume_unwind(cause));
}

pub(crate) fn unshare(what: libc::c_int) {
    // SAFETY: takes a number only, and changes this thread alone.
    assert_eq!(unsafe { libc::unshare(what) }, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn what_covers_the_host_s_proc_gets_nothing_of_what_the_runtime_writes() {
    in_own_mounts(|| {
        let bundle = writing();
        let covers = Covers::new(&bundle);
        assert_eq!(bundle.stdout(), ALL_SET);
        for index in 0..Covers::COUNT {
            let place = covers.put(index);
            let outcome = bundle.run();
            unmount(place, UnmountFlags::DETACH).unwrap();
            let word = match place {
                "/proc" => "/proc/self/exe",
                "/proc/sys" => "could not set the sysctl",
                // The file of another namespace's setting is another one, which is not covered.
                _ => {
                    assert_eq!(outcome.stdout, ALL_SET, "{index}: {outcome:?}");
                    continue;
                }
            };
            assert!(outcome.code == 1 && outcome.stderr.contains(word), "{index}: {outcome:?}");
        }
        covers.are_untouched();
        assert_eq!(bundle.stdout(), ALL_SET);
    });
}

#[test]
fn a_raced_proc_gets_nothing_of_what_the_runtime_writes() {
    let shmmni = fs::read_to_string(SHMMNI).unwrap();
    in_own_mounts(|| {
        let bundle = writing();
        let covers = Covers::new(&bundle);
        let namespace: OwnedFd = fs::File::open("/proc/thread-self/ns/mnt").unwrap().into();
        let (mut index, mut verdicts) = (0, Verdicts::default());
        let disturb = || {
            if index == 0 {
                // The other thread of the race is in the namespace that this one was made in.
                unshare(libc::CLONE_FS);
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount)).unwrap();
            }
            let place = covers.put(index);
            // Longer than the runtime takes between two of its writes, and not as long as it takes for all.
            std::thread::sleep(Duration::from_micros(300));
            unmount(place, UnmountFlags::DETACH).unwrap();
            index += 1;
        };
        raced(disturb, || verdicts.count(&bundle.run(), ALL_SET));
        verdicts.judge();
        covers.are_untouched();
    });
    assert_eq!(fs::read_to_string(SHMMNI).unwrap(), shmmni, "that of the host was set");
}
