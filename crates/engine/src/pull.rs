//! Pulling an image from a registry.

use crate::acquire::{AcquireError, acquire};
use crate::engine::{Engine, OpenError};
use crate::failure::Failure;
use crate::progress::PullProgress;
use crate::settings::{PullPolicy, RegistryAccess};
use gaufre_image::{
    Credentials, NewRegistryError, Platform, RegistriesConf, RegistriesConfError, Registry, RegistryOptions,
    RequestError, ResolveError, Timeouts,
};
use gaufre_store::{ImageError, Origin};
use std::time::Duration;

/// What to pull, and how.
#[derive(Debug, Clone, Default)]
pub struct PullRequest {
    /// The image's name as the user gave it.
    pub reference: String,
    /// For which platform; this machine's when `None`.
    pub platform: Option<Platform>,
    /// Credentials, certificates.
    pub registry: RegistryAccess,
    /// Whether an image of that name in the store will do.
    pub policy: PullPolicy,
}

/// An image in the store.
#[derive(Debug, Clone)]
pub struct PulledImage {
    /// Its ID: 64 hexadecimal digits.
    pub id: String,
    /// The full name that it has now; none for a nameless image of an archive.
    pub name: Option<String>,
    /// What the archive that it comes from calls it, which need be no name.
    pub label: Option<String>,
}

/// An image cannot be pulled.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The image's name or the registries' configuration is of no use.
    #[error("cannot tell which image {name:?} is")]
    Name {
        /// What was asked for.
        name: String,
        /// Why.
        source: Box<RegistriesConfError>,
    },
    /// No client for registries.
    #[error("cannot start the registry client")]
    Client(#[from] NewRegistryError),
    /// No registry gives it.
    #[error("cannot pull {name}")]
    Resolve {
        /// What was asked for.
        name: String,
        /// Why.
        source: Box<ResolveError>,
    },
    /// A registry does not give it.
    #[error("cannot pull {name}")]
    Request {
        /// Its full name.
        name: String,
        /// Why.
        source: Box<RequestError>,
    },
    /// Its content does not come in.
    #[error("cannot pull {name}")]
    Acquire {
        /// What was asked for.
        name: String,
        /// Why.
        source: Box<AcquireError>,
    },
    /// The index of images cannot be read.
    #[error("cannot look for {name} among the images here")]
    Index {
        /// What was asked for.
        name: String,
        /// Why.
        source: Box<ImageError>,
    },
    /// It is not here and may not be fetched.
    #[error("the image {0} is not here, and --pull never forbids fetching it")]
    NotHere(String),
}

impl Failure for PullError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Open(error) => error.hint(),
            Self::Resolve { source, .. } => source.hint().map(ToOwned::to_owned),
            Self::Request { source, .. } => source.hint().map(ToOwned::to_owned),
            Self::Acquire { source, .. } => source.hint(),
            Self::Index { source, .. } => match &**source {
                ImageError::Index(error) => Some(error.hint().to_owned()),
                _ => None,
            },
            Self::NotHere(name) => Some(format!("Fetch it first: gaufre pull {name}")),
            _ => None,
        }
    }
}

impl Engine {
    /// Brings an image into the store unless the policy is content with one that is there.
    ///
    /// # Errors
    /// See [`PullError`]; the store is as before.
    pub fn pull(&self, request: &PullRequest, progress: &dyn PullProgress) -> Result<PulledImage, PullError> {
        let name = &request.reference;
        let conf = self
            .registries()
            .map_err(|source| PullError::Name { name: name.clone(), source: Box::new(source) })?;
        let here = self.image_here(name, request.platform.as_ref(), conf)?;
        match (request.policy, here) {
            (PullPolicy::Missing | PullPolicy::Never, Some(image)) => Ok(image),
            (PullPolicy::Never, None) => Err(PullError::NotHere(name.clone())),
            (PullPolicy::Newer, Some(image)) => {
                self.fetch(request, conf.clone(), progress).or_else(|error| {
                    // As podman: whatever keeps a newer one away, this one will do.
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the image {name} that is here will do"
                    );
                    Ok(image)
                })
            }
            _ => self.fetch(request, conf.clone(), progress),
        }
    }

    fn fetch(
        &self,
        request: &PullRequest,
        conf: RegistriesConf,
        progress: &dyn PullProgress,
    ) -> Result<PulledImage, PullError> {
        let name = &request.reference;
        let candidates = conf
            .candidates(name)
            .map_err(|source| PullError::Name { name: name.clone(), source: Box::new(source) })?
            .into_iter()
            .map(gaufre_image::Reference::with_default_tag)
            .collect::<Vec<_>>();
        let registry = Registry::new(options(&request.registry, conf))?;
        let platform = request.platform.clone().unwrap_or_else(Platform::host);
        progress.started(&candidates.first().map_or_else(|| name.clone(), ToString::to_string));
        let image = registry.resolve_first(&candidates, &platform).map_err(|error| match error {
            // The name is said once.
            ResolveError::Request { reference, source } => PullError::Request { name: reference, source },
            source => PullError::Resolve { name: name.clone(), source: Box::new(source) },
        })?;
        // A name with a digest is kept by its digest, not as a tag that could move.
        let tag = image.reference.as_ref().map(ToString::to_string);
        let names: Vec<String> = tag.iter().cloned().collect();
        let acquired = acquire(self.store()?, &registry, &image, &names, Origin::Registry, progress);
        self.collect_postponed();
        let id =
            acquired.map_err(|source| PullError::Acquire { name: name.clone(), source: Box::new(source) })?;
        Ok(PulledImage { id: id.digest().to_owned(), name: tag, label: None })
    }

    /// The image that `name` stands for, if the store has it and it is of the wanted platform.
    fn image_here(
        &self,
        name: &str,
        platform: Option<&Platform>,
        conf: &RegistriesConf,
    ) -> Result<Option<PulledImage>, PullError> {
        let store = self.store()?;
        let fail = |source| PullError::Index { name: name.to_owned(), source: Box::new(source) };
        let Some(found) = crate::images::lookup(store, name, conf).map_err(fail)? else { return Ok(None) };
        let image = found.image;
        let fits = platform.is_none_or(|wanted| {
            wanted.architecture == image.image.architecture && wanted.os == image.image.os
        });
        Ok(fits.then(|| PulledImage {
            id: image.image.id.digest().to_owned(),
            // Asked by ID, it is called what it is called first, as podman does.
            name: found.name.or_else(|| image.names.first().cloned()),
            label: None,
        }))
    }
}

fn options(access: &RegistryAccess, registries: RegistriesConf) -> RegistryOptions {
    RegistryOptions {
        tls_verify: access.tls_verify,
        cert_dir: access.cert_dir.clone(),
        auth_file: access.auth_file.clone(),
        creds: access
            .creds
            .clone()
            .map(|(username, password)| Credentials::parse(&format!("{username}:{password}"))),
        registries,
        timeouts: access.timeout_s.map_or_else(Timeouts::default, timeouts),
        ..RegistryOptions::default()
    }
}

/// A registry may be silent for so long (seconds); a connection is never waited for longer than usual.
fn timeouts(seconds: u32) -> Timeouts {
    let silence = Duration::from_secs(seconds.into());
    Timeouts { connect: Timeouts::default().connect.min(silence), response: silence, idle: silence }
}
