//! Volumes by themselves: made, listed and removed without a sandbox.

use crate::collect::ImagesLock;
use crate::engine::{Engine, OpenError};
use crate::failure::Failure;
use crate::rm::{RemoveError, RemoveOptions};
use crate::sandbox::{Catalog, FindError, MountSource, SandboxId};
use gaufre_store::{VolumeError, VolumeRecord};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// The directory with its data.
    pub path: PathBuf,
    /// When it was made.
    pub created_at: Timestamp,
    /// What the user attached to it.
    pub labels: BTreeMap<String, String>,
    /// Whether it was made for one sandbox, without a name of the user's.
    pub anonymous: bool,
    /// The short IDs of the sandboxes that mount it, running or not.
    pub sandboxes: Vec<String>,
}

/// Something about a volume cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum VolumesError {
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is no such volume.
    #[error("no volume with name {0:?}")]
    NoSuchVolume(String),
    /// Sandboxes mount it.
    #[error("volume {name:?} is in use by {}", sandboxes.join(", "))]
    InUse {
        /// Which.
        name: String,
        /// The sandboxes' short IDs.
        sandboxes: Vec<String>,
    },
    /// It cannot be made, found or removed.
    #[error(transparent)]
    Store(#[from] VolumeError),
    /// The sandboxes cannot be listed, so nobody can tell which volumes they need.
    #[error(transparent)]
    Sandboxes(#[from] FindError),
    /// A sandbox that mounts it cannot be removed.
    #[error(transparent)]
    Remove(#[from] Box<RemoveError>),
    /// Those who create sandboxes cannot be kept waiting.
    #[error("cannot keep containers from being created meanwhile")]
    Lock(#[source] io::Error),
    /// No name can be made up.
    #[error("cannot make up a name")]
    Random(#[source] io::Error),
}

impl Failure for VolumesError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::NoSuchVolume(_) => 1,
            Self::InUse { .. } => 2,
            _ => 125,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::InUse { sandboxes, .. } => Some(format!(
                "Remove the containers first (gaufre rm {}), or them and the volume with --force.",
                sandboxes.join(" ")
            )),
            Self::Open(error) => error.hint(),
            Self::Sandboxes(error) => error.hint(),
            Self::Remove(error) => error.hint(),
            _ => None,
        }
    }
}

/// The sandboxes that mount each volume, by its name.
pub(crate) type Users = BTreeMap<String, Vec<SandboxId>>;

impl Engine {
    /// All volumes, by name.
    ///
    /// # Errors
    /// See [`VolumesError`].
    pub fn volumes(&self) -> Result<Vec<Volume>, VolumesError> {
        self.recover_all();
        // One that is damaged is said so, and keeps nobody from seeing the rest.
        let users = users(self.catalog().list()?);
        Ok(self.store()?.volumes().list()?.into_iter().map(|record| volume(record, &users)).collect())
    }

    /// The volume of that name.
    ///
    /// # Errors
    /// See [`VolumesError`].
    pub fn volume(&self, name: &str) -> Result<Volume, VolumesError> {
        let found = self.volumes()?.into_iter().find(|volume| volume.name == name);
        found.ok_or_else(|| VolumesError::NoSuchVolume(name.to_owned()))
    }

    /// Makes an empty volume, which is filled with what the image has at its place when it is first mounted. Without a
    /// name it gets one of 64 hexadecimal digits. Returns its name.
    ///
    /// # Errors
    /// See [`VolumesError`]; a name that there is already is one.
    pub fn create_volume(
        &self,
        name: Option<&str>,
        labels: &BTreeMap<String, String>,
    ) -> Result<String, VolumesError> {
        let name = match name {
            Some(name) => name.to_owned(),
            None => SandboxId::random().map_err(VolumesError::Random)?.into(),
        };
        Ok(self.store()?.volumes().create(&name, labels, false)?.name)
    }

    /// Removes a volume with its data. One that sandboxes mount, running or not, is refused, or with `force` removed
    /// after they have been.
    ///
    /// # Errors
    /// See [`VolumesError`].
    pub fn remove_volume(&self, name: &str, force: bool) -> Result<(), VolumesError> {
        self.recover_all();
        let store = self.store()?;
        if force {
            for id in volume_users(&self.catalog())?.remove(name).unwrap_or_default() {
                let options = RemoveOptions { force: true, ..RemoveOptions::default() };
                match self.remove(id.as_str(), options) {
                    Ok(_) | Err(RemoveError::Find(FindError::NoSuchSandbox(_))) => {}
                    Err(error) => return Err(Box::new(error).into()),
                }
            }
        }
        // Until it has gone nobody creates a sandbox that mounts it.
        let _lock = ImagesLock::remove(&self.dirs).map_err(VolumesError::Lock)?;
        if let Some(users) = volume_users(&self.catalog())?.remove(name) {
            return Err(VolumesError::InUse { name: name.to_owned(), sandboxes: short(&users) });
        }
        match store.volumes().remove(name)? {
            true => Ok(()),
            false => Err(VolumesError::NoSuchVolume(name.to_owned())),
        }
    }

    /// Removes the volumes that no sandbox mounts, of those that `wanted` says so of; their names.
    ///
    /// # Errors
    /// See [`VolumesError`]; what was done stays done.
    pub fn prune_volumes(&self, wanted: impl Fn(&Volume) -> bool) -> Result<Vec<String>, VolumesError> {
        self.recover_all();
        let store = self.store()?;
        let _lock = ImagesLock::remove(&self.dirs).map_err(VolumesError::Lock)?;
        let users = volume_users(&self.catalog())?;
        let mut removed = Vec::new();
        for record in store.volumes().list()? {
            let volume = volume(record, &users);
            if volume.sandboxes.is_empty() && wanted(&volume) && store.volumes().remove(&volume.name)? {
                removed.push(volume.name);
            }
        }
        Ok(removed)
    }
}

/// Who mounts what, for one who removes: an error if that is not known of every sandbox.
pub(crate) fn volume_users(catalog: &Catalog<'_>) -> Result<Users, FindError> {
    let (sandboxes, damaged) = catalog.survey()?;
    damaged.into_iter().next().map_or(Ok(()), Err)?;
    Ok(users(sandboxes))
}

fn users(sandboxes: Vec<crate::sandbox::Sandbox>) -> Users {
    let mut users = Users::new();
    for sandbox in sandboxes {
        for mount in &sandbox.definition.mounts {
            if let MountSource::Volume { name, .. } = &mount.source {
                let of_volume = users.entry(name.clone()).or_default();
                if !of_volume.contains(sandbox.id()) {
                    of_volume.push(sandbox.id().clone());
                }
            }
        }
    }
    users
}

fn volume(record: VolumeRecord, users: &Users) -> Volume {
    Volume {
        created_at: Timestamp::from_second(record.created_seconds).unwrap_or_default(),
        sandboxes: users.get(&record.name).map(|users| short(users)).unwrap_or_default(),
        name: record.name,
        path: record.path,
        labels: record.labels,
        anonymous: record.anonymous,
    }
}

fn short(ids: &[SandboxId]) -> Vec<String> {
    ids.iter().map(|id| id.short().to_owned()).collect()
}
