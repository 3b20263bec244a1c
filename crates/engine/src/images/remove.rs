//! Removing an image, or one of its names.

use super::ImagesError;
use crate::collect::ImagesLock;
use crate::engine::Engine;
use crate::rm::{RemoveError, RemoveOptions};
use crate::sandbox::FindError;
use serde::Serialize;

/// What became of a removal.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RemovedImage {
    /// Names that were taken away.
    pub untagged: Vec<String>,
    /// IDs of images that are gone.
    pub deleted: Vec<String>,
}

impl Engine {
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
}
