//! What a layer's directories may cost in memory: their attributes have to wait until nothing more goes into them.

use super::{LayerError, Xattr};

/// No real layer comes near this.
const MAX_BYTES: usize = 96 << 20;
/// What is counted for a directory beside its path and extended attributes.
const DIRECTORY_BYTES: usize = 64;

/// Counts what is held for directories.
#[derive(Debug, Default)]
pub struct DirectoryBudget {
    held_bytes: usize,
}

impl DirectoryBudget {
    /// Counts one more entry for a directory whose real path has `path_bytes`.
    ///
    /// # Errors
    /// It is too much.
    pub fn take(&mut self, path_bytes: usize, xattrs: &[Xattr]) -> Result<(), LayerError> {
        let xattrs: usize = xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.held_bytes += path_bytes + xattrs + DIRECTORY_BYTES;
        if self.held_bytes > MAX_BYTES {
            let limit = MAX_BYTES as u64;
            return Err(LayerError::Limit { what: "bytes of names and attributes of directories", limit });
        }
        Ok(())
    }
}
