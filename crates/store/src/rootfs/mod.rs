//! Root filesystems: the layers of an image under overlayfs, as a mount that is attached nowhere.
//!
//! The mount exists as a descriptor only (fsopen(2), fsmount(2)). When its last holder dies it is gone, so a killed
//! process leaves nothing to unmount.

mod overlay;
mod upper;

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use oci_spec::image::Digest;
use rustix::fs::{AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;

use crate::digest::{self, UnsupportedDigest};
use crate::layer::file;
use crate::store::{Store, part};
use overlay::{Lower, Overlay, Upper};

/// Which layers a root filesystem is made of, and where changes go.
#[derive(Debug, Clone, Copy)]
pub struct RootfsRequest<'a> {
    /// Diff IDs, bottom first.
    pub layers: &'a [Digest],
    /// A directory of [`Store::sandbox_dir`] in which `upper` and `work` are made if missing; `None` makes the
    /// root filesystem read-only.
    pub sandbox_dir: Option<&'a Path>,
    /// Whether changes need not survive the sandbox: nothing is synced then, and the same `sandbox_dir` cannot be
    /// mounted a second time (kernel, filesystems/overlayfs, "Volatile mount").
    pub volatile: bool,
}

/// A root filesystem that cannot be mounted.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// Not SHA-256.
    #[error(transparent)]
    Digest(#[from] UnsupportedDigest),
    /// A layer is not in the store.
    #[error("the layer {diff_id} is not in the store")]
    MissingLayer {
        /// The layer.
        diff_id: Digest,
    },
    /// A directory that the mount needs.
    #[error("cannot prepare {path:?} for a root filesystem")]
    Prepare {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel refused the mount.
    #[error("cannot mount a root filesystem of {layers} layers: {step}{}", log.as_ref().map(|log| format!(" ({log})")).unwrap_or_default())]
    Mount {
        /// How many layers it has.
        layers: usize,
        /// The step that failed.
        step: &'static str,
        /// What overlayfs wrote about it.
        log: Option<String>,
        /// What the kernel said.
        source: io::Error,
    },
}

impl MountError {
    /// What a user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::MissingLayer { .. } => Some("`gaufre system check --repair`, then pull the image again"),
            _ => None,
        }
    }
}

impl Store {
    /// Mounts a root filesystem, detached: the descriptor is for move_mount(2), or for openat(2) below it.
    /// The caller sees to it that the layers stay: by a [`crate::Lease`] until [`Store::gc`] is told of the image.
    ///
    /// # Errors
    /// [`MountError`].
    pub fn mount_rootfs(&self, request: &RootfsRequest<'_>) -> Result<OwnedFd, MountError> {
        let lowers = self.lowers(request.layers)?;
        let root = self.root_attributes(request.layers, &lowers)?;
        let count = request.layers.len();
        match request.sandbox_dir {
            Some(dir) => {
                let upper = upper::prepare(dir, &root)?;
                self.mount_writable(lowers, &upper, request.volatile, count)
            }
            None => self.mount_read_only(lowers, &root, count),
        }
    }

    fn mount_writable(
        &self,
        mut lowers: Vec<Lower>,
        upper: &Upper,
        volatile: bool,
        layers: usize,
    ) -> Result<OwnedFd, MountError> {
        if lowers.is_empty() {
            lowers.push(self.blank("bottom", None)?);
        }
        Overlay { lowers: &lowers, upper: Some(upper), volatile }.mount(layers)
    }

    /// Without an upper directory overlayfs wants two lower ones at least, and shows the root of the top one.
    fn mount_read_only(
        &self,
        mut lowers: Vec<Lower>,
        root: &Stat,
        layers: usize,
    ) -> Result<OwnedFd, MountError> {
        if lowers.is_empty() {
            let blank = self.blank("bottom", None)?;
            return clone_read_only(&blank).map_err(|source| MountError::Mount {
                layers,
                step: "its empty root cannot be bound",
                log: None,
                source: source.into(),
            });
        }
        let top = rustix::fs::fstat(&lowers[0].dir).map_err(|error| prepare(&lowers[0].path, error))?;
        if attributes(&top) != attributes(root) {
            let (mode, uid, gid) = attributes(root);
            lowers.insert(0, self.blank(&format!("top-{mode:o}-{uid}-{gid}"), Some((mode, uid, gid)))?);
        }
        if lowers.len() == 1 {
            lowers.push(self.blank("bottom", None)?);
        }
        Overlay { lowers: &lowers, upper: None, volatile: false }.mount(layers)
    }

    /// The layers' trees, top first. What lies below an opaque root is left out: overlayfs heeds the mark on every
    /// directory but the root.
    fn lowers(&self, layers: &[Digest]) -> Result<Vec<Lower>, MountError> {
        let mut lowers = Vec::with_capacity(layers.len() + 1);
        for diff_id in layers.iter().rev() {
            let hex = digest::hex(diff_id)?;
            let path = self.root.join(part::LAYERS).join(hex).join(file::TREE);
            let dir = self.layer_dir(hex, file::TREE).map_err(|error| prepare(&path, error))?;
            let dir = dir.ok_or_else(|| MountError::MissingLayer { diff_id: diff_id.clone() })?;
            lowers.push(Lower { dir, path });
            if self.has_mark(hex, file::OPAQUE_ROOT)? {
                break;
            }
        }
        Ok(lowers)
    }

    /// What the root is like: as the topmost layer says that says anything, else as the bottom one was made.
    fn root_attributes(&self, layers: &[Digest], lowers: &[Lower]) -> Result<Stat, MountError> {
        let Some(bottom) = lowers.last() else {
            let blank = self.blank("bottom", None)?;
            return rustix::fs::fstat(&blank.dir).map_err(|error| prepare(&blank.path, error));
        };
        let mut chosen = bottom;
        for (diff_id, lower) in layers.iter().rev().zip(lowers) {
            if !self.has_mark(digest::hex(diff_id)?, file::IMPLICIT_ROOT)? {
                chosen = lower;
                break;
            }
        }
        rustix::fs::fstat(&chosen.dir).map_err(|error| prepare(&chosen.path, error))
    }

    fn has_mark(&self, hex: &str, mark: &str) -> Result<bool, MountError> {
        let path = format!("{}/{hex}/{mark}", part::LAYERS);
        match rustix::fs::statat(&self.dir, path.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(prepare(Path::new(&path), error)),
        }
    }

    /// An empty directory of the store, made if missing, with the attributes asked for.
    fn blank(&self, name: &str, like: Option<(u32, u32, u32)>) -> Result<Lower, MountError> {
        let path = self.root.join(part::BLANKS).join(name);
        let (mode, uid, gid) = like.unwrap_or((0o755, 0, 0));
        let open = || -> io::Result<OwnedFd> {
            let blanks = self.part(part::BLANKS)?;
            upper::make_dir(&blanks, OsStr::new(name), mode, uid, gid)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            Ok(rustix::fs::openat(&blanks, name, flags, Mode::empty())?)
        };
        Ok(Lower { dir: open().map_err(|error| prepare(&path, error))?, path })
    }
}

fn clone_read_only(blank: &Lower) -> rustix::io::Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    // The directory is empty and of mode 0755 root: read-only enough until the runtime remounts the root.
    rustix::mount::open_tree(&blank.dir, "", flags)
}

/// Permission bits, owner and group.
fn attributes(stat: &Stat) -> (u32, u32, u32) {
    (stat.st_mode & 0o7777, stat.st_uid, stat.st_gid)
}

fn prepare(path: &Path, source: impl Into<io::Error>) -> MountError {
    MountError::Prepare { path: path.to_owned(), source: source.into() }
}
