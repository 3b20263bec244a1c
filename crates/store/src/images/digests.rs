//! The digests of an image's manifests and indexes. One image, which is one config, may have several: compressed anew or
//! saved to an archive, the same content has another manifest.

use oci_spec::image::Digest;
use rusqlite::{OptionalExtension, Transaction};

use super::{ImageRecord, Origin};

/// The repository of digests that came with an archive.
const NONE: &str = "";

/// Writes down by which digests an image was got. Those that were there stay.
pub(super) fn record(
    index: &Transaction<'_>,
    image: &ImageRecord,
    names: &[String],
    origin: Origin,
) -> rusqlite::Result<()> {
    let repositories: Vec<&str> = match origin {
        Origin::Registry => names.iter().map(|name| repository(name)).collect(),
        Origin::Archive => vec![NONE],
    };
    for digest in [Some(&image.manifest_digest), image.index_digest.as_ref()].into_iter().flatten() {
        for repository in &repositories {
            insert(index, image.id.as_ref(), repository, digest.as_ref())?;
        }
    }
    Ok(())
}

/// What schema 1 knew: one manifest for each image, and its index, for all of its names.
pub(crate) fn record_all(index: &Transaction<'_>) -> rusqlite::Result<()> {
    let sql = "SELECT names.name, images.id, images.manifest_digest, images.index_digest
               FROM names JOIN images ON images.id = names.image_id";
    let mut statement = index.prepare(sql)?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let (name, id): (String, String) = (row.get(0)?, row.get(1)?);
        let digests: [Option<String>; 2] = [row.get(2)?, row.get(3)?];
        for digest in digests.iter().flatten() {
            insert(index, &id, repository(&name), digest)?;
        }
    }
    Ok(())
}

/// Forgets what is known of an image in a repository of which it has no name any more.
pub(super) fn forget_repository(index: &Transaction<'_>, id: &Digest, gone: &str) -> rusqlite::Result<()> {
    let mut statement = index.prepare_cached("SELECT name FROM names WHERE image_id = ?1")?;
    let mut names = statement.query_map([id.as_ref()], |row| row.get::<_, String>(0))?;
    if names.any(|name| name.is_ok_and(|name| repository(&name) == gone)) {
        return Ok(());
    }
    index.execute("DELETE FROM digests WHERE image_id = ?1 AND repository = ?2", (id.as_ref(), gone))?;
    Ok(())
}

/// Whether `name` means this image already.
pub(super) fn means(index: &Transaction<'_>, name: &str, id: &Digest) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM names WHERE name = ?1 AND image_id = ?2";
    Ok(index.query_row(sql, (name, id.as_ref()), |_| Ok(())).optional()?.is_some())
}

fn insert(index: &Transaction<'_>, id: &str, repository: &str, digest: &str) -> rusqlite::Result<()> {
    let sql = "INSERT INTO digests (image_id, repository, digest) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    index.execute(sql, (id, repository, digest))?;
    Ok(())
}

/// A reference without tag and digest; a colon before the last slash belongs to a port.
pub(super) fn repository(name: &str) -> &str {
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    let slash = name.rfind('/').unwrap_or(0);
    name[slash..].rfind(':').map_or(name, |colon| &name[..slash + colon])
}
