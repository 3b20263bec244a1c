//! Removing sandboxes.

use crate::bundle::cgroup_path;
use crate::collect::ImagesLock;
use crate::dirs::Dirs;
use crate::engine::{Engine, OpenError};
use crate::failure::Failure;
use crate::recover::idle_lock;
use crate::sandbox::{
    Catalog, FindError, LockError, Locked, MountSource, Sandbox, SandboxId, UnreadableError, try_keeper_lock,
};
use crate::stop::{StopError, is_active};
use crate::volumes::{VolumesError, volume_users};
use gaufre_net::Net;
use gaufre_runtime::cgroup::Cgroup;
use gaufre_store::{Store, StoreOptions};
use std::io;
use std::time::{Duration, Instant};

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
    /// Its records cannot be read.
    #[error(transparent)]
    Unreadable(#[from] UnreadableError),
    /// It runs.
    #[error("cannot remove container {name}: it is running")]
    Running {
        /// Which.
        name: String,
    },
    /// It does not stop.
    #[error(transparent)]
    Stop(#[from] StopError),
    /// It cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Its keeper does not come to its end.
    #[error("the keeper of container {name} does not end")]
    Keeper {
        /// Which.
        name: String,
    },
    /// Files remain.
    #[error("cannot remove the files of container {name}")]
    Files {
        /// Which.
        name: String,
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
            Self::Find(FindError::NoSuchSandbox(_)) => 1,
            Self::Running { .. } => 2,
            _ => 125,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Find(error) => error.hint(),
            Self::Unreadable(error) => error.hint(),
            Self::Stop(error) => error.hint(),
            Self::Open(error) => error.hint(),
            Self::Running { name } => {
                Some(format!("Stop it first (gaufre stop {name}), or remove it with --force."))
            }
            Self::Lock(_) | Self::Keeper { .. } | Self::Files { .. } => None,
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
        let sandbox = match self.find(name) {
            Err(FindError::Unreadable(error)) if options.force => return self.remove_damaged(error.id),
            other => other?,
        };
        let id = sandbox.id().to_string();
        let shown = || sandbox.name().to_owned();
        let status = match sandbox.status() {
            Err(error) if options.force => return self.remove_damaged(error.id),
            other => other?,
        };
        if is_active(&status) {
            if !options.force {
                return Err(RemoveError::Running { name: shown() });
            }
            self.stop_sandbox(&sandbox, Some(options.timeout_s.unwrap_or(0)))?;
        }
        // Nobody starts it while it goes. One that goes at its end has gone.
        let Some(_lock) = sandbox.lock()? else { return Ok(id) };
        let keeper_lock = match idle_lock(&self.dirs, &sandbox, KEEPER_TIMEOUT)? {
            Locked::Ours(lock) => lock,
            Locked::Gone => return Ok(id),
            // Somebody has started it again.
            Locked::Busy if is_active(&sandbox.status()?) => {
                return Err(RemoveError::Running { name: shown() });
            }
            Locked::Busy => return Err(RemoveError::Keeper { name: shown() }),
        };
        let removed = self.catalog().unregister(&sandbox);
        keeper_lock.release();
        removed.map_err(|source| RemoveError::Files { name: shown(), source })?;
        if options.volumes {
            remove_anonymous_volumes(&self.dirs, &sandbox);
        }
        Ok(id)
    }
}

impl Engine {
    /// Removes what there is of a sandbox whose definition is unreadable, after ending whatever runs in it.
    fn remove_damaged(&self, id: SandboxId) -> Result<String, RemoveError> {
        let fail = |source: io::Error| RemoveError::Files { name: id.short().to_owned(), source };
        let cgroup = Cgroup::at(&cgroup_path(&id)).map_err(|error| fail(io::Error::other(error)))?;
        if cgroup.exists() {
            cgroup.kill_all().map_err(|error| fail(io::Error::other(error)))?;
        }
        // Its keeper, if there is one, takes it down then.
        let deadline = Instant::now() + KEEPER_TIMEOUT;
        let directory = self.dirs.sandboxes().join(id.as_str());
        let lock = loop {
            match try_keeper_lock(&directory)? {
                Locked::Ours(lock) => break lock,
                Locked::Gone => return Ok(id.into()),
                Locked::Busy if Instant::now() > deadline => {
                    return Err(RemoveError::Keeper { name: id.short().to_owned() });
                }
                Locked::Busy => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        if cgroup.exists() {
            cgroup.delete().map_err(|error| fail(io::Error::other(error)))?;
        }
        if let Ok(net) = Net::open(&self.dirs.run)
            && let Err(error) = net.release(id.as_str())
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "a network could not be taken down");
        }
        let removed = self.catalog().discard(&id);
        lock.release();
        removed.map_err(fail)?;
        Ok(id.into())
    }
}

/// Removes the volumes that were made for this sandbox alone, unless another mounts one by its name. One that does not
/// go is found by `system prune`.
pub(crate) fn remove_anonymous_volumes(dirs: &Dirs, sandbox: &Sandbox) {
    let mut anonymous: Vec<&String> = sandbox
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
    // Until they have gone nobody creates a sandbox that mounts one.
    let users = ImagesLock::remove(dirs).map_err(VolumesError::Lock).and_then(|lock| {
        let users = volume_users(&Catalog::new(dirs))?;
        Ok((lock, users))
    });
    let (_lock, users) = match users {
        Ok(users) => users,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "volumes stay, for nobody can tell who mounts them");
            return;
        }
    };
    anonymous
        .retain(|name| users.get(*name).is_none_or(|users| users.iter().all(|user| user == sandbox.id())));
    for name in anonymous {
        if let Err(error) = store.volumes().remove(name) {
            tracing::warn!(error = &error as &dyn std::error::Error, name, "a volume could not be removed");
        }
    }
}
