//! The holder: a second process that keeps a sandbox's descriptors open, so that the death of the keeper closes none.
//!
//! It does nothing but be there, and close the workload's standard input when its keeper says so. A new keeper takes
//! copies of what it holds with pidfd_getfd(2) (Linux 5.6). The keeper lets it live only once the state file names it;
//! before that, the keeper's death is the holder's end. It is a copy of its keeper that executes nothing.

use super::outputs::Output;
use super::stdin::Input;
use crate::process::{open_pidfd, start_ticks};
use crate::sandbox::HolderRef;
use gaufre_runtime::fork_keeping;
use rustix::process::{
    PidfdGetfdFlags, Signal, WaitId, WaitIdOptions, pidfd_getfd, pidfd_send_signal, waitid,
};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// A holder that this keeper started.
#[derive(Debug)]
pub(super) struct Holder {
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

impl<'a> Held<'a> {
    /// Of the workload behind `pidfd`, with these outputs, this input and these ports.
    pub(super) fn of(
        pidfd: BorrowedFd<'a>,
        outputs: &'a [Output],
        input: &'a Input,
        ports: &'a [OwnedFd],
    ) -> Self {
        Self {
            pidfd,
            terminal: outputs.first().and_then(Output::terminal_master),
            stdin: input.held(),
            ports: ports.iter().map(AsFd::as_fd).collect(),
            fifos: outputs.iter().map(Output::fifo_end).collect(),
        }
    }
}

impl Holder {
    /// Starts a holder.
    pub(super) fn start(held: &Held<'_>) -> io::Result<Self> {
        let (wait, line) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let all: Vec<BorrowedFd<'_>> = [held.pidfd, wait.as_fd()]
            .into_iter()
            .chain(held.stdin)
            .chain(held.terminal)
            .chain(held.ports.iter().chain(&held.fifos).copied())
            .collect();
        let (pid, pidfd) = fork_keeping(&all, |fds| live(fds, held.stdin.is_some()))?;
        let pid = pid.as_raw_nonzero().get();
        let number = |fd: BorrowedFd<'_>| fd.as_raw_fd();
        let reference = HolderRef {
            pid,
            start_ticks: start_ticks(pid).ok_or(io::ErrorKind::NotFound)?,
            pidfd: number(held.pidfd),
            terminal: held.terminal.map(number),
            stdin: held.stdin.map(number),
            ports: held.ports.iter().copied().map(number).collect(),
        };
        Ok(Self { pidfd, line: line.into(), reference, started: Instant::now() })
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
    pub(super) fn end(self) {
        let _ = pidfd_send_signal(self.pidfd, Signal::KILL);
    }

    /// Reaps one that has ended.
    pub(super) fn bury(self) {
        let _ = waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED);
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

/// A holder's life, with the descriptors in the order of [`Holder::start`].
fn live(fds: Vec<OwnedFd>, has_stdin: bool) -> i32 {
    let _ = rustix::thread::set_name(c"gaufre-holder");
    let _ = rustix::process::setsid();
    let mut fds = fds.into_iter();
    let (_pidfd, line) = (fds.next(), fds.next());
    let mut stdin = if has_stdin { fds.next() } else { None };
    let _others: Vec<OwnedFd> = fds.collect();
    let mut line = line.map(File::from);
    let mut next = || {
        let mut word = [0];
        line.as_mut()?.read_exact(&mut word).ok().map(|()| word[0])
    };
    if next().is_none() {
        // The keeper died before it could tell anybody of us.
        return 0;
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
