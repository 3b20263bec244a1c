//! CVE-2025-52881: somebody mounts things over the files that are to be written. In a mount namespace of the test's own.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, unmount,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::*;
use crate::sys::namespace::unshare;

/// Runs `act` in a thread with a mount namespace of its own, from which nothing spreads.
fn in_own_mounts(act: impl FnOnce() + Send) {
    let enter_and_act = || {
        unshare(libc::CLONE_NEWNS).expect("the right to mount is needed");
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        act();
    };
    let ended = std::thread::scope(|scope| scope.spawn(enter_and_act).join());
    ended.unwrap_or_else(|cause| std::panic::resume_unwind(cause));
}

/// Puts a file of procfs that takes whatever is written, an ordinary file, or a file system without any over `place`.
fn cover(place: &Path, index: usize, ordinary: &Path) {
    match (index % 3, place.parent()) {
        (0, _) => mount_bind("/proc/self/sched", place).unwrap(),
        (1, Some(dir)) if dir.ends_with("attr") => {
            mount("tmpfs", dir, "tmpfs", MountFlags::empty(), None).unwrap();
            fs::write(place, "").unwrap();
        }
        _ => mount_bind(ordinary, place).unwrap(),
    }
}

/// Labels, the score for the OOM killer, and settings.
#[test]
fn what_something_is_mounted_over_is_not_written() {
    in_own_mounts(|| {
        let ordinary = tempfile::NamedTempFile::new().unwrap();
        let proc = open().unwrap();
        let files = ["attr/exec", "attr/keycreate", "oom_score_adj", "timens_offsets", "uid_map"];
        for file in files.map(|file| format!("self/{file}")).iter().chain([&"sys/kernel/domainname".into()]) {
            let place = Path::new("/proc").join(file);
            for index in 0..3 {
                let attr = place.parent().filter(|dir| index == 1 && dir.ends_with("attr"));
                cover(&place, index, ordinary.path());
                let written = write(proc.as_fd(), file, b"1");
                unmount(attr.unwrap_or(&place), UnmountFlags::DETACH).unwrap();
                assert_eq!(written, Err(Errno::XDEV), "{file} {index}");
            }
        }
        assert_eq!(fs::read_to_string(ordinary.path()).unwrap(), "");
    });
}

#[test]
fn what_is_raced_is_written_where_it_belongs_or_not_at_all() {
    let rounds = std::env::var("GAUFRE_RACES").map_or(200, |text| text.parse().unwrap());
    in_own_mounts(|| {
        // The name of the process is the easiest to set, and to look at without a path.
        let place = Path::new("/proc/self/comm");
        let (shown, name) = (File::open(place).unwrap(), fs::read(place).unwrap());
        let ordinary = tempfile::NamedTempFile::new().unwrap();
        let namespace = File::open("/proc/thread-self/ns/mnt").unwrap();
        let done = AtomicBool::new(false);
        let (mut went_well, mut refused) = (0_u32, 0_u32);
        std::thread::scope(|scope| {
            let race = || {
                unshare(libc::CLONE_FS).unwrap();
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount)).unwrap();
                for index in 0..rounds {
                    cover(place, index, ordinary.path());
                    std::thread::yield_now();
                    unmount(place, UnmountFlags::DETACH).unwrap();
                }
                done.store(true, Ordering::Relaxed);
            };
            let race = scope.spawn(race);
            let proc = open().unwrap();
            while !done.load(Ordering::Relaxed) && !race.is_finished() {
                let value = format!("raced-{}", went_well % 1000);
                match write(proc.as_fd(), "self/comm", value.as_bytes()) {
                    Ok(()) => {
                        let mut is = [0; 16];
                        let len = shown.read_at(&mut is, 0).unwrap();
                        assert_eq!(is[..len].trim_ascii_end(), value.as_bytes());
                        went_well += 1;
                    }
                    Err(error) => {
                        assert_eq!(error, Errno::XDEV);
                        refused += 1;
                    }
                }
            }
            race.join().unwrap();
        });
        fs::write(place, name.trim_ascii_end()).unwrap();
        println!("{went_well} writes went well, {refused} were refused");
        assert!(went_well > 0 && refused > 0, "there was no race: {went_well} {refused}");
        assert_eq!(fs::read_to_string(ordinary.path()).unwrap(), "");
    });
}
