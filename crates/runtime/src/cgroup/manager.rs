//! Who makes a sandbox's group.

use std::path::{Path, PathBuf};

use super::{Cgroup, CgroupError};

/// Who makes a sandbox's group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CgroupManager {
    /// The runtime, in the cgroup file systems.
    #[default]
    Cgroupfs,
    /// systemd, asked over D-Bus; the configuration's `linux.cgroupsPath` is then `slice:prefix:name`.
    Systemd,
    /// Nobody: the sandbox stays in the caller's group and has no limits.
    Disabled,
}

impl Cgroup {
    /// Names the group `path` of the configuration's `linux.cgroupsPath`, making nothing.
    ///
    /// # Errors
    /// See [`Cgroup::at`].
    pub fn managed(manager: CgroupManager, path: &Path) -> Result<Self, CgroupError> {
        match manager {
            CgroupManager::Cgroupfs => Self::at(path),
            CgroupManager::Systemd => Err(CgroupError::Name { path: path.to_owned() }),
            CgroupManager::Disabled => Ok(Self { name: PathBuf::new(), unified: None, legacy: Vec::new() }),
        }
    }
}
