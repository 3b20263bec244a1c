//! The two directories that everything lives in.

use std::path::{Path, PathBuf};

/// Where a store keeps its data and where its running state lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dirs {
    /// Data that survives a reboot: `/var/lib/gaufre`.
    pub root: PathBuf,
    /// State of what runs now, lost at a reboot: `/run/gaufre`.
    pub run: PathBuf,
}

impl Dirs {
    /// The directories of the system's own store.
    #[must_use]
    pub fn system() -> Self {
        Self { root: "/var/lib/gaufre".into(), run: "/run/gaufre".into() }
    }

    /// The persistent directory of all sandboxes.
    pub(crate) fn sandboxes(&self) -> PathBuf {
        self.root.join("sandboxes")
    }

    /// The directory of the running sandboxes.
    pub(crate) fn running(&self) -> PathBuf {
        self.run.join("sandboxes")
    }

    /// Where the lock `name` of the whole store lies.
    pub(crate) fn lock(&self, name: &str) -> PathBuf {
        self.run.join(name)
    }

    /// The root directory, for messages.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}
