//! Removing a whole store.

use std::ffi::CString;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::lock::Lease;
use crate::store::{Store, part};
use crate::tree;

/// A store that cannot be removed, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// Something else has this name.
    #[error("{path:?} is no store of gaufre, so nothing in it is removed")]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// A pull or a load is under way.
    #[error("the store {path:?} is in use by a pull or a load")]
    Busy {
        /// The store.
        path: PathBuf,
    },
    /// Parts of it remain.
    #[error("cannot remove {path:?}")]
    Io {
        /// What remains.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Store {
    /// Removes everything that the store made in `root`, and `root` and `run` themselves if nothing else is in
    /// them. No link is followed and no mount entered. No sandbox must be left: the caller sees to that. A store
    /// that is not there is no error.
    ///
    /// # Errors
    /// [`ResetError`]. What could be removed is removed all the same.
    pub fn reset(root: &Path, run: &Path) -> Result<(), ResetError> {
        let failed = |path: &Path, error: io::Error| ResetError::Io { path: path.to_owned(), source: error };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = match rustix::fs::open(root, flags, Mode::empty()) {
            Ok(dir) => dir,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(failed(root, error.into())),
        };
        match rustix::fs::statat(&dir, part::FORMAT, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => {}
            Err(Errno::NOENT) => return Err(ResetError::Foreign { path: root.to_owned() }),
            Err(error) => return Err(failed(root, error.into())),
        }
        let _lease = match tree::open_dir(&dir, part::LOCKS) {
            Ok(locks) => {
                let lease = Lease::try_exclusive(locks).map_err(|error| failed(root, error))?;
                Some(lease.ok_or_else(|| ResetError::Busy { path: root.to_owned() })?)
            }
            Err(_) => None,
        };
        let mut first = None;
        // The format file last: a reset that is killed can be repeated.
        let directories = part::ALL.into_iter().filter(|name| !name.contains('/'));
        for name in directories.chain(part::INDEX).chain([part::RESERVE]) {
            if let Err(error) = remove(&dir, name) {
                first.get_or_insert(failed(&root.join(name), error));
            }
        }
        if let Some(error) = first {
            return Err(error);
        }
        remove(&dir, part::FORMAT).map_err(|error| failed(&root.join(part::FORMAT), error))?;
        for path in [root, run] {
            match std::fs::remove_dir(path) {
                Ok(()) => {}
                // What others keep there is theirs; a root that is a mount point stays, empty.
                Err(error) if is_left_alone(&error) => {}
                Err(error) => return Err(failed(path, error)),
            }
        }
        Ok(())
    }
}

fn remove(dir: &rustix::fd::OwnedFd, name: &str) -> io::Result<()> {
    tree::remove(dir, &CString::new(name)?)
}

fn is_left_alone(error: &io::Error) -> bool {
    use io::ErrorKind::{DirectoryNotEmpty, NotFound, ResourceBusy};
    matches!(error.kind(), DirectoryNotEmpty | NotFound | ResourceBusy)
}
