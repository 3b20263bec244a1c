//! Bind mounts: the source is opened on the host before the sandbox's process exists, so that a missing one is found
//! before anything was made. It is cloned into a detached mount when its turn comes, for the kernel lists the mounts in
//! the order in which they were made (since 6.8; before that as they were attached), which is then the configuration's.
//! The runtime does it, for the propagation to be to and from the host's mount namespace.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::mount::OpenTreeFlags;

use super::options::MountOptions;
use super::plan::{MountPlan, MountSource};
use crate::gate::{self, Message};
use crate::step::{Step, StepError};
use crate::sys::mount::{MountAttr, mount_setattr};

/// A file or directory of the host.
#[derive(Debug)]
pub(crate) struct BindSource {
    path: PathBuf,
    /// As it was found, with `O_PATH`.
    pub(super) opened: OwnedFd,
    /// Whether it is a directory.
    pub(crate) is_dir: bool,
}

impl BindSource {
    /// Opens what `path` names on the host.
    pub(crate) fn open(path: PathBuf) -> Result<Self, StepError> {
        let what = || unusable(&path);
        let opened = rustix::fs::open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).step(what)?;
        let stat = rustix::fs::fstat(&opened).step(what)?;
        let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        Ok(Self { path, opened, is_dir })
    }

    /// Clones it into a detached mount, with the attributes and propagation that the options ask for.
    ///
    /// The copy is private unless they ask otherwise: nothing mounted inside the sandbox shows on the host.
    /// `ids` is the user namespace whose IDs it shows, where it is idmapped.
    pub(crate) fn cloned(
        &self,
        options: &MountOptions,
        ids: Option<BorrowedFd<'_>>,
    ) -> Result<OwnedFd, StepError> {
        let what = || unusable(&self.path);
        let recursive = options.bind == Some(true);
        let tree = clone_tree(&self.opened, recursive).step(what)?;
        set_attributes(&tree, recursive, options).step(what)?;
        if let Some(ids) = ids {
            map_ids(&tree, options.idmap == Some(true), ids).step(|| {
                format!("the file system of {} cannot be mounted with mapped ids", self.path.display())
            })?;
        }
        Ok(tree)
    }
}

fn unusable(path: &Path) -> String {
    format!("the bind source {} cannot be used", path.display())
}

/// The clones that init takes from the runtime, all of them when it comes to the first.
#[derive(Debug)]
pub(crate) struct Clones<'a> {
    channel: BorrowedFd<'a>,
    asked: bool,
    arrived: VecDeque<OwnedFd>,
}

impl<'a> Clones<'a> {
    /// Those that come over `channel`.
    pub(crate) fn from(channel: BorrowedFd<'a>) -> Self {
        Self { channel, asked: false, arrived: VecDeque::new() }
    }

    /// The clone of the next bind mount of the configuration.
    pub(crate) fn next(&mut self) -> Result<OwnedFd, StepError> {
        if !self.asked {
            gate::send_wants_clones(self.channel).step(|| "the runtime is gone")?;
            self.asked = true;
        }
        if self.arrived.is_empty()
            && let Message::Clones(trees) =
                gate::receive(self.channel).step(|| "could not hear from the runtime")?
        {
            self.arrived.extend(trees);
        }
        self.arrived
            .pop_front()
            .ok_or_else(|| StepError::rule("the runtime ended before the sandbox was complete"))
    }
}

/// The runtime's side: clones the source of each bind mount and hands the clones over.
pub(crate) fn hand_over_clones(mounts: &[MountPlan], channel: BorrowedFd<'_>) -> Result<(), StepError> {
    let binds = mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Bind(source) => Some(source.cloned(&mount.options, mount.ids.as_ref().map(AsFd::as_fd))),
        _ => None,
    });
    let trees = binds.collect::<Result<Vec<OwnedFd>, _>>()?;
    trees
        .chunks(gate::FDS_IN_MESSAGE)
        .try_for_each(|trees| gate::send_clones(channel, trees).step(|| "the sandbox's process is gone"))
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
