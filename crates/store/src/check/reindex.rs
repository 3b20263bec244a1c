//! The index: whether SQLite can use it, and how it is made anew.

use std::sync::PoisonError;

use oci_spec::image::{Digest, ImageConfiguration, ImageManifest};
use rustix::io::Errno;

use super::{CheckError, Finding, Report, io_error};
use crate::digest;
use crate::gc::diff_ids;
use crate::images::{ImageRecord, Origin};
use crate::index::IndexError;
use crate::sandbox::is_id;
use crate::store::{Store, part};
use crate::tree;

/// A manifest or a config is no larger than this (OCI distribution specification: 4 MiB).
const MAX_MANIFEST_BYTES: usize = 4 << 20;

impl Store {
    /// Whether the index can be used, after a repair if one was asked for.
    pub(super) fn check_index(&self, repair: bool, report: &mut Report) -> Result<bool, CheckError> {
        let reason = match self
            .read(|index| index.query_row("PRAGMA quick_check(1)", (), |row| row.get::<_, String>(0)))
        {
            Ok(answer) if answer == "ok" => return Ok(true),
            Ok(answer) => answer,
            Err(error @ (IndexError::TooNew { .. } | IndexError::NoSpace { .. })) => return Err(error.into()),
            Err(IndexError::Sqlite { source, .. }) => source.to_string(),
            Err(error) => error.to_string(),
        };
        report.findings.push(Finding::Index { reason });
        if !repair {
            return Ok(false);
        }
        self.set_index_aside()?;
        self.index_images()?;
        Ok(true)
    }

    /// Layers and volumes that have no row: their process died in between, or the index is new.
    pub(super) fn index_what_is_whole(&self) -> Result<(), CheckError> {
        for hex in self.layer_names().map_err(io_error(part::LAYERS))? {
            if let Some(info) = self.layer_info(&hex).map_err(io_error(&hex))? {
                self.index_layer(&info)?;
            }
        }
        let volumes = self.part(part::VOLUMES).map_err(io_error(part::VOLUMES))?;
        let mut names = tree::names(volumes).map_err(|error| io_error(part::VOLUMES)(error.into()))?;
        names.retain(|name| is_id(name));
        self.write(|index| {
            for name in &names {
                index.execute(
                    "INSERT INTO volumes (name, created_seconds, labels, anonymous)
                     VALUES (?1, unixepoch(), '{}', 0) ON CONFLICT DO NOTHING",
                    [name],
                )?;
            }
            Ok(())
        })?;
        Ok(())
    }

    pub(super) fn check_volumes(&self, repair: bool, report: &mut Report) -> Result<(), CheckError> {
        let names: Vec<String> = self.read(|index| {
            index
                .prepare("SELECT name FROM volumes ORDER BY name")?
                .query_map((), |row| row.get(0))?
                .collect()
        })?;
        for name in names {
            if self.root.join(part::VOLUMES).join(&name).join("_data").is_dir() {
                continue;
            }
            if repair {
                self.write(|index| index.execute("DELETE FROM volumes WHERE name = ?1", [&name]))?;
            }
            report.findings.push(Finding::Volume { name });
        }
        Ok(())
    }

    /// Keeps the broken index under another name: it may be worth a look.
    fn set_index_aside(&self) -> Result<(), CheckError> {
        *self.index.lock().unwrap_or_else(PoisonError::into_inner) = None;
        for name in part::INDEX {
            let aside = format!("{name}.damaged");
            match rustix::fs::renameat(&self.dir, name, &self.dir, aside.as_str()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(io_error(name)(error.into())),
            }
        }
        Ok(())
    }

    /// Every manifest among the blobs whose parts are all there is an image, dangling until it is tagged.
    fn index_images(&self) -> Result<(), CheckError> {
        for hex in self.blob_names().map_err(io_error(part::BLOBS))? {
            let Some(manifest_digest) = digest::from_hex(&hex) else { continue };
            if let Some(image) = self.image_of(manifest_digest) {
                // An image whose layers are not all there is none; its blobs go with the next collection.
                let _ = self.images().insert(&image, &[], Origin::Archive);
            }
        }
        Ok(())
    }

    fn image_of(&self, manifest_digest: Digest) -> Option<ImageRecord> {
        let bytes = self.get_blob(&manifest_digest).ok().filter(|bytes| bytes.len() <= MAX_MANIFEST_BYTES)?;
        let manifest = ImageManifest::from_reader(bytes.as_slice()).ok()?;
        let id = manifest.config().digest().clone();
        let config_bytes = self.get_blob(&id).ok()?;
        let layers = diff_ids(&config_bytes)?;
        let config = ImageConfiguration::from_reader(config_bytes.as_slice()).ok()?;
        let size =
            |layer: &Digest| self.layer_info(layer.digest()).ok().flatten().map(|info| info.size_bytes);
        Some(ImageRecord {
            id,
            manifest_digest,
            index_digest: None,
            size_bytes: layers.iter().filter_map(size).sum(),
            created: config.created().clone(),
            architecture: config.architecture().to_string(),
            os: config.os().to_string(),
            layers,
        })
    }
}
