//! The registry client (OCI distribution specification 1.1; Docker's registry API v2).
//!
//! Blocking outside: a small tokio runtime inside drives one connection pool for each registry, shared by all
//! layers in transfer. Call it from ordinary threads, not from asynchronous code.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use oci_spec::image::Descriptor;
use tokio::runtime::Runtime;

use crate::image::{Image, LayerError, LayerSource, Progress};
use crate::platform::Platform;
use crate::reference::Reference;

mod auth_file;
mod causes;
mod challenge;
mod client;
mod credentials;
mod dns;
mod endpoint;
mod layer;
mod options;
mod pace;
mod redirect;
mod request_error;
mod resolve;
mod retry;
mod tls;
mod token;

pub use auth_file::AuthFileError;
pub use credentials::{Credentials, CredentialsError};
pub(crate) use endpoint::Authority;
pub use options::{RegistryOptions, Timeouts};
pub use request_error::RequestError;
pub use resolve::ResolveError;
pub use retry::RetryPolicy;
pub use tls::TlsError;

use client::Client;

/// A client for all registries of one command: options, credentials, tokens and connections.
pub struct Registry {
    client: Arc<Client>,
    // Shared with every open layer, whose transfer it runs.
    runtime: Arc<Runtime>,
}

/// The client could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the threads that talk to registries")]
pub struct NewRegistryError(#[from] std::io::Error);

impl Registry {
    /// Starts the client's threads; nothing is sent yet, and no certificate is read before the first HTTPS
    /// connection.
    ///
    /// # Errors
    /// [`NewRegistryError`] if the system gives no threads or descriptors.
    pub fn new(options: RegistryOptions) -> Result<Self, NewRegistryError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("registry")
            .enable_io()
            .enable_time()
            .build()?;
        Ok(Self { client: Arc::new(Client::new(options)), runtime: Arc::new(runtime) })
    }

    /// Asks for an image's manifest and config, following mirrors of registries.conf and an index to `platform`.
    /// Everything returned is verified; no layer is transferred yet.
    ///
    /// # Errors
    /// [`ResolveError`] names the registry and what was asked.
    pub fn resolve(&self, reference: &Reference, platform: &Platform) -> Result<Image, ResolveError> {
        self.runtime.block_on(resolve::resolve(&self.client, reference, platform))
    }

    /// Tries several candidates in turn, as [`crate::RegistriesConf::candidates`] gives for a short name.
    ///
    /// # Errors
    /// The last candidate's error, or the first that says more than that there is no such image.
    pub fn resolve_first(
        &self,
        candidates: &[Reference],
        platform: &Platform,
    ) -> Result<Image, ResolveError> {
        let mut failure = None;
        for candidate in candidates {
            match self.resolve(candidate, platform) {
                Ok(image) => return Ok(image),
                Err(error) => {
                    let says_more = failure.as_ref().is_none_or(ResolveError::is_not_found);
                    if says_more {
                        failure = Some(error);
                    }
                }
            }
        }
        Err(failure.unwrap_or(ResolveError::NoCandidates))
    }
}

impl LayerSource for Registry {
    fn open_layer(
        &self,
        image: &Image,
        layer: &Descriptor,
        progress: Arc<dyn Progress>,
    ) -> Result<Box<dyn Read + Send>, LayerError> {
        let reader = layer::open(&self.runtime, &self.client, image, layer, progress)?;
        Ok(Box::new(reader))
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

/// Lower case header names to values, as a `WWW-Authenticate` challenge gives them.
type Parameters = HashMap<String, String>;
