//! Processes of the host, told apart even when a PID is used again.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open, readlink};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The kernel's name for this boot (random(4)); empty where procfs does not tell.
pub(crate) fn boot_id() -> &'static str {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    BOOT_ID.get_or_init(|| {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
        id.map(|id| id.trim().to_owned()).unwrap_or_default()
    })
}

/// The file of this program. A process that was started from a sealed view of it has no path of its own; it finds the
/// file by the name that it was started under.
pub(crate) fn own_file() -> io::Result<PathBuf> {
    let identity = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    let ours = identity(Path::new("/proc/self/exe"));
    let named = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    let searched =
        std::env::split_paths(&in_path).map(|directory| directory.join(&named)).collect::<Vec<_>>();
    let absolute = std::path::absolute(&named).ok();
    let exe = std::env::current_exe()?;
    let found = [Some(exe.clone()), absolute]
        .into_iter()
        .flatten()
        .chain(searched)
        .find(|path| identity(path) == ours);
    Ok(found.unwrap_or(exe))
}

/// Our own PID.
pub(crate) fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

/// When the process was started, in clock ticks since boot (proc(5), field 22 of stat); `None` when it is gone.
pub(crate) fn start_ticks(pid: i32) -> Option<u64> {
    stat_field(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?, 22)?.parse().ok()
}

/// How the process that was started at `started` ended, in the encoding of wait(2), before its parent has reaped it
/// (proc(5), field 52 of stat). `None` if it has not ended, or has been reaped, or if we may not know.
pub(crate) fn unreaped_status(pid: i32, started: u64) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // A first thread that ended before the others is a zombie too: whether they all have, the caller's pidfd tells.
    if stat_field(&stat, 3)? != "Z" || stat_field(&stat, 22)?.parse() != Ok(started) {
        return None;
    }
    // To who may not look into the process the field is 0 whatever it ended with. Who may is told that this link, which
    // takes the same right, leads nowhere any more.
    match readlink(format!("/proc/{pid}/cwd"), Vec::new()) {
        Err(Errno::NOENT) => stat_field(&stat, 52)?.parse().ok(),
        _ => None,
    }
}

/// A field of proc(5)'s stat, from the third on, by its number there.
fn stat_field(stat: &str, number: usize) -> Option<&str> {
    // The command's name, in parentheses, may hold anything, also spaces and parentheses.
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(number.checked_sub(3)?)
}

/// Whether there is a process of this number that has not ended.
pub(crate) fn is_alive(pid: i32) -> bool {
    let Some(Ok(pidfd)) = Pid::from_raw(pid).map(|pid| pidfd_open(pid, PidfdFlags::empty())) else {
        return false;
    };
    runs(pidfd.as_fd())
}

/// Whether the process behind a pidfd has not ended.
pub(crate) fn runs(pidfd: BorrowedFd<'_>) -> bool {
    // Readable once the process has ended, reaped or not (pidfd_open(2)). Ten times quicker than proc(5)'s stat.
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)], Some(&at_once)), Ok(0))
}

/// Opens `/proc/PID/NAME` of the process behind `pidfd`, whose number is `pid`; `None` when that one has ended.
pub(crate) fn open_of(
    pidfd: BorrowedFd<'_>,
    pid: i32,
    name: &str,
    flags: OFlags,
) -> io::Result<Option<OwnedFd>> {
    let opened = open(format!("/proc/{pid}/{name}"), flags | OFlags::CLOEXEC, Mode::empty());
    // Looked at after the file is open: the number was its own until now, so that no other process's was opened.
    if !runs(pidfd) {
        return Ok(None);
    }
    Ok(Some(opened?))
}

/// A pidfd for the process that was started at `start_ticks`; `None` when that one is gone.
pub(crate) fn open_pidfd(pid: i32, started: u64) -> Option<OwnedFd> {
    let pidfd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    // Looked at after the pidfd is open: from here on the number cannot come to mean another process.
    (start_ticks(pid) == Some(started)).then_some(pidfd)
}

/// Sends a signal by number.
pub(crate) fn kill(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // Real-time signals are libc's to number (signal(7)); rustix leaves them out.
    let signal = Signal::from_named_raw(signal).ok_or_else(|| {
        io::Error::new(io::ErrorKind::Unsupported, format!("signal {signal} cannot be sent"))
    })?;
    gaufre_runtime::kill(pidfd, signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_of_another_start_time_is_not_the_process() {
        let pid = own_pid();
        let ticks = start_ticks(pid).unwrap();
        assert!(open_pidfd(pid, ticks).is_some());
        assert!(open_pidfd(pid, ticks + 1).is_none());
        assert!(!boot_id().is_empty());
    }

    #[test]
    fn the_status_of_a_process_that_ended_is_known_before_its_parent_asks() {
        let ended = |script: &str| {
            let mut child = std::process::Command::new("/bin/sh").args(["-c", script]).spawn().unwrap();
            let pid = i32::try_from(child.id()).unwrap();
            let ticks = start_ticks(pid).unwrap();
            let pidfd = open_pidfd(pid, ticks).unwrap();
            let mut polled = [PollFd::new(&pidfd, PollFlags::IN)];
            poll(&mut polled, None).unwrap();
            let status = unreaped_status(pid, ticks);
            assert_eq!(unreaped_status(pid, ticks + 1), None);
            child.wait().unwrap();
            assert_eq!(unreaped_status(pid, ticks), None);
            status
        };
        assert_eq!(ended("exit 7"), Some(7 << 8));
        assert_eq!(ended("kill -KILL $$"), Some(9));
        assert_eq!(unreaped_status(own_pid(), start_ticks(own_pid()).unwrap()), None);
    }

    #[test]
    fn nothing_is_opened_by_a_number_that_may_mean_another_process_by_now() {
        let open_net = |pidfd: &OwnedFd, pid| open_of(pidfd.as_fd(), pid, "ns/net", OFlags::RDONLY).unwrap();
        let mut child =
            std::process::Command::new("/bin/cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let pidfd = open_pidfd(pid, start_ticks(pid).unwrap()).unwrap();
        assert!(open_net(&pidfd, pid).is_some());
        drop(child.stdin.take());
        // Ended, and not yet reaped: the number is still taken, but from the next moment on it may not be.
        while runs(pidfd.as_fd()) {
            std::thread::yield_now();
        }
        assert!(open_net(&pidfd, pid).is_none());
        child.wait().unwrap();
        // As if the number had come to mean this very process.
        assert!(open_net(&pidfd, own_pid()).is_none());
    }
}
