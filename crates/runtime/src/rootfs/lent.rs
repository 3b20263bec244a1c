//! The root file system in a mount namespace that is joined: when the sandbox cannot be made, it goes from there, where it
//! would stay for as long as that namespace lives.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use oci_spec::runtime::LinuxNamespaceType;
use rustix::mount::UnmountFlags;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::source::RootSource;
use crate::fork::fork_keeping;
use crate::namespaces::NamespacePlan;
use crate::step::{Step, StepError};

/// The mount, which may be attached in that namespace by now, and the namespace.
#[derive(Debug)]
pub(crate) struct LentRoot {
    namespace: OwnedFd,
    mount: OwnedFd,
    proc: OwnedFd,
}

impl LentRoot {
    /// None where the mount namespace ends with the sandbox, or where it is the sandbox's process that makes the mount:
    /// without root, when nobody else could unmount it.
    pub(crate) fn of(
        namespaces: &NamespacePlan,
        rootfs: &RootSource,
        proc: BorrowedFd<'_>,
    ) -> Result<Option<Self>, StepError> {
        let (Some(namespace), RootSource::Tree(mount)) =
            (namespaces.joined(LinuxNamespaceType::Mount), rootfs)
        else {
            return Ok(None);
        };
        let copy = |fd: BorrowedFd<'_>| {
            rustix::io::fcntl_dupfd_cloexec(fd, 3).step(|| "could not keep the root file system's descriptor")
        };
        Ok(Some(Self { namespace: copy(namespace)?, mount: copy(mount.as_fd())?, proc: copy(proc)? }))
    }

    /// Unmounts it with all that is mounted in it, in a process of its own: who has entered a mount namespace is never
    /// quite back. What is not attached, or not there, stays as it is, for it goes by the mount itself.
    pub(crate) fn take_back(self) {
        let fds = [self.namespace.as_fd(), self.mount.as_fd(), self.proc.as_fd()];
        let unmounted = fork_keeping(&fds, |fds| match &fds[..] {
            [namespace, mount, proc] => i32::from(unmount(namespace, mount, proc).is_err()),
            _ => 1,
        });
        match unmounted.and_then(|(_, pidfd)| crate::wait(pidfd.as_fd())) {
            // A mount that was not attached yet is none to be unmounted.
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "the container's mounts stay in the mount namespace that it was to join");
            }
        }
    }
}

fn unmount(namespace: &OwnedFd, mount: &OwnedFd, proc: &OwnedFd) -> rustix::io::Result<()> {
    use std::os::fd::AsRawFd;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))?;
    rustix::process::fchdir(proc)?;
    rustix::mount::unmount(format!("self/fd/{}", mount.as_raw_fd()), UnmountFlags::DETACH)
}
