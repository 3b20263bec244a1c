//! Reading a sandbox's log.

use crate::engine::Engine;
use crate::logs::{LogIter, LogsError, LogsOptions};
use crate::recover::recover;
use crate::settings::LogDriver;
use crate::stop::is_active;
use std::time::{Duration, Instant};

impl Engine {
    /// The log of a sandbox; with [`LogsOptions::follow`] until it ends.
    ///
    /// # Errors
    /// See [`LogsError`].
    pub fn logs(&self, name: &str, options: LogsOptions) -> Result<LogIter, LogsError> {
        let sandbox = self.find(name)?;
        if sandbox.definition.settings.log.driver == LogDriver::None {
            return Err(LogsError::NoLog { id: sandbox.id().short().to_owned() });
        }
        let path = sandbox.log_path();
        let dirs = self.dirs.clone();
        let mut looked = Instant::now();
        let alive = move || {
            // While we follow, nobody else may come by to give it another keeper.
            if looked.elapsed() > MEND_EVERY {
                recover(&dirs, &sandbox);
                looked = Instant::now();
            }
            sandbox.status().is_ok_and(|status| is_active(&status))
        };
        LogIter::open(&path, options, Box::new(alive))
    }
}

/// How often one who follows a log sees whether the keeper that writes it has been killed.
const MEND_EVERY: Duration = Duration::from_secs(1);
