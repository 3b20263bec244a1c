//! Signal dispositions, which survive exec where a signal is ignored or blocked.

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
