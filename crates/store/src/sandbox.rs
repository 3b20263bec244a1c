//! The directories of sandboxes: bundle, upper, work, logs.

use std::io;
use std::path::PathBuf;

use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;

use crate::staging;
use crate::store::{Store, part};
use crate::tree;

/// A sandbox's directory that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Not usable as a file name.
    #[error("{id:?} cannot be the ID of a container")]
    Id {
        /// The ID.
        id: String,
    },
    /// It cannot be made, listed or removed.
    #[error("cannot {action} the directory {path:?}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Store {
    /// The directory of a sandbox, made (mode 0700) if it is not there.
    ///
    /// # Errors
    /// [`SandboxError::Id`] unless `id` consists of letters, digits, `_`, `.`, `-` and begins with one of the first two.
    pub fn sandbox_dir(&self, id: &str) -> Result<PathBuf, SandboxError> {
        let path = self.sandbox_path(id)?;
        let made =
            self.part(part::SANDBOXES).and_then(|dir| match rustix::fs::mkdirat(dir, id, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => Ok(()),
                Err(error) => Err(error.into()),
            });
        made.map_err(|source| SandboxError::Io { action: "make", path: path.clone(), source })?;
        Ok(path)
    }

    /// Whether the sandbox has a directory.
    ///
    /// # Errors
    /// As [`Store::sandbox_dir`].
    pub fn has_sandbox(&self, id: &str) -> Result<bool, SandboxError> {
        let path = self.sandbox_path(id)?;
        let found = self.part(part::SANDBOXES).and_then(|dir| {
            match rustix::fs::statat(dir, id, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(_) => Ok(true),
                Err(Errno::NOENT) => Ok(false),
                Err(error) => Err(error.into()),
            }
        });
        found.map_err(|source| SandboxError::Io { action: "look up", path, source })
    }

    /// The IDs of all sandboxes that have a directory, sorted.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn sandboxes(&self) -> Result<Vec<String>, SandboxError> {
        let names = self.part(part::SANDBOXES).and_then(|dir| Ok(tree::names(dir)?));
        let mut names = names.map_err(|source| SandboxError::Io {
            action: "list",
            path: self.root.join(part::SANDBOXES),
            source,
        })?;
        names.retain(|name| is_id(name));
        names.sort();
        Ok(names)
    }

    /// Removes a sandbox's directory with all in it, whatever the sandbox made there; it is gone in one step. One
    /// that is not there is no error.
    ///
    /// # Errors
    /// Something in it cannot be removed, such as a mount; it is then tried again by [`Store::gc`].
    pub fn remove_sandbox(&self, id: &str) -> Result<(), SandboxError> {
        let path = self.sandbox_path(id)?;
        let removed = self.part(part::SANDBOXES).and_then(|dir| {
            if let Err(Errno::NOENT) = rustix::fs::statat(&dir, id, AtFlags::SYMLINK_NOFOLLOW) {
                return Ok(());
            }
            staging::discard(self.part(part::STAGING)?, dir, id)
        });
        removed.map_err(|source| SandboxError::Io { action: "remove", path, source })
    }

    fn sandbox_path(&self, id: &str) -> Result<PathBuf, SandboxError> {
        if is_id(id) {
            Ok(self.root.join(part::SANDBOXES).join(id))
        } else {
            Err(SandboxError::Id { id: id.to_owned() })
        }
    }
}

/// Whether `id` is a file name of harmless characters that is neither hidden nor an option.
pub(crate) fn is_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    id.len() <= 255 && id.bytes().all(plain) && id.bytes().next().is_some_and(|first| !b".-".contains(&first))
}
