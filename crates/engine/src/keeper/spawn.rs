//! Starting a keeper.

use super::holder::spawn_inheriting;
use super::report::{self, KeeperFailure};
use crate::attach::{AttachError, AttachStreams, Connection};
use crate::dirs::Dirs;
use crate::failure::Failure;
use crate::sandbox::{KeeperLock, LockError, Sandbox};
use gaufre_runtime::sealed_exe;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command};

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
    /// Its lock is not to be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It has a keeper.
    #[error("sandbox {id} is already running")]
    Running {
        /// Which.
        id: String,
    },
    /// The keeper cannot be started.
    #[error("cannot start the keeper of sandbox {id}")]
    Start {
        /// Which.
        id: String,
        /// Why.
        source: io::Error,
    },
    /// The line to the keeper broke.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The keeper died before the workload ran.
    #[error("the keeper of sandbox {id} was killed while it started the sandbox")]
    KeeperDied {
        /// Which.
        id: String,
    },
    /// The keeper says why.
    #[error("cannot start sandbox {id}")]
    Failed {
        /// Which.
        id: String,
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

/// Starts the sandbox: returns when the workload runs, or did not come to run.
pub(crate) fn spawn(
    dirs: &Dirs,
    sandbox: &Sandbox,
    streams: Option<AttachStreams>,
) -> Result<Spawned, SpawnError> {
    let id = || sandbox.id().short().to_owned();
    let path = sandbox.run_directory();
    fs::create_dir_all(path).map_err(|source| SpawnError::RunDirectory { path: path.to_owned(), source })?;
    let lock = sandbox.try_keeper_lock()?.ok_or_else(|| SpawnError::Running { id: id() })?;
    let start = |source| SpawnError::Start { id: id(), source };

    let (connection, theirs) = match streams {
        None => (None, None),
        Some(streams) => {
            let (ours, theirs) = UnixStream::pair().map_err(start)?;
            (Some(Connection::open(ours, streams, sandbox.definition.settings.terminal)?), Some(theirs))
        }
    };
    match start_keeper(dirs, sandbox, "start", &lock, theirs.as_ref()).map_err(start)? {
        (_, Some(Ok(()))) => Ok(Spawned { connection }),
        (mut keeper, Some(Err(source))) => {
            // It has yet to take down what it made; what is said after this must be true.
            let _ = keeper.wait();
            Err(SpawnError::Failed { id: id(), source })
        }
        (mut keeper, None) => {
            let _ = keeper.wait();
            Err(SpawnError::KeeperDied { id: id() })
        }
    }
}

/// Gives a sandbox whose keeper has died another one, which serves it on or takes it down.
pub(crate) fn take_over(dirs: &Dirs, sandbox: &Sandbox, lock: &KeeperLock) -> Result<(), SpawnError> {
    let id = || sandbox.id().short().to_owned();
    match start_keeper(dirs, sandbox, "take-over", lock, None)
        .map_err(|source| SpawnError::Start { id: id(), source })?
    {
        (_, Some(Ok(()))) => Ok(()),
        (_, Some(Err(source))) => Err(SpawnError::Failed { id: id(), source }),
        (_, None) => Err(SpawnError::KeeperDied { id: id() }),
    }
}

/// Starts the process and waits for its report.
fn start_keeper(
    dirs: &Dirs,
    sandbox: &Sandbox,
    task: &str,
    lock: &KeeperLock,
    client: Option<&UnixStream>,
) -> io::Result<(Child, Option<Result<(), KeeperFailure>>)> {
    // The keeper enters no sandbox, but the processes that it clones for one start out as copies of it.
    let exe = sealed_exe().map_err(io::Error::other)?;
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let mut inherited: Vec<BorrowedFd<'_>> = vec![writer.as_fd(), lock.0.as_fd()];
    inherited.extend(client.map(AsFd::as_fd));
    let mut command = Command::new(format!("/proc/self/fd/{}", exe.as_raw_fd()));
    // The keeper's own /proc/self/exe is the sealed copy; by this name it still knows the file.
    command.arg0(std::env::current_exe()?);
    command.arg("keeper").arg(&dirs.root).arg(&dirs.run).arg(sandbox.id().as_str()).arg(task);
    command.args(inherited.iter().map(|fd| fd.as_raw_fd().to_string()));
    let child = spawn_inheriting(&mut command, &inherited)?;
    drop(writer);
    Ok((child, report::read(reader)?))
}
