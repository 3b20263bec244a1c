//! An image as its source describes it: verified manifest and config, layers still to be read.

use std::fmt;
use std::io::Read;
use std::sync::Arc;

use oci_spec::image::{Descriptor, Digest, ImageConfiguration, ImageManifest};

use crate::digest::{digest_of, parse_digest};
use crate::document::DocumentError;
use crate::platform::Platform;
use crate::reference::Reference;

/// A verified manifest and config, from a registry or an archive.
#[derive(Clone, Debug)]
pub struct Image {
    /// The name it was asked for by; none for an archive's image without a name.
    pub reference: Option<Reference>,
    /// The digest of the index that led to the manifest, if there was one.
    pub index_digest: Option<Digest>,
    /// The digest of `manifest_bytes`.
    pub manifest_digest: Digest,
    /// The manifest, byte for byte.
    pub manifest_bytes: Vec<u8>,
    /// The manifest, parsed.
    pub manifest: ImageManifest,
    /// The config, byte for byte; its digest is the image's ID.
    pub config_bytes: Vec<u8>,
    /// The config, parsed.
    pub config: ImageConfiguration,
    pub(crate) diff_ids: Vec<Digest>,
    /// Which of a registry's locations answered, so that layers are asked for there first.
    pub(crate) location: usize,
}

/// One layer: what is transferred, and what it is once decompressed.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Digest, size and media type of the blob as transferred.
    pub descriptor: Descriptor,
    /// The digest of the decompressed tar.
    pub diff_id: Digest,
}

impl Image {
    /// Puts manifest and config together; both have been verified against their digests.
    pub(crate) fn assemble(
        manifest_bytes: Vec<u8>,
        manifest: ImageManifest,
        config_bytes: Vec<u8>,
    ) -> Result<Self, DocumentError> {
        let config: ImageConfiguration = serde_json::from_slice(&config_bytes)
            .map_err(|source| DocumentError::Json { what: "config", source })?;
        let diff_ids =
            config.rootfs().diff_ids().iter().map(|id| parse_digest(id)).collect::<Result<Vec<_>, _>>()?;
        if diff_ids.len() != manifest.layers().len() {
            let (layers, diff_ids) = (manifest.layers().len(), diff_ids.len());
            return Err(DocumentError::LayerCount { layers, diff_ids });
        }
        Ok(Self {
            reference: None,
            index_digest: None,
            manifest_digest: digest_of(&manifest_bytes),
            manifest_bytes,
            manifest,
            config_bytes,
            config,
            diff_ids,
            location: 0,
        })
    }

    /// The image's ID: the digest of its config.
    pub fn id(&self) -> &Digest {
        self.manifest.config().digest()
    }

    /// The layers, bottom first. Their number was checked against the config's diff IDs.
    pub fn layers(&self) -> impl Iterator<Item = Layer> + '_ {
        self.manifest
            .layers()
            .iter()
            .zip(&self.diff_ids)
            .map(|(descriptor, diff_id)| Layer { descriptor: descriptor.clone(), diff_id: diff_id.clone() })
    }

    /// What the image was built for, as its config says.
    pub fn platform(&self) -> Platform {
        Platform::of_config(&self.config)
    }
}

/// Hears of bytes as they arrive. Called from other threads than the reader's.
pub trait Progress: Send + Sync {
    /// `bytes` more of the blob have arrived.
    fn advance(&self, bytes: u64);

    /// The connection broke and the rest is asked for again; `reason` is one line.
    fn retrying(&self, reason: &str) {
        let _ = reason;
    }
}

/// A progress that nobody watches.
impl Progress for () {
    fn advance(&self, _bytes: u64) {}
}

