//! Where things are half made: directories that their living owner has locked, and that anyone else removes.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Mode, RenameFlags};
use rustix::io::Errno;

use crate::lock::{is_still_named, try_lock};
use crate::tree;

/// Tells apart what one process makes.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// A directory of this process; removed with all in it unless it was moved to its place.
#[derive(Debug)]
pub(crate) struct Staged {
    staging: OwnedFd,
    dir: OwnedFd,
    name: String,
    moved: bool,
}

impl Staged {
    /// Makes an empty directory and locks it.
    pub(crate) fn new(staging: impl AsFd) -> io::Result<Self> {
        loop {
            let name = fresh_name();
            match rustix::fs::mkdirat(&staging, name.as_str(), Mode::RWXU) {
                Err(Errno::EXIST) => continue,
                other => other?,
            }
            let dir = match tree::open_dir(&staging, name.as_str()) {
                // Collected between the two calls: its owner was not known yet.
                Err(Errno::NOENT) => continue,
                other => other?,
            };
            if try_lock(&dir)? && is_still_named(&staging, &name, &dir)? {
                return Ok(Self { staging: staging.as_fd().try_clone_to_owned()?, dir, name, moved: false });
            }
        }
    }

    pub(crate) fn dir(&self) -> &OwnedFd {
        &self.dir
    }

    /// Gives the directory its final name, in one step. `Ok(false)` if that name is taken.
    pub(crate) fn move_to(mut self, place: impl AsFd, name: &str) -> io::Result<bool> {
        match rustix::fs::renameat_with(
            &self.staging,
            self.name.as_str(),
            &place,
            name,
            RenameFlags::NOREPLACE,
        ) {
            Ok(()) => self.moved = true,
            Err(Errno::EXIST) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        rustix::fs::fsync(place)?;
        Ok(true)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.moved
            && let Ok(name) = CString::new(self.name.as_str())
            && let Err(error) = tree::remove(&self.staging, &name)
        {
            tracing::warn!(%error, name = self.name, "a half-made directory could not be removed; gc will");
        }
    }
}

/// Takes `name` out of `place` in one step, so that nobody sees it half removed, then removes it.
/// A name that is not there is no error.
pub(crate) fn discard(staging: impl AsFd, place: impl AsFd, name: &str) -> io::Result<()> {
    let bin = Staged::new(&staging)?;
    match rustix::fs::renameat(&place, name, bin.dir(), "removed") {
        Ok(()) => tree::remove(bin.dir(), c"removed"),
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Removes what dead processes left; returns how many there were.
///
/// # Errors
/// The first that could not be removed; the others are.
pub(crate) fn sweep(staging: impl AsFd) -> io::Result<u64> {
    let (mut swept, mut failed) = (0, None);
    for name in tree::names(&staging)? {
        match sweep_one(&staging, &name) {
            Ok(removed) => swept += u64::from(removed),
            Err(error) => {
                failed.get_or_insert(error);
            }
        }
    }
    failed.map_or(Ok(swept), Err)
}

fn sweep_one(staging: impl AsFd, name: &str) -> io::Result<bool> {
    let dir = match tree::open_dir(&staging, name) {
        Ok(dir) => dir,
        Err(Errno::NOENT) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let is_dead = try_lock(&dir)? && is_still_named(&staging, name, &dir)?;
    if is_dead {
        tree::remove(&staging, &CString::new(name)?)?;
    }
    Ok(is_dead)
}

fn fresh_name() -> String {
    // The time tells apart processes of one ID, as in containers that share a store or after a reboot.
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{}-{:x}-{count}", std::process::id(), time.as_nanos())
}
