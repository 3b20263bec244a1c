//! Descriptor numbers: putting one at a given number, and closing all others on exec.

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use super::checked;

/// Makes `number` refer to what `fd` refers to, staying open across exec: dup2(2).
///
/// rustix's dup2 wants to own the target; here the target is a number of the program about to be executed, 0 to 2
/// or a preserved one, whose earlier meaning is given up on purpose.
pub(crate) fn put_at(fd: BorrowedFd<'_>, number: RawFd) -> rustix::io::Result<()> {
    // SAFETY: takes numbers. The caller has moved every descriptor that it still owns above `number` before.
    let result = unsafe { libc::dup2(fd.as_raw_fd(), number) };
    checked(result.into()).map(drop)
}

/// Marks every descriptor from `first` on close-on-exec: close_range(2) with `CLOSE_RANGE_CLOEXEC`, Linux 5.11.
pub(crate) fn close_on_exec_from(first: RawFd) -> rustix::io::Result<()> {
    const CLOEXEC: libc::c_uint = 4;
    // SAFETY: only flags change, no descriptor is closed now, so nothing that is owned becomes dangling.
    checked(unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, CLOEXEC) }).map(drop)
}

/// Closes every descriptor from `first` on, but for those in `kept`, which is in order: close_range(2), Linux 5.9.
///
/// For a process that goes on to execute another program or to end, and never touches again what it owned.
pub(crate) fn close_from_but(first: RawFd, kept: &[RawFd]) -> rustix::io::Result<()> {
    let close = |from: RawFd, to: libc::c_uint| {
        if from.unsigned_abs() > to {
            return Ok(());
        }
        // SAFETY: the caller uses none of them any more, so nothing that is owned is used after it is closed.
        checked(unsafe { libc::syscall(libc::SYS_close_range, from, to, 0) }).map(drop)
    };
    let mut from = first;
    for number in kept {
        if *number > from {
            close(from, (number - 1).unsigned_abs())?;
        }
        from = from.max(number + 1);
    }
    close(from, libc::c_uint::MAX)
}

/// Takes a descriptor over from the owner that it has in this process's parent.
///
/// Only for a copy of a process that never returns to where that owner is.
pub(crate) fn own(fd: BorrowedFd<'_>) -> std::os::fd::OwnedFd {
    // SAFETY: the copy of the owner in this process never runs again, so nobody else closes it.
    unsafe { std::os::fd::FromRawFd::from_raw_fd(fd.as_raw_fd()) }
}

/// Takes over a descriptor that this process inherited under a number agreed on with its parent, as a copy that is
/// closed on exec; the number itself is marked so too.
pub(crate) fn inherited(number: RawFd) -> rustix::io::Result<std::os::fd::OwnedFd> {
    // SAFETY: fcntl on a number: where nothing is open there, the call fails with EBADF.
    checked(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) }.into())?;
    // SAFETY: the number was just seen to be open, and nothing in this process closes it.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_dupfd_cloexec(fd, 3)
}
