//! Layers: unpacked once, shared by all images that have them.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use gaufre_lazy::layer::{LayerError, LayerLimits};
use oci_spec::image::Digest;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::digest::{self, UnsupportedDigest};
use crate::index::IndexError;
use crate::lock::Lease;
use crate::space::{NoSpace, no_space};
use crate::staging::{self, Staged};
use crate::store::{Store, part};
use crate::stream::pump;
use crate::turn;
use crate::unpack::{Unpacked, unpack};

/// The files of a layer's directory.
pub(crate) mod file {
    /// The unpacked tree, a lower layer of overlayfs.
    pub(crate) const TREE: &str = "fs";
    /// What was unpacked: [`crate::record`].
    pub(crate) const RECORD: &str = "record";
    /// [`super::LayerInfo`] as JSON.
    pub(crate) const INFO: &str = "layer.json";
    /// There if the archive does not say what the root is like.
    pub(crate) const IMPLICIT_ROOT: &str = "implicit-root";
    /// There if the layer hides all below it.
    pub(crate) const OPAQUE_ROOT: &str = "opaque-root";
}

/// What is known of an unpacked layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerInfo {
    /// SHA-256 of the decompressed tar stream.
    pub diff_id: Digest,
    /// Data of its regular files, in bytes, holes not counted.
    pub size_bytes: u64,
    /// Files, directories and links.
    pub files: u64,
}

/// How a layer came to be in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerOutcome {
    /// Unpacked by this call.
    Added(LayerInfo),
    /// It was there, or another process finished it meanwhile; the stream was not read.
    Present(LayerInfo),
}

impl LayerOutcome {
    /// The layer, whoever unpacked it.
    pub fn info(&self) -> &LayerInfo {
        match self {
            Self::Added(info) | Self::Present(info) => info,
        }
    }
}

/// A layer that cannot be added. Nothing of it is left in the store.
#[derive(Debug, thiserror::Error)]
pub enum AddLayerError {
    /// Not SHA-256.
    #[error(transparent)]
    Digest(#[from] UnsupportedDigest),
    /// The stream could not be read, is no sound archive, or a file could not be made.
    #[error("cannot unpack the layer {diff_id}")]
    Unpack {
        /// The layer.
        diff_id: Digest,
        /// What went wrong.
        source: LayerError,
    },
    /// The stream is not the layer that it should be.
    #[error("the layer {diff_id} has the diff ID {found}: its content is not what the image's config says")]
    DiffId {
        /// What the config says.
        diff_id: Digest,
        /// What was read.
        found: Digest,
    },
    /// The disk is full.
    #[error("no room for the layer {diff_id}")]
    NoSpace {
        /// The layer.
        diff_id: Digest,
        /// Which file system.
        source: NoSpace,
    },
    /// The store itself failed.
    #[error("cannot store the layer {diff_id}")]
    Store {
        /// The layer.
        diff_id: Digest,
        /// What the kernel said.
        source: io::Error,
    },
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl AddLayerError {
    /// What a user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoSpace { .. } => Some("free some space, for example with `gaufre system prune`"),
            Self::DiffId { .. } => {
                Some("pull again; if it stays so, the image is broken where it comes from")
            }
            _ => None,
        }
    }
}

impl Store {
    /// Whether the layer is there, whole.
    ///
    /// # Errors
    /// The digest is not SHA-256, or the store cannot be read.
    pub fn has_layer(&self, diff_id: &Digest) -> io::Result<bool> {
        let hex = digest::hex(diff_id).map_err(io::Error::other)?;
        self.has_layer_dir(hex)
    }

