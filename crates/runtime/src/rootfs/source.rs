//! Where the root and the bind mounts come from. One who may mount on the host clones them there, before the sandbox's
//! process exists; without root that is possible only in the sandbox's own user and mount namespace.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::bind::clone_tree;
use crate::step::{Step, StepError};
use crate::sys::mount::{MountAttr, mount_setattr};

/// The root file system.
#[derive(Debug)]
pub(crate) enum RootSource {
    /// A detached mount.
    Tree(OwnedFd),
    /// A directory of the host, to be cloned by the sandbox's process.
    Later(PathBuf),
}

impl RootSource {
    /// A private copy of the directory and all that is mounted below it; or a note of it, where the caller may not mount.
    /// `propagation` is that of `linux.rootfsPropagation`: a slave goes on receiving the host's mounts.
    pub(crate) fn clone_of(path: PathBuf, propagation: Option<(u64, bool)>) -> Result<Self, StepError> {
        let what = || format!("the root file system {} cannot be used", path.display());
        match detach(&path, propagation) {
            Ok(tree) => Ok(Self::Tree(tree)),
            Err(Errno::PERM) => Ok(Self::Later(path)),
            Err(error) => Err(error).step(what),
        }
    }

    /// The detached mount.
    pub(crate) fn tree(self, propagation: Option<(u64, bool)>) -> Result<OwnedFd, StepError> {
        match self {
            Self::Tree(tree) => Ok(tree),
            Self::Later(path) => detach(&path, propagation)
                .step(|| format!("the root file system {} cannot be used", path.display())),
        }
    }

    /// Whether what is mounted has to be cloned by the sandbox's process.
    pub(crate) fn is_later(&self) -> bool {
        matches!(self, Self::Later(_))
    }
}

fn detach(path: &Path, propagation: Option<(u64, bool)>) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(path, flags, Mode::empty())?;
    let tree = clone_tree(dir, true)?;
    let kind = match propagation {
        Some((libc::MS_SLAVE, _)) => libc::MS_SLAVE,
        _ => libc::MS_PRIVATE,
    };
    mount_setattr(tree.as_fd(), true, &MountAttr::propagation(kind))?;
    Ok(tree)
}
