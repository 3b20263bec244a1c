//! Signal dispositions, which survive exec where a signal is ignored or blocked, and signals as data: signalfd(2).

use std::os::fd::{FromRawFd, OwnedFd};

use rustix::process::Signal;

use super::checked;

/// Gives every signal its default action and unblocks all of them.
///
/// Rust's runtime ignores SIGPIPE, and whoever started us may ignore or block others; a workload expects none of it.
pub(crate) fn reset() {
    for signal in 1..=64 {
        // SAFETY: SIG_DFL installs no handler of ours; for KILL, STOP and glibc's own two the call fails harmlessly.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the whole set.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: the set was initialised above; no old mask is asked for.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()) };
}

/// The signal with this number, real-time ones included.
pub(crate) fn from_number(number: i32) -> Option<Signal> {
    // SAFETY: Linux has the signals 1 to 64. The two that glibc keeps for itself only matter to a process that sends
    // them to itself; ours go to other programs.
    (1..=64).contains(&number).then(|| unsafe { Signal::from_raw_unchecked(number) })
}

/// Blocks every signal but those that a fault of this program raises, and opens a descriptor to read them from.
pub(crate) fn block_and_queue() -> rustix::io::Result<OwnedFd> {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset initialises the whole set.
    unsafe { libc::sigfillset(set.as_mut_ptr()) };
    for fault in
        [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGABRT, libc::SIGSYS]
    {
        // SAFETY: the set was initialised above.
        unsafe { libc::sigdelset(set.as_mut_ptr(), fault) };
    }
    // SAFETY: the set was initialised above; no old mask is asked for.
    checked(unsafe { libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut()) }.into())?;
    // SAFETY: the set was initialised above; -1 asks for a new descriptor.
    let fd =
        checked(unsafe { libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) }.into())?;
    let fd = libc::c_int::try_from(fd).map_err(|_| rustix::io::Errno::BADF)?;
    // SAFETY: a successful signalfd returns a fresh descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Lets children that end be forgotten rather than wait to be asked for, until this process executes a program:
/// sigaction(2), `SA_NOCLDWAIT`. execve(2) takes the flag away.
pub(crate) fn forget_children() -> std::io::Result<()> {
    // SAFETY: all zeroes is a valid sigaction, with the default action.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = libc::SIG_DFL;
    action.sa_flags = libc::SA_NOCLDWAIT;
    // SAFETY: the action outlives the call, and the old one is not asked for.
    let result = unsafe { libc::sigaction(libc::SIGCHLD, &raw const action, std::ptr::null_mut()) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}
