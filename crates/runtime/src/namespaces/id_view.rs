//! A user namespace that holds nothing but a map, for idmapped mounts: mount_setattr(2) `MOUNT_ATTR_IDMAP`, Linux 5.12.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use super::IdMaps;
use crate::gate;
use crate::step::{Step, StepError};
use crate::sys::clone::{Side, const_flag, fork_into};
use crate::sys::exec::exit_now;

/// The namespaces made so far, so that mounts with the same maps share one.
#[derive(Debug, Default)]
pub(crate) struct IdView {
    made: Vec<(IdMaps, OwnedFd)>,
}

impl IdView {
    /// A user namespace with these maps. A process is born into it, which ends as soon as the maps are written: the
    /// descriptor keeps the namespace.
    pub(crate) fn of(&mut self, maps: &IdMaps, proc: BorrowedFd<'_>) -> Result<OwnedFd, StepError> {
        let what = || "could not make a user namespace for an idmapped mount";
        if let Some((_, fd)) = self.made.iter().find(|(other, _)| other == maps) {
            return rustix::io::fcntl_dupfd_cloexec(fd, 3).step(what);
        }
        let (ours, theirs) = gate::pair().step(what)?;
        let (pid, pidfd) = match fork_into(const_flag(libc::CLONE_NEWUSER), None).step(what)? {
            Side::Parent { pid, pidfd } => (pid, pidfd),
            Side::Child => {
                drop(ours);
                // Until the other side is closed.
                let _ = gate::receive(theirs.as_fd());
                exit_now(0)
            }
        };
        drop(theirs);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let opened = maps.write(pid, proc).and_then(|()| {
            rustix::fs::openat(proc, format!("{pid}/ns/user"), flags, Mode::empty()).step(what)
        });
        crate::wait::kill_and_reap(pidfd.as_fd());
        let fd = opened?;
        let copy = rustix::io::fcntl_dupfd_cloexec(&fd, 3).step(what)?;
        self.made.push((maps.clone(), fd));
        Ok(copy)
    }
}
