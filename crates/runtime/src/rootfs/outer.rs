//! A runtime that is itself in a chroot(2): the root of its mount namespace is another than its own.
//!
//! pivot_root(2) exchanges the root of who calls it. From within a chroot it would leave that of the mount namespace as it
//! is, and whoever enters the namespace later (an exec, by setns(2)) would find the host there. So it is called from the
//! namespace's root, which nothing but setns(2) leads to.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags, statx};
use rustix::io::Errno;
use rustix::process::{chroot, fchdir};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::step::{Step, StepError};

const DIR: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The root of the mount namespace, where it is not the process's own.
#[derive(Debug)]
pub(crate) struct OuterRoot(OwnedFd);

impl OuterRoot {
    /// Runs `visit` in the root of this process's mount namespace, and comes back to where paths mean what they did.
    pub(super) fn visit(
        proc: BorrowedFd<'_>,
        visit: impl FnOnce() -> Result<(), StepError>,
    ) -> Result<Option<Self>, StepError> {
        let what = || "could not look for the root of the mount namespace";
        let [root, working_dir] = ["/", "."].map(|path| rustix::fs::open(path, DIR, Mode::empty()));
        let (root, working_dir) = (root.step(what)?, working_dir.step(what)?);
        let inner = identity(what)?;
        let namespace =
            rustix::fs::openat(proc, "self/ns/mnt", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        match move_into_link_name_space(namespace.step(what)?.as_fd(), Some(LinkNameSpaceType::Mount)) {
            // Who may not call chroot(2) may not do this either.
            Err(Errno::PERM) => {}
            entered => entered.step(what)?,
        }
        visit()?;
        let outer = if identity(what)? == inner {
            None
        } else {
            let outer = rustix::fs::open("/", DIR, Mode::empty()).step(what)?;
            fchdir(&root).and_then(|()| chroot(".")).step(what)?;
            Some(Self(outer))
        };
        fchdir(working_dir).step(what)?;
        Ok(outer)
    }

    /// Goes there for good.
    pub(super) fn enter(&self) -> Result<(), StepError> {
        fchdir(&self.0).and_then(|()| chroot(".")).step(|| "could not enter the root of the mount namespace")
    }
}

/// Which mount and directory `/` is.
fn identity(what: fn() -> &'static str) -> Result<(u64, u64), StepError> {
    let at = statx(CWD, "/", AtFlags::empty(), StatxFlags::INO | StatxFlags::MNT_ID).step(what)?;
    Ok((at.stx_mnt_id, at.stx_ino))
}
