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
        let count = match (sandbox.run_state(), sandbox.run()) {
            (Ok(Some(_)), Ok(Some(run))) => run.restarts,
            _ => 0,
        };
        Self { count, pause: FIRST_PAUSE, started: Instant::now() }
    }

    /// Restarts so far.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Whether the sandbox is to be started again; if so, after the pause, which whoever asks it to stop cuts short.
    pub(super) fn again(
        &mut self,
        sandbox: &Sandbox,
        exit: &Exit,
        clients: &mut Clients,
        listener: Option<&OwnedFd>,
    ) -> bool {
        let failed = exit.code != Some(0);
        let wanted = match sandbox.definition.settings.restart {
            RestartPolicy::No => false,
            RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
            RestartPolicy::OnFailure { max } => failed && max.is_none_or(|max| self.count < max),
        };
        // One that could not even be started at first is reported, not tried for ever.
        if !wanted || exit.error.is_some() && self.count == 0 || sandbox.stop_requested_path().exists() {
            return false;
        }
        if let Err(error) = sandbox.set_phase(Phase::Restarting) {
            tracing::warn!(%error, "the state of the sandbox could not be written");
        }
        if self.started.elapsed() > LONG_RUN {
            self.pause = FIRST_PAUSE;
        }
        let end = Instant::now() + self.pause;
        while Instant::now() < end {
            if let Some(listener) = listener {
                clients.accept(listener.as_fd());
            }
            clients.talk();
            if sandbox.stop_requested_path().exists() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.count += 1;
        self.started = Instant::now();
        true
    }
}
