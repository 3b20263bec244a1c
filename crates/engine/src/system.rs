//! The store as a whole: what it takes, what can go, whether it is sound.

mod check;
mod info;

pub use check::CheckReport;
pub use info::Info;

use crate::collect::ImagesLock;
use crate::dirs::Dirs;
use crate::engine::{Engine, OpenError};
use crate::failure::Failure;
use crate::images::ImagesError;
use crate::keeper::remove_cgroup_parents;
use crate::rm::{RemoveError, RemoveOptions};
use crate::sandbox::{FindError, MountSource, Status, UnreadableError};
use gaufre_net::{DetachErrors, Net, StateError};
use gaufre_store::{DiskUsage, GcError, InUse, PruneError, ResetError, Store, remove_tree};
use oci_spec::image::Digest;
use serde::Serialize;

/// What `system prune` is to remove.
#[derive(Debug, Clone, Copy, Default)]
pub struct PruneOptions {
    /// Also images that have a name, when no sandbox is made from them.
    pub all: bool,
    /// Also volumes that no sandbox mounts.
    pub volumes: bool,
}

/// What `system prune` removed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PruneReport {
    /// IDs of sandboxes that had ended, or never run.
    pub sandboxes: Vec<String>,
    /// IDs of images.
    pub images: Vec<String>,
    /// Names of volumes.
    pub volumes: Vec<String>,
    /// What that freed, in bytes; without the sandboxes.
    pub reclaimed_bytes: u64,
}

