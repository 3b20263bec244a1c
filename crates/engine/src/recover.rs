//! Mending what the death of a process of ours left: a sandbox without a keeper gets another one.

use crate::dirs::Dirs;
use crate::engine::Engine;
use crate::keeper;
use crate::sandbox::Sandbox;

impl Engine {
    /// Gives every sandbox whose keeper was killed a new one, which serves it on or takes it down. Each verb that
    /// looks at all sandboxes begins so; it costs one lock for each that runs.
    pub(crate) fn recover_all(&self) {
        let catalog = self.catalog();
        for id in catalog.running_ids().unwrap_or_default() {
            match catalog.load(&id) {
                Ok(Some(sandbox)) => recover(&self.dirs, &sandbox),
                Ok(None) => {
                    // Removed, but for this. A sandbox that is being created has no run directory yet.
                    let _ = std::fs::remove_dir_all(self.dirs.running().join(id.as_str()));
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a sandbox is unreadable");
                }
            }
        }
    }

    /// The sandbox of that name, with a living keeper if it runs.
    pub(crate) fn find(&self, name: &str) -> Result<Sandbox, crate::sandbox::FindError> {
        let sandbox = self.catalog().find(name)?;
        recover(&self.dirs, &sandbox);
        // It may have been one that goes at its end.
        match self.catalog().load(sandbox.id())? {
            Some(sandbox) => Ok(sandbox),
            None => Err(crate::sandbox::FindError::NoSuchSandbox(name.to_owned())),
        }
    }
}

/// Gives `sandbox` a new keeper if it had one that died.
pub(crate) fn recover(dirs: &Dirs, sandbox: &Sandbox) {
    if !sandbox.run_directory().exists() {
        return;
    }
    match sandbox.try_keeper_lock() {
        // Somebody keeps it, or is about to.
        Ok(None) => {}
        Ok(Some(lock)) => {
            // Between our look at the directory and our lock, its keeper may have ended in good order.
            if !sandbox.run_directory().join("state.json").exists() {
                let _ = std::fs::remove_dir_all(sandbox.run_directory());
                return;
            }
            if let Err(error) = keeper::take_over(dirs, sandbox, &lock) {
                tracing::warn!(error = &error as &dyn std::error::Error, "a sandbox could not be taken over");
            }
        }
        // The directory went while we looked.
        Err(_) => {}
    }
}
