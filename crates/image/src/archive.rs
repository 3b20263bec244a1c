//! Archives: what `podman save`, `docker save` and skopeo write, and OCI layout directories.
//!
//! docker-archive, oci-archive and OCI layout, each plain or compressed as a whole, from a path or a stream. All of
//! it is hostile: sizes are bounded, links never leave the archive, and nothing is extracted; layers are read where
//! they lie.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use oci_spec::image::{Descriptor, Digest};

use crate::image::{Image, LayerError, LayerSource, Progress};
use crate::platform::Platform;
use crate::reference::Reference;

mod docker;
mod error;
mod files;
mod oci;
mod section;
mod spool;
mod tar_index;
mod tar_walk;
mod verified;

pub use error::ArchiveError;

use files::Files;
use verified::VerifiedReader;

/// An archive that was opened; its manifests and configs are verified, its layers are when they are read.
#[derive(Debug)]
pub struct Archive {
    from: String,
    files: Files,
    images: Vec<ArchiveImage>,
    /// Where in the archive each layer is.
    layers: HashMap<Digest, String>,
}

/// One image of an archive.
#[derive(Clone, Debug)]
pub struct ArchiveImage {
    /// Manifest, config and layers; `reference` is the first of the names.
    pub image: Image,
    /// The names it was saved under; maybe none.
    pub names: Vec<Reference>,
    /// What the archive calls it where that is no name, such as the bare tag of an OCI layout.
    pub label: Option<String>,
}

impl Archive {
    /// Opens a file or an OCI layout directory. A compressed archive is decompressed into a file without a name under
    /// `$TMPDIR` or /var/tmp. Where the archive offers several platforms, `wanted` is taken.
    ///
    /// # Errors
    /// [`ArchiveError`] names the archive and the part of it that cannot be used.
    pub fn open(path: &Path, wanted: &Platform) -> Result<Self, ArchiveError> {
        Self::from_files(path.display().to_string(), Files::open(path)?, wanted)
    }

    /// Reads an archive from a stream such as standard input, called `from` in messages.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub fn read(
        from: &str,
        source: impl Read + Send + 'static,
        wanted: &Platform,
    ) -> Result<Self, ArchiveError> {
        Self::from_files(from.to_owned(), Files::read(from, source)?, wanted)
    }

    /// The images, in the archive's order; at least one.
    pub fn images(&self) -> &[ArchiveImage] {
        &self.images
    }

    fn from_files(from: String, files: Files, wanted: &Platform) -> Result<Self, ArchiveError> {
        let mut archive = Self { from, files, images: Vec::new(), layers: HashMap::new() };
        // Newer `docker save` writes both forms; manifest.json lists what is really there.
        if archive.files.contains("manifest.json") {
            archive.add_docker_images(wanted)?;
        } else if archive.files.contains("index.json") {
            archive.add_oci_images(wanted)?;
        } else {
            return Err(ArchiveError::Unknown { archive: archive.from });
        }
        if archive.images.is_empty() {
            return Err(ArchiveError::Empty { archive: archive.from });
        }
        Ok(archive)
    }
}

impl LayerSource for Archive {
    fn open_layer(
        &self,
        _image: &Image,
        layer: &Descriptor,
        progress: Arc<dyn Progress>,
    ) -> Result<Box<dyn Read + Send>, LayerError> {
        let failed = |source: ArchiveError| LayerError::Open {
            digest: layer.digest().to_string(),
            from: self.from.clone(),
            source: source.into(),
        };
        let missing = || {
            let (archive, name) = (self.from.clone(), layer.digest().to_string());
            ArchiveError::Missing { archive, name }
        };
        let path = self.layers.get(layer.digest()).ok_or_else(missing).map_err(failed)?;
        let section = self.files.section(&self.from, path).map_err(failed)?;
        Ok(Box::new(VerifiedReader::new(section, self.from.clone(), layer, progress)?))
    }
}