    /// Unpacks a layer: `tar` is its decompressed stream, read to its end. The layer appears in one step, after
    /// all of it is on disk and its diff ID is proven; on an error nothing of it is left.
    ///
    /// Of several callers with one layer, in whatever processes, one unpacks and the others wait for it; they then
    /// return [`LayerOutcome::Present`] without reading. If the one is killed, another takes over; if it takes longer
    /// than [`LayerLimits::patience`], another unpacks beside it, and the layer of the first that is done stays.
    ///
    /// # Errors
    /// [`AddLayerError`].
    pub fn add_layer(
        &self,
        _lease: &Lease,
        diff_id: &Digest,
        tar: impl Read,
        limits: &LayerLimits,
    ) -> Result<LayerOutcome, AddLayerError> {
        let hex = digest::hex(diff_id)?;
        let failed = |source: io::Error| self.store_error(diff_id, source);
        if let Some(info) = self.layer_info(hex).map_err(failed)? {
            return Ok(LayerOutcome::Present(info));
        }
        let locks = self.part(part::LOCKS).map_err(failed)?;
        let _turn = turn::wait(locks, hex, limits.patience, || self.has_layer_dir(hex)).map_err(failed)?;
        if let Some(info) = self.layer_info(hex).map_err(failed)? {
            return Ok(LayerOutcome::Present(info));
        }
        let staging = self.part(part::STAGING).map_err(failed)?;
        if let Err(error) = staging::sweep(&staging) {
            tracing::warn!(%error, "what a dead process left in the store cannot be removed");
        }
        let staged = Staged::new(&staging).map_err(failed)?;
        let info = self.fill(&staged, diff_id, tar, limits)?;
        // One sync for the whole layer, before its name appears: a power cut leaves all of it or none.
        rustix::fs::syncfs(staged.dir()).map_err(|error| failed(error.into()))?;
        let was_first = staged.move_to(self.part(part::LAYERS).map_err(failed)?, hex).map_err(failed)?;
        self.index_layer(&info)?;
        Ok(if was_first { LayerOutcome::Added(info) } else { LayerOutcome::Present(info) })
    }

    /// Unpacks into `staged` and writes down what came of it.
    fn fill(
        &self,
        staged: &Staged,
        diff_id: &Digest,
        tar: impl Read,
        limits: &LayerLimits,
    ) -> Result<LayerInfo, AddLayerError> {
        let failed = |source: io::Error| self.store_error(diff_id, source);
        let (tree, record) = make_files(staged.dir()).map_err(failed)?;
        let pumped = pump(tar, limits.stream_bytes(), |stream| unpack(stream, tree, record, limits))
            .map_err(failed)?;
        let unpacked = pumped.consumed.map_err(|source| match no_space(&source, &self.root) {
            Some(source) => AddLayerError::NoSpace { diff_id: diff_id.clone(), source },
            None => AddLayerError::Unpack { diff_id: diff_id.clone(), source: limits.said_of(source) },
        })?;
        let found =
            digest::from_hash(&pumped.hash).ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))?;
        if found != *diff_id {
            return Err(AddLayerError::DiffId { diff_id: diff_id.clone(), found });
        }
        let Unpacked { size_bytes, files, .. } = unpacked;
        let info = LayerInfo { diff_id: diff_id.clone(), size_bytes, files };
        write_info(staged.dir(), &info, unpacked).map_err(failed)?;
        Ok(info)
    }

    fn store_error(&self, diff_id: &Digest, source: io::Error) -> AddLayerError {
        let diff_id = diff_id.clone();
        match no_space(&source, &self.root) {
            Some(source) => AddLayerError::NoSpace { diff_id, source },
            None => AddLayerError::Store { diff_id, source },
        }
    }

    pub(crate) fn has_layer_dir(&self, hex: &str) -> io::Result<bool> {
        match rustix::fs::statat(&self.dir, format!("{}/{hex}", part::LAYERS), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A layer's directory, or one of the directories in it. `None` if there is none.
    pub(crate) fn layer_dir(&self, hex: &str, below: &str) -> io::Result<Option<OwnedFd>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = format!("{}/{hex}/{below}", part::LAYERS);
        match rustix::fs::openat(&self.dir, path, flags, Mode::empty()) {
            Ok(dir) => Ok(Some(dir)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What is known of the layer; `None` if it is not there.
    pub(crate) fn layer_info(&self, hex: &str) -> io::Result<Option<LayerInfo>> {
        let Some(dir) = self.layer_dir(hex, ".")? else { return Ok(None) };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(dir, file::INFO, flags, Mode::empty())?);
        Ok(Some(serde_json::from_reader(io::BufReader::new(file))?))
    }
}

fn make_files(dir: &OwnedFd) -> io::Result<(OwnedFd, File)> {
    rustix::fs::mkdirat(dir, file::TREE, Mode::RWXU)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let tree = rustix::fs::openat(dir, file::TREE, flags, Mode::empty())?;
    Ok((tree, create(dir, file::RECORD)?))
}

fn write_info(dir: &OwnedFd, info: &LayerInfo, unpacked: Unpacked) -> io::Result<()> {
    if !unpacked.names_root {
        create(dir, file::IMPLICIT_ROOT)?;
    }
    if unpacked.opaque_root {
        create(dir, file::OPAQUE_ROOT)?;
    }
    Ok(serde_json::to_writer(create(dir, file::INFO)?, info)?)
}

fn create(dir: &OwnedFd, name: &str) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o600))?.into())
}
