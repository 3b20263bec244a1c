//! The holder: a second process that keeps a sandbox's descriptors open, so that the death of the keeper closes none.
//!
//! It does nothing but be there, and close the workload's standard input when its keeper says so. A new keeper takes copies of what it holds with pidfd_getfd(2) (Linux 5.6). The
//! keeper lets it live only once the state file names it; before that, the keeper's death is the holder's end.

use crate::process::{open_pidfd, start_ticks};
use crate::sandbox::HolderRef;
use crate::sys;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{
    Pid, PidfdFlags, PidfdGetfdFlags, Signal, WaitId, WaitIdOptions, pidfd_getfd, pidfd_open,
    pidfd_send_signal, waitid,
};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// A holder that this keeper started.
#[derive(Debug)]
pub(super) struct Holder {
    child: Child,
    /// Readable once it has ended.
    pidfd: OwnedFd,
    line: File,
    reference: HolderRef,
    started: Instant,
}

/// What a holder is to keep open.
#[derive(Debug)]
pub(super) struct Held<'a> {
    /// The pidfd of the workload.
    pub(super) pidfd: BorrowedFd<'a>,
    /// The terminal's master.
    pub(super) terminal: Option<BorrowedFd<'a>>,
    /// The end by which the workload's standard input is written.
    pub(super) stdin: Option<BorrowedFd<'a>>,
    /// The sockets that keep the published ports.
    pub(super) ports: Vec<BorrowedFd<'a>>,
    /// FIFOs, which can be opened by name but lose what is in them when nobody has them open.
    pub(super) fifos: Vec<BorrowedFd<'a>>,
}

/// What a holder is told: the state file names it, so that it may outlive its keeper.
const CONFIRMED: u8 = b'!';
/// What a holder is told: the workload's standard input has ended.
const CLOSE_STDIN: u8 = b'0';

impl Holder {
    /// Starts a holder.
    pub(super) fn spawn(exe: BorrowedFd<'_>, held: &Held<'_>) -> io::Result<Self> {
        let (wait, line) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let all: Vec<BorrowedFd<'_>> = [held.pidfd, wait.as_fd()]
            .into_iter()
            .chain(held.terminal)
            .chain(held.stdin)
            .chain(held.ports.iter().chain(&held.fifos).copied())
            .collect();
        let mut command = Command::new(format!("/proc/self/fd/{}", exe.as_raw_fd()));
        command.arg("holder").arg(wait.as_raw_fd().to_string());
        command.args(held.stdin.map(|fd| fd.as_raw_fd().to_string()));
        command.stderr(Stdio::null());
        let child = spawn_inheriting(&mut command, &all)?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        let number = |fd: BorrowedFd<'_>| fd.as_raw_fd();
        let reference = HolderRef {
            pid,
            start_ticks: start_ticks(pid).ok_or(io::ErrorKind::NotFound)?,
            pidfd: number(held.pidfd),
            terminal: held.terminal.map(number),
            stdin: held.stdin.map(number),
            ports: held.ports.iter().copied().map(number).collect(),
        };
        let own = Pid::from_raw(pid).ok_or(io::ErrorKind::NotFound)?;
        let pidfd = pidfd_open(own, PidfdFlags::empty())?;
        Ok(Self { child, pidfd, line: line.into(), reference, started: Instant::now() })
    }

    /// Where a later keeper finds it.
    pub(super) fn reference(&self) -> HolderRef {
        self.reference.clone()
    }

    /// From now on it outlives us: the state file names it.
    pub(super) fn confirm(&mut self) {
        // Fails only for a holder that is gone, and then there is nobody to keep.
        let _ = self.line.write_all(&[CONFIRMED]);
    }

    /// The workload's standard input is to end, so nobody may hold it open.
    pub(super) fn close_stdin(&mut self) {
        let _ = self.line.write_all(&[CLOSE_STDIN]);
    }

    /// Readable once it has ended, which it does not do by itself.
    pub(super) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// How long it has been there.
    pub(super) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Ends it. Nobody waits until it has gone: it is reaped before the next run, or by
    /// the keeper's end.
    pub(super) fn end(mut self) {
        let _ = self.child.kill();
    }

    /// Reaps one that has ended.
    pub(super) fn bury(mut self) {
        let _ = self.child.wait();
    }
}

/// Copies of what the holder of a dead keeper holds.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) pidfd: OwnedFd,
    pub(super) terminal: Option<OwnedFd>,
    pub(super) stdin: Option<OwnedFd>,
    pub(super) ports: Vec<OwnedFd>,
}

/// Takes them; `None` when it is gone too.
pub(super) fn take_from(holder: &HolderRef) -> Option<Taken> {
    let process = open_pidfd(holder.pid, holder.start_ticks)?;
    let copy = |number| pidfd_getfd(&process, number, PidfdGetfdFlags::empty()).ok();
    Some(Taken {
        pidfd: copy(holder.pidfd)?,
        terminal: holder.terminal.and_then(copy),
        stdin: holder.stdin.and_then(copy),
        ports: holder.ports.iter().copied().filter_map(copy).collect(),
    })
}

/// Reaps holders that have ended. To be called while there is no workload, whose status must not be taken here.
pub(super) fn reap() {
    while waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
        .is_ok_and(|ended| ended.is_some())
    {}
}

/// Ends a holder that another keeper started.
pub(super) fn end_foreign(holder: &HolderRef) {
    if let Some(process) = open_pidfd(holder.pid, holder.start_ticks) {
        let _ = pidfd_send_signal(process, Signal::KILL);
    }
}

/// Starts `command` with `fds` open under the numbers that they have here, standard input and output at /dev/null, and
/// nothing else.
pub(super) fn spawn_inheriting(command: &mut Command, fds: &[BorrowedFd<'_>]) -> io::Result<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).env_clear();
    let set = |flags| fds.iter().try_for_each(|fd| fcntl_setfd(fd, flags).map_err(io::Error::from));
    set(FdFlags::empty())?;
    let child = command.spawn();
    set(FdFlags::CLOEXEC)?;
    child
}

/// The hidden verb `holder`: `gaufre holder LINE-FD [STDIN-FD]`.
#[must_use]
pub fn main(arguments: &[OsString]) -> ExitCode {
    let mut inherited = arguments
        .iter()
        .map(|word| word.to_str().and_then(|word| word.parse().ok()).and_then(sys::take_inherited));
    let Some(Some(line)) = inherited.next() else {
        eprintln!("gaufre holder is started by gaufre itself");
        return ExitCode::from(125);
    };
    let mut stdin = inherited.next().flatten();
    let _ = rustix::process::setsid();
    let _ = std::env::set_current_dir("/");
    let mut line = File::from(line);
    let mut next = || {
        let mut word = [0];
        line.read_exact(&mut word).ok().map(|()| word[0])
    };
    if next().is_none() {
        // The keeper died before it could tell anybody of us.
        return ExitCode::SUCCESS;
    }
    while let Some(word) = next() {
        if word == CLOSE_STDIN {
            drop(stdin.take());
        }
    }
    loop {
        std::thread::park();
    }
}
