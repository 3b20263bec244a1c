//! What this machine offers, and what is used of it.

use super::SystemError;
use crate::engine::Engine;
use crate::list::SandboxState;
use gaufre_runtime::cgroup::Layout;
use serde::Serialize;
use std::path::PathBuf;

/// What `gaufre info` shows.
#[derive(Debug, Clone, Serialize)]
pub struct Info {
    /// gaufre's version.
    pub version: String,
    /// The kernel's release.
    pub kernel: String,
    /// The processor's architecture, as images name it.
    pub architecture: String,
    /// Processors.
    pub cpus: usize,
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// How control groups are laid out: `v1`, `v2` or `hybrid`.
    pub cgroups: String,
    /// How root filesystems are made.
    pub rootfs_mode: String,
    /// Where data is.
    pub root: PathBuf,
    /// Where running state is.
    pub run: PathBuf,
    /// Sandboxes in all; users know them as containers.
    #[serde(rename = "containers")]
    pub sandboxes: usize,
    /// Those that run.
    pub running: usize,
    /// Images.
    pub images: usize,
    /// What keeps containers from working as asked, and what to do about it.
    pub warnings: Vec<String>,
}

impl Engine {
    /// What this machine offers, and what is used of it.
    ///
    /// # Errors
    /// See [`SystemError`].
    pub fn info(&self) -> Result<Info, SystemError> {
        let sandboxes = self.list(true)?;
        let uname = rustix::system::uname();
        let memory = rustix::system::sysinfo();
        Ok(Info {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: uname.release().to_string_lossy().into_owned(),
            architecture: gaufre_image::Platform::host().architecture,
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: memory.totalram.saturating_mul(memory.mem_unit.into()),
            cgroups: Layout::detect().map_or_else(
                |error| format!("unusable: {error}"),
                |layout| match layout {
                    Layout::V2 => "v2".to_owned(),
                    Layout::V1 { unified: None, .. } => "v1".to_owned(),
                    Layout::V1 { unified: Some(_), .. } => "hybrid".to_owned(),
                },
            ),
            rootfs_mode: "unpacked directories under overlayfs".to_owned(),
            root: self.dirs.root.clone(),
            run: self.dirs.run.clone(),
            running: sandboxes.iter().filter(|sandbox| sandbox.state == SandboxState::Running).count(),
            sandboxes: sandboxes.len(),
            images: self.store()?.images().list().map_err(crate::images::ImagesError::from)?.len(),
            warnings: self.firewall_warnings(),
        })
    }
}
