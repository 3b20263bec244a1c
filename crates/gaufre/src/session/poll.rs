//! What a session waits for.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Descriptors to wait for, rebuilt for each round: only what can be dealt with is asked for, as poll(2) reports a
/// hang-up whether asked or not.
#[derive(Debug, Default)]
pub(super) struct PollSet<'a>(Vec<PollFd<'a>>);

/// One of the descriptors of a [`PollSet`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot(usize);

impl<'a> PollSet<'a> {
    /// Waits until `fd` can be read, if `wanted`.
    pub(super) fn readable(&mut self, fd: BorrowedFd<'a>, wanted: bool) -> Option<Slot> {
        wanted.then(|| self.add(fd, PollFlags::IN))
    }

    /// Waits until `fd` can be written, if `wanted`.
    pub(super) fn writable(&mut self, fd: BorrowedFd<'a>, wanted: bool) -> Option<Slot> {
        wanted.then(|| self.add(fd, PollFlags::OUT))
    }

    fn add(&mut self, fd: BorrowedFd<'a>, events: PollFlags) -> Slot {
        self.0.push(PollFd::from_borrowed_fd(fd, events));
        Slot(self.0.len() - 1)
    }

    /// Waits until one is ready, a signal comes, or `timeout` has passed; `false` if none is ready.
    ///
    /// # Errors
    /// When the kernel has no memory, poll(2).
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut self.0, timeout.as_ref()) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether `slot` is ready, or will tell of an error or a hang-up when tried.
    pub(super) fn is_ready(&self, slot: Option<Slot>) -> bool {
        slot.and_then(|Slot(at)| self.0.get(at)).is_some_and(|fd| !fd.revents().is_empty())
    }
}
