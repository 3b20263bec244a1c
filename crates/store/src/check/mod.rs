//! The store checked against itself, and mended: what is broken is taken out, so that pulling again brings it back;
//! what is whole but not indexed is indexed.

mod reindex;
mod tree;

use std::fmt;
use std::io;

use oci_spec::image::Digest;

use crate::digest;
use crate::gc::{GcError, diff_ids};
use crate::images::{ImageError, NamedImage};
use crate::index::IndexError;
use crate::lock::Lease;
use crate::store::{Store, part};

/// Differences that are told of one layer.
const MAX_DIFFERENCES: usize = 8;

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// What is broken, or was.
    pub findings: Vec<Finding>,
    /// Whether it was mended.
    pub repaired: bool,
    /// How many layers were read and compared.
    pub layers: u64,
    /// How many blobs were read and hashed.
    pub blobs: u64,
    /// How many images were looked at.
    pub images: u64,
}

impl Report {
    /// Whether the store needs nothing.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty() || self.repaired
    }
}

/// One thing that is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The index cannot be read. Repair makes it anew from layers and blobs; names are lost.
    Index {
        /// What SQLite says.
        reason: String,
    },
    /// A blob's bytes are not those of its digest. Repair removes it.
    Blob {
        /// The blob.
        digest: Digest,
    },
    /// A layer's files are not those that were unpacked. Repair removes it.
    Layer {
        /// The layer.
        diff_id: Digest,
        /// Some of the differences, a sentence each.
        differences: Vec<String>,
    },
    /// An image lacks something. Repair removes it.
    Image {
        /// The image.
        id: Digest,
        /// Its names, to be pulled again.
        names: Vec<String>,
        /// Layers and blobs that are missing or broken.
        missing: Vec<Digest>,
    },
    /// A volume's directory is gone. Repair forgets the volume.
    Volume {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index { reason } => write!(f, "the index cannot be used: {reason}"),
            Self::Blob { digest } => write!(f, "the blob {digest} is damaged"),
            Self::Layer { diff_id, differences } => {
                write!(f, "the layer {diff_id} is damaged: {}", differences.join("; "))
            }
            Self::Image { id, names, missing } => {
                let missing: Vec<&str> = missing.iter().map(AsRef::as_ref).collect();
                let names = if names.is_empty() { "<none>".into() } else { names.join(", ") };
                write!(f, "the image {names} ({id}) is broken: it needs {}", missing.join(", "))
            }
            Self::Volume { name } => write!(f, "the volume {name:?} has lost its directory"),
        }
    }
}

/// A check that could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Repair needs the store for itself.
    #[error("the store cannot be repaired while a pull or a load is under way")]
    Busy,
    /// A part of the store cannot be read or written.
    #[error("cannot check {name:?} of the store")]
    Io {
        /// The part.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// What is broken cannot be removed.
    #[error(transparent)]
    Gc(#[from] GcError),
    /// Images cannot be listed or removed.
    #[error(transparent)]
    Images(#[from] ImageError),
    /// The index cannot be written.
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl Store {
    /// Reads everything in the store and compares it with what was recorded when it was made; with `repair`, takes
    /// out what is broken. What a killed process left half done is no finding: [`Store::gc`] clears it.
    ///
    /// # Errors
    /// [`CheckError`].
    pub fn check(&self, repair: bool) -> Result<Report, CheckError> {
        let locks = self.part(part::LOCKS).map_err(io_error(part::LOCKS))?;
        let _lease = if repair {
            Lease::try_exclusive(locks).map_err(io_error("lease"))?.ok_or(CheckError::Busy)?
        } else {
            Lease::shared(locks).map_err(io_error("lease"))?
        };
        let mut report = Report { repaired: repair, ..Report::default() };
        self.check_blobs(repair, &mut report)?;
        self.check_layers(repair, &mut report)?;
        if !self.check_index(repair, &mut report)? {
            return Ok(report);
        }
        if repair {
            self.index_what_is_whole()?;
        }
        self.check_images(repair, &mut report)?;
        self.check_volumes(repair, &mut report)?;
        Ok(report)
    }

    fn check_blobs(&self, repair: bool, report: &mut Report) -> Result<(), CheckError> {
        for hex in self.blob_names().map_err(io_error(part::BLOBS))? {
            let Some(digest) = digest::from_hex(&hex) else { continue };
            report.blobs += 1;
            if self.get_blob(&digest).is_err() {
                report.findings.push(Finding::Blob { digest });
                if repair {
                    self.remove_blob(&hex).map_err(io_error(&hex))?;
                }
            }
        }
        Ok(())
    }

    fn check_layers(&self, repair: bool, report: &mut Report) -> Result<(), CheckError> {
        for hex in self.layer_names().map_err(io_error(part::LAYERS))? {
            let Some(diff_id) = digest::from_hex(&hex) else { continue };
            report.layers += 1;
            let differences = self.layer_differences(&hex);
            if differences.is_empty() {
                continue;
            }
            report.findings.push(Finding::Layer { diff_id, differences });
            if repair {
                self.discard_broken_layer(&hex)?;
            }
        }
        Ok(())
    }

    fn layer_differences(&self, hex: &str) -> Vec<String> {
        let differences = self.layer_info(hex).and_then(|info| match info {
            Some(_) => match self.layer_dir(hex, ".")? {
                Some(dir) => tree::differences(&dir, MAX_DIFFERENCES),
                None => Ok(Vec::new()),
            },
            None => Ok(Vec::new()),
        });
        differences.unwrap_or_else(|error| vec![format!("it cannot be read ({error})")])
    }

    /// The row goes with the index if that is broken too.
    fn discard_broken_layer(&self, hex: &str) -> Result<(), CheckError> {
        match self.discard_layer(hex) {
            Ok(()) | Err(GcError::Index(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn check_images(&self, repair: bool, report: &mut Report) -> Result<(), CheckError> {
        let broken = |digest: &Digest, report: &Report| {
            report.findings.iter().any(|finding| match finding {
                Finding::Blob { digest: found } | Finding::Layer { diff_id: found, .. } => found == digest,
                _ => false,
            })
        };
        for NamedImage { image, names, .. } in self.images().list()? {
            report.images += 1;
            let blobs = [&image.id, &image.manifest_digest];
            let mut missing: Vec<Digest> = Vec::new();
            for blob in blobs {
                if broken(blob, report) || self.get_blob(blob).is_err() {
                    missing.push(blob.clone());
                }
            }
            for layer in &image.layers {
                let there = self.has_layer(layer).map_err(io_error(layer.as_ref()))?;
                if !there || broken(layer, report) {
                    missing.push(layer.clone());
                }
            }
            let config = self.get_blob(&image.id).ok();
            let agrees = config.and_then(|config| diff_ids(&config)).is_none_or(|ids| ids == image.layers);
            if !agrees {
                missing.push(image.id.clone());
            }
            if missing.is_empty() {
                continue;
            }
            if repair {
                self.images().remove(&image.id)?;
            }
            report.findings.push(Finding::Image { id: image.id, names, missing });
        }
        Ok(())
    }
}

fn io_error(name: &str) -> impl Fn(io::Error) -> CheckError {
    let name = name.to_owned();
    move |source| CheckError::Io { name: name.clone(), source }
}
