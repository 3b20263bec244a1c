//! Removing what is not in use, on request.

use oci_spec::image::Digest;

use crate::gc::{GcError, Reclaimed};
use crate::images::NamedImage;
use crate::store::{Store, part};
use crate::usage::{InUse, measure};
use crate::volumes::{VolumeError, VolumeRecord};

/// What to remove besides dangling images.
#[derive(Debug, Clone, Copy, Default)]
pub struct PruneOptions<'a> {
    /// Images with names too, if no sandbox was made from them.
    pub all_images: bool,
    /// Volumes that no sandbox mounts.
    pub volumes: bool,
    /// What must stay.
    pub in_use: InUse<'a>,
}

/// What was removed.
#[derive(Debug, Clone, Default)]
pub struct Pruned {
    /// Images, with the names that they had.
    pub images: Vec<NamedImage>,
    /// Names of volumes.
    pub volumes: Vec<String>,
    /// What that freed, volumes included.
    pub reclaimed: Reclaimed,
}

/// A pruning that could not be finished; what it did stays done.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// Images, layers or blobs.
    #[error(transparent)]
    Gc(#[from] GcError),
    /// A volume.
    #[error(transparent)]
    Volume(#[from] VolumeError),
}

impl Store {
    /// Removes images without a name (or all, with [`PruneOptions::all_images`]) that no sandbox uses, volumes if
    /// asked to, and then collects what nothing needs any more.
    ///
    /// # Errors
    /// [`PruneError`].
    pub fn prune(&self, options: &PruneOptions<'_>) -> Result<Pruned, PruneError> {
        let mut pruned = Pruned::default();
        for named in self.unused_images(options)? {
            self.images().remove(&named.image.id).map_err(GcError::from)?;
            pruned.images.push(named);
        }
        let volume_bytes = self.prune_volumes(options, &mut pruned.volumes)?;
        let in_use: &[Digest] = options.in_use.images;
        pruned.reclaimed = self.gc(in_use)?;
        pruned.reclaimed.bytes += volume_bytes;
        Ok(pruned)
    }

    /// Whether [`Store::prune`] would remove an image or a volume.
    ///
    /// # Errors
    /// [`PruneError`].
    pub fn has_unused(&self, options: &PruneOptions<'_>) -> Result<bool, PruneError> {
        Ok(!self.unused_images(options)?.is_empty() || !self.unused_volumes(options)?.is_empty())
    }

    fn unused_images(&self, options: &PruneOptions<'_>) -> Result<Vec<NamedImage>, GcError> {
        let mut images = self.images().list()?;
        images.retain(|named| {
            let wanted = options.all_images || named.names.is_empty();
            wanted && !options.in_use.images.contains(&named.image.id)
        });
        Ok(images)
    }

    fn unused_volumes(&self, options: &PruneOptions<'_>) -> Result<Vec<VolumeRecord>, VolumeError> {
        if !options.volumes {
            return Ok(Vec::new());
        }
        let mut volumes = self.volumes().list()?;
        volumes.retain(|volume| !options.in_use.volumes.contains(&volume.name));
        Ok(volumes)
    }

    fn prune_volumes(
        &self,
        options: &PruneOptions<'_>,
        removed: &mut Vec<String>,
    ) -> Result<u64, PruneError> {
        let mut bytes = 0;
        for volume in self.unused_volumes(options)? {
            let size = self.part(part::VOLUMES).map_or(0, |volumes| measure(&volumes, &volume.name));
            if self.volumes().remove(&volume.name)? {
                bytes += size;
                removed.push(volume.name);
            }
        }
        Ok(bytes)
    }
}
