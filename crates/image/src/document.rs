//! Manifests and indexes: read strictly, in OCI's and Docker's media types.

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};

use crate::digest::{DigestError, require_sha256};
use crate::platform::Platform;

/// Media types that a client accepts for a manifest, best first.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// A manifest or index larger than this is refused (bytes), as distribution does.
pub const MAX_MANIFEST_BYTES: u64 = 4 << 20;

/// An image config larger than this is refused (bytes).
pub const MAX_CONFIG_BYTES: u64 = 8 << 20;

/// Why a manifest or index cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Not JSON, or not the JSON its media type says.
    #[error("the {what} is not valid JSON of its kind")]
    Json {
        /// `manifest`, `index` or `config`.
        what: &'static str,
        /// What the parser found.
        source: serde_json::Error,
    },
    /// Docker's manifest schema 1, which registries gave up in 2019.
    #[error(
        "the image uses Docker's manifest schema 1, which is not supported: push it again with a current tool"
    )]
    Schema1,
    /// A media type that is no image manifest.
    #[error("media type {0:?} is no image manifest or index")]
    MediaType(String),
    /// A document that could be read as both, which readers would disagree on (CVE-2021-41190).
    #[error("the manifest has both layers and manifests, so that it is ambiguous")]
    Ambiguous,
    /// Neither manifest nor index by its fields.
    #[error("the document is neither an image manifest nor an index")]
    Unknown,
    /// An artifact (a chart, a signature) that is no image.
    #[error("the config is {0:?}: this is an artifact, not a container image")]
    Artifact(String),
    /// A layer of a kind that cannot be unpacked.
    #[error("layer {digest} has media type {media_type:?}, which is not supported")]
    LayerType {
        /// The layer's digest.
        digest: String,
        /// Its media type.
        media_type: String,
    },
    /// A digest other than SHA-256.
    #[error("the manifest names a blob that cannot be verified")]
    Digest(#[from] DigestError),
    /// The manifest's layers and the config's diff IDs do not pair up.
    #[error("the manifest has {layers} layers but the config has {diff_ids} diff IDs")]
    LayerCount {
        /// Layers in the manifest.
        layers: usize,
        /// Diff IDs in the config.
        diff_ids: usize,
    },
    /// The announced size is above the limit.
    #[error("the {what} of {size_bytes} bytes is above the limit of {limit_bytes}")]
    TooLarge {
        /// `manifest`, `index` or `config`.
        what: &'static str,
        /// Announced size in bytes.
        size_bytes: u64,
        /// The limit in bytes.
        limit_bytes: u64,
    },
}

/// What stands under a tag or digest.
#[derive(Debug)]
pub(crate) enum Document {
    Index(Box<ImageIndex>),
    Manifest(Box<ImageManifest>),
}

/// The few fields that tell what a document is.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    schema_version: Option<u32>,
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
    config: Option<serde::de::IgnoredAny>,
    #[serde(rename = "fsLayers")]
    fs_layers: Option<serde::de::IgnoredAny>,
}

