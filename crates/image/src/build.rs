//! Making a small image of one layer in memory, for the demo and for tests.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use oci_spec::image::{
    Config, Descriptor, Digest, ImageConfigurationBuilder, ImageManifestBuilder, MediaType, RootFsBuilder,
};

use crate::decompress::Compression;
use crate::digest::digest_of;
use crate::platform::Platform;

mod layer;

/// Collects files and a config, and makes an OCI image of them. The same input gives the same digests.
///
/// ```
/// use gaufre_image::{Platform, build::ImageBuilder};
/// let image = ImageBuilder::new(Platform::host()).file("/etc/motd", 0o644, "hello\n").build()?;
/// assert!(image.manifest.digest.as_ref().starts_with("sha256:"));
/// # Ok::<(), gaufre_image::build::BuildError>(())
/// ```
#[derive(Debug)]
pub struct ImageBuilder {
    platform: Platform,
    config: Config,
    compression: Compression,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    path: String,
    mode: u32,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Bytes(Bytes),
    HostFile(PathBuf),
    Directory,
    Symlink(String),
}

/// Bytes under the digest that names them.
#[derive(Clone, Debug)]
pub struct Blob {
    /// The digest of `bytes`.
    pub digest: Digest,
    /// What they are.
    pub media_type: MediaType,
    /// The blob itself.
    pub bytes: Bytes,
}

/// An image ready to be served or stored.
#[derive(Clone, Debug)]
pub struct BuiltImage {
    /// The manifest.
    pub manifest: Blob,
    /// The config; its digest is the image's ID.
    pub config: Blob,
    /// The only layer, compressed as asked.
    pub layer: Blob,
    /// The digest of the layer's tar.
    pub diff_id: Digest,
}

/// Why an image cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A file of the host cannot be read.
    #[error("cannot read {path} for the image")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A path or link cannot be put into a tar.
    #[error("cannot put {path:?} into the image's layer")]
    Entry {
        /// The path within the image.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The layer cannot be compressed.
    #[error("cannot compress the image's layer")]
    Compress(#[source] std::io::Error),
    /// The config or manifest cannot be written.
    #[error("cannot write the image's {what}")]
    Document {
        /// `config` or `manifest`.
        what: &'static str,
        /// Why.
        source: oci_spec::OciSpecError,
    },
}

impl ImageBuilder {
    /// An image without files for `platform`, its layer compressed with gzip.
    pub fn new(platform: Platform) -> Self {
        Self { platform, config: Config::default(), compression: Compression::Gzip, entries: Vec::new() }
    }

    /// Adds a file of root with permission bits `mode`. Parent directories that are not added are made with 0755.
    #[must_use]
    pub fn file(self, path: &str, mode: u32, bytes: impl Into<Bytes>) -> Self {
        self.entry(path, mode, Content::Bytes(bytes.into()))
    }

    /// Adds a file whose content is read from the host when the image is built.
    #[must_use]
    pub fn host_file(self, path: &str, mode: u32, source: &Path) -> Self {
        self.entry(path, mode, Content::HostFile(source.to_owned()))
    }

    /// Adds a directory of root with permission bits `mode`.
    #[must_use]
    pub fn directory(self, path: &str, mode: u32) -> Self {
        self.entry(path, mode, Content::Directory)
    }

    /// Adds a symbolic link to `target`.
    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(path, 0o777, Content::Symlink(target.to_owned()))
    }

    /// Sets what the image runs and how.
    #[must_use]
    pub fn config(self, config: Config) -> Self {
        Self { config, ..self }
    }

    /// Sets how the layer is compressed.
    #[must_use]
    pub fn compression(self, compression: Compression) -> Self {
        Self { compression, ..self }
    }

    /// Makes layer, config and manifest.
    ///
    /// # Errors
    /// [`BuildError`] names the file that cannot be read or the path that does not fit.
    pub fn build(&self) -> Result<BuiltImage, BuildError> {
        let tar = layer::tar(&self.entries)?;
        let diff_id = digest_of(&tar);
        let layer = Blob::new(self.layer_type(), layer::compress(tar, self.compression)?);
        let config = Blob::new(MediaType::ImageConfig, self.config_bytes(&diff_id)?);
        let manifest = Blob::new(MediaType::ImageManifest, manifest_bytes(&config, &layer)?);
        Ok(BuiltImage { manifest, config, layer, diff_id })
    }

    fn entry(mut self, path: &str, mode: u32, content: Content) -> Self {
        self.entries.push(Entry { path: path.trim_matches('/').to_owned(), mode, content });
        self
    }

    fn layer_type(&self) -> MediaType {
        match self.compression {
            Compression::Plain => MediaType::ImageLayer,
            Compression::Gzip => MediaType::ImageLayerGzip,
            Compression::Zstd => MediaType::ImageLayerZstd,
        }
    }

    fn config_bytes(&self, diff_id: &Digest) -> Result<Vec<u8>, BuildError> {
        let failed = |source| BuildError::Document { what: "config", source };
        let rootfs = RootFsBuilder::default().typ("layers").diff_ids([diff_id.to_string()]);
        let mut builder = ImageConfigurationBuilder::default()
            .os(self.platform.os.as_str())
            .architecture(self.platform.architecture.as_str())
            .config(self.config.clone())
            .rootfs(rootfs.build().map_err(failed)?);
        if let Some(variant) = &self.platform.variant {
            builder = builder.variant(variant.clone());
        }
        let text = builder.build().and_then(|config| config.to_string()).map_err(failed)?;
        Ok(text.into_bytes())
    }
}

impl Blob {
    fn new(media_type: MediaType, bytes: Vec<u8>) -> Self {
        Self { digest: digest_of(&bytes), media_type, bytes: bytes.into() }
    }

    /// How a manifest refers to the blob.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type.clone(), self.bytes.len() as u64, self.digest.clone())
    }
}

fn manifest_bytes(config: &Blob, layer: &Blob) -> Result<Vec<u8>, BuildError> {
    let manifest = ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageManifest)
        .config(config.descriptor())
        .layers([layer.descriptor()])
        .build();
    let text = manifest.and_then(|manifest| manifest.to_string());
    Ok(text.map_err(|source| BuildError::Document { what: "manifest", source })?.into_bytes())
}
