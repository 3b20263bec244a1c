//! seccomp(2), Linux 3.17.

use std::os::fd::{FromRawFd, OwnedFd};

use super::checked;

/// `struct sock_filter`: one instruction of classic BPF.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) code: u16,
    pub(crate) jump_true: u8,
    pub(crate) jump_false: u8,
    pub(crate) k: u32,
}

/// `struct sock_fprog`.
#[repr(C)]
struct Program {
    len: u16,
    filter: *const Instruction,
}

/// Puts the calling thread under `filter`; `flags` are `SECCOMP_FILTER_FLAG_*` without that for a new listener.
pub(crate) fn install(filter: &[Instruction], flags: u32) -> rustix::io::Result<()> {
    set(filter, flags).map(drop)
}

/// As [`install`] with `SECCOMP_FILTER_FLAG_NEW_LISTENER` (Linux 5.0) among the flags: gives the descriptor (close-on-exec)
/// on which the filter's notifications come.
pub(crate) fn install_with_listener(filter: &[Instruction], flags: u32) -> rustix::io::Result<OwnedFd> {
    let fd = libc::c_int::try_from(set(filter, flags)?).map_err(|_| rustix::io::Errno::BADF)?;
    // SAFETY: with that flag the call returns a fresh descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn set(filter: &[Instruction], flags: u32) -> rustix::io::Result<libc::c_long> {
    const SET_MODE_FILTER: libc::c_uint = 1;
    let len = u16::try_from(filter.len()).map_err(|_| rustix::io::Errno::TOOBIG)?;
    let program = Program { len, filter: filter.as_ptr() };
    // SAFETY: the kernel copies `len` instructions from `filter`, which lives until the call returns.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, flags, &raw const program) };
    checked(result)
}
