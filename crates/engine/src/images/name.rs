//! The names of images: what they stand for, given and taken away.

use super::ImagesError;
use crate::engine::Engine;
use gaufre_image::{Reference, RegistriesConf};
use gaufre_store::{ImageError, NamedImage, Store};

/// The registry part of a name that was given to an image here and belongs to no registry, as podman has it.
const LOCAL: &str = "localhost";

/// An image, and the full name by which it was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) image: NamedImage,
    /// `None` if it was asked for by its ID or digest alone.
    pub(crate) name: Option<String>,
}

/// The image that `name` stands for, as [`Engine::pull`] would understand it; `None` when it is not here.
pub(crate) fn lookup(store: &Store, name: &str, conf: &RegistriesConf) -> Result<Option<Found>, ImageError> {
    let mut names = candidates(name, conf);
    if let Ok(local) = Reference::parse_with_registry(name, LOCAL) {
        names.push(local.with_default_tag().to_string());
    }
    for full in names {
        match store.images().find(&full) {
            Ok(image) => return Ok(Some(Found { image, name: Some(full) })),
            Err(ImageError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    match store.images().find(name) {
        Ok(image) => Ok(Some(Found { image, name: None })),
        Err(ImageError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Engine {
    pub(crate) fn find_image(&self, name: &str) -> Result<NamedImage, ImagesError> {
        let conf = self
            .registries()
            .map_err(|source| ImagesError::Name { name: name.to_owned(), source: Box::new(source) })?;
        let found = lookup(self.store()?, name, conf)?;
        match found {
            Some(found) => Ok(found.image),
            None => Err(self.not_found(name)),
        }
    }

    /// No image of that name, but maybe of the same repository.
    fn not_found(&self, name: &str) -> ImagesError {
        let error = ImageError::NotFound { name: name.to_owned() };
        let wanted: Vec<String> = [Reference::parse(name), Reference::parse_with_registry(name, LOCAL)]
            .into_iter()
            .flatten()
            .map(|reference| reference.name())
            .collect();
        let here = self.store().map(|store| store.images().list());
        let Ok(Ok(images)) = here else { return error.into() };
        let of_repository =
            |name: &String| Reference::parse(name).is_ok_and(|reference| wanted.contains(&reference.name()));
        let there: Vec<String> =
            images.into_iter().flat_map(|image| image.names).filter(of_repository).collect();
        if there.is_empty() { error.into() } else { ImagesError::OtherTags { name: name.to_owned(), there } }
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

    /// Which of the names of `found` is meant by `asked`.
    pub(crate) fn matching_name(&self, asked: &str, found: &NamedImage) -> Result<String, ImagesError> {
        let conf = self
            .registries()
            .map_err(|source| ImagesError::Name { name: asked.to_owned(), source: Box::new(source) })?;
        let mut names = candidates(asked, conf);
        names.extend(new_name(asked));
        let name = names.into_iter().find(|name| found.names.contains(name));
        Ok(name.ok_or_else(|| ImageError::NotFound { name: asked.to_owned() })?)
    }
}

/// The full names that registries.conf gives a name, in its order; none when it is no name at all.
fn candidates(name: &str, conf: &RegistriesConf) -> Vec<String> {
    let candidates = conf.candidates(name).unwrap_or_default();
    candidates.into_iter().map(|reference| reference.with_default_tag().to_string()).collect()
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
