//! Container images as they come from registries and archives: names, manifests, configs and layers, each verified
//! before it is used. Knows nothing of how they are kept on disk.
//!
//! ```
//! use gaufre_image::{Platform, Reference, RegistriesConf};
//!
//! // Short names are Docker Hub's unless registries.conf says otherwise.
//! let conf = RegistriesConf::default();
//! assert_eq!(conf.candidates("redis:7")?, [Reference::parse("docker.io/library/redis:7")?]);
//! println!("this machine runs {}", Platform::host());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`Registry`] resolves a [`Reference`] to an [`Image`] and opens its layers; an [`archive::Archive`] does the same
//! for what `podman save`, `docker save` and OCI layouts hold. Both are a [`LayerSource`].

#![forbid(unsafe_code)]

pub mod archive;
mod bounded;
pub mod build;
mod decompress;
mod digest;
mod document;
mod image;
mod platform;
mod reference;
mod registries;
mod registry;
pub mod serve;

pub use decompress::{Compression, DecompressError, decompress, decompress_ahead};
pub use digest::{DigestError, digest_of, parse_digest, require_sha256};
pub use document::{DocumentError, MAX_CONFIG_BYTES, MAX_MANIFEST_BYTES};
pub use image::{Image, Layer, LayerError, LayerSource, Progress};
pub use platform::{Platform, PlatformError};
pub use reference::{DOCKER_HUB, Reference, ReferenceError};
pub use registries::{RegistriesConf, RegistriesConfError};
pub use registry::{
    AuthFileError, Credentials, CredentialsError, NewRegistryError, Registry, RegistryOptions, RequestError,
    ResolveError, RetryPolicy, Timeouts, TlsError,
};
