//! From a reference to a verified manifest and config.

use oci_spec::image::{Descriptor, Digest, ImageManifest};

use super::client::{Ask, Client};
use super::request_error::RequestError;
use crate::digest::digest_of;
use crate::document::{ACCEPT, Document, DocumentError, MAX_CONFIG_BYTES, MAX_MANIFEST_BYTES, choose};
use crate::image::Image;
use crate::platform::Platform;
use crate::reference::Reference;
use crate::registries::{Location, RegistriesConfError};

/// Why an image cannot be found or trusted.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// registries.conf blocks the registry, or rewrites it to something that is no reference.
    #[error("registries.conf does not allow {reference}")]
    Registries {
        /// The image.
        reference: String,
        /// Why.
        source: RegistriesConfError,
    },
    /// The registry did not deliver.
    #[error("cannot get image {reference}")]
    Request {
        /// The image.
        reference: String,
        /// Why.
        source: Box<RequestError>,
    },
    /// The registry delivered something that is no usable image.
    #[error("image {reference} from {registry} cannot be used")]
    Document {
        /// The image.
        reference: String,
        /// Host and port.
        registry: String,
        /// Why.
        source: DocumentError,
    },
    /// The bytes are not those that the digest names.
    #[error(
        "registry {registry} sent the wrong {what} for {reference}: {expected} was asked for, {found} came"
    )]
    WrongDigest {
        /// The image.
        reference: String,
        /// Host and port.
        registry: String,
        /// `manifest` or `config`.
        what: &'static str,
        /// What was asked for.
        expected: String,
        /// The digest of what came.
        found: String,
    },
    /// The bytes are fewer or more than the descriptor says.
    #[error(
        "registry {registry} sent a {what} {digest} of {found_bytes} bytes for {reference} where {size_bytes} were expected"
    )]
    WrongSize {
        /// The image.
        reference: String,
        /// Host and port.
        registry: String,
        /// `manifest` or `config`.
        what: &'static str,
        /// Which blob.
        digest: String,
        /// What came.
        found_bytes: u64,
        /// What the descriptor says.
        size_bytes: u64,
    },
    /// No manifest of the index, or not the only one there is, is for the platform.
    #[error("image {reference} is not offered for {wanted}, only for {}", list(.offered))]
    Platform {
        /// The image.
        reference: String,
        /// What was asked for.
        wanted: Platform,
        /// What there is.
        offered: Vec<Platform>,
    },
    /// An index that leads to another index.
    #[error("the index of {reference} leads to another index")]
    NestedIndex {
        /// The image.
        reference: String,
    },
    /// A short name stands for nothing.
    #[error("the name stands for no image: registries.conf lists no registry to search")]
    NoCandidates,
}

impl ResolveError {
    /// What a user can do about it, in one line.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Request { source, .. } => source.hint(),
            Self::Platform { .. } => Some("ask for an offered one with --platform"),
            _ => None,
        }
    }

    /// Whether the registry only said that it has no such image (or shows it to nobody unknown).
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Request { source, .. } if source.is_not_found())
    }
}

