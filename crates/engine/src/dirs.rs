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

    /// Where a lock or mark of the whole store lies: beside what it guards, so that two users of one root meet there
    /// even if their run directories differ.
    pub(crate) fn lock(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Where a lock of what runs lies: each run directory has a network of its own.
    pub(crate) fn run_lock(&self, name: &str) -> PathBuf {
        self.run.join(name)
    }

    /// The root directory, for messages.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}
