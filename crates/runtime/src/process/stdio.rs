//! The descriptors that a workload starts with: 0 to 2 and those preserved, from 3 on. Nothing else.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use rustix::fs::{FileType, Gid, Uid};
use rustix::io::fcntl_dupfd_cloexec;

use crate::step::{Step, StepError};
use crate::sys::fds::{close_on_exec_from, put_at};

/// A sandbox's standard streams, given by the caller.
#[derive(Clone, Copy, Debug)]
pub struct Streams<'a> {
    /// Standard input.
    pub stdin: BorrowedFd<'a>,
    /// Standard output.
    pub stdout: BorrowedFd<'a>,
    /// Standard error.
    pub stderr: BorrowedFd<'a>,
}

/// Where a process's standard streams go. A terminal is asked for by `process.terminal` in the configuration; the
/// two must agree.
#[derive(Clone, Copy, Debug)]
pub enum Stdio<'a> {
    /// To descriptors of the caller.
    Streams(Streams<'a>),
    /// To a new pseudo-terminal of the sandbox's own; the caller gets its master.
    Terminal,
}

impl Stdio<'static> {
    /// The caller's own standard streams.
    pub fn inherit() -> Self {
        Self::Streams(Streams {
            stdin: rustix::stdio::stdin(),
            stdout: rustix::stdio::stdout(),
            stderr: rustix::stdio::stderr(),
        })
    }
}

/// The streams and preserved descriptors under numbers where nothing gets in the way, until they are put in place.
#[derive(Debug)]
pub(crate) struct Kept {
    fds: Vec<OwnedFd>,
}

impl Kept {
    /// Copies the descriptors out of the low numbers.
    pub(crate) fn collect(
        stdio: &Stdio<'_>,
        slave: Option<&OwnedFd>,
        preserved: &[BorrowedFd<'_>],
    ) -> Result<Self, StepError> {
        let streams = match (stdio, slave) {
            (Stdio::Streams(streams), _) => [streams.stdin, streams.stdout, streams.stderr],
            (Stdio::Terminal, Some(slave)) => [slave.as_fd(); 3],
            (Stdio::Terminal, None) => return Err(StepError::rule("there is no terminal to use")),
        };
        let above = 3 + RawFd::try_from(preserved.len()).unwrap_or(RawFd::MAX / 2);
        let fds = streams.into_iter().chain(preserved.iter().copied());
        let fds = fds.map(|fd| fcntl_dupfd_cloexec(fd, above)).collect::<Result<_, _>>();
        Ok(Self { fds: fds.step(|| "could not keep the standard streams")? })
    }

    /// Hands pipes among the standard streams to the workload's user, who could not open /dev/stdout otherwise.
    /// Files and terminals of the host keep their owner.
    pub(crate) fn give_pipes_to(&self, uid: Uid, gid: Gid) -> Result<(), StepError> {
        for fd in self.fds.iter().take(3) {
            let stat = rustix::fs::fstat(fd).step(|| "a standard stream cannot be used")?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Fifo && stat.st_uid != uid.as_raw() {
                rustix::fs::fchown(fd, Some(uid), Some(gid))
                    .step(|| "could not give a standard stream to the container's user")?;
            }
        }
        Ok(())
    }

    /// Puts them at 0, 1, 2, 3... and marks everything else to be closed when the workload is executed.
    ///
    /// Low numbers in use by us are overwritten: `channel`, still needed, is moved away first and returned.
    pub(crate) fn put_in_place(self, channel: OwnedFd) -> Result<OwnedFd, StepError> {
        let what = || "could not put the standard streams in place";
        let above = RawFd::try_from(self.fds.len()).unwrap_or(RawFd::MAX / 2);
        let moved = fcntl_dupfd_cloexec(&channel, above).step(what)?;
        // Forgotten rather than closed, all of these: their numbers may be other descriptors' by now.
        std::mem::forget(channel);
        for (number, fd) in (0..).zip(&self.fds) {
            put_at(fd.as_fd(), number).step(what)?;
        }
        std::mem::forget(self.fds);
        close_on_exec_from(above).step(what)?;
        Ok(moved)
    }
}
