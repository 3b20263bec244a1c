//! The descriptors that a workload starts with: 0 to 2 and those preserved, from 3 on. Nothing else.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use rustix::fs::{FileType, Gid, Mode, OFlags, Uid, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, fcntl_dupfd_cloexec};

use crate::rootfs::root::{Links, open_within};
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
    /// Landlock's rules, until they are put in force.
    rules: Option<OwnedFd>,
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
        let fds = fds.step(|| "could not keep the standard streams")?;
        if let Some(slave) = slave {
            // Our caller's own streams are let go of now: containerd's shim reads them to their end before it starts
            // what was created.
            for number in 0..3 {
                put_at(slave.as_fd(), number).step(|| "could not let go of the caller's streams")?;
            }
        }
        Ok(Self { fds, rules: None })
    }

    /// The first number that the workload is not given.
    pub(crate) fn first_free(&self) -> RawFd {
        RawFd::try_from(self.fds.len()).unwrap_or(RawFd::MAX / 2)
    }

    /// Keeps Landlock's rules as well, out of the low numbers.
    pub(crate) fn keep_rules(&mut self, rules: &OwnedFd) -> Result<(), StepError> {
        let above = self.first_free();
        self.rules = Some(fcntl_dupfd_cloexec(rules, above).step(|| "could not keep the Landlock ruleset")?);
        Ok(())
    }

    /// Takes the rules, which stay valid when the streams are put in place.
    pub(crate) fn take_rules(&mut self) -> Option<OwnedFd> {
        self.rules.take()
    }

    /// Opens the container's own /dev/null for each standard stream that is the host's, whose mode and owner the
    /// workload could change through /proc/self/fd. To be called in the container's root. A container without a null
    /// device keeps the host's.
    pub(crate) fn use_own_null_device(&mut self) -> Result<(), StepError> {
        let what = || "could not open the container's /dev/null for a standard stream";
        for fd in self.fds.iter_mut().take(3) {
            if !is_null_device(&*fd).step(what)? {
                continue;
            }
            let access = fcntl_getfl(&*fd).step(what)? & OFlags::RWMODE;
            if let Some(own) = open_own_null(access) {
                // Where the old one was: above the numbers that will be overwritten.
                *fd = fcntl_dupfd_cloexec(&own, fd.as_raw_fd()).step(what)?;
            }
        }
        Ok(())
    }

    /// Hands pipes among the standard streams to the workload's user, who could not open /dev/stdout otherwise.
    /// Files and terminals of the host keep their owner.
    pub(crate) fn give_pipes_to(&self, uid: Uid, gid: Gid) -> Result<(), StepError> {
        for fd in self.fds.iter().take(3) {
            let stat = rustix::fs::fstat(fd).step(|| "a standard stream cannot be used")?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Fifo && stat.st_uid != uid.as_raw() {
                match rustix::fs::fchown(fd, Some(uid), Some(gid)) {
                    // From a user namespace, a pipe of a user that it does not know cannot be given away.
                    Ok(()) | Err(Errno::PERM | Errno::INVAL) => {}
                    Err(error) => {
                        return Err(error)
                            .step(|| "could not give a standard stream to the container's user");
                    }
                }
            }
        }
        Ok(())
    }

    /// Puts them at 0, 1, 2, 3... and marks everything else to be closed when the workload is executed.
    ///
    /// Low numbers in use by us are overwritten: `channel`, still needed, is moved away first and returned.
    pub(crate) fn put_in_place(self, channel: OwnedFd) -> Result<OwnedFd, StepError> {
        let what = || "could not put the standard streams in place";
        let above = self.first_free();
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

fn is_null_device(fd: impl AsFd) -> rustix::io::Result<bool> {
    let stat = rustix::fs::fstat(fd)?;
    let is_char = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    Ok(is_char && stat.st_rdev == rustix::fs::makedev(1, 3))
}

/// The null device at /dev/null, if that is one and can be opened. It is looked at before it is opened, for opening
/// may be an act, and again afterwards, for a container that runs may have exchanged it.
fn open_own_null(access: OFlags) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty()).ok()?;
    let open = |flags| {
        let fd = open_within(root.as_fd(), Path::new("dev/null"), flags, Links::Refused).ok()?;
        is_null_device(&fd).ok()?.then_some(fd)
    };
    open(OFlags::PATH)?;
    let own = open(access | OFlags::NOCTTY | OFlags::NONBLOCK)?;
    fcntl_setfl(&own, OFlags::empty()).ok()?;
    Some(own)
}
