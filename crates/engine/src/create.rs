//! Creating a sandbox: an image and what was asked for become a definition.

mod mounts;
pub(crate) mod process;

use crate::collect::ImagesLock;
use crate::engine::{Engine, OpenError};
use crate::failure::Failure;
use crate::images::ImagesError;
use crate::progress::PullProgress;
use crate::pull::{PullError, PullRequest};
use crate::sandbox::{Definition, ImageRef, NameError, RegisterError, SandboxId, SandboxName, generate_name};
use crate::settings::{CreateRequest, NetworkMode, Settings};
use gaufre_net::{PortMapping, Protocol};
use gaufre_store::ImageError;
use jiff::Timestamp;
use oci_spec::image::ImageConfiguration;
use std::io;
use std::str::FromStr;

/// A sandbox cannot be created. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The image is not to be had.
    #[error(transparent)]
    Pull(#[from] PullError),
    /// The image's config cannot be read.
    #[error(transparent)]
    Image(#[from] ImagesError),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Those who remove images cannot be kept waiting.
    #[error("cannot lock the images of the store")]
    Lock(#[source] io::Error),
    /// The image is for another machine.
    #[error("image {image} is for {found}, and this machine runs {host}")]
    Platform {
        /// Which.
        image: String,
        /// What it is for.
        found: String,
        /// What runs here.
        host: String,
    },
    /// Nothing to run.
    #[error("image {0} says no command, and none was given")]
    NoCommand(String),
    /// A working directory that is none.
    #[error("the working directory {0:?} is not an absolute path")]
    WorkingDirectory(String),
    /// The image's stop signal is unknown.
    #[error("the image's stop signal {0:?} is none that is known")]
    StopSignal(String),
    /// Ports without a bridge.
    #[error("ports can only be published with --network bridge, not with {0}")]
    PortsWithoutBridge(NetworkMode),
    /// Two mounts in one place.
    #[error("two mounts were asked for at {0:?}")]
    MountedTwice(std::path::PathBuf),
    /// A wish that is not granted.
    #[error("the option U of the volume at {0:?}, which changes the owner of its content, is not supported")]
    ChangeOwner(std::path::PathBuf),
    /// An image that declares a volume where none can be.
    #[error("the image declares a volume at {0:?}, where none can be mounted")]
    DeclaredVolume(String),
    /// An image that declares too many volumes.
    #[error("the image declares {0} volumes, more than any image needs")]
    TooManyVolumes(usize),
    /// A host name that is none.
    #[error("{0:?} cannot be a host name: use letters, digits, '-', '_' and '.', at most 64")]
    Hostname(String),
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// No random bytes.
    #[error("the kernel gives no random numbers")]
    Random(#[source] io::Error),
    /// It cannot be written down.
    #[error(transparent)]
    Register(#[from] RegisterError),
}

impl Failure for CreateError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Pull(error) => error.hint(),
            Self::Open(error) => error.hint(),
            Self::Image(error) => error.hint(),
            Self::NoCommand(_) => Some("Give one after the image's name.".to_owned()),
            Self::Platform { .. } => Some("Pull the image for this machine's platform.".to_owned()),
            Self::Register(RegisterError::NameInUse { name, .. }) => {
                Some(format!("Choose another --name, or remove that container: gaufre rm {name}"))
            }
            _ => None,
        }
    }
}

/// So many made-up names are tried before the search is given up.
const NAME_TRIES: usize = 200;

impl Engine {
    /// Makes a sandbox that can be started. Its image is pulled if the request's policy says so.
    ///
    /// # Errors
    /// See [`CreateError`].
    pub fn create(
        &self,
        request: &CreateRequest,
        progress: &dyn PullProgress,
    ) -> Result<SandboxId, CreateError> {
        // Whatever is wrong with the request is said before anything is fetched.
        let name = request.name.clone().map(SandboxName::try_from).transpose()?;
        check_ports(&request.settings)?;
        check_hostname(&request.settings)?;
        let wanted = PullRequest {
            reference: request.image.clone(),
            platform: request.platform.clone(),
            registry: request.registry.clone(),
            policy: request.pull,
        };
        let mut pulled = self.pull(&wanted, progress)?;
        // From here on the image stays, until the sandbox itself says that it is needed.
        let mut keep = ImagesLock::keep(&self.dirs).map_err(CreateError::Lock)?;
        let mut found = self.find_image(&pulled.id);
        if matches!(found, Err(ImagesError::Image(ImageError::NotFound { .. }))) {
            // Removed between the two.
            drop(keep);
            pulled = self.pull(&wanted, progress)?;
            keep = ImagesLock::keep(&self.dirs).map_err(CreateError::Lock)?;
            found = self.find_image(&pulled.id);
        }
        let _keep = keep;
        let image = found?.image;
        let host = gaufre_image::Platform::host();
        if image.architecture != host.architecture {
            return Err(CreateError::Platform {
                image: request.image.clone(),
                found: format!("{}/{}", image.os, image.architecture),
                host: host.to_string(),
            });
        }
        let config = self.config(&image.id)?;
        let image = ImageRef { id: image.id, name: pulled.name.unwrap_or(pulled.id), layers: image.layers };
        self.register(request, name.as_ref(), image, &config)
    }

    fn register(
        &self,
        request: &CreateRequest,
        name: Option<&SandboxName>,
        image: ImageRef,
        config: &ImageConfiguration,
    ) -> Result<SandboxId, CreateError> {
        let mut definition = Definition {
            id: self.next_id().map_err(CreateError::Random)?,
            name: name.cloned().map_or_else(made_up_name, Ok)?,
            created_at: Timestamp::now(),
            process: process::process(request, &image, config)?,
            mounts: mounts::mounts(request, config)?,
            settings: settings(request, config),
            image,
        };
        for _ in 0..NAME_TRIES {
            match self.catalog().register(definition.clone()) {
                Ok(sandbox) => return Ok(sandbox.id().clone()),
                Err(RegisterError::NameInUse { .. }) if name.is_none() => definition.name = made_up_name()?,
                Err(error) => return Err(error.into()),
            }
        }
        // Nearly all made-up names are taken: the ID is a name that nobody has.
        definition.name = SandboxName::try_from(definition.id.to_string())?;
        Ok(self.catalog().register(definition)?.id().clone())
    }
}

fn made_up_name() -> Result<SandboxName, CreateError> {
    let mut random = [0; 2];
    rustix::rand::getrandom(&mut random[..], rustix::rand::GetRandomFlags::empty())
        .map_err(|errno| CreateError::Random(errno.into()))?;
    Ok(generate_name(random))
}

/// A line break in it would be a line of our making in the sandbox's /etc/hosts.
fn check_hostname(settings: &Settings) -> Result<(), CreateError> {
    match &settings.hostname {
        Some(name)
            if name.is_empty()
                || name.len() > 64
                || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) =>
        {
            Err(CreateError::Hostname(name.clone()))
        }
        _ => Ok(()),
    }
}

