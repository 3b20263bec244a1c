//! How a keeper tells whoever started it that the workload runs, or why it does not.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

/// What goes through the pipe, once.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Message {
    Started,
    Failed(KeeperFailure),
}

/// Why a sandbox did not start, as told by its keeper.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeeperFailure {
    message: String,
    cause: Option<Box<KeeperFailure>>,
    #[serde(default)]
    pub(crate) exit_code: u8,
    #[serde(default)]
    pub(crate) hint: Option<String>,
}

/// The keeper's end. Dropping it without a word says that the keeper died.
#[derive(Debug)]
pub(super) struct Report(Option<File>);

impl Report {
    pub(super) fn new(pipe: OwnedFd) -> Self {
        Self(Some(pipe.into()))
    }

    /// The workload runs. Later calls say nothing.
    pub(super) fn started(&mut self) {
        self.send(&Message::Started);
    }

    /// The workload does not run.
    pub(super) fn failed(&mut self, error: &dyn std::error::Error, exit_code: u8, hint: Option<String>) {
        let mut failure = KeeperFailure::from_error(error);
        failure.exit_code = exit_code;
        failure.hint = hint;
        self.send(&Message::Failed(failure));
    }

    fn send(&mut self, message: &Message) {
        if let Some(mut pipe) = self.0.take() {
            // Whoever started us may be gone; the sandbox does not depend on that.
            let _ = serde_json::to_vec(message).map(|bytes| pipe.write_all(&bytes));
        }
    }
}

/// Reads the other end to the end. `Ok(None)` when the keeper died without a word.
pub(super) fn read(pipe: OwnedFd) -> std::io::Result<Option<Result<(), KeeperFailure>>> {
    let mut bytes = Vec::new();
    File::from(pipe).read_to_end(&mut bytes)?;
    Ok(match serde_json::from_slice(&bytes) {
        Ok(Message::Started) => Some(Ok(())),
        Ok(Message::Failed(failure)) => Some(Err(failure)),
        Err(_) => None,
    })
}

impl KeeperFailure {
    fn from_error(error: &dyn std::error::Error) -> Self {
        Self {
            message: error.to_string(),
            cause: error.source().map(|cause| Box::new(Self::from_error(cause))),
            exit_code: 125,
            hint: None,
        }
    }
}

impl fmt::Display for KeeperFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for KeeperFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}
