//! docker-archive: a manifest.json that names configs and layer tars.

use std::io::{self, Read};

use oci_spec::image::{Descriptor, ImageManifest, ImageManifestBuilder, MediaType};

use super::{Archive, ArchiveError, ArchiveImage};
use crate::decompress::Compression;
use crate::digest::{Hasher, digest_of};
use crate::document::{DocumentError, MAX_CONFIG_BYTES, MAX_MANIFEST_BYTES};
use crate::image::Image;
use crate::platform::Platform;
use crate::reference::Reference;

/// An entry of manifest.json.
#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

impl Archive {
    pub(super) fn add_docker_images(&mut self, wanted: &Platform) -> Result<(), ArchiveError> {
        let bytes = self.files.bytes(&self.from, "manifest.json", MAX_MANIFEST_BYTES)?;
        let entries: Vec<Entry> = serde_json::from_slice(&bytes).map_err(|source| {
            let (archive, name) = (self.from.clone(), "manifest.json".to_owned());
            ArchiveError::Json { archive, name, source }
        })?;
        for entry in entries {
            self.add_docker_image(&entry)?;
        }
        if self.files.contains("index.json") {
            self.prefer_real_manifests(wanted);
        }
        Ok(())
    }

    fn add_docker_image(&mut self, entry: &Entry) -> Result<(), ArchiveError> {
        let config_bytes = self.files.bytes(&self.from, &entry.config, MAX_CONFIG_BYTES)?;
        self.check_config_name(&entry.config, &config_bytes)?;
        let unusable = |source| ArchiveError::Document { archive: self.from.clone(), source };
        let diff_ids = diff_ids(&config_bytes).map_err(unusable)?;
        let paths = entry.layers.as_deref().unwrap_or_default();
        if paths.len() != diff_ids.len() {
            let (layers, diff_ids) = (paths.len(), diff_ids.len());
            return Err(unusable(DocumentError::LayerCount { layers, diff_ids }));
        }
        let mut layers = Vec::new();
        for (path, diff_id) in paths.iter().zip(&diff_ids) {
            layers.push(self.layer_descriptor(path, diff_id)?);
        }
        let manifest = manifest(&config_bytes, &layers).map_err(unusable)?;
        let manifest_bytes = serde_json::to_vec(&manifest)
            .map_err(|source| unusable(DocumentError::Json { what: "manifest", source }))?;
        let mut image = Image::assemble(manifest_bytes, manifest, config_bytes).map_err(unusable)?;
        let mut names = Vec::new();
        for name in entry.repo_tags.iter().flatten() {
            let name = Reference::parse(name)
                .map_err(|source| ArchiveError::Name { archive: self.from.clone(), source })?;
            names.push(name.with_default_tag());
        }
        image.reference = names.first().cloned();
        self.layers.extend(layers.iter().map(|layer| layer.digest().clone()).zip(paths.iter().cloned()));
        self.images.push(ArchiveImage { image, names, label: None });
        Ok(())
    }

    /// Configs are named by their digest; a name that lies is refused.
    fn check_config_name(&self, name: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
        let last = name.rsplit('/').next().unwrap_or(name);
        let stem = last.strip_suffix(".json").unwrap_or(last);
        let found = digest_of(bytes);
        let is_digest = stem.len() == 64 && stem.bytes().all(|b| b.is_ascii_hexdigit());
        if is_digest && found.digest() != stem {
            return Err(ArchiveError::WrongDigest {
                archive: self.from.clone(),
                name: name.to_owned(),
                expected: format!("sha256:{stem}"),
                found: found.to_string(),
            });
        }
        Ok(())
    }

    /// A plain tar's digest is its diff ID; that of a compressed one has to be found out.
    fn layer_descriptor(
        &self,
        path: &str,
        diff_id: &oci_spec::image::Digest,
    ) -> Result<Descriptor, ArchiveError> {
        let read = |source| ArchiveError::Read { archive: self.from.clone(), source };
        let section = self.files.section(&self.from, path)?;
        let size_bytes = section.len_bytes();
        let mut start = Vec::new();
        section.clone().take(6).read_to_end(&mut start).map_err(read)?;
        let compression = Compression::sniff(&start)
            .map_err(|source| ArchiveError::Decompress { archive: self.from.clone(), source })?;
        Ok(match compression {
            Compression::Plain => Descriptor::new(MediaType::ImageLayer, size_bytes, diff_id.clone()),
            Compression::Gzip => {
                Descriptor::new(MediaType::ImageLayerGzip, size_bytes, hash(section).map_err(read)?)
            }
            Compression::Zstd => {
                Descriptor::new(MediaType::ImageLayerZstd, size_bytes, hash(section).map_err(read)?)
            }
        })
    }

    /// Where the archive is an OCI layout too, its manifests keep their real digests. Whatever is wrong with that half
    /// does not matter: the other half is complete.
    fn prefer_real_manifests(&mut self, wanted: &Platform) {
        let Ok(twins) = self.oci_images(wanted) else { return };
        for image in &mut self.images {
            let twin = twins.images.iter().find(|twin| twin.image.id() == image.image.id());
            if let Some(twin) = twin {
                let reference = image.image.reference.take();
                image.image = Image { reference, ..twin.image.clone() };
            }
        }
        self.layers.extend(twins.layers);
    }
}

fn diff_ids(config_bytes: &[u8]) -> Result<Vec<oci_spec::image::Digest>, DocumentError> {
    let config: oci_spec::image::ImageConfiguration = serde_json::from_slice(config_bytes)
        .map_err(|source| DocumentError::Json { what: "config", source })?;
    config.rootfs().diff_ids().iter().map(|id| crate::parse_digest(id).map_err(Into::into)).collect()
}

/// The manifest that the archive's format leaves out.
fn manifest(config_bytes: &[u8], layers: &[Descriptor]) -> Result<ImageManifest, DocumentError> {
    let config = Descriptor::new(MediaType::ImageConfig, config_bytes.len() as u64, digest_of(config_bytes));
    ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageManifest)
        .config(config)
        .layers(layers)
        .build()
        .map_err(|_| DocumentError::Unknown)
}

fn hash(mut source: impl Read) -> io::Result<oci_spec::image::Digest> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 128 << 10];
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            len => hasher.update(&buffer[..len]),
        }
    }
}
