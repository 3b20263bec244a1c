//! fanotify(7) for pre-content events (`FAN_PRE_ACCESS`, Linux 6.14): whoever reads a marked file waits until someone has
//! filled the range and said so.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use rustix::io::Errno;

/// `FAN_PRE_ACCESS` of <linux/fanotify.h>, since Linux 6.14.
pub(super) const FAN_PRE_ACCESS: u64 = 0x0010_0000;

/// A group that gets pre-content events; reading from it does not block. Needs CAP_SYS_ADMIN.
pub(crate) fn open_group() -> io::Result<OwnedFd> {
    let flags = libc::FAN_CLASS_PRE_CONTENT | libc::FAN_CLOEXEC | libc::FAN_NONBLOCK;
    let event_flags = (libc::O_RDWR | libc::O_LARGEFILE | libc::O_CLOEXEC).cast_unsigned();
    // SAFETY: only numbers are passed.
    let fd = unsafe { libc::fanotify_init(flags, event_flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// From now on every read of `file`, but for those through descriptors opened before, raises an event.
pub(crate) fn mark(group: impl AsFd, file: impl AsFd) -> io::Result<()> {
    change_mark(group, file, libc::FAN_MARK_ADD)
}

/// No more events for `file`.
pub(crate) fn unmark(group: impl AsFd, file: impl AsFd) -> io::Result<()> {
    change_mark(group, file, libc::FAN_MARK_REMOVE)
}

fn change_mark(group: impl AsFd, file: impl AsFd, flags: libc::c_uint) -> io::Result<()> {
    let (group, file) = (group.as_fd().as_raw_fd(), file.as_fd().as_raw_fd());
    // SAFETY: both descriptors are borrowed for the call, and without a path the file is what the descriptor is of.
    let result = unsafe { libc::fanotify_mark(group, flags, FAN_PRE_ACCESS, file, ptr::null()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What a waiting reader is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Read what is there now.
    Allow,
    /// The read fails with EIO.
    Fail,
}

/// Answers the event with this number; one that is answered already is none any more, which is fine.
pub(crate) fn answer(group: impl AsFd, number: i32, answer: Answer) -> io::Result<()> {
    const FAN_ALLOW: u32 = 0x1;
    /// `FAN_DENY_ERRNO(EIO)`.
    const FAN_DENY_EIO: u32 = 0x2 | (libc::EIO.cast_unsigned() << 24);
    let code = match answer {
        Answer::Allow => FAN_ALLOW,
        Answer::Fail => FAN_DENY_EIO,
    };
    // struct fanotify_response
    let mut response = [0; 8];
    response[..4].copy_from_slice(&number.to_ne_bytes());
    response[4..].copy_from_slice(&code.to_ne_bytes());
    match rustix::io::retry_on_intr(|| rustix::io::write(&group, &response)) {
        Ok(_) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
