//! seccomp(2), Linux 3.17.

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

/// Puts the calling thread under `filter`; `flags` are `SECCOMP_FILTER_FLAG_*`.
pub(crate) fn install(filter: &[Instruction], flags: u32) -> rustix::io::Result<()> {
    const SET_MODE_FILTER: libc::c_uint = 1;
    let len = u16::try_from(filter.len()).map_err(|_| rustix::io::Errno::TOOBIG)?;
    let program = Program { len, filter: filter.as_ptr() };
    // SAFETY: the kernel copies `len` instructions from `filter`, which lives until the call returns.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, flags, &raw const program) };
    checked(result).map(drop)
}
