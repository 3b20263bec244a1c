//! What can go wrong with images.

use crate::engine::OpenError;
use crate::failure::Failure;
use crate::rm::RemoveError;
use crate::sandbox::FindError;
use gaufre_image::{ReferenceError, RegistriesConfError};
use gaufre_store::{GcError, ImageError};

/// Something about an image cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum ImagesError {
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// No such image, or the index is unreadable.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// No such image, but others of its repository.
    #[error("no image {name:?} is in the store, but {}", there.join(", "))]
    OtherTags {
        /// What was looked for.
        name: String,
        /// The names there are.
        there: Vec<String>,
    },
    /// registries.conf is of no use.
    #[error("cannot tell which image {name:?} is")]
    Name {
        /// What was asked for.
        name: String,
        /// Why.
        source: Box<RegistriesConfError>,
    },
    /// A new name is none.
    #[error("cannot name an image {name:?}")]
    NewName {
        /// The name.
        name: String,
        /// Why.
        source: ReferenceError,
    },
    /// A new name has a digest.
    #[error("cannot name an image {0:?}: a name is given without a digest")]
    NewNameHasDigest(String),
    /// Its config or manifest is unreadable.
    #[error("cannot read the config of image {id}")]
    Blob {
        /// Which.
        id: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Sandboxes are made from it.
    #[error("image {id} is in use by {}", listed(sandboxes))]
    InUse {
        /// Which.
        id: String,
        /// The sandboxes' short IDs.
        sandboxes: Vec<String>,
    },
    /// It has several names, and an ID does not say which is to go.
    #[error("image {id} has several names: {}", names.join(", "))]
    SeveralNames {
        /// Which.
        id: String,
        /// Its names.
        names: Vec<String>,
    },
    /// The sandboxes cannot be listed.
    #[error(transparent)]
    Sandboxes(#[from] FindError),
    /// A sandbox of it cannot be removed.
    #[error(transparent)]
    Remove(#[from] Box<RemoveError>),
    /// Those who create sandboxes cannot be kept waiting.
    #[error("cannot lock the images of the store")]
    Lock(#[source] std::io::Error),
    /// What is not used any more cannot be collected.
    #[error("cannot free the space of what is not used any more")]
    Collect(#[from] GcError),
}

impl Failure for ImagesError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Image(ImageError::NotFound { .. }) | Self::OtherTags { .. } => 1,
            Self::InUse { .. } | Self::SeveralNames { .. } => 2,
            _ => 125,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::InUse { .. } => {
                Some("Remove the containers first (gaufre rm), or all of it with --force.".to_owned())
            }
            Self::SeveralNames { .. } => {
                Some("Name the one to remove, or remove all with --force.".to_owned())
            }
            Self::Open(error) => error.hint(),
            Self::Sandboxes(error) => error.hint(),
            Self::Remove(error) => error.hint(),
            Self::Image(ImageError::Index(error)) => Some(error.hint().to_owned()),
            _ => None,
        }
    }
}

fn listed(sandboxes: &[String]) -> String {
    let word = if sandboxes.len() == 1 { "container" } else { "containers" };
    format!("{word} {}", sandboxes.join(", "))
}