fn check_ports(settings: &Settings) -> Result<(), CreateError> {
    let wants_ports = !settings.ports.is_empty() || settings.publish_all;
    if wants_ports && settings.network != NetworkMode::Bridge {
        return Err(CreateError::PortsWithoutBridge(settings.network.clone()));
    }
    Ok(())
}

/// The settings as asked for, with what the image adds: labels, and ports when all are to be published.
fn settings(request: &CreateRequest, config: &ImageConfiguration) -> Settings {
    let mut settings = request.settings.clone();
    let labels = config.config().as_ref().and_then(|config| config.labels().clone()).unwrap_or_default();
    for (key, value) in labels {
        settings.labels.entry(key).or_insert(value);
    }
    if settings.publish_all {
        for port in process::exposed_ports(config) {
            let exposed = exposed_port(&port);
            let published =
                |mapping: &PortMapping| Some((mapping.container_port, mapping.protocol)) == exposed;
            if let Some((container_port, protocol)) = exposed
                && !settings.ports.iter().any(published)
            {
                settings.ports.push(PortMapping { host_ip: None, host_port: 0, container_port, protocol });
            }
        }
    }
    settings
}

/// `80/tcp`, or `80` alone, as the image's config has it (OCI image specification, `ExposedPorts`).
fn exposed_port(text: &str) -> Option<(u16, Protocol)> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        _ => return None,
    };
    Some((u16::from_str(port).ok()?, protocol))
}

/// A random name, for a volume that is nobody else's.
fn random_hex() -> Result<String, CreateError> {
    SandboxId::random().map(String::from).map_err(CreateError::Random)
}
