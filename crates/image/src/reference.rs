//! Image references with Docker's normalisation.
//!
//! Grammar and rules: `reference` package of distribution (`docs/reference.go`), which Docker, podman and
//! containerd share. `redis` is `docker.io/library/redis:latest`; the first component is a registry only if it
//! holds a dot, a colon or an upper case letter, or is `localhost`.

use std::fmt;
use std::str::FromStr;

use oci_spec::image::Digest;

use crate::digest::{DigestError, parse_digest};

mod grammar;

/// The registry a short name means when nothing else is configured.
pub const DOCKER_HUB: &str = "docker.io";

/// The prefix of images in registries (containers-transports(5)).
const DOCKER_TRANSPORT: &str = "docker://";

/// Those of images in files and directories.
const FILE_TRANSPORTS: [&str; 4] = ["oci:", "oci-archive:", "docker-archive:", "dir:"];

/// The longest repository name, registry included, that registries accept (bytes).
const MAX_NAME_BYTES: usize = 255;

/// A fully qualified name of an image: registry, repository and a tag, a digest, or both.
///
/// ```
/// use gaufre_image::Reference;
/// let redis = Reference::parse("redis:7")?;
/// assert_eq!(redis.to_string(), "docker.io/library/redis:7");
/// assert_eq!(Reference::parse("localhost:5000/a/b")?.registry(), "localhost:5000");
/// # Ok::<(), gaufre_image::ReferenceError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<ReferenceDigest>,
}

/// A digest with an order, so that references can be sorted and used as keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ReferenceDigest(Digest);

impl PartialOrd for ReferenceDigest {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ReferenceDigest {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.as_ref().cmp(other.0.as_ref())
    }
}

/// Why a text is no reference.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// Nothing, or only a tag or digest, was given.
    #[error("an image name is empty")]
    Empty,
    /// The repository has upper case letters.
    #[error("image name {0:?} is not valid: a repository name must be lower case")]
    UpperCase(String),
    /// The registry part is no host name with an optional port.
    #[error("image name {name:?} is not valid: {registry:?} is no registry host")]
    Registry {
        /// What was given.
        name: String,
        /// The part that is wrong.
        registry: String,
    },
    /// The repository part breaks the grammar.
    #[error("image name {name:?} is not valid: {component:?} is no part of a repository name")]
    Component {
        /// What was given.
        name: String,
        /// The part that is wrong.
        component: String,
    },
    /// The tag breaks the grammar.
    #[error(
        "image name {name:?} is not valid: {tag:?} is no tag (up to 128 letters, digits, '_', '.' and '-')"
    )]
    Tag {
        /// What was given.
        name: String,
        /// The part that is wrong.
        tag: String,
    },
    /// The digest is malformed or not SHA-256.
    #[error("image name {name:?} is not valid")]
    Digest {
        /// What was given.
        name: String,
        /// Why the digest is refused.
        source: DigestError,
    },
    /// A bare image ID stands where a name is wanted.
    #[error("{0:?} is an image ID, not an image name")]
    LooksLikeId(String),
    /// skopeo's and podman's word for where an image is, a registry.
    #[error("{name:?} is no image name: leave {DOCKER_TRANSPORT:?} out")]
    RegistryTransport {
        /// What was given.
        name: String,
    },
    /// The same for a file or directory.
    #[error(
        "{name:?} is no image name: to bring an image out of a file or directory, use gaufre load --input {path}"
    )]
    FileTransport {
        /// What was given.
        name: String,
        /// The path in it.
        path: String,
    },
    /// The name is longer than registries accept.
    #[error("image name {name:?}... is longer than {MAX_NAME_BYTES} bytes")]
    TooLong {
        /// The first bytes of the name.
        name: String,
    },
}

