//! Masked and read-only paths.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::bind::clone_tree;
use super::filesystem::{attach, make, seal};
use super::root::{Links, Root};
use crate::step::{Step, StepError};
use crate::sys::mount::{MountAttr, mount_setattr};

/// What masked files show: a detached mount of the host's null device, opened on the host and checked to be
/// it. Whatever an image has at /dev/null never serves (CVE-2025-31133).
#[derive(Debug)]
pub(crate) struct NullDevice {
    tree: OwnedFd,
}

impl NullDevice {
    /// Opens the host's /dev/null.
    pub(crate) fn open() -> Result<Self, StepError> {
        let what = || "the host's /dev/null cannot be opened";
        let fd =
            rustix::fs::open("/dev/null", OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
                .step(what)?;
        let stat = rustix::fs::fstat(&fd).step(what)?;
        let is_char = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
        if !is_char || stat.st_rdev != rustix::fs::makedev(1, 3) {
            return Err(StepError::rule("the host's /dev/null is not the null device"));
        }
        let tree = clone_tree(&fd, false).step(what)?;
        // Read-only, which leaves reading and writing the device alone: the node is the host's own inode, and its
        // mode and owner must not change.
        let attr = MountAttrFlags::MOUNT_ATTR_RDONLY
            | MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let attr =
            MountAttr { set: attr.bits().into(), propagation: libc::MS_PRIVATE, ..MountAttr::default() };
        mount_setattr(tree.as_fd(), false, &attr).step(what)?;
        Ok(Self { tree })
    }
}

/// Covers each path that exists: a file with the null device, a directory with an empty read-only tmpfs.
///
/// `null` is None where only the sandbox's process may clone it; the host's /dev is still what that name means to it.
pub(crate) fn mask(root: &Root, paths: &[String], null: Option<NullDevice>) -> Result<(), StepError> {
    if paths.is_empty() {
        return Ok(());
    }
    let null = null.map_or_else(NullDevice::open, Ok)?;
    let mut file = Cover { mount: Some(null.tree), attached: false };
    let mut dir = Cover { mount: None, attached: false };
    for path in paths {
        let Some((target, is_dir)) = open_existing(root, path)? else { continue };
        let cover = if is_dir { &mut dir } else { &mut file };
        cover.put_on(&target).step(|| format!("could not mask {path}"))?;
    }
    Ok(())
}

/// One mount that covers many paths: attached itself at first, and copies of it from then on (a mount can be copied
/// only from within the own mount namespace).
struct Cover {
    mount: Option<OwnedFd>,
    attached: bool,
}

impl Cover {
    fn put_on(&mut self, target: &OwnedFd) -> rustix::io::Result<()> {
        let mount = match &self.mount {
            Some(mount) => mount,
            None => self.mount.insert(empty_directory()?),
        };
        if self.attached {
            return attach(clone_tree(mount, false)?, target);
        }
        self.attached = true;
        attach(mount, target)
    }
}

fn empty_directory() -> rustix::io::Result<OwnedFd> {
    let attr = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let attr = MountAttr { set: attr.bits().into(), ..MountAttr::default() };
    make("tmpfs", None, &[("nr_blocks".into(), Some("1".into()))], attr)
}

/// Makes each path that exists read-only, by a mount of its own.
pub(crate) fn make_read_only(root: &Root, paths: &[String]) -> Result<(), StepError> {
    for path in paths {
        let Some((target, _)) = open_existing(root, path)? else { continue };
        let what = || format!("could not make {path} read-only");
        let copy = clone_tree(&target, true).step(what)?;
        seal_all(&copy).step(what)?;
        attach(&copy, &target).step(what)?;
    }
    Ok(())
}

/// Makes the root itself read-only; what is mounted below it keeps its own mode.
pub(crate) fn make_root_read_only(root: &Root) -> Result<(), StepError> {
    seal(root)
}

fn seal_all(tree: &OwnedFd) -> rustix::io::Result<()> {
    let set = u64::from(MountAttrFlags::MOUNT_ATTR_RDONLY.bits());
    mount_setattr(tree.as_fd(), true, &MountAttr { set, ..MountAttr::default() })
}

/// Opens a path for covering it, and says whether it is a directory; None where there is nothing.
fn open_existing(root: &Root, path: &str) -> Result<Option<(OwnedFd, bool)>, StepError> {
    let what = || format!("{path} in the container cannot be protected");
    match root.open(Path::new(path), OFlags::PATH, Links::Within) {
        Ok(fd) => {
            if super::target::is_root(root, &fd).step(what)? {
                // What is put over the root's own directory is not seen at its paths.
                return Err(StepError::rule(format!(
                    "{path} is the container's root: linux.maskedPaths and readonlyPaths are for what is below it"
                )));
            }
            let stat = rustix::fs::fstat(&fd).step(what)?;
            Ok(Some((fd, FileType::from_raw_mode(stat.st_mode) == FileType::Directory)))
        }
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error).step(what),
    }
}
