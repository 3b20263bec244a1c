//! The files of an archive, whether they lie in a tar file or in a directory.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, openat2, statat};

use super::ArchiveError;
use super::section::Section;
use super::spool::spool;
use super::tar_index::TarIndex;
use crate::decompress::Compression;
use crate::digest::digest_of;

/// Where the files of an archive are.
#[derive(Debug)]
pub(super) enum Files {
    Tar(TarIndex),
    Directory(OwnedFd),
}

impl Files {
    /// Opens a directory, a tar file, or anything that gives one when read.
    pub(super) fn open(path: &Path) -> Result<Self, ArchiveError> {
        let archive = path.display().to_string();
        let read = |source| ArchiveError::Read { archive: archive.clone(), source };
        let mut file = File::open(path).map_err(read)?;
        let kind = file.metadata().map_err(read)?.file_type();
        if kind.is_dir() {
            return Ok(Self::Directory(file.into()));
        }
        if !kind.is_file() {
            return Self::read(&archive, file);
        }
        let mut start = Vec::new();
        (&mut file).take(6).read_to_end(&mut start).map_err(read)?;
        let compression = Compression::sniff(&start)
            .map_err(|source| ArchiveError::Decompress { archive: archive.clone(), source })?;
        if compression == Compression::Plain {
            return Ok(Self::Tar(TarIndex::new(&archive, file)?));
        }
        Self::read(&archive, io::Cursor::new(start).chain(file))
    }

    /// Keeps a stream in a temporary file.
    pub(super) fn read(archive: &str, source: impl Read + Send + 'static) -> Result<Self, ArchiveError> {
        Ok(Self::Tar(TarIndex::new(archive, spool(archive, source)?)?))
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        match self {
            Self::Tar(index) => index.contains(name),
            Self::Directory(directory) => statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).is_ok(),
        }
    }

    /// The content of a file. In a directory, links are followed as if it were the root of everything.
    pub(super) fn section(&self, archive: &str, name: &str) -> Result<Section, ArchiveError> {
        let directory = match self {
            Self::Tar(index) => return index.section(archive, name),
            Self::Directory(directory) => directory,
        };
        let missing = || ArchiveError::Missing { archive: archive.to_owned(), name: name.to_owned() };
        let read = |source: io::Error| ArchiveError::Read { archive: archive.to_owned(), source };
        // Without NONBLOCK, a FIFO in the place of a blob would be waited for without end.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let file = match openat2(directory, name, flags, Mode::empty(), resolve) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => {
                return Err(missing());
            }
            Err(errno) => return Err(read(errno.into())),
        };
        let metadata = file.metadata().map_err(read)?;
        if !metadata.is_file() {
            return Err(missing());
        }
        Ok(Section::new(Arc::new(file), 0, metadata.len()))
    }

    /// The whole of a small file.
    pub(super) fn bytes(&self, archive: &str, name: &str, limit_bytes: u64) -> Result<Vec<u8>, ArchiveError> {
        let section = self.section(archive, name)?;
        let (archive, name) = (archive.to_owned(), name.to_owned());
        if section.len_bytes() > limit_bytes {
            return Err(ArchiveError::TooLarge { archive, name, limit_bytes });
        }
        crate::bounded::read(section, limit_bytes).map_err(|source| ArchiveError::Read { archive, source })
    }

    /// A manifest, index or config by its descriptor, verified.
    pub(super) fn blob(
        &self,
        archive: &str,
        descriptor: &oci_spec::image::Descriptor,
        limit_bytes: u64,
    ) -> Result<Vec<u8>, ArchiveError> {
        let name = blob_path(descriptor.digest());
        let bytes = self.bytes(archive, &name, limit_bytes)?;
        let (found_bytes, size_bytes) = (bytes.len() as u64, descriptor.size());
        let archive = archive.to_owned();
        if found_bytes != size_bytes {
            return Err(ArchiveError::WrongSize { archive, name, found_bytes, size_bytes });
        }
        let found = digest_of(&bytes);
        if found != *descriptor.digest() {
            let (expected, found) = (descriptor.digest().to_string(), found.to_string());
            return Err(ArchiveError::WrongDigest { archive, name, expected, found });
        }
        Ok(bytes)
    }
}

/// Where an OCI layout keeps a blob (OCI image specification, image layout).
pub(super) fn blob_path(digest: &oci_spec::image::Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.digest())
}