impl Reference {
    /// Reads a reference as a user types it; a short name means Docker Hub. No tag is added: see
    /// [`Reference::with_default_tag`]. Short names that registries.conf maps elsewhere go through
    /// [`crate::RegistriesConf::candidates`] instead.
    ///
    /// # Errors
    /// [`ReferenceError`] names the part that breaks the grammar.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let parts = Parts::split(text)?;
        match parts.registry {
            Some(registry) => parts.qualify(registry),
            None => parts.qualify(DOCKER_HUB),
        }
    }

    /// Whether the text names no registry, so that registries.conf decides where it is.
    ///
    /// # Errors
    /// [`ReferenceError`] if the text is no reference at all.
    pub fn is_short(text: &str) -> Result<bool, ReferenceError> {
        Ok(Parts::split(text)?.registry.is_none())
    }

    /// Reads a short name as an image of `registry`; a text that names a registry keeps its own.
    ///
    /// # Errors
    /// As [`Reference::parse`].
    pub fn parse_with_registry(text: &str, registry: &str) -> Result<Self, ReferenceError> {
        let parts = Parts::split(text)?;
        let registry = parts.registry.unwrap_or(registry);
        parts.qualify(registry)
    }

    /// Host and optional port, in canonical form (`docker.io`, never `index.docker.io`).
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository within the registry, such as `library/redis`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Registry and repository without tag or digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The tag, if one was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The manifest digest, if one was given. It decides over the tag.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref().map(|digest| &digest.0)
    }

    /// Adds `:latest` where neither tag nor digest is given.
    #[must_use]
    pub fn with_default_tag(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some("latest".to_owned());
        }
        self
    }

    /// The same repository at another tag.
    ///
    /// # Errors
    /// [`ReferenceError::Tag`] if `tag` breaks the grammar.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if !grammar::is_tag(tag) {
            return Err(ReferenceError::Tag { name: self.name(), tag: tag.to_owned() });
        }
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same repository at a manifest digest, without a tag.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(ReferenceDigest(digest)), ..self.clone() }
    }

    /// The same tag and digest elsewhere: `name` is registry and repository, as registries.conf's `location`
    /// gives after rewriting.
    ///
    /// # Errors
    /// As [`Reference::parse`].
    pub(crate) fn moved_to(&self, name: &str) -> Result<Self, ReferenceError> {
        let moved = Self::parse(name)?;
        Ok(Self { tag: self.tag.clone(), digest: self.digest.clone(), ..moved })
    }

    /// What stands after `/manifests/` in a registry's path: the digest if there is one, else the tag.
    pub(crate) fn manifest_key(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.0.as_ref(),
            (None, Some(tag)) => tag,
            (None, None) => "latest",
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{}", digest.0)?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// A reference cut at its separators, grammar checked, registry not yet decided.
#[derive(Debug)]
struct Parts<'a> {
    text: &'a str,
    registry: Option<&'a str>,
    path: &'a str,
    tag: Option<&'a str>,
    digest: Option<Digest>,
}

impl<'a> Parts<'a> {
    fn split(text: &'a str) -> Result<Self, ReferenceError> {
        if text.len() > 2 * MAX_NAME_BYTES + 128 {
            let name = text.chars().take(40).collect();
            return Err(ReferenceError::TooLong { name });
        }
        if text.starts_with(DOCKER_TRANSPORT) {
            return Err(ReferenceError::RegistryTransport { name: text.to_owned() });
        }
        // No tag begins so: `oci:1` is an image.
        let path = FILE_TRANSPORTS.iter().find_map(|transport| text.strip_prefix(transport));
        if let Some(path) = path.filter(|path| path.starts_with(['/', '.'])) {
            return Err(ReferenceError::FileTransport { name: text.to_owned(), path: path.to_owned() });
        }
        let (rest, digest) = match text.split_once('@') {
            None => (text, None),
            Some((rest, digest)) => {
                let digest = parse_digest(digest)
                    .map_err(|source| ReferenceError::Digest { name: text.to_owned(), source })?;
                (rest, Some(digest))
            }
        };
        // A colon before the last slash belongs to a port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if name.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if let Some(tag) = tag.filter(|tag| !grammar::is_tag(tag)) {
            return Err(ReferenceError::Tag { name: text.to_owned(), tag: tag.to_owned() });
        }
        if tag.is_none() && digest.is_none() && grammar::is_hex_id(name) {
            return Err(ReferenceError::LooksLikeId(text.to_owned()));
        }
        let (registry, path) = match name.split_once('/') {
            Some((first, path)) if grammar::means_registry(first) => (Some(first), path),
            _ => (None, name),
        };
        Ok(Self { text, registry, path, tag, digest })
    }

    fn qualify(self, registry: &str) -> Result<Reference, ReferenceError> {
        let name = || self.text.to_owned();
        if !grammar::is_registry(registry) {
            return Err(ReferenceError::Registry { name: name(), registry: registry.to_owned() });
        }
        for component in self.path.split('/') {
            if component.chars().any(|c| c.is_ascii_uppercase()) {
                return Err(ReferenceError::UpperCase(name()));
            }
            if !grammar::is_path_component(component) {
                return Err(ReferenceError::Component { name: name(), component: component.to_owned() });
            }
        }
        let registry = if registry == "index.docker.io" { DOCKER_HUB } else { registry };
        let official = registry == DOCKER_HUB && !self.path.contains('/');
        let repository = if official { format!("library/{}", self.path) } else { self.path.to_owned() };
        if registry.len() + 1 + repository.len() > MAX_NAME_BYTES {
            return Err(ReferenceError::TooLong { name: self.text.chars().take(40).collect() });
        }
        Ok(Reference {
            registry: registry.to_owned(),
            repository,
            tag: self.tag.map(str::to_owned),
            digest: self.digest.map(ReferenceDigest),
        })
    }
}

#[cfg(test)]
mod tests;
