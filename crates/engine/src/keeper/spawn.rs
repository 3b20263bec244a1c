//! Starting a keeper.

use super::report::{self, KeeperFailure};
use crate::attach::{AttachError, AttachStreams, Connection};
use crate::dirs::Dirs;
use crate::failure::Failure;
use crate::process::own_file;
use crate::recover::idle_lock;
use crate::sandbox::{KeeperLock, Locked, Sandbox, private_dir};
use gaufre_runtime::sealed_exe;
use rustix::io::{FdFlags, fcntl_setfd};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
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
    #[error("cannot start the keeper of container {id}")]
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
    #[error("the keeper of container {id} was killed while it started the container")]
    KeeperDied {
        /// Which.
        id: String,
    },
    /// The keeper says why.
    #[error("cannot start container {id}")]
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

/// How long what a dead keeper made may take to be taken down.
const TAKING_DOWN: Duration = Duration::from_secs(10);

/// Starts the sandbox, whose keeper's `lock` the caller has; returns when the workload runs, or did not come to run.
/// Does `meanwhile` while its keeper is at work.
pub(crate) fn spawn(
    dirs: &Dirs,
    sandbox: &Sandbox,
    lock: KeeperLock,
    streams: Option<AttachStreams>,
    meanwhile: impl FnOnce(),
) -> Result<Spawned, SpawnError> {
    let id = || sandbox.id().short().to_owned();
    make_run_directory(sandbox.run_directory())?;
    let start = |source| SpawnError::Start { id: id(), source };

    let (connection, theirs) = match streams {
        None => (None, None),
        Some(streams) => {
            let (ours, theirs) = UnixStream::pair().map_err(start)?;
            (Some(Connection::open(ours, streams, sandbox.definition.settings.terminal)?), Some(theirs))
        }
    };
    match start_keeper(dirs, sandbox, "start", &lock, theirs.as_ref(), meanwhile).map_err(start)? {
        Some(Ok(())) => Ok(Spawned { connection }),
        Some(Err(source)) => Err(SpawnError::Failed { id: id(), source }),
        None => {
            // What it made before it died is taken down by another.
            drop(lock);
            if let Ok(Locked::Ours(lock)) = idle_lock(dirs, sandbox, TAKING_DOWN) {
                let _ = fs::remove_dir_all(sandbox.run_directory());
                lock.release();
            }
            Err(SpawnError::KeeperDied { id: id() })
        }
    }
}

/// An empty directory: nothing of an earlier run, such as the wish to stop it, has a say in this one.
fn make_run_directory(path: &Path) -> Result<(), SpawnError> {
    let fail = |source| SpawnError::RunDirectory { path: path.to_owned(), source };
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
        _ => {}
    }
    private_dir(path).map_err(fail)
}

/// Gives a sandbox whose keeper has died another one, which serves it on or takes it down.
pub(crate) fn take_over(dirs: &Dirs, sandbox: &Sandbox, lock: &KeeperLock) -> Result<(), SpawnError> {
    let id = || sandbox.id().short().to_owned();
    match start_keeper(dirs, sandbox, "take-over", lock, None, || ())
        .map_err(|source| SpawnError::Start { id: id(), source })?
    {
        Some(Ok(())) => Ok(()),
        Some(Err(source)) => Err(SpawnError::Failed { id: id(), source }),
        None => Err(SpawnError::KeeperDied { id: id() }),
    }
}

/// Starts the process and waits for its report.
fn start_keeper(
    dirs: &Dirs,
    sandbox: &Sandbox,
    task: &str,
    lock: &KeeperLock,
    client: Option<&UnixStream>,
    meanwhile: impl FnOnce(),
) -> io::Result<Option<Result<(), KeeperFailure>>> {
    // The keeper enters no sandbox, but the processes that it clones for one start out as copies of it.
    let exe = sealed_exe().map_err(io::Error::other)?;
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let mut inherited: Vec<BorrowedFd<'_>> = vec![writer.as_fd(), lock.0.as_fd()];
    inherited.extend(client.map(AsFd::as_fd));
    let mut command = Command::new(format!("/proc/self/fd/{}", exe.as_raw_fd()));
    // The keeper's own /proc/self/exe is the sealed copy; by this name it still knows the file.
    command.arg0(own_file()?);
    command.arg("keeper").arg(&dirs.root).arg(&dirs.run).arg(sandbox.id().as_str()).arg(task);
    command.args(inherited.iter().map(|fd| fd.as_raw_fd().to_string()));
    command.stderr(open_log(&sandbox.keeper_log_path()).map_or_else(|_| Stdio::null(), Stdio::from));
    let _keeper = spawn_inheriting(&mut command, &inherited)?;
    drop(writer);
    meanwhile();
    report::read(reader)
}

/// Starts `command` with `fds` open under the numbers that they have here, standard input and output at /dev/null, and
/// nothing else.
fn spawn_inheriting(command: &mut Command, fds: &[BorrowedFd<'_>]) -> io::Result<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).env_clear();
    let set = |flags| fds.iter().try_for_each(|fd| fcntl_setfd(fd, flags).map_err(io::Error::from));
    set(FdFlags::empty())?;
    let child = command.spawn();
    set(FdFlags::CLOEXEC)?;
    child
}

/// The file that takes what a keeper has to say when nobody is there to hear it. It starts over when it has grown too
/// long; a keeper says little.
fn open_log(path: &Path) -> io::Result<File> {
    let log = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    if log.metadata()?.len() > LOG_LIMIT_BYTES {
        log.set_len(0)?;
    }
    Ok(log)
}

const LOG_LIMIT_BYTES: u64 = 64 * 1024;
