//! The holder: a second process that keeps a sandbox's descriptors open, so that the death of the keeper closes none.
//!
//! It does nothing but be there. A new keeper takes copies of what it holds with pidfd_getfd(2) (Linux 5.6). The
//! keeper lets it live only once the state file names it; before that, the keeper's death is the holder's end.

use crate::process::{open_pidfd, start_ticks};
use crate::sandbox::HolderRef;
use crate::sys;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{
    PidfdGetfdFlags, Signal, WaitId, WaitIdOptions, pidfd_getfd, pidfd_send_signal, waitid,
};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, ExitCode, Stdio};

/// A holder that this keeper started.
#[derive(Debug)]
pub(super) struct Holder {
    child: Child,
    confirm: Option<File>,
    reference: HolderRef,
}

impl Holder {
    /// Starts a holder of `pidfd`, the terminal's master and all of `others`.
    pub(super) fn spawn(
        exe: BorrowedFd<'_>,
        pidfd: BorrowedFd<'_>,
        terminal: Option<BorrowedFd<'_>>,
        others: &[BorrowedFd<'_>],
    ) -> io::Result<Self> {
        let (wait, confirm) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let held: Vec<BorrowedFd<'_>> =
            [pidfd, wait.as_fd()].into_iter().chain(terminal).chain(others.iter().copied()).collect();
        let child = spawn_inheriting(
            Command::new(format!("/proc/self/fd/{}", exe.as_raw_fd()))
                .arg("holder")
                .arg(wait.as_raw_fd().to_string()),
            &held,
        )?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        let reference = HolderRef {
            pid,
            start_ticks: start_ticks(pid).ok_or(io::ErrorKind::NotFound)?,
            pidfd: pidfd.as_raw_fd(),
            terminal: terminal.map(|fd| fd.as_raw_fd()),
        };
        Ok(Self { child, confirm: Some(confirm.into()), reference })
    }

    /// Where a later keeper finds it.
    pub(super) fn reference(&self) -> HolderRef {
        self.reference.clone()
    }

    /// From now on it outlives us: the state file names it.
    pub(super) fn confirm(&mut self) {
        if let Some(mut pipe) = self.confirm.take() {
            // Fails only for a holder that is gone, and then there is nobody to keep.
            let _ = pipe.write_all(b"!");
        }
    }

    /// Ends it. Nobody waits until it has gone: it is reaped before the next run, or by
    /// the keeper's end.
    pub(super) fn end(mut self) {
        let _ = self.child.kill();
    }
}

/// Copies of what the holder of a dead keeper holds: the pidfd and the terminal's master.
pub(super) fn take_from(holder: &HolderRef) -> Option<(OwnedFd, Option<OwnedFd>)> {
    let process = open_pidfd(holder.pid, holder.start_ticks)?;
    let copy = |number| pidfd_getfd(&process, number, PidfdGetfdFlags::empty()).ok();
    let pidfd = copy(holder.pidfd)?;
    Some((pidfd, holder.terminal.and_then(copy)))
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

/// Starts `command` with `fds` open under the numbers that they have here, standard streams closed to /dev/null, and
/// nothing else.
pub(super) fn spawn_inheriting(command: &mut Command, fds: &[BorrowedFd<'_>]) -> io::Result<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).env_clear();
    let set = |flags| fds.iter().try_for_each(|fd| fcntl_setfd(fd, flags).map_err(io::Error::from));
    set(FdFlags::empty())?;
    let child = command.spawn();
    set(FdFlags::CLOEXEC)?;
    child
}

/// The hidden verb `holder`: `gaufre holder WAIT-FD`.
#[must_use]
pub fn main(arguments: &[OsString]) -> ExitCode {
    let number = arguments.first().and_then(|word| word.to_str()).and_then(|word| word.parse().ok());
    let Some(wait) = number.and_then(sys::take_inherited) else {
        eprintln!("gaufre holder is started by gaufre itself");
        return ExitCode::from(125);
    };
    let _ = rustix::process::setsid();
    let _ = std::env::set_current_dir("/");
    let mut confirmed = [0];
    match File::from(wait).read(&mut confirmed) {
        // The keeper died before it could tell anybody of us.
        Ok(0) | Err(_) => ExitCode::SUCCESS,
        Ok(_) => loop {
            std::thread::park();
        },
    }
}
