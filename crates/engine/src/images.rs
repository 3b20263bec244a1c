//! The images of the store: listed, named, removed.

mod error;
mod name;
mod remove;

pub use error::ImagesError;
pub(crate) use name::lookup;
pub use remove::RemovedImage;

use crate::engine::Engine;
use crate::sandbox::FindError;
use oci_spec::image::{Digest, ImageConfiguration};
use serde::Serialize;
use std::collections::BTreeMap;

/// One image in a list.
#[derive(Debug, Clone, Serialize)]
pub struct ImageSummary {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Full names, such as `docker.io/library/redis:7`.
    pub names: Vec<String>,
    /// The digests of its manifests and indexes.
    pub digests: Vec<String>,
    /// The digest of the manifest by which each name was got.
    pub manifests: BTreeMap<String, String>,
    /// The digests by which registries gave it: `docker.io/library/redis@sha256:…`.
    pub repo_digests: Vec<String>,
    /// When it was built, RFC 3339, as its config says.
    pub created: Option<String>,
    /// What its layers take unpacked, in bytes.
    pub size_bytes: u64,
    /// The config's labels.
    pub labels: BTreeMap<String, String>,
    /// How many sandboxes were made from it.
    pub sandboxes: usize,
    /// `os/architecture`.
    pub platform: String,
}

impl Engine {
    /// All images, the newest first.
    ///
    /// # Errors
    /// See [`ImagesError`].
    pub fn images(&self) -> Result<Vec<ImageSummary>, ImagesError> {
        let users = self.image_users()?;
        let mut images = Vec::new();
        for named in self.store()?.images().list()? {
            // A damaged config costs the labels, not the list.
            let config = self.config(&named.image.id).ok();
            let labels = config.as_ref().and_then(|config| config.config().as_ref()?.labels().clone());
            let image = named.image;
            images.push(ImageSummary {
                sandboxes: users.get(image.id.as_ref()).map_or(0, Vec::len),
                id: image.id.digest().to_owned(),
                names: named.names,
                digests: named.digests.iter().map(ToString::to_string).collect(),
                manifests: named
                    .manifests
                    .into_iter()
                    .map(|(name, digest)| (name, digest.to_string()))
                    .collect(),
                repo_digests: named.repo_digests,
                created: image.created,
                size_bytes: image.size_bytes,
                labels: labels.unwrap_or_default().into_iter().collect(),
                platform: format!("{}/{}", image.os, image.architecture),
            });
        }
        images.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.names.cmp(&b.names)));
        Ok(images)
    }

    /// The short IDs of the sandboxes made from each image, by the image's ID.
    pub(crate) fn image_users(&self) -> Result<BTreeMap<String, Vec<String>>, FindError> {
        let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for sandbox in self.catalog().list()? {
            users
                .entry(sandbox.definition.image.id.to_string())
                .or_default()
                .push(sandbox.id().short().to_owned());
        }
        Ok(users)
    }

    /// The config of an image in the store.
    pub(crate) fn config(&self, id: &Digest) -> Result<ImageConfiguration, ImagesError> {
        let fail = |source: Box<dyn std::error::Error + Send + Sync>| ImagesError::Blob {
            id: id.digest().to_owned(),
            source,
        };
        let bytes = self.store()?.get_blob(id).map_err(|error| fail(error.into()))?;
        serde_json::from_slice(&bytes).map_err(|error| fail(error.into()))
    }
}
