//! The restart policy, and the pause before each restart.

use super::clients::Clients;
use crate::sandbox::{Exit, Phase, Sandbox};
use crate::settings::RestartPolicy;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// How often a sandbox has been restarted, and how long to wait before the next time.
#[derive(Debug)]
pub(super) struct Restarts {
    count: u32,
    pause: Duration,
    started: Instant,
}

/// The first pause. It doubles with each restart up to the longest, and starts over after a run of this length.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
const LONG_RUN: Duration = Duration::from_secs(10);

impl Restarts {
    pub(super) fn new(sandbox: &Sandbox) -> Self {
        // A keeper that takes over goes on counting.
        let count = sandbox.run_state().ok().flatten().map_or(0, |state| state.restarts);
        Self { count, pause: FIRST_PAUSE, started: Instant::now() }
    }

    /// Restarts so far.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Whether the sandbox is to be started again. One that could not even be started by a user is reported, not tried
    /// for ever: `ran` says whether it got that far.
    pub(super) fn wanted(&self, sandbox: &Sandbox, exit: &Exit, ran: bool) -> bool {
        let failed = exit.code != Some(0);
        let wanted = match sandbox.definition.settings.restart {
            RestartPolicy::No => false,
            RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
            RestartPolicy::OnFailure { max } => failed && max.is_none_or(|max| self.count < max),
        };
        wanted && (ran || self.count > 0) && !sandbox.stop_requested_path().exists()
    }

    /// Waits before the next start. `false` when somebody asks the sandbox to stop meanwhile.
    pub(super) fn pause(
        &mut self,
        sandbox: &Sandbox,
        clients: &mut Clients,
        listener: Option<&OwnedFd>,
    ) -> bool {
        if let Err(error) = sandbox.set_phase(Phase::Restarting, self.count) {
            tracing::warn!(%error, "the state of the container could not be written");
        }
        if self.started.elapsed() > LONG_RUN {
            self.pause = FIRST_PAUSE;
        }
        let end = Instant::now() + self.pause;
        while Instant::now() < end {
            if let Some(listener) = listener {
                clients.accept(listener.as_fd());
            }
            clients.talk(true);
            if sandbox.stop_requested_path().exists() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.count = self.count.saturating_add(1);
        self.started = Instant::now();
        true
    }
}
