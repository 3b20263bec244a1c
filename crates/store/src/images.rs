//! Images and their names.

mod digests;
mod rows;

use std::collections::BTreeMap;
use std::io;
use std::str::FromStr;

use oci_spec::image::Digest;
use rusqlite::OptionalExtension;

use crate::digest::{self, UnsupportedDigest};
use crate::index::IndexError;
use crate::store::Store;
pub(crate) use digests::record_all;

/// An image as the index knows it. Its manifest and config are blobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRecord {
    /// The digest of its config.
    pub id: Digest,
    /// The digest of its manifest.
    pub manifest_digest: Digest,
    /// The digest of the index that the manifest was chosen from.
    pub index_digest: Option<Digest>,
    /// The diff IDs of its layers, bottom first.
    pub layers: Vec<Digest>,
    /// What its layers hold, unpacked, in bytes.
    pub size_bytes: u64,
    /// When it was made, RFC 3339, as its config says.
    pub created: Option<String>,
    /// As Go names it: `amd64`.
    pub architecture: String,
    /// As Go names it: `linux`.
    pub os: String,
}

/// An image with the names that point to it, sorted; none if it is dangling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedImage {
    /// The image.
    pub image: ImageRecord,
    /// Full references, such as `docker.io/library/redis:7`.
    pub names: Vec<String>,
    /// The digest of the manifest by which each name was got.
    pub manifests: BTreeMap<String, Digest>,
    /// The digests of manifests and indexes by which registries gave it: `docker.io/library/redis@sha256:…`.
    pub repo_digests: Vec<String>,
    /// The digests of all its manifests and indexes, those of archives too.
    pub digests: Vec<Digest>,
}

/// From where an image comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The registry that its names say, at the digests that it has.
    Registry,
    /// An archive, whose manifest no registry needs to have: names that mean the image already keep their digest.
    Archive,
}

/// An image that cannot be found, kept or changed.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Nothing matches.
    #[error("no image {name:?} is in the store")]
    NotFound {
        /// What was looked for.
        name: String,
    },
    /// The start of several IDs.
    #[error("{prefix:?} is the start of several image IDs: {}", candidates.join(", "))]
    Ambiguous {
        /// What was looked for.
        prefix: String,
        /// The images that match: a name where there is one, and the ID.
        candidates: Vec<String>,
    },
    /// A part of it is not in the store.
    #[error("the image {id} cannot be kept: its part {missing} is not in the store")]
    Incomplete {
        /// The image.
        id: Digest,
        /// The layer, manifest or config.
        missing: Digest,
    },
    /// Not SHA-256.
    #[error(transparent)]
    Digest(#[from] UnsupportedDigest),
    /// The store cannot be read.
    #[error("cannot see whether the parts of the image {id} are in the store")]
    Io {
        /// The image.
        id: Digest,
        /// What the kernel said.
        source: io::Error,
    },
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// The images of a store.
#[derive(Debug, Clone, Copy)]
pub struct Images<'a> {
    store: &'a Store,
}

impl Store {
    /// The images of this store.
    pub fn images(&self) -> Images<'_> {
        Images { store: self }
    }
}