impl Document {
    /// Reads `bytes`; `announced` is the media type that a descriptor or a Content-Type header gave.
    pub(crate) fn parse(bytes: &[u8], announced: Option<&str>) -> Result<Self, DocumentError> {
        let json = |what| move |source| DocumentError::Json { what, source };
        let shape: Shape = serde_json::from_slice(bytes).map_err(json("manifest"))?;
        if shape.schema_version == Some(1) || shape.fs_layers.is_some() {
            return Err(DocumentError::Schema1);
        }
        let has_layers = shape.layers.is_some() || shape.config.is_some();
        if has_layers && shape.manifests.is_some() {
            return Err(DocumentError::Ambiguous);
        }
        let announced = announced.map(|media_type| media_type.split(';').next().unwrap_or_default().trim());
        // The document's own word first: servers often send text/plain or application/json.
        let kind = match shape.media_type.as_deref().and_then(Kind::of) {
            Some(kind) => Some(kind),
            None if shape.media_type.is_some() => {
                return Err(DocumentError::MediaType(shape.media_type.unwrap_or_default()));
            }
            None => announced.and_then(Kind::of),
        };
        let kind = kind.or(match (has_layers, shape.manifests.is_some()) {
            (true, _) => Some(Kind::Manifest),
            (_, true) => Some(Kind::Index),
            _ => None,
        });
        match kind {
            Some(Kind::Schema1) => Err(DocumentError::Schema1),
            Some(Kind::Index) => {
                Ok(Self::Index(Box::new(serde_json::from_slice(bytes).map_err(json("index"))?)))
            }
            Some(Kind::Manifest) => {
                let manifest: ImageManifest = serde_json::from_slice(bytes).map_err(json("manifest"))?;
                check_manifest(&manifest)?;
                Ok(Self::Manifest(Box::new(manifest)))
            }
            None => Err(DocumentError::Unknown),
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Index,
    Manifest,
    Schema1,
}

impl Kind {
    fn of(media_type: &str) -> Option<Self> {
        match media_type {
            "application/vnd.oci.image.index.v1+json"
            | "application/vnd.docker.distribution.manifest.list.v2+json" => Some(Self::Index),
            "application/vnd.oci.image.manifest.v1+json"
            | "application/vnd.docker.distribution.manifest.v2+json" => Some(Self::Manifest),
            "application/vnd.docker.distribution.manifest.v1+json"
            | "application/vnd.docker.distribution.manifest.v1+prettyjws" => Some(Self::Schema1),
            _ => None,
        }
    }
}

fn check_manifest(manifest: &ImageManifest) -> Result<(), DocumentError> {
    let config_type = manifest.config().media_type().to_string();
    if !matches!(
        config_type.as_str(),
        "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json"
    ) {
        return Err(DocumentError::Artifact(config_type));
    }
    require_sha256(manifest.config().digest())?;
    let size_bytes = manifest.config().size();
    if size_bytes > MAX_CONFIG_BYTES {
        let limit_bytes = MAX_CONFIG_BYTES;
        return Err(DocumentError::TooLarge { what: "config", size_bytes, limit_bytes });
    }
    for layer in manifest.layers() {
        require_sha256(layer.digest())?;
        let media_type = layer.media_type().to_string();
        if !is_layer_type(&media_type) {
            return Err(DocumentError::LayerType { digest: layer.digest().to_string(), media_type });
        }
    }
    Ok(())
}

/// Layers of the OCI image specification 1.1 and Docker's schema 2. How they are compressed is sniffed later.
fn is_layer_type(media_type: &str) -> bool {
    let base = media_type.split('+').next().unwrap_or_default();
    let compression = media_type.strip_prefix(base).unwrap_or_default();
    match base {
        "application/vnd.oci.image.layer.v1.tar"
        | "application/vnd.oci.image.layer.nondistributable.v1.tar" => {
            matches!(compression, "" | "+gzip" | "+zstd")
        }
        "application/vnd.docker.image.rootfs.diff.tar"
        | "application/vnd.docker.image.rootfs.diff.tar.gzip"
        | "application/vnd.docker.image.rootfs.diff.tar.zstd"
        | "application/vnd.docker.image.rootfs.foreign.diff.tar"
        | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => compression.is_empty(),
        _ => false,
    }
}

/// The manifest of `index` that serves `wanted` best, or the platforms it offers.
pub(crate) fn choose<'a>(index: &'a ImageIndex, wanted: &Platform) -> Result<&'a Descriptor, Vec<Platform>> {
    let offers = || {
        index.manifests().iter().filter_map(|descriptor| {
            let platform = descriptor.platform().as_ref().map(Platform::of_descriptor);
            // Build attestations stand in indexes as "unknown/unknown".
            platform
                .as_ref()
                .is_none_or(|platform| platform.os != "unknown")
                .then_some((descriptor, platform))
        })
    };
    let best = offers()
        .filter_map(|(descriptor, platform)| Some((wanted.distance(&platform?)?, descriptor)))
        .min_by_key(|(distance, _)| *distance);
    if let Some((_, descriptor)) = best {
        return Ok(descriptor);
    }
    // An index of a single manifest may leave its platform to the config.
    let mut all = offers();
    if let (Some((descriptor, None)), None) = (all.next(), all.next()) {
        return Ok(descriptor);
    }
    Err(offers().filter_map(|(_, platform)| platform).collect())
}

#[cfg(test)]
mod tests;
