//! Whether the calling process has other threads, which must not be when it clones.

/// True when the caller is the only thread of its process: /proc/self/task has one entry, so two links and one more.
///
/// After clone3 without CLONE_VM the child continues with a copy of this memory. A lock that another thread held at
/// that instant, the allocator's for one, would stay locked for ever there. Without /proc the answer is yes: nothing
/// else works then either, and the error says so more clearly.
pub(crate) fn is_single() -> bool {
    rustix::fs::stat("/proc/self/task").map_or(true, |task| task.st_nlink <= 3)
}
