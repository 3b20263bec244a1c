//! Everything that `create` and `run` are told.

use super::{Platform, PullPolicy, RegistryAccess, Settings, TmpfsArg, VolumeArg};

/// Everything that `create` and `run` are told: which image, which command, and what the sandbox is to be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CreateRequest {
    /// Image by name, digest, or ID (also its beginning).
    pub image: String,
    /// Arguments after the image; they replace the image's command.
    pub command: Vec<String>,
    /// Replaces the image's entry point; an empty list clears it.
    pub entrypoint: Option<Vec<String>>,
    /// Variables as `KEY=VALUE`, later ones win.
    pub env: Vec<String>,
    /// Working directory inside.
    pub workdir: Option<String>,
    /// `user[:group]`, by name or number.
    pub user: Option<String>,
    /// Name of the sandbox; one is made up where absent.
    pub name: Option<String>,
    /// Bind mounts and volumes.
    pub volumes: Vec<VolumeArg>,
    /// Temporary filesystems.
    pub tmpfs: Vec<TmpfsArg>,
    /// What the sandbox is to be.
    pub settings: Settings,
    /// When the registry is asked.
    pub pull: PullPolicy,
    /// Platform to choose from an image index; the host's where absent.
    pub platform: Option<Platform>,
    /// How the registry is reached.
    pub registry: RegistryAccess,
}
