//! The images of the store: listed, named, removed.

use crate::collect::ImagesLock;
use crate::engine::{Engine, OpenError};
use crate::failure::Failure;
use crate::rm::{RemoveError, RemoveOptions};
use crate::sandbox::FindError;
use gaufre_image::{Reference, ReferenceError, RegistriesConf, RegistriesConfError};
use gaufre_store::{GcError, ImageError, NamedImage, Store};
use oci_spec::image::{Digest, ImageConfiguration};
use serde::Serialize;
use std::collections::BTreeMap;

/// The registry part of a name that was given to an image here and belongs to no registry, as podman has it.
const LOCAL: &str = "localhost";

/// One image in a list.
#[derive(Debug, Clone, Serialize)]
pub struct ImageSummary {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Full names, such as `docker.io/library/redis:7`.
    pub names: Vec<String>,
    /// The digests of its manifest and, if it came by one, of its index.
    pub digests: Vec<String>,
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

/// What became of a removal.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RemovedImage {
    /// Names that were taken away.
    pub untagged: Vec<String>,
    /// IDs of images that are gone.
    pub deleted: Vec<String>,
}

/// Something about an image cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum ImagesError {
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// No such image, or the index is unreadable.
    #[error(transparent)]
    Image(#[from] ImageError),
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
            Self::Image(ImageError::NotFound { .. }) => 1,
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

/// The image that `name` stands for, as [`Engine::pull`] would understand it; `None` when it is not here.
pub(crate) fn lookup(
    store: &Store,
    name: &str,
    conf: &RegistriesConf,
) -> Result<Option<NamedImage>, ImageError> {
    let mut names: Vec<String> = conf
        .candidates(name)
        .unwrap_or_default()
        .into_iter()
        .map(|reference| reference.with_default_tag().to_string())
        .collect();
    if let Ok(local) = Reference::parse_with_registry(name, LOCAL) {
        names.push(local.with_default_tag().to_string());
    }
    names.push(name.to_owned());
    for name in names {
        match store.images().find(&name) {
            Ok(image) => return Ok(Some(image)),
            Err(ImageError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

impl Engine {
    pub(crate) fn find_image(&self, name: &str) -> Result<NamedImage, ImagesError> {
        let conf = RegistriesConf::load()
            .map_err(|source| ImagesError::Name { name: name.to_owned(), source: Box::new(source) })?;
        let found = lookup(self.store()?, name, &conf)?;
        Ok(found.ok_or_else(|| ImageError::NotFound { name: name.to_owned() })?)
    }

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
                digests: [Some(image.manifest_digest), image.index_digest]
                    .into_iter()
                    .flatten()
                    .map(|d| d.to_string())
                    .collect(),
                created: image.created,
                size_bytes: image.size_bytes,
                labels: labels.unwrap_or_default().into_iter().collect(),
                platform: format!("{}/{}", image.os, image.architecture),
            });
        }
        images.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.names.cmp(&b.names)));
        Ok(images)
    }

    /// Gives the image `source` another name.
    ///
    /// # Errors
    /// See [`ImagesError`].
    pub fn tag(&self, source: &str, name: &str) -> Result<(), ImagesError> {
        let image = self.find_image(source)?;
        let name = new_name(name)?;
        Ok(self.store()?.images().tag(&image.image.id, &name)?)
    }

    /// Takes names away from an image, all when none is given. The image stays.
    ///
    /// # Errors
    /// See [`ImagesError`].
    pub fn untag(&self, image: &str, names: &[String]) -> Result<(), ImagesError> {
        let found = self.find_image(image)?;
        let names = if names.is_empty() {
            found.names
        } else {
            names.iter().map(|name| new_name(name)).collect::<Result<_, _>>()?
        };
        for name in names {
            if !self.store()?.images().untag(&name)? {
                return Err(ImageError::NotFound { name }.into());
            }
        }
        Ok(())
    }

    /// Takes the name away and, with the last name, the image. An ID removes the image if it has at most one name.
    /// With `force` all names go, and the sandboxes made from it before.
    ///
    /// # Errors
    /// See [`ImagesError`].
    pub fn remove_image(&self, name: &str, force: bool) -> Result<RemovedImage, ImagesError> {
        let found = self.find_image(name)?;
        let id = found.image.id.clone();
        let by_id = id.digest().starts_with(name.strip_prefix("sha256:").unwrap_or(name));
        let mut removed = RemovedImage::default();
        if !by_id && found.names.len() > 1 {
            let asked = self.matching_name(name, &found)?;
            self.store()?.images().untag(&asked)?;
            removed.untagged.push(asked);
            return Ok(removed);
        }
        if found.names.len() > 1 && !force {
            return Err(ImagesError::SeveralNames { id: id.digest()[..12].to_owned(), names: found.names });
        }
        let users = self.image_users()?.remove(id.as_ref()).unwrap_or_default();
        if !users.is_empty() && !force {
            return Err(ImagesError::InUse { id: id.digest()[..12].to_owned(), sandboxes: users });
        }
        for user in users {
            let options = RemoveOptions { force: true, ..RemoveOptions::default() };
            match self.remove(&user, options) {
                Ok(_) | Err(RemoveError::Find(FindError::NoSuchSandbox(_))) => {}
                Err(error) => return Err(Box::new(error).into()),
            }
        }
        let lock = ImagesLock::remove(&self.dirs).map_err(ImagesError::Lock)?;
        // One may have been created while the others went.
        let users = self.image_users()?.remove(id.as_ref()).unwrap_or_default();
        if !users.is_empty() {
            return Err(ImagesError::InUse { id: id.digest()[..12].to_owned(), sandboxes: users });
        }
        self.store()?.images().remove(&id)?;
        removed.untagged = found.names;
        removed.deleted.push(id.digest().to_owned());
        self.collect_garbage(&lock)?;
        Ok(removed)
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

    fn matching_name(&self, asked: &str, found: &NamedImage) -> Result<String, ImagesError> {
        let conf = RegistriesConf::load()
            .map_err(|source| ImagesError::Name { name: asked.to_owned(), source: Box::new(source) })?;
        let mut candidates: Vec<String> = conf
            .candidates(asked)
            .unwrap_or_default()
            .into_iter()
            .map(|r| r.with_default_tag().to_string())
            .collect();
        candidates.extend(new_name(asked));
        let name = candidates.into_iter().find(|candidate| found.names.contains(candidate));
        Ok(name.ok_or_else(|| ImageError::NotFound { name: asked.to_owned() })?)
    }
}

/// A name for an image here: one without a registry belongs to this machine.
fn new_name(text: &str) -> Result<String, ImagesError> {
    let fail = |source| ImagesError::NewName { name: text.to_owned(), source };
    let reference = if Reference::is_short(text).map_err(fail)? {
        Reference::parse_with_registry(text, LOCAL).map_err(fail)?
    } else {
        Reference::parse(text).map_err(fail)?
    };
    if reference.digest().is_some() {
        return Err(ImagesError::NewNameHasDigest(text.to_owned()));
    }
    Ok(reference.with_default_tag().to_string())
}
