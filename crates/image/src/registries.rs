//! registries.conf, version 2 (containers-registries.conf(5)): what short names mean, and where images really are.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::reference::{DOCKER_HUB, Reference, ReferenceError};
use crate::registry::Authority;

mod file;
mod load;
mod rewrite;

use file::RegistryEntry;

/// What registries.conf and its drop-in files say. The default says nothing: short names mean Docker Hub, and every
/// registry is asked directly over TLS.
#[derive(Clone, Debug, Default)]
pub struct RegistriesConf {
    search: Vec<String>,
    aliases: BTreeMap<String, String>,
    registries: Vec<RegistryEntry>,
}

/// Why registries.conf cannot be used, or forbids an image.
#[derive(Debug, thiserror::Error)]
pub enum RegistriesConfError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not TOML of its kind.
    #[error("{path} is not a valid registries.conf")]
    Toml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// The format of before 2019.
    #[error(
        "{path} is written in version 1 of registries.conf, which is not supported: use [[registry]] tables"
    )]
    Version1 {
        /// The file.
        path: PathBuf,
    },
    /// A `[[registry]]` with neither prefix nor location, or a prefix with a wildcard in the wrong place.
    #[error("{path} has a [[registry]] with an unusable prefix {prefix:?}")]
    Prefix {
        /// The file.
        path: PathBuf,
        /// The prefix.
        prefix: String,
    },
    /// A name in the configuration is no reference.
    #[error("registries.conf leads from {name:?} to something that is no image name")]
    Reference {
        /// What was looked up.
        name: String,
        /// Why.
        source: ReferenceError,
    },
    /// `blocked = true`.
    #[error("registries.conf blocks {prefix}")]
    Blocked {
        /// The prefix of the entry.
        prefix: String,
    },
    /// What the user typed is no reference.
    #[error(transparent)]
    Name(#[from] ReferenceError),
}

/// One place where an image may be.
#[derive(Clone, Debug)]
pub(crate) struct Location {
    /// What to ask there.
    pub(crate) reference: Reference,
    pub(crate) authority: Authority,
    pub(crate) is_mirror: bool,
}

impl RegistriesConf {
    /// The references that a name as typed may stand for, best first: the name itself if it names a registry, its
    /// alias if it has one, else one for each of `unqualified-search-registries`, else Docker Hub.
    ///
    /// # Errors
    /// [`RegistriesConfError::Name`] if the text is no reference, [`RegistriesConfError::Reference`] if the configuration
    /// makes it none.
    pub fn candidates(&self, name: &str) -> Result<Vec<Reference>, RegistriesConfError> {
        let plain = Reference::parse(name)?;
        if !Reference::is_short(name)? {
            return Ok(vec![plain]);
        }
        let wrong = |source| RegistriesConfError::Reference { name: name.to_owned(), source };
        let short = short_part(name);
        if let Some(alias) = self.aliases.get(short).filter(|alias| !alias.is_empty()) {
            return Ok(vec![plain.moved_to(alias).map_err(wrong)?]);
        }
        if self.search.is_empty() {
            return Ok(vec![Reference::parse_with_registry(name, DOCKER_HUB)?]);
        }
        self.search
            .iter()
            .map(|registry| Reference::parse_with_registry(name, registry).map_err(wrong))
            .collect()
    }

    /// Where to ask for `reference`: its mirrors in order, then its own location. `tls_verify` is the command line's
    /// word, which decides over `insecure`.
    pub(crate) fn locations(
        &self,
        reference: &Reference,
        tls_verify: Option<bool>,
    ) -> Result<Vec<Location>, RegistriesConfError> {
        rewrite::locations(&self.registries, reference, tls_verify)
    }
}

/// A name without tag and digest.
fn short_part(name: &str) -> &str {
    let name = name.split('@').next().unwrap_or(name);
    name.split(':').next().unwrap_or(name)
}

#[cfg(test)]
mod tests;
