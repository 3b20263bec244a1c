//! The mode that always works: a tree on disk, made by the store's unpacker.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Mode as Permissions, OFlags};

use super::{LowerError, Mode, Name};

/// The unpacked tree in `fs`.
#[derive(Debug, Clone, Copy)]
pub struct Unpacked;

const TREE: &str = "fs";

impl Mode for Unpacked {
    fn name(&self) -> Name {
        Name::Unpacked
    }

    fn probe(&self, _store: BorrowedFd<'_>) -> Result<(), LowerError> {
        Ok(())
    }

    fn lower(&self, layer: BorrowedFd<'_>) -> Result<OwnedFd, LowerError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(layer, TREE, flags, Permissions::empty())
            .map_err(|error| LowerError::File { file: TREE, source: error.into() })
    }
}
