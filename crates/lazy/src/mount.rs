//! The mount of an index over its tar.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen,
};

/// An index that cannot be mounted.
#[derive(Debug, thiserror::Error)]
#[error("the index of a layer cannot be mounted: {step}")]
pub struct MountError {
    step: &'static str,
    source: io::Error,
}

/// Mounts an index that [`crate::write_index`] made, with `tar` as its device; read-only, attached nowhere, gone when the
/// descriptor is closed. Both are files of this process and stay in use by the mount.
///
/// Needs Linux 6.12 (EROFS on files) and CAP_SYS_ADMIN. The kernel trusts an image in much; never mount an index that
/// came from elsewhere.
///
/// # Errors
/// The kernel has no EROFS, refuses plain files, or refuses the index.
pub fn mount_index(index: impl AsFd, tar: impl AsFd) -> Result<OwnedFd, MountError> {
    let failed = |step| move |error: rustix::io::Errno| MountError { step, source: error.into() };
    let context = fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC).map_err(failed("the kernel has no EROFS"))?;
    // fsconfig(2) takes 255 bytes at most; every descriptor has a short name.
    let name = |fd: &dyn AsFd| format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    fsconfig_set_string(&context, "source", name(&index)).map_err(failed("the index is not accepted"))?;
    fsconfig_set_string(&context, "device", name(&tar)).map_err(failed("the tar is not accepted"))?;
    fsconfig_create(&context).map_err(failed("the kernel refuses it"))?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NODEV;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(failed("it cannot be made a mount"))
}