impl Images<'_> {
    /// Keeps an image whose layers and blobs are in the store, and points `names` to it, away from whatever they
    /// pointed to. One transaction; the caller holds a [`crate::Lease`] since before it added the first part.
    ///
    /// # Errors
    /// [`ImageError::Incomplete`] names a missing part.
    pub fn insert(&self, image: &ImageRecord, names: &[String], origin: Origin) -> Result<(), ImageError> {
        self.check_parts(image)?;
        self.store.write(|index| {
            rows::insert(index, image)?;
            digests::record(index, image, names, origin)?;
            names.iter().try_for_each(|name| match origin {
                Origin::Archive if digests::means(index, name, &image.id)? => Ok(()),
                _ => rows::point(index, name, &image.id, image.manifest_digest.as_ref()),
            })
        })?;
        Ok(())
    }

    /// The image that `text` means: a name in full; `name@digest`; the digest of a config, manifest or index;
    /// or the start of an image ID, with or without `sha256:`.
    ///
    /// # Errors
    /// [`ImageError::NotFound`], [`ImageError::Ambiguous`].
    pub fn find(&self, text: &str) -> Result<NamedImage, ImageError> {
        let not_found = || ImageError::NotFound { name: text.to_owned() };
        if let Some(id) = self.id_by_name(text)? {
            return self.get(&id)?.ok_or_else(not_found);
        }
        if let Some((name, digest)) = text.split_once('@') {
            let repository = digests::repository(name);
            let matches = |named: &NamedImage| {
                named.repo_digests.iter().any(|known| known.split_once('@') == Some((repository, digest)))
                    || (named.names.iter().any(|name| digests::repository(name) == repository)
                        && has_digest(named, digest))
            };
            return self.list()?.into_iter().find(matches).ok_or_else(not_found);
        }
        let prefix = text.strip_prefix("sha256:").unwrap_or(text);
        if prefix.is_empty() || prefix.len() > 64 || !prefix.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(not_found());
        }
        self.find_by_prefix(text, &prefix.to_ascii_lowercase())?.ok_or_else(not_found)
    }

    /// The image with this ID; `None` if there is none.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn get(&self, id: &Digest) -> Result<Option<NamedImage>, ImageError> {
        Ok(self.select("WHERE id = ?1", Some(id.as_ref()))?.pop())
    }

    /// All images, by ID.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn list(&self) -> Result<Vec<NamedImage>, ImageError> {
        self.select("", None)
    }

    /// Points `name` to an image, away from whatever it pointed to.
    ///
    /// # Errors
    /// [`ImageError::NotFound`] if there is no such image.
    pub fn tag(&self, id: &Digest, name: &str) -> Result<(), ImageError> {
        let known = self.store.write(|index| {
            let sql = "SELECT manifest_digest FROM images WHERE id = ?1";
            let known = index.query_row(sql, [id.as_ref()], |row| row.get::<_, String>(0)).optional()?;
            if let Some(manifest) = &known
                && !digests::means(index, name, id)?
            {
                rows::point(index, name, id, manifest)?;
            }
            Ok(known.is_some())
        })?;
        if known { Ok(()) } else { Err(ImageError::NotFound { name: id.to_string() }) }
    }

    /// Removes a name; whether it was there. The image stays, dangling if it was the last name. With the last name of
    /// a repository goes what was known of the image there.
    ///
    /// # Errors
    /// The index cannot be written.
    pub fn untag(&self, name: &str) -> Result<bool, ImageError> {
        let id = self.id_by_name(name)?;
        let removed = self.store.write(|index| {
            let removed = index.execute("DELETE FROM names WHERE name = ?1", [name])?;
            id.map_or(Ok(()), |id| digests::forget_repository(index, &id, digests::repository(name)))?;
            Ok(removed)
        })?;
        Ok(removed > 0)
    }

    /// Forgets an image and its names; whether it was there. What only it used is freed by [`Store::gc`].
    /// Whether a sandbox uses it is for the caller to know.
    ///
    /// # Errors
    /// The index cannot be written.
    pub fn remove(&self, id: &Digest) -> Result<bool, ImageError> {
        let removed =
            self.store.write(|index| index.execute("DELETE FROM images WHERE id = ?1", [id.as_ref()]))?;
        Ok(removed > 0)
    }

    fn check_parts(&self, image: &ImageRecord) -> Result<(), ImageError> {
        let ImageRecord { id, manifest_digest, layers, .. } = image;
        let incomplete =
            |missing: &Digest| ImageError::Incomplete { id: id.clone(), missing: missing.clone() };
        for blob in [id, manifest_digest] {
            self.store.get_blob(blob).map_err(|_| incomplete(blob))?;
        }
        for layer in layers {
            let there = self.store.has_layer_dir(digest::hex(layer)?);
            if !there.map_err(|source| ImageError::Io { id: id.clone(), source })? {
                return Err(incomplete(layer));
            }
        }
        Ok(())
    }

    fn id_by_name(&self, name: &str) -> Result<Option<Digest>, ImageError> {
        let sql = "SELECT image_id FROM names WHERE name = ?1";
        let id: Option<String> = self
            .store
            .read(|index| index.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional())?;
        Ok(id.map(|id| self.digest(&id)).transpose()?)
    }

    fn find_by_prefix(&self, text: &str, prefix: &str) -> Result<Option<NamedImage>, ImageError> {
        let start = format!("sha256:{prefix}");
        let end = format!("{start}g");
        let sql = "SELECT id FROM images WHERE id >= ?1 AND id < ?2
                   UNION SELECT id FROM images WHERE manifest_digest = ?1 OR index_digest = ?1
                   UNION SELECT image_id FROM digests WHERE digest = ?1";
        let ids: Vec<String> = self.store.read(|index| {
            index.prepare_cached(sql)?.query_map([&start, &end], |row| row.get(0))?.collect()
        })?;
        let mut found = Vec::new();
        for id in ids {
            found.extend(self.get(&self.digest(&id)?)?);
        }
        if found.len() > 1 {
            let candidates = found.iter().map(|named| {
                let name = named.names.first().map_or("<none>", String::as_str);
                format!("{name} ({})", named.image.id)
            });
            return Err(ImageError::Ambiguous { prefix: text.to_owned(), candidates: candidates.collect() });
        }
        Ok(found.pop())
    }

    fn digest(&self, text: &str) -> Result<Digest, IndexError> {
        Digest::from_str(text).map_err(|_| self.store.damaged(text))
    }
}

fn has_digest(named: &NamedImage, digest: &str) -> bool {
    named.image.id.as_ref() == digest || named.digests.iter().any(|known| known.as_ref() == digest)
}
