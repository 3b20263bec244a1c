//! One sandbox on disk: its files, its locks, its status.

use super::catalog::LOGS;
use super::record::{RecordError, read_json, replace_json};
use super::{Definition, Exit, Phase, Run, RunState, SandboxId, UnreadableError};
use crate::dirs::Dirs;
use crate::process::boot_id;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

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

const STATE: &str = "state.json";

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

    /// Its name, by which users know it.
    pub(crate) fn name(&self) -> &str {
        self.definition.name.as_str()
    }

    /// What survives a reboot: definition, upper, work, logs.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What exists only while there is a keeper: state, bundle, sockets, FIFOs.
    #[must_use]
    pub fn run_directory(&self) -> &Path {
        &self.run_directory
    }

    /// The OCI bundle, made anew for each run.
    pub(crate) fn bundle(&self) -> PathBuf {
        self.run_directory.join("bundle")
    }

    /// The log, in the format of the Kubernetes CRI.
    pub(crate) fn log_path(&self) -> PathBuf {
        self.directory.join(LOGS).join("ctr.log")
    }

    /// A file whose presence says that a user asked for the end, so that no restart policy applies.
    pub(crate) fn stop_requested_path(&self) -> PathBuf {
        self.run_directory.join("stop-requested")
    }

    /// What the keeper has to say that nobody was there to hear.
    pub(crate) fn keeper_log_path(&self) -> PathBuf {
        self.directory.join(LOGS).join("keeper.log")
    }

    /// The socket at which the keeper serves those who attach.
    pub(crate) fn socket_path(&self) -> PathBuf {
        self.run_directory.join("attach.sock")
    }

    /// The state that a keeper of this boot wrote, if any.
    pub(crate) fn run_state(&self) -> Result<Option<RunState>, UnreadableError> {
        let state: Option<RunState> = self.read(&self.run_directory.join(STATE))?;
        Ok(state.filter(|state| state.boot_id == boot_id()))
    }

    /// Whether a keeper is at work here, or was when it died.
    pub(crate) fn has_run_state(&self) -> bool {
        self.run_directory.join(STATE).exists()
    }

    /// Says how far the keeper has come, after so many restarts.
    pub(crate) fn set_phase(&self, phase: Phase, restarts: u32) -> Result<(), RecordError> {
        let state = RunState {
            boot_id: boot_id().to_owned(),
            keeper_pid: crate::process::own_pid(),
            restarts,
            phase,
        };
        replace_json(&self.run_directory.join(STATE), &state, false)
    }

    /// The last run, if there was one.
    pub(crate) fn run(&self) -> Result<Option<Run>, UnreadableError> {
        self.read(&self.directory.join("run.json"))
    }

    /// Records a run. That of a sandbox which goes at its end need not survive a power cut.
    pub(crate) fn set_run(&self, run: &Run) -> Result<(), RecordError> {
        replace_json(&self.directory.join("run.json"), run, !self.definition.settings.remove_on_exit)
    }

    /// What it is doing, as far as its files tell. A dead keeper's state is believed: see [`crate::recover`].
    pub(crate) fn status(&self) -> Result<Status, UnreadableError> {
        self.status_in(self.run_state()?)
    }

    /// What `state`, which has just been read, makes of it.
    pub(crate) fn status_in(&self, state: Option<RunState>) -> Result<Status, UnreadableError> {
        if let Some(state) = state {
            return Ok(match state.phase {
                Phase::Starting => Status::Starting,
                Phase::Running(running) => Status::Running(running),
                Phase::Restarting => Status::Restarting,
                Phase::Finishing { .. } => Status::Stopping,
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

    fn read<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<T>, UnreadableError> {
        read_json(path).map_err(|source| UnreadableError { id: self.id().clone(), source })
    }
}