/// Where layers come from: a [`crate::Registry`] or an [`crate::archive::Archive`].
pub trait LayerSource: Send + Sync {
    /// Opens a layer as it is transferred, compressed or not (see [`crate::decompress`]).
    ///
    /// The reader verifies size and digest as it goes: the read that would return the end of the stream returns
    /// an error instead if either is wrong, so whoever reads to the end has verified bytes.
    ///
    /// # Errors
    /// [`LayerError`], here or wrapped in the [`std::io::Error`] of a later read.
    fn open_layer(
        &self,
        image: &Image,
        layer: &Descriptor,
        progress: Arc<dyn Progress>,
    ) -> Result<Box<dyn Read + Send>, LayerError>;
}

/// Why a layer cannot be read to its verified end. `from` is a registry's host or an archive's path.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The source has no such blob, or the registry does not answer.
    #[error("cannot fetch layer {digest} from {from}")]
    Open {
        /// The blob's digest.
        digest: String,
        /// Registry or archive.
        from: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The source announces another size than the manifest.
    #[error("layer {digest} from {from} has {announced_bytes} bytes where the manifest says {size_bytes}")]
    WrongSize {
        /// The blob's digest.
        digest: String,
        /// Registry or archive.
        from: String,
        /// What the source announced.
        announced_bytes: u64,
        /// What the manifest says.
        size_bytes: u64,
    },
    /// The stream ended too early, again after retries.
    #[error("layer {digest} from {from} is truncated: {received_bytes} of {size_bytes} bytes came")]
    Truncated {
        /// The blob's digest.
        digest: String,
        /// Registry or archive.
        from: String,
        /// Bytes received.
        received_bytes: u64,
        /// What the manifest says.
        size_bytes: u64,
    },
    /// More bytes came than the manifest says.
    #[error("layer {digest} from {from} is oversized: more than the manifest's {size_bytes} bytes came")]
    Oversized {
        /// The blob's digest.
        digest: String,
        /// Registry or archive.
        from: String,
        /// What the manifest says.
        size_bytes: u64,
    },
    /// All bytes came, but not those the digest names.
    #[error("layer {digest} from {from} has the wrong content: its digest is {found}")]
    WrongDigest {
        /// The blob's digest as the manifest says.
        digest: String,
        /// Registry or archive.
        from: String,
        /// The digest of what came.
        found: String,
    },
    /// The connection broke and could not be resumed.
    #[error("the connection to {from} broke after {received_bytes} of {size_bytes} bytes of layer {digest}")]
    Interrupted {
        /// The blob's digest.
        digest: String,
        /// The registry.
        from: String,
        /// Bytes received.
        received_bytes: u64,
        /// What the manifest says.
        size_bytes: u64,
        /// How it broke.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The registry answered a request for the rest with another part.
    #[error("{from} answered with the wrong range of layer {digest}: {content_range:?}")]
    WrongRange {
        /// The blob's digest.
        digest: String,
        /// The registry.
        from: String,
        /// The Content-Range header.
        content_range: String,
    },
    /// A read after the stream failed.
    #[error("layer {digest} already failed to be read")]
    AlreadyFailed {
        /// The blob's digest.
        digest: String,
    },
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reference {
            Some(reference) => reference.fmt(f),
            None => self.id().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use oci_spec::image::ImageConfiguration;

    #[test]
    fn a_config_as_docker_writes_it_is_read() {
        let text = r#"{"architecture":"amd64","os":"linux","container":"x","docker_version":"20","history":[
            {"created":"2024-01-01T00:00:00Z","created_by":"/bin/sh","empty_layer":true}],"config":{"Hostname":"",
            "AttachStdin":false,"ExposedPorts":{"80/tcp":{}},"Env":["PATH=/bin"],"Cmd":null,"Volumes":null,
            "Entrypoint":["/a"],"OnBuild":null,"Labels":null,"Healthcheck":{"Test":["NONE"]},"StopSignal":"SIGINT"},
            "rootfs":{"type":"layers","diff_ids":[]}}"#;
        let config: ImageConfiguration = serde_json::from_str(text).unwrap();
        assert_eq!(config.config().as_ref().unwrap().entrypoint().as_ref().unwrap(), &["/a"]);
    }
}