/// Something about the store as a whole cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum SystemError {
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The sandboxes cannot be listed.
    #[error(transparent)]
    Find(#[from] FindError),
    /// A sandbox's records cannot be read.
    #[error(transparent)]
    Unreadable(#[from] UnreadableError),
    /// A sandbox cannot be removed.
    #[error(transparent)]
    Remove(#[from] Box<RemoveError>),
    /// Something cannot be measured or collected.
    #[error(transparent)]
    Store(#[from] GcError),
    /// Pruning failed midway.
    #[error(transparent)]
    Prune(#[from] PruneError),
    /// Images cannot be listed.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// The store cannot be checked.
    #[error("cannot check the store")]
    Check(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The network's state cannot be read.
    #[error("cannot read the state of the network")]
    Network(#[from] StateError),
    /// Something of the network is left.
    #[error("cannot take the network down")]
    Detach(#[from] DetachErrors),
    /// The store cannot be removed.
    #[error(transparent)]
    Reset(#[from] ResetError),
    /// Files remain.
    #[error("cannot remove {}", path.display())]
    Files {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Failure for SystemError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Open(error) => error.hint(),
            Self::Find(error) => error.hint(),
            Self::Unreadable(error) => error.hint(),
            Self::Remove(error) => error.hint(),
            Self::Images(error) => error.hint(),
            _ => None,
        }
    }
}

/// Which images, sandboxes and volumes are in use.
struct Users {
    images: Vec<Digest>,
    running: Vec<String>,
    volumes: Vec<String>,
}

impl Users {
    fn as_in_use(&self) -> InUse<'_> {
        InUse { images: &self.images, sandboxes: &self.running, volumes: &self.volumes }
    }
}

impl Engine {
    /// What images, layers, sandboxes and volumes take on disk.
    ///
    /// # Errors
    /// See [`SystemError`].
    pub fn system_df(&self) -> Result<DiskUsage, SystemError> {
        self.recover_all();
        let users = self.users()?;
        Ok(self.store()?.df(&users.as_in_use())?)
    }

    /// Removes sandboxes that do not run, images that nothing needs and, if asked to, volumes that nothing mounts.
    ///
    /// # Errors
    /// See [`SystemError`]; what was done stays done.
    pub fn system_prune(&self, options: PruneOptions) -> Result<PruneReport, SystemError> {
        self.recover_all();
        let mut report = PruneReport::default();
        let (sandboxes, damaged) = self.catalog().survey()?;
        // Nobody can tell which images and volumes a damaged one needs.
        damaged.into_iter().next().map_or(Ok(()), Err)?;
        for sandbox in sandboxes {
            if is_idle(&sandbox.status()?) {
                match self.remove(
                    sandbox.id().as_str(),
                    RemoveOptions { volumes: options.volumes, ..RemoveOptions::default() },
                ) {
                    Ok(id) => report.sandboxes.push(id),
                    // Started, or removed, while we looked.
                    Err(RemoveError::Running { .. } | RemoveError::Find(_)) => {}
                    Err(error) => return Err(Box::new(error).into()),
                }
            }
        }
        let store = self.store()?;
        let _lock = ImagesLock::remove(&self.dirs).map_err(ImagesError::Lock)?;
        let users = self.users()?;
        let pruned = store.prune(&in_store(options, &users))?;
        report.images = pruned.images.iter().map(|named| named.image.id.digest().to_owned()).collect();
        report.volumes = pruned.volumes;
        report.reclaimed_bytes = pruned.reclaimed.bytes;
        Ok(report)
    }

    /// Whether [`Engine::system_prune`] would remove a sandbox, an image or a volume now.
    ///
    /// # Errors
    /// See [`SystemError`].
    pub fn has_something_to_prune(&self, options: PruneOptions) -> Result<bool, SystemError> {
        self.recover_all();
        for sandbox in self.catalog().list()? {
            if is_idle(&sandbox.status()?) {
                return Ok(true);
            }
        }
        Ok(self.store()?.has_unused(&in_store(options, &self.users()?))?)
    }

    /// Stops and removes everything: sandboxes, images, volumes, the network, and the store itself.
    ///
    /// # Errors
    /// See [`SystemError`].
    pub fn system_reset(&self) -> Result<(), SystemError> {
        self.recover_all();
        for id in self.catalog().ids()? {
            match self.remove(id.as_str(), RemoveOptions { force: true, volumes: true, timeout_s: Some(0) }) {
                Ok(_) | Err(RemoveError::Find(_)) => {}
                Err(error) => return Err(Box::new(error).into()),
            }
        }
        if self.dirs.run.exists() {
            let net = Net::open(&self.dirs.run)?;
            net.gc(&[])?;
            net.sweep()?;
        }
        remove_cgroup_parents();
        self.remove_own_files()?;
        Ok(Store::reset(&self.dirs.root, &self.dirs.run)?)
    }

    /// Removes what the engine itself keeps beside the store's and the network's files.
    fn remove_own_files(&self) -> Result<(), SystemError> {
        let Dirs { root, run } = &self.dirs;
        let directories = [root.join("names"), self.dirs.running(), run.join("net")];
        let of_root = ["names.lock", "images.lock", "gc-postponed"].map(|name| self.dirs.lock(name));
        let files = of_root.into_iter().chain([self.dirs.run_lock("sweep.lock")]);
        directories
            .into_iter()
            .chain(files)
            .try_for_each(|path| remove_tree(&path).map_err(|source| SystemError::Files { path, source }))
    }

    fn users(&self) -> Result<Users, SystemError> {
        let mut users = Users { images: Vec::new(), running: Vec::new(), volumes: Vec::new() };
        for sandbox in self.catalog().list()? {
            users.images.push(sandbox.definition.image.id.clone());
            if sandbox.status().is_ok_and(|status| crate::stop::is_active(&status)) {
                users.running.push(sandbox.id().to_string());
            }
            users.volumes.extend(sandbox.definition.mounts.iter().filter_map(|mount| match &mount.source {
                MountSource::Volume { name, .. } => Some(name.clone()),
                _ => None,
            }));
        }
        Ok(users)
    }
}

/// Whether a sandbox neither runs nor is about to.
fn is_idle(status: &Status) -> bool {
    matches!(status, Status::Created | Status::Exited(_))
}

/// The same for the store, which does not know who uses what.
fn in_store(options: PruneOptions, users: &Users) -> gaufre_store::PruneOptions<'_> {
    gaufre_store::PruneOptions {
        all_images: options.all,
        volumes: options.volumes,
        in_use: users.as_in_use(),
    }
}
