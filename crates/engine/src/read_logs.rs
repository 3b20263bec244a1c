//! Reading a sandbox's log.

use crate::engine::Engine;
use crate::logs::{LogIter, LogsError, LogsOptions};
use crate::settings::LogDriver;
use crate::stop::is_active;

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
        LogIter::open(
            &path,
            options,
            Box::new(move || sandbox.status().is_ok_and(|status| is_active(&status))),
        )
    }
}
