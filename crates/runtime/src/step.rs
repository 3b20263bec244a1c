//! One failed step of making a sandbox: which step, and the system's reason. Steps fail on both sides of the clone;
//! this is the form in which a failure crosses from the new process to the caller.

use std::io;

/// A step that failed, as a sentence that names the thing concerned, with the system's reason as its source.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct StepError {
    what: String,
    #[source]
    source: Option<io::Error>,
}

impl StepError {
    /// A failure that no system call reported: a rule of ours was broken.
    pub(crate) fn rule(what: impl Into<String>) -> Self {
        Self { what: what.into(), source: None }
    }

    /// A failure with the system's reason.
    pub(crate) fn new(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self { what: what.into(), source: Some(source.into()) }
    }

    /// The number of the system's reason (errno(3)), 0 without one.
    pub(crate) fn errno(&self) -> i32 {
        self.source.as_ref().and_then(io::Error::raw_os_error).unwrap_or(0)
    }

    /// The sentence.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// The kind of the system's reason; `Other` without one.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.as_ref().map_or(io::ErrorKind::Other, io::Error::kind)
    }
}

/// Names the step in which a call failed.
pub(crate) trait Step<T> {
    /// Wraps the failure with a sentence, built only when needed.
    fn step<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T, StepError>;
}

impl<T, E: Into<io::Error>> Step<T> for Result<T, E> {
    fn step<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T, StepError> {
        self.map_err(|source| StepError::new(what(), source))
    }
}
