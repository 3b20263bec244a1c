//! Locks between processes: `flock(2)`, which the kernel gives back when its owner dies by whatever cause.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

/// Keeps layers and blobs that no image refers to yet from being collected.
///
/// A pull or a load takes one before its first [`crate::Store::put_blob`] or [`crate::Store::add_layer`] and
/// drops it after the image has been inserted. Any number of processes hold one at a time.
#[derive(Debug)]
pub struct Lease {
    lock: OwnedFd,
}

impl Lease {
    /// Waits until no garbage collection runs, then keeps it off.
    pub(crate) fn shared(locks: impl AsFd) -> io::Result<Self> {
        let file = open_lock_file(locks, "lease")?;
        wait_for(&file, FlockOperation::LockShared)?;
        Ok(Self { lock: file })
    }

    /// Takes the lease for the collector alone; `None` while any other process holds one.
    pub(crate) fn try_exclusive(locks: impl AsFd) -> io::Result<Option<Self>> {
        let file = open_lock_file(locks, "lease")?;
        Ok(try_lock(&file)?.then_some(Self { lock: file }))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Closing alone would leave it locked while a child that was just forked still has a copy.
        let _ = rustix::fs::flock(&self.lock, FlockOperation::Unlock);
    }
}

/// A lock by name, exclusive; its file is removed with it.
#[derive(Debug)]
pub(crate) struct NamedLock {
    dir: OwnedFd,
    file: OwnedFd,
    name: String,
}

impl NamedLock {
    /// Waits for the lock `name` in the directory `locks`.
    pub(crate) fn wait(locks: impl AsFd, name: &str) -> io::Result<Self> {
        loop {
            let file = open_lock_file(&locks, name)?;
            wait_for(&file, FlockOperation::LockExclusive)?;
            // The former owner removed the file before it let go: the lock that counts is on the file
            // that has the name now.
            if is_still_named(&locks, name, &file)? {
                return Ok(Self { dir: locks.as_fd().try_clone_to_owned()?, file, name: name.to_owned() });
            }
        }
    }

    /// The lock `name` in the directory `locks`; `None` while somebody else holds it.
    pub(crate) fn try_take(locks: impl AsFd, name: &str) -> io::Result<Option<Self>> {
        loop {
            let file = open_lock_file(&locks, name)?;
            if !try_lock(&file)? {
                return Ok(None);
            }
            if is_still_named(&locks, name, &file)? {
                let dir = locks.as_fd().try_clone_to_owned()?;
                return Ok(Some(Self { dir, file, name: name.to_owned() }));
            }
        }
    }

    /// Removes lock files whose owner died. Those of living owners stay.
    pub(crate) fn sweep(locks: impl AsFd, names: &[String]) -> io::Result<()> {
        for name in names.iter().filter(|name| name.as_str() != "lease") {
            let file =
                match rustix::fs::openat(&locks, name.as_str(), flags() - OFlags::CREATE, Mode::empty()) {
                    Ok(file) => file,
                    Err(Errno::NOENT) => continue,
                    Err(error) => return Err(error.into()),
                };
            if try_lock(&file)? && is_still_named(&locks, name, &file)? {
                rustix::fs::unlinkat(&locks, name.as_str(), AtFlags::empty())?;
            }
        }
        Ok(())
    }
}

impl Drop for NamedLock {
    fn drop(&mut self) {
        // Still locked here, so nobody else can believe that it owns the name.
        let _ = rustix::fs::unlinkat(&self.dir, self.name.as_str(), AtFlags::empty());
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

fn flags() -> OFlags {
    OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW
}

fn open_lock_file(locks: impl AsFd, name: &str) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(locks, name, flags(), Mode::from_raw_mode(0o600))?)
}

fn wait_for(file: &OwnedFd, operation: FlockOperation) -> io::Result<()> {
    loop {
        match rustix::fs::flock(file, operation) {
            Err(Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

/// Locks `file` for this process alone, without waiting: `false` while somebody else holds it.
pub(crate) fn try_lock(file: impl AsFd) -> io::Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether `name` in `dir` is the inode behind `file`.
pub(crate) fn is_still_named(dir: impl AsFd, name: &str, file: impl AsFd) -> io::Result<bool> {
    let held = rustix::fs::fstat(file)?;
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(named) => Ok(named.st_ino == held.st_ino && named.st_dev == held.st_dev),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
