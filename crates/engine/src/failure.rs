//! What the caller of a failed operation can tell its user: an exit code and a remedy.

/// Implemented by the error of every operation of the engine.
pub trait Failure: std::error::Error + Send + Sync + 'static {
    /// The exit code that podman's users expect: 125 for the engine's own failure, 126 for a command that cannot
    /// be run, 127 for one that is not there, 1 for a query that found nothing.
    fn exit_code(&self) -> u8 {
        125
    }

    /// What the user can do about it, as a sentence; `None` where the message already says so.
    fn hint(&self) -> Option<String> {
        None
    }
}
