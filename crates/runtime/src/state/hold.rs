//! Who may change a sandbox's state: one process at a time, the one that holds the lock in its directory.
//!
//! The lock is a record lock (fcntl(2), `F_SETLK`), which belongs to a process and ends with it: what a maker forks does
//! not hold it on. The directory's name may be another sandbox's by the time that the lock is had, hence everything is
//! removed by the directory's descriptor.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Signal;

use super::{StateDir, StateError, Status};

/// How long another process is waited for: longer than its hooks should take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The lock of a sandbox's directory, for as long as this is there.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    pub(super) const NAME: &'static str = "lock";

    /// As [`Lock::try_take`], in the directory `path`.
    pub(super) fn try_take_at(path: &Path) -> io::Result<Option<Self>> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Self::try_take(rustix::fs::open(path, flags, Mode::empty())?)
    }

    /// Takes the lock in `dir`; None: another process has it, or has just removed it with the directory.
    pub(super) fn try_take(dir: impl AsFd) -> io::Result<Option<Self>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(dir, Self::NAME, flags, Mode::from_raw_mode(0o600))?;
        match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::AGAIN | Errno::ACCESS) => return Ok(None),
            taken => taken?,
        }
        let is_there = rustix::fs::fstat(&file)?.st_nlink > 0;
        Ok(is_there.then(|| Self { _file: file.into() }))
    }
}

/// A sandbox's directory while nobody else changes it.
#[derive(Debug)]
pub(super) struct Held {
    dir: OwnedFd,
    /// None where the maker has it already.
    _lock: Option<Lock>,
}

impl StateDir {
    /// Waits until nobody else changes the state. With `force` one who only makes the sandbox is killed.
    ///
    /// # Errors
    /// There is none, or it is another one by now; it is being made and may not be killed; or another process takes
    /// more than a minute.
    pub(super) fn hold(&self, force: bool) -> Result<Held, StateError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let dir = self.open()?;
            if self.is_locked() {
                return Ok(Held { dir, _lock: None });
            }
            let lock = match Lock::try_take(&dir) {
                // It was removed in this moment.
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                lock => lock.map_err(|source| self.failed(Lock::NAME, source))?,
            };
            if let Some(lock) = lock {
                self.check_is_own()?;
                return Ok(Held { dir, _lock: Some(lock) });
            }
            self.urge(force)?;
            if Instant::now() > deadline {
                return Err(StateError::Busy { id: self.id().to_owned() });
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ends the making of the sandbox, if that is what keeps the lock.
    fn urge(&self, force: bool) -> Result<(), StateError> {
        let state = match self.load() {
            // Claimed in this moment, or about to be gone.
            Err(StateError::Unknown { .. }) => return Ok(()),
            state => state?,
        };
        let status = self.status(&state);
        if status != Status::Creating {
            return Ok(());
        }
        if !force {
            return Err(StateError::Alive { id: self.id().to_owned(), status });
        }
        if let Some(maker) = state.maker.and_then(super::Process::open) {
            // It may be done in between, which is as well.
            let _ = crate::kill(maker.as_fd(), Signal::KILL);
        }
        Ok(())
    }

    fn open(&self) -> Result<OwnedFd, StateError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(self.path(""), flags, Mode::empty()).map_err(|error| match error {
            Errno::NOENT => StateError::Unknown { id: self.id().to_owned() },
            error => self.failed("", error.into()),
        })
    }
}

impl Held {
    /// Removes the directory `path`, which is this one.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        // The state goes last: as long as it is there, a delete cut off can be repeated.
        for name in ["start.sock", "config.json.new", "config.json", "state.json.new", "state.json"] {
            self.unlink(name)?;
        }
        loop {
            self.unlink(Lock::NAME)?;
            if !self.is_at(path)? {
                return Ok(());
            }
            match rustix::fs::rmdir(path) {
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                // Somebody who waits for the lock has made it anew.
                Err(Errno::NOTEMPTY | Errno::EXIST) if self.has_lock_only()? => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.dir, name, AtFlags::empty()) {
            Err(Errno::NOENT) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        let own = rustix::fs::fstat(&self.dir)?;
        match rustix::fs::lstat(path) {
            Ok(found) => Ok((found.st_dev, found.st_ino) == (own.st_dev, own.st_ino)),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn has_lock_only(&self) -> io::Result<bool> {
        for entry in rustix::fs::Dir::read_from(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if ![&b"."[..], b"..", Lock::NAME.as_bytes()].contains(&name) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
