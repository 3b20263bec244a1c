//! Blobs: manifests and configs, under the digest of their bytes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use oci_spec::image::Digest;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::digest::{self, UnsupportedDigest};
use crate::space::{NoSpace, no_space};
use crate::staging::Staged;
use crate::store::{Store, part};

/// Manifests and configs are kept in memory: more than this is none.
const MAX_BYTES: u64 = 64 << 20;

/// A blob that cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// Not SHA-256.
    #[error(transparent)]
    Digest(#[from] UnsupportedDigest),
    /// It is not in the store.
    #[error("the blob {digest} is not in the store")]
    Missing {
        /// The blob.
        digest: Digest,
    },
    /// Its bytes are not those that its digest stands for.
    #[error("the blob {digest} does not have the content that its digest stands for")]
    Mismatch {
        /// The blob.
        digest: Digest,
    },
    /// The disk is full.
    #[error("no room for the blob {digest}")]
    NoSpace {
        /// The blob.
        digest: Digest,
        /// Which file system.
        source: NoSpace,
    },
    /// The file cannot be read or written.
    #[error("the blob {digest} cannot be read or written")]
    Io {
        /// The blob.
        digest: Digest,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Store {
    /// Keeps `bytes`, whose digest must be `digest`; on disk when this returns. One that is there is left alone
    /// if it is whole, else replaced. Without a [`crate::Lease`] it lasts until the next collection.
    ///
    /// # Errors
    /// [`BlobError`].
    pub fn put_blob(&self, digest: &Digest, bytes: &[u8]) -> Result<(), BlobError> {
        let hex = digest::hex(digest)?;
        if digest::of(bytes).as_ref() != Some(digest) {
            return Err(BlobError::Mismatch { digest: digest.clone() });
        }
        if self.get_blob(digest).is_ok() {
            return Ok(());
        }
        self.write_blob(hex, bytes).map_err(|source| {
            let digest = digest.clone();
            match no_space(&source, &self.root) {
                Some(source) => BlobError::NoSpace { digest, source },
                None => BlobError::Io { digest, source },
            }
        })
    }

    /// The bytes of a blob, verified.
    ///
    /// # Errors
    /// [`BlobError`].
    pub fn get_blob(&self, digest: &Digest) -> Result<Vec<u8>, BlobError> {
        let hex = digest::hex(digest)?;
        let bytes = match self.read_blob(hex) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BlobError::Missing { digest: digest.clone() });
            }
            Err(source) => return Err(BlobError::Io { digest: digest.clone(), source }),
        };
        if digest::of(&bytes).as_ref() != Some(digest) {
            return Err(BlobError::Mismatch { digest: digest.clone() });
        }
        Ok(bytes)
    }

    pub(crate) fn blobs(&self) -> io::Result<OwnedFd> {
        self.part(&format!("{}/sha256", part::BLOBS))
    }

    /// Removes a blob; one that is not there is no error. Returns its size.
    pub(crate) fn remove_blob(&self, hex: &str) -> io::Result<u64> {
        let blobs = self.blobs()?;
        let size = match rustix::fs::statat(&blobs, hex, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => u64::try_from(stat.st_size).unwrap_or(0),
            Err(Errno::NOENT) => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        rustix::fs::unlinkat(&blobs, hex, AtFlags::empty())?;
        Ok(size)
    }

    fn read_blob(&self, hex: &str) -> io::Result<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(self.blobs()?, hex, flags, Mode::empty())?);
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn write_blob(&self, hex: &str, bytes: &[u8]) -> io::Result<()> {
        let staged = Staged::new(self.part(part::STAGING)?)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o600);
        let mut file = File::from(rustix::fs::openat(staged.dir(), hex, flags, mode)?);
        file.write_all(bytes)?;
        file.sync_all()?;
        let blobs = self.blobs()?;
        rustix::fs::renameat(staged.dir(), hex, &blobs, hex)?;
        Ok(rustix::fs::fsync(&blobs)?)
    }
}
