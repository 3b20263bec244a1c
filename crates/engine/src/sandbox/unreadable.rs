//! A sandbox of which nobody can tell what it is or does.

use super::SandboxId;
use super::record::RecordError;
use crate::failure::Failure;

/// The records of a sandbox cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the records of container {}", id.short())]
pub struct UnreadableError {
    /// Which.
    pub id: SandboxId,
    /// Why.
    pub source: RecordError,
}

impl Failure for UnreadableError {
    fn hint(&self) -> Option<String> {
        let id = self.id.short();
        Some(format!("If nothing of it is of use any more, remove it: gaufre rm --force {id}"))
    }
}