fn list(platforms: &[Platform]) -> String {
    match platforms {
        [] => "platforms it does not name".to_owned(),
        some => some.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// Asks each location of `reference` in turn: mirrors first, as registries.conf orders them.
pub(super) async fn resolve(
    client: &Client,
    reference: &Reference,
    wanted: &Platform,
) -> Result<Image, ResolveError> {
    let reference = &reference.clone().with_default_tag();
    let locations = client
        .options
        .registries
        .locations(reference, client.options.tls_verify)
        .map_err(|source| ResolveError::Registries { reference: reference.to_string(), source })?;
    let mut failure = None;
    for (at, location) in locations.iter().enumerate() {
        match (At { client, reference, location }).image(wanted).await {
            Ok(image) => return Ok(Image { reference: Some(reference.clone()), location: at, ..image }),
            Err(error) => {
                tracing::debug!(%error, registry = location.authority.registry, "location failed");
                failure = Some(error);
            }
        }
    }
    // The last location is the registry itself: its word counts.
    Err(failure.unwrap_or(ResolveError::NoCandidates))
}

/// One location that is being asked.
struct At<'a> {
    client: &'a Client,
    reference: &'a Reference,
    location: &'a Location,
}

impl At<'_> {
    async fn image(&self, wanted: &Platform) -> Result<Image, ResolveError> {
        let key = self.location.reference.manifest_key();
        let (bytes, media_type) = self.manifest_bytes(key).await?;
        let asked = self.location.reference.digest();
        self.verify("manifest", asked, None, &bytes)?;
        match self.document(&bytes, media_type.as_deref())? {
            Document::Manifest(manifest) => self.assemble(bytes, *manifest, wanted, None).await,
            Document::Index(index) => {
                let chosen = choose(&index, wanted).map_err(|offered| self.not_offered(wanted, offered))?;
                let index_digest = digest_of(&bytes);
                let (bytes, media_type) = self.chosen_manifest(chosen).await?;
                match self.document(&bytes, media_type.as_deref())? {
                    Document::Manifest(manifest) => {
                        self.assemble(bytes, *manifest, wanted, Some(index_digest)).await
                    }
                    Document::Index(_) => {
                        Err(ResolveError::NestedIndex { reference: self.reference.to_string() })
                    }
                }
            }
        }
    }

    async fn chosen_manifest(&self, chosen: &Descriptor) -> Result<(Vec<u8>, Option<String>), ResolveError> {
        crate::digest::require_sha256(chosen.digest()).map_err(|source| self.unusable(source.into()))?;
        let (bytes, media_type) = self.manifest_bytes(chosen.digest().as_ref()).await?;
        self.verify("manifest", Some(chosen.digest()), Some(chosen.size()), &bytes)?;
        Ok((bytes, media_type))
    }

    async fn assemble(
        &self,
        manifest_bytes: Vec<u8>,
        manifest: ImageManifest,
        wanted: &Platform,
        index_digest: Option<Digest>,
    ) -> Result<Image, ResolveError> {
        let config_bytes = self.config_bytes(manifest.config()).await?;
        let image = Image::assemble(manifest_bytes, manifest, config_bytes)
            .map_err(|source| self.unusable(source))?;
        let offered = image.platform();
        if wanted.distance(&offered).is_none() {
            return Err(self.not_offered(wanted, vec![offered]));
        }
        Ok(Image { index_digest, ..image })
    }

    async fn manifest_bytes(&self, key: &str) -> Result<(Vec<u8>, Option<String>), ResolveError> {
        let repository = self.location.reference.repository();
        let ask = Ask {
            location: self.location,
            path: format!("manifests/{key}"),
            accept: Some(ACCEPT),
            from_byte: 0,
            what: format!("manifest {key} of {repository}"),
        };
        let (bytes, media_type) = self.fetch(&ask, MAX_MANIFEST_BYTES).await?;
        Ok((bytes, media_type))
    }

    async fn config_bytes(&self, config: &Descriptor) -> Result<Vec<u8>, ResolveError> {
        let digest = config.digest();
        let ask = Ask {
            location: self.location,
            path: format!("blobs/{digest}"),
            accept: None,
            from_byte: 0,
            what: format!("config {digest} of {}", self.location.reference.repository()),
        };
        let (bytes, _) = self.fetch(&ask, MAX_CONFIG_BYTES).await?;
        self.verify("config", Some(digest), Some(config.size()), &bytes)?;
        Ok(bytes)
    }

    async fn fetch(
        &self,
        ask: &Ask<'_>,
        limit_bytes: u64,
    ) -> Result<(Vec<u8>, Option<String>), ResolveError> {
        let fetched = self.client.get_bytes(ask, limit_bytes).await;
        let (bytes, media_type) = fetched.map_err(|source| ResolveError::Request {
            reference: self.reference.to_string(),
            source: Box::new(source),
        })?;
        Ok((bytes.into(), media_type))
    }

    fn verify(
        &self,
        what: &'static str,
        expected: Option<&Digest>,
        size_bytes: Option<u64>,
        bytes: &[u8],
    ) -> Result<(), ResolveError> {
        let Some(expected) = expected else { return Ok(()) };
        let (reference, registry) = (self.reference.to_string(), self.location.authority.registry.clone());
        let found_bytes = bytes.len() as u64;
        if let Some(size_bytes) = size_bytes.filter(|size| *size != found_bytes) {
            let digest = expected.to_string();
            return Err(ResolveError::WrongSize {
                reference,
                registry,
                what,
                digest,
                found_bytes,
                size_bytes,
            });
        }
        let found = digest_of(bytes);
        if found != *expected {
            let (expected, found) = (expected.to_string(), found.to_string());
            return Err(ResolveError::WrongDigest { reference, registry, what, expected, found });
        }
        Ok(())
    }

    fn document(&self, bytes: &[u8], media_type: Option<&str>) -> Result<Document, ResolveError> {
        Document::parse(bytes, media_type).map_err(|source| self.unusable(source))
    }

    fn unusable(&self, source: DocumentError) -> ResolveError {
        let (reference, registry) = (self.reference.to_string(), self.location.authority.registry.clone());
        ResolveError::Document { reference, registry, source }
    }

    fn not_offered(&self, wanted: &Platform, offered: Vec<Platform>) -> ResolveError {
        ResolveError::Platform { reference: self.reference.to_string(), wanted: wanted.clone(), offered }
    }
}
