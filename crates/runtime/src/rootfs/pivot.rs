//! The root: attached in the sandbox's own mount namespace at first, entered by pivot_root(2) at last.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::mount::{MoveMountFlags, UnmountFlags};

use super::outer::OuterRoot;
use super::root::Root;
use crate::step::{Step, StepError};
use crate::sys::mount::{MountAttr, mount_setattr, mount_setattr_at};

/// Cuts this mount namespace, a copy of the host's, off from the host. `proc` is the host's /proc.
pub(crate) fn leave_host(proc: BorrowedFd<'_>) -> Result<Option<OuterRoot>, StepError> {
    OuterRoot::visit(proc, || {
        mount_setattr_at(c"/", true, &MountAttr::propagation(libc::MS_PRIVATE))
            .step(|| "could not make the new mount namespace private")
    })
}

/// Attaches the detached `rootfs` in this mount namespace, at `path` or else stacked over `/`: there, at least, a
/// directory always exists. In both cases our own root stays what it is, so absolute paths keep meaning the host's until
/// [`enter`].
pub(crate) fn attach_root(rootfs: OwnedFd, path: Option<&Path>) -> Result<Root, StepError> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
    rustix::mount::move_mount(&rootfs, "", rustix::fs::CWD, path.unwrap_or(Path::new("/")), flags)
        .step(|| "could not attach the root file system")?;
    Ok(Root::new(rootfs))
}

/// Keeps what is mounted in `root` from here on out of the other mount namespaces: those that get the mounts of the
/// place where it is attached have got a copy of it.
pub(crate) fn keep_to_itself(root: &Root) -> Result<(), StepError> {
    mount_setattr(root.as_fd(), true, &MountAttr::propagation(libc::MS_PRIVATE))
        .step(|| "could not make the root file system's mounts private")
}

/// Makes `root` the root of this process and its mount namespace, and lets go of everything outside.
pub(crate) fn enter(root: &Root, outer: Option<&OuterRoot>) -> Result<(), StepError> {
    outer.map_or(Ok(()), OuterRoot::enter)?;
    rustix::process::fchdir(root).step(|| "could not enter the root file system")?;
    // Old and new on the same directory: pivot_root(2), under "pivot_root(".", ".")".
    rustix::process::pivot_root(".", ".").step(|| "could not make the root file system the root")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).step(|| "could not let go of the host's root")?;
    rustix::process::chdir("/").step(|| "could not enter the new root")
}

/// Moves the root file system from where it is attached to over `/`: whoever enters the mount namespace later is put there.
pub(crate) fn stack_over_host(root: &Root, outer: Option<&OuterRoot>) -> Result<(), StepError> {
    outer.map_or(Ok(()), OuterRoot::enter)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(root, "", rustix::fs::CWD, "/", flags)
        .step(|| "could not move the root file system over the host's root")
}

/// As [`enter`] where the host's root is the initial ramdisk, which pivot_root(2) cannot put away. The root file system
/// is stacked over `/` already, so that nothing of what is below it can be reached by name.
pub(crate) fn enter_by_chroot(root: &Root) -> Result<(), StepError> {
    rustix::process::fchdir(root).step(|| "could not enter the root file system")?;
    rustix::process::chroot(".").step(|| "could not make the root file system the root")?;
    rustix::process::chdir("/").step(|| "could not enter the new root")
}

/// Sets the propagation of the sandbox's own root mount: the configuration's `linux.rootfsPropagation`.
pub(crate) fn set_propagation(root: &Root, kind: u64, recursive: bool) -> Result<(), StepError> {
    mount_setattr(root.as_fd(), recursive, &MountAttr::propagation(kind))
        .step(|| "could not set the propagation of the root file system")
}
