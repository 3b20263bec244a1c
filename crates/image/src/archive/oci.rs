//! OCI layout: an index.json that names manifests, and blobs by digest (OCI image specification, image layout).

use std::collections::HashMap;

use oci_spec::image::{Descriptor, Digest, ImageIndex};

use super::files::blob_path;
use super::{Archive, ArchiveError, ArchiveImage};
use crate::document::{Document, DocumentError, MAX_CONFIG_BYTES, MAX_MANIFEST_BYTES, choose};
use crate::image::Image;
use crate::platform::Platform;
use crate::reference::Reference;

/// The annotation of the specification; a tag alone, or a whole name.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// containerd's and Docker's annotation: always a whole name.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// What an OCI layout holds.
pub(super) struct OciImages {
    pub(super) images: Vec<ArchiveImage>,
    pub(super) layers: HashMap<Digest, String>,
}

impl Archive {
    pub(super) fn add_oci_images(&mut self, wanted: &Platform) -> Result<(), ArchiveError> {
        let found = self.oci_images(wanted)?;
        self.images = found.images;
        self.layers = found.layers;
        Ok(())
    }

    pub(super) fn oci_images(&self, wanted: &Platform) -> Result<OciImages, ArchiveError> {
        let bytes = self.files.bytes(&self.from, "index.json", MAX_MANIFEST_BYTES)?;
        let index: ImageIndex = serde_json::from_slice(&bytes).map_err(|source| {
            let (archive, name) = (self.from.clone(), "index.json".to_owned());
            ArchiveError::Json { archive, name, source }
        })?;
        let mut found = OciImages { images: Vec::new(), layers: HashMap::new() };
        let mut artifact = None;
        for descriptor in self.chosen(&index, wanted)? {
            match self.oci_image(descriptor, wanted) {
                Ok(image) => self.add(&mut found, image, descriptor)?,
                // Signatures and the like may lie beside the image.
                Err(ArchiveError::Document { source: error @ DocumentError::Artifact(_), .. }) => {
                    artifact = Some(ArchiveError::Document { archive: self.from.clone(), source: error });
                }
                Err(error) => return Err(error),
            }
        }
        match artifact {
            Some(error) if found.images.is_empty() => Err(error),
            _ => Ok(found),
        }
    }

    /// One descriptor for each name; where one name has several platforms, the one that serves best.
    fn chosen<'a>(
        &self,
        index: &'a ImageIndex,
        wanted: &Platform,
    ) -> Result<Vec<&'a Descriptor>, ArchiveError> {
        let mut chosen: Vec<&Descriptor> = Vec::new();
        let mut offered = Vec::new();
        for descriptor in index.manifests() {
            let Some(platform) = descriptor.platform().as_ref().map(Platform::of_descriptor) else {
                chosen.push(descriptor);
                continue;
            };
            let rivals = || index.manifests().iter().filter(|other| name_of(other) == name_of(descriptor));
            let best = rivals().filter_map(|rival| distance(rival, wanted)).min();
            match distance(descriptor, wanted) {
                Some(distance) if best == Some(distance) => chosen.push(descriptor),
                // A single manifest may be loaded for another machine; among several one has to fit.
                None if rivals().count() == 1 && platform.os != "unknown" => chosen.push(descriptor),
                _ if platform.os == "unknown" => {}
                _ => offered.push(platform),
            }
        }
        if chosen.is_empty() && !offered.is_empty() {
            return Err(self.not_offered(wanted, &offered));
        }
        Ok(chosen)
    }

    fn oci_image(&self, descriptor: &Descriptor, wanted: &Platform) -> Result<Image, ArchiveError> {
        let (bytes, document) = self.document(descriptor)?;
        match document {
            Document::Manifest(manifest) => self.assemble(bytes, *manifest),
            Document::Index(index) => {
                let chosen = choose(&index, wanted).map_err(|offered| self.not_offered(wanted, &offered))?;
                let (bytes, document) = self.document(chosen)?;
                let Document::Manifest(manifest) = document else {
                    return Err(self.unusable(DocumentError::Unknown));
                };
                let image = self.assemble(bytes, *manifest)?;
                Ok(Image { index_digest: Some(descriptor.digest().clone()), ..image })
            }
        }
    }

    fn document(&self, descriptor: &Descriptor) -> Result<(Vec<u8>, Document), ArchiveError> {
        crate::require_sha256(descriptor.digest()).map_err(|source| self.unusable(source.into()))?;
        let bytes = self.files.blob(&self.from, descriptor, MAX_MANIFEST_BYTES)?;
        let media_type = descriptor.media_type().to_string();
        let document = Document::parse(&bytes, Some(&media_type)).map_err(|source| self.unusable(source))?;
        Ok((bytes, document))
    }

    fn assemble(
        &self,
        manifest_bytes: Vec<u8>,
        manifest: oci_spec::image::ImageManifest,
    ) -> Result<Image, ArchiveError> {
        let config = self.files.blob(&self.from, manifest.config(), MAX_CONFIG_BYTES)?;
        Image::assemble(manifest_bytes, manifest, config).map_err(|source| self.unusable(source))
    }

    /// Adds an image after a look at its layers, so that a missing one is found before anything is unpacked.
    fn add(
        &self,
        found: &mut OciImages,
        mut image: Image,
        descriptor: &Descriptor,
    ) -> Result<(), ArchiveError> {
        for layer in image.manifest.layers() {
            let name = blob_path(layer.digest());
            let (found_bytes, size_bytes) =
                (self.files.section(&self.from, &name)?.len_bytes(), layer.size());
            if found_bytes != size_bytes {
                let archive = self.from.clone();
                return Err(ArchiveError::WrongSize { archive, name, found_bytes, size_bytes });
            }
            found.layers.insert(layer.digest().clone(), name);
        }
        let name = name_of(descriptor).map(|name| self.parse_name(name)).transpose()?.flatten();
        // The same image under a second name.
        let known =
            found.images.iter_mut().find(|known| known.image.manifest_digest == image.manifest_digest);
        if let Some(known) = known {
            known.names.extend(name);
            return Ok(());
        }
        image.reference.clone_from(&name);
        found.images.push(ArchiveImage {
            image,
            names: name.into_iter().collect(),
            label: name_of(descriptor).map(str::to_owned),
        });
        Ok(())
    }

    /// As podman reads the annotation: a tag alone names nothing, and a short name is local.
    fn parse_name(&self, name: &str) -> Result<Option<Reference>, ArchiveError> {
        if !name.contains(['/', ':']) {
            return Ok(None);
        }
        Reference::parse_with_registry(name, "localhost")
            .map(|name| Some(name.with_default_tag()))
            .map_err(|source| ArchiveError::Name { archive: self.from.clone(), source })
    }

    fn unusable(&self, source: DocumentError) -> ArchiveError {
        ArchiveError::Document { archive: self.from.clone(), source }
    }

    fn not_offered(&self, wanted: &Platform, offered: &[Platform]) -> ArchiveError {
        let offered = offered.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        ArchiveError::Platform { archive: self.from.clone(), wanted: wanted.clone(), offered }
    }
}

fn distance(descriptor: &Descriptor, wanted: &Platform) -> Option<u8> {
    wanted.distance(&Platform::of_descriptor(descriptor.platform().as_ref()?))
}

fn name_of(descriptor: &Descriptor) -> Option<&str> {
    let annotations = descriptor.annotations().as_ref()?;
    annotations.get(IMAGE_NAME).or_else(|| annotations.get(REF_NAME)).map(String::as_str)
}
