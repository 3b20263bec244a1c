//! Images and their names.

mod digests;

use std::collections::BTreeMap;
use std::io;
use std::str::FromStr;

use oci_spec::image::Digest;
use rusqlite::{OptionalExtension, Transaction};

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
            insert_row(index, image)?;
            digests::record(index, image, names, origin)?;
            names.iter().try_for_each(|name| match origin {
                Origin::Archive if digests::means(index, name, &image.id)? => Ok(()),
                _ => point(index, name, &image.id, image.manifest_digest.as_ref()),
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
                point(index, name, id, manifest)?;
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

    fn select(&self, condition: &str, id: Option<&str>) -> Result<Vec<NamedImage>, ImageError> {
        // Digests hold no space, and names none either: references cannot.
        let sql = format!(
            "SELECT id, manifest_digest, index_digest, size_bytes, created, architecture, os,
                (SELECT group_concat(diff_id, ' ') FROM
                    (SELECT diff_id FROM image_layers WHERE image_id = id ORDER BY position)),
                (SELECT group_concat(name || ' ' || coalesce(manifest_digest, images.manifest_digest), ' ') FROM
                    (SELECT name, manifest_digest FROM names WHERE image_id = id ORDER BY name)),
                (SELECT group_concat(repository || '@' || digest, ' ') FROM
                    (SELECT repository, digest FROM digests WHERE image_id = id ORDER BY repository, digest))
             FROM images {condition} ORDER BY id"
        );
        let rows: Vec<Row> = self.store.read(|index| {
            let mut statement = index.prepare_cached(&sql)?;
            statement.query_map(rusqlite::params_from_iter(id), row)?.collect()
        })?;
        rows.into_iter().map(|row| self.named(row)).collect()
    }

    fn named(&self, row: Row) -> Result<NamedImage, ImageError> {
        let words = |text: Option<String>| -> Vec<String> {
            text.unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect()
        };
        let layers = words(row.layers).iter().map(|layer| self.digest(layer)).collect::<Result<_, _>>()?;
        let image = ImageRecord {
            id: self.digest(&row.id)?,
            manifest_digest: self.digest(&row.manifest_digest)?,
            index_digest: row.index_digest.map(|digest| self.digest(&digest)).transpose()?,
            layers,
            size_bytes: row.size_bytes.cast_unsigned(),
            created: row.created,
            architecture: row.architecture,
            os: row.os,
        };
        let mut named = NamedImage {
            digests: [Some(&image.manifest_digest), image.index_digest.as_ref()]
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
            image,
            names: Vec::new(),
            manifests: BTreeMap::new(),
            repo_digests: Vec::new(),
        };
        for pair in words(row.names).chunks_exact(2) {
            named.manifests.insert(pair[0].clone(), self.digest(&pair[1])?);
            named.names.push(pair[0].clone());
        }
        for known in words(row.digests) {
            let (repository, digest) = known.split_once('@').ok_or_else(|| self.store.damaged(&known))?;
            let digest = self.digest(digest)?;
            if !named.digests.contains(&digest) {
                named.digests.push(digest);
            }
            if !repository.is_empty() {
                named.repo_digests.push(known);
            }
        }
        Ok(named)
    }

    fn digest(&self, text: &str) -> Result<Digest, IndexError> {
        Digest::from_str(text).map_err(|_| self.store.damaged(text))
    }
}

struct Row {
    id: String,
    manifest_digest: String,
    index_digest: Option<String>,
    size_bytes: i64,
    created: Option<String>,
    architecture: String,
    os: String,
    layers: Option<String>,
    names: Option<String>,
    digests: Option<String>,
}

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        id: row.get(0)?,
        manifest_digest: row.get(1)?,
        index_digest: row.get(2)?,
        size_bytes: row.get(3)?,
        created: row.get(4)?,
        architecture: row.get(5)?,
        os: row.get(6)?,
        layers: row.get(7)?,
        names: row.get(8)?,
        digests: row.get(9)?,
    })
}

fn insert_row(index: &Transaction<'_>, image: &ImageRecord) -> rusqlite::Result<()> {
    let ImageRecord { id, manifest_digest, index_digest, layers, size_bytes, created, architecture, os } =
        image;
    index.execute(
        "INSERT INTO images (id, manifest_digest, index_digest, size_bytes, created, architecture, os)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (id) DO UPDATE SET manifest_digest = ?2, index_digest = coalesce(?3, index_digest),
            size_bytes = ?4, created = ?5, architecture = ?6, os = ?7",
        (
            id.as_ref(),
            manifest_digest.as_ref(),
            index_digest.as_ref().map(AsRef::<str>::as_ref),
            size_bytes.cast_signed(),
            created,
            architecture,
            os,
        ),
    )?;
    index.execute("DELETE FROM image_layers WHERE image_id = ?1", [id.as_ref()])?;
    for (position, layer) in (0_i64..).zip(layers) {
        index.execute(
            "INSERT INTO image_layers (image_id, position, diff_id) VALUES (?1, ?2, ?3)",
            (id.as_ref(), position, layer.as_ref()),
        )?;
    }
    Ok(())
}

fn point(index: &Transaction<'_>, name: &str, id: &Digest, manifest: &str) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO names (name, image_id, manifest_digest) VALUES (?1, ?2, ?3)";
    index.execute(sql, (name, id.as_ref(), manifest))?;
    Ok(())
}

fn has_digest(named: &NamedImage, digest: &str) -> bool {
    named.image.id.as_ref() == digest || named.digests.iter().any(|known| known.as_ref() == digest)
}
