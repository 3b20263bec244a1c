//! Sandboxes that go, and what a killed process left of some.
//!
//! A sandbox is there as long as its directory has its ID for a name. One that goes is renamed first; whoever removes
//! it has the directory locked, so that a renamed one which is not locked is known to have been left by somebody dead.

use super::catalog::{Catalog, DEFINITION, FindError, NAMES, UNFINISHED, entries};
use super::{Sandbox, SandboxId};
use gaufre_store::remove_tree;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

impl Catalog<'_> {
    /// Takes a sandbox's name and directory away. The caller has made sure that nothing of it runs.
    pub(crate) fn unregister(&self, sandbox: &Sandbox) -> io::Result<()> {
        self.retire(sandbox)?.remove()
    }

    /// Does of it what others can see; the files, which may be many, go with [`Retired::remove`].
    pub(crate) fn retire(&self, sandbox: &Sandbox) -> io::Result<Retired> {
        let link = self.name_link(&sandbox.definition.name);
        let retired = self.retire_directory(sandbox.id(), sandbox.directory(), |_| {
            let is_ours = fs::read_link(&link).is_ok_and(|to| to.as_os_str() == sandbox.id().as_str());
            if is_ours { fs::remove_file(&link) } else { Ok(()) }
        })?;
        remove_tree(sandbox.run_directory())?;
        Ok(retired)
    }

    /// The same for one whose definition, and with it its name, is unreadable.
    pub(crate) fn discard(&self, id: &SandboxId) -> io::Result<()> {
        let retired = self.retire_directory(id, &self.dirs.sandboxes().join(id.as_str()), |names| {
            for entry in entries(names)? {
                if fs::read_link(entry.path()).is_ok_and(|to| to.as_os_str() == id.as_str()) {
                    fs::remove_file(entry.path())?;
                }
            }
            Ok(())
        })?;
        remove_tree(&self.dirs.running().join(id.as_str()))?;
        retired.remove()
    }

    fn retire_directory(
        &self,
        id: &SandboxId,
        directory: &Path,
        forget_names: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<Retired> {
        let unfinished = self.dirs.sandboxes().join(format!("{UNFINISHED}{id}"));
        let _names = self.lock_names().map_err(io::Error::other)?;
        let lock = lock_directory(directory)?;
        match fs::rename(directory, &unfinished) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
        // The name last: one that leads to nobody does no harm, a sandbox without its name would.
        forget_names(&self.dirs.root.join(NAMES))?;
        Ok(Retired { directory: unfinished, _lock: lock })
    }

    /// Removes what killed processes left half-made or half-removed. What cannot be removed is found by the check.
    pub(crate) fn sweep(&self) {
        let is_unfinished =
            |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(UNFINISHED);
        if entries(&self.dirs.sandboxes()).is_ok_and(|entries| entries.iter().any(is_unfinished)) {
            let _ = self.leftovers(true);
        }
    }

    /// What killed processes left: half-made or half-removed directories, names of nobody. With `remove` they go.
    /// Returns what was found, or with `remove` what stayed.
    pub(crate) fn leftovers(&self, remove: bool) -> Result<Vec<PathBuf>, FindError> {
        let root = self.dirs.sandboxes();
        let list = |source| FindError::List { path: root.clone(), source };
        let (mut found, mut abandoned) = (Vec::new(), Vec::new());
        {
            // Under this lock sandboxes are registered, so that what is half-made here is nobody's.
            let _names = self.lock_names().map_err(|error| list(io::Error::other(error)))?;
            for entry in entries(&root).map_err(list)? {
                if entry.file_name().to_string_lossy().starts_with(UNFINISHED)
                    && let Ok(Some(lock)) = lock_directory(&entry.path())
                {
                    abandoned.push((entry.path(), lock));
                }
            }
            for entry in entries(&self.dirs.root.join(NAMES)).map_err(list)? {
                let owner_exists =
                    fs::read_link(entry.path()).is_ok_and(|id| root.join(id).join(DEFINITION).exists());
                let goes = || remove && fs::remove_file(entry.path()).is_ok();
                if !owner_exists && !goes() {
                    found.push(entry.path());
                }
            }
        }
        for (path, _lock) in abandoned {
            let gone = remove && remove_tree(&path).is_ok();
            if !gone {
                found.push(path);
            }
        }
        Ok(found)
    }
}

/// A sandbox that is gone for everybody, but whose files are still there. It keeps others from taking them for
/// something that a dead process left.
#[derive(Debug)]
#[must_use = "its files stay until somebody sweeps"]
pub(crate) struct Retired {
    directory: PathBuf,
    _lock: Option<OwnedFd>,
}

impl Retired {
    /// Removes its files.
    pub(crate) fn remove(self) -> io::Result<()> {
        remove_tree(&self.directory)
    }
}

/// `None` when somebody is removing it, or it has gone.
fn lock_directory(path: &Path) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(directory) = open(path, flags, Mode::empty()) else { return Ok(None) };
    Ok(flock(&directory, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(directory))
}
