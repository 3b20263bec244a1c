//! Loading images from archives and layouts.

use crate::acquire::{AcquireError, acquire};
use crate::engine::{Engine, OpenError};
use crate::failure::Failure;
use crate::progress::PullProgress;
use crate::pull::PulledImage;
use gaufre_image::Platform;
use gaufre_image::archive::{Archive, ArchiveError};
use gaufre_store::Origin;
use std::path::PathBuf;

/// Where to load from.
#[derive(Debug, Clone)]
pub enum LoadSource {
    /// An archive's file, or the directory of an OCI layout.
    Path(PathBuf),
    /// An archive on standard input.
    Stdin,
}

/// An archive cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It is no archive of images.
    #[error(transparent)]
    Archive(#[from] Box<ArchiveError>),
    /// It holds no image.
    #[error("there is no image in {0}")]
    Empty(String),
    /// An image's content does not come in.
    #[error("cannot load {image}")]
    Acquire {
        /// Which: its name, or its ID.
        image: String,
        /// Why.
        source: Box<AcquireError>,
    },
}

impl Failure for LoadError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Open(error) => error.hint(),
            Self::Acquire { source, .. } => source.hint(),
            Self::Empty(_) => {
                Some("An archive is made by podman save, docker save or skopeo copy.".to_owned())
            }
            Self::Archive(_) => None,
        }
    }
}

impl Engine {
    /// Brings every image of an archive into the store, under the names that it has there.
    ///
    /// # Errors
    /// See [`LoadError`]. Images before the one that failed have been loaded.
    pub fn load(
        &self,
        from: &LoadSource,
        progress: &dyn PullProgress,
    ) -> Result<Vec<PulledImage>, LoadError> {
        let host = Platform::host();
        let (archive, shown) = match from {
            LoadSource::Path(path) => (Archive::open(path, &host), path.display().to_string()),
            LoadSource::Stdin => {
                let from = "standard input".to_owned();
                (Archive::read(&from, std::io::stdin(), &host), from)
            }
        };
        let archive = archive.map_err(Box::new)?;
        let mut loaded = Vec::new();
        for found in archive.images() {
            let names: Vec<String> = found.names.iter().map(ToString::to_string).collect();
            let shown = names.first().cloned().unwrap_or_else(|| found.image.id().to_string());
            progress.started(&shown);
            let acquired = acquire(self.store()?, &archive, &found.image, &names, Origin::Archive, progress);
            self.collect_postponed();
            let id =
                acquired.map_err(|source| LoadError::Acquire { image: shown, source: Box::new(source) })?;
            loaded.push(PulledImage {
                id: id.digest().to_owned(),
                name: names.into_iter().next(),
                label: found.label.clone(),
            });
        }
        if loaded.is_empty() { Err(LoadError::Empty(shown)) } else { Ok(loaded) }
    }
}
