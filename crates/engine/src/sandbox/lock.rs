//! Locks: those of a sandbox, and how to wait for one of the whole store.
//!
//! The two locks of a sandbox lie in its directory and go with it, so that whoever holds one can be sure that the
//! sandbox is there, and whoever waited for one learns when it went meanwhile.
//!
//! The *keeper's lock* belongs to the keeper for as long as it lives: whoever starts a keeper takes the lock and hands
//! it down, and the kernel gives it back when the keeper dies. The *verbs' lock* keeps two starts, or a start and a
//! removal, from getting in each other's way.

use super::Sandbox;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, open, stat};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Held by the keeper of a sandbox for as long as it lives.
#[derive(Debug)]
pub struct KeeperLock(pub(crate) OwnedFd);

/// What came of asking for a lock.
#[derive(Debug)]
pub(crate) enum Locked<T> {
    /// It is ours.
    Ours(T),
    /// Somebody has it.
    Busy,
    /// The sandbox has gone.
    Gone,
}

/// A lock of a sandbox cannot be taken.
#[derive(Debug, thiserror::Error)]
#[error("cannot lock {}", path.display())]
pub struct LockError {
    path: PathBuf,
    source: io::Error,
}

impl KeeperLock {
    /// Gives it back. Closing alone would leave it locked while a process that was just cloned has a copy.
    pub(crate) fn release(self) {
        // Fails for no descriptor that is open.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

impl Sandbox {
    /// Waits for the lock under which a sandbox is started and removed. `None` when the sandbox has gone.
    pub(crate) fn lock(&self) -> Result<Option<OwnedFd>, LockError> {
        match take(&self.directory().join("lock"), FlockOperation::LockExclusive)? {
            Locked::Ours(file) => Ok(Some(file)),
            Locked::Busy | Locked::Gone => Ok(None),
        }
    }

    /// Takes the keeper's lock, unless somebody has it.
    pub(crate) fn try_keeper_lock(&self) -> Result<Locked<KeeperLock>, LockError> {
        try_keeper_lock(self.directory())
    }

    /// Waits for the keeper's lock; busy when `timeout` passes first.
    pub(crate) fn wait_keeper_lock(&self, timeout: Duration) -> Result<Locked<KeeperLock>, LockError> {
        let deadline = Instant::now() + timeout;
        loop {
            match self.try_keeper_lock()? {
                Locked::Busy if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
                other => return Ok(other),
            }
        }
    }
}

/// The same for a sandbox of which nothing but its directory is known.
pub(crate) fn try_keeper_lock(directory: &Path) -> Result<Locked<KeeperLock>, LockError> {
    Ok(match take(&directory.join("keeper.lock"), FlockOperation::NonBlockingLockExclusive)? {
        Locked::Ours(file) => Locked::Ours(KeeperLock(file)),
        Locked::Busy => Locked::Busy,
        Locked::Gone => Locked::Gone,
    })
}

/// Waits for a lock of the whole store; `path` is [`crate::dirs::Dirs::lock`]'s.
pub(crate) fn wait_for(path: &Path, operation: FlockOperation) -> io::Result<OwnedFd> {
    loop {
        match take(path, operation).map_err(|error| error.source)? {
            Locked::Ours(file) => return Ok(file),
            // A reset took the file away while we waited, perhaps all that it lay in.
            Locked::Busy | Locked::Gone if path.parent().is_some_and(Path::is_dir) => {}
            Locked::Busy | Locked::Gone => return Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn take(path: &Path, operation: FlockOperation) -> Result<Locked<OwnedFd>, LockError> {
    let fail = |errno: Errno| LockError { path: path.to_owned(), source: errno.into() };
    let file = match open(path, OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(Locked::Gone),
        Err(errno) => return Err(fail(errno)),
    };
    loop {
        match flock(&file, operation) {
            Ok(()) => break,
            Err(Errno::WOULDBLOCK) => return Ok(Locked::Busy),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(fail(errno)),
        }
    }
    // The one who had it may have removed the sandbox, this file with it.
    let ours = fstat(&file).map_err(fail)?;
    match stat(path) {
        Ok(named) if (named.st_dev, named.st_ino) == (ours.st_dev, ours.st_ino) => Ok(Locked::Ours(file)),
        Ok(_) | Err(Errno::NOENT) => Ok(Locked::Gone),
        Err(errno) => Err(fail(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dirs::Dirs;
    use crate::sandbox::Catalog;

    #[test]
    fn users_of_one_root_meet_at_its_locks_whatever_their_run_directories_are() {
        let dir = tempfile::tempdir().unwrap();
        let with_run = |name: &str| Dirs { root: dir.path().join("root"), run: dir.path().join(name) };
        let (mine, yours) = (with_run("mine"), with_run("yours"));
        let names = Catalog::new(&mine).lock_names().unwrap();
        let try_yours = || take(&yours.lock("names.lock"), FlockOperation::NonBlockingLockExclusive).unwrap();
        assert!(matches!(try_yours(), Locked::Busy));
        drop(names);
        assert!(matches!(try_yours(), Locked::Ours(_)));
        assert_ne!(mine.run_lock("sweep.lock"), yours.run_lock("sweep.lock"));
    }

    #[test]
    fn a_lock_whose_file_was_replaced_is_not_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("names.lock");
        let first = wait_for(&path, FlockOperation::LockExclusive).unwrap();
        std::fs::remove_file(&path).unwrap();
        let second = wait_for(&path, FlockOperation::LockExclusive).unwrap();
        assert!(matches!(take(&path, FlockOperation::NonBlockingLockExclusive), Ok(Locked::Busy)));
        drop((first, second));
        let nowhere = dir.path().join("gone").join("names.lock");
        assert_eq!(
            wait_for(&nowhere, FlockOperation::LockExclusive).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
