//! Bind mounts: the source is cloned into a detached mount on the host, before the sandbox's process exists.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::mount::OpenTreeFlags;

use super::options::MountOptions;
use crate::step::{Step, StepError};
use crate::sys::mount::{MountAttr, mount_setattr};

/// A copy of a mount, attached nowhere yet.
#[derive(Debug)]
pub(crate) struct DetachedBind {
    /// The detached mount.
    pub(crate) tree: OwnedFd,
    /// Whether its root is a directory.
    pub(crate) is_dir: bool,
}

/// Clones what `source` names on the host, with the attributes and propagation that the options ask for.
///
/// The copy is private unless they ask otherwise: nothing mounted inside the sandbox shows on the host.
/// `ids` is the user namespace whose IDs it shows, where it is idmapped.
pub(crate) fn clone_source(
    source: &Path,
    options: &MountOptions,
    ids: Option<BorrowedFd<'_>>,
) -> Result<DetachedBind, StepError> {
    let what = || format!("the bind source {} cannot be used", source.display());
    let opened = rustix::fs::open(source, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).step(what)?;
    let stat = rustix::fs::fstat(&opened).step(what)?;
    let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    let recursive = options.bind == Some(true);
    let tree = clone_tree(&opened, recursive).step(what)?;
    set_attributes(&tree, recursive, options).step(what)?;
    if let Some(ids) = ids {
        map_ids(&tree, options.idmap == Some(true), ids)
            .step(|| format!("the file system of {} cannot be mounted with mapped ids", source.display()))?;
    }
    Ok(DetachedBind { tree, is_dir })
}

/// Clones the mount behind a descriptor: open_tree(2) with `OPEN_TREE_CLONE`, Linux 5.2.
pub(crate) fn clone_tree(fd: impl AsFd, recursive: bool) -> rustix::io::Result<OwnedFd> {
    let mut flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    rustix::mount::open_tree(fd, "", flags)
}

/// Makes a detached mount show the IDs of a user namespace: `MOUNT_ATTR_IDMAP`, Linux 5.12; which file systems can is
/// up to the kernel (EINVAL).
pub(crate) fn map_ids(tree: &OwnedFd, recursive: bool, ids: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let userns_fd = u64::from(ids.as_raw_fd().unsigned_abs());
    // `MOUNT_ATTR_IDMAP` of linux/mount.h, which rustix lacks.
    let set = 0x0010_0000;
    mount_setattr(tree.as_fd(), recursive, &MountAttr { set, userns_fd, ..MountAttr::default() })
}

fn set_attributes(tree: &OwnedFd, recursive: bool, options: &MountOptions) -> rustix::io::Result<()> {
    let asked = options.propagation;
    // First all mounts of the tree: out of the host's peer groups, unless the propagation asked for is all of them.
    let first = match asked {
        Some((kind, true)) => kind,
        Some((libc::MS_SLAVE | libc::MS_SHARED, false)) => 0,
        _ => libc::MS_PRIVATE,
    };
    let whole = MountAttr { propagation: first, ..options.recursive_attr };
    if whole != MountAttr::default() {
        mount_setattr(tree.as_fd(), recursive, &whole)?;
    }
    let own = match asked {
        Some((kind, false)) if kind != first => kind,
        _ => 0,
    };
    let top = MountAttr { propagation: own, ..options.attr };
    if top != MountAttr::default() {
        mount_setattr(tree.as_fd(), false, &top)?;
    }
    Ok(())
}
