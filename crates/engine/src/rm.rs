//! Removing sandboxes.

use crate::dirs::Dirs;
use crate::engine::{Engine, OpenError};
use crate::failure::Failure;
use crate::sandbox::{FindError, LockError, MountSource, Sandbox};
use crate::stop::{StopError, is_active, status};
use gaufre_store::{Store, StoreOptions};
use std::io;
use std::time::Duration;

/// How to remove.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveOptions {
    /// Also one that runs, which is stopped first.
    pub force: bool,
    /// Also the volumes that were made for it alone.
    pub volumes: bool,
    /// How long a running one may take to stop, in seconds, before it is killed. Forced removal kills at once.
    pub timeout_s: Option<u32>,
}

/// A sandbox cannot be removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// No sandbox goes by that name.
    #[error(transparent)]
    Find(#[from] FindError),
    /// It runs.
    #[error("cannot remove sandbox {id}: it is running")]
    Running {
        /// Which.
        id: String,
    },
    /// It does not stop.
    #[error(transparent)]
    Stop(#[from] StopError),
    /// It cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Its keeper does not come to its end.
    #[error("the keeper of sandbox {id} does not end")]
    Keeper {
        /// Which.
        id: String,
    },
    /// Files remain.
    #[error("cannot remove the files of sandbox {id}")]
    Files {
        /// Which.
        id: String,
        /// Why.
        source: io::Error,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl Failure for RemoveError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Find(_) => 1,
            Self::Running { .. } => 2,
            _ => 125,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Running { id } => {
                Some(format!("Stop it first (gaufre stop {id}), or remove it with --force."))
            }
            _ => None,
        }
    }
}

/// How long a keeper may take over its last steps.
const KEEPER_TIMEOUT: Duration = Duration::from_secs(20);

impl Engine {
    /// Removes a sandbox: its name, its files, its log. Returns its ID.
    ///
    /// # Errors
    /// See [`RemoveError`]; one that runs is refused without [`RemoveOptions::force`].
    pub fn remove(&self, name: &str, options: RemoveOptions) -> Result<String, RemoveError> {
        let sandbox = self.find(name)?;
        let id = sandbox.id().to_string();
        if is_active(&status(&sandbox)?) {
            if !options.force {
                return Err(RemoveError::Running { id: sandbox.id().short().to_owned() });
            }
            self.stop_sandbox(&sandbox, Some(options.timeout_s.unwrap_or(0)))?;
        }
        if !sandbox.wait_for_keeper(KEEPER_TIMEOUT)? {
            return Err(RemoveError::Keeper { id: sandbox.id().short().to_owned() });
        }
        if !sandbox.directory().exists() {
            return Ok(id); // It was one that goes at its end.
        }
        // Nobody starts it while it goes.
        let _lock = sandbox.lock()?;
        if is_active(&status(&sandbox)?) {
            return Err(RemoveError::Running { id: sandbox.id().short().to_owned() });
        }
        self.catalog()
            .unregister(&sandbox)
            .map_err(|source| RemoveError::Files { id: sandbox.id().short().to_owned(), source })?;
        if options.volumes {
            remove_anonymous_volumes(&self.dirs, &sandbox);
        }
        Ok(id)
    }
}

/// Removes the volumes that were made for this sandbox alone. One that does not go is found by `system prune`.
pub(crate) fn remove_anonymous_volumes(dirs: &Dirs, sandbox: &Sandbox) {
    let anonymous: Vec<&String> = sandbox
        .definition
        .mounts
        .iter()
        .filter_map(|mount| match &mount.source {
            MountSource::Volume { name, anonymous: true, .. } => Some(name),
            _ => None,
        })
        .collect();
    if anonymous.is_empty() {
        return;
    }
    let Ok(store) = Store::open(StoreOptions { root: dirs.root.clone(), run: dirs.run.clone() }) else {
        return;
    };
    for name in anonymous {
        if let Err(error) = store.volumes().remove(name) {
            tracing::warn!(error = &error as &dyn std::error::Error, name, "a volume could not be removed");
        }
    }
}
