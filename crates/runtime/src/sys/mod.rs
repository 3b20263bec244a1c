//! The system calls that rustix does not wrap, one small typed function each: the only unsafe code of this crate.

pub(crate) mod bpf;
pub(crate) mod clone;
pub(crate) mod exec;
pub(crate) mod fds;
pub(crate) mod landlock;
pub(crate) mod mount;
pub(crate) mod namespace;
pub(crate) mod scheduler;
pub(crate) mod seccomp;
pub(crate) mod shared;
pub(crate) mod signals;

use rustix::io::Errno;

/// Turns the result of `libc::syscall` into a result: negative one means that errno says why.
fn checked(result: libc::c_long) -> rustix::io::Result<libc::c_long> {
    if result >= 0 {
        return Ok(result);
    }
    let error = std::io::Error::last_os_error();
    Err(Errno::from_io_error(&error).unwrap_or(Errno::IO))
}
