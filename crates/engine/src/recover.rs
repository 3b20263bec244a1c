//! Mending what the death of a process of ours left: a sandbox without a keeper gets another one.

use crate::dirs::Dirs;
use crate::engine::Engine;
use crate::keeper;
use crate::process::is_alive;
use crate::sandbox::{FindError, KeeperLock, LockError, Locked, RunState, Sandbox};
use gaufre_store::remove_tree;
use std::time::{Duration, Instant};

/// How long another command may take to give a sandbox a new keeper.
const OTHERS: Duration = Duration::from_secs(5);

impl Engine {
    /// Gives every sandbox whose keeper was killed a new one, which serves it on or takes it down. Each verb that
    /// looks at all sandboxes begins so; it costs one lock for each that runs.
    pub(crate) fn recover_all(&self) {
        let catalog = self.catalog();
        catalog.sweep();
        for id in catalog.running_ids().unwrap_or_default() {
            match catalog.load(&id) {
                Ok(Some(sandbox)) => recover(&self.dirs, &sandbox),
                // Removed, but for this. A sandbox that is being created has no run directory yet.
                Ok(None) => drop(remove_tree(&self.dirs.running().join(id.as_str()))),
                // Said by whoever lists the sandboxes.
                Err(_) => {}
            }
        }
        keeper::sweep_abandoned(&self.dirs);
    }

    /// The sandbox of that name, with a living keeper if it runs.
    pub(crate) fn find(&self, name: &str) -> Result<Sandbox, FindError> {
        let sandbox = self.catalog().find(name)?;
        recover(&self.dirs, &sandbox);
        // It may have been one that goes at its end.
        match self.catalog().load(sandbox.id())? {
            Some(sandbox) => Ok(sandbox),
            None => Err(FindError::NoSuchSandbox(name.to_owned())),
        }
    }
}

/// The sandbox's state if it runs under a living keeper. The usual case of a list, at one read and two questions.
pub(crate) fn kept_state(sandbox: &Sandbox) -> Option<RunState> {
    let state = sandbox.run_state().ok()??;
    let kept = is_alive(state.keeper_pid) && matches!(sandbox.try_keeper_lock(), Ok(Locked::Busy));
    kept.then_some(state)
}

/// Gives `sandbox` a new keeper if it had one that died.
pub(crate) fn recover(dirs: &Dirs, sandbox: &Sandbox) {
    if !sandbox.run_directory().exists() {
        return;
    }
    match sandbox.try_keeper_lock() {
        Ok(Locked::Ours(lock)) => mend(dirs, sandbox, lock),
        Ok(Locked::Busy) => wait_for_others(dirs, sandbox),
        Ok(Locked::Gone) => {}
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a container cannot be mended");
        }
    }
}

/// The keeper's lock of a sandbox of which nothing is left running, not even by a keeper that died. Waits for one that
/// is at its last steps.
pub(crate) fn idle_lock(
    dirs: &Dirs,
    sandbox: &Sandbox,
    timeout: Duration,
) -> Result<Locked<KeeperLock>, LockError> {
    let deadline = Instant::now() + timeout;
    loop {
        match sandbox.wait_keeper_lock(deadline.saturating_duration_since(Instant::now()))? {
            Locked::Ours(lock) if sandbox.has_run_state() => mend(dirs, sandbox, lock),
            other => return Ok(other),
        }
        if Instant::now() > deadline {
            return Ok(Locked::Busy);
        }
    }
}

/// With the lock in hand there is no keeper: what there is of a run is one that died.
fn mend(dirs: &Dirs, sandbox: &Sandbox, lock: KeeperLock) {
    if !sandbox.has_run_state() {
        // It ended in good order while we looked, or died before it made anything.
        let _ = remove_tree(sandbox.run_directory());
        return lock.release();
    }
    if let Err(error) = keeper::spawn_successor(dirs, sandbox, &lock) {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "container {} could not be taken over",
            sandbox.id().short()
        );
        // If the new keeper died too, this hands the lock on to the next who tries.
        if !keeper_lives(sandbox) {
            lock.release();
        }
    }
}

/// Somebody has the keeper's lock: a keeper, or one who is about to make one. In the second case it is waited for,
/// so that what is seen afterwards is true.
fn wait_for_others(dirs: &Dirs, sandbox: &Sandbox) {
    let deadline = Instant::now() + OTHERS;
    while !keeper_lives(sandbox) && sandbox.has_run_state() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
        if let Ok(Locked::Ours(lock)) = sandbox.try_keeper_lock() {
            return mend(dirs, sandbox, lock);
        }
    }
}

fn keeper_lives(sandbox: &Sandbox) -> bool {
    sandbox.run_state().is_ok_and(|state| state.is_some_and(|state| is_alive(state.keeper_pid)))
}
