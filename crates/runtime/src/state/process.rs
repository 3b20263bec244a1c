//! A process, recognisable after its id was reused.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

/// A process's id and when it started: together they name one process for as long as the system is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id in the runtime's PID namespace.
    pub pid: i32,
    /// When it started, in clock ticks since boot: field 22 of /proc/PID/stat.
    pub start_ticks: u64,
}

impl Process {
    /// Notes down a process that certainly exists, a child not yet waited for.
    ///
    /// # Errors
    /// /proc does not show it.
    pub fn of(pid: Pid) -> io::Result<Self> {
        let pid = pid.as_raw_nonzero().get();
        let (_, start_ticks) = stat(pid).ok_or(ErrorKind::NotFound)?;
        Ok(Self { pid, start_ticks })
    }

    /// Opens the process if it is still that one and has not ended.
    pub fn open(self) -> Option<OwnedFd> {
        let pidfd = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        // Read after opening: if it is the right one now, the descriptor is of the right one.
        self.is_alive().then_some(pidfd)
    }

    /// Whether the process has not ended.
    pub fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|(ended, start_ticks)| start_ticks == self.start_ticks && !ended)
    }
}

impl Process {
    /// Whether its id still stands for it: it is alive, or has ended and nobody waited for it yet.
    pub fn holds_id(self) -> bool {
        stat(self.pid).is_some_and(|(_, start_ticks)| start_ticks == self.start_ticks)
    }
}

/// Whether a process has ended, and when it started: proc_pid_stat(5).
fn stat(pid: i32) -> Option<(bool, u64)> {
    // More than the line can be, and in one read: it is shorter than 52 numbers of 20 digits.
    let mut line = [0; 2048];
    let len = fs::File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut line).ok()?;
    parse(&String::from_utf8_lossy(line.get(..len)?))
}

/// A process has ended as soon as its last thread exits. The first one of a PID namespace is no zombie yet then: it
/// waits until the others are reaped, which may be up to a slow parent of theirs.
fn parse(text: &str) -> Option<(bool, u64)> {
    /// `PF_EXITING` of linux/sched.h.
    const EXITING: u32 = 0x4;
    // The name in parentheses may hold anything: what counts is after the last one.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let (state, flags) = (*fields.first()?, fields.get(6)?.parse::<u32>().ok()?);
    let (threads, start_ticks) = (fields.get(17)?.parse::<u32>().ok()?, fields.get(19)?.parse().ok()?);
    let exits = matches!(state, "Z" | "X") || flags & EXITING != 0;
    Some((exits && threads <= 1, start_ticks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_ended_when_its_last_thread_exits() {
        let line = |state: &str, flags: u32, threads: u32| {
            let text =
                format!("7 (a) b) {state} 1 1 1 0 -1 {flags} 0 0 0 0 0 0 0 0 20 0 {threads} 0 4711 1 2");
            let (ended, start_ticks) = parse(&text).unwrap();
            assert_eq!(start_ticks, 4711);
            ended
        };
        assert!(!line("S", 0x40_0100, 1));
        assert!(line("Z", 0x40_0104, 1));
        assert!(line("S", 0x40_0104, 1), "the first process of a namespace, waiting for the others");
        assert!(!line("Z", 0x40_0104, 3), "other threads go on");
    }

    #[test]
    fn a_process_is_known_by_its_start_too() {
        let own = Process::of(rustix::process::getpid()).unwrap();
        assert!(own.is_alive() && own.open().is_some());
        let reused = Process { start_ticks: own.start_ticks + 1, ..own };
        assert!(!reused.is_alive() && reused.open().is_none());
    }
}
