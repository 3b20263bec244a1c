//! Our standard output and error, written without ever waiting for their reader.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::{Errno, write};

/// A pipe takes this many bytes at once when poll(2) calls it writable, pipe(7).
const PIPE_BUF: usize = 4096;

/// One of our outputs, and what has not been written to it yet.
#[derive(Debug)]
pub(super) struct Sink {
    fd: BorrowedFd<'static>,
    /// A description of our own of the same pipe or terminal. `O_NONBLOCK` on the one we were given would reach
    /// whoever shares it, our parent for one.
    nonblocking: Option<OwnedFd>,
    /// Whether a write may be tried before poll(2) says so.
    eager: bool,
    pending: Vec<u8>,
    written: usize,
}

impl Sink {
    pub(super) fn new(fd: BorrowedFd<'static>) -> Self {
        let kind = fstat(fd).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let may_block = matches!(kind, Ok(FileType::Fifo | FileType::Socket | FileType::CharacterDevice));
        let nonblocking = match kind {
            Ok(FileType::Fifo | FileType::CharacterDevice) => {
                let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
                let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
                open(path, flags, Mode::empty()).ok()
            }
            _ => None,
        };
        let eager = nonblocking.is_some() || !may_block;
        Self { fd, nonblocking, eager, pending: Vec::new(), written: 0 }
    }

    /// Takes `bytes`, to be called when idle only, and writes what can be written now.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub(super) fn put(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        debug_assert!(self.is_idle());
        (self.pending, self.written) = (bytes, 0);
        if self.eager { self.flush() } else { Ok(()) }
    }

    /// Writes what can be written now; if writes can block, only after poll(2) said that it is writable.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while let Some(rest) = self.pending.get(self.written..).filter(|rest| !rest.is_empty()) {
            let most = if self.eager { rest.len() } else { rest.len().min(PIPE_BUF) };
            match write(self.as_fd(), &rest[..most]) {
                Ok(len) => self.written += len,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            if !self.eager {
                break;
            }
        }
        Ok(())
    }

    /// Whether everything has been written.
    pub(super) fn is_idle(&self) -> bool {
        self.written >= self.pending.len()
    }
}

impl AsFd for Sink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.nonblocking.as_ref().map_or(self.fd, AsFd::as_fd)
    }
}
