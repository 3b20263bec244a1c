//! Signals and ends, by pidfd: no process id is ever reused under our hands, and no SIGCHLD is there to be missed.

use std::os::fd::BorrowedFd;

use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(u8),
    /// By this signal.
    Signal(u8),
}

impl Exit {
    /// As a shell has it: the code, or 128 and the signal's number.
    pub fn code(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => signal.saturating_add(128),
        }
    }
}

/// Sends `signal` to the process behind `pidfd`: pidfd_send_signal(2), Linux 5.1.
///
/// # Errors
/// The process has ended (`ESRCH`), or the caller may not signal it.
pub fn kill(pidfd: BorrowedFd<'_>, signal: Signal) -> std::io::Result<()> {
    pidfd_send_signal(pidfd, signal).map_err(Into::into)
}

/// Waits for a child of the caller to end, and reaps it: waitid(2) with `P_PIDFD`, Linux 5.4.
///
/// # Errors
/// The process is not a child of the caller, or was reaped before.
pub fn wait(pidfd: BorrowedFd<'_>) -> std::io::Result<Exit> {
    loop {
        match waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED) {
            Ok(Some(status)) => {
                let number = |number: Option<i32>| number.and_then(|number| u8::try_from(number & 0xff).ok());
                return Ok(match number(status.terminating_signal()) {
                    Some(signal) => Exit::Signal(signal),
                    None => Exit::Code(number(status.exit_status()).unwrap_or(u8::MAX)),
                });
            }
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Ends a child for certain.
pub(crate) fn kill_and_reap(pidfd: BorrowedFd<'_>) {
    // Both fail only when it has ended or was reaped already, which is what is wanted.
    let _ = kill(pidfd, Signal::KILL);
    let _ = wait(pidfd);
}
