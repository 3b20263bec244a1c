//! Garbage collection: what no image and no sandbox needs is removed, and what dead processes left.

use std::collections::HashSet;
use std::io;

use oci_spec::image::Digest;

use crate::digest;
use crate::images::ImageError;
use crate::index::IndexError;
use crate::lock::{Lease, NamedLock};
use crate::staging;
use crate::store::{Store, part};
use crate::tree;

/// What a collection freed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reclaimed {
    /// Data of layers and blobs, in bytes.
    pub bytes: u64,
    /// Layers.
    pub layers: u64,
    /// Manifests, configs and indexes.
    pub blobs: u64,
    /// Leftovers of processes that died.
    pub leftovers: u64,
    /// Layers and blobs were left for a later collection, because a pull or a load is under way, or because it
    /// cannot be told which layers a removed image in use has.
    pub postponed: bool,
}

/// A collection that could not be finished; what it did stays done.
#[derive(Debug, thiserror::Error)]
pub enum GcError {
    /// A part of the store cannot be read or removed.
    #[error("cannot {action} {name:?} in the store")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The images cannot be listed.
    #[error(transparent)]
    Images(#[from] ImageError),
    /// The index cannot be written.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// What must stay.
#[derive(Debug, Default)]
struct Needed {
    layers: HashSet<String>,
    blobs: HashSet<String>,
}

impl Store {
    /// Removes layers and blobs that neither an image of the index nor one of `in_use` needs. `in_use` are the
    /// images of sandboxes: they may have been removed from the index, and keep their layers.
    ///
    /// # Errors
    /// [`GcError`].
    pub fn gc(&self, in_use: &[Digest]) -> Result<Reclaimed, GcError> {
        let mut reclaimed = Reclaimed::default();
        let collected = self.collect(in_use, &mut reclaimed);
        // Last, so that a leftover that cannot be removed keeps nothing else from being collected.
        self.sweep(&mut reclaimed)?;
        collected.map(|()| reclaimed)
    }

    fn collect(&self, in_use: &[Digest], reclaimed: &mut Reclaimed) -> Result<(), GcError> {
        let locks = self.part(part::LOCKS).map_err(io_error("open", part::LOCKS))?;
        // Held throughout: nobody adds what would at once be collected.
        let Some(_lease) = Lease::try_exclusive(&locks).map_err(io_error("lock", "lease"))? else {
            reclaimed.postponed = true;
            return Ok(());
        };
        let Some(needed) = self.needed(in_use)? else {
            reclaimed.postponed = true;
            return Ok(());
        };
        self.collect_layers(&needed, reclaimed)?;
        self.collect_blobs(&needed, reclaimed)
    }

    fn sweep(&self, reclaimed: &mut Reclaimed) -> Result<(), GcError> {
        let failed = io_error("clear", part::STAGING);
        let staging = self.part(part::STAGING).map_err(&failed)?;
        reclaimed.leftovers = staging::sweep(&staging).map_err(&failed)?;
        let locks = self.part(part::LOCKS).map_err(&failed)?;
        let names = tree::names(&locks).map_err(|error| io_error("read", part::LOCKS)(error.into()))?;
        NamedLock::sweep(&locks, &names).map_err(io_error("clear", part::LOCKS))
    }

    /// `None` if it cannot be told.
    fn needed(&self, in_use: &[Digest]) -> Result<Option<Needed>, GcError> {
        let mut needed = Needed::default();
        for named in self.images().list()? {
            let image = named.image;
            needed.blobs.insert(image.id.digest().to_owned());
            needed.blobs.extend(named.digests.iter().map(|digest| digest.digest().to_owned()));
            needed.layers.extend(image.layers.iter().map(|layer| layer.digest().to_owned()));
        }
        for id in in_use {
            if needed.blobs.contains(id.digest()) {
                continue;
            }
            // Removed from the index while a sandbox runs from it: its config still lists its layers.
            match self.get_blob(id).ok().and_then(|config| diff_ids(&config)) {
                Some(layers) => needed.layers.extend(layers.iter().map(|layer| layer.digest().to_owned())),
                None => return Ok(None),
            }
            needed.blobs.insert(id.digest().to_owned());
        }
        Ok(Some(needed))
    }

    fn collect_layers(&self, needed: &Needed, reclaimed: &mut Reclaimed) -> Result<(), GcError> {
        for hex in self.layer_names().map_err(io_error("read", part::LAYERS))? {
            if needed.layers.contains(&hex) {
                continue;
            }
            let size = self.layer_info(&hex).ok().flatten().map_or(0, |info| info.size_bytes);
            self.discard_layer(&hex)?;
            reclaimed.layers += 1;
            reclaimed.bytes += size;
        }
        Ok(())
    }

    fn collect_blobs(&self, needed: &Needed, reclaimed: &mut Reclaimed) -> Result<(), GcError> {
        for hex in self.blob_names().map_err(io_error("read", part::BLOBS))? {
            if !needed.blobs.contains(&hex) {
                reclaimed.bytes += self.remove_blob(&hex).map_err(io_error("remove", &hex))?;
                reclaimed.blobs += 1;
            }
        }
        Ok(())
    }

    /// Takes a layer away in one step, then its data and its row.
    pub(crate) fn discard_layer(&self, hex: &str) -> Result<(), GcError> {
        let failed = io_error("remove the layer", hex);
        let staging = self.part(part::STAGING).map_err(&failed)?;
        let layers = self.part(part::LAYERS).map_err(&failed)?;
        staging::discard(staging, layers, hex).map_err(&failed)?;
        let id = format!("sha256:{hex}");
        self.write(|index| index.execute("DELETE FROM layers WHERE diff_id = ?1", [id]))?;
        Ok(())
    }

    /// The diff IDs, in hexadecimal, of the layers on disk. What has another name is not the store's.
    pub(crate) fn layer_names(&self) -> io::Result<Vec<String>> {
        let mut names = tree::names(self.part(part::LAYERS)?)?;
        names.retain(|name| digest::from_hex(name).is_some());
        Ok(names)
    }

    /// The digests, in hexadecimal, of the blobs on disk.
    pub(crate) fn blob_names(&self) -> io::Result<Vec<String>> {
        let mut names = tree::names(self.blobs()?)?;
        names.retain(|name| digest::from_hex(name).is_some());
        Ok(names)
    }
}

/// The diff IDs that an image config lists (OCI image specification, "Image Configuration", `rootfs`).
pub(crate) fn diff_ids(config: &[u8]) -> Option<Vec<Digest>> {
    let config: serde_json::Value = serde_json::from_slice(config).ok()?;
    let layers = config.get("rootfs")?.get("diff_ids")?.as_array()?;
    layers.iter().map(|layer| layer.as_str()?.parse().ok()).collect()
}

fn io_error(action: &'static str, name: &str) -> impl Fn(io::Error) -> GcError {
    let name = name.to_owned();
    move |source| GcError::Io { action, name: name.clone(), source }
}
