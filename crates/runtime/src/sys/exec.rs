//! execve(2) and the handful of per-process settings around it.

use std::ffi::{CStr, CString};

use rustix::io::Errno;

use super::checked;

/// Null-terminated pointers to strings, as execve(2) takes them.
pub(crate) struct CStringArray {
    pointers: Vec<*const libc::c_char>,
    _strings: Vec<CString>,
}

impl CStringArray {
    /// Keeps the strings and points at them.
    pub(crate) fn new(strings: Vec<CString>) -> Self {
        let mut pointers: Vec<_> = strings.iter().map(|string| string.as_ptr()).collect();
        pointers.push(std::ptr::null());
        Self { pointers, _strings: strings }
    }
}

/// Replaces this process's program. Returns only on failure, with the reason.
pub(crate) fn execve(path: &CStr, args: &CStringArray, env: &CStringArray) -> Errno {
    // SAFETY: all three are null-terminated as execve demands and live until the call returns or never returns.
    unsafe { libc::execve(path.as_ptr(), args.pointers.as_ptr(), env.pointers.as_ptr()) };
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// As [`execve`] for the file behind a descriptor: execveat(2) with `AT_EMPTY_PATH`, Linux 3.19.
pub(crate) fn fexecve(file: std::os::fd::BorrowedFd<'_>, args: &CStringArray, env: &CStringArray) -> Errno {
    use std::os::fd::AsRawFd;
    // SAFETY: as for execve; the empty path is a static null-terminated string.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_raw_fd(),
            c"".as_ptr(),
            args.pointers.as_ptr(),
            env.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Ends this process at once, running no destructor or exit handler that belongs to its parent's copy.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit takes no pointers and does not return.
    unsafe { libc::_exit(code) }
}

/// personality(2).
pub(crate) fn set_personality(domain: u32) -> rustix::io::Result<()> {
    // SAFETY: takes a number and touches no memory of ours.
    checked(unsafe { libc::syscall(libc::SYS_personality, libc::c_ulong::from(domain)) }).map(drop)
}

/// keyctl(2) `KEYCTL_JOIN_SESSION_KEYRING` without a name: a new session keyring, empty, in place of the inherited one.
pub(crate) fn join_new_session_keyring() -> rustix::io::Result<()> {
    let no_name = std::ptr::null::<libc::c_char>();
    // SAFETY: a null name is what asks for an anonymous keyring; nothing of ours is read or written.
    checked(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, no_name) }).map(drop)
}

/// ioprio_set(2) of the calling process; `value` is class << 13 | priority.
pub(crate) fn set_io_priority(value: i32) -> rustix::io::Result<()> {
    const WHO_PROCESS: libc::c_int = 1;
    // SAFETY: takes numbers and touches no memory of ours.
    checked(unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, value) }).map(drop)
}

/// Makes `command` close everything but its standard streams when it is executed: what a caller of ours forgot to mark
/// close-on-exec must not reach it.
pub(crate) fn close_descriptors_on_exec(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: between fork and exec only one system call is made, which marks descriptors and allocates nothing.
    unsafe { command.pre_exec(|| Ok(super::fds::close_on_exec_from(3)?)) };
}
