//! Namespaces: unshare(2), and the questions of ioctl_ns(2).

use std::os::fd::{AsRawFd, BorrowedFd};

use super::checked;

/// The type of the namespace behind `fd` as its `CLONE_NEW*`: ioctl_ns(2) `NS_GET_NSTYPE`, Linux 4.11.
pub(crate) fn type_of(fd: BorrowedFd<'_>) -> rustix::io::Result<u64> {
    const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
    // SAFETY: the request takes no argument; on a file that is no namespace it fails with ENOTTY.
    let kind = checked(unsafe { libc::ioctl(fd.as_raw_fd(), NS_GET_NSTYPE as _) }.into())?;
    u64::try_from(kind).map_err(|_| rustix::io::Errno::INVAL)
}

/// Moves the calling process into new namespaces of the types in `flags` (`CLONE_NEW*`).
///
/// Only for those that leave descriptors and memory as they are: cgroup (Linux 4.6), and time (Linux 5.6), which the
/// caller enters by setns(2) afterwards.
pub(crate) fn unshare(flags: libc::c_int) -> rustix::io::Result<()> {
    // SAFETY: takes a number; the namespaces named above change no memory and no descriptor of the process.
    checked(unsafe { libc::unshare(flags) }.into()).map(drop)
}
