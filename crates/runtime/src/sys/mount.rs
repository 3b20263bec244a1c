//! mount_setattr(2), Linux 5.12.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::checked;

/// `struct mount_attr` of linux/mount.h. Default: change nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MountAttr {
    /// `MOUNT_ATTR_*` to set.
    pub(crate) set: u64,
    /// `MOUNT_ATTR_*` to clear.
    pub(crate) clear: u64,
    /// One of `MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED`, `MS_UNBINDABLE`, or 0.
    pub(crate) propagation: u64,
    /// User namespace for an idmapped mount.
    pub(crate) userns_fd: u64,
}

impl MountAttr {
    /// Only a change of propagation.
    pub(crate) fn propagation(kind: libc::c_ulong) -> Self {
        Self { propagation: kind, ..Self::default() }
    }
}

/// Changes the attributes of the mount behind `mount`, and with `recursive` of all mounts below it.
pub(crate) fn mount_setattr(
    mount: BorrowedFd<'_>,
    recursive: bool,
    attr: &MountAttr,
) -> rustix::io::Result<()> {
    setattr(mount.as_raw_fd(), c"", libc::AT_EMPTY_PATH, recursive, attr)
}

/// As [`mount_setattr`] for a mount named by an absolute path.
pub(crate) fn mount_setattr_at(path: &CStr, recursive: bool, attr: &MountAttr) -> rustix::io::Result<()> {
    setattr(libc::AT_FDCWD, path, 0, recursive, attr)
}

fn setattr(
    dir: libc::c_int,
    path: &CStr,
    flags: libc::c_int,
    recursive: bool,
    attr: &MountAttr,
) -> rustix::io::Result<()> {
    const RECURSIVE: libc::c_int = 0x8000;
    let flags = if recursive { flags | RECURSIVE } else { flags };
    let attr: *const MountAttr = attr;
    // SAFETY: the kernel reads the path up to its null and `size` bytes of `attr`; both outlive the call.
    let result = unsafe {
        libc::syscall(libc::SYS_mount_setattr, dir, path.as_ptr(), flags, attr, size_of::<MountAttr>())
    };
    checked(result).map(drop)
}
