//! Images as rows of the index: how they are written, and how they are read back.

use std::collections::BTreeMap;

use oci_spec::image::Digest;
use rusqlite::Transaction;

use super::{ImageError, ImageRecord, Images, NamedImage};

impl Images<'_> {
    /// The images of which `condition`, with `id` for its parameter, is true.
    pub(super) fn select(&self, condition: &str, id: Option<&str>) -> Result<Vec<NamedImage>, ImageError> {
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

/// Writes an image down, over what was known of it.
pub(super) fn insert(index: &Transaction<'_>, image: &ImageRecord) -> rusqlite::Result<()> {
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

/// Points `name` to an image, away from whatever it pointed to.
pub(super) fn point(
    index: &Transaction<'_>,
    name: &str,
    id: &Digest,
    manifest: &str,
) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO names (name, image_id, manifest_digest) VALUES (?1, ?2, ?3)";
    index.execute(sql, (name, id.as_ref(), manifest))?;
    Ok(())
}
