//! Listing sandboxes.

use crate::dirs::Dirs;
use crate::engine::Engine;
use crate::recover::{kept_state, recover};
use crate::rm::RemoveOptions;
use crate::sandbox::{
    Catalog, Exit, FindError, MountSource, Run, Sandbox, SandboxId, Status, UnreadableError,
};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::num::NonZero;

/// One sandbox in a list.
#[derive(Debug, Clone)]
pub struct SandboxSummary {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The name of its image.
    pub image: String,
    /// The image's ID.
    pub image_id: String,
    /// Entrypoint and command.
    pub command: Vec<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// What it does.
    pub state: SandboxState,
    /// When its last run began.
    pub started_at: Option<Timestamp>,
    /// How its last run ended.
    pub exit: Option<Exit>,
    /// The host's PID of its first process, while it runs.
    pub pid: Option<i32>,
    /// Its published ports.
    pub ports: Vec<gaufre_net::PortMapping>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its network: `bridge`, `host`, `none` or `container:NAME`.
    pub network: String,
    /// Where something is mounted in it.
    pub mounts: Vec<String>,
    /// How often its policy has restarted it.
    pub restarts: u32,
    /// Whether it goes at its end.
    pub remove_on_exit: bool,
}

/// What a sandbox does, in podman's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxState {
    /// Never started.
    Created,
    /// Being started.
    Starting,
    /// Its workload runs.
    Running,
    /// Waiting to be started again.
    Restarting,
    /// Being taken down.
    Stopping,
    /// Its workload has ended.
    Exited,
}

impl SandboxState {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Stopping => "stopping",
            Self::Exited => "exited",
        }
    }
}

impl Engine {
    /// The sandboxes that run, or all, the newest first.
    ///
    /// # Errors
    /// See [`FindError`].
    pub fn list(&self, all: bool) -> Result<Vec<SandboxSummary>, FindError> {
        let ids = self.catalog().ids()?;
        let mut summaries = Vec::with_capacity(ids.len());
        for (id, kept) in ids.iter().zip(kept_summaries(&self.dirs, &ids)) {
            let summary = match kept {
                Some(summary) => Ok(Some(summary)),
                None => self.summary_of(id),
            };
            match summary {
                Ok(summary) => summaries.extend(summary.filter(|summary| {
                    all || !matches!(summary.state, SandboxState::Created | SandboxState::Exited)
                })),
                // It went while we looked.
                Err(_) if !self.dirs.sandboxes().join(id.as_str()).exists() => {}
                Err(error) => {
                    let id = id.short();
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "a damaged container is passed over (gaufre rm --force {id} removes it)"
                    );
                }
            }
        }
        summaries.sort_unstable_by_key(|summary| std::cmp::Reverse(summary.created_at));
        Ok(summaries)
    }

    /// `None` when it is gone, or had to go.
    fn summary_of(&self, id: &SandboxId) -> Result<Option<SandboxSummary>, UnreadableError> {
        let Some(sandbox) = self.catalog().load(id)? else { return Ok(None) };
        recover(&self.dirs, &sandbox);
        let status = sandbox.status()?;
        let summary = summary(&sandbox, status, sandbox.run()?);
        if summary.state == SandboxState::Created && !sandbox.directory().exists() {
            return Ok(None); // What is gone looks like what has never been started.
        }
        if summary.remove_on_exit && summary.state == SandboxState::Exited {
            // It would have gone at its end, had the machine not gone first.
            let _ = self.remove(&summary.id, RemoveOptions { volumes: true, ..RemoveOptions::default() });
            return Ok(None);
        }
        Ok(Some(summary))
    }
}

/// For each sandbox that runs under a living keeper, the usual case, what there is to say of it. There may be
/// thousands, and files to be read of each, so that all processors share in it.
fn kept_summaries(dirs: &Dirs, ids: &[SandboxId]) -> Vec<Option<SandboxSummary>> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS);
    let share = ids.len().div_ceil(threads).max(LEAST_SHARE);
    let of_share = |ids: &[SandboxId]| ids.iter().map(|id| kept_summary(dirs, id)).collect();
    let Some((first, others)) = ids.split_at_checked(share) else { return of_share(ids) };
    std::thread::scope(|scope| {
        let others: Vec<_> =
            others.chunks(share).map(|ids| (ids, scope.spawn(move || of_share(ids)))).collect();
        let mut summaries: Vec<_> = of_share(first);
        for (ids, other) in others {
            // Without it, each is asked for by itself.
            summaries.extend(other.join().unwrap_or_else(|_| vec![None; ids.len()]));
        }
        summaries
    })
}

/// More threads than this wait for each other in the kernel.
const MOST_THREADS: usize = 4;
/// Fewer sandboxes than this are read before a thread has started.
const LEAST_SHARE: usize = 16;

fn kept_summary(dirs: &Dirs, id: &SandboxId) -> Option<SandboxSummary> {
    let sandbox = Catalog::new(dirs).load(id).ok()??;
    let state = kept_state(&sandbox)?;
    let restarts = state.restarts;
    let status = sandbox.status_in(Some(state)).ok()?;
    let started_at = if let Status::Running(running) = &status { running.started_at } else { None };
    let run = match started_at {
        Some(started_at) => Some(Run { started_at, restarts, exit: None }),
        None => sandbox.run().ok()?,
    };
    Some(summary(&sandbox, status, run))
}

/// What there is to say of a sandbox with this status, whose last run, if it had any, is `run`.
pub(crate) fn summary(sandbox: &Sandbox, status: Status, run: Option<Run>) -> SandboxSummary {
    let definition = &sandbox.definition;
    let mut ports = definition.settings.ports.clone();
    let (state, pid, exit) = match status {
        Status::Created => (SandboxState::Created, None, None),
        Status::Starting => (SandboxState::Starting, None, None),
        Status::Running(running) => {
            if let Some(attachment) = running.attachment {
                ports = attachment.ports;
            }
            (SandboxState::Running, Some(running.pid), None)
        }
        Status::Restarting => (SandboxState::Restarting, None, None),
        Status::Stopping => (SandboxState::Stopping, None, None),
        Status::Exited(exit) => (SandboxState::Exited, None, Some(exit)),
    };
    SandboxSummary {
        id: definition.id.to_string(),
        name: definition.name.to_string(),
        image: definition.image.name.clone(),
        image_id: definition.image.id.digest().to_owned(),
        command: definition.process.args.clone(),
        created_at: definition.created_at,
        state,
        started_at: run.as_ref().map(|run| run.started_at),
        exit,
        pid,
        ports,
        labels: definition.settings.labels.clone(),
        network: definition.settings.network.to_string(),
        mounts: definition.mounts.iter().map(shown_mount).collect(),
        restarts: run.map_or(0, |run| run.restarts),
        remove_on_exit: definition.settings.remove_on_exit,
    }
}

/// A mount as `ps` shows it: the volume's name, or the place.
fn shown_mount(mount: &crate::sandbox::Mount) -> String {
    match &mount.source {
        MountSource::Volume { name, .. } => name.clone(),
        _ => mount.destination.display().to_string(),
    }
}
