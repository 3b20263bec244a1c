//! When garbage may be collected.
//!
//! What an image needs stays as long as the image has a name or a sandbox; between the moment a sandbox's image is
//! looked up and the moment the sandbox is on record, nothing says so. A lock of the whole store closes that gap:
//! shared by those who create a sandbox, exclusive to those who remove images and collect.
//!
//! The store itself puts a collection off while a pull or a load is under way; that one then collects at its end.

use crate::dirs::Dirs;
use crate::engine::Engine;
use crate::images::ImagesError;
use crate::sandbox::wait_for_lock;
use oci_spec::image::Digest;
use rustix::fs::FlockOperation;
use std::io;
use std::os::fd::OwnedFd;

/// Held while images must stay, or while they go.
#[derive(Debug)]
pub(crate) struct ImagesLock(#[expect(dead_code, reason = "held, not read")] OwnedFd);

impl ImagesLock {
    /// Keeps images from being removed. Waits for a removal.
    pub(crate) fn keep(dirs: &Dirs) -> io::Result<Self> {
        Self::take(dirs, FlockOperation::LockShared)
    }

    /// Keeps sandboxes from being created. Waits for those that are.
    pub(crate) fn remove(dirs: &Dirs) -> io::Result<Self> {
        Self::take(dirs, FlockOperation::LockExclusive)
    }

    fn take(dirs: &Dirs, operation: FlockOperation) -> io::Result<Self> {
        Ok(Self(wait_for_lock(&dirs.lock("images.lock"), operation)?))
    }
}

impl Engine {
    /// Frees what no image and no sandbox needs. `_lock` is the removal's, so that the sandboxes seen are all there are.
    pub(crate) fn collect_garbage(&self, _lock: &ImagesLock) -> Result<(), ImagesError> {
        let (sandboxes, damaged) = self.catalog().survey()?;
        if !damaged.is_empty() {
            // Nobody can tell which layers those need.
            return Ok(());
        }
        let in_use: Vec<Digest> = sandboxes.into_iter().map(|sandbox| sandbox.definition.image.id).collect();
        if self.store()?.gc(&in_use)?.postponed {
            // Fails where the next collection will fail, and say so.
            let _ = std::fs::write(self.dirs.lock(POSTPONED), "");
        }
        Ok(())
    }

    /// Makes up for a collection that was put off because of a pull or load like the one that has just ended.
    pub(crate) fn collect_postponed(&self) {
        if std::fs::remove_file(self.dirs.lock(POSTPONED)).is_err() {
            return;
        }
        let collected = ImagesLock::remove(&self.dirs)
            .map_err(ImagesError::Lock)
            .and_then(|lock| self.collect_garbage(&lock));
        if let Err(error) = collected {
            tracing::warn!(error = &error as &dyn std::error::Error, "garbage could not be collected");
        }
    }
}

/// The file that says that there is something to collect.
const POSTPONED: &str = "gc-postponed";
