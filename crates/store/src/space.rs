//! A full disk, said so that a user can act: which file system, and how much it has left.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// A file system without room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the file system at {mount_point:?} is full: {free_bytes} bytes and {free_files} files are free")]
pub struct NoSpace {
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// What an ordinary user may still write, in bytes.
    pub free_bytes: u64,
    /// How many files it may still hold.
    pub free_files: u64,
}

impl NoSpace {
    /// How it is with the file system that `path` is on.
    pub(crate) fn at(path: &Path) -> Self {
        let stat = rustix::fs::statvfs(path);
        let stat = stat.as_ref();
        Self {
            mount_point: mount_point(path),
            free_bytes: stat.map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize)),
            free_files: stat.map_or(0, |stat| stat.f_favail),
        }
    }
}

/// If `error` comes from a full disk or an exhausted quota: which one.
pub(crate) fn no_space(error: &(dyn Error + 'static), path: &Path) -> Option<NoSpace> {
    let full = [Errno::NOSPC, Errno::DQUOT].map(|errno| Some(errno.raw_os_error()));
    let mut next = Some(error);
    while let Some(error) = next {
        if error.downcast_ref::<io::Error>().is_some_and(|error| full.contains(&error.raw_os_error())) {
            return Some(NoSpace::at(path));
        }
        next = error.source();
    }
    None
}

/// The topmost directory on the way to `path` that is on the same device.
fn mount_point(path: &Path) -> PathBuf {
    use std::os::unix::fs::MetadataExt;
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let device = |path: &Path| path.metadata().map(|data| data.dev()).ok();
    let own = device(&path);
    path.ancestors().take_while(|above| device(above) == own).last().unwrap_or(&path).to_owned()
}
