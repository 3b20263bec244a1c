//! A copy of this process that does one thing for it.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::process::Pid;

use crate::sys::clone::{Side, fork_into};
use crate::sys::fds::{close_from_but, own};
use crate::threads;

/// Duplicates this process, as fork(2) does. In the copy only `fds` and the standard streams stay open, the latter
/// all three at what standard output was. It does `act`, which gets `fds` under the same numbers and in the same order
/// for its own, and ends with the status that `act` returns. Gives the copy's PID and pidfd.
///
/// Much cheaper than executing a program again, whose pages all have to be touched anew. Linux 5.9 (close_range(2)).
///
/// # Errors
/// The caller has other threads, or the kernel has no process to give.
pub fn fork_keeping(
    fds: &[BorrowedFd<'_>],
    act: impl FnOnce(Vec<OwnedFd>) -> i32,
) -> io::Result<(Pid, OwnedFd)> {
    if !threads::is_single() {
        return Err(io::Error::other("a process with several threads cannot be duplicated"));
    }
    match fork_into(0, None)? {
        Side::Parent { pid, pidfd } => Ok((pid, pidfd)),
        Side::Child => {
            let ready = close_all_but(fds).and_then(|()| {
                rustix::stdio::dup2_stdin(rustix::stdio::stdout())?;
                rustix::stdio::dup2_stderr(rustix::stdio::stdout())
            });
            let status = match ready {
                Ok(()) => act(fds.iter().map(|fd| own(*fd)).collect()),
                Err(_) => 125,
            };
            std::process::exit(status)
        }
    }
}

/// What else this copy of the process owns by number is gone then: it must not return to what believes in it.
fn close_all_but(fds: &[BorrowedFd<'_>]) -> rustix::io::Result<()> {
    let mut kept: Vec<i32> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    kept.sort_unstable();
    close_from_but(3, &kept)
}
