//! Starting a keeper.

use super::assignment::{Task, WaitingKeeper};
use super::report::{self, KeeperFailure};
use crate::attach::{AttachError, AttachStreams, Connection};
use crate::dirs::Dirs;
use crate::failure::Failure;
use crate::recover::idle_lock;
use crate::sandbox::{KeeperLock, Locked, Sandbox, private_dir};
use gaufre_store::remove_tree;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A sandbox whose workload runs.
#[derive(Debug)]
pub(crate) struct Spawned {
    /// The line to its keeper, when one was asked for.
    pub(crate) connection: Option<Connection>,
}

/// A sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// Its running state has no place.
    #[error("cannot create {}", path.display())]
    RunDirectory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The keeper cannot be started.
    #[error("cannot start the keeper of container {name}")]
    Start {
        /// Which.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// The line to the keeper broke.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The keeper died before the workload ran.
    #[error("the keeper of container {name} was killed while it started the container")]
    KeeperDied {
        /// Which.
        name: String,
    },
    /// The keeper says why.
    #[error("cannot start container {name}")]
    Failed {
        /// Which.
        name: String,
        /// Why.
        source: KeeperFailure,
    },
}

impl Failure for SpawnError {
    fn exit_code(&self) -> u8 {
        if let Self::Failed { source, .. } = self { source.exit_code } else { 125 }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Failed { source, .. } => source.hint.clone(),
            Self::KeeperDied { .. } => Some("Start it again.".to_owned()),
            _ => None,
        }
    }
}

/// How long what a dead keeper made may take to be taken down.
const TAKING_DOWN: Duration = Duration::from_secs(10);

/// Starts the sandbox, whose keeper's `lock` the caller has; returns when the workload runs, or did not come to run.
/// Its keeper may be `waiting` already. Does `meanwhile` while that is at work.
pub(crate) fn spawn(
    dirs: &Dirs,
    sandbox: &Sandbox,
    lock: KeeperLock,
    streams: Option<AttachStreams>,
    waiting: Option<WaitingKeeper>,
    meanwhile: impl FnOnce(),
) -> Result<Spawned, SpawnError> {
    let spawned = match begin(dirs, sandbox, &lock, streams, waiting, meanwhile)? {
        // Before anything else a keeper writes down that it has begun, and nobody removes that while we have the lock:
        // this one was killed before it was told, or as it was told, and there is nothing to take down.
        None if !sandbox.has_run_state() => begin(dirs, sandbox, &lock, streams, None, || ())?,
        spawned => spawned,
    };
    spawned.ok_or_else(|| {
        // What it made before it died is taken down by another.
        drop(lock);
        if let Ok(Locked::Ours(lock)) = idle_lock(dirs, sandbox, TAKING_DOWN) {
            let _ = remove_tree(sandbox.run_directory());
            lock.release();
        }
        SpawnError::KeeperDied { name: sandbox.name().to_owned() }
    })
}

/// Has a keeper start the sandbox; `None` when that one died.
fn begin(
    dirs: &Dirs,
    sandbox: &Sandbox,
    lock: &KeeperLock,
    streams: Option<AttachStreams>,
    waiting: Option<WaitingKeeper>,
    meanwhile: impl FnOnce(),
) -> Result<Option<Spawned>, SpawnError> {
    let name = || sandbox.name().to_owned();
    make_run_directory(sandbox.run_directory())?;
    let start = |source| SpawnError::Start { name: name(), source };

    let (connection, theirs) = match streams {
        None => (None, None),
        Some(streams) => {
            let (ours, theirs) = UnixStream::pair().map_err(start)?;
            (Some(Connection::open(ours, streams, sandbox.definition.settings.terminal)?), Some(theirs))
        }
    };
    let keeper = waiting.map_or_else(|| start_keeper(dirs, sandbox), Ok).map_err(start)?;
    match employ(&keeper, sandbox, Task::Start, lock, theirs.as_ref(), meanwhile).map_err(start)? {
        Some(Ok(())) => Ok(Some(Spawned { connection })),
        Some(Err(source)) => Err(SpawnError::Failed { name: name(), source }),
        None => Ok(None),
    }
}

fn start_keeper(dirs: &Dirs, sandbox: &Sandbox) -> io::Result<WaitingKeeper> {
    WaitingKeeper::start(dirs, sandbox.id(), sandbox.definition.settings.network.is_own())
}

/// An empty directory: nothing of an earlier run, such as the wish to stop it, has a say in this one.
fn make_run_directory(path: &Path) -> Result<(), SpawnError> {
    remove_tree(path)
        .and_then(|()| private_dir(path))
        .map_err(|source| SpawnError::RunDirectory { path: path.to_owned(), source })
}

/// Gives a sandbox whose keeper has died another one, which serves it on or takes it down.
pub(crate) fn take_over(dirs: &Dirs, sandbox: &Sandbox, lock: &KeeperLock) -> Result<(), SpawnError> {
    let name = || sandbox.name().to_owned();
    let start = |source| SpawnError::Start { name: name(), source };
    let keeper = WaitingKeeper::start(dirs, sandbox.id(), false).map_err(start)?;
    match employ(&keeper, sandbox, Task::TakeOver, lock, None, || ()).map_err(start)? {
        Some(Ok(())) => Ok(()),
        Some(Err(source)) => Err(SpawnError::Failed { name: name(), source }),
        None => Err(SpawnError::KeeperDied { name: name() }),
    }
}

/// Gives `keeper` its task and waits for its report.
fn employ(
    keeper: &WaitingKeeper,
    sandbox: &Sandbox,
    task: Task,
    lock: &KeeperLock,
    client: Option<&UnixStream>,
    meanwhile: impl FnOnce(),
) -> io::Result<Option<Result<(), KeeperFailure>>> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let log =
        open_log(&sandbox.keeper_log_path()).or_else(|_| File::options().write(true).open("/dev/null"))?;
    match keeper.assign(task, writer.as_fd(), lock, log.as_fd(), client) {
        // It was killed while it waited.
        Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
            return Ok(None);
        }
        told => told?,
    }
    drop(writer);
    meanwhile();
    report::read(reader)
}

/// The file that takes what a keeper has to say when nobody is there to hear it. The keeper keeps it short.
fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}
