//! What a sandbox was created as; never changed afterwards.

use super::{SandboxId, SandboxName};
use crate::settings::Settings;
use jiff::Timestamp;
use oci_spec::image::Digest;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Everything that a keeper needs to start the sandbox, again and again, without looking at the image's records:
/// `<root>/sandboxes/<id>/definition.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Definition {
    /// Its identity.
    pub id: SandboxId,
    /// Its name.
    pub name: SandboxName,
    /// When it was created.
    pub created_at: Timestamp,
    /// What it was made from.
    pub image: ImageRef,
    /// The first process.
    pub process: ProcessSettings,
    /// What is mounted into it besides its root filesystem, by destination.
    pub mounts: Vec<Mount>,
    /// Everything else that was asked for.
    pub settings: Settings,
}

/// The image of a sandbox. The store keeps it as long as the sandbox exists.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageRef {
    /// The image's ID: the digest of its config.
    pub id: Digest,
    /// The name that it was asked for by.
    pub name: String,
    /// The diff IDs of its layers, the lowest first.
    pub layers: Vec<Digest>,
}

/// What the first process is, after image and user have been heard.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProcessSettings {
    /// Entrypoint and command.
    pub args: Vec<String>,
    /// How many of `args` are the entrypoint.
    pub entrypoint_len: usize,
    /// `NAME=value`, later ones winning.
    pub env: Vec<String>,
    /// The working directory in the sandbox.
    pub cwd: String,
    /// Whether that was asked for, and so has to be there; what the image says is made.
    #[serde(default)]
    pub cwd_asked: bool,
    /// `user[:group]`, by name or number, looked up in the sandbox's own files.
    pub user: Option<String>,
    /// The signal that asks it to stop.
    pub stop_signal: i32,
    /// The ports that the image says it listens on, as `80/tcp`.
    pub exposed_ports: Vec<String>,
}

/// One mount into a sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mount {
    /// Where it appears in the sandbox.
    pub destination: PathBuf,
    /// What appears there.
    pub source: MountSource,
    /// Mount options as in mount(8).
    pub options: Vec<String>,
}

/// Where a mount's content comes from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountSource {
    /// A file or directory of the host.
    Bind(PathBuf),
    /// A volume of the store.
    Volume {
        /// Its name.
        name: String,
        /// Whether it was made for this sandbox only, and goes with it.
        anonymous: bool,
        /// Whether an empty volume is first filled with what the image has at the destination.
        copy_up: bool,
    },
    /// Memory.
    Tmpfs,
}
