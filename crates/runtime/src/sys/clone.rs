//! clone3(2), Linux 5.3; `CLONE_INTO_CGROUP` since 5.7.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::process::Pid;

use super::checked;

/// `struct clone_args` of linux/sched.h, in its size of Linux 5.7.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Which of the two processes returns from [`fork_into`].
pub(crate) enum Side {
    /// The caller.
    Parent {
        /// The child's id in the caller's PID namespace.
        pid: Pid,
        /// The child's pidfd (close-on-exec).
        pidfd: OwnedFd,
    },
    /// The new process.
    Child,
}

/// Duplicates the calling process as fork(2) does, the child in the namespaces named by `flags` (`CLONE_NEW*`)
/// and, where given, in the cgroup v2 directory `cgroup`.
///
/// The caller must have no other thread: then the child may use everything that its parent could, the allocator
/// included, since no lock can be held by a thread that no longer exists. [`crate::threads`] checks that.
pub(crate) fn fork_into(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> rustix::io::Result<Side> {
    let mut args =
        CloneArgs { flags, exit_signal: u64::from(libc::SIGCHLD.unsigned_abs()), ..CloneArgs::default() };
    if let Some(cgroup) = cgroup {
        // Defined in linux/sched.h; libc has it as an i32 that does not hold it.
        args.flags |= 0x2_0000_0000;
        args.cgroup = u64::from(cgroup.as_raw_fd().unsigned_abs());
    }
    fork(args)
}

/// As [`fork_into`], but the new process is a child of the caller's parent: its sibling (`CLONE_PARENT`).
pub(crate) fn fork_sibling(flags: u64) -> rustix::io::Result<Side> {
    // The signal at its end is the caller's own: clone3 wants none named beside CLONE_PARENT.
    fork(CloneArgs { flags: flags | const_flag(libc::CLONE_PARENT), ..CloneArgs::default() })
}

fn fork(mut args: CloneArgs) -> rustix::io::Result<Side> {
    let mut pidfd: libc::c_int = -1;
    args.flags |= const_flag(libc::CLONE_PIDFD);
    args.pidfd = (&raw mut pidfd).addr() as u64;
    // SAFETY: without CLONE_VM the child has its own copy of the memory, so this is fork: both sides return here on
    // their own stack (stack is 0). `args` and `pidfd` outlive the call and have the size that is passed.
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) };
    match checked(result)? {
        0 => Ok(Side::Child),
        pid => {
            // SAFETY: the kernel stored a fresh descriptor there that nothing else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(rustix::io::Errno::SRCH)?;
            Ok(Side::Parent { pid, pidfd })
        }
    }
}

/// A `CLONE_*` constant as the flag word has it.
pub(crate) const fn const_flag(flag: libc::c_int) -> u64 {
    flag.cast_unsigned() as u64
}
