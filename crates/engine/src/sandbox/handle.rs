//! One sandbox on disk: its files, its locks, its status.

use super::record::{RecordError, read_json, replace_json};
use super::{Definition, Exit, Phase, Run, RunState, SandboxId};
use crate::dirs::Dirs;
use crate::process::boot_id;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A sandbox that exists.
#[derive(Debug, Clone)]
pub struct Sandbox {
    /// What it was created as.
    pub definition: Definition,
    directory: PathBuf,
    run_directory: PathBuf,
}

/// What a sandbox is doing.
#[derive(Debug, Clone)]
pub enum Status {
    /// It has never been started.
    Created,
    /// It is being started.
    Starting,
    /// It runs.
    Running(Box<super::Running>),
    /// Its workload ended and will be started again.
    Restarting,
    /// Its workload ended and what it used is being taken down.
    Stopping,
    /// Its workload ended.
    Exited(Exit),
}

/// Held by the keeper of a sandbox for as long as it lives; the kernel gives it back when the keeper dies.
#[derive(Debug)]
pub struct KeeperLock(pub(crate) OwnedFd);

/// A lock of a sandbox cannot be taken.
#[derive(Debug, thiserror::Error)]
#[error("cannot lock {}", path.display())]
pub struct LockError {
    path: PathBuf,
    source: io::Error,
}

impl Sandbox {
    pub(super) fn new(dirs: &Dirs, definition: Definition) -> Self {
        let directory = dirs.sandboxes().join(definition.id.as_str());
        let run_directory = dirs.running().join(definition.id.as_str());
        Self { definition, directory, run_directory }
    }

    /// Its ID.
    #[must_use]
    pub fn id(&self) -> &SandboxId {
        &self.definition.id
    }

    /// What survives a reboot: definition, upper, work, logs, bundle.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What exists only while there is a keeper: state, locks, sockets, FIFOs.
    #[must_use]
    pub fn run_directory(&self) -> &Path {
        &self.run_directory
    }

    /// The OCI bundle.
    pub(crate) fn bundle(&self) -> PathBuf {
        self.directory.join("bundle")
    }

    /// The log, in the format of the Kubernetes CRI.
    pub(crate) fn log_path(&self) -> PathBuf {
        self.directory.join("logs").join("ctr.log")
    }

    /// A file whose presence says that a user asked for the end, so that no restart policy applies.
    pub(crate) fn stop_requested_path(&self) -> PathBuf {
        self.run_directory.join("stop-requested")
    }

    /// The socket at which the keeper serves those who attach.
    pub(crate) fn socket_path(&self) -> PathBuf {
        self.run_directory.join("attach.sock")
    }

    /// The state that a keeper of this boot wrote, if any.
    pub(crate) fn run_state(&self) -> Result<Option<RunState>, RecordError> {
        let state: Option<RunState> = read_json(&self.run_directory.join("state.json"))?;
        Ok(state.filter(|state| state.boot_id == boot_id()))
    }

    /// Says how far the keeper has come.
    pub(crate) fn set_phase(&self, phase: Phase) -> Result<(), RecordError> {
        let state = RunState { boot_id: boot_id(), keeper_pid: crate::process::own_pid(), phase };
        replace_json(&self.run_directory.join("state.json"), &state, false)
    }

    /// The last run, if there was one.
    pub(crate) fn run(&self) -> Result<Option<Run>, RecordError> {
        read_json(&self.directory.join("run.json"))
    }

    /// Records a run. That of a sandbox which goes at its end need not survive a power cut.
    pub(crate) fn set_run(&self, run: &Run) -> Result<(), RecordError> {
        replace_json(&self.directory.join("run.json"), run, !self.definition.settings.remove_on_exit)
    }

    /// What it is doing, as far as its files tell. A dead keeper's state is believed: see [`crate::recover`].
    pub(crate) fn status(&self) -> Result<Status, RecordError> {
        if let Some(state) = self.run_state()? {
            return Ok(match state.phase {
                Phase::Starting => Status::Starting,
                Phase::Running(running) => Status::Running(running),
                Phase::Restarting => Status::Restarting,
                Phase::Finishing => Status::Stopping,
            });
        }
        Ok(match self.run()? {
            None => Status::Created,
            Some(run) => Status::Exited(run.exit.unwrap_or(Exit {
                code: None,
                finished_at: run.started_at,
                oom_killed: false,
                error: Some("the machine or the keeper ended before the exit status was recorded".to_owned()),
            })),
        })
    }

    /// Takes the lock under which a sandbox is started and removed. Waits for whoever has it.
    pub(crate) fn lock(&self) -> Result<OwnedFd, LockError> {
        let path = self.directory.join("lock");
        let file = open_lock(&path)?;
        flock(&file, FlockOperation::LockExclusive)
            .map_err(|errno| LockError { path: path.clone(), source: errno.into() })?;
        Ok(file)
    }

    /// Becomes the sandbox's keeper, unless somebody is.
    pub(crate) fn try_keeper_lock(&self) -> Result<Option<KeeperLock>, LockError> {
        let path = self.keeper_lock_path();
        let file = open_lock(&path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(KeeperLock(file))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(LockError { path, source: errno.into() }),
        }
    }

    /// Waits until no keeper is there any more; `false` when `timeout` passes first.
    pub(crate) fn wait_for_keeper(&self, timeout: Duration) -> Result<bool, LockError> {
        let path = self.keeper_lock_path();
        let file = match open(&path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(true),
            Err(errno) => return Err(LockError { path, source: errno.into() }),
        };
        let deadline = Instant::now() + timeout;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockShared) {
                Ok(()) => return Ok(true),
                Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(Errno::WOULDBLOCK | Errno::INTR) => return Ok(false),
                Err(errno) => return Err(LockError { path, source: errno.into() }),
            }
        }
    }

    fn keeper_lock_path(&self) -> PathBuf {
        self.run_directory.join("keeper.lock")
    }
}

fn open_lock(path: &Path) -> Result<OwnedFd, LockError> {
    open(path, OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)
        .map_err(|errno| LockError { path: path.to_owned(), source: errno.into() })
}
