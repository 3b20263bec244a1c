//! Starting a sandbox, and attaching to one that runs.

use crate::attach::{AttachError, AttachStreams, Connection, connect};
use crate::engine::Engine;
use crate::failure::Failure;
use crate::keeper::{self, SpawnError};
use crate::recover::idle_lock;
use crate::sandbox::{FindError, LockError, Locked, Status, UnreadableError};
use crate::settings::NetworkMode;
use crate::stop::is_active;
use std::time::{Duration, Instant};

/// How to start.
#[derive(Debug, Clone, Copy, Default)]
pub struct StartOptions {
    /// Which streams to take part in from the first byte on; none when it is to run by itself.
    pub attach: Option<AttachStreams>,
}

/// A sandbox whose workload runs.
#[derive(Debug)]
pub struct Started {
    /// Its ID.
    pub id: String,
    /// The line to its keeper, if one was asked for.
    pub connection: Option<Connection>,
}

/// A sandbox cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No sandbox goes by that name.
    #[error(transparent)]
    Find(#[from] FindError),
    /// Its records cannot be read.
    #[error(transparent)]
    Unreadable(#[from] UnreadableError),
    /// It cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Its keeper is still taking down the last run.
    #[error("container {name} is still being taken down after its last run")]
    Busy {
        /// Which.
        name: String,
    },
    /// It does not come to run.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// It runs, but cannot be attached to.
    #[error(transparent)]
    Attach(#[from] AttachError),
}

impl StartError {
    /// Whether the workload may have been executed all the same: nobody is left who could tell.
    #[must_use]
    pub fn may_have_run(&self) -> bool {
        matches!(self, Self::Spawn(SpawnError::KeeperDied { .. } | SpawnError::Attach(_)) | Self::Attach(_))
    }
}

impl Failure for StartError {
    fn exit_code(&self) -> u8 {
        if let Self::Spawn(error) = self { error.exit_code() } else { 125 }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Find(error) => error.hint(),
            Self::Unreadable(error) => error.hint(),
            Self::Spawn(error) => error.hint(),
            Self::Attach(error) => error.hint(),
            Self::Busy { .. } => Some("Try again in a moment.".to_owned()),
            Self::Lock(_) => None,
        }
    }
}

/// How long the taking down of an earlier run may hold up the next.
const TAKING_DOWN: Duration = Duration::from_secs(20);
/// How long the kernel may take to end a keeper that was killed.
const DYING: Duration = Duration::from_secs(5);

impl Engine {
    /// Starts a sandbox that does not run; one that does is left to run, and attached to if that was asked for.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(&self, name: &str, options: StartOptions) -> Result<Started, StartError> {
        let sandbox = self.find(name)?;
        let id = sandbox.id().to_string();
        let gone = || FindError::NoSuchSandbox(name.to_owned());
        let _lock = sandbox.lock()?.ok_or_else(gone)?;
        if matches!(sandbox.status()?, Status::Starting | Status::Running(_) | Status::Restarting) {
            let connection = options.attach.map(|streams| self.attach(&id, streams)).transpose()?;
            return Ok(Started { id, connection });
        }
        // The keeper of the last run may be at its last steps.
        let keeper_lock = match idle_lock(&self.dirs, &sandbox, TAKING_DOWN)? {
            Locked::Ours(lock) => lock,
            Locked::Busy => return Err(StartError::Busy { name: sandbox.name().to_owned() }),
            Locked::Gone => return Err(gone().into()),
        };
        if sandbox.definition.settings.network == NetworkMode::Bridge {
            for warning in self.firewall_warnings() {
                tracing::warn!("{warning}");
            }
        }
        let waiting = self.waiting_keeper(sandbox.id());
        let spawned =
            keeper::spawn(&self.dirs, &sandbox, keeper_lock, options.attach, waiting, || self.rest())?;
        Ok(Started { id, connection: spawned.connection })
    }

    /// Opens a line to the keeper of a running sandbox.
    ///
    /// # Errors
    /// See [`AttachError`].
    pub fn attach(&self, name: &str, streams: AttachStreams) -> Result<Connection, AttachError> {
        let deadline = Instant::now() + DYING;
        loop {
            match self.attach_now(name, streams) {
                // A keeper that was killed closes its socket before its lock, and counts as alive until both are.
                Err(AttachError::Connect { .. } | AttachError::Line(_)) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                attached => return attached,
            }
        }
    }

    fn attach_now(&self, name: &str, streams: AttachStreams) -> Result<Connection, AttachError> {
        let sandbox = self.find(name)?;
        let not_running = || AttachError::NotRunning { name: sandbox.name().to_owned() };
        if !sandbox.status().is_ok_and(|status| is_active(&status)) {
            return Err(not_running());
        }
        let path = sandbox.socket_path();
        let socket = connect(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => not_running(),
            _ => AttachError::Connect { path, source },
        })?;
        Connection::open(socket, streams, sandbox.definition.settings.terminal)
    }
}
